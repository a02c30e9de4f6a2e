"""Decide whether an index names a choice, or a chunk, as with some servers. Pure."""

from __future__ import annotations

from typing import Any


class ChoiceIndexes:
    """Returns the choice that an index names.

    Foundry Local numbers its chunks with the index. If one choice was asked for, and a chunk has
    one choice, it is that one. If it is unknown what was asked for (`one_choice` is None), an index
    that increases by one is a chunk's number if the chunk has another id than the one before, or if
    it is the second chunk and has no role, as a choice begins with a role.

    The decoder sets the facts of the current chunk: its `id`, the id of the chunk `before`, whether
    its choice is `alone`, the number of chunks with index 0 (`zeros`), and whether chunks were read
    in `runs` without their indexes.
    """

    def __init__(self, one_choice: bool | None) -> None:
        self.alone = True
        self.id: Any = None
        self.before: Any = None
        self.zeros = 0
        self.runs = False
        self._one = one_choice
        self._highest = 0

    def choice(self, index: int, begins: bool) -> int:
        """Return the choice that a chunk's index names; `begins`: the chunk may begin a choice."""
        if self._one is None and self.alone and index == self._highest + 1:
            renamed = self.id and self.before and self.id != self.before
            second = index == 1 and self.zeros == 1 and not self.runs
            if renamed or (second and self.id and not begins):
                self._one = True
        self._highest = max(self._highest, index)
        return 0 if self._one and self.alone else index
