"""Tell a limit from random refusals by the share of requests that are refused: pure, no clock.

A limit refuses nearly everything that comes too much, and stops refusing once we ask for less.
Random refusals (an overloaded replica, a proxy that sheds) come as often however slowly we ask.
Requests are numbered in the order in which they start. A request that was not refused counts as
accepted: refusals come quickly, and answers may take minutes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

DENSE = 14, 22  # so many refusals among so many requests: a limit refuses all that come
AT_ONCE = 44  # requests, or twice those that run: they do not come in the order of their starts
FEW = 16, 130  # fewer refusals than this are not a reason to slow down while nothing is learned
FEW_AT_ONCE = 16, 32  # nor fewer than this, if the server says "again, at once"
MANY_RUN = 64  # if more run, so many times as many refusals among so many times as many requests
EXPECTED = 8  # refusals that a trial at a lower rate would have at least, if that does not help
FEWER = 0.3  # it helps if not more than this part of the refusals is left
AGAIN = 1000  # requests after which refusals that seemed random are doubted; then twice as many
FUTILE = 6  # cuts by which the rate fell to this part of what it was:
FALLEN = 0.6
AGREED = 5  # refusals that name one moment mean that nothing is accepted before
BASE, CAP = 0.5, 20.0  # seconds of backoff without a hint
SOON = 18  # requests from one cut to the next, besides those let be, that mean "soon after"
QUICK = 2.5  # seconds from one to the next that mean it too, unless twice as many as run came


class Cut(NamedTuple):
    """A cut to `rate` because of request `number`, while so many were `running`.

    The refusals of so many requests are `let_be` after it.
    """

    number: int
    at: float
    rate: float
    running: int
    let_be: float


class Refusals:
    """The refusals of one server, by the numbers of their requests.

    `random` is whether they come however slowly we ask. `dense` is whether nearly all of the last
    requests were refused.
    """

    def __init__(self) -> None:
        self.random = False
        self._newest = 0  # the last request that was refused
        self._bits = 0  # whether the request so far before that one was refused
        self._running = 0  # that run with it
        self._doubted = 0  # the number from which on `random` is doubted
        self._patience = AGAIN
        # A moment that refusals name, the first and the last request so refused, and how many were.
        self._named = -1.0, 0, 0, 0
        self._trial: int | None = None  # the number of the last request before the trial
        self._size = 0
        self._most = 0.0  # refusals in it that mean that the rate is a limit, or is none
        self._hits = 0
        # Of each cut: its number, the time, the rate after it, and how many are then let be.
        self._cuts: deque[Cut] = deque(maxlen=FUTILE)

    @property
    def trying(self) -> bool:
        """Whether a lower rate is tried out."""
        return self._trial is not None

    @property
    def dense(self) -> bool:
        count, span = DENSE
        wide = max(AT_ONCE, 2 * self._running)
        return self._among(span) >= count or self._among(wide) * span >= count * wide

    def are_few(self, wanted: float | None) -> bool:
        """Return whether they are too few to tell. `wanted` seconds is the server's wish."""
        count, span = FEW_AT_ONCE if wanted == 0 else FEW
        scale = max(1.0, self._running / MANY_RUN)
        return self._among(int(span * scale)) < count * scale

    def add(self, number: int, running: int) -> None:
        """Note that request `number` was refused, while so many run."""
        self._running = running
        later = number - self._newest
        if later > 0:
            kept = FEW[1] * max(1, running // MANY_RUN + 1) + 2 * running
            self._bits = (self._bits << min(later, kept) | 1) & ((1 << kept) - 1)
            self._newest = number
        else:
            self._bits |= 1 << -later
        if self._trial is not None and number > self._trial:
            self._hits += 1
        if self.random and (self.dense or number > self._doubted):
            self.random = False

    def agree(self, number: int, now: float, wanted: float) -> bool:
        """Return whether one request after the other is refused until the same moment."""
        moment, first, last, count = self._named
        first, last = min(first, number), max(last, number)
        if abs(now + wanted - moment) > max(0.05, wanted / 10) or last - first > count + 2:
            first, last, count = number, number, 0
        self._named = now + wanted, first, last, count + 1
        return count + 1 >= AGREED

    def begin_trial(self, number: int) -> None:
        """Note that requests after this one are asked at a lower rate."""
        bits = self._bits & ((1 << (FEW[1] + self._running)) - 1)
        share = bits.bit_count() / max(1, bits.bit_length())
        self._trial, self._hits = number, 0
        self._size, self._most = int(EXPECTED / share) + 1, max(2.0, FEWER * EXPECTED)

    def judge_trial(self, number: int) -> bool:
        """Return whether a trial is over, by request `number`; `random` is what it showed."""
        if self._trial is None:
            return False
        if self._hits > self._most:
            self._are_random(number)
        elif number - self._trial < self._size:
            return False
        self._trial = None
        return True

    def cut(self, cut: Cut, *, deep: bool) -> bool:
        """Note a cut; return whether cuts are in vain.

        `deep`: nothing was accepted since the one before, so that it is a limit.
        """
        if deep:
            return False
        self._cuts.append(cut)
        cuts = list(self._cuts)
        if len(cuts) < FUTILE or cut.rate > FALLEN * cuts[0].rate or self.dense:
            return False
        if not all(map(_is_soon, cuts[-4:], cuts[-3:])):
            return False
        self._are_random(cut.number)
        return True

    def _are_random(self, number: int) -> None:
        self.random = True
        self._doubted = number + self._patience
        self._patience *= 2
        self._cuts.clear()

    def _among(self, span: int) -> int:
        """Return how many of the last `span` requests were refused."""
        return (self._bits & ((1 << span) - 1)).bit_count()


def _is_soon(before: Cut, cut: Cut) -> bool:
    requests = cut.number - before.number - SOON
    quick = cut.at - before.at < QUICK and requests <= 2 * cut.running
    return quick or requests <= before.let_be


def backoff(before: int, random: Callable[[], float]) -> float:
    """Return the seconds that a prompt waits which was refused so often before, without a hint."""
    return min(CAP, BASE * 2.0 ** min(before, 16)) * (1 + random()) / 2
