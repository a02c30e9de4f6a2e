"""Estimate tokens from characters, where a server has not said how many there are."""

from __future__ import annotations

CHARS_PER_TOKEN = 4  # roughly, of English text


def tokens_in(chars: int) -> int:
    """Return the estimated tokens of a text of so many characters; at least 1."""
    return chars // CHARS_PER_TOKEN + 1
