"""Honcho: recordings, what questions look like, what is written around them, how answers end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Stream
from faultserver import FaultServer
from honcho_guide import (
    ANSWER,
    ASSISTANT,
    DONE,
    NAME,
    QUESTION,
    SESSION,
    TASTES,
    USER,
    by_hand,
    send,
)
from honchoserver import HonchoServer
from recordings import check_recording, recordings
from splits import decode, some_two, whole

from streamcli.errors import StreamError
from streamcli.events import Event, Failed, Text, Usage
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols import honcho
from streamcli.protocols._contract import get
from streamcli.protocols._detect import protocol_of
from streamcli.request import HttpRequest, Target

HI = Message("user", "who?")


@pytest.fixture
def running() -> Iterator[HonchoServer]:
    with HonchoServer() as server:
        yield server


# Recordings


@pytest.mark.parametrize("path", recordings(NAME))
def test_recording(path: Path) -> None:
    *_, end = check_recording(NAME, path, lambda raw: Usage())
    assert end == DONE


@pytest.mark.parametrize("path", recordings(NAME))
def test_a_cut_recording_is_truncated(path: Path) -> None:
    meta = json.loads(path.read_text())
    data = (path.parent / meta["file"]).read_bytes().rstrip(b"\n")
    last = data.rfind(b"\n") + 1
    for cut in (data.find(b"\n\n") + 2, last // 2, last, last + 8, len(data) - 1):
        *_, end = decode(get(NAME).Decoder(), whole(data[:cut]))
        assert isinstance(end, Failed), cut
        assert (end.status, end.hint) == ("truncated", "try again"), cut


# What a question says


def asked(
    chat: ChatRequest, base: str = "http://h:8000", **quirks: Any
) -> tuple[str, dict[str, Any]]:
    request = honcho.request(chat, Target("honcho", NAME, base, **quirks))
    assert request.method == "POST"
    return request.url, json.loads(request.body)


def chat(*messages: Message, peer: str = "alice", **more: Any) -> ChatRequest:
    options = {"peer": peer, **more.pop("options", {})}
    return ChatRequest("", list(messages or [HI]), options=options, **more)


def test_the_plain_question() -> None:
    url = "http://h:8000/v3/workspaces/default/peers/alice/chat"
    assert asked(chat()) == (url, {"query": "who?", "stream": True})
    assert asked(chat(stream=False))[1] == {"query": "who?", "stream": False}


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h:1/", "http://h:1/v3/workspaces/default/peers/alice/chat"),
        ("http://h:1/v3", "http://h:1/v3/workspaces/default/peers/alice/chat"),
        ("http://h:1/v3/", "http://h:1/v3/workspaces/default/peers/alice/chat"),
        ("https://h/x/v3/workspaces/w", "https://h/x/v3/workspaces/default/peers/alice/chat"),
        ("https://h/v3?k=v", "https://h/v3/workspaces/default/peers/alice/chat?k=v"),
        ("https://v3.h", "https://v3.h/v3/workspaces/default/peers/alice/chat"),
    ],
)
def test_addresses(base: str, url: str) -> None:
    assert asked(chat(), base)[0] == url


def test_headers() -> None:
    target = Target("honcho", NAME, "http://h", key="sk", headers=(("X-A", "1"),))
    headers = honcho.request(chat(), target).headers
    assert headers[-2:] == [("Authorization", "Bearer sk"), ("X-A", "1")]
    assert ("Accept", "text/event-stream") in headers
    target = Target("honcho", NAME, "http://h")
    headers = honcho.request(chat(stream=False), target).headers
    assert headers[1:] == [("Accept", "application/json")]


def test_who_and_where() -> None:
    """The peer may stand where others have a model; -o is stronger than all else."""
    assert "/peers/bob/" in asked(ChatRequest("bob", [HI]))[0]
    assert "/peers/alice/" in asked(ChatRequest("bob", [HI], options={"peer": "alice"}))[0]
    assert "/peers/7/" in asked(chat(options={"peer": 7}))[0]
    assert "/workspaces/w/" in asked(chat(), workspace="w")[0]
    assert "/workspaces/v/" in asked(chat(options={"workspace": "v"}), workspace="w")[0]
    assert asked(chat(), session="s")[1]["session_id"] == "s"
    assert asked(chat(options={"session_id": 5}), session="s")[1]["session_id"] == "5"
    assert asked(chat(options={"target": "bob"}))[1]["target"] == "bob"


@pytest.mark.parametrize(
    ("effort", "level"),
    [("none", "minimal"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("max", "max")],
)
def test_thinking(effort: str, level: str) -> None:
    assert asked(chat(think=effort))[1]["reasoning_level"] == level
    options = {"reasoning_level": "minimal"}
    assert asked(chat(think=effort, options=options))[1]["reasoning_level"] == "minimal"


def test_fields_of_its_own_pass_and_steering_does_not() -> None:
    fields = {
        "scope": ["a", "b"],
        "filters": {"session_id": {"in": ["s", "t"]}},
        "include_evidence": True,
        "semantic_query": "tea",
    }
    steering = {"workspace": "w", "add": "f.jsonl", "store": "bot"}
    schema = {"type": "object", "properties": {"x": {"type": "string"}}}
    body = asked(chat(schema=schema, options={**fields, **steering}), session="s")[1]
    question = {"query": "who?", "stream": True, "session_id": "s", "response_format": schema}
    assert body == {**question, **fields}


def test_the_question_is_the_last_thing_the_user_said() -> None:
    said = (Message("user", "hi"), Message("assistant", "yes?"), HI)
    assert asked(chat(*said))[1]["query"] == "who?"
    assert asked(chat(Message("user", "é" * 10_000)))[1]["query"] == "é" * 10_000


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"system": "s"}, "a system prompt"),
        ({"temperature": 0.0}, "a temperature"),
        ({"top_p": 0.5}, "--top-p"),
        ({"max_tokens": 7}, "--max-tokens"),
        ({"stop": ("END",)}, "stop sequences"),
        ({"seed": 0}, "a seed"),
        ({"frequency_penalty": 0.0}, "a frequency penalty"),
        ({"presence_penalty": 0.0}, "a presence penalty"),
        ({"prefill": "Once"}, "a beginning of the answer"),
        ({"tools": (Tool("look", "", {}),)}, "tools"),
        ({"tool_choice": "none"}, "a choice of tools"),
    ],
)
def test_what_it_cannot_say_is_told_before(more: dict[str, Any], what: str) -> None:
    with pytest.raises(StreamError, match=f"honcho cannot carry .*{what}") as raised:
        asked(chat(**more))
    assert raised.value.kind == "usage"


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (Message("user", ""), "an empty question"),
        (Message("assistant", "hi"), "an empty question"),
        (Message("user", "x" * 10_001), "a question of 10001 characters"),
        (Message("user", "x", attachments=(Attachment("a.txt", "text/plain", b"x"),)), "a.txt"),
    ],
)
def test_questions_it_cannot_take(message: Message, what: str) -> None:
    with pytest.raises(StreamError, match=f"honcho cannot carry {what}"):
        asked(chat(message))


def test_without_a_peer_the_command_that_works_is_told() -> None:
    with pytest.raises(StreamError, match="no peer for honcho") as raised:
        asked(ChatRequest("", [HI]))
    assert (raised.value.kind, raised.value.hint) == (
        "usage",
        'stream -p honcho -o peer=NAME "..."',
    )


BAD = ("", "a b", "é", "a/b", "..", "a\n", "x" * 513, True, None, 1.5, ["a"])


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("option", ["peer", "target", "workspace", "store", "session_id"])
def test_a_name_that_is_none_is_told_with_its_option(option: str, name: Any) -> None:
    with pytest.raises(StreamError, match=f"(?s)-o {option}=.*that is not a name") as raised:
        asked(chat(options={option: name}), session="s")
    assert raised.value.kind == "usage"
    assert len(raised.value.message) < 150


def test_names_from_elsewhere_are_told_with_where_they_are_from() -> None:
    with pytest.raises(StreamError, match="--session a b: that is not a name"):
        asked(chat(), session="a b")
    with pytest.raises(StreamError, match="HONCHO_WORKSPACE_ID=a b: that is not a name"):
        asked(chat(), workspace="a b")
    with pytest.raises(StreamError, match="-m honcho:a b: that is not a name"):
        asked(ChatRequest("a b", [HI]))
    assert asked(chat(peer="x" * 512))


# What is written around it


def sent(requests: list[HttpRequest]) -> list[tuple[str, Any]]:
    base = "http://h/v3/workspaces"
    assert all(request.url.startswith(base) and request.method == "POST" for request in requests)
    return [(request.url.removeprefix(base), json.loads(request.body)) for request in requests]


def place(session: str | None = "s") -> Target:
    return Target("honcho", NAME, "http://h", key="sk", session=session)


def test_a_question_alone_writes_nothing() -> None:
    assert honcho.before(chat(), place(None), []) == []
    assert honcho.before(chat(options={"session_id": "s"}), place(None), []) == []
    assert honcho.after(chat(), place(), "an answer") == []


def test_a_session_is_made_if_it_is_not_there() -> None:
    assert sent(honcho.before(chat(), place(), [])) == [
        ("", {"id": "default"}),
        ("/default/peers", {"id": "alice"}),
        ("/default/sessions", {"id": "s", "peers": {"alice": {}}}),
    ]


def test_before() -> None:
    messages = honcho.messages_of(
        b'{"peer_id":"alice","content":"I like tea."}\n'
        b'{"peer_id":"carol","content":"Me too.","metadata":{"n":1}}\n'
        b'{"peer_id":"alice","content":"Green."}\n',
        "f",
    )
    steps = honcho.before(chat(options={"add": "f", "store": "bot"}), place(), messages)
    assert sent(steps) == [
        ("", {"id": "default"}),
        ("/default/peers", {"id": "alice"}),
        ("/default/peers", {"id": "carol"}),
        ("/default/peers", {"id": "bot"}),
        ("/default/sessions", {"id": "s", "peers": {"alice": {}, "carol": {}, "bot": {}}}),
        ("/default/sessions/s/messages", {"messages": messages}),
    ]
    assert all(("Authorization", "Bearer sk") in step.headers for step in steps)
    assert all(("Accept", "application/json") in step.headers for step in steps)


def test_messages_go_in_batches() -> None:
    messages = [{"content": str(number), "peer_id": "alice"} for number in range(201)]
    for count, sizes in ((0, []), (1, [1]), (100, [100]), (101, [100, 1]), (201, [100, 100, 1])):
        steps = sent(honcho.before(chat(options={"add": "f"}), place(), messages[:count]))
        assert [path for path, _ in steps[:3]] == ["", "/default/peers", "/default/sessions"]
        assert [len(body["messages"]) for _, body in steps[3:]] == sizes
        told = [message for _, body in steps[3:] for message in body["messages"]]
        assert told == messages[:count]


def test_after() -> None:
    storing = chat(options={"store": "bot"})
    assert honcho.after(storing, place(), "") == []
    ((path, body),) = sent(honcho.after(storing, place(), "Tea."))
    assert path == "/default/sessions/s/messages"
    assert body == {"messages": [{"content": "Tea.", "peer_id": "bot"}]}


def test_a_long_answer_is_stored_in_pieces_that_are_the_answer_again() -> None:
    storing = chat(options={"store": "bot"})
    text = "".join(chr(0x4E00 + number % 9000) for number in range(2_500_001))
    steps = sent(honcho.after(storing, place(), text))
    messages = [message for _, body in steps for message in body["messages"]]
    assert [len(body["messages"]) for _, body in steps] == [100, 1]
    assert max(len(message["content"]) for message in messages) == 25_000
    assert "".join(message["content"] for message in messages) == text
    ((_, body),) = sent(honcho.after(storing, place(), text[:25_000]))
    assert len(body["messages"]) == 1


@pytest.mark.parametrize("option", ["add", "store"])
def test_writing_needs_a_session(option: str) -> None:
    writing = chat(options={option: "x"})
    for do in (
        lambda: honcho.before(writing, place(None), []),
        lambda: honcho.after(writing, place(None), "Tea."),
        lambda: honcho.request(writing, place(None)),
    ):
        with pytest.raises(StreamError, match=f"-o {option}= needs a session") as raised:
            do()
        assert (raised.value.kind, raised.value.hint) == ("usage", "--session NAME")
    with pytest.raises(StreamError, match="needs a session"):
        honcho.before(chat(), place(None), [{"content": "x", "peer_id": "a"}])


def test_a_file_of_messages() -> None:
    data = (
        b'\xef\xbb\xbf{"peer_id":"alice","content":"\xc3\xa9\\u2028","created_at":"2026-01-01"}\r\n'
        b"\n  \n"
        b'{"peer":"bob","content":"","metadata":{"n":1},"configuration":null}\n'
        b'{"role":"user","content":"\\ud83d\\ude00"}'
    )
    assert honcho.messages_of(data, "f") == [
        {"peer_id": "alice", "content": "é\u2028", "created_at": "2026-01-01"},
        {"peer_id": "bob", "content": "", "metadata": {"n": 1}},
        {"peer_id": "user", "content": "😀"},
    ]
    assert honcho.messages_of(b"", "f") == honcho.messages_of(b"\n", "f") == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"hello", "no JSON"),
        (b'{"peer_id":"a","content":"\xff"}', "no JSON"),
        (b'{"peer_id":"a","content":"\\ud83d"}', "no JSON"),
        (b'{"peer_id":"a","content":"b"} {}', "no JSON"),
        (b'["a","b"]', "no message"),
        (b'"hello"', "no message"),
        (b'{"peer_id":"a"}', "no message"),
        (b'{"peer_id":"a","content":null}', "no message"),
        (b'{"content":"b"}', "by one peer"),
        (b'{"peer_id":"a","role":"user","content":"b"}', "by one peer"),
        (b'{"peer_id":"a b","content":"b"}', "peer_id a b: that is not a name"),
        (b'{"role":null,"content":"b"}', "not a name"),
        (b'{"peer_id":"a","content":"b","time":1,"zone":2}', "would drop 'time'"),
        (b'{"peer_id":"a","content":"%b"}' % (b"x" * 25_001), "25001 characters"),
    ],
)
def test_a_mistake_in_it_is_told_with_its_line(line: bytes, what: str) -> None:
    with pytest.raises(StreamError, match=f"^f.jsonl, line 3: .*{what}") as raised:
        honcho.messages_of(b'{"peer_id":"a","content":"b"}\n\n' + line + b"\n", "f.jsonl")
    assert raised.value.kind == "usage"


# What an answer says


def events(*values: object, head: str = "data: ", end: str = "\n\n") -> list[Event]:
    """Events of these, the same however the bytes are cut."""
    shown = [value if isinstance(value, str) else json.dumps(value) for value in values]
    data = "".join(head + value + end for value in shown).encode()
    found = decode(get(NAME).Decoder(), whole(data))
    for pieces in some_two(data):
        assert decode(get(NAME).Decoder(), pieces) == found
    return found


def delta(text: str | None, done: bool = False) -> dict[str, Any]:
    return {"delta": {"content": text}, "done": done}


def test_an_answer() -> None:
    assert events(delta("They like "), delta("tea."), {"done": True}) == [
        Text("They like "),
        Text("tea."),
        DONE,
    ]
    assert events({"done": True}) == [DONE]
    assert events(delta(None), delta(""), {"delta": {}, "done": False}, {"done": True}) == [DONE]
    assert events(delta("Tea.", done=True)) == [Text("Tea."), DONE]


def test_what_comes_with_the_end_is_no_text() -> None:
    evidence = {"conclusions": [{"content": "likes tea"}], "messages": [], "tool_calls": []}
    assert events(delta("Tea."), {"done": True, "evidence": evidence}) == [Text("Tea."), DONE]
    assert events({"content": "Tea.", "evidence": evidence}, head="", end="") == [
        Text("Tea."),
        DONE,
    ]


def test_answers_that_are_not_streamed() -> None:
    assert events({"content": "Tea.\n"}, head="", end="") == [Text("Tea.\n"), DONE]
    assert events({"content": None}, head="", end="") == [DONE]
    assert events({"content": "Tea."}, head="", end="\n") == [Text("Tea."), DONE]


def test_done_is_the_only_end() -> None:
    """[DONE], which some client of Honcho's knows too, says nothing; the official one says EOF."""
    assert events(delta("Tea."), "[DONE]", {"done": True}, "[DONE]") == [Text("Tea."), DONE]
    for more in ((), ("[DONE]",), (delta("", done=False),)):
        *kept, end = events(delta("Tea."), *more)
        assert kept == [Text("Tea.")]
        assert isinstance(end, Failed)
        assert (end.status, end.evidence) == ("truncated", ("eof",))
    data = json.dumps(delta("Tea."))
    *_, end = events(f'{data}\n\ndata: {{"done": tru', end="")
    assert isinstance(end, Failed)
    assert end.status == "truncated"
    assert events(delta("Tea."), {"done": True}, end="\n\n")[:-1] == [Text("Tea.")]
    assert events(f'{data}\n\ndata: {{"done": true}}', end="") == [Text("Tea."), DONE]


