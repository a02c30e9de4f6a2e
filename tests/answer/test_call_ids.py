"""Ids of tool calls: those that a decoder invents are unique in the conversation."""

from __future__ import annotations

from streamcli.answer.call_ids import CallIds
from streamcli.events import Event, Opaque, Text, ToolCall
from streamcli.messages import Message


def ids(given: CallIds, *events: Event) -> list[str]:
    given.rename(events)
    return [each.id for each in events if isinstance(each, ToolCall)]


def test_an_invented_id_is_given_once() -> None:
    given = CallIds([])
    assert ids(given, ToolCall("call_0", "a", "{}"), Text("x"), ToolCall("call_1", "a", "{}")) == [
        "call_0",
        "call_1",
    ]
    given.next_answer()
    assert ids(given, ToolCall("call_0", "a", "{}"), ToolCall("call_1", "a", "{}")) == [
        "call_2",
        "call_3",
    ]
    given.next_answer()
    assert ids(given, ToolCall("call_3", "a", "{}")) == ["call_4"]


def test_state_keeps_to_its_call_before_or_after_it() -> None:
    earlier = Message("assistant", "", tool_calls=(("call_0", "a", "{}"), ("mine", "b", "{}")))
    given = CallIds([earlier])
    before = Opaque("gemini", {}, call_id="call_0")
    after = Opaque("gemini", {}, call_id="call_0")
    alone = Opaque("gemini", {})
    made = ToolCall("call_0", "a", "{}")
    given.rename([before, made, after, alone])
    assert before.call_id == made.id == after.call_id != "call_0"
    assert alone.call_id == ""


def test_the_ids_of_a_provider_stay_as_they_are() -> None:
    given = CallIds([Message("assistant", "", tool_calls=(("call_x1", "a", "{}"),))])
    assert ids(given, ToolCall("call_x1", "a", "{}"), ToolCall("", "a", "{}")) == ["call_x1", ""]
