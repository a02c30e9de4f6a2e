"""The parts of an assistant's message in their order: text, tool calls, and opaque state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .events import Opaque

# A tool call as a message keeps it: (id, name, arguments as JSON text).
Call = tuple[str, str, str]


class Placed:
    """An Opaque event and its place: after `text_at` characters and `calls_at` tool calls."""

    __slots__ = ("calls_at", "opaque", "text_at")

    def __init__(self, opaque: Opaque, text_at: int, calls_at: int) -> None:
        self.opaque = opaque
        self.text_at = text_at
        self.calls_at = calls_at

    def to_json(self) -> dict[str, Any]:
        opaque = self.opaque
        plain = {"protocol": opaque.protocol, "value": opaque.value}
        plain |= {"text_at": self.text_at, "calls_at": self.calls_at}
        if opaque.call_id:
            plain["call_id"] = opaque.call_id
        if opaque.chars:
            plain["chars"] = opaque.chars
        return plain


class Part:
    """One part of a message, see `Message.parts`: text, a tool call, or opaque state alone.

    `opaque` is the value of the Opaque event that belongs to the text or the call, or None.
    """

    __slots__ = ("call", "opaque", "text")

    def __init__(self, text: str = "", call: Call | None = None, opaque: Any = None) -> None:
        self.text = text
        self.call = call
        self.opaque = opaque


def parts_of(
    text: str, calls: Sequence[Call], opaque: Sequence[Placed], protocol: str
) -> list[Part]:
    """Return the parts of a message, with the opaque state of `protocol` and no other's.

    Between two opaque parts the text comes first, then the calls.
    """
    placed = [each for each in opaque if each.opaque.protocol == protocol]
    opaque_of_call = {each.opaque.call_id: each.opaque.value for each in placed}
    parts: list[Part] = []
    text_done = calls_done = 0

    def add_until(text_at: int, calls_at: int) -> None:
        nonlocal text_done, calls_done
        if more := text[text_done:text_at]:
            parts.append(Part(more))
            text_done = text_at
        for call in calls[calls_done:calls_at]:
            parts.append(Part(call=call, opaque=opaque_of_call.get(call[0])))
        calls_done = max(calls_done, calls_at)

    for each in placed:
        text_at = each.text_at
        if each.opaque.call_id:
            continue
        add_until(max(0, text_at - each.opaque.chars), each.calls_at)
        parts.append(Part(text[text_done:text_at], opaque=each.opaque.value))
        text_done = max(text_done, text_at)
    add_until(len(text), len(calls))
    return parts
