"""AWS Bedrock's Converse, with API keys (bearer tokens): AWS's signatures are not spoken.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html;
the deviations are those of recorded streams (see tests/test_bedrock.py).
"""

from __future__ import annotations

import re
from typing import Any

from ..events import Citation, Event, Failed, Finished, Progress, Reasoning, Text, Usage
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.aws_eventstream import EventStream, Frame
from ..wire.endings import too_large
from ..wire.json_body import JsonBody
from ..wire.lenient_json import count, whole, words
from ..wire.provider_errors import stream_failure
from ..wire.sse import MAX_EVENT_SIZE, Message
from ._contract import Glimpse
from .shared.aws_errors import exception, refusal
from .shared.bedrock_request import request as bedrock_request
from .shared.listing import Listing, with_field
from .shared.toolcalls import ToolCalls

__all__ = ["CAN", "LISTING", "NAME", "NEEDS_MODEL", "Decoder", "recognises", "refusal", "request"]

_OWN_PATH = re.compile(r"/model/.*$|/openai/v1$")


def _models(base: str) -> str:
    """{base}/foundation-models, on the other host of AWS's that knows them."""
    base, _, query = base.partition("?")
    base = _OWN_PATH.sub("", base.rstrip("/")).replace("//bedrock-runtime.", "//bedrock.", 1)
    return f"{base}/foundation-models?{with_field(query, 'byOutputModality=TEXT')}"


