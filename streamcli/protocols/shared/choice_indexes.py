"""Says which choice of an answer an index names, where servers count chunks with it. Pure."""

from __future__ import annotations

from typing import Any


class ChoiceIndexes:
    """Says which choice an index names.

    Foundry Local counts the chunks with it. So where one choice was asked for, and a chunk has no
    more, that is it. Where nobody knows (`one_choice` is None), an index that goes up by one counts
    if its chunk has another id, or the same one in the second chunk of the stream and no role, with
    which a choice begins.

    The reader keeps the facts of the chunk that it reads: its `id`, that of the chunk `before`,
    whether its choice is `alone`; how many chunks had index 0 (`zeros`), and whether others were
    read in `runs`.
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
        """Return the choice that the index of a chunk names; `begins`: it may begin another one."""
        if self._one is None and self.alone and index == self._highest + 1:
            renamed = self.id and self.before and self.id != self.before
            second = index == 1 and self.zeros == 1 and not self.runs
            if renamed or (second and self.id and not begins):
                self._one = True
        self._highest = max(self._highest, index)
        return 0 if self._one and self.alone else index
