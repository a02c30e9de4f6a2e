"""Normalize the names of agents' protocols, which some programs write in snake case. Pure.

Servers that write their own Python or protobuf names send `tool_call_id` for `toolCallId`, and
"TextMessageContent" for "TEXT_MESSAGE_CONTENT".
"""

from __future__ import annotations

import re
from typing import Any

_SNAKE = re.compile(r"[a-z]+(?:_[a-z]+)+")
# Fields whose content belongs to the application, and keeps its names.
_OWN = frozenset(
    ("value", "result", "snapshot", "state", "data", "metadata", "args", "rawEvent", "event")
)
# Names that tell: one of each event, and the fields whose objects may have some where it has none.
_NAMES = frozenset(
    ("thread_id", "run_id", "message_id", "tool_call_id", "tool_call_name", "subagent_run_id")
    + ("finish_reason", "task_id", "context_id", "artifact_id", "status_update", "artifact_update")
)
_HOLDERS = frozenset(("messages", "outcome", "interrupts"))
_DEEPEST = 8
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def camel_names(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object with its names in camel case; nearly always it is `value` itself."""
    if _NAMES.isdisjoint(value) and (_HOLDERS.isdisjoint(value) or not _is_snake(value)):
        return value
    respelled: dict[str, Any] = _respelled(value, _DEEPEST)
    return respelled


def _is_snake(value: Any, depth: int = 5) -> bool:
    if type(value) is dict and depth:
        return any("_" in name or _is_snake(each, depth - 1) for name, each in value.items())
    return type(value) is list and depth > 0 and any(_is_snake(each, depth - 1) for each in value)


def _respelled(value: Any, depth: int) -> Any:
    if type(value) is list and depth:
        return [_respelled(each, depth - 1) for each in value]
    if type(value) is not dict or not depth:
        return value
    out: dict[str, Any] = {}
    for name, each in value.items():
        if _SNAKE.fullmatch(name):
            first, *others = name.split("_")
            name = first + "".join(map(str.capitalize, others))
        if out.get(name) is None:  # both spellings may be there, one of them empty
            out[name] = each if name in _OWN else _respelled(each, depth - 1)
    return out


def kind_of(word: str) -> str:
    """Return the name of an event as AG-UI writes it, from any spelling."""
    return word if word.isupper() else _HUMP.sub("_", word).replace("-", "_").upper()
