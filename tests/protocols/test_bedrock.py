"""AWS Bedrock's Converse: recorded bytes, our own frames, errors, requests, the real SDK."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest
from awsframes import (
    RECORDED_TEXT,
    RECORDED_TOOLS,
    VECTORS,
    answer,
    delta,
    event,
    exception,
    frame,
    metadata,
    stop,
)
from conftest import Stream
from contracts import check_ends, mutated
from faultserver import Conn, FaultServer
from realservers import needed
from recordings import check_recording, recordings
from records import parse_records
from splits import bytewise, decode, sampled, some_two, whole

from streamcli.errors import StreamError
from streamcli.events import (
    Citation,
    Event,
    Failed,
    Finished,
    Opaque,
    Progress,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols._contract import get
from streamcli.protocols._detect import AutoDecoder
from streamcli.providers.list_models import models_url
from streamcli.providers.prices import cost
from streamcli.providers.table import BY_NAME
from streamcli.request import Target

NAME = "bedrock"
KEY = "bedrock-api-key-1234567890"
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS = "global.anthropic.claude-opus-4-6-v1"
NOVA = "amazon.nova-micro-v1:0"
HI = Message("user", "hi")
LOOK = Tool("look", "Looks it up", {"type": "object", "properties": {"q": {"type": "string"}}})
CALL = Message("assistant", "", tool_calls=(("c1", "look", '{"q":"x"}'),))
FOUND = Message("tool", "found", call_id="c1", name="look")
PNG = Attachment("cat.png", "image/png", b"\x89PNG")
PDF = Attachment("My  paper_(v2).pdf", "application/pdf", b"%PDF")
ENDED = ("finish_reason", "eof")
START = event("messageStart", {"role": "assistant"})


def events(*frames: bytes, every: bool = True) -> list[Event]:
    """Events of these frames, the same however the bytes are cut."""
    data = b"".join(frames)
    found = decode(get(NAME).Decoder(), whole(data))
    for pieces in (bytewise(data), *(some_two(data) if every else sampled(data, 5))):
        assert decode(get(NAME).Decoder(), pieces) == found
    return [event for event in found if not isinstance(event, Opaque | Progress)]


# What it really sent


def usage(raw: dict[str, Any]) -> Usage:
    return Usage(
        raw.get("inputTokens"),
        raw.get("outputTokens"),
        None,
        raw.get("cacheReadInputTokens"),
        raw.get("cacheWriteInputTokens"),
        raw.get("totalTokens"),
    )


@pytest.mark.parametrize("path", recordings(NAME))
def test_recording(path: Path) -> None:
    check_recording(NAME, path, usage)


def test_recorded_text() -> None:
    *texts, usage, end = events(RECORDED_TEXT)
    assert "".join(text.text for text in texts if isinstance(text, Text)) == (
        '{"city":"Paris","country":"France","population":2161000}'
    )
    assert usage == Usage(210, 18, total_tokens=228)
    assert end == Finished("stop", "end_turn", ENDED)


def test_recorded_tools() -> None:
    """The first call is one that Bedrock runs itself: nobody is asked for it."""
    assert events(RECORDED_TOOLS) == [
        ToolCall("tooluse_7hzWoeZES8ykBy2ZYAyUeA", "final_result", '{"result":7006652.0}'),
        Usage(1002, 59, total_tokens=1061),
        Finished("tool_calls", "tool_use", ENDED),
    ]


@pytest.mark.parametrize("data", [RECORDED_TEXT, RECORDED_TOOLS], ids=["text", "tools"])
def test_a_cut_recording_is_truncated_until_its_reason(data: bytes) -> None:
    ended = data.find(b"messageStop")
    ended += data[ended:].find(b'"}') + 6  # its payload's end, and its checksum
    for cut in range(1, len(data), 7):
        *_, end = decode(get(NAME).Decoder(), whole(data[:cut]))
        if cut < ended:
            assert isinstance(end, Failed), cut
            assert end.status == "truncated", cut
        else:
            assert isinstance(end, Finished), cut


# What an answer says


def test_an_answer() -> None:
    thoughts = [{"reasoningContent": {"text": "Hmm"}}, {"reasoningContent": {"text": ""}}]
    thoughts += [{"reasoningContent": {"signature": "Ev"}}, {"reasoningContent": {"x": 1}}]
    assert events(
        START,
        *(event("contentBlockDelta", {"contentBlockIndex": 0, "delta": d}) for d in thoughts),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        delta("H", 1),
        event("somethingNew", b"\0 not even JSON"),
        frame({":message-type": "somethingNew"}, b"{}"),
        frame({}, b""),
        delta("é", 1),
        stop(),
        metadata(inputTokens=5, outputTokens=2, totalTokens=11, cacheReadInputTokens=4),
    ) == [
        Reasoning("Hmm"),
        Text("H"),
        Text("é"),
        Usage(5, 2, None, 4, None, 11),
        Finished("stop", "end_turn", ENDED),
    ]


def call(index: int, name: str, id: str, *pieces: str) -> bytes:
    use = {"toolUse": {"toolUseId": id, "name": name}}
    start = event("contentBlockStart", {"contentBlockIndex": index, "start": use})
    return start + b"".join(
        event("contentBlockDelta", {"contentBlockIndex": index, "delta": {"toolUse": {"input": p}}})
        for p in pieces
    )


def test_tool_calls_come_whole() -> None:
    assert events(
        delta("I look."),
        call(1, "look", "c1", '{"q":', '"é"}'),
        call(2, "now", "c2"),
        stop("tool_use"),
    ) == [
        Text("I look."),
        ToolCall("c1", "look", '{"q":"é"}'),
        ToolCall("c2", "now", "{}"),
        Finished("tool_calls", "tool_use", ENDED),
    ]


def test_citations() -> None:
    web = {"title": "T", "location": {"web": {"url": "https://h/a", "domain": "h"}}}
    page = {"title": "Paper", "source": "doc", "location": {"documentPage": {"start": 1}}}
    notes = [web, page, {"location": {}}]
    found = events(
        *(
            event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"citation": n}})
            for n in notes
        ),
        stop(),
    )
    assert found[:-1] == [Citation("https://h/a", "T"), Citation("doc", "Paper")]


def test_a_whole_answer() -> None:
    content: list[Any] = [
        {"reasoningContent": {"reasoningText": {"text": "Hmm", "signature": "Ev"}}},
        {"reasoningContent": {"redactedContent": "eA=="}},
        {"text": "Hi"},
        {"citationsContent": {"content": [{"text": " there"}], "citations": [{"title": "T"}]}},
        {"toolUse": {"toolUseId": "s", "name": "run", "input": {}, "type": "server_tool_use"}},
        {"toolUse": {"toolUseId": "c", "name": "look", "input": {"q": 1}}},
        "?",
    ]
    answer = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
        "metrics": {"latencyMs": 1},
    }
    expected = [
        Reasoning("Hmm"),
        Text("Hi"),
        Text(" there"),
        Citation("", "T"),
        ToolCall("c", "look", '{"q":1}'),
        Usage(1, 2, total_tokens=3),
        Finished("tool_calls", "tool_use", ENDED),
    ]
    assert events(json.dumps(answer).encode()) == expected
    assert events(json.dumps(answer, indent=1).encode()) == expected


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("refusal", "refusal"),
        ("something_new", "other"),
    ],
)
def test_reasons(word: str, reason: str) -> None:
    assert events(delta("Hi"), stop(word))[-1] == Finished(reason, word, ENDED)


@pytest.mark.parametrize("word", ["malformed_model_output", "malformed_tool_use"])
def test_reasons_that_are_failures(word: str) -> None:
    kept, used, failed = events(delta("Hi"), stop(word), metadata(inputTokens=1))
    assert (kept, used) == (Text("Hi"), Usage(1))
    assert isinstance(failed, Failed)
    assert (failed.status, word in failed.message) == ("provider", True)
    assert (failed.raw, failed.evidence) == (word, ENDED)


@pytest.mark.parametrize(
    ("name", "kind", "again"),
    [
        ("internalServerException", "server_error", True),
        ("modelStreamErrorException", "stream_error", True),
        ("validationException", "rejected", False),
        ("throttlingException", "rate_limit", True),
        ("serviceUnavailableException", "overloaded", True),
        ("modelTimeoutException", "server_error", True),
        ("somethingNewException", "stream_error", False),
    ],
)
def test_exceptions_in_the_stream_win(name: str, kind: str, again: bool) -> None:
    kept, failed = events(START, delta("Hi"), exception(name, "It broke."), stop())
    assert kept == Text("Hi")
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.transient, failed.message) == (kind, again, "It broke.")
    (failed,) = events(frame({":message-type": "exception", ":exception-type": name}))
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.message) == (kind, name)


def test_an_exception_after_the_reason_wins_too() -> None:
    _, failed = events(delta("Hi"), stop(), exception("internalServerException", "It broke."))
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.evidence) == ("server_error", ("finish_reason",))


def test_exceptions_without_json_and_errors() -> None:
    headers = {":message-type": "exception", ":exception-type": "throttlingException"}
    (failed,) = events(frame(headers, b"<b>slow down</b>"))
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.message) == ("rate_limit", "slow down")
    (failed,) = events(VECTORS["error"][0])
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.message) == ("stream_error", "message")
    headers = {":message-type": "error", ":error-code": "InternalServerException"}
    (failed,) = events(frame(headers))
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.message) == ("server_error", "InternalServerException")


def test_a_days_quota_is_not_waited_for() -> None:
    message = "Too many tokens per day, please wait before trying again."
    (failed,) = events(exception("throttlingException", message))
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.transient) == ("quota", False)


# What is wrong with the bytes


def test_damage_keeps_what_came_before() -> None:
    data = bytearray(answer("Hi", "there"))
    data[data.find(b"there")] ^= 1
    kept, failed = events(bytes(data))
    assert kept == Text("Hi")
    assert isinstance(failed, Failed)
    assert (failed.status, "damaged" in failed.message) == ("malformed", True)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "not_a_stream"),
        (b"\0", "truncated"),
        (b"\0" * 12, "not_a_stream"),
        (b"<html>login</html>", "not_a_stream"),
        (b'{"models":[]}', "not_a_stream"),
        (b'{"message":"The security token included in the request is invalid."}', "stream_error"),
        (START, "truncated"),
        (event("contentBlockDelta", b"nonsense"), "bad_json"),
        (event("contentBlockDelta", b""), "truncated"),
        (event("messageStop", b"[" * 5000), "bad_json"),
    ],
)
def test_what_is_no_answer(body: bytes, kind: str) -> None:
    (failed,) = events(body, every=False)
    assert isinstance(failed, Failed)
    assert failed.kind == kind


def test_an_event_that_is_too_large() -> None:
    for pieces in (whole(delta("x" * 2000)), bytewise(delta("x" * 2000))):
        decoder = get(NAME).Decoder(1000)
        assert decoder.feed(delta("Hi")) == [Text("Hi")]
        (failed,) = decode(decoder, pieces)
        assert isinstance(failed, Failed)
        assert failed.status == "too_large"


def test_what_the_lenient_parser_alone_can_read() -> None:
    cut, rest = (delta(half) for half in ("a\ud83d", "\ude00b"))
    assert events(cut, rest, stop())[:2] == [Text("a"), Text("\U0001f600b")]
    found = events(call(0, "\ud83d", "\ud83d", '"\ud83d"'), stop("tool_use"))
    assert found[0] == ToolCall("\ufffd", "\ufffd", '"\ufffd"')


def test_broken_after_the_reason_is_whole() -> None:
    broken = Failed("lost", "the connection was lost", transient=True)
    decoder = get(NAME).Decoder()
    assert decoder.feed(delta("Hi") + stop()) == [Text("Hi"), Progress()]
    assert decoder.ending
    (end,) = decoder.close(broken)
    assert end == Finished("stop", "end_turn", ("finish_reason", "transport_error"))
    decoder = get(NAME).Decoder()
    decoder.feed(delta("Hi"))
    (end,) = decoder.close(broken)
    assert isinstance(end, Failed)
    assert end.status == "truncated"


def test_any_json_in_good_frames_keeps_the_contract() -> None:
    """A mutated frame is only damaged: here the payloads are, and the checksums are right."""
    random = Random(20261120)
    payloads = [
        ("messageStart", b'{"role":"assistant"}'),
        ("contentBlockStart", b'{"contentBlockIndex":0,"start":{"toolUse":{"name":"f"}}}'),
        ("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}'),
        ("contentBlockDelta", b'{"contentBlockIndex":1,"delta":{"text":"Hi"}}'),
        ("contentBlockDelta", b'{"delta":{"reasoningContent":{"text":"Hm"}}}'),
        ("contentBlockDelta", b'{"delta":{"citation":{"location":{"web":{"url":"u"}}}}}'),
        ("messageStop", b'{"stopReason":"end_turn"}'),
        ("metadata", b'{"usage":{"inputTokens":1,"outputTokens":2.0}}'),
        ("throttlingException", b'{"message":"slow down"}'),
    ]
    for number in range(600):
        data = b""
        for _ in range(random.randrange(1, 6)):
            name, payload = random.choice(payloads)
            if random.random() < 0.7:
                payload = mutated(payload, random)
            kind = "exception" if name.endswith("Exception") else "event"
            data += frame({f":{kind}-type": name, ":message-type": kind}, payload)
        found = decode(get(NAME).Decoder(), whole(data))
        check_ends(found)
        for pieces in sampled(data, 1, seed=number):
            assert decode(get(NAME).Decoder(), pieces) == found


# What a request says


def asked(chat: ChatRequest, base: str = "https://h", **more: Any) -> tuple[str, dict[str, Any]]:
    request = get(NAME).request(chat, Target("bedrock", NAME, base, **more))
    assert request.method == "POST"
    return request.url, json.loads(request.body)


def body_of(*messages: Message, model: str = SONNET, **options: Any) -> dict[str, Any]:
    return asked(ChatRequest(model, list(messages or [HI]), **options))[1]


def test_the_plain_request() -> None:
    plain = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    assert asked(ChatRequest("m", [HI])) == ("https://h/model/m/converse-stream", plain)
    assert asked(ChatRequest("m", [HI], stream=False)) == ("https://h/model/m/converse", plain)


@pytest.mark.parametrize(
    ("base", "model", "url"),
    [
        ("https://h/", NOVA, "https://h/model/amazon.nova-micro-v1%3A0/converse-stream"),
        (
            "https://h/model/x%3A0/converse?k=v",
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x",
            "https://h/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.x"
            "/converse-stream?k=v",
        ),
        ("https://h", "..", "https://h/model/%2E%2E/converse-stream"),
        ("https://h/openai/v1", "m", "https://h/model/m/converse-stream"),
        ("https://h/gateway/v1", "m", "https://h/gateway/v1/model/m/converse-stream"),
    ],
)
def test_addresses(base: str, model: str, url: str) -> None:
    assert asked(ChatRequest(model, [HI]), base)[0] == url


def test_a_key_is_a_bearer_and_given_headers_follow() -> None:
    target = Target("bedrock", NAME, "https://h", key=KEY, headers=(("X-A", "1"),))
    headers = get(NAME).request(ChatRequest("m", [HI]), target).headers
    assert headers[-2:] == [("Authorization", f"Bearer {KEY}"), ("X-A", "1")]


def test_sampling_goes_into_its_config() -> None:
    body = body_of(
        system="be brief",
        temperature=0.0,
        top_p=0.5,
        max_tokens=7,
        stop=("END",),
        options={"inferenceConfig": {"topP": 1}, "additionalModelRequestFields": {"top_k": 5}},
    )
    assert body == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "system": [{"text": "be brief"}],
        "inferenceConfig": {
            "temperature": 0.0,
            "topP": 1,
            "maxTokens": 7,
            "stopSequences": ["END"],
        },
        "additionalModelRequestFields": {"top_k": 5},
    }


def test_turns_alternate() -> None:
    """All results of a round, and what the user adds, are one message."""
    calls = (("c1", "look", '{"q":"x"}'), ("c2", "now", ""))
    failed = Message("tool", "", call_id="c2", name="now", is_error=True)
    body = body_of(
        HI, Message("assistant", "I look.", tool_calls=calls), FOUND, failed, HI, tools=(LOOK,)
    )
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"text": "I look."},
                {"toolUse": {"toolUseId": "c1", "name": "look", "input": {"q": "x"}}},
                {"toolUse": {"toolUseId": "c2", "name": "now", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "c1", "content": [{"text": "found"}]}},
                {"toolResult": {"toolUseId": "c2", "content": [], "status": "error"}},
                {"text": "hi"},
            ],
        },
    ]


def test_tools() -> None:
    bare = Tool("now", "", {})
    config = body_of(tools=(LOOK, bare))["toolConfig"]
    schema = {"json": LOOK.parameters}
    assert config == {
        "tools": [
            {
                "toolSpec": {
                    "name": "look",
                    "description": "Looks it up",
                    "inputSchema": schema,
                }
            },
            {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object"}}}},
        ]
    }
    for choice, value in (
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ("look", {"tool": {"name": "look"}}),
    ):
        assert body_of(tools=(LOOK,), tool_choice=choice)["toolConfig"]["toolChoice"] == value
    assert "toolConfig" not in body_of(tools=(LOOK,), tool_choice="none")


def test_schema_and_prefill() -> None:
    schema = {"type": "object", "properties": {"é": {}}}
    body = body_of(schema=schema, prefill="{", think="high", model=OPUS)
    form = body["outputConfig"]["textFormat"]
    assert form["type"] == "json_schema"
    sent = json.loads(form["structure"]["jsonSchema"]["schema"])
    assert sent == {**schema, "additionalProperties": False}, "in the form that it insists on"
    assert body["outputConfig"]["effort"] == "high", "thinking has a field beside it"
    assert body["messages"][-1] == {"role": "assistant", "content": [{"text": "{"}]}


def test_thinking_is_claudes() -> None:
    body = body_of(think="low", max_tokens=9000)
    thinking = {"type": "enabled", "budget_tokens": 2048}
    assert body["additionalModelRequestFields"] == {"thinking": thinking}
    assert body["inferenceConfig"] == {"maxTokens": 9000}
    assert body_of(think="low")["inferenceConfig"]["maxTokens"] > 2048
    body = body_of(think="max", model=OPUS)
    assert body["additionalModelRequestFields"]["thinking"]["type"] == "adaptive"
    assert body["outputConfig"] == {"effort": "max"}
    assert "inferenceConfig" not in body
    off = {"thinking": {"type": "disabled"}}
    assert body_of(think="none")["additionalModelRequestFields"] == off


def test_attachments_in_their_own_forms() -> None:
    files = (
        Attachment("a.txt", "text/plain", "é".encode()),
        PNG,
        PDF,
        Attachment("My paper (v2).pdf", "application/pdf", b"%PDF-2"),
        Attachment("日本.pdf", "application/pdf", b"%PDF"),
        Attachment("a.mp3", "audio/mpeg", b"ID3"),
        Attachment("a.mp4", "video/mp4", b"ftyp"),
    )
    (message,) = body_of(Message("user", "hi", attachments=files))["messages"]
    text, image, *documents, audio, video, prompt = message["content"]
    assert (text, prompt) == ({"text": "a.txt:\né"}, {"text": "hi"})
    assert image == {"image": {"format": "png", "source": {"bytes": PNG.base64()}}}
    names = [block["document"]["name"] for block in documents]
    assert names == ["My paper (v2)", "My paper (v2) 2", "document"]
    assert documents[0]["document"]["format"] == "pdf"
    assert audio["audio"]["format"] == "mp3"
    assert video["video"]["format"] == "mp4"


@pytest.mark.parametrize(
    ("chat", "what"),
    [
        ({"seed": 1}, "seed"),
        ({"frequency_penalty": 0.1}, "frequency penalty"),
        ({"presence_penalty": 0.1}, "presence penalty"),
        ({"think": "high", "model": NOVA}, "how hard to think"),
        ({"think": "none", "model": NOVA}, "how hard to think"),
        ({"tools": (LOOK,), "tool_choice": "none", "messages": (HI, CALL, FOUND)}, "the tools"),
        ({"messages": (HI, CALL, FOUND)}, "the tools"),
    ],
)
def test_what_it_cannot_say_is_told_before(chat: dict[str, Any], what: str) -> None:
    with pytest.raises(StreamError, match=f"bedrock.* cannot carry .*{what}") as raised:
        body_of(*chat.pop("messages", ()), **chat)
    assert raised.value.kind == "usage"


@pytest.mark.parametrize(
    "attachment",
    [
        Attachment("a.bin", "", b"\0"),
        Attachment("a.bmp", "image/bmp", b"BM"),
        Attachment("a.png", "image/png", url="https://h/a.png"),
    ],
)
def test_attachments_it_cannot_carry(attachment: Attachment) -> None:
    with pytest.raises(StreamError, match="bedrock cannot carry"):
        body_of(Message("user", "hi", attachments=(attachment,)))


# What is refused


@pytest.mark.parametrize(
    ("status", "name", "body", "kind", "again"),
    [
        (400, "", '{"message":"The provided model identifier is invalid."}', "rejected", False),
        (400, "ValidationException", '{"message":"bad"}', "rejected", False),
        (400, "ThrottlingException:http://h/", '{"message":"Rate exceeded"}', "rate_limit", True),
        (400, "ServiceQuotaExceededException", '{"message":"no"}', "quota", False),
        (403, "AccessDeniedException", '{"Message":"Authentication failed"}', "auth", False),
        (403, "", "", "auth", False),
        (404, "ResourceNotFoundException", '{"message":"gone"}', "rejected", False),
        (408, "ModelTimeoutException", '{"message":"slow"}', "server_error", True),
        (424, "", '{"message":"broke","originalStatusCode":500}', "server_error", False),
        (424, "ModelStreamErrorException", '{"message":"broke"}', "stream_error", True),
        (429, "", '{"__type":"ThrottlingException","message":"slow"}', "rate_limit", True),
        (429, "", '{"__type":"com.amazon.h#ThrottlingException"}', "rate_limit", True),
        (429, "ThrottlingException", '{"message":"Too many tokens per day"}', "quota", False),
        (429, "ModelNotReadyException", '{"message":"loading"}', "overloaded", True),
        (500, "", '{"__type":"InternalServerError","message":"oh"}', "server_error", True),
        (503, "ServiceUnavailableException", "", "server_error", True),
    ],
)
def test_refusals(status: int, name: str, body: str, kind: str, again: bool) -> None:
    headers = {"x-amzn-errortype": name} if name else {}
    failed = get(NAME).refusal(status, headers, body.encode())
    assert (failed.kind, failed.transient, failed.http_status) == (kind, again, status)
    if not body and name:
        assert name in failed.message, "the one word that there is"


def test_refusals_that_name_the_way_on() -> None:
    message = (
        "Invocation of model ID anthropic.claude-sonnet-4-5-20250929-v1:0 with on-demand "
        "throughput isn\\u2019t supported. Retry your request with the ID or ARN of an inference "
        "profile that contains this model."
    )
    failed = get(NAME).refusal(400, {}, f'{{"message":"{message}"}}'.encode())
    assert "us.MODEL" in failed.hint
    body = b'{"message":"The provided model identifier is invalid."}'
    assert "VENDOR.MODEL" in get(NAME).refusal(400, {}, body).hint
    assert "VENDOR.MODEL" in get(NAME).refusal(404, {}, b"{}").hint


# What it is recognised by


@pytest.mark.parametrize(
    "data",
    [
        RECORDED_TEXT,
        answer("Hi"),
        exception("throttlingException", "slow down"),
        b'{"metrics":{},"output":{"message":{"content":[{"text":"Hi"}]}},"stopReason":"end_turn"}',
    ],
)
def test_it_is_recognised(data: bytes) -> None:
    for pieces in (whole(data), bytewise(data), [b"", data]):
        auto = AutoDecoder()
        assert decode(auto, pieces) == decode(get(NAME).Decoder(), whole(data))
        assert auto.name == NAME


def test_decoded_by_the_command(stream: Stream) -> None:
    for how in ("--decode", "--decode=bedrock"):
        (record,) = stream(how, "--json", stdin=answer("Hi", " there")).records
        assert (record["text"], record["protocol"]) == ("Hi there", NAME)
        assert record["usage"]["total_tokens"] == 15
    run = stream("--decode", stdin=answer("Hi", " there")[:-400])
    assert (run.returncode, run.text) == (18, "Hi there")


# The row


def test_its_address() -> None:
    row = BY_NAME[NAME]
    home = "https://bedrock-runtime.{}.amazonaws.com"
    assert row.base_from({}) == ""
    assert row.base_from({"AWS_DEFAULT_REGION": "eu-west-1"}) == home.format("eu-west-1")
    both = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    assert row.base_from(both) == home.format("us-east-1")
    own = {**both, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://h:1/x"}
    assert row.base_from(own) == "http://h:1/x"
    assert row.base_from({**own, "AWS_BEDROCK_BASE_URL": "http://g"}) == "http://g"


@pytest.mark.parametrize("region", ["evil.com/", "a.b", "x@h", "eu west", "é", "-"])
def test_a_region_is_a_name(region: str) -> None:
    assert BY_NAME[NAME].base_from({"AWS_REGION": region}) == ""


def test_cached_tokens_are_beside_its_input_tokens() -> None:
    row = BY_NAME[NAME]
    usage = Usage(2, 5, None, 1322, 0, 1329)
    try:
        row.prices["m"] = {"input": 10.0, "output": 100.0, "cache_read": 1.0}
        assert cost(row, "m", usage) == (2 * 10 + 5 * 100 + 1322) / 1e6
    finally:
        row.prices.clear()


ENV = {"AWS_BEARER_TOKEN_BEDROCK": KEY, "AWS_REGION": "us-east-1"}


def serve(
    server: FaultServer, body: bytes, ctype: str = "application/vnd.amazon.eventstream"
) -> str:
    def play(conn: Conn) -> None:
        conn.head(ctype=ctype)
        for at in range(0, len(body), 50):
            conn.chunk(body[at : at + 50])
        conn.end()

    return server.script("bedrock", play)


def test_asked_by_the_command(server: FaultServer, stream: Stream, tmp_path: Path) -> None:
    url = serve(server, answer("Hi", " there"))
    args = ("-m", f"bedrock:{SONNET}", "--base-url", url)
    (record,) = stream(*args, "--json", "--record", "c.rec", "hi", env=ENV).records
    assert (record["text"], record["status"], record["evidence"]) == (
        "Hi there",
        "complete",
        [*ENDED],
    )
    request = server.requests[-1]
    quoted = SONNET.replace(":", "%3A")
    assert request.path.endswith(f"/model/{quoted}/converse-stream")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY.encode() not in (tmp_path / "c.rec").read_bytes()
    (again,) = stream("--replay", "c.rec", "--speed", "instant", "--json").records
    assert (again["text"], again["usage"]) == (record["text"], record["usage"])


def test_what_is_missing_is_named(stream: Stream) -> None:
    run = stream("-m", f"bedrock:{SONNET}", "hi", env={"AWS_BEARER_TOKEN_BEDROCK": KEY})
    assert run.returncode == 2
    assert "AWS_REGION" in run.stderr
    run = stream("-m", f"bedrock:{SONNET}", "hi", env={"AWS_REGION": "us-east-1"})
    assert run.returncode == 67
    assert "AWS_BEARER_TOKEN_BEDROCK" in run.stderr


def test_models_are_asked_elsewhere(server: FaultServer, stream: Stream) -> None:
    home = "https://{}.us-east-1.amazonaws.com"
    listed = f"{home.format('bedrock')}/foundation-models?byOutputModality=TEXT"
    for path in ("", "/", "/openai/v1", "/model/x/converse"):
        assert models_url(NAME, home.format("bedrock-runtime") + path) == listed
    summaries = {"modelSummaries": [{"modelId": NOVA, "modelName": "Nova Micro"}]}
    url = server.script("models", lambda conn: conn.reply(200, summaries))
    assert stream("--list-models", "-p", NAME, "--base-url", url, env=ENV).text == f"{NOVA}\n"


# AWS's own SDK

# Asks as the test says, and prints each event; in an interpreter that has botocore.
CLIENT = """
import base64, json, sys
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from botocore.session import Session

