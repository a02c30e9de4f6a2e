"""Put words into rows, as many as fit, and format numbers for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ..outcome import decimal
from .widths import cells, cut

Words = Iterable[tuple[str, str]]  # (text, color)
GAP = "   "  # between two words
# Cells that are left free at the end of a row: the terminal echoes ^C there, and terminals differ
# in the last cell.
MARGIN = 3
_CODES = {"red": 31, "magenta": 35}  # yellow is hard to read on white, blue on black


def joined(words: Words, room: int, *, color: bool) -> str:
    """Return a row of the words that fit into `room` cells; a too long first word is cut."""
    shown: list[str] = []
    taken = -len(GAP)
    for text, name in words:
        if not shown:
            text = cut(text, room)
        taken += len(GAP) + cells(text)
        if taken > room:
            break
        code = _CODES.get(name) if color else None
        shown.append(f"\x1b[{code}m{text}\x1b[39m" if code else text)
    return GAP.join(shown)


def packed(words: Words, room: int) -> list[list[tuple[str, str]]]:
    """Return rows of words, as many in each as fit into `room` cells."""
    rows: list[list[tuple[str, str]]] = []
    taken = room
    for word in words:
        size = cells(word[0])
        if taken + len(GAP) + size > room:
            rows.append([])
            taken = -len(GAP)
        rows[-1].append(word)
        taken += len(GAP) + size
    return rows


def number(count: int) -> str:
    """Return a count with a space between thousands."""
    return f"{count:,}".replace(",", " ")


def rate_of(rate: float) -> str:
    """Return a rate with three significant digits."""
    return number(int(float(f"{rate:.3g}"))) if rate >= 10 else f"{rate:.1f}"


def cost_of(cost: float) -> str:
    """Return a cost with two digits, a small one with three that are not zero."""
    return f"{cost:.2f}" if cost >= 1 else decimal(cost, 3)


def time_of(seconds: float) -> str:
    """Return a time rounded as an estimate should be, so that it does not flicker."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"
