"""AWS Bedrock's Converse, with API keys (bearer tokens) instead of AWS's signatures.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html.
Recorded streams show where it deviates (tests/protocols/test_bedrock.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from ..events import Event, Failed, Finished, Progress, Reasoning, Text, Usage
from ..messages import Attachment, ChatRequest, Message, Tool
from ..request import HttpRequest, Target, quoted
from ..wire.aws_eventstream import EventStream, Frame
from ..wire.endings import too_large
from ..wire.error_body import error_of_body
from ..wire.error_shapes import error_in, is_error_event
from ..wire.json_body import JsonBody, has_answer
from ..wire.lenient_json import count, words
from ..wire.provider_errors import http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ..wire.sse import Message as Payload
from ._contract import Glimpse
from .shared.arguments import object_of
from .shared.bedrock_blocks import Block, as_stream, citation, only_call
from .shared.bedrock_errors import classify, exception
from .shared.bedrock_invoke import EVENTS, InvokeFrames, is_event
from .shared.claude import advice, max_tokens, sendable, thinking, version
from .shared.ending import Ending
from .shared.finish_reasons import first_of
from .shared.listing import Listing, with_field
from .shared.nested_text import text_beside, text_in
from .shared.request import PENALTIES, cannot, merge, no_words_for, post, sent
from .shared.schemas import closed, object_schema

_OWN_PATH = re.compile(r"/model/.*$|/openai/v1$")


def _models(base: str) -> str:
    """Return {base}/foundation-models, on the host of AWS that lists models."""
    base, _, query = base.partition("?")
    base = _OWN_PATH.sub("", base.rstrip("/")).replace("//bedrock-runtime.", "//bedrock.", 1)
    return f"{base}/foundation-models?{with_field(query, 'byOutputModality=TEXT')}"


NAME = "bedrock"
CAN = ("tools", "attachments", "reasoning", "schema", "prefill")
NEEDS_MODEL = True
LISTING = Listing("models", _models, place="modelSummaries", ids=("modelId", "id", "name"))
CACHE_IS_APART = True  # `inputTokens` excludes the cached ones

# (kind of block, format), by the MIME type.
FORMATS = {
    **{f"image/{kind}": ("image", kind) for kind in ("png", "jpeg", "gif", "webp")},
    **{f"audio/{kind}": ("audio", kind) for kind in ("wav", "flac", "ogg", "mp4")},
    **{f"video/{kind}": ("video", kind) for kind in ("mp4", "webm")},
    "audio/mpeg": ("audio", "mp3"),
    "application/pdf": ("document", "pdf"),
}
_TYPE = "application/vnd.amazon.eventstream, application/json"
# A base may be a whole URL, or that of the OpenAI-compatible API.
_OTHER_PATHS = re.compile(r"(/model/[^/]+/converse(-stream)?|/openai/v1)$")
_UNNAMEABLE = re.compile(r"[^a-zA-Z0-9()\[\]-]+")


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}/model/{model}/converse-stream, or /converse without streaming."""
    no_words_for(NAME, chat, "seed", *PENALTIES)
    chat = sendable(chat, target)
    body: dict[str, Any] = {"messages": _messages(chat)}
    if chat.system:
        body["system"] = [{"text": chat.system}]
    sampling: tuple[tuple[str, Any], ...] = (
        ("maxTokens", chat.max_tokens),
        ("temperature", sent(chat, target, "temperature")),
        ("topP", sent(chat, target, "top_p")),
        ("stopSequences", sent(chat, target, "stop")),
    )
    if config := {field: value for field, value in sampling if value is not None}:
        body["inferenceConfig"] = config
    if chat.tools and chat.tool_choice != "none":
        body["toolConfig"] = _tool_config(chat)
    elif any(message.role == "tool" for message in chat.messages):
        # Bedrock refuses calls and results of tools that are not in the request.
        raise cannot(NAME, "results of tools without the tools")
    if chat.think is not None:
        merge(body, _thinking(chat, chat.think))
    if chat.schema is not None:
        shape = {"name": "answer", "schema": orjson.dumps(closed(object_schema(chat))).decode()}
        form = {"type": "json_schema", "structure": {"jsonSchema": shape}}
        merge(body, {"outputConfig": {"textFormat": form}})
    merge(body, chat.options)
    return post(target, _url(chat, target.base_url), body, _TYPE)


def _url(chat: ChatRequest, base: str) -> str:
    base, query, tail = base.partition("?")
    base = _OTHER_PATHS.sub("", base.rstrip("/"))
    # A model may be an ARN, with slashes and colons: it must stay one segment of the path.
    operation = "converse-stream" if chat.stream else "converse"
    return f"{base}/model/{quoted(chat.model)}/{operation}{query}{tail}"


