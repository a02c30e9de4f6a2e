"""Normalize Gemini's fields, which some programs write in snake case, or without lists. Pure."""

from __future__ import annotations

from typing import Any

_TOP = frozenset(("usage_metadata", "prompt_feedback", "model_version", "response_id"))
_CANDIDATE = frozenset(
    ("finish_reason", "finish_message", "citation_metadata", "grounding_metadata")
)
_INSIDE = frozenset(("candidates", "promptFeedback", "usageMetadata", "error"))
_PART = frozenset(("function_call", "executable_code", "code_execution_result"))
_OWN_WORDS = (
    "args",
    "partialArgs",
    "response",
)  # fields of the model or its tools, which keep their names


def normalized(value: dict[str, Any]) -> dict[str, Any]:
    """Return an event with Gemini's own names and lists; nearly always it is `value` itself."""
    candidates = value.get("candidates")
    if candidates is None and wrapped(value) is not None:
        return normalized(value["response"])
    if type(candidates) is dict:
        value = {**value, "candidates": [candidates]}
    elif _TOP.isdisjoint(value) and (
        type(candidates) is not list or not any(map(_is_unusual, candidates))
    ):
        return value
    respelled: dict[str, Any] = _respelled(value)
    return respelled


def wrapped(value: dict[str, Any]) -> dict[str, Any] | None:
    """Return the event in the envelope of Code Assist (`{"response": {...}}`); None without one."""
    inner = value.get("response")
    return inner if type(inner) is dict and not _INSIDE.isdisjoint(inner) else None


def _is_unusual(candidate: Any) -> bool:
    if type(candidate) is not dict:
        return False
    content = candidate.get("content")
    parts = content.get("parts") if type(content) is dict else content
    if type(parts) is list:
        for part in parts:
            if type(part) is not dict or not _PART.isdisjoint(part):
                return True
    if parts is not None and (type(parts) is not list or parts is content):
        return True
    if parts is None and (type(content) is dict and "text" in content or type(content) is str):
        return True
    return not _CANDIDATE.isdisjoint(candidate)


def _respelled(value: Any) -> Any:
    """Return `value` with names in camel case, and the content of a candidate as parts."""
    if type(value) is list:
        return [_respelled(each) for each in value]
    if type(value) is not dict:
        return value
    out: dict[str, Any] = {}
    for name, each in value.items():
        name = _camel(name)
        if not out.get(name):  # `finishReason` may stand empty beside `finish_reason`
            out[name] = each if name in _OWN_WORDS else _respelled(each)
    if "content" in out:
        out["content"] = _content(out["content"])
    return out


def _content(content: Any) -> Any:
    if type(content) is dict and "parts" not in content:
        return content if "text" not in content else {"parts": [content]}
    parts = content.get("parts") if type(content) is dict else content
    parts = parts if type(parts) is list else [] if parts is None else [parts]
    return {"parts": [part if type(part) is dict else {"text": part} for part in parts]}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each[:1].upper() + each[1:] for each in others) if first else name
