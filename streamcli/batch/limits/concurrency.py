"""Find how many requests a server takes at once: pure, told what became of them.

A server that names its concurrency limit is believed. One that refuses without a reason and without
a wait may have one: this is then a guess, which is given up if requests are refused although no
more of them run than were accepted before.
"""

from __future__ import annotations

from collections import deque

AT_FIRST = 14  # refusals, the first of which gives the bound
INSIDE = 2  # signs that the limit is another one
BEYOND = 1.25  # times the fewest that were refused: if so many are accepted, it is another limit
SPREAD = 0.8  # of even distances from one start to the next
SLOWEST = 200  # rounds of answers from one probe to the next, at most


class Ticket:
    """A request on its way: when it began, which one it was, and how many ran with it."""

    __slots__ = ("at", "number", "running", "tokens")

    def __init__(self, at: float, number: int, running: int, tokens: int) -> None:
        self.at = at
        self.number = number
        self.running = running
        self.tokens = tokens  # in its prompt, about


class Concurrency:
    """The bound on the requests that run at once: `most`, which never exceeds `jobs`.

    `guesses`: a refusal without a reason may still be a concurrency limit.
    """

    def __init__(self, jobs: int) -> None:
        self.most = jobs
        self.guesses = True
        self._jobs = jobs
        self._named = False
        self._found = 0  # so many were accepted at once; 0: no limit was met
        self._step = 0  # so many more are tried next
        self._rounds = 1  # of answers, before they are tried
        self._answers = 0  # of requests that ran with as many as may, since the bound was set
        self._ceiling = jobs + 1  # so many were refused
        self._inside = 0  # signs that it is not the concurrency that is limited
        self._least = jobs + 1  # the fewest that ran when one was refused, since the bound was set
        self._running: deque[int] = deque(maxlen=AT_FIRST)  # of those refused

    @property
    def is_bounded(self) -> bool:
        return self.most < self._jobs

    def apart(self, latency: float) -> float:
        """Return the seconds from one start to the next while the bound is a guess; else 0.

        `latency`: the seconds that an answer takes. Requests in one instant would not tell: a rate
        limit refuses them too, and would pass for a concurrency limit.
        """
        return SPREAD * latency / self.most if self.is_bounded and not self._named else 0.0

    def note(self, ticket: Ticket) -> None:
        """Note a refusal, of whatever limit."""
        self._running.append(ticket.running)

    def refused(self, ticket: Ticket, named: bool) -> bool:
        """Lower the bound; return False if the limit is not one on concurrency.

        `named`: the server said that it is one. Requests do not come in the order in which they
        started: the refused one need not be the last of them.
        """
        found = self._found
        self._named = self._named or named
        if not found:
            least = ticket.running if named else min(self._running)
            self._found = self._step = max(1, least - 1)
        elif self.most > found:  # more were tried
            self._least = min(self._least, ticket.running)
            self._inside += self._answers > 2 * found + 4  # too long before this one
            self._ceiling = self.most
            if ticket.running > 1.25 * self.most:
                self._inside = INSIDE
            if self._step == 1:
                self._rounds = min(2 * self._rounds, SLOWEST)
            self._step = max(1, self._step // 2)
        else:
            self._inside += 1
            self._found = max(1, found - (1 if self._answers > found else max(1, found // 4)))
            self._step = self._rounds = 1
        if self._inside >= INSIDE and not named:
            self.guesses = False
            self.most, self._found, self._least = self._jobs, 0, self._jobs + 1
            return False
        self.most = self._found
        self._answers = 0
        return True

    def answered(self, ticket: Ticket) -> None:
        """Try more after a while without refusals, and then still more."""
        if not self._found or ticket.running < self.most:
            return
        if self.most >= ticket.running > BEYOND * self._least:
            self._inside = INSIDE
        self._answers += 1
        if self.most == self._found and self._answers > self._found * SLOWEST:
            self._inside = 0
        if self.most < self._jobs and self._answers >= self.most * self._rounds:
            if self.most > self._found:
                self._step = min(2 * self._step, self.most)
                self._rounds = max(1, self._rounds // 2)
            self._found = self.most
            if self._found >= self._ceiling:  # which were refused before
                self._inside += 1
                self._ceiling = self._jobs + 1
            self.most = min(self._jobs, self.most + self._step)
            self._answers = 0
