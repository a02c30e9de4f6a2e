"""Confidence intervals of the change of a quantile, or of a share, between two samples. Pure.

The q-quantile of the requests that a sample represents lies between the sample's K-th value and the
one after it, where K is binomial(n, q), however the values are distributed. So a sample gives the
values that its quantile may have, with their probabilities. A bootstrap draws these values at
random; here they are computed, and an end about which a small sample says nothing is open. The
change from one sample to another has the probabilities of all pairs of such values.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate
from math import ceil, inf, sqrt
from statistics import NormalDist

_NEGLIGIBLE = 1e-9  # beside the likeliest value

Spread = dict[float, float]  # values with their probabilities
Change = Callable[[float, float], float]  # from the second number to the first one


class Sample:
    """Values with how often each occurs, such as a histogram's buckets."""

    def __init__(self, counts: Iterable[tuple[float, int]]) -> None:
        ordered = sorted(counts)
        self._values = [value for value, _ in ordered]
        self._ranks = list(accumulate(count for _, count in ordered))
        self.n = self._ranks[-1] if self._ranks else 0

    def at(self, rank: int) -> float:
        """Return the value of a rank from 1 to n; before them 0, the least; then infinity."""
        if rank < 1:
            return 0.0
        return inf if rank > self.n else self._values[bisect_left(self._ranks, rank)]

    def quantile(self, q: float) -> float:
        """Return the smallest value that at least `q` of all values do not exceed."""
        return self.at(max(1, ceil(round(self.n * q, 9))))

    def spread(self, q: float, *, up: bool) -> Spread:
        """Return the values that the quantile may have; where it is between two, the upper one."""
        spread: Spread = {}
        for k, probability in _binomial(self.n, q):
            value = self.at(k + up)
            spread[value] = spread.get(value, 0.0) + probability
        return spread


def interval_of_quantile(
    a: Sample, b: Sample, q: float, doubt: float, change: Change
) -> tuple[float, float]:
    """Return the interval of the change from b's quantile to a's; `doubt` is what lies outside."""
    low = _pairs(a.spread(q, up=False), b.spread(q, up=True), change)
    high = _pairs(a.spread(q, up=True), b.spread(q, up=False), change)
    return _reach(sorted(low.items()), doubt / 2), _reach(sorted(high.items())[::-1], doubt / 2)


def interval_of_share(a: tuple[int, int], b: tuple[int, int], doubt: float) -> tuple[float, float]:
    """Return the interval of the difference of two shares (count, of), after Newcombe (1998)."""
    z = NormalDist().inv_cdf(1 - doubt / 2)
    (share_a, low_a, high_a), (share_b, low_b, high_b) = (_wilson(*each, z) for each in (a, b))
    difference = share_a - share_b
    below = sqrt((share_a - low_a) ** 2 + (high_b - share_b) ** 2)
    above = sqrt((high_a - share_a) ** 2 + (share_b - low_b) ** 2)
    return difference - below, difference + above


def _wilson(count: int, of: int, z: float) -> tuple[float, float, float]:
    """Return a share, and the ends of its interval after Wilson (1927)."""
    share = count / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return share, max(0.0, middle - half), min(1.0, middle + half)


def _pairs(a: Spread, b: Spread, change: Change) -> Spread:
    found: Spread = {}
    for value_a, probability_a in a.items():
        for value_b, probability_b in b.items():
            value = change(value_a, value_b)
            found[value] = found.get(value, 0.0) + probability_a * probability_b
    return found


def _reach(ordered: list[tuple[float, float]], doubt: float) -> float:
    """Return the value until which there is this much probability."""
    total = 0.0
    for value, probability in ordered:
        total += probability
        if total > doubt:
            return value
    return ordered[-1][0]


def _binomial(n: int, q: float) -> list[tuple[int, float]]:
    """Return the numbers that a binomial variable takes, with probabilities, without far tails."""
    mode = min(n, int((n + 1) * q))
    odds = q / (1 - q)
    weights = {mode: 1.0}
    k, weight = mode, 1.0
    while k > 0 and weight > _NEGLIGIBLE:
        weight *= k / ((n - k + 1) * odds)
        k -= 1
        weights[k] = weight
    k, weight = mode, 1.0
    while k < n and weight > _NEGLIGIBLE:
        weight *= (n - k) * odds / (k + 1)
        k += 1
        weights[k] = weight
    total = sum(weights.values())
    return [(k, weight / total) for k, weight in weights.items()]
