"""Ask a person on the terminal whether a call may run."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock

from ..terminal.messages import line_of
from ..terminal.screen import Line

_TERMINAL = "/dev/tty"  # stdin and stdout may be pipes


def has_terminal() -> bool:
    """Return whether this process has a terminal to ask on."""
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


class Confirm:
    """Asks one question at a time, whichever thread asks; without a terminal the answer is no.

    `line` is the line of stderr's terminal, or else of stdout's; None if neither is a terminal.
    """

    def __init__(self, line: Line | None) -> None:
        self._lock = Lock()
        self._line = line

    def ask(self, what: str) -> bool:
        """Ask whether to run a call; return whether the answer is yes."""
        with self._lock:
            try:
                fd = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY)
            except OSError:
                return False
            try:
                self._write(fd, Line.question, f"{line_of(f'run {what}? [y/N] ')}".encode())
                try:
                    answer = os.read(fd, 1024)
                    if not answer.endswith(b"\n"):  # ^D: the cursor stands behind the question
                        os.write(fd, b"\n")
                finally:
                    self._write(fd, Line.answered)
            except OSError:
                return False
            finally:
                os.close(fd)
        return answer.strip().lower() in (b"y", b"yes")

    def _write(self, fd: int, begin: Callable[[Line], bytes], question: bytes = b"") -> None:
        if self._line is None:  # the position of the cursor is unknown
            os.write(fd, b"\n" + question if question else b"")
            return
        with self._line.lock:
            os.write(fd, begin(self._line) + question)
