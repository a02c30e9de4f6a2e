"""Puts tool calls together from their deltas. Pure."""

from __future__ import annotations

from typing import Any

from ...events import Event, ToolCall
from ...wire.lenient_json import whole
from .arguments import text_of


class ToolCalls:
    """The calls of one answer, for every way that Chat Completions servers number them.

    A delta without index goes by its id, else a name starts a new call, else it continues the
    last one; a new id on a known index starts a new call too.
    """

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []
        # The last one of a choice, of an index in it, and of an id.
        self._last: dict[tuple[Any, ...], dict[str, Any]] = {}
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
        id = id if isinstance(id, str) else ""
        index = index if isinstance(index, int | str) else None
        arguments = function.get("arguments", function.get("input"))
        call = self._find(choice, index, id, name)
        if call is None:
            call = {"choice": choice, "id": "", "name": "", "pieces": []}
            self._calls.append(call)
            self._last[choice,] = self._last[choice, "index", index] = call
        if id:
            call["id"] = id
            self._last[choice, "id", id] = call
        if isinstance(name, str) and name:
            call["name"] = name
        if isinstance(arguments, str):
            call["pieces"].append(arguments)
        elif arguments is not None:
            try:
                call["pieces"].append(text_of(arguments))
            except ValueError:  # nested beyond reason: no tool could read it
                pass

    def _find(self, choice: int, index: Any, id: str, name: Any) -> dict[str, Any] | None:
        if index is not None:
            call = self._last.get((choice, "index", index))
            another = call is not None and id and call["id"] not in ("", id)
            return None if another else call
        if id:
            return self._last.get((choice, "id", id))
        return None if name else self._last.get((choice,))

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
        self._last.clear()
        return calls
