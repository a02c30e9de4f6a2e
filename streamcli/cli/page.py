"""Parse a page of the manual (a subset of Markdown), and render it as plain text.

    # name(1), ## Section, ### Subsection
    - a bullet
    - `a term`\\
      its definition; items without a blank line between them are set close
    | term | more | definition |        a table is a list of definitions without its header

Inside a line `code`, *value*, **strong** and [text](address). A paragraph that is indented belongs
to the item above it. HTML comments are for docgen, which fills in what stands between them. A
picture is for the page on the web.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

INDENT = 7
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\n]+)\*|\[([^]\n]+)\]\(([^)\s]+)\)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_PLAIN_CODE = re.compile(r"[\w./+:{}<>\[\]-]*\w[\w./+:{}<>\[\]-]*")


class Heading(NamedTuple):
    level: int
    text: str


class Paragraph(NamedTuple):
    text: str
    inside: bool = False  # it belongs to the item above


class Code(NamedTuple):
    language: str
    lines: tuple[str, ...]


class Bullets(NamedTuple):
    items: tuple[str, ...]


class Terms(NamedTuple):
    items: tuple[tuple[str, str], ...]


Block = Heading | Paragraph | Code | Bullets | Terms


class Span(NamedTuple):
    """A piece of a line: `kind` is text, code, value, strong or link."""

    kind: str
    text: str
    address: str = ""


def parse(text: str) -> Iterator[Block]:
    """Yield the blocks of a page."""
    for lines in _runs(text):
        first = lines[0]
        if heading := re.match(r"(#+) (.+)", first):
            yield Heading(len(heading[1]), heading[2])
        elif first.startswith("```"):
            yield Code(first[3:], tuple(lines[1:-1]))
        elif first.startswith("!["):
            continue  # a picture
        elif first.startswith("|"):
            rows = [_cells(line) for line in lines[2:]]
            yield Terms(tuple((" ".join(row[:-1]), row[-1]) for row in rows))
        elif first.startswith("- "):
            items = re.split(r"\n- ", "\n".join(lines)[2:])
            if all("\\\n" in item for item in items):
                pairs = (item.split("\\\n", 1) for item in items)
                yield Terms(tuple((_one_line(term), _one_line(text)) for term, text in pairs))
            else:
                yield Bullets(tuple(map(_one_line, items)))
        else:
            yield Paragraph(_one_line("\n".join(lines)), first.startswith("  "))


def spans(text: str) -> Iterator[Span]:
    """Yield the pieces of a line."""
    at = 0
    for found in _INLINE.finditer(text):
        if found.start() > at:
            yield Span("text", _unescaped(text[at : found.start()]))
        code, strong, value, label, address = found.groups()
        kind = next(
            kind
            for kind, piece in zip(
                ("code", "strong", "value", "link"), (code, strong, value, label), strict=True
            )
            if piece
        )
        yield Span(kind, code or strong or value or label, address or "")
        at = found.end()
    if at < len(text):
        yield Span("text", _unescaped(text[at:]))


def plain(text: str, width: int, only: str = "") -> str:
    """Return the page as plain text; with `only`, that section alone."""
    lines: list[str] = []
    shown = not only
    for block in parse(text):
        if isinstance(block, Heading) and block.level == 2 and only:
            shown = block.text == only
        if shown:
            lines += _plain_block(block, width)
    return "\n".join(lines).strip("\n") + "\n"


def _plain_block(block: Block, width: int) -> Iterator[str]:
    match block:
        case Heading(1, _):
            return
        case Heading(2, text):
            yield text.upper()
        case Heading(_, text):
            yield f"   {_plain_line(text)}"
        case Paragraph(text, inside):
            yield from _wrapped(text, width, INDENT + (4 if inside else 0))
            yield ""
        case Code(_, code):
            yield from (f"{' ' * (INDENT + 4)}{line}".rstrip() for line in code)
            yield ""
        case Bullets(items):
            for item in items:
                first, *others = _wrapped(item, width, INDENT + 2)
                yield f"{' ' * INDENT}- {first.lstrip()}"
                yield from others
            yield ""
        case Terms(items):
            terms = [_plain_line(term, bare=True) for term, _ in items]
            column = INDENT + min(20, max(map(len, terms)) + 2)
            if len(items) == 1:
                column = INDENT + 8
            for term, (_, text) in zip(terms, items, strict=True):
                begin = _filled(term, width, INDENT)
                body = _wrapped(text, width, column)
                if len(begin[-1]) + 1 < column and body:
                    begin = [begin[-1].ljust(column) + body.pop(0).lstrip()]
                yield from begin
                yield from body
            yield ""


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    return _filled(_plain_line(text), width, indent)


def _filled(text: str, width: int, indent: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _plain_line(text: str, *, bare: bool = False) -> str:
    """Return a line without its marks; code that looks like prose is put in quotes."""
    parts = []
    for kind, piece, address in spans(text):
        if kind == "code" and not bare and not _PLAIN_CODE.fullmatch(piece):
            parts.append(f"'{piece}'")
        elif kind == "link" and "://" in address and piece != address:
            parts.append(f"{_plain_line(piece)} ({address})")
        else:
            parts.append(piece)
    return "".join(parts)


def _runs(text: str) -> Iterator[list[str]]:
    """Yield the runs of lines between blank ones; a ``` block is one run, with its blank lines."""
    block: list[str] = []
    fenced = False
    for line in [*_without_comments(text).splitlines(), ""]:
        if line.startswith("```"):
            fenced = not fenced
            if fenced and block:
                yield block
                block = []
        if line.strip() or fenced:
            block.append(line)
        elif block:
            yield block
            block = []


def _without_comments(text: str) -> str:
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [_COMMENT.sub("", part) for part in parts[::2]]
    return "".join(parts)


def _cells(row: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\\`*_<>|#\[\]])", r"\1", text)
