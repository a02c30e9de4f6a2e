"""Wrap a text that streams into rows of a width in cells; linear in the text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .widths import cells

# A row may end after each character of Chinese, Japanese and Korean.
_CJK = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_TOKEN = re.compile(rf"[ \u3000]+|[{_CJK}]|[^ {_CJK}]+")
_TAB = 4
# Cells that a character of no width counts as, so that no row grows without bound.
_ZERO_WIDTH = 1 / 8


class Row:
    """A row of a wrapped text; `dim`: it is reasoning, not the answer."""

    __slots__ = ("dim", "text")

    def __init__(self, text: str, dim: bool = False) -> None:
        self.text = text
        self.dim = dim


class Wrapped:
    """A text in rows of at most `width` cells. It keeps the text, to wrap it for another width."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._pieces: list[tuple[str, bool]] = []
        self._rows: list[Row] = []  # rows that later text does not change
        self._open = ""  # the last row
        self._dim = False

    @property
    def is_empty(self) -> bool:
        return not self._pieces

    def add(self, text: str, *, dim: bool = False) -> None:
        """Add text without control characters other than newlines and tabs."""
        text = text.replace("\r", "").replace("\t", " " * _TAB)
        if text:
            self._pieces.append((text, dim))
            self._wrap(text, dim)

    def resize(self, width: int) -> None:
        """Wrap the text again, if the width changed."""
        if width != self.width:
            self.width = width
            self._rows, self._open, self._dim = [], "", False
            for text, dim in self._pieces:
                self._wrap(text, dim)

    def last(self, count: int) -> list[Row]:
        """Return the last rows, `count` at most."""
        rows = self._rows[-count:] if count else []
        rows.append(Row(self._open, self._dim))
        return _trimmed(rows)[-count:] if count else []

    def all(self) -> list[Row]:
        """Return all rows, without empty ones at the end."""
        return _trimmed([*self._rows, Row(self._open, self._dim)])

    def text(self) -> str:
        """Return the text as it came."""
        return "".join(text for text, _ in self._pieces)

    def _wrap(self, text: str, dim: bool) -> None:
        if dim is not self._dim:
            if self._open:
                self._rows.append(Row(self._open, self._dim))
                self._open = ""
            self._dim = dim
        *whole, last = text.split("\n")
        for line in whole:
            self._rows += [Row(row, dim) for row in _lines(self._open + line, self.width)]
            self._open = ""
        *full, self._open = _lines(self._open + last, self.width)
        self._rows += [Row(row, dim) for row in full]


def _trimmed(rows: list[Row]) -> list[Row]:
    while rows and not rows[-1].text.strip():
        rows.pop()
    return rows


def _lines(line: str, width: int) -> list[str]:
    """Return the rows of a line, broken between words; a word that is too long is broken too.

    Text that is added to the line changes the last row only.
    """
    if len(line) <= width and cells(line) <= width:  # most are
        return [line]
    rows: list[str] = []
    row: list[str] = []
    taken = 0.0
    for match in _TOKEN.finditer(line):
        token = match[0]
        size = max(cells(token), len(token) * _ZERO_WIDTH)
        if taken + size <= width:
            row.append(token)
            taken += size
            continue
        if token[0] in " \u3000":  # a row ends here, instead of the blanks
            rows.append("".join(row))
            row, taken = [], 0.0
            continue
        if row:
            rows.append("".join(row).rstrip(" "))
        *full, last = _cut(token, width) if size > width else [token]
        rows += full
        row, taken = [last], max(cells(last), len(last) * _ZERO_WIDTH)
    return [*rows, "".join(row)]


def _cut(word: str, width: int) -> Iterator[str]:
    """Yield pieces of a word that is wider than a row."""
    if word.isascii():
        for begin in range(0, len(word), width):
            yield word[begin : begin + width]
        return
    piece: list[str] = []
    taken = 0.0
    for character in word:
        size = cells(character) or _ZERO_WIDTH
        if piece and taken + size > width:
            yield "".join(piece)
            piece, taken = [], 0.0
        piece.append(character)
        taken += size
    yield "".join(piece)
