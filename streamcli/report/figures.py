"""Compute the figures of a group of requests: counts, sums, percentiles. Pure.

Memory is flat: values are counted in histograms, so percentiles are within 1 %; means, maxima,
counts and sums are exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

from ..errors import EXIT_OF_STATUS
from ..events import USAGE_FIELDS
from ..timings import Histogram
from .columns import Columns
from .figure_names import COUNTS, LATENCIES, METRICS, RATES, STATISTICS, is_name, quantile
from .gaps import Gaps
from .numbers import MOST, Pending, fold, is_number, wait_of
from .spans import Spans

# The latencies of a failed request with `adjusted`: it never had a token, and never ended.
_ADJUSTED = {"ttft_ms": inf, "ttfo_ms": inf, "wait_ms": inf, "duration_ms": inf}
_PENDING = 8192  # requests and gaps whose values are kept before they go into histograms
_FEW = 8192  # different values of a metric that may be kept longer, each with its count


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
        self.retries = 0
        self.gaps = Gaps()
        self._limits = dict(limits or {})
        self._good = 0
        self._tokens: dict[str, int | None] = dict.fromkeys(USAGE_FIELDS)
        self._cost: float | None = None
        self._pending: dict[str, Pending] = {
            name: Pending() for name in METRICS if name != "icl_ms"
        }
        self._lists = [(name, self._pending[name]) for name in LATENCIES]
        self._histograms = {name: Histogram() for name in self._pending}
        self._waiting = 0
        self._spans = Spans()

    def add(
        self, record: Mapping[str, Any], gaps: Mapping[float, int] | Histogram | None = None
    ) -> None:
        """Count an `end` record; a field that is not as the schema says is unknown.

        `gaps` are those between its delta records with their number, if these were read.
        """
        if record.get("reused_from"):
            self.reused += 1
            return
        self.n += 1
        status = record.get("status")
        known = isinstance(status, str) and status in EXIT_OF_STATUS
        self.statuses[str(status) if known else "unknown"] += 1
        code = record.get("exit_code")
        ok = status in ("complete", "enough") if type(code) is not int else code == 0
        self.ok += ok
        attempts, rounds = record.get("attempts"), record.get("rounds")
        if type(attempts) is int and 0 <= attempts <= MOST:
            self._add_attempts(attempts, rounds if type(rounds) is int else 1, 1)
        if type(usage := record.get("usage")) is dict:
            self._count_tokens(usage)
        self._add_cost(record.get("cost"))
        timings = record.get("timings")
        if type(timings) is not dict:
            timings = {}
        if ok:
            for name, pending in self._lists:
                value = timings.get(name)
                if value is not None and is_number(value):
                    pending[value] = pending.get(value, 0) + 1
            if (wait := wait_of(timings)) is not None:
                waits = self._pending["wait_ms"]
                waits[wait] = waits.get(wait, 0) + 1
        else:
            self._fail(timings)
        if isinstance(gaps, Histogram):
            self.gaps.add_histogram(gaps)
        elif gaps is not None:
            self.gaps.add(gaps)
            self._waiting += len(gaps)
        elif type(summary := timings.get("icl_ms")) is dict:
            self.gaps.estimate(summary, timings.get("chunks"), record.get("rounds"))
        self._good += ok and (not self._limits or self._meets(timings))
        self._spans.add(record.get("ts"), timings.get("duration_ms"))
        self._counted(1)

    def add_many(self, many: Columns, *, ok: bool) -> None:
        """Count records that are all ok, or all failed; there must be no `limits`."""
        number = len(many.ts)
        self.n += number
        for status, count in Counter(many.statuses).items():
            self.statuses[status if status in EXIT_OF_STATUS else "unknown"] += count
        for (attempts, rounds), count in Counter(
            zip(many.attempts, many.rounds, strict=True)
        ).items():
            self._add_attempts(attempts, rounds, count)
        for name, counts in many.tokens.items():
            if counts:
                self._tokens[name] = (self._tokens[name] or 0) + sum(counts)
        if many.costs:
            self._cost = (self._cost or 0.0) + sum(many.costs)
        if ok:
            self.ok += number
            self._good += number
            for name, values in many.times.items():
                self._pending[name].update(values)
        else:
            self._pending["queue_ms"].update(many.times["queue_ms"])
            for name in _ADJUSTED if self.adjusted else ():
                self._pending[name][inf] += number
        if many.gaps:
            self.gaps.estimate_many(many.gaps, many.gap_counts)
        self._spans.add_many(many.ts, many.durations)
        self._counted(number)

    def next_file(self) -> None:
        """Begin another file: the time between two files does not count as time of requests."""
        self._spans.close()

    def _counted(self, number: int) -> None:
        self._waiting += number
        if self._waiting >= _PENDING:
            self.fold(_FEW)

    def fold(self, few: int = 0) -> None:
        """Move the kept values into histograms, whose size is bounded.

        The values of a metric stay if at most `few` of them differ.
        """
        self._waiting = 0
        if len(self.gaps.pending) > few:
            fold(self.gaps.pending, self.gaps.histogram)
        for name, pending in self._pending.items():
            if len(pending) > few:
                if name == "tokens_per_second":
                    self._histograms["tpot_ms"].add_counts(
                        (1000 / rate, count)
                        for rate, count in pending.items()
                        if rate * MOST >= 1000
                    )
                fold(pending, self._histograms[name])

    def names(self) -> list[str]:
        """Return the names of the known figures; `value` takes other percentiles too."""
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
            return histogram.mean if metric != "icl_ms" else self.gaps.mean
        share = quantile(statistic)
        assert share is not None
        return histogram.percentile(share)

    def histogram(self, metric: str) -> Histogram:
        """Return the histogram of a metric; with `adjusted`, failures are infinite in it."""
        self.fold()
        return self.gaps.histogram if metric == "icl_ms" else self._histograms[metric]

    def merge(self, other: Figures) -> None:
        """Add the requests of another group, whose `adjusted` and `limits` are the same."""
        self.fold()
        other.fold()
        self.statuses += other.statuses
        self.n += other.n
        self.ok += other.ok
        self.reused += other.reused
        self.attempts += other.attempts
        self.retries += other.retries
        self._good += other._good
        self.gaps.merge(other.gaps)
        for name, histogram in other._histograms.items():
            self._histograms[name].merge(histogram)
        for name, count in other._tokens.items():
            if count is not None:
                self._tokens[name] = (self._tokens[name] or 0) + count
        if other._cost is not None:
            self._cost = (self._cost or 0.0) + other._cost
        self._spans.merge(other._spans)

    def _count(self, name: str) -> float | None:
        self.fold()
        if name in USAGE_FIELDS:
            return self._tokens[name]
        if name in ("n", "ok", "reused", "attempts", "retries"):
            return int(getattr(self, name))
        if name == "failed":
            return self.n - self.ok
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
            if type(count) is int and 0 <= count <= MOST:
                tokens[name] = (tokens[name] or 0) + count

    def _add_attempts(self, attempts: int, rounds: int, times: int) -> None:
        self.attempts += attempts * times
        self.retries += max(0, attempts - rounds) * times  # each round has an attempt at least

    def _add_cost(self, cost: float | None) -> None:
        if is_number(cost):
            self._cost = (self._cost or 0.0) + cost

    def _fail(self, timings: Mapping[str, Any]) -> None:
        """Count the latencies of a failed request; its wait in the queue counts as it is."""
        queue = timings.get("queue_ms")
        worst = _ADJUSTED if self.adjusted else {}
        for name, value in (*worst.items(), ("queue_ms", queue)):
            if value == inf or is_number(value):
                pending = self._pending[name]
                pending[value] = pending.get(value, 0) + 1

    def _meets(self, timings: Mapping[str, Any]) -> bool:
        """Return whether a request keeps the limits of the goodput."""
        for name, most in self._limits.items():
            value = timings.get("tokens_per_second" if name == "tpot_ms" else name)
            if name == "wait_ms":
                value = wait_of(timings)
            if not is_number(value):
                return False
            if name == "tpot_ms":
                value = 1000 / value if value else inf
            if value > most:
                return False
        return True


def in_order(figures: Mapping[str, Figures]) -> Iterator[tuple[str, Figures]]:
    """Yield groups with their names, those with the most requests first."""
    yield from sorted(figures.items(), key=lambda each: (-each[1].n, each[0]))
