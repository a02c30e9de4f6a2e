"""Merge the HTTP chunks of one read: bytes in, bytes out, no I/O.

Servers write one chunk for each delta. The state machine of an HTTP library costs some ten
microseconds for each chunk, several times the cost of decoding the delta. `Merger` is below that
library and joins the data of neighbouring chunks
(https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding). `body` returns the data to a
reader that bypasses the library, which then sees only the head and the end of the body; `feed`
returns bytes for the library, with one chunk for each read. It also repairs the head (see
response_head.py), and drops bytes after the body's end, which would be read as the next response.
Bytes that it does not understand pass unchanged: the library judges them.
"""

from __future__ import annotations

from itertools import repeat

from .response_head import Head, end_of_head

_LAST = b"0\r\n\r\n"
_HEAD_LIMIT = 128 * 1024  # the library refuses heads beyond 100 KiB


class Merger:
    """Reads one response, with any 1xx responses before it.

    `chunked`: the next bytes are chunks of its body. `rest`: chunks that came with the head, to be
    fed next. `overrun`: bytes came after the response, so the connection must not be used again.
    """

    def __init__(self) -> None:
        self.overrun = False
        self.chunked = False
        self.rest = b""
        self._head: bytearray | None = bytearray()  # None once the final head is over
        self._length: int | None = None  # bytes of a body with Content-Length still to come
        self._pending = b""  # an incomplete chunk header
        self._left = 0  # bytes of the current chunk still to come
        self._closing = False  # the CRLF after a chunk's data is still to come

    def feed(self, data: bytes) -> bytes:
        """Return bytes for the library: b"" while a head or a chunk header is incomplete."""
        if self._head is not None:
            return self._feed_head(data)
        if not self.chunked:
            return self._feed_plain(data)
        body, rest = self.body(data)
        return (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + rest

    def _feed_head(self, data: bytes) -> bytes:
        buffer = self._head
        assert buffer is not None
        known = len(buffer)
        buffer += data
        end = end_of_head(buffer, known)
        if end < 0 and buffer.startswith(b"HTTP/1"[: len(buffer)]) and len(buffer) <= _HEAD_LIMIT:
            return b""
        self._head = None
        if end < 0 or not buffer.startswith(b"HTTP/1"):
            return bytes(buffer)  # not HTTP, or endless
        head, rest = Head(bytes(buffer[:end])), bytes(buffer[end:])
        if head.interim:  # 100 Continue, 103 Early Hints: the real head follows
            self._head = bytearray()
            return head.data + (self._feed_head(rest) if rest else b"")
        self.chunked, self._length = head.chunked, head.length
        if self.chunked:
            self.rest = rest
            return head.data
        return head.data + (self._feed_plain(rest) if rest else b"")

    def _feed_plain(self, data: bytes) -> bytes:
        if self._length is None:
            return data
        if len(data) > self._length:
            self.overrun = True
            data = data[: self._length]
        self._length -= len(data)
        return data

    def body(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the data of the chunks in `data`, and the bytes that the library has to read.

        Those are the end of the body, or bytes that are not a chunk: `chunked` is False from then.
        """
        if self._pending:
            data = self._pending + data
            self._pending = b""
        elif not (self._left or self._closing) and (only := _one_chunk(data)):
            return only, b""
        parts: list[bytes] = []
        at, size = 0, len(data)
        left = self._left
        simple = True
        while at < size:
            if left:
                part = data[at : at + left]
                parts.append(part)
                at += len(part)
                left -= len(part)
                if left:
                    break
                self._closing = True
            if self._closing:
                if data[at : at + 1] == b"\n":  # some servers write no CR; curl does without it too
                    at += 1
                elif data[at : at + 2] == b"\r\n":
                    at += 2
                else:
                    self.chunked = data[at:] in (b"", b"\r")
                    break
                self._closing = False
            if simple:
                simple = False
                more, at = _simple(data, at)
                parts += more
            end = data.find(b"\n", at)
            if end < 0:
                self.chunked = size - at < _HEAD_LIMIT
                break
            digits = data[at:end].removesuffix(b"\r")
            if not digits.isalnum():
                digits = digits.partition(b";")[0].strip()
            try:
                left = int(digits, 16) if digits.isalnum() else 0
            except ValueError:
                left = 0
            if not left:  # the last chunk, or bytes that are not a chunk: the library reads them
                self.chunked = False
                if digits.strip(b"0") == b"" != digits:
                    data = data[:at] + _with_cr(data[at:], end - at)
                    size = len(data)
                if data.startswith(_LAST, at) and size > at + len(_LAST):
                    self.overrun = True
                    data = data[: at + len(_LAST)]
                break
            at = end + 1
        self._left = left
        merged = b"".join(parts)
        if not self.chunked:
            return merged, data[at:]
        self._pending = data[at:]
        return merged, b""


def _with_cr(last: bytes, end: int) -> bytes:
    """Return the last chunk, whose line ends at `end`, with the CRs that the library requires."""
    line, rest = last[:end].removesuffix(b"\r"), last[end + 1 :]
    return line + b"\r\n" + (b"\r" + rest if rest[:1] == b"\n" else rest)


def _one_chunk(data: bytes) -> bytes:
    """Return the data of the one whole chunk that `data` is; b"" if it is anything else."""
    end = data.find(b"\r\n", 0, 10)
    if end > 0 and data.endswith(b"\r\n") and (digits := data[:end]).isalnum():
        try:
            if int(digits, 16) == len(data) - end - 4:
                return data[end + 2 : -2]
        except ValueError:
            pass  # no number: the library's to read
    return b""


def _simple(data: bytes, at: int) -> tuple[list[bytes], int]:
    """Return the data of the whole chunks from `at` on, and their end, if no data holds a CRLF.

    Nearly all reads of a stream are so. Everything else, and the last chunk, which has no data, is
    left to the loop of the caller: then the result is empty, or ends before it.
    """
    pieces = data[at:].split(b"\r\n")
    pairs = (len(pieces) - 1) // 2
    sizes, parts = pieces[0 : 2 * pairs : 2], pieces[1 : 2 * pairs : 2]
    try:
        lengths = list(map(int, sizes, repeat(16)))
    except ValueError:
        return [], at
    if lengths and not lengths[-1]:
        pairs -= 1
        del sizes[-1], parts[-1], lengths[-1]
    digits = b"".join(sizes)
    if not pairs or lengths != list(map(len, parts)) or 0 in lengths or not digits.isalnum():
        return [], at
    return parts, at + len(digits) + sum(lengths) + 4 * pairs
