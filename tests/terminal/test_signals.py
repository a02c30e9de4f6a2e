"""Signals, pipes and files, with a real process: how it dies, what it leaves behind, who it tells.

Every test that sends a signal first waits for something only a running stream can have caused.
"""

import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from conftest import COMMAND, WITH_SIGNALS, Popen, Stream, eventually, waiting_in
from faultserver import Conn, FaultServer, error_body
from records import parse_records

from streamcli.errors import Interrupted
from streamcli.terminal.signals import Signals

HELLO = b"Hello"
MODEL = ("-m", "vllm:tiny")


@pytest.fixture
def popen(popen_exec: Popen) -> Popen:
    """Signals meet a process that was started as a user starts it."""
    return popen_exec


class Held:
    """A scenario that says Hello and holds on; `gone` is when the client let go."""

    def __init__(self, server: FaultServer, name: str = "held") -> None:
        self.gone: Queue[bool] = Queue()
        self.url = server.script(name, self._play)

    def _play(self, conn: Conn) -> None:
        conn.open_with("Hello")
        self.gone.put(conn.wait_peer_closed(90))


def read_until(process: subprocess.Popen[bytes], wanted: bytes, timeout: float = 60) -> bytes:
    """What stdout brings, up to the read that completes this; there may be more behind it."""
    assert process.stdout
    got, deadline = b"", time.monotonic() + timeout
    while wanted not in got:
        left = max(deadline - time.monotonic(), 0)
        assert select.select([process.stdout], [], [], left)[0], f"late: {got[-80:]!r}"
        data = os.read(process.stdout.fileno(), 65536)
        assert data, f"closed: {got[-80:]!r}"
        got += data
    return got


def rest_of(process: subprocess.Popen[bytes], timeout: float = 60) -> tuple[bytes, str]:
    out, err = process.communicate(timeout=timeout)
    return out, err.decode()


def the_end(events: Path) -> dict[str, Any]:
    records = parse_records(events.read_bytes())
    ends = [record for record in records if record["type"] == "end"]
    assert len(ends) == 1
    assert records[-1] is ends[0]
    return ends[0]


def assert_interrupted(events: Path, code: int) -> None:
    end = the_end(events)
    assert end["status"] == "interrupted"
    assert end["complete"] is False
    assert end["exit_code"] == code


MORTAL = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("signum", "code"), MORTAL)
def test_a_signal_in_the_middle_of_the_answer(
    server: FaultServer, popen: Popen, tmp_path: Path, signum: signal.Signals, code: int
) -> None:
    held, events = Held(server), tmp_path / "events.jsonl"
    process = popen(*MODEL, "--base-url", held.url, "--events", events, "hi")
    assert read_until(process, HELLO) == HELLO
    process.send_signal(signum)
    out, err = rest_of(process)
    assert process.returncode == -signum
    assert out == b""
    assert "Traceback" not in err
    assert_interrupted(events, code)
    assert held.gone.get(timeout=60)


@pytest.mark.parametrize(("signum", "code"), MORTAL)
def test_a_signal_while_records_go_to_stdout(
    server: FaultServer, popen: Popen, signum: signal.Signals, code: int
) -> None:
    process = popen(*MODEL, "--base-url", Held(server).url, "--jsonl", "hi")
    begun = read_until(process, b'"Hello"')
    process.send_signal(signum)
    out, _ = rest_of(process)
    assert process.returncode == -signum
    end = parse_records(begun + out)[-1]
    assert (end["type"], end["status"], end["exit_code"]) == ("end", "interrupted", code)


@pytest.mark.parametrize(("signum", "code"), MORTAL)
def test_a_signal_before_the_headers(
    server: FaultServer, popen: Popen, tmp_path: Path, signum: signal.Signals, code: int
) -> None:
    gone: Queue[bool] = Queue()
    url = server.script("mute", lambda conn: gone.put(conn.wait_peer_closed(90)))
    events = tmp_path / "events.jsonl"
    process = popen(*MODEL, "--base-url", url, "--events", events, "hi")
    assert eventually(lambda: server.seen("mute"))
    process.send_signal(signum)
    assert rest_of(process)[0] == b""
    assert process.returncode == -signum
    assert_interrupted(events, code)
    assert gone.get(timeout=60)


