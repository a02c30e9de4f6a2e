"""The data stream of the AI SDK 4: requests, lines, and how answers end.

The forms are those of the package `ai` 4.3; tests/test_agent_peers.py asks it itself.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from splits import bytewise, decode, sampled, some_two, whole

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
from streamcli.messages import Attachment, ChatRequest, Message
from streamcli.protocols._contract import get
from streamcli.request import Target

NAME = "ai-data"
MARKED = ("finish_reason", "marker")
COUNTS = {"promptTokens": 3, "completionTokens": 4}


# What a request says


def body_of(*messages: Message, **options: Any) -> dict[str, Any]:
    target = Target("p", NAME, "http://h/api/chat")
    request = get(NAME).request(ChatRequest("", list(messages), **options), target)
    assert (request.method, request.url) == ("POST", "http://h/api/chat")
    body: dict[str, Any] = json.loads(request.body)
    return body


def test_the_plain_request() -> None:
    hi = Message("user", "hi")
    body = body_of(hi, system="be brief", options={"data": {"a": 1}})
    ids = [body.pop("id"), *(message.pop("id") for message in body["messages"])]
    assert len(set(ids)) == 3
    assert body == {
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
        ],
        "data": {"a": 1},
    }
    assert body_of(hi) == body_of(hi)


def test_files_and_tools_of_the_past() -> None:
    png = Attachment("c.png", "image/png", b"\x89PNG")
    calls = (("c1", "look", '{"q":1}'), ("c2", "dig", ""))
    _, answer = messages = body_of(
        Message("user", "hi", attachments=(png, Attachment("a.txt", "text/plain", b"one"))),
        Message("assistant", "", tool_calls=calls),
        Message("tool", "found", call_id="c1", name="look"),
    )["messages"]
    assert messages[0]["content"] == "a.txt:\none\n\nhi"
    assert messages[0]["experimental_attachments"] == [
        {"name": "c.png", "contentType": "image/png", "url": "data:image/png;base64,iVBORw=="}
    ]
    look = {"toolCallId": "c1", "toolName": "look", "args": {"q": 1}}
    assert answer["toolInvocations"] == [
        {**look, "state": "result", "result": "found"},
        {"toolCallId": "c2", "toolName": "dig", "args": {}, "state": "call"},
    ]


# What an answer says


def line(code: str, value: object) -> str:
    return f"{code}:{json.dumps(value)}\n"


def events(*lines: str) -> list[Event]:
    """Events of these lines without Progress, the same however the bytes are cut."""
    data = "".join(lines).encode()
    found = decode(get(NAME).Decoder(), whole(data))
    for pieces in (*some_two(data), bytewise(data)):
        assert decode(get(NAME).Decoder(), pieces) == found
    return [event for event in found if type(event) is not Progress]


def end_of(*lines: str) -> Finished | Failed:
    end = events(*lines)[-1]
    assert isinstance(end, Finished | Failed)
    return end


def step(reason: str = "stop", **more: Any) -> str:
    return line("e", {"finishReason": reason, "isContinued": False, **more})


def done(reason: str = "stop", **more: Any) -> str:
    return line("d", {"finishReason": reason, **more})


HI = line("0", "Hi")


def test_an_answer() -> None:
    assert events(
        line("f", {"messageId": "m1"}),
        line("g", "Hmm"),
        line("i", {"data": "secret"}),
        line("j", {"signature": "s"}),
        line("0", "Hel"),
        line("0", "lo 😀"),
        line("0", ""),
        line("2", [{"error": "not one"}]),
        line("8", [{"a": 1}]),
        line("h", {"sourceType": "url", "id": "s", "url": "https://e.com", "title": "E"}),
        line("k", {"data": "", "mimeType": "image/png"}),
        step(usage=COUNTS),
        done(usage=COUNTS),
    ) == [
        Started("", "m1"),
        Reasoning("Hmm"),
        Text("Hel"),
        Text("lo 😀"),
        Citation("https://e.com", "E"),
        Usage(3, 4),
        Usage(3, 4),
        Finished("stop", "stop", MARKED),
    ]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content-filter", "content_filter"),
        ("tool-calls", "tool_calls"),
    ],
)
def test_finish_reasons(raw: str, reason: str) -> None:
    assert end_of(HI, done(raw)) == Finished(reason, raw, MARKED)


def test_d_ends_it_and_nothing_else_does() -> None:
    decoder = get(NAME).Decoder()
    decoder.feed((HI + step() + done()).encode())
    assert decoder.ended
    assert end_of(HI, done().strip()) == Finished("stop", "stop", MARKED), "no last line break"
    assert end_of(HI, 'd:{"finishReason":null}') == Finished(None, None, ("marker",))
    for cut in ((HI,), (HI, 'd:{"finishRea'), (HI, step(isContinued=True)), (HI, 'e:{"fin')):
        end = end_of(*cut)
        assert isinstance(end, Failed)
        assert (end.status, end.evidence) == ("truncated", ("eof",)), cut


def test_servers_that_leave_d_out() -> None:
    """As Python backends for the SDK do: their last line is the step's end."""
    by_step = ("finish_reason", "eof")
    assert end_of(HI, step()) == Finished("stop", "stop", by_step)
    assert end_of(HI, step("length")) == Finished("length", "length", by_step)
    assert end_of(step("tool-calls"), HI, step()) == Finished("stop", "stop", by_step)
    call = line("9", {"toolCallId": "c", "toolName": "f", "args": {}})
    assert end_of(call, step("tool-calls")) == Finished("tool_calls", "tool-calls", by_step)
    for later in (HI, line("g", "x"), call, line("f", {"messageId": "m2"})):
        end = end_of(HI, step(), later)
        assert isinstance(end, Failed), later
        assert end.status == "truncated"
    assert isinstance(end_of(HI, step("error")), Failed)