@pytest.mark.parametrize("body", [b"", b"\n\n", b": ping\n\n"])
def test_an_empty_answer_is_none_and_why_is_told(body: bytes) -> None:
    (end,) = decode(get(NAME).Decoder(), whole(body))
    assert isinstance(end, Failed)
    assert end.status in ("malformed", "truncated")
    assert "name what is there" in end.hint


def test_a_body_that_breaks_off() -> None:
    lost = Failed("lost", "the connection was lost", transient=True)
    (end,) = get(NAME).Decoder().close(lost)
    assert isinstance(end, Failed)
    assert (end.status, end.transient) == ("network", True)
    assert "name what is there" in end.hint
    decoder = get(NAME).Decoder()
    assert decoder.feed(b"data: " + json.dumps(delta("Tea.")).encode() + b"\n\n") == [Text("Tea.")]
    (end,) = decoder.close(Failed("lost", "the connection was lost", transient=True))
    assert isinstance(end, Failed)
    assert (end.status, end.hint) == ("truncated", "try again")


def test_an_error_wins_over_the_end_that_comes_with_it() -> None:
    for error in ("the model fell over", {"message": "the model fell over"}):
        *kept, end = events(delta("Tea."), {"error": error, "done": True}, {"done": True})
        assert kept == [Text("Tea.")]
        assert isinstance(end, Failed)
        assert (end.status, end.message) == ("provider", "the model fell over")
    (end,) = events({"error": "", "done": True})
    assert isinstance(end, Failed)
    assert end.status == "provider"
    assert events({"error": None, **delta("Tea.")}, {"error": None, "done": True})[-1] == DONE


