"""The prompts that the journals of --resume have complete, 16 bytes of memory for each."""

from __future__ import annotations

import orjson

from .hash_index import HashIndex


class Completed:
    """Keeps the (key, occurrence) of completed prompts; `key_of` makes the key."""

    def __init__(self) -> None:
        self._index = HashIndex()
        self._size = 0

    def add(self, key: str, occurrence: int) -> bool:
        """Add a prompt; return False if it was there. `key` has 32 hexadecimal digits."""
        is_new = self._index.put(key, occurrence)
        self._size += is_new
        return is_new

    def has(self, key: str, occurrence: int) -> bool:
        """Return whether the prompt was added."""
        return self._index.get(key, occurrence) is not None

    def __len__(self) -> int:
        return self._size


def key_of(hash: str, id: str | int | None) -> str:
    """Return the key of a prompt: its hash, and the id that its line of --requests gave it.

    The id tells equal prompts apart wherever they are asked: a job's lines may be shared out among
    processes, none of which can count the prompts of the others.
    """
    if id is None:
        return hash
    from hashlib import sha256

    return sha256(orjson.dumps([hash, id])).hexdigest()[:32]
