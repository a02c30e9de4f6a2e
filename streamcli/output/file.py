"""-O: write the text into a file that appears only when the answer is whole."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ..events import Event
from ..outcome import Outcome, Verdict
from ..terminal.fds import is_terminal
from .descriptor import Out, unwritable
from .sink import TextStyle
from .text import TextSink

if TYPE_CHECKING:
    from .shape import Shape


class WholeFile:
    """A file that is written under a temporary name beside it, and renamed when it is whole.

    Links are followed. A target that is not a regular file (a FIFO, /dev/null) is written directly.
    The file of our own stdout or stderr (/dev/stdout) is written through that descriptor: a rename
    would lose the rest of its contents. Write to the descriptor `fd`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._temporary: str | None = None
        try:
            self._target = os.path.realpath(path)
            shared = _ours(path)
            if shared is not None:
                fd = os.dup(shared)
            elif os.path.exists(path) and not os.path.isfile(path):
                fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            else:
                if os.path.exists(self._target) and not os.access(self._target, os.W_OK):
                    # A rename would replace it, though it is write-protected.
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                folder, name = os.path.split(self._target)
                # A short stem: names may be as long as the file system lets them.
                part = f".{name[:32]}.{os.urandom(4).hex()}.part"
                self._temporary = os.path.join(folder, part)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                fd = os.open(self._temporary, flags, 0o666)
                if os.path.exists(self._target):
                    os.fchmod(fd, os.stat(self._target).st_mode & 0o7777)
        except OSError as error:
            self.discard()
            raise unwritable(path, error) from error
        self.fd = fd

    def close(self, *, whole: bool) -> None:
        """Close the file; give it its name if it is `whole`, else remove it."""
        try:
            os.close(self.fd)
            if self._temporary is not None and whole:
                os.rename(self._temporary, self._target)
                self._temporary = None
        except OSError as error:  # a full disk may only show up here (NFS, quotas)
            raise unwritable(self._path, error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the temporary file, if it was not renamed."""
        if self._temporary is not None:
            try:
                os.unlink(self._temporary)
            except OSError:
                pass
            self._temporary = None


class FileSink:
    """Writes the text into a file that takes its name only on exit 0.

    On a terminal, `sanitize` may make control characters visible.
    """

    def __init__(
        self, path: str, style: TextStyle, sanitize: str = "auto", shape: Shape | None = None
    ) -> None:
        self._file = WholeFile(path)
        fd = self._file.fd
        if sanitize == "auto" and is_terminal(fd):
            style = style.but(sanitize=True)
        self._text = TextSink(Out(fd, path), style, shape)

    def emit(self, t_ms: float, events: list[Event]) -> None:
        self._text.emit(t_ms, events)

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        try:
            self._text.close(outcome, verdict)
            self._file.close(whole=verdict.exit_code == 0)
        finally:
            self._file.discard()

    def discard(self) -> None:
        """Remove the temporary file, if it was not renamed."""
        self._file.discard()


def _ours(path: str) -> int | None:
    """Return the descriptor of ours that writes to that very file, if one does."""
    try:
        target = os.stat(path)
    except OSError:
        return None
    number = path.removeprefix("/dev/fd/")
    if number != path and number.isdigit():
        return int(number)
    for fd in (1, 2):
        if os.path.samestat(os.fstat(fd), target) and not os.path.samefile(path, os.devnull):
            return fd
    return None
