"""A JSON array as server-sent events: each element, the moment it closes. No I/O, linear.

Bytes between elements and broken elements become events too, for their reader to judge.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from .sse import BOM, MAX_EVENT_SIZE

# A line break would end the event's line. A tab means the same between values, and is as wrong as
# a line break inside a string.
_FLAT = bytes.maketrans(b"\r\n", b"\t\t")
_BETWEEN = re.compile(rb"[\s,]*")
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
# Up to the next brackets, or to a quote whose string goes on in the next read.
_BRACKETS = re.compile(rb'(?:[^{}\[\]"]++|%b)*+([{\[]++|[}\]]++|")' % _STRING, re.DOTALL)
_REST_OF_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
_BEHIND = 1 << 16  # bytes behind the array that are read
_END_OF_WORD = re.compile(rb"[,\]]")
# Where Google ends an element: its braces begin lines, or it is all on one.
_GUESSES = ((b"\n}", 2), (b"}\n,", 1))


class ArrayEvents:
    """Turns an array into events; a body that is not an array passes unchanged.

    `feed` returns bytes, and lists of elements that are parsed already.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.closed = False  # its last bracket was read
        self._behind = b""  # the beginning of what follows it
        self._limit = limit
        self._array: bool | None = None  # the body is one
        self._held = b""
        self._inside = False  # of an element
        self._word = False  # which is a number or a word
        self._depth = 0
        self._string = False
        self._escaped = False

    def feed(self, data: bytes) -> list[bytes | list[Any]]:
        if self._array is None:
            data = self._held + data
            start = data.removeprefix(BOM).lstrip()
            if not start or (len(data) < 3 and BOM.startswith(data)):
                self._held = data[-4096:]
                return []
            self._array = start.startswith(b"[")
            self._held = b""
            data = start[1:] if self._array else data
        return self._events(data) if self._array else [data]

    def close(self) -> bytes:
        """Return the rest; `feed` gave an element that did not close, as an event without end."""
        held, self._held = self._held, b""
        if behind := self._behind.strip():  # a gateway's error, most often
            return b"data: %b\n\n" % behind.translate(_FLAT)
        return held

    def _events(self, data: bytes) -> list[bytes | list[Any]]:
        out: list[bytes | list[Any]] = []
        pieces: list[bytes] = []
        at = 0
        guessed = False
        if self.closed and len(self._behind) < _BEHIND:
            self._behind += data[:_BEHIND]
        while not self.closed and at < len(data):
            begin = at
            if not self._inside:
                at = _BETWEEN.match(data, at).end()  # type: ignore[union-attr]
                self.closed = data[at : at + 1] == b"]"
                if self.closed:
                    self._behind = data[at + 1 : at + _BEHIND]
                if self.closed or at == len(data):
                    break
                if not guessed:
                    guessed = True
                    values, end = self._guess(data, at)
                    if values:
                        out += (b"".join(pieces), values)
                        pieces.clear()
                        at = end
                        continue
                pieces.append(b"data: ")
                begin = at
                self._inside = True
                self._depth = 0
                self._word = data[at] not in b'{["'
                self._string = data[at] == 0x22
                at += self._string
            at = self._scan(data, at)
            pieces.append(data[begin:at].translate(_FLAT))
            if not self._inside:
                pieces.append(b"\n\n")
        return [*out, b"".join(pieces)]

    def _guess(self, data: bytes, at: int) -> tuple[list[Any], int]:
        """Return elements from `at` on, and their end; the parser says whether the guess holds."""
        for mark, size in _GUESSES:
            end = data.rfind(mark, at) + size
            if at < end <= at + self._limit:
                try:
                    return orjson.loads(b"[%b]" % data[at:end]), end
                except orjson.JSONDecodeError:
                    continue
        return [], at

    def _scan(self, data: bytes, at: int) -> int:
        """Return the end of the element around `at`, or the end of `data`."""
        if self._word:
            found = _END_OF_WORD.search(data, at)
            self._inside = found is None
            return found.start() if found else len(data)
        if self._string:
            at = self._rest_of_string(data, at + self._escaped)
            if not self._string and not self._depth:
                self._inside = False
                return at
        while found := _BRACKETS.match(data, at):
            at, brackets = found.end(), found[1]
            if brackets == b'"':
                at = self._rest_of_string(data, at)
            elif brackets[0] in b"{[":
                self._depth += len(brackets)
            elif len(brackets) < self._depth:
                self._depth -= len(brackets)
            else:
                at -= len(brackets) - self._depth
                self._inside = False
                return at
        return len(data)

    def _rest_of_string(self, data: bytes, at: int) -> int:
        found = _REST_OF_STRING.match(data, at)
        end = found.end() if found else at
        self._string = not found or not found[1]
        self._escaped = self._string and end < len(data)  # a lone backslash is left
        return len(data) if self._string else end
