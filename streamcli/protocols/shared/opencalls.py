"""The tool calls of an agent, which runs most of them by itself. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from ...events import Event, ToolCall
from ...wire.lenient_json import whole
from .arguments import text_of


class OpenCalls:
    """Calls by their ids. Those that nobody answered in the stream are left to who asked."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[str, list[str]]] = {}  # id: name, pieces of its arguments
        self._answered: set[str] = set()
        self._new: list[str] = []  # begun since `keep`

    def begin(self, id: str, name: str) -> None:
        if id and id not in self._answered and id not in self._calls:
            self._calls[id] = (name, [])
            self._new.append(id)

    def add(self, id: str, arguments: Any) -> None:
        if id in self._calls and isinstance(arguments, str):
            self._calls[id][1].append(arguments)

    def complete(self, id: str, name: str, arguments: Any) -> None:
        """A whole call. Its arguments stay as the model wrote them, where that was streamed."""
        self.begin(id, name)
        if id not in self._calls:
            return
        begun, pieces = self._calls[id]
        if not _says(pieces, arguments):
            try:
                pieces = [text_of(arguments)]
            except ValueError:
                pass  # nested beyond reason: no tool could read it
        self._calls[id] = (name or begun, pieces)

    def answered(self, id: str) -> None:
        self._answered.add(id)
        self._calls.pop(id, None)

    def keep(self) -> None:
        """What is there now is not taken back by `take_back`."""
        self._new.clear()

    def take_back(self) -> None:
        for id in self._new:
            self._calls.pop(id, None)
        self._new.clear()

    def only(self, ids: Any) -> None:
        """The agent names those that are left, if it names any."""
        if ids and isinstance(ids, list):
            named = {id for id in ids if isinstance(id, str)}
            self._calls = {id: call for id, call in self._calls.items() if id in named}

    def open(self) -> list[Event]:
        return [
            ToolCall(id, name, whole("".join(pieces))) for id, (name, pieces) in self._calls.items()
        ]


def _says(pieces: list[str], arguments: Any) -> bool:
    """Whether these pieces are the JSON of `arguments`."""
    try:
        return bool(orjson.loads("".join(pieces)) == arguments)
    except (ValueError, RecursionError):
        return False
