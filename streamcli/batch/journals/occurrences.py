"""Count identical prompts of a batch: which occurrence of its hash a prompt is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ...errors import StreamError

if TYPE_CHECKING:
    from sqlite3 import Connection

SPILL = 50_000  # distinct prompts counted in memory, about 6 MB


class Occurrences:
    """Counts identical prompts: exact for any number of them, in bounded memory.

    The first `spill` distinct prompts are counted in a dict, the others in a private temporary
    database on disk. For one thread.
    """

    def __init__(self, spill: int = SPILL) -> None:
        self._spill = spill
        self._counts: dict[bytes, int] = {}
        self._database: Connection | None = None

    def next(self, hash: str) -> int:
        """Count a prompt; return how many prompts with this hash came before it.

        Raise a StreamError if the disk fails.
        """
        key = bytes.fromhex(hash)
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= self._spill:
                return self._next_on_disk(key)
            count = 0
        self._counts[key] = count + 1
        return count

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    def _next_on_disk(self, key: bytes) -> int:
        try:
            import sqlite3
        except ImportError:  # this Python was built without it: use memory
            self._spill = sys.maxsize
            self._counts[key] = 1
            return 0
        try:
            if self._database is None:
                self._database = _database()
            execute = self._database.execute
            if execute("INSERT OR IGNORE INTO seen VALUES (?, 0)", (key,)).rowcount:
                return 0
            execute("UPDATE seen SET count = count + 1 WHERE hash = ?", (key,))
            found = execute("SELECT count FROM seen WHERE hash = ?", (key,)).fetchone()
            return int(found[0])
        except sqlite3.Error as error:
            message = f"the temporary database of prompts cannot be written: {error}"
            raise StreamError("write", message, "TMPDIR names another folder for it") from error


def _database() -> Connection:
    from sqlite3 import connect

    database = connect("", isolation_level=None)  # "" is a temporary file without a name
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -4096")  # KiB
    database.execute("CREATE TABLE seen (hash BLOB PRIMARY KEY, count INTEGER) WITHOUT ROWID")
    database.execute("BEGIN")
    return database
