"""What becomes the prompt: arguments, stdin, -f and -I, judged by what the server was asked.

Every stdin in here is the real thing: a pipe, a file, a socket, a pseudo-terminal, or none at all.
"""

import os
import pty
import re
import select
import socket
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pytest
from conftest import COMMAND, Popen, Result, Stream, eventually, waiting_in
from faultserver import FaultServer

MODEL = ("-m", "vllm:tiny")

Ask = Callable[..., str]


EMPTY = "stream: stdin is empty, so the prompt is only the arguments: -r asks nothing then\n"


@pytest.fixture
def ask(server: FaultServer, stream: Stream) -> Ask:
    """A run that must go well and have nothing to say; returns the prompt the server got."""

    def ask(*args: str | bytes | Path, **how: Any) -> str:
        before = len(server.requests)
        run = stream(*MODEL, "--base-url", server.url("ok"), *args, **how)
        stdin = how.get("stdin")
        noted = EMPTY if isinstance(stdin, bytes) and not stdin.strip() else ""
        assert (run.returncode, run.stdout, run.stderr) == (0, b"Hello world", noted)
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
        (("--", "last", "-"), "last -"),
        (("--", "-n", "--jsonl", "-5", "degrees"), "-n --jsonl -5 degrees"),
        (("--", "--"), "--"),
        (("before", "--", "-"), "before -"),
    ],
)
def test_two_dashes_end_the_options_and_make_a_dash_a_dash(
    ask: Ask, words: tuple[str, ...], prompt: str
) -> None:
    assert ask(*words) == prompt


