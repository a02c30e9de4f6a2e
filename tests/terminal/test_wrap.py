"""Wrapping of text that comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcli.terminal.widths import cells
from streamcli.terminal.wrap import Wrapped

TEXTS = st.text(st.sampled_from("ab \n\t你好。-é\u0301👨\u200d👩"), max_size=60)


def rows(width: int, *pieces: str) -> list[str]:
    wrapped = Wrapped(width)
    for piece in pieces:
        wrapped.add(piece)
    return [row.text.rstrip() for row in wrapped.all()]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("\n\n", []),
        ("the quick brown fox", ["the quick", "brown fox"]),
        ("the quick  brown\n\nfox\n", ["the quick", "brown", "", "fox"]),
        ("x" * 25, ["x" * 10, "x" * 10, "x" * 5]),
        ("ab " + "x" * 12, ["ab", "x" * 10, "xx"]),
        ("    indented code()", ["", "indented", "code()"]),
        ("一二三四五六七", ["一二三四五", "六七"]),
        ("a一二三四五六", ["a一二三四", "五六"]),
        ("a\tb\r\nc", ["a    b", "c"]),
    ],
)
def test_rows_of_ten_cells(text: str, wanted: list[str]) -> None:
    assert rows(10, text) == [row.rstrip() for row in wanted]


@given(TEXTS, st.lists(st.integers(0, 60)), st.integers(2, 12))
def test_no_row_is_too_wide_and_nothing_is_lost(text: str, cuts: list[int], width: int) -> None:
    places = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in zip(places, places[1:], strict=False)]
    for found in (rows(width, text), rows(width, *pieces)):
        assert all(cells(row) <= width for row in found)
        assert "".join("".join(found).split()) == "".join(text.split())


@given(st.text(st.sampled_from("ab \n你"), max_size=60), st.integers(2, 12))
def test_pieces_are_wrapped_as_the_whole_is(text: str, width: int) -> None:
    """But for spaces in a row: those that begin a piece may begin a row."""
    words = " ".join(text.split(" "))
    while "  " in words:
        words = words.replace("  ", " ")
    assert [row.strip() for row in rows(width, *words)] == [r.strip() for r in rows(width, words)]


def test_another_width_wraps_it_anew() -> None:
    wrapped = Wrapped(5)
    wrapped.add("hmm", dim=True)
    wrapped.add("the quick brown")
    assert [(row.text, row.dim) for row in wrapped.all()] == [
        ("hmm", True),
        ("the", False),
        ("quick", False),
        ("brown", False),
    ]
    wrapped.resize(20)
    assert [row.text for row in wrapped.all()] == ["hmm", "the quick brown"]
    assert [row.text for row in wrapped.last(1)] == ["the quick brown"]
    assert wrapped.last(0) == []


def test_the_work_is_linear() -> None:
    """A line without an end in small pieces: the rows above are not looked at again."""
    wrapped = Wrapped(40)
    for _ in range(100_000):
        wrapped.add("word ")
    assert len(wrapped.all()) == 12_500


@pytest.mark.parametrize("character", ["\u0301", "\u200d", "x", "你", " "])
def test_no_row_grows_without_a_bound(character: str) -> None:
    wrapped = Wrapped(10)
    for _ in range(3000):
        wrapped.add(character * 10)
    assert all(len(row.text) <= 80 for row in wrapped.all())
