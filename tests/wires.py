"""One answer in the form of each provider: the same text, thinking, calls and reasons as bytes."""

from __future__ import annotations

import json
from typing import Any

import awsframes
from splits import bytewise, decode, merged, some_two, whole

from streamcli.events import Event, Progress, Started
from streamcli.protocols._contract import get


class Wire:
    """How one protocol writes the parts of an answer. Each method returns the bytes of a part."""

    name = ""
    # The provider's words for the ends of an answer.
    stop = "stop"
    length = "length"
    tool = "stop"
    marks = True  # the end has a marker of its own, behind the reason

    def text(self, text: Any) -> bytes:
        raise NotImplementedError

    def thinking(self, text: str) -> bytes:
        raise NotImplementedError

    def call(self, id: str, name: str, arguments: str) -> bytes:
        raise NotImplementedError

    def reason(self, word: Any, **usage: int) -> bytes:
        raise NotImplementedError

    def end(self) -> bytes:
        return b""

    def body(self, *parts: bytes) -> bytes:
        return b"".join(parts)

    def events(self, *parts: bytes) -> list[Event]:
        """Return the events of a body, the same at many cuts; not those that only clocks need."""
        data = self.body(*parts)
        found = merged(decode(get(self.name).Decoder(), whole(data)))
        for pieces in (bytewise(data), *(some_two(data) if len(data) < 1500 else ())):
            assert merged(decode(get(self.name).Decoder(), pieces)) == found
        return merged([each for each in found if not isinstance(each, Progress | Started)])


