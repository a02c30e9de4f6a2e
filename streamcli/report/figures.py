"""Figures of one group of requests: counts, sums and percentiles from their `end` records. Pure.

Memory is flat: values are counted in histograms, so percentiles are within 1 %; means, maxima,
counts and sums are exact.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from math import ceil, inf
from typing import Any, TypeGuard

from ..errors import EXIT_OF_STATUS
from ..events import USAGE_FIELDS
from ..timings import Histogram

# One value a request each, from `timings`: milliseconds, and tokens a second.
LATENCIES = ("ttft_ms", "ttfo_ms", "duration_ms", "headers_ms", "queue_ms", "tokens_per_second")
# And those that are not in the record as they are: the wait for the first token from the time that
# was due on, time per output token, gaps between chunks.
METRICS = (*LATENCIES, "wait_ms", "tpot_ms", "icl_ms")
COUNTS = ("n", "ok", "failed", "reused", "attempts", "retries", *USAGE_FIELDS)
RATES = ("goodput", "cost", "wall_ms", "request_throughput", "output_token_throughput")
STATISTICS = ("mean", "p50", "p90", "p99", "max")

# What a failed request counts as with `adjusted`: it never had a token, and never ended.
_ADJUSTED = {"ttft_ms": inf, "ttfo_ms": inf, "wait_ms": inf, "duration_ms": inf}
_MOST = 1e12  # of a value: 31 years in milliseconds; what is beyond it is not a measurement
_PENDING = 8192  # requests whose values wait for their buckets
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,6})?)")
_TS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def quantile(statistic: str) -> float | None:
    """Return the share that a name like p99 or p99.9 stands for; None for another name."""
    match = _PERCENTILE.fullmatch(statistic)
    return float(match[1]) / 100 if match else None


def is_name(name: str) -> bool:
    """Return whether `name` is one that Figures.value knows."""
    metric, dot, statistic = name.partition(".")
    if dot:
        known = statistic in ("mean", "max") or quantile(statistic) is not None
        return metric in METRICS and known
    return metric in COUNTS or metric in RATES


class Figures:
    """Collects the `end` records of one group; `value` answers by name.

    A request is ok if its `exit_code` is 0 (so after --accept). Latencies are those of ok requests.
    With `adjusted` a failed one has an infinite TTFT, TTFO and duration, so that failing fast
    improves nothing.

    `limits` are the greatest values by metric (such as {"ttft_ms": 500}) that a request of the
    goodput may have; without any it is the share of ok requests. A request that lacks the value
    does not meet its limit.
    """

    def __init__(
        self, *, adjusted: bool = False, limits: Mapping[str, float] | None = None
    ) -> None:
        self.adjusted = adjusted
        self.statuses: Counter[str] = Counter()
        self.n = 0
        self.ok = 0
        self.reused = 0  # answered from other records: not measured
        self.attempts = 0
        self.estimated = 0  # gaps that are known by the percentiles of their request only
        self._limits = dict(limits or {})
        self._good = 0
        self._gaps = 0  # their number, and their sum in milliseconds
        self._gap_sum = 0.0
        self._tokens: dict[str, int | None] = dict.fromkeys(USAGE_FIELDS)
        self._cost: float | None = None
        self._pending: dict[str, dict[float, int]] = {name: {} for name in METRICS}
        self._lists = [(name, self._pending[name]) for name in LATENCIES]
        self._histograms = {name: Histogram() for name in self._pending}
        self._waiting = 0
        self._spans = _Spans()

    def add(
        self, record: Mapping[str, Any], gaps: Mapping[float, int] | Histogram | None = None
    ) -> None:
        """Count an `end` record; what is not as the schema says is unknown.

        `gaps`: those between its delta records with their number, where these were read.
        """
        if record.get("reused_from"):
            self.reused += 1
            return
        self.n += 1
        status = record.get("status")
        self.statuses[status if isinstance(status, str) and status in EXIT_OF_STATUS else "?"] += 1
        code = record.get("exit_code")
        ok = status in ("complete", "enough") if type(code) is not int else code == 0
        self.ok += ok
        attempts = record.get("attempts")
        if type(attempts) is int and 0 <= attempts <= _MOST:
            self.attempts += attempts
        if type(usage := record.get("usage")) is dict:
            self._count_tokens(usage)
        cost = record.get("cost")
        if _is_number(cost):
            self._cost = (self._cost or 0.0) + cost
        timings = record.get("timings")
        if type(timings) is not dict:
            timings = {}
        if ok:
            for name, pending in self._lists:
                value = timings.get(name)
                if value is not None and _is_number(value):
                    pending[value] = pending.get(value, 0) + 1
            if (wait := _wait(timings)) is not None:
                waits = self._pending["wait_ms"]
                waits[wait] = waits.get(wait, 0) + 1
        else:
            self._fail(timings)
        if isinstance(gaps, Histogram):
            self._histograms["icl_ms"].merge(gaps)
            self._gaps += gaps.count
            self._gap_sum += (gaps.mean or 0.0) * gaps.count
        elif gaps is not None:
            pending = self._pending["icl_ms"]
            for gap, count in gaps.items():
                pending[gap] = pending.get(gap, 0) + count
                self._gaps += count
                self._gap_sum += gap * count
            self._waiting += len(gaps)
        elif type(summary := timings.get("icl_ms")) is dict:
            self._estimate(summary, timings.get("chunks"), record.get("rounds"))
        self._good += ok and (not self._limits or self._meets(timings))
        self._spans.add(record.get("ts"), timings.get("duration_ms"))
        self._waiting += 1
        if self._waiting >= _PENDING:
            self.fold()

    def next_file(self) -> None:
        """Begin another file: the time between the requests of two files is not part of either."""
        self._spans.close()

    def fold(self) -> None:
        """Move the values that wait into their buckets, which are a bounded number."""
        if not self._waiting:
            return
        self._waiting = 0
        for rate, count in self._pending["tokens_per_second"].items():
            if rate * _MOST >= 1000:
                self._histograms["tpot_ms"].add_many(1000 / rate, count)
        for name, pending in self._pending.items():
            add = self._histograms[name].add_many
            for value, count in pending.items():
                add(value, count)
            pending.clear()

    def names(self) -> list[str]:
        """Return the names that have a value here; `value` knows other percentiles as well."""
        found = [name for name in (*COUNTS, *RATES) if self.value(name) is not None]
        for metric in METRICS:
            if self.histogram(metric).count:
                found += [f"{metric}.{statistic}" for statistic in STATISTICS]
        return found

    def value(self, name: str) -> float | None:
        """Return a figure: `n`, `goodput`, `ttft_ms.p99`, `icl_ms.max`, `tokens_per_second.mean`.

        None if nothing is known of it; infinite where failures count as such. Raise a KeyError for
        a name that is not one.
        """
        if not is_name(name):
            raise KeyError(name)
        metric, dot, statistic = name.partition(".")
        if not dot:
            return self._count(name)
        histogram = self.histogram(metric)
        if not histogram.count:
            return None
        if statistic == "max":
            return histogram.max
        if statistic == "mean":
            return histogram.mean if metric != "icl_ms" else self._gap_sum / self._gaps
        share = quantile(statistic)
        assert share is not None
        return histogram.percentile(share)

    def histogram(self, metric: str) -> Histogram:
        """Return the counted values of a metric; failures are infinite where they count so."""
        self.fold()
        return self._histograms[metric]

    def merge(self, other: Figures) -> None:
        """Add the requests of another group, whose `adjusted` and `limits` are the same."""
        self.fold()
        other.fold()
        self.statuses += other.statuses
        self.n += other.n
        self.ok += other.ok
        self.reused += other.reused
        self.attempts += other.attempts
        self.estimated += other.estimated
        self._good += other._good
        self._gaps += other._gaps
        self._gap_sum += other._gap_sum
        for name, histogram in other._histograms.items():
            self._histograms[name].merge(histogram)
        for name, count in other._tokens.items():
            if count is not None:
                self._tokens[name] = (self._tokens[name] or 0) + count
        if other._cost is not None:
            self._cost = (self._cost or 0.0) + other._cost
        self._spans.merge(other._spans)

    def _count(self, name: str) -> float | None:
        if name in USAGE_FIELDS:
            return self._tokens[name]
        if name in ("n", "ok", "reused", "attempts"):
            return int(getattr(self, name))
        if name == "failed":
            return self.n - self.ok
        if name == "retries":
            return max(0, self.attempts - self.n)
        if name == "cost":
            return self._cost
        if name == "goodput":
            return self._good / self.n if self.n else None
        wall = self._spans.milliseconds()
        if name == "wall_ms":
            return wall
        amount = self.n if name == "request_throughput" else self._tokens["output_tokens"]
        return amount / wall * 1000 if wall and amount is not None else None

    def _count_tokens(self, usage: Mapping[str, Any]) -> None:
        tokens = self._tokens
        for name in USAGE_FIELDS:
            count = usage.get(name)
            if type(count) is int and 0 <= count <= _MOST:
                tokens[name] = (tokens[name] or 0) + count

    def _fail(self, timings: Mapping[str, Any]) -> None:
        """Count the latencies of a request that failed: its wait in the queue was real."""
        queue = timings.get("queue_ms")
        worst = _ADJUSTED if self.adjusted else {}
        for name, value in (*worst.items(), ("queue_ms", queue)):
            if value == inf or _is_number(value):
                pending = self._pending[name]
                pending[value] = pending.get(value, 0) + 1

    def _estimate(self, summary: Mapping[str, Any], chunks: Any, rounds: Any) -> None:
        """Count the gaps of a request of which only percentiles are known.

        Half of them are at most the p50, and so on. Each counts as the most that it can be, so a
        percentile of all is an upper bound; the maximum and the mean are exact.
        """
        begun = rounds if type(rounds) is int and rounds > 0 else 1
        if type(chunks) is not int or not begun < chunks <= _MOST:
            return
        total = chunks - begun
        pending = self._pending["icl_ms"]
        values: list[Any] = [summary.get(name) for name in ("p50", "p90", "p99", "max")]
        mean: Any = summary.get("mean")
        if not all(map(_is_number, (mean, *values))) or sorted(values, key=float) != values:
            return
        self.estimated += total
        self._gaps += total
        self._gap_sum += mean * total
        for value, count in zip(values, _shares(total), strict=True):
            if count:
                pending[value] = pending.get(value, 0) + count

    def _meets(self, timings: Mapping[str, Any]) -> bool:
        for name, most in self._limits.items():
            value = timings.get("tokens_per_second" if name == "tpot_ms" else name)
            if name == "wait_ms":
                value = _wait(timings)
            if not _is_number(value):
                return False
            if name == "tpot_ms":
                value = 1000 / value if value else inf
            if value > most:
                return False
        return True


def _wait(timings: Mapping[str, Any]) -> float | None:
    """Return the milliseconds from the time that a request was due to its first token."""
    queue, ttft = timings.get("queue_ms"), timings.get("ttft_ms")
    if queue is None or not _is_number(queue) or not _is_number(ttft):
        return None
    return float(queue + ttft)


@lru_cache(1024)
def _shares(total: int) -> tuple[int, int, int, int]:
    """Return how many of `total` values are up to p50, p90 and p99; the last one is the maximum."""
    p50, p90, p99 = (min(total - 1, ceil(total * share)) for share in (0.5, 0.9, 0.99))
    return p50, p90 - p50, p99 - p90, total - p99


def _is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value can be a measurement: a number from 0 on, and not beyond all time."""
    return (type(value) is float or type(value) is int) and 0 <= value <= _MOST