def test_an_emoji_cut_in_two() -> None:
    assert events(delta("a\ud83d"), delta("\ude00b"), {"done": True})[:-1] == [
        Text("a"),
        Text("😀b"),
    ]
    assert events(delta("a\ud83d"), {"done": True})[:-1] == [Text("a"), Text("\ufffd")]


def test_text_that_looks_like_framing() -> None:
    text = '\n\ndata: {"done": true}\n\n[DONE]\r\u2028'
    assert events(delta(text), delta(text), {"done": True}) == [Text(text), Text(text), DONE]


def test_a_long_answer_is_the_same_in_large_reads() -> None:
    texts = [f"wörd {number} " for number in range(3000)]
    data = b"".join(b"data: %b\n\n" % json.dumps(delta(text)).encode() for text in texts)
    data += b'data: {"done": true}\n\n'
    for size in (1000, 4096, 65536, len(data)):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert decode(get(NAME).Decoder(), pieces) == [*map(Text, texts), DONE]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<html>login</html>", "not_a_stream"),
        ('{"object":"list","data":[]}', "not_a_stream"),
        ('{"detail":"Not Found"}', "stream_error"),
        ('{"content":["x"]}', "not_a_stream"),
        ("data: {oops}\n\n", "bad_json"),
    ],
)
def test_what_is_no_answer(body: str, kind: str) -> None:
    (end,) = events(body, head="", end="")
    assert isinstance(end, Failed)
    assert end.kind == kind
    assert "name what is there" not in end.hint


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (delta("x"), NAME),
        ({"done": True}, NAME),
        ({"done": True, "evidence": {}}, NAME),
        ({"content": None}, NAME),
        ({"content": "x", "evidence": None}, NAME),
        ({"content": "x", "role": "assistant"}, ""),
        ({"message": {"content": "x"}, "done": False}, "ollama"),
        ({"type": "message_delta", "delta": {}}, "anthropic"),
        ({}, ""),
    ],
)
def test_it_is_known_by_its_first_event(value: Any, name: str) -> None:
    assert protocol_of(value) == name


