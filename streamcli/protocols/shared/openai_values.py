"""What OpenAI's wire formats have in common: token counts, knobs. Pure.

The names and numbers of the two dozen servers that imitate Chat Completions and Completions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...events import Usage
from ...wire.lenient_json import count

if TYPE_CHECKING:
    from ...request import Quirks


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
