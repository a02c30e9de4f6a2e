"""AWS Bedrock's Converse, with API keys (bearer tokens): AWS's signatures are not spoken.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html;
the deviations are those of recorded streams (see tests/test_bedrock.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from ..events import Citation, Event, Failed, Finished, Progress, Reasoning, Text, Usage
from ..messages import Attachment, ChatRequest, Message, Tool
from ..request import HttpRequest, Target, quoted
from ..wire.aws_eventstream import EventStream, Frame
from ..wire.endings import too_large
from ..wire.json_body import JsonBody
from ..wire.lenient_json import count, whole, words
from ..wire.provider_errors import error_of_body, excerpt, http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ..wire.sse import Message as Payload
from ._contract import Glimpse
from .shared.arguments import object_of
from .shared.claude import max_tokens, thinking, version
from .shared.listing import Listing, with_field
from .shared.request import PENALTIES, cannot, merge, no_words_for, post
from .shared.toolcalls import ToolCalls

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

# (kind of block, format) of a type.
FORMATS = {
    **{f"image/{kind}": ("image", kind) for kind in ("png", "jpeg", "gif", "webp")},
    **{f"audio/{kind}": ("audio", kind) for kind in ("wav", "flac", "ogg", "mp4")},
    **{f"video/{kind}": ("video", kind) for kind in ("mp4", "webm")},
    "audio/mpeg": ("audio", "mp3"),
    "application/pdf": ("document", "pdf"),
}
_TYPE = "application/vnd.amazon.eventstream, application/json"
# Addresses are pasted whole, or as the one of its OpenAI-compatible API.
_OTHER_PATHS = re.compile(r"(/model/[^/]+/converse(-stream)?|/openai/v1)$")
_UNNAMEABLE = re.compile(r"[^a-zA-Z0-9()\[\]-]+")
# (kind, whether to try again may help) by name, without "Exception".
ERRORS = {
    "internalServer": ("server_error", True),
    "serviceUnavailable": ("overloaded", True),
    "throttling": ("rate_limit", True),
    "modelNotReady": ("overloaded", True),
    "modelTimeout": ("server_error", True),
    "modelStreamError": ("stream_error", True),  # AWS says of it: retry your request
    "modelError": ("server_error", False),
    "serviceQuotaExceeded": ("quota", False),
    "accessDenied": ("auth", False),
    "validation": ("rejected", False),
    "resourceNotFound": ("rejected", False),
}

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
    no_words_for(NAME, chat, "seed", *PENALTIES)
    body: dict[str, Any] = {"messages": _messages(chat)}
    if chat.system:
        body["system"] = [{"text": chat.system}]
    sampling: tuple[tuple[str, Any], ...] = (
        ("maxTokens", chat.max_tokens),
        ("temperature", chat.temperature),
        ("topP", chat.top_p),
        ("stopSequences", list(chat.stop) or None),
    )
    if config := {field: value for field, value in sampling if value is not None}:
        body["inferenceConfig"] = config
    if chat.tools and chat.tool_choice != "none":
        body["toolConfig"] = _tool_config(chat)
    elif any(message.role == "tool" for message in chat.messages):
        # It refuses calls and results of tools that are not offered too.
        raise cannot(NAME, "results of tools without the tools")
    if chat.think is not None:
        merge(body, _thinking(chat, chat.think))
    if chat.schema is not None:
        shape = {"name": "answer", "schema": orjson.dumps(chat.schema).decode()}
        form = {"type": "json_schema", "structure": {"jsonSchema": shape}}
        merge(body, {"outputConfig": {"textFormat": form}})
    merge(body, chat.options)
    return post(target, _url(chat, target.base_url), body, _TYPE)


def _url(chat: ChatRequest, base: str) -> str:
    base, query, tail = base.partition("?")
    base = _OTHER_PATHS.sub("", base.rstrip("/"))
    # A model may be an ARN, with slashes and colons: all of it is one quoted of the path.
    operation = "converse-stream" if chat.stream else "converse"
    return f"{base}/model/{quoted(chat.model)}/{operation}{query}{tail}"


def _messages(chat: ChatRequest) -> list[dict[str, Any]]:
    """User and assistant must take turns: results of tools belong to what the user says."""
    messages: list[dict[str, Any]] = []
    documents: list[str] = []
    for message in chat.messages:
        role = "assistant" if message.role == "assistant" else "user"
        content = _content(message, documents)
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += content
        else:
            messages.append({"role": role, "content": content})
    if chat.prefill:
        messages.append({"role": "assistant", "content": [{"text": chat.prefill}]})
    return messages


def _content(message: Message, documents: list[str]) -> list[dict[str, Any]]:
    blocks = [_attachment(attachment, documents) for attachment in message.attachments]
    if message.text:  # an empty block is refused
        blocks.append({"text": message.text})
    if message.role == "tool":
        result: dict[str, Any] = {"toolUseId": message.call_id, "content": blocks}
        if message.is_error:  # only some models know that a call can fail
            result["status"] = "error"
        return [{"toolResult": result}]
    for id, tool, arguments in message.tool_calls:
        use = {"toolUseId": id, "name": tool, "input": object_of(arguments)}
        blocks.append({"toolUse": use})
    return blocks


def _attachment(attachment: Attachment, documents: list[str]) -> dict[str, Any]:
    """Text goes as text: not every model takes documents. `documents` are the names so far."""
    if attachment.url:
        raise cannot(NAME, f"an attachment by its address ({attachment.url})", "fetch it first")
    if attachment.kind == "text":
        return {"text": attachment.named_text()}
    if attachment.mime not in FORMATS:
        raise cannot(NAME, f"{attachment.name} ({attachment.mime or 'unknown type'})")
    kind, format = FORMATS[attachment.mime]
    block: dict[str, Any] = {"format": format, "source": {"bytes": attachment.base64()}}
    if kind == "document":
        block["name"] = _document_name(attachment.name, documents)
    return {kind: block}


def _document_name(file: str, taken: list[str]) -> str:
    """Letters, digits and few signs, at most 200; and no two documents of one name."""
    name = _UNNAMEABLE.sub(" ", file.rpartition(".")[0]).strip()[:190] or "document"
    if name in taken:
        name += f" {len(taken) + 1}"
    taken.append(name)
    return name


def _tool_config(chat: ChatRequest) -> dict[str, Any]:
    config: dict[str, Any] = {"tools": [{"toolSpec": _tool(tool)} for tool in chat.tools]}
    if chat.tool_choice is not None:
        words = {"auto": "auto", "required": "any"}
        word = words.get(chat.tool_choice)
        config["toolChoice"] = {word: {}} if word else {"tool": {"name": chat.tool_choice}}
    return config


def _tool(tool: Tool) -> dict[str, Any]:
    schema = {"json": tool.parameters or {"type": "object"}}
    described = {"description": tool.description} if tool.description else {}  # never empty
    return {"name": tool.name, **described, "inputSchema": schema}


def _thinking(chat: ChatRequest, effort: str) -> dict[str, Any]:
    """Every vendor's models have a knob of their own; Claude's is the one of Anthropic's API."""
    if version(chat.model) is None:
        raise cannot(
            f"{NAME} with {chat.model}",
            "how hard to think (--think)",
            "-o additionalModelRequestFields.NAME=VALUE sets a model's own field",
        )
    asked = thinking(chat, effort, max_tokens(chat.model))
    fields: dict[str, Any] = {"additionalModelRequestFields": {"thinking": asked["thinking"]}}
    if "max_tokens" in asked:
        fields["inferenceConfig"] = {"maxTokens": asked["max_tokens"]}
    if "output_config" in asked:
        fields["outputConfig"] = asked["output_config"]
    return fields


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    failed = http_refusal(status, headers, body)
    error = error_of_body(body)
    name = headers.get("x-amzn-errortype", "").partition(":")[0]
    if not name and isinstance(error, dict):
        name = str(error.get("__type", "")).rpartition("#")[2]
    if not name and status == 424:
        name = "modelError"
    if name and failed.message == f"HTTP {status}":
        failed.message += f": {name}"
    if failed.kind in ("rejected", "rate_limit"):  # which is what a status alone says
        _classify(failed, name)
    if "on-demand throughput" in failed.message:
        failed.hint = "ask for its inference profile: -m bedrock:us.MODEL (or eu., apac., global.)"
    elif status == 404 or "model identifier" in failed.message:
        failed.hint = "-m bedrock:VENDOR.MODEL, with a model that the region has"
    return failed


def exception(name: str, body: bytes) -> Failed:
    """An exception in a stream, whose body should be {"message": ...}."""
    error = error_of_body(body)
    failed = stream_failure(excerpt(body) if error is None else error, name)
    _classify(failed, name)
    return failed


def _classify(failed: Failed, name: str) -> None:
    """Set its kind and whether it may pass, if the name tells and the words tell no more."""
    name = name[:1].lower() + name[1:].removesuffix("Exception")
    if failed.kind not in ("filtered", "context_window", "quota"):
        failed.kind, failed.transient = ERRORS.get(name, (failed.kind, failed.transient))
    if failed.kind == "quota" and "per day" in failed.message:
        failed.hint = "wait until tomorrow, or ask AWS for a higher quota"


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
                self._body.payload(Payload.of(frame.payload, name.encode(), b""), out)
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
