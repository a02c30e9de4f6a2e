"""JSON events whose paths the row names: what is found in them, and how they end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from splits import bytewise, decode, merged, sampled, some_two, whole

from streamcli.events import Event, Failed, Finished, Reasoning, Text, ToolCall, ToolResult
from streamcli.protocols._contract import decoder_for, get
from streamcli.request import Target
from streamcli.wire.sse import MAX_EVENT_SIZE

NAME = "json-events"
EOF = Finished(None, None, ("eof",))
MARKER = Finished(None, None, ("marker",))
LOST = Failed("lost", "the connection was lost", transient=True)
TOKEN = {"text_path": "data.token"}


def decoder(paths: dict[str, str]) -> Any:
    return decoder_for(get(NAME), Target("mine", NAME, "", template=paths), MAX_EVENT_SIZE)


def sse(*values: Any) -> bytes:
    texts = (value if isinstance(value, str) else json.dumps(value) for value in values)
    return "".join(f"data: {text}\n\n" for text in texts).encode()


def lines(*values: Any) -> bytes:
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def events(data: bytes, **paths: str) -> list[Event]:
    """The events of these bytes, the same however they are cut."""
    found = decode(decoder(paths), whole(data))
    for pieces in (bytewise(data), *some_two(data), *sampled(data, 5)):
        assert decode(decoder(paths), pieces) == found
    return found


def token(text: Any, **more: Any) -> dict[str, Any]:
    return {"data": {"token": text}, **more}


@pytest.mark.parametrize("framed", [sse, lines])
def test_text_by_its_path(framed: Any) -> None:
    data = framed(token("Hi"), token(" you"), {"data": None}, token(""), token("é\n"))
    assert events(data, **TOKEN) == [Text("Hi"), Text(" you"), Text("é\n"), EOF]


def test_paths_through_lists_and_names_that_are_numbers() -> None:
    data = sse({"choices": [{"delta": {"content": "Hi"}}]}, {"choices": []}, {"choices": "no"})
    assert events(data, text_path="choices.0.delta.content") == [Text("Hi"), EOF]
    assert events(sse({"0": {"t": "Hi"}}, [{"t": " you"}]), text_path="0.t") == [
        Text("Hi"),
        Text(" you"),
        EOF,
    ]


def test_without_a_path_an_event_is_a_string() -> None:
    assert events(sse('"Hi"', '"\\n"', {"a": 1}, "[DONE]"), text_path="") == [
        Text("Hi"),
        Text("\n"),
        MARKER,
    ]


def test_a_long_run_is_the_same_as_its_events() -> None:
    words = [f"word {number} " for number in range(300)]
    data = sse(*map(token, words), token("end", done=True))
    for pieces in (whole(data), *sampled(data, 10)):
        found = decode(decoder({**TOKEN, "done_path": "done"}), pieces)
        assert found == [*map(Text, words), Text("end"), MARKER]


@pytest.mark.parametrize("value", [True, 1, "yes", {}, [], {"a": 1}, -1])
def test_the_end_by_its_path(value: Any) -> None:
    going = [token("a", end=no) for no in (None, False, 0, "", 0.0)]
    data = sse(*going, token("b", end=value), token("c"))
    assert events(data, done_path="end", **TOKEN) == [*[Text("a")] * 5, Text("b"), MARKER]


def test_the_end_by_a_value() -> None:
    data = sse({"type": "text", "data": {"token": "a"}}, {"type": "end"}, {"error": "late"})
    assert events(data, done_path="type=end", **TOKEN) == [Text("a"), MARKER]
    for value, written in ((True, "true"), (2, "2"), (-1.5, "-1.5"), ("", ""), ("True", "True")):
        others = [token("a", end=other) for other in (None, False, 1, "no", [], {"a": value})]
        data = sse(*others, token("b", end=value), token("c"))
        found = events(data, done_path=f"end={written}", **TOKEN)
        assert found == [*[Text("a")] * 6, Text("b"), MARKER]


def test_the_end_where_else_the_text_is() -> None:
    """A word in the text's place ends it, and is no text; also in the middle of a run."""
    values = [token(f"word {number} ") for number in range(300)]
    data = sse(*values, token("<end>"), *values)
    for pieces in (whole(data), *sampled(data, 5), bytewise(data)):
        found = decode(decoder({**TOKEN, "done_path": "data.token=<end>"}), pieces)
        assert len(found) == 301
        assert found[-1] == MARKER
        assert Text("<end>") not in found


