"""Anthropic's Messages, as Anthropic, llama.cpp, LiteLLM and others stream them.

Source: https://platform.claude.com/docs/en/api/messages and its guide to streaming; the deviations
are those of recorded streams (see tests/test_anthropic.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from ..events import (
    Citation,
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    Usage,
)
from ..messages import Attachment, ChatRequest, Message, Tool
from ..request import HttpRequest, Target, join_url
from ..wire.fast_runs import PaddedRuns, UnnamedEvents
from ..wire.json_body import JsonBody
from ..wire.lenient_json import natural, whole, words
from ..wire.provider_errors import http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.arguments import object_of, text_of
from .shared.claude import max_tokens, thinking
from .shared.listing import Listing, models_below
from .shared.request import PENALTIES, cannot, key_headers, merge, no_words_for

NAME = "anthropic"
CAN = ("tools", "attachments", "reasoning", "schema", "prefill")
NEEDS_MODEL = True
LISTING = Listing("models", models_below("/v1"))
CACHE_IS_APART = True  # `input_tokens` does not contain the cached ones

VERSION = "2023-06-01"
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}
# What they say for the same where an OpenAI server stands behind the gateway.
FINISH |= {word: word for word in ("stop", "length", "tool_calls", "content_filter")}


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/v1/messages."""
    no_words_for(NAME, chat, "seed", *PENALTIES, hint="leave it out")
    limit = target.quirks.get("default_max_tokens") or max_tokens(chat.model)
    body: dict[str, Any] = {
        "model": chat.model,
        "max_tokens": limit if chat.max_tokens is None else chat.max_tokens,
        "messages": _messages(chat),
        "stream": chat.stream,
    }
    if not chat.model:
        del body["model"]
    fields: tuple[tuple[str, Any], ...] = (
        ("system", chat.system),
        ("temperature", chat.temperature),
        ("top_p", chat.top_p),
        ("stop_sequences", list(chat.stop) or None),
        ("tools", [_tool(tool) for tool in chat.tools] or None),
        ("tool_choice", _tool_choice(chat.tool_choice)),
    )
    body |= {field: value for field, value in fields if value is not None}
    if chat.think is not None:
        merge(body, thinking(chat, chat.think, limit))
    if chat.schema is not None:
        merge(body, {"output_config": {"format": {"type": "json_schema", "schema": chat.schema}}})
    merge(body, chat.options)
    return HttpRequest(
        "POST", _url(target.base_url), _headers(target), orjson.dumps(body), target.unix_socket
    )


def _url(base: str) -> str:
    """An address is usually given without its version, but some paste it, or the whole path."""
    known = re.search(r"/(v\d+|messages)/*(\?|$)", base)
    return join_url(base, "/messages" if known else "/v1/messages")


def _headers(target: Target) -> list[tuple[str, str]]:
    headers = [("Content-Type", "application/json")]
    if "anthropic-version" not in {name.lower() for name, _ in target.headers}:
        headers.append(("anthropic-version", VERSION))
    return headers + key_headers(target, "x-api-key")


def _messages(chat: ChatRequest) -> list[dict[str, Any]]:
    """All results of one round of tools belong into one message, what the user adds behind them."""
    messages: list[dict[str, Any]] = []
    results = False  # the last message is one of results
    for message in chat.messages:
        role = "assistant" if message.role == "assistant" else "user"
        content = _content(message)
        if results and role == "user":
            if isinstance(content, str):
                content = [_text(content)]
            messages[-1]["content"] += content
        else:
            messages.append({"role": role, "content": content})
            results = message.role == "tool"
    if chat.prefill:
        messages.append({"role": "assistant", "content": chat.prefill})
    return messages


