"""Find a server's limit by asking: pure, told the time, no clock.

A `LearnedRate` belongs to one provider and address. It starts open. Three kinds of refusals are
told apart, because each needs another answer:

* a *rate limit* refuses requests that come too early. They are then spread at a rate, which is cut
  at a refusal and comes back by additive steps (https://www.rfc-editor.org/rfc/rfc5681 does so with
  windows), slowly near the rate that was refused last;
* a *concurrency limit* refuses requests that come while too many run. The number of those that run
  is then bounded, and no rate is learned;
* *shedding* refuses some, however slowly one asks. Nothing is learned from it, and only the refused
  prompt waits.

`wait` says when the next request may start. Every start gets a `Ticket`, which goes back with what
became of it: `answered` or `refused`, and always `ended`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from .limit_headers import Allowance

INFINITE = float("inf")
CUT = 0.88  # what is left of the rate after a refusal
DEEP_CUT = 0.5  # at most so much less
STEP = 0.02  # a second: how the rate comes back, in parts of the one that was refused
DOUBLING = 1.5  # seconds in which a rate doubles that was never refused
JITTER = 0.04  # of an interval: two processes must not ask in step
BASE, CAP = 0.5, 20.0  # seconds of backoff without a hint
DENSE = 14, 22  # so many refusals among so many requests: a limit refuses all that come
FEW = 16, 130  # fewer refusals than this are not a reason to slow down while nothing is learned
FEW_AT_ONCE = 16, 32  # nor fewer than this, if the server says "again, at once"
PATIENT = 1.0  # seconds that the answers of those on their way are waited for before another cut
IN_VAIN = 4  # refusals in a row after which a server that names no wait is left alone for a while
FUTILE = 6, 40  # so many cuts among so many requests: asking more slowly is no use
HORIZON = 2.0  # seconds over which an accepted rate is measured, and at least so many answers:
ENOUGH = 12
MISTAKEN = 3  # refusals in a row at a bound on concurrency: the limit is another one


class Ticket:
    """A request on its way: when it began, which one it was, and how many ran with it."""

    __slots__ = ("at", "number", "running")

    def __init__(self, at: float, number: int, running: int) -> None:
        self.at = at
        self.number = number
        self.running = running


class LearnedRate:
    """The rate and the concurrency that a server was seen to allow.

    `jobs` is the user's ceiling. `random` returns numbers from 0 to 1.
    """

    def __init__(self, jobs: int, random: Callable[[], float]) -> None:
        self.rate = INFINITE  # requests a second
        self.concurrency = jobs
        self.refusals = 0
        self.held = 0.0  # seconds
        self.running = 0
        self._jobs = jobs
        self._random = random
        self._number = 0
        self._next = 0.0  # when the next request may start, by the rate
        self._until = 0.0  # nothing starts before
        self._refused_at = INFINITE  # the rate of the last refusal; infinite: none was
        self._cut = -1  # the number of the last request before the last cut
        self._grown_at = 0.0
        self._strikes = 0  # refusals since something was accepted
        self._refused: deque[int] = deque(maxlen=FEW[0])  # numbers
        self._shedding = False
        self._cuts: deque[int] = deque(maxlen=FUTILE[0])  # the numbers that were refused
        self._since_cut = 0  # answers
        self._cut_at = -INFINITE
        self._latency = PATIENT / 2  # seconds until an answer begins, on average
        self._accepted: deque[float] = deque()  # the moments of the last HORIZON
        self._silent = True  # a refusal without a hint may be a concurrency limit
        self._bounds = 0  # refusals in a row at the bound on concurrency
        self._began: float | None = None
        self._seen = -INFINITE
        self._probe = 0  # answers until one more may run at once
        self._probe_after = 10
        self._advance = INFINITE  # the rate by what the server said
        self._advance_until = 0.0
        self._tokens = 0.0  # of an answer, on average

    # When the next may start

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may start; inf if one has to end first."""
        self._see(now)
        if self.running >= self.concurrency:
            return INFINITE
        return max(0.0, self._until - now, self._next - now)

    def started(self, now: float) -> Ticket:
        """Count a request that starts now; return what comes back with its outcome."""
        self._see(now)
        if self._began is None:
            self._began = now
        self._number += 1
        self.running += 1
        self._grow(now)
        rate = self._current(now)
        if rate < INFINITE:
            interval = (1 + JITTER * (2 * self._random() - 1)) / rate
            # One that comes late does not shift those behind it, by one interval at most.
            self._next = max(min(self._next, now), now - interval) + interval
        return Ticket(now, self._number, self.running)

    # What became of it

    def ended(self, ticket: Ticket, tokens: int | None = None) -> None:
        """Count a request that is over; `tokens` is what its answer used, if that is known."""
        self.running -= 1
        if tokens:
            self._tokens = tokens if not self._tokens else 0.9 * self._tokens + 0.1 * tokens

    def answered(self, ticket: Ticket, now: float) -> None:
        """Learn that it was accepted: the first event of its answer came."""
        self._strikes = 0
        self._since_cut += ticket.number > self._cut
        took = min(max(now - ticket.at, 0.0), PATIENT)
        self._latency += (took - self._latency) / 8
        self._accepted.append(now)
        self._forget(now)
        if self.concurrency < self._jobs and ticket.running >= self.concurrency:
            self._probe -= 1
            if ticket.number > self._cut + 2 * self.concurrency:
                self._bounds = 0
            if self._probe <= 0:
                self.concurrency += 1
                self._probe_after = min(2 * self._probe_after, 200)
                self._probe = self._probe_after * self.concurrency

    def refused(
        self,
        ticket: Ticket,
        now: float,
        wanted: float | None,
        *,
        before: int = 0,
        concurrent: bool = False,
    ) -> float:
        """Learn from a refusal; return the seconds that its prompt waits.

        `wanted`: the server's wish. `before`: how often this prompt was refused before.
        `concurrent`: the server's words name a concurrency limit ("too many concurrent requests").
        """
        self.refusals += 1
        self._refused.append(ticket.number)
        self._strikes += 1
        own = self._backoff(before)
        if wanted is not None:
            own = max(wanted, self._backoff(before - 1) if before else 0.0)
        if ticket.number <= self._cut or 0 <= now - self._cut_at < self._latency:
            # It was on its way before the last cut, or the answers of those beside it still are.
            return max(own, self._until - now)
        if concurrent or (wanted is None and self._silent and self.rate == INFINITE):
            if concurrent or self._bounds < MISTAKEN:
                self._bound(ticket)
                return self._backoff(0)
            self._silent, self.concurrency = False, self._jobs
        if self._is_shedding(now, wanted):
            return own
        wait = wanted or self._backoff(min(self._strikes, 5) - 1)
        if self._cut >= 0 and self._strikes > (1 if wanted else IN_VAIN):
            self._hold(now, wait)
        self._cuts.append(ticket.number)
        self._cut_rate(now, wanted or BASE)
        return max(own, self._until - now)

    def advise(self, given: Iterable[Allowance], now: float) -> None:
        """Spread the next requests over what the server says is left, once that is little."""
        rate, until = INFINITE, now
        for each in given:
            reset = max(each.reset, 0.001)
            size = self._tokens if each.tokens else 1.0
            if not size or (each.limit is not None and each.remaining > each.limit / 2):
                continue
            left = each.remaining / size - self.running
            if each.refills and each.limit is not None:
                allowed = (each.limit - each.remaining) / size / reset
            elif left < 1:
                self._hold(now, each.reset)
                continue
            else:
                allowed = left / reset
            if allowed < rate:
                rate, until = allowed, now + reset
        self._advance, self._advance_until = rate, until

    # Inside

    def _see(self, now: float) -> None:
        """Move all moments with a clock that was set back."""
        back = self._seen - now
        self._seen = now
        if back > 0:
            self._next -= back
            self._until -= back
            self._cut_at -= back
            self._advance_until -= back
            self._accepted.clear()

    def _current(self, now: float) -> float:
        return min(self.rate, self._advance if now < self._advance_until else INFINITE)

    def _grow(self, now: float) -> None:
        """Let the rate come back: doubling while it was never refused, by steps after that."""
        passed = min(max(0.0, now - self._grown_at), 1.0)  # a clock that jumps grows nothing
        self._grown_at = now
        if self.rate == INFINITE:
            return
        if self.rate > 4 * max(self._measured(now), 1.0):
            return  # it is not what holds us up
        if self._refused_at == INFINITE:
            self.rate *= 2 ** (passed / DOUBLING)
            return
        beyond = max(0.0, self.rate / self._refused_at - 1)
        self.rate += passed * STEP * self._refused_at * (1 + 20 * beyond)

    def _cut_rate(self, now: float, wait: float) -> None:
        measured = self._measured(now)
        if self.rate == INFINITE:
            self.rate = max(measured, 1 / max(wait, 0.05))
        else:
            self._refused_at = self.rate
            deep = DEEP_CUT if self._since_cut < 2 else CUT
            self.rate = max(deep * self.rate, min(CUT * self.rate, CUT * measured))
        self._next = max(self._next, now + 1 / self.rate)
        self._cut, self._cut_at, self._since_cut = self._number, now, 0

    def _bound(self, ticket: Ticket) -> None:
        self.concurrency = max(1, min(self.concurrency, ticket.running - 1))
        self._probe = self._probe_after * self.concurrency
        self._bounds += 1
        self._cut = self._number

    def _hold(self, now: float, seconds: float) -> None:
        until = now + seconds
        self.held += max(0.0, until - max(now, self._until))
        self._until = max(self._until, until)

    def _is_shedding(self, now: float, wanted: float | None) -> bool:
        """Return whether refusals come however slowly we ask, or are too few to tell."""
        if self._within(*DENSE):
            self._shedding = False
            return False
        if self._shedding:
            return True
        if self.rate == INFINITE:
            known = self._began is not None and now - self._began >= self._latency
            return not (known and self._within(*(FEW_AT_ONCE if wanted == 0 else FEW)))
        if self._within(*FUTILE, self._cuts):
            self._shedding = True
            self._cuts.clear()
            self.rate = self._refused_at = INFINITE
            self._next = 0.0
        return self._shedding

    def _within(self, count: int, span: int, numbers: deque[int] | None = None) -> bool:
        """Return whether the last `count` refusals, or cuts, were among `span` requests."""
        numbers = self._refused if numbers is None else numbers
        return len(numbers) >= count and numbers[-1] - numbers[-count] < span

    def _measured(self, now: float) -> float:
        """Return the accepted requests a second."""
        self._forget(now)
        if not self._accepted or self._began is None:
            return 0.0
        since = max(0.2, min(HORIZON, now - self._began), now - self._accepted[0])
        return len(self._accepted) / since

    def _forget(self, now: float) -> None:
        accepted = self._accepted
        while len(accepted) > ENOUGH and now - accepted[0] > HORIZON:
            accepted.popleft()

    def _backoff(self, before: int) -> float:
        return min(CAP, BASE * 2.0 ** min(before, 16)) * (1 + self._random()) / 2