@pytest.mark.parametrize("reason", ["error", "abort", "Error"])
def test_a_finish_reason_that_is_a_failure(reason: str) -> None:
    data = sse(token("a"), token("", why=reason), "[DONE]")
    text, *_, end = events(data, finish_path="why", **TOKEN)
    assert text == Text("a")
    assert isinstance(end, Failed)
    assert (end.status, reason in end.message) == ("provider", True)


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        ({"done_path": "type=done"}, "mend done_path 'type=done':"),
        ({"finish_path": "why"}, "mend finish_path 'why':"),
        ({"done_path": "d", "finish_path": "w"}, "mend done_path 'd' and finish_path 'w':"),
    ],
)
def test_a_path_of_the_end_that_leads_nowhere_is_named(paths: dict[str, str], named: str) -> None:
    data = sse(token("a"), {"type": "end"})
    (*_, end) = events(data, **TOKEN, **paths)
    assert isinstance(end, Failed)
    assert (end.status, named in end.hint) == ("truncated", True)
    lost = decoder({**TOKEN, **paths})
    (*_, end) = lost.feed(data) + lost.close(LOST)
    assert "mend" not in end.hint, "the connection is to blame"


@pytest.mark.parametrize(
    ("data", "paths", "end"),
    [
        (sse(token("a"), "[DONE]"), {}, MARKER),
        (sse(token("a")), {}, EOF),
        (lines(token("a")).rstrip(), {}, EOF),
        (json.dumps(token("a"), indent=1).encode(), {}, EOF),
        (sse(token("a")).rstrip(), {}, EOF),
        (sse(token("a"))[:-6], {}, "truncated"),
        (sse(token("a"), token("b"))[:-6], {}, "truncated"),
        (lines(token("a"), token("b"))[:-3], {}, "truncated"),
        (sse(token("a")), {"done_path": "done"}, "truncated"),
        (sse(token("a"), "[DONE]"), {"done_path": "done"}, "truncated"),
        (sse(token("a")), {"finish_path": "stop"}, "truncated"),
        (sse(token("a"), "[DONE]"), {"finish_path": "stop"}, MARKER),
        (
            sse(token("a", stop="length")),
            {"finish_path": "stop"},
            Finished("length", "length", ("finish_reason", "eof")),
        ),
        (
            sse(token("a", stop="whim", done=1)),
            {"finish_path": "stop", "done_path": "done"},
            Finished("other", "whim", ("finish_reason", "marker")),
        ),
    ],
)
def test_how_it_ends(data: bytes, paths: dict[str, str], end: Finished | str) -> None:
    *_, got = events(data, **TOKEN, **paths)
    if isinstance(end, str):
        assert isinstance(got, Failed)
        assert (got.kind, got.evidence) == (end, ("eof",))
    else:
        assert got == end


def test_an_end_alone_is_no_answer() -> None:
    (failed,) = events(sse({"done": True}), **TOKEN, done_path="done")
    assert isinstance(failed, Failed)
    assert (failed.status, failed.evidence) == ("malformed", ("marker",))


def test_a_broken_transport() -> None:
    for paths, kind in (({}, "truncated"), ({"finish_path": "stop"}, "")):
        one = decoder({**TOKEN, **paths})
        assert one.feed(sse(token("a", stop="stop"))) == [Text("a")]
        assert one.ending == bool(paths)
        (end,) = one.close(LOST)
        assert getattr(end, "kind", "") == kind
        assert end.evidence[-1] == "transport_error"
    assert decoder(TOKEN).close(LOST) == [LOST]


def test_thoughts_come_before_the_text() -> None:
    data = sse({"think": "hm", "say": "a"}, {"think": 1, "say": "b"})
    assert events(data, text_path="say", reasoning_path="think") == [
        Reasoning("hm"),
        Text("a"),
        Reasoning("1"),
        Text("b"),
        EOF,
    ]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (sse({"error": {"message": "out of memory", "code": 500}}), "out of memory"),
        (sse({"error": "busy", "data": {"token": "x"}}), "busy"),
        (sse({"data": {"fault": "no luck"}}), "no luck"),
        (b'event: error\ndata: {"message": "by name"}\n\n', "by name"),
        (b'{"detail": "written between"}\n\n', "written between"),
    ],
)
def test_errors(error: bytes, says: str) -> None:
    data = sse(token("a"), {"error": None}) + error + sse(token("b"), "[DONE]")
    *kept, end = events(data, error_path="data.fault", **TOKEN)
    assert kept == [Text("a")]
    assert isinstance(end, Failed)
    assert (end.status, end.message) == ("provider", says)


TYLER = {
    "text_path": "data.content_chunk",
    "error_path": "type=execution_error",
    "error_message_path": "data.message",
    "tool_path": "type=tool_selected",
    "tool_name_path": "data.tool_name",
    "tool_arguments_path": "data.arguments",
    "tool_id_path": "data.tool_call_id",
    "tool_result_path": "data.result",
    "tool_error_path": "data.error",
    "done_path": "type=execution_complete",
}


