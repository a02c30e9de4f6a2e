"""The meaning of finish reasons: one table for every provider's words. Pure.

A word means one of events.FINISH_REASONS, a failure (`failed`, `overloaded`), a pause (`paused`:
the answer is not whole), or nothing at all. The words come from the providers' documents, recorded
streams and public reports. Spelling does not matter: case, `-`, `_`, blanks, dots, and a
FINISH_REASON_ before the word. A word that is not in the table has the meaning of a part of it
(LIKE), so that a new spelling of a bad word is not taken for success. Any other word is `other`:
complete, with a note. To teach `stream` another word, add it to a line of WORDS. ending.py decides
which of several reasons counts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from ...events import Failed
from ...wire.lenient_json import whole

WORDS = {
    "stop": (
        *("stop", "stopped", "stop_sequence", "stop_string", "stop_str", "stop_token", "stop_word"),
        *("stop_words", "stop_tokens", "stop_sequences", "stop_sequence_reached", "stop_criteria"),
        *("eos", "eos_token", "eos_found", "eot", "eog", "end", "end_turn", "end_of_turn"),
        *("end_id", "end_of_text", "endoftext", "end_of_sequence", "stop_string_found", "word"),
        *("complete", "completed", "done", "finish", "finished", "final", "normal", "natural"),
        *("success", "succeeded", "ok", "no_error"),
    ),
    "length": (
        *("length", "max_length", "max_len", "model_length", "length_limit", "limit", "max_output"),
        *("max_tokens", "max_token", "max_output_tokens", "max_new_tokens"),
        *("max_completion_tokens", "max_generated_tokens", "max_output_tokens_reached"),
        *("max_tokens_exceeded", "max_tokens_reached", "max_predicted_tokens_reached"),
        *("token_limit", "token_limit_reached", "output_limit", "continuation", "error_limit"),
        *("context", "context_length", "context_length_exceeded", "context_length_reached"),
        *("context_window", "context_window_exceeded", "max_context", "max_context_length"),
        *("model_context_window_exceeded", "context_limit", "context_overflow", "truncated_final"),
        *("length_capped", "max_length_reached", "prompt_too_long", "max_prompt_tokens"),
        *("budget", "cutoff", "cut_off", "tokens"),
    ),
    "content_filter": (
        *("content_filter", "content_filtered", "content_filtering", "filter", "filtered"),
        *("sensitive", "sensitive_content", "safety", "unsafe", "blocked", "block", "blocklist"),
        *("blacklist", "prohibited", "prohibited_content", "recitation", "spii", "language"),
        *("image_safety", "image_prohibited_content", "image_recitation", "error_toxic", "toxic"),
        *("guardrail_intervened", "guardrail", "guardrails", "guardrail_violation", "flagged"),
        *("moderation", "moderated", "moderation_blocked", "content_moderation", "jailbreak"),
        *("content_policy", "content_policy_violation", "policy_violation", "model_armor"),
        *("content_blocked", "content_violation", "data_inspection_failed", "risk"),
        *("risk_control", "audit", "nsfw", "policy", "security", "harm", "self_harm", "hate"),
        *("violence", "sexual", "denied"),
    ),
    "refusal": ("refusal", "refused", "refuse", "model_refusal"),
    "tool_calls": (
        *("tool_calls", "tool_call", "tool_use", "tool", "tools", "tool_uses", "tool_choice"),
        *("function_call", "function_calls", "function", "function_calling", "tool_calling"),
        *("tool_code", "client_tool_call"),
    ),
    # The server gave up, or the model wrote something unusable: exit 15.
    "failed": (
        *("error", "errors", "errored", "fail", "failed", "failure", "exception", "fault"),
        *("abort", "aborted", "cancel", "cancelled", "canceled", "cancellation", "user_cancel"),
        *("user_cancelled", "user_canceled", "user_stopped", "user_stop"),
        *("connection_error", "network", "network_error", "server_error"),
        *("internal_error", "internal_server_error", "model_error", "model_unloaded"),
        *("upstream_error", "provider_error", "stream_error", "engine_error", "inference_error"),
        *("timeout", "timed_out", "time_out", "time_limit", "deadline", "deadline_exceeded"),
        *("repetition", "repetitive", "repeat", "loop", "load_error", "error_other"),
        *("malformed_function_call", "malformed_tool_call", "malformed_tool_use", "malformed"),
        *("malformed_response", "malformed_model_output", "malformed_output", "invalid_output"),
        *("unexpected_tool_call", "too_many_tool_calls", "invalid_tool_call", "tool_use_failed"),
        *("missing_thought_signature", "no_image", "image_other", "tool_error", "tool_call_error"),
        *("kill", "killed", "terminated", "evicted", "crash", "crashed", "oom", "out_of_memory"),
        *("rate_limit", "rate_limited", "quota", "insufficient_quota", "no_credits", "unavailable"),
        *("internal", "max_time", "dropped", "stalled", "hang", "no_progress", "shutdown"),
    ),
    # The same, and a retry may succeed.
    "overloaded": (
        *("insufficient_system_resource", "insufficient_system_resources", "overloaded"),
        *("overload", "server_overloaded", "engine_overloaded", "preempt", "preempted", "busy"),
        *("capacity", "no_capacity", "at_capacity", "capacity_exceeded"),
    ),
    # The answer is not over, or the provider does not say why it is over: exit 18.
    "paused": (
        *("pause_turn", "pause", "paused", "compaction", "compacted", "other", "incomplete"),
        *("interrupted", "interrupt", "in_progress", "not_finished", "unfinished", "truncated"),
        *("partial", "max_turns", "turn_limit", "iteration_limit", "max_iterations", "max_steps"),
        *("max_rounds", "recursion_limit", "step_limit", "tool_limit", "max_tool_calls"),
        *("max_function_calls", "max_depth", "max_retries", "too_many_steps"),
    ),
    # Not a reason: programs write these words for a missing value.
    "": (
        *("", "null", "none", "nil", "undefined", "unspecified", "nan", "n/a", "not_set", "unset"),
        *("generating", "running", "streaming", "continue", "continuing", "ongoing", "pending"),
    ),
}
# Parts of words that are not in the table, normalized; the first one that a word contains counts.
LIKE = (
    ("content_filter", "filter safety unsafe moderat sensitive prohibit blocked guardrail harmful"),
    ("content_filter", "policyviolation policyblock riskdetect highrisk contentrisk copyright"),
    ("content_filter", "censor csam hatespeech toxic nsfw illegal illicit offensive jailbreak"),
    ("content_filter", "敏感 过滤 违规 审核 安全"),
    ("refusal", "refus declin"),
    ("overloaded", "overload preempt serverbusy toobusy"),
    ("failed", "error fail exception abort cancel timeout timedout timelimit deadline malformed"),
    (
        "failed",
        "crash quota ratelimit repetit looping loopdetect infiniteloop degenerat disconnect",
    ),
    ("failed", "connection network upstream shutdown workerdied unavailable byuser"),
    (
        "failed",
        "clientclosed streamclosed insufficient payment billing reject invalid evict expired",
    ),
    ("failed", "错误 失败 异常 超时 取消"),
    ("length", "maxtoken maxoutput maxlen maximumlen maximumtok tokenlimit lengthlimit context"),
    ("length", "outoftoken tokensexhaust tokenexhaust tokenbudget budgetexceed budgetexhaust"),
    (
        "length",
        "limitreached limitexceeded limithit kvcache kvfull toolong lengthexceed lengthreach",
    ),
    ("length", "length 长度 上限"),
    ("paused", "truncat incomplete interrupt unfinish 截断 中断"),
    ("tool_calls", "toolcall tooluse functioncall"),
)
# The words of agents that ran out of rounds, in the place of a finish reason.
OUT_OF_ROUNDS = (
    *("iteration_limit", "max_iterations", "max_turns", "max_steps", "max_rounds"),
    *("recursion_limit", "tool_limit", "max_tool_calls", "step_limit", "turn_limit"),
)
_SIGNS = str.maketrans("", "", "_.-")
_WORD = 64  # characters of a reason whose meaning is remembered
_PREFIXES = ("finishreason", "stopreason", "reason", "finish")
_BETWEEN = re.compile(r"[:;,|/()<>]")  # signs between two words


def _key(word: str) -> str:
    key = "".join(word.lower().split()).translate(_SIGNS)
    if key not in TABLE and key.startswith(_PREFIXES):
        for prefix in _PREFIXES:
            if key.startswith(prefix) and key != prefix:
                return key.removeprefix(prefix)
    return key


# The words above are written so that this alone makes their keys.
TABLE = {word.replace("_", ""): name for name, words in WORDS.items() for word in words}
# From the least to the most serious.
SEVERITY = ("stop", "other", "tool_calls", "length", "refusal", "content_filter")
_BAD = ("paused", "overloaded", "failed")
CUT = ("length", "refusal", "content_filter")  # the answer is not whole
RANK = {name: rank for rank, name in enumerate((*SEVERITY, *_BAD))}


def known(raw: Any) -> str | None:
    """Return the meaning of a finish reason; None if the field does not hold one.

    One of events.FINISH_REASONS ("other" for a word that is not in the table), or `failed`,
    `overloaded` or `paused`.
    """
    if type(raw) is not str:
        return None
    return _meaning(raw) if len(raw) <= _WORD else _meaning.__wrapped__(raw)


@lru_cache(256)
def _meaning(raw: str) -> str | None:
    key = _key(raw)
    name = TABLE.get(key)
    return (_like(key) if name is None else name) or None


def _like(key: str) -> str:
    """Return the meaning of a word that is not in the table, by the parts of it.

    Of several words (`function_call_filter: MALFORMED_FUNCTION_CALL`) the worst one that is in the
    table counts.
    """
    words = [TABLE.get(_key(word)) for word in _BETWEEN.split(key)]
    if found := [word for word in words if word]:
        return max(found, key=RANK.__getitem__)
    for name, pieces in LIKE:
        if any(piece in key for piece in pieces.split()):
            return name
    return "other"


def first_of(*fields: Any) -> str | None:
    """Return the first of these fields that holds a reason, as the provider wrote it.

    Some gateways write an object (`{"type": "max_tokens"}`), or a list with one, instead of a word.
    """
    for raw in fields:
        if raw is not None and type(raw) is not str:
            raw = _word_in(raw)
        if raw is not None and known(raw) is not None:
            return whole(raw)
    return None


def _word_in(raw: Any) -> Any:
    if type(raw) is list:
        raw = raw[0] if len(raw) == 1 else None
    if type(raw) is dict:
        return next((raw[name] for name in ("type", "reason", "value") if name in raw), None)
    return raw


def reason_of(raw: str | None) -> str | None:
    """Return the one of events.FINISH_REASONS; None without a reason, or if it is a failure."""
    name = known(raw)
    return name if name in SEVERITY else None


def is_failure(raw: str | None) -> bool:
    """Return whether a reason says that the server gave up, whatever follows it."""
    return raw is not None and known(raw) in ("failed", "overloaded")


def failure_of(raw: Any, detail: Any = None) -> Failed | None:
    """Return the failure that a reason means; None if it ends an answer, or is not a reason.

    `detail` is a word that the server adds to the reason.
    """
    name = known(raw)
    if name not in _BAD:
        return None
    word = whole(f"{raw} ({detail})" if detail and detail != raw else raw)
    if name == "paused":
        return Failed(
            "truncated",
            f"the provider ended the answer before it was whole (finish reason {word})",
            "try again",
            evidence=("finish_reason",),
            raw=whole(raw),
        )
    return Failed(
        "overloaded" if name == "overloaded" else "stream_error",
        f"the server ended the answer with finish reason {word}",
        evidence=("finish_reason",),
        transient=name == "overloaded",
        raw=whole(raw),
    )


def out_of_rounds(raw: str | None) -> Failed | None:
    """Return the failure of an agent that ran out of rounds, by its reason; None otherwise."""
    if raw and raw.lower().replace("-", "_") in OUT_OF_ROUNDS:
        return Failed("tool", f"the agent ran out of its rounds (finish reason {raw})", raw=raw)
    return None
