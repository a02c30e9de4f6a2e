"""The figures of --progress, from real runs: by model, with costs, below the text."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from batchserver import Act, BatchServer
from conftest import COMMAND, Configure
from forking import Forks
from ptys import Pty

CONFIG = """
[provider.a]
protocol = "openai-chat"
base_url = "{base}"
prices = {{ x = {{ input = 100000, output = 100000 }} }}

[provider.b]
protocol = "openai-chat"
base_url = "{base}"
"""
Run = Callable[..., Pty]


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """What a prompt that begins with `later` waits for."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def on_pty(
    child_env: dict[str, str],
    configure: Configure,
    tmp_path: Path,
    go_on: threading.Event,
    forks: Forks,
) -> Iterator[Run]:
    def plan(prompt: str, before: int) -> Act:
        word = prompt.split()[0]
        if word == "later":
            go_on.wait(60)
        return (
            Act(status=int(word))
            if word.isdigit()
            else Act(end="cut" if word == "cut" else "whole")
        )

    with ExitStack() as stack, BatchServer(plan) as server:
        configure(CONFIG.format(base=server.base))

        def run(
            prompts: str, *args: str, places: str = "2", kind: str = "-L", pipe: str = ""
        ) -> Pty:
            (tmp_path / "prompts").write_text(prompts)
            command = [*args, kind, "-j", "8", "--max-retries", "0", "-f", "prompts"]
            if pipe:
                places = "12"
                command = ["sh", "-c", f'"$@" --json | {pipe}', "sh", *COMMAND, *command]
            by = None if pipe else forks
            started = Pty(command, child_env, tmp_path, places=places, columns=100, forks=by)
            stack.callback(started.close)
            return started

        yield run


def test_a_bar_for_each_of_several_models(on_pty: Run, go_on: threading.Event) -> None:
    run = on_pty("well\n500 no\nlater\ncut\n", "-m", "a:x", "-m", "b:y")
    lines = run.until(lambda lines: any(line.startswith("6 of 8") for line in lines))
    at = next(number for number, line in enumerate(lines) if line.startswith("6 of 8"))
    assert re.fullmatch(r"6 of 8  \S+  75 %   \d+ s left", lines[at])
    figures = r"2 in flight   2 ok   2 (provider|truncated)   2 (provider|truncated)   [\d.]+ tok/s"
    assert re.fullmatch(rf"{figures}   cost 0\.\d+\+", lines[at + 1])
    of_model = r"3 of 4  \S+ +75 %   1 (provider|truncated)   1 (provider|truncated)   [\d.]+ tok/s"
    assert re.match(rf"  a:x  {of_model}   cost 0\.", lines[at + 2])
    assert re.match(rf"  b:y  {of_model}   1 in", lines[at + 3])
    assert re.match("last error: prompt [24] to [ab]:[xy]: ", lines[at + 4])
    go_on.set()
    code, lines = run.end()
    assert code == 20
    assert re.match(r"stream: 4 of 8 prompts failed \(2 \w+, 2 \w+\)", lines[-1])
    assert not any("in flight" in line for line in lines)


def test_models_that_lines_of_requests_name(on_pty: Run, go_on: threading.Event) -> None:
    """Nobody knows how many prompts there are for each of them."""
    lines = '{"prompt": "well", "model": "b:y"}\n{"prompt": "later"}\n{"prompt": "well"}\n'
    run = on_pty(lines, "-m", "a:x", kind="--requests")
    shown = run.until(
        lambda lines: lines and re.match("2( of 3| done)", lines[0]) and len(lines) > 3
    )
    assert re.match("  a:x  1 .*1 in flight", shown[2])
    assert re.match("  b:y  1 ", shown[3])
    go_on.set()
    assert run.end() == (0, [])


def test_text_and_progress_on_one_terminal(on_pty: Run, go_on: threading.Event) -> None:
    run = on_pty("one\nlater\n500 x\n", "-m", "b:y", "--progress", "always", places="12")
    shown = run.until(lambda lines: any("2 of 3" in line for line in lines))
    assert "answer to <one> done" in shown
    assert [line for line in shown if "of 3" in line] == [
        next(line for line in shown if "2 of 3" in line)
    ]
    go_on.set()
    code, lines = run.end()
    assert code == 20
    first = ["answer to <one> done", "stream: prompt 3: HTTP 500: refused with 500"]
    assert sorted(lines[:2]) == first  # they run at the same time
    assert lines[2:] == [
        "answer to <later> done",
        "",
        "stream: 1 of 3 prompts failed (1 provider)",
    ]


def test_a_reader_on_the_same_terminal_loses_nothing(on_pty: Run, go_on: threading.Event) -> None:
    """Lines that another process writes there, between the drawings, stay."""
    run = on_pty("one\ntwo\nlater\n", "-m", "a:x", "-m", "b:y", pipe="tee seen | cut -c 1-20")
    end = '{"type":"end","req'  # it may begin behind the progress, and go on in the next row
    run.until(lambda lines: "".join(lines).count(end) == 4)
    go_on.set()
    code, lines = run.end()
    assert code == 0
    assert "".join(lines).count(end) == 6
    assert run.raw.count(b"\x1b[A") == run.raw.count(b"\x1b[1A") == 0
