"""Where the answer goes and what it looks like there: text, records, files, terminals, stderr.

The command runs as a real process; terminals are pseudo-terminals in raw mode, so that what a test
reads is what was written. Verdicts and faults have their tests in test_faults.py.
"""

import base64
import json
import os
import pty
import re
import select
import selectors
import shlex
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest
from conftest import COMMAND, Popen, Result, Stream, eventually, waiting_in
from faultserver import (
    UNICODE_TEXT,
    Conn,
    FaultServer,
    delta,
    error_body,
    finish,
    ok,
    part,
    sse,
    usage,
)
from forking import Forks
from records import of_type, parse_records, text_of

MODEL = ("-m", "vllm:tiny")
HELLO = "Hello world"
KEY = "sk-test-5f3a9c1e7b2d4860"

# What a terminal might obey. A CR is fine in front of a newline only.
UNSAFE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
    r"|\r(?!\n)"
)


@pytest.fixture
def ask(server: FaultServer, stream: Stream) -> Callable[..., Result]:
    """Asks `hi`; the first argument is a scenario, or the base URL of one."""

    def ask(scenario: str, *options: str | bytes | Path, **how: Any) -> Result:
        url = scenario if "://" in scenario else server.url(scenario)
        model = () if {"-m", "-p"} & set(options) else MODEL
        return stream(*model, "--base-url", url, *options, "hi", **how)

    return ask


Ask = Callable[..., Result]


def answer(server: FaultServer, *deltas: str, name: str = "answer") -> str:
    """The base URL of an answer in these pieces."""

    def play(conn: Conn) -> None:
        conn.open_with(*deltas)
        conn.finish()
        conn.usage()
        conn.done()
        conn.end()

    return server.script(name, play)


def assert_one_line(stderr: str) -> None:
    assert re.fullmatch(r"stream: [^\x00-\x1f\x7f-\x9f\u2028\u2029]+\n", stderr), ascii(stderr)


def assert_refused(run: Result, code: int = 2) -> None:
    assert (run.returncode, run.stdout) == (code, b""), run.stderr
    assert_one_line(run.stderr)


def shell(
    script: str, *args: str | Path, env: dict[str, str], cwd: Path
) -> subprocess.CompletedProcess[bytes]:
    """A script in which "$@" is the command with these arguments."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, *args],
        stdin=subprocess.DEVNULL,
        env=env,
        cwd=cwd,
        capture_output=True,
        timeout=60,
    )


# ---- terminals ----------------------------------------------------------------------------------


class Screen(NamedTuple):
    returncode: int
    out: str
    err: str


class OnTerminal:
    """Runs the command with stdout, stderr or both on a terminal, the other on a pipe.

    `places` is "out", "err", "out err" for two terminals, or "same" for both on one.
    """

    def __init__(self, server: FaultServer, env: dict[str, str], cwd: Path, forks: Forks) -> None:
        self._server = server
        self._forks = forks
        self._env = env
        self._cwd = cwd

    def __call__(
        self, places: str, scenario: str, *options: str, env: dict[str, str] | None = None
    ) -> Screen:
        url = scenario if "://" in scenario else self._server.url(scenario)
        with ExitStack() as ours, ExitStack() as theirs:
            out, out_end = _channel(places != "err", ours, theirs)
            if places == "same":
                err, err_end = out, out_end
            else:
                err, err_end = _channel("err" in places, ours, theirs)
            process = self._forks.start(
                [*MODEL, "--base-url", url, *options, "hi"],
                stdin=subprocess.DEVNULL,
                stdout=out_end,
                stderr=err_end,
                cwd=self._cwd,
                env={**self._env, **(env or {})},
                new_session=True,
            )
            ours.callback(process.wait, 60)
            ours.callback(process.kill)
            theirs.close()
            shown = _read_all({out, err})
            code = process.wait(60)
        return Screen(code, shown[out].decode(), shown[err].decode())


def _channel(is_terminal: bool, ours: ExitStack, theirs: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    reading, writing = pty.openpty() if is_terminal else os.pipe()
    if is_terminal:
        tty.setraw(writing)
    return (
        ours.enter_context(open(reading, "rb", 0)),
        theirs.enter_context(open(writing, "wb", 0)),
    )


def _read_all(files: set[IO[bytes]]) -> dict[IO[bytes], bytes]:
    shown = dict.fromkeys(files, b"")
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(60)
            assert ready, f"nothing more came: {shown.values()}"
            for key, _ in ready:
                try:
                    data = os.read(key.fd, 65536)
                except OSError:  # how Linux says that a terminal's last user has gone
                    data = b""
                shown[key.fileobj] += data
                if not data:
                    selector.unregister(key.fileobj)
    return shown


@pytest.fixture
def on_terminal(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path, forks: Forks
) -> OnTerminal:
    return OnTerminal(server, child_env, tmp_path, forks)


DIM = re.compile("\x1b\\[2m(.*?)\x1b\\[(?:0|22)?m", re.DOTALL)


def undimmed(shown: str) -> str:
    return DIM.sub("", shown)


def dimmed(shown: str) -> str:
    return "".join(DIM.findall(shown))


# ---- nothing is late ----------------------------------------------------------------------------

PIECES = ["one ", "two\n", "trois é ", "<", "四\r\n", "🙂 ", "5"]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--jsonl",),
        ("--events", "events.jsonl"),
        ("--reasoning", "only"),
    ],
    ids=" ".join,
)
def test_nothing_is_late(
    server: FaultServer, popen: Popen, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """The server says no word before the test has read the last one."""
    was_read = threading.Semaphore(0)
    field = "reasoning_content" if "only" in options else "content"

    def play(conn: Conn) -> None:
        conn.open_with()
        for piece in PIECES:
            conn.event(part(**{field: piece}))
            assert was_read.acquire(timeout=60)
        if "only" in options:
            conn.delta("an answer")
        conn.finish()
        conn.done()
        conn.end()

    process = popen(*MODEL, "--base-url", server.script("patient", play), *options, "hi")
    got, sent = b"", ""
    for piece in PIECES:
        sent += piece
        while shown(got, options) != sent:
            got += read_some(process)
        if "--events" in options:
            assert eventually(lambda sent=sent: recorded(tmp_path / "events.jsonl") == sent)
        was_read.release()
    rest, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert shown(got + rest, options) == "".join(PIECES)


def shown(got: bytes, options: tuple[str, ...]) -> str:
    if "--jsonl" in options:
        return text_of(parse_records(got[: got.rfind(b"\n") + 1]))
    return got.decode()


def recorded(events: Path) -> str:
    data = events.read_bytes()
    return text_of(parse_records(data[: data.rfind(b"\n") + 1]))  # one may just be written


def read_some(process: subprocess.Popen[bytes], timeout: float = 60) -> bytes:
    assert process.stdout
    assert select.select([process.stdout], [], [], timeout)[0], "late"
    data = os.read(process.stdout.fileno(), 65536)
    assert data, "closed"
    return data


# ---- text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [UNICODE_TEXT, "\r\n\n", "\0\r \t"])
def test_a_pipe_gets_the_text_and_nothing_else(server: FaultServer, ask: Ask, text: str) -> None:
    run = ask(answer(server, *text))
    assert (run.returncode, run.text, run.stderr) == (0, text, "")


@pytest.mark.parametrize(
    ("deltas", "screen"),
    [
        (("Hello", " world"), "Hello world\n"),
        (("Hello\n",), "Hello\n"),
        (("Hello\r", "\n"), "Hello\r\n"),
        ((), ""),
    ],
)
def test_a_terminal_gets_a_newline_at_the_end(
    server: FaultServer, on_terminal: OnTerminal, deltas: tuple[str, ...], screen: str
) -> None:
    note = "" if deltas else "stream: the answer is complete and empty\n"
    assert on_terminal("out", answer(server, *deltas)) == (0, screen, note)


def test_a_complaint_gets_a_line_of_its_own(on_terminal: OnTerminal) -> None:
    run = on_terminal("same", "cut_fin")
    assert run.returncode == 18
    text, complaint = run.out.split("\n", 1)
    assert text == "Hello wor"
    assert_one_line(complaint)


@pytest.mark.parametrize("options", [("--jsonl",), ("--json",), ("-O", "answer")], ids=" ".join)
def test_no_newline_for_what_is_no_text(on_terminal: OnTerminal, options: tuple[str, ...]) -> None:
    run = on_terminal("same", "ok", *options)
    assert run.returncode == 0
    assert "\n\n" not in run.out
    if "-O" in options:
        assert run.out == ""
    else:
        assert parse_records(run.out.encode())[-1]["type"] == "end"


@pytest.mark.parametrize("options", [(), ("--jsonl",)], ids=["text", "jsonl"])
def test_a_stdout_that_does_not_block(
    server: FaultServer, popen: Popen, options: tuple[str, ...]
) -> None:
    """Whoever shares our stdout may have made it non-blocking."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    url = answer(server, *["x" * 9_999 + "\n"] * 100)
    with open(reading, "rb", 0) as ours:
        with open(writing, "wb", 0) as theirs:
            process = popen(*MODEL, "--base-url", url, *options, "hi", stdout=theirs)
        assert eventually(lambda: waiting_in(ours) > 10_000)
        got = ours.readall()
    assert process.wait(60) == 0
    assert shown(got, options) == ("x" * 9_999 + "\n") * 100


