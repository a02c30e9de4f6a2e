"""Undo a compression that we did not ask for: body chunks in, body chunks out.

We send `Accept-Encoding: identity`, because a compressed stream comes in blocks. Some servers
compress all the same, and some proxies unpack the body and leave the header standing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ..errors import StreamError

# How a body begins that is not compressed, whatever its header says: SSE, JSON, HTML.
_PLAIN = (b"data:", b"event:", b"id:", b"retry:", b": ", b'{"', b"[{", b'["', b"<!", b"<html")
_BLANKS = b" \t\r\n\xef\xbb\xbf"  # and a byte order mark
_ENOUGH = max(map(len, _PLAIN))
_GZIP = b"\x1f\x8b"


def codings_of(header: str) -> list[str]:
    """Return the codings that a Content-Encoding names, in the order they were applied."""
    names = [name.strip().lower() for name in header.split(",")]
    return [name.removeprefix("x-") for name in names if name not in ("", "identity")]


def unpacked(codings: list[str], chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the body without its codings. StreamError names a coding that cannot be undone."""
    begin = b""
    for chunk in chunks:
        begin += chunk
        if len(begin.lstrip(_BLANKS)) >= _ENOUGH:
            break
    body = _joined(begin, chunks)
    if not begin.lstrip(_BLANKS).startswith(_PLAIN):
        for coding in reversed(codings):
            if coding not in ("gzip", "deflate"):
                raise StreamError(
                    "bad_http",
                    f"the answer is compressed ({coding}), which was not asked for",
                    "switch compression off in the server, or in the proxy before it",
                )
            body = _inflated(coding, body)
    yield from body


def _joined(begin: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if begin:
        yield begin
    yield from chunks


def _inflated(coding: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what gzip or deflate holds, as soon as it can be had."""
    inflater = None
    begin = b""
    for chunk in chunks:
        if inflater is None:
            chunk = begin = begin + chunk
            if len(begin) < 2:
                continue
            inflater = zlib.decompressobj(_window(coding, chunk))
        try:
            data = inflater.decompress(chunk)
            while inflater.eof and inflater.unused_data.startswith(_GZIP):  # another member
                chunk = inflater.unused_data
                inflater = zlib.decompressobj(_window(coding, chunk))
                data += inflater.decompress(chunk)
        except zlib.error:
            raise StreamError(
                "bad_http",
                f"the answer is not the {coding} that its Content-Encoding says",
                "switch compression off in the server, or in the proxy before it",
            ) from None
        if data:
            yield data


def _window(coding: str, begin: bytes) -> int:
    """Return zlib's wbits: `deflate` has a zlib header, or with some servers none."""
    if coding == "gzip":
        return 16 + zlib.MAX_WBITS
    zlib_header = begin[0] & 15 == 8 and (begin[0] << 8 | begin[1]) % 31 == 0
    return zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS
