"""JSON that stands among the events of a stream, over several lines: mostly an error. Pure."""

from __future__ import annotations

import orjson

_MOST_LINES = 1000
_MOST_BYTES = 1 << 18


class SpreadJson:
    """Joins the lines of one value.

    `begin` takes a line that may be its first one, `add` each line behind it: both return the value
    once it is whole. `rest` returns the lines of a value that did not end.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._depth = 0  # brackets that are open, those in strings counted too
        self._size = 0

    def __bool__(self) -> bool:
        """Whether a value has begun and is not over."""
        return bool(self._lines)

    def begin(self, line: bytes) -> bytes | None:
        if is_whole(line):
            return line
        self._lines = [line]
        self._depth = _depth_of(line)
        self._size = len(line)
        return None

    def add(self, line: bytes) -> bytes | None:
        lines = self._lines
        lines.append(line)
        self._depth += _depth_of(line)
        self._size += len(line)
        bare = line.strip()
        # Its last line is a bracket, no further right than the first one, or closes all of them.
        outermost = bare[:1] in (b"}", b"]") and _indent(line) <= _indent(lines[0])
        if (outermost or (self._depth <= 0 and bare[-1:] in (b"}", b"]"))) and is_whole(
            value := b"\n".join(lines)
        ):
            lines.clear()
            return value
        return None

    @property
    def is_too_long(self) -> bool:
        """Whether this cannot be an error any more."""
        return len(self._lines) > _MOST_LINES or self._size > _MOST_BYTES

    def rest(self) -> bytes:
        lines, self._lines = self._lines, []
        return b"\n".join(lines)


def is_whole(value: bytes) -> bool:
    """Return whether `value` is JSON, or a marker in brackets."""
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return value.strip().lower() == b"[done]"
    return True


def _depth_of(line: bytes) -> int:
    return sum(line.count(each) for each in (b"{", b"[")) - sum(
        line.count(each) for each in (b"}", b"]")
    )


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip())
