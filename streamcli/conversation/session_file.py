"""The file of a session: check its header, read it, and append a turn to it.

A session is a file of JSON Lines that is only appended to, and read from its end.

The first line is the header: `type` "session", `version`, `id`, `ts`. Each other line is a message
as `Message.to_json` writes it, with `id`, the `parent` that it follows (null for the first), `ts`,
and for an answer `provider`, `model`, and `partial` with its `status` if it is not whole. A line of
`type` "head" names in `at` the message to continue from; without one that is the last message.
Lines of other types are skipped. The messages of a turn are one write, under a lock and synced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from ..errors import StreamError, usage
from ..file_errors import hint_to_read, hint_to_write, on_file
from ..output.records import escape, request_id, timestamp
from .session_chain import Stored, read_chain
from .session_lock import locked

VERSION = 1
_HEADER = 1 << 16  # bytes that the header has at most
_CUT_HEADER = 256  # bytes that our header has at most: a longer line is not one that was cut
_BEGINNING = b'{"type":"session",'


NOTHING = Stored([], 0, 0)


def new_id() -> str:
    return request_id(time.time())


def now() -> str:
    return timestamp(time.time())


def read(path: str, label: str) -> Stored:
    """Return the contents of the session, NOTHING if there is no file. Usage errors name the line.

    Only the messages that are returned are kept in memory.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return NOTHING
    except OSError as error:
        raise _unreadable(label, error) from error
    try:
        _check_kind(fd, label)
        with locked(fd, fcntl.LOCK_SH):  # nobody is in the middle of a write then
            size = os.fstat(fd).st_size
        if not _has_header(fd, label):
            return Stored([], size, int(size > 0))
        return read_chain(fd, size, label)
    except OSError as error:
        raise _unreadable(label, error) from error
    finally:
        os.close(fd)


def check_writable(path: str, label: str) -> None:
    """Raise a write error if the session cannot be written, before anything is asked."""
    where, mode = path, os.W_OK
    if not os.path.lexists(path):
        where, mode = os.path.dirname(path), os.W_OK | os.X_OK
    try:
        os.stat(where)
        if not os.access(where, mode):
            raise PermissionError(errno.EACCES, "permission denied")
    except OSError as error:
        raise _unwritable(label, error) from error


def append(path: str, label: str, lines: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Append these lines, after a header if the file is new; return its size before and after.

    Either all of them are written or none, unless the process is killed during the write.
    """
    data = b"".join(escape(orjson.dumps(line)) + b"\n" for line in lines)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        raise _unwritable(label, error) from error
    try:
        _check_kind(fd, label)
        with locked(fd, fcntl.LOCK_EX):
            size = os.fstat(fd).st_size
            if not _has_header(fd, label):
                os.ftruncate(fd, 0)  # the header was cut
                size = 0
                header = {"type": "session", "version": VERSION, "id": new_id(), "ts": now()}
                data = orjson.dumps(header) + b"\n" + data
            elif os.pread(fd, 1, size - 1) != b"\n":
                data = b"\n" + data  # the last line was cut
            _write(fd, data, size)
            return size, size + len(data)
    except OSError as error:
        raise _unwritable(label, error) from error
    finally:
        os.close(fd)


def _write(fd: int, data: bytes, size: int) -> None:
    """Write all of the data and sync; on an error leave the file as it was."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    except OSError:
        with suppress(OSError):
            os.ftruncate(fd, size)
        raise


def _has_header(fd: int, label: str) -> bool:
    """Return whether the file begins with a whole header.

    It does not if it is empty or was cut inside its header. Raise a usage error if it begins with
    something else, or with the header of another version.
    """
    head = os.pread(fd, _HEADER, 0)
    line, newline, _ = head.partition(b"\n")
    try:
        header = orjson.loads(line)
    except orjson.JSONDecodeError:
        begins = line.startswith(_BEGINNING) or _BEGINNING.startswith(line)
        if begins and not newline and len(line) < _CUT_HEADER:
            return False
        header = None
    if not isinstance(header, dict) or header.get("type") != "session":
        raise usage(
            f"{label} is not a session: its first line is not a header", "name another file"
        )
    version = header.get("version")
    if version != VERSION:
        shown = version if isinstance(version, int) else "no number"
        raise usage(
            f"the session {label} has version {shown}, not {VERSION}: another stream made it",
            "begin another one, or use that stream",
        )
    return True


def _check_kind(fd: int, label: str) -> None:
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        raise usage(f"the session {label} is a directory", "name a file")
    if not stat.S_ISREG(mode):
        raise usage(f"the session {label} is not a regular file", "name another one")


def _unreadable(label: str, error: OSError) -> StreamError:
    why = (error.strerror or str(error)).lower()
    return usage(f"cannot read the session {label}: {why}", hint_to_read(error))


def _unwritable(label: str, error: OSError) -> StreamError:
    if isinstance(error, IsADirectoryError):
        return usage(f"the session {label} is a directory", "name a file")
    why = (error.strerror or str(error)).lower()
    hint = hint_to_write(error)
    folder = os.path.dirname(label)
    if error.errno == errno.ENOENT and folder and not os.path.exists(folder):
        hint = on_file("mkdir -p", folder)
    return StreamError("write", f"cannot write the session {label}: {why}", hint)
