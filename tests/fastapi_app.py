"""Endpoints as people write them with FastAPI; the first is that of AgentiCraft's streaming guide.

Only the agent is ours: it says what is asked of it, chunk by chunk. Run by test_real_fastapi.py
with the Python of the environment that .ci/setup_fastapi.sh makes.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel

STORY = ("", "Once", " upon", " a time", ":", "\n\n", "  - a fox,\n  - é😀", "\n", "", "The end.\n")


@dataclass
class StreamChunk:
    content: str


class Agent:
    async def stream(self, prompt: str) -> AsyncIterator[StreamChunk]:
        number = 0
        while "count" in prompt:
            number += 1
            yield StreamChunk(f" {number}")
            if number == 3 and "break" in prompt:
                raise RuntimeError("the model is gone")
            await asyncio.sleep(0.01)
        for text in STORY:
            yield StreamChunk(text)
            await asyncio.sleep(0.01)


app = FastAPI()


@app.post("/stream")
async def stream_endpoint(prompt: str):
    agent = Agent()

    async def generate():
        async for chunk in agent.stream(prompt):
            yield f"data: {chunk.content}\n\n"

    return StreamingResponse(generate(), media_type="text/event-stream")


class Ask(BaseModel):
    messages: list[dict[str, str]]
    temperature: float = 1.0


@app.post("/plain")
async def plain(ask: Ask) -> StreamingResponse:
    async def generate() -> AsyncIterator[str]:
        yield f"{ask.temperature} "
        async for chunk in Agent().stream(ask.messages[-1]["content"]):
            yield chunk.content

    return StreamingResponse(generate(), media_type="text/plain")


@app.get("/events")
async def events(q: str) -> StreamingResponse:
    async def generate() -> AsyncIterator[str]:
        async for chunk in Agent().stream(q):
            yield json.dumps({"delta": {"text": chunk.content}}) + "\n"
        yield '{"done": true}\n'

    return StreamingResponse(generate(), media_type="application/x-ndjson")


@app.post("/login")
async def login() -> PlainTextResponse:
    return PlainTextResponse("<html><title>Sign in</title></html>", media_type="text/html")
