"""Tell a limit from random refusals (shedding), by the share of requests that are refused: pure.

A limit refuses nearly all requests beyond it, and stops refusing once we ask more slowly. Random
refusals (an overloaded replica, a proxy that sheds load) come as often however slowly we ask.
Requests are numbered in the order in which they start. A request that was not refused counts as
accepted: refusals come quickly, and answers may take minutes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

# Pairs are (refusals, requests).
DENSE = 14, 22  # if so many of the last requests were refused, a limit refuses them
AT_ONCE = 44  # a wider look, as requests do not arrive in the order of their starts
FEW = 16, 130  # fewer refusals are no reason to slow down while nothing is learned
FEW_AT_ONCE = 16, 32  # the same, if the server asks for no wait
MANY_RUN = 64  # if more requests run, the numbers of FEW grow in proportion
EXPECTED = 8  # refusals that a trial at a lower rate has at least, if the lower rate is no help
FEWER = 0.3  # the lower rate helps if at most this part of the refusals is left
AGAIN = 1000  # requests after which random refusals are doubted; the next time twice as many
FUTILE = 6  # cuts are in vain if after so many
FALLEN = 0.6  # the rate fell to this part, and refusals go on
CHANCE = 3  # refusals of a prompt that may be chance, while others are answered
AGREED = 5  # if so many refusals name the same time, nothing is accepted before it
BASE, CAP = 0.5, 20.0  # seconds of backoff without a hint
SOON = 18  # a cut comes soon after another one if at most so many requests are between them,
QUICK = 2.5  # or so many seconds


class Cut(NamedTuple):
    """A cut to `rate` because of request `number`, at a time when so many were `running`.

    Refusals of the next `let_be` requests count as consequences of the same limit.
    """

    number: int
    at: float
    rate: float
    running: int
    let_be: float


class Refusals:
    """The refusals of one server, by the numbers of their requests.

    `random` is set if they come however slowly we ask, `dense` if nearly all of the last requests
    were refused.
    """

    def __init__(self) -> None:
        self.random = False
        self._newest = 0  # the number of the last request that was refused
        self._bits = 0  # bit N is set if the request N before the newest one was refused
        self._running = 0  # requests, at the last refusal
        self._doubted = 0  # the number of the request at which `random` is doubted
        self._patience = AGAIN
        # The time that refusals name, the first and the last request with it, and their count.
        self._named = -1.0, 0, 0, 0
        self._trial: int | None = None  # the number of the last request before the trial
        self._size = 0  # requests of the trial
        self._most = 0.0  # more refusals in a trial mean that a lower rate does not help
        self._hits = 0  # refusals in the trial
        self._cuts: deque[Cut] = deque(maxlen=FUTILE)

    @property
    def trying(self) -> bool:
        """Whether a trial at a lower rate is on."""
        return self._trial is not None

    @property
    def dense(self) -> bool:
        """Whether nearly all of the last requests were refused."""
        count, span = DENSE
        wide = max(AT_ONCE, 2 * self._running)
        return self._among(span) >= count or self._among(wide) * span >= count * wide

    def are_few(self, wanted: float | None) -> bool:
        """Return whether the refusals are too few to learn from.

        `wanted` is the wait that the server asks for, in seconds.
        """
        count, span = FEW_AT_ONCE if wanted == 0 else FEW
        scale = max(1.0, self._running / MANY_RUN)
        return self._among(int(span * scale)) < count * scale

    def add(self, number: int, running: int) -> None:
        """Note that request `number` was refused, while so many are running."""
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

    def own_wait(self, before: int, wanted: float | None, random: Callable[[], float]) -> float:
        """Return the seconds that a prompt waits which was refused so often `before`.

        `wanted` seconds is the wait that the server asks for, None if it names none.
        """
        # While others are answered a refusal may be chance, and the wait does not double.
        often = before if self.dense else max(0, before - CHANCE)
        own = backoff(often, random)
        if wanted is not None:
            own = max(wanted, backoff(max(0, often - 1), random) if before else 0.0)
        return own

    def agree(self, number: int, now: float, wanted: float) -> bool:
        """Return whether one request after the other is refused until the same time."""
        moment, first, last, count = self._named
        first, last = min(first, number), max(last, number)
        if abs(now + wanted - moment) > max(0.05, wanted / 10) or last - first > count + 2:
            first, last, count = number, number, 0
        self._named = now + wanted, first, last, count + 1
        return count + 1 >= AGREED

    def begin_trial(self, number: int) -> None:
        """Begin a trial: requests after this one are sent at a lower rate."""
        bits = self._bits & ((1 << (FEW[1] + self._running)) - 1)
        share = bits.bit_count() / max(1, bits.bit_length())
        self._trial, self._hits = number, 0
        self._size, self._most = int(EXPECTED / share) + 1, max(2.0, FEWER * EXPECTED)

    def judge_trial(self, number: int) -> bool:
        """Return whether the trial is over at request `number`; `random` has its result."""
        if self._trial is None:
            return False
        if self._hits > self._most:
            self._are_random(number)
        elif number - self._trial < self._size:
            return False
        self._trial = None
        return True

    def cut(self, cut: Cut, *, deep: bool) -> bool:
        """Note a cut; return whether cuts are in vain, so that refusals are random.

        `deep`: nothing was accepted since the cut before, so there is a limit.
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
    """Return the seconds that a prompt waits without a hint, if it was refused so often before."""
    return min(CAP, BASE * 2.0 ** min(before, 16)) * (1 + random()) / 2
