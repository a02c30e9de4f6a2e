"""Color code line by line as it comes; the cost of a line does not grow with those above it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import (
    Comment,
    Generic,
    Keyword,
    Literal,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
)
from pygments.util import ClassNotFound
from rich.style import Style
from rich.text import Text

LONGEST = 500  # characters of a line; a longer one gets no colors
# Only some of the eight basic colors are readable: yellow and cyan are not on white, blue is not on
# black, so names are bold instead. Green is for strings only, as their quotes show them too.
_STYLES = {
    Comment: Style(dim=True, italic=True),
    Comment.Preproc: Style(color="magenta"),
    Keyword: Style(color="magenta"),
    Keyword.Constant: Style(color="red"),
    Operator.Word: Style(color="magenta"),
    Name.Class: Style(bold=True),
    Name.Decorator: Style(color="magenta"),
    Name.Exception: Style(color="magenta"),
    Name.Function: Style(bold=True),
    Name.Tag: Style(color="magenta"),
    Name.Attribute: Style(color="red"),
    String: Style(color="green"),
    Number: Style(color="red"),
    Literal: Style(color="green"),
    Generic.Deleted: Style(color="red"),
    Generic.Inserted: Style(color="green"),
    Generic.Heading: Style(bold=True),
    Generic.Subheading: Style(color="magenta"),
    Generic.Prompt: Style(dim=True),
    Generic.Output: Style(),
    Punctuation: Style(),
}
# A probe after a line: if it is lexed as a comment or a string, the next line is inside one too.
# The endings after it close any comment.
_PROBE, _ENDS = "zq", "*/-->"


class Code:
    """A block of code in the language `name`; an unknown language has no colors.

    A line is lexed by itself, or, inside a comment or a string of several lines, after the line in
    which that began.
    """

    def __init__(self, name: str) -> None:
        self._lexer = _lexer(name)
        self._opening = ""  # the line in which a comment or a string began

    def line(self, text: str, *, keep: bool = True) -> Text:
        """Return a line in colors; without `keep` the next line does not depend on it."""
        shown = Text(text)
        if self._lexer is None or len(text) > LONGEST:
            return shown
        before = self._opening
        begin = len(before)
        end = begin + len(text)
        probe = end + 1
        at, inside = 0, False
        for kind, value in self._tokens(f"{before}{text}\n{_PROBE}{_ENDS}\n"):
            after = at + len(value)
            if after > begin and at < end and (style := _style(kind)) is not None:
                shown.stylize(style, max(0, at - begin), min(end, after) - begin)
            if at <= probe < after:
                inside = kind in Comment or kind in String
            at = after
        if keep:
            self._opening = (before or f"{text}\n") if inside else ""
        return shown

    def _tokens(self, text: str) -> list[tuple[Any, str]]:
        assert self._lexer is not None
        try:
            return list(self._lexer.get_tokens(text))
        except Exception:  # a bug in one of 500 lexers costs only the colors
            return []


def _style(kind: Any) -> Style | None:
    while kind is not None and kind not in _STYLES:
        kind = kind.parent
    return _STYLES.get(kind)


@lru_cache(64)  # an unknown name is searched among the plugins, which takes long
def _lexer(name: str) -> Lexer | None:
    try:
        return get_lexer_by_name(name, stripnl=False, stripall=False, ensurenl=False)
    except ClassNotFound:
        return None
