"""When a batch may send its next request: pure, told the time, no clock.

A `Gate` is one provider's: it asks as fast as it learned to after refusals, and closes where asking
on makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy

from ...answer.retry import explain
from ...events import Failed
from .concurrency import Ticket
from .learned_rate import LearnedRate
from .limit_headers import Allowance

# Until a provider has answered once, requests go out one by one, so that a refusal of the first
# (a wrong key, a limit that is used up) comes before all the others are sent.
STAGGER = 0.002
# A provider that says 429 whenever it is asked is given up after so many times --max-wait, and so
# is a prompt that gets nothing else.
PATIENCE = 5

_BLOCKED = 3  # web pages with status 403 after which a firewall is taken to block everything
_FINAL = ("auth", "no_key", "quota", "redirect")


class Entry:
    """Keeps the facts of one prompt that a `Gate` needs."""

    __slots__ = ("refused", "ticket", "waited")

    def __init__(self) -> None:
        self.ticket: Ticket | None = None  # while it runs
        self.refused = 0
        self.waited = 0.0  # seconds, beyond the holds, which are for all


class Gate:
    """Decides whether a provider may be sent another request, and when.

    `learned` finds its rate and its concurrency; `jobs` may run at once as long as nothing is
    wrong. `closed` is why nothing more is started for it, or None.
    """

    def __init__(self, jobs: int, max_wait: float, random: Callable[[], float]) -> None:
        self.closed: Failed | None = None
        self.learned = LearnedRate(jobs, random, longest=max_wait)
        self.refuses = False  # the last it said was a 429
        self._max_wait = max_wait
        self._answered = False
        self._blocked = 0  # prompts that a firewall blocked
        self._last_start = 0.0
        self._refused_since: float | None = None  # the first refusal since it answered

    @property
    def is_open(self) -> bool:
        """Whether it has answered, and refused nothing yet."""
        return self._answered and not self.learned.refusals

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may go out; inf if one has to end first."""
        wait = self.learned.wait(now)
        if not self._answered:
            wait = max(wait, self._last_start + STAGGER - now)
        return wait

    def started(self, entry: Entry, now: float, tokens: int = 0) -> None:
        """Count a request; `tokens` is the estimated size of its prompt."""
        entry.ticket = self.learned.started(now, tokens)
        self._last_start = now

    def ended(self, entry: Entry, tokens: int | None = None) -> None:
        """Count its end; `tokens` is what its answer used, if that is known."""
        if entry.ticket is not None:
            self.learned.ended(entry.ticket, tokens)
            entry.ticket = None

    def answered(self, entry: Entry, now: float) -> bool:
        """Note that the first of an answer came; return whether more requests may start now."""
        before = self.learned.concurrency if self._answered else 0
        self._answered = True
        self.refuses = False
        self._refused_since = None
        if entry.ticket is not None:
            self.learned.answered(entry.ticket, now)
        return self.learned.concurrency > before

    def advise(self, entry: Entry | None, given: Iterable[Allowance], now: float) -> None:
        """Learn from the headers of a response; `entry` is its prompt's, if that has a ticket."""
        self.learned.advise(given, now, None if entry is None else entry.ticket)

    def limited(self, entry: Entry, failed: Failed, now: float) -> float | None:
        """Return the seconds until a refused prompt's turn comes; None if waiting is no use."""
        wanted = failed.retry_after
        if wanted is not None and wanted > self._max_wait:
            self.close(explain(copy(failed), 1, self._max_wait))
            return None
        assert entry.ticket is not None
        wait = self.learned.refused(
            entry.ticket, now, wanted, before=entry.refused, concurrent=failed.concurrent
        )
        held = max(0.0, self.learned.holds.until - now)
        self.refuses = True
        entry.refused += 1
        entry.waited += max(0.0, wait - held)
        if self._refused_since is None:
            self._refused_since = now
        patience = PATIENCE * self._max_wait
        if now + held - self._refused_since > patience:
            self.close(copy(failed))
        return None if self.closed or entry.waited >= patience else wait

    def judge(self, failed: Failed) -> None:
        """Close if what `failed` says is true of every other request too.

        A web page with status 403 ("forbidden") comes from a firewall, which may block this prompt
        alone: it closes when several came and nothing has been answered.
        """
        self._blocked += failed.kind == "forbidden"
        blocked = self._blocked >= _BLOCKED and not self._answered
        if failed.kind in _FINAL or (failed.kind == "forbidden" and blocked):
            self.close(copy(failed))

    def close(self, failed: Failed) -> None:
        self.closed = self.closed or failed


class Budget:
    """Counts the retries that all prompts of a batch share: 50, and one for five prompts."""

    def __init__(self) -> None:
        self.prompts = 0
        self._spent = 0

    def spend(self) -> bool:
        if self._spent >= 50 + self.prompts // 5:
            return False
        self._spent += 1
        return True