# Refusals


def refused(status: int, detail: Any) -> Failed:
    return honcho.refusal(status, {}, json.dumps({"detail": detail}).encode())


def test_refusals() -> None:
    failed = refused(401, "Invalid JWT")
    assert (failed.status, failed.message) == ("auth", "HTTP 401: Invalid JWT")
    assert "-o workspace=" in failed.hint
    failed = refused(404, "Session s not found in workspace default")
    assert (failed.status, "--session" in failed.hint) == ("rejected", True)
    failed = refused(404, "Not Found")
    assert (failed.status, "--base-url" in failed.hint) == ("rejected", True)
    assert "/v1" not in failed.hint
    for body in (b"<html>404</html>", b'{"error":{"message":"no route"}}', b"", b"[]"):
        assert "--base-url" in honcho.refusal(404, {}, body).hint, body
    failed = refused(500, "An unexpected error occurred")
    assert (failed.status, failed.transient) == ("provider", True)
    assert refused(422, "Invalid filter").message == "HTTP 422: Invalid filter"


def test_what_validation_found_is_told_with_its_field() -> None:
    errors = [
        {"loc": ["body", "messages", 3, "content"], "msg": "String should\nbe x", "type": "a"},
        {"loc": ["path"], "msg": "second", "type": "b"},
        {"msg": "third"},
        {"loc": ["body", "query"], "msg": "one more"},
    ]
    message = "HTTP 422: messages.3.content: String should be x; second; third"
    assert refused(422, errors).message == message
    for odd in ([], [1], [{"msg": 1}], [{"loc": 1, "msg": "m"}], [[]], {}, None, 7):
        assert refused(422, odd).status == "rejected"


