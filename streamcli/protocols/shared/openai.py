"""The common parts of OpenAI's wire formats: token counts, knobs. Pure.

The names and numbers of the two dozen servers that imitate Chat Completions and Completions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...events import Usage
from ...wire.lenient_json import count

if TYPE_CHECKING:
    from ...request import Quirks


def usage_of(usage: dict[str, Any], asked: str = "prompt", said: str = "completion") -> Usage:
    """Return the token counts; Responses calls what was `asked` and `said` input and output.

    Each count has several names: OpenAI's, and those of DeepSeek, xAI, Mistral, Moonshot, and of
    gateways in front of Anthropic's models.
    """
    prompt = _details(usage, asked, "input", "prompt")
    completion = _details(usage, said, "output", "completion")
    cached = (
        prompt.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),
        usage.get("cached_tokens"),
        usage.get("num_cached_tokens"),
        usage.get("cache_read_input_tokens"),
        prompt.get("cache_read_input_tokens"),
    )
    written = (
        prompt.get("cache_write_tokens"),
        prompt.get("cache_creation_tokens"),
        usage.get("cache_creation_input_tokens"),
        prompt.get("cache_creation_input_tokens"),
        usage.get("cache_write_tokens"),
    )
    thoughts = (
        completion.get("reasoning_tokens"),
        usage.get("reasoning_tokens"),
        completion.get("thinking_tokens"),
    )
    return Usage(
        _first(*(usage.get(f"{name}_tokens") for name in (asked, "input", "prompt"))),
        _first(*(usage.get(f"{name}_tokens") for name in (said, "output", "completion"))),
        _first(*thoughts),
        _first(*cached),
        _first(*written),
        count(usage.get("total_tokens")),
    )


def _details(usage: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the object that splits a count up, by the first of these names that has one."""
    for name in names:
        if type(details := usage.get(f"{name}_tokens_details")) is dict:
            return details
    return {}


def _first(*fields: Any) -> int | None:
    """Return the first field that is a count; None if no one is."""
    for field in fields:
        if field is not None and (number := count(field)) is not None:
            return number
    return None


def think_fields(
    effort: str, quirks: Quirks, knob: dict[str, Any], model: str = ""
) -> dict[str, Any]:
    """Return the body fields for an effort, by the row's own knob (quirk `think`) or by `knob`.

    A knob maps an effort, or "*" for any other, to body fields; "$effort" in them is the effort,
    by the quirks `model_efforts` and `efforts` where the model or the server has other words.
    """
    knob = quirks.get("think", knob)
    words = quirks.get("efforts", {})
    for piece, own in quirks.get("model_efforts", {}).items():
        if piece in model.lower():
            words = own
    usual = "xhigh" if effort == "max" else effort
    word = words.get(effort, words.get("*", usual))

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        return word if value == "$effort" else value

    return dict(filled(knob.get(effort, knob["*"])))


def choices_of(value: Any) -> str:
    """Return what the choices of an event hold: "chat", "text" (Completions); "" without any."""
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list):
        return ""
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    # Together's chat has the text beside the delta; TGI's calls itself a text completion.
    if choice.keys() & {"delta", "message"}:
        return "chat"
    return "text" if "text" in choice or value.get("object") == "text_completion" else "chat"
