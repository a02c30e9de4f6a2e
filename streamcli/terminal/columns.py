"""Draw answers side by side on a terminal, a column for each, while they stream."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import zip_longest
from threading import Event, Lock, Thread

from .region import Region
from .row_words import MARGIN, joined, packed
from .sanitize import one_line
from .screen import Line
from .widths import cells, cut
from .wrap import Row, Wrapped

LEAST = 30  # cells of a column at least
INTERVAL = 0.1  # seconds between two drawings
_BETWEEN, _CROSSING = " │ ", "─┼─"


class Column:
    """One answer: its `name`, its text, and the (words, color) below it."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.text = Wrapped(LEAST)
        self.over: list[tuple[str, str]] = []  # the words below it once the answer is over
        self._clock = clock
        self._began = clock()
        self._first: float | None = None  # the time of the first delta
        self._lock = Lock()

    def add(self, text: str, *, dim: bool = False) -> None:
        """Add text without control characters; `dim`: it is reasoning."""
        with self._lock:
            if self._first is None:
                self._first = self._clock()
            self.text.add(text, dim=dim)

    def words(self) -> list[tuple[str, str]]:
        """Return the words below the text."""
        if self.over:
            return self.over
        now = self._clock()
        if self._first is None:
            return [(f"waiting {now - self._began:.0f} s", "")]
        return [(f"{now - self._began:.0f} s", "")]

    def rows(self, width: int, last: int | None) -> list[Row]:
        """Return the `last` rows of the text (all of them for None), `width` cells wide."""
        with self._lock:
            self.text.resize(width)
            return self.text.all() if last is None else self.text.last(last)


class Columns:
    """Columns side by side. `color`: styles and colors may be written."""

    def __init__(self, names: Sequence[str], clock: Callable[[], float], *, color: bool) -> None:
        self.columns = [Column(name, clock) for name in names]
        self._color = color

    def drawn(self, width: int, height: int | None = None) -> list[str]:
        """Return the rows for a terminal of that size; without a `height` all rows of each answer.

        With a height the rows are fewer than the terminal's lines, and show the end of each answer.
        If the terminal is too narrow for columns, there is one row for each answer, without text.
        """
        room = width_of(len(self.columns), width)
        if room < LEAST:
            return [self._short(column, width - MARGIN) for column in self.columns][
                : (height or 2) - 1
            ]
        below = [packed(column.words(), room) for column in self.columns]
        high = max(map(len, below))
        last = None if height is None else max(0, height - 4 - high)
        texts = [column.rows(room, last) for column in self.columns]
        rule = _CROSSING.join("─" * room for _ in self.columns)
        rows = [
            self._beside([Row(cut(one_line(column.name), room)) for column in self.columns], "1"),
            self._look(rule, "2"),
        ]
        if any(texts):
            rows += [self._beside(row) for row in zip_longest(*texts, fillvalue=Row(""))]
            rows.append(self._look(rule, "2"))
        for words in zip_longest(*below, fillvalue=[]):
            shown = [joined(each, room, color=self._color) for each in words]
            plain = [joined(each, room, color=False) for each in words]
            rows.append(self._side_by_side(shown, [cells(each) for each in plain]))
        return rows if height is None else rows[: max(1, height - 1)]

    def _short(self, column: Column, room: int) -> str:
        return joined([(one_line(column.name), ""), *column.words()], room, color=self._color)

    def _beside(self, rows: Sequence[Row], look: str = "") -> str:
        shown = [self._look(row.text, "2" if row.dim else look) for row in rows]
        return self._side_by_side(shown, [cells(row.text) for row in rows])

    def _side_by_side(self, texts: Sequence[str], sizes: Sequence[int]) -> str:
        """Return one row of all columns.

        Each column begins at its place, even if the terminal draws a glyph wider than we think.
        """
        room = max(self.columns[0].text.width, 1)
        row = texts[0] + " " * (room - sizes[0])
        between = self._look(_BETWEEN, "2")
        for at, (text, size) in enumerate(zip(texts[1:], sizes[1:], strict=True), 1):
            place = at * room + (at - 1) * len(_BETWEEN) + 1
            row += f"\x1b[{place}G{between}{text}" + " " * (room - size)
        return row.rstrip(" ")

    def _look(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[22m" if self._color and code and text else text


class Live:
    """Draws columns on the terminal of `line` while the answers stream; `close` erases them."""

    def __init__(self, columns: Columns, line: Line) -> None:
        self._columns = columns
        self._region = Region(line)
        self._closing = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Draw from here on, in a thread of its own."""
        self._region.open()
        thread = Thread(target=self._run, name="columns", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # too many threads: the answers can do without the drawing
            self._region.close()
        else:
            self._thread = thread

    def close(self) -> None:
        """Stop, and erase the rows. A second call does nothing."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(1)  # not for ever: it may write to a stopped terminal
        self._region.close()

    def _run(self) -> None:
        before: list[str] = []
        while not self._closing.wait(INTERVAL):
            width, height = size_of_terminal()
            rows = self._columns.drawn(width, height)
            if rows != before:
                self._region.draw(rows)
                before = rows


def width_of(count: int, width: int) -> int:
    """Return the cells of each of `count` columns on a terminal of `width` cells."""
    return (width - MARGIN - len(_BETWEEN) * (count - 1)) // count


def size_of_terminal() -> tuple[int, int]:
    """Return the columns and lines of stdout's terminal."""
    try:
        size = os.get_terminal_size(1)
    except OSError:
        return 80, 24
    return size.columns or 80, size.lines or 24
