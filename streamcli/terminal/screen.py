"""The terminal line that the answer and the messages share: where the cursor stands."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from .fds import is_terminal

if TYPE_CHECKING:
    from .region import Region

_ERASE = b"\x1b[K"  # to the end of the line
_ERASE_BELOW = b"\x1b[J"  # to the end of the screen: a terminal that became narrow wraps its lines
_PATIENCE = 1.0  # seconds that a writer may delay the end
_STIFF = b"\x1b[?7l%b\x1b[?7h"  # no line wraps, however wide the terminal believes a glyph to be


def _back(up: int) -> bytes:
    """Return what erases the line of the cursor and `up` lines above it, and goes there.

    Line by line: tmux moves a screen that is erased from its top on to its history.
    """
    return b"\r\x1b[2K" + b"\x1b[A\x1b[2K" * up


def _fresh() -> bytes:
    """Return what begins a line, unless the cursor stands at the beginning of one already.

    A shell's prompt does the same: blanks that fill a line go on in the next one otherwise.
    """
    from .widths import columns_of

    return b" " * columns_of(1) + b"\r"


class Line:
    """The cursor's line on one terminal. Its writers hold `lock` from the look to the write.

    `unfinished`: the answer's text ends in the middle of it. A message needs a line of its own;
    the newline that it writes first is on the screen already if the answer goes on with one.
    `sign`: the sign of life stands behind the cursor, in a terminal of so many columns; 0 without.
    `answers` counts the writes of answers. `asks`: a person is to answer a question.
    `region`: rows that are drawn below everything, while there are any.
    `rows` are the open ones of an answer that is drawn; the cursor stands at the end of the last.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.unfinished = False
        self.sign = 0
        self.asks = False
        self.answers = 0
        self.region: Region | None = None
        self.rows: Sequence[bytes] = ()
        self._wide = 0  # columns of the terminal when they were drawn
        self._finished_for_message = False

    def answer(self, data: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
        """Return what to write so that `data` of the answer goes on where it stopped.

        `before` and `after` are escape sequences around it, which move nothing.
        """
        if self.region is not None:
            return self.region.answer(before + data + after)
        if self._finished_for_message and data.startswith(b"\n"):
            data = data[1:]
        self._finished_for_message = False
        self.answers += 1
        cleared = self.clear()
        if data:
            self.unfinished = not data.endswith(b"\n")
            data = before + data + after
        return self.erase() + cleared + data

    def record(self, data: bytes) -> bytes:
        """Return what to write so that `data`, whole lines of an answer, begins a line."""
        if self.region is not None:
            return self.region.answer(data)
        self.answers += 1
        return self.message(data)

    def question(self) -> bytes:
        """Return what to write so that a question begins a line; nothing is drawn behind it."""
        if self.region is not None:
            return self.region.hold()
        begin = self.message(b"")
        self.unfinished = self.asks = True
        return begin

    def answered(self) -> bytes:
        """Return what to write when the line of the question is over."""
        if self.region is not None:
            return self.region.release()
        self.unfinished = self.asks = False
        return b""

    def interrupted(self) -> None:
        """Note that ^C was typed: the terminal shows it where the cursor stands."""
        if self.region is None:
            self.unfinished = True

    def draw(self, data: bytes, rows: Sequence[bytes]) -> bytes:
        """Return what to write so that `data`, whole lines, and `rows` take the open rows' place.

        What stands above the open rows is not touched; rows that stay as they are neither.
        """
        if self.region is not None:
            return self.region.answer(data)
        before, rows = self.rows, tuple(rows)
        same = 0
        if not data:
            if before == rows:
                return b""
            while same < min(len(before), len(rows) - 1) and before[same] == rows[same]:
                same += 1
        first, self.answers = not self.answers, self.answers + 1
        if same:
            up = self._height(same) - 1
            begin = b"\n" if up < 0 else _back(up)
        elif before:
            begin = self.clear()
        elif self.unfinished:
            begin = b"\n"
        else:
            begin = _fresh() if first else b""
        self.rows, self.unfinished, self._finished_for_message = rows, bool(rows), False
        drawn = b""
        if rows:
            from .widths import columns_of

            drawn, self._wide = _STIFF % b"\n".join(rows[same:]), columns_of(1)
        return self.erase() + begin + data + drawn

    def message(self, data: bytes) -> bytes:
        """Return what to write so that the message `data`, whole lines, begins a line."""
        if self.region is not None:
            return self.region.message(data)
        cleared = self.clear()
        if self.unfinished:
            self.unfinished, self._finished_for_message = False, True
            data = b"\n" + data
        return self.erase() + cleared + data

    def clear(self) -> bytes:
        """Return what takes the open rows away; their writer draws them again."""
        if not self.rows:
            return b""
        up = self._height(0) - 1
        self.rows, self.unfinished = (), False
        return _back(up)

    def _height(self, first: int) -> int:
        """Return how many lines of the screen the open rows take from `first` on."""
        from .widths import columns_of

        rows, width = self.rows[first:], columns_of(1)
        if width >= self._wide:
            return len(rows)
        from .rewrap import height, rewraps, size_of

        if not rewraps():
            return len(rows)
        return height((size_of(row.decode(errors="replace")) for row in rows), width)

    def erase(self) -> bytes:
        """Return what takes the sign of life away."""
        if not self.sign:
            return b""
        from .widths import columns_of

        wide, self.sign = self.sign, 0
        return _ERASE if columns_of(2) >= wide else _ERASE_BELOW


class Screen:
    """The lines of stdout and stderr: None where there is no terminal, one if both are the same."""

    def __init__(self) -> None:
        watched = [fd for fd in (1, 2) if is_terminal(fd)]
        self._lines = {fd: Line() for fd in watched}
        if len(watched) == 2 and _same(1, 2):
            self._lines[2] = self._lines[1]

    def line(self, fd: int) -> Line | None:
        """Return the line of that descriptor's terminal."""
        return self._lines.get(fd)

    def wipe(self) -> None:
        """Take the rows and the sign of life away: this process is about to die."""
        for line in set(self._lines.values()):
            if line.region is not None:
                line.region.close()
            elif line.sign and line.lock.acquire(timeout=_PATIENCE):
                try:
                    os.write(2, line.erase())
                except OSError:
                    pass  # nobody is there to see it
                finally:
                    line.lock.release()


def is_dumb() -> bool:
    """Return whether the terminal obeys no escape sequences."""
    return os.environ.get("TERM") in ("dumb", "unknown")


def is_colored(color: str, *, terminal: bool = True) -> bool:
    """Return whether escapes for looks are written; `color` is the value of --color."""
    if color == "auto":
        return terminal and not os.environ.get("NO_COLOR") and not is_dumb()
    return color == "always"


def _same(one: int, other: int) -> bool:
    """Return whether two terminals are one; /dev/tty is another name of ours."""
    devices = {os.fstat(one).st_rdev, os.fstat(other).st_rdev}
    try:
        name = os.stat("/dev/tty")
    except OSError:
        return len(devices) == 1
    return len(devices) == 1 or (stat.S_ISCHR(name.st_mode) and name.st_rdev in devices)
