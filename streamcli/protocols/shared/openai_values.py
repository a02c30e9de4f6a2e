"""What OpenAI's wire formats have in common: finish reasons, token counts, knobs. Pure.

The names and numbers of the two dozen servers that imitate Chat Completions and Completions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...events import Failed, Usage
from ...wire.lenient_json import count, whole

if TYPE_CHECKING:
    from ...request import Quirks

FINISH = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "refusal",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
# Reasons that are no end of an answer but a failure of the server (Mistral, OpenRouter, DeepSeek,
# the vLLM family).
FAILURES = ("error", "abort", "insufficient_system_resource")
SEVERITY = ("stop", "other", "tool_calls", "length", "refusal", "content_filter")


def reason_of(raw: str) -> str:
    """A finish reason in our words (events.FINISH_REASONS)."""
    return FINISH.get(raw.lower(), "other")


def worst(reasons: dict[int, str]) -> str | None:
    """Of the raw finish reasons of all choices the one that matters most."""
    return max(reasons.values(), key=lambda raw: SEVERITY.index(reason_of(raw)), default=None)


def failure_of(reason: str, detail: Any = None) -> Failed | None:
    """What a finish reason means that is no end of an answer; None if it is one."""
    if reason.lower() not in FAILURES:
        return None
    word = whole(f"{reason} ({detail})" if detail and detail != reason else reason)
    return Failed(
        "overloaded" if "resource" in reason else "stream_error",
        f"the server ended the answer with finish reason {word}",
        evidence=("finish_reason",),
        transient="resource" in reason,
    )


def usage_of(usage: dict[str, Any], asked: str = "prompt", said: str = "completion") -> Usage:
    """Token counts; Responses call what was `asked` and `said` input and output.

    With the names that OpenAI, DeepSeek and xAI use for the same thing.
    """
    prompt = usage.get(f"{asked}_tokens_details")
    prompt = prompt if isinstance(prompt, dict) else {}
    completion = usage.get(f"{said}_tokens_details")
    completion = completion if isinstance(completion, dict) else {}
    cached = prompt.get("cached_tokens")
    return Usage(
        count(usage.get(f"{asked}_tokens")),
        count(usage.get(f"{said}_tokens")),
        count(completion.get("reasoning_tokens", usage.get("reasoning_tokens"))),
        count(usage.get("prompt_cache_hit_tokens") if cached is None else cached),
        count(prompt.get("cache_write_tokens")),
        count(usage.get("total_tokens")),
    )


def think_fields(effort: str, quirks: Quirks, knob: dict[str, Any]) -> dict[str, Any]:
    """The body fields for an effort, by the row's own knob (quirk `think`) or by `knob`.

    A knob maps an effort, or "*" for any other, to body fields; "$effort" in them is the effort,
    by the quirk `efforts` where the server has other words for it.
    """
    knob = quirks.get("think", knob)
    word = {"max": "xhigh", **quirks.get("efforts", {})}.get(effort, effort)

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        return word if value == "$effort" else value

    return dict(filled(knob.get(effort, knob["*"])))


def choices_of(value: Any) -> str:
    """What the choices of an event hold: "chat", "text" (legacy Completions), or "" without any."""
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list):
        return ""
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    # Together's chat has the text beside the delta; TGI's calls itself a text completion.
    if choice.keys() & {"delta", "message"}:
        return "chat"
    return "text" if "text" in choice or value.get("object") == "text_completion" else "chat"
