"""When a batch may send its next request, and when it stops: pure, told the time, no clock.

A `Gate` is one provider's: holds after a 429, and closes where asking on makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

from ..answer.retry import BASE, CAP, explain
from ..events import Failed

# Until a provider has answered once, requests go out one by one, so that a refusal of the first
# (a wrong key, a limit that is used up) comes before all the others are sent.
STAGGER = 0.002
# A provider that says 429 whenever it is asked is given up after so many times --max-wait, and so
# is a prompt that gets nothing else.
PATIENCE = 5
# --rate: who was woken late makes up for so many seconds at most.
_LATE = 0.02

_FINAL = ("auth", "no_key", "quota", "redirect")


class Entry:
    """The facts of one prompt that a `Gate` keeps."""

    __slots__ = ("hold", "refused", "waited")

    def __init__(self) -> None:
        self.hold = 0  # how many holds there had been when it was let through
        self.refused = 0
        self.waited = 0.0  # beyond the holds, which are for all


class Gate:
    """Whether a provider may be sent another request, and when.

    `jobs` may run at once as long as nothing is wrong; after a hold one, and one more with each
    answer. `closed` is why nothing more is started for it, or None.
    """

    def __init__(self, jobs: int, max_wait: float, random: Callable[[], float]) -> None:
        self.closed: Failed | None = None
        self.until = 0.0  # held until this time
        self.refuses = False  # the last it said was a 429
        self._jobs = jobs
        self._max_wait = max_wait
        self._random = random
        self._answered = False
        self._last_start = 0.0
        self._holds = 0
        self._running = 0  # of those let through since the last hold
        self._allowed = jobs
        self._strikes = 0  # refusals in a row, each after a hold
        self._waited = 0.0  # the holds of these

    @property
    def calm(self) -> bool:
        """An answer more changes nothing."""
        return self._answered and self._allowed >= self._jobs and not self.refuses

    def wait(self, now: float) -> float:
        """Seconds until the next request may go out; inf if that depends on those that run."""
        if now < self.until:
            return self.until - now
        if self._running >= self._allowed:
            return float("inf")
        if not self._answered:
            return max(0.0, self._last_start + STAGGER - now)
        return 0.0

    def started(self, entry: Entry, now: float) -> None:
        entry.hold = self._holds
        self._running += 1
        self._last_start = now

    def ended(self, entry: Entry) -> None:
        self._running -= entry.hold == self._holds

    def answered(self, entry: Entry) -> None:
        """The first of an answer came. Those of before a hold say nothing of what is now."""
        self._answered = True
        if entry.hold == self._holds:
            self._strikes = 0
            self._waited = 0.0
            self.refuses = False
            self._allowed = min(self._jobs, self._allowed + 1)

    def limited(self, entry: Entry, failed: Failed, now: float) -> float | None:
        """A 429: seconds until this prompt's turn comes again; None if waiting is no use.

        Those that were on their way when a hold began say nothing new. And who is refused again
        when others are not (too long for the quota, say) waits alone. After a hold others go
        first, so that it is not always the same one that tries.
        """
        wanted = failed.retry_after
        if wanted is not None and wanted > self._max_wait:
            self.close(explain(copy(failed), 1, self._max_wait))
            return None
        new = entry.hold == self._holds
        alone = new and entry.refused > 0 and not self.refuses
        own = min(self._backoff(entry.refused), self._max_wait)
        entry.refused += 1
        self.refuses = self.refuses or new
        if alone:
            own = max(own, wanted or 0.0)
        entry.waited += own
        if entry.waited >= PATIENCE * self._max_wait:
            return None
        if alone:
            return max(own, self.until - now)
        if new:
            wait = wanted if wanted is not None else self._backoff(self._strikes)
            if self._strikes and wait < BASE:  # "at once" was not true before
                wait = self._backoff(self._strikes)
            if self._waited + wait > PATIENCE * self._max_wait:
                self.close(copy(failed))
                return None
            self._strikes += 1
            self._waited += wait
            self._hold(now + wait)
        elif wanted is not None:
            self.until = max(self.until, now + wanted)
        return max(0.0, self.until - now) + own

    def _hold(self, until: float) -> None:
        self.until = until
        self._holds += 1
        self._running = 0
        self._allowed = 1

    def _backoff(self, before: int) -> float:
        return min(CAP, BASE * 2.0 ** min(before, 16)) * (1 + self._random()) / 2

    def judge(self, failed: Failed) -> None:
        """Close if what `failed` says is true of every other request too.

        A web page with status 403 ("forbidden") comes from a firewall, which may block this prompt
        alone: it closes only while nothing has been answered.
        """
        if failed.kind in _FINAL or (failed.kind == "forbidden" and not self._answered):
            self.close(copy(failed))

    def close(self, failed: Failed) -> None:
        self.closed = self.closed or failed


class Budget:
    """Retries that all prompts of a batch share: 50, and one for five prompts."""

    def __init__(self) -> None:
        self.prompts = 0
        self._spent = 0

    def spend(self) -> bool:
        if self._spent >= 50 + self.prompts // 5:
            return False
        self._spent += 1
        return True


class Pace:
    """--rate: starts so far apart that there are no more than `rate` a second; None: no limit."""

    def __init__(self, rate: float | None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._next = 0.0

    def wait(self, now: float) -> float:
        return max(0.0, self._next - now) if self._interval else 0.0

    def started(self, now: float) -> None:
        self._next = max(now - _LATE, self._next) + self._interval


class Halt:
    """--halt: (how, count, share), see options.Halt."""

    def __init__(self, how: str, count: int, share: float) -> None:
        self.how = how
        self._count = count
        self._share = share

    def due(self, done: int, failed: int) -> bool:
        """Whether that many failures are enough; a share needs ten prompts that are over."""
        if self.how == "never" or not failed:
            return False
        if self._count:
            return failed >= self._count
        return done >= 10 and failed >= self._share * done
