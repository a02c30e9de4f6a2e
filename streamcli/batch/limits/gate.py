"""Decide when a batch may send its next request to one provider: pure, the time is an argument.

The gate of a provider lets requests through as fast as it learned from refusals, and closes when no
further request can succeed (a wrong key, a used-up quota).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy

from ...answer.retry import explain
from ...events import Failed
from .concurrency import Ticket
from .learned_rate import LearnedRate
from .limit_headers import Allowance

# Seconds between the first requests. Until a provider has answered once they go out one by one, so
# that a refusal of the first (a wrong key, a used-up limit) comes before the others are sent.
STAGGER = 0.002
# A provider that answers nothing but 429 is given up after so many times --max-wait, and so is a
# prompt that gets nothing but 429.
PATIENCE = 5

_BLOCKED = 3  # web pages with status 403 after which a firewall is taken to block everything
_FINAL = ("auth", "no_key", "quota", "redirect")  # kinds of failures that every request would have


class Entry:
    """Keeps the facts of one prompt that a `Gate` needs."""

    __slots__ = ("refused", "ticket", "waited")

    def __init__(self) -> None:
        self.ticket: Ticket | None = None  # while its request runs
        self.refused = 0  # how often
        self.waited = 0.0  # seconds, without the holds, which all prompts share


class Gate:
    """Decides whether a provider may be sent another request, and when.

    `learned` finds its rate and its concurrency; until it has found a limit, `jobs` requests may
    run at once. `closed` is the failure for which the provider is asked nothing more, or None.
    """

    def __init__(self, jobs: int, max_wait: float, random: Callable[[], float]) -> None:
        self.closed: Failed | None = None
        self.learned = LearnedRate(jobs, random, longest=max_wait)
        self.refuses = False  # its last response was a 429
        self._max_wait = max_wait
        self._answered = False
        self._blocked = 0  # prompts that a firewall blocked
        self._last_start = 0.0
        self._refused_since: float | None = None  # the time of the first refusal since an answer

    @property
    def is_unlimited(self) -> bool:
        """Whether the provider has answered, and refused nothing yet."""
        return self._answered and not self.learned.refusals

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may start; inf if one has to end first."""
        wait = self.learned.wait(now)
        if not self._answered:
            wait = max(wait, self._last_start + STAGGER - now)
        return wait

    def started(self, entry: Entry, now: float, tokens: int = 0) -> None:
        """Count a request; `tokens` is the estimated size of its prompt."""
        entry.ticket = self.learned.started(now, tokens)
        self._last_start = now

    def ended(self, entry: Entry, tokens: int | None = None) -> None:
        """Count the end of a request; `tokens` are those it used, None if unknown."""
        if entry.ticket is not None:
            self.learned.ended(entry.ticket, tokens)
            entry.ticket = None

    def answered(self, entry: Entry, now: float) -> bool:
        """Note that an answer has begun; return whether more requests may run at once now."""
        before = self.learned.concurrency if self._answered else 0
        self._answered = True
        self.refuses = False
        self._refused_since = None
        if entry.ticket is not None:
            self.learned.answered(entry.ticket, now)
        return self.learned.concurrency > before

    def advise(self, entry: Entry | None, allowed: Iterable[Allowance], now: float) -> None:
        """Learn from the headers of a response; `entry` is None if its prompt has no ticket."""
        self.learned.advise(allowed, now, None if entry is None else entry.ticket)

    def limited(self, entry: Entry, failed: Failed, now: float) -> float | None:
        """Return the seconds until a refused prompt may be asked again; None if it may not."""
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
        """Close the gate if every other request would fail in the same way.

        A web page with status 403 ("forbidden") comes from a firewall, which may block this prompt
        alone: the gate closes when several came and no prompt was answered.
        """
        self._blocked += failed.kind == "forbidden"
        blocked = self._blocked >= _BLOCKED and not self._answered
        if failed.kind in _FINAL or (failed.kind == "forbidden" and blocked):
            self.close(copy(failed))

    def close(self, failed: Failed) -> None:
        """Let no further request start; `failed` is the reason."""
        self.closed = self.closed or failed
