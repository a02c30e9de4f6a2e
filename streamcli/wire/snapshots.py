"""Deltas of servers that send the whole text so far each time: find them, give what is new. Pure.

Alibaba's Coding Plan, Qwen's web API and MiniMax do so in the place of a piece of text
(https://github.com/QwenLM/qwen-code/pull/3896). A piece may begin like the first one by chance
(`a`, `and`), so it takes three deltas that grow to tell: the second one waits for the next value.
"""

from __future__ import annotations

from typing import Any

Place = tuple[Any, int]  # the kind of delta, and its choice


class Snapshots:
    """Watches the first deltas of a stream.

    `held` is a delta that may repeat the one before; it waits for the next one. `settled`: the
    deltas are pieces, as nearly all are, and nothing is to be watched any more.
    """

    def __init__(self) -> None:
        self.held: tuple[Place, str] | None = None
        self.settled = False
        self._seen: dict[Place, str] = {}  # what was given
        self._grows = False

    def new_in(self, place: Place, text: str) -> str:
        """Return what is new in a delta; "" if it waits."""
        seen = self._seen.get(place)
        if seen is None:
            self._seen[place] = text
            return text
        if self._grows:
            return self._rest(place, seen, text)
        if self.held is None:
            if _goes_on(seen, text):
                self.held = (place, text)
                return ""
            self.settled = True
            return text
        before = self.held[1]
        self.held = None
        if len(text) > len(before) and text.startswith(before):
            self._grows = True
            return self._rest(place, seen, text)
        self.settled = True
        return before + text

    def give_up(self) -> tuple[Place, str] | None:
        """Return the delta that waits, which is a piece after all."""
        held, self.held = self.held, None
        self.settled = self.settled or held is not None
        return held

    def _rest(self, place: Place, seen: str, text: str) -> str:
        if seen.startswith(text):
            return ""
        self._seen[place] = text
        return text[len(seen) :] if text.startswith(seen) else text


def _goes_on(seen: str, text: str) -> bool:
    """Return whether `text` repeats `seen` and goes on, and not only by repeating it again."""
    if len(text) <= len(seen) or not text.startswith(seen) or seen.isspace():
        return False
    times = -(-len(text) // len(seen))
    return not (seen * times).startswith(text)
