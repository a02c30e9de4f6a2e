"""Let many workers wait for a time: only the one that wakes first waits with a timeout."""

from __future__ import annotations

from collections.abc import Callable
from threading import TIMEOUT_MAX, Condition

INFINITE = float("inf")


class Alarm:
    """Lets workers wait on `condition`, whose lock they hold."""

    def __init__(self, condition: Condition, clock: Callable[[], float]) -> None:
        self._condition = condition
        self._clock = clock
        self._next = INFINITE  # the earliest time for which a worker waits

    def wait(self, until: float) -> None:
        """Wait until the condition is notified, or until that time of the clock."""
        if until >= self._next:
            self._condition.wait()
            return
        self._next = until
        self._condition.wait(min(max(0.0, until - self._clock()), TIMEOUT_MAX))
        if self._next == until:
            self._next = INFINITE
