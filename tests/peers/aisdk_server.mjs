// Applications made with Vercel's AI SDK, as their own pages find them: node FOLDER PORT.
//
// POST /ai5/SCENARIO (ai4, ai6, ai7) is answered by that version of the package `ai` in
// FOLDER/node_modules, with its own mock model, which says what STEPS has for the scenario (else it
// says what it was asked).
// /health says ok. The last request's body is at GET /asked.

import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, port] = process.argv.slice(2);
let asked = null;

async function load(name, entry) {
  const home = join(folder, 'node_modules', name);
  const { exports } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  return import(pathToFileURL(join(home, exports[entry].import)));
}

const { z } = await load('zod', '.');

// What the model says, step by step, in the terms of version 4's mock; later ones' are made of it.
const SAY = (text) => ({ type: 'text-delta', textDelta: text });
const END = (finishReason) => ({
  type: 'finish',
  finishReason,
  usage: { promptTokens: 3, completionTokens: 7 },
});
const CALL = (toolName) => ({
  type: 'tool-call',
  toolCallType: 'function',
  toolCallId: 'call-1',
  toolName,
  args: '{"city": "Oslo"}',
});
const SOURCE = {
  type: 'source',
  source: { sourceType: 'url', id: 's1', url: 'https://e.com/a', title: 'A' },
};
const STEPS = {
  text: [[
    { type: 'reasoning', textDelta: 'Hm' },
    { type: 'reasoning', textDelta: 'm.' },
    SAY('Hel'), SAY('lo, '), SAY('wörld 😀\n'), SOURCE, END('stop'),
  ]],
  length: [[SAY('too lo'), END('length')]],
  filtered: [[SAY('bad'), END('content-filter')]],
  unknown: [[SAY('well'), END('other')]],
  error: [[SAY('so f'), SAY('ar'), { type: 'error', error: new Error('secret detail') }]],
  'server-tool': [[SAY('Let me look. '), CALL('weather'), END('tool-calls')], [SAY('Rain.'), END('stop')]],
  'last-step': [[CALL('weather'), END('tool-calls')]],
  'client-tool': [[SAY('One moment. '), CALL('locate'), END('tool-calls')]],
  'broken-tool': [[CALL('breaks'), END('tool-calls')], [SAY('It broke.'), END('stop')]],
  cut: [Array.from({ length: 1000 }, (_, i) => SAY(`${i} `))],
  slow: [[...Array.from({ length: 20 }, (_, i) => SAY(`${i} `)), END('stop')]],
};

// The same for version 5 (V2) and, where `unified`, for 6 (V3) and 7 (V4).
function* modern(parts, unified) {
  yield { type: 'stream-start', warnings: [] };
  let open = null;
  for (const part of parts) {
    const kind = { 'text-delta': 'text', reasoning: 'reasoning' }[part.type] ?? null;
    if (open !== kind) {
      if (open) yield { type: `${open}-end`, id: open };
      if (kind) yield { type: `${kind}-start`, id: kind };
      open = kind;
    }
    if (kind) yield { type: `${kind}-delta`, id: kind, delta: part.textDelta };
    else if (part.type === 'source') yield { type: 'source', ...part.source };
    else if (part.type === 'tool-call') {
      const id = part.toolCallId;
      yield { type: 'tool-input-start', id, toolName: part.toolName };
      yield { type: 'tool-input-delta', id, delta: part.args.slice(0, 5) };
      yield { type: 'tool-input-delta', id, delta: part.args.slice(5) };
      yield { type: 'tool-input-end', id };
      yield { type: 'tool-call', toolCallId: id, toolName: part.toolName, input: part.args };
    } else if (part.type === 'finish') {
      const { promptTokens: asked, completionTokens: said } = part.usage;
      yield {
        type: 'finish',
        finishReason: unified ? { unified: part.finishReason, raw: part.finishReason } : part.finishReason,
        usage: unified
          ? {
              inputTokens: { total: asked, noCache: asked - 1, cacheRead: 1, cacheWrite: 0 },
              outputTokens: { total: said, text: said - 2, reasoning: 2 },
            }
          : { inputTokens: asked, outputTokens: said, totalTokens: asked + said, cachedInputTokens: 1, reasoningTokens: 2 },
      };
    } else yield part;
  }
}

