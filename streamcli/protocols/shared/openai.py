"""The common parts of OpenAI's wire formats: token counts, finish reasons, --think. Pure.

They accept the names of the two dozen servers that imitate Chat Completions and Completions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...events import Usage
from ...wire.lenient_json import count, whole
from .finish_reasons import first_of, is_failure, known

if TYPE_CHECKING:
    from ...request import Quirks


# The names of input and output: Chat Completions', then those of Responses and Anthropic.
_INPUT = ("prompt", "input")
_OUTPUT = ("completion", "output")
# The meanings of a native finish reason that is worse than the plain one beside it.
_WORSE = ("length", "content_filter", "refusal", "paused", "overloaded", "failed")


def usage_of(usage: dict[str, Any], *, input_first: bool = False) -> Usage:
    """Return the token counts; `input_first`: Responses calls them input and output.

    Each count has several names: OpenAI's, and those of DeepSeek, xAI, Mistral, Moonshot, and of
    gateways in front of Anthropic's models.
    """
    asked, said = _INPUT, _OUTPUT
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
    """Return the counts of gateways that write the names of Gemini or of the AI SDK."""
    asked = ("promptTokens", "inputTokens", "promptTokenCount")
    said = ("completionTokens", "outputTokens", "candidatesTokenCount")
    return Usage(
        _first(*[(usage, name) for name in asked]),
        _first(*[(usage, name) for name in said]),
        _first((usage, "reasoningTokens"), (usage, "thoughtsTokenCount")),
        total_tokens=_first((usage, "totalTokens"), (usage, "totalTokenCount")),
    )


def _details(usage: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the object with the parts of a count, by the first of these names that has one."""
    for name in names:
        if type(details := usage.get(f"{name}_tokens_details")) is dict:
            return details
    return {}


def _first(*places: tuple[dict[str, Any], str]) -> int | None:
    """Return the first of these fields that is a count; None if none is."""
    for holder, name in places:
        if (field := holder.get(name)) is not None and (number := count(field)) is not None:
            return number
    return None


def think_fields(
    effort: str, quirks: Quirks, knob: dict[str, Any], model: str = ""
) -> dict[str, Any]:
    """Return the body fields for an effort, by the row's quirk `think`, or else by `knob`.

    A knob maps an effort, or "*" for all others, to body fields. "$effort" in them stands for the
    effort, in the words of the quirks `model_efforts` or `efforts`, if the row has them.
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


def reason_in(holder: dict[str, Any]) -> tuple[str | None, Any]:
    """Return the finish reason of a choice, and a further word; (None, ...) without a reason.

    Gateways send the provider's own word beside theirs: it is the reason if it is the worse one.
    """
    native = holder.get("native_finish_reason")
    raw = first_of(holder.get("finish_reason"), holder.get("finishReason"), native)
    if raw is None and known(stop := holder.get("stop_reason")) not in (None, "other"):
        raw = first_of(stop)  # Anthropic's name for it; vLLM's is the text at which it stopped
    raw = raw or first_of(holder.get("finish_details"))
    hides = is_failure(native) or known(raw) in ("stop", "other")
    if raw is not None and hides and not is_failure(raw) and known(native) in _WORSE:
        return whole(str(native)), raw
    return raw, native


def choices_of(value: Any) -> str:
    """Return whose choices an event has: "chat", or "text" (Completions); "" without any."""
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list):
        return ""
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    # Together's chat has the text beside the delta; TGI's calls itself a text completion.
    if choice.keys() & {"delta", "message"}:
        return "chat"
    return "text" if "text" in choice or value.get("object") == "text_completion" else "chat"
