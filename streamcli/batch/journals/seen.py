"""The prompts that a batch has completed, and the count of identical ones."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import orjson

from ...errors import StreamError

if TYPE_CHECKING:
    from sqlite3 import Connection

SPILL = 50_000  # distinct prompts counted in memory, some 6 MB


class Done:
    """Keeps (prompt_hash, occurrence) of finished prompts, in little more than 16 bytes each.

    A key is the hash plus a multiple of an odd constant; keys lie end to end in buckets by their
    last bits, and bytearray.find is the search.
    """

    _BUCKETS = 4096
    _STEP = 0x9E3779B97F4A7C15F39CC0605CEDC835  # 2**128 / golden ratio, odd: spreads occurrences

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(self._BUCKETS)]
        self._size = 0

    def add(self, hash: str, occurrence: int) -> bool:
        """Add one; return False if it was there. `hash` has 32 hexadecimal digits."""
        key, bucket = self._place(hash, occurrence)
        if _holds(bucket, key):
            return False
        bucket += key
        self._size += 1
        return True

    def has(self, hash: str, occurrence: int) -> bool:
        key, bucket = self._place(hash, occurrence)
        return _holds(bucket, key)

    def __len__(self) -> int:
        return self._size

    def _place(self, hash: str, occurrence: int) -> tuple[bytes, bytearray]:
        number = int(hash, 16) + occurrence * self._STEP & (1 << 128) - 1
        return number.to_bytes(16, "big"), self._buckets[number % self._BUCKETS]


def _holds(bucket: bytearray, key: bytes) -> bool:
    at = bucket.find(key)
    while at % 16 and at >= 0:  # the end of one key and the beginning of the next
        at = bucket.find(key, at + 1)
    return at >= 0


class Occurrences:
    """Counts identical prompts: exact for any number of them, in bounded memory.

    The first `spill` distinct prompts are counted in a dict, others in a private temporary
    database on disk. For one thread.
    """

    def __init__(self, spill: int = SPILL) -> None:
        self._spill = spill
        self._counts: dict[bytes, int] = {}
        self._database: Connection | None = None

    def next(self, hash: str) -> int:
        """Count a prompt; return how many with this hash came before it.

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
        except ImportError:  # a Python built without it: memory has to do
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

    database = connect("", isolation_level=None)  # "" is a file of our own that has no name
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -4096")  # KiB
    database.execute("CREATE TABLE seen (hash BLOB PRIMARY KEY, count INTEGER) WITHOUT ROWID")
    database.execute("BEGIN")
    return database


def known_by(hash: str, id: str | int | None) -> str:
    """Return the key of a prompt: its hash, and the id that its line of --requests gave it.

    Equal prompts with ids of their own are told apart wherever they were asked: a job's lines may
    be shared out among processes, none of which can count those of the others.
    """
    if id is None:
        return hash
    from hashlib import sha256

    return sha256(orjson.dumps([hash, id])).hexdigest()[:32]
