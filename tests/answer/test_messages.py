"""Messages as plain data, and opaque state in its place among the parts of an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamcli.answer.assistant_message import assistant_message
from streamcli.events import (
    Attempt,
    Event,
    Finished,
    Opaque,
    Reasoning,
    Returned,
    Started,
    Text,
    ToolCall,
)
from streamcli.message_json import from_json
from streamcli.message_parts import Part, Placed
from streamcli.messages import Attachment, Message

THINKING = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}
REDACTED = {"type": "redacted_thinking", "data": "Ev=="}
ITEM = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
SIGNED = {"thoughtSignature": "c2ln"}
DONE = Finished("stop", "stop", ("marker",))


def shown(message: Message, protocol: str) -> list[tuple[str, Any, Any]]:
    """The parts, short: text, the call's id, opaque value."""
    return [(p.text, p.call and p.call[0], p.opaque) for p in message.parts(protocol)]


def test_blocks_keep_their_places_among_text_and_calls() -> None:
    message = assistant_message(
        [
            Attempt(1),
            Started("m", "i"),
            Reasoning("hm"),
            Opaque("anthropic", THINKING),
            Text("Let me"),
            Text(" see."),
            ToolCall("a", "look", "{}"),
            Opaque("anthropic", REDACTED),
            ToolCall("b", "look", "{}"),
            Text("!"),
            DONE,
        ]
    )
    assert shown(message, "anthropic") == [
        ("", None, THINKING),
        ("Let me see.", None, None),
        ("", "a", None),
        ("", None, REDACTED),
        ("!", None, None),
        ("", "b", None),
    ]
    assert (message.role, message.text, message.reasoning) == ("assistant", "Let me see.!", "hm")


def test_an_item_comes_before_the_call_that_it_belongs_to() -> None:
    events = [Opaque("openai-responses", ITEM), ToolCall("a", "look", "{}"), DONE]
    message = assistant_message(events)
    assert shown(message, "openai-responses") == [("", None, ITEM), ("", "a", None)]


