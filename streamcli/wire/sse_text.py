"""Read server-sent events of plain text, from servers that write line breaks into the data. Pure.

`yield f"data: {chunk}\\n\\n"` is in every tutorial, and a chunk may hold line breaks: then only its
first line has a `data:` before it, and the rules of SSE drop the others. There are two ways to undo
that: TextEvents for any server, UnescapedEvents for one that is known to write so.
"""

from __future__ import annotations

import re

from .sse import BOM, SSE

_FIELDS = (b"data:", b"event:", b"id:", b"retry:")


class TextEvents(SSE):
    """Reads both kinds of servers: those that write `data:` before each line, and the others.

    A line without a known field continues the text of the last event, and blank lines between text
    belong to it; a line of the text that begins like a field is taken for that field. As in SSE,
    but `feed` may also return text that continues the event before: a line break, or two of them
    and text.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._ended = False  # the line before was the blank one that ended an event, or one more

    def close(self) -> list[bytes]:
        """Return the unfinished event; drop a last line that may be the beginning of a field."""
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


_BEGIN = b"\n\ndata:"
_BOUNDARY = re.compile(rb"\n\ndata: ?")


class UnescapedEvents(SSE):
    """Reads servers that write `data: `, an unescaped chunk and a blank line, and nothing else.

    So an event begins only with `data:` after a blank line (or at the beginning of the body), and
    every other line is text, even one that looks like a field (`id: 7`) or a comment. As in
    TextEvents, `feed` may also return text that continues the event before.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._rest = b"\n\n"  # the bytes from the last blank line on: an event begins or continues
        self._last = b""  # the last byte of the fragments

    def feed(self, data: bytes) -> list[bytes]:
        if self._start is not None:
            data = self._start + data
            if BOM.startswith(data):
                self._start = data
                return []
            self._start = None
            data = data.removeprefix(BOM).lstrip(b"\r\n")
        self._fragments.append(data)
        if b"\n\n" not in self._last + data:
            self._last = data[-1:] or self._last
            self._grow(len(data))
            return []
        text = b"".join((self._rest, *self._fragments))
        # The last blank line ends an event, or belongs to its text: it waits for the next bytes.
        end = text.rindex(b"\n\n")
        self._rest, self._last = text[end:], text[-1:]
        self._fragments.clear()
        self._size = len(self._rest)
        return self._events(text[:end])

    def close(self) -> list[bytes]:
        text = b"".join((self._rest, self._start or b"", *self._fragments))
        self._fragments.clear()
        self._rest = self._start = b""
        end = text.rfind(b"\n\n")
        if _BEGIN.startswith(text[end:]):  # it is followed by nothing, or the beginning of an event
            text = text[:end]
        return self._events(text.removesuffix(b"\n"))

    def _events(self, text: bytes) -> list[bytes]:
        """Return the chunks in `text`; text before the first `data:` continues the last event."""
        before, *events = _BOUNDARY.split(text)
        if self.recognised and before:
            events.insert(0, before)
        self.recognised = self.recognised or bool(events)
        if any(len(each) > self._limit for each in events):
            self.overflow = True
        return events
