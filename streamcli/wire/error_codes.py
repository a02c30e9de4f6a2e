"""The kind of an error by its codes and words: one table for all providers.

There are three steps. First, a code of _CODES decides the kind of the error. If no code does, WORDS
looks at the prose. If no words do, the HTTP status decides, or in a stream _BROAD, the codes with
a vague meaning. To teach `stream` another provider's code, add a line to _CODES.

Codes are compared without case and punctuation: `rate_limit_exceeded`, `RateLimitExceeded` and
`rate-limit-exceeded` are the same. A code with dots is looked up whole, and then as the part before
the first dot (DashScope's `Throttling.RateQuota`).
"""

from __future__ import annotations

import re

# Kinds of errors in a stream that are worth a retry; provider_errors.py decides for HTTP errors.
TRANSIENT = ("rate_limit", "overloaded", "server_error")

HINTS = {
    "auth": "check the key and what it is allowed to do",
    "context_window": "shorten the prompt, or ask a model with a larger context window",
    "filtered": "rephrase the prompt, or allow it with --accept filtered",
    "forbidden": "a proxy or firewall in between may have blocked this prompt",
    "quota": "check the plan and billing of this key",
    "rate_limit": "wait, or send less at a time",
}

# By kind, and within a kind by provider. Plain numbers are GLM's; error_report.py puts a prefix
# before MiniMax's (`base_resp.status_code`), as they collide with GLM's.
_CODES: dict[str, tuple[str, ...]] = {
    "filtered": (
        # OpenAI and Azure
        "content_filter",
        "content_policy_violation",
        "content_filter_error",
        "moderation_blocked",
        "invalid_prompt",
        "bio_policy",
        "cyber_policy",
        "image_content_policy_violation",
        "ResponsibleAIPolicyViolation",
        # OpenRouter, xAI, Moonshot, Together, Mistral
        "moderation",
        "moderation_error",
        "content_moderation",
        "content_blocked",
        "content_violation",
        "safety_check_failed",
        "censorship_blocked",  # StepFun
        "prompt_blocked",
        "input_moderation",
        # DashScope (Qwen), GLM, Volcengine (Doubao), MiniMax
        "data_inspection_failed",
        "DataInspectionFailed",
        "InputTextSensitiveContentDetected",
        "OutputTextSensitiveContentDetected",
        "InputImageSensitiveContentDetected",
        "InputTextRiskDetection",
        "OutputTextRiskDetection",
        "InputImageRiskDetection",
        "ContentSecurityDetectionError",
        "SensitiveContentDetected",
        "sensitive",
        "sensitive_content",
        "1300",
        "1301",
        "minimax 1026",
        "minimax 1027",
        "minimax 2037",
        # Gemini and Vertex
        "PROHIBITED_CONTENT",
        "BLOCKLIST",
        "SAFETY",
        "SPII",
        "RECITATION",
        # Bedrock, gateways
        "guardrail_intervened",
        "GuardrailIntervened",
        "guardrail_violation",
        "content_filtered",
        "hooks_failed",  # Portkey
    ),
    "quota": (
        # OpenAI, LiteLLM, watsonx
        "insufficient_quota",
        "budget_exceeded",
        "token_quota_reached",
        "billing_hard_limit_reached",
        "billing_not_active",
        "quota_exceeded",
        # Anthropic, DeepSeek, OpenRouter, xAI, Vercel, Hugging Face
        "billing_error",
        "insufficient_balance",
        "insufficient_credits",
        "insufficient_funds",
        "insufficient_user_quota",
        "payment_required",
        "out_of_credits",
        "credit_balance_exhausted",
        "exceeded_current_quota_error",
        "usage_limit_reached",  # ChatGPT's plans
        "usage_not_included",
        "free_quota_exceeded",
        "credit_limit",
        "CreditsError",  # OpenCode
        "MonthlyLimitError",
        "pre_consume_token_quota_failed",  # New API
        # AWS
        "ServiceQuotaExceededException",
        # DashScope, Volcengine, GLM, MiniMax
        "Arrearage",
        "PrepaidBillOverdue",
        "PostpaidBillOverdue",
        "CommodityNotPurchased",
        "AllocationQuota.FreeTierOnly",
        "AccountOverdueError",
        "QuotaExceeded",
        "SetLimitExceeded",
        "account_overdue",  # Baidu
        "EXCEED_TOKEN_QUOTA_LIMIT",  # Tencent
        "1113",
        "1304",
        "1308",
        "1309",
        "1310",
        "minimax 1008",
        "minimax 2056",
    ),
    "context_window": (
        "context_length_exceeded",
        "context_window_exceeded",
        "ContextWindowExceededError",
        "model_context_window_exceeded",
        "exceed_context_size_error",  # llama.cpp
        "max_context_length_exceeded",
        "string_above_max_length",
        "prompt_too_long",
        "prompt_tokens_too_long",  # Baidu
        "model_max_prompt_tokens_exceeded",  # GitHub Copilot
        "1261",  # GLM
        "10907",  # Spark
        "minimax 1039",
    ),
    "auth": (
        "invalid_api_key",
        "incorrect_api_key",
        "missing_api_key",
        "no_api_key",
        "invalid_api_key_error",
        "authentication_error",
        "AuthenticationError",
        "auth_error",
        "token_expired",
        "expired_api_key",
        "invalid_token",
        "unauthenticated",
        "unauthorized",
        "account_deactivated",
        "API_KEY_INVALID",  # Google
        "API_KEY_SERVICE_BLOCKED",
        "ACCESS_TOKEN_EXPIRED",
        "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        "CREDENTIALS_MISSING",
        "CONSUMER_INVALID",
        "SERVICE_DISABLED",
        "BILLING_DISABLED",
        "UnrecognizedClientException",  # AWS
        "ExpiredTokenException",
        "InvalidSignatureException",
        "InvalidApiKey",  # DashScope
        "AuthenticationFailed",
        "1000",  # GLM
        "1001",
        "1002",
        "1003",
        "1004",
        "minimax 1004",
        "minimax 2049",
    ),
    "rate_limit": (
        "rate_limit_exceeded",
        "rate_limit_error",
        "rate_limit",
        "rate_limited",
        "RateLimitError",
        "RateLimitReached",
        "RATE_LIMIT_EXCEEDED",
        "rate_limit_reached_error",
        "requests_limit_exceeded",
        "tokens_limit_exceeded",
        "user_rate_limit_exceeded",
        "too_many_requests",
        "TooManyRequests",
        "TooManyRequestsException",
        "concurrency_limit_exceeded",
        "ThrottlingException",  # AWS
        "Throttling",
        "Throttled",
        "LimitExceededException",
        "limit_requests",  # DashScope
        "limit_burst_rate",
        "AccountRateLimitExceeded",  # Volcengine
        "RequestBurstTooFast",
        "InflightBatchsizeExceeded",
        "EndpointTPMExceeded",
        "EndpointRPMExceeded",
        "ModelAccountIpmRateLimitExceeded",
        "rpm_rate_limit_exceeded",  # Baidu
        "tpm_rate_limit_exceeded",
        "USER_TPM_RATELIMITING",
        "USER_RPM_RATELIMITING",
        "REQUEST_LIMIT_EXCEEDED",  # Databricks
        "request_quota_exceeded",  # Cerebras
        "queue_exceeded",
        "too_many_requests_error",
        "service_tier_capacity_exceeded",  # Mistral
        "ModelAccountTpmRateLimitExceeded",
        "ModelAccountRpmRateLimitExceeded",
        "1302",  # GLM
        "1303",
        "1305",
        "minimax 1002",
        "minimax 1041",
        "minimax 2045",
    ),
    "overloaded": (
        "overloaded_error",
        "overloaded",
        "engine_overloaded",
        "engine_overloaded_error",
        "server_overloaded",
        "ServerOverloaded",
        "server_busy",
        "server_is_overloaded",
        "slow_down",
        "service_unavailable",
        "service_unavailable_error",
        "ServiceUnavailableException",
        "serviceUnavailableError",
        "ServiceUnavailable",
        "UNAVAILABLE",
        "unavailable_error",
        "capacity_exceeded",
        "no_capacity",
        "model_overloaded",
        "over_capacity",  # Groq
        "ModelNotReadyException",
        "1312",
    ),
    "server_error": (
        "InternalServerException",
        "ModelTimeoutException",
        "minimax 1000",
        "minimax 1001",
        "minimax 1024",
        "minimax 1033",
    ),
}

