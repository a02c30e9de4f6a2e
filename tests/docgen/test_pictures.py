"""The pictures show what the command does today, and load nothing from elsewhere."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from faultserver import FaultServer
from pages import PAGES, ROOT
from pictures import PICTURES, Picture, drawn, lines_of, report, run

TERMINALS = [picture.name for picture in PICTURES]
NAMES = [*TERMINALS, "report"]


@pytest.mark.parametrize("picture", PICTURES, ids=TERMINALS)
def test_a_picture_shows_what_the_command_does(
    picture: Picture, server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    """Made anew by `python tests/pictures.py`. Colors and times are not compared."""
    stored = (PAGES / f"{picture.name}.svg").read_text()
    now = drawn(picture, run(picture, server, child_env, tmp_path))
    assert words(lines_of(stored)) == words(lines_of(now))


def words(lines: list[list[str]]) -> list[str]:
    """Return the words, sorted, but those of the last lines: their figures are of the run."""
    shown = takewhile(lambda line: "TTFT" not in line, lines)
    return sorted(word for line in shown for word in line if not re.fullmatch("[─│┼]+", word))


def test_the_picture_of_a_report(child_env: dict[str, str], tmp_path: Path) -> None:
    """Made anew, too; its figures are of the run."""
    stored = (PAGES / "report.svg").read_text()
    now = report(child_env, tmp_path, prompts=60, pace=0.1)
    assert labels(now) == labels(stored)


def labels(svg: str) -> set[str]:
    texts = "\n".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
    return {word for word in texts.split() if not re.search(r"\d(?!0\b)", word)}


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.svg")), ids=lambda path: path.stem)
def test_a_picture_is_small_and_harmless(path: Path) -> None:
    text = path.read_text()
    assert path.stem in NAMES
    assert len(text.encode()) < 30_000
    root = ElementTree.fromstring(text)
    assert not [each for each in root.iter() if each.tag.endswith(("script", "image", "use"))]
    assert not re.search(r"@import|@font-face|href|src|url\((?!#)|on\w+=", text)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_shown(name: str) -> None:
    pages = [ROOT / "README.md", *PAGES.glob("*.md")]
    assert [page for page in pages if f"{name}.svg)" in page.read_text()]
