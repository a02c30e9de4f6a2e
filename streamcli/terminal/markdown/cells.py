"""Read the cells of a Markdown table, as https://github.github.com/gfm/#tables-extension- says."""

from __future__ import annotations

import re

WIDE = 4  # columns: a table with more of them is wide, see `is_row`

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
    """Return left, right, center or "" for each column; None if the line is not a delimiter row."""
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
    """Return whether `line` is the delimiter row that makes `header` the head of a table."""
    if "|" not in header:
        return False
    columns = alignments(line)
    return bool(columns) and len(columns or ()) == len(cells(header))


def is_row(line: str, header: str) -> bool:
    """Return whether `line` is a further row of a table.

    Any text is, but in a wide table a row needs half of the cells at least: otherwise a few bytes
    would make thousands of empty cells.
    """
    count = len(cells(header))
    return count <= WIDE or 2 * len(cells(line)) >= count
