"""The common parts of OpenAI's wire formats: token counts, knobs. Pure.

The names and numbers of the two dozen servers that imitate Chat Completions and Completions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...events import Usage
from ...wire.lenient_json import count

if TYPE_CHECKING:
    from ...request import Quirks


# What was asked and what was said: Chat Completions' names, or Responses' and Anthropic's.
_ASKED = ("prompt", "input")
_SAID = ("completion", "output")


def usage_of(usage: dict[str, Any], *, input_first: bool = False) -> Usage:
    """Return the token counts; `input_first`: Responses calls them input and output.

    Each count has several names: OpenAI's, and those of DeepSeek, xAI, Mistral, Moonshot, and of
    gateways in front of Anthropic's models.
    """
    asked, said = _ASKED, _SAID
    if input_first:
        asked, said = asked[::-1], said[::-1]
    prompt, completion = _details(usage, asked), _details(usage, said)
    counted = Usage(
        _first(*[(usage, f"{name}_tokens") for name in asked]),
        _first(*[(usage, f"{name}_tokens") for name in said]),
        _first(
            (completion, "reasoning_tokens"),
            (usage, "reasoning_tokens"),
            (completion, "thinking_tokens"),
        ),
        _first(
            (prompt, "cached_tokens"),
            (usage, "prompt_cache_hit_tokens"),
            (usage, "cached_tokens"),
            (usage, "num_cached_tokens"),
            (usage, "cache_read_input_tokens"),
            (prompt, "cache_read_input_tokens"),
        ),
        _first(
            (prompt, "cache_write_tokens"),
            (prompt, "cache_creation_tokens"),
            (usage, "cache_creation_input_tokens"),
            (prompt, "cache_creation_input_tokens"),
            (usage, "cache_write_tokens"),
        ),
        _first((usage, "total_tokens")),
    )
    return _in_camel_case(usage) if counted == Usage() else counted


def _in_camel_case(usage: dict[str, Any]) -> Usage:
    """Return the counts of gateways that write them so: Gemini's words, and the AI SDK's."""
    asked = ("promptTokens", "inputTokens", "promptTokenCount")
    said = ("completionTokens", "outputTokens", "candidatesTokenCount")
    return Usage(
        _first(*[(usage, name) for name in asked]),
        _first(*[(usage, name) for name in said]),
        _first((usage, "reasoningTokens"), (usage, "thoughtsTokenCount")),
        total_tokens=_first((usage, "totalTokens"), (usage, "totalTokenCount")),
    )


def _details(usage: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the object that splits a count up, by the first of these names that has one."""
    for name in names:
        if type(details := usage.get(f"{name}_tokens_details")) is dict:
            return details
    return {}


def _first(*places: tuple[dict[str, Any], str]) -> int | None:
    """Return the first of these fields that is a count; None if no one is."""
    for holder, name in places:
        if (field := holder.get(name)) is not None and (number := count(field)) is not None:
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
