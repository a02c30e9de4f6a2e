"""Ask a person on the terminal whether a call may run."""

from __future__ import annotations

import os
from threading import Lock

from ..terminal.messages import line_of

_TERMINAL = "/dev/tty"  # stdin and stdout may be pipes


def has_terminal() -> bool:
    """Return whether this process has a terminal to ask on."""
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


class Confirm:
    """Asks one question at a time, whichever thread asks; without a terminal the answer is no."""

    def __init__(self) -> None:
        self._lock = Lock()

    def ask(self, what: str) -> bool:
        with self._lock:
            try:
                fd = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY)
            except OSError:
                return False
            try:
                os.write(fd, f"\n{line_of(f'run {what}? [y/N] ')}".encode())
                answer = os.read(fd, 1024)
            except OSError:
                return False
            finally:
                os.close(fd)
        return answer.strip().lower() in (b"y", b"yes")