# Becomes the command, and gets ^C as a module in C that is being imported imports another one.
WHILE_IT_IMPORTS = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "dataclasses" and "orjson" in sys.modules:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
runpy.run_module("streamcli", run_name="__main__")
"""


@pytest.mark.parametrize("more", [(), ("--jsonl",), ("-L",), ("--dry-run",)])
def test_an_interrupt_while_it_starts(
    server: FaultServer, child_env: dict[str, str], more: tuple[str, ...]
) -> None:
    command = [sys.executable, "-c", WHILE_IT_IMPORTS, *MODEL, "--base-url", server.url("ok")]
    process = subprocess.run(
        [sys.executable, "-IS", "-c", WITH_SIGNALS, "", *command, *more, "hi"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=child_env,
    )
    assert process.returncode == -signal.SIGINT
    assert (process.stdout, process.stderr) == (b"", b"")


def test_a_signal_during_the_wait_before_a_retry(
    server: FaultServer, popen: Popen, tmp_path: Path
) -> None:
    url = server.script("busy", lambda conn: conn.reply(429, error_body("busy"), retry_after="100"))
    events = tmp_path / "events.jsonl"
    process = popen(*MODEL, "--base-url", url, "--events", events, "hi")
    assert eventually(lambda: events.exists() and b'"retry"' in events.read_bytes())
    process.send_signal(signal.SIGINT)
    rest_of(process)
    assert process.returncode == -signal.SIGINT
    assert_interrupted(events, 130)


def test_a_signal_while_stdin_is_awaited(server: FaultServer, popen: Popen) -> None:
    process = popen(*MODEL, "--base-url", server.url("ok"), stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(b"never ended")
    assert eventually(lambda: waiting_in(process.stdin) == 0), "it has not begun to read"
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in rest_of(process)[1]
    assert not server.seen("ok")


@pytest.mark.parametrize("signum", [signum for signum, _ in MORTAL])
def test_a_signal_ignored_at_start_stays_ignored(
    server: FaultServer, popen: Popen, signum: signal.Signals
) -> None:
    go_on = threading.Event()

    def play(conn: Conn) -> None:
        conn.open_with("Hello")
        go_on.wait(90)
        conn.delta(" world")
        conn.finish()
        conn.done()
        conn.end()

    url = server.script("patient", play)
    process = popen(*MODEL, "--base-url", url, "hi", ignoring=signum.name)
    try:
        assert read_until(process, HELLO) == HELLO
        process.send_signal(signum)
        time.sleep(0.2)
    finally:
        go_on.set()
    assert rest_of(process)[0] == b" world"
    assert process.returncode == 0


def test_two_interrupts_end_it_at_once(server: FaultServer, popen: Popen) -> None:
    process = popen(*MODEL, "--base-url", Held(server).url, "hi")
    assert read_until(process, HELLO) == HELLO
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, err = rest_of(process)
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in err


def test_an_interrupt_while_nobody_reads_stdout(
    server: FaultServer, popen: Popen, tmp_path: Path
) -> None:
    def flood(conn: Conn) -> None:
        conn.open_with(*["x" * 10_000] * 200)
        conn.wait_peer_closed(90)

    events = tmp_path / "events.jsonl"
    url = server.script("flood", flood)
    process = popen(*MODEL, "--base-url", url, "--events", events, "hi")
    assert process.stdout
    # More than one delta of it: it is blocked in a write, or soon will be.
    assert eventually(lambda: waiting_in(process.stdout) > 10_000)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert process.returncode == -signal.SIGINT
    assert_interrupted(events, 130)


# ---- time that does not count -------------------------------------------------------------------


def test_being_stopped_does_not_count_as_idle(server: FaultServer, popen: Popen) -> None:
    """Whether the server goes on meanwhile or falls silent."""
    resumed = threading.Event()

    def goes_on(conn: Conn) -> None:
        while not resumed.wait(0.1):
            conn.delta(".")

    def falls_silent(conn: Conn) -> None:
        resumed.wait(90)
        conn.wait(0.3)

    def paused(meanwhile: Callable[[Conn], None]) -> str:
        def play(conn: Conn) -> None:
            conn.open_with("Hello")
            meanwhile(conn)
            conn.delta(" world")
            conn.finish()
            conn.done()
            conn.end()

        return server.script(meanwhile.__name__, play)

    urls = [paused(goes_on), paused(falls_silent)]
    both = [popen(*MODEL, "--base-url", url, "--idle-timeout", "5", "hi") for url in urls]
    try:
        begun = [read_until(process, HELLO) for process in both]
        time.sleep(0.1)  # lets them begin to wait, so that the stop falls into the wait
        for process in both:
            process.send_signal(signal.SIGSTOP)
        time.sleep(5.5)
        for process in both:
            process.send_signal(signal.SIGCONT)
    finally:
        resumed.set()
    for process, first in zip(both, begun, strict=True):
        out, err = rest_of(process)
        assert process.returncode == 0, err
        assert (first + out).replace(b".", b"") == b"Hello world"


def test_a_slow_reader_does_not_count_as_idle(server: FaultServer, popen: Popen) -> None:
    def flood(conn: Conn) -> None:
        conn.open_with(*["x" * 10_000] * 300)
        conn.finish()
        conn.done()
        conn.end()

    url = server.script("flood", flood)
    process = popen(*MODEL, "--base-url", url, "--idle-timeout", "4", "hi")
    begun = read_until(process, b"x")
    time.sleep(4.5)
    out, err = rest_of(process)
    assert process.returncode == 0, err
    assert len(begun + out) == 3_000_000


# ---- where the answer goes ----------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["long", "slow"])
def test_head_takes_what_it_wants(
    server: FaultServer, popen: Popen, tmp_path: Path, scenario: str
) -> None:
    events = tmp_path / "events.jsonl"
    process = popen(*MODEL, "--base-url", server.url(scenario), "--events", events, "hi")
    head = subprocess.run(
        ["head", "-c", "10"], stdin=process.stdout, capture_output=True, timeout=60, check=True
    )
    assert process.stdout
    process.stdout.close()
    process.wait(60)
    assert head.stdout == {"long": b"word 0 wor", "slow": b"0 1 2 3 4 "}[scenario]
    assert process.returncode == -signal.SIGPIPE
    assert process.stderr
    assert process.stderr.read() == b""
    assert_interrupted(events, 141)


def test_head_takes_one_record(server: FaultServer, popen: Popen) -> None:
    process = popen(*MODEL, "--base-url", server.url("long"), "--jsonl", "hi")
    head = subprocess.run(
        ["head", "-n", "1"], stdin=process.stdout, capture_output=True, timeout=60, check=True
    )
    assert process.stdout
    process.stdout.close()
    process.wait(60)
    assert [record["type"] for record in parse_records(head.stdout)] == ["start"]
    assert process.returncode == -signal.SIGPIPE


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_the_shell_sees_what_a_shell_expects(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    command = shlex.join([*COMMAND, *MODEL, "--base-url", server.url("long"), "hi"])
    script = f'{command} | head -c 10; echo ":${{PIPESTATUS[0]}}"'
    bash = subprocess.run(
        ["bash", "-c", script], env=child_env, cwd=tmp_path, capture_output=True, timeout=60
    )
    assert bash.stdout == b"word 0 wor:141\n"
    assert bash.stderr == b""


needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


@needs_full
def test_a_full_disk(server: FaultServer, stream: Stream, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    with open("/dev/full", "wb") as full:
        run = stream(*MODEL, "--base-url", server.url("ok"), "--events", events, "hi", stdout=full)
    assert run.returncode == 23
    assert len(run.complaints) == 1
    assert run.stderr.startswith("stream: ")
    end = the_end(events)
    assert (end["status"], end["exit_code"]) == ("write", 23)


@needs_full
@pytest.mark.parametrize("option", ["--jsonl", "--json"])
def test_a_full_disk_for_the_records(server: FaultServer, stream: Stream, option: str) -> None:
    with open("/dev/full", "wb") as full:
        run = stream(*MODEL, "--base-url", server.url("ok"), option, "hi", stdout=full)
    assert run.returncode == 23
    assert len(run.complaints) == 1
    assert run.stderr.startswith("stream: ")


@needs_full
def test_a_full_disk_for_the_events(server: FaultServer, stream: Stream) -> None:
    run = stream(*MODEL, "--base-url", server.url("ok"), "--events", "/dev/full", "hi")
    assert run.returncode == 23
    assert len(run.complaints) == 1


def _shell(
    closing: str, *options: str | Path, env: dict[str, str], cwd: Path
) -> subprocess.CompletedProcess[bytes]:
    command = shlex.join([*COMMAND, *MODEL, *map(str, options)])
    return subprocess.run(
        ["sh", "-c", f"exec {command} {closing}"],
        stdin=subprocess.DEVNULL,
        env=env,
        cwd=cwd,
        capture_output=True,
        timeout=60,
    )


def test_stdout_closed(server: FaultServer, child_env: dict[str, str], tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    options = ("--base-url", server.url("ok"), "--events", events, "hi")
    run = _shell(">&-", *options, env=child_env, cwd=tmp_path)
    assert run.returncode == 23
    assert run.stderr.startswith(b"stream: ")
    assert run.stderr.count(b"\n") == 1
    # The events file must not have become descriptor 1 and caught the text.
    end = the_end(events)
    assert (end["status"], end["exit_code"]) == ("write", 23)


def test_stdin_closed(server: FaultServer, child_env: dict[str, str], tmp_path: Path) -> None:
    run = _shell("<&-", "--base-url", server.url("ok"), "hi", env=child_env, cwd=tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"Hello world", b"")


@pytest.mark.parametrize("closing", ["2>&-", pytest.param("2>/dev/full", marks=needs_full)])
def test_nowhere_to_complain(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path, closing: str
) -> None:
    options = ("--base-url", server.url("status_401"), "--jsonl", "hi")
    run = _shell(closing, *options, env=child_env, cwd=tmp_path)
    assert run.returncode == 67
    assert parse_records(run.stdout)[-1]["exit_code"] == 67


# ---- many writers, one file ---------------------------------------------------------------------

WIDE = ["é" * 9_000, "\x00\x9b\x7f\n" * 2_000, "x" * 20_000]


def _wide(conn: Conn) -> None:
    conn.open_with(*WIDE)
    conn.finish()
    conn.usage()
    conn.done()
    conn.end()


def test_many_processes_append_whole_lines(
    server: FaultServer, shell_env: dict[str, str], tmp_path: Path
) -> None:
    command = shlex.join(["stream", *MODEL, "--base-url", server.script("wide", _wide), "--jsonl"])
    script = f"seq 32 | xargs -P8 -I{{}} {command} -- {{}} >> all.jsonl"
    shell = subprocess.run(
        ["sh", "-c", script], env=shell_env, cwd=tmp_path, capture_output=True, timeout=60
    )
    assert (shell.returncode, shell.stderr) == (0, b"")
    asked = {seen.json["messages"][-1]["content"] for seen in server.seen("wide")}
    assert asked == {str(number) for number in range(1, 33)}
    by_request: dict[str, list[dict[str, Any]]] = {}
    for record in parse_records((tmp_path / "all.jsonl").read_bytes()):
        by_request.setdefault(record["request_id"], []).append(record)
    assert len(by_request) == 32
    for records in by_request.values():
        deltas = [record for record in records if record["type"] == "delta"]
        assert [record["seq"] for record in deltas] == list(range(len(deltas)))
        assert "".join(record["text"] for record in deltas) == "".join(WIDE)
        assert records[-1]["type"] == "end"
        assert records[-1]["complete"] is True


def test_lines_for_a_pipe_fit_what_a_pipe_keeps_whole(server: FaultServer, stream: Stream) -> None:
    run = stream(*MODEL, "--base-url", server.script("wide", _wide), "--jsonl", "hi")
    assert run.returncode == 0, run.stderr
    assert max(len(line) + 1 for line in run.stdout.split(b"\n")) <= select.PIPE_BUF
    text = "".join(record["text"] for record in run.records if record["type"] == "delta")
    assert text == "".join(WIDE)


def test_a_long_error_fits_too(server: FaultServer, stream: Stream) -> None:
    def refuse(conn: Conn) -> None:
        conn.reply(503, error_body("né" * 40_000))

    args = (*MODEL, "--base-url", server.script("wordy", refuse), "--max-retries", "1", "--jsonl")
    run = stream(*args, "hi")
    assert max(len(line) + 1 for line in run.stdout.split(b"\n")) <= select.PIPE_BUF
    errors = [record["error"]["message"] for record in run.records if record.get("error")]
    assert [len(message) for message in errors] == [500, 500]
    assert all(error.startswith("HTTP 503: né") and error.endswith("...") for error in errors)


# ---- more than one run in a process -------------------------------------------------------------


def test_signals_are_given_back() -> None:
    before = {number: signal.getsignal(number) for number in Signals.NUMBERS}
    signals = Signals()
    for _ in range(2):
        signals.install()
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
        with pytest.raises(Interrupted), signals.shield:
            os.kill(os.getpid(), signal.SIGTERM)
        signals.reset()
        assert {number: signal.getsignal(number) for number in Signals.NUMBERS} == before
        assert signals.pending == 0
