"""What a batch shows of its progress: on real terminals (pty), and as plain lines."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from streamcli.terminal.progress import Progress, State

# Does what it is told, line by line.
DRIVER = """
import fcntl, os, signal, sys, termios, time
from streamcli.terminal.progress import Progress, State
for line in sys.stdin:
    exec(line)
"""
START = "p = Progress(total={total}, clock=time.monotonic, state=lambda: s, color={color})"


class Terminal:
    """A process with a terminal as its stderr, and what that shows."""

    def __init__(self, env: dict[str, str], width: int) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, width))
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=slave,
            env={**env, "TERM": "xterm-256color"},
            start_new_session=True,
            bufsize=0,
        )
        os.close(slave)
        self.raw = b""

    def do(self, code: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(code.encode() + b"\n")

    def start(self, total: int | None, skipped: int = 0, color: bool = True) -> None:
        self.do(f"s = State({skipped=})")
        self.do(START.format(total=total, color=color))
        self.do("p.start()")

    def update(self, done: int, failed: int = 0, held: str = "", tokens: int = 0) -> None:
        new = f"done={done}, failed={failed}, in_flight=16, {tokens=}, {held=}"
        self.do(f"s = s._replace({new})")

    def until(self, true: Callable[[list[str]], object], timeout: float = 60) -> list[str]:
        """The screen as soon as `true` of it."""
        deadline = time.monotonic() + timeout
        while not true(screen(self.raw)):
            left = max(deadline - time.monotonic(), 0)
            assert select.select([self.master], [], [], left)[0], screen(self.raw)
            assert self._read(), screen(self.raw)
        return screen(self.raw)

    def end(self) -> list[str]:
        """The screen when all is over, and nothing went to stdout."""
        out, _ = self.process.communicate(timeout=60)
        assert out == b""
        while self._read():
            pass
        return screen(self.raw)

    def _read(self) -> bytes:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: nobody has the other end any more
            return b""
        self.raw += data
        return data


def screen(raw: bytes) -> list[str]:
    """The lines of a terminal that knows no more than is used here; fails at anything else."""
    rows, row, column = [""], 0, 0
    for word in re.findall("\x1b\\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", whole_characters(raw)):
        if word == "\r":
            column = 0
        elif word == "\n":
            row += 1
            rows += [""] * (row == len(rows))
        elif word == "\x1b[2K":
            rows[row] = ""
        elif word == "\x1b[1A":
            row -= 1
        elif word[0] != "\x1b":
            rows[row] = rows[row][:column].ljust(column) + word + rows[row][column + len(word) :]
            column += len(word)
        else:
            assert word.endswith("m"), f"unknown: {word!r}"
    return rows


def whole_characters(raw: bytes) -> str:
    return re.sub("\x1b[^A-Za-z]*$", "", raw.decode("utf-8", "ignore"))


@pytest.fixture
def terminal(child_env: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(width: int = 100, **env: str) -> Terminal:
        opened.append(Terminal({**child_env, **env}, width))
        return opened[-1]

    yield open_one
    for each in opened:
        each.process.kill()
        each.process.wait(60)
        each.process.communicate()
        os.close(each.master)


def test_one_line_that_is_gone_in_the_end(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.start(10_000, skipped=12)
    watched.until(lambda rows: rows[0].startswith("12 of 10 000"))
    watched.update(3_800, failed=4, tokens=50_000)
    (line,) = watched.until(lambda rows: " left" in rows[0])
    assert re.fullmatch(
        r"3 812 of 10 000  ━+[╸╺]━+  38 %   16 in flight   4 failed   [\d ]+ tok/s   \d+ s left",
        line,
    )
    watched.do("p.close(); p.close()")
    assert watched.end() == ["", ""]
    assert b"\x1b[?25" not in watched.raw  # the cursor was never hidden


def test_a_total_that_nobody_knows(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.start(None)
    watched.update(3_812, held="openai: waiting 4 s")
    (line,) = watched.until(lambda rows: "3 812" in rows[0])
    assert re.fullmatch(r"3 812 done   16 in flight   \d+ s   openai: waiting 4 s", line)


def test_lines_stand_above_it(terminal: Callable[..., Terminal]) -> None:
    watched = terminal(width=60)
    watched.start(100)
    said = "stream: [bold]a\x1b[2Jb[/] :smile: 1234"
    watched.do(f"p.print_line({said!r}); p.print_line({'y' * 100!r})")
    watched.update(5)
    rows = watched.until(lambda rows: rows[-1].startswith("5 of 100 "))
    assert rows[:2] == ["stream: [bold]a^[[2Jb[/] :smile: 1234", "y" * 100]
    assert len(rows) == 3
    watched.do("p.close(); p.print_line('bye')")
    assert watched.end() == [*rows[:2], "bye", ""]


def test_what_does_not_fit_is_left_out(terminal: Callable[..., Terminal]) -> None:
    watched = terminal(width=80)
    watched.start(10_000)
    watched.update(3_812, failed=4)
    for width, wanted in (
        (80, r"3 812 of 10 000  ━\S+━  38 %   16 in flight   4 failed   \d+ s left"),
        (64, r"3 812 of 10 000   38 %   16 in flight   4 failed   \d+ s left"),
        (52, r"3 812 of 10 000   38 %   16 in flight   4 failed"),
        (44, r"3 812 of 10 000   38 %   16 in flight"),
        (34, r"3 812 of 10 000  ━\S+━  38 %"),
        (24, r"3 812 of 10 000   38 %"),
        (20, r"3 812 of 10 000"),
        (9, r"3 812 of"),
        (1, r""),
    ):
        termios.tcsetwinsize(watched.master, (24, width))
        watched.until(lambda rows, wanted=wanted: re.fullmatch(wanted, rows[0].rstrip()))
    termios.tcsetwinsize(watched.master, (24, 200))
    watched.until(lambda rows: "━" * 27 in rows[0].replace("╸", "━").replace("╺", "━"))
    watched.do("p.close()")
    assert watched.end() == ["", ""]


def test_without_color(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.start(100, color=False)
    watched.update(50, failed=50, held="held")
    watched.until(lambda rows: re.match("50 of 100  ━{14} {14}  50 %.* 50 failed .*held", rows[0]))
    watched.do("p.close()")
    assert watched.end() == ["", ""]
    assert not re.search(rb"\x1b\[[0-9;]*m", watched.raw)


def test_interrupted(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.do("sys.excepthook = lambda *exc: p.print_line(exc[0].__name__)")
    watched.do("signal.signal(signal.SIGINT, signal.default_int_handler)")
    watched.start(100)
    watched.until(lambda rows: "0 of 100" in rows[0])
    watched.do("exec('try: os.write(1, bytes(1)); time.sleep(60)\\nfinally: p.close()')")
    assert watched.process.stdout
    assert watched.process.stdout.read(1)
    watched.process.send_signal(signal.SIGINT)
    assert watched.end() == ["KeyboardInterrupt", ""]
    assert b"\x1b[?25" not in watched.raw


def test_a_terminal_that_goes_away(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.start(100)
    watched.until(lambda rows: "0 of 100" in rows[0])
    os.close(watched.master)
    watched.master = os.open(os.devnull, os.O_RDONLY)
    watched.update(5)
    watched.do("p.refresh(); p.print_line('x'); p.close(); print(p._thread.is_alive())")
    out, _ = watched.process.communicate(timeout=60)
    assert (out, watched.process.returncode) == (b"False\n", 0)


def test_in_the_background_nothing_is_drawn(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.do("fcntl.ioctl(2, termios.TIOCSCTTY, 0)")
    watched.do("os.fork() and (os.wait(), os._exit(0))")  # the child goes on, below the session
    watched.do("os.setpgid(0, 0)")
    watched.start(100)
    watched.update(5)
    watched.do("p.refresh(); p.print_line('said'); p.close()")
    assert watched.end() == ["said", ""]


def test_in_the_foreground_of_its_own_terminal(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.do("fcntl.ioctl(2, termios.TIOCSCTTY, 0)")
    watched.start(100)
    watched.until(lambda rows: "0 of 100" in rows[0])


def test_a_dumb_terminal_gets_plain_lines(terminal: Callable[..., Terminal]) -> None:
    watched = terminal(TERM="dumb")
    watched.do("os.environ['TERM'] = 'dumb'")
    watched.start(100)
    watched.update(50)
    watched.do("p.close()")
    (line, rest) = watched.end()
    assert re.match("stream: 50 of 100   50 %   16 in flight", line)
    assert rest == ""
    assert b"\x1b" not in watched.raw


class Plain:
    """Plain lines, by a clock that the test sets; the thread that would look at it is not there."""

    def __init__(self, capfd: pytest.CaptureFixture[str], total: int | None = 100) -> None:
        self.now = 100.0
        self._state = State()
        self.progress = Progress(
            total=total, clock=lambda: self.now, state=lambda: self._state, terminal=False
        )
        self._capfd = capfd

    def lines(self, **state: int) -> list[str]:
        """What the state makes it write."""
        self._state = State(**state)
        self.progress.refresh()
        return self.written()

    def written(self) -> list[str]:
        out, err = self._capfd.readouterr()
        assert out == ""
        return err.splitlines()


def test_a_plain_line_every_ten_seconds_and_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    plain = Plain(capfd)
    assert plain.lines(done=1) == []
    plain.now += 9.9
    assert plain.lines(done=9) == []
    plain.now += 0.1
    words = "stream: 10 of 100   10 %   16 in flight   1 failed   5.0 tok/s   90 s left"
    assert plain.lines(done=10, failed=1, in_flight=16, tokens=50) == [words]
    assert plain.lines(done=11) == []
    plain.now += 10
    assert len(plain.lines(done=20)) == 1
    plain.progress.print_line("a\tnote\x1b")
    assert plain.written() == ["a\tnote^["]
    plain.progress.close()
    assert plain.written() == ["stream: 20 of 100   20 %   80 s left"]
    plain.progress.close()
    assert plain.written() == []


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (0, "stream: 10 done   10 s"),
        (12, "stream: 10 done   1.2 tok/s   10 s"),
        (1_234, "stream: 10 done   123 tok/s   10 s"),
        (12_345_678, "stream: 10 done   1 230 000 tok/s   10 s"),
    ],
)
def test_tokens_per_second(capfd: pytest.CaptureFixture[str], tokens: int, words: str) -> None:
    plain = Plain(capfd, total=None)
    plain.now += 10
    assert plain.lines(done=10, tokens=tokens) == [words]


@pytest.mark.parametrize(
    ("seconds", "left"),
    [
        (1, "1 s left"),
        (99, "99 s left"),
        (100, "2 min left"),
        (99 * 60, "99 min left"),
        (2 * 3600, "2 h 0 min left"),
        (47.5 * 3600, "47 h 30 min left"),
        (100 * 3600, "4 days left"),
    ],
)
def test_time_left(capfd: pytest.CaptureFixture[str], seconds: float, left: str) -> None:
    plain = Plain(capfd)
    plain.now += max(seconds, 10)
    done = 50 if seconds >= 10 else 91
    (line,) = plain.lines(done=done)
    assert line.endswith(left)


def test_rates_are_those_of_the_last_minute(capfd: pytest.CaptureFixture[str]) -> None:
    plain = Plain(capfd, total=10_000)
    done = 0
    shown = []
    for second in range(1, 481):
        plain.now += 1
        done += 1 if second <= 300 else 10
        shown += plain.lines(done=done, tokens=done * 5)
    assert "5.0 tok/s" in shown[29]
    assert "2 h 42 min left" in shown[29]
    assert "50 tok/s" in shown[-1]
    assert f"{(10_000 - done) / 600:.0f} min left" in shown[-1]


def test_slow_prompts_do_not_make_the_time_jump(capfd: pytest.CaptureFixture[str]) -> None:
    """One in three minutes, and then none: what the last minute brought tells nothing."""
    plain = Plain(capfd, total=20)
    shown = []
    for second in range(1, 1801):
        plain.now += 1
        shown += plain.lines(done=second // 180)
    times = [float(re.findall(r"(\d+) min left", line)[0]) for line in shown[18:]]
    assert times[0] == 57
    assert times[-1] == 30
    assert times == sorted(times, reverse=True)
    plain.now += 3600
    (late,) = plain.lines(done=10)
    assert late.endswith("74 min left")


def test_more_than_there_are(capfd: pytest.CaptureFixture[str]) -> None:
    plain = Plain(capfd, total=10)
    plain.now += 10
    assert plain.lines(done=12) == ["stream: 12 of 10   100 %"]


def test_a_stderr_that_is_closed_is_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    plain = Plain(capfd)
    kept = os.dup(2)
    os.close(2)
    try:
        plain.now += 10
        plain.progress.refresh()
        plain.progress.print_line("x")
        plain.progress.close()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert plain.written() == []
