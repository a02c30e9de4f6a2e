"""Write figures for people: numbers, verdicts, totals, and the bars of a histogram."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from ..outcome import decimal
from ..terminal.row_words import number as whole_number
from ..terminal.sanitize import one_line
from ..terminal.stats import BARS
from ..terminal.widths import cells as width_of
from ..timings import Histogram
from .figures import Figures

# The metrics that a report shows: their names for people, and in records.
SHOWN = (
    ("TTFT", "ttft_ms"),
    ("TTFO", "ttfo_ms"),
    ("gap", "icl_ms"),
    ("duration", "duration_ms"),
    ("queue", "queue_ms"),
    ("tok/s", "tokens_per_second"),
)
_STEP = 0.025  # the least width of a bar, as a share: values are known to 2 % of themselves
_EDGES = (0.01, 0.99)  # a histogram is drawn between these percentiles


def number(value: float | None) -> str:
    """Return a figure for people: three significant digits, thousands apart."""
    if value is None:
        return "-"
    if value == inf:
        return "inf"
    if value >= 1e7:  # hours, in milliseconds
        return f"{value:.2e}".replace("e+0", "e").replace("e+", "e")
    if value >= 99.95:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}" if value else "0"


def count(value: float | None) -> str:
    """Return a whole number for people."""
    return "-" if value is None else whole_number(round(value))


def figure(figures: Figures, name: str) -> str:
    """Return the figure of that name for people; an upper bound begins with ≤."""
    value = figures.value(name)
    metric, _, statistic = name.partition(".")
    if metric in ("n", "ok", "failed") or metric.endswith("_tokens"):
        return count(value)
    bound = "≤" if metric == "icl_ms" and figures.gaps.estimated and statistic[:1] == "p" else ""
    return bound + number(value)


def verdicts(figures: Figures) -> list[str]:
    """Return how many requests were ok, and the verdicts of the others, the most frequent first."""
    bad = [
        f"{count(many)} {status}"
        for status, many in figures.statuses.most_common()
        if status not in ("complete", "enough")
    ]
    return [f"{count(figures.ok)} of {count(figures.n)} ok", *bad]


def totals(figures: Figures) -> Iterator[str]:
    """Yield the figures with one value for a group: goodput, throughput, tokens, cost, retries."""
    goodput = figures.value("goodput")
    if goodput is not None:
        yield f"goodput {_percent(goodput)}"
    if (rate := figures.value("output_token_throughput")) is not None:
        yield f"{number(rate)} tok/s in all"
    if (rate := figures.value("request_throughput")) is not None:
        yield f"{number(rate)} requests/s"
    for name, word in (("input_tokens", "in"), ("output_tokens", "out")):
        if (tokens := figures.value(name)) is not None:
            yield f"{count(tokens)} tokens {word}"
    if (cost := figures.value("cost")) is not None:
        yield f"cost {decimal(cost, 6)}"
    if retries := figures.value("retries"):
        yield f"{count(retries)} retries"
    if figures.reused:
        yield f"{count(figures.reused)} reused, not measured"


def shown_name(name: str) -> str:
    """Return a group's name as one line without control characters."""
    return one_line(name, 200) or "-"


def left(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def right(text: str, width: int) -> str:
    return " " * (width - width_of(text)) + text


def bins(histogram: Histogram, most: int) -> tuple[list[int], float, float] | None:
    """Return counts in at most `most` steps of equal width, the first value and the last.

    They go from the first percentile to the 99th; values beyond are left out. Return None if there
    is nothing to draw.
    """
    low, high = (histogram.percentile(edge) for edge in _EDGES)
    if histogram.count < 2 or high == inf or high <= low:
        return None
    most = max(1, min(most, int((high - low) / (high * _STEP))))
    counts = [0] * most
    for value, many in histogram.counts():
        if low <= value <= high:
            counts[min(most - 1, int((value - low) / (high - low) * most))] += many
    return counts, low, high


def sparkline(histogram: Histogram, width: int) -> str:
    """Return a histogram as bars, and its range: `▁▂▆█▇▅▃▂▁ 120-400`; "" where there is none."""
    if (drawn := bins(histogram, width)) is None:
        return ""
    counts, low, high = drawn
    most = max(counts)
    bars = "".join(BARS[round(many * 7 / most)] if many else " " for many in counts)
    return f"{bars} {number(low)}-{number(high)}"


def _percent(share: float) -> str:
    """Return a share in percent; never 100 while something is missing."""
    shown = f"{share * 100:.1f}"
    if shown == "100.0" and share < 1:
        shown = "99.9"
    return f"{shown.removesuffix('.0')} %"