# The whole of it, on a server


def test_the_restaurant_example(running: HonchoServer) -> None:
    running.answer = list(ANSWER)
    assert by_hand(running, "w") == by_hand(running, "w") == "".join(ANSWER)
    session = running.workspaces["w"].sessions[SESSION]
    once = [*((USER, taste) for taste in TASTES), (ASSISTANT, "".join(ANSWER))]
    assert session.said() == once * 2
    assert set(session.peers) == {USER, ASSISTANT}


def test_refused_steps(running: HonchoServer) -> None:
    target = Target("honcho", NAME, running.url, session="s")
    wrong = [{"content": "x", "peer_id": "a", "metadata": 5}]
    *most, last = honcho.before(chat(options={"add": "f"}), target, wrong)
    assert [send(step)[0] for step in most] == [201, 201, 201, 201]
    status, body = send(last)
    failed = honcho.refusal(status, {}, body)
    assert failed.status == "rejected"
    assert failed.message.startswith("HTTP 422: messages.0.metadata: Input should be a valid dict")


@pytest.fixture
def here(running: HonchoServer) -> tuple[str, ...]:
    return ("-p", "honcho", "--base-url", running.url, "-o", "peer=alice", "--max-retries", "0")


def test_the_command(stream: Stream, running: HonchoServer, here: tuple[str, ...]) -> None:
    running.answer = list(ANSWER)
    assert stream(*here, "who?").text == "".join(ANSWER)
    (end,) = stream(*here, "--json", "--no-stream", "who?").records
    assert (end["text"], end["status"], end["evidence"]) == (
        "".join(ANSWER),
        "complete",
        ["marker"],
    )
    assert (end["provider"], end["protocol"]) == ("honcho", "honcho")
    run = stream("-m", "honcho:bob", "who?", env={"HONCHO_URL": running.url})
    assert (run.returncode, run.text) == (0, "".join(ANSWER))
    assert list(running.workspaces["default"].peers) == ["alice", "bob"]


