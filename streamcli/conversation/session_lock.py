"""Lock a session file, so that runs which continue one session write one after the other."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def locked(fd: int, kind: int) -> Iterator[None]:
    """Hold the lock of the open file `fd`; `kind` is fcntl.LOCK_SH or fcntl.LOCK_EX.

    Where the file system has no locks (some network mounts), nothing is locked.
    """
    with suppress(OSError):
        fcntl.flock(fd, kind)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
