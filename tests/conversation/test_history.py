"""Earlier messages as another request takes them: what fits together, ids, words for calls."""

from __future__ import annotations

from streamcli.conversation.history import Entry, carried, system_of
from streamcli.conversation.turn_messages import TurnMessages, trouble
from streamcli.events import (
    Attempt,
    Event,
    Failed,
    Finished,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from streamcli.message_parts import Placed
from streamcli.messages import Message
from streamcli.outcome import Outcome


def entry(message: Message, provider: str = "p", model: str = "m") -> Entry:
    return Entry("id", message, provider=provider, model=model)


def user(text: str = "hm?") -> Entry:
    return entry(Message("user", text), "", "")


def says(text: str, *ids: str, **more: object) -> Message:
    calls = tuple((id, "look", "{}") for id in ids)
    return Message("assistant", text, tool_calls=calls, **more)  # type: ignore[arg-type]


def result(id: str, text: str = "rain") -> Message:
    return Message("tool", text, call_id=id, name="look")


def shown(entries: list[Entry], provider: str = "p", *, with_tools: bool = True) -> list[str]:
    messages = carried(entries, provider, "m", with_tools=with_tools)
    return [
        f"{each.role} {each.text} {' '.join(call[0] for call in each.tool_calls)}{each.call_id}"
        for each in messages
    ]


ROUND = [user(), entry(says("Well.", "call_1", "call_2")), entry(result("call_2", "sun"))]
ROUND += [entry(result("call_1")), entry(says("It rains."))]


def test_ids_of_its_own_stay() -> None:
    assert shown(ROUND)[1:] == [
        "assistant Well. call_1 call_2",
        "tool rain call_1",
        "tool sun call_2",
        "assistant It rains. ",
    ]


def test_ids_are_unique_in_a_conversation() -> None:
    """Where a server gives none, ours count from 1 in each answer."""
    ids = [text.split()[-1] for text in shown([*ROUND, *ROUND]) if text.startswith("tool")]
    assert ids == ["call_1", "call_2", "c00000000", "c00000001"]


def test_ids_of_another_provider_become_what_all_take() -> None:
    ids = [text.split()[-1] for text in shown(ROUND, "other") if text.startswith("tool")]
    assert ids == ["c00000000", "c00000001"]


def test_opaque_state_goes_back_only_to_who_gave_it() -> None:
    given = Placed(Opaque("gemini", "s", call_id="call_1"), 0, 0)
    entries = [user(), entry(says("", "call_1", opaque=(given,))), entry(result("call_1"))]
    entries += [user(), entry(says("", "call_1", opaque=(given,))), entry(result("call_1"))]
    entries += [entry(says("Done.", opaque=(Placed(Opaque("gemini", "t"), 0, 0),)))]
    messages = carried(entries, "p", "m", with_tools=True)
    first, second = (each for each in messages if each.tool_calls)
    assert first.opaque[0].opaque.call_id == first.tool_calls[0][0] == "call_1"
    assert second.opaque[0].opaque.call_id == second.tool_calls[0][0] == "c00000000"
    for who in (("other", "m"), ("p", "other")):
        for with_tools in (True, False):
            messages = carried(entries, *who, with_tools=with_tools)
            assert not any(each.opaque for each in messages)


def test_without_tools_a_call_is_said_in_words() -> None:
    assert shown(ROUND, with_tools=False) == [
        "user hm? ",
        "assistant Well.\n\n[look {} gave: rain]\n\n[look {} gave: sun]\n\nIt rains. ",
    ]


def test_what_does_not_fit_together_is_left_out() -> None:
    lost = [user(), entry(says("Well.", "c1")), entry(says("Hm."))]
    assert shown(lost) == ["user hm? ", "assistant Well. ", "assistant Hm. "]
    other = [user(), entry(says("Well.", "c1")), entry(result("c2")), entry(says("Hm."))]
    assert shown(other) == ["user hm? ", "assistant Well. ", "assistant Hm. "]
    twice = [user(), entry(says("Well.", "c1", "c1")), entry(result("c1")), entry(result("c1"))]
    assert shown(twice) == ["user hm? ", "assistant Well. "]
    orphan = [entry(says("Hello.")), entry(result("c1")), user()]
    assert shown(orphan) == ["user hm? "]


def test_an_answer_is_never_empty() -> None:
    assert shown([user(), entry(says(" "))])[-1] == "assistant (no answer) "
    broken = [user(), entry(says("", "c1")), entry(result("c1")), user("and?")]
    assert shown(broken)[2:] == ["tool rain c1", "assistant (no answer) ", "user and? "]


def test_the_last_system_prompt_holds() -> None:
    entries = [entry(Message("system", text)) for text in ("one", "two")]
    assert (system_of(entries), system_of([])) == ("two", None)
    assert shown([*entries, user()]) == ["user hm? "]


# ---- the messages of a turn ---------------------------------------------------------------------


def folded(*events: Event, whole: bool = True) -> list[tuple[str, str, int, int]]:
    turn = TurnMessages()
    for event in events:
        turn.add([event])
    messages = turn.messages(whole=whole)
    return [(each.role, each.text, len(each.tool_calls), len(each.opaque)) for each in messages]


ANSWER = (Attempt(1), Opaque("p", "s"), Text("Let me see."))
CALLED = (*ANSWER, ToolCall("c1", "look", "{}"), ToolResult("c1", "look", "rain"))
SECOND = (Attempt(2, round=2), Opaque("p", "s"), Text("It rains."))


def test_a_turn_is_its_rounds() -> None:
    assert folded(*CALLED, *SECOND) == [
        ("assistant", "Let me see.", 1, 1),
        ("tool", "rain", 0, 0),
        ("assistant", "It rains.", 0, 1),
    ]


def test_a_broken_turn_keeps_what_is_whole() -> None:
    called = [("assistant", "Let me see.", 1, 1), ("tool", "rain", 0, 0)]
    assert folded(*CALLED, *SECOND, whole=False) == [*called, ("assistant", "It rains.", 0, 0)]
    assert folded(*CALLED, whole=False) == [*called, ("assistant", "", 0, 0)]
    assert folded(*CALLED[:-1], whole=False) == [("assistant", "Let me see.", 0, 0)]
    assert folded(*CALLED[:-1]) == [("assistant", "Let me see.", 0, 0)]
    assert folded(*ANSWER, whole=False) == [("assistant", "Let me see.", 0, 0)]


def test_nothing_is_kept_where_nothing_came() -> None:
    assert folded(Attempt(1), Reasoning("Hm."), Text("\n"), whole=False) == []
    assert folded(Attempt(1), ToolCall("c1", "look", "{}")) == []


def test_a_second_attempt_is_the_same_round() -> None:
    assert folded(*ANSWER, Attempt(2), Text(" Now."), whole=False) == [
        ("assistant", "Let me see. Now.", 0, 0)
    ]


def test_calls_that_the_server_ran_are_not_sent_back() -> None:
    events = (ToolCall("c1", "web", "{}", by="server"), ToolResult("c1", "web", "x", by="server"))
    assert folded(Attempt(1), *events, Text("So.")) == [("assistant", "So.", 0, 0)]


def test_what_is_not_whole_has_its_status() -> None:
    outcome = Outcome()
    assert trouble(outcome) == "interrupted"
    for reason, status in (("stop", ""), (None, ""), ("other", ""), ("length", "length")):
        outcome.end = Finished(reason, reason, ())
        assert trouble(outcome) == status
    outcome.end = Failed("lost", "it broke")
    assert trouble(outcome) == "network"
    outcome.enough = True
    assert trouble(outcome) == ""