class _Spans:
    """The time in which requests ran: from the first begin to the last end, in each file.

    The spans of several files are joined where they overlap.
    """

    def __init__(self) -> None:
        self._begin = inf  # seconds, Unix time
        self._last = ""
        self._longest = -1.0
        self._horizon = ""  # who ended later, and was no longer than the longest, began later too
        self._closed: list[tuple[float, float]] = []

    def add(self, ts: Any, duration: Any) -> None:
        """Add a request that ended at `ts` (RFC 3339) after `duration` milliseconds."""
        if type(ts) is not str or not _is_number(duration):
            return
        if ts > self._horizon and duration <= self._longest and len(ts) == 24:
            if ts > self._last and _TS.fullmatch(ts):
                self._last = ts
            return
        if not _TS.fullmatch(ts):
            return
        try:
            end = datetime.fromisoformat(ts).timestamp()
        except (ValueError, OverflowError):
            return
        self._last = max(self._last, ts)
        self._begin = min(self._begin, end - duration / 1000)
        self._longest = max(self._longest, duration)
        horizon = self._begin + self._longest / 1000
        try:
            shown = datetime.fromtimestamp(horizon, datetime.fromisoformat(ts).tzinfo)
        except (ValueError, OverflowError):
            return
        self._horizon = shown.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def close(self) -> None:
        """End the span of this file."""
        self._closed = self._all()
        self._begin, self._last, self._longest, self._horizon = inf, "", -1.0, ""

    def milliseconds(self) -> float | None:
        """Return how long requests ran; None if no record says."""
        spans = self._all()
        return round(sum(end - begin for begin, end in spans) * 1000, 1) if spans else None

    def merge(self, other: _Spans) -> None:
        self.close()
        self._closed = _joined([*self._closed, *other._all()])

    def _all(self) -> list[tuple[float, float]]:
        if not self._last:
            return self._closed
        end = datetime.fromisoformat(self._last).timestamp()
        return _joined([*self._closed, (self._begin, end)])


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return spans that do not overlap, in order, and cover the same time."""
    joined: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined


def in_order(figures: Mapping[str, Figures]) -> Iterator[tuple[str, Figures]]:
    """Yield groups with their names, those with the most requests first."""
    yield from sorted(figures.items(), key=lambda each: (-each[1].n, each[0]))