# Codes with a vague meaning: prose and the HTTP status come first.
_BROAD: dict[str, tuple[str, ...]] = {
    "server_error": (
        "server_error",
        "api_error",
        "internal_error",
        "internal_server_error",
        "InternalServerError",
        "INTERNAL",
        "InternalError",
        "InternalError.Timeout",
        "RequestTimeOut",
        "DEADLINE_EXCEEDED",
        "timeout_error",
        "upstream_error",
        "bad_gateway",
        "gateway_timeout",
        "APIConnectionError",
        "APITimeoutError",
        "stream_read_error",
        "provider_error",
        "1234",
    ),
    "rate_limit": ("RESOURCE_EXHAUSTED",),  # Google says so of every limit
    "auth": (
        "permission_error",
        "permission_denied",
        "permission_denied_error",
        "AccessDeniedException",
        "AccessDenied",
        "forbidden",
    ),
    "rejected": (
        "ValidationException",
        "ResourceNotFoundException",
        "InternalError.Algo.InvalidParameter",
    ),
}

_PER_MOMENT = r"per[ _-]?(?:second|minute)|\b[rt]p[ms]\b"
_LATER = r"try again later|backoff|please retry"
_STAYS = rf"(?!.*(?:{_PER_MOMENT}|{_LATER}))"
# What a prompt is made of, and what it may not exceed.
_PROMPT = r"(?:input|prompt)(?! (?:image|file|audio|video|doc))[\w`']*(?: [\w()`]+){0,5}"
_LONGEST = r"(?:the |this |your |its |model )?(?:[\w']+ ){0,2}(?:max|limit|context|allowed)"

