"""Read the README and the pages of the manual: their blocks of code, which tests run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "streamcli" / "docgen" / "pages"
NAMES = sorted(path.stem for path in PAGES.glob("*.md"))
README = (ROOT / "README.md").read_text()


@dataclass(frozen=True)
class Block:
    page: str
    section: str
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0][:50]}"


@dataclass
class Example:
    """An example of stream.1: its title, its command, and the files that it shows."""

    what: str
    command: str = ""
    files: dict[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        return "".join([*self.files.values(), self.command])


def page(name: str) -> str:
    """Return the text of a page, as in stream.1; of README.md for README."""
    return README if name == "README" else (PAGES / f"{name}.md").read_text()


def blocks(name: str, *sections: str) -> list[Block]:
    """Return the blocks of code of a page, or of these sections of it."""
    return [each for each in _blocks(name) if not sections or each.section in sections]


def block(name: str, section: str, word: str) -> str:
    """Return the text of the one block of the section that has this word in it."""
    (found,) = [each.text for each in blocks(name, section) if word in each.text]
    return found


def examples() -> list[Example]:
    """Return the examples of stream.1: a title and a command; `NAME`: above a block is a file."""
    text = page("stream.1").partition("\n## Examples\n")[2].partition("\n## ")[0]
    found: list[Example] = []
    name = ""
    for title, code in re.findall(r"^(\S[^\n]*):$|^```\w+\n(.*?)^```$", text, re.M | re.S)[2:]:
        file = re.fullmatch(r"`([\w.]+)`", title)
        if file:
            name = file[1]
        elif title:
            found.append(Example(title))
        elif name:
            found[-1].files[name], name = code, ""
        else:
            found[-1].command = code
    return found


def _blocks(name: str) -> Iterator[Block]:
    section = ""
    found = re.finditer(r"^## ([^\n]+)$|^```(\w+)\n(.*?)^```$", page(name), re.M | re.S)
    for heading, language, text in (match.groups() for match in found):
        if heading:
            section = heading
        else:
            yield Block(name, section, language, text)
