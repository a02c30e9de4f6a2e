"""Errors of files: why a file cannot be read or written, and what to do about it."""

from __future__ import annotations

import errno
import os
from shlex import quote

from .errors import StreamError, usage

_NOT_ALLOWED = "`ls -l` shows who may, `id` who you are"
_LINKS = "`ls -l` shows where its links lead"
_NO_ROOM = "make room there, or name another place"
_OPEN_FILES = "raise the limit of open files (ulimit -n)"
_LONG = 160  # characters of a path
_TO_READ = {
    errno.ENOENT: "check its name",
    errno.ENOTDIR: "check its name",
    errno.EISDIR: "name a file in it",
    errno.ENAMETOOLONG: "check its name",
    errno.ELOOP: _LINKS,
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.ENXIO: "open it in the shell: <(cat FILE)",  # a socket, or /dev/tty without a terminal
    errno.EMFILE: _OPEN_FILES,
}
_TO_WRITE = {
    errno.ENOTDIR: "check its name",
    errno.EISDIR: "name a file in it",
    errno.ENAMETOOLONG: "check its name",
    errno.ELOOP: _LINKS,
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: "name a place that is not read-only",
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EMFILE: _OPEN_FILES,
}


def shown(path: str) -> str:
    """Return how a message names a file: in quotes if it begins or ends with a blank.

    The middle of a long path is left out: the message still has room for the reason.
    """
    if len(path) > _LONG:
        path = f"{path[: _LONG // 3]}...{path[-_LONG // 2 :]}"
    return path if path == path.strip() else repr(path)


def on_file(command: str, path: str) -> str:
    """Return the command on a file that a shell understands, whatever its name is."""
    return f"{command} {quote(f'./{path}' if path.startswith('-') else path)}"


def hint_to_read(error: OSError) -> str:
    """Return the hint for a file that cannot be read; "" if there is none."""
    return _TO_READ.get(error.errno or 0, "")


def hint_to_write(error: OSError) -> str:
    """Return the hint for a file that cannot be written; "" if there is none."""
    return _TO_WRITE.get(error.errno or 0, "")


def unreadable(path: str, error: OSError) -> StreamError:
    """Return the usage error for a file that cannot be read."""
    name = shown(path) or "a file without a name"
    if (lost := lost_folder(path, error)) is not None:
        return usage(f"{name} cannot be read: {lost}", "cd to one that exists")
    return usage(f"{name} cannot be read: {_why(error)}", hint_to_read(error))


def unwritable(what: str, error: OSError, done: str = "written") -> StreamError:
    """Return the error for the file or folder `what` that cannot be written (or `done`: "made")."""
    if (lost := lost_folder(what, error)) is not None:
        hint = "cd to one that exists, or name a path from / on"
        return StreamError("write", f"{shown(what)} cannot be {done}: {lost}", hint)
    hint = hint_to_write(error)
    folder = os.path.dirname(what)
    if error.errno == errno.ENOENT and folder and not os.path.exists(folder):
        hint = on_file("mkdir -p", folder)
    return StreamError("write", f"{shown(what)} cannot be {done}: {_why(error)}", hint)


def absolute(path: str) -> str:
    """Return the absolute path; usage error if the working directory was deleted."""
    try:
        return os.path.abspath(path)
    except FileNotFoundError as error:
        raise unreadable(path, error) from error


def followed(path: str) -> str:
    """Return the absolute path without links; usage error if the working directory was deleted."""
    try:
        return os.path.realpath(path)
    except FileNotFoundError as error:
        raise unreadable(path, error) from error


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def lost_folder(path: str, error: OSError) -> str | None:
    """Return that the working directory was deleted, if a relative path fails for that reason."""
    if error.errno == errno.ENOENT and not os.path.isabs(path):
        try:
            os.getcwd()
        except FileNotFoundError:
            return "the working directory was deleted"
    return None
