"""Unwrap an answer that the request wrapped in an object: `{"items": [...]}` becomes `[...]`. Pure.

Some providers take only schemas of objects, so a schema of anything else is sent as the one field
of an object. The answer's text is unwrapped as it streams, for any chunking, in linear time and
byte for byte. An answer that does not begin with the wrapper is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..events import Event, Failed, Finished, Text
from ..messages import ChatRequest
from ..protocols._contract import TakesAnySchema, Templated, WireFormat
from ..protocols.shared.schemas import wrapper_of

_BLANKS = " \t\r\n"
_OUTSIDE = re.compile(r'["\[\]{}]')
_INSIDE = re.compile(r'["\\]')
# Takes a text and an index in it; returns the next index, and the text to give out.
_Step = Callable[[str, int], tuple[int, str]]
_SCALAR_ENDS = re.compile(r"[\s,}]")


def unwrapping(
    chat: ChatRequest, protocol: WireFormat
) -> Callable[[list[Event]], list[Event]] | None:
    """Return the stage that unwraps an answer to `chat`; None if its schema is not wrapped."""
    name = wrapper_in(chat, protocol)
    return Unwrap(name).unwrap if name else None


def wrapper_in(chat: ChatRequest, protocol: WireFormat) -> str:
    """Return the one field of the object that an answer to `chat` is wrapped in; "" if none is."""
    return "" if isinstance(protocol, TakesAnySchema | Templated) else wrapper_of(chat)


class Unwrap:
    """Maps the events of one attempt; `name` is the wrapper's one field."""

    def __init__(self, name: str) -> None:
        self._expected = f'{{"{name}":'
        self._matched = 0  # characters of `_expected` that were read
        self._pending: list[str] = []  # the text so far, in case the wrapper does not come
        self._step: _Step = self._head
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def unwrap(self, events: list[Event]) -> list[Event]:
        """Return the events with the wrapper taken off their text."""
        out: list[Event] = []
        for event in events:
            if isinstance(event, Text) and not event.choice:
                if text := self.feed(event.text):
                    out.append(type(event)(text))
                continue
            if isinstance(event, Finished | Failed) and (text := self.close()):
                out.append(Text(text))
            out.append(event)
        return out

    def feed(self, text: str) -> str:
        """Return the unwrapped text that a delta adds."""
        at, out = 0, []
        while at < len(text):
            at, piece = self._step(text, at)
            out.append(piece)
        return "".join(out)

    def close(self) -> str:
        """Return the text that was pending back: the answer is over, without a whole wrapper."""
        pending, self._pending = "".join(self._pending), []
        self._step = self._rest
        return pending

    # The steps, in their order: `_step` is the current one

    def _head(self, text: str, at: int) -> tuple[int, str]:
        start = at
        while at < len(text):
            char = text[at]
            if char == self._expected[self._matched]:
                self._matched += 1
                at += 1
                if self._matched == len(self._expected):
                    self._pending = []
                    self._step = self._begin
                    return at, ""
            elif char in _BLANKS and (self._matched <= 1 or self._expected[self._matched] == ":"):
                at += 1
            else:
                self._pending.append(text[start:at])
                return at, self.close()
        self._pending.append(text[start:])
        return at, ""

    def _begin(self, text: str, at: int) -> tuple[int, str]:
        char = text[at]
        if char in _BLANKS:
            return at + 1, ""
        self._step = self._value if char in '"[{' else self._scalar
        return at, ""

    def _value(self, text: str, at: int) -> tuple[int, str]:
        start = at
        while at < len(text):
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            found = (_INSIDE if self._in_string else _OUTSIDE).search(text, at)
            if found is None:
                return len(text), text[start:]
            at, char = found.end(), found[0]
            if char == "\\":
                self._escaped = True
                continue
            if char == '"':
                self._in_string = not self._in_string
            else:
                self._depth += 1 if char in "[{" else -1
            if not self._in_string and self._depth <= 0:
                self._step = self._tail
                break
        return at, text[start:at]

    def _scalar(self, text: str, at: int) -> tuple[int, str]:
        found = _SCALAR_ENDS.search(text, at)
        if found is None:
            return len(text), text[at:]
        self._step = self._tail
        return found.start(), text[at : found.start()]

    def _tail(self, text: str, at: int) -> tuple[int, str]:
        if text[at] in _BLANKS:
            return at + 1, ""
        self._step = self._rest
        return at + (text[at] == "}"), ""

    def _rest(self, text: str, at: int) -> tuple[int, str]:
        return len(text), text[at:]
