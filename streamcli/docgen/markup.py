"""Render a page of the manual as man(7) source; cli/page.py parses the page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from ..cli.page import Block, Bullets, Code, Heading, Paragraph, Terms, parse, spans

WIDTH = 78
_OPTION = re.compile(r"((?<![\w-])--[a-z][a-z0-9-]*[a-z0-9])")
_SENTENCE = re.compile(r"(?<=[a-zA-Z0-9)`*][.?!:]) (?=[A-Z`*'])")
_ESCAPES = {"\\": "\\e", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}


def to_man(text: str) -> str:
    """Return the body of a man page: everything after its .TH line."""
    lines: list[str] = []
    for block in parse(text):
        made = list(_render(block))
        # A heading begins a paragraph by itself.
        if made and made[0] == ".PP" and lines and lines[-1].startswith((".SH", ".SS")):
            del made[0]
        lines += made
    return "\n".join(lines) + "\n"


def _render(block: Block) -> Iterator[str]:
    match block:
        case Heading(1, _):
            return
        case Heading(2, text):
            yield f".SH {escape(text.upper())}"
        case Heading(_, text):
            yield f".SS {escape(text)}"
        case Code(_, lines):
            yield from (".PP", ".RS 4", ".nf")  # groff's .EE would turn hyphenation on again
            yield from (_line(escape(line, code=True)) for line in lines)
            yield from (".fi", ".RE")
        case Paragraph(text, inside):
            yield ".IP" if inside else ".PP"
            yield from _fill(text)
        case Bullets(items):
            for item in items:
                yield ".IP \\(bu 2"
                yield from _fill(item)
        case Terms(items):
            yield from _definitions(items)


def _definitions(items: tuple[tuple[str, str], ...]) -> Iterator[str]:
    close = len(items) > 1
    indent = " " + str(min(26, max(len(_plain(term)) for term, _ in items) + 2)) if close else ""
    for number, (term, text) in enumerate(items):
        if close and number == 1:
            yield ".PD 0"
        yield f".TP{indent}"
        yield _line(inline(term))
        yield from _fill(text)
    if close:
        yield ".PD"


def _fill(text: str) -> Iterator[str]:
    """Yield filled text, each sentence on a line of its own: roff then knows its end."""
    for sentence in _SENTENCE.split(text):
        for line in textwrap.wrap(
            inline(sentence), WIDTH, break_on_hyphens=False, break_long_words=False
        ):
            yield _line(line)


def inline(text: str) -> str:
    """Return one line of Markdown as roff."""
    done = []
    for kind, piece, address in spans(text):
        if kind == "text":
            for number, part in enumerate(_OPTION.split(piece)):
                done.append(_bold(part) if number % 2 else escape(part))
        elif kind == "link":
            done.append(inline(piece))
            if "://" in address and piece != address:
                done.append(f" ({escape(address)})")
        elif kind == "value":
            done.append(f"\\fI{escape(piece, code=True)}\\fR")
        else:
            done.append(_bold(piece))
    return "".join(done)


def _bold(text: str) -> str:
    return f"\\fB{escape(text, code=True)}\\fR"


def escape(text: str, *, code: bool = False) -> str:
    """Return a text with roff's characters escaped; in code a dash stays one that can be pasted."""
    text = "".join(_ESCAPES.get(char, char) for char in text)
    return text.replace("-", "\\-") if code else re.sub(r"(?<!\w)-|-(?!\w)", r"\\-", text)


def _line(text: str) -> str:
    """Return the line, escaped if it begins like a request of roff."""
    return f"\\&{text}" if text.startswith((".", "'")) else text


def _plain(text: str) -> str:
    return "".join(piece for _, piece, _ in spans(text))
