"""Streams that people reported in public as broken, each with the verdict that a reader expects.

`cases/PROTOCOL.jsonl` has a report a line: its name, where it was made (`report`), what is right
(`why`), the `body` as it was sent, and `expect`:

    exit        the exit status, with records and as text; `text_exit` where text differs
    text, reasoning, finish, calls (arguments), usage, citations, message (a piece of it)
    open_at     an offset at which the server paused: the answer was not over there
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from splits import bytewise, decode, merged, sampled, whole
from verdicts import found_in

from streamcli.protocols._contract import get

CASES = Path(__file__).parent / "cases"


def cases() -> list[Any]:
    found = []
    for path in sorted(CASES.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            case = json.loads(line)
            found.append(pytest.param(path.stem, case, id=f"{path.stem}--{case['name']}"))
    return found


@pytest.mark.parametrize(("protocol", "case"), cases())
def test_report(protocol: str, case: dict[str, Any]) -> None:
    name, body, expect = protocol.replace("_", "-"), case["body"].encode(), dict(case["expect"])
    factory = get(name).Decoder
    events = decode(factory(), whole(body))
    found = found_in(events)
    assert expect.pop("message", "") in found["message"]
    for field, value in expect.pop("usage", {}).items():
        assert getattr(found["usage"], field) == value
    open_at = expect.pop("open_at", None)
    expect.setdefault("text_exit", expect["exit"])
    assert {key: found[key] for key in expect} == expect

    for pieces in (bytewise(body), *sampled(body, 4)):
        assert merged(decode(factory(), pieces)) == merged(events)
    if open_at is not None:
        decoder = factory()
        decoder.feed(body[:open_at])
        assert not decoder.ending
        assert not decoder.ended


def test_every_report_says_where_it_was_made() -> None:
    for param in cases():
        _, case = param.values
        assert case["report"]
        assert case["why"]
    assert len({param.id for param in cases()}) == len(cases())
