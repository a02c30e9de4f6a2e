"""Read deltas of servers that send the whole text so far each time: give the new text only. Pure.

Alibaba's Coding Plan, Qwen's web API and MiniMax do so
(https://github.com/QwenLM/qwen-code/pull/3896). An ordinary delta may begin like the first one by
chance (`a`, `and`), so three growing deltas decide: the second one waits for the next value.
"""

from __future__ import annotations

from typing import Any

Place = tuple[Any, int]  # the kind of delta, and its choice


class Snapshots:
    """Watches the first deltas of a stream.

    `pending` is a delta that may repeat the one before it; it waits for the next one. `settled`:
    the deltas are ordinary ones, as nearly always, and need no watching any more.
    """

    def __init__(self) -> None:
        self.pending: tuple[Place, str] | None = None
        self.settled = False
        self._seen: dict[Place, str] = {}  # the text that was given
        self._grows = False

    def new_in(self, place: Place, text: str) -> str:
        """Return the new text of a delta; "" if the delta waits."""
        seen = self._seen.get(place)
        if seen is None:
            self._seen[place] = text
            return text
        if self._grows:
            return self._rest(place, seen, text)
        if self.pending is None:
            if _extends(seen, text):
                self.pending = (place, text)
                return ""
            self.settled = True
            return text
        before = self.pending[1]
        self.pending = None
        if len(text) > len(before) and text.startswith(before):
            self._grows = True
            return self._rest(place, seen, text)
        self.settled = True
        return before + text

    def give_up(self) -> tuple[Place, str] | None:
        """Return the pending delta, as it is an ordinary one after all."""
        pending, self.pending = self.pending, None
        self.settled = self.settled or pending is not None
        return pending

    def _rest(self, place: Place, seen: str, text: str) -> str:
        if seen.startswith(text):
            return ""
        self._seen[place] = text
        return text[len(seen) :] if text.startswith(seen) else text


def _extends(seen: str, text: str) -> bool:
    """Return whether `text` is `seen` and more, other than `seen` several times."""
    if len(text) <= len(seen) or not text.startswith(seen) or seen.isspace():
        return False
    times = -(-len(text) // len(seen))
    return not (seen * times).startswith(text)