# ---- -O -----------------------------------------------------------------------------------------


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty directory: what stands there afterwards was left by the command."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_file(ask: Ask, out: Path) -> None:
    run = ask("unicode", "-O", out / "answer")
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", "")
    assert (out / "answer").read_bytes() == UNICODE_TEXT.encode()
    assert listing(out) == ["answer"]
    (out / "other").write_bytes(b"")
    assert mode(out / "answer") == mode(out / "other"), "a new file has the mode of any new file"


@pytest.mark.parametrize("bits", [0o600, 0o444])
def test_a_file_that_was_there_keeps_its_mode(ask: Ask, out: Path, bits: int) -> None:
    (out / "answer").write_text("old")
    (out / "answer").chmod(bits)
    assert ask("ok", "--output", out / "answer").returncode == 0
    assert (out / "answer").read_text() == HELLO
    assert mode(out / "answer") == bits


@pytest.mark.parametrize("old", ["old", None])
def test_a_link_is_followed(ask: Ask, out: Path, tmp_path: Path, old: str | None) -> None:
    target = tmp_path / "elsewhere"
    if old:
        target.write_text(old)
    (out / "link").symlink_to(Path("..", "elsewhere"))
    assert ask("ok", "-O", out / "link").returncode == 0
    assert (out / "link").is_symlink()
    assert target.read_text() == HELLO
    assert listing(out) == ["link"]


@pytest.mark.parametrize(
    ("scenario", "code", "old"),
    [
        ("cut_fin", 18, "old"),
        ("cut_fin", 18, None),
        ("length", 10, "old"),
    ],
)
def test_half_an_answer_is_none(
    ask: Ask, out: Path, scenario: str, code: int, old: str | None
) -> None:
    if old:
        (out / "answer").write_text(old)
    assert_refused(ask(scenario, "-O", out / "answer"), code)
    assert listing(out) == (["answer"] if old else [])
    assert not old or (out / "answer").read_text() == old


def test_an_accepted_answer_is_kept(ask: Ask, out: Path) -> None:
    assert ask("length", "-O", out / "answer", "--accept", "length").returncode == 0
    assert (out / "answer").read_text() == HELLO


def test_an_empty_answer_is_an_empty_file(server: FaultServer, ask: Ask, out: Path) -> None:
    run = ask(answer(server), "-O", out / "answer")
    assert (run.returncode, (out / "answer").read_bytes()) == (0, b"")
    assert run.complaints == ["stream: the answer is complete and empty"]


def test_a_name_as_long_as_names_may_be(ask: Ask, out: Path) -> None:
    name = "x" * os.pathconf(out, "PC_NAME_MAX")
    run = ask("ok", "-O", out / name)
    assert (run.returncode, run.stderr) == (0, "")
    assert listing(out) == [name]


def test_a_file_may_be_its_own_prompt(ask: Ask, out: Path) -> None:
    (out / "notes").write_text("notes")
    assert ask("ok", "-f", out / "notes", "-O", out / "notes").returncode == 0
    assert (out / "notes").read_text() == HELLO


def test_a_signal_leaves_nothing(server: FaultServer, popen: Popen, out: Path) -> None:
    (out / "answer").write_text("old")
    url = server.url("stall_middle")
    process = popen(*MODEL, "--base-url", url, "--jsonl", "-O", out / "answer", "hi")
    while b'"Hello"' not in read_some(process):
        pass
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert listing(out) == ["answer"]
    assert (out / "answer").read_text() == "old"


def test_a_signal_before_there_is_a_prompt_leaves_nothing(popen: Popen, out: Path) -> None:
    process = popen(*MODEL, "-O", out / "answer", stdin=subprocess.PIPE)
    assert process.stdin
    # Once it has taken the text out of the pipe it is past its start.
    process.stdin.write(b"never ended")
    assert eventually(lambda: waiting_in(process.stdin) == 0)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert listing(out) == []


def test_a_reader_of_the_records_that_leaves(server: FaultServer, popen: Popen, out: Path) -> None:
    url = server.url("long")
    process = popen(*MODEL, "--base-url", url, "--jsonl", "-O", out / "answer", "hi")
    read_some(process)
    assert process.stdout
    process.stdout.close()
    assert process.wait(60) == -signal.SIGPIPE
    assert listing(out) == []


def test_records_on_stdout_beside_the_file(ask: Ask, out: Path) -> None:
    run = ask("unicode", "--jsonl", "-O", out / "answer")
    assert run.returncode == 0
    assert (out / "answer").read_text() == text_of(run.records) == UNICODE_TEXT
    end = run.records[-1]
    assert (end["type"], end["status"], end["exit_code"]) == ("end", "complete", 0)


def test_dev_null(ask: Ask) -> None:
    run = ask("ok", "-O", os.devnull)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", "")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_dev_stdout(ask: Ask) -> None:
    run = ask("ok", "-O", "/dev/stdout")
    assert (run.returncode, run.text, run.stderr) == (0, HELLO, "")


