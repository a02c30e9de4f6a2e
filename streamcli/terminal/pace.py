"""Estimate the rates of a batch over its last minute. Pure: times are arguments."""

from __future__ import annotations

from collections import deque

_WINDOW = 60.0  # seconds of figures that are kept, and more until _ENOUGH prompts are done in them
_ENOUGH = 30  # prompts; before that many, rates are those since the beginning


class Pace:
    """Estimates rates from the figures of the last minute. Times are in seconds."""

    def __init__(self, now: float) -> None:
        # (time, prompts done, tokens) at the start, at the last finished prompt, and each second.
        self._first = self._last = (now, 0, 0)
        self._seconds = deque([self._first], maxlen=600)

    def add(self, now: float, done: int, tokens: int) -> None:
        """Note the number of prompts done and of tokens received so far."""
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
        """Return the tokens per second; `tokens` is the number received so far."""
        when, _, before = self._since()
        return max(0, tokens - before) / max(now - when, 1e-3)

    def seconds_left(self, now: float, prompts: int) -> float:
        """Return the estimated seconds for so many more `prompts`.

        It falls steadily between finished prompts, and grows while the next one is late.
        """
        when, before, _ = self._since()
        finished = max(1, self._last[1] - before)
        in_time = prompts * (self._last[0] - when) / finished - (now - self._last[0])
        late = (prompts - 1) * (now - when) / (finished + 1)
        return max(in_time, late)

    def _since(self) -> tuple[float, int, int]:
        """Return the figures that rates are counted from."""
        oldest = self._seconds[0]
        return oldest if self._last[1] - oldest[1] >= _ENOUGH else self._first
