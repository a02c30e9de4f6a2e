"""Remember the ids of counted requests in bounded memory: 16 bytes each, 64 MiB in all."""

from __future__ import annotations

from array import array

GENERATION = 1 << 21  # ids; the last one to two times as many are known
_FIRST = 1 << 12


class SeenIds:
    """Remembers hashes of ids; the chance that two ids are taken for one is 1 to 10**12.

    The last `generation` ids are always known. Older ones are forgotten, a generation at a time.
    """

    def __init__(self, generation: int = GENERATION) -> None:
        self._generation = generation
        self._new = _Table()
        self._old = _Table()

    def add(self, id: bytes) -> bool:
        """Add one; return False if it was there."""
        number = hash(id) & 0xFFFF_FFFF_FFFF_FFFF or 1
        if self._old.count and self._old.has(number):
            return False
        if not self._new.add(number):
            return False
        if self._new.count >= self._generation:
            self._old, self._new = self._new, _Table()
        return True

    def has(self, id: bytes) -> bool:
        number = hash(id) & 0xFFFF_FFFF_FFFF_FFFF or 1
        return self._new.has(number) or self._old.has(number)


class _Table:
    """A set of 64-bit numbers other than 0: a hash table with open addressing."""

    __slots__ = ("_mask", "_slots", "count")

    def __init__(self) -> None:
        self.count = 0
        self._mask = _FIRST - 1
        self._slots = array("Q", bytes(8 * _FIRST))

    def add(self, number: int) -> bool:
        slots, mask = self._slots, self._mask
        at = number & mask
        while found := slots[at]:
            if found == number:
                return False
            at = at + 1 & mask
        slots[at] = number
        self.count += 1
        if self.count * 2 > mask:
            self._grow()
        return True

    def has(self, number: int) -> bool:
        slots, mask = self._slots, self._mask
        at = number & mask
        while found := slots[at]:
            if found == number:
                return True
            at = at + 1 & mask
        return False

    def _grow(self) -> None:
        mask = self._mask = self._mask * 2 + 1
        slots = array("Q", bytes(8 * (mask + 1)))
        for number in self._slots:
            if number:
                at = number & mask
                while slots[at]:
                    at = at + 1 & mask
                slots[at] = number
        self._slots = slots
