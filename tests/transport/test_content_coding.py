"""A body that is compressed against our wish is read, or its coding is named."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest
from splits import bytewise, every_two, whole

from streamcli.errors import StreamError
from streamcli.transport.content_coding import codings_of, unpacked

TEXT = b'data: {"choices":[]}\n\n' * 20
RAW = zlib.compressobj(wbits=-15)

PACKED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "gzip, members": gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:]),
    "gzip, rubbish behind": gzip.compress(TEXT) + b"\0\0",
    "deflate": zlib.compress(TEXT),
    "deflate, raw": RAW.compress(TEXT) + RAW.flush(),
    "deflate, gzip": gzip.compress(zlib.compress(TEXT)),
    "identity": TEXT,
}


def unpack(header: str, pieces: list[bytes]) -> bytes:
    return b"".join(unpacked(codings_of(header), iter(pieces)))


@pytest.mark.parametrize("name", PACKED)
def test_what_zlib_can_undo(name: str) -> None:
    header = name if name == "deflate, gzip" else name.partition(",")[0]
    for pieces in (whole(PACKED[name]), bytewise(PACKED[name]), *every_two(PACKED[name])):
        assert unpack(header, pieces) == TEXT


@pytest.mark.parametrize("begin", [b"data: x", b'{"a":1}', b": ping\n\n", b"\xef\xbb\xbfdata: x"])
@pytest.mark.parametrize("header", ["br", "gzip", "zstd", "deflate", "gzip, br"])
def test_a_body_that_was_unpacked_on_the_way(header: str, begin: bytes) -> None:
    """A proxy unpacked it, and left the header standing: curl shows it as it is, and so do we."""
    body = b"\n" + begin + b"\n\n" + TEXT
    for pieces in (whole(body), bytewise(body)):
        assert unpack(header, pieces) == body


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br"])
@pytest.mark.parametrize("body", [b"", b"\x8b", b"\x8b\x02\x80xyz\x03"])
def test_a_coding_that_cannot_be_undone_is_named(coding: str, body: bytes) -> None:
    with pytest.raises(StreamError) as error:
        unpack(coding, bytewise(body))
    assert error.value.kind == "bad_http"
    assert f"({coding.split(', ')[-1]})" in error.value.message


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_is_not_what_its_header_says(coding: str) -> None:
    with pytest.raises(StreamError) as error:
        unpack(coding, whole(b"\x01\x02 not compressed at all"))
    assert coding in error.value.message


def test_each_block_is_given_at_once() -> None:
    """A server that flushes after each delta is read delta by delta."""
    packer = zlib.compressobj(wbits=31)

    def blocks() -> Iterator[bytes]:
        for number in range(5):
            sent.append(number)
            yield packer.compress(b"data: %d\n\n" % number) + packer.flush(zlib.Z_SYNC_FLUSH)

    sent: list[int] = []
    for number, data in enumerate(unpacked(["gzip"], blocks())):
        assert data == b"data: %d\n\n" % number
        assert len(sent) == number + 1
