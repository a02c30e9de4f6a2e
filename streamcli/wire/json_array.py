"""Turn a JSON array into server-sent events: each element as soon as it closes. No I/O, linear.

Bytes between elements and broken elements become events too, for their reader to judge.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from .sse import BOM, MAX_EVENT_SIZE

# A line break would end the event's line. A tab means the same between values, and inside a string
# it is as invalid as a line break.
_FLAT = bytes.maketrans(b"\r\n", b"\t\t")
_BETWEEN = re.compile(rb"[\s,]*")
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
# Up to the next brackets, or to the quote of a string that continues in the next read.
_BRACKETS = re.compile(rb'(?:[^{}\[\]"]++|%b)*+([{\[]++|[}\]]++|")' % _STRING, re.DOTALL)
_REST_OF_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
_TRAILER_LIMIT = 1 << 16  # bytes after the array that are read
_END_OF_WORD = re.compile(rb"[,\]]")
# How Google's elements end: their braces begin lines, or an element is one line.
_GUESSES = ((b"\n}", 2), (b"}\n,", 1))


class ArrayEvents:
    """Turns an array into events; a body that is not an array passes unchanged.

    `feed` returns bytes of events, and lists of elements that are parsed already.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.closed = False  # its last bracket was read
        self._trailer = b""  # the first bytes after it
        self._limit = limit
        self._array: bool | None = None  # whether the body is an array; None before its first byte
        self._pending = b""  # blanks before the first byte
        self._inside = False  # an element has begun
        self._word = False  # that element is a number or a word
        self._depth = 0  # its open brackets
        self._string = False  # a string in it has begun
        self._escaped = False  # the next character is escaped

    def feed(self, data: bytes) -> list[bytes | list[Any]]:
        if self._array is None:
            data = self._pending + data
            start = data.removeprefix(BOM).lstrip()
            if not start or (len(data) < 3 and BOM.startswith(data)):
                self._pending = data[-4096:]
                return []
            self._array = start.startswith(b"[")
            self._pending = b""
            data = start[1:] if self._array else data
        return self._events(data) if self._array else [data]

    def close(self) -> bytes:
        """Return pending bytes; an unclosed element stays an event without blank line."""
        pending, self._pending = self._pending, b""
        if trailer := self._trailer.strip():  # mostly a gateway's error
            return b"data: %b\n\n" % trailer.translate(_FLAT)
        return pending

    def _events(self, data: bytes) -> list[bytes | list[Any]]:
        out: list[bytes | list[Any]] = []
        pieces: list[bytes] = []
        at = 0
        guessed = False
        if self.closed and len(self._trailer) < _TRAILER_LIMIT:
            self._trailer += data[:_TRAILER_LIMIT]
        while not self.closed and at < len(data):
            begin = at
            if not self._inside:
                at = _BETWEEN.match(data, at).end()  # type: ignore[union-attr]
                self.closed = data[at : at + 1] == b"]"
                if self.closed:
                    self._trailer = data[at + 1 : at + _TRAILER_LIMIT]
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
        """Return the elements from `at` on, and their end: a guess that the parser checks."""
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
