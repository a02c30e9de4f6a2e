"""Choices of a chat completion that have something else than a delta. Pure."""

from __future__ import annotations

from typing import Any


class WholeMessages:
    """Turns what a choice has instead of a delta into one: a `message`, a `text`, a bare string.

    A message is a whole answer. Servers that send one in every chunk repeat what came before, or
    give the next piece only. Where chunks have a delta too (Perplexity) it says nothing new.
    """

    def __init__(self) -> None:
        self._last: dict[int, str | None] = {}  # by choice; None where messages are pieces

    def delta_of(self, delta: Any, choice: dict[str, Any], index: int, begun: bool) -> Any:
        """Return a delta; `begun`: the choice `index` had one, or a message, before."""
        if type(delta) is str or type(delta) is list:
            return {"content": delta}
        message = choice.get("message")
        if type(message) is not dict:
            texts = (message, choice.get("text"), choice.get("content"))
            text = next((each for each in texts if each is not None and each != ""), None)
            return delta if text is None else {"content": text}
        content = message.get("content")
        if not begun:
            self._last[index] = content if type(content) is str else ""
            return message
        if type(content) is not str or index not in self._last:
            return None
        before = self._last[index]
        if before is None or not content.startswith(before):
            self._last[index] = None
            return {"content": content}
        self._last[index] = content
        return {"content": content[len(before) :]}
