"""Render a Markdown table as lines: in columns, or row by row if the terminal is too narrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from rich import box
from rich.console import Console, JustifyMethod
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from .cells import alignments, cells
from .inline import inline

_NARROW = 8  # columns of the terminal that a column of the table needs at least
_HEADER = Style(bold=True)


def table(source: str, width: int, console: Console, *, marked: bool) -> Sequence[Text]:
    """Return the lines of the table, none wider than `width`."""
    header, delimiter, *lines = source.split("\n")
    sides = alignments(delimiter) or []
    count = len(sides)
    names = [inline(cell, marked=marked) for cell in cells(header)]
    rows = [[inline(cell, marked=marked) for cell in cells(line)[:count]] for line in lines]
    for row in rows:
        row += [Text()] * (count - len(row))
    for name in names:
        name.stylize(_HEADER)
    widest = [max(row[at].cell_len for row in [names, *rows]) for at in range(count)]
    if sum(widest) + 2 * count > width and count * _NARROW > width:
        return _row_by_row(names, rows, width, console)
    drawn = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, border_style=Style(dim=True)
    )
    for name, side in zip(names, sides, strict=True):
        drawn.add_column(name, justify=cast(JustifyMethod, side or "left"), overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    options = console.options.update(width=width, height=None)
    return [_text(line) for line in console.render_lines(drawn, options, pad=False)]


def _row_by_row(
    names: list[Text], rows: list[list[Text]], width: int, console: Console
) -> Sequence[Text]:
    """Return each row as a paragraph: a line for each cell, its column's name in front."""
    lines: list[Text] = []
    for row in rows or [[Text()] * len(names)]:
        if lines:
            lines.append(Text())
        for name, cell in zip(names, row, strict=True):
            lines += Text.assemble(name, ": ", cell).wrap(console, width, overflow="fold")
    return lines


def _text(line: list[Segment]) -> Text:
    text = Text()
    for segment in line:
        text.append(segment.text, segment.style)
    return text
