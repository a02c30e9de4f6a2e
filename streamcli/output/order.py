"""Write answers in the order of their prompts: the first one streams, the others wait.

Waiting answers are kept in memory, and past a limit in one temporary file without a name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from ..errors import StreamError

LIMIT = 64 << 20  # bytes in memory


class OrderedWriter:
    """Writes one answer at a time: `slot(n)` takes the nth, counted from 0 without gaps.

    `write` writes the bytes of the answer whose turn it is, the head. Every number has to be `done`
    at some time, whether it wrote or not. More than `limit` bytes that wait go to disk.
    """

    def __init__(self, write: Callable[[bytes], None], limit: int | None = None) -> None:
        self._write = write
        self._gap = b""  # what is written for skipped answers, once something follows
        self.head = 0
        self._limit = LIMIT if limit is None else limit
        self._slots: dict[int, Slot] = {}
        self._waiting = 0  # bytes in memory
        self._file: IO[bytes] | None = None
        self._kept = 0  # bytes of the file that are still to be read

    def slot(self, number: int) -> Slot:
        """Return the slot to which the nth answer is written."""
        if (slot := self._slots.get(number)) is None:
            slot = self._slots[number] = Slot(self, number)
        return slot

    def write(self, data: bytes) -> None:
        """Write bytes of the head."""
        if self._gap:
            data, self._gap = self._gap + data, b""
        self._write(data)

    def done(self, number: int, gap: bytes = b"") -> None:
        """End the nth answer; if it is the head, write those behind it, up to one that is not done.

        `gap` is written in its place if something follows.
        """
        done = self.slot(number)
        done.over, done.gap = True, gap
        while (slot := self._slots.get(self.head)) is not None and slot.over:
            del self._slots[self.head]
            self.head += 1
            self._gap += slot.gap
            if (following := self._slots.get(self.head)) is not None:
                self._let_through(following)

    def finish(self) -> None:
        """Write all answers that wait, in their order: no more will come."""
        for number in sorted(self._slots):
            self.head = number
            self._let_through(self._slots[number])
            self._gap += self._slots[number].gap
        self._slots.clear()
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
        for slot in self._slots.values():
            if slot.waiting:
                at, size = self._file.seek(0, 2), len(slot.waiting)
                left = memoryview(slot.waiting)
                while left:
                    left = left[self._file.write(left) :]
                slot.spilled.append((at, size))
                slot.waiting = bytearray()
                self._kept += size
        self._waiting = 0

    def _let_through(self, slot: Slot) -> None:
        for at, size in slot.spilled:
            assert self._file is not None
            self._file.seek(at)
            left, pieces = size, []
            while left:
                pieces.append(self._file.read(left))
                left -= len(pieces[-1])
            self._kept -= size
            self.write(b"".join(pieces))
        if slot.spilled and self._file is not None and not self._kept:
            self._file.truncate(0)
        slot.spilled = []
        if slot.waiting:
            waiting, slot.waiting = bytes(slot.waiting), bytearray()
            self._waiting -= len(waiting)
            self.write(waiting)


class Slot:
    """Takes the bytes of one answer: writes them if it is the head, keeps them otherwise."""

    __slots__ = ("_number", "_writer", "gap", "over", "spilled", "waiting")

    def __init__(self, writer: OrderedWriter, number: int) -> None:
        self._writer = writer
        self._number = number
        self.over = False
        self.gap = b""
        self.spilled: list[tuple[int, int]] = []  # (offset, size) in the file, in order
        self.waiting = bytearray()  # the bytes after those

    def write(self, data: bytes) -> None:
        if self._writer.head == self._number:
            self._writer.write(data)
        else:
            self.waiting += data
            self._writer.waits(len(data))

    lines = write
