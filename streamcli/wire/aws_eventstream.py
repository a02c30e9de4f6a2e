"""Parse AWS's event stream: binary messages of headers and a payload. No I/O, never raises, linear.

A message, in big-endian numbers (https://smithy.io/2.0/aws/amazon-eventstream.html):

    length of all of it (4), length of the headers (4), CRC-32 of these eight bytes (4)
    the headers, each as: length of its name (1), name, type (1), value
    the payload
    CRC-32 of all bytes before (4)
"""

from __future__ import annotations

from struct import Struct
from zlib import crc32

from .sse import MAX_EVENT_SIZE

MAX_HEADERS = 128 * 1024  # bytes, by the specification

_PRELUDE = Struct(">III")
_CRC = Struct(">I")
_OVERHEAD = _PRELUDE.size + _CRC.size  # bytes of a message beside headers and payload
# The size of a header's value in bytes, by its type; -1: two bytes before the value have the size.
_SIZES = (0, 0, 1, 2, 4, 8, -1, -1, 8, 16)
_STRING = 7


class Frame:
    """One message: its payload, and the headers whose value is a string."""

    __slots__ = ("headers", "payload")

    def __init__(self, headers: dict[str, str], payload: bytes) -> None:
        self.headers = headers
        self.payload = payload


class EventStream:
    """Cuts bytes into messages: `feed` returns each message that they completed.

    `overflow` becomes True once a message announces more than `limit` bytes of payload; `damage`
    describes what is wrong with the bytes, "" if nothing is. After either `feed` returns nothing.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.overflow = False
        self.damage = ""
        self._limit = limit
        # Joined once a message is whole: joining at each read is quadratic for slow streams.
        self._fragments: list[bytes] = []
        self._size = 0  # of the fragments
        self._wanted = _PRELUDE.size  # bytes of fragments that make it worth to parse them
        # The last headers, raw and parsed: most messages repeat those of the message before.
        self._headers: tuple[bytes, dict[str, str]] = (b"", {})

    @staticmethod
    def begins(data: bytes) -> bool:
        """Return whether a body may be an event stream: no text begins with these bytes."""
        return data[:1] in (b"\0", b"\1", b"\2")

    def feed(self, data: bytes) -> list[Frame]:
        frames: list[Frame] = []
        if self.overflow or self.damage:
            return frames
        self._fragments.append(data)
        self._size += len(data)
        if self._size < self._wanted:
            return frames
        data = b"".join(self._fragments)
        at = 0
        while len(data) - at >= _PRELUDE.size and (length := self._length(data, at)):
            end = at + length
            if end > len(data):
                break
            frame = self._frame(data, at, end)
            if frame is None:
                break
            frames.append(frame)
            at = end
        self._fragments = [data[at:]]
        self._size = len(data) - at
        self._wanted = _PRELUDE.size if self._size < _PRELUDE.size else length
        return frames

    def _length(self, data: bytes, at: int) -> int:
        """Return the length of the message at `at`; 0 if it is damaged or too large."""
        length, headers, checksum = _PRELUDE.unpack_from(data, at)
        if crc32(data[at : at + 8]) != checksum:
            self.damage = "the checksum at the beginning of a message is wrong"
        elif headers > MAX_HEADERS or length < headers + _OVERHEAD:
            self.damage = "the lengths of a message are impossible"
        elif length - headers - _OVERHEAD > self._limit:
            self.overflow = True
        else:
            return int(length)
        return 0

    def _frame(self, data: bytes, at: int, end: int) -> Frame | None:
        body = end - _CRC.size
        if crc32(data[at:body]) != _CRC.unpack_from(data, body)[0]:
            self.damage = "the checksum of a message is wrong"
            return None
        payload = at + _PRELUDE.size + _PRELUDE.unpack_from(data, at)[1]
        raw = data[at + _PRELUDE.size : payload]
        if raw != self._headers[0]:
            headers = _headers(raw)
            if headers is None:
                self.damage = "the headers of a message are broken"
                return None
            self._headers = (raw, headers)
        return Frame(self._headers[1], data[payload:body])


def _headers(raw: bytes) -> dict[str, str] | None:
    """Return the headers whose value is a string; None if they are damaged."""
    headers: dict[str, str] = {}
    at = 0
    while at < len(raw):
        end = at + 1 + raw[at]
        name = raw[at + 1 : end]
        if end >= len(raw) or raw[end] >= len(_SIZES):
            return None
        kind = raw[end]
        at, size = end + 1, _SIZES[kind]
        if size < 0:
            size = int.from_bytes(raw[at : at + 2])
            at += 2
        value = raw[at : at + size]
        at += size
        if at > len(raw):
            return None
        if kind == _STRING:
            headers[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return headers
