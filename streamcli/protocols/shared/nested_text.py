"""Find the text in an object or a list of parts that should be a string. Pure."""

from __future__ import annotations

from typing import Any

_FIELDS = ("text", "thinking", "reasoning", "reasoning_text", "content", "summary", "value")


def text_in(value: Any) -> Any:
    """Return the text of a string, an object or a list of parts; any other value as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for field in _FIELDS:
            if field in value:
                return text_in(value[field])
        return value
    if isinstance(value, list):
        parts = [text_in(part) for part in value]
        return "".join(parts) if all(isinstance(part, str) for part in parts) else value
    return value


def text_beside(holder: Any, *names: str) -> Any:
    """Return the text that a gateway wrote into another field; None if there is none.

    Call it only if the usual field is missing, as the answer would seem empty without that text.
    `names` are fields to look into first.
    """
    if isinstance(holder, dict):
        fields = (*names, "text", "content", "delta", "output", "value")
        texts = (text_in(holder[name]) for name in fields if holder.get(name))
        return next((text for text in texts if isinstance(text, str)), None)
    return holder if isinstance(holder, str) else None
