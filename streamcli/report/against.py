"""Compare the figures of two runs (--report A --against B): is A worse than chance explains? Pure.

The intervals of all rows hold together with 95 % confidence (Bonferroni): a run that is compared to
an equal one has a regression in at most 5 of 100 comparisons, however many figures there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, inf, isfinite, log
from typing import Any

from ..errors import usage
from .figures import Figures
from .intervals import Change, Sample, interval_of_quantile, interval_of_share

DOUBT = 0.05  # the probability that any of the intervals is wrong
RESOLUTION = 0.021  # as a share: one value may be counted in either of two steps of a histogram
POINT = 0.01  # the most that goodput may fall, whatever the tolerance

# The percentiles that are compared: metrics that have one value for each prompt. Gaps between
# chunks have many, which are not independent, and so are waits in a queue: one slow prompt
# makes all those behind it wait. A queue is shown without a verdict.
JUDGED = (
    ("ttft_ms", 0.5),
    ("ttft_ms", 0.9),
    ("ttft_ms", 0.99),
    ("tpot_ms", 0.5),
    ("tpot_ms", 0.99),
    ("duration_ms", 0.5),
    ("duration_ms", 0.99),
)
SHOWN = (("queue_ms", 0.99),)
# The resolution of records in milliseconds: percentages are of at least this.
_LEAST = {"tpot_ms": 0.001}
_LEAST_MS = 0.1


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much worse a figure may be: a share of what it was, or milliseconds."""

    bound: float = 0.05
    unit: str = "%"  # or ms


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of two groups, and what its change means.

    `change` and its interval are shares of B's figure (`unit` "%"), milliseconds ("ms"), or a
    difference of shares ("points"). They are None where nothing is known, and an end is infinite
    where a sample is too small to bound the figure. `verdict` is one of regression, improvement,
    ok, too_few, unknown and not_judged.
    """

    group: str
    figure: str
    a: float | None
    b: float | None
    unit: str
    tolerance: float  # in the same unit
    change: float | None = None
    interval: tuple[float, float] | None = None
    verdict: str = "unknown"
    needs: int = 0  # prompts of either run for a verdict

    def record(self) -> dict[str, Any]:
        """Return the row as JSON can hold it."""
        return {
            "group": self.group,
            "figure": self.figure,
            "a": self.a if self.a is None else storable(self.a),
            "b": self.b if self.b is None else storable(self.b),
            "unit": self.unit,
            "tolerance": storable(self.tolerance),
            "change": self.change if self.change is None else storable(self.change),
            "interval": None if self.interval is None else [*map(storable, self.interval)],
            "verdict": self.verdict,
            **({"needs": self.needs} if self.verdict == "too_few" else {}),
        }


def compare(
    a: Mapping[str, Figures], b: Mapping[str, Figures], tolerance: Tolerance
) -> tuple[list[Row], list[str]]:
    """Return the rows, and the names of the groups that only one of the runs has.

    A group is compared to the one with the same name; if each run has only one, to that one. Raise
    a usage error if there is nothing to compare.
    """
    pairs = [(name, figures, b[name]) for name, figures in a.items() if name in b]
    alone = sorted(a.keys() ^ b.keys())
    if not pairs and len(a) == len(b) == 1:
        (name, figures), (other, others) = *a.items(), *b.items()
        pairs, alone = [(f"{name} against {other}", figures, others)], []
    if not pairs:
        both = f"{', '.join(a) or 'nothing'} against {', '.join(b) or 'nothing'}"
        raise usage(f"--against: there is nothing to compare: {both}", "records of the same models")
    samples = {
        (name, metric): (_sample(one, metric), _sample(two, metric))
        for name, one, two in pairs
        for metric, _ in JUDGED
    }
    judged = sum(
        all(sample.n for sample in samples[name, metric])
        for name, _, _ in pairs
        for metric, _ in JUDGED
    )
    doubt = DOUBT / (judged + len(pairs))
    rows: list[Row] = []
    for name, one, two in pairs:
        for metric, q in JUDGED:
            rows.append(_row(name, metric, q, *samples[name, metric], tolerance, doubt))
        rows.append(_goodput(name, one, two, tolerance, doubt))
        rows += [_shown(name, metric, q, one, two, tolerance) for metric, q in SHOWN]
    return [row for row in rows if (row.a, row.b) != (None, None)], alone


def regressions(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that are worse beyond the tolerance."""
    return [row for row in rows if row.verdict == "regression"]


def _row(
    group: str, metric: str, q: float, a: Sample, b: Sample, tolerance: Tolerance, doubt: float
) -> Row:
    name = _name(metric, q)
    change = _change(metric, tolerance)
    if not a.n or not b.n:
        one, other = (each.quantile(q) if each.n else None for each in (a, b))
        return Row(group, name, one, other, tolerance.unit, tolerance.bound)
    before, after = b.quantile(q), a.quantile(q)
    low, high = interval = interval_of_quantile(a, b, q, doubt, change)
    needs = ceil(log(doubt / 2) / log(max(q, 1 - q)))
    verdict = "too_few" if min(a.n, b.n) < needs else "ok"
    least = RESOLUTION if tolerance.unit == "%" else RESOLUTION * before
    least = max(tolerance.bound, least)
    if low > least:
        verdict = "regression"
    elif high < -least:
        verdict = "improvement"
    return Row(
        group,
        name,
        after,
        before,
        tolerance.unit,
        tolerance.bound,
        change(after, before),
        interval,
        verdict,
        needs,
    )


def _goodput(group: str, a: Figures, b: Figures, tolerance: Tolerance, doubt: float) -> Row:
    """Return the row of the share of good prompts; a lower share is worse."""
    after, before = a.value("goodput"), b.value("goodput")
    if after is None or before is None:
        return Row(group, "goodput", after, before, "points", POINT)
    counts = [(round(share * each.n), each.n) for share, each in ((after, a), (before, b))]
    low, high = interval = interval_of_share(counts[0], counts[1], doubt)
    most = min(tolerance.bound, POINT) if tolerance.unit == "%" else POINT
    verdict = "regression" if high < -most else "improvement" if low > most else "ok"
    change = after - before
    return Row(group, "goodput", after, before, "points", most, change, interval, verdict)


def _shown(group: str, metric: str, q: float, a: Figures, b: Figures, tolerance: Tolerance) -> Row:
    name = _name(metric, q)
    after, before = a.value(name), b.value(name)
    change = None
    if after is not None and before is not None:
        change = _change(metric, tolerance)(after, before)
    unit, bound = tolerance.unit, tolerance.bound
    return Row(group, name, after, before, unit, bound, change, verdict="not_judged")


def _change(metric: str, tolerance: Tolerance) -> Change:
    """Return the function that gives the change from `before` to `after`: as a share, or in ms."""
    least = _LEAST.get(metric, _LEAST_MS)

    def change(after: float, before: float) -> float:
        if after == before:  # infinite ones too
            return 0.0
        if tolerance.unit == "ms":
            return after - before
        if before == inf:
            return -inf
        return (after - before) / max(before, least)

    return change


def _sample(figures: Figures, metric: str) -> Sample:
    return Sample(figures.histogram(metric).counts())


def _name(metric: str, q: float) -> str:
    return f"{metric}.p{q * 100:.10g}"


def storable(value: float) -> float | str:
    """Return a number as JSON can hold it: infinite ones are texts, as in the report."""
    return round(value, 6) if isfinite(value) else str(value)
