"""The spacing of requests: the earliest start of the next one. Pure, the time is an argument."""

from __future__ import annotations

from collections.abc import Callable

JITTER = 0.04  # of an interval: two processes must not ask in step


class Spacing:
    """Keeps the earliest start of the next request; `random` returns numbers from 0 to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._next = 0.0

    def left(self, now: float) -> float:
        """Return the seconds until the next request may start; not more than 0 if it may."""
        return self._next - now

    def started(self, now: float, interval: float, *, at_least: float = 0.0) -> None:
        """Space the next request `interval` seconds from the one that starts now.

        A request that starts late does not shift those behind it, by one interval at most. With
        `at_least` seconds it does, and the interval has no jitter.
        """
        if at_least:
            self._next = now + max(interval, at_least)
        elif interval:
            interval *= 1 + JITTER * (2 * self._random() - 1)
            self._next = max(min(self._next, now), now - interval) + interval

    def restart(self, now: float, interval: float) -> None:
        """Let the next request start `interval` seconds from now."""
        self._next = now + interval

    def delay(self, now: float, interval: float) -> None:
        """Let the next request start `interval` seconds from now, or later if it is due later."""
        self._next = max(self._next, now + interval)

    def clear(self) -> None:
        """Let the next request start at once."""
        self._next = 0.0

    def shift(self, back: float) -> None:
        """Follow a clock that was set back by so many seconds."""
        self._next -= back
