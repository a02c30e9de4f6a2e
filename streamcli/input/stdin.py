"""Read stdin: once in a run, and with a bound on the wait for it."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable, Sequence
from threading import Thread

from ..errors import StreamError, usage
from ..settings.settings import Settings
from ..terminal.fds import is_null, is_terminal

# The names of stdin, wherever a file is named.
NAMES = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
# Stands for a template's {{stdin}} in the words: no argument and no template can hold a NUL.
STDIN_HERE = "\0stdin"
STDIN_SHOWN = "{{stdin}}"
SILENCE = 3.0  # seconds of waiting after which a note says so
LIMIT = 256 << 20  # bytes: far beyond what a model takes, so it is a mistake, or has no end


class Stdin:
    """Reads stdin to its end, once; later readers get the same bytes, or the same error.

    `closed`: the process began without one. `timeout` bounds the wait in seconds (--timeout).
    """

    def __init__(
        self,
        note: Callable[[str], None],
        clock: Callable[[], float],
        *,
        closed: bool = False,
        timeout: float | None = None,
        fd: int = 0,
    ) -> None:
        self.closed = closed
        self._note = note
        self._clock = clock
        self._timeout = timeout
        self._fd = fd
        self._data: bytes | None = None
        self._error: StreamError | None = None

    @property
    def is_input(self) -> bool:
        """Whether it is a pipe, a regular file or a socket, which is there to be read."""
        if self.is_nothing or is_terminal(self._fd):
            return False
        mode = os.fstat(self._fd).st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)

    @property
    def is_nothing(self) -> bool:
        """Whether stdin is closed, or /dev/null."""
        return self.closed or is_null(self._fd)

    @property
    def is_empty(self) -> bool:
        """Whether it holds no text (xargs -r); reads it, unless a person types there."""
        if self.is_nothing:
            return True
        return self.is_input and not self.read().strip()

    @property
    def is_begun(self) -> bool:
        """Whether it is a file that another program has begun to read."""
        if self.closed or not stat.S_ISREG(os.fstat(self._fd).st_mode):
            return False
        return self._data is None and os.lseek(self._fd, 0, os.SEEK_CUR) > 0

    def read(self) -> bytes:
        """Return all of stdin. Usage errors; a timeout error if it does not end in time."""
        if self._error is not None:
            raise self._error
        if self._data is None:
            try:
                self._data = self._read()
            except StreamError as error:
                self._error = error
                raise
        return self._data

    def _read(self) -> bytes:
        if self.closed:
            raise usage("stdin is closed", "pipe text into it, or name a file")
        pieces: list[bytes] = []
        size = 0
        until = None if self._timeout is None else self._clock() + self._timeout
        try:
            self._wait(until, noted=is_terminal(self._fd))
            while size <= LIMIT:
                try:
                    piece = os.read(self._fd, 1 << 16)
                except BlockingIOError:  # another process made our stdin non-blocking
                    piece = None
                if piece == b"":
                    return b"".join(pieces)
                if piece:
                    pieces.append(piece)
                    size += len(piece)
                self._wait(until, noted=True)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise usage(f"cannot read stdin: {why}", "-n does not read it") from error
        raise too_large("stdin")

    def of_pipe(self, path: str) -> bytes:
        """Return all bytes of a FIFO; the wait for them has the same bound."""
        result: list[bytes | OSError] = []

        def read() -> None:
            try:
                with open(path, "rb") as file:
                    result.append(file.read(LIMIT + 1))
            except OSError as error:
                result.append(error)

        # A thread: opening waits for the writer, and no system call bounds that.
        thread = Thread(target=read, name="pipe", daemon=True)
        thread.start()
        wait = SILENCE if self._timeout is None else min(SILENCE, self._timeout)
        thread.join(wait)
        if thread.is_alive() and (self._timeout is None or self._timeout > wait):
            self._note(f"waiting for {path}")
            thread.join(None if self._timeout is None else self._timeout - wait)
        if not result:
            raise self._too_late(path, "it is a pipe: name a file, or raise --timeout")
        (data,) = result
        if isinstance(data, OSError):
            raise data
        if len(data) > LIMIT:
            raise too_large(path)
        return data

    def _wait(self, until: float | None, *, noted: bool) -> None:
        """Wait until there is something to read; note once that we wait."""
        while True:
            left = None if until is None else max(0.0, until - self._clock())
            wait = left if noted else SILENCE if left is None else min(SILENCE, left)
            if select.select([self._fd], [], [], wait)[0]:
                return
            if left is not None and self._clock() >= (until or 0.0):
                raise self._too_late("stdin", "-n does not read it")
            if not noted:
                self._note("waiting for stdin (-n would not read it)")
                noted = True

    def _too_late(self, what: str, hint: str) -> StreamError:
        return StreamError(
            "total_timeout", f"{what} did not end within {self._timeout:g} s (--timeout)", hint
        )


def too_large(what: str) -> StreamError:
    """Return the usage error for an input beyond LIMIT."""
    return usage(
        f"{what} is larger than {LIMIT >> 20} MiB",
        "no model takes so much: -L makes each line a prompt",
    )


def has_stdin(words: Sequence[str]) -> bool:
    """Return whether a template among the words has {{stdin}}."""
    return any(STDIN_HERE in word for word in words)


def readers_of(words: Sequence[str], settings: Settings) -> list[str]:
    """Return the words and options that read stdin, as they were written."""
    readers = [] if settings.batch_inputs else ["-"] * words.count("-")
    if settings.replace is not None and not settings.batch_inputs:
        readers.append(f"-I {settings.replace}")
    if has_stdin(words) and not settings.batch_inputs and not settings.file:
        readers.append(STDIN_SHOWN)
    if settings.template in NAMES:
        readers.append(f"-t {settings.template}")
    readers += [f"-f {file}" for file in settings.file if file in NAMES]
    if (system := settings.system or "")[:1] == "@" and system[1:] in NAMES:
        readers.append(f"-s {system}")
    if settings.schema in NAMES:
        readers.append(f"--schema {settings.schema}")
    readers += [f"--tools {place}" for place in settings.tools if place in NAMES]
    readers += [f"--mcp {place}" for place in settings.mcp if place in NAMES]
    readers += [f"-a {path}" for path in settings.attach if path in NAMES]
    readers += [f"-H {item}" for item in settings.header if item[:1] == "@" and item[1:] in NAMES]
    if settings.key_file in NAMES:
        readers.append(f"--key-file {settings.key_file}")
    readers += [f"--resume {path}" for path in settings.resume if path in NAMES]
    readers += [f"--reuse {path}" for path in settings.reuse if path in NAMES]
    if settings.batch_inputs and not settings.file:
        readers.append(f"--{settings.batch_inputs[0]}")
    return readers


def check_readers(words: Sequence[str], settings: Settings) -> None:
    """Raise a usage error where stdin is wanted twice, or wanted and forbidden."""
    readers = readers_of(words, settings)
    if len(readers) > 1:
        both = f"'{readers[0]}' and '{readers[1]}'"
        what = (
            f"{both} both read stdin, which"
            if readers[0] != readers[1]
            else (f"'{readers[0]}' is given twice, and stdin")
        )
        raise usage(f"{what} can be read once", "put one of them into a file")
    if readers and settings.no_stdin and not settings.batch_inputs:
        what = f"-n forbids reading stdin, and '{readers[0]}' asks for it"
        raise usage(what, "leave one of them out")
