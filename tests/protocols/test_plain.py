"""Plain text, as server-sent events and as it is: what an answer says, and how it may end."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from conftest import Stream
from faultserver import Conn, FaultServer
from splits import bytewise, decode, every_two, merged, sampled, whole

from streamcli.events import Event, Failed, Finished, Progress, Text
from streamcli.protocols._contract import decoder_for, get
from streamcli.protocols._detect import AutoDecoder
from streamcli.request import Target

SSE = "sse-text"
EOF = Finished(None, None, ("eof",))
MARKER = Finished(None, None, ("marker",))
LOST = Failed("lost", "the connection was lost", transient=True)


def yielded(*chunks: str) -> bytes:
    """What `yield f"data: {chunk}\\n\\n"` writes."""
    return "".join(f"data: {chunk}\n\n" for chunk in chunks).encode()


def events(data: bytes, name: str = SSE) -> list[Event]:
    """The events of these bytes, the same however they are cut."""
    found = decode(get(name).Decoder(), whole(data))
    for pieces in (bytewise(data), *every_two(data), *sampled(data, 5)):
        got = decode(get(name).Decoder(), pieces)
        assert (merged(got) if name == "text" else got) == found
    return found


def text_of(found: list[Event]) -> str:
    return "".join(event.text for event in found if isinstance(event, Text))


def broken_off(data: bytes, name: str = SSE) -> tuple[str, Failed | Finished]:
    """(text, end) where the transport breaks behind these bytes."""
    decoder = get(name).Decoder()
    *found, end = decoder.feed(data) + decoder.close(LOST)
    assert isinstance(end, Failed | Finished)
    return text_of(found), end


# ---- server-sent events -------------------------------------------------------------------------


def test_each_event_is_a_delta() -> None:
    data = yielded("Once", " upon", "  a time", "", '{"error": "no"}', "null", "42")
    assert events(data) == [
        Text("Once"),
        Text(" upon"),
        Text("  a time"),
        Text('{"error": "no"}'),
        Text("null"),
        Text("42"),
        EOF,
    ]


def test_at_most_one_blank_is_taken_off() -> None:
    assert text_of(events(b"data:a\n\ndata: b\n\ndata:  c\n\ndata:\td \n\n")) == "ab c\td "


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(end: bytes) -> None:
    data = b"data: one\ndata:  two\n\n: ping\n\nid: 7\nevent: x\nretry: 5\ndata: three\n\n"
    assert text_of(events(data.replace(b"\n", end))) == "one\n twothree"


def test_characters_at_every_split() -> None:
    text = "Ünïcödé 😀 \u2028\u0085 你好 👩‍👩‍👧"
    assert text_of(events(b"\xef\xbb\xbf" + yielded(text))) == text


PIECES = ("a", "\n", "\n\n", "\n\n\n", "b\nc", "\n d", "e\n", "f\n\ng", "\n\nh\n\n", "", " ", "dat")


def test_line_breaks_in_chunks_are_recovered() -> None:
    """What the naive server sends is undone exactly, wherever its text has line breaks."""
    for chunks in itertools.product(PIECES, repeat=2):
        data = yielded(*chunks, "z")
        assert text_of(decode(get(SSE).Decoder(), whole(data))) == "".join(chunks) + "z", chunks
        assert text_of(decode(get(SSE).Decoder(), bytewise(data))) == "".join(chunks) + "z"
    story = ("def f():\n", "    return {\n", "}\n", "\n\n", "# data\n", "error: none\n", "{}")
    assert text_of(events(yielded(*story))) == "".join(story)


RAW = Target("agenticraft", SSE, "http://h:1", quirks={"unescaped": True})
FIELDS = (
    "id: 7\n",
    ": a note\n",
    "event: error\n",
    "data: x\n",
    "retry: 5",
    "\nid",
    "{}",
    "",
    "\n\n",
)


def raw_events(data: bytes) -> list[Event]:
    """Return the events of a server that writes chunks as they are, at every split."""
    found = decode(decoder_for(get(SSE), RAW, 1 << 20), whole(data))
    for pieces in (bytewise(data), *every_two(data), *sampled(data, 5)):
        again = decode(decoder_for(get(SSE), RAW, 1 << 20), pieces)
        assert (text_of(again), again[-1]) == (text_of(found), found[-1])
    return found


def test_lines_that_look_like_fields_are_text_of_a_server_that_writes_chunks_as_they_are() -> None:
    for chunks in itertools.product(PIECES + FIELDS, repeat=2):
        data = yielded("I say:\n", *chunks, "z")
        for pieces in (whole(data), bytewise(data)):
            got = decode(decoder_for(get(SSE), RAW, 1 << 20), pieces)
            assert text_of(got) == "".join(("I say:\n", *chunks, "z")), chunks
            assert got[-1] == EOF
    story = ("Once\n", "id: 7\n: a note", "\nevent: error\ndata: no\n", "\r\n", "ü\n\n\n", "end\n")
    assert text_of(raw_events(yielded(*story))) == "".join(story)
    assert text_of(raw_events(b"\xef\xbb\xbf\n" + yielded("a", "b"))) == "ab"


def test_the_end_of_a_server_that_writes_chunks_as_they_are() -> None:
    assert raw_events(yielded("a", "[DONE]"))[-1] == MARKER
    assert text_of(raw_events(yielded("a", "[DONE]", "\n", "b"))) == "a[DONE]\nb"
    assert text_of(raw_events(yielded("a", "[DONE]\n\nb"))) == "a[DONE]\n\nb"
    assert raw_events(yielded("a") + b"data: b") == [Text("a"), Text("b"), EOF]
    assert text_of(raw_events(yielded("a") + b"dat")) == "a"
    assert text_of(raw_events(yielded("a") + b"done")) == "a\n\ndone"
    for body in (b"", b"\n\n", b"hello\n\n", b"<html>", b'{"detail":"no"}', b": ping\n\n"):
        end = raw_events(body)[-1]
        assert isinstance(end, Failed)
        assert end.kind in ("not_a_stream", "truncated"), body
    decoder = decoder_for(get(SSE), RAW, 100)
    (end,) = decoder.feed(b"data: " + b"x" * 200)
    assert isinstance(end, Failed)
    assert end.kind == "too_large"


def test_the_row_says_how_recorded_bytes_are_read(stream: Stream) -> None:
    data = yielded("one", "\nid: 7\n", "two")
    for option in ("--decode=sse-text", "--decode"):
        assert stream(option, "-p", "agenticraft", stdin=data).text == "one\nid: 7\ntwo"
        assert "id: 7" not in stream(option, stdin=data).text


def test_a_line_that_reads_as_a_field_cannot_be_told_from_one() -> None:
    assert text_of(events(yielded("a\ndata: b", "c\n: d\nid: e\nf"))) == "a\nbc\nf"


def test_blank_lines_around_comments_are_no_text() -> None:
    data = b"\n\n: hi\n\n\n" + yielded("a") + b": ping\n\n\n\n" + yielded("b") + b"retry: 1\n\n\n"
    assert text_of(events(data)) == "ab"
    assert text_of(events(yielded("a") + b": ping\n\nnobody's\n\n" + yielded("b"))) == "ab"


def test_the_last_event_needs_no_blank_line() -> None:
    assert events(yielded("a") + b"data: b") == [Text("a"), Text("b"), EOF]
    assert events(yielded("a") + b"data: b\nc\n") == [Text("a"), Text("b\nc"), EOF]


def test_a_marker_is_one_only_at_the_end() -> None:
    assert events(yielded("a", "[DONE]")) == [Text("a"), Progress(), MARKER]
    assert events(yielded("a", "[DONE]", "", "\n")) == [Text("a"), Progress(), MARKER]
    assert text_of(events(yielded("a", "[DONE]", " is a marker"))) == "a[DONE] is a marker"
    assert (
        text_of(events(yielded("[DONE]", "\n\n", "[DONE]", "!", "[DONE]"))) == "[DONE]\n\n[DONE]!"
    )
    assert (
        text_of(events(yielded("a", " [DONE]", "[DONE].", "x[DONE]"))) == "a [DONE][DONE].x[DONE]"
    )


def test_only_a_marker_behind_text_is_worth_no_wait() -> None:
    decoder = get(SSE).Decoder()
    decoder.feed(yielded("a"))
    assert not decoder.ending
    decoder.feed(yielded("[DONE]"))
    assert decoder.ending
    decoder.feed(yielded("b"))
    assert not decoder.ending


def test_a_broken_transport_is_truncated() -> None:
    data = yielded("Once", " upon\n")
    for cut in range(len(data) + 1):
        text, end = broken_off(data[:cut])
        assert isinstance(end, Failed)
        assert "Once upon\n".startswith(text), cut
        assert (end.status, end.evidence) == (
            ("truncated", ("transport_error",)) if cut > len("data:") else ("network", ())
        )
    assert broken_off(yielded("é")[:-3]) == ("", broken_off(b"data: x")[1])
    assert broken_off(yielded("a") + b"even") == ("a", broken_off(b"data: x")[1])
    assert broken_off(yielded("a", "[DONE]")) == ("a", MARKER)


def test_half_a_character_at_the_end_is_a_cut() -> None:
    *kept, end = events(yielded("a", "bé")[:-3])
    assert text_of(kept) == "ab"
    assert isinstance(end, Failed)
    assert (end.kind, end.evidence) == ("truncated", ("eof",))


def test_bytes_that_are_no_utf_8_end_the_answer() -> None:
    for bad in (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xc3"):
        *kept, end = events(yielded("a") + b"data: b" + bad + b"c\n\n" + yielded("d"))
        assert text_of(kept) == "ab"
        assert isinstance(end, Failed)
        assert end.status == "malformed"
        assert f"{bad[0]:#x}" in end.message


def test_an_event_named_error_is_one() -> None:
    *kept, end = events(yielded("a") + b"event: error\ndata: out of memory\n\n" + yielded("b"))
    assert text_of(kept) == "a"
    assert isinstance(end, Failed)
    assert (end.status, end.message) == ("provider", "out of memory")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"\r\n\r\n", "empty"),
        (b"<!doctype html><title>Sign in</title>", "web page (HTML), not a stream: Sign in"),
        (b"<html>", "the answer is a web page (HTML), not a stream"),
        (b'{"detail": "no agent"}', 'the answer is JSON, but no text as server-sent events: {"det'),
        (b'{"a": 1}\n{"a": 2}\n', "the answer is JSON"),
        (b"Internal Server Error", "not a stream: Internal Server Error"),
        (yielded("[DONE]"), "the stream ended and held no text"),
        (b": ping\n\n", "the stream ended and held no text"),
    ],
)
def test_what_is_no_stream(body: bytes, says: str) -> None:
    *rest, end = events(body)
    assert text_of(rest) == ""
    assert isinstance(end, Failed)
    assert end.status == "malformed"
    assert says in end.message
    assert not end.message.endswith(": ")


def test_an_answer_of_nothing_is_one() -> None:
    assert events(yielded("")) == [EOF]


def test_an_event_that_is_too_large() -> None:
    for big in (b"data: " + b"x" * 200, b"data: " + b"x\n" * 100, b"data: " + b"x" * 200 + b"\n\n"):
        for pieces in (whole(yielded("a") + big), bytewise(yielded("a") + big)):
            decoder = get(SSE).Decoder(100)
            (*_, end) = decode(decoder, pieces)
            assert isinstance(end, Failed)
            assert end.kind == "too_large"
    many = yielded(*["x" * 60] * 9)
    assert decode(get(SSE).Decoder(100), whole(many))[-1] == EOF


# ---- plain text ---------------------------------------------------------------------------------


def test_bytes_are_the_answer() -> None:
    for text in ("Hi", "\n", ' {"a"}\r\n', "data: x\n\n", "<html>", "[DONE]", "é😀\u2028"):
        assert events(text.encode(), "text") == [Text(text), EOF]
    assert events(b"\xef\xbb\xbfa\xef\xbb\xbf", "text") == [Text("a\ufeff"), EOF]


def test_plain_text_is_not_late() -> None:
    decoder = get("text").Decoder()
    assert decoder.feed("aé".encode()[:2]) == [Text("a")]
    assert decoder.feed("é".encode()[1:] + b"b") == [Text("éb")]


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xe0\x80"])
def test_plain_text_that_is_no_utf_8(bad: bytes) -> None:
    *kept, end = events(b"caf\xc3\xa9" + bad + b"more", "text")
    assert text_of(kept) == "café"
    assert isinstance(end, Failed)
    assert end.status == "malformed"


def test_how_plain_text_ends() -> None:
    (end,) = events(b"", "text")
    assert isinstance(end, Failed)
    assert (end.status, end.message) == ("malformed", "the answer is empty")
    for half in ("é".encode()[:1], "a😀".encode()[:-1], b"\xef", b"\xef\xbb"):
        (*_, end) = events(half, "text")
        assert isinstance(end, Failed)
        assert (end.status, end.evidence) == ("truncated", ("eof",))
    text, end = broken_off(b"Once up", "text")
    assert isinstance(end, Failed)
    assert (text, end.status, end.evidence) == ("Once up", "truncated", ("transport_error",))
    assert broken_off(b"", "text") == ("", LOST)


# ---- --decode -----------------------------------------------------------------------------------


def test_decode_by_name(stream: Stream) -> None:
    run = stream("--decode=sse-text", stdin=yielded("Once", " upon\n"))
    assert (run.returncode, run.text) == (0, "Once upon\n")
    run = stream("--decode=text", stdin=b"data: as it is\n\n")
    assert (run.returncode, run.text) == (0, "data: as it is\n\n")
    (end,) = stream("--decode=sse-text", "--json", stdin=yielded("a")).records
    assert (end["status"], end["evidence"], end["finish_reason"]) == ("complete", ["eof"], None)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (yielded("Once", " upon"), SSE),
        (yielded("", "42", " is it"), SSE),
        (yielded("[1]", " is a source"), SSE),
        (b": hello\n\ndata: Once", SSE),
        (b"Once upon a time\n", "openai-chat"),
        (b"Internal Server Error", "openai-chat"),
        (b"<html>", "openai-chat"),
        (b'{"a": 1}\nOnce\n', "openai-chat"),
        (b'data: {"id": "x", "cho', "openai-chat"),
        (b"data: {oops}\n\n", "openai-chat"),
        (b"data: [DONE]\n\n", "openai-chat"),
        (b"event: error\ndata: no\n\n", "openai-chat"),
        (b'{"error": "no"}', "openai-chat"),
    ],
)
def test_what_is_taken_for_text(body: bytes, name: str) -> None:
    for pieces in (whole(body), bytewise(body)):
        decoder = AutoDecoder()
        *_, end = decode(decoder, pieces)
        assert decoder.name == name
        assert isinstance(end, Finished if name == SSE else Failed)


# ---- by the command -----------------------------------------------------------------------------


def story(conn: Conn) -> None:
    conn.head()
    for chunk in ("Once", " upon", " a time.", "\n\n", "<think>"):
        conn.chunk(yielded(chunk))
    if conn.request.path.endswith("cut"):
        conn.fin()
    elif conn.request.path.endswith("holds"):
        conn.chunk(yielded("[DONE]"))
        conn.wait_peer_closed(60)
    else:
        conn.end()


def test_agenticraft(server: FaultServer, stream: Stream) -> None:
    env = {"AGENTICRAFT_BASE_URL": server.script("agent", story)}
    args = ("-p", "agenticraft")
    run = stream(*args, "Tell me & mine", env=env)
    assert (run.returncode, run.text) == (0, "Once upon a time.\n\n<think>")
    request = server.requests[-1]
    assert request.method == "POST"
    assert request.path.endswith("/stream?prompt=Tell%20me%20%26%20mine")
    assert (request.body, request.headers["content-length"]) == (b"", "0")
    assert "authorization" not in request.headers
    usual = {**env, "STREAM_MODEL": "openai:gpt-5-mini"}  # another provider's: it needs none
    (end,) = stream(*args, "--json", "hi", env=usual).records
    assert (end["status"], end["provider"], end["protocol"]) == ("complete", "agenticraft", SSE)
    assert (end["evidence"], end["model"]) == (["eof"], None)

    run = stream(*args, "cut", env=env)
    assert (run.returncode, run.text) == (18, "Once upon a time.\n\n<think>")
    (end,) = stream(*args, "--json", "cut", env=env).records
    assert (end["status"], end["evidence"]) == ("truncated", ["transport_error"])
    (end,) = stream(*args, "--json", "--idle-timeout", "3", "holds", env=env).records
    assert (end["status"], end["evidence"]) == ("complete", ["marker"])


@pytest.mark.parametrize("kind", ["idle_timeout", "total_timeout"])
@pytest.mark.parametrize("name", [SSE, "text"])
def test_an_answer_that_we_stopped_waiting_for_is_a_timeout(name: str, kind: str) -> None:
    decoder = get(name).Decoder()
    assert decoder.feed(yielded("Once")) != []
    waited = Failed(kind, "nothing came")
    assert decoder.close(waited)[-1] is waited


def test_the_wait_behind_a_marker_is_that_behind_a_reason() -> None:
    decoder = get(SSE).Decoder()
    assert decoder.feed(yielded("a", "[DONE]"))
    assert decoder.ending
    assert decoder.close(Failed("idle_timeout", "nothing came")) == [MARKER]


def test_it_says_what_the_guide_has_no_place_for(
    server: FaultServer, stream: Stream, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    env = {"AGENTICRAFT_BASE_URL": server.script("agent", story)}
    for given, says in (
        (("-s", "Be brief."), "a system prompt (--system): agenticraft's template has no {system}"),
        (("--temperature", "0"), "a temperature"),
        (("-m", "agenticraft:gpt"), "the name of a model: agenticraft takes none"),
        (("-a", "notes.txt"), "notes.txt: -f puts the text of a file into the prompt"),
    ):
        run = stream("-p", "agenticraft", *given, "hi", env=env)
        assert run.returncode == 2
        assert says in run.stderr, run.stderr
    assert not server.requests
    assert stream("-p", "agenticraft", "-o", "top_k=4", "hi", env=env).returncode == 0
    assert server.requests[-1].path.endswith("/stream?prompt=hi&top_k=4")


def test_check_and_list_models(server: FaultServer, stream: Stream) -> None:
    env = {"AGENTICRAFT_BASE_URL": server.script("agent", story)}
    run = stream("--check=agenticraft", env=env)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.text.startswith("agenticraft: its model answers")
    run = stream("--list-models", "-p", "agenticraft", env=env)
    assert run.returncode == 2
    assert "agenticraft does not list models" in run.stderr


def test_thoughts_are_split_out_of_text_too(stream: Stream) -> None:
    run = stream("--decode=text", "--jsonl", stdin=b"<think>hm</think>Yes")
    deltas = [(r["channel"], r["text"]) for r in run.records if r["type"] == "delta"]
    assert deltas == [("reasoning", "hm"), ("text", "Yes")]


def test_a_refusal_names_what_to_look_at() -> None:
    body = b'{"detail":[{"type":"missing","loc":["query","prompt"],"msg":"Field required"}]}'
    failed = get(SSE).refusal(422, {}, body)
    assert (failed.status, failed.message) == ("rejected", "HTTP 422: prompt: Field required")
    assert "path, method, query and body" in failed.hint
    assert get("text").refusal(401, {}, b"").status == "auth"
