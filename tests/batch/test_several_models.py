"""Several models: every prompt to all of them, to the next one if one fails, to the quickest."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from batchserver import Act, BatchServer, answer_to, by_word
from conftest import Popen, Result, Stream, eventually
from faultserver import Conn, FaultServer
from records import check, parse_records

CONFIG = """
[provider.a]
base_url = "{a}"
key_env = "KEY_OF_A"
defaults = {{ temperature = 0.5, header = ["X-Of: a"] }}

[provider.b]
base_url = "{b}"
key_env = "KEY_OF_B"

[provider.dead]
base_url = "http://127.0.0.1:9/v1"

[alias]
quick = "b:quick"
"""
KEYS = {"KEY_OF_A": "key-of-a", "KEY_OF_B": "key-of-b"}


class Two:
    """The command, and two providers, a and b, with a key each."""

    def __init__(self, stream: Stream, a: BatchServer, b: BatchServer) -> None:
        self._stream = stream
        self.a = a
        self.b = b

    def __call__(self, *args: Any, env: dict[str, str] | None = None, **more: Any) -> Result:
        return self._stream(*args, env={**KEYS, **(env or {})}, **more)

    def keys(self) -> tuple[set[str], set[str]]:
        """Which keys either has seen: never that of the other."""
        return {asked.key for asked in self.a.asked}, {asked.key for asked in self.b.asked}

    def prompts(self) -> tuple[list[str], list[str]]:
        return [asked.prompt for asked in self.a.asked], [asked.prompt for asked in self.b.asked]


def configure(a: str, b: str) -> None:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "stream" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(CONFIG.format(a=a, b=b))


@pytest.fixture
def two(stream: Stream) -> Iterator[Two]:
    with BatchServer(by_word) as a, BatchServer(lambda prompt, before: Act()) as b:
        configure(a.base, b.base)
        yield Two(stream, a, b)


def ends(run: Result) -> list[dict[str, Any]]:
    check(run.records)
    found = [record for record in run.records if record["type"] == "end"]
    return sorted(found, key=lambda record: (record["index"], record.get("target", "")))


A, B = "Bearer key-of-a", "Bearer key-of-b"


# Every prompt to all of them


def test_texts_have_headings_as_head_gives_them(two: Two, tmp_path: Path) -> None:
    run = two("-m", "a:x", "-m", "b:y", "-L", stdin=b"say 1\n401 2\n")
    said = ["1", answer_to("say 1"), "", answer_to("401 2")]
    for number, text in enumerate(said):
        (tmp_path / f"{number}").write_text(f"{text}\n")
    files = sorted(path for path in tmp_path.iterdir() if path.name.isdigit())
    wanted = subprocess.run(["head", "-n", "9", *files], capture_output=True, text=True).stdout
    for number, name in enumerate(["a:x", "b:y", "a:x", "b:y"]):
        wanted = wanted.replace(f"==> {tmp_path}/{number} <==", f"==> {name} <==")
    assert run.text == wanted
    assert run.returncode == 20


def test_a_heading_is_a_line_whatever_a_request_names(two: Two) -> None:
    line = json.dumps({"prompt": "say 1", "model": "a:x\x1b[2J <==\nsay"})
    run = two("-m", "a:x", "-m", "b:y", "--requests", stdin=line.encode())
    assert run.text == "==> a:x^[[2J <== say <==\n1\n"


def test_one_prompt(two: Two) -> None:
    run = two("-m", "a:x", "-m", "b:y", "say hi", stdin=None)
    assert (run.returncode, run.stderr) == (0, "")
    answer = answer_to("say hi")
    assert run.text == f"==> a:x <==\nhi\n\n==> b:y <==\n{answer}\n"
    run = two("-m", "a:x", "-m", "b:y", "--print0", "say hi", stdin=None)
    assert run.text == f"hi\0{answer}\0"
    run = two("-m", "a:x", "-m", "b:y", "-s", "-", "--json", stdin=b"say hi\n")
    assert [(end["index"], end["target"]) for end in ends(run)] == [(0, "a:x"), (0, "b:y")]


def test_records_are_tagged(two: Two) -> None:
    run = two("-m", "a:x", "-m", "quick", "-L", "--jsonl", stdin=b"say 1\nsay 2\n")
    assert {(end["index"], end["target"], end["model"]) for end in ends(run)} == {
        (0, "a:x", "x"),
        (0, "quick", "quick"),
        (1, "a:x", "x"),
        (1, "quick", "quick"),
    }
    assert all("target" in record for record in run.records if record["type"] != "summary")
    assert {end["occurrence"] for end in ends(run)} == {0}
    assert (run.records[-1]["prompts"], run.returncode) == (4, 0)
    assert two.keys() == ({A}, {B})
    assert [asked.body.get("temperature") for asked in two.a.asked] == [0.5, 0.5]
    assert [asked.body.get("temperature") for asked in two.b.asked] == [None, None]


def test_one_of_them_refuses(two: Two) -> None:
    """The others go on; its prompts, which were not asked, keep their places."""
    lines = b"".join(b"401 %d\n" % number for number in range(10))
    run = two("-m", "a:x", "-m", "b:y", "-L", "-j", "1", stdin=lines)
    assert run.returncode == 20
    assert len(two.a.asked) == 1
    assert len(two.b.asked) == 10
    blocks = run.text.split("\n\n==> ")
    assert run.text.count("==> a:x <==\n\n") == run.text.count("==> b:y <==\nanswer") == 10
    assert len(blocks) == 20
    assert "a: HTTP 401: refused with 401: nothing more was asked of it" in run.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-m", "a:x", "-m", "nobody:y"], "no provider is called 'nobody'"),
        (["-m", "a:x", "-m", "openai:y"], "no key for openai: set OPENAI_API_KEY"),
        (["-m", "a:x", "-m", "b:y", "--base-url", "http://x"], "--base-url is for one provider"),
        (["-m", "a:x", "-m", "b:y", "--key-file", "k"], "--key-file is for one provider"),
        (["-m", "a:x", "-m", "b:y", "-H", "X-K: 1"], "--header is for one provider"),
        (["-m", "a:x", "-m", "b:y", "--unix-socket", "s"], "--unix-socket is for one provider"),
        (["-m", "a:x", "--fallback", "nobody:y"], "no provider is called 'nobody'"),
        (["-m", "a:x", "-m", "b:y", "--race", "--fallback", "b:z"], "--race and --fallback excl"),
        (["-m", "a:x", "-m", "b:y", "--race", "--record", "r"], "--record keeps one answer"),
        (["-m", "a:x", "-m", "a:x", "--race"], "--model names the same model twice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("batch", [(), ("-L",)], ids=["one", "batch"])
def test_what_cannot_be(two: Two, args: list[str], said: str, batch: tuple[str, ...]) -> None:
    keys = Path(os.environ["XDG_CONFIG_HOME"]) / "k"
    keys.write_text("key-of-all")
    keys.chmod(0o600)
    args = [str(keys) if arg == "k" else arg for arg in args]
    run = two(*args, *batch, stdin=b"hi\n")
    assert run.returncode in (2, 67)
    assert run.complaints[0].startswith(f"stream: {said}")
    assert two.prompts() == ([], [])


# The next one if one fails


@pytest.mark.parametrize(
    ("first", "prompt", "kind"),
    [
        ("a:x", "401 no", "auth"),
        ("a:x", "404 no", "rejected"),
        ("a:x", "500 no", "server_error"),
        ("dead:x", "hi", "connect"),
    ],
)
@pytest.mark.parametrize("batch", [False, True], ids=["one", "batch"])
def test_the_fallback_is_asked(two: Two, first: str, prompt: str, kind: str, batch: bool) -> None:
    args = ("-m", first, "--fallback", "b:y", "--max-retries", "1", "--jsonl")
    if batch:
        run = two(*args, "-L", stdin=f"{prompt}\n".encode())
    else:
        run = two(*args, prompt, stdin=None)
    check(run.records)
    assert run.returncode == 0
    started = [r for r in run.records if r["type"] == "start"]
    again = [r for r in run.records if r["type"] == "retry"]
    (end,) = [r for r in run.records if r["type"] == "end"]
    name, model = first.split(":")
    asked = 2 if kind in ("server_error", "connect") else 1
    assert [r["provider"] for r in started] == [name] * asked + ["b"]
    assert [r["model"] for r in started] == [model] * asked + ["y"]
    assert [r["attempt"] for r in started] == list(range(1, asked + 2))
    assert [r["error"]["kind"] for r in again] == [kind] * asked
    assert (end["provider"], end["model"], end["attempts"]) == ("b", "y", asked + 1)
    assert "".join(r["text"] for r in run.records if r["type"] == "delta") == answer_to(prompt)
    plain = two("-m", first, "--max-retries", "0", "--json", prompt, stdin=None).records[0]
    assert plain["prompt_hash"] == end["prompt_hash"]  # that of the first question
    if not batch:
        assert run.complaints[-1].endswith(": asking b:y")


def test_the_fallback_is_asked_for_what_is_no_answer(two: Two, server: FaultServer) -> None:
    """A web page; the other kinds are in tests/answer/test_fallback.py."""
    configure(server.url("html"), two.b.base)
    args = ("-m", "a:x", "--fallback", "b:y", "--max-retries", "0")
    run = two(*args, "--jsonl", "hi", stdin=None)
    assert run.returncode == 0
    assert [r["error"]["kind"] for r in run.records if r["type"] == "retry"] == ["not_a_stream"]


@pytest.mark.parametrize("prompt", ["cut", "error", "reset", "length"])
@pytest.mark.parametrize("batch", [(), ("-L",)], ids=["one", "batch"])
def test_what_was_delivered_stays(two: Two, prompt: str, batch: tuple[str, ...]) -> None:
    run = two("-m", "a:x", "--fallback", "b:y", *batch, stdin=f"{prompt}\n".encode())
    assert run.returncode == (20 if batch else {"length": 10, "error": 15}.get(prompt, 18))
    assert run.text.startswith("answer to ")
    assert two.prompts() == ([prompt], [])


def test_a_chain(two: Two, tmp_path: Path) -> None:
    """Two of three are dead; -O and --schema hold for whoever answers."""
    two.b.plan = lambda prompt, before: Act(text="5")
    chain = ("-m", "dead:x", "--fallback", "a:404", "--fallback", "b:y", "--max-retries", "0")
    args = (*chain, "--schema", '{"type": "integer"}')
    run = two(*args, "-O", "out", "404 x", stdin=None)
    assert (run.returncode, (tmp_path / "out").read_text()) == (0, "5")
    run = two(*args, "-L", "-O", "{index}.txt", stdin=b"404 x\n404 y\n")
    assert run.returncode == 0
    assert (tmp_path / "1.txt").read_text() == "5"
    two.b.plan = lambda prompt, before: Act(text="five")
    run = two(*args, "-L", "--json", stdin=b"404 z\n")
    assert [(end["exit_code"], end["provider"]) for end in ends(run)] == [(12, "b")]


def test_whoever_refuses_is_passed_over(two: Two) -> None:
    """After one 401 the first is not asked again, and nothing says it was."""
    lines = b"".join(b"401 %d\n" % number for number in range(8))
    run = two("-m", "a:x", "--fallback", "b:y", "-L", "-j", "1", "--jsonl", stdin=lines)
    assert run.returncode == 0
    assert len(two.a.asked) == 1
    assert len(two.b.asked) == 8
    assert [end["attempts"] for end in ends(run)] == [2] + [1] * 7
    assert run.records[-1]["attempts"] == 9
    assert run.stderr.splitlines()[-1].startswith("stream: a: HTTP 401: refused with 401: nothing")


def test_all_refuse(two: Two) -> None:
    two.b.plan = by_word
    lines = b"".join(b"401 %d\n" % number for number in range(20))
    run = two("-m", "a:x", "--fallback", "b:y", "-L", "-j", "1", "--json", stdin=lines)
    assert run.returncode == 20
    assert (len(two.a.asked), len(two.b.asked)) == (1, 1)
    assert len(run.records) == 1


def test_the_first_has_no_key(two: Two) -> None:
    args = ("-m", "openai:x", "--fallback", "anthropic:z", "--fallback", "b:y")
    run = two(*args, "hi", stdin=None)
    assert run.returncode == 0
    assert run.complaints == [
        "stream: no key for openai: the fallback is asked",
        "stream: no key for anthropic: it cannot be the fallback",
    ]
    run = two(*args, "-L", "--json", stdin=b"hi\n")
    assert [end["provider"] for end in ends(run)] == ["b"]
    run = two("-m", "openai:x", "--fallback", "anthropic:z", "hi", stdin=None)
    assert run.returncode == 67
    assert run.complaints[-1].startswith("stream: no key for openai: set OPENAI_API_KEY")


def test_what_nobody_can_help_with_does_not_fall_back(two: Two, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\0\1\2")
    run = two("-m", "a:x", "--fallback", "b:y", "-a", "x.bin", "hi", stdin=None)
    assert run.returncode == 2
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.4")
    run = two("-m", "ollama:x", "--fallback", "b:y", "-a", "x.pdf", "-L", stdin=b"hi\n")
    assert run.returncode == 20
    assert "(1 usage)" in run.complaints[-1]
    assert two.prompts() == ([], [])


def test_a_fallback_of_the_same_provider(two: Two) -> None:
    """A name without a provider is of the first's, whose address and key then hold for it."""
    two.a.plan = lambda prompt, before: Act(status=404 if before == 0 else 200)
    run = two("-m", "a:x", "--fallback", "y", "--json", "hi", stdin=None)
    (end,) = run.records
    assert (end["provider"], end["model"], run.returncode) == ("a", "y", 0)
    run = two(
        "-p", "a", "-m", "x", "--fallback", "a:y", "--fallback", "llama3:8b", "ho", stdin=None
    )
    assert run.returncode == 0
    assert [asked.body["model"] for asked in two.a.asked] == ["x", "y", "x", "y"]
    args = ("-m", "x", "--base-url", two.a.base, "--fallback", "y:8b", "--json", "he")
    (end,) = two(*args, stdin=None).records
    assert (end["provider"], end["model"]) == ("custom", "y:8b")


