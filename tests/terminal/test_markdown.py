"""The option --md: on terminals (pty), in pipes, in batches, and how an answer ends."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import COMMAND, Configure, Stream
from faultserver import Conn, FaultServer, part
from forking import Forks
from ptys import Pty

Run = Callable[..., Pty]
MODEL = ("-m", "vllm:m")
TEXT = "# Title\n\nSome **bold** text\nand `code`.\n\n- one\n- two\n\n```py\nx = 1\n```\n"
DRAWN = [
    "Title",
    "",
    "Some bold text and code.",
    "",
    " • one",
    " • two",
    "",
    "```py",
    "x = 1",
    "```",
]
PLAIN = "# Title\n\nSome bold text and `code`.\n\n • one\n • two\n\n```py\nx = 1\n```\n"


@pytest.fixture
def on_pty(child_env: dict[str, str], tmp_path: Path, forks: Forks) -> Iterator[Run]:
    with ExitStack() as stack:

        def run(*args: str, env: dict[str, str] | None = None, **options: object) -> Pty:
            seen = {**child_env, **(env or {})}
            started = Pty([*MODEL, *args], seen, tmp_path, forks=forks, **options)  # type: ignore[arg-type]
            stack.callback(started.close)
            return started

        yield run


def answering(server: FaultServer, *deltas: str) -> str:
    """Return the address of a server that answers with these deltas."""

    def play(conn: Conn) -> None:
        conn.open_with(*deltas)
        conn.finish()
        conn.done()
        conn.end()

    return server.script("markdown", play)


class Held:
    """An answer whose deltas the test lets through, one by one; `broken` leaves out its end."""

    def __init__(self, server: FaultServer, *deltas: str, broken: bool = False) -> None:
        self._go = threading.Semaphore(0)
        self._deltas = deltas
        self._broken = broken
        self.url = server.script("held", self._play)

    def go_on(self) -> None:
        self._go.release()

    def _play(self, conn: Conn) -> None:
        conn.open_with()
        for each in self._deltas:
            assert self._go.acquire(timeout=60)
            conn.delta(each)
        assert self._go.acquire(timeout=60)
        if not self._broken:
            conn.finish()
            conn.done()
        conn.end()


# ---- on a terminal ------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 40, 200])
def test_it_is_drawn_on_a_terminal(server: FaultServer, on_pty: Run, columns: int) -> None:
    run = on_pty("--base-url", answering(server, *TEXT), "--md", "hi", columns=columns)
    assert run.end() == (0, DRAWN)
    assert b"\x1b[35m" in run.raw


def test_the_open_block_is_seen_as_it_grows(server: FaultServer, on_pty: Run) -> None:
    held = Held(server, "A **bo", "ld** word", "\n\n- item")
    run = on_pty("--base-url", held.url, "--format", "markdown", "hi")
    held.go_on()
    run.until(lambda lines: lines == ["A **bo"])
    held.go_on()
    run.until(lambda lines: lines == ["A bold word"])
    held.go_on()
    run.until(lambda lines: lines == ["A bold word", "", " • item"])
    held.go_on()
    assert run.end() == (0, ["A bold word", "", " • item"])


@pytest.mark.parametrize("before", ["The answer: ", "x", ""])
def test_what_stands_in_its_line_is_spared(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path, before: str
) -> None:
    held = Held(server, "A **bo", "ld** word")
    script = f'printf %s "{before}"; exec "$@"'
    command = ["sh", "-c", script, "sh", *COMMAND, *MODEL, "--base-url", held.url, "--md", "hi"]
    run = Pty(command, child_env, tmp_path)
    try:
        held.go_on()
        run.until(lambda lines: lines[-1:] == ["A **bo"])
        held.go_on()
        held.go_on()
        lines = [before.rstrip(), "A bold word"] if before else ["A bold word"]
        assert run.end() == (0, lines)
    finally:
        run.close()


def test_code_comes_line_by_line(server: FaultServer, on_pty: Run) -> None:
    held = Held(server, "```py\nx = ", "1\n", "y")
    run = on_pty("--base-url", held.url, "--md", "hi")
    held.go_on()
    run.until(lambda lines: lines == ["```py", "x ="])
    held.go_on()
    run.until(lambda lines: lines == ["```py", "x = 1"])
    held.go_on()
    run.until(lambda lines: lines == ["```py", "x = 1", "y"])
    held.go_on()
    assert run.end() == (0, ["```py", "x = 1", "y"])


def test_the_next_block_has_the_new_width(server: FaultServer, on_pty: Run) -> None:
    words = "word " * 20
    held = Held(server, f"{words}\n\n- item", f"\n\n{words}")
    run = on_pty("--base-url", held.url, "--md", "hi", columns=60)
    held.go_on()
    run.until(lambda lines: lines[-1:] == [" • item"])
    run.resize(32)
    held.go_on()
    run.until(lambda lines: lines[-1:] == ["word word"])
    held.go_on()
    code, lines = run.end()
    assert code == 0
    assert [len(line) for line in lines if line.startswith("word")] == [32, 32, 29, 29, 29, 9]


@pytest.mark.parametrize(("env", "found"), [({}, False), ({"TMUX": "x"}, True)])
def test_an_open_block_that_the_terminal_wraps_anew_is_found_again(
    server: FaultServer, on_pty: Run, env: dict[str, str], found: bool
) -> None:
    """Its one row takes two lines of a narrow screen, where the terminal wraps it."""
    held = Held(server, "- " + "x" * 50, "y")
    run = on_pty("--base-url", held.url, "--md", "hi", columns=60, env=env)
    held.go_on()
    run.until(lambda lines: lines == [" • " + "x" * 50])
    run.resize(32)
    held.go_on()
    run.until(lambda lines: lines and lines[-1].endswith("xy"))
    assert (b"\r\x1b[2K\x1b[A\x1b[2K" in run.raw) is found
    held.go_on()
    assert run.end()[0] == 0


def test_a_dumb_terminal_gets_each_block_once(server: FaultServer, on_pty: Run) -> None:
    run = on_pty("--base-url", answering(server, *TEXT), "--md", "hi", term="dumb")
    assert run.end() == (0, PLAIN.splitlines())
    assert b"\x1b" not in run.raw


def test_without_colors_bold_stays(server: FaultServer, on_pty: Run) -> None:
    env = {"NO_COLOR": "1"}
    run = on_pty("--base-url", answering(server, *TEXT), "--md", "hi", env=env)
    code, lines = run.end()
    assert code == 0
    assert lines[:3] == ["Title", "", "Some bold text and `code`."]
    assert b"\x1b[1mbold\x1b[0m" in run.raw
    assert b"\x1b[3" not in run.raw


def test_the_reasoning_stands_between(server: FaultServer, on_pty: Run) -> None:
    def play(conn: Conn) -> None:
        conn.open_with()
        conn.event(part(reasoning_content="let me *think*"))
        conn.delta("# An *answer*")
        conn.event(part(reasoning_content="more"))
        conn.delta("- item")
        conn.finish()
        conn.done()
        conn.end()

    run = on_pty("--base-url", server.script("thinks", play), "--md", "hi")
    assert run.end() == (0, ["let me *think*", "", "An answer", "", "more", "", " • item"])
    assert b"\x1b[2mlet me *think*" in run.raw


def test_the_text_before_a_tool_is_over(server: FaultServer, on_pty: Run, tmp_path: Path) -> None:
    """The messages of the tool, and the text behind it, come below."""
    tool = tmp_path / "now"
    schema = '{"name": "now", "description": "the time", "input_schema": {"type": "object"}}'
    tool.write_text(f"#!/bin/sh\n[ \"$1\" = --schema ] && echo '{schema}' || echo noon\n")
    tool.chmod(0o755)

    def play(conn: Conn) -> None:
        asked_again = any(each["role"] == "tool" for each in conn.request.json["messages"])
        conn.open_with("Done: **noon**" if asked_again else "Let me *look*")
        if not asked_again:
            call = {"id": "c1", "index": 0, "function": {"name": "now", "arguments": "{}"}}
            conn.event(part(tool_calls=[call]))
        conn.finish("stop" if asked_again else "tool_calls")
        conn.done()
        conn.end()

    url = server.script("tools", play)
    run = on_pty("--base-url", url, "--md", "--tools", "./now", "-v", "hi", columns=200)
    code, lines = run.end()
    assert code == 0
    first = lines.index("Let me look")
    last = lines.index("Done: noon")
    assert any("now" in line for line in lines[first + 1 : last])


def test_a_broken_answer_stays_drawn(server: FaultServer, on_pty: Run) -> None:
    held = Held(server, "# Title\n\nIt **breaks** of", broken=True)
    held.go_on()
    held.go_on()
    run = on_pty("--base-url", held.url, "--md", "hi")
    code, lines = run.end()
    assert code == 18
    assert lines[:3] == ["Title", "", "It breaks of"]
    assert lines[3].startswith("stream: ")


def test_an_interrupted_answer_stays_drawn(server: FaultServer, on_pty: Run) -> None:
    held = Held(server, "# Title\n\nIt **stops** he")
    run = on_pty("--base-url", held.url, "--md", "hi")
    held.go_on()
    run.until(lambda lines: lines == ["Title", "", "It stops he"])
    os.kill(run.process.pid, signal.SIGINT)
    code, lines = run.end()
    held.go_on()
    assert code == -2
    assert lines[:3] == ["Title", "", "It stops he"]


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("setsid")), reason="needs bash")
@pytest.mark.parametrize("options", [(), ("-q",)])
def test_a_job_that_is_stopped_takes_its_open_block_away(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """^Z in a shell with job control, and then fg: without -q, the sign of life has the signal."""
    held = Held(server, "A *Danube*\n\nThe **Rh", "ine**")
    script = 'set -m; "$@"; echo "status $?"; read -r line; fg > /dev/null'
    args = [*COMMAND, *MODEL, "--base-url", held.url, "--md", "-n", *options, "hi"]
    command = ["setsid", "-c", "-w", "bash", "-c", script, "sh", *args]
    run = Pty(command, child_env, tmp_path, places="012")
    try:
        held.go_on()
        run.until(lambda lines: lines == ["A Danube", "", "The **Rh"])
        os.write(run.master, b"\x1a")
        lines = run.until(lambda lines: "status 148" in lines)
        assert lines[0] == "A Danube"
        assert not [line for line in lines if "Rh" in line]
        os.write(run.master, b"\n")
        held.go_on()
        run.until(lambda lines: lines[-1] == "The Rhine")
        held.go_on()
        code, lines = run.end()
        assert code == 0
        assert [line for line in lines if "Rh" in line] == ["The Rhine"]
    finally:
        run.close()


def test_control_characters_are_shown(server: FaultServer, on_pty: Run) -> None:
    url = answering(server, "a\x1b[2Jb &#27;[31m `\x07` \x9b31m\n\n    \x1b]0;t\x07\n")
    run = on_pty("--base-url", url, "--md", "--sanitize", "never", "hi")
    code, lines = run.end()
    assert code == 0
    assert lines[0].startswith("a^[[2Jb ")
    assert lines[2] == "    ^[]0;t^G"


# ---- elsewhere ----------------------------------------------------------------------------------


def test_in_a_pipe_it_is_plain(server: FaultServer, stream: Stream) -> None:
    args = (*MODEL, "--base-url", answering(server, *TEXT), "--md", "hi")
    assert stream(*args).text == PLAIN


def test_a_pipe_has_the_columns_of_a_variable(server: FaultServer, stream: Stream) -> None:
    args = (*MODEL, "--base-url", answering(server, "word " * 40), "--md", "hi")
    assert max(map(len, stream(*args).text.split("\n"))) == 79
    assert max(map(len, stream(*args, env={"COLUMNS": "40"}).text.split("\n"))) == 39


def test_a_pager_has_the_columns_of_its_terminal(
    server: FaultServer, on_pty: Run, tmp_path: Path
) -> None:
    run = on_pty(
        "--base-url", answering(server, "word " * 40), "--md", "hi", places="2", columns=30
    )
    assert run.end() == (0, [])
    assert max(map(len, (tmp_path / "out").read_text().split("\n"))) == 29


def test_color_always_is_for_a_pager(server: FaultServer, stream: Stream) -> None:
    args = (*MODEL, "--base-url", answering(server, TEXT), "--md", "--color", "always", "hi")
    text = stream(*args).text
    assert "\x1b[1mbold\x1b[0m" in text
    assert "\x1b[35mcode\x1b[0m" in text
    assert not [each for each in ("\x1b[A", "\x1b[2K", "\r") if each in text]


def test_records_and_a_file_have_the_text_itself(
    server: FaultServer, stream: Stream, tmp_path: Path
) -> None:
    url = answering(server, TEXT)
    result = stream(*MODEL, "--base-url", url, "--md", "--events", "events", "hi")
    assert result.text == PLAIN
    assert '"text"' in (tmp_path / "events").read_text()
    result = stream(*MODEL, "--base-url", url, "--md", "-O", "file", "hi")
    assert (result.text, (tmp_path / "file").read_text()) == ("", TEXT)


def test_code_and_json_are_no_markdown(server: FaultServer, stream: Stream) -> None:
    args = (*MODEL, "--base-url", answering(server, TEXT), "--md", "hi")
    assert stream(*args, "-x").text == "x = 1\n"
    args = (*MODEL, "--base-url", answering(server, '{"*a*": "_b_"}'), "--md", "hi")
    assert stream(*args, "--schema", "{}").text == '{"*a*": "_b_"}'


def test_a_batch_has_whole_answers(server: FaultServer, stream: Stream) -> None:
    args = (*MODEL, "--base-url", answering(server, "an *answer*\n\n- x"), "--md")
    assert stream(*args, "-L", stdin=b"one\ntwo\n").text == "an answer\n\n • x\n\n" * 2
    both = stream(*args, "-m", "vllm:n", "hi").text
    assert both == ("==> vllm:m <==\nan answer\n\n • x\n\n==> vllm:n <==\nan answer\n\n • x\n")


def test_the_configuration_chooses_it_for_a_terminal_only(
    server: FaultServer, stream: Stream, on_pty: Run, configure: Configure
) -> None:
    configure('[defaults]\nformat = "markdown"\n')
    url = answering(server, TEXT)
    assert stream(*MODEL, "--base-url", url, "hi").text == TEXT
    assert on_pty("--base-url", url, "hi").end() == (0, DRAWN)
    run = on_pty("--base-url", url, "--format", "text", "hi")
    assert run.end() == (0, TEXT.splitlines())


def test_the_configuration_chooses_no_other_format(stream: Stream, configure: Configure) -> None:
    configure('[defaults]\nformat = "jsonl"\n')
    result = stream(*MODEL, "--base-url", "http://127.0.0.1:9", "hi")
    assert result.returncode == 2
    assert "markdown" in result.complaints[0]
