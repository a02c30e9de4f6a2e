"""Tyler's real streaming modes before a scripted model; FastAPI serves them as its guide does.

usage: tyler_streams.py PORT FOLDER

`tyler.streaming` is the real one: the loop of rounds, the tools behind a finish reason, the forms
on the wire. What is left out is importing the rest of Tyler (litellm, wandb, a browser): the agent
here has only what those modes call.

    POST /openai/chat/completions   mode="openai": its chunks as SSE, without [DONE]
    POST /vercel                    mode="vercel"
    POST /events                    mode="events": a JSON object a line

The model thinks and calls `look` in two rounds, then answers. Each tool is done after 3 seconds;
or, if the prompt is "gated", once FOLDER/round-N is there.
"""

import asyncio
import json
import sys
import types
from importlib.util import find_spec
from pathlib import Path

PORT, FOLDER = int(sys.argv[1]), Path(sys.argv[2])
ROUNDS = 2
ANSWER = ("It", " is", " done.")


class Thread:
    def __init__(self):
        self.messages = []

    def add_message(self, message):
        self.messages.append(message)


class Message(types.SimpleNamespace):
    pass


def stand_in(name, **values):
    module = sys.modules[name] = types.ModuleType(name)
    vars(module).update(values)


(folder,) = find_spec("tyler").submodule_search_locations
stand_in("tyler", __path__=[folder])
stand_in("tyler.models", __path__=[f"{folder}/models"])
stand_in("narrator", Thread=Thread, Message=Message)

import uvicorn  # noqa: E402
from fastapi import FastAPI, Request  # noqa: E402
from fastapi.responses import StreamingResponse  # noqa: E402
from tyler.streaming import get_stream_mode  # noqa: E402


class Part(types.SimpleNamespace):
    """A chunk of the model, as an object and as JSON."""

    def dump(self):
        def plain(value):
            if isinstance(value, Part):
                return {key: plain(each) for key, each in vars(value).items()}
            return [plain(each) for each in value] if isinstance(value, list) else value

        return plain(self)


def chunk(reason=None, **delta):
    choice = Part(index=0, delta=Part(**delta), finish_reason=reason)
    return Part(id="chatcmpl-1", object="chat.completion.chunk", model="gpt-4", choices=[choice])


def call(number):
    function = Part(name="look", arguments=json.dumps({"round": number}))
    return [Part(index=0, id=f"call_{number}", type="function", function=function)]


class Agent:
    model_name, temperature, max_tool_iterations, thread_store = "gpt-4", 0.7, 10, None

    def __init__(self, gated):
        self._gated = gated
        self._round = 0
        self._tool_attributes_cache = {}
        self._iteration_count = 0

    async def step_stream(self, thread, mode):
        async for each in get_stream_mode(mode)._step_stream(self, thread):
            yield each

    async def _get_streaming_completion(self, thread):
        self._round += 1
        return self._chunks(self._round), {}

    async def _chunks(self, number):
        if number > ROUNDS:
            for text in ANSWER:
                yield chunk(content=text)
            yield chunk("stop")
            return
        yield chunk(reasoning_content=f"Round {number}. ")
        yield chunk(tool_calls=call(number))
        yield chunk("tool_calls")

    async def _handle_tool_execution(self, tool_call):
        if not self._gated:
            await asyncio.sleep(3)
            return "found"
        gate = FOLDER / f"round-{self._round}"
        while not gate.exists():
            await asyncio.sleep(0.01)
        return "found"

    def _process_tool_result(self, result, tool_call, tool_name):
        return Message(role="tool", name=tool_name, content=result), False

    def _create_assistant_source(self, include_version):
        return {}


app = FastAPI()


def answer_of(mode, prompt, form, media_type):
    agent, thread = Agent(prompt == "gated"), Thread()

    async def pieces():
        async for each in get_stream_mode(mode).stream(agent, thread):
            yield form(each)

    return StreamingResponse(pieces(), media_type=media_type)


@app.post("/openai/chat/completions")
async def openai(request: Request):
    prompt = (await request.json())["messages"][-1]["content"]
    form = "data: {}\n\n".format
    return answer_of("openai", prompt, lambda c: form(json.dumps(c.dump())), "text/event-stream")


@app.post("/vercel")
async def vercel(request: Request):
    prompt = (await request.json())["messages"][-1]["parts"][-1]["text"]
    return answer_of("vercel", prompt, str, "text/event-stream")


@app.post("/events")
async def events(request: Request):
    prompt = (await request.json())["prompt"]

    def form(event):
        data = {key: each for key, each in event.data.items() if key != "message"}
        return json.dumps({"type": event.type.value, "data": data}) + "\n"

    return answer_of("events", prompt, form, "application/x-ndjson")


@app.get("/health")
async def health():
    return {}


uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
