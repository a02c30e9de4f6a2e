"""The times in which a server is left alone: pure, told the time."""

from __future__ import annotations

LONG = 0.5  # seconds of a hold that is long
AFTER = 2.0  # seconds after a long one


class Holds:
    """`until` nothing starts; `total` is how many seconds were held in all."""

    def __init__(self) -> None:
        self.until = 0.0
        self.total = 0.0
        self._long_until = -float("inf")

    def hold(self, now: float, seconds: float) -> None:
        until = now + seconds
        if seconds > LONG:
            self._long_until = until
        self.total += max(0.0, until - max(now, self.until))
        self.until = max(self.until, until)

    def left(self, now: float) -> float:
        """Return the seconds until it is over; not more than 0 if it is."""
        return self.until - now

    def is_after(self, now: float) -> bool:
        """Return whether a long one ended a moment ago, or goes on."""
        return now - self._long_until < AFTER

    def shift(self, back: float) -> None:
        """Move all moments with a clock that was set back."""
        self.until -= back
        self._long_until -= back
