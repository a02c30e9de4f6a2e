"""Requests that a model is known to refuse.

A general preference is left out, what was typed is sent, and the refusal names the option.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamcli.messages import ChatRequest, Message
from streamcli.protocols._contract import get
from streamcli.request import Target

HI = [Message("user", "hi")]


def body_of(name: str, model: str, *wishes: str, **fields: Any) -> Any:
    """The body of a request; `wishes` are the fields that hold a general preference."""
    chat = ChatRequest(model, HI, wishes=frozenset(wishes), **fields)
    target = Target("p", name, "http://127.0.0.1:1", key="k")
    return json.loads(get(name).request(chat, target).body)


def sampling(name: str, body: Any) -> set[str]:
    fields = body if name == "anthropic" else body.get("inferenceConfig", {})
    return {"topP" if field == "top_p" else field for field in fields} & {"temperature", "topP"}


CLAUDE = [("anthropic", "claude-{}"), ("bedrock", "us.anthropic.claude-{}-v1:0")]


@pytest.mark.parametrize(("name", "form"), CLAUDE)
@pytest.mark.parametrize(
    ("model", "fields", "kept"),
    [
        ("opus-4-7", {"temperature": 0.5, "top_p": 0.9}, set()),
        ("sonnet-5", {"temperature": 0.5}, set()),
        ("opus-5-5", {"top_p": 0.9}, set()),
        ("sonnet-4-5", {"temperature": 0.5}, {"temperature"}),
        ("sonnet-4-5", {"temperature": 0.5, "top_p": 0.9}, {"temperature"}),
        ("3-5-haiku-20241022", {"temperature": 0.5, "top_p": 0.9}, {"temperature", "topP"}),
        ("sonnet-4-5", {"temperature": 0.5, "think": "low"}, set()),
        ("sonnet-4-5", {"top_p": 0.97, "think": "low"}, {"topP"}),
        ("sonnet-4-5", {"top_p": 0.9, "think": "low"}, set()),
    ],
)
def test_claude_takes_only_the_sampling_it_knows(
    name: str, form: str, model: str, fields: dict[str, Any], kept: set[str]
) -> None:
    wished = body_of(name, form.format(model), *fields, **fields)
    assert sampling(name, wished) == kept
    typed = body_of(name, form.format(model), **fields)
    given = {"topP" if field == "top_p" else field for field in fields}
    assert sampling(name, typed) == given & {"temperature", "topP"}


@pytest.mark.parametrize(("name", "form"), CLAUDE)
def test_claude_of_two_that_exclude_each_other_the_typed_one_is_sent(name: str, form: str) -> None:
    model = form.format("opus-4-1-20250805")
    both = {"temperature": 0.5, "top_p": 0.9}
    assert sampling(name, body_of(name, model, "temperature", **both)) == {"topP"}
    assert sampling(name, body_of(name, model, "top_p", **both)) == {"temperature"}


def test_claude_that_always_or_never_thinks() -> None:
    assert "thinking" not in body_of("anthropic", "claude-opus-5-5", "think", think="none")
    assert "thinking" in body_of("anthropic", "claude-opus-5-5", think="none")
    assert "thinking" not in body_of("anthropic", "claude-3-haiku-20240307", "think", think="low")
    assert "thinking" in body_of("anthropic", "claude-3-haiku-20240307", think="low")
    assert "thinking" in body_of("anthropic", "claude-sonnet-4-5", "think", think="none")


@pytest.mark.parametrize("name", ["anthropic", "bedrock"])
@pytest.mark.parametrize(
    ("message", "option"),
    [
        ("`temperature` is deprecated for this model.", "leave out --temperature"),
        (
            "`temperature` and `top_p` cannot both be specified for this model. Use one.",
            "leave out --temperature or --top-p",
        ),
        ("`temperature` may only be set to 1 when thinking is enabled.", "--temperature"),
        ("This model does not support assistant message prefill.", "leave out --prefill"),
        ("thinking.type: disabled is not supported for this model", "leave out --think"),
    ],
)
def test_the_refusal_names_the_option(name: str, message: str, option: str) -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    body: Any = error if name == "anthropic" else {"message": message}
    failed = get(name).refusal(400, {}, json.dumps(body).encode())
    assert failed.status == "rejected"
    assert option in failed.hint


@pytest.mark.parametrize("name", ["gemini", "gemini-array"])
@pytest.mark.parametrize(
    ("model", "effort", "level"),
    [
        ("gemini-3-pro-preview", "medium", "HIGH"),
        ("gemini-3-pro-preview", "low", "LOW"),
        ("gemini-3-pro-preview", "none", "LOW"),
        ("gemini-3.1-pro-preview", "medium", "MEDIUM"),
        ("gemini-3.1-pro-preview", "none", "LOW"),
        ("gemini-3-flash-preview", "none", "MINIMAL"),
        ("gemini-3-flash-preview", "medium", "MEDIUM"),
        ("gemini-3.8-flash", "none", "LOW"),
        ("gemini-3.5-flash-lite", "none", "MINIMAL"),
        ("gemini-pro-latest", "medium", "MEDIUM"),
    ],
)
def test_gemini_takes_the_level_that_it_has(name: str, model: str, effort: str, level: str) -> None:
    thinking = body_of(name, model, think=effort)["generationConfig"]["thinkingConfig"]
    assert thinking["thinkingLevel"] == level


def test_gemini_that_always_thinks() -> None:
    assert "generationConfig" not in body_of("gemini", "gemini-2.5-pro", "think", think="none")
    typed = body_of("gemini", "gemini-2.5-pro", think="none")
    assert typed["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 0
    error = {"error": {"code": 400, "message": "Budget 0 is invalid: only works in thinking mode"}}
    failed = get("gemini").refusal(400, {}, json.dumps(error).encode())
    assert "--think" in failed.hint


@pytest.mark.parametrize(
    ("model", "effort", "wished", "typed"),
    [
        ("qwen3:8b", "low", True, "low"),
        ("qwen3:8b", "max", True, "max"),
        ("qwen3:8b", "medium", True, True),
        ("qwen3:8b", "none", False, False),
        ("gpt-oss:20b", "low", "low", "low"),
        ("gpt-oss:20b", "medium", "medium", True),
        ("gpt-oss:20b", "max", "high", "max"),
    ],
)
def test_ollama_takes_levels_of_few_models(
    model: str, effort: str, wished: Any, typed: Any
) -> None:
    assert body_of("ollama", model, "think", think=effort)["think"] == wished
    assert body_of("ollama", model, think=effort)["think"] == typed


def test_ollama_that_does_not_think() -> None:
    body = b'{"error":"\\"llama3.2\\" does not support thinking"}'
    assert "--think" in get("ollama").refusal(400, {}, body).hint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("anthropic", "thinking is not supported by this model"),
        ("bedrock", "thinking is not supported by this model"),
        ("gemini", "Unable to submit request because thinking is not supported by this model."),
        ("cohere", "thinking is not supported with this model"),
        ("ollama", '"llama3.2" does not support thinking'),
    ],
)
def test_thinking_that_a_server_rejected_is_left_out_of_the_next_try(
    name: str, message: str
) -> None:
    error = json.dumps({"message": message, "error": message}).encode()
    rejected = get(name).refusal(400, {}, error).without
    assert rejected == "thinking"
    target = Target("p", name, "http://127.0.0.1:1", key="k")
    for wishes in ({"think"}, set()):
        chat = ChatRequest("us.claude-sonnet-4-5", HI, think="low", wishes=frozenset(wishes))
        first = get(name).request(chat, target).body
        told = Target("p", name, "http://127.0.0.1:1", key="k")
        told.leave_out(rejected)
        second = get(name).request(chat, told).body
        assert (b"think" in first, b"think" in second) == (True, not wishes)


@pytest.mark.parametrize("name", ["anthropic", "bedrock", "gemini", "cohere"])
def test_a_temperature_that_a_server_rejected_is_left_out_of_the_next_try(name: str) -> None:
    message = "temperature is not supported by this model"
    error = json.dumps({"message": message, "error": message}).encode()
    rejected = get(name).refusal(400, {}, error).without
    assert rejected == "temperature"
    target = Target("p", name, "http://127.0.0.1:1", key="k")
    target.leave_out(rejected)
    for wishes in ({"temperature"}, set()):
        chat = ChatRequest("m", HI, temperature=0.5, wishes=frozenset(wishes))
        assert (b"temperature" in get(name).request(chat, target).body) == (not wishes)
