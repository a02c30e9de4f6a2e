"""--pace: write a text at a steady number of characters a second."""

from __future__ import annotations

from collections.abc import Callable

STEP = 0.02  # seconds: characters that are due within one step are written at once


class Pace:
    """Passes a text on to `write` at `rate` characters a second, never faster.

    It waits between the pieces, so a faster server has to wait too. After a time without text the
    rest is not written faster.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        rate: float,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        self._write = write
        self._rate = rate
        self._size = max(1, round(rate * STEP))
        self._clock = clock
        self._sleep = sleep
        self._due = 0.0  # when the next character may be written

    def write(self, text: str) -> None:
        """Write `text`, a step at a time; returns when all of it is written."""
        for at in range(0, len(text), self._size):
            piece = text[at : at + self._size]
            now = self._clock()
            if now < self._due:
                self._sleep(self._due - now)
                now = self._due
            self._write(piece)
            self._due = now + len(piece) / self._rate
