"""Read how lines of Markdown begin: headings, fences, marks of containers, blanks."""

from __future__ import annotations

import re

HEADING = re.compile(r"(#{1,6})(?:[ \t]+|$)(.*)")
FENCE = re.compile(r"(`{3,})([^`]*)$|(~{3,})(.*)$")
RULE = re.compile(r"([-*_])(?:[ \t]*\1){2,}[ \t]*$")
MARKER = re.compile(r"(?:[-+*]|(\d{1,9})[.)])(?=[ \t]|$)")
UNDERLINE = re.compile(r"(?:=+|-+)[ \t]*$")
DEFINITION = re.compile(r"\[[^\[\]]+\]:[ \t]+\S")
CLOSING = re.compile(r"(?:^|[ \t]+)#+$")
# A line that says nothing yet: more of it decides what it is.
MARKUP = re.compile(r"[-=*+_#`~|:.)>\d \t]*$")


def spaced(rest: str, column: int) -> str:
    """Return `rest` with spaces for the tabs that it begins with; it stands at `column`."""
    body = rest.lstrip(" \t")
    if "\t" not in rest[: len(rest) - len(body)]:
        return rest
    width = column
    for blank in rest[: len(rest) - len(body)]:
        width += 4 - width % 4 if blank == "\t" else 1
    return " " * (width - column) + body


def quoted(body: str, indent: int) -> int:
    """Return how much of a line is the mark of a quote; -1 if it has none."""
    if indent >= 4 or not body.startswith(">"):
        return -1
    return indent + 1 + body.startswith(" ", 1)
