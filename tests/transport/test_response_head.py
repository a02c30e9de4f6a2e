"""A head that has one meaning is mended until h11 reads it; h11 judges anything else."""

from __future__ import annotations

import h11
import pytest
from merging import fed
from splits import bytewise, every_two, whole

from streamcli.transport.chunk_merger import Merger
from streamcli.transport.response_head import Head

BODY = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


def read(pieces: list[bytes]) -> tuple[dict[str, str], bytes]:
    """Return (headers, body) as h11 reads what the merger gives, or raise its error."""
    merger = Merger()
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    headers: dict[str, str] = {}
    body = b""
    merged = [out for piece in pieces if piece and (out := fed(merger, piece))]
    for piece in [*merged, b""]:
        connection.receive_data(piece)
        while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Response):
                headers = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return headers, body
    raise AssertionError("no end")


def response(*lines: str, body: bytes = BODY, newline: str = "\r\n") -> bytes:
    head = newline.join(("HTTP/1.1 200 OK", "Content-Type: text/event-stream", *lines, "", ""))
    return head.encode() + body


CHUNKED = {
    "doubled": response("Transfer-Encoding: chunked, chunked"),
    "repeated": response("Transfer-Encoding: chunked", "X-A: b", "transfer-encoding: Chunked"),
    "three times": response("TRANSFER-ENCODING: chunked,chunked", "Transfer-Encoding:chunked"),
    "with a length": response("Content-Length: 3", "Transfer-Encoding: chunked, chunked"),
    "identity first": response("Transfer-Encoding: identity", "Transfer-Encoding: chunked"),
    "empty member": response("Transfer-Encoding: chunked,"),
    "parameter": response("Transfer-Encoding: chunked;q=1"),
    "folded": response("Transfer-Encoding:", "  chunked,", "\tchunked"),
    "blanks before the colon": response("Server : x", "Transfer-Encoding\t: chunked"),
    "bare newlines": response("Transfer-Encoding: chunked, chunked", newline="\n"),
    "behind 1xx": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink : a\r\n\r\n"
    + response("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "trailers": response("Transfer-Encoding: chunked, chunked", body=BODY[:-2] + b"X-T: 1\r\n\r\n"),
    "HTTP/1.0": response("Transfer-Encoding: chunked, chunked").replace(b"/1.1", b"/1.0", 1),
}


@pytest.mark.parametrize("name", CHUNKED)
def test_a_chunked_body_is_read(name: str) -> None:
    for pieces in (whole(CHUNKED[name]), bytewise(CHUNKED[name]), *every_two(CHUNKED[name])):
        headers, body = read(pieces)
        assert body == b"hello world"
        assert headers["transfer-encoding"] == "chunked"


def test_another_coding_is_told_as_the_coding_of_the_content() -> None:
    headers, _ = read(whole(response("Transfer-Encoding: gzip, chunked")))
    assert headers["content-encoding"] == "gzip"


def test_a_body_without_chunks_ends_with_the_connection() -> None:
    for value in ("identity", "gzip", ""):
        data = response(f"Transfer-Encoding: {value}", "Content-Length: 3", body=b"hello")
        headers, body = read(whole(data))
        assert "transfer-encoding" not in headers
        assert body == (b"hello" if value == "gzip" else b"hel")


UNREADABLE = {
    "no colon": response("garbage"),
    "no name": response(": value"),
    "lengths that differ": response("Content-Length: 5", "Content-Length: 6", body=b"hello"),
    "length that is no number": response("Content-Length: five", body=b"hello"),
    "negative length": response("Content-Length: -5", body=b"hello"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_head_with_no_meaning_or_two_is_left_to_h11(name: str) -> None:
    for pieces in (whole(UNREADABLE[name]), bytewise(UNREADABLE[name])):
        with pytest.raises(h11.RemoteProtocolError):
            read(pieces)


def test_a_usual_head_is_not_touched() -> None:
    for lines in (("Transfer-Encoding: chunked",), ("Content-Length: 5",), (), ("X: a : b",)):
        data = response(*lines, body=b"")
        assert Head(data).data is data


@pytest.mark.parametrize(
    ("lines", "length"), [(("Content-Length: 5",), 5), (("content-length:5, 5",), 5), ((), None)]
)
def test_the_length_of_the_body(lines: tuple[str, ...], length: int | None) -> None:
    assert Head(response(*lines, body=b"")).length == length
