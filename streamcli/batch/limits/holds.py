"""The times in which a server is left alone: pure, the time is an argument."""

from __future__ import annotations

LONG = 0.5  # seconds: a longer hold is a long one
AFTER = 2.0  # seconds after a long hold in which a refusal may come from its end
EARLY = 0.05  # seconds by which a server's clock, or the way to it, may differ
MOST_EARLY = 8  # refusals that may come from the end of one long hold; more are new ones


class Holds:
    """Keeps the time `until` which no request starts, and the seconds held in `total`."""

    def __init__(self) -> None:
        self.until = 0.0
        self.total = 0.0
        self._long_until = -float("inf")
        self._early = 0  # refusals that came from the end of the last long hold

    def hold(self, now: float, seconds: float) -> None:
        """Let no request start for so many seconds."""
        until = now + seconds
        if seconds > LONG:
            self._long_until, self._early = until, 0
        self.total += max(0.0, until - max(now, self.until))
        self.until = max(self.until, until)

    def left(self, now: float) -> float:
        """Return the seconds until the hold is over; not more than 0 if it is."""
        return self.until - now

    def came_early(self, now: float, wanted: float) -> bool:
        """Return whether a request was refused because a long hold ended a moment early.

        `wanted` is the wait that the refusal asks for, in seconds. The refusal is counted.
        """
        if wanted >= EARLY or now - self._long_until >= AFTER or self._early >= MOST_EARLY:
            return False
        self._early += 1
        return True

    def shift(self, back: float) -> None:
        """Follow a clock that was set back by so many seconds."""
        self.until -= back
        self._long_until -= back