def revived(value):
    if isinstance(value, dict):
        return {k: base64.b64decode(v) if k == "bytes" else revived(v) for k, v in value.items()}
    return [revived(item) for item in value] if isinstance(value, list) else value

asked = json.load(sys.stdin)
config = Config(retries={"total_max_attempts": 1})
client = Session().create_client("bedrock-runtime", endpoint_url=sys.argv[1], config=config)
try:
    for event in client.converse_stream(modelId=asked.pop("modelId"), **revived(asked))["stream"]:
        print(json.dumps(event, default=lambda data: base64.b64encode(data).decode()))
except (ClientError, EventStreamError) as error:
    print(json.dumps({"code": error.response["Error"]["Code"]}))
"""


def botocore(server: FaultServer, body: bytes, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """What AWS's SDK makes of `body`; it gives keys to TLS alone."""
    (python,) = needed("botocore", "venv-botocore/bin/python")
    done = subprocess.run(
        [python, "-c", CLIENT, serve(server, body)],
        input=json.dumps(asked).encode(),
        capture_output=True,
        env={
            "AWS_BEARER_TOKEN_BEDROCK": KEY,
            "AWS_CA_BUNDLE": str(server.ca_file),
            "AWS_DEFAULT_REGION": "us-east-1",
            "HOME": "/nonexistent",
            "NO_PROXY": "*",
            "PATH": os.environ["PATH"],
        },
        timeout=60,
    )
    assert not done.returncode, done.stderr.decode()
    return parse_records(done.stdout)


