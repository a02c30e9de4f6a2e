"""The conditions of --enough: a match of a regular expression, N lines, or N array elements."""

from __future__ import annotations

import re

from ..settings.settings import Settings
from .json_items import JsonItems
from .shape import ANY

_COUNT = re.compile(r"(\d+) ?(line|item)s?")
_LONGEST = 1000  # characters of a match that may be spread over several deltas
_NEXT = ("x", "0", " ", "\n")  # characters that may come next: a match has to hold before each
_PART = re.compile(r"[^,\]]*[,\]]?")  # up to where an element may close


class Watch:
    """Watches the text of one answer for the condition; call it with each delta.

    A call returns None, or how many characters of the delta are wanted once the condition is met.
    """

    def __init__(self, settings: Settings) -> None:
        wanted = settings.enough or ""
        counted = _COUNT.fullmatch(wanted)
        self._left = int(counted[1]) if counted is not None else 0
        self._items: JsonItems | None = None
        self._pattern: re.Pattern[str] | None = None
        self._before = ""
        if counted is None:
            self._pattern = re.compile(wanted, re.MULTILINE)
        elif counted[2] == "item":
            self._items = JsonItems("" if settings.items in (None, ANY) else settings.items or "")

    def __call__(self, text: str) -> int | None:
        if self._pattern is not None:
            return self._match(self._pattern, text)
        return self._lines(text) if self._items is None else self._elements(self._items, text)

    def _match(self, pattern: re.Pattern[str], text: str) -> int | None:
        """Look for a match that no further text can change; `$` is the end of a line only."""
        seen = self._before + text
        # The character before the last 1000 tells whether they begin a line or a word.
        begin = 1 if len(self._before) > _LONGEST else 0
        found = pattern.search(seen, begin)
        if found is not None:
            for following in (*_NEXT, seen[-1:]):
                longer = pattern.search(seen + following, begin)
                if longer is None or longer.span() != found.span():
                    break
            else:
                return max(0, found.end() - len(self._before))
        self._before = seen[-_LONGEST - 1 :]
        return None

    def _lines(self, text: str) -> int | None:
        lines = text.count("\n")
        if lines < self._left:
            self._left -= lines
            return None
        at = 0
        for _ in range(self._left):
            at = text.index("\n", at) + 1
        return at

    def _elements(self, items: JsonItems, text: str) -> int | None:
        for part in _PART.finditer(text):
            items.feed(part[0])
            if items.count >= self._left:
                return part.end()
        return None
