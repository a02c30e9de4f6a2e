"""Gemini, as events and as an array: every recording, errors, requests, quirks written by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from amend import amended
from recordings import check_recording, recordings
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
from streamcli.request import Target

SSE, ARRAY = "gemini", "gemini-array"
BOTH = pytest.mark.parametrize("name", [SSE, ARRAY])
RECORDED = [
    *(pytest.param(SSE, *path.values, id=path.id, marks=path.marks) for path in recordings(SSE)),
    *(
        pytest.param(ARRAY, *path.values, id=f"array-{path.id}", marks=path.marks)
        for path in recordings("gemini-jsonarray")
    ),
]
# A number where the client asked for numbers (enum-encoding=int): we give its word.
NUMBERED = {1: "STOP"}


def usage(raw: dict[str, Any]) -> Usage:
    """Thoughts are part of what was said, results of Google's own tools of what was asked."""

    def count(name: str) -> int:
        return int(raw.get(name, 0))

    answer = {"candidatesTokenCount", "thoughtsTokenCount"} & raw.keys()
    return Usage(
        input_tokens=count("promptTokenCount") + count("toolUsePromptTokenCount"),
        output_tokens=sum(map(count, answer)) if answer else None,
        reasoning_tokens=raw.get("thoughtsTokenCount"),
        cache_read_tokens=raw.get("cachedContentTokenCount"),
        total_tokens=raw.get("totalTokenCount"),
    )


