"""--decode, --record and --replay: the same verdicts without a network."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import Popen, Stream, at_once
from faultserver import Conn, FaultServer, error_body, ok
from recordings import RECORDINGS
from records import parse_records

from streamcli.protocols._contract import get
from streamcli.protocols._detect import protocol_of
from streamcli.settings.options import PROTOCOLS

HELLO = (
    b'data: {"id":"i","model":"m","choices":[{"delta":{"content":"Hello"}}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


def test_the_table_names_every_protocol() -> None:
    folder = Path(sys.modules[get("openai-chat").__name__].__file__ or "").parent  # type: ignore[attr-defined]
    files = {path.stem.replace("_", "-") for path in folder.glob("[a-z]*.py")}
    assert set(PROTOCOLS) == files


def some_recordings() -> list[Any]:
    found = []
    for protocol in PROTOCOLS:
        folder = RECORDINGS / protocol.replace("gemini-array", "gemini-jsonarray")
        paths = [p for p in sorted(folder.glob("*")) if p.suffix in (".sse", ".ndjson", ".json")]
        plain = [p for p in paths if not p.name.endswith(".meta.json")]
        found += [pytest.param(protocol, p, id=f"{protocol}/{p.stem}") for p in plain[::18]]
    return found or [
        pytest.param("", Path(), marks=pytest.mark.skip(reason="../shared/recordings is not there"))
    ]


@pytest.mark.parametrize(("protocol", "path"), some_recordings())
def test_decode_finds_out_what_it_is(stream: Stream, protocol: str, path: Path) -> None:
    named, found = at_once(
        lambda: stream(f"--decode={protocol}", "--json", stdin=path.read_bytes()),
        lambda: stream("--decode", "--json", stdin=path.read_bytes()),
    )
    (one,), (other,) = named.records, found.records
    if other["protocol"] == protocol:  # an error alone looks alike in several protocols
        assert (one["text"], one["status"]) == (other["text"], other["status"])
    else:
        assert one["status"] not in ("complete", "length"), (other["protocol"], one["status"])
    meta = json.loads(path.with_name(path.name.rsplit(".", 1)[0] + ".meta.json").read_text())
    if path.read_bytes().count(b'"type":"response.created"') < 2:  # else several answers in a row
        assert one["text"] == meta["expected"]["text"]
    assert one["provider"] is None


# An event of each protocol that can be told by one; what is not said in these, says nothing of it.
FIRST: dict[str, Any] = {
    "openai-chat": {"choices": [{"index": 0, "delta": {"content": "Hi"}, "text": "Hi"}]},
    "openai-completions": {"choices": [{"index": 0, "text": "Hi"}]},
    "openai-responses": {"type": "response.created", "response": {"id": "r"}},
    "anthropic": {"type": "message_start", "message": {"role": "assistant", "content": []}},
    "gemini": {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]},
    "gemini-array": [{"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}],
    "ollama": {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": False},
    "cohere": {"type": "message-start", "id": "i", "delta": {"message": {"role": "assistant"}}},
    "bedrock": {"output": {"message": {"content": [{"text": "Hi"}]}}, "stopReason": "end_turn"},
    "honcho": {"delta": {"content": "Hi"}, "done": False},
    "a2a": {"jsonrpc": "2.0", "id": 1, "result": {"kind": "task", "id": "t"}},
    "ui-message": {"type": "start", "messageId": "m"},
    "ag-ui": {"type": "RUN_STARTED", "threadId": "t", "runId": "r"},
}


@pytest.mark.parametrize("protocol", FIRST)
def test_no_protocol_is_taken_for_another(protocol: str) -> None:
    assert protocol_of(FIRST[protocol]) == protocol


OF_AGENTS = {
    "ui-message": [
        b'data: {"type":"start"}\n\ndata: {"type":"text-delta","id":"t","delta":"Hi"}\n\n'
        b"data: [DONE]\n\n",
        b': ping\n\ndata: {"type":"data-x","data":1}\n\n'
        b'data: {"type":"text-delta","delta":"Hi"}\n\ndata: {"type":"finish"}\n\n',
    ],
    "ai-data": [
        b'f:{"messageId":"m"}\n0:"Hi"\nd:{"finishReason":"stop"}\n',
        b'\n2:[{"a":1}]\n0:"Hi"\nd:{"finishReason":"stop"}',
    ],
    "ag-ui": [
        b'data: {"type":"RUN_STARTED"}\n\ndata: {"type":"TEXT_MESSAGE_CONTENT","delta":"Hi"}\n\n'
        b'data: {"type":"RUN_FINISHED"}\n\n',
    ],
}


@pytest.mark.parametrize(
    ("protocol", "body"), [(name, body) for name, bodies in OF_AGENTS.items() for body in bodies]
)
def test_decode_finds_out_protocols_of_agents(stream: Stream, protocol: str, body: bytes) -> None:
    (end,) = stream("--decode", "--json", stdin=body).records
    assert (end["protocol"], end["text"], end["status"]) == (protocol, "Hi", "complete")


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        ("ui-message", b'data: {"type":"error","errorText":"no"}\n\n'),
        ("ai-data", b'3:"no"\n'),
        ("ag-ui", b'data: {"type":"RUN_ERROR","message":"no"}\n\n'),
    ],
)
def test_their_errors_are_told_apart_too(stream: Stream, protocol: str, body: bytes) -> None:
    (end,) = stream("--decode", "--json", stdin=body).records
    assert (end["protocol"], end["status"], end["error"]["message"]) == (protocol, "provider", "no")


def test_decode_in_every_format(stream: Stream) -> None:
    assert stream("--decode", stdin=HELLO).text == "Hello"
    records = stream("--decode", "--jsonl", stdin=HELLO).records
    assert [r["type"] for r in records] == ["start", "delta", "end"]
    assert (records[-1]["protocol"], records[-1]["model"]) == ("openai-chat", "m")
    run = stream("--decode", stdin=HELLO[:90])
    assert (run.returncode, run.text) == (18, "Hello")
    assert stream("--decode", stdin=b"").returncode == 8
    assert stream("--decode", stdin=b"<html>").returncode == 8
    plain = {"sse-text", "text"}  # to whom any text is one
    others = sorted(set(PROTOCOLS) - {"openai-chat", "openai-completions"} - plain)
    runs = at_once(*[partial(stream, f"--decode={other}", stdin=HELLO) for other in others])
    assert [other for other, run in zip(others, runs, strict=True) if run.returncode == 0] == []


def test_decode_is_not_late(popen: Popen) -> None:
    process = popen("--decode", stdin=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    for text in ("one ", "two ", "three"):
        event = {"choices": [{"delta": {"content": text}}]}
        process.stdin.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        process.stdin.flush()
        assert process.stdout.read(len(text)) == text.encode()
    process.stdin.close()
    assert process.wait(60) == 18


def test_decode_and_replay_need_no_network(tmp_path: Path, child_env: dict[str, str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "streamcli", "--decode", "--jsonl"]
    done = subprocess.run(command, input=HELLO, capture_output=True, env=child_env, cwd=tmp_path)
    assert done.returncode == 0
    for heavy in (b"httpx", b"httpcore", b"ssl", b"socket", b"asyncio", b"rich"):
        assert b"| " + heavy + b"\n" not in done.stderr.replace(b"  ", b"")
        assert b" " + heavy + b"\n" not in done.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--decode", "hi"), "prompt"),
        (("--decode", "-f", "x"), "--file"),
        (("--decode", "--replay", "x"), "--replay"),
        (("--replay", "nowhere.jsonl"), "nowhere.jsonl"),
        (("--replay", "/etc/passwd"), "not a recording"),
        (("--speed", "2", "-m", "vllm:m", "hi"), "--replay"),
        (("--replay", "x", "--speed", "0"), "instant"),
        (("--decode=nonsense",), "openai-chat"),
    ],
)
def test_what_cannot_be(stream: Stream, args: tuple[str, ...], says: str) -> None:
    run = stream(*args)
    assert run.returncode == 2
    (said,) = run.complaints
    assert says in said


SAME = ("status", "finish_reason", "evidence", "usage", "chars", "model", "response_id", "attempts")


@pytest.mark.parametrize(
    "scenario",
    [
        "ok",
        "length",
        "error_midstream",
        "truncated_clean",
        "cut_rst",
        "cut_fin",
        "status_401",
        "flaky_2",
        "html",
        "unicode",
        "whole_json",
        "drop_before_headers_once",
    ],
)
def test_a_replay_is_what_was_recorded(
    server: FaultServer, stream: Stream, tmp_path: Path, scenario: str
) -> None:
    args = ("-m", "vllm:m", "--base-url", server.url(scenario), "--record", "c.jsonl")
    live = stream(*args, "--json", "hi", env={"VLLM_API_KEY": "sk-secret-123"})
    assert b"sk-secret-123" not in (tmp_path / "c.jsonl").read_bytes()
    asked = len(server.requests)
    again = stream("--replay", "c.jsonl", "--speed", "instant", "--json")
    assert again.returncode == live.returncode
    (one,), (other,) = live.records, again.records
    assert {name: one[name] for name in SAME} == {name: other[name] for name in SAME}
    assert (one["text"], one["provider"]) == (other["text"], other["provider"])
    assert len(server.requests) == asked, "nothing is asked again"
    text = stream("--replay", "c.jsonl", "--speed", "instant")
    assert text.text == one["text"]


def test_a_replay_has_the_habits_of_its_row(server: FaultServer, stream: Stream) -> None:
    """The first attempt is refused for a field, the second does without it."""

    def play(conn: Conn) -> None:
        if "stream_options" in conn.request.json:
            conn.reply(400, error_body("unknown field stream_options"))
        else:
            ok(conn)

    args = ("-m", "vllm:m", "--base-url", server.script("picky", play), "--record", "c.jsonl")
    (live,) = stream(*args, "--json", "hi", env={"VLLM_API_KEY": "k"}).records
    (again,) = stream("--replay", "c.jsonl", "--speed", "instant", "--json").records
    assert (live["attempts"], live["text"]) == (2, "Hello world")
    assert {name: live[name] for name in SAME} == {name: again[name] for name in SAME}


def test_a_replay_takes_its_time(server: FaultServer, stream: Stream, tmp_path: Path) -> None:
    """At least that; and --speed makes it less, or the slow one would not end within the test's."""

    def play(conn: Conn) -> None:
        conn.open_with()
        for number in range(4):
            conn.wait(0.2)
            conn.delta(str(number))
        conn.finish()
        conn.done()
        conn.end()

    url = server.script("takes_time", play)
    args = ("-m", "vllm:m", "--base-url", url, "--record", "c.jsonl", "--json")
    assert stream(*args, "hi").returncode == 0
    (again,) = stream("--replay", "c.jsonl", "--json").records
    slow = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()]
    for line in slow:
        if "t_ms" in line:
            line["t_ms"] *= 1000
    (tmp_path / "slow.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in slow))
    (fast,) = stream("--replay", "slow.jsonl", "--speed", "1000", "--json").records
    assert min(each["timings"]["duration_ms"] for each in (again, fast)) > 750
    assert fast["text"] == again["text"] == "0123"


def test_a_recording_that_cannot_be_written(server: FaultServer, stream: Stream) -> None:
    run = stream(
        "-m",
        "vllm:m",
        "--base-url",
        server.url("ok"),
        "--record",
        "/nowhere/c.jsonl",
        "--jsonl",
        "x",
    )
    assert run.returncode == 23
    assert parse_records(run.stdout)[-1]["status"] == "write"
    assert not server.requests