# Patterns for prose, where no code decides; the first match counts. A pattern needs words that an
# error of another kind does not use: not "billing" alone, as rate limits link to it.
WORDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile("|".join(patterns), re.IGNORECASE))
    for kind, patterns in (
        (
            "auth",  # before "filtered": accounts are closed for violating policies
            (
                r"(?:account|organi[sz]ation|key|user) (?:has been|is|was)"
                r" (?:disabled|suspended|deactivated|banned|blocked|locked|flagged)",
            ),
        ),
        (
            "filtered",
            (
                r"content[ _-]?(?:filter|policy|moderation|management policy|safety policy)",
                r"content exists risk",  # DeepSeek
                r"responsible[ _]?ai",
                r"usage (?:guidelines|polic(?:y|ies))",
                r"acceptable use policy",
                r"violat\w+ (?:[\w']+ ){0,4}"
                r"(?:safety|moderation|guardrail|policy|policies|guidelines)",
                r"(?:input|prompt|content|message|output|text|response)s?"
                r" (?:blocked|filtered|flagged)",
                r"(?:rejected|blocked|denied) by (?:[\w']+ ){0,3}"
                r"(?:safety|guard|moderation|filter)",
                r"by guardrails?\b",
                r"(?:input|prompt|content|message|output|text|response|image)s?"
                r" (?:was|were|has been|have been|is|are|may have been) (?:been )?"
                r"(?:flagged|blocked|filtered)",
                r"blocked (?:output|input|prompt|content)",
                r"prompt blocked|blocked (?:by|due to) (?:[\w']+ ){0,3}"
                r"(?:safety|content|guardrail|moderation|security|prohibited)",
                r"flagged by|safety (?:system|filter|reasons|checks?)",
                r"failed check: safety|safety_check_type",
                r"inappropriate content|data inspection|prohibited[ _]content|considered high risk",
                r"(?:new_|contains? )sensitive|sensitive (?:content|information|words)",
                r"guardrails? (?:[\w'-]+ ){0,5}(?:intervened|blocked|violat\w+|failed)",
                r"敏感|不安全|违规|不合规|未通过.{0,6}(?:审核|检测)|审核.{0,4}(?:不|未)通过",
            ),
        ),
        (
            "context_window",
            (
                r"context[ _-]?(?:window|length|len\b|size|limit)|exceeded model token limit",
                r"(?:prompt|input)s?(?: [\w()]+){0,4} too (?:long|large to process)",
                rf"{_PROMPT} (?:\w+ )?exceed\w* {_LONGEST}",
                r"total tokens .{0,40}exceed \w+ (?:message )?tokens",
                r"maximum model length|maximum (?:supported )?sequence length",
                r"\bmax_seq_len\b|>= n_ctx",
                r"inputs` must have less than|max length of current question",
                r"上下文.{0,6}(?:长度|超|限)|(?:输入|内容|prompt|提示词).{0,4}(?:超长|过长|太长)",
                r"token ?(?:总?数量?)?.{0,4}(?:超过|超出|超长)",
                r"too long for (?:the )?(?:requested )?model",
                r"too large for model with",
                r"maximum (?:prompt|input|context) (?:length|tokens)",
                r"input token count .* exceeds the maximum",
                r"too many tokens: |tokens? in the prompt (?:cannot|must not) exceed",
                r"reduce the length of the (?:messages|prompt|input|conversation)",
                r"inputs` tokens \+ `max_new_tokens`",
                r"range of input length should be",
            ),
        ),
        (
            "quota",
            (
                r"insufficient[ _](?:\w+[ _])?(?:quota|balance|credits?|funds)",
                r"(?:doesn't|does not|don't|do not) have (?:any |enough |sufficient )?credits",
                r"used (?:up )?(?:all|your) (?:[\w,]+ ){0,3}(?:credits|allocation|quota|allowance)",
                r"(?:spend|spending|usage|credit|budget|key) (?:limit|cap)s?"
                rf" (?:has been |have been |is |was )?(?:reached|exceeded){_STAYS}",
                r"(?:reach|exceed)\w* (?:the |its )?(?:\w+ )?(?:spending|spend|budget) limit",
                r"(?:daily|total|monthly) request limit|set inference limit",
                r"free (?:\w+ )?(?:quota|tier) (?:of [\w ]+ )?(?:has been |is )?(?:ex|used)",
                r"credit balance|balance (?:is )?(?:too low|not enough|insufficient)",
                r"(?:out of|not enough|requires? more|no (?:remaining |more )?) ?credits",
                r"exceeded your (?:\w+ ){0,2}(?:quota|credits|budget)",
                rf"quota (?:has been |is )?(?:exceeded|exhausted)(?!.*(?:{_PER_MOMENT}|{_LATER}))",
                r"check your (?:plan and )?billing",
                r"billing (?:hard )?limit|payment required|arrearage|overdue",
                r"reached your (?:\w+ ){0,2}usage limits?",
                r"(?:monthly|daily) (?:spend\w*|usage) limit",
                r"余额不足|欠费|额度.{0,6}(?:不足|用尽|用完|耗尽|失败)|使用上限|配额.{0,4}(?:用尽|用完)",
            ),
        ),
        (
            "rate_limit",
            (
                r"rate[ _-]?limit|resource[ _]exhausted|throttl",
                r"too many (?:\w+ )?(?:requests|tokens)",
                r"slow down|requests are (?:being )?sent too|(?:high|too many) concurren",
                r"\bqps\b|\brate \w+ limit|request rate increased|sending too many",
                rf"(?:quota|limit) .*(?:{_PER_MOMENT}|{_LATER})",
                r"频率|并发|过于频繁",
            ),
        ),
        (
            "auth",
            (
                r"(?:incorrect|invalid|missing|no|wrong|expired) (?:x-)?api[ _-]?key",
                r"api[ _-]?key (?:not valid|expired|is (?:invalid|missing|required|expired))",
                r"login fail|not authenticated|invalid (?:access |bearer |auth\w* )token",
                r"access token (?:is )?(?:invalid|expired)|token (?:is |has )?expired",
                r"(?:令牌|密钥|api ?key).{0,4}(?:无效|错误|过期)|无效的?(?:令牌|密钥|api ?key)",
            ),
        ),
        (
            "overloaded",
            (
                r"overload|unavailable|server[ _](?:is )?busy|(?:high|over|at) (?:demand|capacity)",
                r"no healthy upstream|try again(?! with)",
            ),
        ),
        (
            "server_error",
            (
                r"internal (?:server )?error|upstream (?:connect|request|error)|bad gateway",
                r"connection (?:error|reset|refused|closed|aborted|terminat)|network error",
                r"timed? ?out|timeout",
            ),
        ),
    )
)