def test_xargs_may_bring_anything(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    items = ["-", "--", "--help", "-f"]
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
        timeout=60,
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


def test_stdin_closed(server: FaultServer, child_env: dict[str, str], tmp_path: Path) -> None:
    run = shell('"$@" hi <&-', server.url("ok"), env=child_env, cwd=tmp_path, stdin=b"not mine")
    assert (run.returncode, run.stdout, run.stderr) == (0, b"Hello world", b"")
    assert prompts(server) == ["hi"]
    server.clear()
    run = shell('"$@" <&-', server.url("ok"), env=child_env, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, b"")
    assert b"no prompt" in run.stderr
    assert not server.requests


def test_more_than_a_pipe_holds(ask: Ask) -> None:
    text = "".join(f"{number} é\n" for number in range(100_000))
    assert ask("sum", stdin=text.encode()) == f"{text[:-1]}\n\nsum"


def test_every_character_arrives(ask: Ask) -> None:
    text = "\0-\0 - \x1b[31m \x7f\x9b \ufeff\u2028\U0010ffff \t\v\f"
    assert ask(stdin=text.encode()) == text


def test_a_pipe_that_does_not_block(server: FaultServer, popen: Popen) -> None:
    """Others share our stdin and may have made it non-blocking: node does, ssh does."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, "rb", 0) as stdin, open(writing, "wb", 0) as feeder:
        process = popen(*MODEL, "--base-url", server.url("ok"), "sum", stdin=stdin)
        feeder.write(b"one half, ")
        assert eventually(lambda: waiting_in(stdin) == 0)
        time.sleep(0.05)  # it has come back for more by now, or does so when there is some
        with suppress(BrokenPipeError):  # who does not read on is found out below
            feeder.write(b"the other half")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, b"Hello world", b"")
    assert prompts(server) == ["one half, the other half\n\nsum"]


def test_a_silent_pipe_is_waited_for_and_said_so(server: FaultServer, popen: Popen) -> None:
    began = time.monotonic()
    process = popen(*MODEL, "--base-url", server.url("ok"), "sum", stdin=subprocess.PIPE)
    assert process.stderr
    assert select.select([process.stderr], [], [], 60)[0]
    assert time.monotonic() - began >= 3
    note = os.read(process.stderr.fileno(), 65536).decode()
    assert_one_line(note)
    assert "stdin" in note
    out, err = process.communicate(b"late\n", timeout=60)
    assert (process.returncode, out, err) == (0, b"Hello world", b"")
    assert prompts(server) == ["late\n\nsum"]


# ---- -n -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-n", "--no-stdin"])
def test_no_stdin(ask: Ask, option: str) -> None:
    with pipe_with(b"not for you\n") as stdin:
        assert ask(option, "hi", stdin=stdin) == "hi"
        assert waiting_in(stdin) == len(b"not for you\n")
    with open_pipe() as stdin:
        assert ask("hi", option, stdin=stdin) == "hi"


def test_no_stdin_and_no_words(refuse: Ask) -> None:
    assert "no prompt" in refuse("-n", stdin=b"not for you")


@pytest.mark.parametrize("words", [("-", "hi"), ("-f", "-"), ("-I", "{}", "see {}")], ids=" ".join)
def test_no_stdin_and_stdin(refuse: Ask, words: tuple[str, ...]) -> None:
    assert re.search(r"-n\b|--no-stdin|no stdin", refuse("-n", *words, stdin=b"which?"))


LOOP = 'while read -r name; do "$@" "A pun on $name"; done < names'


def test_a_while_read_loop(server: FaultServer, child_env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "names").write_text("Ann\nBob\nEve\n")
    run = shell(LOOP, server.url("ok"), "-n", env=child_env, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, b"")
    assert prompts(server) == ["A pun on Ann", "A pun on Bob", "A pun on Eve"]


def test_a_while_read_loop_that_forgot(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "names").write_text("Ann\nBob\nEve\n")
    run = shell(LOOP, server.url("ok"), env=child_env, cwd=tmp_path)
    assert run.returncode == 0
    assert prompts(server) == ["Bob\nEve\n\nA pun on Ann"]
    note = run.stderr.decode()
    assert_one_line(note)
    assert re.search(r"-n\b", note)


def test_a_file_nobody_read_before_needs_no_note(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("all mine\n")
    with (tmp_path / "notes").open("rb", 0) as stdin:
        assert ask("sum", stdin=stdin) == "all mine\n\nsum"


def test_the_rest_of_a_file_without_words_needs_no_note(ask: Ask, tmp_path: Path) -> None:
    """`{ read -r title; stream; } < notes` means what it does."""
    (tmp_path / "notes").write_text("title\nall the rest\n")
    with (tmp_path / "notes").open("rb", 0) as stdin:
        stdin.seek(len("title\n"))
        assert ask(stdin=stdin) == "all the rest"


# ---- - ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "prompt"),
    [
        (("-",), "stdin"),
        (("-", "then", "words"), "stdin\n\nthen words"),
        (("first", "words", "-"), "first words\n\nstdin"),
        (("first", "-", "then"), "first\n\nstdin\n\nthen"),
        (("-", "--", "-"), "stdin\n\n-"),
    ],
)
def test_a_dash_is_stdin_here(ask: Ask, words: tuple[str, ...], prompt: str) -> None:
    assert ask(*words, stdin=b"stdin\n") == prompt


@pytest.mark.parametrize("typed", [b"a line\nand another\n\x04", b"a line\nand another\x04\x04"])
def test_a_dash_at_a_terminal(ask: Ask, typed: bytes) -> None:
    with terminal_with(typed) as stdin:
        assert ask("-", "sum", stdin=stdin) == "a line\nand another\n\nsum"


def test_a_dash_where_nothing_is_adds_nothing(ask: Ask) -> None:
    assert ask("-", "hi", stdin=None) == "hi"
    with terminal_with(b"\x04") as stdin:
        assert ask("-", "hi", stdin=stdin) == "hi"


def test_a_dash_alone_where_nothing_is(refuse: Ask) -> None:
    assert "empty" in refuse("-", stdin=None)


def test_two_dashes_among_the_words(refuse: Ask) -> None:
    assert "'-'" in refuse("-", "and", "-", stdin=b"once")


def test_a_dash_that_cannot_be_read(refuse: Ask, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as write_only:
        assert "stdin" in refuse("-", "hi", stdin=write_only)


# ---- -I -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "stdin", "prompt"),
    [
        (("-I", "{}", "Explain {}, please."), b"ls -l\n", "Explain ls -l, please."),
        (("-I{}", "Compare", "{}", "with", "{}."), b"x y", "Compare x y with x y."),
        (("--replace", "%", "100%"), b" sure", "100 sure"),
        (("--replace=\\1", r"\1 and .*"), b"\\1 \\g<0>", r"\1 \g<0> and .*"),
        (("-I", "{}", "<{}>"), b"two\nlines\n\n", "<two\nlines\n>"),
        (("-I", "{}", "<{}>"), b"", "<>"),
        (("-I", "{}", "{} once"), b"{} and {}", "{} and {} once"),
        (("-I", "{}", "--", "-", "{}"), b"x", "- x"),
        (("-I", "{}", "{}"), b"\0-x", "\0-x"),
    ],
)
def test_stdin_in_the_place_of_repl(
    ask: Ask, words: tuple[str, ...], stdin: bytes, prompt: str
) -> None:
    assert ask(*words, stdin=stdin) == prompt


def test_repl_beside_a_file(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("Keep {} as it is.\n")
    prompt = ask("-f", "rules", "-I", "{}", "Explain {}.", stdin=b"ls")
    assert prompt == "Keep {} as it is.\n\nExplain ls."


@pytest.mark.parametrize(
    ("options", "stdin"),
    [
        (("-I", "{}", "no place for it"), b"x"),
        (("-I", "{}"), b"x"),
        (("-I", "{}", "Explain {}."), None),
        (("-I", "", "Explain {}."), b"x"),
        (("-I", "{}", "-", "Explain {}."), b"x"),  # it can be put in one place only
    ],
)
def test_repl_that_cannot_be(refuse: Ask, options: tuple[str, ...], stdin: bytes | None) -> None:
    assert re.search("-I|--replace", refuse(*options, stdin=stdin))


# ---- -f -----------------------------------------------------------------------------------------


@pytest.fixture
def notes(tmp_path: Path) -> str:
    (tmp_path / "notes.txt").write_bytes("Größe: 3\r\n\r\n- eins\n".encode())
    return "Größe: 3\r\n\r\n- eins"


def test_a_file(ask: Ask, notes: str) -> None:
    assert ask("-f", "notes.txt") == notes
    assert ask("--file=notes.txt", "sum", "it up") == f"{notes}\n\nsum it up"


def test_a_file_then_stdin_then_words(ask: Ask, notes: str) -> None:
    assert ask("sum", "-f", "notes.txt", stdin=b"more\n") == f"{notes}\n\nmore\n\nsum"
    assert ask("sum", "-n", "-f", "notes.txt", stdin=b"more\n") == f"{notes}\n\nsum"


def test_a_file_called_dash_is_stdin(ask: Ask) -> None:
    assert ask("-f", "-", "sum", stdin=b"from stdin\n") == "from stdin\n\nsum"
    with terminal_with(b"typed\n\x04") as stdin:
        assert ask("-f-", stdin=stdin) == "typed"


def test_a_fifo_is_a_file_too(server: FaultServer, popen: Popen, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    process = popen(*MODEL, "--base-url", server.url("ok"), "-f", "fifo", "sum")
    with (tmp_path / "fifo").open("wb", 0) as feeder:
        feeder.write(b"slowly, ")
        feeder.write(b"slowly\n")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, b"Hello world", b"")
    assert prompts(server) == ["slowly, slowly\n\nsum"]


def test_no_file_given_is_dropped_in_silence(
    server: FaultServer, stream: Stream, notes: str, tmp_path: Path
) -> None:
    (tmp_path / "more.txt").write_text("more\n")
    url = server.url("ok")
    run = stream(*MODEL, "--base-url", url, "-f", "notes.txt", "-f", "more.txt", "sum")
    if run.returncode == 0:
        assert prompts(server) == [f"{notes}\n\nmore\n\nsum"]
    else:
        refusal(server, run)


@pytest.mark.parametrize("path", [".", "no\n\x1b]0;title\x07where\x9b"])
def test_a_file_that_cannot_be_read(refuse: Ask, path: str) -> None:
    assert path[:2].strip() in refuse("-f", path, "sum")


# ---- how the pieces are joined ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stdin", "words", "prompt"),
    [
        (b"text\n", ("sum",), "text\n\nsum"),
        (b"text\n\n", ("sum",), "text\n\n\nsum"),
        (b"\n text \n", ("sum",), "\n text \n\nsum"),
        (b"", ("sum",), "sum"),
        (b"\n", ("sum",), "sum"),
        (b"text\n", (), "text"),
        (b"a\r\nb\r\n", ("sum",), "a\r\nb\n\nsum"),
    ],
)
def test_a_blank_line_between(ask: Ask, stdin: bytes, words: tuple[str, ...], prompt: str) -> None:
    assert ask(*words, stdin=stdin) == prompt


@pytest.mark.parametrize(
    ("words", "stdin"),
    [((), None), ((), b""), ((), b"\n"), (("", ""), b""), (("-s", "be kind"), None)],
)
def test_no_prompt_at_all(refuse: Ask, words: tuple[str, ...], stdin: bytes | None) -> None:
    assert re.search(r"prompt.*stream", refuse(*words, stdin=stdin))


# ---- what is not UTF-8 --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "offset"),
    [
        (b"caf\xe9 cr\xe8me", 3),
        (b"cut \xe2\x82", 4),  # the first two bytes of a euro sign
        (b"half \xed\xa0\xbd", 5),  # half a surrogate pair
        (b"x" * 70_000 + b"\xc3(", 70_000),  # on the far side of a read
    ],
)
def test_stdin_that_is_not_utf8(refuse: Ask, bad: bytes, offset: int) -> None:
    said = refuse("sum", stdin=bad)
    assert re.search(rf"stdin\b.*\b{offset}\b", said)


@pytest.mark.parametrize(
    "words",
    [
        ("all", "is", "well", "but", b"caf\xe9"),
        ("-I", "{}", b"caf\xe9 {}"),
        ("-s", b"caf\xe9", "hi"),
        ("--stop", b"caf\xe9", "hi"),
        ("-o", b"a=f\xe9", "hi"),
        ("-m", b"vl:\xe9", "-p", "vllm", "hi"),
    ],
    ids=repr,
)
def test_an_argument_that_is_not_utf8(
    server: FaultServer, stream: Stream, words: tuple[str | bytes, ...]
) -> None:
    model = () if "-m" in words else MODEL
    run = stream(*model, "--base-url", server.url("ok"), *words, stdin=b"x")
    assert re.search(r"\b(3|2)\b", refusal(server, run))


@pytest.mark.parametrize("options", [("-f", "latin1.txt"), ("-s", "@latin1.txt", "hi")])
def test_a_file_that_is_not_utf8(refuse: Ask, tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "latin1.txt").write_bytes(b"caf\xe9\n")
    assert re.search(r"latin1\.txt.*\b3\b", refuse(*options))


def test_the_records_tell_of_it_too(server: FaultServer, stream: Stream) -> None:
    run = stream(*MODEL, "--base-url", server.url("ok"), "--jsonl", stdin=b"caf\xe9")
    assert run.returncode == 2
    (end,) = run.records
    assert (end["type"], end["status"], end["exit_code"]) == ("end", "usage", 2)
    assert "3" in end["error"]["message"]
    assert not server.requests


# ---- the system prompt --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "system"),
    [
        ("Be kind.", "Be kind."),
        ("@kind.txt", "Be kind.\nAlways."),
        ("@@home", "@home"),
        ("me@home", "me@home"),
    ],
)
def test_the_system_prompt(
    server: FaultServer, stream: Stream, tmp_path: Path, option: str, system: str
) -> None:
    (tmp_path / "kind.txt").write_text("Be kind.\nAlways.\n")
    run = stream(*MODEL, "--base-url", server.url("ok"), "-s", option, "hi")
    assert run.returncode == 0, run.stderr
    assert server.requests[0].json["messages"] == [
        {"role": "system", "content": system},
        {"role": "user", "content": "hi"},
    ]


def test_a_system_prompt_that_is_not_there(refuse: Ask) -> None:
    assert "nowhere.txt" in refuse("-s", "@nowhere.txt", "hi")


def test_fields_of_a_body_may_not_be_nested_without_end(
    server: FaultServer, stream: Stream
) -> None:
    deep = "[" * 300 + "]" * 300
    args = ("-m", "vllm:m", "--base-url", server.url("ok"))
    deeper = "[" * 5000 + "]" * 5000  # too deep for the parser, which is no reason to send a text
    for option in (f"a={deep}", f"a={deeper}", f"{'a.' * 300}b=1"):
        run = stream(*args, "-o", option, "hi")
        assert run.returncode == 2
        assert run.stderr.startswith("stream: -o is nested more than 64 levels deep")
    assert not server.requests
    assert stream(*args, "-o", f"a={'[' * 100}", "hi").returncode == 0  # a text
    assert server.requests[-1].json["a"] == "[" * 100
