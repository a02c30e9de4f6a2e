"""Timings of one prompt, in milliseconds since its request began. Pure: times are arguments.

The gaps between deltas (inter-chunk latencies) go into a histogram, so memory does not grow with
the answer. Its buckets are 2 % wide, so percentiles are within 1 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf, log
from typing import Any

_WIDTH = log(1.02)
_FLOOR = 0.001  # a microsecond: below it gaps count as zero


class Histogram:
    """Gaps in milliseconds: exact count, mean and maximum, percentiles within 1 %."""

    __slots__ = ("_buckets", "_infinite", "_max", "_sum", "_zeros", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0.0
        self._max = 0.0
        self._zeros = 0
        self._infinite = 0
        self._buckets: dict[int, int] = {}

    def add(self, gap: float) -> None:
        """Add one gap, in milliseconds."""
        self.count += 1
        if gap < _FLOOR:
            self._zeros += 1
            return
        self._sum += gap
        if gap > self._max:
            self._max = gap
        bucket = int(log(gap / _FLOOR) / _WIDTH)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def add_zeros(self, count: int) -> None:
        """Add `count` gaps of zero: deltas of one read."""
        self.count += count
        self._zeros += count

    def add_many(self, gap: float, count: int) -> None:
        """Add the same gap `count` times; an infinite gap is counted beyond all buckets."""
        if gap == inf:
            self.count += count
            self._infinite += count
        elif gap < _FLOOR:
            self.add_zeros(count)
        else:
            self.count += count
            self._sum += gap * count
            if gap > self._max:
                self._max = gap
            bucket = int(log(gap / _FLOOR) / _WIDTH)
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    def add_counts(self, counts: Iterable[tuple[float, int]]) -> None:
        """Add (gap, count) pairs, as `add_many` does for each, but faster."""
        buckets, number, total, most = self._buckets, 0, self._sum, self._max
        get = buckets.get
        for gap, count in counts:
            if not _FLOOR <= gap < inf:
                self.add_many(gap, count)
            elif count:
                number += count
                total += gap * count
                if gap > most:
                    most = gap
                bucket = int(log(gap / _FLOOR) / _WIDTH)
                buckets[bucket] = get(bucket, 0) + count
        self.count += number
        self._sum, self._max = total, most

    def merge(self, other: Histogram) -> None:
        """Add all gaps of another histogram."""
        self.count += other.count
        self._sum += other._sum
        self._max = max(self._max, other._max)
        self._zeros += other._zeros
        self._infinite += other._infinite
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    def counts(self) -> Iterator[tuple[float, int]]:
        """Yield (gap, count) in ascending order; each gap is within 1 % of those it counts."""
        if self._zeros:
            yield 0.0, self._zeros
        for bucket in sorted(self._buckets):
            yield min(_FLOOR * 1.02**bucket * 1.01, self._max), self._buckets[bucket]
        if self._infinite:
            yield inf, self._infinite

    @property
    def mean(self) -> float | None:
        """The exact mean; None without a single gap."""
        if not self.count:
            return None
        return inf if self._infinite else self._sum / self.count

    @property
    def max(self) -> float | None:
        """The exact maximum; None without a single gap."""
        if not self.count:
            return None
        return inf if self._infinite else self._max

    def percentile(self, q: float) -> float:
        """Return the smallest gap that at least the share `q` of all gaps do not exceed."""
        rank = max(1, -(-self.count * q // 1))
        seen = self._zeros
        if seen >= rank:
            return 0.0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                middle = _FLOOR * 1.02**bucket * 1.01
                return min(middle, self._max)
        return inf if self._infinite else self._max

    def spread(self, parts: int) -> tuple[list[int], float]:
        """Return counts for at most `parts` ranges of equal ratio, and the least value.

        The ranges ascend. If there are gaps of zero, their count comes first, as one range more.
        """
        counts = [self._zeros] if self._zeros else []
        if not self._buckets:
            return counts, 0.0
        first, last = min(self._buckets), max(self._buckets)
        each = -(-(last - first + 1) // parts)
        spread = [0] * ((last - first) // each + 1)
        for bucket, count in self._buckets.items():
            spread[(bucket - first) // each] += count
        least = 0.0 if counts else min(_FLOOR * 1.02**first, self._max)
        return counts + spread, least

    def summary(self) -> dict[str, float] | None:
        """Return mean, p50, p90, p99 and max in milliseconds; None without a single gap."""
        if not self.count:
            return None
        return {
            "mean": round(self._sum / self.count, 3),
            "p50": round(self.percentile(0.5), 3),
            "p90": round(self.percentile(0.9), 3),
            "p99": round(self.percentile(0.99), 3),
            "max": round(self._max, 3),
        }


class Meter:
    """Measures the `timings` of an `end` record."""

    def __init__(self) -> None:
        self.headers_ms: float | None = None
        self.ttft_ms: float | None = None  # first delta of any channel
        self.ttfo_ms: float | None = None  # first visible text
        self.chunks = 0
        self.gaps = Histogram()
        self._last = 0.0  # the time of the last delta
        self._began: float | None = None  # the time of the first delta of this round
        self._earlier = 0.0  # from first to last delta, summed over the rounds before this one
        self._rounds = 1

    def deltas(self, t_ms: float, count: int, text: bool) -> None:
        """Note that `count` deltas came with the read at `t_ms`; `text`: some of them visible."""
        if self._began is None:
            self._began = t_ms
            if self.ttft_ms is None:
                self.ttft_ms = t_ms
        else:
            self.gaps.add(t_ms - self._last)
        if count > 1:
            self.gaps.add_zeros(count - 1)
        if text and self.ttfo_ms is None:
            self.ttfo_ms = t_ms
        self.chunks += count
        self._last = t_ms

    def next_round(self) -> None:
        """Begin a round of a tool loop, so that the tools' time is not a gap between deltas."""
        if self._began is not None:
            self._earlier += self._last - self._began
        self._began = None
        self._rounds += 1

    def rate(self, duration_ms: float, output_tokens: int | None) -> float | None:
        """Return tokens per second after the first token: (tokens - 1) / (end - TTFT).

        In a tool loop each round has its own first token. None for an answer that came in one read.
        """
        if not output_tokens or output_tokens <= self._rounds or self._began is None:
            return None
        if self._last <= self._began and not self._earlier:
            return None
        seconds = (self._earlier + duration_ms - self._began) / 1000
        return round((output_tokens - self._rounds) / seconds, 1) if seconds > 0 else None

    def timings(self, duration_ms: float, output_tokens: int | None) -> dict[str, Any]:
        return {
            "headers_ms": _ms(self.headers_ms),
            "ttft_ms": _ms(self.ttft_ms),
            "ttfo_ms": _ms(self.ttfo_ms),
            "duration_ms": _ms(duration_ms),
            "tokens_per_second": self.rate(duration_ms, output_tokens),
            "chunks": self.chunks,
            "icl_ms": self.gaps.summary(),
        }


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
