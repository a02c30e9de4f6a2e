"""Servers whose deltas repeat all text so far: each word is given once; other streams stay.

DashScope's Coding Plan, Qwen's web API and MiniMax were reported to do so.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from splits import bytewise, decode, merged, sampled, whole
from verdicts import found_in

from streamcli.events import Text
from streamcli.protocols._contract import get

DONE = b"data: [DONE]\n\n"
FIELDS = ("content", "reasoning_content")


def body(*deltas: str, field: str = "content", end: bytes = DONE, name: str = "") -> bytes:
    out = b""
    for at, text in enumerate(deltas):
        reason = "stop" if at == len(deltas) - 1 else None
        place: dict[str, Any] = {"text": text} if name else {"delta": {field: text}}
        value = {"id": "c", "model": "m", "choices": [{"index": 0, **place}]}
        value["choices"][0]["finish_reason"] = reason
        out += b"data: %b\n\n" % json.dumps(value).encode()
    return out + end


GROWING: list[tuple[tuple[str, ...], str]] = [
    (("The", "The quick", "The quick fox"), "The quick fox"),
    (("The", "The quick", "The quick fox", "The quick fox"), "The quick fox"),
    (("The", "The quick", "The quick fox", "The quick"), "The quick fox"),
    (("H", "He", "Hey", "Hey 😀", "Hey 😀!"), "Hey 😀!"),
]
# (pieces that begin like the one before, as models do write them)
PIECES: list[tuple[str, ...]] = [
    ("a", "and", " the"),
    ("a", "and"),
    ("ha", "haha", "hahaha"),
    ("1", "11", "111"),
    (" ", "  ", "   x"),
    ("The", " quick", "The quick", "The quick fox"),
    ("a", "ab", "ab", "abc"),
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(("deltas", "text"), GROWING)
def test_text_that_is_sent_anew_each_time_is_given_once(
    field: str, deltas: tuple[str, ...], text: str
) -> None:
    data = body(*deltas, field=field)
    for pieces in (whole(data), bytewise(data), *sampled(data, 4)):
        found = found_in(decode(get("openai-chat").Decoder(), pieces))
        assert found["exit"] == 0
        assert found["text" if field == "content" else "reasoning"] == text
    if field == "content":
        data = body(*deltas, name="completions")
        assert found_in(decode(get("openai-completions").Decoder(), whole(data)))["text"] == text


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("deltas", PIECES)
def test_pieces_that_begin_alike_stay_as_they_are(field: str, deltas: tuple[str, ...]) -> None:
    data = body(*deltas, field=field)
    events = decode(get("openai-chat").Decoder(), whole(data))
    found = found_in(events)
    assert found["text" if field == "content" else "reasoning"] == "".join(deltas)
    assert merged(decode(get("openai-chat").Decoder(), bytewise(data))) == merged(events)


@pytest.mark.parametrize(
    ("end", "exit"), [(b"", 18), (b"data: {bad}\n\n", 8), (b'data: {"error":"broke"}\n\n', 15)]
)
def test_what_waits_is_given_however_the_stream_ends(end: bytes, exit: int) -> None:
    data = body("a", "and", "x").rpartition(b"data: {")[0] + end
    found = found_in(decode(get("openai-chat").Decoder(), whole(data)))
    assert (found["text"], found["exit"]) == ("aand", exit)


def test_a_delta_waits_for_the_next_value_alone() -> None:
    decoder = get("openai-chat").Decoder()
    first, second, third = body("a", "and", "", end=b"").split(b"\n\n")[:3]
    assert Text("a") in decoder.feed(first + b"\n\n")
    assert not any(isinstance(each, Text) for each in decoder.feed(second + b"\n\n"))
    assert Text("and") in decoder.feed(third + b"\n\n")


def test_a_long_answer_is_read_in_linear_work() -> None:
    """No delta is joined with those before it; the whole text is compared, not kept twice."""
    words = [f"word{n} " for n in range(300)]
    growing = ["".join(words[: n + 1]) for n in range(300)]
    found = found_in(decode(get("openai-chat").Decoder(), whole(body(*growing))))
    assert found["text"] == "".join(words)
