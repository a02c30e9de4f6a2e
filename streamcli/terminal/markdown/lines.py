"""The syntax of single lines of Markdown: headings, fences, markers of containers, indents."""

from __future__ import annotations

import re
from typing import NamedTuple

HEADING = re.compile(r"(#{1,6})(?:[ \t]+|$)(.*)")
FENCE = re.compile(r"(`{3,})([^`]*)$|(~{3,})(.*)$")
RULE = re.compile(r"([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_MARKER = re.compile(r"(?:[-+*]|(\d{1,9})[.)])(?=[ \t]|$)")
UNDERLINE = re.compile(r"(?:=+|-+)[ \t]*$")
DEFINITION = re.compile(r"\[[^\[\]]+\]:[ \t]+\S")
CLOSING = re.compile(r"(?:^|[ \t]+)#+$")
# The beginning of a line that is too short to decide what the line is.
MARKUP = re.compile(r"[-=*+_#`~|:.)>\d \t]*$")


def spaced(rest: str, column: int) -> str:
    """Return `rest`, which begins at `column`, with spaces for the tabs of its indent."""
    body = rest.lstrip(" \t")
    if "\t" not in rest[: len(rest) - len(body)]:
        return rest
    width = column
    for blank in rest[: len(rest) - len(body)]:
        width += 4 - width % 4 if blank == "\t" else 1
    return " " * (width - column) + body


def quoted(body: str, indent: int) -> int:
    """Return the length of the marker of a quote, with its indent; -1 if the line has none."""
    if indent >= 4 or not body.startswith(">"):
        return -1
    return indent + 1 + body.startswith(" ", 1)


class Marker(NamedTuple):
    """The marker that begins an item of a list.

    `kind` is its last character ("-", "." and so on), `start` its number (1 for a bullet), `size`
    the columns up to its content, with its indent. `is_empty`: no content follows on its line.
    """

    kind: str
    start: int
    size: int
    is_empty: bool


def marker_of(body: str, indent: int) -> Marker | None:
    """Return the marker that a line begins with behind its indent; None if it has none."""
    found = _MARKER.match(body)
    if found is None:
        return None
    after = spaced(body[found.end() :], indent + found.end())
    content = after.lstrip(" ")
    spaces = len(after) - len(content)
    wide = spaces if content and spaces <= 4 else 1  # five and more begin indented code
    return Marker(found[0][-1], int(found[1] or 1), indent + found.end() + wide, not content)
