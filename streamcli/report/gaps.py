"""The gaps between the chunks of all answers of a group, in milliseconds. Pure.

A percentile of percentiles is wrong. If only the percentiles of an answer's gaps are known, each
gap counts as the most that it can be, so a percentile of all gaps is an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import ceil
from operator import mul
from typing import Any

from ..timings import Histogram
from .numbers import MOST, Pending, is_number


class Gaps:
    """Counts gaps, within 1 %; their mean and maximum are exact.

    `estimated` is the number of gaps of which only the percentiles of their answer are known.
    """

    def __init__(self) -> None:
        self.estimated = 0
        self.pending: Pending = Pending()
        self.histogram = Histogram()
        self._count = 0
        self._sum = 0.0

    @property
    def mean(self) -> float | None:
        return self._sum / self._count if self._count else None

    def add(self, gaps: Mapping[float, int]) -> None:
        """Count gaps with their number."""
        pending = self.pending
        for gap, count in gaps.items():
            pending[gap] = pending.get(gap, 0) + count
            self._count += count
            self._sum += gap * count

    def add_histogram(self, gaps: Histogram) -> None:
        self.histogram.merge(gaps)
        self._count += gaps.count
        self._sum += (gaps.mean or 0.0) * gaps.count

    def estimate(self, summary: Mapping[str, Any], chunks: Any, rounds: Any) -> None:
        """Count the gaps of an answer whose `icl_ms` is `summary`; ignore a malformed one."""
        rounds = rounds if type(rounds) is int and rounds > 0 else 1
        if type(chunks) is not int or not rounds < chunks <= MOST:
            return
        mean: Any = summary.get("mean")
        values: list[Any] = [summary.get(name) for name in ("p50", "p90", "p99", "max")]
        if is_number(mean) and all(map(is_number, values)):
            total = chunks - rounds
            for value, count in zip(values, _shares(total), strict=True):
                if count:
                    self.pending[value] = self.pending.get(value, 0) + count
            self.estimated += total
            self._count += total
            self._sum += mean * total

    def estimate_many(self, summaries: Iterable[Sequence[float]], totals: Sequence[int]) -> None:
        """Count the gaps of many answers by their summaries: mean, p50, p90, p99 and max.

        `totals` are the numbers of gaps, from 1 on.
        """
        means, *values = zip(*summaries, strict=True)
        for value, counts in zip(values, zip(*map(_shares, totals), strict=True), strict=True):
            self.histogram.add_counts(zip(value, counts, strict=True))
        total = sum(totals)
        self.estimated += total
        self._count += total
        self._sum += sum(map(mul, means, totals))

    def merge(self, other: Gaps) -> None:
        """Add those of another group; what waits in either has to be folded before."""
        self.histogram.merge(other.histogram)
        self.estimated += other.estimated
        self._count += other._count
        self._sum += other._sum


@lru_cache(4096)
def _shares(total: int) -> tuple[int, int, int, int]:
    """Return how many of `total` values are up to p50, p90 and p99; the last one is the maximum."""
    p50, p90, p99 = (min(total - 1, ceil(total * share)) for share in (0.5, 0.9, 0.99))
    return p50, p90 - p50, p99 - p90, total - p99
