"""The chat: on a terminal as a person types, and with a pipe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from batchserver import Act, BatchServer, by_word
from conftest import Stream, eventually
from faultserver import Conn, FaultServer
from forking import Forks
from ptys import Pty
from tool_answers import PROTOCOLS

from streamcli.cli.chat_input import files_like

# A signal that another thread gets does not end the wait of the first one: as one that comes after
# the prompt is written and before the wait begins. SIGALRM has no other thread to go to.
MISSED = """
import io, os, signal, sys, threading
from streamcli.cli.chat_input import LineReader

ours, theirs = os.pipe()
waiting, over = threading.Event(), threading.Event()
late = False

class Typed(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, buffer):
        waiting.set()
        return os.readv(ours, [buffer])

def interrupt():
    global late
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    waiting.wait()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    if not over.wait(PATIENCE):
        late = True
        os.write(theirs, b"typed\\n")

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.stdin = io.TextIOWrapper(io.BufferedReader(Typed()))
threading.Thread(target=interrupt).start()
try:
    LineReader("", lambda line, word: []).read()
except KeyboardInterrupt:
    print("late" if late else "at once")
over.set()
"""

WHOLE = "answer to <{}> done"


@pytest.fixture
def batches() -> Iterator[BatchServer]:
    with BatchServer(by_word) as running:
        yield running


@pytest.fixture
def env(batches: BatchServer, child_env: dict[str, str]) -> dict[str, str]:
    more = {"OPENAI_BASE_URL": batches.base, "OPENAI_API_KEY": "k", "STREAM_MODEL": "openai:m"}
    return {**child_env, **more}


class Person:
    """Types in a chat. Each line waits for the prompt, and then for its end."""

    def __init__(self, terminal: Pty) -> None:
        self.terminal = terminal
        self._ready()

    def _ready(self, after: int = 0) -> list[str]:
        """Wait for a prompt at the end of the screen, on a line that began after so many bytes."""

        def is_ready(lines: list[str]) -> bool:
            new = self.terminal.raw[after:]
            begun = b"\n" in new or not after
            return begun and new.endswith(b"> ") and lines[-1] == ">"

        return self.terminal.until(is_ready)

    def types(self, text: str, end: str = "\r") -> list[str]:
        """Return the screen when the next prompt is there."""
        before = len(self.terminal.raw)
        self.sends(text + end)
        return self._ready(before)

    def sends(self, keys: str) -> None:
        os.write(self.terminal.master, keys.encode("utf-8", "surrogateescape"))

    def leaves(self, keys: str = "\x04") -> int:
        self.sends(keys)
        return self.terminal.end()[0]


@pytest.fixture
def chat(env: dict[str, str], tmp_path: Path, forks: Forks) -> Iterator[Callable[..., Person]]:
    """Starts a chat on a terminal of its own."""
    open_: list[Pty] = []

    def start(*args: str) -> Person:
        # The terminal is that of the session, so that ^C is a signal.
        command = ["--chat", *args]
        terminal = Pty(command, env, tmp_path, places="012", forks=forks, terminal=1)
        open_.append(terminal)
        return Person(terminal)

    yield start
    for terminal in open_:
        terminal.close()


def state(name: str = "") -> Path:
    return Path(os.environ["XDG_STATE_HOME"], "stream", name)


def stored(name: str) -> list[dict[str, Any]]:
    lines = state(f"sessions/{name}.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines][1:]


def sent(batches: BatchServer) -> list[tuple[str, Any]]:
    return [(each["role"], each["content"]) for each in batches.asked[-1].body["messages"]]


def test_a_chat(chat: Any, batches: BatchServer) -> None:
    person = chat("one")
    lines = person.terminal.lines
    assert "openai:m: /help lists the commands" in lines[0]
    assert lines[1:] == [WHOLE.format("one"), ">"]
    person.types("two")
    assert sent(batches) == [("user", "one"), ("assistant", WHOLE.format("one")), ("user", "two")]
    assert "forgotten: two" in person.types("/undo")[-2]
    person.types("three")
    assert len(sent(batches)) == 3
    person.types("/retry")
    assert sent(batches)[-1] == ("user", "three")
    assert len(sent(batches)) == 3
    assert "4 turns, tokens: 12 input" in person.types("/us\t")[-2]
    assert "//... is a prompt" in person.types("/help")[-2]
    assert "there is no command /fly" in person.types("/fly")[-2]
    person.types("//etc")
    assert sent(batches)[-1] == ("user", "/etc")
    assert not state("sessions").exists()
    assert "stored as trip" in person.types("/save trip")[-2]
    said = [each["content"] for each in stored("trip") if each["role"] == "user"]
    assert said == ["one", "three", "/etc"]
    assert "there is a session trip already" in person.types("/save trip")[-2]
    person.types("four")
    assert stored("trip")[-1]["content"] == WHOLE.format("four")
    assert person.leaves() == 0
    history = state("chat_history")
    assert history.stat().st_mode & 0o777 == 0o600
    assert "/save trip" in history.read_text().splitlines()


def test_a_stopped_answer_is_partial_and_the_chat_goes_on(chat: Any, batches: BatchServer) -> None:
    person = chat("--session", "trip")
    person.sends("stall x\r")
    person.terminal.until(lambda lines: "answer to" in lines[-1])
    lines = person.types("\x03", "")
    assert "stopped" in lines[-2]
    last = stored("trip")[-1]
    assert (last["partial"], last["status"]) == (True, "interrupted")
    person.types("500 x")
    assert len(stored("trip")) == 2
    batches.plan = lambda prompt, before: Act()
    person.types("/retry")
    assert sent(batches)[-1] == ("user", "500 x")
    person.types("/undo")
    person.types("/retry")
    assert sent(batches) == [("user", "stall x")]
    assert stored("trip")[-2]["parent"] is None
    person.sends("half a line")
    person.terminal.until(lambda lines: lines[-1] == "> half a line")
    person.sends("\x03")
    person.terminal.until(lambda lines: "^C again leaves" in lines[-2] and lines[-1] == ">")
    assert person.leaves("\x03") == 0


def test_an_answer_that_fails_again_leaves_the_one_before(chat: Any, batches: BatchServer) -> None:
    person = chat("--max-retries", "0")
    person.types("one")
    batches.plan = lambda prompt, before: Act(status=400)
    assert "refused with 400" in person.types("/retry")[-2]
    batches.plan = lambda prompt, before: Act()
    person.types("two")
    assert [text for role, text in sent(batches) if role == "user"] == ["one", "two"]


def test_several_lines_are_one_prompt(chat: Any, batches: BatchServer) -> None:
    import readline

    person = chat()
    person.types("one \\\rtwo")
    assert sent(batches)[-1] == ("user", "one \ntwo")
    if "libedit" not in (readline.__doc__ or ""):
        person.types("\x1b[200~three\nfour\x1b[201~")
        assert sent(batches)[-1] == ("user", "three\nfour")


def test_what_is_asked_can_change(chat: Any, batches: BatchServer, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("It rains.")
    tool = {"name": "look", "command": ["true"]}
    (tmp_path / "tools.json").write_text(json.dumps([tool]))
    person = chat("-s", "be brief", "one")
    assert sent(batches)[0] == ("system", "be brief")
    assert "the system prompt: be brief" in person.types("/system")[-2]
    person.types("/system be long")
    assert "tools: look" in person.types("/tools tools.j\t")[-2]
    assert "openai:big answers" in person.types("/model openai:big")[-2]
    person.types("two")
    body = batches.asked[-1].body
    assert (body["model"], body["tools"][0]["function"]["name"]) == ("big", "look")
    assert sent(batches)[0] == ("system", "be long")
    person.types("/system -")
    assert "tools: none" in person.types("/tools -")[-2]
    person.types("three")
    assert "tools" not in batches.asked[-1].body
    assert sent(batches)[0] == ("user", "one")
    for command, words in (
        ("/model nobody:x", "no provider is called 'nobody'"),
        ("/tools nothing.json", "nothing.json"),
        ("/attach nothing.png", "nothing.png cannot be read"),
        ("/save a\x16\x1bb", "cannot be the name of a session"),
        ("/save", "/save needs a name"),
        ("/attach -", "--chat reads what is typed"),
        ("/system @-", "--chat reads what is typed"),
        ("/tools /dev/stdin", "--chat reads what is typed"),
        ("\x16\udcff", "is not UTF-8"),
    ):
        assert any(words in line for line in person.types(command)[-3:]), command
    person.types("four")
    assert batches.asked[-1].body["model"] == "big"
    assert "with the next prompt: notes.txt" in person.types("/attach notes.t\t")[-2]
    assert person.leaves() == 0


def test_a_model_is_named_without_its_provider(
    chat: Any, batches: BatchServer, env: dict[str, str]
) -> None:
    env["VLLM_BASE_URL"] = batches.base  # which gets no key
    person = chat("one")

    def answers(name: str) -> tuple[str, str, str]:
        shown = person.types(f"/model {name}")[-2]
        person.types("two")
        request = batches.asked[-1]
        return shown.removesuffix(" answers"), request.key, request.body["model"]

    assert answers("openai:big") == ("openai:big", "Bearer k", "big")
    assert answers("small") == ("openai:small", "Bearer k", "small")
    assert answers("vllm:q") == ("vllm:q", "", "q")
    assert answers("r") == ("vllm:r", "", "r")  # of the provider that answers now
    assert answers("q:4b") == ("vllm:q:4b", "", "q:4b")
    assert answers("m") == ("openai:m", "Bearer k", "m")  # it answered before
    assert answers("r") == ("vllm:r", "", "r")
    assert answers("openai:small") == ("openai:small", "Bearer k", "small")
    assert answers("new") == ("openai:new", "Bearer k", "new")


def test_a_chat_goes_on_with_a_session(
    chat: Any, batches: BatchServer, stream: Stream, env: Any
) -> None:
    stream("--session", "trip", "one", env=env)
    person = chat("-c")
    assert "session trip" in person.terminal.lines[0]
    assert "1 prompts so far, the last: one" in person.terminal.lines[1]
    person.types("two")
    assert len(sent(batches)) == 3
    assert person.leaves() == 0
    stream("-c", "three", env=env)
    assert len(sent(batches)) == 5


def test_a_tool_that_is_stopped_runs_again(chat: Any, server: FaultServer, tmp_path: Path) -> None:
    def play(conn: Conn) -> None:
        asked = conn.request.json["messages"][-1]["role"] == "user"
        body = PROTOCOLS["openai-chat"][0 if asked else 1]
        conn.reply(200, body, ctype="text/event-stream")

    (tmp_path / "look").write_text("#!/bin/sh\ntouch began; [ -e quick ] || sleep 600\n")
    (tmp_path / "look").chmod(0o755)
    tool = {"name": "look", "command": ["./look"], "cwd": "."}
    (tmp_path / "tools.json").write_text(json.dumps([tool]))
    url = server.script("tools", play)
    person = chat("-m", "vllm:m", "--base-url", url, "--tools", "tools.json")
    person.sends("Weather?\r")
    assert eventually((tmp_path / "began").exists)
    assert "stopped" in person.types("\x03", "")[-2]
    (tmp_path / "quick").touch()
    assert person.types("/retry")[-2] == "It rains."
    roles = [each["role"] for each in server.seen("tools")[-1].json["messages"]]
    assert roles == ["user", "assistant", "tool"]


def test_answers_that_go_elsewhere_have_lines_of_their_own(
    env: dict[str, str], tmp_path: Path, forks: Forks
) -> None:
    terminal = Pty(["--chat"], env, tmp_path, places="02", forks=forks, terminal=0)
    try:
        person = Person(terminal)
        person.types("one", "\n")
        person.types("two", "\n")
        assert person.leaves() == 0
    finally:
        terminal.close()
    answers = "".join(f"{WHOLE.format(each)}\n" for each in ("one", "two"))
    assert (tmp_path / "out").read_text() == answers


def test_text_of_a_model_is_not_obeyed(chat: Any, batches: BatchServer) -> None:
    person = chat()
    lines = person.types("say \x16\x1b]0;owned\x16\x07 and on")
    assert "^[]0;owned^G and on" in lines[-2]
    assert b"\x1b]0;" not in person.terminal.raw


def test_a_signal_ends_it(chat: Any) -> None:
    person = chat()
    person.types("one")
    person.terminal.process.send_signal(signal.SIGTERM)
    assert person.terminal.end()[0] == -signal.SIGTERM
    assert state("chat_history").read_text().splitlines()[-1] == "one"


def test_records_of_a_chat(chat: Any, tmp_path: Path) -> None:
    person = chat("--events", "e.jsonl", "-q")
    person.types("one")
    person.types("two")
    assert person.leaves() == 0
    records = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    ends = [each for each in records if each["type"] == "end"]
    assert [each["status"] for each in ends] == ["complete", "complete"]
    assert len({each["prompt_hash"] for each in ends}) == 2


@pytest.mark.parametrize("args", [["-L"], ["-n"], ["-f", "-"], ["--race"], ["--record", "r"]])
def test_a_chat_has_no_place_for_it(
    args: list[str], env: dict[str, str], tmp_path: Path, forks: Forks
) -> None:
    terminal = Pty(["--chat", *args], env, tmp_path, places="012", forks=forks)
    try:
        code, lines = terminal.end()
    finally:
        terminal.close()
    assert (code, lines[-1].startswith("stream: --chat")) == (2, True), lines


def test_names_of_files_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.txt", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "c").touch()
    assert files_like("") == ["a.txt", "b.txt", "bag/"]
    assert files_like("b") == ["b.txt", "bag/"]
    assert files_like("bag/") == ["bag/c"]
    assert files_like(".h") == [".hidden"]
    assert files_like("nothing/") == []


# ---- with a pipe --------------------------------------------------------------------------------


def test_lines_of_a_pipe_are_turns(stream: Stream, batches: BatchServer, env: Any) -> None:
    ran = stream("--chat", stdin=b"one\n/undo\ntwo\n", env=env)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.text == "".join(f"{WHOLE.format(each)}\n" for each in ("one", "/undo", "two"))
    assert [text for role, text in sent(batches) if role == "user"] == ["one", "/undo", "two"]
    assert not state("sessions").exists()
    assert not state("chat_history").exists()
    stream("--chat", "--session", "trip", stdin=b"one\n", env=env)
    ran = stream("--chat", "-c", "--max-retries", "0", stdin=b"500 x\ntwo\n", env=env)
    assert (ran.returncode, ran.text) == (20, f"\n{WHOLE.format('two')}\n")
    assert [text for role, text in sent(batches) if role == "user"] == ["one", "two"]


def test_an_answer_is_there_before_the_next_line(popen: Any, env: Any) -> None:
    import subprocess

    process = popen("--chat", stdin=subprocess.PIPE, env=env)
    assert process.stdin is not None
    assert process.stdout is not None
    for prompt in ("one", "two"):
        process.stdin.write(f"{prompt}\n".encode())
        wanted = f"{WHOLE.format(prompt)}\n".encode()
        got = b""
        while len(got) < len(wanted):
            got += process.stdout.read(1)
        assert got == wanted
    process.stdin.close()
    process.stdin = None
    assert process.wait(60) == 0


def test_a_signal_before_the_wait_for_a_line_is_not_missed(child_env: dict[str, str]) -> None:
    code = MISSED.replace("PATIENCE", "60")
    run = subprocess.run(
        [sys.executable, "-c", code], env=child_env, stdin=subprocess.DEVNULL, capture_output=True
    )
    assert (run.returncode, run.stdout) == (0, b"at once\n"), run.stderr
