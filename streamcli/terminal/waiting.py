"""A sign of life on a terminal, while the first token of an answer is waited for."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from threading import Event, Thread, current_thread, get_ident, main_thread
from types import FrameType

from .fds import in_foreground
from .screen import Line

DELAY = 0.5  # seconds without a token before it is shown
# Save the cursor, do not wrap, and come back: the cursor stays where it was, so that whatever
# writes next, even the terminal's own echo of ^C, stands where it would have stood.
_DRAWN = "\x1b7\x1b[?7l\x1b[K %s\x1b[?7h\x1b8"
_PATIENCE = 1.0  # seconds that a stopped terminal (^S) may delay an answer that goes elsewhere


class Waiting:
    """Shows how many seconds the answer has been waited for, behind the cursor of stderr.

    `line` is that of stderr's terminal; an answer that is written there begins the wait anew.
    `words` returns what is shown after so many seconds, "" for nothing. `start` begins, `hide`
    takes the sign away until the next look, `stop` for good. Only the foreground job draws.
    """

    def __init__(
        self,
        line: Line,
        clock: Callable[[], float],
        words: Callable[[float], str] = "waiting {:.0f} s".format,
    ) -> None:
        self._line = line
        self._clock = clock
        self._words = words
        self._began = 0.0
        self._answers = line.answers
        self._stopped = Event()
        self._suspends = False  # whether ^Z is ours

    def start(self) -> None:
        """Show the sign from half a second on, in a thread of its own."""
        self._began = self._clock()
        try:
            Thread(target=self._run, name="waiting", daemon=True).start()
        except RuntimeError:  # the system gives no more threads: the answer needs them more
            return
        if current_thread() is main_thread() and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._suspend)
            self._suspends = True

    def hide(self) -> None:
        """Take the sign away."""
        if not self._line.lock.acquire(timeout=_PATIENCE):
            return
        try:
            if in_foreground(2):
                _write(self._line.erase())
        finally:
            self._line.lock.release()

    def stop(self) -> None:
        """Take the sign away for good; a second time does nothing."""
        if not self._stopped.is_set():
            self._stopped.set()
            self.hide()
            if self._suspends:
                signal.signal(signal.SIGTSTP, signal.SIG_DFL)

    def _suspend(self, signum: int, frame: FrameType | None) -> None:
        """Take the sign away before ^Z stops us: the shell's prompt comes next."""
        self.hide()
        signal.signal(signum, signal.SIG_DFL)
        signal.pthread_kill(get_ident(), signum)
        # From here on it is continued (fg, bg).
        signal.signal(signum, self._suspend)

    def _run(self) -> None:
        wait = DELAY
        while not self._stopped.wait(wait):
            wait = self._draw()

    def _draw(self) -> float:
        """Draw the sign, if it is time; return the seconds to the next look."""
        line, now = self._line, self._clock()
        with line.lock:
            if self._stopped.is_set():
                return DELAY
            if line.unfinished or line.answers != self._answers:
                self._answers, self._began = line.answers, now
                return DELAY
            waited = now - self._began
            words = self._words(waited)
            if not words:
                self._began = now
                _write(line.erase() if in_foreground(2) else b"")
                return DELAY
            if in_foreground(2):
                line.sign = True
                _write((_DRAWN % words).encode())
        return 1 - waited % 1


def _write(data: bytes) -> None:
    try:
        os.write(2, data)
    except OSError:
        pass  # nobody is there to see it
