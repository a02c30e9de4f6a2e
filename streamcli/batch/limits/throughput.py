"""Measure how many requests a second a server accepts: pure, the time is an argument."""

from __future__ import annotations

from collections import deque

HORIZON = 2.0  # seconds over which the rate is measured,
ENOUGH = 12  # and at least so many requests
SHORT = 0.2  # seconds that a measurement by answers takes at least
SHORT_ASKED = 1.0  # seconds that a measurement by requests takes at least


class Throughput:
    """Keeps the times of the last requests, of their answers, and of their refusals."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._asked: deque[float] = deque()
        self._answered: deque[float] = deque()
        self._refused: deque[float] = deque()

    def asked(self, now: float) -> None:
        if self._began is None:
            self._began = now
        _add(self._asked, now)

    def answered(self, now: float) -> None:
        _add(self._answered, now)

    def refused(self, now: float) -> None:
        self._refused.append(now)
        while self._asked and self._refused[0] < self._asked[0]:
            self._refused.popleft()

    def age(self, now: float) -> float:
        """Return the seconds since the first request."""
        return 0.0 if self._began is None else now - self._began

    def asked_rate(self, now: float) -> float:
        """Return the requests a second, refused ones included."""
        _forget(self._asked, now)
        since = max(SHORT_ASKED, now - self._asked[0]) if self._asked else 1.0
        return len(self._asked) / since

    def rate(self, now: float, unknown: int = 0) -> float:
        """Return the accepted requests a second.

        An answer may begin long after its request was accepted. So requests that were not refused
        count as well, except for the last `unknown` ones.
        """
        age = min(HORIZON, self.age(now))
        answered = asked = 0.0
        if self._answered:
            _forget(self._answered, now)
            answered = len(self._answered) / max(SHORT, age, now - self._answered[0])
        if self._asked:
            _forget(self._asked, now)
            while self._refused and self._refused[0] < self._asked[0]:
                self._refused.popleft()
            accepted = len(self._asked) - unknown - len(self._refused)
            asked = accepted / max(SHORT_ASKED, age, now - self._asked[0])
        return max(answered, asked)

    def forget(self) -> None:
        """Forget all times: the clock was set back."""
        for times in (self._asked, self._answered, self._refused):
            times.clear()


def _add(times: deque[float], now: float) -> None:
    times.append(now)
    _forget(times, now)


def _forget(times: deque[float], now: float) -> None:
    """Forget the times that are older than HORIZON, except for the last ENOUGH."""
    while len(times) > ENOUGH and now - times[0] > HORIZON:
        times.popleft()