def calls_of(raw: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls the script read part by part: fragments put together, in our form."""
    calls: list[dict[str, Any]] = []
    for part in raw:
        if part["name"]:
            calls.append({"id": part["id"], "name": part["name"], "leaves": {}, "given": part})
        leaves = calls[-1]["leaves"]
        for fragment in part.get("partialArgs", ()):
            place = fragment.pop("jsonPath")
            fragment.pop("willContinue", None)
            (value,) = fragment.values()
            leaves[place] = (
                leaves[place] + value if isinstance(value, str) & (place in leaves) else value
            )
    return [
        {
            "id": call["id"] or f"call_{number}",
            "name": call["name"],
            "arguments": json.dumps(
                call["given"]["arguments"] or tree(call["leaves"]),
                separators=(",", ":"),
                ensure_ascii=False,
            ),
        }
        for number, call in enumerate(calls)
    ]


def tree(leaves: dict[str, Any]) -> Any:
    """{"$.a[0].b": 1} as {"a": [{"b": 1}]}."""
    branches: dict[str, dict[str, Any]] = {}
    for place, value in leaves.items():
        found = re.fullmatch(r"\$(\.\w+|\[\d+\])(.*)", place)
        assert found
        branches.setdefault(found[1], {})["$" + found[2]] = value
    grown = {key: below["$"] if "$" in below else tree(below) for key, below in branches.items()}
    if any(key.startswith("[") for key in grown):
        assert list(grown) == [f"[{number}]" for number in range(len(grown))]
        return list(grown.values())
    return {key[1:]: value for key, value in grown.items()}


def in_our_words(expected: dict[str, Any], body: bytes) -> None:
    expected["tool_calls"] = calls_of(expected["tool_calls"])
    reason = expected["finish_reason"]
    expected["finish_reason"] = NUMBERED.get(reason, reason)
    if blocked := re.search(rb'"blockReason": *"(\w+)"', body):
        expected["finish_reason"] = blocked[1].decode()
    if bare := expected.get("bare_json_in_body"):
        expected["error"] = bare["error"]


@pytest.mark.parametrize(("name", "path"), RECORDED)
def test_recording(name: str, path: Path, tmp_path: Path) -> None:
    copy = amended(path, tmp_path, in_our_words)
    *_, end = check_recording(name, copy, usage)
    expected = json.loads(copy.read_text())["expected"]
    if isinstance(end, Failed):
        if expected["error"]:
            assert expected["error"]["message"] in end.message
        return
    assert isinstance(end, Finished)
    assert end.evidence == ("finish_reason", "marker" if name == ARRAY else "eof")


@pytest.mark.parametrize(("name", "path"), RECORDED)
def test_a_cut_recording_is_never_complete(name: str, path: Path) -> None:
    """Cut before the first finish reason, an answer is never taken for whole."""
    meta = json.loads(path.read_text())
    data = (path.parent / meta["file"]).read_bytes()
    mark = re.search(rb'"finishReason": ?("|\d)|"blockReason"', data)
    first = mark.start() if mark else len(data)
    for part in (1, 2, 3):
        *_, end = decode(get(name).Decoder(), whole(data[: first * part // 4]))
        assert isinstance(end, Failed), end


@BOTH
@pytest.mark.parametrize("path", recordings(SSE)[::4] + recordings("gemini-jsonarray")[::4])
def test_each_reads_what_the_other_does(name: str, path: Path) -> None:
    """Servers that ignore `alt=sse`, or know nothing else."""
    meta = json.loads(path.read_text())
    data = (path.parent / meta["file"]).read_bytes()
    other = {SSE: ARRAY, ARRAY: SSE}[name]

    def said(by: str) -> list[Event]:
        events = merged(decode(get(by).Decoder(), whole(data)))
        if isinstance(end := events[-1], Finished):
            end.evidence = ()  # an array's end is proof to one of them
        return events

    assert said(name) == said(other)


# Refusals


def refused(status: int, error: dict[str, Any], name: str = SSE, many: bool = False) -> Failed:
    body: Any = {"error": {"code": status, **error}}
    return get(name).refusal(status, {}, json.dumps([body] if many else body).encode())


@BOTH
@pytest.mark.parametrize("many", [False, True])
def test_refusal(name: str, many: bool) -> None:
    """An error comes as an object, or as an array of one."""
    error = {"message": "API key not valid. Please pass a valid API key."}
    failed = refused(400, {**error, "status": "INVALID_ARGUMENT"}, name, many)
    assert (failed.kind, failed.http_status) == ("auth", 400)
    assert error["message"] in failed.message
    gone = {"message": "models/x is not found", "status": "NOT_FOUND"}
    assert refused(404, gone, name, many).kind == "rejected"
    down = refused(503, {"message": "The model is overloaded.", "status": "UNAVAILABLE"}, name)
    assert (down.kind, down.transient) == ("server_error", True)


USED_UP = {
    "message": "You exceeded your current quota, please check your plan and billing details.",
    "status": "RESOURCE_EXHAUSTED",
}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}


def failure(period: str) -> dict[str, Any]:
    violation = {"quotaMetric": "m", "quotaId": f"GenerateRequestsPer{period}PerProject-FreeTier"}
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}


@pytest.mark.parametrize(
    ("details", "kind", "after"),
    [
        ([failure("Minute"), RETRY], "rate_limit", 34.4),
        ([RETRY], "rate_limit", 34.4),
        ([failure("Day"), RETRY], "quota", 34.4),
        ([failure("Day")], "quota", None),
        ([], "quota", None),  # nothing but the words
        ("odd", "quota", None),
        ([None, {"retryDelay": "soon"}, {"retryDelay": 3}], "quota", None),
    ],
)
def test_a_used_up_minute_and_a_used_up_day(details: Any, kind: str, after: float | None) -> None:
    """Both speak of quota and billing."""
    failed = refused(429, {**USED_UP, "details": details})
    assert (failed.kind, failed.transient) == (kind, kind == "rate_limit")
    assert failed.retry_after == after
    (inside,) = told(SSE, sse({"error": {"code": 429, **USED_UP, "details": details}}))
    assert isinstance(inside, Failed)
    assert (inside.kind, inside.transient) == (kind, kind == "rate_limit")
    assert inside.retry_after == after


# Requests


def asked(chat: ChatRequest, name: str = SSE, **target: Any) -> dict[str, Any]:
    request = get(name).request(chat, Target("p", name, "http://a", **target))
    assert request.method == "POST"
    body: dict[str, Any] = json.loads(request.body)
    return body


def plain(model: str = "gemini-2.5-flash", **more: Any) -> ChatRequest:
    return ChatRequest(model, more.pop("messages", [Message("user", "hi")]), **more)


def attached(*attachments: Attachment) -> ChatRequest:
    return plain(messages=[Message("user", "see", attachments=attachments)])


@BOTH
def test_the_plainest_request(name: str) -> None:
    target = Target("p", name, "http://a", key="k", headers=(("X", "y"),), unix_socket="/s")
    request = get(name).request(plain(), target)
    assert json.loads(request.body) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    assert request.headers == [
        ("Content-Type", "application/json"),
        ("x-goog-api-key", "k"),
        ("X", "y"),
    ]
    assert "k" not in request.url.removeprefix("http://a")[-9:]
    assert request.unix_socket == "/s"


@pytest.mark.parametrize(
    ("base", "model", "url"),
    [
        ("https://g.com", "m", "https://g.com/v1beta/models/m:streamGenerateContent"),
        ("https://g.com/v1beta", "m", "https://g.com/v1beta/models/m:streamGenerateContent"),
        ("https://g.com/v1/", "models/m", "https://g.com/v1/models/m:streamGenerateContent"),
        ("http://h/gemini", "m", "http://h/gemini/v1beta/models/m:streamGenerateContent"),
        (
            "http://h/v1alpha",
            "tunedModels/t-1",
            "http://h/v1alpha/tunedModels/t-1:streamGenerateContent",
        ),
        (
            "http://v/v1/projects/p/locations/l/publishers/google",
            "m@001",
            "http://v/v1/projects/p/locations/l/publishers/google/models/m@001:streamGenerateContent",
        ),
        ("http://h", "a b:c?d", "http://h/v1beta/models/a%20b%3Ac%3Fd:streamGenerateContent"),
        (
            "http://h/x/models/n:streamGenerateContent",
            "m",
            "http://h/x/models/n:streamGenerateContent",
        ),
        ("http://h/x/models/n:generateContent", "", "http://h/x/models/n:streamGenerateContent"),
        ("http://h?a=b", "m", "http://h/v1beta/models/m:streamGenerateContent?a=b"),
    ],
)
def test_url(base: str, model: str, url: str) -> None:
    def of(name: str, chat: ChatRequest) -> str:
        return get(name).request(chat, Target("p", name, base)).url

    assert of(ARRAY, plain(model)) == url
    assert of(SSE, plain(model)) == url + ("&" if "?" in url else "?") + "alt=sse"
    at_once = url.replace("streamGenerateContent", "generateContent")
    assert of(SSE, plain(model, stream=False)) == of(ARRAY, plain(model, stream=False)) == at_once


def test_the_key_in_another_header() -> None:
    def headers(**target: Any) -> list[tuple[str, str]]:
        request = get(SSE).request(plain(), Target("p", SSE, "http://a", **target))
        return request.headers[1:]

    assert headers() == []
    assert headers(key="k", quirks={"key_header": "api-key"}) == [("api-key", "k")]
    bearer = [("Authorization", "Bearer k")]
    assert headers(key="k", quirks={"key_header": "Authorization"}) == bearer


def config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({"system": "s"}, {"systemInstruction": {"parts": [{"text": "s"}]}}),
        ({"temperature": 0.0, "top_p": 0.5}, config(temperature=0.0, topP=0.5)),
        ({"max_tokens": 5, "stop": ("a",)}, config(maxOutputTokens=5, stopSequences=["a"])),
        (
            {"seed": 0, "frequency_penalty": 0.1, "presence_penalty": -0.1},
            config(seed=0, frequencyPenalty=0.1, presencePenalty=-0.1),
        ),
        (
            {"schema": {"type": "object"}},
            config(responseMimeType="application/json", responseJsonSchema={"type": "object"}),
        ),
        (
            {"tools": (Tool("f", "does", {"type": "object"}), Tool("g", "", {}))},
            {
                "tools": [
                    {
                        "functionDeclarations": [
                            {
                                "name": "f",
                                "description": "does",
                                "parametersJsonSchema": {"type": "object"},
                            },
                            {"name": "g", "description": ""},
                        ]
                    }
                ]
            },
        ),
        ({"tool_choice": "auto"}, {"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}}),
        ({"tool_choice": "none"}, {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}}),
        ({"tool_choice": "required"}, {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
        (
            {"tool_choice": "f"},
            {
                "toolConfig": {
                    "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}
                }
            },
        ),
        (
            {"options": {"generationConfig": {"topK": 3}, "labels": {"a": "b"}}, "max_tokens": 1},
            {**config(maxOutputTokens=1, topK=3), "labels": {"a": "b"}},
        ),
        ({"prefill": ""}, {}),
        ({"stream": False}, {}),
    ],
)
def test_each_field(more: dict[str, Any], fields: dict[str, Any]) -> None:
    for name in (SSE, ARRAY):
        assert asked(plain(**more), name) == {**asked(plain(), name), **fields}


@pytest.mark.parametrize(
    ("model", "think", "thinking"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-flash", "medium", {"thinkingBudget": 8192, "includeThoughts": True}),
        ("gemini-2.5-flash", "max", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("models/gemini-2.5-pro", "max", {"thinkingBudget": 32768, "includeThoughts": True}),
        ("smollm2", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-3-flash-preview", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.1-pro-preview", "low", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-10-pro", "medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ("gemini-flash-latest", "max", {"thinkingLevel": "HIGH", "includeThoughts": True}),
    ],
)
def test_thinking(model: str, think: str, thinking: dict[str, Any]) -> None:
    assert asked(plain(model, think=think))["generationConfig"] == {"thinkingConfig": thinking}
    hidden = asked(plain(model, think=think, hide_reasoning=True))["generationConfig"]
    assert "includeThoughts" not in hidden["thinkingConfig"]


def test_a_conversation_with_tools() -> None:
    """Ids that were ours are not sent; models since 3 want a signature on the first call."""
    calls = (("call_0", "f", '{"a":1}'), ("x9", "g", ""))
    messages = [
        Message("user", "q"),
        Message("assistant", "let me see", tool_calls=calls),
        Message("tool", "one", call_id="call_0", name="f"),
        Message("tool", "no", call_id="x9", name="g", is_error=True),
        Message("assistant", "done"),
        Message("user", "thanks"),
    ]
    first = {"functionCall": {"name": "f", "args": {"a": 1}}}
    contents = [
        {"role": "user", "parts": [{"text": "q"}]},
        {
            "role": "model",
            "parts": [
                {"text": "let me see"},
                first,
                {"functionCall": {"name": "g", "args": {}, "id": "x9"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"output": "one"}}},
                {"functionResponse": {"name": "g", "id": "x9", "response": {"error": "no"}}},
            ],
        },
        {"role": "model", "parts": [{"text": "done"}]},
        {"role": "user", "parts": [{"text": "thanks"}]},
    ]
    assert asked(plain(messages=messages))["contents"] == contents
    first["thoughtSignature"] = "skip_thought_signature_validator"  # type: ignore[assignment]
    assert asked(plain("gemini-3-pro-preview", messages=messages))["contents"] == contents


@pytest.mark.parametrize(
    ("attachment", "part"),
    [
        (
            Attachment("a.png", "image/png", b"P"),
            {"inlineData": {"mimeType": "image/png", "data": "UA=="}},
        ),
        (
            Attachment("a.wav", "audio/wav", b"P"),
            {"inlineData": {"mimeType": "audio/wav", "data": "UA=="}},
        ),
        (
            Attachment("a.pdf", "application/pdf", b"P"),
            {"inlineData": {"mimeType": "application/pdf", "data": "UA=="}},
        ),
        (
            Attachment("a.txt", "text/plain", b"P"),
            {"inlineData": {"mimeType": "text/plain", "data": "UA=="}},
        ),
        (
            Attachment("a.mp4", "video/mp4", b"P"),
            {"inlineData": {"mimeType": "video/mp4", "data": "UA=="}},
        ),
        (
            Attachment("a", "image/png", url="https://a"),
            {"fileData": {"mimeType": "image/png", "fileUri": "https://a"}},
        ),
        (Attachment("a", "", url="https://a"), {"fileData": {"fileUri": "https://a"}}),
    ],
)
def test_attachment(attachment: Attachment, part: dict[str, Any]) -> None:
    (content,) = asked(attached(attachment))["contents"]
    assert content == {"role": "user", "parts": [part, {"text": "see"}]}


@BOTH
@pytest.mark.parametrize(
    ("chat", "what"),
    [
        (plain(prefill="x"), "--prefill"),
        (attached(Attachment("a.zip", "application/zip", b"PK")), "a.zip"),
        (plain(""), "model"),
    ],
)
def test_what_it_cannot_say_is_told_before_anything_is_sent(
    name: str, chat: ChatRequest, what: str
) -> None:
    with pytest.raises(StreamError, match=what) as told:
        asked(chat, name)
    assert told.value.kind == "usage"


# Quirks, written by hand


def chunk(*parts: Any, **more: Any) -> dict[str, Any]:
    candidate = {
        name: more.pop(name)
        for name in ("finishReason", "finishMessage", "citationMetadata", "groundingMetadata")
        if name in more
    }
    index = more.pop("index", 0)
    content = {"content": {"parts": list(parts), "role": "model"}, "index": index}
    return {
        "candidates": [{**content, **candidate}],
        "modelVersion": "m",
        "responseId": "r",
        **more,
    }


def text(text: str, **more: Any) -> dict[str, Any]:
    return chunk({"text": text}, **more)


def call(**call: Any) -> dict[str, Any]:
    return {"functionCall": call}


STOP = text("", finishReason="STOP")


def sse(*values: Any) -> bytes:
    return b"".join(b"data: %b\r\n\r\n" % orjson.dumps(value) for value in values)


def array(*values: Any) -> bytes:
    """As Google prints it."""
    printed = [json.dumps(value, indent=2, ensure_ascii=False).encode() for value in values]
    return b"[" + b"\n,\r\n".join(printed) + b"\n]"


FORMS = {SSE: sse, ARRAY: array}


def told(name: str, data: bytes) -> list[Event]:
    """What the bytes say at many cuts, without the events that only clocks care for."""
    events = merged(decode(get(name).Decoder(), whole(data)))
    for pieces in (bytewise(data), *some_two(data)):
        assert merged(decode(get(name).Decoder(), pieces)) == events
    return merged([event for event in events if not isinstance(event, Opaque | Progress | Started)])


def said(*values: Any) -> list[Event]:
    """What the values say in both framings; the end without its proof."""
    (events, others) = (told(name, form(*values)) for name, form in FORMS.items())
    for end in (events[-1], others[-1]):
        if isinstance(end, Finished) or (isinstance(end, Failed) and end.raw):
            end.evidence = ()
    assert events == others
    return events


DONE = Finished("stop", "STOP", ())


def test_all_parts_of_all_candidates() -> None:
    parts = ({"text": "hm", "thought": True}, {"text": "a"}, {"text": "b", "thoughtSignature": "s"})
    second = text("c", index=1, finishReason="STOP")
    assert said(chunk(*parts), second, STOP) == [
        Reasoning("hm"),
        Text("ab"),
        Text("c", 1),
        DONE,
    ]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"candidates": []},
        {"candidates": None},
        {"candidates": [{}]},
        {"candidates": [{"content": None}]},
        {"candidates": [{"content": {}}]},
        {"candidates": [{"content": {"role": "model"}}]},
        {"candidates": [{"content": {"parts": None}}]},
        {"candidates": [{"finishReason": None}]},
        {"candidates": [{"finishReason": "FINISH_REASON_UNSPECIFIED"}]},
        {"usageMetadata": {"trafficType": "ON_DEMAND"}},
        {"promptFeedback": {"safetyRatings": []}},
        {"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}},
        chunk({"text": ""}, {"text": None}, {"inlineData": {"data": "x"}}),
        chunk({"executableCode": {"code": "no"}}, {"codeExecutionResult": {"output": "no"}}),
        chunk({"toolCall": {"toolType": "FILE_SEARCH"}}, {"toolResponse": {}}),
    ],
)
def test_what_says_nothing(odd: dict[str, Any]) -> None:
    assert said(text("a"), odd, text("b"), STOP) == [Text("ab"), DONE]
    (*_, end) = said(text("a"), odd)
    assert isinstance(end, Failed)
    assert end.status == "truncated"


def test_a_call_that_comes_whole() -> None:
    finish = {"finishReason": "STOP"}
    calls = chunk(call(name="f", args={"a": "é"}), call(name="g", id="x9"), call(name="h"))
    assert said(calls, chunk(**finish)) == [
        ToolCall("call_0", "f", '{"a":"é"}'),
        ToolCall("x9", "g", "{}"),
        ToolCall("call_2", "h", "{}"),
        Finished("tool_calls", "STOP", ()),
    ]


def part(path: str, more: bool = False, **value: Any) -> dict[str, Any]:
    fragment = {"jsonPath": path, **value, **({"willContinue": True} if more else {})}
    return chunk(call(partialArgs=[fragment], willContinue=True))


def test_a_call_that_comes_in_fragments_is_one() -> None:
    assert said(
        chunk(call(name="f", willContinue=True)),
        part("$.a", more=True, stringValue="x"),
        part("$.a", more=True, stringValue="y "),
        part("$.a", stringValue=""),
        part("$.list[0].n", numberValue=0.5),
        chunk(call(willContinue=True)),
        part("$.list[1].n", numberValue=2),
        part("$.list[1]['odd.name']", boolValue=True),
        part("$.none", nullValue="NULL_VALUE"),
        chunk(call()),
        chunk(
            call(name="g", willContinue=True),
            call(partialArgs=[{"jsonPath": "$.b", "stringValue": "z"}]),
        ),
        chunk(call(name="h", willContinue=True, args={"given": 1})),
        part("$.c", more=True, stringValue="never closed"),
        STOP,
    ) == [
        ToolCall(
            "call_0", "f", '{"a":"xy ","list":[{"n":0.5},{"n":2,"odd.name":true}],"none":null}'
        ),
        ToolCall("call_1", "g", '{"b":"z"}'),
        ToolCall("call_2", "h", '{"given":1,"c":"never closed"}'),
        Finished("tool_calls", "STOP", ()),
    ]


@pytest.mark.parametrize(
    "path",
    ["", "$", "a", "$a", "$.", "$[0]", "$.a[", "$.a[x]", "$.a[999999]", "$.k.deeper", 5]
    + ["$" + ".d" * 500],
    ids=lambda path: str(path)[:12],
)
def test_a_fragment_without_a_place_is_left_out(path: Any) -> None:
    events = said(
        chunk(call(name="f", willContinue=True)),
        part("$.k", stringValue="v"),
        part(path, stringValue="lost"),
        STOP,
    )
    call_told = events[0]
    assert isinstance(call_told, ToolCall)
    assert json.loads(call_told.arguments)["k"] == "v"
    assert "lost" not in call_told.arguments


def test_a_long_string_in_fragments_takes_linear_time() -> None:
    values = [chunk(call(name="f", willContinue=True))]
    values += [part("$.a", more=True, stringValue="x" * 20)] * 20_000
    *_, told_call, _ = decode(get(SSE).Decoder(), whole(sse(*values, STOP)))
    assert isinstance(told_call, ToolCall)
    assert len(told_call.arguments) == 400_000 + len('{"a":""}')


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("FAKE_ENUM", "other"),
    ],
)
def test_finish_reason(raw: str, reason: str) -> None:
    assert said(text("a", finishReason=raw)) == [Text("a"), Finished(reason, raw, ())]


@pytest.mark.parametrize(
    ("number", "raw", "reason"),
    [
        (1, "STOP", "stop"),
        (2, "MAX_TOKENS", "length"),
        (3, "SAFETY", "content_filter"),
        (8, "8", "content_filter"),
        (99, "99", "content_filter"),
    ],
)
def test_finish_reason_as_a_number(number: int, raw: str, reason: str) -> None:
    assert said(text("a", finishReason=number)) == [Text("a"), Finished(reason, raw, ())]


@pytest.mark.parametrize("raw", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "NO_IMAGE"])
def test_a_finish_reason_that_is_a_failure(raw: str) -> None:
    used = {"usageMetadata": {"promptTokenCount": 5}}
    *told, failed = said(text("a", finishReason=raw, finishMessage="see\nthere"), used)
    assert told == [Text("a"), Usage(5)]
    message = f"the server ended the answer with finish reason {raw} (see there)"
    assert failed == Failed("stream_error", message, raw=raw)


def test_the_worst_reason_of_several_candidates_and_the_last_of_one() -> None:
    two = said(text("a", finishReason="MAX_TOKENS"), text("b", index=1, finishReason="STOP"))
    assert two[-1] == Finished("length", "MAX_TOKENS", ())
    last = said(text("a", finishReason="STOP"), chunk(finishReason="RECITATION"))
    assert last[-1] == Finished("content_filter", "RECITATION", ())


@pytest.mark.parametrize(("raw", "word"), [("SAFETY", "SAFETY"), ("NEW", "NEW"), (3, "BLOCKLIST")])
def test_a_blocked_prompt(raw: Any, word: str) -> None:
    feedback = {"promptFeedback": {"blockReason": raw, "blockReasonMessage": "no"}}
    usage = {"promptTokenCount": 4, "totalTokenCount": 4}
    assert said({**feedback, "usageMetadata": usage}) == [
        Usage(4, None, total_tokens=4),
        Finished("content_filter", word, ()),
    ]


def test_the_last_usage_counts() -> None:
    first = {"promptTokenCount": 15, "totalTokenCount": 15}
    second = {"promptTokenCount": 13, "thoughtsTokenCount": 7, "totalTokenCount": 20}
    third = {
        "promptTokenCount": 13,
        "toolUsePromptTokenCount": 100,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 7,
        "cachedContentTokenCount": 5,
        "totalTokenCount": 122,
    }
    values = [
        text(str(n), usageMetadata=each) for n, each in enumerate((first, first, second, third))
    ]
    counts = [event for event in said(*values, STOP) if isinstance(event, Usage)]
    assert counts == [
        Usage(15, None, None, total_tokens=15),
        Usage(13, 7, 7, total_tokens=20),
        Usage(113, 9, 7, 5, None, 122),
    ]


def test_usage_that_goes_back_and_forth_between_like_chunks() -> None:
    """Runs of like chunks take another road: it must not pass over what they count."""
    one, two = ({"promptTokenCount": count} for count in (1, 2))
    values = [text(f" {n} é\n", usageMetadata=two if n % 40 == 7 else one) for n in range(400)]
    data = sse(*values, STOP)
    events = decode(get(SSE).Decoder(), whole(data))
    assert [e.input_tokens for e in events if isinstance(e, Usage)] == [1, *[2, 1] * 10]
    for size in (500, 4096):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert decode(get(SSE).Decoder(), pieces) == events


def test_citations() -> None:
    cited = {
        "citations": [
            {"endIndex": 5, "uri": "http://a", "title": "A"},
            {"startIndex": 2, "endIndex": 9, "title": "only a title"},
            {"startIndex": 2, "license": "mit"},
        ]
    }
    old = {"citationSources": [{"startIndex": 3, "endIndex": 4, "uri": "http://old"}]}
    grounds = {
        "groundingChunks": [
            {"web": {"uri": "http://w", "title": "W"}},
            {"retrievedContext": {"text": "no address"}},
            {"web": {"uri": "http://unused"}},
            None,
        ],
        "groundingSupports": [
            {"segment": {"endIndex": 7}, "groundingChunkIndices": [0, 1, 9, "odd"]},
            {"segment": {"startIndex": 8, "endIndex": 12}, "groundingChunkIndices": [0]},
            None,
        ],
    }
    assert said(
        text("a", citationMetadata=cited),
        text("b", citationMetadata=cited),
        text("c", citationMetadata=old, groundingMetadata={}),
        text("", groundingMetadata=grounds, finishReason="STOP"),
        text("", groundingMetadata=grounds),
    ) == [
        Text("a"),
        Citation("http://a", "A", 0, 5),
        Citation("", "only a title", 2, 9),
        Text("bc"),
        Citation("http://old", "", 3, 4),
        Citation("http://w", "W", 0, 7),
        Citation("http://w", "W", 8, 12),
        Citation("http://unused"),
        DONE,
    ]


def test_who_answers() -> None:
    values = [{"candidates": []}, text("a"), text("b", responseId="s"), text("c", responseId="s")]
    events = decode(get(SSE).Decoder(), whole(sse(*values, {**STOP, "responseId": "s"})))
    started = [event for event in events if isinstance(event, Started)]
    assert started == [Started("m", "r"), Started("m", "s")]


@BOTH
def test_an_error_in_any_form(name: str) -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    failed = Failed("overloaded", "The model is overloaded.", http_status=503, transient=True)
    printed = json.dumps(error, indent=2).encode()
    bodies = [printed, orjson.dumps(error), b"[" + printed + b"]\n", sse(error), sse([error])]
    for body in bodies:
        assert told(name, body) == [failed], body
    in_the_middle = FORMS[name](text("a"), error, STOP)
    assert told(name, in_the_middle) == [Text("a"), failed]
    after_the_reason = told(name, FORMS[name](text("a"), STOP, error))
    failed.evidence = ("finish_reason",)
    assert after_the_reason == [Text("a"), failed]
    stray = sse(text("a")) + orjson.dumps(error) + b"\r\n\r\n"
    assert isinstance(told(SSE, stray)[-1], Failed)


def test_the_end_of_an_array_is_a_proof_and_is_not_waited_for() -> None:
    decoder = get(ARRAY).Decoder()
    assert [type(event) for event in decoder.feed(array(text("a"), STOP))[-1:]] == [Finished]
    assert decoder.ended
    (*_, end) = told(ARRAY, array(text("a"), STOP))
    assert end == Finished("stop", "STOP", ("finish_reason", "marker"))
    for body, evidence in ((array(text("a"), STOP)[:-1], "eof"), (array(STOP) + b"x", "marker")):
        (*_, end) = told(ARRAY, body)
        assert end == Finished("stop", "STOP", ("finish_reason", evidence))
    (*_, end) = told(ARRAY, array(text("a")))  # closed by a proxy, but without a reason
    assert isinstance(end, Failed)
    assert end.status == "truncated"


def test_an_array_is_told_element_by_element() -> None:
    """Each the moment it closes, whatever comes in one read."""
    decoder = get(ARRAY).Decoder()
    data = array(text('a]}",'), text("b\\"), STOP)
    closes = [match.end() for match in re.finditer(rb"\n}", data)]
    assert len(closes) == 3
    heard = ""
    for at in range(len(data)):
        for event in decoder.feed(data[at : at + 1]):
            if isinstance(event, Text):
                heard += event.text
                assert at + 1 in closes
    assert heard == 'a]}",b\\'


@pytest.mark.parametrize("print_it", [{}, {"indent": 0}, {"indent": 4}, {"separators": (",", ":")}])
def test_an_array_in_other_prints(print_it: dict[str, Any]) -> None:
    values = [text('a"]}\n'), 5, None, {"odd": "]"}, [text("b")], text("\u2028é"), STOP]
    for begin in (b"", b"\xef\xbb\xbf \r\n"):
        data = begin + json.dumps(values, **print_it).encode()
        assert told(ARRAY, data)[:-1] == [Text('a"]}\nb\u2028é')]


@pytest.mark.parametrize(
    "broken",
    [b'{"a":1]', b"nonsense", b'{"candidates":[}', b'{"text": "a\nb"}', b"}"],
)
def test_a_broken_array_is_not_complete(broken: bytes) -> None:
    data = b"[" + orjson.dumps(text("a")) + b",\n" + broken + b",\n" + orjson.dumps(STOP) + b"]"
    first, *_, end = told(ARRAY, data)
    assert first == Text("a")
    assert isinstance(end, Failed)


def test_a_long_array_and_a_long_element() -> None:
    """Large reads take another road than small ones."""
    words = [f" {number} \"'\\\n é🙂" for number in range(700)]
    data = array(
        *(text(word, usageMetadata={"totalTokenCount": n}) for n, word in enumerate(words))
    )
    data = data[:-2] + b",\n" + orjson.dumps(STOP) + b"]"
    events = decode(get(ARRAY).Decoder(), whole(data))
    assert "".join(e.text for e in events if isinstance(e, Text)) == "".join(words)
    for size in (100, 1000, 4096, 16384):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert decode(get(ARRAY).Decoder(), pieces) == events
    for name, form in FORMS.items():
        decoder = get(name).Decoder(limit=3000)
        long = form(text("x" * 4000), STOP)
        (*_, end) = decode(decoder, [long[at : at + 700] for at in range(0, len(long), 700)])
        assert isinstance(end, Failed)
        assert end.kind == "too_large"


def test_the_oldest_models_say_stop_all_along() -> None:
    """With text in the same chunk their STOP is no end yet: more may come after a while."""
    decoder = get(SSE).Decoder()
    old = [{"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]}]
    decoder.feed(sse(*old))
    assert not decoder.ending
    decoder.feed(sse({"candidates": [{"finishReason": "STOP"}]}))
    assert decoder.ending
    new = get(SSE).Decoder()
    new.feed(sse(text("a", finishReason="STOP")))
    assert new.ending
    assert not new.ended


def test_a_whole_answer() -> None:
    for name in (SSE, ARRAY):
        for indent in (None, 2):
            data = json.dumps(text("Hi", finishReason="STOP"), indent=indent).encode()
            (*_, end) = events = told(name, data)
            assert events[:-1] == [Text("Hi")]
            assert end == Finished("stop", "STOP", ("finish_reason", "eof"))


def test_input_that_only_a_lenient_reader_takes() -> None:
    odd = json.dumps(chunk(call(name="f", args={"s": "\ud83d", "n": 10**20}))).encode()
    data = b"data: " + odd + b"\r\n\r\n" + sse(STOP)
    assert told(SSE, data)[0] == ToolCall("call_0", "f", '{"s":"\ufffd","n":100000000000000000000}')
    halves = b"[" + json.dumps(text("\ud83d")).encode() + b"," + json.dumps(text("\ude42")).encode()
    assert told(ARRAY, halves + b"," + orjson.dumps(STOP) + b"]")[0] == Text("🙂")
    head = b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":'
    for depth in (1000, 3000, 9000, 60_000):  # what is too deep differs between Pythons
        nested = "[" * depth + "]" * depth
        deep = head + nested.encode() + b"}}]}}]}\r\n\r\n"
        (*events, end) = decode(get(SSE).Decoder(), whole(deep + sse(STOP)))
        if depth < 60_000 and isinstance(end, Finished):
            assert events[-1] == ToolCall("call_0", "f", nested)
        else:
            assert isinstance(end, Failed)
            assert end.kind == "bad_json"


def test_a_chunk_that_only_the_lenient_parser_reads_ends_a_run() -> None:
    """Runs of like chunks are cut without being parsed: not by the form of a chunk before it."""
    form = b'data: {"candidates":[{"content":{"parts":[{"text":"%b"}]}}],"modelVersion":"%b"}\n\n'
    events = [form % (b"a", b"m")] * 9 + [form % (b"b", b"\xff")] + [form % (b"c", b"m")] * 3
    expected = merged(decode(get(SSE).Decoder(), events))
    assert [event.model for event in expected if isinstance(event, Started)] == ["m", "\ufffd", "m"]
    data = b"".join(events)
    for pieces in (whole(data), bytewise(data), [data[: len(events[0])], data[len(events[0]) :]]):
        assert merged(decode(get(SSE).Decoder(), pieces)) == expected