# Body fields that servers reject and that another attempt may leave out or replace, with the hint
# for the user where it cannot. The field that the message names first is meant.
FIELDS = {
    "stream_options": "-o stream_options=null leaves it out",
    "chat_template_kwargs": "leave out --think",
    "reasoning_effort": "leave out --think, or give another level",
    "reasoning_content": "",  # of an earlier answer, sent back with its tool calls
    "reasoning_details": "",
    "reasoning": "leave out --think, or give another level",
    "thinking": "leave out --think, or give another level",
    "max_completion_tokens": "-o max_tokens=N instead of --max-tokens",
    "max_output_tokens": "leave out --max-tokens",
    "max_tokens": "-o max_completion_tokens=N instead of --max-tokens",
    "temperature": "leave out --temperature",
    "top_p": "leave out --top-p",
    "frequency_penalty": "leave out --frequency-penalty",
    "presence_penalty": "leave out --presence-penalty",
    "random_seed": "leave out --seed",
    "seed": "leave out --seed",
    "stop": "leave out --stop",
    "response_format": "leave out --schema, and ask for JSON in the prompt",
    "json_schema": "leave out --schema, and ask for JSON in the prompt",
    "text.format": "leave out --schema, and ask for JSON in the prompt",
    "include": "",
}
_REJECTS = re.compile(
    r"un(?:supported|recogni[sz]ed|known|expected)|(?:does|do) not support|deprecated|unavailable"
    r"|(?:not|n't) (?:be )?(?:\w+ )?(?:supported|permitted|allowed|accepted|available|compatible)"
    r"|extra (?:inputs?|fields?)|cannot find field|use '?max_(?:completion_)?tokens"
    r"|must be one of|supported values|is mandatory|cannot be disabled",
    re.IGNORECASE,
)


