"""Collect a content block of Anthropic's Messages; read sources and token counts. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from ...events import Citation, Event, Opaque, Usage
from ...wire.lenient_json import count, whole, words
from .arguments import can_send

# What Anthropic wants back beside text and calls; thinking, and what it ran itself.
_WANTED = ("thinking", "redacted_thinking", "compaction", "container_upload")
_SERVED = ("_tool_use", "_tool_result")
# The fields of a reason; gateways write it in others.
REASONS = ("stop_reason", "stopReason", "finish_reason", "finishReason", "native_finish_reason")
ENDS = ("message_delta", "message_stop")
_EVENTS = (
    *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
    *("message_delta", "message_stop", "ping"),
)


def kind_of(value: dict[str, Any], event: str) -> str | None:
    """Return the type of an event without a type; None if it is unknown."""
    if event in _EVENTS:
        return event
    delta = value.get("delta")
    if not isinstance(delta, dict):
        return None
    return "message_delta" if "stop_reason" in delta else "content_block_delta"


def error_within(value: dict[str, Any]) -> Any:
    """Return the error inside of an event that ends a message; None without one."""
    holders = (value.get("delta"), value.get("message"))
    return next((each["error"] for each in holders if type(each) is dict and "error" in each), None)


def number_of(index: Any) -> int:
    return index if type(index) is int else -1


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class Block:
    """A block: the fields of its start, and the pieces of its text, thinking or input."""

    __slots__ = ("citations", "kind", "pieces", "plain")

    def __init__(self, plain: dict[str, Any]) -> None:
        self.plain = plain
        self.kind = words(plain.get("type"))
        self.pieces: list[str] = []
        self.citations: list[Any] = []

    @property
    def served(self) -> bool:
        """Whether it is the call or the result of a tool that the server runs itself."""
        return self.kind.endswith(_SERVED)

    def begins_so(self, plain: dict[str, Any]) -> bool:
        """Return whether this start of a call repeats its own; Kimi's come with every piece."""
        unfinished = not self.pieces or not self.is_whole
        return unfinished and bool(plain.get("id")) and self.plain == plain

    @property
    def is_whole(self) -> bool:
        """Whether the block may be closed: a call's input must be one JSON value."""
        if self.kind != "tool_use":
            return True
        try:
            orjson.loads("".join(self.pieces))
        except ValueError:
            return False
        return True

    def amend(self, delta: dict[str, Any]) -> None:
        """Add the fields of a delta that are not in pieces: a signature, a compaction."""
        fields = {name: value for name, value in delta.items() if name != "type"}
        self.plain = {**self.plain, **fields}

    def grow(self, piece: Any) -> None:
        """Add a piece of a call's input: a part of its JSON text, or the whole value."""
        if isinstance(piece, str):
            self.pieces.append(piece)
        elif isinstance(piece, dict):
            self.plain = {**self.plain, "input": piece}

    def call(self, number: int) -> tuple[str, str, Any]:
        """Return (id, name, arguments) of a tool call; `number` makes an id if it has none."""
        arguments = "".join(self.pieces) or self.plain.get("input")
        return (
            words(self.plain.get("id")) or f"call_{number}",
            words(self.plain.get("name")),
            arguments,
        )

    def opaque(self, protocol: str) -> Opaque | None:
        """Return the block as Anthropic wants it back; None if it does not."""
        plain, joined, chars = dict(self.plain), whole("".join(self.pieces)), 0
        if self.kind == "text":
            if not joined or not self.citations:
                return None
            plain |= {"text": joined, "citations": self.citations}
            chars = len(joined)
        elif self.kind == "thinking":
            plain["thinking"] = joined
        elif self.served and joined:
            try:
                plain["input"] = orjson.loads(joined)
            except orjson.JSONDecodeError:
                return None
        elif not (self.served or self.kind in _WANTED):
            return None
        return Opaque(protocol, plain, chars=chars) if can_send(plain) else None


def input_of(open: dict[int, Block], index: int) -> Block | None:
    """Return the call that a piece of input belongs to; of a single one the index may be wrong."""
    block = open.get(index)
    if block is not None and block.kind.endswith("tool_use"):
        return block
    calls = [each for each in open.values() if each.kind == "tool_use"]
    return calls[0] if len(calls) == 1 else None


def cite(citation: Any, out: list[Event]) -> None:
    """Give a source, without offsets: this API's are those in the source, not in the answer."""
    if isinstance(citation, dict):
        url = words(citation.get("url")) or words(citation.get("source"))
        title = words(citation.get("title")) or words(citation.get("document_title"))
        if url or title:
            out.append(Citation(url, title))


def usage_of(usage: dict[str, Any]) -> Usage:
    """Return token counts; `input_tokens` does not contain the cached ones beside it."""
    details = usage.get("output_tokens_details")
    counts = [
        usage.get("input_tokens", usage.get("prompt_tokens")),
        usage.get("output_tokens", usage.get("completion_tokens")),
        details.get("thinking_tokens") if isinstance(details, dict) else None,
        usage.get("cache_read_input_tokens"),
        usage.get("cache_creation_input_tokens"),
    ]
    return Usage(*map(count, counts))
