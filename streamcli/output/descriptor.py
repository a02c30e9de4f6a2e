"""A file descriptor that is written whole, or not at all."""

from __future__ import annotations

import os
import select
import signal
import stat
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from ..errors import Interrupted, StreamError

# Pipes take this much without mixing in other writers' bytes (Linux; POSIX promises 512).
PIPE_BUF = 4096

PATIENCE = 2.0  # seconds that a reader has to take something, once we were told to stop
_SLICE = 0.1
_MOMENT = 0.1  # seconds that a write of somebody else takes to grow


class Writer(Protocol):
    """Where text goes."""

    def write(self, data: bytes) -> None: ...


class Lines(Protocol):
    """Where records go: whole lines."""

    def lines(self, data: bytes) -> None: ...


class Out:
    """Writes bytes to `fd`, called `name` in messages; retries short and refused writes.

    `stopped` gives the number of the signal that stops us, if one does without raising anything:
    a pipe that nobody reads is then given up, and errors.Interrupted raised.
    """

    def __init__(self, fd: int, name: str, stopped: Callable[[], int] | None = None) -> None:
        self.fd = fd
        self.name = name
        mode = os.fstat(fd).st_mode
        self._piped = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        self._stopped = stopped if self._piped else None
        self._gone = 0  # the signal after which it was given up

    def write(self, data: bytes | memoryview) -> None:
        stopped = self._stopped
        while True:
            if stopped is not None:
                self._wait(stopped)
            try:
                size = os.write(self.fd, data if stopped is None else data[:PIPE_BUF])
            except BlockingIOError:  # somebody made our stdout non-blocking
                select.select([], [self.fd], [])
                continue
            except BrokenPipeError:
                raise Interrupted(signal.SIGPIPE) from None
            except OSError as error:
                raise StreamError(
                    "write",
                    f"{self.name} cannot be written: {(error.strerror or str(error)).lower()}",
                ) from error
            if size == len(data):
                return
            data = memoryview(data)[size:]

    def _wait(self, stopped: Callable[[], int]) -> None:
        """Until the pipe takes PIPE_BUF bytes: a write that waits in the kernel cannot be ended."""
        poll, left = select.poll(), PATIENCE
        poll.register(self.fd, select.POLLOUT)
        while not self._gone:
            if poll.poll(_SLICE * 1000):
                return
            if signum := stopped():
                left -= _SLICE
                self._gone = signum if left <= 0 else 0
        raise Interrupted(self._gone)


class LineOut(Out):
    """Writes whole lines only, in a way that other writers to the same file cannot split.

    A file opened for appending takes each write in one piece, a pipe up to PIPE_BUF bytes. For
    `long` lines those who write to a pipe take turns, where the system has locks for pipes (Linux).
    A signal waits where it would tear a line.
    """

    def __init__(
        self,
        fd: int,
        name: str,
        shield: AbstractContextManager[None],
        stopped: Callable[[], int] | None = None,
        *,
        long: bool = False,
    ) -> None:
        super().__init__(fd, name, stopped)
        self._shield = shield
        self._in_turn = long and self._piped

    def lines(self, data: bytes) -> None:
        """`data` ends with a newline."""
        if not self._in_turn:
            self._lines(data)
            return
        import fcntl

        try:
            fcntl.lockf(self.fd, fcntl.LOCK_EX)
        except OSError:
            self._in_turn = False
            self._lines(data)
            return
        try:
            self._lines(data)
        finally:
            fcntl.lockf(self.fd, fcntl.LOCK_UN)

    def _lines(self, data: bytes) -> None:
        at = 0
        while self._piped and len(data) - at > PIPE_BUF:
            end = data.rfind(b"\n", at, at + PIPE_BUF) + 1
            if not end:
                end = data.index(b"\n", at) + 1
            self._line(data[at:end])
            at = end
        self._line(data[at:] if at else data)

    def _line(self, data: bytes) -> None:
        if self._piped and len(data) <= PIPE_BUF:
            self.write(data)  # all or nothing by itself: a signal may interrupt the wait
        else:
            with self._shield:
                self.write(data)


def ends_torn(fd: int) -> bool:
    """Whether the file that `fd` can read ends inside a line which nobody goes on with.

    While others append to it, a part of what they write can be seen before the rest.
    """
    seen = 0
    while (size := os.fstat(fd).st_size) and os.pread(fd, 1, size - 1) != b"\n":
        if size == seen:
            return True
        seen = size
        time.sleep(_MOMENT)
    return False
