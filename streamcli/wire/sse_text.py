"""Server-sent events with plain text in them, of servers that do not know what a line break does.

`yield f"data: {chunk}\\n\\n"` is in every tutorial, and a chunk may hold line breaks: all but its
first line then has no `data:` before it, and the rules drop it. What such a server sends is undone
here: a line of no known field goes on with the text of the last event, and blank lines between
text belong to it. Servers that write each line as `data:` are read the same. Pure.
"""

from __future__ import annotations

from .sse import SSE

_FIELDS = (b"data:", b"event:", b"id:", b"retry:")


class TextEvents(SSE):
    """As SSE; `feed` may also give what belongs to the text of the event before it.

    That is, to be appended as it is: a line break, or two of them and the text behind them. What
    nothing can tell from the format is taken as that: a line of the text that begins as a field.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._ended = False  # the line before was the blank one that ended an event, or one more

    def close(self) -> list[bytes]:
        """The event that was not ended, without a line that may be the beginning of a field."""
        out: list[bytes] = []
        line = b"".join((self._start or b"", *self._fragments))
        self._start = None
        self._fragments.clear()
        if not any(field.startswith(line) for field in _FIELDS):
            self._line(line, out)
        if self._data:
            self._line(b"", out)
        return out

    def _blocks(self, lines: bytes, out: list[bytes]) -> None:
        *blocks, rest = lines.split(b"\n\n")
        for block in blocks:
            # Nearly every event is this one line.
            if block[:6] == b"data: " and b"\n" not in block and not (self._open or self._id):
                out.append(block[6:])
                self.recognised = self._ended = True
                if len(block) > self._limit:
                    self.overflow = True
            else:
                self._lines(block + b"\n", out)
        if rest:
            self._lines(rest[:-1], out)

    def _line(self, line: bytes, out: list[bytes]) -> None:
        if line:
            super()._line(line, out)
            self._ended = False
        elif self._open:
            self._ended = bool(self._data)
            super()._line(line, out)
        elif self._ended:
            out.append(b"\n")

    def _other(self, field: bytes, value: bytes, line: bytes, out: list[bytes]) -> None:
        if self._ended:
            self._data = [b"", b""]  # the two line breaks that only seemed to end the event
        if self._data:
            self._data.append(line)
            self._data_size += len(line) + 1
            if self._data_size > self._limit:
                self.overflow = True
