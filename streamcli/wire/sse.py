"""SSE and JSON framing: bytes in, payload bytes out, for any chunking. No I/O, never raises.

SSE follows https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
except that `close` hands over the event the spec would drop, for its reader to judge.
"""

from __future__ import annotations

from .lenient_json import is_json

MAX_EVENT_SIZE = 16 * 1024 * 1024
BOM = b"\xef\xbb\xbf"


class Message(bytes):
    """The data of an SSE event that has a name or an id; other events are plain bytes."""

    event: str
    id: str

    @classmethod
    def of(cls, data: bytes, event: bytes, id: bytes) -> Message:
        message = cls(data)
        message.event = event.decode("utf-8", "replace") or "message"
        message.id = id.decode("utf-8", "replace")
        return message


class Stray(bytes):
    """A line among SSE that is none of it but may be an error: `{...`, or `error: ...`'s value."""


class SSE:
    """Server-sent events: `feed(bytes)` gives the data of each event that the bytes completed.

    A CR that ends a read ends its line now (holding it would delay a CR-only stream by one
    event) and an LF that starts the next read is swallowed. Unfinished lines are kept as
    fragments and joined once: joining at each read is quadratic for a long line that drips.

    `strays` collects lines of the form `{...` or `error: ...`: some servers write their errors
    so, and the rules would drop them. `overflow` turns true once one event outgrows `limit`.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.comments = 0
        self.retry: int | None = None
        self.overflow = False
        self.recognised = False  # some line was of the format at all
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

    @property
    def last_event_id(self) -> str:
        return self._id.decode("utf-8", "replace")

    def feed(self, data: bytes) -> list[bytes]:
        return self.parse(self.lines(data))

    def lines(self, data: bytes) -> bytes:
        """The lines that `data` completed, each ended by LF; what is left over is kept."""
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
        """Nothing of earlier lines bears on the next one."""
        return not self._open and not self._id

    def parse(self, lines: bytes) -> list[bytes]:
        """The data of each event that these lines (of `lines`) completed."""
        out: list[bytes] = []
        if lines:
            self._blocks(lines, out)
        return out

    def close(self) -> list[bytes]:
        """The event that the end of the bytes left without its blank line, if any."""
        out: list[bytes] = []
        if self._start:
            self._fragments.append(self._start)
            self._start = None
        if self._fragments:
            self._line(b"".join(self._fragments), out)
            self._fragments.clear()
        self._line(b"", out)
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
        if not line:
            if self._data:
                data = b"\n".join(self._data)
                if self._event or self._id:
                    data = Message.of(data, self._event, self._id)
                out.append(data)
                self._data = []
                self._data_size = 0
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

    def _other(self, field: bytes, value: bytes, line: bytes, out: list[bytes]) -> None:
        """A line that is none of the format."""
        if field == b"error" and value:
            self._stray(value, out)
        elif field.startswith(b"{"):
            self._stray(line, out)

    def _stray(self, line: bytes, out: list[bytes]) -> None:
        self.strays.append(line)


class _InOrder(SSE):
    """Its strays stand between the events, where they were read."""

    def _stray(self, line: bytes, out: list[bytes]) -> None:
        out.append(Stray(line))


class Payloads:
    """JSON payloads out of a body, whichever framing its first byte betrays.

    SSE gives the data of its events, and its Strays where they stood. A body that starts with `{`
    or `[` is a server that does not stream, or streams JSON lines: a first line that is JSON by
    itself makes it lines, else the whole body is one payload at the end (a trailing `data: [DONE]`
    is cut off).
    `looks_like` then is "sse", "json", "html" or "" (nothing but blanks yet). `sse` parses the
    events, where they need another parser than the usual one.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE, sse: SSE | None = None) -> None:
        self.looks_like = ""
        self.sse: SSE = sse or _InOrder(limit)
        self.excerpt = b""  # how a body that is no stream begins
        self._limit = limit
        self._blanks = b""
        self._fragments: list[bytes] = []
        self._size = 0
        self._whole = False
        self._by_line = False
        self._overflow = False

    @property
    def overflow(self) -> bool:
        return self._overflow or self.sse.overflow

    @property
    def settled(self) -> bool:
        """It is SSE and nothing is left to be learned here: `sse` may be fed directly."""
        return self.looks_like == "sse" and len(self.excerpt) == 200

    def feed(self, data: bytes) -> list[bytes]:
        if self.looks_like == "sse":
            if len(self.excerpt) < 200:
                self.excerpt = (self.excerpt + data)[:200]
            return self.sse.feed(data)
        if not self.looks_like:
            data = self._blanks + data
            start = data.removeprefix(BOM).lstrip()
            if not start or (len(data) < 3 and BOM.startswith(data)):
                self._blanks = data[-4096:]
                return []
            if start[:1] in (b"{", b"["):
                self.looks_like = "json"
            elif start[:1] == b"<":
                self.looks_like = "html"
            else:
                self.looks_like = "sse"
                self.excerpt = start[:200]
                return self.sse.feed(data)
            data = start
        if len(self.excerpt) < 200:
            self.excerpt = (self.excerpt + data)[:200]
        if self.looks_like == "html":
            return []
        return self._json(data)

    def _json(self, data: bytes) -> list[bytes]:
        self._size += len(data)
        if self._size > self._limit:
            self._overflow = True
        end = data.rfind(b"\n") + 1
        if self._whole or not end:
            self._fragments.append(data)
            return []
        lines = b"".join((*self._fragments, data[:end]))
        self._fragments = [data[end:]] if end < len(data) else []
        if not self._by_line:
            first = lines[: lines.find(b"\n")]
            if not is_json(first):
                self._whole = True
                self._fragments.insert(0, lines)
                return []
            self._by_line = True
        self._size = len(data) - end
        return [p for p in map(_bare, lines.split(b"\n")) if p]

    def close(self) -> list[bytes]:
        if self.looks_like == "sse":
            return self.sse.close()
        rest = b"".join(self._fragments)
        self._fragments = []
        if self._by_line:
            return [rest] if _bare(rest) else []
        if rest and not is_json(rest):
            body, cut, trailer = rest.rpartition(b"data:")
            if cut and is_json(body):
                return [body, trailer.strip()]
        return [rest] if rest.strip() else []


def _bare(line: bytes) -> bytes:
    line = line.strip()
    return line[5:].lstrip() if line.startswith(b"data:") else line
