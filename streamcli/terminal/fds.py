"""Look at descriptors: which are open, a terminal, a pipe, /dev/null, or ready for a write."""

from __future__ import annotations

import os
import stat


def is_terminal(fd: int) -> bool:
    """Return whether `fd` is a terminal; a closed descriptor is not."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def is_null(fd: int) -> bool:
    """Return whether `fd` is /dev/null, or closed."""
    try:
        here, null = os.fstat(fd), os.stat(os.devnull)
    except OSError:
        return True
    return stat.S_ISCHR(here.st_mode) and here.st_rdev == null.st_rdev


def is_pipe(fd: int) -> bool:
    """Return whether `fd` is a pipe or a socket, so that another process reads it."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def in_foreground(fd: int) -> bool:
    """Return whether this process may draw on the terminal `fd`.

    While it runs in the background, the terminal belongs to the shell's prompt, or to another job.
    """
    try:
        group = os.tcgetpgrp(fd)
    except OSError:  # a terminal, but not ours to control
        return True
    return group in (0, os.getpgrp())  # 0: a process group of another container


def takes_more(fd: int) -> bool:
    """Return whether a short write would not block (on a full pipe, on a stopped terminal)."""
    import select

    try:
        return bool(select.select([], [fd], [], 0)[1])
    except (OSError, ValueError):
        return False


def hold_standard_fds() -> set[int]:
    """Open /dev/null on those of 0, 1 and 2 that are closed, and return which were.

    Otherwise the next socket would get that number, and the answer would be written into it.
    """
    closed = set()
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            closed.add(fd)
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
    return closed
