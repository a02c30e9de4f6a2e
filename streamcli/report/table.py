"""Write the report as text: a row for each group, and below the table the details of each.

Nothing is wider than the screen. Columns that do not fit are left out of the table, the least
important first: the details have them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..terminal.widths import cells as width_of
from ..terminal.widths import cut
from .figure_words import (
    SHOWN,
    figure,
    left,
    right,
    shown_name,
    sparkline,
    totals,
    verdicts,
)
from .figures import Figures

PIPE = 120  # columns where there is no terminal
DETAILED = 10  # groups whose details are shown
_LEAST_NAME = 12
_BARS = 16
_STATISTICS = ("p50", "p90", "p99", "max")

# (heading, figure, unit, how early it goes where there is no room: 0 never)
_COLUMNS = (
    ("n", "n", "", 0),
    ("ok", "ok", "", 0),
    ("TTFT p50", "ttft_ms.p50", " ms", 1),
    ("p90", "ttft_ms.p90", "", 5),
    ("p99", "ttft_ms.p99", "", 2),
    ("gap p50", "icl_ms.p50", " ms", 6),
    ("p99", "icl_ms.p99", "", 4),
    ("queue p99", "queue_ms.p99", "", 7),
    ("tok/s", "tokens_per_second.p50", "", 3),
    ("tokens", "output_tokens", "", 8),
)
_GAP = "   "


def lines(
    groups: Sequence[tuple[str, Figures]], *, by: str, width: int = PIPE, details: bool = True
) -> Iterator[tuple[str, bool]]:
    """Yield the lines of the report, each with whether it is a heading."""
    yield from _table(groups, by, width)
    if not details:
        return
    for name, figures in groups:
        yield "", False
        yield from _details(name, figures, width)


def _table(
    groups: Sequence[tuple[str, Figures]], by: str, width: int
) -> Iterator[tuple[str, bool]]:
    by, names = shown_name(by), [shown_name(name) for name, _ in groups]
    columns = [
        (heading, [figure(figures, name) for _, figures in groups], unit, goes)
        for heading, name, unit, goes in _COLUMNS
    ]
    columns = [column for column in columns if not column[3] or set(column[1]) != {"-"}]
    widest = max(width_of(word) for word in (by, *names))
    while True:
        shown = [_column(*column) for column in columns]
        taken = sum(len(_GAP) + width_of(column[0]) for column in shown)
        least = min(widest, _LEAST_NAME)
        if taken + least <= width or not any(column[3] for column in columns):
            break
        columns.remove(max(columns, key=lambda column: column[3]))
    room = max(1, min(widest, width - taken))
    for number, name in enumerate((by, *names)):
        cells = [left(cut(name, room), room), *(column[number] for column in shown)]
        yield _GAP.join(cells).rstrip(), not number


def _column(heading: str, cells: Sequence[str], unit: str, goes: int) -> list[str]:
    """Return the cells of a column below its heading, all of one width."""
    texts = [heading, *(cell + unit if cell[-1].isdigit() else cell for cell in cells)]
    widest = max(map(width_of, texts))
    return [right(text, widest) for text in texts]


def _details(name: str, figures: Figures, width: int) -> Iterator[tuple[str, bool]]:
    yield cut(shown_name(name), width), True
    yield from ((line, False) for line in _wrapped([*verdicts(figures), *totals(figures)], width))
    rows = []
    for label, metric in SHOWN:
        if figures.histogram(metric).count:
            cells = [figure(figures, f"{metric}.{each}") for each in _STATISTICS]
            unit = "" if label == "tok/s" else "ms"
            rows.append((label, cells, unit, sparkline(figures.histogram(metric), _BARS)))
    if not rows:
        return
    headings = list(_STATISTICS)
    wide = max(width_of(cell) for _, cells, _, _ in rows for cell in (*cells, *headings))
    label_width = max(len(label) for label, *_ in rows)
    for missed_least in ("p90", "max", "p50"):
        if label_width + len(headings) * (wide + 2) <= width:
            break
        place = headings.index(missed_least)
        for each in (headings, *(cells for _, cells, _, _ in rows)):
            del each[place]
    yield _row("", headings, label_width, wide), True
    for label, cells, unit, bars in rows:
        row = _row(label, cells, label_width, wide)
        tail = f" {unit}" if unit else ""
        if bars and width_of(row) + 5 + width_of(bars) <= width:
            yield f"{left(row + tail, width_of(row) + 5)}{bars}", False
            continue
        yield (row + tail if width_of(row + tail) <= width else row), False
        if bars:
            yield cut(" " * (label_width + 2) + bars, width), False


def _row(label: str, cells: Iterable[str], label_width: int, wide: int) -> str:
    return label.ljust(label_width) + "".join(right(cell, wide + 2) for cell in cells)


def _wrapped(parts: Sequence[str], width: int) -> Iterator[str]:
    """Yield lines of parts, with a comma between them, that break between parts only."""
    line = ""
    for number, part in enumerate(parts, 1):
        word = part + "," * (number < len(parts))
        if line and width_of(line) + 1 + width_of(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line
