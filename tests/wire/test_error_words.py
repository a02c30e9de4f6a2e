"""The words of each provider for the same few troubles, over HTTP and inside a stream.

Nearly all come without a code that settles it. A row is (HTTP status, message, other fields).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamcli.events import Failed
from streamcli.wire.provider_errors import http_refusal, stream_failure

Row = tuple[int, str, dict[str, Any]]


def both(row: Row) -> tuple[Failed, Failed]:
    """Return the failure as an HTTP answer and inside a stream."""
    status, message, fields = row
    error = {"message": message, **fields}
    refused = http_refusal(status, {}, json.dumps({"error": error}).encode())
    return refused, stream_failure(error, "error")


CONTEXT: list[Row] = [
    # vLLM, SGLang, TGI, TabbyAPI, llama.cpp, LM Studio
    (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096.", {}),
    (400, "Input prompt (5000 tokens) is too long and exceeds limit of 4096", {}),
    (400, "Input length (5000 tokens) exceeds the maximum allowed length (4090 tokens).", {}),
    (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000", {}),
    (400, "Prompt length 5000 is greater than max_seq_len 4096", {}),
    (500, "input is too large to process. increase the physical batch size", {}),
    (400, "Cannot truncate prompt with n_keep (5000) >= n_ctx (4096)", {}),
    (400, "Trying to keep the first 5000 tokens when context the overflows. context length of", {}),
    # Baidu, Volcengine, SiliconFlow, Spark, Tencent, Novita, GLM
    (400, "Prompt tokens too long, max is 7168", {"error_code": 336103}),
    (400, "the max length of current question is 2000", {"error_code": 336007}),
    (400, "the input tokens exceed the limit of the model", {"type": "invalid_request_error"}),
    (400, "Input length 33000 exceeds the maximum length 32768", {"code": "InvalidParameter"}),
    (400, "Total tokens of image and text exceed max message tokens.", {}),
    (400, "length of prompt_tokens (9000) must be less than max_seq_len (8192).", {"code": 20015}),
    (400, "token数量超过上限。内容+问题的字数太多", {"code": 10907}),
    (400, "输入内容过长，超过模型的上下文长度限制", {}),
    (400, "Prompt 超长", {"code": "1261"}),
    (400, "The length of prompt tokens exceeds max context len", {}),
    (400, "The total length of the input and max_tokens exceeds the model's limit", {}),
    # SambaNova, GitHub Copilot, watsonx, Gemini, MiniMax
    (400, "The provided prompt is 9000 tokens long, the maximum supported sequence length is", {}),
    (400, "prompt token count of 70000 exceeds the limit of 64000", {}),
    (400, "the number of input tokens 5000 cannot exceed the total tokens limit 4096", {}),
    (400, "The input token count exceeds the maximum number of tokens allowed 1048576.", {}),
    (400, "invalid params, context window exceeds limit (2013)", {}),
]
FILTERED: list[Row] = [
    (424, "Request content blocked due to DLP policy violations", {"code": 2029}),  # Cloudflare
    (400, "Response filtered by Cortex Guard", {}),
    (400, "Blocked entity detected: EMAIL_ADDRESS by Guardrail: presidio.", {}),
    (400, "Content blocked: keyword 'x' found", {}),
    (400, "Your prompt was rejected by the safety guard", {}),
    (400, "risk", {"code": "InputTextRiskDetection"}),  # Volcengine
    (400, "输入内容未通过审核", {}),
    (446, "The checks failed", {"type": "hooks_failed"}),  # Portkey
]
QUOTA: list[Row] = [
    (403, "Key limit exceeded (total limit). Manage it in the settings", {"code": 403}),
    (403, "Your newly created team doesn't have any credits or licenses yet.", {}),
    (429, "Your team x has used all available credits or reached its spending limit", {}),
    (412, "Account x is suspended, possibly due to reaching the monthly spending limit", {}),
    (429, "you have used up your daily free allocation of 10,000 neurons", {"code": 4006}),
    (401, "Insufficient balance. Manage your billing here", {"type": "CreditsError"}),
    (429, "You have reached it", {"type": "MonthlyLimitError"}),
    (429, "Subscription usage cap exceeded (monthly)", {}),
    (429, "Usage limit reached for 5 hour. Your limit will reset at 2026-01-01 18:09:01", {}),
    (429, "The usage limit has been reached", {"type": "usage_limit_reached"}),
    (429, "usage limit exceeded, resets at noon (2056)", {"type": "rate_limit_error"}),  # MiniMax
    (429, "Your account [1] has reached the set inference limit", {"code": "SetLimitExceeded"}),
    (429, "Open api daily request limit reached", {"error_code": 17}),
    (401, "该令牌额度已用尽", {"type": "new_api_error"}),
    (403, "预扣费额度失败, 用户剩余额度: 0.0", {"type": "new_api_error"}),
    (429, "Free allocated quota exceeded.", {"code": "Throttling.AllocationQuota"}),
]
RATE: list[Row] = [
    (429, "Open api qps request limit reached", {"error_code": 18}),
    (429, "rate growth limit", {"code": 2045}),
    (429, "Slow", {"code": "RequestBurstTooFast"}),
    (429, "Request rate increased too quickly.", {}),
    # DashScope's code for the tokens of a minute
    (429, "Allocated quota exceeded, please increase it.", {"code": "insufficient_quota"}),
    (429, "Number of input tokens has exceeded your per-minute rate limit", {}),
    (429, "Too many input tokens per minute: the prompt exceeds the limit", {}),
    (429, "This request would exceed the rate limit of 40,000 input tokens per minute.", {}),
    (429, "The usage limit has been exceeded, try again later: too many requests", {}),
]
AUTH: list[Row] = [
    (403, "Access token expired", {"error_code": 111}),
    (403, "Access token invalid or no longer valid", {"error_code": 110}),
    (401, "无效的令牌 (request id: 1)", {"type": "new_api_error"}),
]
REJECTED: list[Row] = [
    (400, "max_tokens is too large: 5000. This model supports at most 4096", {}),
    (400, "Input image exceeds the maximum size of 20MB", {}),
    (400, "Invalid input: number of tools exceeds the maximum of 128", {}),
    (400, "Input should be less than or equal to 2", {}),
    (404, "The model `x` does not exist or you do not have access to it.", {}),
]
TABLE = [
    *(("context_window", row) for row in CONTEXT),
    *(("filtered", row) for row in FILTERED),
    *(("quota", row) for row in QUOTA),
    *(("rate_limit", row) for row in RATE),
    *(("auth", row) for row in AUTH),
]


@pytest.mark.parametrize(("kind", "row"), TABLE)
def test_words_mean_the_same_over_http_and_in_a_stream(kind: str, row: Row) -> None:
    refused, inside = both(row)
    assert (refused.kind, inside.kind) == (kind, kind)
    assert refused.transient == inside.transient == (kind == "rate_limit")


@pytest.mark.parametrize("row", REJECTED)
def test_words_that_only_look_like_another_trouble(row: Row) -> None:
    refused, inside = both(row)
    assert (refused.kind, inside.kind) == ("rejected", "stream_error")


MISTRAL = {"message": "Rate limit exceeded", "type": "rate_limited", "code": "1300"}


@pytest.mark.parametrize(
    "body",
    [
        {"object": "error", **MISTRAL, "raw_status_code": 429},
        {"error": MISTRAL},
        {
            "error": {
                "message": "x",
                "metadata": {"raw": json.dumps({"object": "error", **MISTRAL})},
            }
        },
    ],
)
def test_mistrals_numbers_are_not_those_of_glm(body: dict[str, Any]) -> None:
    """Where GLM's 1300 is a filter, Mistral's is an ordinary rate limit."""
    refused = http_refusal(429, {}, json.dumps(body).encode())
    assert (refused.kind, refused.transient) == ("rate_limit", True)
    assert stream_failure(body.get("error", body), "error").kind == "rate_limit"


def test_mistrals_numbers_alone_are_no_keys() -> None:
    body = {"object": "error", "message": "Oops", "type": "internal_server_error", "code": "1000"}
    assert stream_failure(body, "error").status == "provider"


@pytest.mark.parametrize("words", ["x is currently over capacity.", ""])
def test_groqs_status_for_no_capacity(words: str) -> None:
    refused = http_refusal(498, {}, json.dumps({"error": {"message": words}}).encode())
    assert (refused.kind, refused.transient) == ("overloaded", True)


@pytest.mark.parametrize(
    ("words", "delay"),
    [
        ("Please retry after 1 day.", 86400.0),
        ("Rate limited. Wait for 30 seconds before sending more.", 30.0),
        ("Request was throttled. Expected available in 35 seconds.", 35.0),
        ("Limit reached, resets in 2m 5s", 125.0),
        ("please try again in about 3 minutes", 180.0),
        ("请求过于频繁，请 30 秒后重试", 30.0),
        ("请在 2 分钟后再试", 120.0),
        ("We waited 30 seconds for it", None),
        ("Reset your password in the console", None),
    ],
)
def test_a_delay_in_prose(words: str, delay: float | None) -> None:
    refused, inside = both((429, words, {"code": "rate_limit_exceeded"}))
    assert (refused.retry_after, inside.retry_after) == (delay, delay)


@pytest.mark.parametrize(
    ("fields", "delay"),
    [
        ({"retryAfterMs": 1500}, 1.5),
        ({"retry-after": "7"}, 7.0),
        ({"retryDelay": "34s"}, 34.0),
        ({"resets_in_seconds": 3600}, 3600.0),
        ({"estimated_time": 20.5}, 20.5),
        ({"retry_after": None}, None),
        ({"retry_after": True}, None),
    ],
)
def test_a_delay_in_a_field(fields: dict[str, Any], delay: float | None) -> None:
    refused, inside = both((429, "slow", {"code": "rate_limit_exceeded", **fields}))
    assert (refused.retry_after, inside.retry_after) == (delay, delay)


DATE = "Mon, 01 Jan 2024 00:00:00 GMT"  # 1704067200


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0.5s"}, 360.5),
        ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "6m0s"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1704067230000"}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1704067230"}, 30.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "inf"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "12", "retry-after": "3"}, 3.0),
    ],
)
def test_what_is_used_up_comes_back_when_its_headers_say(
    headers: dict[str, str], delay: float | None
) -> None:
    headers["date"] = DATE
    assert http_refusal(429, headers, b'{"error":"slow"}').retry_after == delay
    if "retry-after" not in headers:  # OpenRouter has them in the body
        error = {"message": "slow", "code": 429, "metadata": {"headers": headers}}
        body = json.dumps({"error": error}).encode()
        assert http_refusal(429, {"date": DATE}, body).retry_after == delay
