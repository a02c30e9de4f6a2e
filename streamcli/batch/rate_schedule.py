"""The schedule of --rate: when a request is due, and how late it starts.

It is pure: the time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log

# Seconds of delay that are caught up. A longer delay shifts the schedule: the rate is a ceiling
# too, and an hour's requests sent all at once would break it.
CATCH_UP = 60.0


class RateSchedule:
    """Makes a request due every 1/`rate` seconds; with `random`, at random with that mean.

    A request that starts late does not shift those behind it. A `rate` of None makes each due at
    once. `random` returns numbers from 0 to 1.
    """

    def __init__(self, rate: float | None, random: Callable[[], float] | None = None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._random = random
        self._due: float | None = None  # None: nothing has started
        self._shift = 0.0  # seconds of delay that are not caught up

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may start."""
        if self._due is None:
            return 0.0
        return max(0.0, self._due + self._shift - now)

    def started(self, now: float) -> float | None:
        """Count a request that starts now; return how many seconds late it is, None for no rate."""
        if not self._interval:
            return None
        due = now if self._due is None else self._due
        self._shift = max(self._shift, now - CATCH_UP - due)
        self._due = due + (self._interval if self._random is None else self._gap(self._random()))
        return max(0.0, now - due)

    def restart(self, now: float) -> None:
        """Begin the schedule anew if it is behind because there was no prompt to ask."""
        if self._due is not None and self._due + self._shift < now:
            self._due, self._shift = now, 0.0

    def _gap(self, random: float) -> float:
        """Return the seconds between two events of a Poisson process."""
        return -log(max(1.0 - random, 1e-12)) * self._interval
