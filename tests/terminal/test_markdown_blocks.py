"""The splitter of Markdown, against another parser's reading of the same text."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from streamcli.terminal.markdown.blocks import Blocks
from streamcli.terminal.markdown.cells import alignments, cells
from streamcli.terminal.markdown.parts import Part

# (kind, text, containers): a quote is ">", an item its list's marker and number.
Seen = tuple[str, str, tuple[str, ...]]

PIECES = [
    *["text", "more *text*", "# Title", "## Two ##", "===", "---", "***", "- - -", "> quote", ">"],
    *["- item", "-", "* star", "+ plus", "1. one", "2. two", "7) seven", "  - nested", "   text"],
    *[
        "    code",
        "      deep",
        "\tcode",
        "```",
        "```py",
        "~~~~",
        "````",
        "  ```",
        "|a|b|",
        "a | b",
    ],
    *["|-|-|", "---|:-:", "|1|2|", "| x", "", "", "", "  ", "<div>", "</div>", "\\# no"],
    *[
        "- - two",
        "> - in",
        "> > deep",
        ">  1. x",
        "-     code",
        "10. ten",
        "- # head",
        "- ```",
        "-|-",
    ],
    *[
        "> ```",
        "- > q",
        "  > q",
        "  two",
        "1.",
        "  ===",
        "  # t",
        "#no",
        "####### no",
        "#",
        "_ _ _",
    ],
]


def ours(parts: list[Part]) -> list[Seen]:
    """Return the blocks; the lines of code are put together again."""
    seen: list[Seen] = []
    code: list[str] | None = None
    for part in parts:
        path = tuple(
            f"{each.place if each.marker in '.)' else ''}{each.marker}" if each.marker else ">"
            for each, _ in part.path
        )
        if part.kind == "fence":
            seen.append(("code", "", path))
            code = []
        elif part.kind in ("code", "indented"):
            if code is None or part.gap >= 0 or any(fresh for _, fresh in part.path):
                seen.append(("code", "", path))
                code = []
            code.append(part.text)
            seen[-1] = ("code", "\n".join(code), path)
        elif part.kind == "end":
            code = None
        elif part.kind == "table":
            header, delimiter, *rows = part.text.split("\n")
            count = len(alignments(delimiter) or ())
            table = [cells(header), *((cells(row) + [""] * count)[:count] for row in rows)]
            seen.append(("table", "\n".join("|".join(row) for row in table), path))
        else:
            seen.append((f"{part.kind}{part.level or ''}", part.text.strip(" \t"), path))
        if part.kind not in ("fence", "code", "indented"):
            code = None
    return seen


def theirs(text: str) -> list[Seen]:
    """Return the blocks as markdown-it reads them."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("reference")
    seen: list[Seen] = []
    walk(parser.parse(text), (), seen)
    return seen


def walk(tokens: list[Token], path: tuple[str, ...], seen: list[Seen]) -> None:
    at = 0
    number = 1
    while at < len(tokens):
        token = tokens[at]
        end = at
        if token.nesting == 1:
            depth = 0
            while True:
                depth += tokens[end].nesting
                if depth == 0:
                    break
                end += 1
        inside = tokens[at + 1 : end]
        if token.type in ("bullet_list_open", "ordered_list_open"):
            walk(
                [Token("start", "", 0, attrs={"start": token.attrs.get("start", 1)}), *inside],
                path,
                seen,
            )
        elif token.type == "start":
            number = int(token.attrs["start"])
        elif token.type in ("list_item_open", "blockquote_open"):
            step = token.markup
            if token.type == "list_item_open" and step in ".)":
                step, number = f"{number}{step}", number + 1
            before = len(seen)
            walk(inside, (*path, step), seen)
            if len(seen) == before:
                seen.append(("empty", "", (*path, step)))
        elif token.type in ("fence", "code_block"):
            seen.append(("code", token.content.removesuffix("\n"), path))
        elif token.type == "hr":
            seen.append(("rule", "", path))
        elif token.type == "table_open":
            rows: list[list[str]] = []
            for each in inside:
                if each.type == "tr_open":
                    rows.append([])
                elif each.type == "inline":
                    rows[-1].append(each.content)
            seen.append(("table", "\n".join("|".join(row) for row in rows), path))
        elif token.type in ("paragraph_open", "heading_open"):
            kind = "paragraph" if token.type == "paragraph_open" else f"heading{token.tag[1]}"
            seen.append((kind, inside[0].content, path))
        else:
            raise AssertionError(token.type)
        at = end + 1


def plain(seen: list[Seen]) -> list[Seen]:
    """Return the blocks without the blanks before and behind the lines of a paragraph."""
    return [
        (
            kind,
            text.rstrip() if kind == "code" else "\n".join(map(str.strip, text.split("\n"))),
            path,
        )
        for kind, text, path in seen
    ]


def split(text: str, cuts: random.Random | None = None) -> list[Part]:
    blocks = Blocks()
    parts: list[Part] = []
    at = 0
    while at < len(text):
        size = cuts.randint(1, 12) if cuts is not None else len(text)
        parts += blocks.feed(text[at : at + size])
        blocks.peek()
        at += size
    return parts + blocks.finish()


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("\n".join))
def test_the_blocks_are_those_of_another_parser(text: str) -> None:
    assert plain(ours(split(text))) == plain(theirs(text))


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("\n".join), st.randoms())
def test_the_cuts_of_the_network_change_nothing(text: str, cuts: random.Random) -> None:
    assert split(text, cuts) == split(text)
