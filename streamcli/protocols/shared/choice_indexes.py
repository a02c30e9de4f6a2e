"""Says which choice of an answer an index names, where servers count chunks with it. Pure."""

from __future__ import annotations

from typing import Any


class ChoiceIndexes:
    """Says which choice an index names.

    Foundry Local counts the chunks with it. So where one choice was asked for, and a chunk has no
    more, that is it. Where nobody knows (`one_choice` is None), an index that goes up by one in a
    chunk with another id is a count.
    """

    def __init__(self, one_choice: bool | None) -> None:
        self._one = one_choice
        self._alone = True  # the chunk has one choice
        self._anew = False  # the chunk has another id than the one before
        self._id: Any = None
        self._highest = 0

    def next_chunk(self, id: Any, choices: int) -> None:
        """Note a chunk: its id, and how many choices it has."""
        self._alone = choices == 1
        self._anew = bool(id and self._id) and id != self._id
        self._id = id

    def choice(self, index: int) -> int:
        """Return the choice that the index of a chunk names."""
        counts = self._anew and index == self._highest + 1
        self._highest = max(self._highest, index)
        if self._one is None and self._alone and counts:
            self._one = True
        return 0 if self._one and self._alone else index
