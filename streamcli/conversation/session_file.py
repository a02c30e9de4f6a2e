"""The file of a session: JSON Lines that are only appended to, and read from the end.

The first line is the header: `type` "session", `version`, `id`, `ts`. Each other line is a message
as `Message.to_json` writes it, with `id`, the `parent` that it follows (null for the first), `ts`,
and for an answer `provider`, `model`, and `partial` with its `status` if it is not whole. A line
`type` "head" names in `at` the message to go on from; without one that is the last message. Lines
of other types are skipped. A turn's messages are one write, under a lock and synced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import orjson

from ..errors import StreamError, usage
from ..file_errors import hint_to_read, hint_to_write, on_file
from ..output.records import escape, request_id, timestamp

VERSION = 1
_BLOCK = 1 << 20  # bytes of one read
_LONGEST_LINE = 256 << 20
_HEADER = 1 << 16  # bytes that the header has at most
_CUT_HEADER = 256  # more than ours has: what is longer is no header that was cut
_BEGINNING = b'{"type":"session",'


class Line(NamedTuple):
    """A line of a message: its fields, and the byte where it begins."""

    offset: int
    fields: dict[str, Any]


class Stored(NamedTuple):
    """The contents of a file: the messages up to the one to go on from, first to last.

    `size` is the file's in bytes; `skipped` counts lines at its end that cannot be read.
    """

    lines: list[Line]
    size: int
    skipped: int


NOTHING = Stored([], 0, 0)


def new_id() -> str:
    return request_id(time.time())


def now() -> str:
    return timestamp(time.time())


def read(path: str, label: str) -> Stored:
    """Return what the session holds: nothing if there is no file. Usage errors name the line.

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
        with _locked(fd, fcntl.LOCK_SH):  # what is being written is whole then
            size = os.fstat(fd).st_size
        if not _has_header(fd, label):
            return Stored([], size, int(size > 0))
        return _chain(fd, size, label)
    except OSError as error:
        raise _unreadable(label, error) from error
    finally:
        os.close(fd)


def check_writable(path: str, label: str) -> None:
    """Raise a write error if the session could not be written: before anything is asked."""
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
    """Write these lines, behind a header if the file is new; return its size before and after.

    They are there together or not at all, unless we are killed in the middle of the write.
    """
    data = b"".join(escape(orjson.dumps(line)) + b"\n" for line in lines)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        raise _unwritable(label, error) from error
    try:
        _check_kind(fd, label)
        with _locked(fd, fcntl.LOCK_EX):
            size = os.fstat(fd).st_size
            if not _has_header(fd, label):
                os.ftruncate(fd, 0)  # of a header that was cut
                size = 0
                header = {"type": "session", "version": VERSION, "id": new_id(), "ts": now()}
                data = orjson.dumps(header) + b"\n" + data
            elif os.pread(fd, 1, size - 1) != b"\n":
                data = b"\n" + data  # behind a line that was cut
            _write(fd, data, size)
            return size, size + len(data)
    except OSError as error:
        raise _unwritable(label, error) from error
    finally:
        os.close(fd)


def line_number(path: str, offset: int) -> int:
    """Return the number of the line that begins at this byte, for a message."""
    number = 1
    with suppress(OSError), open(path, "rb") as file:
        while offset > 0 and (block := file.read(min(_BLOCK, offset))):
            number += block.count(b"\n")
            offset -= len(block)
    return number


def _write(fd: int, data: bytes, size: int) -> None:
    """Write all of it and sync; on trouble leave the file as it was."""
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
    """Return whether the file begins with a header that we can read.

    It does not if it is empty, or holds only the beginning of one. Usage errors.
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


def _chain(fd: int, size: int, label: str) -> Stored:
    """Follow the parents from the last message to the first one, reading backward.

    A parent is nearer to the beginning than its children: there are no cycles.
    """
    found: list[Line] = []
    ids: set[str] = set()
    wanted: str | None = None  # the id of the message to find; None: the last one, whichever it is
    skipped = 0
    for offset, line in _backward(fd, size, label):
        if not line.strip() or (wanted is not None and wanted.encode() not in line):
            continue
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError:
            fields = None
        if not isinstance(fields, dict):
            skipped += wanted is None
            continue
        if wanted is None and fields.get("type") == "head":
            wanted = _id_of(fields, "at", label)
            if wanted is None:
                return Stored([], size, skipped)
        if "role" not in fields:
            continue
        id = _id_of(fields, "id", label)
        if id is None or (wanted is not None and id != wanted):
            continue
        if id in ids:
            raise _damaged(label, f"the id '{id}' is there twice")
        ids.add(id)
        found.append(Line(offset, fields))
        wanted = _id_of(fields, "parent", label)
        if wanted is None:
            break
    else:
        if wanted is not None:
            where = f"line {_number(fd, found[-1].offset)}" if found else "its head"
            raise _damaged(label, f"{where} names the message '{wanted}', which is not before it")
    found.reverse()
    return Stored(found, size, skipped)


def _id_of(fields: dict[str, Any], name: str, label: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable():
        raise _damaged(label, f"'{name}' of a line is not an id")
    return value


def _backward(fd: int, size: int, label: str) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) from the last line to the first; what follows the last newline first."""
    pieces: list[bytes] = []  # of the line whose beginning is not read yet, the last one first
    held, at = 0, size
    while at:
        step = min(_BLOCK, at)
        at -= step
        block = os.pread(fd, step, at)
        if len(block) < step:
            raise _damaged(label, "it became shorter while it was read")
        end = step
        while (newline := block.rfind(b"\n", 0, end)) >= 0:
            pieces.append(block[newline + 1 : end])
            yield at + newline + 1, b"".join(reversed(pieces))
            pieces.clear()
            held, end = 0, newline
        pieces.append(block[:end])
        held += end
        if held > _LONGEST_LINE:
            raise _damaged(label, f"a line is larger than {_LONGEST_LINE >> 20} MiB")
    yield 0, b"".join(reversed(pieces))


def _number(fd: int, offset: int) -> int:
    return line_number(f"/dev/fd/{fd}", offset)


@contextmanager
def _locked(fd: int, kind: int) -> Iterator[None]:
    """Hold the file's lock; where the file system has none (some network mounts), nothing."""
    with suppress(OSError):
        fcntl.flock(fd, kind)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)


def _check_kind(fd: int, label: str) -> None:
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        raise usage(f"the session {label} is a directory", "name a file")
    if not stat.S_ISREG(mode):
        raise usage(f"the session {label} is not a regular file", "name another one")


def _damaged(label: str, why: str) -> StreamError:
    return usage(f"the session {label} is damaged: {why}", "begin another one")


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
