"""Merging HTTP chunks changes how they are cut and nothing else, judged by h11 itself."""

from __future__ import annotations

from random import Random

import h11
import pytest
from merging import fed
from splits import bytewise, every_two, whole

from streamcli.transport.chunk_merger import Merger

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return HEAD + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts) + end


def by_h11(pieces: list[bytes]) -> tuple[bytes, int, str]:
    """(body, chunks, end) as an HTTP library sees these reads; end: done or broken."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    body, chunks = b"", 0
    try:
        for piece in [*pieces, b""]:
            connection.receive_data(piece)
            while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Data):
                    body += event.data
                    chunks += 1
                elif isinstance(event, h11.EndOfMessage):
                    return body, chunks, "done"
                elif isinstance(event, h11.ConnectionClosed):
                    break
    except h11.RemoteProtocolError:
        pass
    return body, chunks, "broken"


def through(pieces: list[bytes]) -> list[bytes]:
    merger = Merger()
    return [merged for piece in pieces if piece and (merged := fed(merger, piece))]


def past(pieces: list[bytes]) -> tuple[bytes, list[bytes]]:
    """The data of a chunked body that goes past the library, and what the library reads."""
    merger = Merger()
    body, given = b"", []
    for piece in pieces:
        rest = piece
        if not merger.chunked:
            given.append(merger.feed(piece))
            rest, merger.rest = merger.rest, b""
        if rest and merger.chunked:
            part, end = merger.body(rest)
            body += part
            given.append(end)
    return body, [each for each in given if each]


BODIES = {
    "plain": chunked(b"data: 1\n\n", b"data: 22\n\n", b"x" * 40),
    "extension": HEAD + b"5;a=b\r\nhello\r\n00A;c\r\n0123456789\r\n0\r\n\r\n",
    "trailer": chunked(b"hi", end=b"0\r\nX-T: 1\r\n\r\n"),
    "cut": chunked(b"hello", b"world")[:-9],
    "cut header": chunked(b"hello", end=b"1"),
    "no crlf": HEAD + b"5\r\nhelloworld\r\n0\r\n\r\n",
    "no number": HEAD + b"zz\r\nhello\r\n0\r\n\r\n",
    "negative": HEAD + b"-5\r\nhello\r\n0\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "until close": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "1xx": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n"
    + chunked(b"hi"),
    "garbage": b"SSH-2.0-OpenSSH_9.2\r\n",
    "crlf inside": chunked(b"a\r\n0\r\n\r\nb", b"\r\n", b"0\r\n\r\n"),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_library_sees_the_same_body_and_end(name: str) -> None:
    data = BODIES[name]
    expected = by_h11(whole(data))
    for pieces in (whole(data), bytewise(data), *every_two(data)):
        body, _, end = by_h11(through(pieces))
        assert (body, end) == (expected[0], expected[2])
        data_past, given = past(pieces)
        body, _, end = by_h11(given)
        assert (data_past + body, end) == (expected[0], expected[2])


WITHOUT_CR = {
    "all": b"5\nhello\n6\n world\n0\n\n",
    "sizes": b"5\nhello\r\n6;a=b\n world\r\n0\n\r\n",
    "data": b"5\r\nhello\n6\r\n world\n0\r\n\n",
    "zeros": b"5\nhello\n006\n world\n00\n\n",
    "trailer": b"5\nhello\n6\n world\n0\nX-T: 1\n\n",
}


@pytest.mark.parametrize("name", WITHOUT_CR)
def test_chunk_lines_without_a_cr_are_read(name: str) -> None:
    """As curl does: the library insists on CRLF."""
    data = HEAD + WITHOUT_CR[name]
    for pieces in (whole(data), bytewise(data), *every_two(data)):
        body, _, end = by_h11(through(pieces))
        assert (body, end) == (b"hello world", "done")
    cut = data[: data.index(b" world") + 3]
    assert by_h11(through(whole(cut)))[::2] == (b"hello wo", "broken")


def test_one_read_becomes_one_chunk() -> None:
    parts = [b"data: %d\n\n" % n for n in range(1000)]
    body, chunks, end = by_h11(through(whole(chunked(*parts))))
    assert (body, chunks, end) == (b"".join(parts), 1, "done")


def test_random_bodies_and_reads() -> None:
    random = Random(5)
    for _ in range(300):
        parts = [random.randbytes(random.choice((1, 3, 200))) for _ in range(random.randrange(9))]
        data = chunked(*parts)
        size = random.choice((1, 2, 7, 50, 5000))
        reads = [data[i : i + size] for i in range(0, len(data), size)]
        assert by_h11(through(reads))[::2] == (b"".join(parts), "done")


def test_an_endless_head_goes_through() -> None:
    """It is held until h11 would refuse it, and then handed on, so that h11 does."""
    merger = Merger()
    line = b"X-Header: " + b"y" * 1000 + b"\r\n"
    given = [merger.feed(b"HTTP/1.1 200 OK\r\n")] + [merger.feed(line) for _ in range(500)]
    assert b"".join(given) == b"HTTP/1.1 200 OK\r\n" + line * 500
    assert max(map(len, given)) < 140 * 1024


OVERRUNS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"]}"),
    "no body": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\r\n"),
    "chunked": (chunked(b"hello"), b"HTTP/1.1 200 OK\r\n\r\n"),
}


@pytest.mark.parametrize("name", OVERRUNS)
def test_bytes_behind_the_end_are_kept_back(name: str) -> None:
    """They would be taken for the beginning of the next response."""
    response, more = OVERRUNS[name]
    merger = Merger()
    assert by_h11([fed(merger, response)])[2] == "done"
    assert not merger.overrun
    merger = Merger()
    expected = by_h11(whole(response))
    assert by_h11([fed(merger, response + more)]) == expected
    assert merger.overrun
    if name != "chunked":
        merger = Merger()
        assert merger.feed(response) + merger.feed(more) == response
        assert merger.overrun


@pytest.mark.parametrize("status", [b"101 Switching Protocols", b"204 No Content"])
def test_a_length_is_not_read_where_there_is_no_body(status: bytes) -> None:
    merger = Merger()
    data = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n"
    assert merger.feed(data) == data
    assert merger.feed(b"abcdef") == b"abcdef"
