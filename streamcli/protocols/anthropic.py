"""Anthropic's Messages, as Anthropic, llama.cpp, LiteLLM and others stream them.

Source: https://platform.claude.com/docs/en/api/messages and its guide to streaming. Recorded
streams show where servers deviate from it (tests/protocols/test_anthropic.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from ..events import (
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Refusal,
    Started,
    Text,
    Usage,
)
from ..messages import ChatRequest
from ..request import HttpRequest, Target, join_url
from ..wire.error_shapes import error_beside, error_in
from ..wire.fast_runs import PaddedRuns, UnnamedEvents
from ..wire.json_body import JsonBody, has_answer
from ..wire.lenient_json import words
from ..wire.provider_errors import http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared import anthropic_blocks as blocks
from .shared.anthropic_blocks import Block, list_of, number_of
from .shared.anthropic_messages import messages_of
from .shared.anthropic_spelling import DELTAS, usual_block, usual_delta
from .shared.claude import advice, max_tokens, sendable, thinking, tool_choice, tool_of
from .shared.ending import Ending
from .shared.finish_reasons import first_of
from .shared.listing import Listing, models_below
from .shared.nested_text import text_in
from .shared.request import PENALTIES, key_headers, merge, no_words_for, sent

NAME = "anthropic"
CAN = ("tools", "attachments", "reasoning", "schema", "prefill")
NEEDS_MODEL = True
LISTING = Listing("models", models_below("/v1"))
CACHE_IS_APART = True  # `input_tokens` excludes the cached ones

VERSION = "2023-06-01"


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}/v1/messages."""
    no_words_for(NAME, chat, "seed", *PENALTIES, hint="leave it out")
    chat = sendable(chat, target)
    limit = target.quirks.get("default_max_tokens") or max_tokens(chat.model)
    body: dict[str, Any] = {
        "model": chat.model,
        "max_tokens": limit if chat.max_tokens is None else chat.max_tokens,
        "messages": messages_of(chat),
        "stream": chat.stream,
    }
    if not chat.model:
        del body["model"]
    fields: tuple[tuple[str, Any], ...] = (
        ("system", chat.system),
        ("temperature", sent(chat, target, "temperature")),
        ("top_p", sent(chat, target, "top_p")),
        ("stop_sequences", sent(chat, target, "stop", "stop_sequences")),
        ("tools", [tool_of(tool) for tool in chat.tools] or None),
        ("tool_choice", tool_choice(chat.tool_choice)),
    )
    body |= {field: value for field, value in fields if value is not None}
    if chat.think is not None:
        merge(body, thinking(chat, chat.think, limit))
    if chat.schema is not None:
        from .shared.schemas import closed, object_schema

        form = {"type": "json_schema", "schema": closed(object_schema(chat))}
        merge(body, {"output_config": {"format": form}})
    merge(body, chat.options)
    return HttpRequest(
        "POST", _url(target.base_url), _headers(target), orjson.dumps(body), target.unix_socket
    )


def _url(base: str) -> str:
    """Return the URL; the base may lack the version, have it, or have the whole path."""
    known = re.search(r"/(v\d+|messages)/*(\?|$)", base)
    return join_url(base, "/messages" if known else "/v1/messages")


def _headers(target: Target) -> list[tuple[str, str]]:
    headers = [("Content-Type", "application/json")]
    if "anthropic-version" not in {name.lower() for name, _ in target.headers}:
        headers.append(("anthropic-version", VERSION))
    return headers + key_headers(target, "x-api-key")


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    failed = http_refusal(status, headers, body)
    failed.hint = failed.hint or advice(failed.message)
    return failed


def recognises(glimpse: Glimpse) -> bool:
    value = glimpse.value
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    if kind == "message":  # a whole answer
        return "content" in value and "role" in value
    return kind in ("message_start", "content_block_start", "message_delta")


