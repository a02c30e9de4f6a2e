"""--buffer: hold a text back until a line, a sentence, a paragraph or N chunks are whole."""

from __future__ import annotations

import re
from collections.abc import Callable

from .sentences import WINDOW, last_end

_BLANK_LINE = re.compile(r"\n(?=([ \t]{0,32}\r?\n))")


class Buffer:
    """Passes on a text in whole parts; feed it one delta at a time.

    `until` is "line", "sentence", "paragraph", or a number of deltas. The cost of a character does
    not depend on the length of a part.
    """

    def __init__(self, until: str) -> None:
        self._held: list[str] = []
        self._size = 0  # characters that are held
        self._count = int(until) if until.isdecimal() else 0
        self._end: Callable[[str, bool], int] | None = _ENDS.get(until)
        self._seen = ""  # the last WINDOW characters of the text, held or not

    def feed(self, text: str) -> str:
        """Add a delta; return the text up to the end of the last whole part."""
        if self._end is None:
            self._held.append(text)
            return self.close() if len(self._held) >= self._count else ""
        seen = self._seen + text
        self._seen = seen[-WINDOW:]
        self._held.append(text)
        self._size += len(text)
        end = self._end(seen, False)
        rest = len(seen) - end  # characters behind the end of the last part
        if not end or rest >= self._size:
            return ""
        whole = self.close()
        if rest:
            self._held, self._size = [whole[-rest:]], rest
        return whole[: len(whole) - rest]

    def close(self) -> str:
        """Return the rest of the text: the answer has ended."""
        held = "".join(self._held)
        self._held, self._size = [], 0
        return held


def _line_end(text: str, last: bool) -> int:
    return text.rfind("\n") + 1


def _paragraph_end(text: str, last: bool) -> int:
    end = 0
    for found in _BLANK_LINE.finditer(text):
        end = found.end(1)
    return end


_ENDS: dict[str, Callable[[str, bool], int]] = {
    "line": _line_end,
    "sentence": last_end,
    "paragraph": _paragraph_end,
}
