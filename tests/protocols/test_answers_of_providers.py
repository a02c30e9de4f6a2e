"""What holds for an answer of any provider: Anthropic, Bedrock, Gemini, Cohere and Ollama.

The kinds are those that people reported in public; each is tried in every protocol that it can
occur in. `wires` writes the same answer in each provider's form.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import wires

from streamcli.errors import EXIT_OF_STATUS
from streamcli.events import Event, Failed, Finished, Opaque, Reasoning, Text, ToolCall, Usage
from streamcli.protocols._contract import Decoder, get
from streamcli.wire.endings import WAITED

EVERY = [pytest.param(wire, id=wire.name) for wire in wires.WIRES]
# Where a reason is not the last word of the format.
PROVISIONAL = [each for each in EVERY if each.id != "cohere"]
# Where arguments are text on the wire, which a model may have written badly.
TEXTUAL = [each for each in EVERY if each.id in ("anthropic", "bedrock", "cohere", "ollama")]


def told(events: list[Event]) -> list[Event]:
    """The events without state for the provider, which has tests of its own."""
    return [each for each in events if not isinstance(each, Opaque)]


def started(wire: wires.Wire, *parts: bytes) -> Decoder:
    decoder = get(wire.name).Decoder()
    decoder.feed(wire.body(*parts))
    return decoder


def exit_of(end: Event) -> int:
    assert isinstance(end, Failed)
    return EXIT_OF_STATUS[end.status]


# A finish reason is provisional


@pytest.mark.parametrize("make", PROVISIONAL)
def test_text_after_a_reason_reopens_the_answer(make: Callable[[], wires.Wire]) -> None:
    wire = make()
    early, late = wire.reason(wire.stop), wire.reason(wire.length)
    *texts, end = told(wire.events(early, wire.text("He"), early, wire.text("llo"), late))
    assert texts == [Text("Hello")]
    assert isinstance(end, Finished)
    assert (end.reason, end.raw) == ("length", wire.length)


@pytest.mark.parametrize("make", PROVISIONAL)
def test_an_answer_that_a_reason_no_longer_ends_is_truncated(
    make: Callable[[], wires.Wire],
) -> None:
    wire = make()
    parts = {
        "text": wire.text("more"),
        "thinking": wire.thinking("hm"),
        "call": wire.call("c", "look", "{}"),
    }
    for what, part in parts.items():
        end = wire.events(wire.text("Hi"), wire.reason(wire.stop), part)[-1]
        assert exit_of(end) == 18, what


@pytest.mark.parametrize("make", PROVISIONAL)
def test_an_empty_reason_and_the_word_null_are_none(make: Callable[[], wires.Wire]) -> None:
    for word in ("", "null", None):
        wire = make()
        end = wire.events(wire.text("Hi"), wire.reason(word))[-1]
        assert exit_of(end) == 18, word


@pytest.mark.parametrize("make", PROVISIONAL)
def test_only_an_ending_after_text_makes_a_silence_short(make: Callable[[], wires.Wire]) -> None:
    wire = make()
    stop, call = wire.reason(wire.stop), wire.call("c", "look", "{}")
    assert started(wire, wire.text("Hi"), stop).ending
    assert started(wire, wire.text("Hi"), wire.reason("x_unheard_of")).ending
    assert not started(wire, stop).ending
    assert not started(wire, wire.thinking("hm"), stop).ending
    assert not started(wire, wire.text("Hi"), stop, wire.text("more")).ending
    if wire.tool != wire.stop:
        assert not started(wire, call, wire.reason(wire.tool)).ending


@pytest.mark.parametrize("make", PROVISIONAL)
@pytest.mark.parametrize("kind", WAITED)
def test_a_server_that_holds_on_after_its_reason(make: Callable[[], wires.Wire], kind: str) -> None:
    wire = make()
    waited = Failed(kind, "no event came for 10 s")
    whole_answer = started(wire, wire.text("Hi"), wire.reason(wire.stop))
    assert whole_answer.close(waited)[-1] == Finished("stop", wire.stop, ("finish_reason", "hold"))
    nothing = started(wire, wire.reason(wire.stop))
    assert nothing.close(waited)[-1] is waited
    reopened = started(wire, wire.text("Hi"), wire.reason(wire.stop), wire.text("!"))
    assert reopened.close(waited)[-1] is waited


# Tool calls


@pytest.mark.parametrize("make", EVERY)
def test_a_call_is_given_the_moment_it_is_whole(make: Callable[[], wires.Wire]) -> None:
    wire = make()
    decoder = get(wire.name).Decoder()
    for number in (1, 2):
        id = f"c{number}"
        part = wire.call(id, "look", '{"q":1}')
        events = decoder.feed(wire.body(part) if number == 1 else part)
        assert ToolCall(id, "look", '{"q":1}') in events


@pytest.mark.parametrize("make", EVERY)
def test_empty_arguments_are_an_empty_object(make: Callable[[], wires.Wire]) -> None:
    wire = make()
    call, end = told(wire.events(wire.call("c", "now", ""), wire.reason(wire.tool), wire.end()))
    assert call == ToolCall("c", "now", "{}")
    assert isinstance(end, Finished)
    assert end.reason == "tool_calls"


@pytest.mark.parametrize("make", TEXTUAL)
def test_arguments_that_are_not_json_are_malformed(make: Callable[[], wires.Wire]) -> None:
    wire = make()
    parts = (wire.text("Hi"), wire.call("c", "look", '{"q":'), wire.reason(wire.tool), wire.end())
    text, end = told(wire.events(*parts))
    assert text == Text("Hi")
    assert exit_of(end) == 8
    assert isinstance(end, Failed)
    assert "look" in end.message


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("text", ["", "Hi"])
def test_a_call_without_a_name_is_malformed(make: Callable[[], wires.Wire], text: str) -> None:
    wire = make()
    before = (wire.text(text),) if text else ()
    parts = (*before, wire.call("c", "", "{}"), wire.reason(wire.tool), wire.end())
    assert exit_of(wire.events(*parts)[-1]) == 8


@pytest.mark.parametrize("make", TEXTUAL)
def test_a_call_that_the_limit_cut_is_the_limits_doing(make: Callable[[], wires.Wire]) -> None:
    wire = make()
    cut = wire.call("c", "look", '{"q":')
    call, end = told(wire.events(cut, wire.reason(wire.length), wire.end()))
    assert call == ToolCall("c", "look", '{"q":')
    assert isinstance(end, Finished)
    assert end.reason == "length"


@pytest.mark.parametrize("make", EVERY)
def test_the_same_call_twice_is_one(make: Callable[[], wires.Wire]) -> None:
    wire = make()
    twice = [wire.call("c", "look", "{}") for _ in range(2)]
    call, end = told(wire.events(*twice, wire.reason(wire.tool), wire.end()))
    assert (call, type(end)) == (ToolCall("c", "look", "{}"), Finished)


@pytest.mark.parametrize("make", EVERY)
def test_a_stop_after_a_call_is_a_call(make: Callable[[], wires.Wire]) -> None:
    """Blank text behind it changes nothing: the caller has to answer the call."""
    wire = make()
    parts = (wire.call("c", "look", "{}"), wire.text("\n"), wire.reason(wire.stop), wire.end())
    end = wire.events(*parts)[-1]
    assert isinstance(end, Finished)
    assert end.reason == "tool_calls"


# Text that is not a string


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (7, "7"), (1.5, "1.5"), (False, "false"), (True, "true")]
)
def test_a_number_or_a_boolean_is_its_json_text(
    make: Callable[[], wires.Wire], value: Any, text: str
) -> None:
    wire = make()
    first, end = told(wire.events(wire.text(value), wire.reason(wire.stop), wire.end()))
    assert (first, type(end)) == (Text(text), Finished)


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("value", [{"a": 1}, ["a"], [{"b": 2}]])
def test_an_object_or_a_list_in_place_of_text_is_malformed(
    make: Callable[[], wires.Wire], value: Any
) -> None:
    wire = make()
    parts = (wire.text("Hi"), wire.text(value), wire.reason(wire.stop), wire.end())
    text, end = told(wire.events(*parts))
    assert text == Text("Hi")
    assert exit_of(end) == 8


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize(
    "thought", [{"text": "hm"}, [{"type": "text", "text": "h"}, "m"], {"summary": ["hm"]}]
)
def test_thinking_in_an_object_or_in_parts(make: Callable[[], wires.Wire], thought: Any) -> None:
    wire = make()
    parts = (wire.thinking(thought), wire.text("Hi"), wire.reason(wire.stop), wire.end())
    assert told(wire.events(*parts))[:2] == [Reasoning("hm"), Text("Hi")]


# Errors in other clothes


@pytest.mark.parametrize("make", [each for each in EVERY if each.id != "bedrock"])
@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "it broke"}},
        {"error": "it broke"},
        {"error": {"code": 500, "message": "it broke"}},
        {"code": 500, "message": "it broke"},
        {"detail": "it broke"},
        {"success": False, "msg": "it broke"},
        {"error_code": 50001, "message": "it broke"},
    ],
)
def test_an_error_wins_over_the_end_that_follows_it(
    make: Callable[[], wires.Wire], error: dict[str, Any]
) -> None:
    wire = make()
    written = json.dumps(error).encode()
    lines = {"ollama": written + b"\n", "gemini-array": written + b"\n,\n"}
    event = lines.get(wire.name, b"data: " + written + b"\n\n")
    parts = (wire.text("Hi"), event, wire.reason(wire.stop), wire.end())
    text, failed = told(wire.events(*parts))
    assert text == Text("Hi")
    assert isinstance(failed, Failed)
    assert (failed.status, "it broke" in failed.message) == ("provider", True)


# How it ends


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("error", 15),
        ("network_error", 15),
        ("TIMEOUT", 15),
        ("cancelled", 15),
        ("MALFORMED_FUNCTION_CALL", 15),
        ("malformed-tool-use", 15),
        ("repetition", 15),
        ("pause_turn", 18),
        ("compaction", 18),
        ("OTHER", 18),
    ],
)
def test_a_reason_that_is_a_failure(make: Callable[[], wires.Wire], word: str, code: int) -> None:
    """The text, the usage and the provider's word are kept."""
    wire = make()
    text, used, end = told(wire.events(wire.text("Hi"), wire.reason(word, input=3, output=2)))[:3]
    assert (text, used) == (Text("Hi"), Usage(3, 2))
    assert exit_of(end) == code
    assert isinstance(end, Failed)
    assert end.raw == word
    assert word in end.message


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("EOS_TOKEN", "stop"),
        ("Max-Tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("content-filter", "content_filter"),
        ("SENSITIVE", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("recitation", "content_filter"),
        ("blocklist", "content_filter"),
        ("spii", "content_filter"),
        ("refusal", "refusal"),
        ("x_unheard_of", "other"),
    ],
)
def test_a_reason_in_any_spelling(make: Callable[[], wires.Wire], word: str, reason: str) -> None:
    wire = make()
    end = wire.events(wire.text("Hi"), wire.reason(word), wire.end())[-1]
    assert isinstance(end, Finished)
    assert (end.reason, end.raw) == (reason, word)


@pytest.mark.parametrize("make", EVERY)
def test_an_answer_without_a_reason_is_truncated(make: Callable[[], wires.Wire]) -> None:
    wire = make()
    text, end = told(wire.events(wire.text("Hi")))
    assert (text, exit_of(end)) == (Text("Hi"), 18)


@pytest.mark.parametrize("make", EVERY)
def test_thinking_alone_is_an_answer_if_the_provider_says_so(
    make: Callable[[], wires.Wire],
) -> None:
    wire = make()
    end = wire.events(wire.thinking("hm"), wire.reason(wire.stop), wire.end())[-1]
    assert isinstance(end, Finished)
    assert end.reason == "stop"


@pytest.mark.parametrize("make", [each for each in EVERY if each.id in ("anthropic", "ollama")])
def test_a_marker_alone_is_not_an_answer(make: Callable[[], wires.Wire]) -> None:
    wire = make()
    assert exit_of(wire.events(wire.end())[-1]) == 8
    text, end = told(wire.events(wire.text("Hi"), wire.end()))
    assert (text, end) == (Text("Hi"), Finished(None, None, ("marker",)))
