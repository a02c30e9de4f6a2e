"""--items: elements of an array as they close, at any cut of any JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.output.json_items import JsonItems


def items(text: str, path: str = "", cuts: list[int] | None = None) -> tuple[str, JsonItems]:
    reader = JsonItems(path)
    if cuts is None:
        return reader.feed(text) + reader.close(), reader
    places = sorted({0, len(text), *(place for place in cuts if place < len(text))})
    parts = [reader.feed(text[a:b]) for a, b in zip(places, places[1:], strict=False)]
    return "".join(parts) + reader.close(), reader


def every(text: str, path: str = "") -> tuple[str, JsonItems]:
    """The same at each cut in two, and by characters."""
    whole = items(text, path)
    for cuts in ([place] for place in range(len(text))):
        assert_same(items(text, path, cuts), whole)
    assert_same(items(text, path, list(range(len(text)))), whole)
    return whole


def assert_same(one: tuple[str, JsonItems], other: tuple[str, JsonItems]) -> None:
    assert one[0] == other[0]
    for name in ("count", "skipped", "trouble", "cut"):
        assert getattr(one[1], name) == getattr(other[1], name)


@pytest.mark.parametrize(
    ("text", "path", "lines"),
    [
        ("[1,2,3]", "", ["1", "2", "3"]),
        ("[1]", "", ["1"]),
        ("[0.0]", "", ["0.0"]),
        ("[-1.5e-7 , 2E+3]", "", ["-1.5e-7", "2E+3"]),
        ("[]", "", []),
        (' [ "a" , {"b": [1, {}]} ] ', "", ['"a"', '{"b": [1, {}]}']),
        ('[\n  {\n    "a": 1,\n    "b": "x"\n  }\n]', "", ['{    "a": 1,    "b": "x"  }']),
        ('["]", "a\\"]", "\\\\", "[{"]', "", ['"]"', '"a\\"]"', '"\\\\"', '"[{"']),
        ('{"n": 1, "list": [1, 2], "o": {"p": [3]}}', "", ["1", "2"]),
        ('{"a": {"b": [1]}, "b": [2]}', "a.b", ["1"]),
        ('{"b": [2], "a": {"c": {"b": [0]}, "b": [1]}}', "a.b", ["1"]),
        ('{"a": [[0], {"b": [1, 2]}]}', "a.1.b", ["1", "2"]),
        ("[[1], [2, 3]]", "1", ["2", "3"]),
        ('{"caf\\u00e9": [1]}', "café", ["1"]),
        ('["\\ud800"]', "", ['"\\ud800"']),
        ('["a\nb"]', "", ['"a\\nb"']),
        ("[" * 20 + "]" * 20, "", ["[" * 19 + "]" * 19]),
    ],
)
def test_elements(text: str, path: str, lines: list[str]) -> None:
    got, reader = every(text, path)
    assert got.splitlines() == lines
    assert (reader.count, reader.trouble, reader.skipped) == (len(lines), "", False)


JSON = '[{"a": 1},\n {"b": "]"}]'


@pytest.mark.parametrize(
    "around",
    [
        "Here is the list:\n\n{}\n\nThat is all.",
        "```json\n{}\n```",
        "As shown in [1] and [x](http://[::1]/), {{curly}} and [ ] todo:\n```\n{}\n```\nSee [2].",
        "- [ ] open\n- [x] done\n{}",
        "[1] A. Author, a title\n[2] Another\n\n{}",
        "The result is {}.",
    ],
)
def test_what_is_around_is_skipped(around: str) -> None:
    got, reader = every(around.format(JSON))
    assert got.splitlines() == ['{"a": 1}', '{"b": "]"}']
    assert reader.skipped
    assert not reader.trouble


@pytest.mark.parametrize(
    ("text", "path", "lines", "trouble", "cut"),
    [
        ("[1, 2, {", "", ["1", "2"], "the JSON was cut behind 2 elements", True),
        ('["a", "b', "", ['"a"'], "the JSON was cut behind 1 element", True),
        ('{"a": [1], "b": 2', "", ["1"], "the JSON was cut behind 1 element", True),
        ("I cannot do that.", "", [], "there is no JSON array in the answer", False),
        ("", "", [], "there is no JSON array in the answer", False),
        ('{"a": 1}', "", [], "there is no JSON array in the answer", False),
        ('{"a": {}, "c": {"b": [1]}}', "a.b", [], "there is no JSON array at a.b in the", False),
        ('{"a": 1}', "a", [], "a is not an array", False),
        ('{"a": {"b": 1}}', "a", [], "a is not an array", False),
        ('{"a": [1], "b": [2]}', "", ["1"], "the answer has several arrays", False),
        ("[1, two, 3]", "", ["1"], "element 1 of the array is not JSON", False),
        ("[0,\n1\n2]", "", ["0"], "element 1 of the array is not JSON", False),
        ("[1,]", "", ["1"], "element 1 of the array is not JSON", False),
        ("[NaN,1]", "", [], "there is no JSON array", False),
    ],
)
def test_what_is_wrong(text: str, path: str, lines: list[str], trouble: str, cut: bool) -> None:
    got, reader = every(text, path)
    assert got.splitlines() == lines
    assert reader.trouble.startswith(trouble)
    assert reader.trouble
    assert reader.cut == cut


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=6)
    | st.sampled_from(['"', "\\", "[", "]", "{", "}", ",", '\\\\"', "a\nb"])
)


def values(leaves: int) -> st.SearchStrategy:
    return st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=leaves,
    )


STYLES = st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])


@given(
    st.lists(values(12), max_size=6), STYLES, st.lists(st.integers(0, 400), max_size=8), st.text()
)
def test_any_array_at_any_cut(values: list, style: dict, cuts: list[int], tail: str) -> None:
    for text, path in (
        (json.dumps(values, **style), ""),
        (json.dumps({"x": 1, "a": values, "o": {"a": [0]}}, **style), ""),
        (json.dumps({"a": [9], "o": {"p": {}, "a": values}, "b": [9]}, **style), "o.a"),
    ):
        got, reader = items(text + "\n" + tail, path, cuts)
        assert not reader.trouble
        lines = got.split("\n")
        assert lines.pop() == ""
        assert list(map(json.loads, lines)) == values
        # Byte for byte but for line breaks: each line stands in the text without them.
        flat = text.replace("\n", "")
        for line in lines:
            assert line in flat


@settings(max_examples=30)
@given(st.lists(values(3), max_size=2), STYLES)
def test_any_array_at_every_cut_as_another_parser_reads_it(elements: list, style: dict) -> None:
    ijson = pytest.importorskip("ijson.backends.python")  # its others have integers of 64 bits
    whole = {"o": {"p": [], "a": elements}}
    for text, path, theirs in (
        (json.dumps(elements, **style), "", "item"),
        (json.dumps(whole, **style), "o.a", "o.a.item"),
    ):
        got, reader = every(text, path)
        assert (reader.count, reader.trouble) == (len(elements), "")
        found = list(ijson.items(text.encode(), theirs, use_float=True))
        assert [json.loads(line) for line in got.split("\n")[:-1]] == found == elements


@given(st.text(st.sampled_from('[]{}",:1 \n\\at`'), max_size=60), st.integers(0, 60))
def test_any_text_at_any_cut(text: str, place: int) -> None:
    """Nothing breaks it, a cut changes nothing, and every line is JSON."""
    whole = items(text)
    assert_same(items(text, "", [place]), whole)
    assert_same(items(text, "", list(range(len(text)))), whole)
    for line in whole[0].splitlines():
        json.loads(line)


@pytest.mark.parametrize(
    ("begin", "unit", "end"),
    [
        ("[", '{"a": "b", "c": [1, 2]},', "1]"),
        ('["', 'a long string \\" ', '"]'),
        ('[{"a": [', "1, ", "1]}]"),
        ("", "prose [1] ", "[1,2]"),
        ("", "   ", "\n[1]"),
        ('{"a": {"b": [', '{"c": "d"}, ', '1]}, "e": [1]}'),
    ],
)
def test_a_long_answer_costs_no_more_for_each_character(begin: str, unit: str, end: str) -> None:
    """1 MB in small deltas: if each looked at all that came, this would take an hour."""
    reader = JsonItems()
    count = 300_000 // len(unit)
    reader.feed(begin)
    for _ in range(count):
        reader.feed(unit)
    reader.feed(end)
    reader.close()
    assert not reader.trouble or begin == ""
