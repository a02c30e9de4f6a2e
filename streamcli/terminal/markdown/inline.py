"""Render the text of a block (emphasis, code, links) as rich's Text."""

from __future__ import annotations

from functools import cache

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from rich.style import Style
from rich.text import Text

from ..sanitize import visible

CODE = Style(color="magenta")  # cyan is hard to read on white
DIM = Style(dim=True)
_LINK = Style(underline=True)
_STYLES = {
    "em": Style(italic=True),
    "strong": Style(bold=True),
    "s": Style(strike=True),
    "link": _LINK,
}
_BRACKETS = 300  # in one block; with more of them the search for links would take too long
_MATH = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}


def inline(source: str, *, marked: bool) -> Text:
    """Return the text of a block. `marked`: code keeps its backquotes, as there are no colors.

    HTML and math are text. The target of a link follows its text, so that no target is hidden: we
    write no links of the terminal's own.
    """
    text = Text()
    if source.count("[") > _BRACKETS:
        text.append(visible(" ".join(source.split())))
        return text
    for token in _parser().parseInline(source):
        _append(text, token.children or [], marked)
    return text


def _append(text: Text, tokens: list[Token], marked: bool) -> None:
    styles: list[Style] = []
    links: list[tuple[str, int]] = []  # the open ones: target, and the index of its text
    for token in tokens:
        kind, content = token.type, token.content
        style = sum(styles, Style())
        if kind in ("text", "text_special"):
            _add(text, content, style)
        elif kind == "code_inline":
            _add(text, f"`{content}`" if marked else content, style if marked else style + CODE)
        elif kind == "softbreak":
            text.append(" ", style)
        elif kind == "hardbreak":
            text.append("\n")
        elif kind == "image":
            begin = len(text)
            _add(text, content or "image", style + _LINK)
            _target(text, str(token.attrs.get("src", "")), begin)
        elif kind == "link_open":
            links.append((str(token.attrs.get("href", "")), len(text)))
            styles.append(_LINK)
        elif token.nesting == 1:
            styles.append(_STYLES.get(kind.removesuffix("_open"), Style()))
        elif token.nesting == -1:
            styles.pop()
            if kind == "link_close":
                _target(text, *links.pop())
        else:
            _add(text, content, style)


def _add(text: Text, content: str, style: Style) -> None:
    # An entity (&#27;) has become a control character by now. A line break would end the row.
    text.append(visible(content).replace("\n", " "), style)


def _target(text: Text, target: str, begin: int) -> None:
    shown = text.plain[begin:]
    if target and target not in (shown, f"mailto:{shown}"):
        _add(text, f" ({target})", DIM)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("strikethrough")
    parser.inline.ruler.before("escape", "math", _math)
    return parser


def _math(state: StateInline, silent: bool) -> bool:
    """Keep a formula as it is: its backslashes and underscores are not Markdown."""
    begin = state.pos
    closing = _MATH.get(state.src[begin : begin + 2])
    end = state.src.find(closing, begin + 2) if closing else -1
    if end < 0:
        return False
    if not silent:
        state.push("text_special", "", 0).content = state.src[begin : end + 2]
    state.pos = end + 2
    return True
