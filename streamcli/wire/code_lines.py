"""Parse lines `CODE:JSON`; the code is the event's name. No I/O, never raises, linear."""

from __future__ import annotations

import orjson

from .error_shapes import says_failure
from .lenient_json import is_json
from .multiline_json import MultilineJson
from .payloads import Payloads
from .sse import BOM, MAX_EVENT_SIZE, Message, Stray


class CodeLines(Payloads):
    """Payloads of a body whose lines begin with one of `codes`, one character each.

    Only LF ends a line. Lines with another code are left out. After the first line of the format,
    other lines may be a Stray, as servers write errors so: JSON, on one line or on several, or
    prose about a failure. The value of the codes `prose` may be plain words instead of JSON.
    """

    def __init__(self, codes: str, limit: int = MAX_EVENT_SIZE, prose: str = "") -> None:
        super().__init__(limit)
        self._codes = codes.encode()
        self._prose = prose.encode()
        self._begun = False
        self._recognised = False  # there was a line of the format
        self._strays = MultilineJson()

    def feed(self, data: bytes) -> list[bytes]:
        if len(self.excerpt) < 200:
            self.excerpt = (self.excerpt + data).removeprefix(BOM).lstrip()[:200]
        end = data.rfind(b"\n") + 1
        if end:
            lines = b"".join((*self._fragments, data[:end]))
            self._fragments = []
            self._size = 0
        if end < len(data):
            self._fragments.append(data[end:])
            self._size += len(data) - end
            self._overflow = self._overflow or self._size > self._limit + len(b"0:")
        return self._parse(lines) if end else []

    def close(self) -> list[bytes]:
        first = self.excerpt[:1]
        self.looks_like = "html" if first == b"<" else "json" if first in (b"{", b"[") else ""
        rest = b"".join(self._fragments)
        self._fragments = []
        out = self._parse(rest)
        if self._strays and b'"error"' in (cut := self._strays.rest()):
            out.append(Stray(cut))
        return out

    def _parse(self, lines: bytes) -> list[bytes]:
        out: list[bytes] = []
        if not self._begun:
            self._begun = True
            lines = lines.removeprefix(BOM)
        for line in lines.split(b"\n"):
            if line[1:2] == b":" and line[0] in self._codes:
                self._strays.rest()
                self._recognised = True
                data = line[2:]
                if line[:1] in self._prose and not is_json(data):
                    data = orjson.dumps(data.decode("utf-8", "replace").strip())
                out.append(Message.of(data, line[:1], b""))
            elif bare := line.strip():
                self._other(line, bare, out)
        return out

    def _other(self, line: bytes, bare: bytes, out: list[bytes]) -> None:
        """Read a line that does not follow the format."""
        value: bytes | None = None
        if self._strays:
            value = self._strays.add(line)
        elif bare.startswith(b'{"') or bare in (b"{", b"[", b"[{"):
            if self._recognised or b'"error"' in line:
                value = self._strays.begin(line)
        elif self._recognised and says_failure(bare.decode("utf-8", "replace")):
            value = line
        if value is not None:
            out.append(Stray(value))
