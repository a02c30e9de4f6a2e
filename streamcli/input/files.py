"""Read the files that options name, each once in a run."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from ..errors import usage
from .stdin import LIMIT, NAMES, Stdin, too_large
from .text import BOM, decode, unreadable


class Files:
    """Reads files for one run, and keeps their bytes: a pipe, as <(...) is, can be read only once.

    `-` and the other names of stdin (NAMES) are read from `stdin`.
    """

    def __init__(self, stdin: Stdin) -> None:
        self._stdin = stdin
        self._read: dict[str, bytes] = {}

    def read(self, path: str, most: int = -1) -> bytes:
        """Return the bytes of a file, `most` of them at most; usage error if it cannot be read."""
        if path in NAMES:
            return self._stdin.read()
        if path not in self._read:
            _check_name(path)
            try:
                self._read[path] = self._bytes(path, most)
            except OSError as error:
                raise unreadable(path, error) from error
        return self._read[path]

    def _bytes(self, path: str, most: int) -> bytes:
        if stat.S_ISFIFO(os.stat(path).st_mode):
            return self._stdin.of_pipe(path)
        with open(path, "rb") as file:
            data = file.read(LIMIT + 1 if most < 0 else most)
        if len(data) > LIMIT:
            raise too_large(path)
        return data

    def text(self, path: str) -> str:
        """Return the text of a UTF-8 file, without its BOM; usage error if it is something else."""
        where = "stdin" if path in NAMES else path
        return decode(self.read(path).removeprefix(BOM), where)

    def key(self, path: str, note: Callable[[str], None]) -> str:
        """Return the text of a file that holds a key.

        A file that others can write is a usage error: the key may be somebody else's. One that
        others can only read gets a note, once: containers and Nix cannot change its mode.
        """
        if path not in self._read and path not in NAMES:
            _check_name(path)
            try:
                if stat.S_ISFIFO(os.stat(path).st_mode):
                    return self.text(path)
                with open(path, "rb") as file:
                    mode = os.fstat(file.fileno()).st_mode
                    if stat.S_ISREG(mode) and mode & 0o066:
                        from ..file_errors import on_file, shown

                        hint = on_file("chmod 600", path)
                        if mode & 0o022:
                            raise usage(f"others can write {shown(path)}", hint)
                        note(f"others can read {shown(path)}: {hint}")
                    self._read[path] = file.read(1 << 16)
            except OSError as error:
                raise unreadable(path, error) from error
        return self.text(path)


def _check_name(path: str) -> None:
    """Raise a usage error for a name that no file can have: files and callers may hold any text."""
    if "\0" in path:
        raise usage(f"{path} is not the name of a file: there is a NUL in it")
