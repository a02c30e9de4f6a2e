"""Answers in the order of their prompts: the first one streams, the others wait.

Waiting answers are kept in memory, and past a limit in one temporary file without a name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from ..errors import StreamError

LIMIT = 64 << 20  # bytes in memory


class Turnstile:
    """Writes one answer at a time: `place(n)` takes the nth, counted from 0 without gaps.

    `write` writes the answer that has its turn. Every number must be `done` at some time, whether
    it wrote or not.
    """

    def __init__(self, write: Callable[[bytes], None], limit: int | None = None) -> None:
        self._write = write
        self._gap = b""  # stands for skipped answers, and is written once something follows
        self.head = 0
        self._limit = LIMIT if limit is None else limit
        self._places: dict[int, Place] = {}
        self._waiting = 0  # bytes in memory
        self._file: IO[bytes] | None = None
        self._kept = 0  # bytes of the file that are still to be read

    def place(self, number: int) -> Place:
        """Return the place that the nth answer writes to."""
        if (place := self._places.get(number)) is None:
            place = self._places[number] = Place(self, number)
        return place

    def write(self, data: bytes) -> None:
        """Write bytes of the answer that has its turn."""
        if self._gap:
            data, self._gap = self._gap + data, b""
        self._write(data)

    def done(self, number: int, gap: bytes = b"") -> None:
        """End the nth answer, and write those behind it up to the first that is not done.

        `gap` is written in its place if something follows.
        """
        done = self.place(number)
        done.over, done.gap = True, gap
        while (place := self._places.get(self.head)) is not None and place.over:
            del self._places[self.head]
            self.head += 1
            self._gap += place.gap
            if (following := self._places.get(self.head)) is not None:
                self._let_through(following)

    def finish(self) -> None:
        """Write whatever waits, over gaps too: no more will come."""
        for number in sorted(self._places):
            self.head = number
            self._let_through(self._places[number])
            self._gap += self._places[number].gap
        self._places.clear()
        if self._file is not None:
            self._file.close()

    def waits(self, size: int) -> None:
        """Count `size` more bytes that wait, and move all of them to disk past the limit."""
        self._waiting += size
        if self._waiting > self._limit:
            try:
                self._spill()
            except OSError as error:
                from tempfile import gettempdir

                why = (error.strerror or str(error)).lower()
                folder = gettempdir()
                raise StreamError(
                    "write",
                    f"answers that wait for their turn cannot be kept in {folder}: {why}",
                    "set TMPDIR to a place with room, or do without --keep-order",
                ) from error

    def _spill(self) -> None:
        if self._file is None:
            from tempfile import TemporaryFile

            self._file = TemporaryFile(buffering=0)
        for place in self._places.values():
            if place.waiting:
                at, size = self._file.seek(0, 2), len(place.waiting)
                left = memoryview(place.waiting)
                while left:
                    left = left[self._file.write(left) :]
                place.spilled.append((at, size))
                place.waiting = bytearray()
                self._kept += size
        self._waiting = 0

    def _let_through(self, place: Place) -> None:
        for at, size in place.spilled:
            assert self._file is not None
            self._file.seek(at)
            left, pieces = size, []
            while left:
                pieces.append(self._file.read(left))
                left -= len(pieces[-1])
            self._kept -= size
            self.write(b"".join(pieces))
        if place.spilled and self._file is not None and not self._kept:
            self._file.truncate(0)
        place.spilled = []
        if place.waiting:
            waiting, place.waiting = bytes(place.waiting), bytearray()
            self._waiting -= len(waiting)
            self.write(waiting)


class Place:
    """Takes the bytes of one answer: writes them if it has its turn, keeps them otherwise."""

    __slots__ = ("_number", "_turnstile", "gap", "over", "spilled", "waiting")

    def __init__(self, turnstile: Turnstile, number: int) -> None:
        self._turnstile = turnstile
        self._number = number
        self.over = False
        self.gap = b""
        self.spilled: list[tuple[int, int]] = []  # (offset, size) in the file, in order
        self.waiting = bytearray()  # what came after that

    def write(self, data: bytes) -> None:
        if self._turnstile.head == self._number:
            self._turnstile.write(data)
        else:
            self.waiting += data
            self._turnstile.waits(len(data))

    lines = write
