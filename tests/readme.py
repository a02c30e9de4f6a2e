"""The README's blocks of code, each with the section it stands in; tests run every one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


@dataclass(frozen=True)
class Block:
    section: str
    language: str
    text: str

    @property
    def name(self) -> str:
        return self.text.splitlines()[0][:50]


def _blocks() -> list[Block]:
    blocks, section = [], ""
    found = re.finditer(r"^## ([^\n]+)$|^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    for heading, language, text in (match.groups() for match in found):
        if heading:
            section = heading
        else:
            blocks.append(Block(section, language, text))
    return blocks


BLOCKS = _blocks()


def block(section: str, word: str) -> str:
    """The text of the one block of the section that has this word in it."""
    (found,) = [each.text for each in BLOCKS if each.section == section and word in each.text]
    return found
