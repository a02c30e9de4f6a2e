"""Make control characters visible, as model output must not control a terminal."""

from __future__ import annotations

import re

# C0 (except newline, tab, and CR before a newline), DEL, C1, bidi overrides and isolates, tag
# characters, the zero-width space; lone surrogates, which stand for the bytes of an argument that
# are not UTF-8. ZWJ, ZWNJ, LRM and RLM pass: emoji and Persian need them. The pattern is text,
# compiled when first used: only terminals and messages need it.
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
    """Return `text` with a visible form of each character that might control a terminal."""
    return re.sub(_UNSAFE, _visible, text)


def one_line(text: str, limit: int = 600) -> str:
    """Return `text` for a message: one line, visible, at most `limit` characters."""
    text = visible(" ".join(text.split()))
    return text if len(text) <= limit else text[: limit - 3] + "..."


class Sanitizer:
    """Sanitizes a stream of deltas: a CR at the end of a delta waits for the next delta."""

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, text: str) -> str:
        """Return the visible form of `text`, without a CR at its end."""
        text = self._pending + text
        self._pending = "\r" if text.endswith("\r") else ""
        return visible(text[:-1] if self._pending else text)

    def close(self) -> str:
        """Return the visible form of a pending CR."""
        pending, self._pending = self._pending, ""
        return visible(pending)
