"""Find the JSON payloads of a body in any framing. No I/O, never raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .error_shapes import is_error_event, says_failure
from .lenient_json import is_json
from .sse import BOM, MAX_EVENT_SIZE, SSE, Message, Stray

if TYPE_CHECKING:
    from .multiline_json import MultilineJson

_FIELDS = (b"event:", b"id:", b"retry:", b":")  # of SSE, without `data:`
_NAMES = (b"data", b"event", b"id")


class _OrderedSSE(SSE):
    """Puts its strays between the events, where they were read.

    It also accepts fields with blanks, a byte order mark or capitals: the rules of SSE would drop
    their lines, and with them a part of the answer.
    """

    def _stray(self, line: bytes, out: list[bytes]) -> None:
        out.append(Stray(line))

    def _dataless(self, out: list[bytes]) -> None:
        if is_error_event(self._event.decode("utf-8", "replace")):
            out.append(Message.of(b"", self._event, self._id))

    def _other(self, field: bytes, value: bytes, line: bytes, out: list[bytes]) -> None:
        name = field.removeprefix(BOM).strip().lower()
        if name in _NAMES and name != field:
            self._line(name + b":" + value, out)
        elif (
            b" " in field.strip()
            and not self._data
            and says_failure(line[:4000].decode("utf-8", "replace"))
        ):
            out.append(Stray(line))  # prose of a server that broke, or of one in between
        else:
            super()._other(field, value, line, out)


class Payloads:
    """Finds the JSON payloads of a body; its first byte decides the framing.

    Of SSE, the data of each event is a payload, and Strays come in their places. A body that begins
    with `{` or `[` is a whole JSON document, or JSON lines: if the first line is JSON by itself,
    each line is a payload; otherwise the whole body is one, at the end (a trailing `data: [DONE]`
    is cut off). Among JSON lines, prose is a Stray, and a value may take several lines.
    `looks_like` is "sse", "json", "html" or "" (only blanks so far). `sse` is a parser to use
    instead of the usual one.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE, sse: SSE | None = None) -> None:
        self.looks_like = ""
        self.sse: SSE = sse or _OrderedSSE(limit)
        self.excerpt = b""  # the beginning of the body, for messages
        self._limit = limit
        self._blanks = b""
        self._fragments: list[bytes] = []
        self._size = 0
        self._whole = False  # the body is one JSON document
        self._by_line = False  # the body is JSON lines
        self._overflow = False
        self._multiline: MultilineJson | None = None  # made for the first line that needs it
        self._event = b""  # the name of an SSE event among JSON lines

    @property
    def overflow(self) -> bool:
        return self._overflow or self.sse.overflow

    @property
    def settled(self) -> bool:
        """Whether the body is SSE, and `sse` may be fed directly."""
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
        count = lines.count(b"\n")
        objects = lines.count(b"}\n") == count == lines.count(b"\n{") + (lines[:1] == b"{")
        if objects and not (self._multiline or self._event):  # nearly always
            return lines.split(b"\n")[:-1]
        out: list[bytes] = []
        for line in lines.split(b"\n"):
            self._line(line, out)
        return out

    def _line(self, line: bytes, out: list[bytes]) -> None:
        """Read one line of a body of JSON lines."""
        multiline, bare = self._multiline, _bare(line)
        if not bare:
            self._event = b""
        elif multiline:
            begins = line[:1] == b"{" and is_json(line)
            if begins or multiline.is_too_long:  # the value that had begun is broken
                out.append(b"\n".join((multiline.rest(), line)))
            elif (value := multiline.add(line)) is not None:
                out.append(value)
        elif line.startswith(_FIELDS):
            if line.startswith(b"event:"):
                self._event = line[6:].strip()
        elif self._event:
            out.append(Message.of(bare, self._event, b""))
        elif bare[0] == 0x7B and bare[-1] == 0x7D:
            out.append(bare)
        elif bare[0] in b"{[":
            if multiline is None:
                from .multiline_json import MultilineJson

                multiline = self._multiline = MultilineJson()
            if (whole := multiline.begin(bare if line[:5] == b"data:" else line)) is not None:
                out.append(whole)
        else:
            out.append(bare if is_json(bare) else Stray(bare))

    def close(self) -> list[bytes]:
        if self.looks_like == "sse":
            return self.sse.close()
        rest = b"".join(self._fragments)
        self._fragments = []
        if self._by_line:
            return self._last_line(rest)
        if rest and not is_json(rest):
            body, cut, trailer = rest.rpartition(b"data:")
            if cut and is_json(body):
                return [body, trailer.strip()]
        return [rest] if rest.strip() else []

    def _last_line(self, rest: bytes) -> list[bytes]:
        """Return the payloads of a last line without its newline; it may be cut off."""
        out: list[bytes] = []
        if rest.strip():
            self._line(rest, out)
        if self._multiline:
            cut = self._multiline.rest()
            out.append(Stray(cut) if b"\n" in cut and b'"error"' in cut else cut)
        return out


def _bare(line: bytes) -> bytes:
    line = line.strip()
    return line[5:].lstrip() if line.startswith(b"data:") else line
