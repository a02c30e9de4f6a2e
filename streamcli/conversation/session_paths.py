"""The paths of sessions: the file of a name, a path as it is, and the last session."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress

from ..errors import StreamError, usage
from ..file_errors import absolute, hint_to_read, hint_to_write
from ..input.text import arguments_text
from ..terminal.sanitize import one_line

SUFFIX = ".jsonl"
_LAST = ".last"  # the file in the sessions' folder that holds the path of the last session
_LONGEST = 200  # bytes of a name; file systems take 255


def state_folder(environ: Mapping[str, str]) -> str:
    """Return the folder for sessions and history; usage error if the environment names none."""
    base = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # the XDG rules: a relative one is ignored
        home = environ.get("HOME", "")
        if not os.path.isabs(home):
            raise usage("no folder for sessions", "set HOME or XDG_STATE_HOME")
        base = os.path.join(home, ".local", "state")
    return os.path.join(base, "stream")


def sessions_folder(environ: Mapping[str, str]) -> str:
    """Return the folder of the named sessions, which may not exist yet."""
    return os.path.join(state_folder(environ), "sessions")


def named_file(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the file of --session and its label; make the folder of the named sessions.

    Usage and write errors.
    """
    path = path_of(name, environ)
    label = label_of(path, environ)
    make_folder(path, environ)
    return path, label


def path_of(name: str, environ: Mapping[str, str]) -> str:
    """Return the file of --session: with a slash it is a path, else a name. Usage errors."""
    arguments_text(name)
    if "/" in name:
        if not name.isprintable():
            raise _bad_name(name, "it holds a control character")
        return absolute(name)
    name = name.removesuffix(SUFFIX)
    if not name:
        raise _bad_name(name, "it is empty")
    if name[0] in ".-":
        raise _bad_name(name, f"it begins with '{name[0]}'")
    if not name.isprintable() or "\\" in name or name != name.strip():
        raise _bad_name(name, "it holds a control character, a backslash, or a blank at an end")
    if len(name.encode()) > _LONGEST:
        raise _bad_name(name, f"it has more than {_LONGEST} bytes")
    return os.path.join(sessions_folder(environ), name + SUFFIX)


def make_folder(path: str, environ: Mapping[str, str]) -> None:
    """Make the folder of the named sessions, if this is the file of one. Write errors."""
    if label_of(path, environ) == path:
        return  # a path may be mistyped: its folders are not made
    folder = sessions_folder(environ)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        hint = hint_to_write(error) or "XDG_STATE_HOME names another place"
        raise StreamError("write", f"cannot make the folder {folder}: {why}", hint) from error


def label_of(path: str, environ: Mapping[str, str]) -> str:
    """Return the value of --session for this file: its name, or its path."""
    with suppress(StreamError):
        folder, file = os.path.split(path)
        if folder == sessions_folder(environ) and file.endswith(SUFFIX):
            return file.removesuffix(SUFFIX)
    return path


def last_session(environ: Mapping[str, str]) -> str:
    """Return the file of the session that was written last; usage error if there is none."""
    folder = sessions_folder(environ)
    with suppress(OSError, ValueError):
        with open(os.path.join(folder, _LAST), "rb") as file:
            path = os.fsdecode(file.read(1 << 16)).removesuffix("\n")
        if os.path.isabs(path) and stat.S_ISREG(os.stat(path).st_mode):
            return path
    newest = max(named_sessions(environ), key=lambda found: found[1], default=None)
    if newest is None:
        raise usage("there is no session to continue", 'begin one: --session NAME "PROMPT"')
    return newest[0]


def named_sessions(environ: Mapping[str, str]) -> list[tuple[str, float]]:
    """Return (path, time of the last change) of each named session."""
    found = []
    try:
        with os.scandir(sessions_folder(environ)) as entries:
            for entry in entries:
                if not entry.name.endswith(SUFFIX) or entry.name.startswith("."):
                    continue
                with suppress(OSError):
                    if entry.is_file():
                        found.append((entry.path, entry.stat().st_mtime))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise usage(
            f"cannot read {sessions_folder(environ)}: {why}", hint_to_read(error)
        ) from error
    return found


def remember_last(path: str, environ: Mapping[str, str]) -> None:
    """Make this the session of --continue; do nothing if the folder cannot be written."""
    with suppress(OSError, StreamError):
        folder = sessions_folder(environ)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        mine = os.path.join(folder, f"{_LAST}.{os.getpid()}")
        fd = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, os.fsencode(path) + b"\n")
        finally:
            os.close(fd)
        os.replace(mine, os.path.join(folder, _LAST))


def _bad_name(name: str, why: str) -> StreamError:
    shown = one_line(name, 60)
    return usage(f"'{shown}' cannot be the name of a session: {why}", "a path has a slash: ./FILE")
