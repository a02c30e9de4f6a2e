"""What becomes the prompt: arguments, stdin, -f and -I, judged by what the server was asked.

Every stdin in here is the real thing: a pipe, a file, a socket, a pseudo-terminal, or none at all.
"""

import fcntl
import os
import pty
import re
import socket
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from conftest import COMMAND, Result, Stream
from faultserver import FaultServer

MODEL = ("-m", "vllm:tiny")

Ask = Callable[..., str]


@pytest.fixture
def ask(server: FaultServer, stream: Stream) -> Ask:
    """A run that must go well and have nothing to say; returns the prompt the server got."""

    def ask(*args: str | bytes | Path, **how: Any) -> str:
        before = len(server.requests)
        run = stream(*MODEL, "--base-url", server.url("ok"), *args, **how)
        assert (run.returncode, run.stdout, run.stderr) == (0, b"Hello world", "")
        (prompt,) = prompts(server)[before:]
        return prompt

    return ask


@pytest.fixture
def refuse(server: FaultServer, stream: Stream) -> Ask:
    """A run that must end as a usage error, with nothing asked; returns its one line."""

    def refuse(*args: str | bytes | Path, **how: Any) -> str:
        run = stream(*MODEL, "--base-url", server.url("ok"), *args, **how)
        return refusal(server, run)

    return refuse


def prompts(server: FaultServer) -> list[str]:
    """What the server was asked, each time with this one message and no other."""
    contents = []
    for request in server.requests:
        (message,) = request.json["messages"]
        assert message["role"] == "user"
        contents.append(message["content"])
    return contents


def refusal(server: FaultServer, run: Result) -> str:
    assert (run.returncode, run.stdout) == (2, b""), run.stderr
    assert not server.requests
    assert_one_line(run.stderr)
    return run.stderr


def assert_one_line(stderr: str) -> None:
    assert re.fullmatch(r"stream: [^\x00-\x1f\x7f-\x9f\u2028\u2029]+\n", stderr), ascii(stderr)


# ---- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "prompt"),
    [
        (("What", "is", "a", "pipe?"), "What is a pipe?"),
        (("two  blanks ", " each"), "two  blanks   each"),
        (("a", "", "b"), "a  b"),
        (("two\nlines\n", "crlf\r\n"), "two\nlines\n crlf\r\n"),
        (("日本語", "👩‍👩‍👧", "\u202eabc"), "日本語 👩‍👩‍👧 \u202eabc"),
        (("{}", "$HOME", "%s", "\\n"), "{} $HOME %s \\n"),
        (("options", "--seed", "1", "between"), "options between"),
    ],
)
def test_words_are_joined_by_one_space(ask: Ask, words: tuple[str, ...], prompt: str) -> None:
    assert ask(*words) == prompt


@pytest.mark.parametrize(
    ("words", "prompt"),
    [
        (("--", "-"), "-"),
        (("--", "-", "first"), "- first"),
        (("--", "last", "-"), "last -"),
        (("--", "-n", "--jsonl", "-5", "degrees"), "-n --jsonl -5 degrees"),
        (("--", "--"), "--"),
        (("before", "--", "-"), "before -"),
        (("-s--", "-"), "from stdin"),  # the value of -s ends no options
    ],
)
def test_two_dashes_end_the_options_and_make_a_dash_a_dash(
    server: FaultServer, stream: Stream, words: tuple[str, ...], prompt: str
) -> None:
    stdin = b"from stdin\n" if prompt == "from stdin" else None
    run = stream(*MODEL, "--base-url", server.url("ok"), *words, stdin=stdin)
    assert run.returncode == 0, run.stderr
    assert server.requests[0].json["messages"][-1]["content"] == prompt


def test_xargs_may_bring_anything(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    items = ["-", "--", "-n", "--help", "plain", "@file", "-f"]
    run = shell(
        'xargs -I{} "$@" --jsonl -- {}',
        server.url("ok"),
        env=child_env,
        cwd=tmp_path,
        stdin="\n".join(items).encode(),
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert prompts(server) == items


def shell(
    script: str, url: str, *options: str, env: dict[str, str], cwd: Path, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """A script in which "$@" is the command."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, *MODEL, "--base-url", url, *options],
        input=stdin,
        env=env,
        cwd=cwd,
        capture_output=True,
        timeout=30,
    )


# ---- what stdin is ------------------------------------------------------------------------------


@contextmanager
def pipe_with(text: bytes) -> Iterator[IO[bytes]]:
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    with open(reading, "rb", 0) as stdin:
        yield stdin


@contextmanager
def open_pipe() -> Iterator[IO[bytes]]:
    """Nobody ever writes to it, and nobody closes it."""
    reading, writing = os.pipe()
    try:
        with open(reading, "rb", 0) as stdin:
            yield stdin
    finally:
        os.close(writing)


@contextmanager
def socket_with(text: bytes) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(text)
        ours.shutdown(socket.SHUT_WR)
        yield theirs


@contextmanager
def terminal_with(typed: bytes) -> Iterator[IO[bytes]]:
    """A terminal at which this was typed before anybody read."""
    master, slave = pty.openpty()
    try:
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        os.write(master, typed)
        with open(slave, "rb", 0) as stdin:
            yield stdin
    finally:
        os.close(master)


def waiting_in(stdin: IO[bytes]) -> int:
    """The bytes that are there and that nobody has read."""
    return int(struct.unpack("i", fcntl.ioctl(stdin, termios.FIONREAD, b"\0\0\0\0"))[0])


@pytest.mark.parametrize("source", [pipe_with, socket_with])
def test_a_pipe_and_a_socket_are_read(ask: Ask, source: Callable[..., Any]) -> None:
    with source(b"from stdin\n") as stdin:
        assert ask(stdin=stdin) == "from stdin"
    with source(b"from stdin\n") as stdin:
        assert ask("and", "words", stdin=stdin) == "from stdin\n\nand words"


def test_a_regular_file_is_read(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(b"line 1\nline 2\n")
    with (tmp_path / "notes").open("rb") as stdin:
        assert ask("and", "words", stdin=stdin) == "line 1\nline 2\n\nand words"


def test_a_terminal_is_left_alone(ask: Ask, refuse: Ask, server: FaultServer) -> None:
    with terminal_with(b"typed ahead\n") as stdin:
        assert ask("hi", stdin=stdin) == "hi"
        server.clear()
        assert "no prompt" in refuse(stdin=stdin)
        assert waiting_in(stdin) == len(b"typed ahead\n"), "what was typed is for the shell"


def test_dev_null_is_no_prompt(ask: Ask, refuse: Ask, server: FaultServer) -> None:
    assert ask("hi", stdin=None) == "hi"
    server.clear()
    assert "no prompt" in refuse(stdin=None)


def test_a_directory_is_left_alone(ask: Ask, tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    with open(folder, "rb", 0, opener=lambda *_: folder) if False else _Fd(folder) as stdin:
        assert ask("hi", stdin=stdin) == "hi"


class _Fd:
    """A descriptor that Python's own files refuse to wrap."""

    def __init__(self, number: int) -> None:
        self.fileno = lambda: number

    def __enter__(self) -> "_Fd":
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self.fileno())
