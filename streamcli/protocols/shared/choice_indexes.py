"""Says which choice of an answer an index names, where servers count chunks with it. Pure."""

from __future__ import annotations

from typing import Any


class ChoiceIndexes:
    """Says which choice an index names.

    Foundry Local counts the chunks with it. So where one choice was asked for, and a chunk has no
    more, that is it. Where nobody knows (`one_choice` is None), an index that goes up by one in a
    chunk with another id is a count. The reader keeps the facts of the chunk that it reads: its
    `id`, that of the chunk `before`, and whether its choice is `alone`.
    """

    def __init__(self, one_choice: bool | None) -> None:
        self.alone = True
        self.id: Any = None
        self.before: Any = None
        self._one = one_choice
        self._highest = 0

    def choice(self, index: int) -> int:
        """Return the choice that the index of a chunk names."""
        counts = index == self._highest + 1 and self.id and self.before and self.id != self.before
        self._highest = max(self._highest, index)
        if self._one is None and self.alone and counts:
            self._one = True
        return 0 if self._one and self.alone else index