def test_dev_stdout_that_is_a_file(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    """Whatever else goes into that file must stay there, and must still get there."""
    script = '{ echo before; "$@" hi; echo after; } > log'
    options = (*MODEL, "--base-url", server.url("ok"), "-O", "/dev/stdout")
    run = shell(script, *options, env=child_env, cwd=tmp_path)
    assert run.stderr == b""
    assert (tmp_path / "log").read_text() == "before\nHello worldafter\n"


def test_a_fifo(server: FaultServer, popen: Popen, out: Path) -> None:
    os.mkfifo(out / "fifo")
    process = popen(*MODEL, "--base-url", server.url("ok"), "-O", out / "fifo", "hi")
    assert (out / "fifo").read_text() == HELLO
    assert process.wait(60) == 0
    assert listing(out) == ["fifo"]


def test_stdout_may_be_closed_then(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    url = server.url("ok")
    run = shell('"$@" hi >&-', *MODEL, "--base-url", url, "-O", "a", env=child_env, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, b"")
    assert (tmp_path / "a").read_text() == HELLO


def test_an_unwritable_directory(server: FaultServer, ask: Ask, out: Path) -> None:
    out.chmod(0o500)
    if os.access(out, os.W_OK):
        pytest.skip("nothing is unwritable for this user")
    assert_refused(ask("ok", "-O", out / "answer"), 23)
    assert not server.requests


@pytest.mark.parametrize("path", ["nowhere/answer", ".", ""])
def test_a_file_that_cannot_be_written(
    server: FaultServer, ask: Ask, tmp_path: Path, path: str
) -> None:
    before = listing(tmp_path)
    run = ask("ok", "-O", path)
    assert_refused(run, 2 if not path and run.returncode == 2 else 23)
    assert path in run.stderr
    assert not server.requests, "it was known before anything was asked"
    assert listing(tmp_path) == before


def test_the_records_tell_of_a_file_that_cannot_be_written(ask: Ask) -> None:
    run = ask("ok", "-O", "nowhere/answer", "--jsonl")
    assert run.returncode == 23
    (end,) = run.records
    assert (end["type"], end["status"], end["exit_code"]) == ("end", "write", 23)


# ---- records ------------------------------------------------------------------------------------


def test_the_records_rebuild_the_text(ask: Ask) -> None:
    run = ask("unicode", "--jsonl")
    assert (run.returncode, run.stderr) == (0, "")
    records = run.records
    assert text_of(records) == UNICODE_TEXT
    assert [record["type"] for record in records] == ["start", *["delta"] * 3, "end"]
    assert len({record["request_id"] for record in records}) == 1
    times = [record["t_ms"] for record in records]
    assert times == sorted(times)
    assert records[-1]["chars"] == len(UNICODE_TEXT)


def test_one_object_with_everything(ask: Ask) -> None:
    run = ask("unicode", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    (end,) = run.records
    assert (end["type"], end["status"]) == ("end", "complete")
    assert (end["text"], end["reasoning"], end["tool_calls"]) == (UNICODE_TEXT, "", [])


@pytest.mark.parametrize("scenario", ["reasoning", "think"])
def test_one_object_with_the_reasoning(ask: Ask, scenario: str) -> None:
    (end,) = ask(scenario, "--json").records
    assert (end["text"], end["reasoning"]) == (HELLO, "let me see")


def test_one_object_with_half_an_answer(ask: Ask) -> None:
    run = ask("cut_fin", "--json")
    assert run.returncode == 18
    assert_one_line(run.stderr)
    (end,) = run.records
    assert (end["text"], end["status"], end["complete"]) == ("Hello wor", "truncated", False)


ALL_CONTROLS = "".join(map(chr, [*range(0xA0), 0x2028, 0x2029]))


def test_controls_are_escapes_wherever_records_go(
    server: FaultServer, ask: Ask, tmp_path: Path
) -> None:
    def play(conn: Conn) -> None:
        conn.open_with(ALL_CONTROLS)
        conn.event(part(reasoning_content=ALL_CONTROLS))
        function = {"name": "look\x9b", "arguments": '"\x7f\x9b"'}
        call = {"index": 0, "id": "call\x85", "type": "function", "function": function}
        conn.event(part(tool_calls=[call]))
        conn.event(error_body("boom \x1b]0;x\x07\x7f\x9b31m"))
        conn.end()

    url = server.script("controls", play)
    lines = ask(url, "--jsonl", "--events", "events.jsonl")
    whole = ask(url, "--json")
    events = (tmp_path / "events.jsonl").read_bytes()
    for data in (lines.stdout, whole.stdout, events):
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", data)
        assert rb"\u009b" in data
    for records in (lines.records, parse_records(events)):
        assert text_of(records) == text_of(records, "reasoning") == ALL_CONTROLS
    (end,) = whole.records
    assert end["text"] == end["reasoning"] == ALL_CONTROLS


def test_a_long_delta_is_several_lines(server: FaultServer, ask: Ask, tmp_path: Path) -> None:
    pieces = ["é" * 9_000, "\x00\x9b\x7f\n" * 2_000, "👩‍👩‍👧" * 2_000, "x"]
    run = ask(answer(server, *pieces), "--jsonl", "--events", "events.jsonl")
    assert run.returncode == 0, run.stderr
    for data in (run.stdout, (tmp_path / "events.jsonl").read_bytes()):
        assert max(map(len, data.split(b"\n"))) < 4096
        assert text_of(parse_records(data)) == "".join(pieces)


def test_tool_calls_cannot_be_shown_as_text(ask: Ask) -> None:
    run = ask("tool_calls")
    assert_refused(run, 13)
    assert "--json" in run.stderr


def test_tool_calls_in_records(ask: Ask) -> None:
    expected = {"call_id": "call_1", "name": "look", "arguments": '{"q":"x"}'}
    run = ask("tool_calls", "--jsonl")
    assert (run.returncode, run.stderr) == (0, "")
    (call,) = of_type(run.records, "tool_call")
    assert expected.items() <= call.items()
    end = run.records[-1]
    assert (end["status"], end["finish_reason"], end["exit_code"]) == ("complete", "tool_calls", 0)

    run = ask("tool_calls", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.records[0]["tool_calls"] == [expected]


# ---- --events -----------------------------------------------------------------------------------


def test_events_beside_the_text(ask: Ask, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    run = ask("unicode", "--events", events)
    assert (run.returncode, run.text, run.stderr) == (0, UNICODE_TEXT, "")
    records = parse_records(events.read_bytes())
    assert text_of(records) == UNICODE_TEXT
    assert (records[0]["type"], records[-1]["type"]) == ("start", "end")


def test_events_are_appended(ask: Ask, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(b'{"type":"mine"}\n')
    ask("ok", "--events", events)
    ask("cut_fin", "--events", events)
    records = parse_records(events.read_bytes())
    assert records[0] == {"type": "mine"}
    assert [end["exit_code"] for end in of_type(records, "end")] == [0, 18]


def test_a_torn_last_line_is_finished(ask: Ask, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(b'{"type":"mine"}\n{"type":"del')
    ask("ok", "--events", events)
    mine, torn, *ours = events.read_bytes().splitlines(keepends=True)
    assert (mine, torn) == (b'{"type":"mine"}\n', b'{"type":"del\n')
    assert text_of(parse_records(b"".join(ours))) == HELLO


def test_events_hold_what_the_text_hides(ask: Ask, tmp_path: Path) -> None:
    run = ask("think", "--events", "events.jsonl")
    assert run.text == HELLO
    records = parse_records((tmp_path / "events.jsonl").read_bytes())
    assert (text_of(records), text_of(records, "reasoning")) == (HELLO, "let me see")


@pytest.mark.parametrize("redirection", ["3> events.jsonl", "3>&1 > text"])
def test_events_to_a_descriptor(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path, redirection: str
) -> None:
    options = (*MODEL, "--base-url", server.url("unicode"), "--events", "3", "hi")
    run = shell(f'"$@" {redirection}', *options, env=child_env, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, b"")
    if "text" in redirection:
        text, events = (tmp_path / "text").read_bytes(), run.stdout
    else:
        text, events = run.stdout, (tmp_path / "events.jsonl").read_bytes()
    assert text == UNICODE_TEXT.encode()
    assert text_of(parse_records(events)) == UNICODE_TEXT


@pytest.mark.parametrize("number", ["3", "99999999999999999999"])
def test_a_descriptor_that_is_not_open(server: FaultServer, ask: Ask, number: str) -> None:
    run = ask("ok", "--events", number)
    assert_refused(run)
    assert number in run.stderr
    assert not server.requests


@pytest.mark.parametrize("where", ["nowhere/events.jsonl", "."])
def test_events_that_cannot_be_written(server: FaultServer, ask: Ask, where: str) -> None:
    run = ask("ok", "--events", where)
    assert_refused(run, 23)
    assert where in run.stderr
    assert not server.requests


def test_events_to_a_descriptor_that_is_for_reading(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    options = (*MODEL, "--base-url", server.url("ok"), "--events", "3", "hi")
    run = shell('"$@" 3< /dev/null', *options, env=child_env, cwd=tmp_path)
    assert run.returncode in (2, 23)
    assert_one_line(run.stderr.decode())


def test_events_beside_records(ask: Ask, tmp_path: Path) -> None:
    run = ask("ok", "--json", "--events", "events.jsonl")
    records = parse_records((tmp_path / "events.jsonl").read_bytes())
    assert text_of(records) == run.records[0]["text"] == HELLO
    assert run.records[0]["request_id"] == records[0]["request_id"]


@contextmanager
def reading(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


def test_events_into_a_fifo_whose_reader_leaves(
    server: FaultServer, popen: Popen, tmp_path: Path
) -> None:
    """`--events >(head -n 1)` in other words: it must not wait for that reader for ever."""
    os.mkfifo(tmp_path / "fifo")
    with reading(tmp_path / "fifo") as fd:
        process = popen(*MODEL, "--base-url", server.url("long"), "--events", "fifo", "hi")
        assert select.select([fd], [], [], 60)[0]
        assert os.read(fd, 10) == b'{"type":"s'
    process.communicate(timeout=60)


def test_events_into_a_fifo_wait_for_its_reader(
    server: FaultServer, popen: Popen, tmp_path: Path
) -> None:
    """As the shell's own `3> fifo` does; else the records would go nowhere."""
    os.mkfifo(tmp_path / "fifo")
    process = popen(*MODEL, "--base-url", server.url("ok"), "--events", "fifo", "hi")
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.7)
    assert process.poll() is None, "nobody has read the records, and it is gone"
    assert text_of(parse_records((tmp_path / "fifo").read_bytes())) == HELLO
    assert process.wait(60) == 0


# ---- reasoning ----------------------------------------------------------------------------------

TAGGED = "<think>let me see</think>Hello world"


@pytest.mark.parametrize(
    ("option", "scenario", "out", "err"),
    [
        (None, "reasoning", HELLO, ""),
        ("hide", "think", HELLO, ""),
        ("stderr", "reasoning", HELLO, "let me see\n"),
        ("stderr", "think", HELLO, "let me see\n"),
        ("stdout", "reasoning", "let me see\n\nHello world", ""),
        ("stdout", "think", "let me see\n\nHello world", ""),
        ("only", "reasoning", "let me see", ""),
        ("only", "think", "let me see", ""),
        ("raw", "reasoning", HELLO, ""),
        ("raw", "think", TAGGED, ""),
    ],
)
def test_reasoning_into_pipes(
    ask: Ask, option: str | None, scenario: str, out: str, err: str
) -> None:
    run = ask(scenario, *(("--reasoning", option) if option else ()))
    assert (run.returncode, run.text, run.stderr) == (0, out, err)


@pytest.mark.parametrize("scenario", ["reasoning", "think"])
def test_reasoning_on_a_terminal(on_terminal: OnTerminal, scenario: str) -> None:
    run = on_terminal("out err", scenario)
    assert (run.returncode, run.out) == (0, "Hello world\n")
    assert dimmed(run.err) == "let me see"
    assert undimmed(run.err) == "\n"


@pytest.mark.parametrize(
    ("option", "out"),
    [
        ("hide", HELLO),
        ("stdout", f"let me see\n\n{HELLO}"),
        ("only", "let me see"),
        ("raw", TAGGED),
    ],
)
def test_reasoning_elsewhere_on_a_terminal(on_terminal: OnTerminal, option: str, out: str) -> None:
    assert on_terminal("out err", "think", "--reasoning", option) == (0, out + "\n", "")


def test_reasoning_and_text_on_one_terminal(on_terminal: OnTerminal) -> None:
    run = on_terminal("same", "reasoning")
    assert dimmed(run.out) == "let me see"
    assert undimmed(run.out) == "\n\nHello world\n"
    assert run.out.index("Hello") > run.out.index("see")


@pytest.mark.parametrize("one_read", [False, True], ids=["apart", "at once"])
def test_thoughts_between_the_words_on_one_terminal(
    server: FaultServer, on_terminal: OnTerminal, one_read: bool
) -> None:
    """As models with interleaved thinking do; what comes at once keeps its order too."""
    pieces = [("reasoning_content", "1"), ("content", "2"), ("reasoning_content", "3")]
    events = [part(**{field: text}) for field, text in [*pieces, ("content", "4")]]

    def play(conn: Conn) -> None:
        conn.open_with()
        if one_read:
            conn.chunk(b"".join(map(sse, events)))
        else:
            for event in events:
                conn.event(event)
                conn.wait(0.05)
        conn.finish()
        conn.done()
        conn.end()

    run = on_terminal("same", server.script("interleaved", play))
    assert re.findall(r"\d", re.sub("\x1b\\[\\d*m", "", run.out)) == ["1", "2", "3", "4"]
    assert dimmed(run.out).split() == ["1", "3"]
    assert re.sub("\x1b\\[\\d*m", "", run.out) == "1\n\n2\n\n3\n\n4\n"


@pytest.mark.parametrize("places", ["out", "err"])
def test_reasoning_wants_two_terminals(on_terminal: OnTerminal, places: str) -> None:
    run = on_terminal(places, "reasoning")
    assert run.out.removesuffix("\n") == HELLO
    assert run.err == ""


@pytest.mark.parametrize(
    ("places", "options", "env", "is_dim"),
    [
        ("err", (), {}, True),
        ("err", (), {"NO_COLOR": "1"}, False),
        ("err", (), {"NO_COLOR": ""}, True),
        ("err", ("--color", "never"), {}, False),
        ("out", ("--color", "always"), {}, True),
        ("err", ("--color", "always"), {"NO_COLOR": "1"}, True),
    ],
)
def test_when_reasoning_is_dimmed(
    on_terminal: OnTerminal,
    places: str,
    options: tuple[str, ...],
    env: dict[str, str],
    is_dim: bool,
) -> None:
    run = on_terminal(places, "reasoning", "--reasoning", "stderr", *options, env=env)
    assert (run.returncode, run.out.removesuffix("\n")) == (0, HELLO)
    assert (dimmed(run.err), undimmed(run.err)) == (
        ("let me see", "\n") if is_dim else ("", "let me see\n")
    )


@pytest.mark.parametrize(
    ("deltas", "text"),
    [
        (("\n", "<think>", "hm", "</think>", "\n\n", "Hello"), "Hello"),
        (("<think>hm</think>",), ""),
        (("<think>hm", " hm"), "<think>hm hm"),  # unclosed: it was text
        (("<thi", "s> is HTML"), "<this> is HTML"),
        (("<thin",), "<thin"),
        (("Tags: ", "<think>", "a", "</think>"), "Tags: <think>a</think>"),
        (("<think>a</think>b<think>c</think>",), "b<think>c</think>"),
    ],
)
def test_a_think_block_is_split_out_if_it_opens_the_answer(
    server: FaultServer, ask: Ask, deltas: tuple[str, ...], text: str
) -> None:
    run = ask(answer(server, *deltas))
    assert (run.returncode, run.text) == (0, text)


def test_an_unclosed_think_block_is_not_shown_twice(server: FaultServer, ask: Ask) -> None:
    run = ask(answer(server, "<think>", "hm"), "--reasoning", "stdout")
    assert run.text.count("hm") == 1


def test_reasoning_in_a_file(ask: Ask, out: Path) -> None:
    assert ask("think", "--reasoning", "stdout", "-O", out / "a").returncode == 0
    assert (out / "a").read_text() == "let me see\n\nHello world"
    assert ask("think", "-O", out / "b").returncode == 0
    assert (out / "b").read_text() == HELLO


# ---- control characters -------------------------------------------------------------------------

HARMLESS = "tab\t nl\n crlf\r\n 👩‍👩‍👧 می\u200cخواهم \u200eLRM\u200f café 日本語\n"
HARMFUL = (
    "\x1b[31mred \x1b]0;title\x07 \x9b31m \x7f\b\0 lone\rCR \u202eabc\u202c \u2066x\u2069 "
    "zero\u200bwidth tag\U000e0041\U000e007f\n"
)


@pytest.mark.parametrize(
    ("places", "option", "is_clean"),
    [
        ("err", "auto", False),
        ("err", "always", True),
        ("out", None, True),
        ("out", "never", False),
    ],
)
def test_who_is_spared_control_characters(
    server: FaultServer, on_terminal: OnTerminal, places: str, option: str | None, is_clean: bool
) -> None:
    options = ("--sanitize", option) if option else ()
    run = on_terminal(places, answer(server, HARMLESS, HARMFUL), *options)
    assert run.returncode == 0
    if not is_clean:
        assert run.out == HARMLESS + HARMFUL
        return
    assert run.out.startswith(HARMLESS)
    assert not UNSAFE.search(run.out)
    assert "^[[31mred" in run.out
    for number in (0x9B, 0x202E, 0x2066, 0x200B, 0xE0041):
        assert f"{number:X}" in run.out.upper()
    for word in ("title", "31m", "lone", "CR", "abc", "zero", "width", "tag"):
        assert word in run.out


@pytest.mark.parametrize(
    ("deltas", "clean"),
    [
        (("a\r", "\nb"), r"a\r\nb"),
        (("a", "\r"), r"a\S+"),
        (("\x1b", "[31m"), r"[^\x1b]+\[31m"),
        (("a\r", "\r", "\n"), r"a\S+\r\n"),
    ],
)
def test_control_characters_at_the_seams(
    server: FaultServer, ask: Ask, deltas: tuple[str, ...], clean: str
) -> None:
    run = ask(answer(server, *deltas), "--sanitize", "always")
    assert run.returncode == 0
    assert re.fullmatch(clean, run.text), ascii(run.text)
    assert not UNSAFE.search(run.text)


@pytest.mark.parametrize("option", ["auto", "never"])
def test_reasoning_on_a_terminal_too(
    server: FaultServer, on_terminal: OnTerminal, option: str
) -> None:
    def play(conn: Conn) -> None:
        conn.open_with()
        conn.event(part(reasoning_content="\x1b]0;title\x07"))
        conn.delta("Hello")
        conn.finish()
        conn.done()
        conn.end()

    url = server.script("sly", play)
    run = on_terminal("err", url, "--reasoning", "stderr", "--sanitize", option, "--color", "never")
    assert run.out == "Hello"
    assert ("\x1b]0;title\x07" in run.err) is (option == "never")
    assert "title" in run.err


# ---- stderr -------------------------------------------------------------------------------------


def test_usage(ask: Ask) -> None:
    run = ask("ok", "-u")
    assert (run.returncode, run.text) == (0, HELLO)
    assert_one_line(run.stderr)
    assert re.search(r"\b5\b.*\b2\b.*\b7\b", run.stderr)


def test_usage_nobody_told(ask: Ask) -> None:
    run = ask("no_done", "--usage")
    assert (run.returncode, run.text) == (0, HELLO)
    assert_one_line(run.stderr)
    assert not re.search(r"\d", run.stderr), "unknown is not zero"


def test_stats(ask: Ask) -> None:
    run = ask("ok", "--stats")
    assert (run.returncode, run.text) == (0, HELLO)
    found = dict(line.split() for line in run.stderr.splitlines() if line[:7] != "icl_ms ")
    assert found["status"] == "complete"
    assert (found["input_tokens"], found["output_tokens"], found["chunks"]) == ("5", "2", "2")
    assert found["reasoning_tokens"] == "-"
    assert float(found["ttft_ms"]) > 0


def test_an_answer_in_one_piece_has_no_rate(server: FaultServer, ask: Ask) -> None:
    def play(conn: Conn) -> None:
        conn.head()
        events = [delta("Hello"), delta(" world"), finish(), usage(), b"[DONE]"]
        conn.chunk(b"".join(map(sse, events)))
        conn.end()

    run = ask(server.script("at_once", play), "--stats", "--json")
    assert run.records[0]["timings"]["tokens_per_second"] is None
    assert re.search(r"^tokens_per_second +-$", run.stderr, re.MULTILINE)


def test_usage_and_stats_of_a_failure(ask: Ask) -> None:
    run = ask("length", "-u", "--stats", "--jsonl")
    assert run.returncode == 10
    assert run.complaints[0].startswith("stream: tokens: ")
    assert run.complaints[-1].startswith("stream: the answer was cut")
    assert "status length" in [" ".join(line.split()) for line in run.complaints]
    assert text_of(run.records) == HELLO


def _busy_once(conn: Conn) -> None:
    if conn.attempt == 1:
        conn.reply(503, error_body("busy"), retry_after_ms="10")
    else:
        ok(conn)


@pytest.mark.parametrize("option", [(), ("-q",)], ids=["loud", "quiet"])
def test_quiet_is_about_notes(server: FaultServer, ask: Ask, option: tuple[str, ...]) -> None:
    for url in (server.url("odd_reason"), server.script("busy", _busy_once)):
        run = ask(url, *option)
        assert (run.returncode, run.text) == (0, HELLO)
        assert bool(run.stderr) is not bool(option)
    assert_one_line(ask("cut_fin", *option).stderr)


def test_verbose(ask: Ask) -> None:
    run = ask("ok", "-v")
    assert (run.returncode, run.text) == (0, HELLO)
    assert "tiny-1" in run.stderr
    assert all(line.startswith("stream: ") for line in run.complaints)


def test_debug_shows_the_conversation(server: FaultServer, ask: Ask) -> None:
    run = ask("ok", "--debug")
    assert (run.returncode, run.text) == (0, HELLO)
    for shown in ("POST", server.url("ok"), '"model":"tiny"', "content-type", "text/event-stream"):
        assert shown in run.stderr
    assert "200" in run.stderr
    assert all(re.fullmatch(r"stream: [^\x00-\x1f\x7f-\x9f]+", line) for line in run.complaints)


# ---- keys ---------------------------------------------------------------------------------------


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    path.chmod(0o600)
    return path


def _echo(conn: Conn) -> None:
    """A server that repeats all it was told, wherever it can."""
    told = " ".join([conn.request.path, *conn.request.headers.values()])
    if conn.attempt == 1:
        conn.reply(503, error_body(f"busy with {told}"), x_echo=told, retry_after_ms="1")
    else:
        conn.head(x_echo=told)
        conn.event(error_body(f"I heard {told}"))
        conn.end()


@pytest.mark.parametrize(
    "how", ["variable", "file", "header", "x-api-key", "custom", "password", "query"]
)
def test_a_key_is_never_shown(
    server: FaultServer, ask: Ask, tmp_path: Path, key_file: Path, how: str
) -> None:
    url = server.script("nosy", _echo)
    options: tuple[str, ...] = ()
    env = {}
    if how == "variable":
        env["VLLM_API_KEY"] = KEY
    elif how == "file":
        options = ("--key-file", "key")
    elif how == "password":
        url = url.replace("http://", f"http://user:{KEY}@")
    elif how == "query":
        url += f"?key={KEY}"
    else:
        line = {
            "header": f"Authorization: Bearer {KEY}",
            "x-api-key": f"X-Api-Key: {KEY}",
            "custom": f"X-Gateway: {KEY}",
        }[how]
        (tmp_path / "headers").write_text(line + "\n")
        options = ("-H", "@headers")
    options += ("--debug", "-v", "-u", "--stats", "--events", "events.jsonl", "--max-retries", "1")
    run = ask(url, *options, env=env)
    assert run.returncode == 15
    assert "I heard" in run.stderr
    assert len(server.requests) == 2  # what was said with each of them is shown
    basic = base64.b64encode(f"user:{KEY}".encode()).decode()
    for asked in server.requests:
        assert KEY in f"{asked.path} {asked.headers}" or basic in asked.headers["authorization"]
    for written in (run.stderr, run.text, (tmp_path / "events.jsonl").read_text()):
        assert KEY not in written
        assert basic not in written


@pytest.mark.parametrize("broken", [f"{KEY}\nand more", f"{KEY} é", f"{KEY}\x1b[31m"])
def test_a_broken_key_is_not_shown_either(
    server: FaultServer, ask: Ask, key_file: Path, broken: str
) -> None:
    key_file.write_text(broken)
    by_file = "more" in broken
    run = ask("ok", "--key-file", "key") if by_file else ask("ok", env={"VLLM_API_KEY": broken})
    assert_refused(run)
    assert KEY not in run.stderr
    assert not server.requests


@pytest.mark.parametrize(
    "line", [f"Authorization Bearer {KEY}", f"Authorization: {KEY}é", f"X Y: {KEY}"]
)
def test_a_broken_header_is_not_shown_either(
    server: FaultServer, ask: Ask, tmp_path: Path, line: str
) -> None:
    (tmp_path / "headers").write_text(line)
    run = ask("ok", "-H", "@headers")
    assert_refused(run)
    assert KEY not in run.stderr
    assert not server.requests


@pytest.mark.parametrize("bits", [0o620, 0o602, 0o666])
def test_a_key_file_that_others_can_write(
    server: FaultServer, ask: Ask, key_file: Path, bits: int
) -> None:
    key_file.chmod(bits)
    run = ask("ok", "--key-file", key_file)
    assert_refused(run)
    assert "chmod 600" in run.stderr
    assert key_file.name in run.stderr
    assert not server.requests


@pytest.mark.parametrize("bits", [0o640, 0o444])
def test_a_key_file_that_others_can_read_gets_a_note(
    server: FaultServer, ask: Ask, key_file: Path, bits: int
) -> None:
    key_file.chmod(bits)
    run = ask("ok", "--key-file", key_file)
    assert (run.returncode, run.text) == (0, "Hello world")
    assert run.stderr == f"stream: others can read {key_file}: chmod 600 {key_file}\n"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert ask("ok", "-q", "--key-file", key_file).stderr == ""


def test_a_complaint_about_a_key_file_is_one_line(ask: Ask, tmp_path: Path) -> None:
    name = "a\x1b[31m key\nfile"
    (tmp_path / name).write_text(KEY)
    (tmp_path / name).chmod(0o622)
    assert_refused(ask("ok", "--key-file", name))


def test_a_key_file_of_ones_own(server: FaultServer, ask: Ask, key_file: Path) -> None:
    run = ask("ok", "--key-file", key_file, env={"VLLM_API_KEY": "another"})
    assert run.returncode == 0, run.stderr
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_key_from_a_pipe(server: FaultServer, popen: Popen, tmp_path: Path) -> None:
    """`--key-file <(pass show openai)`: the password manager's way."""
    os.mkfifo(tmp_path / "fifo")
    process = popen(*MODEL, "--base-url", server.url("ok"), "--key-file", "fifo", "hi")
    (tmp_path / "fifo").write_text(KEY + "\n")
    assert process.wait(60) == 0
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("content", ["\n", None])
def test_a_key_file_without_a_key(
    server: FaultServer, ask: Ask, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
        (tmp_path / "key").chmod(0o600)
    run = ask("ok", "--key-file", "key")
    assert_refused(run)
    assert "key" in run.stderr
    assert not server.requests


def test_a_key_goes_only_where_it_belongs(server: FaultServer, stream: Stream) -> None:
    env = {"OPENAI_API_KEY": KEY, "VLLM_API_KEY": KEY}
    stream("--base-url", server.url("ok"), "hi", env=env)
    assert "authorization" not in server.requests[0].headers
    stream("-m", "openai:tiny", "--base-url", server.url("ok"), "hi", env=env)
    assert server.requests[1].headers["authorization"] == f"Bearer {KEY}"


# ---- --accept -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "accept", "status", "code"),
    [
        ("filtered", "filtered", "filtered", 0),
        ("cut_fin", "truncated", "truncated", 0),
        ("cut_rst", "length, truncated", "truncated", 0),
        ("length", "truncated", "length", 10),
    ],
)
def test_a_verdict_that_is_accepted(
    ask: Ask, scenario: str, accept: str, status: str, code: int
) -> None:
    run = ask(scenario, "--accept", accept, "--jsonl")
    assert run.returncode == code
    end = run.records[-1]
    assert (end["status"], end["exit_code"]) == (status, code)
    assert end["complete"] is (status == "complete")


@pytest.mark.parametrize("accept", ["lenght", "network"])
def test_a_verdict_that_cannot_be_accepted(server: FaultServer, ask: Ask, accept: str) -> None:
    run = ask("length", "--accept", accept)
    assert_refused(run)
    assert "truncated" in run.stderr, "it lists what could be"
    assert not server.requests


# ---- what is asked ------------------------------------------------------------------------------

PLAIN = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}


def body_of(server: FaultServer, run: Result) -> Any:
    assert run.returncode == 0, run.stderr
    return server.requests[-1].json


def test_nothing_is_asked_that_nobody_said(server: FaultServer, ask: Ask) -> None:
    assert body_of(server, ask("ok")) == PLAIN


SAMPLING = shlex.split(
    "--temperature 0 --top-p 0.9 --max-tokens 7 --stop END --stop '\n' --seed 42 "
    "--frequency-penalty -1 --presence-penalty 1.5"
)
SAMPLED = {
    "temperature": 0,
    "top_p": 0.9,
    "stop": ["END", "\n"],
    "seed": 42,
    "frequency_penalty": -1,
    "presence_penalty": 1.5,
}


def test_sampling(server: FaultServer, ask: Ask) -> None:
    assert body_of(server, ask("ok", *SAMPLING)) == {**PLAIN, **SAMPLED, "max_tokens": 7}
    run = ask("ok", "-m", "openai:tiny", *SAMPLING, env={"OPENAI_API_KEY": KEY})
    body = body_of(server, run)
    assert body.items() >= {**SAMPLED, "max_completion_tokens": 7}.items()
    assert "max_tokens" not in body


@pytest.mark.parametrize("option", ["--seed", "--max-tokens"])
def test_a_number_no_server_could_read(server: FaultServer, ask: Ask, option: str) -> None:
    run = ask("ok", option, str(1 << 64))
    if run.returncode:
        assert_refused(run)
        assert option in run.stderr
    else:
        assert str(1 << 64).encode() in server.requests[0].body


@pytest.mark.parametrize(
    ("pairs", "fields"),
    [
        (
            ["k=40", "f=1.5", "t=true", "n=null", "e=", "l=[1, 2]", "twice=1", "twice=2"],
            {"k": 40, "f": 1.5, "t": True, "n": None, "e": "", "l": [1, 2], "twice": 2},
        ),
        (
            ["s=plain text", 's2="quoted"', "s3={oops", "s4=NaN", "s5=a=b", "é=ü"],
            {"s": "plain text", "s2": "quoted", "s3": "{oops", "s4": "NaN", "s5": "a=b", "é": "ü"},
        ),
        (
            ["a.b.c=1", "a.b.d=low", 'a.e={"f": {"g": 2}}', "a.e.h=3"],
            {"a": {"b": {"c": 1, "d": "low"}, "e": {"f": {"g": 2}, "h": 3}}},
        ),
    ],
    ids=["json", "text", "dots"],
)
def test_any_field_of_the_body(
    server: FaultServer, ask: Ask, pairs: list[str], fields: dict[str, Any]
) -> None:
    options = [word for pair in pairs for word in ("-o", pair)]
    assert body_of(server, ask("ok", *options)) == {**PLAIN, **fields}


def test_an_option_by_hand_wins(server: FaultServer, ask: Ask) -> None:
    run = ask("ok", "--temperature", "1", "-o", "temperature=0.5", "-o", "model=other")
    assert body_of(server, run) == {**PLAIN, "temperature": 0.5, "model": "other"}
    run = ask("ok", "-o", "stream_options.include_obfuscation=false")
    options = {"include_usage": True, "include_obfuscation": False}
    assert body_of(server, run) == {**PLAIN, "stream_options": options}


@pytest.mark.parametrize("pairs", [["k"], ["a..b=1"], ["a=1", "a.b=2"]])
def test_a_field_that_is_none(server: FaultServer, ask: Ask, pairs: list[str]) -> None:
    run = ask("ok", *[word for pair in pairs for word in ("-o", pair)])
    assert_refused(run)
    assert pairs[-1] in run.stderr
    assert not server.requests


@pytest.mark.parametrize("scenario", ["whole_json", "ok"])
def test_no_stream(server: FaultServer, ask: Ask, scenario: str) -> None:
    run = ask(scenario, "--no-stream", "--jsonl")
    assert run.returncode == 0
    body = server.requests[0].json
    assert not body.get("stream")
    assert "stream_options" not in body
    assert text_of(run.records) == HELLO
    assert run.records[-1]["usage"]["total_tokens"] == 7


def test_headers(server: FaultServer, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "headers").write_bytes(b"X-One: 1\r\n\r\nX-Two:  2: two \nX-Last:3")
    given = ("-H", "X-Zero:0", "-H", "@headers", "--header", "user-agent: mine", "-H", "X-None:")
    run = ask("ok", *given)
    assert (run.returncode, run.text) == (0, HELLO), run.stderr
    assert server.requests[0].headers.items() >= {
        "x-zero": "0",
        "x-one": "1",
        "x-two": "2: two",
        "x-last": "3",
        "x-none": "",
        "user-agent": "mine",
        "content-type": "application/json",
        "accept-encoding": "identity",
    }.items()  # fmt: skip


@pytest.mark.parametrize("header", ["nonsense", "A B: x", "X: a\r\nY: b", "X: é", "@nowhere"])
def test_a_header_that_is_none(server: FaultServer, ask: Ask, header: str) -> None:
    assert_refused(ask("ok", "-H", header))
    assert not server.requests


# ---- where it is asked --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("/ok/v1", "/ok/v1/chat/completions"),
        ("/ok/v1/", "/ok/v1/chat/completions"),
        ("/ok/openai/v1beta", "/ok/openai/v1beta/chat/completions"),
        ("/ok/v1/chat/completions", "/ok/v1/chat/completions"),
        ("/ok/v1/chat/completions/", "/ok/v1/chat/completions"),
        ("/ok/v1?api-version=1&x=%20", "/ok/v1/chat/completions?api-version=1&x=%20"),
    ],
)
def test_base_url(server: FaultServer, ask: Ask, base: str, path: str) -> None:
    run = ask(server.origin + base)
    assert (run.returncode, run.text) == (0, HELLO), run.stderr
    assert server.requests[0].path == path


@pytest.mark.parametrize("model", [(), ("-m", "some/model:8b")], ids=["none", "with a colon"])
def test_a_base_url_needs_no_provider(
    server: FaultServer, stream: Stream, model: tuple[str, ...]
) -> None:
    run = stream(*model, "--base-url", server.url("ok"), "hi")
    assert (run.returncode, run.text) == (0, HELLO), run.stderr
    assert server.requests[0].json.get("model") == (model[1] if model else None)


@pytest.mark.parametrize(
    ("model", "variable"),
    [("vllm", "VLLM_BASE_URL"), ("openai", "OPENAI_BASE_URL"), ("llamacpp", "LLAMACPP_BASE_URL")],
)
def test_the_vendors_own_variable(
    server: FaultServer, stream: Stream, model: str, variable: str
) -> None:
    env = {"OPENAI_API_KEY": KEY, variable: server.url("ok")}
    run = stream("-m", f"{model}:tiny", "hi", env=env)
    assert (run.returncode, run.text) == (0, HELLO), run.stderr


def test_ollamas_own_variable(server: FaultServer, stream: Stream) -> None:
    def play(conn: Conn) -> None:
        conn.head(ctype="application/x-ndjson")
        for text in ("Hello", " world"):
            conn.chunk(json.dumps({"message": {"content": text}, "done": False}).encode() + b"\n")
        conn.chunk(b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n')
        conn.end()

    run = stream("-m", "ollama:tiny", "hi", env={"OLLAMA_HOST": server.script("own", play)})
    assert (run.returncode, run.text) == (0, HELLO), run.stderr
    assert server.requests[0].path.endswith("/api/chat")


def test_an_option_beats_a_variable(server: FaultServer, ask: Ask) -> None:
    run = ask("unicode", env={"VLLM_BASE_URL": server.url("ok")})
    assert (run.returncode, run.text) == (0, UNICODE_TEXT)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:1/v1", "ftp://127.0.0.1/v1", "http://", "http://h:p/", ""]
)
def test_a_base_url_that_is_none(server: FaultServer, stream: Stream, url: str) -> None:
    """Empty too: an unset variable must not send the prompt somewhere else."""
    assert_refused(stream(*MODEL, "--base-url", url, "--max-retries", "0", "hi"))


@contextmanager
def unix_relay(server: FaultServer) -> Iterator[str]:
    """The path of a Unix socket whose first caller is put through to the server."""
    port = int(server.origin.rpartition(":")[2])

    def carry() -> None:
        ours, _ = listener.accept()
        with (
            ours,
            socket.create_connection(("127.0.0.1", port)) as server_side,
            suppress(ConnectionError),  # who hangs up with bytes unread resets the connection
        ):
            other = {ours: server_side, server_side: ours}
            while True:
                for end in select.select(list(other), [], [], 60)[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    other[end].sendall(data)

    # A directory of its own: the path of a socket must be short.
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = f"{folder}/socket"
        listener.bind(path)
        listener.listen()
        listener.settimeout(60)
        thread = threading.Thread(target=carry)
        thread.start()
        yield path
        thread.join(60)


def test_a_unix_socket(server: FaultServer, ask: Ask) -> None:
    with unix_relay(server) as path:
        run = ask("http://localhost/ok/v1", "--unix-socket", path)
    assert (run.returncode, run.text, run.stderr) == (0, HELLO, "")
    assert server.requests[0].headers["host"] == "localhost"


def test_a_unix_socket_that_is_not_there(ask: Ask) -> None:
    options = ("--unix-socket", "nowhere.sock", "--max-retries", "0")
    run = ask("http://localhost/ok/v1", *options)
    assert_refused(run, 7)
    assert "to nowhere.sock (" in run.stderr
    assert run.stderr.endswith("and --unix-socket\n")
    assert "proxy" not in run.stderr


def test_a_base_url_with_its_scheme_in_capitals(server: FaultServer, stream: Stream) -> None:
    url = f"HTTP{server.origin.removeprefix('http')}/ok/V1?to=http://Y"
    run = stream(*MODEL, "--base-url", url, "hi")
    assert (run.returncode, run.text, run.stderr) == (0, HELLO, "")
    assert server.requests[-1].path == "/ok/V1/chat/completions?to=http://Y"


def test_a_base_url_of_bytes_that_are_no_text(stream: Stream) -> None:
    run = stream(*MODEL, b"--base-url", b"http://127.0.0.1:9/\xff", "--max-retries", "0", "hi")
    assert_refused(run)
    assert "not UTF-8" in run.stderr


def test_a_proxy_that_cannot_be_reached(stream: Stream) -> None:
    """It is not the server that refuses; and the proxy's password is a secret too."""
    url, env = "http://example.invalid/v1", {"http_proxy": "http://user:secret@127.0.0.1:1"}
    run = stream(*MODEL, "--base-url", url, "--max-retries", "0", "hi", env=env)
    assert_refused(run, 7)
    assert "127.0.0.1:1" in run.stderr
    assert "secret" not in run.stderr


def test_a_proxy_that_is_none(stream: Stream) -> None:
    url, env = "http://example.invalid/v1", {"http_proxy": "http://[::1"}
    run = stream(*MODEL, "--base-url", url, "--max-retries", "0", "hi", env=env)
    assert_refused(run, run.returncode if run.returncode == 2 else 7)
    assert "proxy" in run.stderr


# ---- help and usage -----------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "columns"), [("--help", "80"), ("-h", "200")])
def test_help_fits_a_terminal(stream: Stream, option: str, columns: str) -> None:
    run = stream(option, env={"COLUMNS": columns})
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.text.splitlines()
    assert lines[0].startswith("Usage: stream ")
    assert max(map(len, lines)) <= 79
    assert not [line for line in lines if line != line.rstrip()]
    sections = ["The prompt:", "Choosing the model:", "Output:", "Network:"]
    assert [line for line in lines if line in sections] == sections


def test_help_names_every_option_of_the_day(stream: Stream) -> None:
    text = stream("--help").text
    names = """
        --file --no-stdin --replace --model --provider --system --temperature --top-p --max-tokens
        --stop --seed --frequency-penalty --presence-penalty --option --format --jsonl --json
        --events --output --reasoning --sanitize --usage --stats --color --quiet --verbose --debug
        --accept --base-url --header --key-file --connect-timeout --first-timeout --idle-timeout
        --timeout --max-retries --no-stream --unix-socket --version --help
    """
    for name in names.split():
        assert re.search(rf"{name}\b", text), name


def test_version(stream: Stream) -> None:
    run = stream("--version")
    assert (run.returncode, run.stderr) == (0, "")
    assert re.fullmatch(r"stream \d+\.\d+\.\d+\S*\n", run.text)


def test_help_nobody_reads(child_env: dict[str, str], tmp_path: Path) -> None:
    run = shell('"$@" --help | head -n 1', env=child_env, cwd=tmp_path)
    assert run.stdout.startswith(b"Usage: ")
    assert run.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_that_cannot_be_written(stream: Stream, option: str) -> None:
    with open("/dev/full", "wb") as full:
        run = stream(option, stdout=full)
    assert run.returncode == 23
    assert_one_line(run.stderr)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--jsnol",), "did you mean --json"),
        (("--no-steam",), "did you mean --no-stream"),
        (("--temp", "1"), "did you mean --template or --temperature?"),
        (("--temper", "1"), "did you mean --temperature?"),
        (("--out", "answer"), "did you mean --output"),
        (("-jsonl",), "--jsonl"),
        (("--format", "xml"), "jsonl"),
        (("--format", "josnl"), "jsonl"),
        (("--top-p", "2"), "--top-p"),
        (("--temperature",), "--temperature"),
        (("--jsonl=yes",), "--jsonl"),
        (("--max-tokens", "1.5"), "--max-tokens"),
        (("--max-event-size", "16Q"), "--max-event-size"),
        (("--sanitize", "some\ntimes\x1b[31m"), "--sanitize"),
        (("-m", "vllm:a", "-m", "vllm:a"), "--model"),
    ],
)
def test_a_usage_error_is_one_line(
    server: FaultServer, stream: Stream, options: tuple[str, ...], says: str
) -> None:
    run = stream("--base-url", server.url("ok"), "hi", *options)
    assert_refused(run)
    assert says in run.stderr
    assert not server.requests


def test_no_model(stream: Stream) -> None:
    run = stream("hi")
    assert (run.returncode, run.stdout) == (2, b"")
    assert "OPENAI_API_KEY is set" not in run.stderr
    assert sum("stream -" in line for line in run.complaints) >= 2, "commands that would work"
    run = stream("hi", "--jsonl", env={"OPENAI_API_KEY": KEY})
    assert run.returncode == 2
    assert "OPENAI_API_KEY is set" in run.stderr
    assert KEY not in run.stderr
    (end,) = run.records
    assert (end["type"], end["status"], end["exit_code"]) == ("end", "usage", 2)
    assert json.dumps(end["error"]["message"]).isprintable()
