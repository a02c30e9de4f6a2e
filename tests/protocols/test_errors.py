"""Errors on every wire: in any clothes, anywhere in a stream, and refusals over HTTP.

An error that is overlooked is the worst there is: half an answer that calls itself complete.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from splits import decode, merged, sampled, tiny, whole

from streamcli.events import Event, Failed, Finished, Text
from streamcli.protocols._contract import get, names


def sse(*values: Any) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(value).encode() for value in values)


def lines(*values: Any) -> bytes:
    return b"".join(b"%s\n" % json.dumps(value).encode() for value in values)


def task(kind: str, **fields: Any) -> dict[str, Any]:
    result = {"kind": kind, "taskId": "t", "contextId": "c", **fields}
    return {"jsonrpc": "2.0", "id": 1, "result": result}


DONE = b"data: [DONE]\n\n"
HALF = {"role": "assistant", "content": "Half"}
# Of each protocol an event that says "Half", and what would end the answer.
STREAMS: dict[str, tuple[Any, bytes]] = {
    "openai-chat": ({"id": "c", "model": "m", "choices": [{"delta": HALF}]}, DONE),
    "openai-completions": ({"id": "c", "choices": [{"index": 0, "text": "Half"}]}, DONE),
    "openai-responses": (
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Half"},
        sse({"type": "response.completed", "response": {"id": "r", "status": "completed"}}),
    ),
    "anthropic": (
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Half"}},
        sse(
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ),
    ),
    "gemini": (
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "Half"}]}}]},
        sse({"candidates": [{"finishReason": "STOP"}]}),
    ),
    "ollama": (
        {"model": "m", "message": HALF, "done": False},
        lines({"model": "m", "message": {"content": ""}, "done": True, "done_reason": "stop"}),
    ),
    "cohere": (
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Half"}}}},
        sse({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}),
    ),
    "honcho": ({"delta": {"content": "Half"}, "done": False}, sse({"done": True})),
    "ui-message": (
        {"type": "text-delta", "id": "t", "delta": "Half"},
        sse({"type": "finish"}) + DONE,
    ),
    "ag-ui": (
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Half"},
        sse({"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}),
    ),
    "a2a": (
        task("artifact-update", artifact={"artifactId": "a", "parts": [{"text": "Half"}]}),
        sse(task("status-update", final=True, status={"state": "completed"})),
    ),
}
CLOTHES: dict[str, Any] = {
    "an object": {"error": {"message": "boom", "code": "server_error"}},
    "a text": {"error": "boom"},
    "a text and a code": {"error": "boom", "code": "data_inspection_failed"},
    "flat, by its type": {"type": "error", "message": "boom"},
    "nested, by its type": {"type": "error", "error": {"type": "api_error", "message": "boom"}},
    "flat, by its object": {"object": "error", "message": "boom", "code": 50001},
    "FastChat's": {"text": "boom", "error_code": 50004},
    "a code and a message": {"code": 500, "message": "boom"},
    "a message": {"message": "boom"},
    "FastAPI's": {"detail": "boom"},
    "FastAPI's, of a field": {"detail": [{"loc": ["body", "x"], "msg": "boom"}]},
    "GLM's": {"success": False, "msg": "boom"},
    "MiniMax's": {"base_resp": {"status_code": 1008, "status_msg": "boom"}},
    "Cloudflare's": {"success": False, "errors": [{"code": 7, "message": "boom"}], "result": None},
    "HelpingAI's": {"error_message": "boom"},
    "several, by name": {"errors": {"x": {"message": "boom"}, "message": "boom"}},
    "AWS's spelling": {"Error": {"Code": "X", "Message": "boom"}},
    "Java's spelling": {"errorMessage": "boom", "errorType": "java.io.IOException"},
    "an exception": {"exception": "boom", "timestamp": 1},
    "a fault of a gateway": {"fault": {"faultstring": "boom", "detail": {"errorcode": "x"}}},
    "not ok": {"ok": False, "description": "boom"},
    "a text for no": {"success": "false", "error_msg": "boom"},
    "a status and a title": {"title": "boom", "status": 503, "traceId": "x"},
    "a status of an HTTP library": {"statusCode": 500, "reason": "boom", "x": {"y": 1}},
    "a word for an error": {"event": "error", "message": "boom", "at": {"line": 1}},
    "UCloud's": {"RetCode": 172, "Action": "ErrorResponse", "Message": "boom"},
    "Spark's": {"header": {"code": 10013, "message": "boom", "sid": "s"}},
    "Tencent's": {"Response": {"Error": {"Code": "X", "Message": "boom"}, "RequestId": "r"}},
    "in an envelope": {"data": {"error": {"message": "boom"}}},
    "beside an empty answer": {"id": "c", "model": "m", "choices": [], "code": 7, "msg": "boom"},
    "a list of one": [{"error": {"code": 503, "message": "boom", "status": "UNAVAILABLE"}}],
    "JSON in a text": {"error": {"message": '{"error": {"message": "boom"}}'}},
}


def told(name: str, data: bytes) -> list[Event]:
    """What the protocol's decoder tells, at sampled splits."""
    events = decode(get(name).Decoder(), whole(data))
    for pieces in [tiny(data, 60), *sampled(data, 1)]:
        assert merged(decode(get(name).Decoder(), pieces)) == merged(events)
    return events


