"""Handle SIGINT, SIGTERM and SIGHUP: stop a run, and die by the signal."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..errors import Interrupted

_SAME_SIGNAL = 0.1  # seconds: nobody presses ^C twice within that time


class Signals:
    """Raises errors.Interrupted in the main thread for the first signal; the second one kills.

    A signal that was ignored at the start (nohup, a shell's background job) stays ignored. A second
    signal within 0.1 s counts as the first: timeout(1) signals its child, and then the child's
    process group. `with signals.shield:` delays the exception to the end of the block, so that no
    record is left half written. `reset` restores the process's own handlers.

    In a block of `notifying` the handler raises nothing, but calls a function with the signal's
    number, in the main thread: a batch has several prompts to end. `notified` is then that number.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.pending = 0
        self._notify: Callable[[int], None] | None = None
        self.notified = 0
        self.shield = self
        self.before_death: Callable[[], None] | None = None  # called before a second signal kills
        self._depth = 0
        self._first: float | None = None  # the time of the first signal
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Handle the signals from here on."""
        for number in self.NUMBERS:
            if (before := signal.getsignal(number)) != signal.SIG_IGN:
                self._before.setdefault(number, before)
                signal.signal(number, self._handle)

    def reset(self) -> None:
        """Restore the handlers that `install` found, and forget the signals that came."""
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)
        self._before.clear()
        self.pending = self.notified = 0
        self._notify = self._first = None

    def rearm(self) -> None:
        """Forget the signal that came: a chat goes on, and the next signal counts as the first."""
        self.pending = self.notified = 0
        self._first = None

    @contextmanager
    def notifying(self, notify: Callable[[int], None]) -> Iterator[None]:
        """Call `notify` for a signal instead of raising, also for one that a shield delayed."""
        self._notify = notify
        if self.pending:
            notify(self.pending)
        try:
            yield
        finally:
            self._notify = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is not None:
            if now - self._first > _SAME_SIGNAL:
                before, self.before_death = self.before_death, None  # a third signal kills at once
                if before is not None:
                    before()
                die_by(number)
            return
        self._first = now
        if self._notify is not None:
            self.notified = number
            self._notify(number)
            return
        self.pending = number
        if not self._depth:
            raise Interrupted(number)

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *exc: object) -> None:
        self._depth -= 1
        if self.pending and not self._depth and exc[0] is None:
            number, self.pending = self.pending, 0
            raise Interrupted(number)


def die_by(number: int) -> None:
    """End this process by that signal, so that shells and make see what happened."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # not reached, unless the signal is blocked from outside
