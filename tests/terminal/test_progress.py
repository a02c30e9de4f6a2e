"""What a batch shows of its progress: on real terminals (pty), and as plain lines."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyte
import pytest
from batchserver import Act, BatchServer
from conftest import COMMAND, eventually
from ptys import Pty

from streamcli.terminal.progress import Progress
from streamcli.terminal.progress_rows import Figures, Rows, State
from streamcli.terminal.widths import cells

# Does what it is told, line by line; stdout is the terminal too if that is wanted.
DRIVER = """
import fcntl, os, signal, sys, termios, time
from streamcli.output.descriptor import ScreenOut
from streamcli.terminal.messages import Messages
from streamcli.terminal.progress import Progress
from streamcli.terminal.progress_rows import Figures, State
from streamcli.terminal.screen import Line
line = Line()
screen = type("Screen", (), {"line": lambda self, fd: line})()
messages = Messages()
messages.screen = screen
say = messages.note
out = ScreenOut(2, "stdout", line)
def change(**fields):
    global s
    s = s._replace(all=s.all._replace(**fields))
for each in sys.stdin:
    exec(each)
"""
START = "p = Progress(clock=time.monotonic, state=lambda: s, color={color}, line=line)"


class Terminal:
    """A process with a terminal as its stderr, and what that shows."""

    def __init__(self, env: dict[str, str], width: int, height: int) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (height, width))
        self._screen = pyte.HistoryScreen(width, height, history=1000)
        self._stream = pyte.ByteStream(self._screen)
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
        self.do(f"s = State(Figures({total=}, {skipped=}))")
        self.do(START.format(color=color))
        self.do("p.start()")

    def update(self, done: int, held: str = "", **more: Any) -> None:
        more = {"in_flight": 16, **more}
        self.do(f"change({done=}, **{more!r})")
        self.do(f"s = s._replace({held=})")

    def resize(self, width: int) -> None:
        self._screen.resize(columns=width)
        termios.tcsetwinsize(self.master, (self._screen.lines, width))

    @property
    def lines(self) -> list[str]:
        """All lines, also those that scrolled away, without the empty ones below."""
        above = [
            "".join(row[column].data for column in range(self._screen.columns)).rstrip()
            for row in self._screen.history.top
        ]
        lines = above + [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def until(self, true: Callable[[list[str]], object], timeout: float = 60) -> list[str]:
        """The screen as soon as `true` of it."""
        deadline = time.monotonic() + timeout
        while not true(self.lines):
            left = max(deadline - time.monotonic(), 0)
            assert select.select([self.master], [], [], left)[0], self.lines
            assert self._read(), self.lines
        return self.lines

    def end(self) -> list[str]:
        """The screen when all is over, and nothing went to stdout."""
        assert self.process.stdin
        self.process.stdin.close()
        while self._read():
            pass
        assert self.process.stdout
        assert self.process.stdout.read() == b""
        return self.lines

    def _read(self) -> bytes:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: nobody has the other end any more
            return b""
        self.raw += data
        self._stream.feed(data)
        return data


@pytest.fixture
def terminal(child_env: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(width: int = 100, height: int = 24, **env: str) -> Terminal:
        opened.append(Terminal({**child_env, **env}, width, height))
        return opened[-1]

    yield open_one
    for each in opened:
        each.process.kill()
        each.process.wait(60)
        for pipe in (each.process.stdin, each.process.stdout):
            assert pipe
            pipe.close()
        os.close(each.master)


def test_one_line_that_is_gone_in_the_end(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.start(10_000, skipped=12)
    watched.until(lambda rows: rows[:1] and rows[0].startswith("12 of 10 000"))
    watched.update(3_800, tokens=50_000)
    (line,) = watched.until(lambda rows: " left" in rows[0])
    assert re.fullmatch(
        r"3 812 of 10 000  ━+[╸╺]━+  38 %   16 in flight   [\d ]+ tok/s   \d+ s left",
        line,
    )
    watched.do("p.close(); p.close()")
    assert watched.end() == []
    assert b"\x1b[?25" not in watched.raw  # the cursor was never hidden


def test_a_total_that_nobody_knows(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.start(None)
    watched.update(3_812, held="openai: waiting 4 s")
    (line,) = watched.until(lambda rows: rows[:1] and "4 s" in rows[0])
    assert re.fullmatch(r"3 812 done   16 in flight   openai: waiting 4 s   \d+ s", line)


def test_messages_stand_above_it(terminal: Callable[..., Terminal]) -> None:
    watched = terminal(width=60)
    watched.start(100)
    said = "[bold]a\x1b[2Jb[/] :smile: 1234"
    watched.do(f"say({said!r}); say({'y' * 100!r})")
    watched.update(5)
    rows = watched.until(lambda rows: rows[-1:] and "5 of 100 " in rows[-1])
    assert rows[0].endswith(": [bold]a^[[2Jb[/] :smile: 1234")
    assert "".join(rows[1:3]).endswith("y" * 100)
    assert len(rows) == 4
    watched.do("p.close(); say('bye')")
    last = watched.end()
    assert last[:3] == rows[:3]
    assert last[3].endswith(": bye")
    assert len(last) == 4


def test_answers_stand_above_it_line_by_line(terminal: Callable[..., Terminal]) -> None:
    """The line that is not whole is drawn as far as it came, and written when it is whole."""
    watched = terminal(width=30, height=12)
    watched.start(100)
    watched.until(lambda rows: rows[:1] and rows[0].startswith("0 of 100"))
    watched.do("out.write('one\\ntwo 你好'.encode())")
    rows = watched.until(lambda rows: "one" in rows)
    assert rows[:2] == ["one", "two 你好"]
    assert rows[2].startswith("0 of 100")
    watched.do("out.write(b' ' + b'long ' * 10)")
    rows = watched.until(lambda rows: "long" in rows[1])
    assert len(rows) == 3
    watched.do("say('a message'); out.write(b'end\\nthree')")
    rows = watched.until(lambda rows: "three" in rows)
    assert rows[0] == "one"
    assert rows[1].endswith(": a message")
    whole = "two 你好 " + "long " * 10 + "end"
    # Behind a wide character, a terminal's row has an empty cell.
    assert "".join(rows[2:-2]).replace(" ", "") == whole.replace(" ", "")
    watched.do("p.close(); out.write(b' and on\\n')")
    assert watched.end() == [*rows[:-2], "three and on"]


def test_a_long_run_leaves_no_trace(terminal: Callable[..., Terminal]) -> None:
    """Lines that scroll through a small screen, with the rows redrawn below each of them."""
    watched = terminal(width=40, height=6)
    watched.start(100)
    watched.do("for n in range(200): change(done=n // 2); p.refresh(); out.write(b'%d\\n' % n)")
    watched.do("p.close()")
    assert watched.end() == [str(n) for n in range(200)]


def test_another_width(terminal: Callable[..., Terminal]) -> None:
    watched = terminal(width=80)
    watched.start(10_000)
    watched.update(3_812)
    for width, wanted in (
        (80, r"3 812 of 10 000  ━\S+━  38 %   16 in flight   \d+ s left"),
        (40, r"3 812 of 10 000   38 %   \d+ s left\n16 in flight"),
        (20, r"3 812 of 10 000\n16 in flight"),
        (11, r"3 812\.\.\.\n16 in\.\.\."),
        (200, r"3 812 of 10 000  ━\S{27}  38 %   16 in flight   \d+ s left"),
    ):
        watched.resize(width)
        watched.until(lambda rows, wanted=wanted: re.fullmatch(wanted, "\n".join(rows)))
    watched.do("p.close()")
    assert watched.end() == []


@pytest.mark.parametrize(
    ("env", "up"), [({}, 1), ({"TMUX": "x"}, 2), ({"TMUX": "x", "STY": "y"}, 1)]
)
def test_rows_that_a_terminal_wraps_anew(
    terminal: Callable[..., Terminal], env: dict[str, str], up: int
) -> None:
    """They are found again where a terminal that becomes narrow makes more of them."""
    watched = terminal(width=80, **env)
    watched.do("from streamcli.terminal.region import Region; r = Region(line)")
    watched.do("r.draw(['\x1b[31m' + 'x' * 60 + '\x1b[39m', 'y' * 30])")
    watched.until(lambda rows: rows == ["x" * 60, "y" * 30])
    watched.resize(40)
    watched.do("r.draw(['z'])")
    watched.until(lambda rows: "z" in rows)
    assert b"\r\x1b[%dA\x1b[?7lz" % up in watched.raw


def test_a_second_interrupt_takes_the_rows_away(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.do("from streamcli.terminal.screen import Screen")
    watched.do("from streamcli.terminal.signals import Signals")
    watched.do("watching, signals = Screen(), Signals(); line = watching.line(2)")
    watched.do("signals.before_death = watching.wipe; signals.install()")
    watched.start(100)
    watched.update(50)
    watched.until(lambda rows: rows[:1] and rows[0].startswith("50 of 100"))
    watched.do("held = signals.notifying(lambda number: say('stopping')); held.__enter__()")
    watched.do("messages.screen = watching; say('ready')")
    watched.until(lambda rows: rows[0].endswith("ready"))

    def is_over() -> bool:
        watched.process.send_signal(signal.SIGINT)
        return watched.process.poll() is not None

    assert eventually(is_over)  # one within a moment of the first counts as the first
    assert watched.process.returncode == -signal.SIGINT
    *said, last = [line for line in watched.end() if line]
    assert "of 100" not in "".join([*said, last])
    assert last.endswith("stopping")


def test_without_color(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.start(100, color=False)
    watched.update(50, failed=[("timeout", 50)], held="held")
    watched.until(lambda rows: rows[:1] and re.match("50 of 100  ━+╸? +50 %.* 50 timeout", rows[0]))
    watched.do("p.close()")
    assert watched.end() == []
    assert not re.search(rb"\x1b\[[0-9;]*m", watched.raw)


def test_interrupted(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.do("sys.excepthook = lambda *exc: say(exc[0].__name__)")
    watched.do("signal.signal(signal.SIGINT, signal.default_int_handler)")
    watched.start(100)
    watched.until(lambda rows: rows[:1] and "0 of 100" in rows[0])
    watched.do("exec('try: os.write(1, bytes(1)); time.sleep(60)\\nfinally: p.close()')")
    assert watched.process.stdout
    assert watched.process.stdout.read(1)
    watched.process.send_signal(signal.SIGINT)
    (line,) = watched.end()
    assert line.endswith(": KeyboardInterrupt")
    assert b"\x1b[?25" not in watched.raw


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("setsid")), reason="needs bash")
def test_stopped_and_gone_on_with(child_env: dict[str, str], tmp_path: Path) -> None:
    """^Z takes it away, so that the shell's prompt stands in its place; then it is drawn below."""
    go_on = threading.Event()

    def plan(prompt: str, before: int) -> Act:
        go_on.wait(60)
        return Act()

    with BatchServer(plan) as server:
        script = 'set -m; "$@" > /dev/null; echo "status $?"; read -r line; fg > /dev/null'
        args = ("-m", "vllm:m", "--base-url", server.base, "--repeat", "3", "-n", "hi")
        command = ["setsid", "-c", "-w", "bash", "-c", script, "sh", *COMMAND, *args]
        run = Pty(command, child_env, tmp_path, places="012")
        try:
            run.until(lambda lines: lines[:1] and "3 in flight" in lines[0])
            os.write(run.master, b"\x1a")
            stopped = run.until(lambda lines: "status 148" in lines)
            assert not any("in flight" in line for line in stopped)
            os.write(run.master, b"\n")
            shown = run.until(lambda lines: "in flight" in lines[-1])
            assert shown[: len(stopped)] == stopped
            go_on.set()
            code, lines = run.end()
            assert code == 0
            assert not any("in flight" in line for line in lines)
            assert "status 148" in lines
        finally:
            go_on.set()
            run.close()