def _messages(chat: ChatRequest) -> list[dict[str, Any]]:
    """Return the messages. Roles must alternate: results of tools belong to the user."""
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
    if message.role == "tool":
        if message.text:  # the API refuses an empty block
            blocks.append({"text": message.text})
        result: dict[str, Any] = {"toolUseId": message.call_id, "content": blocks}
        if message.is_error:  # only some models know that a call can fail
            result["status"] = "error"
        return [{"toolResult": result}]
    for part in message.parts(NAME):
        if part.opaque is not None:
            blocks.append(part.opaque)
        elif part.call is not None:
            id, tool, arguments = part.call
            use = {"toolUseId": id, "name": tool, "input": object_of(arguments)}
            blocks.append({"toolUse": use})
        elif part.text.strip() or len(blocks) == 0:
            blocks.append({"text": part.text})
    return blocks


def _attachment(attachment: Attachment, documents: list[str]) -> dict[str, Any]:
    """Return a block. Text files become text, as not every model takes documents.

    `documents` lists the names of documents so far.
    """
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
    """Return a name that is not `taken`: at most 200 letters, digits and some signs."""
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
    """Return the fields for --think: those of Anthropic's API for Claude; we know no others."""
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
    if failed.kind in ("rejected", "rate_limit"):  # the kinds that come from the status alone
        classify(failed, name)
    if "on-demand throughput" in failed.message:
        failed.hint = "ask for its inference profile: -m bedrock:us.MODEL (or eu., apac., global.)"
    elif status == 404 or "model identifier" in failed.message:
        failed.hint = "-m bedrock:VENDOR.MODEL, with a model that the region has"
    failed.hint = failed.hint or advice(failed.message)
    return failed


def recognises(glimpse: Glimpse) -> bool:
    """Return whether the body is a binary stream, or a whole answer, which is JSON."""
    value = glimpse.value
    if isinstance(value, dict):
        return "stopReason" in value and isinstance(value.get("output"), dict)
    return EventStream.begins(glimpse.head)


