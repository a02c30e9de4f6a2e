"""Let many workers wait for times: only the one with the next alarm has a timeout."""

from __future__ import annotations

from collections.abc import Callable
from threading import TIMEOUT_MAX, Condition

INFINITE = float("inf")


class Alarm:
    """Waits on a condition of a lock, which is held."""

    def __init__(self, condition: Condition, clock: Callable[[], float]) -> None:
        self._condition = condition
        self._clock = clock
        self._next = INFINITE  # when the next worker that waits for a time wakes up

    def wait(self, until: float) -> None:
        """Wait until something changes, or until that time."""
        if until >= self._next:
            self._condition.wait()
            return
        self._next = until
        self._condition.wait(min(max(0.0, until - self._clock()), TIMEOUT_MAX))
        if self._next == until:
            self._next = INFINITE