def test_what_is_of_one_provider_is_told_to_no_other(two: Two, tmp_path: Path) -> None:
    """Keys and headers, typed or of the configuration: for fallbacks, and for models of lines."""
    keys = tmp_path / "keys"
    keys.write_text("typed-key")
    keys.chmod(0o600)
    typed = ("--key-file", "keys", "-H", "X-Typed: 1")
    two("-m", "a:x", "--fallback", "b:y", *typed, "404", stdin=None)
    two("-m", "a:x", "--fallback", "b:y", *typed, "-L", stdin=b"404\n")
    two("-m", "a:x", "--fallback", "b:y", "404", stdin=None)
    two("-m", "a:x", "--fallback", "b:y", "-L", stdin=b"404\n")
    lines = (
        b'{"prompt": "1", "model": "b:z"}\n{"prompt": "say 2"}\n{"prompt": "3", "model": "quick"}\n'
    )
    two("-m", "a:x", *typed, "--requests", stdin=lines)
    two("-m", "a:x", "--requests", stdin=lines)
    env = {"STREAM_HEADER": "X-Typed: 1"}
    two("-m", "a:x", "--fallback", "b:y", "404", stdin=None, env=env)
    assert two.keys() == ({A, "Bearer typed-key"}, {B})
    assert len(two.b.asked) == 9
    assert not any({"x-typed", "x-of"} & asked.headers.keys() for asked in two.b.asked)
    assert all("temperature" not in asked.body for asked in two.b.asked)
    assert all(asked.body["temperature"] == 0.5 for asked in two.a.asked)


