"""The UI message stream: what requests look like, how answers end, what applications send beside.

The forms are those that the package `ai` 5 to 7 sends; tests/test_agent_peers.py asks it itself.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from splits import bytewise, decode, sampled, some_two, whole

from streamcli.errors import StreamError
from streamcli.events import (
    Citation,
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Started,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols._contract import get
from streamcli.request import Target

NAME = "ui-message"
MARKED = ("finish_reason", "marker")
HI = Message("user", "hi")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DONE = "data: [DONE]\n\n"


# What a request says


def asked(
    chat: ChatRequest, base: str = "http://h/api/chat", **quirks: Any
) -> tuple[str, dict[str, Any]]:
    request = get(NAME).request(chat, Target("p", NAME, base, template=quirks))
    assert request.method == "POST"
    return request.url, json.loads(request.body)


def body_of(*messages: Message, **options: Any) -> dict[str, Any]:
    return asked(ChatRequest("", list(messages or [HI]), **options))[1]


def test_the_plain_request() -> None:
    url, body = asked(ChatRequest("", [HI]))
    assert url == "http://h/api/chat"
    (message,) = body["messages"]
    assert UUID.fullmatch(body.pop("id"))
    assert UUID.fullmatch(message.pop("id"))
    assert body == {
        "messages": [{"role": "user", "parts": [{"type": "text", "text": "hi"}]}],
        "trigger": "submit-message",
    }


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("http://h", "", "http://h"),
        ("http://h/", "", "http://h/"),
        ("http://h/api/chat?k=v", "", "http://h/api/chat?k=v"),
        ("http://h/", "/api/chat", "http://h/api/chat"),
        ("http://h/api/chat", "/api/chat", "http://h/api/chat"),
    ],
)
def test_the_address_is_the_applications(base: str, path: str, url: str) -> None:
    assert asked(ChatRequest("", [HI]), base, path=path)[0] == url


def test_ids_are_made_of_the_content() -> None:
    one, same, other = body_of(), body_of(), body_of(Message("user", "ho"))
    assert one == same
    assert one["id"] != other["id"]
    assert one["messages"][0]["id"] != other["messages"][0]["id"]
    longer = body_of(HI, Message("assistant", "yo"), HI)
    assert longer["id"] == one["id"], "a conversation that goes on stays the same one"
    ids = [message["id"] for message in longer["messages"]]
    assert ids[0] == one["messages"][0]["id"]
    assert len(set(ids)) == 3
    assert body_of(system="be brief")["id"] != one["id"]


def test_a_key_is_a_bearer_and_given_headers_follow() -> None:
    target = Target("p", NAME, "http://h", key="sk", headers=(("Cookie", "s=1"),))
    headers = get(NAME).request(ChatRequest("", [HI]), target).headers
    assert ("Accept", "text/event-stream") in headers
    assert headers[-2:] == [("Authorization", "Bearer sk"), ("Cookie", "s=1")]
    assert "Authorization" not in dict(
        get(NAME).request(ChatRequest("", [HI]), Target("p", NAME, "http://h")).headers
    )


def test_a_users_fields_win_and_a_model_is_a_field() -> None:
    body = body_of(options={"id": "mine", "webSearch": True, "trigger": "regenerate-message"})
    assert (body["id"], body["webSearch"]) == ("mine", True)
    assert body["trigger"] == "regenerate-message"
    assert "model" not in body
    assert asked(ChatRequest("gpt", [HI]))[1]["model"] == "gpt"


def test_system_files_and_tools_of_the_past() -> None:
    files = (
        Attachment("a.txt", "text/plain", b"one"),
        Attachment("c.png", "image/png", b"\x89PNG"),
        Attachment("d", "", url="https://h/d"),
    )
    calls = (("c1", "look", '{"q":1}'), ("c2", "dig", ""), ("c3", "wait", "{}"))
    messages = body_of(
        Message("user", "hi", attachments=files),
        Message("assistant", "", tool_calls=calls),
        Message("tool", "found", call_id="c1", name="look"),
        Message("tool", "broke", call_id="c2", name="dig", is_error=True),
        system="be brief",
    )["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant"]
    assert messages[0]["parts"] == [{"type": "text", "text": "be brief"}]
    png = {"mediaType": "image/png", "filename": "c.png", "url": "data:image/png;base64,iVBORw=="}
    linked = {"mediaType": "image/*", "filename": "d", "url": "https://h/d"}
    assert messages[1]["parts"] == [
        {"type": "file", **png},
        {"type": "file", **linked},
        {"type": "text", "text": "a.txt:\none\n\nhi"},
    ]
    look = {"type": "tool-look", "toolCallId": "c1", "input": {"q": 1}}
    dig = {"type": "tool-dig", "toolCallId": "c2", "input": {}}
    assert messages[2]["parts"] == [
        {**look, "state": "output-available", "output": "found"},
        {**dig, "state": "output-error", "errorText": "broke"},
        {"type": "tool-wait", "toolCallId": "c3", "input": {}, "state": "input-available"},
    ]


@pytest.mark.parametrize("name", ["ui-message", "ai-data", "ag-ui"])
@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"temperature": 0.5}, "--temperature"),
        ({"top_p": 0.5}, "--top-p"),
        ({"max_tokens": 5}, "--max-tokens"),
        ({"stop": ("x",)}, "--stop"),
        ({"seed": 0}, "--seed"),
        ({"frequency_penalty": 0.0}, "--frequency-penalty"),
        ({"presence_penalty": 0.0}, "--presence-penalty"),
        ({"think": "high"}, "--think"),
        ({"schema": {}}, "--schema"),
        ({"prefill": "x"}, "--prefill"),
        ({"stream": False}, "--no-stream"),
    ],
)
def test_what_the_application_decides(name: str, options: dict[str, Any], what: str) -> None:
    with pytest.raises(StreamError, match=f"{name} cannot carry .*{what}\\)?$") as raised:
        get(name).request(ChatRequest("", [HI], **options), Target("p", name, "http://h"))
    assert raised.value.kind == "usage"


@pytest.mark.parametrize("name", ["ui-message", "ai-data"])
def test_tools_are_the_applications(name: str) -> None:
    chat = ChatRequest("", [HI], tools=(Tool("f", "d", {}),))
    with pytest.raises(StreamError, match="cannot carry tools"):
        get(name).request(chat, Target("p", name, "http://h"))


@pytest.mark.parametrize("name", ["ui-message", "ai-data", "ag-ui"])
@pytest.mark.parametrize("status", [404, 405])
def test_a_wrong_address_is_told(name: str, status: int) -> None:
    failed = get(name).refusal(status, {}, b"<h1>not here</h1>")
    assert failed.status == "rejected"
    assert "whole address" in failed.hint
    assert get(name).refusal(401, {}, b"who are you?").message == "HTTP 401: who are you?"


# What an answer says


def sse(*values: object) -> str:
    return "".join(f"data: {json.dumps(value)}\n\n" for value in values)


def events(*values: object, tail: str = DONE, name: str = NAME) -> list[Event]:
    """Events of these values without Progress, the same however the bytes are cut."""
    data = (sse(*values) + tail).encode()
    found = decode(get(name).Decoder(), whole(data))
    for pieces in (*some_two(data), bytewise(data)):
        assert decode(get(name).Decoder(), pieces) == found
    return [event for event in found if type(event) is not Progress]


def text(delta: str, id: str = "t") -> dict[str, Any]:
    return {"type": "text-delta", "id": id, "delta": delta}


def finish(reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"type": "finish", **({"finishReason": reason} if reason else {}), **more}


def tool(kind: str, id: str = "c1", **more: Any) -> dict[str, Any]:
    return {"type": f"tool-{kind}", "toolCallId": id, **more}


def test_an_answer() -> None:
    assert events(
        {"type": "start", "messageId": "m1", "messageMetadata": {"model": "gpt"}},
        {"type": "start-step"},
        {"type": "reasoning-start", "id": "r"},
        {"type": "reasoning-delta", "id": "r", "delta": "Hmm"},
        {"type": "reasoning-end", "id": "r"},
        {"type": "text-start", "id": "t"},
        text("Hel"),
        text("lo 😀"),
        text(""),
        {"type": "text-end", "id": "t"},
        {"type": "finish-step"},
        finish(messageMetadata={"usage": {"inputTokens": 3, "outputTokens": 4}}),
    ) == [
        Started("gpt", ""),
        Started("gpt", "m1"),
        Reasoning("Hmm"),
        Text("Hel"),
        Text("lo 😀"),
        Usage(3, 4),
        Finished("stop", "stop", MARKED),
    ]


def test_all_kinds_tell_that_something_goes_on() -> None:
    quiet = [
        {"type": "data-weather", "id": "d", "data": {"error": "not one"}, "transient": True},
        {"type": "file", "url": "data:image/png;base64,", "mediaType": "image/png"},
        {"type": "custom", "kind": "a.b"},
        {"type": "steering-message", "id": "s", "parts": []},
        {"type": "message-metadata", "messageMetadata": {"seen": 1}},
        tool("approval-request", approvalId="a"),
        tool("input-delta", "unknown", inputTextDelta="x"),
    ]
    data = sse(*quiet).encode()
    assert get(NAME).Decoder().feed(data) == [Progress()] * len(quiet)
    assert (
        get(NAME).Decoder().feed(sse({"type": "ping"}, {"type": "novel"}, {}, [], 7).encode()) == []
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content-filter", "content_filter"),
        ("content_filter", "content_filter"),
        ("tool-calls", "tool_calls"),  # without a call: the verdict is exit 8
        ("novel", "other"),
    ],
)
def test_finish_reasons(raw: str, reason: str) -> None:
    *_, end = events(text("Hi"), finish(raw))
    assert end == Finished(reason, raw, MARKED)


def test_how_it_may_end() -> None:
    def end_of(*values: object, tail: str = "") -> Event:
        return events(text("Hi"), *values, tail=tail)[-1]

    assert end_of(finish()) == Finished("stop", "stop", ("finish_reason", "eof"))
    assert end_of(finish(None)) == Finished(None, None, ("marker",))
    assert end_of(finish(None), tail=DONE) == Finished(None, None, ("marker",))
    assert end_of(tail=DONE) == Finished(None, None, ("marker",)), "written by hand, no finish"
    for cut in (end_of(), end_of({"type": "text-end"}), end_of(tail='data: {"type":"fin')):
        assert isinstance(cut, Failed)
        assert (cut.status, cut.evidence) == ("truncated", ("eof",))
    broken = Failed("lost", "gone", transient=True)
    for values, proof in (((), None), ((finish(),), "finish_reason"), ((finish(None),), "marker")):
        decoder = get(NAME).Decoder()
        decoder.feed(sse(text("Hi"), *values).encode())
        (*_, end) = decoder.close(broken)
        if proof:
            assert isinstance(end, Finished)
            assert end.evidence == (proof, "transport_error")
        else:
            assert end.status == "truncated"  # type: ignore[union-attr]


def test_the_finish_of_one_answer_is_not_that_of_the_next() -> None:
    decoder = get(NAME).Decoder()
    decoder.feed(sse(text("Hi"), finish(), {"type": "start"}, text("Ho")).encode())
    (*_, end) = decoder.close()
    assert isinstance(end, Failed)
    assert (end.status, end.evidence) == ("truncated", ("eof",))


def test_after_finish_only_the_marker_is_waited_for() -> None:
    decoder = get(NAME).Decoder()
    decoder.feed(sse(text("Hi"), finish()).encode())
    assert (decoder.ending, decoder.ended) == (True, False)
    decoder.feed(sse({"type": "start"}).encode())
    assert not decoder.ending, "another answer joins in"
    assert decoder.feed((sse(text("Ho"), finish("length")) + DONE).encode())[-1] == Finished(
        "length", "length", MARKED
    )
    assert decoder.ended


@pytest.mark.parametrize(
    "error",
    [
        {"type": "error", "errorText": "no luck"},
        {"type": "error", "error": "no luck"},
        {"type": "error", "error": {"message": "no luck"}},
        {"error": {"message": "no luck"}},
    ],
)
def test_an_error_wins(error: dict[str, Any]) -> None:
    """Tyler goes on with `finish` and a reason of stop."""
    for values in ((text("so far"), error, finish()), (text("so far"), finish(), error)):
        first, end = events(*values)
        assert first == Text("so far")
        assert isinstance(end, Failed)
        assert (end.status, end.message) == ("provider", "no luck")


def test_a_masked_error_says_where_to_look() -> None:
    (end,) = events({"type": "error", "errorText": "An error occurred."})
    assert isinstance(end, Failed)
    assert "its own log" in end.hint


@pytest.mark.parametrize(
    ("value", "status", "says"),
    [
        ({"type": "abort", "reason": "took too long"}, "truncated", "took too long"),
        ({"type": "abort"}, "truncated", "stopped the answer before its end"),
        (finish("interrupted"), "truncated", "(finish reason interrupted)"),
        (finish("error"), "provider", "finish reason error"),
    ],
)
def test_ends_that_are_not_whole(value: dict[str, Any], status: str, says: str) -> None:
    first, end = events(text("so far"), value)
    assert first == Text("so far")
    assert isinstance(end, Failed)
    assert end.status == status
    assert says in end.message
    assert end.evidence
    assert not end.transient


def test_the_servers_own_tools_and_what_they_gave() -> None:
    begun = tool("input-start", toolName="look")
    whole_call = tool("input-available", toolName="look", input={"q": 1})
    call = ToolCall("c1", "look", '{"q":1}', by="server")
    half = tool("output-available", output="half", preliminary=True)
    for answer, output, is_error in (
        (tool("output-available", output={"result": 1}), '{"result":1}', False),
        (tool("output-available", output="as it is"), "as it is", False),
        (tool("output-available", output=None), "", False),
        (tool("output-error", errorText="broke"), "broke", True),
        (tool("output-denied"), "denied", True),
    ):
        step = {"type": "finish-step"}
        found = events(begun, whole_call, half, answer, answer, step, text("So"), finish())
        result = ToolResult("c1", "look", output, is_error, by="server")
        assert found == [call, result, Text("So"), Finished("stop", "stop", MARKED)]
    invalid = tool("input-error", toolName="look", input="{", errorText="no such tool")
    assert events(begun, invalid, finish()) == [
        ToolCall("c1", "look", "{", by="server"),
        ToolResult("c1", "look", "no such tool", True, by="server"),
        Finished("stop", "stop", MARKED),
    ]


def test_what_a_provider_runs_needs_no_answer() -> None:
    ran = {"toolName": "look", "providerExecuted": True}
    call = ToolCall("c1", "look", '{"q":1}', by="server")
    found = events(tool("input-available", input={"q": 1}, **ran), finish("tool-calls"))
    assert found == [call, Finished("stop", "tool-calls", MARKED)]


def test_a_call_is_given_the_moment_it_is_whole() -> None:
    decoder = get(NAME).Decoder()
    decoder.feed(sse(tool("input-start", toolName="look")).encode())
    decoder.feed(sse(tool("input-delta", inputTextDelta="{}")).encode())
    given = decoder.feed(sse(tool("input-available", toolName="look", input={})).encode())
    assert given == [ToolCall("c1", "look", "{}", by="server")]
    assert not decoder.ending


@pytest.mark.parametrize("reason", ["tool-calls", "stop", "other", None])
def test_calls_left_unanswered_are_tool_calls(reason: str | None) -> None:
    found = events(
        tool("input-start", toolName="look"),
        tool("input-delta", inputTextDelta='{"q": '),
        tool("input-delta", inputTextDelta="1.0}"),
        tool("input-available", toolName="look", input={"q": 1}),
        tool("input-available", "c2", toolName="now", input={"é": [1]}),
        tool("input-available", "c3", toolName="answered", input={}),
        tool("output-available", "c3", output=1),
        finish(reason),
    )
    assert found[:2] == [
        ToolCall("c1", "look", '{"q": 1.0}', by="server"),  # as the model wrote it
        ToolCall("c2", "now", '{"é":[1]}', by="server"),
    ]
    (end,) = found[4:]
    assert isinstance(end, Finished)
    assert (end.reason, end.raw) == ("tool_calls", reason)


def test_input_that_the_server_made_out_of_text() -> None:
    found = events(
        tool("input-start", toolName="sql", inputEncoding="text"),
        tool("input-delta", inputTextDelta="SELECT 1"),
        tool("input-available", toolName="sql", input={"query": "SELECT 1"}),
        finish(),
    )
    assert found[0] == ToolCall("c1", "sql", '{"query":"SELECT 1"}', by="server")
    found = events(
        tool("input-start", toolName="f"),
        tool("input-delta", inputTextDelta='{"a":1}'),
        tool("input-available", toolName="f", input={"a": 2}),
        finish("length"),
    )
    call = ToolCall("c1", "f", '{"a":2}', by="server")
    assert found == [call, Finished("length", "length", MARKED)]


def test_a_call_of_a_step_that_is_reset_needs_no_answer() -> None:
    assert events(
        {"type": "start-step"},
        tool("input-available", toolName="kept", input={}),
        {"type": "finish-step"},
        {"type": "start-step"},
        text("one "),
        tool("input-available", "c2", toolName="gone", input={}),
        {"type": "reset-step"},
        text("two"),
        tool("output-available", "c1", output=1),
        finish(),
    ) == [
        ToolCall("c1", "kept", "{}", by="server"),
        Text("one "),
        ToolCall("c2", "gone", "{}", by="server"),
        Text("two"),
        ToolResult("c1", "kept", "1", by="server"),
        Finished("stop", "stop", MARKED),
    ]


def test_sources_are_citations() -> None:
    url = {"type": "source-url", "sourceId": "1", "url": "https://e.com", "title": "E"}
    document = {"type": "source-document", "sourceId": "2", "mediaType": "application/pdf"}
    cited = {"source": {"url": "https://e.com/b"}, "startIndex": 3, "endIndex": 9}
    found = events(
        url,
        {**url, "title": None},
        {**document, "title": "Paper"},
        {**document, "filename": "p.pdf"},
        {"type": "source-url"},
        {"type": "text-end", "id": "t", "citations": [cited, {}, 7]},
        finish(),
    )
    assert found[:-1] == [
        Citation("https://e.com", "E"),
        Citation("https://e.com"),
        Citation("", "Paper"),
        Citation("", "p.pdf"),
        Citation("https://e.com/b", "", 3, 9),
    ]


@pytest.mark.parametrize(
    ("metadata", "usage"),
    [
        ({"totalTokens": 5}, Usage(total_tokens=5)),
        ({"usage": {"promptTokens": 1, "completionTokens": 2.0}}, Usage(1, 2)),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": "2"}}, Usage(1, 2)),
        (
            {"totalUsage": {"inputTokens": 1, "reasoningTokens": 2, "cachedInputTokens": 3}},
            Usage(1, reasoning_tokens=2, cache_read_tokens=3),
        ),
        (
            {
                "usage": {
                    "inputTokens": 9,
                    "inputTokenDetails": {"cacheReadTokens": 1, "cacheWriteTokens": 2},
                    "outputTokens": 8,
                    "outputTokenDetails": {"reasoningTokens": 3},
                }
            },
            Usage(9, 8, 3, 1, 2),
        ),
    ],
)
def test_usage_in_an_applications_metadata(metadata: dict[str, Any], usage: Usage) -> None:
    assert usage in events(text("Hi"), finish(messageMetadata=metadata))
    told = events({"type": "message-metadata", "messageMetadata": metadata}, text("Hi"), finish())
    assert told[0] == usage


@pytest.mark.parametrize(
    "metadata", [7, "x", [], {}, {"usage": None}, {"usage": {}}, {"usage": {"inputTokens": None}}]
)
def test_metadata_that_holds_no_usage(metadata: Any) -> None:
    assert events(text("Hi"), finish(messageMetadata=metadata)) == [
        Text("Hi"),
        Finished("stop", "stop", MARKED),
    ]


def test_what_the_betas_called_it() -> None:
    """Before 5.0 was out: `text` for `delta`, and types without it."""
    assert events(
        {"type": "reasoning", "text": "Hmm"},
        {"type": "text", "text": "Hel"},
        {"type": "text-delta", "id": "t", "text": "lo"},
        finish(),
    ) == [Reasoning("Hmm"), Text("Hel"), Text("lo"), Finished("stop", "stop", MARKED)]


def test_a_character_cut_in_two() -> None:
    halves = sse(text("@@"), text("@@")).replace("@@", "\\ud83d", 1).replace("@@", "\\ude00")
    found = events(text("a"), tail=halves + sse(finish()))
    assert "".join(e.text for e in found if type(e) is Text) == "a😀"


def test_runs_of_like_chunks_are_exact() -> None:
    """Long enough for the quick way, with what interrupts it."""
    values: list[object] = [{"type": "start", "messageId": "m"}]
    for number in range(300):
        values.append(text(f'{number} \u2028"\\ '))
        if number % 50 == 49:
            values += [{"type": "text-end", "id": "t"}, {"type": "reasoning-delta", "delta": "r"}]
            values += [tool("input-start", f"c{number}", toolName="f")]
            values += [tool("output-error", f"c{number}")]
    data = (sse(*values, finish()) + DONE).encode()
    found = decode(get(NAME).Decoder(), whole(data))
    said = "".join(event.text for event in found if type(event) is Text)
    assert said == "".join(f'{number} \u2028"\\ ' for number in range(300))
    assert sum(type(event) is Reasoning for event in found) == 6
    for pieces in sampled(data, 10):
        assert decode(get(NAME).Decoder(), pieces) == found


def test_lines_of_json_and_other_streams() -> None:
    lines = "".join(json.dumps(value) + "\n" for value in (text("Hi"), finish()))
    assert decode(get(NAME).Decoder(), whole(lines.encode())) == [
        Text("Hi"),
        Progress(),
        Finished("stop", "stop", ("finish_reason", "eof")),
    ]
    (end,) = decode(get(NAME).Decoder(), whole(b'f:{"messageId":"m"}\n0:"Hi"\n'))
    assert isinstance(end, Failed)
    assert (end.status, "ai-data" in end.hint) == ("malformed", True)
    (end,) = decode(get(NAME).Decoder(), whole(DONE.encode()))
    assert isinstance(end, Failed)
    assert end.status == "malformed"


@pytest.mark.parametrize("depth", [100, 300, 900, 5000])
def test_arguments_nested_beyond_reason(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    start = sse(tool("input-available", toolName="f", input="@")).replace('"@"', nested)
    for name, data in (
        ("ui-message", start + sse(finish())),
        ("ai-data", f'9:{{"toolCallId":"c","toolName":"f","args":{nested}}}\nd:{{}}\n'),
        ("ag-ui", f'data: {{"type":"CUSTOM","name":"on_interrupt","value":{nested}}}\n\n'),
    ):
        (*_, end) = decode(get(name).Decoder(), whole(data.encode()))
        assert isinstance(end, Finished | Failed)


@pytest.mark.parametrize("field", ["delta", "text", "textDelta"])
@pytest.mark.parametrize(("kind", "said"), [("text-delta", Text), ("reasoning-delta", Reasoning)])
def test_a_delta_has_three_names(field: str, kind: str, said: type[Text] | type[Reasoning]) -> None:
    """Those of the AI SDK's versions; a server may write out the SDK's own parts."""
    chunks = [{"type": kind, field: "Hi"}, {"type": kind, field: " you"}, {"type": "finish"}]
    data = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    for pieces in (whole(data), bytewise(data)):
        events = decode(get(NAME).Decoder(), pieces)
        assert "".join(event.text for event in events if type(event) is said) == "Hi you"
