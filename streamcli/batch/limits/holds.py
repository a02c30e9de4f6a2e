"""The times in which a server is left alone: pure, told the time."""

from __future__ import annotations

LONG = 0.5  # seconds of a hold that is long
AFTER = 2.0  # seconds after a long one
EARLY = 8  # requests that may come a moment early to its end: more of them are refused anew


class Holds:
    """`until` nothing starts; `total` is how many seconds were held in all."""

    def __init__(self) -> None:
        self.until = 0.0
        self.total = 0.0
        self._long_until = -float("inf")
        self._early = 0

    def hold(self, now: float, seconds: float) -> None:
        until = now + seconds
        if seconds > LONG:
            self._long_until, self._early = until, 0
        self.total += max(0.0, until - max(now, self.until))
        self.until = max(self.until, until)

    def left(self, now: float) -> float:
        """Return the seconds until it is over; not more than 0 if it is."""
        return self.until - now

    def came_early(self, now: float) -> bool:
        """Return whether one more refusal may come from the end of a long hold, and count it."""
        if now - self._long_until >= AFTER or self._early >= EARLY:
            return False
        self._early += 1
        return True

    def shift(self, back: float) -> None:
        """Move all moments with a clock that was set back."""
        self.until -= back
        self._long_until -= back
