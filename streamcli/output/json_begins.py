"""Find where JSON begins in a text; prose has brackets too, as in [1], [ ] and {name}."""

from __future__ import annotations

import re

CANDIDATE = re.compile(r"[\[{]")
LOOK_AHEAD = 64  # characters behind a bracket that tell
LOOK_BACK = 64  # and those before it, on its line

_SCALAR = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_WORDS = ("true", "false", "null")


class Prose:
    """Reads the text before the JSON, in any pieces; `skipped` is set if there was any."""

    def __init__(self) -> None:
        self.skipped = False
        self._held = ""  # text with which the JSON may begin
        self._fresh = True  # only blanks stand before that text on its line

    def feed(self, text: str, last: bool) -> tuple[str, int]:
        """Return (text with the JSON, offset of its beginning); ("", 0) before it begins."""
        text, start = self._held + text, 0
        while (found := CANDIDATE.search(text, start)) is not None:
            at = found.start()
            yes = begins(text, at, self._fresh_at(text, at), last)
            if yes:
                self.skip(text[:at])
                return text, at
            if yes is None:
                break
            start = found.end()
        else:
            at = len(text)
        self._fresh = self._fresh_at(text, at)
        self.skip(text[:at])
        self._held = text[at:]
        return "", 0

    def skip(self, text: str) -> None:
        """Note that this text is not part of the JSON."""
        self.skipped = self.skipped or bool(text.strip())

    def _fresh_at(self, text: str, at: int) -> bool:
        """Return whether only blanks stand before an offset on its line."""
        begin = max(0, at - LOOK_BACK)
        line = text.rfind("\n", begin, at) + 1
        if line or begin == 0:
            return not text[line or begin : at].strip() and (bool(line) or self._fresh)
        return False


def begins(text: str, at: int, fresh: bool, last: bool) -> bool | None:
    """Return whether JSON begins at the bracket at that offset; None if that takes more text.

    `fresh`: only blanks stand before it on its line. `last`: no more text will come.
    """
    rest = text[at + 1 : at + 1 + LOOK_AHEAD]
    return _begins(text[at], rest, fresh, last, len(rest) == LOOK_AHEAD)


def _begins(bracket: str, rest: str, fresh: bool, last: bool, full: bool) -> bool | None:
    inner = rest.lstrip()
    if not inner:
        return _unknown(last, full)
    char, behind = inner[0], inner[1:]
    if char == '"':
        return True
    if char == ("}" if bracket == "{" else "]"):
        return _ends_line(behind, fresh, last, full)
    if bracket == "{":
        return False
    if char in "[{":
        return _begins(char, behind, fresh, last, full)
    scalar = _SCALAR.match(inner)
    if _may_be_scalar(inner):  # a number may go on: `1.` and `1e-` are beginnings
        return _unknown(last, full)
    if scalar is None:
        return False
    behind = inner[scalar.end() :].lstrip()
    if not behind:
        return _unknown(last, full)
    if behind[0] == ",":
        return True
    return behind[0] == "]" and _ends_line(behind[1:], fresh, last, full)


def _ends_line(behind: str, fresh: bool, last: bool, full: bool) -> bool | None:
    """Return whether brackets without a comma between them stand on a line of their own."""
    if not fresh:
        return False
    line = behind.lstrip(" \t\r]}")
    if not line:
        return True if last else _unknown(last, full)
    return line[0] in "\n,`"


def _unknown(last: bool, full: bool) -> bool | None:
    return False if last or full else None


def _may_be_scalar(text: str) -> bool:
    return any(word.startswith(text) for word in _WORDS) or not text.strip("-+.0123456789eE")
