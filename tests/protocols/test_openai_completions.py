"""Legacy Completions: every recording of every server, what requests look like, odd streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recordings import check_recording, recordings
from splits import bytewise, decode, sampled, whole

from streamcli.errors import StreamError
from streamcli.events import Event, Failed, Finished, Started, Text, Usage
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols.openai_completions import Decoder, refusal, request
from streamcli.request import Target

NAME = "openai-completions"


def usage(raw: dict[str, Any]) -> Usage:
    cached = (raw.get("prompt_tokens_details") or {}).get("cached_tokens", raw.get("cached_tokens"))
    return Usage(
        input_tokens=raw["prompt_tokens"],
        output_tokens=raw["completion_tokens"],
        cache_read_tokens=cached,
        total_tokens=raw["total_tokens"],
    )


@pytest.mark.parametrize("path", recordings(NAME))
def test_recording(path: Path) -> None:
    *_, end = check_recording(NAME, path, usage)
    expected = json.loads(path.read_text())["expected"]
    if isinstance(end, Finished):
        assert end.reason == expected["finish_reason"]
        assert end.evidence == ("finish_reason", "marker")


@pytest.mark.parametrize("path", recordings(NAME))
def test_a_cut_recording_is_never_complete(path: Path) -> None:
    meta = json.loads(path.read_text())
    data = (path.parent / meta["file"]).read_bytes()
    marks = [data.find(mark) for mark in (b'"finish_reason":"', b'"finish_reason": "', b"[DONE]")]
    first = min((mark for mark in marks if mark >= 0), default=len(data))
    for cut in (first // 3, first // 2, first):
        *_, end = decode(Decoder(), whole(data[:cut]))
        assert isinstance(end, Failed)
        assert end.status == "truncated"


# Requests


def ask(
    *messages: Message, quirks: dict[str, Any] | None = None, key: str | None = None, **options: Any
) -> Any:
    chat = ChatRequest("m", list(messages) or [Message("user", "Once")], **options)
    return request(chat, Target("p", NAME, "http://127.0.0.1:1/v1/", quirks=quirks, key=key))


def test_a_plain_request() -> None:
    sent = ask(key="k")
    assert (sent.method, sent.url) == ("POST", "http://127.0.0.1:1/v1/completions")
    assert sent.headers == [("Content-Type", "application/json"), ("Authorization", "Bearer k")]
    assert json.loads(sent.body) == {"model": "m", "prompt": "Once", "stream": True}


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}),
        ({"max_tokens": 7, "stop": ("\n", "Q:")}, {"max_tokens": 7, "stop": ["\n", "Q:"]}),
        ({"seed": 0}, {"seed": 0}),
        (
            {"frequency_penalty": 0.5, "presence_penalty": -1.0},
            {"frequency_penalty": 0.5, "presence_penalty": -1.0},
        ),
        ({"stream": False}, {"stream": False}),
        ({"prefill": " upon a"}, {"prompt": "Once upon a"}),
        ({"options": {"suffix": "end", "echo": False}}, {"suffix": "end", "echo": False}),
        (
            {"quirks": {"stream_options": {"include_usage": True}}},
            {"stream_options": {"include_usage": True}},
        ),
        ({"quirks": {"stream_options": {"a": 1}}, "stream": False}, {"stream": False}),
        # The name is another protocol's: this one has but one.
        ({"quirks": {"max_tokens": "max_completion_tokens"}, "max_tokens": 1}, {"max_tokens": 1}),
    ],
)
def test_each_option_has_its_field(options: dict[str, Any], fields: dict[str, Any]) -> None:
    plain = {"model": "m", "prompt": "Once", "stream": True}
    assert json.loads(ask(**options).body) == {**plain, **fields}


def test_the_model_may_be_the_servers() -> None:
    sent = request(ChatRequest("", [Message("user", "Once")]), Target("p", NAME, "http://h/v1"))
    assert json.loads(sent.body) == {"prompt": "Once", "stream": True}


USER = Message("user", "Once")


@pytest.mark.parametrize(
    ("messages", "options", "what"),
    [
        ((USER,), {"system": "Be brief."}, "a system prompt"),
        ((USER,), {"think": "none"}, "how hard to think"),
        ((USER,), {"schema": {}}, "a schema"),
        ((USER,), {"tools": (Tool("f", "", {}),)}, "tools"),
        ((USER,), {"tool_choice": "none"}, "a choice of tools"),
        ((USER, Message("assistant", "upon"), USER), {}, "a conversation"),
        ((Message("assistant", "upon"),), {}, "a conversation"),
        (
            (Message("user", "?", attachments=(Attachment("a.txt", "text/plain", b"a"),)),),
            {},
            "a.txt",
        ),
    ],
)
def test_what_it_has_no_words_for_is_told(
    messages: tuple[Message, ...], options: dict[str, Any], what: str
) -> None:
    with pytest.raises(StreamError, match=f"^{NAME} cannot carry {what}") as caught:
        ask(*messages, **options)
    assert caught.value.kind == "usage"


# Streams that servers send or may send


def chunk(text: Any = None, reason: Any = None, index: Any = 0, **more: Any) -> bytes:
    choice = {"text": text, "index": index, "logprobs": None, "finish_reason": reason}
    value = {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [choice], **more}
    return b"data: " + json.dumps(value).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def told(data: bytes) -> list[Event]:
    events = decode(Decoder(), whole(data))
    for pieces in [bytewise(data), *sampled(data, 5)]:
        assert decode(Decoder(), pieces) == events
    return events


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (
            chunk("a") + chunk("b", "length") + DONE,
            [Text("a"), Text("b"), Finished("length", "length", ("finish_reason", "marker"))],
        ),
        (
            chunk("a") + chunk("", "stop"),
            [Text("a"), Finished("stop", "stop", ("finish_reason", "eof"))],
        ),
        (chunk("a") + DONE, [Text("a"), Finished(None, None, ("marker",))]),
        (
            chunk("a") + chunk(reason="content_filter") + DONE,
            [
                Text("a"),
                Finished("content_filter", "content_filter", ("finish_reason", "marker")),
            ],
        ),
        (
            chunk("a") + chunk("b", index=1) + chunk("", "stop") + chunk("", "length", 1) + DONE,
            [
                Text("a"),
                Text("b", 1),
                Finished("length", "length", ("finish_reason", "marker")),
            ],
        ),
        (
            chunk("a", "eos", usage={"prompt_tokens": 1, "completion_tokens": 2}) + DONE,
            [
                Usage(1, 2),
                Text("a"),
                Finished("stop", "eos", ("finish_reason", "marker")),
            ],
        ),
        (
            chunk("a", "") + chunk("b", 5) + DONE,
            [Text("a"), Text("b"), Finished(None, None, ("marker",))],
        ),
    ],
)
def test_streams(body: bytes, events: list[Event]) -> None:
    assert told(body) == [Started("m", "cmpl-1"), *events]


def test_the_usage_alone_and_what_comes_after_the_marker() -> None:
    tail = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
    body = chunk("a", "stop") + b"data: " + json.dumps(tail).encode() + b"\n\n" + DONE + chunk("b")
    decoder = Decoder()
    assert decoder.feed(chunk("a", "stop")) == [Started("m", "cmpl-1"), Text("a")]
    assert (decoder.ending, decoder.ended) == (True, False)
    assert told(body)[2:] == [
        Usage(1, 2, total_tokens=3),
        Finished("stop", "stop", ("finish_reason", "marker")),
    ]


def test_a_server_that_does_not_stream() -> None:
    body = chunk("Once\u2028upon", "length").removeprefix(b"data: ").strip()
    for form in (body, body + b"\n", body + b"\n\n" + DONE):
        *events, end = told(form)
        assert events == [Started("m", "cmpl-1"), Text("Once\u2028upon")]
        assert isinstance(end, Finished)
        assert end.raw == "length"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (chunk("a") + b'data: {"error":{"message":"oops"}}\n\n' + DONE, "stream_error", "oops"),
        (chunk("a") + b'event: error\ndata: {"message":"oops"}\n\n', "stream_error", "oops"),
        (
            chunk("a") + b'data: {"object":"error","message":"oops","code":503}\n\n',
            "overloaded",
            "",
        ),
        (b'error: {"code":500,"message":"oops"}\n\n', "overloaded", "oops"),
        (chunk("a", "error") + DONE, "stream_error", "finish reason error"),
        (chunk("a", "stop") + b'data: {"error":"oops"}\n\n', "stream_error", "oops"),
        (b'{"error":{"message":"Too many requests","code":429}}', "rate_limit", "Too many"),
        (chunk("a"), "truncated", "in the middle of the answer"),
        (b'data: {"value":"Sure"}\n\n', "truncated", ""),
        (b'{"content":"native /completion"}', "not_a_stream", "no completion"),
    ],
)
def test_errors(body: bytes, kind: str, message: str) -> None:
    end = told(body)[-1]
    assert isinstance(end, Failed)
    assert end.kind == kind
    assert message in end.message


def test_odd_places_do_not_raise() -> None:
    for odd in ([], {}, 1.5, True, None, "", [[]]):
        body = chunk(odd, odd, odd, usage=odd, model=odd, id=odd)
        body += b"data: " + json.dumps({"choices": odd}).encode() + b"\n\n"
        body += b"data: " + json.dumps({"choices": [odd]}).encode() + b"\n\n" + DONE
        assert isinstance(told(body)[-1], Finished | Failed)


def test_refusals() -> None:
    """llama.cpp's, as it was seen."""
    body = b'{"error":{"code":400,"message":"no such field","type":"invalid_request_error"}}'
    failed = refusal(400, {}, body)
    assert (failed.status, failed.message) == ("rejected", "HTTP 400: no such field")
