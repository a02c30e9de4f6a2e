"""--extract: the first fenced block, at any cut."""

from __future__ import annotations

import re

import markdown_it  # comes with rich
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streamcli.output.extract import Extract


def extract(text: str, lang: str = "", size: int | None = None) -> tuple[str, bool, bool]:
    reader = Extract(lang)
    size = size or len(text) or 1
    parts = [reader.feed(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join(parts) + reader.close(), reader.found, reader.closed


@pytest.mark.parametrize(
    ("text", "lang", "block"),
    [
        ("Sure:\n\n```python\nprint(1)\n```\nDone.", "", "print(1)\n"),
        ("```\na\n\n  b\n```", "", "a\n\n  b\n"),
        ("~~~sh\nls\n```\nx\n```\n~~~\n", "", "ls\n```\nx\n```\n"),
        ("```json\n{}\n```\n```python\nx\n```\n", "python", "x\n"),
        ("```PYTHON title=a.py\nx\n```\n", "python", "x\n"),
        ("```{.python .numberLines}\nx\n```\n", "Python", "x\n"),
        ("```python:src/a.py\nx\n```\n", "python", "x\n"),
        ("````markdown\n# T\n```sh\nls\n```\nend\n````\n", "", "# T\n```sh\nls\n```\nend\n"),
        ("```markdown\n# T\n```sh\nls\n```\nend\n```\n", "", "# T\n```sh\nls\n```\nend\n"),
        ("```\na\n`````\nb", "", "a\n"),
        ("1. Do:\n   ```sh\n   ls\n     cd\n   ```\n", "", "ls\n  cd\n"),
        ("  ```\n a\nb\n  ```", "", "a\nb\n"),
        ("\t```\n\ta\n\t```\n", "", "a\n"),
        ("```\r\na\r\n```\r\nb", "", "a\r\n"),
        ("Use ``` inline and ```x``` too\n```\na\n```\n", "", "a\n"),
        ("```x`y\n```\na\n```\n", "", "a\n"),
        ("```\n``\n` a\n` ``` b\n```\n", "", "``\n` a\n` ``` b\n"),
        ("```\n```\n", "", ""),
        ("```sh\nx\n``` \t\nrest", "", "x\n"),
    ],
)
def test_the_first_block(text: str, lang: str, block: str) -> None:
    for size in (None, 1, 2, 3, 5):
        assert extract(text, lang, size) == (block, True, True)


@pytest.mark.parametrize(
    ("text", "lang", "block", "found"),
    [
        ("No code here.", "", "", False),
        ("", "", "", False),
        ("```sh\nls\n```\n", "python", "", False),
        ("```sh\nls\nan", "", "ls\nan", True),
        ("```sh\nls\n``", "", "ls\n``", True),
        ("```sh\nls\n  ", "", "ls\n  ", True),
        ("```sh", "", "", True),
        ("```sh\nls\n~~~\n", "", "ls\n~~~\n", True),
    ],
)
def test_no_block_and_half_a_block(text: str, lang: str, block: str, found: bool) -> None:
    for size in (None, 1, 2, 3):
        assert extract(text, lang, size) == (block, found, False)


def test_it_streams() -> None:
    reader = Extract()
    reader.feed("```py\n")
    assert reader.feed("print") == "print"
    assert reader.feed("(1)\n") == "(1)\n"
    assert reader.feed("  ") == ""  # a fence may stand behind it
    assert reader.feed("x") == "  x"
    assert reader.feed("\n``") == "\n"
    assert reader.feed("`\nmore") == ""
    assert reader.closed


@given(st.text(st.sampled_from("`~ab \n\r\t"), max_size=60), st.sampled_from(["", "a"]), st.data())
def test_any_text_at_any_cut(text: str, lang: str, data: st.DataObject) -> None:
    whole = extract(text, lang)
    assert extract(text, lang, 1) == whole
    assert extract(text, lang, data.draw(st.integers(1, 60))) == whole


@given(st.lists(st.text(st.sampled_from("ab `~#"), max_size=10), max_size=8), st.integers(1, 50))
def test_any_block_comes_out(lines: list[str], size: int) -> None:
    code = "".join(line + "\n" for line in lines)
    fence = "`" * (max([len(line) for line in lines], default=0) + 3)
    assert extract(f"Prose\n{fence}x\n{code}{fence}\nmore", "", size) == (code, True, True)


WORDS = st.text(st.sampled_from("ab `*_.#"), min_size=1, max_size=12)
INFOS = st.sampled_from(["", "python", "sh title=x", "Python", "{.sh}"])


@st.composite
def fences(draw: st.DrawFn, indent: str, closed: bool = False) -> str:
    """A fenced block whose lines end it nowhere: fences of another kind, or too short ones."""
    char = draw(st.sampled_from("`~"))
    other = "~" if char == "`" else "`"
    length = draw(st.integers(3, 5))
    odd = st.sampled_from(
        ["", "    x", char * (length - 1), other * 5, f"{other * 3} sh", "a" + char * 6]
    )
    lines = draw(st.lists(st.text(st.sampled_from("ab #"), max_size=8) | odd, max_size=4))
    lines = [f"{char * length} {draw(INFOS)}".rstrip(), *lines]
    if closed or draw(st.integers(0, 4)):  # else all that follows is in it
        lines.append(char * (length + draw(st.integers(0, 2))) + draw(st.sampled_from(["", "  "])))
        lines += ["", "Then:", ""]
    return "".join(f"{indent}{line}\n" for line in lines)


BLOCKS = st.one_of(
    WORDS.filter(lambda text: not text.strip().startswith("```")).map(lambda text: f"x {text}\n\n"),
    st.sampled_from(["# A heading\n", "``` a ``` b\n\n", "x\n---\n", "* * *\n", "\n"]),
    st.integers(0, 3).flatmap(lambda blanks: fences(" " * blanks)),
    fences("   ", closed=True).map(lambda block: f"1. Do:\n\n{block}\nEnd.\n\n"),
)


@settings(max_examples=60)
@given(st.lists(BLOCKS, max_size=6), st.sampled_from(["", "sh", "python"]))
def test_any_markdown_at_every_cut_as_another_reader_has_it(blocks: list[str], lang: str) -> None:
    text = "".join(blocks)
    found = None
    for token in markdown_it.MarkdownIt().parse(text):
        word = token.info.strip("{.} ").partition(" ")[0].lower()
        if token.type == "fence" and (not lang or word == lang):
            found = token
            break
    # A fence that opens in a block is a block in it here, for answers that show Markdown.
    if found is not None:
        char = found.markup[0]
        assume(not re.search(rf"(?m)^ *{char}{{3,}} *[^\s{char}]", found.content))
    block, was_found, closed = whole = extract(text, lang)
    assert was_found == (found is not None)
    if found is not None:
        assert block == found.content
        begin, end = found.map
        fence = text.splitlines()[begin].strip()[:3]
        assert closed == (end - begin > 1 and text.splitlines()[end - 1].strip().startswith(fence))
    for cut in range(1, len(text)):
        reader = Extract(lang)
        parts = reader.feed(text[:cut]) + reader.feed(text[cut:]) + reader.close()
        assert (parts, reader.found, reader.closed) == whole


@pytest.mark.parametrize("unit", ["prose ", "x\n", "    ", "`", "``` a", "```a\n"])
@pytest.mark.parametrize("begin", ["", "```\n"])
def test_a_long_answer_costs_no_more_for_each_character(begin: str, unit: str) -> None:
    """1 MB in small deltas: if each looked at all that came, this would take an hour."""
    reader = Extract()
    size = len(reader.feed(begin))
    for _ in range(300_000 // len(unit) // 20):
        size += len(reader.feed(unit * 20))
    assert size + len(reader.close()) <= 300_000 + 120