def tyler(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "data": data}


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        ({"error_path": "data.error_type"}, "RuntimeError: out of words"),
        ({"error_path": "data.error_type", "error_message_path": "data.why"}, "RuntimeError: why"),
        ({"error_path": "type=failed", "error_message_path": "data.why"}, "why"),
        ({"error_path": "type=failed", "error_message_path": "data.nothing"}, "out of words"),
    ],
)
def test_the_message_beside_an_error(paths: dict[str, str], says: str) -> None:
    error = tyler("failed", error_type="RuntimeError", message="out of words", why="why")
    fine = tyler("done", message="not an error")
    *kept, end = events(sse(token("a"), fine, error, "[DONE]"), **paths, **TOKEN)
    assert kept == [Text("a")]
    assert isinstance(end, Failed)
    assert end.status == "provider"
    assert says in end.message
    assert "{" not in end.message


@pytest.mark.parametrize("framed", [sse, lines])
def test_tools_that_the_agent_runs(framed: Any) -> None:
    """Tyler's execution events."""
    named = {"tool_name": "web-search", "tool_call_id": "c1"}
    data = framed(
        tyler("tool_selected", arguments={"q": 1}, **named),
        tyler("tool_executing", **named),
        tyler("tool_result", result="many", **named),
        tyler("tool_selected", arguments="", tool_name="write", tool_call_id="c2"),
        tyler("tool_error", error="disk full", tool_name="write", tool_call_id="c2"),
        tyler("llm_stream_chunk", content_chunk="So."),
        tyler("execution_complete", duration_ms=1),
    )
    assert events(data, **TYLER) == [
        ToolCall("c1", "web-search", '{"q":1}', by="server"),
        ToolResult("c1", "web-search", "many", by="server"),
        ToolCall("c2", "write", "{}", by="server"),
        ToolResult("c2", "write", "disk full", True, by="server"),
        Text("So."),
        MARKER,
    ]


def test_tools_without_ids() -> None:
    paths = {"tool_path": "call", "tool_result_path": "gave", "tool_name_path": "name"}
    data = sse(
        {"call": True, "name": "look"},
        {"gave": {"n": 1}, "name": "look"},
        {"call": True, "name": "look"},
        {"gave": 0, "name": "look"},
        token("So."),
    )
    assert events(data, **paths, **TOKEN)[:4] == [
        ToolCall("call_1", "look", "{}", by="server"),
        ToolResult("call_1", "look", '{"n":1}', by="server"),
        ToolCall("call_2", "look", "{}", by="server"),
        ToolResult("call_2", "look", "0", by="server"),
    ]
    (call, *_) = events(sse({"tool": "look"}, token("x")), tool_path="tool", **TOKEN)
    assert call == ToolCall("call_1", "look", "{}", by="server"), "the condition is the name"


def test_an_agent_that_ran_out_of_rounds() -> None:
    limit = tyler("iteration_limit", iterations_used=10)
    after = (tyler("llm_stream_chunk", content_chunk="Sorry."), tyler("execution_complete"))
    for data, paths in (
        (sse(token("a"), limit, *after), TYLER),
        (b"event: iteration_limit\ndata: {}\n\n", TOKEN),
        (sse(token("a"), {"why": "max_turns"}), {**TOKEN, "finish_path": "why"}),
        (sse(token("a"), {"over": True}), {**TOKEN, "limit_path": "over"}),
    ):
        *_, end = events(data, **paths)
        assert isinstance(end, Failed)
        assert (end.status, "out of its rounds" in end.message) == ("tool", True)


def test_text_behind_a_finish_reason_goes_on_with_the_answer() -> None:
    paths = {**TOKEN, "finish_path": "why"}
    two = sse(token("a"), token("", why="length"), token("b"), token("", why="stop"))
    assert events(two, **paths)[-1] == Finished("stop", "stop", ("finish_reason", "eof"))
    cut = sse(token("a"), token("", why="stop"), token("b"))
    assert isinstance(events(cut, **paths)[-1], Failed)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"<html>", "web page"),
        (b'{"text": "elsewhere"}', "the answer is JSON, but no text at 'data.token': {"),
        (sse({"text": "x"}), 'ended and held no text at \'data.token\': data: {"text": "x"}'),
        (lines({"text": "elsewhere"}), "the answer is JSON, but no text at 'data.token': {"),
        (sse({"text": "x"}, "[DONE]"), "held no text at 'data.token': data: {"),
        (sse(token("a"), "{oops}"), "invalid JSON: {oops}"),
    ],
)
def test_what_is_no_answer(body: bytes, says: str) -> None:
    *_, end = events(body, **TOKEN)
    assert isinstance(end, Failed)
    assert end.status == "malformed"
    assert says in end.message


def test_an_emoji_cut_in_two() -> None:
    data = b'data: {"data":{"token":"a\\ud83d"}}\n\ndata: {"data":{"token":"\\ude00b"}}\n\n'
    assert merged(events(data, **TOKEN)) == [Text("a\U0001f600b"), EOF]