@pytest.mark.parametrize(
    ("last", "status"),
    [("stop", "complete"), ("tool-calls", "truncated"), ("", "truncated")],
)
def test_a_broken_transport(last: str, status: str) -> None:
    decoder = get(NAME).Decoder()
    decoder.feed((HI + (step(last) if last else "")).encode())
    (*_, end) = decoder.close(Failed("lost", "gone", transient=True))
    if status == "complete":
        assert end == Finished("stop", "stop", ("finish_reason", "transport_error"))
    else:
        assert isinstance(end, Failed)
        assert end.status == status


def test_an_error_wins() -> None:
    first, end = events(line("0", "so far"), line("3", "no luck"), step("error"), done("error"))
    assert first == Text("so far")
    assert isinstance(end, Failed)
    assert (end.status, end.message) == ("provider", "no luck")
    masked = end_of(line("3", "An error occurred."))
    assert isinstance(masked, Failed)
    assert "its own log" in masked.hint
    beside = end_of(HI, '{"error":{"message":"no luck"}}\n')
    assert isinstance(beside, Failed)
    assert beside.message == "no luck"
    assert end_of(HI, done("error")).status == "provider"  # type: ignore[union-attr]


def test_tool_calls() -> None:
    begun = line("b", {"toolCallId": "c1", "toolName": "look"})
    pieces = [line("c", {"toolCallId": "c1", "argsTextDelta": x}) for x in ('{"q": ', "1}")]
    call = line("9", {"toolCallId": "c1", "toolName": "look", "args": {"q": 1}})
    found = events(begun, *pieces, call, step("tool-calls"), done("tool-calls"))
    assert found == [
        ToolCall("c1", "look", '{"q": 1}', by="server"),
        Finished("tool_calls", "tool-calls", MARKED),
    ]
    assert events(call, done())[0] == ToolCall("c1", "look", '{"q":1}', by="server")
    result = line("a", {"toolCallId": "c1", "result": "found"})
    answered = events(begun, *pieces, call, result, step("tool-calls"), HI, step(), done())
    assert answered == [
        ToolCall("c1", "look", '{"q": 1}', by="server"),
        ToolResult("c1", "look", "found", by="server"),
        Text("Hi"),
        Finished("stop", "stop", MARKED),
    ]
    assert get(NAME).Decoder().feed(call.encode())[0] == events(call, done())[0], "at once"


