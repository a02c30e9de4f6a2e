"""Write to a descriptor, completely: bytes, whole lines, or text on a terminal."""

from __future__ import annotations

import os
import select
import signal
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress

from ..errors import Interrupted, StreamError
from ..terminal.fds import in_foreground
from ..terminal.screen import Line

# Pipes take this much without mixing in other writers' bytes (Linux; POSIX promises 512).
PIPE_BUF = 4096

# The names of stdout, wherever a file to write is named.
STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")

PATIENCE = 2.0  # seconds that the reader of a pipe has to read, once a signal stops the run
_SLICE = 0.1  # seconds between two checks for a signal
_MOMENT = 0.1  # seconds that another writer takes for the rest of its line


class Out:
    """Writes bytes to `fd`, called `name` in messages; repeats short and refused writes.

    `stopped` returns the number of the signal that stops the run, 0 before one came. Once it came,
    a pipe that nobody reads raises errors.Interrupted.
    """

    def __init__(self, fd: int, name: str, stopped: Callable[[], int] | None = None) -> None:
        self.fd = fd
        self.name = name
        mode = os.fstat(fd).st_mode
        self._piped = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        self._stopped = stopped if self._piped else None
        self._gone = 0  # the signal after which the reader was given up

    def write(self, data: bytes | memoryview) -> None:
        """Write all of the bytes; StreamError or Interrupted if that is not possible."""
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
                raise unwritable(self.name, error) from error
            if size == len(data):
                return
            data = memoryview(data)[size:]

    def _wait(self, stopped: Callable[[], int]) -> None:
        """Wait until the pipe takes PIPE_BUF bytes: a write could not be stopped while it waits."""
        poll, left = select.poll(), PATIENCE
        poll.register(self.fd, select.POLLOUT)
        while not self._gone:
            if poll.poll(_SLICE * 1000):
                return
            if signum := stopped():
                left -= _SLICE
                self._gone = signum if left <= 0 else 0
        raise Interrupted(self._gone)


class ScreenOut(Out):
    """Writes text to a terminal whose `line` it shares with the messages; dimmed if `dim`."""

    def __init__(self, fd: int, name: str, line: Line, *, dim: bool = False) -> None:
        super().__init__(fd, name)
        self._line = line
        self._around = (b"\x1b[2m", b"\x1b[22m") if dim else (b"", b"")

    def write(self, data: bytes | memoryview) -> None:
        around = self._around if bytes(data).strip() else ()
        with self._line.lock:
            try:
                super().write(self._line.answer(bytes(data), *around))
            except Interrupted:
                with suppress(OSError):
                    os.write(self.fd, b"".join(around[1:]))  # or all that follows would be dimmed
                raise

    def draw(self, data: bytes, rows: Sequence[bytes]) -> None:
        """Write whole lines, and below them the open rows, over the last open rows.

        A job in the background has no open rows.
        """
        with self._line.lock:
            if drawn := self._line.draw(data, rows if in_foreground(self.fd) else ()):
                super().write(drawn)

    def hide(self) -> None:
        """Erase the open rows, unless the terminal is stopped (^S); for a signal handler."""
        if self._line.lock.acquire(timeout=_MOMENT):
            try:
                super().write(self._line.clear())
            finally:
                self._line.lock.release()

    def forget(self) -> None:
        """Forget the open rows without erasing them: another job had the terminal."""
        self._line.rows = ()


class LineOut(Out):
    """Writes whole lines only, so that other writers to the same file cannot split them.

    A file opened for appending takes each write in one piece, a pipe up to PIPE_BUF bytes. For
    `long` lines the writers of a pipe take turns, if the system has locks for pipes (Linux).
    A signal waits if it would tear a line. On a terminal `screen` is the line that it shares with
    the messages.
    """

    def __init__(
        self,
        fd: int,
        name: str,
        shield: AbstractContextManager[None],
        stopped: Callable[[], int] | None = None,
        *,
        long: bool = False,
        screen: Line | None = None,
    ) -> None:
        super().__init__(fd, name, stopped)
        self._shield = shield
        self._screen = screen
        self._in_turn = long and self._piped

    def lines(self, data: bytes) -> None:
        """Write `data`, which ends with a newline."""
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
                if self._screen is None:
                    self.write(data)
                    return
                with self._screen.lock:
                    self.write(self._screen.record(data))


def ends_torn(fd: int) -> bool:
    """Return whether the file `fd` ends inside a line that no process is still writing.

    While others append to it, a part of their line can be seen before the rest.
    """
    seen = 0
    while (size := os.fstat(fd).st_size) and os.pread(fd, 1, size - 1) != b"\n":
        if size == seen:
            return True
        seen = size
        time.sleep(_MOMENT)
    return False


def unwritable(what: str, error: OSError, done: str = "written") -> StreamError:
    """Return the error for an output that cannot be written; `done` names another action."""
    from ..file_errors import unwritable

    return unwritable(what, error, done)