def test_lines_that_name_their_models_have_fallbacks_too(two: Two) -> None:
    lines = b'{"prompt": "404", "model": "z"}\n{"prompt": "404 too"}\n'
    run = two("-m", "a:x", "--fallback", "b:y", "--requests", "--json", stdin=lines)
    assert [(end["provider"], end["model"]) for end in ends(run)] == [("b", "y")] * 2
    assert sorted(asked.body["model"] for asked in two.a.asked) == ["x", "z"]


# The quickest


def says(text: str) -> Any:
    def play(conn: Conn) -> None:
        conn.open_with(text)
        conn.finish()
        conn.done()
        conn.end()

    return play


class Gone:
    """A player that says nothing visible, and sees its client go."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts
        self.begun = threading.Event()
        self.seen = False

    def __call__(self, conn: Conn) -> None:
        conn.head()
        conn.role()
        for part in self.parts:
            conn.event(part)
        self.begun.set()
        self.seen = conn.wait_peer_closed(90)


THINKS = b'{"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}'


@pytest.mark.parametrize("batch", [(), ("-L",)], ids=["one", "batch"])
def test_the_first_visible_token_wins(
    server: FaultServer, stream: Stream, batch: tuple[str, ...]
) -> None:
    loser = Gone(THINKS)

    def winner(conn: Conn) -> None:
        loser.begun.wait(60)
        says("won")(conn)

    configure(server.script("loser", loser), server.script("winner", winner))
    args = ("-m", "a:x", "-m", "b:y", "--race", "--jsonl")
    run = stream(*args, *batch, stdin=b"hi\n", env=KEYS)
    assert run.returncode == 0
    check(run.records)
    assert {record.get("provider") for record in run.records} <= {"b", None}
    assert not any(record.get("channel") == "reasoning" for record in run.records)
    assert [r["text"] for r in run.records if r["type"] == "delta"] == ["won"]
    (end,) = [r for r in run.records if r["type"] == "end"]
    assert (end["provider"], end["model"], end["attempts"]) == ("b", "tiny-1", 1)
    assert "target" not in end
    assert eventually(lambda: loser.seen)


def test_races_of_a_batch(two: Two, tmp_path: Path) -> None:
    """Losers are cancelled each time, and asked anew the next."""
    two.a.plan = lambda prompt, before: Act(text="", end="stall")

    def second(prompt: str, before: int) -> Act:
        assert prompt == "x" or eventually(lambda: two.a.count(prompt))
        return Act()

    two.b.plan = second
    lines = b"".join(b"%d\n" % number for number in range(10))
    run = two("-m", "a:x", "-m", "b:y", "--race", "-L", "--json", "-j", "2", stdin=lines)
    assert run.returncode == 0
    assert [end["provider"] for end in ends(run)] == ["b"] * 10
    assert eventually(lambda: len(two.a.given_up) == 10)
    assert len(two.a.asked) == 10
    run = two("-m", "a:x", "-m", "b:y", "--race", "-L", "-O", "{model}-{index}", stdin=b"x\n")
    assert (tmp_path / "b%3Ay-0").read_text() == answer_to("x")


def test_all_fail(two: Two) -> None:
    """The error is that of the first; who refuses is not asked again."""
    two.b.plan = lambda prompt, before: Act(status=500)
    run = two("-m", "a:x", "-m", "b:y", "--race", "--max-retries", "0", "404", stdin=None)
    assert run.returncode == 22
    assert run.complaints[-1].startswith("stream: HTTP 404: refused with 404")
    two.b.plan = by_word
    lines = b"".join(b"401 %d\n" % number for number in range(20))
    run = two("-m", "a:x", "-m", "b:y", "--race", "-L", "-j", "1", "--json", stdin=lines)
    assert run.returncode == 20
    assert len(two.a.asked) + len(two.b.asked) <= 4


def test_one_refuses_and_the_other_wins(two: Two) -> None:
    lines = b"".join(b"401 %d\n" % number for number in range(10))
    run = two("-m", "a:x", "-m", "b:y", "--race", "-L", "-j", "1", stdin=lines)
    assert run.returncode == 0
    assert len(two.b.asked) == 10
    assert run.text.count("\n") == 10


def test_a_tool_call_wins_when_nobody_has_text(server: FaultServer, stream: Stream) -> None:
    configure(server.url("tool_calls"), server.url("status_404"))
    args = ("-m", "a:x", "-m", "b:y", "--race", "--json")
    (end,) = stream(*args, "hi", env=KEYS).records
    assert (end["provider"], end["finish_reason"]) == ("a", "tool_calls")
    configure(server.url("tool_calls"), server.script("later", says("text")))
    (end,) = stream(*args, "hi", env=KEYS).records
    assert (end["provider"], end["text"]) == ("b", "text")


def test_a_race_of_one(two: Two) -> None:
    for more in ((), ("-L",)):
        run = two("-m", "a:x", "--race", *more, stdin=b"say hi\n")
        assert (run.returncode, run.text.strip()) == (0, "hi")


# Becomes the command, on a system that has a thread for one racer only.
ONE_RACER = """
import runpy, threading
start, given = threading.Thread.start, []
def few(thread):
    if thread.name.endswith("(_run)"):
        given.append(thread)
        if len(given) > 1:
            raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = few
