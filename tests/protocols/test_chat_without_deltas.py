"""Chat Completions of servers that stream something else than deltas.

No piece of an answer is lost or doubled.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from splits import bytewise, decode, whole

from streamcli.events import Failed, Finished, Text
from streamcli.protocols._contract import get


def answer(*choices: dict[str, Any]) -> tuple[str, Any]:
    """Return the text and the end of a stream of these choices, at two splits of its bytes."""
    data = b"".join(
        b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n"
        for choice in choices
    )
    data += b"data: [DONE]\n\n"
    found = []
    for split in (whole, bytewise):
        events = decode(get("openai-chat").Decoder(), split(data))
        text = "".join(event.text for event in events if isinstance(event, Text))
        found.append((text, events[-1]))
    assert found[0] == found[1]
    return found[0]


def message(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}, "finish_reason": reason}


@pytest.mark.parametrize(
    "choices",
    [
        [message("Red"), message(", green"), message(" and blue", "stop")],
        [message("Red"), message("Red, green"), message("Red, green and blue", "stop")],
        [message(""), message("Red, green"), message("Red, green and blue", "stop")],
        [message("Red, green and blue"), message("Red, green and blue", "stop")],
        [{"delta": "Red, green"}, {"delta": " and blue", "finish_reason": "stop"}],
        [{"text": "Red, green"}, {"text": " and blue", "finish_reason": "stop"}],
        [
            {"delta": {"content": "Red, green"}, "message": {"content": "Red, green"}},
            {"delta": {"content": " and blue"}, "message": {"content": "Red, green and blue"}},
            {"message": {"content": "Red, green and blue"}, "finish_reason": "stop"},
        ],
    ],
    ids=["pieces", "cumulative", "cumulative from nothing", "twice", "strings", "texts", "both"],
)
def test_no_piece_is_lost_or_doubled(choices: list[dict[str, Any]]) -> None:
    text, end = answer(*choices)
    assert text == "Red, green and blue"
    assert isinstance(end, Finished)
    assert end.reason == "stop"


WHOLE = {"id": "c", "choices": [{"index": 0, **message("Hi")}]}
MORE = [{"index": 0, **message(" you")}, {"index": 0, "delta": {"content": " you"}}]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_json_that_is_whole_needs_no_reason(end: bytes) -> None:
    """Ollama and others write null there; the brace that closes it is the server's word."""
    data = json.dumps(WHOLE).encode()
    for split in (whole, bytewise):
        *_, text, last = decode(get("openai-chat").Decoder(), split(data + end))
        assert (text, last) == (Text("Hi"), Finished(None, None, ("eof",)))
        *_, cut = decode(get("openai-chat").Decoder(), split(data[:-2] + end))
        assert not isinstance(cut, Finished)


@pytest.mark.parametrize("more", MORE)
def test_pieces_in_json_lines_need_a_reason(more: dict[str, Any]) -> None:
    data = b"%b\n%b\n" % (json.dumps(WHOLE).encode(), json.dumps({"choices": [more]}).encode())
    *_, last = decode(get("openai-chat").Decoder(), whole(data))
    assert not isinstance(last, Finished)
    *_, last = decode(get("openai-chat").Decoder(), whole(b"data: " + data.replace(b"\n", b"\n\n")))
    assert not isinstance(last, Finished)


def test_compressed_bytes_that_do_not_say_so_are_named() -> None:
    *_, last = decode(get("openai-chat").Decoder(), whole(gzip.compress(b"data: [DONE]\n\n")))
    assert isinstance(last, Failed)
    assert "gzip" in last.message


@pytest.mark.parametrize("name", ["finish_reason", "finishReason"])
def test_a_reason_inside_the_delta(name: str) -> None:
    last = {"delta": {"content": "", "finish_reason": None, name: "length"}}
    _, end = answer({"delta": {"content": "Hi"}}, last)
    assert (end.reason, end.raw) == ("length", "length")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "Hi"},
        {"type": "text", "content": "Hi"},
        {"type": "output_text", "content": "Hi"},
    ],
)
def test_text_in_a_part(part: dict[str, Any]) -> None:
    text, end = answer({"delta": {"content": [part]}}, {"delta": {}, "finish_reason": "stop"})
    assert (text, end.reason) == ("Hi", "stop")


@pytest.mark.parametrize("kind", ["reasoning", "reasoning_text", "thinking", "thought"])
def test_thoughts_in_a_part_are_not_the_answer(kind: str) -> None:
    part = {"type": kind, "text": "Hm"}
    text, end = answer({"delta": {"content": [part]}}, {"delta": {"content": "Hi"}})
    assert (text, end.reason) == ("Hi", None)


@pytest.mark.parametrize("name", ["finish_reason", "finishReason"])
def test_a_reason_beside_the_choices(name: str) -> None:
    events = [
        {"choices": [{"index": 0, "delta": {"content": "Half"}}], name: None},
        {"choices": [{"index": 0, "delta": {"content": ""}}], name: "length"},
    ]
    data = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)
    *_, end = decode(get("openai-chat").Decoder(), whole(data + b"data: [DONE]\n\n"))
    assert end == Finished("length", "length", ("finish_reason", "marker"))


def test_a_choice_without_its_list() -> None:
    events = [
        {"choices": {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}},
        {"choices": {"index": 0, "delta": {}, "finish_reason": "stop"}},
    ]
    data = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)
    first, *_, end = decode(get("openai-chat").Decoder(), whole(data))
    assert first == Text("Hi")
    assert end == Finished("stop", "stop", ("finish_reason", "eof"))
