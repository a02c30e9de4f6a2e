"""What a person sees: messages, the answer and the sign of life on one real terminal."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import COMMAND
from faultserver import Conn, FaultServer, part
from forking import Forks
from ptys import Pty

Run = Callable[..., Pty]
MODEL = ("-m", "vllm:m")


@pytest.fixture
def on_pty(child_env: dict[str, str], tmp_path: Path, forks: Forks) -> Iterator[Run]:
    with ExitStack() as stack:

        def run(
            *args: str, env: dict[str, str] | None = None, wrap: str = "", **options: object
        ) -> Pty:
            command = [*MODEL, *args]
            if wrap:
                command = ["sh", "-c", wrap, "sh", *COMMAND, *command]
            else:
                options["forks"] = forks
            started = Pty(command, {**child_env, **(env or {})}, tmp_path, **options)  # type: ignore[arg-type]
            stack.callback(started.close)
            return started

        yield run


class Held:
    """An answer that the test lets go on, step by step."""

    def __init__(self, server: FaultServer, *steps: str | Callable[[Conn], None]) -> None:
        self._go = threading.Semaphore(0)
        self._steps = steps
        self.url = server.script("held", self._play)

    def go_on(self) -> None:
        self._go.release()

    def _play(self, conn: Conn) -> None:
        conn.open_with()
        for step in self._steps:
            assert self._go.acquire(timeout=60)
            if callable(step):
                step(conn)
            else:
                conn.delta(step)
        conn.finish()
        conn.done()
        conn.end()


def waiting(lines: list[str]) -> bool:
    return any("waiting" in line for line in lines)


# ---- the sign of life ---------------------------------------------------------------------------


@pytest.mark.parametrize("places", ["12", "2"])
def test_a_sign_of_life_is_gone_without_a_trace(
    server: FaultServer, on_pty: Run, tmp_path: Path, places: str
) -> None:
    held = Held(server, "Hello", " world")
    run = on_pty("--base-url", held.url, "hi", places=places)
    (line,) = run.until(waiting)
    assert line.lstrip().removeprefix("waiting ").removesuffix(" s").isdigit()
    held.go_on()
    if places == "12":
        assert run.until(lambda lines: lines[:1] == ["Hello"]) == ["Hello"]
    held.go_on()
    code, lines = run.end()
    assert code == 0
    assert lines == (["Hello world"] if places == "12" else [])
    if places == "2":
        assert (tmp_path / "out").read_text() == "Hello world"


def test_the_seconds_are_counted(server: FaultServer, on_pty: Run) -> None:
    held = Held(server, "Hello")
    run = on_pty("--base-url", held.url, "hi")
    run.until(lambda lines: lines == [" waiting 1 s"])
    run.until(lambda lines: lines == [" waiting 2 s"])
    held.go_on()
    assert run.end() == (0, ["Hello"])


def test_the_wait_before_a_retry_is_counted_down(server: FaultServer, on_pty: Run) -> None:
    def refuse(conn: Conn) -> None:
        conn.reply(429, {}, retry_after="60")

    def seconds(lines: list[str]) -> int:
        shown = re.fullmatch(r" retrying in (\d+) s", lines[-1] if lines else "")
        return int(shown[1]) if shown else 99

    run = on_pty("--base-url", server.script("busy", refuse), "hi")
    run.until(lambda lines: seconds(lines) <= 60)
    first = seconds(run.lines)
    run.until(lambda lines: seconds(lines) < first)
    os.kill(run.process.pid, 2)
    code, lines = run.end()
    assert code == -2
    assert not any("retrying in" in line for line in lines[1:])


def test_a_sign_of_life_spares_what_stands_before_it(
    server: FaultServer, on_pty: Run, child_env: dict[str, str], tmp_path: Path
) -> None:
    held = Held(server, "42")
    script = 'printf "The answer: "; exec "$@"'
    command = ["sh", "-c", script, "sh", *COMMAND, *MODEL, "--base-url", held.url, "hi"]
    run = Pty(command, child_env, tmp_path)
    try:
        run.until(waiting)
        assert run.lines[0].startswith("The answer:  waiting")
        held.go_on()
        assert run.end() == (0, ["The answer: 42"])
    finally:
        run.close()


def test_a_message_takes_the_sign_of_life_away(server: FaultServer, on_pty: Run) -> None:
    tried = threading.Event()
    go = threading.Event()

    def play(conn: Conn) -> None:
        if not tried.is_set():
            tried.set()
            assert go.wait(60)
            conn.reply(503, {}, retry_after="0")
            return
        conn.open_with()
        conn.delta("Hello")
        conn.finish()
        conn.done()
        conn.end()

    run = on_pty("--base-url", server.script("busy", play), "hi")
    run.until(waiting)
    go.set()
    code, lines = run.end()
    assert code == 0
    assert lines[0].startswith("stream: ")
    assert lines[-1] == "Hello"
    assert not waiting(lines)


@pytest.mark.parametrize("options", [(), ("--jsonl",)])
def test_a_batch_shows_it_between_the_answers(
    server: FaultServer, on_pty: Run, tmp_path: Path, options: tuple[str, ...]
) -> None:
    go = {name: threading.Event() for name in ("first", "second")}

    def play(conn: Conn) -> None:
        name = conn.request.json["messages"][0]["content"]
        conn.open_with()
        assert go[name].wait(60)
        conn.delta(f"the {name}")
        conn.finish()
        conn.done()
        conn.end()

    (tmp_path / "prompts").write_text("first\nsecond\n")
    script = 'exec "$@" -L -j 2 < prompts'
    url = server.script("batch", play)
    run = on_pty("--base-url", url, *options, wrap=script, columns=1000)
    run.until(lambda lines: any("waiting 1 s (0 done, 2 in flight)" in line for line in lines))
    go["first"].set()
    run.until(lambda lines: any("the first" in line and not waiting([line]) for line in lines))
    run.until(lambda lines: any("(1 done, 1 in flight)" in line for line in lines))
    go["second"].set()
    code, lines = run.end()
    assert code == 0
    assert not waiting(lines)
    if not options:
        assert lines == ["the first", "the second"]


def test_a_batch_that_waits_for_its_input_shows_none(
    server: FaultServer, on_pty: Run, tmp_path: Path
) -> None:
    """Nobody is asked meanwhile; a slow machine only makes the silence longer."""
    script = '{ echo one; sleep 2; echo two; } | "$@" -L'
    run = on_pty("--base-url", server.url("ok"), wrap=script)
    assert run.end() == (0, ["Hello world", "Hello world"])
    assert b"0 in flight" not in run.raw


@pytest.mark.parametrize(
    ("options", "term"),
    [
        (("-q",), "xterm"),
        (("--progress", "never"), "xterm"),
        ((), "dumb"),
    ],
)
def test_no_sign_of_life(
    server: FaultServer, on_pty: Run, options: tuple[str, ...], term: str
) -> None:
    """The server waits longer than the sign would; a slow machine only makes that longer."""
    held = Held(server, "Hello")
    run = on_pty("--base-url", held.url, *options, "hi", term=term)
    timer = threading.Timer(1.0, held.go_on)
    timer.start()
    assert run.end() == (0, ["Hello"])
    assert b"waiting" not in run.raw
    assert b"\x1b" not in run.raw
    timer.join()


def test_in_the_background_nothing_is_drawn(
    server: FaultServer, on_pty: Run, child_env: dict[str, str], tmp_path: Path
) -> None:
    """A shell with job control starts it in a process group that does not own the terminal."""
    held = Held(server, "Hello")
    script = 'set -m; "$@" </dev/null >out2 & wait $!'
    command = ["bash", "-c", script, "sh", *COMMAND, *MODEL, "--base-url", held.url, "hi"]
    run = Pty(["setsid", "-c", "-w", *command], child_env, tmp_path, places="012")
    timer = threading.Timer(1.0, held.go_on)
    try:
        timer.start()
        run.end()
        assert (tmp_path / "out2").read_text() == "Hello"
        assert b"waiting" not in run.raw
    finally:
        timer.join()
        run.close()


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("setsid")), reason="needs bash")
def test_a_job_that_is_stopped_leaves_no_sign_of_life(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    """^Z in a shell with job control, and then fg."""
    held = Held(server, "Hello")
    script = 'set -m; "$@"; echo "status $?"; read -r line; fg > /dev/null'
    command = ["bash", "-c", script, "sh", *COMMAND, *MODEL, "--base-url", held.url, "hi", "-n"]
    run = Pty(["setsid", "-c", "-w", *command], child_env, tmp_path, places="012")
    try:
        run.until(waiting)
        os.write(run.master, b"\x1a")
        assert not waiting(run.until(lambda lines: "status 148" in lines))
        os.write(run.master, b"\n")
        run.until(waiting)
        held.go_on()
        code, lines = run.end()
        assert (code, lines[-1]) == (0, "Hello")
        assert not waiting(lines)
    finally:
        run.close()


def test_an_interrupt_leaves_no_sign_of_life(server: FaultServer, on_pty: Run) -> None:
    held = Held(server, "Hello")
    run = on_pty("--base-url", held.url, "hi")
    run.until(waiting)
    os.kill(run.process.pid, 2)
    code, lines = run.end()
    held.go_on()
    assert code == -2
    assert not waiting(lines)


# ---- messages -----------------------------------------------------------------------------------


def test_a_message_in_the_middle_of_an_answer_begins_a_line(
    server: FaultServer, on_pty: Run
) -> None:
    """The answer breaks off in a line, and is gone on with after a note of that."""
    asked = threading.Event()

    def play(conn: Conn) -> None:
        conn.open_with()
        if not asked.is_set():
            asked.set()
            conn.delta("The number is 7883, which is")
            conn.reset()
            return
        conn.delta(" prime")
        conn.finish()
        conn.done()
        conn.end()

    run = on_pty(
        "--base-url", server.script("breaks", play), "--on-drop", "continue", "hi", columns=200
    )
    code, lines = run.end()
    assert code == 0
    assert lines[0] == "The number is 7883, which is"
    assert lines[1].startswith("stream: the connection was lost")
    assert lines[2:] == [" prime"]


def test_messages_of_a_batch_begin_a_line(server: FaultServer, on_pty: Run, tmp_path: Path) -> None:
    """The second prompt fails while the first one's answer stands in the middle of a line."""
    begun, failed = threading.Event(), threading.Event()

    def play(conn: Conn) -> None:
        if b"second" in conn.request.body:
            assert begun.wait(60)
            conn.reply(400, {"error": {"message": "no"}})
            return
        conn.open_with()
        conn.delta("The number is 7883, which is")
        assert failed.wait(60)
        conn.delta(" prime")
        conn.finish()
        conn.done()
        conn.end()

    (tmp_path / "prompts").write_text("first\nsecond\n")
    url = server.script("batch", play)
    script = 'exec "$@" -L < prompts'
    run = on_pty("--base-url", url, wrap=script)
    run.until(lambda lines: lines == ["The number is 7883, which is"])
    begun.set()
    run.until(lambda lines: any("prompt 2" in line for line in lines))
    failed.set()
    code, lines = run.end()
    assert code == 20
    assert lines[0] == "The number is 7883, which is"
    assert lines[1].startswith("stream: prompt 2: ")
    assert lines[2] == " prime"
    assert lines[3] == ""  # the answer of the second
    assert lines[4].startswith("stream: 1 of 2 prompts failed")


