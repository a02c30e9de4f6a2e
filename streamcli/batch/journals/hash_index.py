"""An index of prompts by hash and occurrence, in little more memory than its keys and values."""

from __future__ import annotations

_BUCKETS = 4096
_KEY = 16  # bytes
_STEP = 0x9E3779B97F4A7C15F39CC0605CEDC835  # 2**128 / golden ratio, odd: spreads occurrences


class HashIndex:
    """Maps (hash, occurrence) to a value of `size` bytes.

    A key is the hash plus a multiple of an odd constant. Entries lie end to end in buckets by the
    last bits of their key, and bytearray.find searches them.
    """

    def __init__(self, size: int = 0) -> None:
        self._entry = _KEY + size
        self._buckets = [bytearray() for _ in range(_BUCKETS)]

    def put(self, hash: str, occurrence: int, value: bytes = b"", *, replace: bool = False) -> bool:
        """Store a value; an earlier one stays unless `replace` is set. Return False if one was.

        `hash` has 32 hexadecimal digits.
        """
        key, bucket = self._key_and_bucket(hash, occurrence)
        at = self._find(bucket, key)
        if at < 0:
            bucket += key + value
        elif replace:
            bucket[at : at + self._entry] = key + value
        return at < 0

    def get(self, hash: str, occurrence: int) -> bytes | None:
        """Return the value; None if there is none."""
        key, bucket = self._key_and_bucket(hash, occurrence)
        at = self._find(bucket, key)
        return None if at < 0 else bytes(bucket[at + _KEY : at + self._entry])

    def _find(self, bucket: bytearray, key: bytes) -> int:
        at = bucket.find(key)
        while at % self._entry and at >= 0:  # the match does not begin where an entry begins
            at = bucket.find(key, at + 1)
        return at

    def _key_and_bucket(self, hash: str, occurrence: int) -> tuple[bytes, bytearray]:
        number = int(hash, 16) + occurrence * _STEP & (1 << 128) - 1
        return number.to_bytes(_KEY, "big"), self._buckets[number % _BUCKETS]
