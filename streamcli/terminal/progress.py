"""The progress of a batch on stderr. It imports rich, so its users import it late."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from io import TextIOBase
from typing import IO, NamedTuple, cast

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from .fds import in_foreground
from .messages import line_of
from .sanitize import visible

INTERVAL = 0.2  # seconds from one drawing to the next
PLAIN_INTERVAL = 10.0  # and from one line to the next, where nothing can be drawn
_WINDOW, _ENOUGH = 60.0, 30  # rates: over the last minute, or so many prompts if that is longer
_BAR = (8, 28)  # its least and greatest width


class State(NamedTuple):
    """How far a batch is.

    `done` prompts ended in this run, `failed` of them badly; `skipped` ones an earlier run
    finished. `tokens` were written so far. `held` names the provider that is waited for, if any.
    """

    done: int = 0
    failed: int = 0
    skipped: int = 0
    in_flight: int = 0
    tokens: int = 0
    held: str = ""


class Progress:
    """Draws one line on stderr, five times a second, while a batch runs.

    `state` returns the figures, in any thread. `total` counts all prompts of the input, skipped
    ones included; None if it is unknown. `color` is the result of --color and NO_COLOR. Without a
    `terminal`, or on a dumb one, it writes a plain line every ten seconds and at the end.

    It never hides the cursor, so no death and no stop can leave it hidden. In the background it
    draws nothing: the terminal is another job's then. It ignores a stderr that fails.
    """

    def __init__(
        self,
        *,
        total: int | None,
        clock: Callable[[], float],
        state: Callable[[], State],
        color: bool = True,
        terminal: bool = True,
    ) -> None:
        self._total = total
        self._state = state
        self._clock = clock
        self._began = clock()
        self._due = self._began + PLAIN_INTERVAL
        self._pace = _Pace(self._began)
        self._out = _Stderr()
        self._console = _Console(
            file=cast(IO[str], self._out),
            force_terminal=True,
            force_interactive=True,
            force_jupyter=False,
            no_color=not color,
            color_system="auto" if color else None,
        )
        self._live: Live | None = None
        if terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._drawing,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
        self._closing = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._live and in_foreground(2):
            self._live.start(refresh=True)
        thread = threading.Thread(target=self._run, name="progress", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads: others need them more
            self.close()
        else:
            self._thread = thread

    def print_line(self, line: str) -> None:
        """Write a line on stderr, above the one that is drawn."""
        live = self._live
        if live and live.is_started and in_foreground(2):
            self._console.print(Text(visible(line)), soft_wrap=True)
        else:
            self._out.write(visible(line) + "\n")

    def refresh(self) -> None:
        """Draw the state, or write it if a plain line is due. Its own thread calls this."""
        now, state = self._clock(), self._state()
        self._pace.add(now, state.done, state.tokens)
        if live := self._live:
            if in_foreground(2):
                live.start()
                live.refresh()
        elif now >= self._due:
            self._due = now + PLAIN_INTERVAL
            self._plain()

    def close(self) -> None:
        """Erase the line, or write the last plain one. A second time does nothing."""
        self._closing.set()
        if self._thread:
            self._thread.join(1)  # not for ever: it may stand before a stopped terminal
        if live := self._live:
            if in_foreground(2):
                live.stop()
            self._live = None
        elif not self._closed:
            self._plain()
        self._closed = True

    def _run(self) -> None:
        while not self._closing.wait(INTERVAL):
            self.refresh()

    def _plain(self) -> None:
        head, columns = self._words(self._state())
        words = "   ".join([head, *(text for text, _ in columns)])
        self._out.write(line_of(words) + "\n")

    def _words(self, state: State) -> tuple[str, list[tuple[str, str]]]:
        """Return the count of those done, and the other figures, each with its style."""
        now = self._clock()
        total, all_done = self._total, state.skipped + state.done
        head = f"{_number(all_done)} of {_number(total)}" if total else f"{_number(all_done)} done"
        columns = []
        if total:
            columns.append((f"{min(100, 100 * all_done // total)} %", ""))
        if state.in_flight:
            columns.append((f"{_number(state.in_flight)} in flight", ""))
        if state.failed:
            columns.append((f"{_number(state.failed)} failed", "red"))
        if state.tokens:
            rate = self._pace.tokens_per_second(now, state.tokens)
            columns.append((f"{_rate(rate)} tok/s", ""))
        if not total:
            columns.append((_time(now - self._began), ""))
        elif state.done and total > all_done:
            columns.append((f"{_time(self._pace.seconds_left(now, total - all_done))} left", ""))
        if state.held:
            columns.append((visible(state.held), "yellow"))
        return head, columns

    def _drawing(self) -> Text:
        """Return the line, cut to the terminal: the bar goes first, then columns from the right."""
        state = self._state()
        head, columns = self._words(state)
        room = self._console.width - 1  # the last place of a line is where terminals differ
        tail = _joined(columns)
        while columns and len(head) + 3 + tail.cell_len > room:
            columns.pop()
            tail = _joined(columns)
        line = Text(head, no_wrap=True, overflow="crop")
        bar = min(_BAR[1], room - len(head) - tail.cell_len - 4)
        if self._total and bar >= _BAR[0]:
            drawn = self._bar(state.skipped + state.done, bar)
            line.append("  ").append_text(drawn).append("  ")
        elif columns:
            line.append("   ")
        line.append_text(tail)
        line.truncate(room)
        return line

    def _bar(self, done: int, width: int) -> Text:
        bar = ProgressBar(self._total, done, width, complete_style="green", finished_style="green")
        line = Text()
        for text, style, _ in self._console.render(bar):
            line.append(text, style)
        line.pad_right(width - line.cell_len)  # without colors what is left is not drawn
        return line


def _joined(columns: list[tuple[str, str]]) -> Text:
    return Text("   ").join(Text(text, style) for text, style in columns)


class _Pace:
    """Estimates rates from the figures of the last minute."""

    def __init__(self, now: float) -> None:
        self._first = self._last = (now, 0, 0)  # when, prompts done, tokens
        self._seconds = deque([self._first], maxlen=600)

    def add(self, now: float, done: int, tokens: int) -> None:
        seconds = self._seconds
        if done != self._last[1]:
            self._last = (now, done, tokens)
        if now - seconds[-1][0] >= 1:
            seconds.append((now, done, tokens))
        while (
            len(seconds) > 1 and now - seconds[1][0] >= _WINDOW and done - seconds[1][1] >= _ENOUGH
        ):
            seconds.popleft()

    def tokens_per_second(self, now: float, tokens: int) -> float:
        when, _, before = self._since()
        return max(0, tokens - before) / max(now - when, 1e-3)

    def seconds_left(self, now: float, prompts: int) -> float:
        """Return an estimate that falls between finished prompts, and grows when one is late."""
        when, before, _ = self._since()
        finished = max(1, self._last[1] - before)
        in_time = prompts * (self._last[0] - when) / finished - (now - self._last[0])
        late = (prompts - 1) * (now - when) / (finished + 1)
        return max(in_time, late)

    def _since(self) -> tuple[float, int, int]:
        oldest = self._seconds[0]
        return oldest if self._last[1] - oldest[1] >= _ENOUGH else self._first


class _Stderr(TextIOBase):
    """Writes to file descriptor 2 without a buffer, and drops what cannot be written."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        data = text.encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(2, data) :]
        except OSError:
            pass  # nobody is there to be told
        return len(text)


class _Console(Console):
    def show_cursor(self, show: bool = True) -> bool:
        """Do nothing: a process that hides the cursor must live to show it again."""
        return False


def _number(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def _rate(rate: float) -> str:
    """Return a rate with three significant digits."""
    return _number(int(float(f"{rate:.3g}"))) if rate >= 10 else f"{rate:.1f}"


def _time(seconds: float) -> str:
    """Return a time as exactly as an estimate is worth, so that it does not flicker."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"