@pytest.mark.parametrize("first", [True, False])
def test_state_of_a_call_goes_with_the_call(first: bool) -> None:
    events: list[Event] = [ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")]
    events.insert(0 if first else 2, Opaque("gemini", SIGNED, call_id="a"))
    message = assistant_message([Text("Well"), *events])
    assert shown(message, "gemini") == [
        ("Well", None, None),
        ("", "a", SIGNED),
        ("", "b", None),
    ]


def test_state_of_a_text_goes_with_exactly_that_text() -> None:
    message = assistant_message(
        [
            Text("One "),
            Text("two "),
            Opaque("gemini", SIGNED, chars=4),
            Text("three"),
            ToolCall("a", "f", "{}"),
            Opaque("gemini", {"text": "", **SIGNED}),
        ]
    )
    assert shown(message, "gemini") == [
        ("One ", None, None),
        ("two ", None, SIGNED),
        ("three", None, None),
        ("", "a", None),
        ("", None, {"text": "", **SIGNED}),
    ]


def test_another_protocol_drops_it() -> None:
    message = assistant_message(
        [
            Opaque("anthropic", THINKING),
            Text("a"),
            Opaque("gemini", SIGNED, chars=1),
            Text("b"),
            ToolCall("c", "f", "{}"),
        ]
    )
    assert shown(message, "openai-chat") == [("ab", None, None), ("", "c", None)]
    assert shown(message, "gemini") == [("a", None, SIGNED), ("b", None, None), ("", "c", None)]


def test_places_beyond_an_edited_text_lose_nothing() -> None:
    places = (
        Placed(Opaque("p", 1, chars=9), 4, 7),
        Placed(Opaque("p", 2), 99, 99),
        Placed(Opaque("p", 3, call_id="no such call"), 1, 0),
    )
    message = Message("assistant", "a longer text", tool_calls=(("a", "f", "{}"),), opaque=places)
    parts = message.parts("p")
    assert "".join(part.text for part in parts) == "a longer text"
    assert [part.call for part in parts if part.call] == [("a", "f", "{}")]
    assert [part.opaque for part in parts if part.opaque] == [1, 2]


def test_state_of_an_attempt_that_gave_nothing_is_dropped() -> None:
    message = assistant_message(
        [Attempt(1), Opaque("p", "old"), Attempt(2), Opaque("p", "new"), Text("a")]
    )
    assert [part.opaque for part in message.parts("p")] == ["new", None]
    message = assistant_message([Attempt(1), Opaque("p", "kept"), Text("a"), Attempt(2), Text("b")])
    assert shown(message, "p") == [("", None, "kept"), ("ab", None, None)]


def test_only_the_first_choice_and_the_callers_own_calls_count() -> None:
    message = assistant_message(
        [
            Text("a"),
            Text("x", 1),
            Reasoning("x", 1),
            Returned("b"),
            ToolCall("s", "search", "{}", by="server"),
            ToolCall("x", "f", "{}", 1),
            ToolCall("c", "f", "{}"),
        ],
        prefill="> ",
    )
    assert (message.text, message.reasoning) == ("> ab", "")
    assert message.tool_calls == (("c", "f", "{}"),)


def test_a_message_without_state_is_its_text_and_its_calls() -> None:
    assert Message("user", "hi").parts("p")[0].text == "hi"
    assert Message("assistant", "").parts("p") == []
    assert Part().opaque is None


FILE = Attachment("a.png", "image/png", b"\x89PNG\xff", path="/tmp/a.png")
EVERYTHING = [
    Message("user", "hi"),
    Message("user", "see", attachments=(FILE, Attachment("b", "", url="https://h/b"))),
    Message(
        "assistant",
        "Let me \u2028 see",
        tool_calls=(("a", "look", '{"q": 1}'), ("b", "now", "")),
        reasoning="hm",
        opaque=(
            Placed(Opaque("anthropic", THINKING), 0, 0),
            Placed(Opaque("gemini", SIGNED, chars=3), 3, 0),
            Placed(Opaque("gemini", SIGNED, call_id="a"), 3, 1),
        ),
    ),
    Message("tool", "no", call_id="a", name="look", is_error=True),
]


@pytest.mark.parametrize("by_path", [False, True])
@pytest.mark.parametrize("message", EVERYTHING, ids=lambda m: m.role)
def test_serialisation_keeps_everything(message: Message, by_path: bool) -> None:
    plain = json.loads(json.dumps(message.to_json(by_path=by_path)))
    assert plain["v"] == 1
    read = from_json(plain, {"/tmp/a.png": FILE.data}.__getitem__)
    assert read.to_json(by_path=by_path) == plain
    assert read.canonical() == message.canonical()
    for name in ("role", "text", "tool_calls", "call_id", "name", "is_error", "reasoning"):
        assert getattr(read, name) == getattr(message, name)
    assert [each.data for each in read.attachments] == [each.data for each in message.attachments]
    assert [each.opaque for each in read.opaque] == [each.opaque for each in message.opaque]


def test_a_file_is_named_by_its_path_and_must_not_have_changed() -> None:
    plain = EVERYTHING[1].to_json(by_path=True)
    assert "data" not in plain["attachments"][0]
    assert plain["attachments"][0]["path"] == "/tmp/a.png"
    with pytest.raises(ValueError, match="changed"):
        from_json(plain, lambda path: b"other")
    with pytest.raises(ValueError, match=r"a\.png"):
        from_json(plain)


def test_the_hash_does_not_depend_on_where_a_file_lies() -> None:
    moved = Attachment("z.png", "image/png", FILE.data, path="/elsewhere/z.png")
    one, other = (Message("user", "x", attachments=(each,)) for each in (FILE, moved))
    assert one.canonical() == other.canonical()


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        ([], "not an object"),
        ({"content": "x"}, "role"),
        ({"role": "root", "content": "x"}, "role"),
        ({"v": 2, "role": "user"}, "newer"),
        ({"v": True, "role": "user"}, "'v'"),
        ({"role": "user", "content": ["x"]}, "'content'"),
        ({"role": "user", "content": None}, "'content'"),
        ({"role": "assistant", "tool_calls": [["a", "f"]]}, "tool call"),
        ({"role": "assistant", "tool_calls": {"a": 1}}, "'tool_calls'"),
        ({"role": "assistant", "opaque": [{"text_at": -1}]}, "'text_at'"),
        ({"role": "assistant", "opaque": [7]}, "opaque"),
        ({"role": "user", "attachments": [{"data": "@"}]}, "base64"),
        ({"role": "user", "attachments": ["x"]}, "attachment"),
    ],
)
def test_a_hostile_file_is_an_error_that_names_the_field(plain: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_json(plain)