def rejected_field(message: str, param: str = "") -> str | None:
    """Return the body field that the server does not take, by its error; None if none is named."""
    if "encrypted content" in message.lower():  # of models that do not think
        return "include"
    if any(name in message for name in ("stream_options", "include_usage", "include_obfuscation")):
        return "stream_options"
    if not _REJECTS.search(message):
        return None
    if param in FIELDS:
        return param
    if "chat_template" in message:
        return "chat_template_kwargs"
    # Field names are matched exactly, except those that are also words of a sentence.
    places = [
        (found.start(), name)
        for name in FIELDS
        if (found := re.search(rf"(?<![\w-]){re.escape(name)}(?!\w)", message, _case_of(name)))
    ]
    return min(places)[1] if places else None


def _case_of(name: str) -> int:
    return re.IGNORECASE if name in ("thinking", "reasoning") else 0


# The HTTP statuses whose prose may decide the kind. A failure of the server itself (5xx) is judged
# by its status alone; the prose of a 401 can only say that the money is used up.
_STATUSES_FOR_WORDS = {
    "filtered": (400, 403, 406, 409, 422, 424, 446, 451),
    "context_window": (400, 413, 422, 500),
    "quota": (400, 401, 402, 403, 412, 429),
    "rate_limit": (403,),
    "auth": (400, 403, 498),
}

