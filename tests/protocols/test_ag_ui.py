"""AG-UI: run inputs, events of 1.0 and before, and how runs end.

Forms are those of the protocol's own packages; tests/test_agent_peers.py asks them themselves.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from splits import bytewise, decode, sampled, some_two, whole

from streamcli.errors import StreamError
from streamcli.events import (
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Returned,
    Started,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols._contract import decoder_for, get
from streamcli.request import Target

NAME = "ag-ui"
MARKED = ("finish_reason", "marker")
HI = Message("user", "hi")
TOOL = Tool("look", "Looks it up", {"type": "object"})


# What a request says


def body_of(*messages: Message, model: str = "", **options: Any) -> dict[str, Any]:
    target = Target("p", NAME, "http://h/agent")
    request = get(NAME).request(ChatRequest(model, list(messages or [HI]), **options), target)
    assert (request.method, request.url) == ("POST", "http://h/agent")
    assert ("Accept", "text/event-stream") in request.headers
    body: dict[str, Any] = json.loads(request.body)
    return body


def test_the_plain_request() -> None:
    body = body_of()
    ids = (body.pop("threadId"), body.pop("runId"), body["messages"][0].pop("id"))
    assert len(set(ids)) == 3
    assert body == {
        "state": {},
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [],
        "context": [],
        "forwardedProps": {},
    }


def test_ids_are_made_of_the_content() -> None:
    first, same = body_of(), body_of()
    assert first == same
    longer = body_of(HI, Message("assistant", "yo"), HI)
    assert longer["threadId"] == first["threadId"]
    assert longer["runId"] != first["runId"]
    resumed = body_of(options={"resume": [{"interruptId": "i", "status": "resolved"}]})
    assert resumed["threadId"] == first["threadId"], "so that an interrupt can be answered"
    assert resumed["runId"] != first["runId"]


def test_a_users_fields_go_to_the_agent_and_the_protocols_own_to_the_top() -> None:
    options = {
        "temperature": 0.5,
        "deep": {"a": 1},
        "state": {"n": 1},
        "threadId": "mine",
        "context": [{"description": "d", "value": "v"}],
        "forwardedProps": {"x": 1},
    }
    body = body_of(model="big", options=options)
    assert (body["threadId"], body["state"]) == ("mine", {"n": 1})
    assert body["context"] == [{"description": "d", "value": "v"}]
    assert body["forwardedProps"] == {"model": "big", "temperature": 0.5, "deep": {"a": 1}, "x": 1}
    assert body_of(options={"a": 1, "forwardedProps": 7})["forwardedProps"] == 7


def test_tools_go_along() -> None:
    tool = {"name": "look", "description": "Looks it up", "parameters": {"type": "object"}}
    assert body_of(tools=(TOOL,), tool_choice="auto")["tools"] == [tool]
    assert body_of(tools=(TOOL,), tool_choice="none")["tools"] == []
    with pytest.raises(StreamError, match="tool choice"):
        body_of(tools=(TOOL,), tool_choice="look")


def test_a_conversation_with_calls_and_files() -> None:
    files = (
        Attachment("a.txt", "text/plain", b"one"),
        Attachment("c.png", "image/png", b"\x89PNG"),
        Attachment("d.pdf", "application/pdf", url="https://h/d.pdf"),
        Attachment("e", "", url="https://h/e"),
        Attachment("f.mp4", "video/mp4", b"\0"),
    )
    messages = body_of(
        Message("user", "hi", attachments=files),
        Message("assistant", "Well", tool_calls=(("c1", "look", '{"q":1}'),)),
        Message("tool", "broke", call_id="c1", name="look", is_error=True),
        system="be brief",
    )["messages"]
    for message in messages:
        del message["id"]
    png = {"type": "data", "value": "iVBORw==", "mimeType": "image/png"}
    pdf = {"type": "url", "value": "https://h/d.pdf", "mimeType": "application/pdf"}
    mp4 = {"type": "data", "value": "AA==", "mimeType": "video/mp4"}
    function = {"name": "look", "arguments": '{"q":1}'}
    assert messages == [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a.txt:\none\n\nhi"},
                {"type": "image", "source": png},
                {"type": "document", "source": pdf},
                {"type": "image", "source": {"type": "url", "value": "https://h/e"}},
                {"type": "video", "source": mp4},
            ],
        },
        {
            "role": "assistant",
            "content": "Well",
            "toolCalls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "broke", "toolCallId": "c1", "error": "broke"},
    ]


# What an answer says


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def said(delta: str, id: str = "m1", **more: Any) -> dict[str, Any]:
    return event("TEXT_MESSAGE_CONTENT", messageId=id, delta=delta, **more)


def call(id: str = "c1", name: str = "look", *deltas: str) -> list[dict[str, Any]]:
    return [
        event("TOOL_CALL_START", toolCallId=id, toolCallName=name, parentMessageId="m1"),
        *(event("TOOL_CALL_ARGS", toolCallId=id, delta=delta) for delta in deltas),
        event("TOOL_CALL_END", toolCallId=id),
    ]


START = event("RUN_STARTED", threadId="t", runId="r1")


def finished(outcome: Any = None, **more: Any) -> dict[str, Any]:
    told = {} if outcome is None else {"outcome": outcome}
    return event("RUN_FINISHED", threadId="t", runId="r1", **told, **more)


def sse(*values: object) -> bytes:
    return "".join(f"data: {json.dumps(value)}\n\n" for value in values).encode()


def events(*values: object) -> list[Event]:
    """Events of these values without Progress, the same however the bytes are cut."""
    data = sse(*values)
    found = decode(get(NAME).Decoder(), whole(data))
    for pieces in (*some_two(data), bytewise(data)):
        assert decode(get(NAME).Decoder(), pieces) == found
    return [each for each in found if type(each) is not Progress]


def test_an_answer() -> None:
    success = {"type": "success"}
    assert events(
        START,
        event("STEP_STARTED", stepName="s"),
        event("REASONING_START", messageId="r"),
        event("REASONING_MESSAGE_START", messageId="r", role="reasoning"),
        event("REASONING_MESSAGE_CONTENT", messageId="r", delta="Hmm"),
        event("REASONING_MESSAGE_END", messageId="r"),
        event("REASONING_MESSAGE_CHUNK", delta="."),
        event("REASONING_ENCRYPTED_VALUE", subtype="message", entityId="r", encryptedValue="x"),
        event("REASONING_END", messageId="r"),
        event("TEXT_MESSAGE_START", messageId="m1", role="assistant"),
        said("Hel"),
        said(""),
        said("lo 😀"),
        event("TEXT_MESSAGE_END", messageId="m1"),
        event("STATE_DELTA", delta=[{"op": "add", "path": "/a", "value": 1}]),
        event("CUSTOM", name="x", value={"error": "not one"}),
        event("RAW", event={"error": "nor this"}),
        event("NOVEL_EVENT", error=None),
        finished(success, usage=[{"inputTokens": 1, "outputTokens": 2}, {"inputTokens": 3}, 7]),
    ) == [
        Started("", "r1"),
        Reasoning("Hmm"),
        Reasoning("."),
        Text("Hel"),
        Text("lo 😀"),
        Usage(4, 2),
        Finished("stop", "success", MARKED),
    ]


def test_names_of_before_1_0() -> None:
    assert events(
        START,
        event("THINKING_START", title="t"),
        event("THINKING_TEXT_MESSAGE_START"),
        event("THINKING_TEXT_MESSAGE_CONTENT", delta="Hmm"),
        event("THINKING_TEXT_MESSAGE_END"),
        event("THINKING_END"),
        said("Hi"),
        finished(),
    ) == [Started("", "r1"), Reasoning("Hmm"), Text("Hi"), Finished("stop", None, ("marker",))]


def test_everything_is_progress() -> None:
    kinds = "TEXT_MESSAGE_END STATE_SNAPSHOT ACTIVITY_DELTA SUBAGENT_ERROR STEP_FINISHED RAW CUSTOM"
    found = get(NAME).Decoder().feed(sse(*(event(kind) for kind in kinds.split())))
    assert found == [Progress()] * 7
    assert get(NAME).Decoder().feed(sse(event("PING"), event("running"), {}, 7)) == []


def test_chunks_need_no_ids() -> None:
    assert events(
        event("TEXT_MESSAGE_CHUNK", messageId="m", role="assistant", delta="Hel"),
        event("TEXT_MESSAGE_CHUNK", delta="lo"),
        event("TOOL_CALL_CHUNK", toolCallId="c1", toolCallName="look", delta='{"q":'),
        event("TOOL_CALL_CHUNK", delta="1}"),
        event("TOOL_CALL_CHUNK", toolCallId="c2", toolCallName="now"),
        finished(),
    ) == [
        Text("Hel"),
        Text("lo"),
        ToolCall("c1", "look", '{"q":1}', by="server"),
        ToolCall("c2", "now", "{}", by="server"),
        Finished("tool_calls", None, ("marker",)),
    ]


def test_what_others_said_is_no_answer() -> None:
    assert events(
        event("TEXT_MESSAGE_START", messageId="u", role="user"),
        said("question", "u"),
        event("TEXT_MESSAGE_CHUNK", messageId="s", role="system", delta="rules"),
        said("Hi"),
        finished(),
    ) == [Text("Hi"), Finished("stop", None, ("marker",))]


def test_subagents_think_aloud() -> None:
    found = events(
        event("SUBAGENT_STARTED", subagentRunId="s", name="researcher"),
        said("found it", "m0", subagentRunId="s"),
        event("SUBAGENT_ERROR", subagentRunId="s", message="tired"),
        said("Answer"),
        said("more", "m0", subagentRunId="s"),
        finished(),
    )
    assert found == [
        Reasoning("found it"),
        Text("Answer"),
        Reasoning("more"),
        Finished("stop", None, ("marker",)),
    ]


def test_a_subagent_that_took_over_is_the_answer() -> None:
    found = events(
        said("one", "m1", subagentRunId="s1"),
        said("tw", "m2", subagentRunId="s2"),
        said("o", "m2", subagentRunId="s2"),
        finished(),
    )
    assert found[3:] == [Returned("two"), Finished("stop", None, ("marker",))]


def test_an_agent_that_only_shows_its_conversation() -> None:
    messages = [
        {"id": "0", "role": "assistant", "content": "earlier"},
        {"id": "1", "role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"id": "2", "role": "assistant", "toolCalls": [{"id": "c1"}]},
        {"id": "3", "role": "tool", "toolCallId": "c1", "content": "found"},
        {"id": "4", "role": "assistant", "content": "to itself", "subagentRunId": "s"},
        {"id": "5", "role": "assistant", "content": "Hi \ud83d"},
    ]
    snapshot = event("MESSAGES_SNAPSHOT", messages=messages)
    end = Finished("stop", None, ("marker",))
    assert events(*call(), snapshot, finished()) == [
        ToolCall("c1", "look", "{}", by="server"),
        ToolResult("c1", "look", "found", by="server"),
        Text("Hi \ufffd"),
        end,
    ]
    assert events(said("Hi"), snapshot, finished()) == [Text("Hi"), end], "said already"
    assert events(snapshot, event("MESSAGES_SNAPSHOT", messages=messages[:2]), finished()) == [end]


def test_the_agents_own_tools_and_what_they_gave() -> None:
    result = event("TOOL_CALL_RESULT", messageId="x", toolCallId="c1", content="found")
    found = events(*call("c1", "look", '{"q":', "1}"), result, said("So."), finished())
    assert found == [
        ToolCall("c1", "look", '{"q":1}', by="server"),
        ToolResult("c1", "look", "found", by="server"),
        Text("So."),
        Finished("stop", None, ("marker",)),
    ]
    failed = {**result, "error": "broke", "content": "no luck"}
    assert ToolResult("c1", "look", "no luck", True, by="server") in events(*call(), failed)


def test_the_tools_that_a_request_brought_are_the_callers() -> None:
    target = Target("p", NAME, "http://h")
    decoder = decoder_for(get(NAME), target, 1 << 20, ChatRequest("", [HI], tools=(TOOL,)))
    found = decoder.feed(sse(*call("c1", "look"), *call("c2", "now")))
    calls = [each for each in found if isinstance(each, ToolCall)]
    assert calls == [ToolCall("c1", "look", "{}"), ToolCall("c2", "now", "{}", by="server")]


def test_a_call_is_given_the_moment_it_is_whole() -> None:
    decoder = get(NAME).Decoder()
    *begun, end = call("c1", "look", "{}")
    assert not any(isinstance(each, ToolCall) for each in decoder.feed(sse(*begun)))
    assert decoder.feed(sse(end)) == [ToolCall("c1", "look", "{}", by="server")]
    decoder.feed(sse(event("TOOL_CALL_CHUNK", toolCallId="c2", toolCallName="now", delta="{}")))
    assert decoder.feed(sse(said("So"))) == [ToolCall("c2", "now", "{}", by="server"), Text("So")]


def test_arguments_of_a_call_that_is_left_to_the_caller_are_json() -> None:
    broken = call("c1", "look", '{"q":')
    *_, end = events(*broken, finished())
    assert isinstance(end, Failed)
    assert (end.status, end.message) == (
        "malformed",
        "the arguments of the tool call look are not JSON",
    )
    answered = event("TOOL_CALL_RESULT", toolCallId="c1", content="mended")
    assert isinstance(events(*broken, answered, said("So"), finished())[-1], Finished)


def test_calls_left_unanswered() -> None:
    two = [*call("c1", "look", '{"q":', "1}"), *call("c2", "now")]
    assert events(*two, finished({"type": "success"})) == [
        ToolCall("c1", "look", '{"q":1}', by="server"),
        ToolCall("c2", "now", "{}", by="server"),
        Finished("tool_calls", "success", MARKED),
    ]
    pending = {"type": "success", "pendingToolCallIds": ["c2"]}
    assert events(*two, finished(pending))[-1] == Finished("tool_calls", "success", MARKED)
    pending = {"type": "success", "pendingToolCallIds": ["c9"]}
    assert events(*two, finished(pending))[-1] == Finished("stop", "success", MARKED)
    for empty in ([], None):
        pending = {"type": "success", "pendingToolCallIds": empty}
        assert len(events(*two, finished(pending))) == 3, "not naming them says nothing"


@pytest.mark.parametrize("before", [(), (finished(),)])
def test_an_error_ends_it_even_after_the_end(before: tuple[dict[str, Any], ...]) -> None:
    error = event("RUN_ERROR", message="no luck", code="E1", usage=[{"outputTokens": 2}])
    found = events(said("so far"), *before, error, finished())
    assert found[:2] == [Text("so far"), Usage(output_tokens=2)]
    (end,) = found[2:]
    assert isinstance(end, Failed)
    assert (end.status, end.message) == ("provider", "no luck")


def test_errors_are_told_by_their_codes() -> None:
    (end,) = events(event("RUN_ERROR", message="slow down", code="rate_limit_exceeded"))
    assert isinstance(end, Failed)
    assert (end.status, end.transient) == ("rate_limited", True)
    (end,) = events({"error": {"message": "no agent"}})
    assert isinstance(end, Failed)
    assert (end.status, end.message) == ("provider", "no agent")


INTERRUPT = {"id": "i1", "reason": "confirmation", "message": "Really?"}


@pytest.mark.parametrize(
    ("values", "asks"),
    [
        ((finished({"type": "interrupt", "interrupts": [INTERRUPT]}),), "Really? (interruptId i1)"),
        (
            (finished({"type": "interrupt", "interrupts": [{"id": "i", "reason": "auth"}]}),),
            "auth (interruptId i)",
        ),
        ((finished({"type": "interrupt"}),), "it does not say"),
        ((finished("interrupt", interrupt={"id": "i", "reason": "why"}),), "why"),
        ((event("CUSTOM", name="on_interrupt", value="Really?"), finished()), "Really?"),
    ],
)
def test_an_agent_that_waits_for_an_answer_has_not_finished(
    values: tuple[dict[str, Any], ...], asks: str
) -> None:
    found = events(said("Well"), *call(), *values)
    assert found[:2] == [Text("Well"), ToolCall("c1", "look", "{}", by="server")]
    (end,) = found[2:]
    assert isinstance(end, Failed)
    assert (end.status, end.evidence) == ("tool", ("marker",))
    assert asks in end.message
    assert "resume=" in end.hint


@pytest.mark.parametrize("outcome", ["cancelled", {"type": "cancelled"}])
def test_a_cancelled_run_is_cut(outcome: Any) -> None:
    first, end = events(said("half"), finished(outcome))
    assert first == Text("half")
    assert isinstance(end, Failed)
    assert (end.status, end.transient, end.evidence) == ("truncated", False, ("marker",))


def test_an_unknown_outcome_is_told() -> None:
    assert events(said("Hi"), finished({"type": "novel"}))[-1] == Finished("other", "novel", MARKED)


def test_how_it_may_end() -> None:
    for values in ((START,), (START, said("Hi")), (START, finished(), START, said("Hi"))):
        end = events(*values)[-1]
        assert isinstance(end, Failed)
        assert (end.status, end.evidence) == ("truncated", ("eof",))
    broken = Failed("lost", "gone", transient=True)
    decoder = get(NAME).Decoder()
    decoder.feed(sse(START, said("Hi"), finished()))
    assert (decoder.ending, decoder.ended) == (True, False)
    assert decoder.close(broken) == [Finished("stop", None, ("marker", "transport_error"))]
    decoder = get(NAME).Decoder()
    decoder.feed(sse(START, said("Hi")))
    (end,) = decoder.close(broken)
    assert isinstance(end, Failed)
    assert end.status == "truncated"


def test_several_runs_on_one_stream() -> None:
    """An earlier run is played again before the one that was asked for."""
    earlier = event("RUN_STARTED", threadId="t", runId="r0")
    asks = finished({"type": "interrupt", "interrupts": [INTERRUPT]})
    decoder = get(NAME).Decoder()
    decoder.feed(sse(earlier, *call(), asks, START))
    assert not decoder.ending
    found = events(earlier, *call(), asks, START, said("Hi"), finished())
    assert found == [
        Started("", "r0"),
        ToolCall("c1", "look", "{}", by="server"),
        Started("", "r1"),
        Text("Hi"),
        Finished("stop", None, ("marker",)),
    ]


def test_runs_of_like_chunks_are_exact() -> None:
    values: list[object] = [START]
    for number in range(300):
        values.append(said(f'{number} \u2028"\\ ', f"m{number // 100}"))
        if number % 50 == 49:
            values.append(said("aside", "s", subagentRunId="s"))
    data = sse(*values, finished())
    found = decode(get(NAME).Decoder(), whole(data))
    text = "".join(each.text for each in found if type(each) is Text)
    assert text == "".join(f'{number} \u2028"\\ ' for number in range(300))
    assert sum(type(each) is Reasoning for each in found) == 6
    for pieces in sampled(data, 10):
        assert decode(get(NAME).Decoder(), pieces) == found


def test_a_stream_of_something_else_is_shown() -> None:
    data = b': hi\n\ndata: {"delta":{"text":"Hi"}}\n\n'
    (end,) = decode(get(NAME).Decoder(), whole(data))
    assert isinstance(end, Failed)
    assert end.message.endswith('before the answer: data: {"delta":{"text":"Hi"}}')
