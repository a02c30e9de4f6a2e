"""Collect the reasoning that a server wants back unchanged with its tool calls. Pure.

DeepSeek (https://api-docs.deepseek.com/guides/thinking_mode), Moonshot and the open-weights servers
want their own plain field, OpenRouter its list of details
(https://openrouter.ai/docs/use-cases/reasoning-tokens), with the pieces of each detail joined.
"""

from __future__ import annotations

from typing import Any

from ...wire.lenient_json import whole
from .arguments import can_send

# The plain fields that servers read in messages too, and OpenRouter's list.
FIELDS = ("reasoning_content", "reasoning", "reasoning_details")
_GROWING = ("text", "summary")


class ReasoningState:
    """Collects the reasoning of choice 0; `value` returns the fields for its message."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[str]] = {}
        # Each detail: its fields, the name of the one that streams, and the pieces of that.
        self._details: list[tuple[dict[str, Any], str, list[str]]] = []

    def add(self, delta: dict[str, Any]) -> None:
        for name in FIELDS[:2]:
            if type(thought := delta.get(name)) is str and thought:
                self._pieces.setdefault(name, []).append(thought)
        details = delta.get("reasoning_details")
        for detail in details if type(details) is list else ():
            if type(detail) is dict:
                self._detail(detail)

    def _detail(self, detail: dict[str, Any]) -> None:
        field = next((name for name in _GROWING if type(detail.get(name)) is str), "")
        piece = [detail[field]] if field else []
        if self._details:
            last, grows, pieces = self._details[-1]
            same = all(last.get(name) == detail.get(name) for name in ("type", "index"))
            goes_on = field in (grows, "") and (field or "signature" in detail)
            if same and goes_on and "data" not in detail:
                last.update({name: value for name, value in detail.items() if value is not None})
                pieces += piece
                return
        self._details.append((dict(detail), field, piece))

    def value(self) -> dict[str, Any] | None:
        """Return the fields of the message; None if there are none that JSON can carry."""
        fields: dict[str, Any]
        if self._details:
            details = [
                {**detail, field: "".join(pieces)} if field else detail
                for detail, field, pieces in self._details
            ]
            fields = {"reasoning_details": details}
        else:
            fields = {name: whole("".join(said)) for name, said in self._pieces.items()}
        return fields if fields and can_send(fields) else None
