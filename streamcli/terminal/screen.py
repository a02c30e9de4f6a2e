"""Keep track of the cursor's line on a terminal, which answer, messages and signs share."""

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
_PATIENCE = 1.0  # seconds that another writer may delay our end
_UNWRAPPED = b"\x1b[?7l%b\x1b[?7h"  # without wrapping, even if a glyph is wider than we think


def _back(up: int) -> bytes:
    """Return the bytes that erase the cursor's line and `up` lines above it, and move up there.

    Line by line: tmux moves a screen that is erased from its top on into its history.
    """
    return b"\r\x1b[2K" + b"\x1b[A\x1b[2K" * up


def _fresh() -> bytes:
    """Return the bytes that begin a new line, unless the cursor is at the beginning of one.

    Shells do the same before a prompt: blanks that fill a line wrap if the line was not empty.
    """
    from .widths import columns_of

    return b" " * columns_of(1) + b"\r"


class Line:
    """The cursor's line on one terminal.

    Methods return the bytes to write; a writer holds `lock` from the call to the write.

    `unfinished`: the answer's text ends within the line. A message then begins with a newline, so
    the answer drops a newline that it would continue with. `sign`: a waiting sign is behind the
    cursor, drawn when the terminal had so many columns; 0 without. `answers` counts the writes of
    answers. `asks`: a question waits for the user. `region`: rows that are drawn below all output,
    or None. `rows` are the open rows of an answer that is redrawn; the cursor is at their end.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.unfinished = False
        self.sign = 0
        self.asks = False
        self.answers = 0
        self.region: Region | None = None
        self.rows: Sequence[bytes] = ()
        self._wide = 0  # columns of the terminal when the rows were drawn
        self._finished_for_message = False

    def answer(self, data: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
        """Return the bytes that continue the answer with `data`.

        `before` and `after` are escape sequences around it that do not move the cursor.
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
        """Return the bytes that write `data`, whole lines of an answer, on new lines."""
        if self.region is not None:
            return self.region.answer(data)
        self.answers += 1
        return self.message(data)

    def question(self) -> bytes:
        """Return the bytes before a question on a new line; no sign is drawn until `answered`."""
        if self.region is not None:
            return self.region.hold()
        begin = self.message(b"")
        self.unfinished = self.asks = True
        return begin

    def answered(self) -> bytes:
        """Return the bytes after the line of a question."""
        if self.region is not None:
            return self.region.release()
        self.unfinished = self.asks = False
        return b""

    def interrupted(self) -> None:
        """Note that ^C was typed: the terminal shows it where the cursor stands."""
        if self.region is None:
            self.unfinished = True

    def draw(self, data: bytes, rows: Sequence[bytes]) -> bytes:
        """Return the bytes that replace the open rows by `data` (whole lines) and `rows`.

        Lines above the open rows are not touched, and neither are first rows that stay the same.
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

            drawn, self._wide = _UNWRAPPED % b"\n".join(rows[same:]), columns_of(1)
        return self.erase() + begin + data + drawn

    def message(self, data: bytes) -> bytes:
        """Return the bytes that write the message `data`, whole lines, on new lines."""
        if self.region is not None:
            return self.region.message(data)
        cleared = self.clear()
        if self.unfinished:
            self.unfinished, self._finished_for_message = False, True
            data = b"\n" + data
        return self.erase() + cleared + data

    def clear(self) -> bytes:
        """Return the bytes that erase the open rows; their writer draws them again."""
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
        """Return the bytes that erase the waiting sign."""
        if not self.sign:
            return b""
        from .widths import columns_of

        wide, self.sign = self.sign, 0
        return _ERASE if columns_of(2) >= wide else _ERASE_BELOW


class Screen:
    """The Line of stdout and of stderr: None without a terminal, one Line if both are the same."""

    def __init__(self) -> None:
        terminals = [fd for fd in (1, 2) if is_terminal(fd)]
        self._lines = {fd: Line() for fd in terminals}
        if len(terminals) == 2 and _same(1, 2):
            self._lines[2] = self._lines[1]

    def line(self, fd: int) -> Line | None:
        """Return the Line of the terminal on `fd`; None if it is not a terminal."""
        return self._lines.get(fd)

    def wipe(self) -> None:
        """Erase the rows and the waiting sign, as this process is about to die."""
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
    """Return whether the terminal knows no escape sequences."""
    return os.environ.get("TERM") in ("dumb", "unknown")


def is_colored(color: str, *, terminal: bool = True) -> bool:
    """Return whether colors and styles may be written; `color` is the value of --color."""
    if color == "auto":
        return terminal and not os.environ.get("NO_COLOR") and not is_dumb()
    return color == "always"


def _same(one: int, other: int) -> bool:
    """Return whether two descriptors are the same terminal, which may be open as /dev/tty too."""
    devices = {os.fstat(one).st_rdev, os.fstat(other).st_rdev}
    try:
        name = os.stat("/dev/tty")
    except OSError:
        return len(devices) == 1
    return len(devices) == 1 or (stat.S_ISCHR(name.st_mode) and name.st_rdev in devices)
