"""Normalize deltas and blocks of Anthropic's Messages that gateways write by other names. Pure.

Text, thinking and calls are recognised by their type or by their fields: if they were ignored, they
would be missing from an answer that seems whole. Other types are unknown ones of the future.
"""

from __future__ import annotations

from typing import Any

# Anthropic's deltas, and the field of each.
DELTAS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
    "signature_delta": "type",
    "citations_delta": "type",
    "compaction_delta": "type",
}
_BLOCKS = frozenset(
    ("text", "thinking", "redacted_thinking", "tool_use", "container_upload", "compaction")
    + ("fallback", "error")
)
_TEXTS = ("text", "content", "delta", "output_text")
_THOUGHTS = ("thinking", "reasoning", "reasoning_content", "reasoning_text")
_INPUTS = ("partial_json", "input_json", "arguments")


def usual_delta(delta: Any) -> dict[str, Any]:
    """Return a delta with a wrong type or none as one of DELTAS, if its fields say which."""
    if type(delta) is not dict:
        return {"type": "text_delta", "text": delta}
    kind = str(delta.get("type") or "").lower()
    if (thought := _first(delta, _THOUGHTS)) is not None:
        return {"type": "thinking_delta", "thinking": thought}
    if (piece := _first(delta, _INPUTS)) is not None:
        return {"type": "input_json_delta", "partial_json": piece}
    text = _first(delta, _TEXTS)
    if text is None:
        return delta
    if _is_thought(kind):
        return {"type": "thinking_delta", "thinking": text}
    return {"type": "text_delta", "text": text} if _is_text(kind) else delta


def usual_block(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a block with a wrong type or none as one of Anthropic's, if its fields say which."""
    kind = plain.get("type")
    kind = kind if type(kind) is str else ""
    if kind in _BLOCKS or kind.endswith(("_tool_use", "_tool_result")):
        if kind == "text" and plain.get("text") is None:
            return {**plain, "text": _first(plain, _TEXTS)}
        return plain
    if plain.get("name") and type(plain.get("name")) is str:
        given = plain.get("input")
        given = plain.get("arguments") if given is None else given
        return {**plain, "type": "tool_use", "input": given}
    if (thought := _first(plain, _THOUGHTS)) is not None:
        return {**plain, "type": "thinking", "thinking": thought}
    text = _first(plain, _TEXTS)
    if text is None:
        return plain
    if _is_thought(kind):
        return {**plain, "type": "thinking", "thinking": text}
    return {**plain, "type": "text", "text": text} if _is_text(kind) else plain


def _first(holder: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first of these fields that holds text; None if none does."""
    return next((each for name in names if type(each := holder.get(name)) is str), None)


def _is_text(kind: str) -> bool:
    """Return whether a type means text, or is missing; other types are unknown."""
    return not kind or any(word in kind for word in ("text", "content", "message"))


def _is_thought(kind: str) -> bool:
    return any(word in kind for word in ("think", "reason", "thought", "summary"))
