"""Count the lines that drawn rows take after a terminal became narrower."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from .widths import cells

ESCAPES = re.compile(r"\x1b\[[\d;]*[A-Za-z]|\x1b\].*?(?:\x1b\\|\x07)")
# Terminals that set these variables wrap existing rows when they become narrower; xterm, the
# console and screen(1), which sets STY, cut the rows.
_REWRAP = (
    *("TMUX", "VTE_VERSION", "KITTY_WINDOW_ID", "WT_SESSION", "ALACRITTY_WINDOW_ID"),
    *("KONSOLE_VERSION", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR", "ITERM_SESSION_ID"),
)


def rewraps() -> bool:
    """Return whether the terminal is known to wrap existing rows."""
    return "STY" not in os.environ and any(map(os.environ.get, _REWRAP))


def size_of(row: str) -> int:
    """Return the cells of a row, without its escape sequences."""
    return cells(ESCAPES.sub("", row))


def height(sizes: Iterable[int], width: int) -> int:
    """Return how many lines rows of these sizes (in cells) take on a terminal that wraps them."""
    return sum(max(1, -(-size // width)) for size in sizes)