@pytest.mark.parametrize("clothes", CLOTHES)
@pytest.mark.parametrize("name", STREAMS)
def test_an_error_in_any_clothes_ends_the_answer(name: str, clothes: str) -> None:
    half, end = STREAMS[name]
    frame = lines if name == "ollama" else sse
    error = frame(CLOTHES[clothes])
    for data in (frame(half) + error + end, frame(half) + error):
        events = told(name, data)
        assert Text("Half") in merged(events)
        last = events[-1]
        assert isinstance(last, Failed), "and no marker behind it makes the answer whole"
        assert "boom" in last.message
        assert "{" not in last.message, "the message is words, never somebody's repr"
    # Before anything else, and as the whole body of an answer with status 200.
    for data in (error + end, error, json.dumps(CLOTHES[clothes], indent=1).encode()):
        last = told(name, data)[-1]
        assert isinstance(last, Failed)
        assert "boom" in last.message


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "ollama"])
def test_an_error_may_be_text_or_stand_beside_the_stream(name: str) -> None:
    half, end = STREAMS[name]
    for error in (
        b"event: error\ndata: boom, too many requests\n\n",
        b'{"error": {"message": "boom", "code": 429}}\n\n',
        b'[{\n  "error": {\n    "message": "boom",\n    "code": 429\n  }\n}]\n\n',
        b'error: {"message": "boom", "code": 429}\n\n',
        b'{\n\n  "error": {\n\n    "message": "boom",\n    "code": 429\n\n  }\n\n}\n\n',
        b"data: Error: boom, too many requests\n\n",
        b"data: [ERROR] boom, rate limit\n\n",
        b'event: stream-error\ndata: {"x": {"y": 1}, "message": "boom", "code": 429}\n\n',
        b'event: RateLimitException\ndata: "boom: too many requests"\n\n',
        b"data: {'error': {'message': 'boom', 'code': 429}}\n\n",
    ):
        last = told(name, sse(half) + error + end)[-1]
        assert isinstance(last, Failed)
        assert (last.kind, last.transient) == ("rate_limit", True)
        assert "boom" in last.message


@pytest.mark.parametrize("name", STREAMS)
def test_what_only_looks_like_an_error_is_not_one(name: str) -> None:
    half, end = STREAMS[name]
    frame = lines if name == "ollama" else sse
    odd = {**half, "success": True, "error_code": 0, "errors": []}
    if name != "a2a":  # whose `error` may be there or not
        odd["error"] = None
    *_, last = told(name, frame(odd) + end)
    assert isinstance(last, Finished)


# What people met, in their servers' own words

