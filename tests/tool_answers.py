"""Answers of every protocol with tools as bytes: one that calls `look`, one that says it rains."""

from __future__ import annotations

import json
from typing import Any

from awsframes import event


def sse(*values: Any, done: bool = False) -> bytes:
    data = b"".join(b"data: %s\n\n" % json.dumps(value).encode() for value in values)
    return data + (b"data: [DONE]\n\n" if done else b"")


def chunk(reason: str | None = None, usage: dict[str, int] | None = None, **delta: Any) -> Any:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "i", "model": "m", "choices": [choice], "usage": usage}


def call(name: str, arguments: Any, id: str = "c1", index: int = 0) -> Any:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"index": index, "id": id, "function": {"name": name, "arguments": text}}


def named(*events: tuple[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps({"type": name, **value}).encode())
        for name, value in events
    )


def anthropic(*blocks: Any, reason: str) -> bytes:
    events: list[tuple[str, Any]] = [("message_start", {"message": {"id": "i", "model": "m"}})]
    for index, (block, delta) in enumerate(blocks):
        events += [
            ("content_block_start", {"index": index, "content_block": block}),
            ("content_block_delta", {"index": index, "delta": delta}),
            ("content_block_stop", {"index": index}),
        ]
    events += [("message_delta", {"delta": {"stop_reason": reason}}), ("message_stop", {})]
    return named(*events)


def use(id: str, name: str, arguments: str) -> Any:
    block = {"type": "tool_use", "id": id, "name": name, "input": {}}
    return block, {"type": "input_json_delta", "partial_json": arguments}


def words(text: str) -> Any:
    return {"type": "text", "text": ""}, {"type": "text_delta", "text": text}


def responses(*items: Any) -> bytes:
    events: list[tuple[str, Any]] = [("response.created", {"response": {"id": "r", "model": "m"}})]
    for index, item in enumerate(items):
        place = {"output_index": index, "item_id": item.get("id", "")}
        events.append(("response.output_item.added", {"item": {**item, "arguments": ""}, **place}))
        if item["type"] == "message":
            (part,) = item["content"]
            delta = {"content_index": 0, "delta": part["text"], **place}
            events.append(("response.output_text.delta", delta))
        events.append(("response.output_item.done", {"item": item, **place}))
    done = {"id": "r", "model": "m", "status": "completed", "output": list(items)}
    return named(*events, ("response.completed", {"response": done}))


def gemini(*parts: Any) -> bytes:
    return sse({"candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"}]})


def ollama(**message: Any) -> bytes:
    values: list[Any] = [{"message": {"content": "", **message}, "done": False}]
    values.append({"message": {"content": ""}, "done": True, "done_reason": "stop"})
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def bedrock(*events: tuple[str, Any]) -> bytes:
    return b"".join(event(name, value) for name, value in events)


def cohere(*events: tuple[str, Any]) -> bytes:
    return sse(*({"type": name, "index": 0, **value} for name, value in events))


ARGUMENTS = '{"q":"Oslo"}'
FUNCTION = {"name": "look", "arguments": ARGUMENTS}
ITEM = {"type": "function_call", "id": "fc", "call_id": "c1", **FUNCTION}
SAID = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "It rains."}]}
# protocol: its first answer, its second one, and the field of a request that holds the messages
PROTOCOLS: dict[str, tuple[bytes, bytes, str]] = {
    "openai-chat": (
        sse(chunk(tool_calls=[call("look", ARGUMENTS)]), chunk("tool_calls"), done=True),
        sse(chunk(content="It rains."), chunk("stop"), done=True),
        "messages",
    ),
    "anthropic": (
        anthropic(use("c1", "look", ARGUMENTS), reason="tool_use"),
        anthropic(words("It rains."), reason="end_turn"),
        "messages",
    ),
    "openai-responses": (responses(ITEM), responses(SAID), "input"),
    "gemini": (
        gemini({"functionCall": {"name": "look", "args": {"q": "Oslo"}}}),
        gemini({"text": "It rains."}),
        "contents",
    ),
    "ollama": (
        ollama(tool_calls=[{"function": {"name": "look", "arguments": {"q": "Oslo"}}}]),
        ollama(content="It rains."),
        "messages",
    ),
    "cohere": (
        cohere(
            ("message-start", {"id": "i"}),
            (
                "tool-call-start",
                {"delta": {"message": {"tool_calls": {"id": "c1", "function": FUNCTION}}}},
            ),
            ("tool-call-end", {}),
            ("message-end", {"delta": {"finish_reason": "TOOL_CALL"}}),
        ),
        cohere(
            ("message-start", {"id": "i"}),
            ("content-delta", {"delta": {"message": {"content": {"text": "It rains."}}}}),
            ("message-end", {"delta": {"finish_reason": "COMPLETE"}}),
        ),
        "messages",
    ),
    "bedrock": (
        bedrock(
            (
                "contentBlockStart",
                {
                    "contentBlockIndex": 0,
                    "start": {"toolUse": {"toolUseId": "c1", "name": "look"}},
                },
            ),
            (
                "contentBlockDelta",
                {"contentBlockIndex": 0, "delta": {"toolUse": {"input": ARGUMENTS}}},
            ),
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "tool_use"}),
        ),
        bedrock(
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "It rains."}}),
            ("messageStop", {"stopReason": "end_turn"}),
        ),
        "messages",
    ),
}
