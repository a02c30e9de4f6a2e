"""Rows on the screen of a terminal that became narrow: how many lines they take there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from .widths import cells

ESCAPES = re.compile(r"\x1b\[[\d;]*[A-Za-z]|\x1b\].*?(?:\x1b\\|\x07)")
# Terminals that set these wrap the rows that are there when they become narrow; xterm, the console
# and screen(1), which sets STY, cut them.
_REWRAP = (
    *("TMUX", "VTE_VERSION", "KITTY_WINDOW_ID", "WT_SESSION", "ALACRITTY_WINDOW_ID"),
    *("KONSOLE_VERSION", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR", "ITERM_SESSION_ID"),
)


def rewraps() -> bool:
    """Return whether the terminal is known to wrap its rows anew."""
    return "STY" not in os.environ and any(map(os.environ.get, _REWRAP))


def size_of(row: str) -> int:
    """Return the cells of a row with escape sequences."""
    return cells(ESCAPES.sub("", row))


def height(sizes: Iterable[int], width: int) -> int:
    """Return how many lines rows of these sizes take, in cells, where they are wrapped."""
    return sum(max(1, -(-size // width)) for size in sizes)