def test_a_message_after_the_thoughts_begins_a_line(server: FaultServer, on_pty: Run) -> None:
    def play(conn: Conn) -> None:
        conn.open_with()
        conn.event(part(reasoning_content="let me think"))
        conn.reset()

    run = on_pty(
        "--base-url", server.script("thinks", play), "--max-retries", "0", "hi", columns=200
    )
    code, lines = run.end()
    assert code == 18
    assert lines[0] == "let me think"
    assert lines[1].startswith("stream: ")
    assert len(lines) == 2


def test_a_dumb_terminal_gets_no_escapes(server: FaultServer, on_pty: Run) -> None:
    run = on_pty("--base-url", server.url("reasoning"), "hi", term="dumb")
    code, lines = run.end()
    assert code == 0
    assert lines == ["let me see", "", "Hello world"]
    assert b"\x1b" not in run.raw


# ---- the reasoning ------------------------------------------------------------------------------


def thinks(*parts: tuple[str, str]) -> Callable[[Conn], None]:
    def play(conn: Conn) -> None:
        conn.open_with()
        for field, text in parts:
            conn.event(part(**{field: text}))
        conn.finish()
        conn.done()
        conn.end()

    return play


@pytest.mark.parametrize(
    ("options", "env"), [((), {}), (("--color", "never"), {}), ((), {"NO_COLOR": "1"})]
)
def test_a_blank_line_is_between_reasoning_and_answer(
    server: FaultServer, on_pty: Run, options: tuple[str, ...], env: dict[str, str]
) -> None:
    text, thought = "content", "reasoning_content"
    url = server.script(
        "thinks",
        thinks(
            *((thought, "Hm, "), (thought, "漢字 and a thought that is long")),
            *((text, "One"), (text, " and")),
            *((thought, "wait\n"), (text, "two\n\n"), (thought, "\x1b[31mred"), (text, "three")),
        ),
    )
    run = on_pty("--base-url", url, *options, "hi", columns=30, env=env)
    code, lines = run.end()
    assert code == 0
    assert [line.replace(" ", "") for line in lines] == [
        *("Hm,漢字andathoughtthatis", "long", "", "Oneand", "", "wait", "", "two", ""),
        *("^[[31mred", "", "three"),
    ]
    dimmed = run.raw.count(b"\x1b[2m")
    assert dimmed == run.raw.count(b"\x1b[22m") == (0 if options or env else 4)


@pytest.mark.parametrize("ending", ["interrupt", "reset", "reason"])
def test_the_reasoning_ends_its_line_and_its_look(
    server: FaultServer, on_pty: Run, ending: str
) -> None:
    def play(conn: Conn) -> None:
        conn.open_with()
        conn.event(part(reasoning_content="let me think"))
        if ending == "interrupt":
            conn.wait_peer_closed(60)
        elif ending == "reset":
            conn.reset()
        else:
            conn.finish("length")
            conn.done()
            conn.end()

    url = server.script("thinks", play)
    run = on_pty("--base-url", url, "--max-retries", "0", "hi", columns=200)
    run.until(lambda lines: lines[:1] == ["let me think"])
    if ending == "interrupt":
        os.kill(run.process.pid, 2)
    code, lines = run.end()
    assert code == {"interrupt": -2, "reset": 18, "reason": 10}[ending]
    assert len(lines) == (1 if ending == "interrupt" else 2)
    assert run.raw.endswith(b"\x1b[22m\r\n") or run.raw.endswith(b"\r\n")
    assert run.raw.rindex(b"\x1b[22m") > run.raw.rindex(b"\x1b[2m")


def test_an_interrupt_in_the_middle_of_a_long_write_ends_its_look(
    server: FaultServer, on_pty: Run
) -> None:
    """Nobody reads the terminal: the write of the reasoning waits when the signal comes."""
    sent = threading.Event()

    def play(conn: Conn) -> None:
        conn.open_with()
        conn.event(part(reasoning_content="x" * 200_000))
        sent.set()
        conn.wait_peer_closed(60)

    run = on_pty("--base-url", server.script("thinks", play), "hi")
    run.until(lambda lines: lines[:1] == ["x" * 80])
    os.kill(run.process.pid, 2)
    code, _ = run.end()
    assert code == -2
    assert run.raw.rindex(b"\x1b[22m") > run.raw.rindex(b"\x1b[2m")
