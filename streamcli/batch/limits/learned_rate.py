"""Find a server's limit by asking: pure, the time is an argument.

A `LearnedRate` belongs to one provider and address. It starts without a limit. Refusals are of
three kinds, and each kind needs another reaction:

* a *rate limit* refuses requests that come too early. Requests are then spread at a rate, which is
  cut at a refusal and comes back by additive steps (https://www.rfc-editor.org/rfc/rfc5681 does so
  with windows), slowly near the rate that was refused last;
* a *concurrency limit* refuses requests that come while too many run. The number of running
  requests is then bounded, and no rate is learned;
* *shedding* refuses some requests, however slowly they come. Nothing is learned from it, and only
  the refused prompt waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .advertised import AdvertisedLimits
from .concurrency import Concurrency, Ticket
from .holds import Holds
from .limit_headers import Allowance
from .rate_steps import CUT, FAR, INFINITE, grown, lowered
from .refusals import AGREED, BASE, Cut, Refusals, backoff
from .spacing import Spacing
from .throughput import ENOUGH, Throughput

SLOWER = 0.6  # the part of the rate that is kept in a trial
OWN = (
    3  # refusals of one prompt that are its own fault, unless others are refused as often in a row
)
PATIENT = 1.0  # seconds to wait for the answers of running requests before another cut
IN_VAIN = 4  # refusals in a row after which a server that names no wait is left alone for a while


class LearnedRate:
    """Learns the rate and the concurrency that a server allows.

    `jobs` is the user's ceiling. `random` returns numbers from 0 to 1. An advertised limit is
    followed unless it asks for more than `longest` seconds from one request to the next.
    """

    def __init__(
        self, jobs: int, random: Callable[[], float], *, longest: float = INFINITE
    ) -> None:
        self.rate = INFINITE  # requests a second
        self.refusals = 0
        self.running = 0
        self.holds = Holds()
        self._at_once = Concurrency(jobs)
        self._refusals = Refusals()
        self._random = random
        self.requests = 0  # that were started: the last one has this number
        self._spacing = Spacing(random)  # of requests, by the rate
        self._refused_at = INFINITE  # the rate of the last refusal; infinite: there was none
        self._cut = -1  # the number of the last request before the last cut of the rate
        self._grown_at = 0.0
        self._strikes = 0  # refusals since a request was accepted
        self._unanswered = 0  # the same, counting those that were sent before a cut too
        self._in_vain = 0  # holds since a request was accepted
        self._probe = 0  # the number of the only request that may run after holds in vain
        self._held_before = 0.0  # seconds held in all before the last cut
        self._hits = 0  # refusals of requests after the last cut
        self._named = False  # refusals after the last cut agreed on the end of the limit
        self._guessed = False  # the trial follows a wrong guess of a concurrency limit
        self._cut_at = -INFINITE
        self._latency = PATIENT / 2  # seconds until an answer begins, on average
        self._throughput = Throughput()
        self._last_now = -INFINITE
        self._advertised = AdvertisedLimits(longest)

    @property
    def concurrency(self) -> int:
        """How many requests may run at once."""
        return self._at_once.most

    @property
    def found_rate(self) -> float | None:
        """The requests a second that the server allows; None if no such limit was met."""
        if INFINITE in (self.rate, self._refused_at) or self._refusals.trying:
            return None
        return max(self.rate, self._refused_at)

    @property
    def found_concurrency(self) -> int | None:
        """How many requests the server takes at once; None if no such limit was met."""
        return self._at_once.most if self._at_once.is_bounded else None

    # When the next may start

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may start; inf if one has to end first."""
        self._follow_clock(now)
        if self.running >= self.concurrency or self._probe:
            return INFINITE
        return max(0.0, self.holds.left(now), self._spacing.left(now))

    def started(self, now: float, tokens: int = 0) -> Ticket:
        """Count a request that starts now; `tokens` is the estimated size of its prompt.

        Return its ticket, which is passed back to `answered` or `refused`, and always to `ended`.
        """
        self._follow_clock(now)
        self.requests += 1
        self.running += 1
        self._throughput.asked(now)
        self._grow(now)
        interval = max(1 / self.rate, self._advertised.interval(now, tokens))
        self._spacing.started(now, interval, at_least=self._at_once.apart(self._latency))
        if self._in_vain > 1:
            self._probe = self.requests
        return Ticket(now, self.requests, self.running, tokens)

    # The outcome of a request

    def ended(self, ticket: Ticket, tokens: int | None = None) -> None:
        """Count a request that is over; `tokens` are those that it used, None if unknown."""
        self.running -= 1
        if ticket.number == self._probe:
            self._probe = 0
        if tokens:
            self._advertised.used(ticket, tokens)

    def answered(self, ticket: Ticket, now: float) -> None:
        """Learn that a request was accepted: the first event of its answer came."""
        self._strikes = self._in_vain = self._probe = self._unanswered = 0
        took = min(max(now - ticket.at, 0.0), PATIENT)
        self._latency += (took - self._latency) / 8
        self._throughput.answered(now)
        self._at_once.answered(ticket)
        self._judge_trial(ticket, now)

    def refused(
        self,
        ticket: Ticket,
        now: float,
        wanted: float | None,
        *,
        before: int = 0,
        concurrent: bool = False,
    ) -> float:
        """Learn from a refusal; return the seconds that its prompt has to wait.

        `wanted`: the wait that the server asks for. `before`: how often this prompt was refused
        before. `concurrent`: the server's words name a concurrency limit ("too many concurrent
        requests").
        """
        self._count_refusal(ticket, now)
        refusals, at_once = self._refusals, self._at_once
        own = refusals.own_wait(before, wanted, self._random)
        if wanted and refusals.agree(ticket.number, now, wanted) and self._unanswered >= AGREED:
            self.holds.hold(now, wanted)  # nothing is accepted before
            self._named = True
        if self._is_expected(ticket, now, wanted):
            return max(own, self.holds.left(now))
        self._strikes += 1
        new = self._throughput.age(now) < self._latency  # the first answers may be on their way
        few = not refusals.dense and (new or refusals.are_few(wanted))
        silent = wanted is None and self.rate == INFINITE and at_once.guesses
        guess = silent and (at_once.is_bounded or not few)
        if concurrent or guess:
            self._limit_concurrency(ticket, now, concurrent)
        elif refusals.trying:
            self._judge_trial(ticket, now)
        elif refusals.random or (few and self.rate == INFINITE):
            pass  # shedding, or too little is known
        elif self.rate == INFINITE and not refusals.dense:
            self._try(now)
        elif before >= OWN and self._strikes < OWN and self.rate < INFINITE:
            pass  # others are answered meanwhile
        elif self._limit_rate(ticket, now, wanted):
            return max(own, self.holds.left(now))
        return own

    def advise(
        self, allowed: Iterable[Allowance], now: float, ticket: Ticket | None = None
    ) -> None:
        """Spread the next requests over the allowance that a response states, if it is small.

        `ticket` is that of the response's request: the server has not counted those after it yet.
        """
        after = self.running if ticket is None else min(self.running, self.requests - ticket.number)
        tokens = 0 if ticket is None else ticket.tokens
        if wait := self._advertised.read(allowed, now, after, tokens, self.concurrency):
            self.holds.hold(now, wait)

    # Steps

    def _count_refusal(self, ticket: Ticket, now: float) -> None:
        self.refusals += 1
        self._unanswered += 1
        self._throughput.refused(now)
        self._hits += ticket.number > self._cut
        self._at_once.note(ticket)
        self._refusals.add(ticket.number, self.running)

    def _is_expected(self, ticket: Ticket, now: float, wanted: float | None) -> bool:
        """Return whether a refusal says nothing new.

        The request came a moment early after a hold; it was sent before the last cut; or the
        answers of the requests beside it may still come.
        """
        early = wanted is not None and self.holds.came_early(now, wanted)
        return early or ticket.number <= self._cut or 0 <= now - self._cut_at < self._latency

    def _limit_concurrency(self, ticket: Ticket, now: float, named: bool) -> None:
        """Bound the running requests; if that is not the limit, go on with the rate."""
        if self._at_once.refused(ticket, named):
            self._cut = self.requests
        elif self._refusals.dense or self._refusals.are_few(None):
            self.rate = max(self._throughput.rate(now), 1.0)  # start from what was accepted
            self._spacing.restart(now, 1 / self.rate)
            self._settle(now)
        else:
            self._try(now, guessed=True)

    def _limit_rate(self, ticket: Ticket, now: float, wanted: float | None) -> bool:
        """Cut the rate, and hold all requests if cuts do not help; return False for shedding."""
        holds = self._cut >= 0 and self._strikes > (1 if wanted else IN_VAIN)
        deep = self._named or ticket.number - self._cut <= self._hits
        self._cut_rate(ticket, now, wanted or BASE, holds)
        cut = Cut(ticket.number, now, self.rate, self.running, self.rate * self._latency)
        if self._refusals.cut(cut, deep=deep):
            self._open(2 * self.rate)
            return False
        if holds:
            doubled = self._in_vain - (1 if wanted else 0)  # the first wish is believed
            wait = backoff(doubled, self._random) if doubled >= 0 else 0.0
            self.holds.hold(now, max(wanted or 0.0, wait))
            self._in_vain += 1
        return True

    def _follow_clock(self, now: float) -> None:
        """Move all moments with a clock that was set back."""
        back = self._last_now - now
        self._last_now = now
        if back > 0:
            self._spacing.shift(back)
            self.holds.shift(back)
            self._cut_at -= back
            self._advertised.forget()
            self._throughput.forget()

    def _grow(self, now: float) -> None:
        """Let the rate come back with time."""
        passed, self._grown_at = now - self._grown_at, now
        if self.rate == INFINITE or self._refusals.trying:
            return
        if self.rate > 4 * max(self._throughput.rate(now), 1.0):  # the rate holds nothing up
            if self._refusals.random and self.rate > 4 * self._throughput.asked_rate(now):
                self.rate = INFINITE
            return
        self.rate = grown(self.rate, self._refused_at, passed, self.requests - self._cut)

    def _cut_rate(self, ticket: Ticket, now: float, wait: float, holds: bool) -> None:
        """Lower the rate, by the rate of accepted requests."""
        measured = self._throughput.rate(now, self.requests - ticket.number)
        accepted = max(0, ticket.number - self._cut - self._hits)
        if self.rate == INFINITE:
            self.rate = max(measured, 1 / max(wait, 0.05))
        elif accepted or not holds:  # otherwise only waiting helps, not a lower rate
            passed = now - self._cut_at
            if accepted >= ENOUGH and self.holds.total - self._held_before > (1 - FAR) * passed:
                measured = min(measured, accepted / passed)  # most of the time was spent waiting
            self.rate, refused_at = lowered(self.rate, measured, accepted)
            if accepted > 1 or not holds:  # else nothing was let in, which shows no limit
                self._refused_at = refused_at
        self._spacing.delay(now, 1 / self.rate)
        self._settle(now)

    def _settle(self, now: float) -> None:
        """Begin a new cut: refusals of requests that were sent before it do not count."""
        self._cut, self._cut_at, self._hits, self._named = self.requests, now, 0, False
        self._held_before = self.holds.total

    def _try(self, now: float, *, guessed: bool = False) -> None:
        """Try a lower rate for a while, to see whether fewer requests are refused.

        `guessed`: a wrong guess bounded the running requests, so the limit may be much higher.
        """
        self._guessed = guessed
        self._refused_at = max(self._throughput.rate(now), 0.1)
        self.rate = SLOWER * self._refused_at
        self._spacing.delay(now, 1 / self.rate)
        self._refusals.begin_trial(self.requests)

    def _judge_trial(self, ticket: Ticket, now: float) -> None:
        """Set the rate by the result of the trial, if there is one now."""
        if self._refusals.judge_trial(ticket.number):
            if self._refusals.random:
                self._open(INFINITE)
            else:
                self.rate = self._refused_at if self._guessed else CUT * self._refused_at
                self._refused_at = INFINITE if self._guessed else self._refused_at
                self._settle(now)

    def _open(self, rate: float) -> None:
        """Go on at `rate`, which then doubles until it holds nothing up."""
        self.rate, self._refused_at = rate, INFINITE
        self._spacing.clear()
