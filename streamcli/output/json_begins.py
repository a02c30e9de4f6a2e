"""Where JSON begins in a text: prose has brackets too, as in [1], [ ] and {name}."""

from __future__ import annotations

import re

CANDIDATE = re.compile(r"[\[{]")
LOOK_AHEAD = 64  # characters behind a bracket that tell

_SCALAR = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_WORDS = ("true", "false", "null")


def begins(text: str, at: int, fresh: bool, last: bool) -> bool | None:
    """Return whether JSON begins at the bracket there; None if more text has to tell.

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
    if scalar is None or scalar.end() == len(inner):
        return _unknown(last, full) if _may_be_scalar(inner) else False
    behind = inner[scalar.end() :].lstrip()
    if not behind:
        return _unknown(last, full)
    if behind[0] == ",":
        return True
    return behind[0] == "]" and _ends_line(behind[1:], fresh, last, full)


def _ends_line(behind: str, fresh: bool, last: bool, full: bool) -> bool | None:
    """Return whether brackets without a comma between have a line of their own."""
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
