"""Spread requests over the allowance that a server states in its headers, before it refuses any.

It is pure: the time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable

from .concurrency import Ticket
from .limit_headers import Allowance

RESERVE = 0.05  # the part of an allowance that refills which is not spent
SPENT = 5.0  # seconds over which the rest of it is spread


class AdvertisedLimits:
    """Keeps the allowances of the last response, and the average tokens of an answer.

    An allowance that would need more than `longest` seconds from one request to the next is
    ignored: the refusal that follows says what is wrong.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        # (whether it is of tokens, the rate a second, the time until which it holds)
        self._rates: list[tuple[bool, float, float]] = []
        self._answer = 0.0  # average tokens that an answer adds to the estimate of its prompt
        self._known = False  # whether the tokens of any answer are known
        # Seconds after which an allowance of requests (False), or of tokens (True), comes back.
        self._windows = {False: 0.0, True: 0.0}

    def used(self, ticket: Ticket, tokens: int) -> None:
        """Learn how many tokens a request took, with its answer."""
        answer = tokens - ticket.tokens
        self._answer = 0.9 * self._answer + 0.1 * answer if self._known else answer
        self._known = True

    def read(
        self, allowed: Iterable[Allowance], now: float, after: int, tokens: int, most: int
    ) -> float:
        """Replace the allowances by those of a response; return the seconds until one is left.

        `after` is the number of running requests that the response does not count, `most` the
        number that may run. `tokens` is the estimated size of a prompt.
        """
        self._rates.clear()
        wait = 0.0
        for each in allowed:
            reset = max(each.reset, 0.001)
            size = self._size(tokens) if each.tokens else 1.0
            left = each.remaining - after * size
            if not each.refills and reset > self._longest:
                continue
            if not each.refills:
                self._windows[each.tokens] = max(self._windows[each.tokens], reset)
            if each.limit is not None and left > max(each.limit / 2, most * size):
                continue
            if each.refills and each.limit is not None:
                spare = max(0.0, left - RESERVE * each.limit)
                rate = (each.limit - each.remaining) / reset + spare / min(reset, SPENT)
            elif left < size:
                wait = max(wait, each.reset)
                window = self._windows[each.tokens]
                if each.limit:  # spread the next allowance over its window too
                    self._rates.append((each.tokens, each.limit / window, now + reset + window))
                continue
            else:
                rate = left / reset
            if rate * self._longest > size > 0:
                self._rates.append((each.tokens, rate, now + reset))
        return wait

    def interval(self, now: float, tokens: int) -> float:
        """Return the seconds from a request to the next one; `tokens` is its estimated size."""
        interval = 0.0
        for of_tokens, rate, until in self._rates:
            if now < until:
                interval = max(interval, (self._size(tokens) if of_tokens else 1.0) / rate)
        return interval

    def forget(self) -> None:
        """Forget the allowances: the clock was set back."""
        self._rates.clear()

    def _size(self, tokens: int) -> float:
        """Return the estimated tokens of a prompt and its answer."""
        return max(0.0, tokens + self._answer)
