"""Cohere's chat: every recording (of v2 and v1), its errors, requests, how answers end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Stream
from faultserver import Conn, FaultServer
from recordings import (
    check_error_body,
    check_recording,
    error_bodies,
    name_of,
    recordings,
)
from splits import bytewise, decode, merged, some_two, whole

from streamcli.errors import StreamError
from streamcli.events import (
    Citation,
    Event,
    Failed,
    Finished,
    Opaque,
    Progress,
    Reasoning,
    Started,
    Text,
    ToolCall,
    Usage,
)
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols._contract import get
from streamcli.protocols._detect import AutoDecoder
from streamcli.providers.list_models import models_url
from streamcli.request import Target

NAME = "cohere"
MARKED = ("finish_reason", "marker")
HI = Message("user", "hi")
TOOL = Tool("look", "Looks it up", {"type": "object", "properties": {"q": {"type": "string"}}})
PNG = Attachment("cat.png", "image/png", b"\x89PNG")
KEY = "co-test-1234567890"
# Its recorder left out the first event.
WITHOUT_ID = {"cohere--openllmetry-js--recording--0-923320"}


def usage(raw: dict[str, Any]) -> Usage:
    tokens = raw.get("tokens", raw.get("billed_units", raw))  # v1's are taken out already
    return Usage(
        input_tokens=tokens["input_tokens"],
        output_tokens=tokens["output_tokens"],
        reasoning_tokens=tokens.get("reasoning_tokens"),
        cache_read_tokens=raw.get("cached_tokens"),
    )


@pytest.mark.parametrize("path", recordings(NAME))
def test_recording(path: Path) -> None:
    """The plan for its tools is what the model thinks before it acts."""
    expected = json.loads(path.read_text())["expected"]
    thought = expected["reasoning"] + expected.get("tool_plan", "")
    events = check_recording(NAME, path, usage, {name_of(path): thought})
    started = events[0]
    if name_of(path) not in WITHOUT_ID:
        assert isinstance(started, Started)
        assert started.response_id
    end = events[-1]
    if expected["error"]:
        assert isinstance(end, Failed)
        assert (end.status, end.message) == ("provider", expected["error"])
        return
    assert isinstance(end, Finished)
    assert end.evidence == MARKED
    assert end.reason == ("tool_calls" if expected["tool_calls"] else "stop")


@pytest.mark.parametrize("path", recordings(NAME))
def test_a_cut_recording_is_truncated(path: Path) -> None:
    """Wherever it is cut before its last event is whole."""
    meta = json.loads(path.read_text())
    data = (path.parent / meta["file"]).read_bytes()
    last = max(data.rfind(b'{"type":"message-end"'), data.rfind(b'{"is_finished":true'))
    for cut in (data.find(b"}") + 2, last // 2, last, last + 9, last + 40):
        *_, end = decode(get(NAME).Decoder(), whole(data[:cut]))
        assert isinstance(end, Failed), cut
        assert end.status == "truncated", cut


@pytest.mark.parametrize("path", error_bodies(NAME))
def test_error_body(path: Path) -> None:
    assert "--base-url" not in check_error_body(path).hint


# What a request says


def asked(chat: ChatRequest, base: str = "https://h", **more: Any) -> tuple[str, dict[str, Any]]:
    request = get(NAME).request(chat, Target("cohere", NAME, base, **more))
    assert request.method == "POST"
    return request.url, json.loads(request.body)


def body_of(*messages: Message, **options: Any) -> dict[str, Any]:
    return asked(ChatRequest("m", list(messages or [HI]), **options))[1]


def test_the_plain_request() -> None:
    plain = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    assert asked(ChatRequest("m", [HI])) == ("https://h/v2/chat", plain)
    assert body_of(stream=False)["stream"] is False


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://h", "https://h/v2/chat"),
        ("https://h/", "https://h/v2/chat"),
        ("https://h/v1", "https://h/v2/chat"),
        ("https://h/v2/", "https://h/v2/chat"),
        ("https://h/v2/chat", "https://h/v2/chat"),
        ("https://h/v1/chat", "https://h/v2/chat"),
        ("https://h/cohere/v2?k=v", "https://h/cohere/v2/chat?k=v"),
    ],
)
def test_addresses(base: str, url: str) -> None:
    assert asked(ChatRequest("m", [HI]), base)[0] == url


def test_a_key_is_a_bearer_and_given_headers_follow() -> None:
    target = Target("cohere", NAME, "https://h", key=KEY, headers=(("X-A", "1"),))
    headers = get(NAME).request(ChatRequest("m", [HI]), target).headers
    assert headers[-2:] == [("Authorization", f"Bearer {KEY}"), ("X-A", "1")]


def test_sampling_by_its_own_names() -> None:
    body = body_of(
        system="be brief",
        temperature=0.0,
        top_p=0.5,
        max_tokens=7,
        stop=("END",),
        seed=0,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        options={"k": 5, "safety_mode": "STRICT", "temperature": 1.0},
    )
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "stream": True,
        "temperature": 1.0,
        "p": 0.5,
        "max_tokens": 7,
        "stop_sequences": ["END"],
        "seed": 0,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "k": 5,
        "safety_mode": "STRICT",
    }


@pytest.mark.parametrize(
    ("effort", "max_tokens", "thinking"),
    [
        ("none", None, {"type": "disabled"}),
        ("low", None, {"type": "enabled", "token_budget": 2048}),
        ("low", 1000, {"type": "enabled", "token_budget": 500}),
        ("low", 1, {"type": "enabled", "token_budget": 1}),
        ("medium", None, {"type": "enabled", "token_budget": 8192}),
        ("high", None, {"type": "enabled"}),
        ("max", 1000, {"type": "enabled"}),
    ],
)
def test_thinking(effort: str, max_tokens: int | None, thinking: dict[str, Any]) -> None:
    assert body_of(think=effort, max_tokens=max_tokens)["thinking"] == thinking


def test_schema_and_tools() -> None:
    schema = {"type": "object"}
    body = body_of(schema=schema, tools=(TOOL,), tool_choice="required")
    assert body["response_format"] == {"type": "json_object", "json_schema": schema}
    function = {"name": "look", "description": "Looks it up", "parameters": TOOL.parameters}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["tool_choice"] == "REQUIRED"
    assert body_of(tools=(TOOL,), tool_choice="none")["tool_choice"] == "NONE"
    assert "tool_choice" not in body_of(tools=(TOOL,), tool_choice="auto")


def test_calls_and_their_results() -> None:
    call = Message("assistant", "", tool_calls=(("c1", "look", '{"q":"x"}'),))
    result = Message("tool", "found", call_id="c1", name="look")
    assert body_of(HI, call, result)["messages"][1:] == [
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"q":"x"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
    ]


def test_images_and_text_files() -> None:
    url = Attachment("x", "", url="https://h/x")
    files = (Attachment("a.txt", "text/plain", b"one"), PNG, url)
    (message,) = body_of(Message("user", "hi", attachments=files))["messages"]
    assert message["content"] == [
        {"type": "text", "text": "a.txt:\none"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        {"type": "image_url", "image_url": {"url": "https://h/x"}},
        {"type": "text", "text": "hi"},
    ]


@pytest.mark.parametrize(
    ("chat", "what"),
    [
        ({"prefill": "Once"}, "beginning"),
        ({"tools": (TOOL,), "tool_choice": "look"}, "tool choice"),
    ],
)
def test_what_it_cannot_say_is_told_before(chat: dict[str, Any], what: str) -> None:
    with pytest.raises(StreamError, match=what) as raised:
        body_of(**chat)
    assert raised.value.kind == "usage"


@pytest.mark.parametrize(
    "attachment",
    [
        Attachment("a.pdf", "application/pdf", b"%PDF"),
        Attachment("a.wav", "audio/wav", b"RIFF"),
        Attachment("a.pdf", "application/pdf", url="https://h/a.pdf"),
        Attachment("a.txt", "text/plain", url="https://h/a.txt"),
    ],
)
def test_attachments_it_cannot_carry(attachment: Attachment) -> None:
    with pytest.raises(StreamError, match="cohere cannot carry"):
        body_of(Message("user", "hi", attachments=(attachment,)))


# What an answer says


def sse(*values: Any, names: bool = True) -> bytes:
    """Events as Cohere writes them; text is taken as the data itself."""
    lines = []
    for value in values:
        data = value if isinstance(value, str) else json.dumps(value)
        name = f"event: {value['type']}\n" if names and "type" in value else ""
        lines.append(f"{name}data: {data}\n\n")
    return "".join(lines).encode()


def events(*values: Any) -> list[Event]:
    """Events of these values, the same however the bytes are cut, and without their names."""
    found = decode(get(NAME).Decoder(), whole(sse(*values)))
    data = sse(*values, names=False)
    assert decode(get(NAME).Decoder(), whole(data)) == found
    for pieces in (bytewise(data), *some_two(data)):
        assert decode(get(NAME).Decoder(), pieces) == found
    return [event for event in found if not isinstance(event, Opaque | Progress)]


def said(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"type": kind, "delta": {"message": message}}
    return value if index is None else {**value, "index": index}


def text(text: str) -> dict[str, Any]:
    return said("content-delta", 0, content={"text": text})


def end(reason: str | None = "COMPLETE", **more: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, **more}}


START = {"id": "r1", "type": "message-start", "delta": {"message": {"role": "assistant"}}}
TOKENS = {"billed_units": {"input_tokens": 1}, "tokens": {"input_tokens": 5.0, "output_tokens": 2}}


def test_an_answer() -> None:
    assert events(
        START,
        said("content-start", 0, content={"type": "thinking", "thinking": ""}),
        said("content-delta", 0, content={"thinking": "Hmm"}),
        {"type": "content-end", "index": 0},
        said("content-start", 1, content={"type": "text", "text": "H"}),
        said("content-delta", 1, content={"text": "i"}),
        {"type": "debug", "prompt": "<|START|>"},
        end(usage={**TOKENS, "cached_tokens": 4}),
        "[DONE]",
        text("never read"),
    ) == [
        Started("", "r1"),
        Reasoning("Hmm"),
        Text("H"),
        Text("i"),
        Usage(5, 2, cache_read_tokens=4),
        Finished("stop", "COMPLETE", MARKED),
    ]


def test_billed_tokens_are_better_than_none() -> None:
    assert Usage(1) in events(text("Hi"), end(usage={"billed_units": {"input_tokens": 1}}))
    assert not any(isinstance(e, Usage) for e in events(text("Hi"), end(usage={})))


def test_tool_calls_come_whole() -> None:
    def call(kind: str, index: int, **call: Any) -> dict[str, Any]:
        return said(kind, index, tool_calls=call)

    assert events(
        START,
        said("tool-plan-delta", tool_plan="I will "),
        said("tool-plan-delta", tool_plan="look."),
        call("tool-call-start", 0, id="c1", function={"name": "look", "arguments": ""}),
        call("tool-call-delta", 0, function={"arguments": '{"q":'}),
        call("tool-call-delta", 0, function={"arguments": '"é"}'}),
        {"type": "tool-call-end", "index": 0},
        call("tool-call-start", 1, id="c2", function={"name": "now", "arguments": ""}),
        {"type": "tool-call-end", "index": 1},
        end("TOOL_CALL"),
    ) == [
        Started("", "r1"),
        Reasoning("I will "),
        Reasoning("look."),
        ToolCall("c1", "look", '{"q":"é"}'),
        ToolCall("c2", "now", "{}"),
        Finished("tool_calls", "TOOL_CALL", MARKED),
    ]


def test_citations() -> None:
    known = {"type": "document", "id": "d1", "document": {"title": "T", "url": "https://h/d"}}
    tool = {"type": "tool", "id": "look:0", "tool_output": {"url": "https://h/t"}}
    bare = {"type": "document", "id": "d3"}
    cited = {"start": 0, "end": 2, "text": "Hi", "sources": [known, tool, bare]}
    found = events(text("Hi"), said("citation-start", 0, citations=cited), end())
    assert [event for event in found if isinstance(event, Citation)] == [
        Citation("https://h/d", "T", 0, 2),
        Citation("https://h/t", "look:0", 0, 2),
        Citation("", "d3", 0, 2),
    ]


def test_a_whole_answer() -> None:
    message = {
        "role": "assistant",
        "tool_plan": "I will look.",
        "content": [{"type": "thinking", "thinking": "Hmm"}, {"type": "text", "text": "Hi"}],
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}],
        "citations": [{"start": 0, "end": 2, "sources": [{"type": "document", "id": "d"}]}],
    }
    answer = {"id": "r", "finish_reason": "COMPLETE", "message": message, "usage": TOKENS}
    data = json.dumps(answer, indent=1).encode()
    assert decode(get(NAME).Decoder(), whole(data)) == [
        Started("", "r"),
        Reasoning("I will look."),
        Reasoning("Hmm"),
        Opaque("cohere", {"type": "thinking", "thinking": "Hmm"}),
        Opaque("cohere", {"tool_plan": "I will look."}),
        Text("Hi"),
        Citation("", "d", 0, 2),
        ToolCall("c", "f", "{}"),
        Usage(5, 2),
        Finished("tool_calls", "COMPLETE", ("finish_reason", "eof")),
    ]


def older(kind: str, **more: Any) -> str:
    return json.dumps({"is_finished": kind == "stream-end", "event_type": kind, **more}) + "\n"


def test_what_v1_says_beyond_text() -> None:
    calls = [{"name": "look", "parameters": {"q": "x"}}, {"name": "now", "parameters": {}}]
    cited = [{"start": 0, "end": 2, "text": "Hi", "document_ids": ["d1", "d2"]}]
    lines = (
        older("stream-start", generation_id="g"),
        older("tool-calls-chunk", text="I will look."),
        older("tool-calls-chunk", tool_call_delta={"name": "look", "index": 0}),
        older("tool-calls-generation", text="I will look.", tool_calls=calls),
        older("text-generation", text="Hi"),
        older("citation-generation", citations=cited),
        older("search-results", search_results=[]),
        older("stream-end", finish_reason="COMPLETE", response={"text": "Hi", "meta": TOKENS}),
    )
    data = "".join(lines).encode()
    found = decode(get(NAME).Decoder(), whole(data))
    assert [event for event in found if not isinstance(event, Progress)] == [
        Started("", "g"),
        Reasoning("I will look."),
        ToolCall("call_0", "look", '{"q":"x"}'),
        ToolCall("call_1", "now", "{}"),
        Text("Hi"),
        Citation("", "d1", 0, 2),
        Citation("", "d2", 0, 2),
        Usage(5, 2),
        Finished("stop", "COMPLETE", MARKED),
    ]
    for pieces in (bytewise(data), *some_two(data)):
        assert decode(get(NAME).Decoder(), pieces) == found


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("ERROR_LIMIT", "length"),
        ("ERROR_TOXIC", "content_filter"),
        ("SOMETHING_NEW", "other"),
    ],
)
def test_reasons(word: str, reason: str) -> None:
    assert events(text("Hi"), end(word))[-1] == Finished(reason, word, MARKED)
    lines = older("text-generation", text="Hi") + older("stream-end", finish_reason=word)
    *_, ended = decode(get(NAME).Decoder(), whole(lines.encode()))
    assert ended == Finished(reason, word, MARKED)


def test_a_marker_without_a_reason() -> None:
    for reason in (None, ""):
        assert events(text("Hi"), end(reason))[-1] == Finished(None, None, ("marker",))


@pytest.mark.parametrize(("word", "again"), [("ERROR", False), ("TIMEOUT", True)])
def test_reasons_that_are_failures(word: str, again: bool) -> None:
    kept, failed = events(text("Hi"), end(word))
    assert kept == Text("Hi")
    assert isinstance(failed, Failed)
    assert (failed.status, failed.transient, word in failed.message) == ("provider", again, True)
    assert (failed.raw, failed.evidence) == (word, MARKED)
    lines = older("text-generation", text="Hi") + older("stream-end", finish_reason=word)
    *_, ended = decode(get(NAME).Decoder(), whole(lines.encode()))
    assert ended == failed


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (end("ERROR", error="the model is overloaded"), "overloaded"),
        (end("COMPLETE", error="it broke", error_type="INVALID"), "stream_error"),
        ({"message": "internal server error"}, "stream_error"),
        ({"type": "error", "message": "rate limit exceeded"}, "rate_limit"),
        ({"id": "r", "error": {"message": "no"}}, "stream_error"),
    ],
)
def test_an_error_wins(value: dict[str, Any], kind: str) -> None:
    kept, failed = events(text("Hi"), value, end())
    assert kept == Text("Hi")
    assert isinstance(failed, Failed)
    assert failed.kind == kind


def test_done_is_no_end() -> None:
    """It comes after the end; a stream that has it alone was cut by somebody between."""
    *_, failed = events(START, text("Hi"), "[DONE]")
    assert isinstance(failed, Failed)
    assert failed.kind == "truncated"


def test_an_emoji_cut_in_two() -> None:
    found = events(text("a\ud83d"), text("\ude00b"), end())
    assert found[:2] == [Text("a"), Text("\U0001f600b")]
    *_, call, _ = events(
        said("tool-call-start", 0, tool_calls={"id": "\ud83d", "function": {"name": "\ud83d"}}),
        end("TOOL_CALL"),
    )
    assert call == ToolCall("\ufffd", "\ufffd", "{}")


def test_runs_of_deltas_are_the_same_as_each_by_itself() -> None:
    """A read of many like events is decoded together; one that says more is not among them."""
    values = [text(word) for word in ('"', "\\", "", "\n", "data: ", " é", "event: content-delta")]
    values = [START, *values, *values, said("content-delta", 0, content={"thinking": "x"})]
    values += [*values[1:], {**text("y"), "logprobs": {"text": "y"}}, text("z"), end()]
    data = sse(*values)
    singly = decode(get(NAME).Decoder(), bytewise(data))
    assert decode(get(NAME).Decoder(), whole(data)) == singly
    half = len(data) // 2
    assert merged(decode(get(NAME).Decoder(), [data[:half], data[half:]])) == merged(singly)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"models":[]}', "not_a_stream"),
        (b"<html>login</html>", "not_a_stream"),
        (b"", "not_a_stream"),
        (b'data: {"type":"content-delta","delta":nonsense}\n\n', "bad_json"),
        (b'{"message":"invalid api token"}', "stream_error"),
    ],
)
def test_what_is_no_answer(body: bytes, kind: str) -> None:
    (failed,) = decode(get(NAME).Decoder(), whole(body))
    assert isinstance(failed, Failed)
    assert failed.kind == kind


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (
            429,
            "You are using a Trial key, which is limited to 40 API calls / minute.",
            "rate_limit",
        ),
        (429, "You are using a Trial key, which is limited to 1000 API calls / month.", "quota"),
        (402, "Please add or update your payment method at https://h to continue", "quota"),
        (400, "invalid request: message must be at least 1 token long", "rejected"),
        (500, "", "server_error"),
    ],
)
def test_refusals(status: int, message: str, kind: str) -> None:
    failed = get(NAME).refusal(status, {}, json.dumps({"message": message}).encode())
    assert failed.kind == kind
    assert message in failed.message
    assert failed.transient == (kind in ("rate_limit", "server_error"))


def test_a_wrong_path() -> None:
    failed = get(NAME).refusal(404, {}, b"404 page not found")
    assert "https://api.cohere.com" in failed.hint


@pytest.mark.parametrize(
    "data",
    [
        sse(START, text("Hi"), end()),
        sse(text("Hi"), end(), names=False),
        (older("stream-start") + older("text-generation", text="Hi")).encode(),
        b'{"id":"r","finish_reason":"COMPLETE","message":{"content":[{"text":"Hi"}]}}',
    ],
)
def test_it_is_recognised(data: bytes) -> None:
    for pieces in (whole(data), bytewise(data)):
        auto = AutoDecoder()
        assert merged(decode(auto, pieces)) == merged(decode(get(NAME).Decoder(), whole(data)))
        assert auto.name == NAME


# The row, by the real command


def test_asked_by_the_command(server: FaultServer, stream: Stream) -> None:
    def play(conn: Conn) -> None:
        conn.head()
        conn.chunk(sse(START, text("Hi"), end(usage=TOKENS)))
        conn.end()

    url = server.script("co", play)
    for variable in ("CO_API_KEY", "COHERE_API_KEY"):
        env = {variable: KEY, "CO_API_URL": url}
        run = stream("-m", "cohere:command-a", "--json", "hi", env=env)
        (record,) = run.records
        assert (run.returncode, record["text"], record["response_id"]) == (0, "Hi", "r1")
        request = server.requests[-1]
        assert request.path.endswith("/v2/chat")
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.json["model"] == "command-a"
    assert stream("-m", "cohere:m", "hi").returncode == 67


def test_models_are_listed_all(server: FaultServer, stream: Stream) -> None:
    def play(conn: Conn) -> None:
        listed = [{"name": "command-a-03-2025", "endpoints": ["chat"]}, {"name": "c2"}]
        conn.reply(200, {"models": listed, "next_page_token": ""})

    url = server.script("models", play)
    for base in (url, f"{url}/v1", f"{url}/v2/chat"):
        args = ("--list-models", "-p", "cohere", "--base-url", base)
        run = stream(*args, env={"CO_API_KEY": KEY})
        assert (run.returncode, run.text) == (0, "command-a-03-2025\nc2\n")
        assert server.requests[-1].path.endswith("/v1/models?endpoint=chat&page_size=1000")
    assert models_url(NAME, "https://h/v1?k=v").startswith("https://h/v1/models?k=v&")