class Decoder:
    """Decodes the events of a message, or a whole message of a server that did not stream."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self._runs = PaddedRuns("text", _place)
        self._body = JsonBody(self, "message of Anthropic's", limit, self._runs)
        self._events = UnnamedEvents("content_block_delta")
        self._started = ("", "")
        self._ending = Ending()
        self._raw_usage: dict[str, Any] = {}
        self._usage = Usage()
        self._open: dict[int, Block] = {}  # the open blocks by index, except plain text
        self._seen: set[int] = set()  # the indexes of all blocks of this message
        self._served: set[int] = set()  # the indexes of blocks for tools that the server runs
        self._cited: Block | None = None  # the text block whose text and sources are collected

    @property
    def ended(self) -> bool:
        return self._body.ended

    @property
    def ending(self) -> bool:
        return self._ending.is_final or self._body.failure is not None

    def feed(self, data: bytes) -> list[Event]:
        return self._body.feed(self._events.feed(data))

    def close(self, broken: Failed | None = None) -> list[Event]:
        return self._body.feed(self._events.close()) + self._body.close(broken)

    # Values

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            if event == "error":
                self._body.fail(stream_failure(value, "error"), out)
            self._body.each(value, event, out)
            return
        kind = value.get("type")  # some gateways drop the event's name, which says the same
        if kind is None:
            kind = blocks.kind_of(value, event)
        before = len(out)
        if kind == "content_block_delta" and not value.get("error"):
            if (delta := value.get("delta")) and self._body.failure is None:
                self._delta(delta, value.get("index"), out)
        elif kind == "ping":
            return
        elif kind == "message" and "role" in value:
            self._whole(value, out)
        elif self._body.failure is not None or value.get("error"):
            self._fail(value, event, out)
        elif kind in blocks.ENDS and (error := blocks.error_within(value) or error_beside(value)):
            self._fail({"type": kind, "usage": value.get("usage"), "error": error}, event, out)
        elif kind == "content_block_start":
            self._begin(value.get("content_block"), value.get("index"), out)
        elif kind == "content_block_stop":
            self._close(value.get("index"), out)
        elif kind == "message_start":
            self._message(value.get("message"), out)
        elif kind == "message_delta":
            self._close_all(out)
            self._end(value, out)
            self._count(value.get("usage"), out)
        elif kind == "message_stop":
            self._close_all(out)
            if isinstance(message := value.get("message"), dict):
                self._whole(message, out)
            if not self._body.ended:
                self._end(value, out)
                self._count(value.get("usage"), out)
                self._body.finish("marker", out)
        elif kind in (None, "error") and error_in(value, event) is not None:
            self._fail(value, event, out)
        else:
            return  # a type that is not known yet
        self._body.alive = True
        if len(out) == before:
            out.append(Progress())

    def _fail(self, value: dict[str, Any], event: str, out: list[Event]) -> None:
        """Fail with the error in an event of any type, or read the usage that follows an error."""
        self._count(value.get("usage"), out)
        if self._body.failure is None:
            error = error_in(value, event) if "type" not in value else value.get("error")
            self._body.fail_after_usage(stream_failure(error or value, "error"), out)
        elif value.get("type") == "message_stop":
            self._body.finish("marker", out)

    def _message(self, message: Any, out: list[Event]) -> None:
        """Begin a message (a second time if a gateway retried), or read a whole one."""
        if not isinstance(message, dict):
            return
        self._open, self._cited = {}, None
        self._seen, self._served = set(), set()
        self._raw_usage.clear()
        self._ending.begin()
        self._start(words(message.get("model")), words(message.get("id")), out)
        content = message.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        for index, block in enumerate(list_of(content)):
            self._begin(block, index, out)
            if self._body.ended:
                return
            self._close(index, out)
        self._end(message, out)
        self._count(message.get("usage"), out)
        if error := message.get("error"):
            self._body.fail_after_usage(stream_failure(error, "error"), out)

    def _whole(self, message: dict[str, Any], out: list[Event]) -> None:
        """Read a whole message. After events (MiniMax) it repeats their text, and adds the end."""
        if self._body.answered or has_answer(out):
            self._close_all(out)
            self._end(message, out)
            self._count(message.get("usage"), out)
        else:
            self._message(message, out)

    def _start(self, model: str, id: str, out: list[Event]) -> None:
        if (model, id) != self._started and (model or id):
            self._started = (model, id)
            out.append(Started(model, id))

    def _begin(self, plain: Any, index: Any, out: list[Event]) -> None:
        """Begin a block, and close another one that is whole but was not closed."""
        block = self._open.get(number_of(index))
        if block is not None and isinstance(plain, dict) and block.begins_so(plain):
            return
        self._close(index, out)
        self._close_all(out, only_whole=True)
        if not isinstance(plain, dict):
            return
        plain = usual_block(plain)
        kind = plain.get("type")
        self._seen.add(number_of(index))
        block = Block(plain)
        if kind == "error" or (plain.get("error") and not block.served):
            self._body.fail_after_usage(stream_failure(plain.get("error") or plain, "error"), out)
            return
        if kind == "text":
            if "citations" in plain:
                self._cited = block
                self._open[number_of(index)] = block
            self._say(plain.get("text"), out)
            for citation in list_of(plain.get("citations")):
                self._cite(citation, out)
            return
        if kind == "fallback":
            other = plain.get("to")
            model, id = self._started  # another model continues
            self._start(words(isinstance(other, dict) and other.get("model")) or model, id, out)
            return
        self._open[number_of(index)] = block
        if kind == "thinking":
            self._think(block, plain.get("thinking"), out)
        elif kind == "tool_use":
            self._ending.reasoning()  # the answer goes on
        elif block.served:
            self._served.add(number_of(index))
            self._ending.work()

    def _delta(self, delta: Any, index: Any, out: list[Event]) -> None:
        if type(delta) is not dict:
            delta = usual_delta(delta)
        kind = delta.get("type")
        if (error := delta.get("error")) or kind == "error":
            self._body.fail_after_usage(stream_failure(error or delta, "error"), out)
            return
        if type(kind) is not str or kind not in DELTAS or delta.get(DELTAS[kind]) is None:
            delta = usual_delta(delta)
            kind = delta.get("type")
        if kind == "text_delta":
            self._say(delta.get("text"), out)
            return
        if kind == "citations_delta":
            if self._cited is None:
                self._cited = self._open[number_of(index)] = Block({"type": "text"})
            self._cite(delta.get("citation"), out)
            return
        block = self._open.get(number_of(index))
        if kind == "thinking_delta":
            self._think(block, delta.get("thinking"), out)
        elif kind == "input_json_delta":
            self._grow(number_of(index), delta.get("partial_json"))
        elif block is None:
            return
        elif kind in ("signature_delta", "compaction_delta"):
            block.amend(delta)

    def _grow(self, index: int, piece: Any) -> None:
        """Add a piece of a call's input; a piece without a call makes the answer a failure."""
        block = blocks.input_of(self._open, index)
        if block is None and piece and index not in self._seen:  # its call never began
            self._seen.add(index)
            block = self._open[index] = Block({"type": "tool_use"})
        if block is not None:
            block.grow(piece)
        elif piece and index not in self._served:
            self._ending.wrong = self._ending.wrong or "input of a tool call came behind its end"

    def _say(self, text: Any, out: list[Event]) -> None:
        if text is None or text == "":
            return
        self._ending.text(0, str(text))
        self._body.say(Text, text, out)
        if self._cited is not None and isinstance(text, str):
            self._cited.pieces.append(text)
            self._runs.forget()  # text of runs would not be collected here
            self._runs.learning = False

    def _think(self, block: Block | None, thought: Any, out: list[Event]) -> None:
        thought = text_in(thought)
        if not thought:
            return
        self._ending.reasoning()
        self._body.say(Reasoning, thought, out)
        if block is not None and block.kind == "thinking" and isinstance(thought, str):
            block.pieces.append(thought)

    def _cite(self, citation: Any, out: list[Event]) -> None:
        if self._cited is not None and isinstance(citation, dict):
            self._cited.citations.append(citation)
        blocks.cite(citation, out)

    def _close(self, index: Any, out: list[Event]) -> None:
        """Close a block, and give out its tool call, or the state that Anthropic wants back."""
        block = self._open.pop(number_of(index), None)
        if block is None:
            return
        if block is self._cited:
            self._cited = None
        if block.kind == "tool_use":
            self._ending.call(*block.call(self._ending.calls), out)
        elif opaque := block.opaque(NAME):
            out.append(opaque)

    def _close_all(self, out: list[Event], only_whole: bool = False) -> None:
        """Close the open blocks: some servers leave out `content_block_stop`."""
        for index, block in list(self._open.items()):
            if not only_whole or block.is_whole:
                self._close(index, out)

    def _count(self, usage: Any, out: list[Event]) -> None:
        """Read counts, which are cumulative; a missing or null one keeps its earlier value."""
        if not isinstance(usage, dict):
            return
        self._raw_usage |= {name: count for name, count in usage.items() if count is not None}
        counted = blocks.usage_of(self._raw_usage)
        if counted not in (self._usage, Usage()):
            self._usage = counted
            out.append(counted)

    def _end(self, value: dict[str, Any], out: list[Event]) -> None:
        """Read the reason of an event, which stands in its delta, or of a message."""
        for holder in (value.get("delta"), value, value.get("message")):
            if not isinstance(holder, dict):
                continue
            if reason := first_of(*(holder.get(name) for name in blocks.REASONS)):
                self._ending.end(reason)
                details = holder.get("stop_details")
                if reason == "refusal" and isinstance(details, dict):
                    self._body.say(Refusal, details.get("explanation"), out)
                return

    # The end

    def finished(self) -> bool:
        return self._ending.reached

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        self._close_all(out)
        return self._ending.finish(evidence, out)


def _place(value: Any) -> Any:
    """Return the object that holds the text of a plain delta."""
    return value["delta"]
