// Reads server-sent events by the parser of the npm package eventsource-parser, which is not ours.
// usage: node event_source.mjs URL; NODE_PATH's first folder has the package. Prints [event, id, data].
import { createRequire } from "node:module";
const { createParser } = createRequire(process.env.NODE_PATH + "/")("eventsource-parser");

const parser = createParser({
  onEvent: ({ event, id, data }) => console.log(JSON.stringify([event, id ?? null, data])),
});
const response = await fetch(process.argv[2]);
console.log(JSON.stringify(response.headers.get("content-type")));
const decoder = new TextDecoder();
for await (const bytes of response.body) parser.feed(decoder.decode(bytes, { stream: true }));
