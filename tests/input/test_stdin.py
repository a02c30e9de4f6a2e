"""Stdin: who reads it, once, how long it is waited for, and what an empty one means."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from conftest import Popen, Stream
from faultserver import FaultServer

MODEL = ("-m", "vllm:m")


def contents(server: FaultServer) -> list[str]:
    return [message["content"] for message in server.requests[-1].json["messages"]]


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_stdin_wherever_a_file_is_named(server: FaultServer, stream: Stream, name: str) -> None:
    base = ("--base-url", server.url("ok"))
    assert stream(*MODEL, *base, "-s", f"@{name}", "hi", stdin=b"Be brief.\n").returncode == 0
    assert contents(server) == ["Be brief.", "hi"]
    assert stream(*MODEL, *base, "-f", name, "hi", stdin=b"text").returncode == 0
    assert contents(server) == ["text\n\nhi"]
    assert stream(*MODEL, *base, "-a", name, "hi", stdin=b"notes").returncode == 0
    assert "notes" in str(server.requests[-1].json)
    schema = stream(*MODEL, *base, "--schema", name, "hi", stdin=b'{"type": "object"}')
    assert schema.returncode == 12  # the answer is prose
    assert "response_format" in server.requests[-1].json
    assert stream(*MODEL, *base, "-H", f"@{name}", "hi", stdin=b"X-Mine: 1\n").returncode == 0
    assert server.requests[-1].headers["x-mine"] == "1"


@pytest.mark.parametrize(
    "args",
    [
        ("-s", "@-", "-"),
        ("-s", "@/dev/stdin", "-f", "-"),
        ("-f", "-", "-f", "-"),
        ("--schema", "-", "-a", "-"),
        ("-s", "@-", "-I", "{}", "x {}"),
        ("-L", "-s", "@-"),
        ("-H", "@-", "--key-file", "-"),
    ],
)
def test_stdin_wanted_twice(server: FaultServer, stream: Stream, args: tuple[str, ...]) -> None:
    run = stream(*MODEL, "--base-url", server.url("ok"), *args, "hi", stdin=b"x")
    assert run.returncode == 2
    (line,) = run.complaints
    assert "stdin" in line
    assert "once" in line
    assert not server.requests


def test_an_option_that_reads_stdin_leaves_none_for_the_prompt(
    server: FaultServer, stream: Stream
) -> None:
    run = stream(*MODEL, "--base-url", server.url("ok"), "-s", "@-", "hi", stdin=b"system")
    assert (run.returncode, run.stderr) == (0, "")
    assert contents(server) == ["system", "hi"]


def test_an_empty_stdin_is_noted(server: FaultServer, stream: Stream) -> None:
    run = stream(*MODEL, "--base-url", server.url("ok"), "hi", stdin=b"\n")
    assert run.returncode == 0
    (line,) = run.complaints
    assert "stdin is empty" in line
    assert "-r" in line


@pytest.mark.parametrize("stdin", [b"", b" \n", None])
@pytest.mark.parametrize("more", [(), ("--jsonl",), ("-O", "answer"), ("--repeat", "2")])
def test_nothing_is_asked_if_stdin_is_empty(
    server: FaultServer, stream: Stream, tmp_path: Path, stdin: bytes | None, more: tuple[str, ...]
) -> None:
    empty = ("--no-run-if-empty", *more)
    run = stream(*MODEL, "--base-url", server.url("ok"), *empty, "hi", stdin=stdin)
    assert (run.returncode, run.stderr) == (0, "")
    assert not [line for line in run.stdout.splitlines() if b'"summary"' not in line]
    assert not server.requests
    assert not (tmp_path / "answer").exists()


def test_something_is_asked_if_it_is_not(server: FaultServer, stream: Stream) -> None:
    run = stream(*MODEL, "--base-url", server.url("ok"), "-r", "hi", stdin=b"text")
    assert run.returncode == 0
    assert contents(server) == ["text\n\nhi"]


@pytest.mark.parametrize("records", [(), ("--jsonl",)])
def test_a_silent_pipe_ends_with_the_timeout(
    server: FaultServer, popen: Popen, records: tuple[str, ...]
) -> None:
    read, write = os.pipe()
    args = ("--base-url", server.url("ok"), "--timeout", "300ms", *records)
    process = popen(*MODEL, *args, "hi", stdin=read)
    os.close(read)
    out, err = process.communicate(timeout=60)
    os.close(write)
    assert process.returncode == 28
    assert b"stdin" in err
    assert b"-n" in err
    assert not server.requests
    if records:
        assert b'"kind":"total_timeout"' in out


@pytest.mark.parametrize("option", ["-f", "-s", "-a", "--key-file"])
def test_a_silent_fifo_ends_with_the_timeout(
    server: FaultServer, stream: Stream, tmp_path: Path, option: str
) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    where = "@fifo" if option == "-s" else "fifo"
    run = stream(*MODEL, "--base-url", server.url("ok"), "--timeout", "300ms", option, where, "hi")
    assert run.returncode == 28
    (line,) = run.complaints
    assert "fifo did not end within 0.3 s (--timeout)" in line
    assert not server.requests


def test_a_late_fifo_is_waited_for_and_interrupted(
    server: FaultServer, popen: Popen, tmp_path: Path
) -> None:
    for name in ("late", "never"):
        os.mkfifo(tmp_path / name)
    late, never = (
        popen(*MODEL, "--base-url", server.url("ok"), "-f", name) for name in ("late", "never")
    )
    assert late.stderr is not None
    assert late.stderr.readline() == b"stream: waiting for late\n"
    (tmp_path / "late").write_text("words")
    assert late.communicate()[0] == b"Hello world"
    assert contents(server) == ["words"]
    assert never.stderr is not None
    assert never.stderr.readline() == b"stream: waiting for never\n"
    never.send_signal(signal.SIGINT)
    assert never.wait(60) == -signal.SIGINT


def test_an_input_without_an_end(server: FaultServer, stream: Stream) -> None:
    run = stream(*MODEL, "--base-url", server.url("ok"), "-f", "/dev/zero")
    assert run.returncode == 2
    assert "/dev/zero is larger than 256 MiB" in run.stderr


def test_a_batch_of_dev_null(server: FaultServer, stream: Stream) -> None:
    run = stream(*MODEL, "--base-url", server.url("ok"), "-L")
    assert run.returncode == 0
    (line,) = run.complaints
    assert "/dev/null" in line
    run = stream(*MODEL, "--base-url", server.url("ok"), "-Lr")
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", "")


def test_a_word_that_is_a_file_is_noted(
    server: FaultServer, stream: Stream, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("Buy milk.")
    run = stream(*MODEL, "--base-url", server.url("ok"), "Sum up", "notes.txt")
    assert run.returncode == 0
    assert run.complaints == ["stream: notes.txt is a file: -f notes.txt sends what is in it"]
    run = stream(*MODEL, "--base-url", server.url("ok"), "Sum up notes.txt")
    assert run.complaints == []


def test_jobs_without_a_batch_is_noted(server: FaultServer, stream: Stream) -> None:
    base = ("--base-url", server.url("ok"))
    for args in ((), ("-f", "-"), ("Sum up", "-")):
        run = stream(*MODEL, *base, "-j", "8", *args, stdin=b"one\ntwo\n")
        assert run.returncode == 0
        (line,) = run.complaints
        assert "-L" in line
    quiet: tuple[tuple[tuple[str, ...], bytes | None], ...] = (
        (("-j", "8", "hi"), None),
        (("-j", "8", "two\nlines"), None),
        (("-j", "8", "two\nlines"), b"one\n"),
        (("-j", "8", "-L"), b"one\ntwo\n"),
        ((), b"one\ntwo\n"),
    )
    for args, stdin in quiet:
        assert stream(*MODEL, *base, *args, stdin=stdin).complaints == []


def test_a_byte_order_mark_is_dropped(server: FaultServer, stream: Stream, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbffrom a file")
    run = stream(*MODEL, "--base-url", server.url("ok"), "-f", "file", stdin=b"\xef\xbb\xbfx")
    assert run.returncode == 0
    assert contents(server) == ["from a file\n\nx"]
