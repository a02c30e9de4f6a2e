"""SIGINT, SIGTERM and SIGHUP: how they stop a run, and how a process dies by one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..errors import Interrupted

_TWINS = 0.1  # seconds: nobody presses ^C twice within that time


class Signals:
    """Raises errors.Interrupted in the main thread for the first signal; the second one kills.

    A signal ignored at start (nohup, a shell's background job) stays ignored. A second one
    within 0.1 s counts as the first: timeout(1) signals its child, then the group that the child
    is in. `with signals.shield:` delays the exception to the end of the block, so that a record
    is never left half written. `reset` gives the process its own handlers back.

    In a block of `notifying`, the handler calls a function with the number, in the main thread, and
    raises nothing: for a batch, which has several prompts to end. `notified` is that number then.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.pending = 0
        self._notify: Callable[[int], None] | None = None
        self.notified = 0
        self.shield = self
        self.before_death: Callable[[], None] | None = None  # called before a second one kills
        self._depth = 0
        self._first: float | None = None  # when the first one came
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Handle the signals from here on."""
        for number in self.NUMBERS:
            if (before := signal.getsignal(number)) != signal.SIG_IGN:
                self._before.setdefault(number, before)
                signal.signal(number, self._handle)

    def reset(self) -> None:
        """Give back the handlers that `install` found, and forget the signals that came."""
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)
        self._before.clear()
        self.pending = self.notified = 0
        self._notify = self._first = None

    def rearm(self) -> None:
        """Forget the signal that came: a chat goes on after it, and the next one is the first."""
        self.pending = self.notified = 0
        self._first = None

    @contextmanager
    def notifying(self, notify: Callable[[int], None]) -> Iterator[None]:
        """Call `notify` for a signal, and for one that was shielded before, instead of raising."""
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
            if now - self._first > _TWINS:
                before, self.before_death = self.before_death, None  # a third one does not wait
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
