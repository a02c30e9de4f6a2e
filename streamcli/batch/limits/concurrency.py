"""Find how many requests a server takes at once, from the outcomes of requests: pure.

A server that names its concurrency limit is believed. A server that refuses without a reason and
without a wait may have one. That is a guess, which is given up if requests are refused although no
more of them run than were accepted before.
"""

from __future__ import annotations

from collections import deque

AT_FIRST = 14  # the last refusals of which the one with the fewest running gives the first bound
CONTRADICTIONS = 2  # signs that the limit is not one on concurrency, after which the guess goes
BEYOND = 1.25  # if so many times the fewest running at a refusal are accepted, the guess goes
SPREAD = 0.8  # the part of an even spacing that is kept between two starts
SLOWEST = 200  # rounds of answers from one probe to the next, at most


class Ticket:
    """A running request: when it began, its number, and how many requests ran then."""

    __slots__ = ("at", "number", "running", "tokens")

    def __init__(self, at: float, number: int, running: int, tokens: int) -> None:
        self.at = at
        self.number = number
        self.running = running
        self.tokens = tokens  # the estimated size of its prompt


class Concurrency:
    """Bounds the requests that run at once to `most`, which never exceeds `jobs`.

    While `guesses` is set, a refusal without a reason may be a concurrency limit.
    """

    def __init__(self, jobs: int) -> None:
        self.most = jobs
        self.guesses = True
        self._jobs = jobs
        self._named = False  # the server named the limit
        self._found = 0  # how many were accepted at once; 0: no limit was met
        self._step = 0  # how many more are tried next
        self._rounds = 1  # of answers, before more are tried
        self._answers = 0  # to requests that ran with `most` others, since the bound was set
        self._ceiling = jobs + 1  # the number at which a probe was refused
        self._contradictions = 0  # signs that the limit is not one on concurrency
        self._least = jobs + 1  # the fewest running at a refusal since the bound was set
        self._running: deque[int] = deque(maxlen=AT_FIRST)  # how many ran at each refusal

    @property
    def is_bounded(self) -> bool:
        """Whether fewer than `jobs` may run."""
        return self.most < self._jobs

    def apart(self, latency: float) -> float:
        """Return the seconds from one start to the next while the bound is a guess; else 0.

        `latency` is the seconds until an answer begins. Requests that all start at once would prove
        nothing: a rate limit refuses them as well as a concurrency limit.
        """
        return SPREAD * latency / self.most if self.is_bounded and not self._named else 0.0

    def note(self, ticket: Ticket) -> None:
        """Note a refusal by any kind of limit."""
        self._running.append(ticket.running)

    def refused(self, ticket: Ticket, named: bool) -> bool:
        """Lower the bound; return False if the limit is not one on concurrency.

        `named`: the server said that it is one. Requests may arrive in another order than they
        started, so the refused one need not be the last of them.
        """
        found = self._found
        self._named = self._named or named
        if not found:
            least = ticket.running if named else min(self._running)
            self._found = self._step = max(1, least - 1)
        elif self.most > found:  # more than that were tried
            self._least = min(self._least, ticket.running)
            # So many answers with more running contradict a limit on them.
            self._contradictions += self._answers > 2 * found + 4
            self._ceiling = self.most
            if ticket.running > 1.25 * self.most:
                self._contradictions = CONTRADICTIONS
            if self._step == 1:
                self._rounds = min(2 * self._rounds, SLOWEST)
            self._step = max(1, self._step // 2)
        else:
            self._contradictions += 1
            self._found = max(1, found - (1 if self._answers > found else max(1, found // 4)))
            self._step = self._rounds = 1
        if self._contradictions >= CONTRADICTIONS and not named:
            self.guesses = False
            self.most, self._found, self._least = self._jobs, 0, self._jobs + 1
            return False
        self.most = self._found
        self._answers = 0
        return True

    def answered(self, ticket: Ticket) -> None:
        """Note an answer; after enough of them without a refusal let more requests run."""
        if not self._found or ticket.running < self.most:
            return
        if self.most >= ticket.running > BEYOND * self._least:
            self._contradictions = CONTRADICTIONS
        self._answers += 1
        if self.most == self._found and self._answers > self._found * SLOWEST:
            self._contradictions = 0
        if self.most < self._jobs and self._answers >= self.most * self._rounds:
            if self.most > self._found:
                self._step = min(2 * self._step, self.most)
                self._rounds = max(1, self._rounds // 2)
            self._found = self.most
            if self._found >= self._ceiling:  # so many were refused before
                self._contradictions += 1
                self._ceiling = self._jobs + 1
            self.most = min(self._jobs, self.most + self._step)
            self._answers = 0