// `seen` is called with the number of each part as the model says it.
async function model(name, steps, seen = () => {}, pause = 2) {
  const { simulateReadableStream } = await load(name, '.');
  const mocks = await load(name, './test');
  const version = Number(name.slice(2)) - 3;
  const Mock = mocks[`MockLanguageModelV${version}`];
  let step = 0;
  return new Mock({
    doStream: async ({ prompt }) => {
      const parts = steps ? steps[step++] : [SAY(JSON.stringify(prompt)), END('stop')];
      const chunks = version === 1 ? parts : [...modern(parts, version > 2)];
      let said = 0;
      const count = new TransformStream({
        transform(part, controller) {
          seen(++said);
          controller.enqueue(part);
        },
      });
      const stream = simulateReadableStream({ chunks, initialDelayInMs: 1, chunkDelayInMs: pause });
      return {
        stream: stream.pipeThrough(count),
        rawCall: { rawPrompt: null, rawSettings: {} },
      };
    },
  });
}

async function chat(name, scenario, body, res) {
  const ai = await load(name, '.');
  const old = name === 'ai4';
  const schema = { [old ? 'parameters' : 'inputSchema']: z.object({ city: z.string() }) };
  const tools = {
    weather: ai.tool({ description: 'w', ...schema, execute: async () => 'rain' }),
    breaks: ai.tool({ description: 'b', ...schema, execute: async () => { throw new Error('no'); } }),
    locate: ai.tool({ description: 'l', ...schema }),
  };
  const stop = new AbortController();
  const seen = (number) => {
    if (scenario === 'abort' && number === 50) stop.abort('took too long');
    if (scenario === 'cut' && number === 50) res.socket.destroy();
  };
  const steps = STEPS[scenario === 'abort' ? 'cut' : scenario];
  const rounds = scenario === 'last-step' ? 1 : 3;
  const result = ai.streamText({
    model: await model(name, steps, seen, scenario === 'slow' ? 20 : 2),
    messages: old ? body.messages : await ai.convertToModelMessages(await ai.validateUIMessages({ messages: body.messages })),
    tools,
    ...(name === 'ai7' ? { allowSystemInMessages: true } : {}),
    ...(old ? { maxSteps: rounds } : { stopWhen: ai.stepCountIs(rounds) }),
    maxRetries: 0,
    abortSignal: stop.signal,
    onError: () => {},
  });
  if (old) return result.pipeDataStreamToResponse(res, { sendReasoning: true, sendSources: true });
  return result.pipeUIMessageStreamToResponse(res, {
    sendSources: true,
    messageMetadata: ({ part }) =>
      part.type === 'start' ? { model: 'mock-1' } : part.type === 'finish' ? { usage: part.totalUsage } : undefined,
  });
}

// An application that writes its stream by hand, and so without `finish`.
async function byHand(name, res) {
  const ai = await load(name, '.');
  if (name === 'ai4')
    return ai.pipeDataStreamToResponse(res, {
      execute: async (stream) => {
        stream.writeData({ status: 'on it' });
        stream.write('0:"by hand"\n');
        throw new Error('secret detail');
      },
    });
  const stream = ai.createUIMessageStream({
    execute: ({ writer }) => {
      writer.write({ type: 'data-status', data: { status: 'on it' }, transient: true });
      writer.write({ type: 'text-start', id: 't' });
      writer.write({ type: 'text-delta', id: 't', delta: 'by ' });
      writer.write({ type: 'text-delta', id: 't', delta: 'hand' });
      writer.write({ type: 'text-end', id: 't' });
    },
  });
  return ai.pipeUIMessageStreamToResponse({ response: res, stream });
}

createServer(async (req, res) => {
  try {
    if (req.method === 'GET') return res.end(req.url === '/asked' ? JSON.stringify(asked) : 'ok');
    let text = '';
    for await (const piece of req) text += piece;
    asked = { headers: req.headers, body: JSON.parse(text) };
    const [, name, scenario] = req.url.split('/');
    await (scenario === 'by-hand' ? byHand(name, res) : chat(name, scenario, asked.body, res));
  } catch (error) {
    if (!res.headersSent) res.writeHead(400, { 'content-type': 'text/plain' });
    res.end(String(error?.message ?? error));
  }
}).listen(Number(port), '127.0.0.1');