def test_usage() -> None:
    steps = [step("tool-calls", usage=COUNTS), HI, step(usage=COUNTS)]
    assert [e for e in events(*steps) if type(e) is Usage] == [Usage(3, 4), Usage(6, 8)]
    nothing = {"promptTokens": None, "completionTokens": None}
    assert events(HI, done(usage=nothing)) == [Text("Hi"), Finished("stop", "stop", MARKED)]


def test_assistants() -> None:
    message = {
        "id": "m",
        "role": "assistant",
        "content": [{"type": "text", "text": {"value": "Hi"}}],
    }
    assert events(
        line("5", {"threadId": "t", "messageId": "m0"}),
        line("4", message),
        line("6", {"role": "data", "data": 1}),
        done(),
    ) == [Started("", "m0"), Text("Hi"), Finished("stop", "stop", MARKED)]


def test_lines_that_are_none_of_it() -> None:
    odd = (
        "\n",
        "z:1\n",
        "zz:{}\n",
        "# ping\n",
        "data: [DONE]\n",
        "Hello\n",
        "{}\n",
        ":\n",
        "z:{\n",
    )
    assert events("\ufeff", *odd, HI, *odd, done()) == events(HI, done())


def test_a_line_ends_at_its_lf_only() -> None:
    text = "a\u2028b\x85c"
    assert events(f'\ufeff0:"{text}"\r\n', done())[0] == Text(text)


def test_a_byte_order_mark_stands_at_the_beginning_only() -> None:
    mark = b"\xef\xbb\xbf"
    data = mark + b'0:"a"\n' + mark + b'0:"b"\n0:"c"\nd:{"finishReason":"stop"}\n'
    for pieces in (whole(data), bytewise(data), *some_two(data)):
        events = decode(get(NAME).Decoder(), pieces)
        assert [event.text for event in events if isinstance(event, Text)] == ["a", "c"]


def test_json_that_is_none_ends_it() -> None:
    first, end = events(HI, "0:nonsense\n", done())
    assert first == Text("Hi")
    assert isinstance(end, Failed)
    assert end.status == "malformed"
    assert events('0:"\\ud83d"\n', '0:"\\ude00"\n', done())[0] == Text("😀")


def test_other_bodies_are_no_such_stream() -> None:
    sse = 'data: {"type":"start"}\n\n'
    for body, says in (
        ("", "empty"),
        ("<p>Log in", "web page"),
        ('{"id":1}', "JSON"),
        (sse, "not a"),
    ):
        end = end_of(body)
        assert isinstance(end, Failed)
        assert end.status == "malformed", body
        assert says in end.message
    assert "ui-message" in end_of(sse).hint  # type: ignore[union-attr]


def test_too_large_a_line() -> None:
    long = line("0", "x" * 2000)
    for pieces in (whole(long.encode()), bytewise(long.encode())):
        decoder = get(NAME).Decoder(1000)
        (end,) = decode(decoder, pieces)
        assert isinstance(end, Failed)
        assert end.status == "too_large"
    many = (HI * 1000).encode()
    assert len(get(NAME).Decoder(100).feed(many)) == 1000


def test_many_lines_at_any_cut() -> None:
    data = ("".join(line("0", f"{n} é") for n in range(500)) + done()).encode()
    found = decode(get(NAME).Decoder(), whole(data))
    said = "".join(event.text for event in found if type(event) is Text)
    assert said == "".join(f"{n} é" for n in range(500))
    for pieces in sampled(data, 10):
        assert decode(get(NAME).Decoder(), pieces) == found
