"""The schedule of --rate: when a request is due, and how late it started. Pure, told the time."""

from __future__ import annotations

from collections.abc import Callable
from math import log

# A schedule that falls behind by more seconds is not caught up with: the rate is a ceiling as well,
# and an hour of requests at once would be none.
CATCH_UP = 60.0


class Pace:
    """A request is due every 1/`rate` seconds, or at random with that mean; None: at once.

    One that starts late does not shift those behind it. `random` returns numbers from 0 to 1.
    """

    def __init__(self, rate: float | None, random: Callable[[], float] | None = None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._random = random
        self._due: float | None = None  # None: nothing has started
        self._shift = 0.0  # what is not caught up with

    def wait(self, now: float) -> float:
        """Return the seconds until a request may start."""
        if self._due is None:
            return 0.0
        return max(0.0, self._due + self._shift - now)

    def started(self, now: float) -> float | None:
        """Count a request that starts now; return the seconds that it is late, None for no rate."""
        if not self._interval:
            return None
        due = now if self._due is None else self._due
        self._shift = max(self._shift, now - CATCH_UP - due)
        self._due = due + (self._interval if self._random is None else self._gap(self._random()))
        return max(0.0, now - due)

    def rest(self, now: float) -> None:
        """Begin anew at this time, if nothing was there that could have started in time."""
        if self._due is not None and self._due + self._shift < now:
            self._due, self._shift = now, 0.0

    def _gap(self, random: float) -> float:
        """Return the seconds between two of a Poisson process."""
        return -log(max(1.0 - random, 1e-12)) * self._interval