@pytest.mark.parametrize(
    ("more", "fails", "code", "told"),
    [
        (("-o", "target=bob"), "", 7, "--session and -o target= name what is there"),
        (("-o", "session_id=s"), "", 7, "--session and -o target= name what is there"),
        (("-o", "target=bob", "--no-stream"), "", 22, "Peer bob not found in workspace default"),
        ((), "silent", 8, "the model behind Honcho failed"),
        ((), "cut", 18, "in the middle of the answer"),
        ((), "lost", 18, "in the middle of the answer"),
        ((), "told", 15, "the model fell over"),
        ((), "500", 15, "An unexpected error occurred"),
        (("-o", "reasoning_level=huge"), "", 22, "reasoning_level: Input should be"),
        (("--max-tokens", "5"), "", 2, "honcho cannot carry a token limit"),
        (("-o", "store=bot"), "", 2, "-o store= needs a session to write in: --session NAME"),
    ],
)
def test_verdicts(
    stream: Stream,
    running: HonchoServer,
    here: tuple[str, ...],
    more: tuple[str, ...],
    fails: str,
    code: int,
    told: str,
) -> None:
    running.fails = fails
    run = stream(*here, *more, "who?")
    assert run.returncode == code
    (complaint,) = run.complaints
    assert told in complaint
    assert run.text == ("They like " if fails in ("cut", "lost", "told") else "")


def test_keys_are_needed_where_it_is_hosted_and_where_they_are_asked_for(stream: Stream) -> None:
    run = stream("-m", "honcho:alice", "who?")
    assert run.returncode == 67
    assert "set HONCHO_API_KEY" in run.stderr
    with HonchoServer(secret1="w") as server:
        local = {"HONCHO_URL": server.url}
        run = stream("-m", "honcho:alice", "who?", env=local)
        assert run.returncode == 67
        assert "no key was sent: set HONCHO_API_KEY" in run.stderr
        local["HONCHO_API_KEY"] = "secret1"
        run = stream("-m", "honcho:alice", "who?", env=local)
        assert run.returncode == 67
        assert "-o workspace=NAME" in run.stderr
        run = stream("-m", "honcho:alice", "-o", "workspace=w", "who?", env=local)
        assert (run.returncode, run.text) == (0, "They like tea.")


def test_what_would_be_sent(stream: Stream) -> None:
    run = stream("-m", "honcho:alice", "--dry-run=curl", "who?")
    assert "Bearer $HONCHO_API_KEY" in run.text
    local = {"HONCHO_URL": "http://127.0.0.1:8000"}
    run = stream("-m", "honcho:alice", "--dry-run=curl", "who?", env=local)
    assert "HONCHO_API_KEY" not in run.text
    rows = {row["provider"]: row for row in stream("--list-providers", "--json").records}
    assert (rows["honcho"]["configured"], rows["honcho"]["source"]) == (False, "HONCHO_API_KEY")
    rows = {row["provider"]: row for row in stream("--list-providers", "--json", env=local).records}
    assert rows["honcho"]["configured"] is True


def test_an_answer_that_never_came_is_asked_for_again(
    stream: Stream, running: HonchoServer, here: tuple[str, ...]
) -> None:
    """200 and nothing in it: the commonest failure, when the model behind it fails."""
    running.fails_once = "silent"
    run = stream(*here, "--max-retries", "1", "--json", "who?")
    (end,) = run.records
    assert (run.returncode, end["text"], end["attempts"]) == (0, "They like tea.", 2)
    running.fails = "silent"
    run = stream(*here, "--max-retries", "1", "--json", "who?")
    (end,) = run.records
    assert (run.returncode, end["attempts"], end["status"]) == (8, 2, "malformed")


