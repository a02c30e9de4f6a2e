"""A chunk of text alone is read in one step, and as the careful way reads it."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from streamcli.events import Event
from streamcli.protocols.openai_chat import Decoder


def chunk(
    delta: Any, index: int | None = 0, reason: str | None = None, **more: Any
) -> dict[str, Any]:
    choice = {"delta": delta, "finish_reason": reason}
    if index is not None:
        choice["index"] = index
    return {"id": "r", "model": "m", "choices": [choice], **more}


USAGE = {"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11}
CHUNKS = [
    *[chunk({"content": text}) for text in ("one ", "zwei ", "\u4f60", "", "\n")],
    chunk({"content": "no index"}, None),
    chunk({"content": "another choice"}, 1),
    chunk({"content": "counted"}, usage=USAGE),
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "beside ", "reasoning_content": "thought"}),
    chunk({"reasoning_content": "thought"}),
    chunk({"content": ["part"]}),
    chunk({"content": 7}),
    chunk({"content": "last"}, reason="length"),
    chunk({}, reason="stop"),
    chunk({"content": "failing"}, error={"message": "out of order"}),
    {**chunk({"content": "renamed"}), "id": "s"},
    {"id": "r", "choices": [], "usage": USAGE},
    {"choices": [{"delta": {"content": "nameless"}}]},
    {"id": "r", "choices": [chunk({"content": "a"})["choices"][0]] * 2},
    {"error": {"message": "overloaded"}},
]


def events_of(chunks: list[dict[str, Any]], name: str = "") -> list[Event]:
    """Decode chunks as events of that name, each a read of its own."""
    decoder, events = Decoder(), []
    for value in chunks:
        head = f"event: {name}\n" if name else ""
        events += decoder.feed(f"{head}data: {json.dumps(value)}\n\n".encode())
    return events + decoder.close()


@pytest.mark.parametrize("seed", range(300))
def test_text_alone_is_read_as_beside_other_facts(seed: int) -> None:
    draw = Random(seed)
    chunks = [draw.choice(CHUNKS[: draw.choice((6, 14, None))]) for _ in range(draw.randint(2, 9))]
    # The name of an event sends it the careful way, and means nothing else.
    assert events_of(chunks) == events_of(chunks, "chunk")
