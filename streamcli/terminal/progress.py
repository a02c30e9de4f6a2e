"""Show the progress of a batch on stderr: in place on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from .fds import takes_more
from .messages import line_of, write_stderr
from .progress_rows import Rows, State
from .region import Region
from .screen import Line

INTERVAL = 0.2  # seconds between two drawings
PLAIN_INTERVAL = 10.0  # seconds between two plain lines


class Progress:
    """Draws the state on stderr, five times a second, while a batch runs.

    `state` returns the state, and may be called in any thread. `line` is stderr's terminal: without
    it a plain line is written every ten seconds and at the end. `color`: colors may be used. `row`:
    draw one row only, which does no harm if another process writes on the same terminal.

    It never hides the cursor, so that no crash and no stop can leave it hidden.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        state: Callable[[], State],
        color: bool = True,
        line: Line | None = None,
        row: bool = False,
    ) -> None:
        self._state = state
        self._clock = clock
        began = clock()
        self._due = began + PLAIN_INTERVAL
        self._rows = Rows(began, color=color)
        self._row = row
        self._region = Region(line, alone=not row) if line is not None else None
        self._closing = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Draw from here on, in a thread of its own."""
        if self._region is not None:
            self._region.open()
            self.refresh()
        thread = threading.Thread(target=self._run, name="progress", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # too many threads: the batch can do without the progress
            self.close()
        else:
            self._thread = thread

    def refresh(self) -> None:
        """Draw the state, or write a plain line if one is due. The progress thread calls this."""
        now, state = self._clock(), self._state()
        self._rows.note(now, state)
        if self._region is not None:
            width, height = _size()
            self._region.draw(self._rows.drawn(now, state, width, 2 if self._row else height))
        elif now >= self._due:
            self._due = now + PLAIN_INTERVAL
            self._write_line(now, state)

    def close(self) -> None:
        """Erase the rows, or write the last plain line. A second call does nothing."""
        self._closing.set()
        if self._thread:
            self._thread.join(1)  # not for ever: it may write to a stopped terminal
        if self._region is not None:
            self._region.close()
        elif not self._closed:
            self._write_line(self._clock(), self._state())
        self._closed = True

    def _run(self) -> None:
        while not self._closing.wait(INTERVAL):
            self.refresh()

    def _write_line(self, now: float, state: State) -> None:
        if takes_more(2):  # else the write would block the batch
            line = line_of(self._rows.plain(now, state))
            write_stderr(f"{line}\n".encode("utf-8", "backslashreplace"))


def _size() -> tuple[int, int]:
    """Return the columns and lines of stderr's terminal."""
    try:
        columns, lines = os.get_terminal_size(2)
    except OSError:
        columns = lines = 0
    return columns or 80, lines or 24
