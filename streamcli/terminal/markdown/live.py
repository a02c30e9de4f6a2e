"""Draw Markdown on a terminal while it streams: finished blocks scroll, the open one is redrawn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Condition, Event, Thread

from .page import Page

INTERVAL = 0.05  # seconds between two drawings, at least
SHARE = 4  # pause so many times as long as the last drawing took: it then uses a fifth of the time


class Live:
    """Draws the text that is fed to it, in a thread of its own, so that drawing delays no read.

    `draw(data, rows)` writes finished lines, and below them the rows of the open block, which the
    next call replaces. At most the last `height()` rows of the open block are drawn.
    """

    def __init__(
        self,
        page: Page,
        draw: Callable[[bytes, Sequence[bytes]], None],
        height: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._page = page
        self._draw = draw
        self._height = height
        self._clock = clock
        self._text: list[str] = []
        self._new = Condition()
        self._over = Event()
        self._thread: Thread | None = None
        self._threaded = True
        self._error: BaseException | None = None

    def feed(self, text: str) -> None:
        """Take text, and draw it soon; raise the error of an earlier drawing, if there was one."""
        with self._new:
            self._check()
            self._text.append(text)
            if self._thread is None and self._threaded:
                self._start()
            if self._threaded:
                self._new.notify()
            else:
                self._show()

    def finish(self) -> None:
        """Draw all text as finished; later text begins a new document."""
        with self._new:
            self._check()
            over = self._page.feed(self._taken()) + self._page.finish()
            self._draw(over.encode(), ())

    def close(self) -> None:
        """Draw the end, and end the thread."""
        try:
            self.finish()
        finally:
            self._over.set()
            if self._thread is not None:
                with self._new:
                    self._new.notify()
                self._thread.join()

    def _start(self) -> None:
        thread = Thread(target=self._run, name="markdown", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads
            self._threaded = False
        else:
            self._thread = thread

    def _run(self) -> None:
        while not self._over.is_set():
            with self._new:
                while not self._text:
                    if self._over.is_set():
                        return
                    self._new.wait()
                began = self._clock()
                try:
                    self._show()
                except BaseException as error:  # `feed` raises it
                    self._error = error
                    return
            self._over.wait(max(INTERVAL, SHARE * (self._clock() - began)))

    def _show(self) -> None:
        over = self._page.feed(self._taken())
        rows = self._page.open_lines()[-max(self._height(), 1) :]
        self._draw(over.encode(), [row.encode() for row in rows])

    def _taken(self) -> str:
        text = "".join(self._text)
        self._text.clear()
        return text

    def _check(self) -> None:
        if (error := self._error) is not None:
            self._error = None
            raise error
