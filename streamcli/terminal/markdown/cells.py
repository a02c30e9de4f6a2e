"""The cells of a Markdown table, as GitHub reads them.

(https://github.github.com/gfm/#tables-extension-)
"""

from __future__ import annotations

import re

WIDE = 4  # columns

_PIPE = re.compile(r"(?<!\\)\|")
_DELIMITERS = re.compile(r"[|:-][|:\- \t]+$")
_DELIMITER = re.compile(r":?-+:?")


def cells(line: str) -> list[str]:
    """Return the cells of a row."""
    found = [cell.strip().replace("\\|", "|") for cell in _PIPE.split(line.strip())]
    if found and not found[0]:
        found.pop(0)
    if found and not found[-1]:
        found.pop()
    return found


def alignments(line: str) -> list[str] | None:
    """Return left, right, center or "" of each column; None for a line that is no delimiter."""
    if not _DELIMITERS.match(line) or re.match(r"-[ \t]", line):
        return None
    columns = cells(line)
    if not all(_DELIMITER.fullmatch(each) for each in columns):
        return None
    return [_SIDES[each[0] == ":", each[-1] == ":"] for each in columns]


_SIDES = {
    (False, False): "",
    (True, False): "left",
    (False, True): "right",
    (True, True): "center",
}


def begins_table(header: str, line: str) -> bool:
    """Return whether `line` makes a table of the line above it."""
    if "|" not in header:
        return False
    columns = alignments(line)
    return bool(columns) and len(columns or ()) == len(cells(header))


def is_row(line: str, header: str) -> bool:
    """Return whether `line` goes on with a table.

    Any text does, unless the table is wide: then a row has half of the cells at least. A few bytes
    would else be thousands of empty cells.
    """
    count = len(cells(header))
    return count <= WIDE or 2 * len(cells(line)) >= count
