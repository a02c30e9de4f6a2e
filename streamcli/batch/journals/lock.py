"""Lock a journal: of two runs that read it and append to it, the second one waits.

Without the lock, both would read the same records, and ask the same prompts. A run that only reads
a journal, and writes its records to another place, needs no lock.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ...file_errors import followed


@contextmanager
def locked(
    paths: Sequence[str], *, events: str | None, stdout: int = 1, note: Callable[[str], None]
) -> Iterator[None]:
    """Hold the lock of each journal in `paths` that stdout or --events appends to.

    If another run holds it, write a note and wait; a signal interrupts the wait. The kernel drops
    the lock of a run that is killed. Where the file system has no locks (some network mounts),
    nothing is locked.
    """
    journals = _journals(paths, events, stdout)
    try:
        # Every run takes the locks in the same order, so no two runs wait for each other.
        for _, (path, fd) in sorted(journals.items()):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                note(f"another run appends to {path}: waiting until it ends, to ask nothing twice")
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError:
                pass
        yield
    finally:
        for _, fd in journals.values():
            os.close(fd)


def _journals(
    paths: Sequence[str], events: str | None, stdout: int
) -> dict[tuple[int, int], tuple[str, int]]:
    """Return (path, new descriptor) of these journals, by device and inode.

    The descriptor is a new one because stdout is shared with other processes, and a lock on it
    would be too. A file that cannot be opened is skipped: reading or writing it reports the error.
    """
    written = _identity_of(stdout)
    found: dict[tuple[int, int], tuple[str, int]] = {}
    for path in paths:
        is_events = events is not None and followed(path) == followed(events)
        flags = os.O_RDWR | os.O_CREAT if is_events else os.O_RDONLY | os.O_NONBLOCK
        try:
            if not is_events and not stat.S_ISREG(os.stat(path).st_mode):
                continue  # opening a pipe or a device may change it
            fd = os.open(path, flags | os.O_CLOEXEC, 0o666)
        except OSError:
            continue
        identity = _identity_of(fd)
        mine = identity is not None and (
            is_events
            or (identity == written and _appends(stdout))
            or (events is not None and events.isdigit() and identity == _identity_of(int(events)))
        )
        if mine and identity is not None and identity not in found:
            found[identity] = path, fd
        else:
            os.close(fd)
    return found


def _identity_of(fd: int) -> tuple[int, int] | None:
    """Return the device and inode of a regular file; None for anything else."""
    try:
        here = os.fstat(fd)
    except (OSError, OverflowError):
        return None
    return (here.st_dev, here.st_ino) if stat.S_ISREG(here.st_mode) else None


def _appends(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND)
