"""Responses whose fault is HTTP's, each with its verdict: heads, lengths, chunks, trailers, 1xx."""

from __future__ import annotations

import gzip
import zlib

import pytest
from conftest import Stream
from faultserver import Conn, FaultServer, delta, finish, http_chunk, role, sse

DONE = sse(b"[DONE]")
ANSWER = [sse(role()), sse(delta("Hello")), sse(delta(" world")), sse(finish()), DONE]
BODY = b"".join(ANSWER)
CHUNKS = b"".join(map(http_chunk, ANSWER))
END = b"0\r\n\r\n"
TYPE = "Content-Type: text/event-stream"
MODEL = ("-m", "vllm:m", "--max-retries", "0", "--jsonl")


def response(*lines: str, body: bytes, first: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join((first, TYPE, *lines, "", "")).encode() + body


TE = "Transfer-Encoding: chunked"
SHORT = len(BODY) - len(DONE) - len(ANSWER[3])

WHOLE = {
    "doubled chunked": response("Transfer-Encoding: chunked, chunked", body=CHUNKS + END),
    "repeated chunked": response(TE, TE, body=CHUNKS + END),
    "chunked beside a length": response("Content-Length: 3", TE, body=CHUNKS + END),
    "identity": response("Transfer-Encoding: identity", body=BODY),
    "equal lengths": response(*[f"Content-Length: {len(BODY)}"] * 2, body=BODY),
    "a length that is too large": response(f"Content-Length: {len(BODY) + 9}", body=BODY),
    "no length": response(body=BODY),
    "HTTP/1.0 without length": response(body=BODY, first="HTTP/1.0 200 OK"),
    "HTTP/1.0 chunked": response(TE, body=CHUNKS + END, first="HTTP/1.0 200 OK"),
    "HTTP/1.0 that keeps alive": response(
        "Connection: keep-alive", f"Content-Length: {len(BODY)}", body=BODY, first="HTTP/1.0 200 OK"
    ),
    "no reason phrase": response(body=BODY, first="HTTP/1.1 200"),
    "close twice": response("Connection: close, Close", "Connection: close", body=BODY),
    "an upgrade that is offered": response("Connection: Upgrade", "Upgrade: h2c", body=BODY),
    "an empty Connection": response("Connection:", TE, body=CHUNKS + END),
    "no last chunk": response(TE, body=CHUNKS),
    "half a last chunk": response(TE, body=CHUNKS + b"0\r"),
    "rubbish after the marker": response(TE, body=CHUNKS + b"rubbish\r\n"),
    "chunk lines without a CR": response(
        TE, body=b"".join(b"%x\n%b\n" % (len(each), each) for each in ANSWER) + b"0\n\n"
    ),
    "trailers": response(TE, "Trailer: X-T", body=CHUNKS + b"0\r\nX-T: 1\r\n\r\n"),
    "a trailer of rubbish": response(TE, body=CHUNKS + b"0\r\nrubbish\r\n\r\n"),
    "100 and 103": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    + response(TE, body=CHUNKS + END),
    "102 without end": b"HTTP/1.1 102 Processing\r\n\r\n" * 50 + response(TE, body=CHUNKS + END),
    "folded header": response("X-A: b", " c", TE, body=CHUNKS + END),
    "bytes beyond ASCII": response("X-A: caf\u00e9", TE, body=CHUNKS + END),
    "blanks before a colon": response("Server : x", TE, body=CHUNKS + END),
    "gzip": response("Content-Encoding: gzip", body=gzip.compress(BODY)),
    "gzip as a transfer coding": response(
        "Transfer-Encoding: gzip, chunked", body=http_chunk(gzip.compress(BODY)) + END
    ),
    "deflate": response("Content-Encoding: deflate", body=zlib.compress(BODY)),
    "br that was unpacked": response("Content-Encoding: br", body=BODY),
    "gzip that was unpacked": response("Content-Encoding: gzip", TE, body=CHUNKS + END),
}


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_that_can_be_read(stream: Stream, server: FaultServer, name: str) -> None:
    def play(conn: Conn) -> None:
        conn.send(WHOLE[name])
        conn.fin()

    url = server.script("wire", play)
    run = stream(*MODEL, "--base-url", url, "hi")
    assert (run.returncode, run.stderr) == (0, "")
    assert "".join(each["text"] for each in run.records if each["type"] == "delta") == "Hello world"
    assert run.records[-1]["complete"] is True


# (response, exit, kind, text that is kept, a piece of the message)
BROKEN: dict[str, tuple[bytes, int, str, str, str]] = {
    "a length that is too small": (
        response(f"Content-Length: {SHORT}", body=BODY), 18, "truncated", "Hello world", "ended"
    ),
    "closed inside the length": (
        response("Content-Length: 9999", body=BODY[:SHORT]),
        18, "truncated", "Hello world", "closed",
    ),
    "closed between chunks": (
        response(TE, body=b"".join(map(http_chunk, ANSWER[:3]))), 18, "truncated", "Hello world", ""
    ),
    "rubbish for a chunk": (
        response(TE, body=b"".join(map(http_chunk, ANSWER[:3])) + b"zz\r\n"),
        18, "truncated", "Hello world", "zz",
    ),
    "lengths that differ": (
        response("Content-Length: 5", "Content-Length: 6", body=BODY), 8, "bad_http", "", "Length"
    ),
    "a length that is no number": (
        response("Content-Length: five", body=BODY), 8, "bad_http", "", "Content-Length"
    ),
    "a header of rubbish": (
        response("rubbish", TE, body=CHUNKS + END), 8, "bad_http", "", "header line: rubbish"
    ),
    "a status of rubbish": (
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 8, "bad_http", "", "status line: SSH-2.0-OpenSSH_9.2"
    ),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x16\n\n", 8, "bad_http", "", "it expects TLS"),
    "HTTP/0.9": (BODY, 8, "bad_http", "", "HTTP/1.1"),
    "only 1xx": (b"HTTP/1.1 100 Continue\r\n\r\n", 7, "lost", "", "closed the connection"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Ty", 7, "lost", "", "closed the connection"),
    "nothing": (b"", 7, "lost", "", "closed the connection"),
    "no content": (
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 8, "not_a_stream", "", "empty"
    ),
    "br": (
        response("Content-Encoding: br", body=b"\x8b\x02\x80xyz\x03"), 8, "bad_http", "", "(br)"
    ),
    "zstd": (
        response("Content-Encoding: zstd", body=b"\x28\xb5\x2f\xfd\x04\x00"),
        8, "bad_http", "", "(zstd)",
    ),
    "br as a transfer coding": (
        response("Transfer-Encoding: br, chunked", body=http_chunk(b"\x8b\x02\x80xyz\x03") + END),
        8, "bad_http", "", "(br)",
    ),
    "gzip that is none": (
        response("Content-Encoding: gzip", body=b"\x00rubbish"), 8, "bad_http", "", "not the gzip"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_response_that_is_broken(stream: Stream, server: FaultServer, name: str) -> None:
    data, code, kind, text, why = BROKEN[name]

    def play(conn: Conn) -> None:
        conn.send(data)
        conn.fin()

    run = stream(*MODEL, "--base-url", server.script("wire", play), "hi")
    end = run.records[-1]
    assert (run.returncode, end["error"]["kind"]) == (code, kind), run.stderr
    assert "".join(each["text"] for each in run.records if each["type"] == "delta") == text
    assert why in run.stderr
    assert "b'" not in run.stderr
    assert "bytearray" not in run.stderr


@pytest.mark.parametrize("more", [b"]}", b"\r\n", b"data: more\n\n", b"HTTP/1.1 500 No\r\n\r\n"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_bytes_behind_an_answer_are_not_the_next_one(
    stream: Stream, server: FaultServer, framing: str, more: bytes
) -> None:
    """A length counted in characters leaves bytes behind, which no later prompt may get."""
    if framing == "length":
        data = response(f"Content-Length: {len(BODY)}", body=BODY)
    else:
        data = response(TE, body=CHUNKS + END)

    def play(conn: Conn) -> None:
        conn.send(data + more)
        conn.whole = True

    url = server.script("wire", play)
    run = stream(
        "-m", "vllm:m", "--max-retries", "0", "--base-url", url, "-L", "-j1", stdin=b"a\nb\nc\n"
    )
    assert (run.returncode, run.text, run.stderr) == (0, "Hello world\n" * 3, "")


def test_an_error_that_is_compressed(stream: Stream, server: FaultServer) -> None:
    body = gzip.compress(b'{"error":{"message":"no such model"}}')

    def play(conn: Conn) -> None:
        conn.reply(404, body, content_encoding="gzip")

    run = stream(*MODEL, "--base-url", server.script("wire", play), "hi")
    assert run.returncode == 22
    assert "no such model" in run.stderr


def test_a_compressed_answer_that_is_cut(stream: Stream, server: FaultServer) -> None:
    def play(conn: Conn) -> None:
        conn.send(response("Content-Encoding: gzip", body=gzip.compress(BODY)[:-30]))
        conn.fin()

    run = stream(*MODEL, "--base-url", server.script("wire", play), "hi")
    assert (run.returncode, run.records[-1]["complete"]) == (18, False)
