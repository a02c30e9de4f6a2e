"""Find how many requests a server takes at once: pure, told what became of them.

A server that names its concurrency limit is believed. One that refuses without a reason and without
a wait may have one: this is then a guess, which is given up if requests are refused although no
more of them run than were accepted before.
"""

from __future__ import annotations

from collections import deque

AT_FIRST = 14  # refusals, the first of which gives the bound
INSIDE = 2  # refusals within the bound: the limit is another one
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
        self._found = 0  # so many were accepted at once, and not more; 0: nothing was found
        self._sure = False  # a second refusal was for the same number
        self._running: deque[int] = deque(maxlen=AT_FIRST)  # of those refused
        self._left = 0  # answers until more are tried
        self._rounds = 1  # how many they are, in parts of the bound
        self._inside = 0
        self._in_peace = 0  # answers since a refusal

    @property
    def is_bounded(self) -> bool:
        return self.most < self._jobs

    def note(self, ticket: Ticket) -> None:
        """Note a refusal, of whatever limit."""
        self._running.append(ticket.running)

    def refused(self, ticket: Ticket, named: bool) -> bool:
        """Lower the bound; return False if the limit is not one on concurrency.

        `named`: the server said that it is one.
        """
        found = self._found
        if not found:
            least = min(self._running, default=ticket.running)
            self._bound(ticket.running - 1 if named else least - 1)
            return True
        inside = ticket.running <= found
        if not named:
            self._inside += inside
            if self._inside >= INSIDE or ticket.running > 1.25 * found + 2:
                self.guesses = False
                self.most, self._found = self._jobs, 0
                return False
        if not inside:
            self._sure = True
            self._rounds = min(2 * self._rounds, SLOWEST)
        self._bound(ticket.running - 1 if inside or named else found)
        return True

    def answered(self, ticket: Ticket) -> None:
        """Try one more after a while without refusals; while unsure, twice as many."""
        if not self._found:
            return
        self._in_peace += 1
        if self._in_peace > 3 * self._found + 10:
            self._inside = 0
        if self.most < self._jobs and ticket.running >= self.most:
            self._left -= 1
            if self._left <= 0:
                self._found = self.most
                self.most = min(self._jobs, self.most + (1 if self._sure else self.most))
                self._left = self.most * (self._rounds if self._sure else 1)

    def _bound(self, most: int) -> None:
        self._found = self.most = max(1, min(self._jobs, most))
        self._left = self.most * self._rounds
        self._in_peace = 0
