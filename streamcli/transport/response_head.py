"""Repair the head of an HTTP response for h11: bytes in, bytes out, no I/O.

h11 is strict where curl and browsers are not. Servers and proxies that add `Transfer-Encoding` to a
response that has it already (https://github.com/encode/httpx/issues/1862) are common, and the body
that follows is valid. Only heads with one possible meaning are repaired; h11 judges the others.
"""

from __future__ import annotations

import re

# Patterns are text: most responses need two of them, and compiling all would slow down a start.
_BLANK_LINES = (b"\n\r\n", b"\n\n")
_CHUNKED = rb"\ntransfer-encoding:[ \t]*chunked[ \t]*\r?\n"
_LENGTH = rb"\ncontent-length:[ \t]*(\d{1,18})[ \t]*[\r\n,]"
# Blanks before the colon: https://www.rfc-editor.org/rfc/rfc9112#section-5.1-4
_BLANKS = rb"(?m)^([\w!#$%&'*+.^`|~-]+)[ \t]+:"
_FOLD = rb"\r?\n[ \t]+"


class Head:
    """A whole head: its repaired bytes, and how the body is framed.

    `length` is the body's size in bytes, None where it is chunked or goes on until the connection
    is closed.
    """

    __slots__ = ("chunked", "data", "interim", "length")

    def __init__(self, data: bytes) -> None:
        if b" :" in data or b"\t:" in data:
            data = re.sub(_BLANKS, rb"\1:", data)
        lowered = data.lower()
        count = lowered.count(b"\ntransfer-encoding:")
        if count and (count > 1 or not re.search(_CHUNKED, lowered)):
            data = _with_one_encoding(data)
            lowered = data.lower()
        self.data = data
        self.chunked = bool(count) and re.search(_CHUNKED, lowered) is not None
        status = data[9:12]
        self.interim = status.startswith(b"1") and status != b"101"
        length = (
            None
            if self.chunked or status in (b"101", b"204", b"304")
            else re.search(_LENGTH, lowered)
        )
        self.length = None if length is None else int(length[1])


def end_of_head(data: bytearray, known: int) -> int:
    """Return where the body begins, -1 if the head goes on; skip the `known` bytes, seen before."""
    begin = max(0, known - 3)
    ends = [at + len(blank) for blank in _BLANK_LINES if (at := data.find(blank, begin)) >= 0]
    return min(ends, default=-1)


def _with_one_encoding(data: bytes) -> bytes:
    """Return the head with at most one Transfer-Encoding, which is `chunked`.

    Another coding (gzip) becomes a Content-Encoding: for the reader of the body it is the same.
    """
    first, *lines = re.sub(_FOLD, b" ", data.rstrip(b"\r\n")).split(b"\n")
    codings: list[bytes] = []
    kept = [first.rstrip(b"\r")]
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"transfer-encoding":
            codings += [each.partition(b";")[0].strip().lower() for each in value.split(b",")]
        else:
            kept.append(line.rstrip(b"\r"))
    if b"chunked" in codings:
        kept.append(b"Transfer-Encoding: chunked")
    if others := [each for each in codings if each not in (b"", b"chunked", b"identity")]:
        kept.append(b"Content-Encoding: " + b", ".join(others))
        if b"chunked" not in codings:  # the body ends with the connection, whatever a length says
            kept = [line for line in kept if not line.lower().startswith(b"content-length:")]
    return b"\r\n".join(kept) + b"\r\n\r\n"
