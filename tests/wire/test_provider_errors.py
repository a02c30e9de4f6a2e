"""What providers mean by their errors: tables by provider, over HTTP and inside a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamcli.events import Failed
from streamcli.wire.error_codes import kind_of_codes
from streamcli.wire.error_report import describe
from streamcli.wire.error_shapes import error_in
from streamcli.wire.provider_errors import http_refusal, stream_failure


def refused(status: int, body: Any, **headers: str) -> Failed:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http_refusal(status, named, data)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


GROQ = (
    "Rate limit reached for model `m` on tokens per minute (TPM): Limit 6000, Used 5000, Requested "
    "1400. Please try again in 1.2s. Upgrade to Dev Tier today at "
    "https://console.groq.com/settings/billing"
)
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
USED_UP = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("body", "headers", "delay"),
    [
        (error(GROQ, type="tokens", code="rate_limit_exceeded"), {}, 1.2),
        (error(GROQ, type="tokens", code="rate_limit_exceeded"), {"retry_after": "3"}, 3.0),
        (error("See billing at https://x/billing", code="rate_limit_exceeded"), {}, None),
        (error("Too fast. Please try again in 1m30s.", code="rate_limit_exceeded"), {}, 90.0),
        (error("Too fast. Please try again in 20ms.", code="rate_limit_exceeded"), {}, 0.02),
        (error("Please retry after 7 seconds.", code="429"), {}, 7.0),  # Azure
        (error("Rate limit: try again in 2 minutes and 30 seconds"), {}, 150.0),
        (error("slow down"), {"retry_after": "7s"}, 7.0),
        (error("slow down"), {"retry_after": "1m30s"}, 90.0),
        (error("slow down"), {"retry_after": "5 seconds"}, 5.0),
        (error("slow down"), {"retry_after": "later"}, None),
        (error("Insufficient quota for now", type="rate_limit_error"), {}, None),  # Anthropic
        # Google: through Gemini's OpenAI endpoint (a list), and Vertex by its words
        ([{"error": {"code": 429, "message": USED_UP, "details": [RETRY_INFO]}}], {}, 34.4),
        (
            error("Quota exceeded for x_per_minute_per_project", status="RESOURCE_EXHAUSTED"),
            {},
            None,
        ),
        (error("Quota exceeded for requests per minute"), {}, None),
        (error(USED_UP), {"retry_after": "9"}, 9.0),
        (error("slow down", metadata={"retry_after": 4}), {}, 4.0),  # OpenRouter
        ({"message": "Throttled", "__type": "com.amazonaws#ThrottlingException"}, {}, None),
        ({"code": "Throttling.RateQuota", "message": "quota exceeded"}, {}, None),  # DashScope
        (error("并发数过高", code="1302"), {}, None),  # GLM
        ("Too Many Requests", {}, None),
        (error("Prediction quota exceeded. Please try again later."), {}, None),  # Vertex
        (error("Limit of 50 per day. Please wait 60 seconds", code="RateLimitReached"), {}, 60.0),
    ],
)
def test_a_rate_limit_stays_one_whatever_its_prose_links_to(
    body: Any, headers: dict[str, str], delay: float | None
) -> None:
    failed = refused(429, body, **headers)
    assert (failed.kind, failed.transient, failed.retry_after) == ("rate_limit", True, delay)
    inside = stream_failure(json.loads(json.dumps(body)) if body != "Too Many Requests" else body)
    assert (inside.kind, inside.transient) == ("rate_limit", True) or USED_UP in inside.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, error("x", code="insufficient_quota", type="insufficient_quota")),
        (429, error("x", code="insufficient_quota", type="rate_limit_error")),
        (429, error(USED_UP)),
        (400, error("Your credit balance is too low", type="invalid_request_error")),  # Anthropic
        (400, error("You have reached your specified API usage limits.")),
        (402, error("Insufficient Balance", code="invalid_request_error")),  # DeepSeek
        (403, error("Your team has run out of credits or reached its monthly spending limit")),
        (429, error("您的账户已欠费", code="1113")),  # GLM
        (400, {"code": "Arrearage", "message": "Access denied."}),  # DashScope
        (429, error("x", code="exceeded_current_quota_error")),  # Moonshot
        (400, {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
        (429, {"message": "Too many tokens per day", "__type": "ThrottlingException"}),
        (429, {"message": "You are limited to 1000 API calls / month."}),  # Cohere
        (429, error("Rate limit exceeded: free-models-per-day.", code=429)),  # OpenRouter
        (429, {"message": "Tokens per day limit exceeded", "type": "too_many_tokens_error"}),
        (400, error("Budget has been exceeded!", type="budget_exceeded", code="400")),  # LiteLLM
        (403, {"errors": [{"code": "token_quota_reached", "message": "x"}]}),  # watsonx
    ],
)
def test_a_quota_is_not_waited_for(status: int, body: Any) -> None:
    failed = refused(status, body)
    assert (failed.kind, failed.transient, failed.status) == ("quota", False, "rate_limited")


XAI = {
    "code": "The caller does not have permission to execute the specified operation",
    "error": "Content violates usage guidelines. Team: 1, Failed check: SAFETY_CHECK_TYPE_BIO",
}
OPENROUTER = {
    "code": 403,
    "message": "model-x requires moderation.",
    "metadata": {"reasons": ["violence"], "flagged_input": "how to...", "provider_name": "P"},
}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, XAI),
        (403, {**XAI, "code": "permission-denied"}),
        (403, {"error": OPENROUTER}),
        (403, error('Your input was flagged for "violence". No credits were charged.', code=403)),
        (403, error("Forbidden", code=403, metadata={"reasons": ["violence"]})),
        (422, error("Input flagged by Llama Guard")),  # Together
        (424, {"success": False, "error": [{"code": 2016, "message": "Prompt blocked"}]}),
        (446, {"message": "The guardrail checks defined in the config failed."}),  # Portkey
        (
            400,
            error("x", code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}),
        ),
        (400, error("x", innererror={"code": "ResponsibleAIPolicyViolation"})),
        (
            400,
            error("Invalid prompt: flagged", type="invalid_request_error", code="invalid_prompt"),
        ),
        (400, error("rejected as a result of our safety system", code="moderation_blocked")),
        (400, error("x", code="data_inspection_failed")),  # DashScope, both its forms
        (400, {"code": "DataInspectionFailed", "message": "Input data may contain ..."}),
        (400, error("Output blocked by content filtering policy", type="invalid_request_error")),
        (400, {"message": "The model returned: Output blocked by content filtering policy"}),
        (400, error("Content Exists Risk", type="invalid_request_error")),  # DeepSeek
        (400, error("rejected because it was considered high risk", type="content_filter")),
        (400, error("系统检测到输入内容可能包含不安全或敏感内容", code="1301")),  # GLM
        (200, {"base_resp": {"status_code": 1027, "status_msg": "output new_sensitive"}}),
        (446, error("The guardrail checks have failed")),  # Portkey
    ],
)
def test_what_is_said_of_this_prompt_is_filtered(status: int, body: Any) -> None:
    if status != 200:
        failed = refused(status, body)
        assert (failed.kind, failed.transient, failed.http_status) == ("filtered", False, status)
    inside = stream_failure(body)
    assert (inside.kind, inside.transient) == ("filtered", False)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, error("no"), "auth"),
        (403, error("no", type="permission_error"), "auth"),
        (403, error("Your API key may not use this model"), "auth"),
        (403, error("Your account was suspended for violating our usage policies"), "auth"),
        (400, error("This organization has been disabled."), "auth"),
        (400, error("API key expired. Please renew the API key."), "auth"),  # Google
        (403, error("Your account has been flagged for violating our usage policy"), "auth"),
        (400, error("x", details=[{"reason": "API_KEY_INVALID"}]), "auth"),  # Google
        (403, "", "auth"),
        (403, "<html><title>Attention Required!</title>blocked</html>", "forbidden"),
        (403, error("Not for you"), "auth"),
    ],
)
def test_a_403_is_about_the_key_or_may_not_be(status: int, body: Any, kind: str) -> None:
    failed = refused(status, body)
    assert (failed.kind, failed.status) == (kind, "auth")


@pytest.mark.parametrize(
    "body",
    [
        error("x", code="context_length_exceeded", type="invalid_request_error"),
        error("x", type="exceed_context_size_error", code=400),  # llama.cpp
        error("prompt is too long: 210000 tokens > 200000 maximum", type="invalid_request_error"),
        error("input length and `max_tokens` exceed context limit: 199211 + 20000 > 200000"),
        error("The input token count (9) exceeds the maximum number of tokens allowed (8)."),
        error("This model's maximum prompt length is 131072 but the request contains 140000."),
        error(
            "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"
        ),
        error("Prompt 超长", code="1261"),  # GLM
        error("Invalid request: Your request exceeded model token limit: 131072"),  # Moonshot
        {"message": "Input is too long for requested model."},  # Bedrock
        {"message": "too many tokens: size limit exceeded by 25836 tokens."},  # Cohere
        {"error": "the input length exceeds the context length"},  # Ollama
        {"error": "`inputs` tokens + `max_new_tokens` must be <= 4096", "error_type": "validation"},
    ],
)
def test_a_prompt_beyond_the_context_window_is_length(body: Any) -> None:
    failed = refused(400, body)
    assert (failed.kind, failed.status, failed.transient) == ("context_window", "length", False)
    assert stream_failure(body).status == "length"


@pytest.mark.parametrize(
    ("status", "body", "transient"),
    [
        (413, error("Request too large on tokens per minute", code="rate_limit_exceeded"), False),
        (
            429,
            error("Request too large for gpt-4o: Limit 3, Requested 5", code="rate_limit_exceeded"),
            False,
        ),
        (400, {"message": "x", "__type": "ThrottlingException"}, True),  # AWS's older services
        (403, error("x", code="rateLimitExceeded"), True),  # Google's older services
    ],
)
def test_a_rate_limit_by_code_with_another_status(status: int, body: Any, transient: bool) -> None:
    failed = refused(status, body)
    assert (failed.kind, failed.transient) == ("rate_limit", transient)


@pytest.mark.parametrize(
    ("found", "event", "kind", "transient"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "", "overloaded", True),
        ({"code": "server_is_overloaded", "message": "x"}, "", "overloaded", True),
        ({"code": "server_error", "message": "x"}, "", "stream_error", True),  # Responses
        ({"code": "data_inspection_failed", "message": "x"}, "", "filtered", False),
        ({"message": "x", "code": 401}, "", "auth", False),
        ({"message": "x", "code": 402}, "", "quota", False),
        ({"message": "x"}, "ThrottlingException", "rate_limit", True),
        ({"status_code": 1004, "status_msg": "login fail"}, "", "auth", False),  # MiniMax
        ({"status_code": 1002, "status_msg": "x"}, "", "rate_limit", True),
        ("upstream connect error or disconnect", "error", "stream_error", True),
        ("Too many requests, please slow down", "error", "rate_limit", True),
        ("Please try again with a different prompt", "", "stream_error", False),
        ({"text": "**NETWORK ERROR**", "error_code": 50004}, "", "stream_error", True),
        ({"code": 1006, "message": "closed"}, "", "stream_error", False),  # no code of GLM's
    ],
)
def test_errors_inside_a_stream(found: Any, event: str, kind: str, transient: bool) -> None:
    failed = stream_failure(found, event)
    assert (failed.kind, failed.transient) == (kind, transient)


def test_the_delay_inside_a_stream_is_kept() -> None:
    assert stream_failure({"message": GROQ, "code": "rate_limit_exceeded"}).retry_after == 1.2
    assert stream_failure({"message": "x", "code": 429, "retry_after_ms": 250}).retry_after == 0.25


NESTED = json.dumps(error("Rate limited by us", code="rate_limit_exceeded"))


WRAPPED = "litellm.RateLimitError: OpenAIException - "
REPR = (
    "Error code: 429 - {'error': {'message': 'Rate limited by us', "
    "'code': 'rate_limit_exceeded', 'param': None}}"
)
METADATA = {"raw": NESTED, "provider_name": "P"}
LIMIT = "Rate limited by us"


@pytest.mark.parametrize(
    ("found", "message", "code"),
    [
        ({"message": NESTED}, LIMIT, "rate_limit_exceeded"),
        ({"message": WRAPPED + NESTED}, WRAPPED + LIMIT, "rate_limit_exceeded"),
        ({"message": "Sorry", "metadata": METADATA}, f"Sorry (P): {LIMIT}", "rate_limit_exceeded"),
        (REPR, f"Error code: 429 - {LIMIT}", "rate_limit_exceeded"),  # of Python servers
        ({"detail": {"error": {"message": "gone", "type": "x"}}}, "gone", "x"),
        ({"detail": [{"loc": ["body", "n"], "msg": "too big"}]}, "n: too big", None),
        ({"success": False, "errors": [{"code": 7000, "message": "No route"}]}, "No route", None),
        ({"code": 500, "msg": "404 NOT_FOUND", "success": False}, "404 NOT_FOUND", None),
        ({"base_resp": {"status_code": 1008, "status_msg": "empty"}}, "empty", "minimax 1008"),
        ({"type": "about:blank", "title": "Gone", "status": 410}, "Gone", "about:blank"),
        ([{"error": {"message": "a"}}], "a", None),
        ({"error": "text {not json}"}, "text {not json}", None),
        ({"weird": {"a": [1, None, True]}}, '{"weird": {"a": [1, null, true]}}', None),
        ([1, None], "[1, null]", None),
        (True, "", None),
        (5, "5", None),
    ],
)
def test_the_message_and_the_codes_are_found_in_every_shape(
    found: Any, message: str, code: str | None
) -> None:
    said, codes = describe(found)
    assert said == message
    assert code is None or code in codes


@pytest.mark.parametrize(
    "value",
    [
        {"error": {"message": "x"}},
        {"error": "x", "choices": []},
        {"type": "error", "message": "x"},
        {"object": "error", "message": "x", "code": 50001},
        {"text": "**NETWORK ERROR**", "error_code": 50004},
        {"code": 500, "message": "internal failure"},
        {"message": "Internal server error"},
        {"detail": "Internal server error"},
        {"detail": [{"msg": "x"}]},
        {"success": False, "msg": "x"},
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "x"}},
        {"errors": [{"message": "x"}]},
        {"error_message": "x"},
    ],
)
def test_an_error_is_recognised_in_other_clothes(value: dict[str, Any]) -> None:
    found = error_in(value)
    assert found is not None
    assert stream_failure(found).message


@pytest.mark.parametrize(
    "value",
    [
        {"choices": [], "error": None},
        {"choices": [], "error": {}, "errors": [], "error_code": 0, "success": True},
        {"choices": [], "message": "x", "detail": "x"},  # beside ordinary fields: not an error
        {"choices": [], "base_resp": {"status_code": 0, "status_msg": ""}},
        {"code": 0, "message": "ok"},
        {"code": 200, "msg": "success", "data": None},
        {"type": "ping"},
        {},
    ],
)
def test_what_is_not_an_error_is_not_taken_for_one(value: dict[str, Any]) -> None:
    assert error_in(value) is None
    assert error_in(value, "error") == value


def test_spelling_does_not_matter() -> None:
    for code in ("rate_limit_exceeded", "RateLimitExceeded", "rate-limit-exceeded"):
        assert kind_of_codes([code]) == "rate_limit"
    assert kind_of_codes(["Throttling.AllocationQuota"]) == "rate_limit"
    assert kind_of_codes(["invalid_request_error", "unheard_of"]) is None


def test_nothing_an_error_holds_raises() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = {"error": deep}
    for found in (
        deep,
        [[[]]],
        {"message": {"message": []}},
        "{" * 3000,
        "{'a': " * 3000,
        None,
        1e400,
    ):
        assert stream_failure(found).message
        assert stream_failure({"message": found}).message


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (
            error(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                param="max_tokens",
                code="unsupported_parameter",
            ),
            "max_tokens",
        ),
        (
            error(
                "Unsupported value: 'temperature' does not support 0.2 with this model.",
                param="temperature",
            ),
            "temperature",
        ),
        (error("Unsupported parameter: 'reasoning.effort' is not supported"), "reasoning"),
        (error("Unrecognized request argument supplied: stream_options"), "stream_options"),
        (error("unknown field stream_options"), "stream_options"),
        (error("property 'chat_template_kwargs' is unsupported"), "chat_template_kwargs"),
        (
            {
                "detail": [
                    {"loc": ["body", "top_p"], "msg": "Extra inputs are not permitted"},
                ]
            },
            "top_p",
        ),
        (error("Encrypted content is not supported with this model."), "include"),
        (error("`temperature` is deprecated for this model."), "temperature"),
        (error('Unknown name "seed": Cannot find field.'), "seed"),
        (error("max_tokens: 100000 > 8192, the maximum allowed"), None),
        (error("temperature must be between 0 and 2", param="temperature"), None),
        (error("the stop was unexpected, non-stop"), "stop"),
        (error("no such model"), None),
        (error("[{'loc': ('body', 'top_p'), 'msg': 'Extra inputs are not permitted'}]"), "top_p"),
        (error("chat_template is not supported for Mistral tokenizers."), "chat_template_kwargs"),
        (error("`reasoning_effort` must be one of `none` or `default`"), "reasoning_effort"),
        (error("Reasoning is mandatory for this model and cannot be disabled."), "reasoning"),
        (error("property 'messages.1.reasoning_content' is unsupported"), "reasoning_content"),
    ],
)
def test_the_field_that_a_server_rejects_is_known(body: Any, field: str | None) -> None:
    for status in (400, 422):
        assert refused(status, body).without == field
    assert refused(500, body).without is None


def test_the_message_names_the_option_that_works() -> None:
    verified = error("Your organization must be verified to stream this model.", param="stream")
    assert refused(400, verified).hint == "try it with --no-stream"
    failed = refused(400, error("Unsupported parameter: 'temperature' is not supported."))
    assert "temperature" in failed.message
    assert failed.hint == "leave out --temperature"


@pytest.mark.parametrize(
    ("status", "body", "concurrent"),
    [
        # Ollama, SGLang, llama.cpp, TGI: a queue or a slot of the server
        (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}, True),
        (503, {"object": "error", "message": "The request queue is full.", "code": 503}, True),
        (503, error("no slot available", code=503, type="unavailable_error"), True),
        (429, {"error": "Model is overloaded", "error_type": "overloaded"}, True),
        # a gateway, and accounts
        (429, error("Max parallel request limit reached"), True),
        (
            429,
            error(
                "Number of concurrent connections has exceeded your rate limit",
                type="rate_limit_error",
            ),
            True,
        ),
        (429, error("并发数过高", code="1302"), True),
        (
            429,
            error(
                "request reached max organization concurrency: 1, please try again after 1 seconds",
                type="rate_limit_reached_error",
            ),
            True,
        ),
        (429, error("Too many", code="concurrency_limit_exceeded"), True),
        (429, error("Too many requests", code="rate_limit_exceeded"), False),
        (429, error(GROQ, code="rate_limit_exceeded"), False),
        (529, error("Overloaded", type="overloaded_error"), False),
        (503, error("The model is overloaded. Please try again later.", code=503), False),  # Gemini
        (500, error("Internal error"), False),
        (400, error("concurrent edits are not supported"), False),
        (401, error("too many concurrent sessions for this key"), False),
    ],
)
def test_a_limit_on_concurrency_is_told_from_others(
    status: int, body: Any, concurrent: bool
) -> None:
    assert refused(status, body).concurrent is concurrent
    assert not concurrent or refused(status, body).transient


def test_a_limit_on_concurrency_inside_a_stream() -> None:
    assert stream_failure({"message": "too many concurrent requests", "code": 429}).concurrent
    assert not stream_failure({"message": "too many requests", "code": 429}).concurrent
