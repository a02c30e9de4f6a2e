"""Read choices of a chat completion that have a message or a text instead of a delta. Pure."""

from __future__ import annotations

from typing import Any


class WholeMessages:
    """Makes a delta of what a choice has instead: a `message`, a `text`, a bare string.

    A message is a whole answer. Servers that send one in every chunk repeat the text so far, or
    send the next piece only. If chunks have a delta too (Perplexity), the message is ignored.
    """

    def __init__(self) -> None:
        self._last: dict[int, str | None] = {}  # by choice; None if messages are pieces

    def delta_of(self, delta: Any, choice: dict[str, Any], index: int, begun: bool) -> Any:
        """Return a delta; `begun`: the choice `index` had a delta or a message before."""
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