CHOICES: dict[str, Any] = {"choices": [{"index": 0, "delta": {"content": "Half"}}]}
REPORTED: dict[str, tuple[str, bytes, str, str]] = {
    # name: protocol, what follows half an answer, the kind of the end, a piece of its message
    "MiniMax stops at what it must not say": (
        "openai-chat",
        sse({"choices": None, "base_resp": {"status_code": 1027, "status_msg": "new_sensitive"}}),
        "filtered",
        "new_sensitive",
    ),
    "MiniMax is not paid": (
        "openai-chat",
        sse({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "no balance"}}),
        "quota",
        "no balance",
    ),
    "MiniMax does not know the key": (
        "openai-chat",
        sse({"base_resp": {"status_code": 1004, "status_msg": "login fail: check the key"}}),
        "auth",
        "login fail",
    ),
    "FastChat lost its worker": (
        "openai-chat",
        sse({"text": "**NETWORK ERROR**", "error_code": 50004}),
        "stream_error",
        "NETWORK ERROR",
    ),
    "Anthropic blocks what it wrote": (
        "anthropic",
        b"event: error\n"
        + sse(
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "Output blocked by content filtering policy",
                },
            }
        ),
        "filtered",
        "Output blocked",
    ),
    "a proxy before Anthropic gives up": (
        "anthropic",
        b"event: error\ndata: upstream request timeout\n\n",
        "stream_error",
        "upstream request timeout",
    ),
    "Gemini is asked too much": (
        "gemini",
        b'{\n "error": {\n  "code": 429,\n  "message": "Resource has been exhausted (e.g. check '
        b'quota).",\n  "status": "RESOURCE_EXHAUSTED"\n }\n}\n',
        "rate_limit",
        "exhausted",
    ),
    "Gemini is overloaded": (
        "gemini",
        sse({"error": {"code": 503, "message": "high demand", "status": "UNAVAILABLE"}}),
        "overloaded",
        "high demand",
    ),
    "a gateway fails in the middle of an event": (
        "openai-chat",
        b'data: {"choices":[{"index":0,"delta":{"con\n'
        b'data: {"error":{"message":"stream_read_error","type":"upstream_error"}}\n\n',
        "stream_error",
        "stream_read_error",
    ),
    "DashScope inspects the data": (
        "openai-responses",
        sse(
            {
                "type": "response.failed",
                "response": {
                    "id": "r",
                    "status": "failed",
                    "error": {"code": "data_inspection_failed", "message": "Input data may ..."},
                },
            }
        ),
        "filtered",
        "Input data",
    ),
    "Ollama's model stops running": (
        "ollama",
        lines({"error": "an error was encountered while running the model"}),
        "stream_error",
        "while running the model",
    ),
    "LiteLLM wraps the provider's words": (
        "openai-chat",
        sse({"error": {"message": 'litellm.RateLimitError: {"error": {"message": "slow"}}'}}),
        "rate_limit",
        "litellm.RateLimitError: slow",
    ),
}


@pytest.mark.parametrize("report", REPORTED)
def test_a_reported_error_has_its_kind(report: str) -> None:
    name, error, kind, said = REPORTED[report]
    half, end = STREAMS[name]
    frame = lines if name == "ollama" else sse
    for data in (frame(half) + error + end, frame(half) + error):
        events = told(name, data)
        assert Text("Half") in merged(events)
        assert isinstance(last := events[-1], Failed)
        assert (last.kind, said in last.message) == (kind, True)


# Refusals over HTTP, in the bodies of all providers, whatever the protocol is

FLAGGED = "Input was flagged. No credits were charged."
REFUSALS: list[tuple[int, Any, str, bool]] = [
    (403, {"code": "permission", "error": "Content violates usage guidelines."}, "filtered", False),
    (403, {"error": {"code": 403, "message": FLAGGED, "metadata": {}}}, "filtered", False),
    (400, {"error": {"code": "data_inspection_failed", "message": "x"}}, "filtered", False),
    (400, {"error": {"code": "invalid_prompt", "message": "x"}}, "filtered", False),
    (400, {"message": "Output blocked by content filtering policy"}, "filtered", False),
    (
        429,
        {"error": {"code": "rate_limit_exceeded", "message": "see /billing"}},
        "rate_limit",
        True,
    ),
    (429, {"error": {"message": "Quota exceeded for requests_per_minute"}}, "rate_limit", True),
    (429, {"error": {"code": "insufficient_quota", "message": "x"}}, "quota", False),
    (400, {"error": {"code": "context_length_exceeded", "message": "x"}}, "context_window", False),
    (401, {"error": {"message": "no"}}, "auth", False),
    (503, {"error": {"type": "overloaded_error", "message": "x"}}, "server_error", True),
]


@pytest.mark.parametrize(("status", "body", "kind", "transient"), REFUSALS)
@pytest.mark.parametrize("name", names())
def test_a_refusal_is_judged_alike_in_every_protocol(
    name: str, status: int, body: Any, kind: str, transient: bool
) -> None:
    failed = get(name).refusal(status, {}, json.dumps(body).encode())
    assert (failed.kind, failed.transient, failed.http_status) == (kind, transient, status)
