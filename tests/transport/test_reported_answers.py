"""Whole HTTP answers that people reported in public, each with its verdict and what a batch does.

A refusal is a row of REFUSALS: the provider, the status, its headers and body as it was sent, and
what is right. Where the report asks for a retry the delay is 0 here: its length is a pure matter
(tests/wire/test_provider_errors.py). Responses that are no HTTP library's are in
test_http_faults.py, those that pause in tests/answer/test_reported_pauses.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Configure, Stream
from faultserver import Conn, FaultServer, ok

GROQ = (
    "Rate limit reached for model `m` in organization `org_x` service tier `on_demand` on tokens "
    "per minute (TPM): Limit 6000, Used 5000, Requested 1400. Please try again in 0s. Need more "
    "tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
)
VERTEX = (
    "Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute_per_project_"
    "per_base_model with base model: gemini-2.5-pro. Please submit a quota increase request."
)
OPENAI_FLAGGED = (
    "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try "
    "again with a different prompt."
)
OPENROUTER_FLAGGED = (
    'model-x requires moderation on Provider. Your input was flagged for "violence". '
    "No credits were charged."
)
NO_PERMISSION = "The caller does not have permission to execute the specified operation"
BLOCKED = "Output blocked by content filtering policy"

# name: model, status, body, exit, kind, requests of one prompt
REFUSALS: dict[str, tuple[str, int, Any, int, str, int]] = {
    "Anthropic blocked its output": (
        "anthropic:claude-x", 400,
        {"type": "error", "error": {"type": "invalid_request_error", "message": BLOCKED}},
        11, "filtered", 1,
    ),
    "DashScope inspected the data": (
        "openai:qwen", 400,
        {"error": {"code": "data_inspection_failed", "param": None,
                   "message": "Input data may contain inappropriate content.",
                   "type": "data_inspection_failed"}, "request_id": "x"},
        11, "filtered", 1,
    ),
    "OpenAI takes the prompt for invalid": (
        "openai:o3", 400,
        {"error": {"message": OPENAI_FLAGGED, "type": "invalid_request_error",
                   "param": None, "code": "invalid_prompt"}},
        11, "filtered", 1,
    ),
    "OpenRouter flagged the input": (
        "openrouter:x", 403,
        {"error": {"code": 403, "message": OPENROUTER_FLAGGED,
                   "metadata": {"reasons": ["violence"], "flagged_input": "how to..."}}},
        11, "filtered", 1,
    ),
    "xAI says the caller has no permission": (
        "xai:grok-4", 403,
        {"code": NO_PERMISSION,
         "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"},
        11, "filtered", 1,
    ),
    "Groq links to its billing page": (
        "groq:x", 429,
        {"error": {"message": GROQ, "type": "tokens", "code": "rate_limit_exceeded"}},
        16, "rate_limit", 2,
    ),
    "Vertex exceeds a quota of the minute": (
        "gemini:gemini-2.5-pro", 429,
        {"error": {"code": 429, "message": VERTEX, "status": "RESOURCE_EXHAUSTED"}},
        16, "rate_limit", 2,
    ),
}  # fmt: skip
VENDORS = ["ANTHROPIC", "OPENAI", "OPENROUTER", "XAI", "GROQ", "GEMINI"]
KEYS = {f"{vendor}_API_KEY": "k" for vendor in VENDORS}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal(stream: Stream, server: FaultServer, name: str) -> None:
    model, status, body, code, kind, requests = REFUSALS[name]

    def play(conn: Conn) -> None:
        conn.reply(status, body, retry_after="0")

    where = ("-m", model, "--base-url", server.script("wire", play))
    run = stream(*where, "-n", "--jsonl", "--max-retries", "1", "hi", env=KEYS)
    end = run.records[-1]
    assert (run.returncode, end["error"]["kind"]) == (code, kind), run.stderr
    assert (end["attempts"], end["error"]["http_status"]) == (requests, status)
    assert len(server.seen("wire")) == requests
    assert "{" not in run.stderr


@pytest.mark.parametrize("name", [name for name in REFUSALS if REFUSALS[name][4] == "filtered"])
def test_a_refused_prompt_fails_alone(stream: Stream, server: FaultServer, name: str) -> None:
    """The batch goes on: what is wrong is the prompt, not the key."""
    model, status, body, _, _, _ = REFUSALS[name]

    def play(conn: Conn) -> None:
        conn.reply(status, body)

    where = ("-m", model, "--base-url", server.script("wire", play))
    run = stream(*where, "-L", "-j1", "--jsonl", stdin=b"a\nb\nc\n", env=KEYS)
    ends = [each for each in run.records if each["type"] == "end"]
    assert [each["status"] for each in ends] == ["filtered"] * 3
    assert (run.returncode, len(server.seen("wire"))) == (20, 3)


@pytest.mark.parametrize("name", [name for name in REFUSALS if REFUSALS[name][4] == "rate_limit"])
def test_a_rate_limit_is_waited_for(stream: Stream, server: FaultServer, name: str) -> None:
    """The batch asks again until it is answered, and nothing is left unasked."""
    model, status, body, _, _, _ = REFUSALS[name]
    chunk = {"id": "c", "model": "m", "choices": [{"delta": {"content": "Hi"}}]}
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    if model.startswith("gemini"):
        content = {"role": "model", "parts": [{"text": "Hi"}]}
        chunk = {"candidates": [{"content": content}]}
        last = {"candidates": [{"finishReason": "STOP"}]}

    def play(conn: Conn) -> None:
        if conn.attempt <= 2:
            conn.reply(status, body, retry_after="0")
            return
        conn.head()
        for value in (chunk, last):
            conn.event(json.dumps(value).encode())
        conn.end()

    where = ("-m", model, "--base-url", server.script("wire", play))
    run = stream(*where, "-L", "-j1", stdin=b"a\nb\n", env=KEYS)
    assert (run.returncode, run.text) == (0, "Hi\nHi\n"), run.stderr


def test_a_firewall_blocks_one_prompt(stream: Stream, server: FaultServer) -> None:
    """Its web page is no word about the key, though nothing has been answered yet."""

    def play(conn: Conn) -> None:
        if conn.request.json["messages"][0]["content"] == "bad":
            conn.reply(403, b"<html><title>Access denied</title></html>", ctype="text/html")
        else:
            ok(conn)

    where = ("-m", "vllm:m", "--base-url", server.script("wire", play))
    run = stream(*where, "-L", "-j1", "--jsonl", stdin=b"bad\na\nb\n")
    ends = [each["status"] for each in run.records if each["type"] == "end"]
    assert (ends, run.returncode) == (["auth", "complete", "complete"], 20)


# What a server rejects: (option, field, its words, the field of the second request or None)
REJECTED: dict[str, tuple[tuple[str, ...], str, str, str | None]] = {
    "stream_options": ((), "stream_options", "Unrecognized request argument: stream_options", None),
    "a template's switch": (
        ("--think=none",),
        "chat_template_kwargs",
        "property 'chat_template_kwargs' is unsupported",
        "reasoning_effort",
    ),
    "a template": (
        ("--think=none",),
        "chat_template_kwargs",
        "chat_template is not supported for Mistral tokenizers.",
        "reasoning_effort",
    ),
    "max_tokens": (
        ("--max-tokens", "9"),
        "max_tokens",
        "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        "max_completion_tokens",
    ),
    "a general preference": (
        ("temperature",),
        "temperature",
        "`temperature` is deprecated for this model.",
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REJECTED)
def test_a_rejected_field_is_said_in_another_way_once(
    stream: Stream, server: FaultServer, configure: Configure, name: str
) -> None:
    """The first prompt is asked once more, the later ones without it at once."""
    options, field, words, other = REJECTED[name]
    if options == ("temperature",):
        configure("[defaults]\ntemperature = 0.5\n")
        options = ()

    def play(conn: Conn) -> None:
        if field in conn.request.json:
            conn.reply(400, {"error": {"message": words, "type": "invalid_request_error"}})
        else:
            ok(conn)

    where = ("-m", "vllm:m", "--base-url", server.script("wire", play), "--max-retries", "0")
    run = stream(*where, *options, "-L", "-j1", stdin=b"a\nb\n")
    assert (run.returncode, run.text) == (0, "Hello world\n" * 2), run.stderr
    bodies = [request.json for request in server.seen("wire")]
    assert [field in body for body in bodies] == [True, False, False]
    if other is not None:
        assert all(other in body for body in bodies[1:])
    # Without another way to say it the message names the option.
    run = stream(*where, "-o", f"{field}=1", "hi")
    assert run.returncode == 22
    assert words[:20] in run.stderr