def _content(message: Message) -> str | list[dict[str, Any]]:
    blocks = [_attachment(attachment) for attachment in message.attachments]
    if message.role == "tool":
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.call_id}
        result["content"] = [*blocks, _text(message.text)] if blocks else message.text
        if message.is_error:
            result["is_error"] = True
        return [result]
    if not blocks and not message.tool_calls:
        return message.text
    if message.text:  # an empty block is refused
        blocks.append(_text(message.text))
    for id, tool, arguments in message.tool_calls:
        blocks.append({"type": "tool_use", "id": id, "name": tool, "input": object_of(arguments)})
    return blocks


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _attachment(attachment: Attachment) -> dict[str, Any]:
    kind, mime, url = attachment.kind, attachment.mime, attachment.url
    source = {"type": "url", "url": url} if url else {"type": "base64", "media_type": mime}
    if not url and kind != "text":
        source["data"] = attachment.base64()
    # A URL that does not tell its type is most likely an image's.
    if (kind == "image" and (url or mime in IMAGES)) or (url and not mime):
        return {"type": "image", "source": source}
    if kind == "text" and not url:
        text = attachment.data.decode("utf-8", "replace")
        source = {"type": "text", "media_type": "text/plain", "data": text}
    if kind == "pdf" or source["type"] == "text":
        return {"type": "document", "source": source, "title": attachment.name}
    hint = "convert it to PNG or JPEG" if kind == "image" else ""
    what = f"the URL of {mime}" if url else f"{attachment.name} ({mime or 'unknown type'})"
    raise cannot(NAME, what, hint)


def _tool(tool: Tool) -> dict[str, Any]:
    schema = tool.parameters or {"type": "object"}
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


def _tool_choice(choice: str | None) -> dict[str, str] | None:
    if choice is None:
        return None
    words = {"auto": "auto", "none": "none", "required": "any"}
    return {"type": words[choice]} if choice in words else {"type": "tool", "name": choice}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return http_refusal(status, headers, body)


class _Call:
    """A tool call: its input comes in pieces of JSON, or whole where nothing is streamed."""

    def __init__(self, block: dict[str, Any], number: int) -> None:
        self.id = words(block.get("id")) or f"call_{number}"
        self.name = words(block.get("name"))
        self.input = block.get("input")
        self.pieces: list[str] = []

    def event(self) -> ToolCall:
        """ValueError if the input is nested too deeply."""
        return ToolCall(self.id, self.name, whole("".join(self.pieces)) or text_of(self.input))


def recognises(glimpse: Glimpse) -> bool:
    value = glimpse.value
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    if kind == "message":  # a whole answer
        return "content" in value and "role" in value
    return kind in ("message_start", "content_block_start", "message_delta")