class Anthropic(Wire):
    name = "anthropic"
    stop, length, tool = "end_turn", "max_tokens", "tool_use"

    def __init__(self) -> None:
        self.index = 0

    def event(self, kind: str, **fields: Any) -> bytes:
        value = {"type": kind, **fields}
        return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()

    def block(self, block: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
        index, self.index = self.index, self.index + 1
        return b"".join(
            (
                self.event("content_block_start", index=index, content_block=block),
                *(self.event("content_block_delta", index=index, delta=each) for each in deltas),
                self.event("content_block_stop", index=index),
            )
        )

    def text(self, text: Any) -> bytes:
        return self.block({"type": "text", "text": ""}, {"type": "text_delta", "text": text})

    def thinking(self, text: str) -> bytes:
        delta = {"type": "thinking_delta", "thinking": text}
        return self.block({"type": "thinking", "thinking": ""}, delta)

    def call(self, id: str, name: str, arguments: str) -> bytes:
        block = {"type": "tool_use", "id": id, "name": name, "input": {}}
        return self.block(block, {"type": "input_json_delta", "partial_json": arguments})

    def reason(self, word: Any, **usage: int) -> bytes:
        named = {"input_tokens": usage.get("input"), "output_tokens": usage.get("output")}
        return self.event("message_delta", delta={"stop_reason": word}, usage=named)

    def end(self) -> bytes:
        return self.event("message_stop")

    def body(self, *parts: bytes) -> bytes:
        message = {"id": "m", "model": "c", "role": "assistant", "content": [], "usage": None}
        return self.event("message_start", message=message) + b"".join(parts)


class Bedrock(Wire):
    name = "bedrock"
    stop, length, tool = "end_turn", "max_tokens", "tool_use"
    marks = False

    def __init__(self) -> None:
        self.index = 0

    def block(self, start: dict[str, Any] | None, delta: dict[str, Any]) -> bytes:
        place = {"contentBlockIndex": self.index}
        self.index += 1
        begun = b""
        if start is not None:
            begun = awsframes.event("contentBlockStart", {**place, "start": start})
        grown = awsframes.event("contentBlockDelta", {**place, "delta": delta})
        return begun + grown + awsframes.event("contentBlockStop", place)

    def text(self, text: Any) -> bytes:
        return self.block(None, {"text": text})

    def thinking(self, text: str) -> bytes:
        return self.block(None, {"reasoningContent": {"text": text}})

    def call(self, id: str, name: str, arguments: str) -> bytes:
        use = {"toolUse": {"toolUseId": id, "name": name}}
        return self.block(use, {"toolUse": {"input": arguments}})

    def reason(self, word: Any, **usage: int) -> bytes:
        tokens = {f"{name}Tokens": count for name, count in usage.items()}
        return awsframes.stop(word) + (awsframes.metadata(**tokens) if usage else b"")

    def body(self, *parts: bytes) -> bytes:
        return awsframes.event("messageStart", {"role": "assistant"}) + b"".join(parts)


class Gemini(Wire):
    name = "gemini"
    stop, length, tool = "STOP", "MAX_TOKENS", "STOP"
    marks = False

    def chunk(self, *parts: dict[str, Any], **candidate: Any) -> bytes:
        candidate = {"index": 0, **candidate}
        if parts:
            candidate["content"] = {"role": "model", "parts": list(parts)}
        return self.element({"candidates": [candidate], "modelVersion": "g", "responseId": "r"})

    def element(self, value: Any) -> bytes:
        return f"data: {json.dumps(value)}\r\n\r\n".encode()

    def text(self, text: Any) -> bytes:
        return self.chunk({"text": text})

    def thinking(self, text: str) -> bytes:
        return self.chunk({"text": text, "thought": True})

    def call(self, id: str, name: str, arguments: str) -> bytes:
        args = json.loads(arguments) if arguments else {}
        return self.chunk({"functionCall": {"id": id, "name": name, "args": args}})

    def reason(self, word: Any, **usage: int) -> bytes:
        names = {"input": "promptTokenCount", "output": "candidatesTokenCount"}
        counts = {names[name]: count for name, count in usage.items()}
        candidate = {"index": 0, "finishReason": word}
        value = {"candidates": [candidate], "modelVersion": "g", "responseId": "r"}
        return self.element({**value, "usageMetadata": counts} if usage else value)


class GeminiArray(Gemini):
    name = "gemini-array"

    def element(self, value: Any) -> bytes:
        return json.dumps(value, indent=1).encode() + b"\n,\n"

    def body(self, *parts: bytes) -> bytes:
        return b"[" + b"".join(parts).removesuffix(b"\n,\n")


class Cohere(Wire):
    name = "cohere"
    stop, length, tool = "COMPLETE", "MAX_TOKENS", "TOOL_CALL"
    marks = False

    def event(self, kind: str, message: dict[str, Any] | None = None, **more: Any) -> bytes:
        value = {"type": kind, **more}
        if message is not None:
            value["delta"] = {"message": message}
        return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()

    def content(self, item: dict[str, Any]) -> bytes:
        return b"".join(
            (
                self.event("content-start", {"content": {"type": "text"}}, index=0),
                self.event("content-delta", {"content": item}, index=0),
                self.event("content-end", index=0),
            )
        )

    def text(self, text: Any) -> bytes:
        return self.content({"text": text})

    def thinking(self, text: str) -> bytes:
        return self.content({"thinking": text})

    def call(self, id: str, name: str, arguments: str) -> bytes:
        function = {"name": name, "arguments": ""}
        grown = {"function": {"arguments": arguments}}
        return b"".join(
            (
                self.event("tool-call-start", {"tool_calls": {"id": id, "function": function}}),
                self.event("tool-call-delta", {"tool_calls": grown}),
                self.event("tool-call-end"),
            )
        )

    def reason(self, word: Any, **usage: int) -> bytes:
        tokens = {f"{name}_tokens": count for name, count in usage.items()}
        return self.event("message-end", delta={"finish_reason": word, "usage": {"tokens": tokens}})

    def body(self, *parts: bytes) -> bytes:
        return self.event("message-start", {"role": "assistant"}, id="r") + b"".join(parts)


class Ollama(Wire):
    name = "ollama"

    def line(self, done: bool = False, top: dict[str, Any] | None = None, **message: Any) -> bytes:
        message = {"role": "assistant", "content": "", **message}
        value = {"model": "m", "message": message, "done": done, **(top or {})}
        return json.dumps(value).encode() + b"\n"

    def text(self, text: Any) -> bytes:
        return self.line(content=text)

    def thinking(self, text: str) -> bytes:
        return self.line(thinking=text)

    def call(self, id: str, name: str, arguments: str) -> bytes:
        try:
            given = json.loads(arguments)
        except ValueError:
            given = arguments
        return self.line(tool_calls=[{"id": id, "function": {"name": name, "arguments": given}}])

    def reason(self, word: Any, **usage: int) -> bytes:
        names = {"input": "prompt_eval_count", "output": "eval_count"}
        counts = {names[name]: count for name, count in usage.items()}
        done = bool(usage)  # counts stand in the last line alone
        return self.line(done, {"done_reason": word, **counts})

    def end(self) -> bytes:
        return self.line(True)


WIRES = (Anthropic, Bedrock, Gemini, GeminiArray, Cohere, Ollama)