def test_a_terminal_that_goes_away(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.start(100)
    watched.until(lambda rows: rows[:1] and "0 of 100" in rows[0])
    os.close(watched.master)
    watched.master = os.open(os.devnull, os.O_RDONLY)
    watched.update(5)
    watched.do("p.refresh(); say('x'); p.close(); print(p._thread.is_alive())")
    out, _ = watched.process.communicate(timeout=60)
    assert (out, watched.process.returncode) == (b"False\n", 0)


def test_in_the_background_nothing_is_drawn(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.do("fcntl.ioctl(2, termios.TIOCSCTTY, 0)")
    watched.do("os.fork() and (os.wait(), os._exit(0))")  # the child goes on, below the session
    watched.do("os.setpgid(0, 0)")
    watched.start(100)
    watched.update(5)
    watched.do("p.refresh(); say('said'); p.close()")
    (line,) = watched.end()
    assert line.endswith(": said")


def test_in_the_foreground_of_its_own_terminal(terminal: Callable[..., Terminal]) -> None:
    watched = terminal()
    watched.do("fcntl.ioctl(2, termios.TIOCSCTTY, 0)")
    watched.start(100)
    watched.until(lambda rows: rows[:1] and "0 of 100" in rows[0])


# The rows


BATCH = State(
    Figures("", 10_000, 3_812, [("truncated", 3), ("rate_limited", 1)], 0, 16, 50_000, 0.4212),
    held="vllm: 12 requests/s",
    error="prompt 7: HTTP 500: \x1b[2Jno\nreason",
)


def drawn(state: State, width: int, height: int = 24, color: bool = False) -> list[str]:
    """The rows after ten seconds, none of which is as wide as the terminal."""
    rows = Rows(0.0, color=color)
    rows.note(10.0, state)
    shown = rows.drawn(10.0, state, width, height)
    plain = [re.sub("\x1b\\[\\d+m", "", row) for row in shown]
    assert all(cells(row) < width for row in plain), plain
    assert len(shown) <= max(1, height - 1)
    return shown


def models(count: int) -> State:
    each = [
        Figures(f"a:model-{n}", 20, 6, [("provider", 1)] if n == 2 else [], 0, 2, 40, 0.5)
        for n in range(1, count + 1)
    ]
    return State(Figures("", 20 * count, 6 * count, [("provider", 1)], 0, 2 * count), each)


def test_all_in_a_wide_line() -> None:
    first, error = drawn(BATCH, 200, 50)
    assert re.fullmatch(
        r"3 812 of 10 000  ━{10}╸ {17}  38 %   16 in flight   3 808 ok   3 truncated"
        r"   1 rate_limited   5 000 tok/s   cost 0.421   vllm: 12 requests/s   16 s left",
        first,
    )
    assert error == "last error: prompt 7: HTTP 500: ^[[2Jno reason"


def test_more_rows_at_eighty_columns() -> None:
    assert drawn(BATCH, 80) == [
        "3 812 of 10 000  ━━━━━━━━━━╸                   38 %   16 s left",
        "16 in flight   3 808 ok   3 truncated   1 rate_limited   5 000 tok/s",
        "cost 0.421   vllm: 12 requests/s",
        "last error: prompt 7: HTTP 500: ^[[2Jno reason",
    ]


def test_forty_columns() -> None:
    assert drawn(BATCH, 40, 12) == [
        "3 812 of 10 000   38 %   16 s left",
        "16 in flight   3 808 ok   3 truncated",
        "1 rate_limited   5 000 tok/s",
        "cost 0.421   vllm: 12 requests/s",
        "prompt 7: HTTP 500: ^[[2Jno reason",
    ]


@pytest.mark.parametrize(("height", "kept"), [(5, 4), (4, 3), (3, 2), (2, 1), (1, 1)])
def test_rows_that_do_not_fit_are_left_out(height: int, kept: int) -> None:
    assert drawn(BATCH, 40, height) == drawn(BATCH, 40)[:kept]


def test_a_single_row_has_the_first_of_it() -> None:
    """As where another process writes on the terminal."""
    (row,) = drawn(models(2), 82, 2)
    wanted = r"12 of 40  ━+╸ +  30 %   4 in flight   11 ok   1 provider   23 s left"
    assert re.fullmatch(wanted, row)
    (row,) = drawn(BATCH, 72, 2)
    wanted = "3 812 of 10 000  ━━━       38 %   16 s left   16 in flight   3 808 ok"
    assert row == wanted


@pytest.mark.parametrize("width", [*range(1, 130), 200])
def test_any_size(width: int) -> None:
    for height in (1, 2, 3, 5, 12, 50):
        drawn(BATCH, width, height)
        drawn(models(3), width, height, color=True)
        drawn(models(20), width, height)


def test_a_bar_for_each_model() -> None:
    assert drawn(models(2), 90)[2:] == [
        "  a:model-1  6 of 20  ━━╸        30 %   4.0 tok/s   cost 0.5   2 in flight",
        "  a:model-2  6 of 20  ━━╸        30 %   1 provider   4.0 tok/s   cost 0.5   2 in flight",
    ]
    assert drawn(models(2), 62)[2:] == [
        "  a:model-1  6 of 20  ━━        30 %   4.0 tok/s   cost 0.5",
        "  a:model-2  6 of 20  ━━        30 %   1 provider",
    ]


def test_many_models_are_summed_up_in_the_last_row() -> None:
    rows = drawn(models(20), 80, 12)
    assert len(rows) == 11
    assert [row.split()[0] for row in rows[2:-1]] == [f"a:model-{n}" for n in range(1, 9)]
    assert re.match(r"  12 more +72 of 240  ━+ +30 %", rows[-1])


def test_names_of_models_are_cut_and_wide_ones_aligned() -> None:
    names = ["模型" * 10, "b", "c\x1b[2J"]
    state = State(Figures(total=30), [Figures(name, 10) for name in names])
    rows = drawn(state, 60)
    assert [row[: row.index("  0 of")].strip() for row in rows[1:]] == [
        "模型模型模型模型...",
        "b",
        "c^[[2J",
    ]
    assert len({cells(row[: row.index("0 of")]) for row in rows[1:]}) == 1


def test_a_cost_that_is_not_known_is_not_shown() -> None:
    known = Figures("", 10, 5, cost=1.5)
    assert "cost 1.50" in drawn(State(known), 80)[0]
    assert "cost 1.50+" in drawn(State(known._replace(cost_is_least=True)), 80)[0]
    assert "cost" not in drawn(State(known._replace(cost=None)), 80)[0]
    assert "cost 0.00012" in drawn(State(known._replace(cost=0.00012)), 80)[0]


# Plain lines


class Plain:
    """Plain lines, by a clock that the test sets; the thread that would look at it is not there."""

    def __init__(self, capfd: pytest.CaptureFixture[str], total: int | None = 100) -> None:
        self.now = 100.0
        self._total = total
        self._state = State(Figures(total=total))
        self.progress = Progress(clock=lambda: self.now, state=lambda: self._state)
        self._capfd = capfd

    def lines(self, **figures: Any) -> list[str]:
        """What the figures make it write."""
        self._state = State(Figures(total=self._total, **figures))
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
    words = "stream: 10 of 100   10 %   16 in flight   9 ok   1 timeout   5.0 tok/s   90 s left"
    failed = [("timeout", 1)]
    assert plain.lines(done=10, failed=failed, in_flight=16, tokens=50) == [words]
    assert plain.lines(done=11) == []
    plain.now += 10
    assert len(plain.lines(done=20)) == 1
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


def test_a_stderr_that_is_full_is_not_waited_for() -> None:
    reading, writing = os.pipe()
    kept = os.dup(2)
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    os.dup2(writing, 2)
    try:
        Progress(clock=lambda: 0.0, state=State).close()
    finally:
        os.dup2(kept, 2)
        for each in (reading, writing, kept):
            os.close(each)


def test_a_terminal_that_is_stopped_holds_nobody_up(terminal: Callable[..., Terminal]) -> None:
    """^S: nothing is drawn, and ^Q brings it back."""
    watched = terminal()
    watched.start(100)
    watched.until(lambda rows: rows[:1] and "0 of 100" in rows[0])
    os.write(watched.master, b"\x13")
    watched.update(5)
    watched.do("p.refresh(); os.write(1, b'!')")
    assert watched.process.stdout
    assert select.select([watched.process.stdout], [], [], 60)[0]
    os.write(watched.master, b"\x11")
    watched.until(lambda rows: rows[:1] and "5 of 100" in rows[0])
    assert watched.process.stdout.read(1) == b"!"


def test_a_stderr_that_is_closed_is_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    plain = Plain(capfd)
    kept = os.dup(2)
    os.close(2)
    try:
        plain.now += 10
        plain.progress.refresh()
        plain.progress.close()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert plain.written() == []
