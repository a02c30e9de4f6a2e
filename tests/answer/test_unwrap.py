"""Answers to schemas that were wrapped in an object: the wrapper comes off, at any cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from splits import every_two

from streamcli.answer.unwrap import Unwrap, unwrapping
from streamcli.events import Event, Failed, Finished, Reasoning, Text
from streamcli.messages import ChatRequest, Message
from streamcli.protocols._contract import get, names

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{},: \né', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


def unwrapped(*pieces: str) -> str:
    unwrap = Unwrap("items")
    return "".join(map(unwrap.feed, pieces)) + unwrap.close()


@settings(max_examples=60)
@given(JSON, st.sampled_from([None, 2]), st.data())
def test_the_value_comes_out_byte_for_byte_at_any_cut(
    value: Any, indent: int | None, data: st.DataObject
) -> None:
    inner = json.dumps(value, indent=indent, ensure_ascii=False)
    blank = st.sampled_from(["", " ", "\n  "])
    a, b, c, d = (data.draw(blank) for _ in range(4))
    text = f'{a}{{{b}"items"{c}:{d}{inner}{d}}}'
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert unwrapped(*pieces) == inner
    assert unwrapped(*text) == inner


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "no JSON",
        '{"other": [1]}',
        '{"it',
        '  {"items"',
        '{"items" 3}',
        '{"i tems": 3}',
        '```json\n{"items": [1]}\n```',
        '{ "items\\"": 1}',
    ],
)
def test_an_answer_without_the_wrapper_is_left_as_it_is(text: str) -> None:
    for pieces in ([text], list(text), *map(list, every_two(text.encode()))):
        assert unwrapped(*(p if isinstance(p, str) else p.decode() for p in pieces)) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"items": [1]}\n', "[1]\n"),
        ('{"items": [1], "more": 2}', '[1], "more": 2}'),
        ('{"items": [1]} and {', "[1] and {"),
        ('{"items": [1, ', "[1, "),
        ('{"items": "a}b"}', '"a}b"'),
        ('{"items": "\\\\"}', '"\\\\"'),
        ('{"items": 12.5e3 }', "12.5e3"),
        ('{"items": null}', "null"),
        ('{"items":', ""),
    ],
)
def test_what_is_around_the_value(text: str, left: str) -> None:
    assert unwrapped(text) == unwrapped(*text) == left


def test_events_keep_their_order() -> None:
    unwrap = Unwrap("items")
    end = Finished("stop", "stop", ("marker",))
    thought = Reasoning("x")
    other = Text("{", 1)
    events: list[Event] = [Text('{"ite'), thought, other]
    assert unwrap.unwrap(events) == [thought, other]
    assert [type(each) for each in unwrap.unwrap([Text('ms": [3'), Text("]}"), end])] == [
        *(Text, Text),
        Finished,
    ]
    begun = Unwrap("items")
    broken = Failed("truncated", "the stream broke")
    got = begun.unwrap([Text('{"it'), broken])
    assert isinstance(got[0], Text)
    assert (got[0].text, got[1]) == ('{"it', broken)


def test_a_long_answer_takes_linear_work() -> None:
    unwrap = Unwrap("items")
    steps = 0
    for piece in ['{"items": [', *['"\\"", '] * 50_000, "1]}"]:
        steps += len(unwrap.feed(piece))
    assert steps == 50_000 * 6 + 3
    spaces = Unwrap("items")
    for _ in range(50_000):
        assert spaces.feed(" ") == ""
    assert spaces.feed("x") == " " * 50_000 + "x"


def test_only_what_was_wrapped_is_unwrapped() -> None:
    for name in names():
        for root, wraps in (("object", False), ("array", True), ("string", True)):
            chat = ChatRequest("m", [Message("user", "hi")], schema={"type": root})
            made = unwrapping(chat, get(name))
            takes_any = name in ("gemini", "gemini-array", "ollama", *TEMPLATED)
            assert (made is not None) == (wraps and not takes_any), name
    assert unwrapping(ChatRequest("m", []), get("openai-chat")) is None


TEMPLATED = ("json-events", "sse-text", "text")
