"""Draw the table of --stats: the fields of an answer's end record, or of a batch's summary.

It is drawn without rich, whose import would take longer than many answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

from ..outcome import Outcome, Verdict, decimal
from ..timings import Histogram
from .sanitize import one_line
from .widths import cells, cut

UNKNOWN = "-"
BARS = "▁▂▃▄▅▆▇█"
_BAR_COUNT = 8
_BESIDE = 79  # cells of a terminal that shows usage and timings side by side
_HALF, _GAP = 38, 3  # cells of the left group at most, and between the groups
_NAME = 18  # cells that a name takes at least
_VALUE = 12  # cells that a value keeps on the narrowest terminal, which then wraps the line
_MODEL = 300  # characters of a model's name
_Dim = Callable[[str], str]
_NUMBER = re.compile(r"-|\d[\d.]*")


class Row:
    """One line: the name of a field, and its value for each column of the table."""

    __slots__ = ("name", "values")

    def __init__(self, name: str, *values: str) -> None:
        self.name = name
        self.values = values


class Table:
    """Rows in two groups, which are side by side if there is room."""

    def __init__(self, left: list[Row], right: list[Row]) -> None:
        self.left = left
        self.right = right

    def drawn(self, width: int | None = None, *, dims: bool = False) -> str:
        """Return the lines for a terminal of `width` cells, or for a file without a width.

        `dims`: names are dimmed. A file gets one field on each line: `name value`.
        """
        rows = self.left + self.right
        dim = "\x1b[2m{}\x1b[22m".format if dims else str
        if any(len(row.values) > 1 for row in rows):
            lines = _columns(rows, width, dim)
        elif width is not None and width >= _BESIDE:
            lines = _beside(self.left, self.right, width, dim)
        else:
            lines = [_line(row, *_sizes(rows), width, dim) for row in rows]
        return "".join(f"{line}\n" for line in lines)


def answer_table(
    outcome: Outcome, verdict: Verdict, provider: str, model: str, *, priced: bool
) -> Table:
    """Return the table of one answer of `provider`; `model` is the name that was asked for.

    `priced`: there are prices for the model, so that a missing cost is shown as unknown.
    """
    usage, timings = outcome.usage, outcome.timings()
    gaps = outcome.meter.gaps
    left = [
        Row("model", one_line(outcome.model or model, _MODEL) or UNKNOWN),
        Row("provider", one_line(provider) or UNKNOWN),
        Row("status", verdict.status),
        Row("input_tokens", number(usage.input_tokens)),
        Row("output_tokens", number(usage.output_tokens)),
        Row("reasoning_tokens", number(usage.reasoning_tokens)),
        Row("cache_read_tokens", number(usage.cache_read_tokens)),
    ]
    if usage.cache_write_tokens:
        left.append(Row("cache_write_tokens", number(usage.cache_write_tokens)))
    if outcome.cost is not None or priced:
        left.append(Row("cost", cost(outcome.cost)))
    if outcome.attempts > 1:
        left.append(Row("attempts", str(outcome.attempts)))
    if outcome.rounds > 1:
        left.append(Row("rounds", str(outcome.rounds)))
    names = ("headers_ms", "ttft_ms", "ttfo_ms", "duration_ms", "tokens_per_second", "chunks")
    right = [Row(name, number(timings[name])) for name in names]
    icl: dict[str, Any] = timings["icl_ms"] or {}
    right += [Row(f"icl_ms.{name}", number(icl.get(name))) for name in ("p50", "p90", "p99", "max")]
    if icl.get("max"):
        right.append(Row("icl_ms", sparkline(gaps)))
    return Table(left, right)


def number(value: float | None) -> str:
    """Return a number with one decimal, a small one with three digits; `-` if it is unknown."""
    if value is None:
        return UNKNOWN
    if isinstance(value, int):
        return str(value)
    return f"{value:.3g}" if 0 < value < 9.995 else f"{value:.1f}"


def cost(value: float | None) -> str:
    """Return a cost without an exponent; `-` if it is unknown."""
    return UNKNOWN if value is None else decimal(value, 6)


def sparkline(histogram: Histogram) -> str:
    """Return bars for ranges of values of equal ratio, and the least and the greatest value.

    A blank stands for a range without values.
    """
    counts, least = histogram.spread(_BAR_COUNT)
    greatest = max(counts, default=0)
    bars = "".join(
        BARS[-(-count * len(BARS) // greatest) - 1] if count else " " for count in counts
    )
    summary = histogram.summary()
    return f"{bars} {number(least)}..{number(summary['max'])}" if summary else ""


def _sizes(rows: Sequence[Row]) -> tuple[int, int]:
    """Return the cells of the longest name and of the longest number."""
    names = max(_NAME, *(len(row.name) + 1 for row in rows))
    numbers = [len(v) for row in rows for v in row.values if _NUMBER.fullmatch(v)]
    return names, max(numbers, default=0)


def _line(row: Row, name: int, figures: int, width: int | None, dim: _Dim) -> str:
    """Return one row alone: numbers to the right of their column, words to the left."""
    value = row.values[0]
    if _NUMBER.fullmatch(value):
        value = value.rjust(figures)
    if width is not None:
        value = cut(value, max(width - 1 - name, _VALUE))
    return dim(row.name.ljust(name)) + value


def _beside(left: list[Row], right: list[Row], width: int, dim: _Dim) -> list[str]:
    """Return both groups side by side; rows that are too long for that come first, alone."""
    sizes = _sizes(left), _sizes(right)
    taken = [cells(_line(row, *sizes[0], None, str)) for row in left]
    lines = [
        _line(row, *sizes[0], width, dim)
        for row, size in zip(left, taken, strict=True)
        if size > _HALF
    ]
    short = [(row, size) for row, size in zip(left, taken, strict=True) if size <= _HALF]
    place = max((size for _, size in short), default=0) + _GAP
    for one, other in zip_longest(short, right):
        line, size = ("", 0) if one is None else (_line(one[0], *sizes[0], None, dim), one[1])
        if other is not None:
            line += " " * (place - size) + _line(other, *sizes[1], width - place, dim)
        lines.append(line)
    return lines


def _columns(rows: list[Row], width: int | None, dim: _Dim) -> list[str]:
    """Return a column for each value; those that the width has no room for follow below."""
    name, _ = _sizes(rows)
    room = None if width is None else max(width - 1 - name, _VALUE)
    widths = [
        max(cells(value) for value in column) if room is None
        else min(max(cells(value) for value in column), room)
        for column in zip(*(row.values for row in rows), strict=True)
    ]  # fmt: skip
    lines: list[str] = []
    first = 0
    while first < len(widths):
        last, taken = first + 1, widths[first]
        while last < len(widths) and (room is None or taken + 2 + widths[last] <= room):
            taken += 2 + widths[last]
            last += 1
        lines += [""] if first else []
        for row in rows:
            shown = [cut(row.values[i], widths[i]) for i in range(first, last)]
            padded = [" " * (widths[first + i] - cells(v)) + v for i, v in enumerate(shown)]
            lines.append(dim(row.name.ljust(name)) + "  ".join(padded))
        first = last
    return lines
