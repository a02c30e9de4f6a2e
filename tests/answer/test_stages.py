"""What the stages behind a decoder make of its events: counts, facts without a key, the end."""

from __future__ import annotations

import pytest

from streamcli.answer.stages import Redact, Tally
from streamcli.events import (
    Citation,
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Refusal,
    Returned,
    Started,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from streamcli.outcome import Outcome
from streamcli.request import Target

KEY = "sk-secret"
CALL = ToolCall("c", "look", "{}")
RESULT = ToolResult("c", "look", "rain", by="server")


def tally(*reads: list[Event], keeps_text: bool = False) -> tuple[Outcome, Tally]:
    outcome = Outcome()
    stage = Tally(outcome, Redact(Target("p", "x", "", key=KEY), "m"), keeps_text)
    for number, events in enumerate(reads):
        outcome.end = stage.add(10.0 * (number + 1), events)
    return outcome, stage


def test_deltas_are_counted_by_channel() -> None:
    outcome, stage = tally(
        [Started("m2", "i"), Progress()],
        [Reasoning("hm")],
        [Text("Hello"), Text("other", 1), Returned("<t>")],
        [Refusal("no"), ToolCall("c", "f", "{}", by="server"), Usage(1, 2)],
    )
    assert (outcome.chars, outcome.calls, outcome.refusal) == (8, 1, "no")
    assert (outcome.model, outcome.response_id, outcome.usage) == ("m2", "i", Usage(1, 2))
    meter = outcome.meter
    assert (meter.ttft_ms, meter.ttfo_ms, meter.chunks) == (20.0, 30.0, 6)
    assert stage.delivered


def test_facts_alone_are_not_a_delivery() -> None:
    outcome, stage = tally([Started("m", "i")], [Usage(1)], [Progress()])
    assert not stage.delivered
    assert outcome.meter.ttft_ms is None


def test_text_given_back_is_visible() -> None:
    assert tally([Returned("a")])[0].meter.ttfo_ms == 10.0


def test_the_end_is_returned() -> None:
    end = Finished("stop", "stop", ())
    assert tally([Text("a"), end])[0].end is end
    assert tally([Text("a"), Usage(1)])[0].end is None


def test_the_text_is_kept_if_somebody_stores_it() -> None:
    read: list[Event] = [Text("a"), Reasoning("b"), Text("c", 1), Returned("d")]
    assert tally(read, keeps_text=True)[1].text == ["a", "d"]
    assert tally(read)[1].text == []


def test_the_usage_of_an_answer_in_pieces_is_unknown() -> None:
    outcome = Outcome()
    stage = Tally(outcome, Redact(Target("p", "x", ""), "m"), keeps_text=False)
    stage.counts_usage = False
    stage.add(1.0, [Usage(1, 2)])
    assert outcome.usage == Usage()


@pytest.mark.parametrize(
    ("reads", "is_open"),
    [
        ([[CALL]], True),
        ([[CALL, Text("It rains.")]], False),
        ([[CALL], [Text("It rains.")]], False),
        ([[CALL], [Text(" \n")]], True),
        ([[CALL], [Reasoning("hm")], [Usage(1)]], True),
        ([[CALL], [RESULT]], False),
        ([[CALL, ToolCall("other", "f", "{}")], [RESULT]], True),
        ([[CALL, ToolCall("d", "f", "{}", by="server")], [ToolResult("d", "f", "1")]], True),
        ([[Text("Let me see."), CALL]], True),
        ([[CALL, Text("Hm."), CALL]], True),
        ([[ToolCall("c", "f", "{}", by="server")]], False),
        ([[CALL, ToolCall("d", "f", "{}", by="server")]], True),
        ([[]], False),
    ],
)
def test_an_open_call_waits_for_the_caller(reads: list[list[Event]], is_open: bool) -> None:
    assert tally(*reads)[0].open_call is is_open


def test_the_key_is_hidden_in_facts_and_left_in_text() -> None:
    started, cited = Started(f"m-{KEY}", KEY), Citation(f"http://h/{KEY}", KEY)
    failed = Failed("truncated", "x", raw=KEY)
    outcome, _ = tally([started, cited, Text(KEY), failed])
    assert KEY not in repr([outcome.model, outcome.response_id, cited, failed.raw])
    assert outcome.chars == len(KEY)


def test_a_model_that_is_called_like_the_key_keeps_its_name() -> None:
    outcome = Outcome()
    stage = Tally(outcome, Redact(Target("p", "x", "", key="ollama"), "ollama-7b"), False)
    stage.add(1.0, [Started("ollama-7b", "")])
    assert outcome.model == "ollama-7b"
