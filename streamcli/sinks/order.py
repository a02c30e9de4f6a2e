"""Answers in the order of their prompts: the head of the line streams, the others wait.

What waits is kept in memory up to a limit, then in one temporary file without a name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import IO

from ..errors import StreamError

LIMIT = 64 << 20  # bytes in memory
_BLOCK = 1 << 20
Piece = bytes | tuple[int, int]  # itself, or (offset, size) in the file


class Turnstile:
    """Lets one through at a time: `place(n)` is for the nth, counted from 0 without gaps.

    `write` writes what has its turn. Each number is `done` at some time, whether it wrote or not.
    """

    def __init__(self, write: Callable[[bytes], None], limit: int = LIMIT) -> None:
        self.write = write
        self.head = 0
        self._limit = limit
        self._places: dict[int, Place] = {}
        self._waiting = 0  # bytes in memory
        self._file: IO[bytes] | None = None
        self._kept = 0  # bytes of the file that are still to be read

    def place(self, number: int) -> Place:
        """Where the nth writes."""
        if (place := self._places.get(number)) is None:
            place = self._places[number] = Place(self, number)
        return place

    def done(self, number: int) -> None:
        """That one is over. Behind the head those follow, up to the first that is not."""
        self.place(number).over = True
        while (place := self._places.get(self.head)) is not None and place.over:
            del self._places[self.head]
            self.head += 1
            if (following := self._places.get(self.head)) is not None:
                self._let_through(following)

    def keep(self, data: bytes) -> Piece:
        if self._waiting + len(data) <= self._limit:
            self._waiting += len(data)
            return data
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)
            at = self._file.seek(0, 2)
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            folder = tempfile.gettempdir()
            raise StreamError(
                "write",
                f"answers that wait for their turn cannot be kept in {folder}: {why}",
                "set TMPDIR to a place with room, or do without --keep-order",
            ) from error
        self._kept += len(data)
        return at, len(data)

    def finish(self) -> None:
        """There will be no more: whatever waits follows, over gaps too."""
        for number in sorted(self._places):
            self.head = number
            self._let_through(self._places[number])
        self._places.clear()

    def _let_through(self, place: Place) -> None:
        pieces, place.pieces = place.pieces, []
        for piece in pieces:
            if isinstance(piece, bytes):
                self._waiting -= len(piece)
                self.write(piece)
                continue
            at, size = piece
            assert self._file is not None
            end = at + size
            while at < end:
                self._file.seek(at)
                block = self._file.read(min(_BLOCK, end - at))
                at += len(block)
                self.write(block)
            self._kept -= size
        if self._file is not None and not self._kept:
            self._file.truncate(0)


class Place:
    """Where one prompt writes: through if it has its turn. For TextSink and RecordSink."""

    def __init__(self, turnstile: Turnstile, number: int) -> None:
        self._turnstile = turnstile
        self._number = number
        self.over = False
        self.pieces: list[Piece] = []

    def write(self, data: bytes) -> None:
        if self._turnstile.head == self._number:
            self._turnstile.write(data)
        else:
            self.pieces.append(self._turnstile.keep(data))

    lines = write
