"""Show a comparison (--report A --against B) to people: lines of text, and Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import isinf

from ..terminal.widths import cells as width_of
from ..terminal.widths import cut
from .against import Row
from .figure_words import left, number, right, shown_name
from .markdown import escaped

_HEADINGS = ("", "A", "B", "change", "interval", "verdict")
_WORDS = {
    "regression": "regression",
    "improvement": "improvement",
    "ok": "ok",
    "unknown": "unknown",
    "not_judged": "-",
}
_GAP = "  "


def lines(rows: Sequence[Row], *, width: int) -> Iterator[tuple[str, bool]]:
    """Yield the lines of the comparison, each with whether it is a heading.

    Where there is no room, the intervals are left out, then B, then A.
    """
    cells = [_cells(row) for row in rows]
    columns = list(range(len(_HEADINGS)))
    widths = [max(map(width_of, column)) for column in zip(_HEADINGS, *cells, strict=True)]
    for goes in (4, 2, 1):
        if sum(widths[column] + len(_GAP) for column in columns) - len(_GAP) > width:
            columns.remove(goes)

    def line(texts: Sequence[str]) -> str:
        shown = [
            (left if column in (0, 5) else right)(texts[column], widths[column])
            for column in columns
        ]
        return cut(_GAP.join(shown).rstrip(), width)

    at = 0
    for group, members in groupby(rows, key=lambda row: row.group):
        if at:
            yield "", False
        yield cut(shown_name(group), width), True
        yield line(_HEADINGS), True
        for _ in members:
            yield line(cells[at]), False
            at += 1


def markdown(rows: Sequence[Row], *, by: str) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    headings = (escaped(by), "figure", *_HEADINGS[1:])
    yield f"| {' | '.join(headings)} |"
    yield "|---|---|--:|--:|--:|--:|---|"
    for row in rows:
        name, *cells = _cells(row)
        if row.verdict == "regression":
            cells[-1] = f"**{cells[-1]}**"
        yield f"| {' | '.join((escaped(shown_name(row.group)), f'`{name}`', *cells))} |"


def complaints(rows: Sequence[Row]) -> list[str]:
    """Return a line for each regression, with its group if there are several."""
    several = len({row.group for row in rows}) > 1
    found = []
    for row in rows:
        if row.verdict == "regression":
            _, after, before, change, _, _ = _cells(row)
            group = f"{row.group}: " if several else ""
            found.append(
                f"regression: {group}{row.figure} is {after}, was {before}: {change}, "
                f"beyond {_bound(row)}"
            )
    return found


def _bound(row: Row) -> str:
    bound = f"{row.tolerance * (1 if row.unit == 'ms' else 100):.10g}"
    return f"{bound} {'point' if (bound, row.unit) == ('1', 'points') else row.unit}"


def _cells(row: Row) -> tuple[str, ...]:
    """Return the texts of a row: figure, A, B, change, interval, verdict."""
    verdict = f"needs {row.needs}" if row.verdict == "too_few" else _WORDS[row.verdict]
    values = [_value(row, value) for value in (row.a, row.b)]
    change = "-"
    if row.change is not None:
        change = (
            f"{row.change:+}" if isinf(row.change) else f"{_signed(row, row.change)} {row.unit}"
        )
    interval = "-"
    if row.interval is not None:
        low, high = (_signed(row, end) for end in row.interval)
        interval = f"{low} to {high}"
    return row.figure, *values, change, interval, verdict


def _value(row: Row, value: float | None) -> str:
    if row.unit == "points" and value is not None:
        return f"{value * 100:.4g} %"
    return number(value)


def _signed(row: Row, value: float) -> str:
    """Return a change in its unit, with its sign; "?" for an unknown end of an interval."""
    if isinf(value):
        return "?"
    value = value if row.unit == "ms" else value * 100
    if abs(value) >= 1e6:
        return f"{value:+.1e}"
    return f"{value:+.1f}" if abs(value) < 99.95 else f"{value:+.0f}"
