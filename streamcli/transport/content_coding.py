"""Decompress a body that we did not ask to be compressed: chunks in, chunks out.

We send `Accept-Encoding: identity`, because a compressed stream comes in blocks. Some servers
compress all the same, and some proxies decompress the body but keep the header.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ..errors import StreamError

# The beginnings of an uncompressed body, whatever its header says: SSE, JSON, HTML.
_PLAIN = (b"data:", b"event:", b"id:", b"retry:", b": ", b'{"', b"[{", b'["', b"<!", b"<html")
_BLANKS = b" \t\r\n\xef\xbb\xbf"  # and a byte order mark
_ENOUGH = max(map(len, _PLAIN))
_GZIP = b"\x1f\x8b"


def codings_of(header: str) -> list[str]:
    """Return the codings that a Content-Encoding names, in the order they were applied."""
    names = [name.strip().lower() for name in header.split(",")]
    return [name.removeprefix("x-") for name in names if name not in ("", "identity")]


def unpacked(codings: list[str], chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the body without its codings; raise StreamError for a coding that we do not know."""
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
    """Yield the content of gzip or deflate, as soon as it can be decoded."""
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
    """Return zlib's wbits: some servers send `deflate` without a zlib header."""
    if coding == "gzip":
        return 16 + zlib.MAX_WBITS
    zlib_header = begin[0] & 15 == 8 and (begin[0] << 8 | begin[1]) % 31 == 0
    return zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS
