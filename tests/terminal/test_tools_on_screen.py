"""What a person sees while tools run, between the rounds, and while an answer is asked again."""

from __future__ import annotations

import json
import os
import select
import shutil
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import COMMAND
from faultserver import Conn, FaultServer, error_body, part
from forking import Forks
from ptys import Pty

from streamcli.events import ToolCall, ToolResult
from streamcli.terminal.region import Region
from streamcli.terminal.screen import Line
from streamcli.terminal.widths import cells
from streamcli.tools.call_lines import call_line

Run = Callable[..., Pty]
MODEL = ("-m", "vllm:m")
# A tool that ends when the test writes a file of its name.
WAITS = 'until [ -e "$1" ]; do sleep 0.05; done; cat "$1"'


@pytest.fixture
def on_pty(child_env: dict[str, str], tmp_path: Path, forks: Forks) -> Iterator[Run]:
    with ExitStack() as stack:

        def run(*args: str, **options: object) -> Pty:
            started = Pty([*MODEL, *args], child_env, tmp_path, forks=forks, **options)  # type: ignore[arg-type]
            stack.callback(started.close)
            return started

        yield run


class Calls:
    """A server that has the tools called once, and answers when `go_on` is called."""

    def __init__(self, server: FaultServer, *names: str, text: str = "Let me see.") -> None:
        self._names = names
        self._text = text
        self._go = threading.Event()
        self.url = server.script("calls", self._play)

    def go_on(self) -> None:
        self._go.set()

    def _play(self, conn: Conn) -> None:
        if conn.request.json["messages"][-1]["role"] == "tool":
            conn.open_with()
            assert self._go.wait(60)
            conn.delta("It rains.")
            conn.finish()
        else:
            conn.open_with(*filter(None, [self._text]))
            calls = [
                {"index": i, "id": f"c{i}", "function": {"name": name, "arguments": "{}"}}
                for i, name in enumerate(self._names)
            ]
            conn.event(part(tool_calls=calls))
            conn.finish("tool_calls")
        conn.done()
        conn.end()


@pytest.fixture
def tools(tmp_path: Path) -> str:
    """A file with the tools `rain` and `time`, each of which waits for a file of its name."""
    listed = [
        {"name": name, "parameters": {}, "command": ["sh", "-c", WAITS, "sh", name]}
        for name in ("rain", "time")
    ]
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(listed))
    return str(path)


def end(folder: Path, tool: str, output: str) -> None:
    (folder / "new").write_text(output)
    os.rename(folder / "new", folder / tool)


def shows(what: str) -> Callable[[list[str]], bool]:
    return lambda lines: bool(lines) and lines[-1].startswith(f" {what} ")


def test_the_tools_that_run_are_named_and_leave_no_trace(
    server: FaultServer, on_pty: Run, tools: str, tmp_path: Path
) -> None:
    calls = Calls(server, "rain", "time")
    run = on_pty("--base-url", calls.url, "--tools", tools, "hi")
    lines = run.until(shows("running rain, time"))
    assert lines[:-1] == ["Let me see."]
    end(tmp_path, "time", "it is \x1b[31mlate\n" * 50)
    run.until(shows("running rain"))
    end(tmp_path, "rain", '{"sky":"rain"}')
    lines = run.until(shows("waiting"))
    assert len(lines) == 4
    calls.go_on()
    code, lines = run.end()
    assert code == 0
    assert lines[0] == "Let me see."
    assert lines[1].startswith('stream: rain {} -> {"sky":"rain"} (')
    assert lines[2].startswith("stream: time {} -> it is ^[[31mlate it is ^[[31mlate")
    assert lines[2].endswith(" s)")
    assert lines[3:] == ["It rains."]
    assert b"\x1b[?25" not in run.raw


@pytest.mark.parametrize("text", ["Let me see.", "Let me see.\n", ""])
def test_a_narrow_terminal(
    server: FaultServer, on_pty: Run, tools: str, tmp_path: Path, text: str
) -> None:
    calls = Calls(server, "rain", text=text)
    run = on_pty("--base-url", calls.url, "--tools", tools, "hi", columns=40)
    run.until(shows("running rain"))
    end(tmp_path, "rain", "rain " * 40)
    run.until(shows("waiting"))
    calls.go_on()
    code, lines = run.end()
    assert code == 0
    (line,) = [line for line in lines if "stream:" in line]
    assert line.startswith("stream: rain {} -> rain")
    assert line.endswith(" s)")
    assert [line for line in lines if "stream:" not in line] == [
        *text.split("\n")[: 1 if text else 0],
        "It rains.",
    ]


@pytest.mark.parametrize("option", ["-q", "--progress=never"])
def test_nothing_is_drawn_that_is_not_wanted(
    server: FaultServer, on_pty: Run, tools: str, tmp_path: Path, option: str
) -> None:
    calls = Calls(server, "rain")
    run = on_pty("--base-url", calls.url, "--tools", tools, option, "hi")
    run.until(lambda lines: lines == ["Let me see."])
    threading.Timer(1.0, end, [tmp_path, "rain", "rain"]).start()
    calls.go_on()
    code, lines = run.end()
    assert (code, len(lines)) == (0, 2 if option == "-q" else 3)
    assert b"running" not in run.raw
    assert b"\x1b" not in run.raw


def test_an_interrupt_while_a_tool_runs(server: FaultServer, on_pty: Run, tools: str) -> None:
    run = on_pty("--base-url", Calls(server, "rain").url, "--tools", tools, "hi")
    run.until(shows("running rain"))
    os.kill(run.process.pid, 2)
    assert run.end() == (-2, ["Let me see."])


def test_the_wait_for_a_server_that_is_busy(server: FaultServer, on_pty: Run) -> None:
    """The note of the 429 stays, and the sign of life goes on below it."""
    go = threading.Event()

    def play(conn: Conn) -> None:
        if conn.attempt == 1:
            conn.reply(429, error_body("slow down"), retry_after="2")
            return
        conn.open_with()
        assert go.wait(60)
        conn.delta("Hello")
        conn.finish()
        conn.done()
        conn.end()

    run = on_pty("--base-url", server.script("busy", play), "hi", columns=200)
    run.until(lambda lines: len(lines) == 2 and shows("waiting")(lines))
    run.until(lambda lines: len(server.seen("busy")) == 2 and shows("waiting")(lines))
    go.set()
    code, lines = run.end()
    assert code == 0
    assert lines[0].startswith("stream: ")
    assert lines[0].endswith("trying again in 2.0 s")
    assert lines[1:] == ["Hello"]


def test_the_wait_for_an_answer_that_matches(server: FaultServer, on_pty: Run) -> None:
    go = threading.Event()

    def play(conn: Conn) -> None:
        conn.open_with('{"a": "no number"}' if conn.attempt == 1 else '{"a": ')
        if conn.attempt > 1:
            assert go.wait(60)
            conn.delta("1}")
        conn.finish()
        conn.done()
        conn.end()

    url = server.script("schema", play)
    run = on_pty("--base-url", url, "--schema", "a int", "--schema-retries", "1", "hi", columns=200)
    run.until(lambda lines: len(lines) == 2 and shows("waiting")(lines))
    go.set()
    code, lines = run.end()
    assert code == 0
    assert lines[1:] == ['{"a": 1}']


def test_a_program_that_is_slow_to_say_what_it_is(
    server: FaultServer, on_pty: Run, tmp_path: Path
) -> None:
    program = tmp_path / "slow"
    said = json.dumps({"name": "rain", "description": "", "input_schema": {"type": "object"}})
    program.write_text(
        f"#!/bin/sh\n{WAITS.replace('$1', str(tmp_path / 'go'))} > /dev/null\necho '{said}'\n"
    )
    program.chmod(0o755)
    run = on_pty("--base-url", server.url("ok"), "--tools", str(program), "hi")
    run.until(shows("starting the tools"))
    end(tmp_path, "go", "")
    assert run.end() == (0, ["Hello world"])


def test_a_tool_of_the_server_is_named_and_has_its_line(
    server: FaultServer, on_pty: Run, tmp_path: Path
) -> None:
    """An agent served as a model (Tyler's mode="openai") runs its tools itself."""
    go = threading.Event()

    def play(conn: Conn) -> None:
        conn.open_with("Let me see.")
        function = {"name": "web\x1b[31m-search", "arguments": '{"query":"qubits"}'}
        conn.event(part(tool_calls=[{"index": 0, "id": "c1", "function": function}]))
        conn.finish("tool_calls")
        conn.event(part(role="tool", tool_call_id="c1", name="web-search", content="many\n" * 99))
        assert go.wait(60)
        conn.delta("They are many.")
        conn.finish()
        conn.done()
        conn.end()

    run = on_pty("--base-url", server.script("agent", play), "hi")
    lines = run.until(shows("waiting"))
    go.set()
    code, lines = run.end()
    assert code == 0
    assert lines[0] == "Let me see."
    assert lines[1].startswith('stream: web^[[31m-search {"query":"qubi... -> many many')
    assert lines[1].endswith(" (by the server)")
    assert lines[2:] == ["They are many."]


@pytest.mark.parametrize("option", ["-q", "--jsonl"])
def test_a_tool_of_the_server_has_no_line_where_none_is_wanted(
    server: FaultServer, on_pty: Run, option: str
) -> None:
    def play(conn: Conn) -> None:
        conn.open_with()
        conn.event(part(role="tool", tool_call_id="c1", name="web-search", content="many"))
        conn.delta("Hi")
        conn.finish()
        conn.done()
        conn.end()

    run = on_pty("--base-url", server.script("agent", play), option, "hi")
    code, lines = run.end()
    assert code == 0
    assert not [line for line in lines if "by the server" in line]


@pytest.mark.skipif(not shutil.which("setsid"), reason="needs setsid")
def test_a_chat_writes_below_the_interrupt(
    server: FaultServer, child_env: dict[str, str], tools: str, tmp_path: Path
) -> None:
    """The terminal shows ^C where the cursor stands: what follows begins a line."""
    calls = Calls(server, "rain")
    options = ("--base-url", calls.url, "--tools", tools, "--chat")
    command = ["setsid", "-c", "-w", *COMMAND, *MODEL, *options]
    run = Pty(command, child_env, tmp_path, places="012")
    try:
        run.until(lambda lines: lines[-1:] == [">"])
        os.write(run.master, b"hello\n")
        run.until(shows("running rain"))
        os.write(run.master, b"\x03")
        lines = run.until(lambda lines: len(lines) > 5 and lines[-1] == ">")
        assert lines[1:] == [
            "> hello",
            "Let me see.",
            "^C",
            "stream: stopped: /retry asks again",
            ">",
        ]
        os.write(run.master, b"\x04")
        assert run.end()[0] == 0
    finally:
        run.close()


# ---- the line of a call -------------------------------------------------------------------------


def a_step(name: str, arguments: str, output: str, width: int | None) -> str:
    call = ToolCall("c", name, arguments)
    return call_line(call, ToolResult("c", name, output, duration_ms=200.0), width)


def test_a_step_is_one_line() -> None:
    line = a_step("weather", '{"city":"Oslo"}', '{"sky":"rain"}\n', 80)
    assert line == 'weather {"city":"Oslo"} -> {"sky":"rain"} (0.2 s)'
    assert a_step("weather", "", "", 80) == "weather {} -> (nothing) (0.2 s)"


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("arguments", ["{}", "x" * 500, "漢字 " * 100])
@pytest.mark.parametrize("output", ["ok", "y" * 100_000, "漢字\n\x1b[2J" * 1000])
@pytest.mark.parametrize("name", ["rain", "n" * 400])
def test_a_step_fits_the_terminal(name: str, arguments: str, output: str, width: int) -> None:
    line = f"stream: {a_step(name, arguments, output, width)}"
    assert cells(line) < width
    assert "\x1b" not in line
    assert "\n" not in line
    assert line.endswith(" (0.2 s)")


def test_a_short_part_leaves_its_room_to_the_other() -> None:
    line = a_step("look", "{}", "y" * 500, 80)
    assert cells(f"stream: {line}") == 79
    line = a_step("look", "x" * 500, "ok", 80)
    assert cells(f"stream: {line}") == 79
    assert "-> ok (" in line


@contextmanager
def terminal_as_stderr() -> Iterator[int]:
    """Make a terminal the standard error of this process; give its other end."""
    saved, (master, slave) = os.dup(2), os.openpty()
    termios.tcsetwinsize(master, (24, 80))
    os.dup2(slave, 2)
    try:
        yield master
    finally:
        os.dup2(saved, 2)
        for fd in (saved, master, slave):
            os.close(fd)


def test_a_terminal_that_became_narrow_has_no_trace() -> None:
    """It wraps what was drawn: the rest of the sign is below the line."""
    line = Line()
    with terminal_as_stderr() as terminal:
        line.sign = 80
        wide = line.erase()
        nothing = line.erase()
        line.sign = 80
        termios.tcsetwinsize(terminal, (24, 40))
        assert (wide, nothing, line.erase()) == (b"\x1b[K", b"", b"\x1b[J")


def test_the_progress_makes_room_for_a_question() -> None:
    line = Line()
    with terminal_as_stderr() as terminal:
        line.region = region = Region(line)
        region.draw(["one"])
        assert b"one" in os.read(terminal, 1000)
        assert b"\x1b[2K" in line.question()
        region.draw(["two"])
        assert select.select([terminal], [], [], 0)[0] == []
        assert b"two" in line.answered()
        region.draw(["three"])
        assert b"three" in os.read(terminal, 1000)


def test_nothing_is_drawn_behind_a_question() -> None:
    line = Line()
    line.answer(b"Let me see.")
    assert line.question() == b"\n"
    assert line.asks
    assert line.message(b"a note\n") == b"\na note\n"
    assert line.asks
    assert line.answered() == b""
    assert line.question() == b""  # the person has ended the line
    line.answered()
    assert not line.asks
