"""Render Markdown as lines of a terminal: finished blocks, and the open block so far."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from .blocks import Blocks
from .code import Code
from .inline import DIM, inline
from .parts import Part, Step

PROSE = 100  # columns of prose at most: longer lines are hard to read
_ROOM = 12  # columns of a text at least, however deep its containers are
_HEADINGS = (Style(bold=True, underline=True), Style(bold=True), Style(bold=True, italic=True))
_QUOTE = "▌ "


class Paint(NamedTuple):
    """The escape sequences that may be written: for bold and similar styles, and for colors."""

    styles: bool
    colors: bool


class Page:
    """Takes Markdown in pieces, and returns lines for a terminal with `columns()` columns.

    The text must not have control characters: see sanitize.py. Finished code is not wrapped, so
    that it can be copied; the terminal wraps it.
    """

    def __init__(self, columns: Callable[[], int], paint: Paint) -> None:
        self._columns = columns
        self._paint = paint
        self._blocks = Blocks()
        self._code = Code("")
        # Its own width does not matter, as each text gets one.
        self._console = Console(file=io.StringIO(), width=80, color_system=None)

    def feed(self, text: str) -> str:
        """Return the lines of the blocks that are finished, each with its newline."""
        return self._drawn(self._blocks.feed(text))

    def finish(self) -> str:
        """Return the last lines: the text has ended, and another one may begin."""
        return self._drawn(self._blocks.finish())

    def open_lines(self) -> list[str]:
        """Return the lines of the open block so far, none wider than the terminal."""
        code, lines = self._code, []
        for part in self._blocks.peek():
            lines += self._part(part, whole=False)
        self._code = code
        return lines

    def _drawn(self, parts: Iterable[Part]) -> str:
        lines: list[str] = []
        for part in parts:
            lines += self._part(part, whole=True)
        return "".join([f"{line}\n" for line in lines])

    def _part(self, part: Part, *, whole: bool) -> list[str]:
        """Return the lines of a part; `whole`: it is finished, so code is not wrapped."""
        width = max(self._columns() - 1, 1)  # terminals differ in the last column
        first, others = _prefix(part.path), _prefix([Step(each, False) for each, _ in part.path])
        room = max(width - first.cell_len, min(_ROOM, width))
        first.truncate(width - room)
        others.truncate(width - room)
        rows = self._rows(part, room, whole)
        lines = [
            self._line(Text.assemble(others if number else first, row))
            for number, row in enumerate(rows)
        ]
        if part.gap >= 0:
            gap = _prefix([Step(each, False) for each, _ in part.path[: part.gap]])
            gap.rstrip()
            lines.insert(0, self._line(gap))
        return lines

    def _rows(self, part: Part, room: int, whole: bool) -> Sequence[Text]:
        """Return the content of a part, wrapped to `room` columns."""
        kind, text, plain = part.kind, part.text, not self._paint.styles
        if kind in ("fence", "code", "end", "indented"):
            row = self._code_row(kind, text, whole)
            return [row] if whole else self._folded(row, room)
        if kind == "rule":
            return [Text("─" * min(room, PROSE), DIM)]
        if kind == "empty":
            return [Text()]
        if kind == "definition":
            return self._folded(Text(text, DIM), min(room, PROSE))
        if kind == "table":
            from .table import table

            return table(text, room, self._console, marked=not self._paint.colors)
        shown = inline(text, marked=not self._paint.colors)
        if kind == "heading":
            if plain:
                shown = Text.assemble("#" * part.level, " ", shown)
            shown.stylize(_HEADINGS[min(part.level, 3) - 1])
        return self._folded(shown, min(room, PROSE))

    def _code_row(self, kind: str, text: str, keep: bool) -> Text:
        if kind == "code":
            return self._code.line(text, keep=keep)
        if kind == "indented":
            return Text(f"    {text}")
        self._code = Code(text.partition(" ")[0] if kind == "fence" else "")
        return Text(f"```{text}" if kind == "fence" else "```", DIM)

    def _folded(self, text: Text, width: int) -> Sequence[Text]:
        return list(text.wrap(self._console, width, overflow="fold", tab_size=4)) or [Text()]

    def _line(self, text: Text) -> str:
        if not self._paint.styles:
            return text.plain.rstrip()
        text.rstrip()
        return "".join([self._painted(each) for each in text.render(self._console)])

    def _painted(self, segment: Segment) -> str:
        style = segment.style
        if not style:
            return segment.text
        if not self._paint.colors:
            style = style.without_color
        return style.render(segment.text, color_system=ColorSystem.STANDARD)


def _prefix(path: Sequence[Step]) -> Text:
    """Return the prefix of a line: the markers of its containers."""
    prefix = Text()
    for container, fresh in path:
        marker = container.marker
        if not marker:
            prefix.append(_QUOTE, DIM)
            continue
        label = f"{container.place}{marker} ".rjust(4) if marker in ".)" else " • "
        if fresh:
            prefix.append(label, DIM)
        else:
            prefix.append(" " * len(label))
    return prefix
