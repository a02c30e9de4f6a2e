"""Two runs on one journal: the second one waits for the first, and asks nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from batchserver import Act, BatchServer, by_word
from conftest import Popen, Stream, eventually
from forking import Fork
from records import check

PROMPTS = b"say a\nsay b\nsay c\n"


class Held(BatchServer):
    """Answers once `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.requests: list[str] = []
        super().__init__(self._answer)

    def _answer(self, prompt: str, before: int) -> Act:
        self.requests.append(prompt)
        assert self.go.wait(90)
        return by_word(prompt, before)


@pytest.fixture
def held() -> Iterator[Held]:
    with Held() as server:
        yield server
        server.go.set()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "out.jsonl"
    path.touch()
    return path


def start(popen: Popen, server: BatchServer, journal: Path, *options: str | Path) -> Fork:
    """Start the idiom on `journal`: what it has is not asked, and it goes on."""
    args = ("-L", "--base-url", server.base, "-m", "m", "--json", *options)
    with journal.open("ab") as stdout:
        process = popen(*args, stdin=subprocess.PIPE, stdout=stdout)
    assert process.stdin
    process.stdin.write(PROMPTS)
    process.stdin.close()
    return process


def first_line(process: Fork) -> str:
    assert process.stderr
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(process.stderr.fileno(), 1)
    return line.decode()


def ends(journal: Path) -> list[str]:
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    check(records)
    return [record["text"] for record in records if record["type"] == "end"]


@pytest.mark.parametrize("events", [False, True])
def test_the_second_run_waits(popen: Popen, held: Held, tmp_path: Path, events: bool) -> None:
    """The journal is where stdout goes, or --events; that one need not be there yet."""
    journal = tmp_path / "out.jsonl"
    out = tmp_path / "text" if events else journal
    options = ("--resume", journal, *(("--events", journal) if events else ()))
    journal.touch()
    if events:
        journal.unlink()
    first = start(popen, held, out, *options)
    assert eventually(lambda: len(held.requests) == 3)
    second = start(popen, held, out, *options)
    said = first_line(second)
    assert said.startswith(f"stream: another run appends to {journal}: waiting")
    assert len(held.requests) == 3
    held.go.set()
    assert first.wait(60) == 0
    assert second.wait(60) == 0
    assert second.stderr
    assert b"nothing is left to ask: 3 done already" in second.stderr.read()
    assert len(held.requests) == 3
    if not events:
        assert sorted(ends(journal)) == ["a", "b", "c"]


def test_the_second_run_finishes_what_the_first_left(popen: Popen, held: Held, out: Path) -> None:
    first = start(popen, held, out, "--resume", out)
    assert eventually(lambda: len(held.requests) == 3)
    second = start(popen, held, out, "--resume", out)
    first_line(second)
    first.kill()  # the kernel drops its lock
    first.wait(60)
    held.go.set()
    assert second.wait(60) == 0
    assert sorted(ends(out)) == ["a", "b", "c"]
    assert len(held.requests) == 6


def test_an_interrupt_while_it_waits(popen: Popen, held: Held, out: Path) -> None:
    start(popen, held, out, "--resume", out)
    assert eventually(lambda: len(held.requests) == 3)
    second = start(popen, held, out, "--resume", out)
    first_line(second)
    second.send_signal(signal.SIGINT)
    assert second.wait(60) == -signal.SIGINT
    assert len(held.requests) == 3


def test_runs_that_only_read_it_go_on(
    popen: Popen, stream: Stream, held: Held, out: Path, tmp_path: Path
) -> None:
    start(popen, held, out, "--resume", out)
    assert eventually(lambda: len(held.requests) == 3)
    with BatchServer(by_word) as other:
        args = ("-L", "--base-url", other.base, "-m", "m", "--json")
        run = stream(*args, "--resume", out, stdin=PROMPTS)
        assert run.returncode == 0
        assert not run.stderr
        with (tmp_path / "other.jsonl").open("ab") as own:
            run = stream(*args, "--resume", out, stdin=PROMPTS, stdout=own)
        assert run.returncode == 0
        assert not run.stderr
        # A run that would empty the journal is told so at once.
        with out.open("r+b") as over:
            run = stream(*args, "--resume", out, stdin=PROMPTS, stdout=over)
        assert run.returncode == 2
        assert "use >>" in run.stderr
