"""The progress of a batch on stderr: drawn in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from .fds import takes_more
from .messages import line_of, write_stderr
from .progress_rows import Rows, State
from .region import Region
from .screen import Line

INTERVAL = 0.2  # seconds from one drawing to the next
PLAIN_INTERVAL = 10.0  # and from one line to the next, where nothing can be drawn


class Progress:
    """Draws the state on stderr, five times a second, while a batch runs.

    `state` returns it, in any thread. `line` is that of stderr's terminal: without one a plain line
    is written every ten seconds and at the end. `color` is the result of --color and NO_COLOR. In
    one `row`, it does no harm where another process may write on the same terminal.

    It never hides the cursor, so no death and no stop can leave it hidden.
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
        except RuntimeError:  # the system gives no more threads: others need them more
            self.close()
        else:
            self._thread = thread

    def refresh(self) -> None:
        """Draw the state, or write it if a plain line is due. Its own thread calls this."""
        now, state = self._clock(), self._state()
        self._rows.note(now, state)
        if self._region is not None:
            width, height = _size()
            self._region.draw(self._rows.drawn(now, state, width, 2 if self._row else height))
        elif now >= self._due:
            self._due = now + PLAIN_INTERVAL
            self._write_line(now, state)

    def close(self) -> None:
        """Erase the rows, or write the last plain line. A second time does nothing."""
        self._closing.set()
        if self._thread:
            self._thread.join(1)  # not for ever: it may stand before a stopped terminal
        if self._region is not None:
            self._region.close()
        elif not self._closed:
            self._write_line(self._clock(), self._state())
        self._closed = True

    def _run(self) -> None:
        while not self._closing.wait(INTERVAL):
            self.refresh()

    def _write_line(self, now: float, state: State) -> None:
        if takes_more(2):  # else nobody reads it, and the batch is not to wait for that
            line = line_of(self._rows.plain(now, state))
            write_stderr(f"{line}\n".encode("utf-8", "backslashreplace"))


def _size() -> tuple[int, int]:
    """Return the columns and lines of stderr's terminal."""
    try:
        columns, lines = os.get_terminal_size(2)
    except OSError:
        columns = lines = 0
    return columns or 80, lines or 24
