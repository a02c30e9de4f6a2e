"""Puts tool calls together from their deltas. Pure."""

from __future__ import annotations

from typing import Any

from ..events import Event, ToolCall
from ..wire.jsontext import whole
from .arguments import text_of


class ToolCalls:
    """The calls of one answer, for every way that Chat Completions servers number them.

    A delta without index goes by its id, else a name starts a new call, else it continues the
    last one; a new id on a known index starts a new call too.
    """

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []
        self._given = 0  # how many there were before these

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, choice: int, delta: Any) -> None:
        if not isinstance(delta, dict):
            return
        function = delta.get("function")
        if not isinstance(function, dict):
            function = delta.get("custom")  # a custom tool's free-form input
            if not isinstance(function, dict):
                function = {}
        name, id, index = function.get("name"), delta.get("id"), delta.get("index")
        arguments = function.get("arguments", function.get("input"))
        call = self._find(choice, index, id, name)
        if call is None:
            call = {"choice": choice, "index": index, "id": "", "name": "", "pieces": []}
            self._calls.append(call)
        if isinstance(id, str) and id:
            call["id"] = id
        if isinstance(name, str) and name:
            call["name"] = name
        if isinstance(arguments, str):
            call["pieces"].append(arguments)
        elif arguments is not None:
            try:
                call["pieces"].append(text_of(arguments))
            except ValueError:  # nested beyond reason: no tool could read it
                pass

    def _find(self, choice: int, index: Any, id: Any, name: Any) -> dict[str, Any] | None:
        ours = [call for call in self._calls if call["choice"] == choice]
        if index is not None:
            ours = [call for call in ours if call["index"] == index]
            if ours and id and ours[-1]["id"] not in ("", id):
                return None
        elif id:
            ours = [call for call in ours if call["id"] == id]
        elif name:
            return None
        return ours[-1] if ours else None

    def calls(self) -> list[Event]:
        """Those put together since the last time."""
        calls: list[Event] = [
            ToolCall(
                whole(call["id"]) or f"call_{number}",  # some send none: it must still be unique
                whole(call["name"]),
                whole("".join(call["pieces"])),
                call["choice"],
            )
            for number, call in enumerate(self._calls, self._given)
        ]
        self._given += len(calls)
        self._calls.clear()
        return calls
