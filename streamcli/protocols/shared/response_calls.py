"""Collect the calls of the caller's own tools in an answer of OpenAI Responses. Pure."""

from __future__ import annotations

from typing import Any

from ...events import Event, ToolCall
from ...wire.lenient_json import words
from .arguments import call_text, text_of
from .response_parts import place_of

# The items that the caller answers, and the field of their arguments; the server runs all others.
_KINDS = {"function_call": "arguments", "custom_tool_call": "input"}


class ResponseCalls:
    """Gives out each call once: at the end of its item, or else at the end of the response.

    `any`: there was a call. `wrong`: why a call cannot be run, "" if all can.
    """

    def __init__(self) -> None:
        self.any = False
        self.wrong = ""
        self.midway = False  # the stream began in the middle of the response
        self._custom: bool | None = None  # the request had custom tools; None: not known yet
        self._open: dict[Any, tuple[dict[str, Any], list[str]]] = {}  # (item, arguments), by place
        self._given: set[tuple[str, str, str]] = set()  # id, name, arguments
        self._count = 0

    def tools(self, tools: Any) -> None:
        """Note the request's tools, as the response repeats them: xAI calls its own ones custom."""
        if isinstance(tools, list):
            kinds = [tool.get("type") for tool in tools if isinstance(tool, dict)]
            self._custom = "custom" in kinds or "namespace" in kinds

    def is_call(self, item: Any) -> bool:
        kind = item.get("type") if isinstance(item, dict) else None
        return kind == "function_call" or (kind == "custom_tool_call" and self._custom is not False)

    def begin(self, item: dict[str, Any], where: Any) -> None:
        if self.is_call(item):
            _, pieces = self._open.get(where, (item, []))
            self._open[where] = (item, pieces)

    def arguments(self, value: dict[str, Any], done: bool) -> None:
        """Read a piece of arguments, or (`done`) all of them."""
        where = self._place(value)
        if where not in self._open:
            # No item began: the name may come in this event, or at the item's end.
            item = {name: value.get(name) for name in ("call_id", "name")}
            kind = "custom_tool_call" if "custom" in words(value.get("type")) else "function_call"
            self._open[where] = ({**item, "type": kind, "id": value.get("item_id")}, [])
        item, pieces = self._open[where]
        if not item.get("name") and words(value.get("name")):
            item["name"] = value["name"]
        text = (value.get("arguments") or value.get("input")) if done else value.get("delta")
        if isinstance(text, dict | list):
            text = text_of(text)
        if isinstance(text, str) and text:
            if done:
                pieces.clear()
            pieces.append(text)

    def _place(self, value: dict[str, Any]) -> Any:
        """Return the place of the open call of an event, by index, by id, or as the only one."""
        where, _ = place_of(value)
        if where in self._open:
            return where
        id = words(value.get("item_id"))
        for place, (item, _) in self._open.items():
            if id and id in (item.get("id"), item.get("call_id")):
                return place
        if not id and type(value.get("output_index")) is not int and len(self._open) == 1:
            return next(iter(self._open))
        return where

    def end(self, item: dict[str, Any], value: dict[str, Any], out: list[Event]) -> None:
        """Read a finished item, which its event's `value` holds."""
        if self.is_call(item):
            place = {"item_id": item.get("id"), **value}
            _, pieces = self._open.pop(self._place(place), (item, []))
            self.give(item, pieces, out)
        self._of_message(item, out)

    def rest(self, completed: bool, out: list[Event]) -> None:
        """Give out the calls whose items did not end, if the response is `completed`."""
        self._custom = self._custom is not False
        if completed:
            for item, pieces in self._open.values():
                self.give(item, pieces, out)
        self._open.clear()

    def whole(self, item: dict[str, Any], out: list[Event]) -> None:
        """Read an item of a finished response."""
        self.give(item, [], out)
        self._of_message(item, out)

    def _of_message(self, item: dict[str, Any], out: list[Event]) -> None:
        """Read calls inside a message, as in Chat Completions."""
        calls = item.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self.give({**call, "type": "function_call"}, [], out)

    def give(self, item: dict[str, Any], pieces: list[str], out: list[Event]) -> None:
        if not self.is_call(item) or item.get("status") == "incomplete":
            return
        if item["type"] == "custom_tool_call" and self.midway and self._custom is None:
            self._open["later", len(self._open)] = (item, pieces)
            return
        function = item.get("function")
        if isinstance(function, dict):  # Chat's form
            item = {**item, **function, "type": item["type"]}
        own_id, name = words(item.get("call_id") or item.get("id")), words(item.get("name"))
        given = item.get(_KINDS[item["type"]]) or "".join(pieces)
        self.any = True
        if not name:
            self.wrong = self.wrong or "the model called a tool and gave no name for it"
            return
        try:
            # A custom tool takes text of any kind.
            arguments = call_text(given) if item["type"] == "function_call" else text_of(given)
        except ValueError as error:
            self.wrong = f"the model called {name} with arguments that are {error}"
            return
        if own_id and (own_id, name, arguments) in self._given:
            return
        self._given.add((own_id, name, arguments))
        self._count += 1
        out.append(ToolCall(own_id or f"call_{self._count}", name, arguments))
