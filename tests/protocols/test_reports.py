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

from streamcli.answer.stages import Tally
from streamcli.events import Citation, Event, Failed, Finished, Reasoning, Text, ToolCall
from streamcli.outcome import Outcome, Verdict, judge
from streamcli.protocols._contract import get

CASES = Path(__file__).parent / "cases"


def cases() -> list[Any]:
    found = []
    for path in sorted(CASES.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            case = json.loads(line)
            found.append(pytest.param(path.stem, case, id=f"{path.stem}--{case['name']}"))
    return found


def verdict(events: list[Event], shows_tools: bool) -> Verdict:
    outcome = Outcome()
    outcome.end = Tally(outcome, lambda facts: None, keeps_text=False).add(0.0, list(events))
    return judge(outcome, shows_tools=shows_tools)


def found_in(events: list[Event]) -> dict[str, Any]:
    end = events[-1]
    assert isinstance(end, Finished | Failed)
    usage = [event for event in events if type(event).__name__ == "Usage"]
    return {
        "exit": verdict(events, shows_tools=True).exit_code,
        "text_exit": verdict(events, shows_tools=False).exit_code,
        "text": "".join(e.text for e in events if type(e) is Text and not e.choice),
        "reasoning": "".join(e.text for e in events if type(e) is Reasoning and not e.choice),
        "finish": end.reason if isinstance(end, Finished) else None,
        "calls": [e.arguments for e in events if isinstance(e, ToolCall)],
        "usage": usage[-1] if usage else None,
        "citations": [e.url for e in events if isinstance(e, Citation)],
        "message": verdict(events, shows_tools=True).message,
    }


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
