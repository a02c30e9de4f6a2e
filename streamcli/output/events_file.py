"""--events: a file that records are appended to, or a descriptor that is open already."""

from __future__ import annotations

import os

from ..errors import usage
from .descriptor import STDOUT, ends_torn, unwritable


def open_events(where: str) -> int:
    """Open --events; return its descriptor. `where` is a number, `-` for stdout, or a file.

    Raise a usage error for a descriptor that is not open, a write error for a file.
    """
    if where in STDOUT:
        return 1
    if where.isascii() and where.isdigit():
        try:
            os.fstat(int(where))
        except (OSError, OverflowError):
            what = f"--events {where}: that file descriptor is not open"
            raise usage(what, f"open it in the shell: {where}>FILE") from None
        return int(where)
    try:
        if os.path.exists(where) and not os.path.isfile(where):
            return os.open(where, os.O_WRONLY | os.O_CLOEXEC)  # a FIFO waits for its reader here
        fd = os.open(where, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        # A killed run may have left a torn line: finish it, so that our lines stand alone.
        if ends_torn(fd):
            os.write(fd, b"\n")
        return fd
    except OSError as error:
        raise unwritable(where, error) from error