# Prose about a limit per day or month, where the code says only "too fast": AWS, Cohere, DashScope.
DAILY_LIMIT = re.compile(
    r"too many \w+ per day|calls / month|per[- ]day limit|models-per-day|free allocated quota",
    re.IGNORECASE,
)
# Prose about a limit on the tokens per minute, where the code is `insufficient_quota`:
# https://www.alibabacloud.com/help/en/model-studio/rate-limit
MINUTE_LIMIT = re.compile(r"allocated quota exceeded|error-code#token-limit", re.IGNORECASE)
# Too many tokens for a minute are not too many for a model.
_A_MOMENTS_SHARE = re.compile(rf"{_PER_MOMENT}|每分钟|每秒|分钟", re.IGNORECASE)
# A limit on concurrent requests: the queue of Ollama or SGLang is full, llama.cpp has no slot, TGI
# and Ray Serve are busy, Anthropic counts connections, LiteLLM parallel requests; GLM and Moonshot
# call it concurrency.
CONCURRENT_CODES = frozenset(
    ("concurrencylimitexceeded", "concurrencylimit", "concurrentrequestslimitexceeded")
    + ("toomanyconcurrentrequests", "maxparallelrequestsexceeded", "1302", "minimax1041")
    + ("modelaccountconcurrencylimitexceeded", "accountconcurrencylimitexceeded")
)
CONCURRENT_WORDS = re.compile(
    r"concurren|max(?:imum)?[ _]parallel[ _]request|parallel request limit"
    r"|maximum pending requests|(?:request|pending) queue is full|max_queued_requests"
    r"|no slots? available|slot unavailable|^model is overloaded|并发",
    re.IGNORECASE,
)
# A request larger than the tokens per minute of its key: a retry cannot succeed.
TOO_LARGE_FOR_LIMIT = re.compile(r"request too large", re.IGNORECASE)


def names_concurrency(codes: list[str], message: str) -> bool:
    """Return whether a refusal is about concurrent requests, not about requests per minute."""
    if any(_normalized(code) in CONCURRENT_CODES for code in codes):
        return True
    return CONCURRENT_WORDS.search(message) is not None


def kind_of_codes(codes: list[str]) -> str | None:
    """Return the kind that these codes decide; None if they do not.

    Words come before numbers, as the numbers of providers collide.
    """
    for numbers in (False, True):
        found = {_kind(code, _SETTLED) for code in codes if code.isdecimal() is numbers}
        if kind := next((kind for kind in _CODES if kind in found), None):
            return kind
    return None


def kind_of_broad_codes(codes: list[str]) -> str | None:
    """Return the kind that codes with a vague meaning suggest; None without any."""
    found = {_kind(code, _OPEN) for code in codes}
    return next((kind for kind in _BROAD if kind in found), None)


def kind_of_words(message: str, status: int | None = None) -> str | None:
    """Return the kind that the prose decides; `status` is an HTTP error's, None in a stream."""
    for kind, pattern in WORDS:
        if status is not None and status not in _STATUSES_FOR_WORDS.get(kind, ()):
            continue
        if kind == "context_window" and _A_MOMENTS_SHARE.search(message):
            continue
        if pattern.search(message):
            return kind
    return None


def _kind(code: str, table: dict[str, str]) -> str | None:
    whole = table.get(_normalized(code))
    return whole or table.get(_normalized(code.partition(".")[0]))


def _normalized(code: str) -> str:
    return "".join(character for character in code.lower() if character.isalnum())


_SETTLED = {_normalized(code): kind for kind, codes in _CODES.items() for code in codes}
_OPEN = {_normalized(code): kind for kind, codes in _BROAD.items() for code in codes}