NAME = "bedrock"
CAN = ("tools", "attachments", "reasoning", "schema", "prefill")
NEEDS_MODEL = True
LISTING = Listing("models", _models, place="modelSummaries", ids=("modelId", "id", "name"))
CACHE_IS_APART = True  # `inputTokens` does not contain the cached ones

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "refusal": "refusal",
}
# No end of an answer: what the model wrote is of no use to the server.
FAILURES = ("malformed_model_output", "malformed_tool_use")
EVENTS = (
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
)


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/model/{model}/converse-stream, or /converse for all at once."""
    return bedrock_request(NAME, chat, target)


def recognises(glimpse: Glimpse) -> bool:
    """A binary stream, or a whole answer, which is JSON."""
    value = glimpse.value
    if isinstance(value, dict):
        return "stopReason" in value and isinstance(value.get("output"), dict)
    return EventStream.begins(glimpse.head)


class Decoder:
    """The events of a binary stream to ours; also a whole answer, which is JSON."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self._body = JsonBody(self, "answer of Bedrock's", limit)
        self._limit = limit
        self._begun = False
        self._frames: EventStream | None = None
        self._reason = ""
        self._calls = ToolCalls()
        self._open: set[int] = set()  # blocks that are calls of ours

    @property
    def ended(self) -> bool:
        return self._body.ended

    def feed(self, data: bytes) -> list[Event]:
        body = self._body
        out: list[Event] = []
        if not self._begun and data:
            self._begun = True
            if EventStream.begins(data):
                self._frames = EventStream(self._limit)
                body.feed(b":\n\n")  # a stream has begun, whatever it holds
        if self._frames is None:
            return body.feed(data)
        if body.ended:
            return out
        for frame in self._frames.feed(data):
            self._frame(frame, out)
            if body.ended:
                return out
        if self._frames.overflow:
            body.fail(too_large(self._limit), out)
        elif self._frames.damage:
            body.fail(Failed("not_a_stream", f"the stream is damaged: {self._frames.damage}"), out)
        return out

    def close(self, broken: Failed | None = None) -> list[Event]:
        return self._body.close(broken)

    def _frame(self, frame: Frame, out: list[Event]) -> None:
        headers = frame.headers
        kind = headers.get(":message-type")
        if kind == "event":
            name = headers.get(":event-type", "")
            if name in EVENTS:  # others are yet to come
                self._body.payload(Message.of(frame.payload, name.encode(), b""), out)
        elif kind == "exception":
            name = headers.get(":exception-type", "")
            self._body.fail(exception(name, frame.payload), out)
        elif kind == "error":
            message = headers.get(":error-message", "")
            self._body.fail(exception(headers.get(":error-code", ""), message.encode()), out)

    # What one value says

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            return
        before = len(out)
        if event == "contentBlockDelta":
            self._delta(value.get("delta"), value.get("contentBlockIndex"), out)
        elif event == "contentBlockStart":
            start = value.get("start")
            self._call(start.get("toolUse") if isinstance(start, dict) else None, value)
        elif event == "messageStop":
            self._stop(value.get("stopReason"), out)
        elif event == "metadata":
            self._count(value.get("usage"), out)
        elif event == "message":  # no stream, but JSON
            answer = value.get("output")
            if not isinstance(answer, dict):
                if isinstance(value.get("message"), str):
                    self._body.fail(stream_failure(value), out)
                return
            self._message(answer.get("message"), out)
            self._count(value.get("usage"), out)
            self._stop(value.get("stopReason"), out)
        elif event not in EVENTS:
            return
        self._body.alive = True
        if len(out) == before:
            out.append(Progress())

    def _delta(self, delta: Any, index: Any, out: list[Event]) -> None:
        if type(delta) is not dict:
            return
        if text := delta.get("text"):
            self._body.say(Text, text, out)
        elif isinstance(thought := delta.get("reasoningContent"), dict):
            self._body.say(Reasoning, thought.get("text"), out)
        elif isinstance(use := delta.get("toolUse"), dict):
            if type(index) is int and index in self._open:
                self._calls.add(0, {"index": index, "function": {"arguments": use.get("input")}})
        elif "citation" in delta:
            _cite(delta["citation"], out)

    def _call(self, use: Any, block: dict[str, Any]) -> None:
        """A call begins, or is there whole; those of `server_tool_use` the server runs itself."""
        if not isinstance(use, dict) or use.get("type") == "server_tool_use":
            return
        index = block.get("contentBlockIndex")
        if type(index) is int:
            self._open.add(index)
        function = {"name": words(use.get("name")), "arguments": use.get("input")}
        id = words(use.get("toolUseId"))
        self._calls.add(0, {"index": index, "id": id, "function": function})

    def _message(self, message: Any, out: list[Event]) -> None:
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else ():
            if not isinstance(block, dict):
                continue
            self._body.say(Text, block.get("text"), out)
            self._call(block.get("toolUse"), {})
            if isinstance(thought := block.get("reasoningContent"), dict):
                thought = thought.get("reasoningText")
                self._body.say(Reasoning, isinstance(thought, dict) and thought.get("text"), out)
            if isinstance(cited := block.get("citationsContent"), dict):
                self._message(cited, out)
                notes = cited.get("citations")
                for note in notes if isinstance(notes, list) else ():
                    _cite(note, out)

    def _stop(self, reason: Any, out: list[Event]) -> None:
        if not reason or not isinstance(reason, str):
            return
        self._reason = whole(reason)
        self.ending = True
        if reason in FAILURES:
            message = f"the server ended the answer with stop reason {reason}"
            self._body.fail(Failed("stream_error", message), out)

    def _count(self, usage: Any, out: list[Event]) -> None:
        counted = usage_of(usage) if isinstance(usage, dict) else Usage()
        if counted != Usage():
            out.append(counted)

    # How it ends

    def finished(self) -> bool:
        return bool(self._reason)

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished:
        reason = FINISH.get(self._reason, "other")
        if self._calls and reason == "stop":
            reason = "tool_calls"
        out += self._calls.calls()
        return Finished(reason, self._reason, evidence)


def _cite(citation: Any, out: list[Event]) -> None:
    """A source; the offsets of this API are places in the source, not in the answer."""
    if not isinstance(citation, dict):
        return
    location = citation.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    url = web.get("url") if isinstance(web, dict) else None
    url, title = words(url) or words(citation.get("source")), words(citation.get("title"))
    if url or title:
        out.append(Citation(url, title))


def usage_of(usage: dict[str, Any]) -> Usage:
    """Token counts; `inputTokens` is without the cached ones, which stand beside it."""
    return Usage(
        count(usage.get("inputTokens")),
        count(usage.get("outputTokens")),
        None,
        count(usage.get("cacheReadInputTokens")),
        count(usage.get("cacheWriteInputTokens")),
        count(usage.get("totalTokens")),
    )