def test_a_check_needs_no_peer_and_creates_nothing(stream: Stream, running: HonchoServer) -> None:
    local = {"HONCHO_URL": running.url, "HONCHO_WORKSPACE_ID": "w"}
    for args in (("--check=honcho",), ("--check", "-m", "honcho:ann")):
        run = stream(*args, env=local)
        assert (run.returncode, run.stderr) == (0, "")
        assert run.text.startswith("honcho: key and address work (")
    assert running.routes() == ["GET /v3/workspaces/w/queue/status"] * 2
    assert running.workspaces == {}
    stream("--check=honcho", "-o", "workspace=x", env=local)
    assert running.routes()[-1] == "GET /v3/workspaces/x/queue/status"
    (told,) = stream("--check=honcho", "--json", env=local).records
    assert told.keys() == {"provider", "duration_ms"}
    run = stream("--list-models", "-p", "honcho", env=local)
    assert (run.returncode, "honcho does not list models" in run.stderr) == (2, True)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"detail": "Not Found"}),
        (404, {"error": {"message": "no such route"}}),
        (200, {"object": "list", "data": []}),
    ],
)
def test_a_check_of_another_server(
    server: FaultServer, stream: Stream, status: int, body: dict[str, Any]
) -> None:
    url = server.script("other", lambda conn: conn.reply(status, body))
    run = stream("--check=honcho", env={"HONCHO_URL": url})
    assert run.returncode != 0
    assert "--base-url" in run.stderr


# The steps around an answer, by the command


def test_a_session_by_the_command(
    stream: Stream, running: HonchoServer, here: tuple[str, ...]
) -> None:
    run = stream(*here, "--session", "demo", "who?")
    assert (run.returncode, run.text) == (0, "They like tea.")
    assert list(running.workspaces["default"].sessions) == ["demo"]
    assert stream(*here, "--session", "demo", "who?").returncode == 0  # it is there now
    run = stream(*here, "--session", "de mo", "who?")
    assert run.returncode == 2
    assert "--session de mo: that is not a name" in run.stderr
    run = stream(*here, "-c", "who?")
    assert run.returncode == 2
    assert "honcho keeps its conversations itself: --session NAME" in run.stderr


def test_the_restaurant_by_the_command(
    stream: Stream, running: HonchoServer, tmp_path: Path
) -> None:
    running.answer = list(ANSWER)
    tastes = tmp_path / "tastes.jsonl"
    tastes.write_text("".join(json.dumps({"peer_id": USER, "content": t}) + "\n" for t in TASTES))
    args = ("-p", "honcho", "-o", f"peer={USER}", "--session", SESSION, "-o", f"add={tastes}")
    env = {"HONCHO_URL": running.url, "HONCHO_WORKSPACE_ID": "w"}
    run = stream(*args, "-o", f"store={ASSISTANT}", QUESTION, env=env)
    assert (run.returncode, run.text) == (0, "".join(ANSWER))
    session = running.workspaces["w"].sessions[SESSION]
    said = [*((USER, taste) for taste in TASTES), (ASSISTANT, "".join(ANSWER))]
    assert session.said() == said
    assert set(session.peers) == {USER, ASSISTANT}
    tastes.write_text('{"content":"x"}\n')
    run = stream(*args, QUESTION, env=env)
    assert run.returncode == 2
    assert "line 1" in run.stderr
    assert session.said() == said


def test_in_a_batch_messages_are_added_once_and_every_answer_is_stored(
    stream: Stream, running: HonchoServer, here: tuple[str, ...], tmp_path: Path
) -> None:
    notes = tmp_path / "notes.jsonl"
    notes.write_text('{"peer_id":"alice","content":"I like tea."}\n')
    args = ("--session", "s", "-o", f"add={notes}", "-o", "store=bot")
    run = stream(*here, *args, "-L", "-j", "4", "--json", stdin=b"a?\nb?\nc?\n")
    assert run.returncode == 0
    said = running.workspaces["default"].sessions["s"].said()
    assert said == [("alice", "I like tea."), *[("bot", "They like tea.")] * 3]
    # What was added is part of what was asked, by its content.
    before = {record["prompt_hash"] for record in run.records}
    notes.write_text('{"peer_id":"alice","content":"I like coffee."}\n')
    run = stream(*here, *args, "--json", "a?")
    assert run.records[0]["prompt_hash"] not in before


