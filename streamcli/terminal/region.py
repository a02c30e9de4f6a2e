"""Redraw rows at the bottom of a terminal; all other output is written above them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .fds import in_foreground, takes_more
from .rewrap import ESCAPES, height, rewraps, size_of
from .sanitize import visible
from .screen import Line
from .suspend import Suspend
from .widths import cells

_PATIENCE = 1.0  # seconds that a stopped terminal (^S) may delay output to other places


class Region:
    """Rows below all text that is written on the terminal of `line`.

    The cursor stays within the rows, and never moves above them. A line of text that is not whole
    yet is shown as the first row (its end, as much as fits); it is written once it is whole, or
    once the rows are erased. Nothing is drawn in the background, while the process is stopped (^Z),
    or on a terminal that fails. Rows must be narrower than the terminal, and fewer than its lines.
    """

    def __init__(self, line: Line, *, alone: bool = True) -> None:
        """`alone`: no other process is expected to write on the terminal."""
        self._line = line
        self._rows: list[str] = []
        self._drawn: list[int] = []  # the cells of each row on the screen
        self._rewraps = alone and rewraps()
        self._partial = bytearray()  # the line that is not whole
        self._closed = False
        self._hidden = False  # the process is about to stop (^Z)
        self._asking = False  # a question has the place of the rows
        self._suspend = Suspend(self._hide, self._forget)

    def open(self) -> None:
        """Let all output on the terminal go above the rows, from here on."""
        with self._line.lock:
            self._line.region = self
        self._suspend.start()

    def draw(self, rows: Sequence[str]) -> None:
        """Replace the rows by these ones, unless the terminal is stopped (^S)."""
        with self._line.lock:
            if not self._closed:
                self._rows = list(rows)
                if takes_more(2):
                    _write(self._shown())

    def close(self) -> None:
        """Erase the rows, and write the line that is not whole. A second call does nothing."""
        if self._closed:
            return
        self._suspend.stop()
        locked = self._line.lock.acquire(timeout=_PATIENCE)
        self._closed = True
        self._line.region = None
        if not locked:
            return
        try:
            data, self._rows = self._erased(), []
            if self._partial:
                data += self._line.answer(bytes(self._partial))
            _write(data)
        finally:
            self._line.lock.release()

    # `line` calls these, and holds its lock

    def answer(self, data: bytes) -> bytes:
        """Return the bytes that write `data` of the answer above the rows."""
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._partial += data
            return self._shown()
        lines, self._partial = bytes(self._partial + whole + newline), bytearray(rest)
        return self._erased() + lines + self._shown()

    def message(self, data: bytes) -> bytes:
        """Return the bytes that write the message `data`, whole lines, above the rows."""
        return self._erased() + data + self._shown()

    def hold(self) -> bytes:
        """Return the bytes that erase the rows until `release`: a question takes their place."""
        erased, self._asking = self._erased(), True
        return erased

    def release(self) -> bytes:
        """Return the bytes that show the rows again."""
        self._asking = False
        return self._shown()

    # Inside

    def _shown(self) -> bytes:
        if not self._rows or self._hidden or self._asking or not in_foreground(2):
            self._drawn = []
            return b""
        rows = [self._tail(), *self._rows] if self._partial else self._rows
        up = self._height() - 1
        begin = f"\r\x1b[{up}A" if up > 0 else "\r"
        self._drawn = [size_of(row) for row in rows]
        # Wrapping is off, so that a row that is wider than we think is cut, and stays one row.
        shown = f"{begin}\x1b[?7l" + "\x1b[K\r\n".join(rows) + "\x1b[J\x1b[?7h"
        return shown.encode("utf-8", "backslashreplace")

    def _erased(self) -> bytes:
        # Row by row: tmux moves a screen that is erased from its top on into its history.
        erased = "\r\x1b[2K" + "\x1b[A\x1b[2K" * (self._height() - 1) if self._drawn else ""
        self._drawn = []
        return erased.encode()

    def _height(self) -> int:
        """Return how many lines of the screen the rows take."""
        if not self._rewraps:
            return len(self._drawn)
        return height(self._drawn, _columns())

    def _tail(self) -> str:
        """Return the end of the line that is not whole, as much as fits into a row."""
        width = _columns()
        text = ESCAPES.sub("", self._partial[-8 * width :].decode(errors="ignore"))
        text = visible(text.replace("\r", "").expandtabs())[-width:]
        while cells(text) >= width:
            text = text[1:]
        return text

    def _hide(self) -> None:
        """Erase the rows before the process stops, as the shell's prompt comes next."""
        self._hidden = True
        if self._line.lock.acquire(timeout=_PATIENCE):
            try:
                if in_foreground(2):
                    _write(self._erased())
            finally:
                self._line.lock.release()

    def _forget(self) -> None:
        """Forget what is drawn: others wrote on the terminal while the process was stopped."""
        self._drawn = []
        self._hidden = False


def _columns() -> int:
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80


def _write(data: bytes) -> None:
    """Write all of `data`; the rest is dropped if the terminal fails."""
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        pass  # nobody is there to see it
