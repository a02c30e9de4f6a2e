"""Visible forms of what a terminal might obey: model output is untrusted."""

from __future__ import annotations

import re

# C0 (except newline, tab, and CR before a newline), DEL, C1, bidi overrides and isolates, tag
# characters, the zero-width space; lone surrogates, in which Python hides the bytes of an argument
# that are not UTF-8. ZWJ, ZWNJ, LRM and RLM pass: emoji and Persian need them.
# Text, not compiled: only terminals and messages need it.
_UNSAFE = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
    "|\r(?!\n)|[\ud800-\udfff]"
)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20 or code == 0x7F:
        return "^" + chr(code ^ 0x40)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"<U+{code:04X}>"


def visible(text: str) -> str:
    """Return `text` with visible forms of everything that a terminal might obey."""
    return re.sub(_UNSAFE, _visible, text)


def one_line(text: str, limit: int = 600) -> str:
    """Return `text` for a message: one line, visible, at most `limit` characters."""
    text = visible(" ".join(text.split()))
    return text if len(text) <= limit else text[: limit - 3] + "..."


class Sanitizer:
    """Makes a stream of deltas visible: a CR that ends a delta waits for what follows it."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the visible form of `text`, without a CR at its end."""
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        return visible(text[:-1] if self._held else text)

    def close(self) -> str:
        """Return what was held back."""
        held, self._held = self._held, ""
        return visible(held)
