"""Chat Completions of servers that stream something else than deltas.

No piece of an answer is lost or doubled.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from splits import bytewise, decode, whole

from streamcli.events import Finished, Text
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


@pytest.mark.parametrize("name", ["finish_reason", "finishReason"])
def test_a_reason_inside_the_delta(name: str) -> None:
    last = {"delta": {"content": "", "finish_reason": None, name: "length"}}
    _, end = answer({"delta": {"content": "Hi"}}, last)
    assert (end.reason, end.raw) == ("length", "length")