class Decoder:
    """The events of a message to ours; also a whole message where a server did not stream."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self._body = JsonBody(self, "message of Anthropic's", limit, PaddedRuns("text", _place))
        self._events = UnnamedEvents("content_block_delta")
        self._started = ("", "")
        self._reason = ""
        self._raw_usage: dict[str, Any] = {}
        self._usage = Usage()
        self._calls: list[_Call] = []
        self._open: dict[int, _Call] = {}  # block: its call

    @property
    def ended(self) -> bool:
        return self._body.ended

    def feed(self, data: bytes) -> list[Event]:
        return self._body.feed(self._events.feed(data))

    def close(self, broken: Failed | None = None) -> list[Event]:
        return self._body.feed(self._events.close()) + self._body.close(broken)

    # What one value says

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            if event == "error":
                self._body.fail(stream_failure(value, "error"), out)
            return
        kind = value.get("type")  # the name says the same, and some gateways drop it
        before = len(out)
        if kind == "content_block_delta":
            delta = value.get("delta")
            if type(delta) is dict:
                self._delta(delta, value.get("index"), out)
        elif kind == "ping":
            return
        elif kind == "content_block_start":
            self._block(value.get("content_block"), value.get("index"), out)
        elif kind == "message_start":
            self._message(value.get("message"), out)
        elif kind == "message" and "role" in value:
            self._message(value, out)
        elif kind == "message_delta":
            self._end(value.get("delta"), out)
            self._count(value.get("usage"), out)
        elif kind == "message_stop":
            self._body.finish("marker", out)
        elif kind == "error" or event == "error" or value.get("error"):
            self._body.fail(stream_failure(value.get("error") or value, "error"), out)
        elif kind != "content_block_stop":
            return  # one of the types yet to come
        self._body.alive = True
        if len(out) == before:
            out.append(Progress())

    def _message(self, message: Any, out: list[Event]) -> None:
        """A message begins, anew where a gateway asked again; or it is whole."""
        if not isinstance(message, dict):
            return
        self._calls.clear()
        self._open.clear()
        self._raw_usage.clear()
        self._reason = ""
        self.ending = False
        self._start(words(message.get("model")), words(message.get("id")), out)
        content = message.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            self._block(block, index, out)
        self._end(message, out)
        self._count(message.get("usage"), out)

    def _start(self, model: str, id: str, out: list[Event]) -> None:
        if (model, id) != self._started and (model or id):
            self._started = (model, id)
            out.append(Started(model, id))

    def _block(self, block: Any, index: Any, out: list[Event]) -> None:
        if not isinstance(block, dict):
            return
        index = index if type(index) is int else -1
        self._open.pop(index, None)
        kind = block.get("type")
        if kind == "text":
            notes = block.get("citations")
            for note in notes if isinstance(notes, list) else ():
                _cite(note, out)
            self._body.say(Text, block.get("text"), out)
        elif kind == "thinking":
            self._body.say(Reasoning, block.get("thinking"), out)
        elif kind == "tool_use":  # server_tool_use and mcp_tool_use the server runs itself
            call = _Call(block, len(self._calls))
            self._open[index] = call
            self._calls.append(call)
        elif kind == "fallback" and isinstance(other := block.get("to"), dict):
            model, id = self._started  # another model goes on
            self._start(words(other.get("model")) or model, id, out)

    def _delta(self, delta: dict[str, Any], index: Any, out: list[Event]) -> None:
        kind = delta.get("type")
        if kind == "text_delta":
            self._body.say(Text, delta.get("text"), out)
        elif kind == "thinking_delta":
            self._body.say(Reasoning, delta.get("thinking"), out)
        elif kind == "input_json_delta":
            piece = delta.get("partial_json")
            call = self._open.get(index if type(index) is int else -1)
            if call and isinstance(piece, str):
                call.pieces.append(piece)
        elif kind == "citations_delta":
            _cite(delta.get("citation"), out)

    def _count(self, usage: Any, out: list[Event]) -> None:
        """Counts are cumulative; those that are missing or null stay what they were."""
        if not isinstance(usage, dict):
            return
        self._raw_usage |= {name: count for name, count in usage.items() if count is not None}
        counted = usage_of(self._raw_usage)
        if counted not in (self._usage, Usage()):
            self._usage = counted
            out.append(counted)

    def _end(self, delta: Any, out: list[Event]) -> None:
        if not isinstance(delta, dict):
            return
        reason, details = delta.get("stop_reason"), delta.get("stop_details")
        if reason and isinstance(reason, str):
            self._reason = whole(reason)
            self.ending = True
        if reason == "refusal" and isinstance(details, dict):
            self._body.say(Refusal, details.get("explanation"), out)

    # How it ends

    def finished(self) -> bool:
        return bool(self._reason)

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        try:
            out += [call.event() for call in self._calls]
        except ValueError as error:
            return Failed("bad_json", f"a tool call is {error}", evidence=evidence)
        raw = self._reason or None
        reason = FINISH.get(raw, "other") if raw else None
        if self._calls and reason == "stop":
            reason = "tool_calls"
        return Finished(reason, raw, evidence)


def _place(value: Any) -> Any:
    """The object that holds the text of a plain delta."""
    return value["delta"]


def _cite(citation: Any, out: list[Event]) -> None:
    """A source; the offsets of this API are places in the source, not in the answer."""
    if isinstance(citation, dict):
        url = words(citation.get("url")) or words(citation.get("source"))
        title = words(citation.get("title")) or words(citation.get("document_title"))
        if url or title:
            out.append(Citation(url, title))


def usage_of(usage: dict[str, Any]) -> Usage:
    """Token counts; `input_tokens` is without the cached ones, which stand beside it."""
    details = usage.get("output_tokens_details")
    counts = [
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        details.get("thinking_tokens") if isinstance(details, dict) else None,
        usage.get("cache_read_input_tokens"),
        usage.get("cache_creation_input_tokens"),
    ]
    return Usage(*map(natural, counts))
