"""JSON payloads out of a body, whichever framing it has. No I/O, never raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .error_shapes import is_error_event, says_failure
from .lenient_json import is_json
from .sse import BOM, MAX_EVENT_SIZE, SSE, Message, Stray

if TYPE_CHECKING:
    from .spread_json import SpreadJson

_FIELDS = (b"event:", b"id:", b"retry:", b":")  # of SSE, but for its data
_NAMES = (b"data", b"event", b"id")


class _InOrder(SSE):
    """Puts its strays between the events, where they were read.

    A field is also one where blanks, a byte order mark or capitals hide it: the rules would drop
    its line, and with it a piece of the answer.
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
    """Finds the JSON payloads of a body; its first byte tells the framing.

    SSE gives the data of its events, and its Strays where they stood. A body that starts with `{`
    or `[` comes from a server that does not stream, or streams JSON lines: if the first line is
    JSON by itself, each line is a payload; else the whole body is one, at the end (a trailing
    `data: [DONE]` is cut off). Between JSON lines, prose is a Stray, and a value may be
    spread over several lines. `looks_like` is "sse", "json", "html" or "" (nothing but blanks so
    far). `sse` is another parser for the events than the usual one.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE, sse: SSE | None = None) -> None:
        self.looks_like = ""
        self.sse: SSE = sse or _InOrder(limit)
        self.excerpt = b""  # the beginning of the body, for messages
        self._limit = limit
        self._blanks = b""
        self._fragments: list[bytes] = []
        self._size = 0
        self._whole = False
        self._by_line = False
        self._overflow = False
        self._spread: SpreadJson | None = None  # made for the first line that needs it
        self._event = b""  # of an SSE event among JSON lines

    @property
    def overflow(self) -> bool:
        return self._overflow or self.sse.overflow

    @property
    def settled(self) -> bool:
        """Whether it is SSE, and `sse` may be fed directly."""
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
        if objects and not (self._spread or self._event):  # nearly always
            return lines.split(b"\n")[:-1]
        out: list[bytes] = []
        for line in lines.split(b"\n"):
            self._line(line, out)
        return out

    def _line(self, line: bytes, out: list[bytes]) -> None:
        """Read a line among JSON lines, whatever it is."""
        spread, bare = self._spread, _bare(line)
        if not bare:
            self._event = b""
        elif spread:
            begins = line[:1] == b"{" and is_json(line)
            if begins or spread.is_too_long:  # what had begun is broken
                out.append(b"\n".join((spread.rest(), line)))
            elif (value := spread.add(line)) is not None:
                out.append(value)
        elif line.startswith(_FIELDS):
            if line.startswith(b"event:"):
                self._event = line[6:].strip()
        elif self._event:
            out.append(Message.of(bare, self._event, b""))
        elif bare[0] == 0x7B and bare[-1] == 0x7D:
            out.append(bare)
        elif bare[0] in b"{[":
            if spread is None:
                from .spread_json import SpreadJson

                spread = self._spread = SpreadJson()
            if (whole := spread.begin(bare if line[:5] == b"data:" else line)) is not None:
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
        """Return what a last line without its end holds; the bytes may have cut it."""
        out: list[bytes] = []
        if rest.strip():
            self._line(rest, out)
        if self._spread:
            cut = self._spread.rest()
            out.append(Stray(cut) if b"\n" in cut and b'"error"' in cut else cut)
        return out


def _bare(line: bytes) -> bytes:
    line = line.strip()
    return line[5:].lstrip() if line.startswith(b"data:") else line
