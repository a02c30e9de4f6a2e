"""Parse server-sent events: bytes in, the data of events out. No I/O, never raises.

It follows https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
except that `close` returns the unfinished event that the specification drops: its reader judges it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .multiline_json import MultilineJson

MAX_EVENT_SIZE = 16 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


class Message(bytes):
    """Holds the data of an SSE event that has a name or an id; other events are plain bytes."""

    event: str
    id: str

    @classmethod
    def of(cls, data: bytes, event: bytes, id: bytes) -> Message:
        message = cls(data)
        message.event = event.decode("utf-8", "replace") or "message"
        message.id = id.decode("utf-8", "replace")
        return message


class Stray(bytes):
    """Holds lines among SSE that may be an error: bare JSON, or the value of `error: ...`."""


class SSE:
    """Parses server-sent events: `feed` returns the data of each event that the bytes completed.

    A CR at the end of a read ends its line now (to wait would delay a CR-only stream by one event),
    and an LF at the beginning of the next read is dropped. Unfinished lines are kept as fragments
    and joined once: joining at each read is quadratic for a long line in small reads.

    `strays` collects JSON among the events without `data:`, on one line or on several, and the
    value of `error: ...`, also where the end of the bytes cut it: some servers write their errors
    so, and the rules would drop them. `overflow` becomes True once one event outgrows `limit`.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.comments = 0
        self.retry: int | None = None
        self.overflow = False
        self.recognised = False  # some line followed the format
        self.strays: list[bytes] = []
        self._limit = limit
        self._start: bytes | None = b""  # the first three bytes, until a BOM is ruled out
        self._after_cr = False
        self._fragments: list[bytes] = []
        self._size = 0  # of the fragments
        self._data: list[bytes] = []
        self._data_size = 0
        self._event = b""
        self._id = b""
        self._open = False  # lines of an unfinished event were read
        self._multiline: MultilineJson | None = None  # made for the first line that needs it

    @property
    def last_event_id(self) -> str:
        return self._id.decode("utf-8", "replace")

    def feed(self, data: bytes) -> list[bytes]:
        return self.parse(self.lines(data))

    def lines(self, data: bytes) -> bytes:
        """Return the lines that `data` completed, each ended by LF; keep the rest."""
        if self._start is not None:
            data = self._start + data
            if len(data) < 3 and BOM.startswith(data):
                self._start = data
                return b""
            self._start = None
            data = data.removeprefix(BOM)
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = data.rfind(b"\n") + 1
        if not end:
            if data:
                self._fragments.append(data)
                self._grow(len(data))
            return b""
        lines = data[:end]
        if self._fragments:
            lines = b"".join((*self._fragments, lines))
            self._fragments.clear()
        self._size = 0
        if end < len(data):
            self._fragments.append(data[end:])
            self._grow(len(data) - end)
        return lines

    @property
    def between_events(self) -> bool:
        """Whether the meaning of the next line does not depend on earlier lines."""
        return not self._open and not self._id

    def parse(self, lines: bytes) -> list[bytes]:
        """Return the data of each event that these lines (of `lines`) completed."""
        out: list[bytes] = []
        if lines:
            self._blocks(lines, out)
        return out

    def close(self) -> list[bytes]:
        """Return the event that the end of the bytes left without its blank line, if any."""
        out: list[bytes] = []
        if self._start:
            self._fragments.append(self._start)
            self._start = None
        if self._fragments:
            self._line(b"".join(self._fragments), out)
            self._fragments.clear()
        self._line(b"", out)
        if self._multiline and b'"error"' in (rest := self._multiline.rest()):
            self._stray(rest, out)
        return out

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size + self._data_size > self._limit:
            self.overflow = True

    def _blocks(self, lines: bytes, out: list[bytes]) -> None:
        if self._open:  # finish the event that an earlier read began, line by line
            blank = 0 if lines[:1] == b"\n" else lines.find(b"\n\n") + 1
            if not blank and lines[:1] != b"\n":
                self._lines(lines[:-1], out)
                return
            self._lines(lines[:blank], out)
            lines = lines[blank + 1 :]
        blocks = lines.split(b"\n\n")
        rest = blocks.pop()
        for block in blocks:
            # Nearly every event of every provider is this one line.
            if block[:6] == b"data: " and b"\n" not in block and not self._id:
                out.append(block[6:])
                if len(block) > self._limit:
                    self.overflow = True
            else:
                self._lines(block + b"\n", out)
        if out and not self.recognised:
            self.recognised = any(type(data) is not Stray for data in out)
        if rest:
            self._lines(rest[:-1], out)

    def _lines(self, lines: bytes, out: list[bytes]) -> None:
        for line in lines.split(b"\n"):
            self._line(line, out)

    def _line(self, line: bytes, out: list[bytes]) -> None:
        if self._multiline and self._continue(self._multiline, line, out):
            return
        if not line:
            if self._data:
                data = b"\n".join(self._data)
                if self._event or self._id:
                    data = Message.of(data, self._event, self._id)
                out.append(data)
                self._data = []
                self._data_size = 0
            elif self._event:
                self._dataless(out)
            self._event = b""
            self._open = False
            return
        self._open = True
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._data_size += len(value)
            if self._data_size > self._limit:
                self.overflow = True
        elif not field:
            self.comments += 1
        elif field == b"event":
            self._event = value
        elif field == b"id":
            if b"\0" not in value:
                self._id = value
        elif field == b"retry":
            if value.isdigit() and len(value) < 20:
                self.retry = int(value)
        else:
            self._other(field, value, line, out)
            return
        self.recognised = True

    def _dataless(self, out: list[bytes]) -> None:
        """Read the end of an event with a name and no data: drop it, as the rules do."""

    def _other(self, field: bytes, value: bytes, line: bytes, out: list[bytes]) -> None:
        """Read a line that does not follow the format."""
        stray: bytes | None = None
        if field == b"error":
            stray = value
        elif field.lstrip()[:1] in (b"{", b"["):
            if self._multiline is None:
                from .multiline_json import MultilineJson

                self._multiline = MultilineJson()
            stray = self._multiline.begin(line)
        if stray:
            self._stray(stray, out)

    def _continue(self, multiline: MultilineJson, line: bytes, out: list[bytes]) -> bool:
        """Read a line after the beginning of a JSON value; return whether it belongs to it."""
        if not line:
            return False  # it ends an event all the same
        if line.startswith(_FIELDS) or multiline.is_too_long:
            multiline.rest()
            return False
        if (value := multiline.add(line)) is not None:
            self._stray(value, out)
        return True

    def _stray(self, line: bytes, out: list[bytes]) -> None:
        self.strays.append(line)
