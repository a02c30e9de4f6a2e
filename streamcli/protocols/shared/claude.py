"""What the name of a Claude model tells: how it is asked to think, how long it may answer. Pure.

The names are `claude-FAMILY-MAJOR-MINOR-DATE`, before version 4 `claude-MAJOR-MINOR-FAMILY-DATE`,
with prefixes and other separators at other vendors (us.anthropic.claude-opus-4-6-v1).
"""

from __future__ import annotations

import re
from typing import Any

from ...errors import usage
from ...messages import ChatRequest

# Tokens to think with, where a model is told a number. The least it may be told is 1024.
BUDGETS = {"low": 2048, "medium": 8192, "high": 16384, "max": 24576}
_LEAST = 1024
_ANSWER = 4096  # room for the answer beside the thinking

# The two digits of a minor version must not be the first two of a date.
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d\d?))?(?!\d)")
_NEWEST = (99, 0)


def version(model: str) -> tuple[int, int] | None:
    """(major, minor); None for a model that is no Claude; a name without number is a new one."""
    model = model.lower()
    if "claude" not in model:
        return None
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else _NEWEST


def max_tokens(model: str) -> int:
    """What to allow when nothing is said: the API wants a number, and refuses one too large.

    https://platform.claude.com/docs/en/about-claude/models/overview: the largest that all models
    of a version take. Other models behind this API get what every one of them takes.
    """
    known = version(model)
    if known is None or known < (3, 5):
        return 4096
    return 8192 if known < (3, 7) else 32000


def thinking(chat: ChatRequest, effort: str, default_max_tokens: int) -> dict[str, Any]:
    """The fields for an effort. Since 4.6 models decide by themselves; before, by a budget."""
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
