"""Measure terminals and texts in cells, and cut a text to a width."""

from __future__ import annotations

import os

_WIDTH = 80  # cells, if the terminal does not report its width


def columns_of(fd: int) -> int:
    """Return the width of the terminal `fd` in cells."""
    try:
        return os.get_terminal_size(fd).columns or _WIDTH
    except OSError:
        return _WIDTH


def cells(text: str) -> int:
    """Return how many cells `text` takes: a wide character takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, width: int, mark: str = "...") -> str:
    """Return `text` in at most `width` cells, `mark` in place of its end."""
    if cells(text) <= width:
        return text
    room = max(0, width - len(mark))
    kept = text[:room]  # most characters take a cell or two
    while cells(kept) > room:
        kept = kept[:-1]
    return (kept + mark)[: max(width, 0)]
