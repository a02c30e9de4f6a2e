"""Find the abilities of a Claude model by its name: thinking, length, sampling; build tools. Pure.

The names are `claude-FAMILY-MAJOR-MINOR-DATE`, before version 4 `claude-MAJOR-MINOR-FAMILY-DATE`,
with prefixes and other separators at other vendors (us.anthropic.claude-opus-4-6-v1).
"""

from __future__ import annotations

import re
from typing import Any

from ...errors import usage
from ...messages import ChatRequest, Tool
from ...request import Target

# Tokens for thinking, for models that take a number.
BUDGETS = {"low": 2048, "medium": 8192, "high": 16384, "max": 24576}
_LEAST = 1024  # the least budget that the API takes
_ANSWER = 4096  # tokens for the answer beside the thinking

# The two digits of a minor version must not be the first two of a date.
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d\d?))?(?!\d)")
_NEWEST = (99, 0)

_REFUSED = re.compile(r"deprecated|support|may only|must be|cannot|not (?:allowed|permitted)")
# The option to leave out, by a word in the message of a refusal.
_OPTIONS = {
    "temperature": "--temperature",
    "top_p": "--top-p",
    "topP": "--top-p",
    "prefill": "--prefill",
    "thinking": "--think",
    "effort": "--think",
}


def version(model: str) -> tuple[int, int] | None:
    """Return (major, minor) of a Claude, None of others; a name without a number is the newest."""
    model = model.lower()
    if "claude" not in model:
        return None
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else _NEWEST


def max_tokens(model: str) -> int:
    """Return the limit to send without --max-tokens: the API requires one, and refuses large ones.

    It is the largest one that all models of a version take
    (https://platform.claude.com/docs/en/about-claude/models/overview). Other models behind this API
    get a limit that all of them take.
    """
    known = version(model)
    if known is None or known < (3, 5):
        return 4096
    return 8192 if known < (3, 7) else 32000


def sendable(chat: ChatRequest, target: Target) -> ChatRequest:
    """Return the request without the general preferences that its model is known to refuse."""
    known = version(chat.model)
    refused = _refused(chat, known) if known else []
    if "thinking" in target.refused:  # the server rejected it in this run
        refused.append("think")
    changes = {field: None for field in refused if field in chat.wishes}
    return chat.but(**changes) if changes else chat


def _refused(chat: ChatRequest, known: tuple[int, int]) -> list[str]:
    """Return the fields that a Claude of this version refuses in this request.

    Since Opus 4.7 models take no sampling, those from 4.1 on take one of its two fields, and with
    thinking the temperature is fixed. 5.5 always thinks, and models before 3.7 never do.
    """
    refused: list[str] = []
    thinks = chat.think not in (None, "none")
    if known >= (4, 7):
        refused += ("temperature", "top_p")
    elif thinks:
        refused.append("temperature")
        if chat.top_p is not None and chat.top_p < 0.95:
            refused.append("top_p")
    elif known >= (4, 1) and chat.temperature is not None and chat.top_p is not None:
        refused.append("top_p" if "top_p" in chat.wishes else "temperature")
    if (chat.think == "none" and known >= (5, 5)) or (thinks and known < (3, 7)):
        refused.append("think")
    return refused


def advice(message: str) -> str:
    """Return which option to change when a model refuses a request with this message, or ""."""
    if not _REFUSED.search(message):
        return ""
    named = [option for field, option in _OPTIONS.items() if field in message]
    return f"leave out {' or '.join(named)}" if named else ""


def thinking(chat: ChatRequest, effort: str, default_max_tokens: int) -> dict[str, Any]:
    """Return the fields for --think: models since 4.6 take the effort, older ones a budget."""
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    known = version(chat.model)
    if known is not None and known >= (4, 6):
        display = "omitted" if chat.hide_reasoning else "summarized"
        return {
            "thinking": {"type": "adaptive", "display": display},
            "output_config": {"effort": effort},
        }
    budget = BUDGETS[effort]
    if chat.max_tokens is None:
        limit = max(default_max_tokens, budget + _ANSWER)
    else:
        limit = chat.max_tokens
        budget = min(budget, limit // 2)  # it counts as part of the answer
        if budget < _LEAST:
            raise usage(
                f"--max-tokens {limit} leaves no room to think",
                f"give at least {2 * _LEAST}, or --think=none",
            )
    return {"thinking": {"type": "enabled", "budget_tokens": budget}, "max_tokens": limit}


def tool_of(tool: Tool) -> dict[str, Any]:
    """Return a tool in the form of the Messages API."""
    schema = tool.parameters or {"type": "object"}
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


def tool_choice(choice: str | None) -> dict[str, str] | None:
    """Return the `tool_choice` of the Messages API; None for its default."""
    if choice is None:
        return None
    words = {"auto": "auto", "none": "none", "required": "any"}
    return {"type": words[choice]} if choice in words else {"type": "tool", "name": choice}
