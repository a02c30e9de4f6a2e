"""The format table: every row has its sink, and a new format is a row and a file."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from conftest import Result, Stream
from faultserver import FaultServer

from streamcli.settings.formats import FORMATS, Format, format_of

# What the docstring of output/formats.py asks for: one file, and one row.
SINK = '''
"""The format `shout`: the text in capitals."""


def sink(out, context):
    return Shout(out, context)


class Shout:
    def __init__(self, out, context):
        self._out = out
        self._end = b"" if context.item is None else context.item.end

    def emit(self, t_ms, events):
        for event in events:
            if hasattr(event, "text"):
                self._out.write(event.text.upper().encode())

    def close(self, outcome, verdict):
        self._out.write(b"!" + self._end)
'''
RECORDS = '''
"""The format `count`: one line a prompt, how many deltas it had."""


def sink(out, context):
    return Count(out, context.facts)


def summary(record):
    return b"prompts %d\\n" % record["prompts"]


class Count:
    def __init__(self, out, facts):
        self._out, self._facts, self._count = out, facts, 0

    def emit(self, t_ms, events):
        self._count += sum(hasattr(event, "text") for event in events)

    def close(self, outcome, verdict):
        self._out.lines(b"%d %s\\n" % (self._count, verdict.status.encode()))
'''
MAIN = """
import sys
import streamcli.output
from streamcli.settings.formats import FORMATS, Format
streamcli.output.__path__.append(sys.argv.pop(1))
FORMATS.append(Format("shout", "shout", "the text in capitals"))
FORMATS.append(Format("count", "count", "counts", records=True, summary=True))
from streamcli.__main__ import main
main()
"""


@pytest.fixture
def run(child_env: dict[str, str], server: FaultServer, tmp_path: Path):  # type: ignore[no-untyped-def]
    folder = tmp_path / "sinks"
    folder.mkdir()
    (folder / "shout.py").write_text(SINK)
    (folder / "count.py").write_text(RECORDS)

    def start(*args: str, stdin: bytes = b"") -> tuple[int, bytes]:
        command = [sys.executable, "-c", MAIN, str(folder), *args]
        ended = subprocess.run(
            command, input=stdin, env=child_env, capture_output=True, timeout=60, cwd=tmp_path
        )
        return ended.returncode, ended.stdout

    return start


def test_a_new_format_is_a_row_and_a_file(run, server: FaultServer, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    model = ("-m", "vllm:m", "--base-url", server.url("ok"))
    assert run(*model, "--format", "shout", "hi") == (0, b"HELLO WORLD!")
    assert run(*model, "--format", "shout", "-L", stdin=b"1\n2\n") == (0, b"HELLO WORLD!\n" * 2)
    assert run(*model, "--format", "count", "hi") == (0, b"2 complete\n")
    batch = (0, b"2 complete\n2 complete\nprompts 2\n")
    assert run(*model, "--format", "count", "-L", stdin=b"1\n2\n") == batch
    # Records stand beside the file of -O, a text goes into it.
    assert run(*model, "--format", "count", "-O", "file", "hi") == (0, b"2 complete\n")
    assert (tmp_path / "file").read_text() == "Hello world"
    code, text = run("--help")
    assert code == 0
    assert b"shout" in text


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_every_row_has_its_file(row: Format) -> None:
    module = import_module(f"streamcli.output.{row.module}")
    assert callable(module.sink)
    assert callable(getattr(module, "summary", None)) == row.summary
    assert format_of(row.name) is row


# ---- stdout by the name of - --------------------------------------------------------------------

MODEL = ("-m", "vllm:m", "--base-url")


def test_output_to_a_dash_is_stdout(server: FaultServer, stream: Stream, tmp_path: Path) -> None:
    run = stream(*MODEL, server.url("ok"), "-O", "-", "hi")
    assert (run.returncode, run.text, run.stderr) == (0, "Hello world", "")
    batch = stream(*MODEL, server.url("ok"), "-L", "-O", "-", stdin=b"1\n2\n")
    assert (batch.returncode, batch.text) == (0, "Hello world\n" * 2)
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize("stdin", [None, b"1\n2\n"])
def test_events_to_a_dash_are_on_stdout(
    server: FaultServer, stream: Stream, tmp_path: Path, stdin: bytes | None
) -> None:
    prompt = ("hi",) if stdin is None else ("-L",)
    file = "answer" if stdin is None else "answer{index}"
    url = server.url("ok")
    run = stream(*MODEL, url, "--events", "-", "-O", file, *prompt, stdin=stdin)
    assert run.returncode == 0
    assert run.records[0]["type"] == "start"
    assert (tmp_path / file.format(index=0)).read_text() == "Hello world"
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--events", "-"),
        ("--events", "-", "-O", "-"),
        ("--events", "-", "--jsonl"),
        ("-O", "-", "--json"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("batch", [(), ("-L",)], ids=["single", "batch"])
def test_stdout_is_not_for_two(
    server: FaultServer, stream: Stream, options: tuple[str, ...], batch: tuple[str, ...]
) -> None:
    url = server.url("ok")
    run = stream(*MODEL, url, *options, *(batch or ("hi",)), stdin=b"1\n" if batch else None)
    assert run.returncode == 2
    assert "both write to stdout" in run.stderr
    assert len(run.complaints) == 1
    assert not server.requests


# ---- a working directory that is gone -----------------------------------------------------------


@pytest.mark.parametrize(
    "options", ["-O out.txt", "-O {index}/out.txt -L", "--events events.jsonl"]
)
def test_a_deleted_working_directory(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path, options: str
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    words = "" if "-L" in options else "hi"
    script = f'rmdir "$PWD"; echo hi | {sys.executable} -m streamcli "$@" {options} {words}'
    url = server.url("ok")
    ended = subprocess.run(
        ["sh", "-c", script, "sh", *MODEL, url],
        cwd=gone,
        env=child_env,
        capture_output=True,
        timeout=60,
    )
    stderr = ended.stderr.decode()
    assert ended.returncode == 23
    assert "the working directory was deleted" in stderr
    assert "bug" not in stderr
    assert os.listdir(tmp_path) == [".xdg"] or not (tmp_path / "gone").exists()


# ---- who speaks, under xargs --------------------------------------------------------------------


def names(server: FaultServer, stream: Stream, *args: str) -> Result:
    return stream(*MODEL, server.url("status_400"), *args)


def test_an_error_names_its_prompt_with_verbose(
    server: FaultServer, stream: Stream, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("long")
    many = "word " * 30
    for args, name in (
        (("-v", "first", "prompt"), "first prompt: "),
        (("-v", "-f", "notes.txt"), "notes.txt: "),
        (("-v", many), many[:37] + "...: "),
        (("first", "prompt"), ""),
    ):
        run = names(server, stream, *args)
        assert run.returncode == 22
        assert f"stream: {name}HTTP 400" in run.stderr