runpy.run_module("streamcli", run_name="__main__")
"""


@pytest.mark.parametrize("batch", [(), ("-L",)], ids=["one", "batch"])
def test_a_system_that_gives_no_thread_to_race_in(
    two: Two, child_env: dict[str, str], batch: tuple[str, ...]
) -> None:
    two.a.plan = lambda prompt, before: Act(text="", end="stall")
    command = [sys.executable, "-c", ONE_RACER, "-m", "a:x", "-m", "b:y", "--race", "--json"]
    run = subprocess.run(
        [*command, *batch], input=b"hi\n", capture_output=True, env={**child_env, **KEYS}
    )
    (end,) = parse_records(run.stdout)
    check([end])
    assert (end["status"], end["exit_code"]) == ("usage", 2)
    assert run.returncode == (20 if batch else 2)
    said = run.stderr.decode().splitlines()[0]
    assert said.endswith("no thread to race in: can't start new thread: see ulimit -u")


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where connections are never made: the queue of those that wait is full."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        waiting = []
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}/v1"
        for each in waiting:
            each.close()


@pytest.mark.parametrize("batch", [False, True], ids=["one", "batch"])
def test_a_loser_that_connects_for_ever(two: Two, nowhere: str, batch: bool) -> None:
    configure(nowhere, two.b.base)
    args = ("-m", "a:x", "-m", "b:y", "--race", "--connect-timeout", "300")
    lines = b"hi\n" * 30 if batch else b"hi\n"
    run = two(*args, *(["-L", "-j", "2"] if batch else []), stdin=lines)
    assert run.returncode == 0
    assert run.text.strip() == "\n".join([answer_to("hi")] * (30 if batch else 1))


@pytest.mark.parametrize("batch", [(), ("-L",)], ids=["one", "batch"])
def test_a_loser_that_sleeps(server: FaultServer, stream: Stream, batch: tuple[str, ...]) -> None:
    def later(conn: Conn) -> None:
        conn.head(429, retry_after="100")
        conn.end()

    def soon(conn: Conn) -> None:
        conn.wait(0.5)
        says("won")(conn)

    configure(server.script("busy", later), server.script("soon", soon))
    run = stream("-m", "a:x", "-m", "b:y", "--race", *batch, stdin=b"hi\n", env=KEYS)
    assert (run.returncode, run.text.strip()) == (0, "won")


@pytest.mark.parametrize("batch", [(), ("-L",)], ids=["one", "batch"])
def test_an_interrupt_during_a_race(
    server: FaultServer, popen: Popen, batch: tuple[str, ...]
) -> None:
    players = Gone(THINKS), Gone()
    configure(*(server.script(f"p{number}", player) for number, player in enumerate(players)))
    args = ("-m", "a:x", "-m", "b:y", "--race", "--json")
    process = popen(*args, *batch, stdin=subprocess.PIPE, env=KEYS)
    assert process.stdin
    process.stdin.write(b"hi\n")
    process.stdin.close()
    process.stdin = None
    assert all(player.begun.wait(60) for player in players)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    (end,) = [json.loads(line) for line in out.splitlines()]
    check([end])
    assert end["status"] == "interrupted"
    assert not re.search("Traceback|bug", err.decode())
    assert eventually(lambda: all(player.seen for player in players))
