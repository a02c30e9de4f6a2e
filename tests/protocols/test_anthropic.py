"""Anthropic's Messages: every recording, errors, requests, and quirks written by hand."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from amend import amended
from recordings import check_error_body, check_recording, error_bodies, name_of, recordings
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
    Refusal,
    Started,
    Text,
    ToolCall,
    Usage,
)
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols._contract import get
from streamcli.request import Target

NAME = "anthropic"

# The script behind the expected values reads these to their end, but they are several answers one
# after another: ours is over with the first.
SEVERAL = {
    "anthropic--ai--anthropic-programmatic-tool-calling-1-chunks--0-be11e7",
    "anthropic--ai--anthropic-tool-search-bm25-1-chunks--0-a69151",
    "anthropic--ai--anthropic-tool-search-deferred-bm25-chunks--0-887c82",
    "anthropic--ai--anthropic-tool-search-deferred-regex-chunks--0-002403",
    "anthropic--ai--anthropic-tool-search-regex-1-chunks--0-cdaf96",
}
# It joins the pieces of a tool's input; where there is none, the input is {}.
NO_INPUT = {"anthropic--llm-anthropic--test-fixed-version-tool-chain-regression--0-1c0205"}
# It does not read why the API refused.
REFUSED = {
    "anthropic--ai--anthropic-refusal-chunks--0-4e0ec9": "This request triggered restrictions on "
    "violative cyber content and was blocked under Anthropic's Usage Policy."
}


def usage(raw: dict[str, Any]) -> Usage:
    return Usage(
        input_tokens=raw.get("input_tokens"),
        output_tokens=raw.get("output_tokens"),
        reasoning_tokens=raw.get("output_tokens_details", {}).get("thinking_tokens"),
        cache_read_tokens=raw.get("cache_read_input_tokens"),
        cache_write_tokens=raw.get("cache_creation_input_tokens"),
    )


def first_answer(body: bytes) -> dict[str, Any]:
    """What the first of several messages says, read by hand."""
    answer: dict[str, Any] = {"text": "", "reasoning": "", "usage": {}, "tool_calls": []}
    for payload in re.findall(rb"^data: (.*)$", body, re.MULTILINE):
        match json.loads(payload):
            case {"type": "message_start", "message": {"usage": counts}}:
                answer["usage"] |= counts
            case {"delta": {"type": "text_delta", "text": text}}:
                answer["text"] += text
            case {"content_block": {"type": "tool_use", "id": id, "name": name, "input": given}}:
                arguments = json.dumps(given, separators=(",", ":")) if given else ""
                answer["tool_calls"].append({"id": id, "name": name, "arguments": arguments})
                in_tool = True
            case {"content_block": _}:
                in_tool = False
            case {"delta": {"type": "input_json_delta", "partial_json": piece}} if in_tool:
                answer["tool_calls"][-1]["arguments"] += piece
            case {"delta": {"stop_reason": reason}, "usage": counts}:
                answer["finish_reason"] = reason
                answer["usage"] |= counts
            case {"type": "message_stop"}:
                break
    return answer


def change_of(name: str) -> Any:
    def change(expected: dict[str, Any], body: bytes) -> None:
        if name in SEVERAL:
            assert body.count(b'"message_stop"}') > 1
            expected |= first_answer(body)
        if name in NO_INPUT:
            assert expected["tool_calls"][0]["arguments"] == ""
            expected["tool_calls"][0]["arguments"] = "{}"
        if name in REFUSED:
            expected["refusal"] = REFUSED[name]

    return change


@pytest.mark.parametrize("path", recordings(NAME))
def test_recording(path: Path, tmp_path: Path) -> None:
    path = amended(path, tmp_path, change_of(name_of(path)))
    *_, end = check_recording(NAME, path, usage)
    expected = json.loads(path.read_text())["expected"]
    if isinstance(end, Failed):
        if expected["error"]:
            assert expected["error"]["message"] in end.message
        return
    assert isinstance(end, Finished)
    assert end.evidence == ("finish_reason", "marker")


@pytest.mark.parametrize("path", recordings(NAME))
def test_a_cut_recording_is_never_complete(path: Path) -> None:
    """Cut before the first stop reason, an answer is never taken for whole."""
    meta = json.loads(path.read_text())
    data = (path.parent / meta["file"]).read_bytes()
    mark = re.search(rb'"stop_reason": ?"|"message_stop"', data)
    first = mark.start() if mark else len(data)
    for part in (1, 2, 3):
        *_, end = decode(get(NAME).Decoder(), whole(data[: first * part // 4]))
        assert isinstance(end, Failed), end


@pytest.mark.parametrize("path", error_bodies(NAME))
def test_error_body(path: Path) -> None:
    check_error_body(path)


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected", "transient"),
    [
        (400, "invalid_request_error", "Your credit balance is too low", "quota", False),
        (402, "billing_error", "There is an issue with billing", "quota", False),
        (403, "permission_error", "not allowed", "auth", False),
        (413, "request_too_large", "Request exceeds the maximum size", "rejected", False),
        (429, "rate_limit_error", "Too many tokens", "rate_limit", True),
        (500, "api_error", "Internal server error", "server_error", True),
        (529, "overloaded_error", "Overloaded", "server_error", True),
    ],
)
def test_refusal(status: int, kind: str, message: str, expected: str, transient: bool) -> None:
    error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}
    failed = get(NAME).refusal(status, {"retry-after": "7"}, json.dumps(error).encode())
    assert (failed.kind, failed.transient) == (expected, transient)
    assert (failed.http_status, failed.retry_after) == (status, 7.0)
    assert message in failed.message


# Requests


def asked(chat: ChatRequest, **target: Any) -> dict[str, Any]:
    request = get(NAME).request(chat, Target("p", NAME, "http://a", **target))
    assert request.method == "POST"
    body: dict[str, Any] = json.loads(request.body)
    return body


def plain(model: str = "claude-sonnet-4-5", **more: Any) -> ChatRequest:
    return ChatRequest(model, more.pop("messages", [Message("user", "hi")]), **more)


def attached(*attachments: Attachment) -> ChatRequest:
    return plain(messages=[Message("user", "see", attachments=attachments)])


def test_the_plainest_request() -> None:
    target = Target("p", NAME, "http://a", key="k", headers=(("X", "y"),), unix_socket="/s")
    request = get(NAME).request(plain(), target)
    assert json.loads(request.body) == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 32000,
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
    }
    assert request.headers == [
        ("Content-Type", "application/json"),
        ("anthropic-version", "2023-06-01"),
        ("x-api-key", "k"),
        ("X", "y"),
    ]
    assert request.unix_socket == "/s"


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1", "https://api.anthropic.com/v1/messages"),
        ("http://h:1/v1/messages", "http://h:1/v1/messages"),
        ("http://h:1/v1/messages/", "http://h:1/v1/messages"),
        ("http://h:1/anthropic", "http://h:1/anthropic/v1/messages"),
        ("http://h:1/api/v2?beta=true", "http://h:1/api/v2/messages?beta=true"),
    ],
)
def test_url(base: str, url: str) -> None:
    assert get(NAME).request(plain(), Target("p", NAME, base)).url == url


def test_the_key_in_another_header_and_another_version() -> None:
    def headers(**target: Any) -> list[tuple[str, str]]:
        request = get(NAME).request(plain(), Target("p", NAME, "http://a", **target))
        return request.headers[1:]

    version = ("anthropic-version", "2023-06-01")
    assert headers() == [version]
    assert headers(key="k", quirks={"key_header": "api-key"}) == [version, ("api-key", "k")]
    bearer = [version, ("Authorization", "Bearer k")]
    assert headers(key="k", quirks={"key_header": "Authorization"}) == bearer
    own = ("Anthropic-Version", "2030-01-01")
    assert headers(headers=(own,)) == [own]


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({"system": "s"}, {"system": "s"}),
        ({"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"stop": ("a", "b")}, {"stop_sequences": ["a", "b"]}),
        ({"stream": False}, {"stream": False}),
        ({"options": {"top_k": 4, "max_tokens": 9}}, {"top_k": 4, "max_tokens": 9}),
        (
            {"schema": {"type": "object"}},
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        ),
        (
            {"tools": (Tool("f", "does", {"type": "object", "properties": {}}), Tool("g", "", {}))},
            {
                "tools": [
                    {
                        "name": "f",
                        "description": "does",
                        "input_schema": {"type": "object", "properties": {}},
                    },
                    {"name": "g", "description": "", "input_schema": {"type": "object"}},
                ]
            },
        ),
        ({"tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
        ({"tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        ({"tool_choice": "f"}, {"tool_choice": {"type": "tool", "name": "f"}}),
        (
            {"prefill": "{"},
            {
                "messages": [
                    {"role": "user", "content": "hi"},
                    {"role": "assistant", "content": "{"},
                ]
            },
        ),
        ({"prefill": ""}, {}),
    ],
)
def test_each_field(more: dict[str, Any], fields: dict[str, Any]) -> None:
    assert asked(plain(**more)) == {**asked(plain()), **fields}


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-3-opus-20240229", 4096),
        ("claude-2.1", 4096),
        ("claude-3-5-sonnet-20241022", 8192),
        ("claude-3-7-sonnet-latest", 32000),
        ("claude-opus-4-20250514", 32000),
        ("us.anthropic.claude-opus-4-6-v1", 32000),
        ("claude-fable-5", 32000),
        ("claude-mythos-preview", 32000),
        ("smollm2", 4096),
        ("deepseek-chat", 4096),
    ],
)
def test_how_much_is_allowed_when_nothing_is_said(model: str, most: int) -> None:
    assert asked(plain(model))["max_tokens"] == most
    assert asked(plain(model), quirks={"default_max_tokens": 77})["max_tokens"] == 77


@pytest.mark.parametrize(
    ("model", "more", "fields"),
    [
        ("claude-opus-4-1", {"think": "low"}, (2048, 32000)),
        ("claude-haiku-4-5", {"think": "medium"}, (8192, 32000)),
        ("claude-3-7-sonnet-latest", {"think": "high"}, (16384, 32000)),
        ("claude-sonnet-4@20250514", {"think": "max"}, (24576, 32000)),
        ("qwen3", {"think": "medium"}, (8192, 12288)),
        ("qwen3", {"think": "medium", "max_tokens": 5000}, (2500, 5000)),
        ("qwen3", {"think": "low", "max_tokens": 2048}, (1024, 2048)),
    ],
)
def test_thinking_by_a_budget(model: str, more: Any, fields: tuple[int, int]) -> None:
    budget, most = fields
    body = asked(plain(model, **more))
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert body["max_tokens"] == most
    assert budget < most


@pytest.mark.parametrize(
    "model", ["claude-opus-4-6", "claude-sonnet-4.6", "claude-fable-5", "claude-mythos-preview"]
)
def test_thinking_by_an_effort(model: str) -> None:
    body = asked(plain(model, think="max", schema={}))
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"]["effort"] == "max"
    assert body["output_config"]["format"]["type"] == "json_schema"
    hidden = asked(plain(model, think="low", hide_reasoning=True))
    assert hidden["thinking"] == {"type": "adaptive", "display": "omitted"}


@pytest.mark.parametrize("model", ["claude-opus-4-7", "claude-3-7-sonnet-latest", "m"])
def test_thinking_switched_off(model: str) -> None:
    assert asked(plain(model, think="none"))["thinking"] == {"type": "disabled"}


def test_a_conversation_with_tools() -> None:
    """Results of one round go into one message, and before what the user says."""
    image = Attachment("a.png", "image/png", b"P")
    calls = (("1", "f", '{"a":1}'), ("2", "g", ""), ("3", "h", '{"a":'))
    chat = plain(
        messages=[
            Message("user", "q"),
            Message("assistant", "let me see", tool_calls=calls),
            Message("tool", "one", call_id="1", name="f"),
            Message("tool", "no", call_id="2", name="g", is_error=True),
            Message("tool", "three", call_id="3", name="h", attachments=(image,)),
            Message("user", "and?"),
            Message("assistant", "", tool_calls=(("4", "f", "[]"),)),
            Message("tool", "four", call_id="4", name="f"),
            Message("assistant", "done"),
            Message("user", "thanks"),
        ]
    )
    source = {"type": "base64", "media_type": "image/png", "data": "UA=="}
    assert asked(chat)["messages"] == [
        {"role": "user", "content": "q"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "let me see"},
                {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "2", "name": "g", "input": {}},
                {"type": "tool_use", "id": "3", "name": "h", "input": {"INVALID_JSON": '{"a":'}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "2", "content": "no", "is_error": True},
                {
                    "type": "tool_result",
                    "tool_use_id": "3",
                    "content": [
                        {"type": "image", "source": source},
                        {"type": "text", "text": "three"},
                    ],
                },
                {"type": "text", "text": "and?"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "4", "name": "f", "input": {"INVALID_JSON": "[]"}}
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "4", "content": "four"}],
        },
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "thanks"},
    ]


PDF = base64.b64encode(b"%PDF-1.7").decode()


@pytest.mark.parametrize(
    ("attachment", "block"),
    [
        (
            Attachment("a.png", "image/png", b"\x89P"),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVA="},
            },
        ),
        (
            Attachment("a.pdf", "application/pdf", b"%PDF-1.7"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
            },
        ),
        (
            Attachment("a.md", "text/markdown", "é".encode()),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "é"},
                "title": "a.md",
            },
        ),
        (
            Attachment("b", "image/jpeg", url="http://b"),
            {"type": "image", "source": {"type": "url", "url": "http://b"}},
        ),
        (
            Attachment("b", "", url="http://b"),
            {"type": "image", "source": {"type": "url", "url": "http://b"}},
        ),
        (
            Attachment("b.pdf", "application/pdf", url="http://b.pdf"),
            {
                "type": "document",
                "source": {"type": "url", "url": "http://b.pdf"},
                "title": "b.pdf",
            },
        ),
    ],
)
def test_attachment(attachment: Attachment, block: dict[str, Any]) -> None:
    (message,) = asked(attached(attachment))["messages"]
    assert message == {"role": "user", "content": [block, {"type": "text", "text": "see"}]}


@pytest.mark.parametrize(
    ("chat", "what"),
    [
        (plain(seed=1), "seed"),
        (plain(frequency_penalty=0.5), "frequency"),
        (plain(presence_penalty=0.5), "presence"),
        (plain(think="low", max_tokens=2047), "no room to think"),
        (attached(Attachment("a.wav", "audio/wav", b"RIFF")), "a.wav"),
        (attached(Attachment("a.bmp", "image/bmp", b"BM")), "a.bmp"),
        (attached(Attachment("a.zip", "application/zip", b"PK")), "a.zip"),
        (attached(Attachment("a.mp3", "audio/mpeg", url="http://a.mp3")), "audio/mpeg"),
        (attached(Attachment("a.txt", "text/plain", url="http://a.txt")), "text/plain"),
    ],
)
def test_what_it_cannot_say_is_told_before_anything_is_sent(chat: ChatRequest, what: str) -> None:
    with pytest.raises(StreamError, match=re.escape(what)) as told:
        asked(chat)
    assert told.value.kind == "usage"


# Quirks, written by hand


def sse(*values: dict[str, Any] | str, names: bool = True) -> bytes:
    out = b""
    for value in values:
        name = json.loads(value)["type"] if isinstance(value, str) else value["type"]
        data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        out += f"event: {name}\n".encode() * names + f"data: {data}\n\n".encode()
    return out


START = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "m", "content": [], "usage": {"input_tokens": 9}},
}
END: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
STOP = {"type": "message_stop"}


def block(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def text(text: str, index: int = 0) -> dict[str, Any]:
    return delta(index, type="text_delta", text=text)


def piece(text: str, index: int) -> dict[str, Any]:
    return delta(index, type="input_json_delta", partial_json=text)


def told(data: bytes) -> list[Event]:
    """What the bytes say at many cuts, without the events that only clocks care for."""
    events = merged(decode(get(NAME).Decoder(), whole(data)))
    for pieces in (bytewise(data), *some_two(data)):
        assert merged(decode(get(NAME).Decoder(), pieces)) == events
    return [event for event in events if not isinstance(event, Opaque | Progress | Started | Usage)]


DONE = Finished("stop", "end_turn", ("finish_reason", "marker"))


def test_events_without_names() -> None:
    """Proxies that strip them exist."""
    data = sse(START, block(0, type="text", text="A"), text("b"), END, STOP, names=False)
    assert told(data) == [Text("Ab"), DONE]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_padding_and_line_ends(line_end: str) -> None:
    padded = [
        json.dumps(text(f"{number} }} \u2028"), ensure_ascii=False)[:-1] + " " * number + "}"
        for number in range(9)
    ]
    data = sse(START, *padded, END, STOP).replace(b"\n", line_end.encode())
    assert told(data) == [Text("".join(f"{number} }} \u2028" for number in range(9))), DONE]


def test_a_message_read_in_large_blocks() -> None:
    """Runs of like events take another road; names, paddings and blocks of other kinds between."""
    words = [f" {number} \"'\\\n é🙂" for number in range(900)]
    values: list[dict[str, Any] | str] = [START]
    for number, word in enumerate(words):
        value = json.dumps(text(word, number // 300))
        values.append(value[:-1] + " " * (number % 7) + "}")
        if number % 250 == 0:
            values += ['{"type": "ping"}', delta(0, type="thinking_delta", thinking="hm")]
    data = sse(*values, END, STOP)
    for size in (1000, 4096, 16384):
        decoder = get(NAME).Decoder()
        cut = [data[at : at + size] for at in range(0, len(data), size)]
        events = decode(decoder, cut)
        assert "".join(e.text for e in events if isinstance(e, Text)) == "".join(words)
        assert "".join(e.text for e in events if isinstance(e, Reasoning)) == "hm" * 4
        assert events[-1] == DONE


def test_a_block_begins_before_the_last_one_stops() -> None:
    """llama.cpp does that."""
    data = sse(
        START,
        block(0, type="tool_use", id="a", name="f"),
        piece('{"x":', 0),
        block(1, type="tool_use", id="b", name="g"),
        piece("1}", 0),
        {"type": "content_block_stop", "index": 0},
        piece('{"y":2}', 1),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        STOP,
    )
    assert told(data) == [
        ToolCall("a", "f", '{"x":1}'),
        ToolCall("b", "g", '{"y":2}'),
        Finished("tool_calls", "tool_use", ("finish_reason", "marker")),
    ]


def test_two_calls_that_share_an_index_and_one_without_an_id() -> None:
    data = sse(
        START,
        block(0, type="tool_use", id="a", name="f", input={}),
        piece("", 0),
        block(0, type="tool_use", name="g", input={"deep": ["é"]}),
        END,
        STOP,
    )
    assert told(data) == [
        ToolCall("a", "f", "{}"),
        ToolCall("call_1", "g", '{"deep":["é"]}'),
        Finished("tool_calls", "end_turn", ("finish_reason", "marker")),
    ]


def test_what_the_server_runs_itself_is_no_tool_call() -> None:
    data = sse(
        START,
        block(0, type="server_tool_use", id="s", name="web_search", input={}),
        piece('{"query":"x"}', 0),
        block(1, type="web_search_tool_result", tool_use_id="s", content=[{"text": "no"}]),
        block(2, type="mcp_tool_use", id="t", name="echo", input={}),
        piece("{}", 2),
        block(3, type="mcp_tool_result", content=[{"type": "text", "text": "no"}]),
        block(4, type="redacted_thinking", data="x"),
        block(5, type="compaction", content=None),
        delta(5, type="compaction_delta", content="no"),
        block(6, type="text", text=""),
        text("yes", 6),
        END,
        STOP,
    )
    assert told(data) == [Text("yes"), DONE]


def test_thinking_without_its_signature() -> None:
    data = sse(
        START,
        block(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="EqQB"),
        text("4", 1),
        END,
        STOP,
    )
    assert told(data) == [Reasoning("hm"), Text("4"), DONE]


def test_citations() -> None:
    page = {"type": "page_location", "document_title": "d", "start_page_number": 1}
    found = {"type": "web_search_result_location", "url": "http://u", "title": "t"}
    result = {"type": "search_result_location", "source": "http://s", "title": None}
    data = sse(
        START,
        block(0, type="text", text="", citations=[page]),
        delta(0, type="citations_delta", citation=found),
        text("a"),
        delta(0, type="citations_delta", citation=result),
        delta(0, type="citations_delta", citation={"type": "yet_to_come"}),
        END,
        STOP,
    )
    cited = [Citation("", "d"), Citation("http://u", "t"), Text("a"), Citation("http://s")]
    assert told(data) == [*cited, DONE]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "refusal"),
        ("stop", "stop"),
        ("length", "length"),
    ],
)
def test_stop_reason(raw: str, reason: str) -> None:
    end = {"type": "message_delta", "delta": {"stop_reason": raw}}
    assert told(sse(START, text("a"), end, STOP))[-1] == Finished(
        reason, raw, ("finish_reason", "marker")
    )
    assert told(sse(START, text("a"), end))[-1] == Finished(reason, raw, ("finish_reason", "eof"))


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    end = {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}}
    refused = Finished("refusal", "refusal", ("finish_reason", "marker"))
    assert told(sse(START, end, STOP)) == [Refusal("No."), refused]


def test_usage_grows_and_null_changes_nothing() -> None:
    start = {"input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 1}
    end = {"output_tokens": 7, "input_tokens": None, "output_tokens_details": {}}
    more = {"input_tokens": 400, "output_tokens_details": {"thinking_tokens": 2}}
    data = sse(
        {"type": "message_start", "message": {"usage": start}},
        {**END, "usage": end},
        {**END, "usage": more},
        {**END, "usage": "odd"},
        STOP,
    )
    counts = [e for e in decode(get(NAME).Decoder(), whole(data)) if isinstance(e, Usage)]
    assert counts == [
        Usage(9, 1, None, 3),
        Usage(9, 7, None, 3),
        Usage(400, 7, 2, 3),
    ]


def test_who_answers() -> None:
    other = block(0, type="fallback", **{"from": {"model": "m"}, "to": {"model": "n"}})
    data = sse(START, START, other, text("a"), END, STOP)
    started = [e for e in decode(get(NAME).Decoder(), whole(data)) if isinstance(e, Started)]
    assert started == [Started("m", "msg_1"), Started("n", "msg_1")]


def test_a_message_that_begins_anew_forgets_its_calls() -> None:
    data = sse(
        START,
        block(0, type="tool_use", id="a", name="f", input={}),
        piece('{"x', 0),
        {"type": "message_start", "message": {"id": "msg_2", "model": "m"}},
        text("b"),
        END,
        STOP,
    )
    assert told(data) == [Text("b"), DONE]


@pytest.mark.parametrize(
    "error", [{"type": "overloaded_error", "message": "Overloaded"}, "Overloaded"]
)
def test_an_error_instead_of_an_answer_and_in_the_middle(error: Any) -> None:
    trouble = {"type": "error", "error": error}
    failed = Failed("overloaded", "Overloaded", transient=True)
    assert told(sse(trouble)) == [failed]
    assert told(sse(START, text("a"), trouble, STOP)) == [Text("a"), failed]


def test_an_error_by_its_name_alone() -> None:
    assert told(b'event: error\ndata: "it broke"\n\n') == [Failed("stream_error", "it broke")]
    (failed,) = told(b'event: error\ndata: {"detail":"it broke"}\n\n')
    assert failed == Failed("stream_error", "it broke")


def test_an_error_after_the_stop_reason_wins() -> None:
    *_, end = told(sse(START, text("a"), END, {"type": "error", "error": {"message": "late"}}))
    assert end == Failed("stream_error", "late", evidence=("finish_reason",))


def test_a_marker_without_a_reason_is_an_end_and_a_cut_is_none() -> None:
    assert told(sse(START, text("a"), STOP)) == [Text("a"), Finished(None, None, ("marker",))]
    for cut in (sse(START), sse(START, text("a")), sse({"type": "ping"})):
        *_, end = told(cut)
        assert isinstance(end, Failed)
        assert end.status == "truncated"


def test_types_yet_to_come() -> None:
    later: list[dict[str, Any]] = [
        {"type": "message_spin", "text": "no"},
        block(0, type="hologram", text="no"),
        delta(0, type="hologram_delta", text="no"),
    ]
    assert told(sse(START, *later, text("a"), END, STOP)) == [Text("a"), DONE]


def test_a_ping_is_no_progress_and_all_else_is() -> None:
    decoder = get(NAME).Decoder()
    assert decoder.feed(sse(START))
    assert decoder.feed(sse({"type": "ping"})) == []
    assert decoder.feed(b": keep-alive\n\n") == []
    for value in (block(0, type="tool_use", id="a"), piece("{", 0), block(1, type="text")):
        assert decoder.feed(sse(value)) == [Progress()]
    assert not decoder.ending
    decoder.feed(sse(text("a"), END))
    assert decoder.ending
    decoder.feed(sse(STOP))
    assert decoder.ended


def test_a_whole_message() -> None:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "Hi", "citations": None},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": [1, 2]}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    for indent in (None, 1):
        data = json.dumps(message, indent=indent).encode()
        assert decode(get(NAME).Decoder(), whole(data)) == [
            Started("m", "msg_1"),
            Reasoning("hm"),
            Opaque("anthropic", message["content"][0]),  # type: ignore[index]
            Text("Hi"),
            ToolCall("a", "f", '{"x":[1,2]}'),
            Usage(3, 4),
            Finished("tool_calls", "tool_use", ("finish_reason", "eof")),
        ]
        assert told(data)[-1].evidence == ("finish_reason", "eof")  # type: ignore[attr-defined]


def test_input_that_only_a_lenient_reader_takes() -> None:
    """Lone surrogates and integers beyond 64 bits; one nested beyond reason is no call.

    What is beyond reason differs from one Python to the next.
    """
    data = sse(
        START,
        '{"type":"content_block_start","content_block":{"type":"tool_use","id":"a",'
        '"name":"f","input":{"s":"\\ud83d","n":100000000000000000000}}}',
        END,
        STOP,
    )
    *_, call, _ = told(data)
    assert call == ToolCall("a", "f", '{"s":"\ufffd","n":100000000000000000000}')
    call = (
        b'{"type":"content_block_start","content_block":{"type":"tool_use","name":"f","input":{"a":'
    )
    for depth in (1000, 3000, 9000, 60_000):
        nested = "[" * depth + "]" * depth
        deep = b"data: " + call + nested.encode() + b"}}}\n\n"
        *events, end = decode(get(NAME).Decoder(), whole(sse(START) + deep + sse(END, STOP)))
        if depth < 60_000 and isinstance(end, Finished):
            assert ToolCall("call_0", "f", f'{{"a":{nested}}}') in events
        else:
            assert isinstance(end, Failed)
            assert end.kind == "bad_json"


def test_an_event_beyond_the_limit() -> None:
    decoder = get(NAME).Decoder(limit=1000)
    *_, end = decode(decoder, bytewise(sse(START, text("x" * 2000), END, STOP)))
    assert isinstance(end, Failed)
    assert end.kind == "too_large"
