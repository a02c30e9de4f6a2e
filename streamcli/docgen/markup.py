"""The manual's markup, a small part of Markdown, as man(7) source.

    # Section, ## Subsection
    - bullet
    term
    : its definition; lists whose items have no blank line between them are set close

Inside a line `code` is bold, *name* is italic, and an option (--jsonl) is bold by itself.
Blocks between ``` lines are set as they are. A block that begins with four blanks belongs to the
definition above it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

WIDTH = 78
_INLINE = re.compile(r"`([^`]+)`|\*([^*\n]+)\*|(?<![\w-])(--[a-z][a-z0-9-]*[a-z0-9])")
_SENTENCE = re.compile(r"(?<=[a-zA-Z0-9)`*][.?!:]) (?=[A-Z`*'])")
_ESCAPES = {"\\": "\\e", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}


def to_man(text: str) -> str:
    """The body of a man page: everything after its .TH line."""
    lines: list[str] = []
    for block in _blocks(text):
        made = list(_render(block))
        # A heading begins a paragraph by itself.
        if made[0] == ".PP" and lines and lines[-1].startswith((".SH", ".SS")):
            del made[0]
        lines += made
    return "\n".join(lines) + "\n"


def _blocks(text: str) -> Iterator[list[str]]:
    """Runs of lines without a blank one between; a ``` block is one whatever it holds."""
    block: list[str] = []
    fenced = False
    for line in [*text.splitlines(), ""]:
        if line.strip() == "```":
            fenced = not fenced
        if line.strip() or fenced:
            block.append(line)
        elif block:
            yield block
            block = []


def _render(block: list[str]) -> Iterator[str]:
    first = block[0]
    if first.startswith("## "):
        yield f".SS {escape(first[3:])}"
    elif first.startswith("# "):
        yield f".SH {escape(first[2:])}"
    elif first.strip() == "```":
        yield from (".PP", ".RS 4", ".nf")  # groff's .EE would turn hyphenation on again
        yield from (_line(escape(line, code=True)) for line in block[1:-1])
        yield from (".fi", ".RE")
    elif first.startswith("    "):
        yield ".IP"
        yield from _fill(" ".join(line.strip() for line in block))
    elif first.startswith("- "):
        for item in re.split(r"\n- ", "\n".join(block)[2:]):
            yield ".IP \\(bu 2"
            yield from _fill(item)
    elif len(block) > 1 and block[1].startswith(": "):
        yield from _definitions(block)
    else:
        yield ".PP"
        yield from _fill("\n".join(block))


def _definitions(block: list[str]) -> Iterator[str]:
    items: list[tuple[str, list[str]]] = []
    for line, following in zip(block, [*block[1:], ""], strict=True):
        if line.startswith(": "):
            items[-1][1].append(line[2:])
        elif following.startswith(": "):
            items.append((line, []))
        else:
            items[-1][1].append(line.strip())
    close = len(items) > 1
    indent = " " + str(min(26, max(len(_plain(term)) for term, _ in items) + 2)) if close else ""
    for number, (term, lines) in enumerate(items):
        if close and number == 1:
            yield ".PD 0"
        yield f".TP{indent}"
        yield _line(inline(term))
        yield from _fill(" ".join(lines))
    if close:
        yield ".PD"


def _fill(text: str) -> Iterator[str]:
    """Filled text, each sentence on a line of its own: roff knows its end, diffs are short."""
    for sentence in _SENTENCE.split(" ".join(text.split())):
        for line in textwrap.wrap(
            inline(sentence), WIDTH, break_on_hyphens=False, break_long_words=False
        ):
            yield _line(line)


def inline(text: str) -> str:
    """One line of markup as roff."""
    done, at = [], 0
    for found in _INLINE.finditer(text):
        code, name, option = found.groups()
        done.append(escape(text[at : found.start()]))
        font = "I" if name else "B"
        done.append(f"\\f{font}{escape(code or name or option, code=True)}\\fR")
        at = found.end()
    return "".join([*done, escape(text[at:])])


def escape(text: str, *, code: bool = False) -> str:
    """Roff's own characters as text. In code a dash is one that can be copied and pasted."""
    text = "".join(_ESCAPES.get(char, char) for char in text)
    return text.replace("-", "\\-") if code else re.sub(r"(?<!\w)-|-(?!\w)", r"\\-", text)


def _line(text: str) -> str:
    """A line that begins with a dot or an apostrophe would be a request."""
    return f"\\&{text}" if text.startswith((".", "'")) else text


def _plain(text: str) -> str:
    return re.sub(r"[`*]", "", text)
