"""Streams that people reported in public as broken, each with the verdict that a reader expects.

`cases/PROTOCOL.jsonl` has a report a line: its name, where it was made (`report`), what is right
(`why`), the `body` as it was sent (`body64` for binary ones), and `expect`:

    exit        the exit status, with records and as text; `text_exit` where text differs
    text, reasoning, finish, calls (arguments), usage, citations, message (a piece of it)
    open_at     an offset at which the server paused: the answer was not over there
    transient   whether another attempt may go well

A report with a `status` is an HTTP answer that is not 2xx, with its `headers`.
"""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from splits import bytewise, decode, merged, sampled, whole
from verdicts import found_in

from streamcli.events import Event, Failed
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
    name, expect = protocol.replace("_", "-"), dict(case["expect"])
    body = b64decode(case["body64"]) if "body64" in case else case["body"].encode()
    if "status" in case:
        refused = get(name).refusal(case["status"], case.get("headers", {}), body)
        assert_right([refused], expect)
        return
    factory = get(name).Decoder
    events = decode(factory(), whole(body))
    open_at = expect.pop("open_at", None)
    assert_right(events, expect)
    for pieces in (bytewise(body), *sampled(body, 4)):
        assert merged(decode(factory(), pieces)) == merged(events)
    if open_at is not None:
        decoder = factory()
        decoder.feed(body[:open_at])
        assert not decoder.ending
        assert not decoder.ended


def assert_right(events: list[Event], expect: dict[str, Any]) -> None:
    found, end = found_in(events), events[-1]
    assert expect.pop("message", "") in found["message"]
    if (transient := expect.pop("transient", None)) is not None:
        assert isinstance(end, Failed)
        assert end.transient == transient
    for field, value in expect.pop("usage", {}).items():
        assert getattr(found["usage"], field) == value
    expect.setdefault("text_exit", expect["exit"])
    assert {key: found[key] for key in expect} == expect


def test_every_report_says_where_it_was_made() -> None:
    for param in cases():
        _, case = param.values
        assert case["report"]
        assert case["why"]
    assert len({param.id for param in cases()}) == len(cases())
