"""Tell a limit from random refusals by the share of requests that are refused: pure, no clock.

A limit refuses nearly everything that comes too much, and stops refusing once we ask for less.
Random refusals (an overloaded replica, a proxy that sheds) come as often however slowly we ask.
Requests are numbered in the order in which they start. A request that was not refused counts as
accepted: refusals come quickly, and answers may take minutes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

DENSE = 14, 22  # so many refusals among so many requests: a limit refuses all that come
DENSE_AT_ONCE = 28, 44  # of many that start at once, which do not come in their order
FEW = 16, 130  # fewer refusals than this are not a reason to slow down while nothing is learned
FEW_AT_ONCE = 16, 32  # nor fewer than this, if the server says "again, at once"
EXPECTED = 8  # refusals that a trial at a lower rate would have at least, if that does not help
FEWER = 0.3  # it helps if not more than this part of the refusals is left
AGAIN = 1000  # requests after which refusals that seemed random are doubted; then twice as many
FUTILE = 6  # cuts by which the rate fell to this part of what it was:
FALLEN = 0.6
AGREED = 5  # refusals that name one moment mean that nothing is accepted before
BASE, CAP = 0.5, 20.0  # seconds of backoff without a hint
SOON = 10  # requests from one cut to the next, besides those that run, that mean "soon after"


class Refusals:
    """The refusals of one server, by the numbers of their requests.

    `random` is whether they come however slowly we ask. `dense` is whether nearly all of the last
    requests were refused.
    """

    def __init__(self) -> None:
        self.random = False
        self._numbers: deque[int] = deque(maxlen=DENSE_AT_ONCE[0] + FEW[0])
        self._doubted = 0  # the number from which on `random` is doubted
        self._patience = AGAIN
        # A moment that refusals name, the first request so refused, and how many were.
        self._named = -1.0, 0, 0
        self._trial: int | None = None  # the number of the last request before the trial
        self._size = 0
        self._most = 0.0  # refusals in it that mean that the rate is a limit, or is none
        self._hits = 0
        # Of each cut: its number, the rate after it, and how many ran.
        self._cuts: deque[tuple[int, float, int]] = deque(maxlen=FUTILE)

    @property
    def trying(self) -> bool:
        """Whether a lower rate is tried out."""
        return self._trial is not None

    @property
    def dense(self) -> bool:
        if self._among(*DENSE):
            return True
        count, span = DENSE_AT_ONCE
        beyond = max(self._numbers, default=0) - span
        return sum(number > beyond for number in self._numbers) >= count

    def are_few(self, wanted: float | None) -> bool:
        """Return whether they are too few to tell. `wanted` seconds is the server's wish."""
        return not self._among(*(FEW_AT_ONCE if wanted == 0 else FEW))

    def add(self, number: int) -> None:
        self._numbers.append(number)
        if self._trial is not None and number > self._trial:
            self._hits += 1
        if self.random and (self.dense or number > self._doubted):
            self.random = False

    def agree(self, number: int, now: float, wanted: float) -> bool:
        """Return whether one request after the other is refused until the same moment."""
        moment, first, count = self._named
        if abs(now + wanted - moment) > max(0.05, wanted / 10) or number - first > count + 2:
            self._named = now + wanted, number, 1
            return False
        self._named = now + wanted, min(first, number), count + 1
        return count + 1 >= AGREED

    def begin_trial(self, number: int) -> None:
        """Note that requests after this one are asked at a lower rate."""
        last = list(self._numbers)[-FEW[0] :]
        share = len(last) / (max(last) - min(last) + 1)
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

    def cut(self, number: int, rate: float, running: int, *, deep: bool) -> bool:
        """Note a cut to a rate because of request `number`; return whether cuts are in vain.

        `deep`: nothing was accepted since the one before, so that it is a limit.
        """
        if deep:
            return False
        self._cuts.append((number, rate, running))
        cuts = list(self._cuts)
        if len(cuts) < FUTILE or rate > FALLEN * cuts[0][1] or self.dense:
            return False
        if any(b[0] - a[0] > SOON + 2 * b[2] for a, b in zip(cuts[-4:], cuts[-3:], strict=False)):
            return False
        self._are_random(number)
        return True

    def _are_random(self, number: int) -> None:
        self.random = True
        self._doubted = number + self._patience
        self._patience *= 2
        self._cuts.clear()

    def _among(self, count: int, span: int) -> bool:
        """Return whether the last `count` refusals were among `span` requests."""
        last = list(self._numbers)[-count:]
        return len(last) == count and max(last) - min(last) < span


def backoff(before: int, random: Callable[[], float]) -> float:
    """Return the seconds that a prompt waits which was refused so often before, without a hint."""
    return min(CAP, BASE * 2.0 ** min(before, 16)) * (1 + random()) / 2