def test_what_was_said_before_is_added_once_for_several_models(
    stream: Stream, running: HonchoServer, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.jsonl"
    notes.write_text('{"peer_id":"alice","content":"I like tea."}\n' * 250)  # three requests
    args = ("--session", "s", "-o", f"add={notes}", "--json", "who?")
    two = ("-m", "honcho:ann", "-m", "honcho:bob")
    run = stream(*two, *args, env={"HONCHO_URL": running.url})
    assert run.returncode == 0
    session = running.workspaces["default"].sessions["s"]
    assert session.said() == [("alice", "I like tea.")] * 250
    assert set(session.peers) == {"alice", "ann", "bob"}
    running.workspaces.clear()
    assert stream(*two, "--race", *args, env={"HONCHO_URL": running.url}).returncode == 0
    assert len(running.workspaces["default"].sessions["s"].said()) == 250


def test_adding_and_storing_are_tried_again(
    stream: Stream, running: HonchoServer, here: tuple[str, ...], tmp_path: Path
) -> None:
    notes = tmp_path / "notes.jsonl"
    notes.write_text('{"peer_id":"alice","content":"I like tea."}\n')
    path = "/workspaces/default/sessions/s/messages"
    args = ("--session", "s", "-o", f"add={notes}", "-o", "store=bot", "--jsonl", "who?")
    args = ("--max-retries", "1", *args)
    running.refuses = [path]
    run = stream(*here, *args)
    assert (run.returncode, run.records[-1]["attempts"]) == (0, 2)
    said = [("alice", "I like tea."), ("bot", "They like tea.")]
    assert running.workspaces["default"].sessions["s"].said() == said
    running.workspaces.clear()
    running.answer = ["x" * 25_000, "y"]
    running.refuses_after = {path: 1}  # what is added is taken, the answer is refused once
    run = stream(*here, *args)
    assert run.returncode == 0
    (retry,) = (record for record in run.records if record["type"] == "retry")
    assert "the answer was not stored" in retry["error"]["message"]
    said = running.workspaces["default"].sessions["s"].said()
    assert [len(text) for _, text in said] == [11, 25_000, 1]
    running.refuses = [path] * 10
    run = stream(*here, "--max-retries", "1", "--session", "s", "-o", "store=bot", "who?")
    assert run.returncode == 15
    assert "the answer was not stored: HTTP 503: try again (2 attempts)" in run.stderr


def test_in_a_batch_storing_is_tried_again(
    stream: Stream, running: HonchoServer, here: tuple[str, ...]
) -> None:
    running.refuses = ["/workspaces/default/sessions/s/messages"]
    args = ("--max-retries", "1", "--session", "s", "-o", "store=bot", "-L", "--json")
    run = stream(*here, *args, stdin=b"a?\nb?\n")
    assert run.returncode == 0
    assert len(running.workspaces["default"].sessions["s"].said()) == 2


@pytest.mark.parametrize("fails", ["silent", "cut", "lost", "told"])
def test_only_a_whole_answer_is_stored(
    stream: Stream, running: HonchoServer, here: tuple[str, ...], fails: str
) -> None:
    running.fails = fails
    assert stream(*here, "--session", "s", "-o", "store=bot", "who?").returncode != 0
    assert running.workspaces["default"].sessions["s"].said() == []


def test_a_dry_run_shows_the_steps_too(
    stream: Stream, running: HonchoServer, here: tuple[str, ...], tmp_path: Path
) -> None:
    notes = tmp_path / "notes.jsonl"
    notes.write_text('{"peer_id":"alice","content":"I like tea."}\n')
    args = (*here, "--session", "s", "-o", f"add={notes}", "who?")
    lines = stream(*args, "--dry-run").text.splitlines()
    asked = [line.partition("/v3/workspaces")[2] for line in lines if line.startswith("POST ")]
    inside = ["/peers", "/sessions", "/sessions/s/messages", "/peers/alice/chat"]
    assert asked == ["", *(f"/default{path}" for path in inside)]
    assert stream(*args, "--dry-run=curl").text.count("curl -sSN") == 5
    assert running.workspaces == {}  # nothing was sent


def test_what_is_refused_around_an_answer_is_its_verdict(
    stream: Stream, running: HonchoServer, here: tuple[str, ...], tmp_path: Path
) -> None:
    notes = tmp_path / "notes.jsonl"
    notes.write_text('{"peer_id":"alice","content":"x","metadata":5}\n')
    run = stream(*here, "--session", "s", "-o", f"add={notes}", "--json", "who?")
    assert run.returncode == 22
    assert "messages.0.metadata" in run.stderr
    (end,) = run.records
    assert (end["status"], end["text"]) == ("rejected", "")
    running.answer = [""]  # stored is nothing, which is nothing to complain about
    run = stream(*here, "--session", "s", "-o", "store=bot", "who?")
    assert running.workspaces["default"].sessions["s"].said() == []
