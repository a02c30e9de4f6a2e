"""Join the lines of a JSON value among the events of a stream: mostly an error. Pure."""

from __future__ import annotations

import orjson

_MOST_LINES = 1000
_MOST_BYTES = 1 << 18


class MultilineJson:
    """Joins the lines of one value at a time.

    `begin` takes the first line of a value, `add` each line after it: both return the value once it
    is whole. `rest` returns the lines of a value that did not end.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._depth = 0  # open brackets; those in strings are counted too
        self._size = 0

    def __bool__(self) -> bool:
        """Return whether a value has begun and is not over."""
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
        # The last line is a bracket indented as the first line, or it closes all brackets.
        outermost = bare[:1] in (b"}", b"]") and _indent(line) <= _indent(lines[0])
        if (outermost or (self._depth <= 0 and bare[-1:] in (b"}", b"]"))) and is_whole(
            value := b"\n".join(lines)
        ):
            lines.clear()
            return value
        return None

    @property
    def is_too_long(self) -> bool:
        """Whether the value has become too long for an error."""
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
