"""Spread requests over what a server says is left, before it refuses any: pure, told the time."""

from __future__ import annotations

from collections.abc import Iterable

from .concurrency import Ticket
from .limit_headers import Allowance

RESERVE = 0.05  # of an allowance that refills is kept
SPENT = 5.0  # seconds in which the rest of it is spent


class AdvertisedLimits:
    """Keeps the allowances of the last response, and the tokens that an answer takes.

    One that would take more than `longest` seconds to its next request is not heeded: the refusal
    that comes then tells what is the matter.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        # Of tokens, so many a second, until then.
        self._rates: list[tuple[bool, float, float]] = []
        self._answer = 0.0  # tokens that an answer adds to its prompt's estimated ones, on average
        self._known = False
        self._windows = {False: 0.0, True: 0.0}  # seconds in which requests, and tokens, come back

    def used(self, ticket: Ticket, tokens: int) -> None:
        """Learn how many tokens a request took, with its answer."""
        answer = tokens - ticket.tokens
        self._answer = 0.9 * self._answer + 0.1 * answer if self._known else answer
        self._known = True

    def read(
        self, given: Iterable[Allowance], now: float, after: int, tokens: int, most: int
    ) -> float:
        """Take the allowances of a response; return the seconds until anything is allowed.

        `after` requests are on their way that the response does not count, and `most` may run. A
        prompt has about `tokens`.
        """
        self._rates.clear()
        nothing = 0.0
        for each in given:
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
                allowed = (each.limit - each.remaining) / reset + spare / min(reset, SPENT)
            elif left < size:
                nothing = max(nothing, each.reset)
                window = self._windows[each.tokens]
                if each.limit:  # what is given back then is not spent at once
                    self._rates.append((each.tokens, each.limit / window, now + reset + window))
                continue
            else:
                allowed = left / reset
            if allowed * self._longest > size > 0:
                self._rates.append((each.tokens, allowed, now + reset))
        return nothing

    def interval(self, now: float, tokens: int) -> float:
        """Return the seconds from a request whose prompt has about `tokens` to the next one."""
        interval = 0.0
        for of_tokens, allowed, until in self._rates:
            if now < until:
                interval = max(interval, (self._size(tokens) if of_tokens else 1.0) / allowed)
        return interval

    def forget(self) -> None:
        """Forget the allowances: the clock was set back."""
        self._rates.clear()

    def _size(self, tokens: int) -> float:
        return max(0.0, tokens + self._answer)