@pytest.mark.real
def test_aws_sdk_reads_our_frames(tls_server: FaultServer) -> None:
    data = START + delta("Hi") + call(1, "look", "c1", "{}") + stop("tool_use")
    data += metadata(inputTokens=1, outputTokens=2, totalTokens=3)
    assert botocore(tls_server, data, {"modelId": SONNET, "messages": []}) == [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "Hi"}, "contentBlockIndex": 0}},
        {
            "contentBlockStart": {
                "start": {"toolUse": {"toolUseId": "c1", "name": "look"}},
                "contentBlockIndex": 1,
            }
        },
        {"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}, "contentBlockIndex": 1}},
        {"messageStop": {"stopReason": "tool_use"}},
        {
            "metadata": {
                "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
                "metrics": {"latencyMs": 391},
            }
        },
    ]
    data = delta("Hi") + exception("throttlingException", "slow down")
    _, error = botocore(tls_server, data, {"modelId": SONNET, "messages": []})
    assert error == {"code": "throttlingException"}


@pytest.mark.real
@pytest.mark.parametrize(
    "chat",
    [
        ChatRequest(SONNET, [HI], system="be brief", temperature=0.5, top_p=1.0, max_tokens=7),
        ChatRequest(OPUS, [HI], stop=("END",), think="high", schema={"type": "object"}),
        ChatRequest(SONNET, [HI, CALL, FOUND], tools=(LOOK,), tool_choice="look", prefill="It"),
        ChatRequest(NOVA, [Message("user", "hi", attachments=(PNG, PDF))], tools=(LOOK,)),
        ChatRequest(
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x", [HI], think=None
        ),
    ],
    ids=lambda chat: chat.model,
)
def test_requests_are_those_of_aws_sdk(tls_server: FaultServer, chat: ChatRequest) -> None:
    """Its service model knows every field of ours, and puts them on the wire as we do."""
    target = Target("bedrock", NAME, tls_server.url("bedrock"), key=KEY)
    ours = get(NAME).request(chat, target)
    botocore(tls_server, answer("Hi"), {"modelId": chat.model, **json.loads(ours.body)})
    theirs = tls_server.requests[-1]
    assert ours.url.endswith(theirs.path)
    assert json.loads(ours.body) == theirs.json
    headers = {name.lower(): value for name, value in ours.headers}
    assert headers["authorization"] == theirs.headers["authorization"]
    assert headers["content-type"] == theirs.headers["content-type"]
