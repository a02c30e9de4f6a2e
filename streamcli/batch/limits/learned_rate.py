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

from collections.abc import Callable, Iterable

from .advertised import AdvertisedLimits
from .concurrency import Concurrency, Ticket
from .holds import Holds
from .limit_headers import Allowance
from .rate_steps import CUT, FAR, INFINITE, grown, lowered
from .refusals import AGREED, BASE, Cut, Refusals, backoff
from .throughput import ENOUGH, Throughput

SLOWER = 0.6  # what is left of the rate in a trial
JITTER = 0.04  # of an interval: two processes must not ask in step
CHANCE = 3  # refusals of a prompt that may be chance, while others are answered
AGAIN = 3  # refusals of a prompt that are its own, unless others are refused as often in a row
EARLY = 0.05  # seconds by which a server's clock, or the way to it, may differ
PATIENT = 1.0  # seconds that the answers of those on their way are waited for before another cut
IN_VAIN = 4  # refusals in a row after which a server that names no wait is left alone for a while


class LearnedRate:
    """The rate and the concurrency that a server was seen to allow.

    `jobs` is the user's ceiling. `random` returns numbers from 0 to 1. What a server says in
    advance is heeded up to `longest` seconds from one request to the next.
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
        self._number = 0
        self._next = 0.0  # when the next request may start, by the rate
        self._refused_at = INFINITE  # the rate of the last refusal; infinite: none was
        self._cut = -1  # the number of the last request before the last cut
        self._grown_at = 0.0
        self._strikes = 0  # refusals since something was accepted
        self._unanswered = 0  # the same, with those that were on their way before a cut
        self._in_vain = 0  # holds since then
        self._probe = 0  # the number of the only request that may run after holds in vain
        self._held_before = 0.0  # until the last cut
        self._hits = 0  # refusals of requests after the last cut
        self._named = False  # a moment was named since then by one refusal after the other
        self._guessed = False  # a trial came of a wrong guess
        self._cut_at = -INFINITE
        self._latency = PATIENT / 2  # seconds until an answer begins, on average
        self._throughput = Throughput()
        self._seen = -INFINITE
        self._advertised = AdvertisedLimits(longest)

    @property
    def concurrency(self) -> int:
        """How many requests may run at once."""
        return self._at_once.most

    @property
    def requests(self) -> int:
        """How many were started."""
        return self._number

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
        self._see(now)
        if self.running >= self.concurrency or self._probe:
            return INFINITE
        return max(0.0, self.holds.left(now), self._next - now)

    def started(self, now: float, tokens: int = 0) -> Ticket:
        """Count a request that starts now; return what comes back with its outcome.

        `tokens`: the estimated size of its prompt.
        """
        self._see(now)
        self._number += 1
        self.running += 1
        self._throughput.asked(now)
        self._grow(now)
        interval = max(1 / self.rate, self._advertised.interval(now, tokens))
        if apart := self._at_once.apart(self._latency):
            self._next = now + max(interval, apart)
        elif interval:
            interval *= 1 + JITTER * (2 * self._random() - 1)
            # One that comes late does not shift those behind it, by one interval at most.
            self._next = max(min(self._next, now), now - interval) + interval
        if self._in_vain > 1:
            self._probe = self._number
        return Ticket(now, self._number, self.running, tokens)

    # What became of it

    def ended(self, ticket: Ticket, tokens: int | None = None) -> None:
        """Count a request that is over; `tokens` is what its answer used, if that is known."""
        self.running -= 1
        if ticket.number == self._probe:
            self._probe = 0
        if tokens:
            self._advertised.used(ticket, tokens)

    def answered(self, ticket: Ticket, now: float) -> None:
        """Learn that it was accepted: the first event of its answer came."""
        self._strikes = self._in_vain = self._probe = self._unanswered = 0
        took = min(max(now - ticket.at, 0.0), PATIENT)
        self._latency += (took - self._latency) / 8
        self._throughput.answered(now)
        self._at_once.answered(ticket)
        if self._refusals.trying:
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
        """Learn from a refusal; return the seconds that its prompt waits.

        `wanted`: the server's wish. `before`: how often this prompt was refused before.
        `concurrent`: the server's words name a concurrency limit ("too many concurrent requests").
        """
        self.refusals += 1
        refusals, at_once = self._refusals, self._at_once
        self._unanswered += 1
        self._throughput.refused(now)
        self._hits += ticket.number > self._cut
        at_once.note(ticket)
        refusals.add(ticket.number, self.running)
        # While others are answered it may be chance, which does not wait longer each time.
        often = before if refusals.dense else max(0, before - CHANCE)
        own = backoff(often, self._random)
        if wanted is not None:
            own = max(wanted, backoff(max(0, often - 1), self._random) if before else 0.0)
        if wanted and refusals.agree(ticket.number, now, wanted) and self._unanswered >= AGREED:
            self.holds.hold(now, wanted)  # nothing is accepted before
            self._named = True
        early = wanted is not None and wanted < EARLY and self.holds.came_early(now)
        if early or ticket.number <= self._cut or 0 <= now - self._cut_at < self._latency:
            # It came a moment early after a hold; it was on its way before the last cut, or
            # the answers of those beside it still are.
            return max(own, self.holds.left(now))
        self._strikes += 1
        new = self._throughput.age(now) < self._latency  # the first answers may be on their way
        few = not refusals.dense and (new or refusals.are_few(wanted))
        silent = wanted is None and self.rate == INFINITE and at_once.guesses
        guess = silent and (at_once.is_bounded or not few)
        if concurrent or guess:
            if at_once.refused(ticket, concurrent):
                self._cut = self._number
                return own
            if refusals.dense or refusals.are_few(None):
                self.rate = max(self._throughput.rate(now), 1.0)  # from what was accepted so far on
                self._next = now + 1 / self.rate
                self._settle(now)
            else:
                self._try(now, guessed=True)
            return own
        if refusals.trying:
            self._judge_trial(ticket, now)
            return own
        if refusals.random or (few and self.rate == INFINITE):
            return own
        if self.rate == INFINITE and not refusals.dense:
            self._try(now)
            return own
        if before >= AGAIN and self._strikes < AGAIN and self.rate < INFINITE:
            return own  # others are answered meanwhile
        holds = self._cut >= 0 and self._strikes > (1 if wanted else IN_VAIN)
        deep = self._named or ticket.number - self._cut <= self._hits
        self._cut_rate(ticket, now, wanted or BASE, holds)
        cut = Cut(ticket.number, now, self.rate, self.running, self.rate * self._latency)
        if refusals.cut(cut, deep=deep):
            self._open(2 * self.rate)
            return own
        if holds:
            again = self._in_vain - (1 if wanted else 0)  # a wish that was in vain is doubted
            self.holds.hold(
                now, max(wanted or 0.0, backoff(again, self._random) if again >= 0 else 0.0)
            )
            self._in_vain += 1
        return max(own, self.holds.left(now))

    def advise(self, given: Iterable[Allowance], now: float, ticket: Ticket | None = None) -> None:
        """Spread the next requests over what the server says is left, once that is little.

        `ticket` is that of the request whose response says it: those after it are not counted yet.
        """
        after = self.running if ticket is None else self._number - ticket.number
        tokens = 0 if ticket is None else ticket.tokens
        uncounted = min(self.running, after)
        wait = self._advertised.read(given, now, uncounted, tokens, self.concurrency)
        if wait:
            self.holds.hold(now, wait)

    # Inside

    def _see(self, now: float) -> None:
        """Move all moments with a clock that was set back."""
        back = self._seen - now
        self._seen = now
        if back > 0:
            self._next -= back
            self.holds.shift(back)
            self._cut_at -= back
            self._advertised.forget()
            self._throughput.forget()

    def _grow(self, now: float) -> None:
        """Let the rate come back."""
        passed, self._grown_at = now - self._grown_at, now
        if self.rate == INFINITE or self._refusals.trying:
            return
        if self.rate > 4 * max(self._throughput.rate(now), 1.0):  # it is not what holds us up
            if self._refusals.random and self.rate > 4 * self._throughput.asked_rate(now):
                self.rate = INFINITE
            return
        self.rate = grown(self.rate, self._refused_at, passed, self._number - self._cut)

    def _cut_rate(self, ticket: Ticket, now: float, wait: float, holds: bool) -> None:
        measured = self._throughput.rate(now, self._number - ticket.number)
        accepted = max(0, ticket.number - self._cut - self._hits)
        if self.rate == INFINITE:
            self.rate = max(measured, 1 / max(wait, 0.05))
        elif accepted or not holds:  # otherwise waiting may help, and asking more slowly does not
            passed = now - self._cut_at
            if accepted >= ENOUGH and self.holds.total - self._held_before > (1 - FAR) * passed:
                measured = min(measured, accepted / passed)  # it was mostly waited
            self.rate, refused_at = lowered(self.rate, measured, accepted)
            if accepted > 1 or not holds:  # otherwise it was shut, which says nothing of its limit
                self._refused_at = refused_at
        self._next = max(self._next, now + 1 / self.rate)
        self._settle(now)

    def _settle(self, now: float) -> None:
        """Let the requests that are on their way be: they began before this."""
        self._cut, self._cut_at, self._hits, self._named = self._number, now, 0, False
        self._held_before = self.holds.total

    def _try(self, now: float, *, guessed: bool = False) -> None:
        """Ask more slowly for a while, to see whether fewer are refused.

        `guessed`: a wrong guess held the rate down, so that the limit may be much higher.
        """
        self._guessed = guessed
        self._refused_at = max(self._throughput.rate(now), 0.1)
        self.rate = SLOWER * self._refused_at
        self._next = max(self._next, now + 1 / self.rate)
        self._refusals.begin_trial(self._number)

    def _judge_trial(self, ticket: Ticket, now: float) -> None:
        if self._refusals.judge_trial(ticket.number):
            if self._refusals.random:
                self._open(INFINITE)
            else:
                self.rate = self._refused_at if self._guessed else CUT * self._refused_at
                self._refused_at = INFINITE if self._guessed else self._refused_at
                self._settle(now)

    def _open(self, rate: float) -> None:
        """Let the rate double until it holds nothing up: a limit may be there all the same."""
        self.rate, self._refused_at, self._next = rate, INFINITE, 0.0