class Decoder:
    """Decodes a binary stream, or a whole answer, which is JSON."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self._body = JsonBody(self, "answer of Bedrock's", limit)
        self._limit = limit
        self._begun = False
        self._frames: EventStream | None = None
        self._invoked: InvokeFrames | None = None
        self._ended = False  # an InvokeModel answer ended
        self._ending = Ending()
        self._open: dict[int, Block] = {}  # the open blocks, by index
        self._served: set[int] = set()  # the indexes of blocks for tools that the server runs

    @property
    def ended(self) -> bool:
        return self._ended or self._body.ended

    @property
    def ending(self) -> bool:
        return self._ending.is_final or (self._invoked is not None and self._invoked.ending)

    def feed(self, data: bytes) -> list[Event]:
        body = self._body
        out: list[Event] = []
        if not self._begun and data:
            self._begun = True
            if EventStream.begins(data):
                self._frames = EventStream(self._limit)
                body.feed(b":\n\n")  # so that the body does not count as empty
        if self._frames is None:
            return body.feed(data)
        if self.ended:
            return out
        for frame in self._frames.feed(data):
            self._frame(frame, out)
            if self.ended:
                return out
        body.answered = body.answered or has_answer(out)
        if self._frames.overflow:
            body.fail(too_large(self._limit), out)
        elif self._frames.damage:
            body.fail(Failed("not_a_stream", f"the stream is damaged: {self._frames.damage}"), out)
        return out

    def close(self, broken: Failed | None = None) -> list[Event]:
        if self._invoked is not None and not self.ended:
            events = self._invoked.close(broken)
            if events is not None:
                self._ended = True
                return events
        return [] if self._ended else self._body.close(broken)

    def _frame(self, frame: Frame, out: list[Event]) -> None:
        headers = frame.headers
        name = headers.get(":event-type", "")
        kind = headers.get(":message-type", "event" if name else "")
        if kind == "event":
            if is_error_event(name):  # an exception that is sent as an event
                self._body.fail(exception(name, frame.payload), out)
            elif name in EVENTS:  # other events are unknown, and ignored
                self._body.payload(Payload.of(frame.payload, name.encode(), b""), out)
            elif name == "chunk":
                self._chunk(frame.payload, out)
        elif kind == "exception":
            name = headers.get(":exception-type", "")
            self._body.fail(exception(name, frame.payload), out)
        elif kind == "error":
            message = headers.get(":error-message", "")
            self._body.fail(exception(headers.get(":error-code", ""), message.encode()), out)

    def _chunk(self, payload: bytes, out: list[Event]) -> None:
        """Read a frame of InvokeModel: we never ask for them, but recordings hold some."""
        if self._invoked is None:
            self._invoked = InvokeFrames(self._limit)
        events = self._invoked.feed(payload)
        if isinstance(events, dict):
            for name, value in events.items():
                if name in EVENTS and not self._body.ended:
                    self._body.read(value, name, out)
            return
        out += events
        self._ended = bool(events) and isinstance(events[-1], Finished | Failed)

    # Values

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            return
        before = len(out)
        if event == "message" and (names := [name for name in value if is_event(name)]):
            for name in names:  # events that a gateway wrote as JSON
                if is_error_event(name):
                    self._body.fail(exception(name, orjson.dumps(value[name])), out)
                elif isinstance(each := value[name], dict):
                    self._event(name, each, out)
                if self._body.ended:
                    return
        elif event == "message":  # a whole answer
            answer = value.get("output")
            if not isinstance(answer, dict):
                if error := error_in(value):
                    self._body.fail(stream_failure(error), out)
                return
            for name, each in as_stream(answer.get("message")):
                self._event(name, each, out)
            self._event("metadata", value, out)
            self._event("messageStop", value, out)
        elif event in EVENTS and (error := value.get("error")):
            self._body.fail(stream_failure(error), out)
        elif event in EVENTS:
            self._event(event, value, out)
        else:
            return
        self._body.alive = True
        if len(out) == before:
            out.append(Progress())

    def _event(self, event: str, value: dict[str, Any], out: list[Event]) -> None:
        index = value.get("contentBlockIndex")
        index = index if type(index) is int else -1
        if event == "contentBlockDelta":
            self._delta(value.get("delta"), index, out)
        elif event == "contentBlockStart":
            start = value.get("start")
            self._begin(start.get("toolUse") if isinstance(start, dict) else None, index, out)
        elif event == "contentBlockStop":
            self._close(index, out)
        elif event == "messageStop":
            for open in list(self._open):
                self._close(open, out)
            self._ending.end(first_of(value.get("stopReason"), value.get("stop_reason")))
        elif event == "metadata" and isinstance(usage := value.get("usage"), dict):
            counted = usage_of(usage)
            if counted != Usage():
                out.append(counted)

    def _delta(self, delta: Any, index: int, out: list[Event]) -> None:
        if type(delta) is not dict:
            self._say(text_beside(delta), out)
            return
        if (text := delta.get("text")) is not None:
            self._say(text, out)
        elif isinstance(thought := delta.get("reasoningContent"), dict):
            self._think(thought, self._open.setdefault(index, Block()), out)
        elif isinstance(use := delta.get("toolUse"), dict):
            if index in self._served:
                return
            block = self._open.get(index) or only_call(self._open, use)
            if block is None or block.use is None:  # its call never began
                self._begin(use, index, out)
                block = self._open.get(index, Block())
            block.grow(use.get("input"))
        elif cited := citation(delta.get("citation")):
            out.append(cited)
        elif error := delta.get("error"):
            self._body.fail(stream_failure(error), out)
        else:
            self._say(text_beside(delta), out)

    def _say(self, text: Any, out: list[Event]) -> None:
        if text is not None and text != "":
            self._ending.text(0, str(text))
            self._body.say(Text, text, out)

    def _think(self, thought: dict[str, Any], block: Block, out: list[Event]) -> None:
        text = text_in(thought.get("text", thought.get("reasoningText")))
        if text:
            self._ending.reasoning()
            self._body.say(Reasoning, text, out)
            if block.use is None:
                block.pieces.append(words(text))
        block.seal(thought)

    def _begin(self, use: Any, index: int, out: list[Event]) -> None:
        """Begin a call. The server runs calls of the type `server_tool_use` itself."""
        block = self._open.get(index)
        if block and use and block.use == use and not block.pieces and use.get("toolUseId"):
            return  # the same start again
        self._close(index, out)
        if not isinstance(use, dict) or use.get("type") == "server_tool_use":
            self._served.add(index)
            self._ending.work()
            return
        self._ending.reasoning()  # the answer goes on
        self._open[index] = Block(use)

    def _close(self, index: int, out: list[Event]) -> None:
        block = self._open.pop(index, None)
        if block is None:
            return
        if (use := block.use) is not None:
            id = words(use.get("toolUseId")) or f"call_{self._ending.calls}"
            arguments = "".join(block.pieces) or use.get("input")
            self._ending.call(id, words(use.get("name")), arguments, out)
        elif opaque := block.opaque(NAME):
            out.append(opaque)

    # The end

    def finished(self) -> bool:
        return self._ending.reached

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        return self._ending.finish(evidence, out)


def usage_of(usage: dict[str, Any]) -> Usage:
    """Return the token counts; `inputTokens` excludes the cached ones."""
    return Usage(
        count(usage.get("inputTokens")),
        count(usage.get("outputTokens")),
        None,
        count(usage.get("cacheReadInputTokens")),
        count(usage.get("cacheWriteInputTokens")),
        count(usage.get("totalTokens")),
    )
