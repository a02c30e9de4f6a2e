"""Show a waiting sign on a terminal, while there is nothing but a wait for a token or a tool."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from math import ceil
from threading import Event, Thread, current_thread, get_ident, main_thread
from types import FrameType

from .fds import in_foreground
from .sanitize import one_line
from .screen import Line
from .widths import columns_of

WAITING = "waiting"
DELAY = 0.5  # seconds of waiting before the sign is shown
_LONGEST = 120  # characters of the sign's words
# Save the cursor, switch wrapping off, and restore both: the next output, even the terminal's own
# echo of ^C, comes where it would have come without the sign.
_DRAWN = "\x1b7\x1b[?7l\x1b[K %s\x1b[?7h\x1b8"
_PATIENCE = 1.0  # seconds that a stopped terminal (^S) may delay output to other places


class Waiting:
    """Shows the seconds of a wait behind the cursor on `line`, stderr's terminal.

    `start` begins; `hide` erases the sign until it is drawn again, `pause` until `show`, and `stop`
    for good. It draws only in the foreground. A wait with a known end is counted down.

    `words` takes the seconds of the wait and returns the text to show instead, "" for none. With
    it, each write of an answer on the line begins the wait again.
    """

    def __init__(
        self,
        line: Line,
        clock: Callable[[], float],
        words: Callable[[float], str] | None = None,
    ) -> None:
        self.shown = False  # not paused
        self._line = line
        self._clock = clock
        self._words = words
        self._what = WAITING
        self._breaks = False
        self._began = 0.0
        self._until: float | None = None  # the time of the wait's end, if it is known
        self._answers = line.answers
        self._awake = Event()
        self._stopped = Event()
        self._suspends = False  # we handle ^Z

    def start(self, what: str = WAITING) -> None:
        """Show the sign after half a second, in a thread of its own."""
        self.show(what)
        try:
            Thread(target=self._run, name="waiting", daemon=True).start()
        except RuntimeError:  # too many threads: the answer can do without the sign
            return
        if current_thread() is main_thread() and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._suspend)
            self._suspends = True

    def show(
        self, what: str = WAITING, *, breaks: bool = False, seconds: float | None = None
    ) -> None:
        """Show the sign after half a second, with the words `what`; a new wait begins now.

        `breaks`: an unfinished line of text gets a line break, instead of keeping the sign away;
        set it if a message will follow, which needs the line break too. `seconds`: the length of
        the wait, to count down.
        """
        with self._line.lock:
            self._began = now = self._clock()
            self._until = None if seconds is None else now + seconds
            self._what, self._breaks, self.shown = one_line(what, _LONGEST), breaks, True
        self._awake.set()

    def rename(self, what: str) -> None:
        """Show other words for the same wait."""
        self._what = one_line(what, _LONGEST)

    def pause(self) -> None:
        """Erase the sign until `show`."""
        self.shown = False
        self._awake.clear()
        self.hide()

    def hide(self, *, rows: bool = False) -> None:
        """Erase the sign, and with `rows` also the open rows of the answer."""
        if not self._line.lock.acquire(timeout=_PATIENCE):
            return
        try:
            if in_foreground(2):
                _write(self._line.erase() + (self._line.clear() if rows else b""))
        finally:
            self._line.lock.release()

    def stop(self) -> None:
        """Erase the sign for good. A second call does nothing."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._awake.set()
            self.shown = False
            self.hide()
            if self._suspends:
                signal.signal(signal.SIGTSTP, signal.SIG_DFL)

    def _suspend(self, signum: int, frame: FrameType | None) -> None:
        """Erase what is drawn before ^Z stops us, as the shell's prompt comes next."""
        if self._line.sign or self._line.rows:  # else the interrupted code may hold the lock
            self.hide(rows=True)
        signal.signal(signum, signal.SIG_DFL)
        signal.pthread_kill(get_ident(), signum)
        # The process was continued (fg, bg).
        signal.signal(signum, self._suspend)

    def _run(self) -> None:
        wait = DELAY
        while not self._stopped.wait(wait):
            self._awake.wait()
            wait = self._draw()

    def _draw(self) -> float:
        """Draw the sign, if it is time; return the seconds until the next call."""
        line, now = self._line, self._clock()
        with line.lock:
            if self._stopped.is_set() or not self.shown:
                return DELAY
            if self._words is not None and line.answers != self._answers:
                self._answers, self._began = line.answers, now
                return DELAY
            if line.asks or (line.unfinished and not self._breaks):
                self._began = now
                return DELAY
            waited = now - self._began
            if waited < DELAY:
                return DELAY - waited
            left = 0.0 if self._until is None else max(0.0, self._until - now)
            if self._words is None:
                words = f"{self._what} {ceil(left) if self._until else waited:.0f} s"
            elif not (words := self._words(waited)):
                self._began = now
                _write(line.erase() if in_foreground(2) else b"")
                return DELAY
            if in_foreground(2):
                broken = line.message(b"")
                line.sign = columns_of(2)
                _write(broken + (_DRAWN % words).encode())
        return (left % 1 or 1) if left else 1 - waited % 1


def _write(data: bytes) -> None:
    try:
        os.write(2, data)
    except OSError:
        pass  # nobody is there to see it
