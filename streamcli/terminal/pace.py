"""How fast a batch goes: rates over its last minute. Pure, told the time."""

from __future__ import annotations

from collections import deque

_WINDOW, _ENOUGH = 60.0, 30  # the last minute, or so many prompts if that is longer


class Pace:
    """Estimates rates from the figures of the last minute."""

    def __init__(self, now: float) -> None:
        self._first = self._last = (now, 0, 0)  # when, prompts done, tokens
        self._seconds = deque([self._first], maxlen=600)

    def add(self, now: float, done: int, tokens: int) -> None:
        """Note how many prompts are done, and how many tokens came."""
        seconds = self._seconds
        if done != self._last[1]:
            self._last = (now, done, tokens)
        if now - seconds[-1][0] >= 1:
            seconds.append((now, done, tokens))
        while (
            len(seconds) > 1 and now - seconds[1][0] >= _WINDOW and done - seconds[1][1] >= _ENOUGH
        ):
            seconds.popleft()

    def tokens_per_second(self, now: float, tokens: int) -> float:
        """Return the rate at which tokens come."""
        when, _, before = self._since()
        return max(0, tokens - before) / max(now - when, 1e-3)

    def seconds_left(self, now: float, prompts: int) -> float:
        """Return an estimate that falls between finished prompts, and grows when one is late."""
        when, before, _ = self._since()
        finished = max(1, self._last[1] - before)
        in_time = prompts * (self._last[0] - when) / finished - (now - self._last[0])
        late = (prompts - 1) * (now - when) / (finished + 1)
        return max(in_time, late)

    def _since(self) -> tuple[float, int, int]:
        oldest = self._seconds[0]
        return oldest if self._last[1] - oldest[1] >= _ENOUGH else self._first
