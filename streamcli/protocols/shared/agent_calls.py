"""The tool calls of an agent or application, which runs most of them itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from ...events import Event, Failed, ToolCall, ToolResult
from ...wire.lenient_json import whole
from .arguments import text_of


class AgentCalls:
    """Gives each call the moment it is whole, and each result.

    A call is `by` the server, unless it is of one of the caller's own tools (`ours`). Calls without
    a result are open: the agent leaves them to the caller, whatever was thought of them before.
    """

    def __init__(self, ours: Iterable[str] = ()) -> None:
        self._ours = frozenset(ours)
        self._names: dict[str, str] = {}  # by the ids of all calls
        self._pieces: dict[str, list[str]] = {}  # the arguments of those that are not whole yet
        self._waiting: dict[str, str] = {}  # the arguments of those that were given
        self._answered: set[str] = set()
        self._settled: set[str] = set()
        self._new: list[str] = []  # begun since `keep`

    @property
    def open(self) -> bool:
        """Whether a call is left that the agent has not answered."""
        return bool(self._waiting or self._pieces)

    @property
    def any(self) -> bool:
        """Whether there was a call at all."""
        return bool(self._names)

    def knows(self, id: str) -> bool:
        return id in self._names

    def begin(self, id: str, name: str) -> None:
        if id and id not in self._names:
            self._names[id] = name
            self._pieces[id] = []
            self._new.append(id)

    def add(self, id: str, arguments: Any) -> None:
        if id in self._pieces and isinstance(arguments, str):
            self._pieces[id].append(arguments)

    def whole(self, id: str, out: list[Event]) -> None:
        """Give the call: nothing is added to its arguments any more."""
        pieces = self._pieces.pop(id, None)
        if pieces is None:
            return
        arguments = whole("".join(pieces))
        if not arguments.strip():
            arguments = "{}"
        name = self._names[id]
        if name:
            out.append(ToolCall(id, name, arguments, by="" if name in self._ours else "server"))
        if id not in self._settled:
            self._waiting[id] = arguments

    def complete(self, id: str, name: str, arguments: Any, out: list[Event]) -> None:
        """Give a call that came at once. Streamed arguments stay as the model wrote them."""
        id = id or (f"call_{len(self._names)}" if name else "")
        self.begin(id, name)
        if id not in self._pieces:
            return
        self._names[id] = name or self._names[id]
        if not _says(self._pieces[id], arguments):
            try:
                self._pieces[id] = [text_of(arguments)]
            except ValueError:
                pass  # nested too deeply: no tool could read it
        self.whole(id, out)

    def result(self, id: str, output: Any, out: list[Event], is_error: bool = False) -> None:
        """Give what the agent's tool returned, once, behind its call."""
        if id in self._answered:
            return
        self._answered.add(id)
        self.settle(id)
        self.whole(id, out)
        name = self._names.get(id, "")
        out.append(ToolResult(id, name, text_of_output(output), is_error, by="server"))

    def settle(self, id: str) -> None:
        """Take a call as not open, whether or not its result will come."""
        self._settled.add(id)
        self._waiting.pop(id, None)

    def keep(self) -> None:
        """Protect the calls so far from `take_back`."""
        self._new.clear()

    def take_back(self) -> None:
        """Drop the calls of a step that is begun again; those that were given stay given."""
        for id in self._new:
            self._pieces.pop(id, None)
            self._waiting.pop(id, None)
        self._new.clear()

    def only(self, ids: Any) -> None:
        """Take as open only those that the agent names, if it names any."""
        if ids and isinstance(ids, list):
            named = {id for id in ids if isinstance(id, str)}
            self._pieces = {id: each for id, each in self._pieces.items() if id in named}
            self._waiting = {id: each for id, each in self._waiting.items() if id in named}

    def end(self, out: list[Event]) -> bool:
        """Give the calls that nothing completed; return whether any call is left open."""
        for id in list(self._pieces):
            self.whole(id, out)
        return bool(self._waiting)

    def fault(self) -> Failed | None:
        """Return what is wrong with the calls that are left to the caller, if anything is."""
        for id, arguments in self._waiting.items():
            if not self._names[id]:
                return Failed("bad_json", "the agent called a tool, and the call has no name")
            try:
                orjson.loads(arguments)
            except ValueError:
                name = self._names[id]
                return Failed("bad_json", f"the arguments of the tool call {name} are not JSON")
        return None


def text_of_output(output: Any) -> str:
    """Return what a tool returned as text: a string as it is, other values as JSON."""
    if output is None:
        return ""
    try:
        return text_of(output)
    except ValueError:
        return "(nested too deeply)"


def _says(pieces: list[str], arguments: Any) -> bool:
    """Return whether these pieces are the JSON of `arguments`."""
    try:
        return bool(orjson.loads("".join(pieces)) == arguments)
    except (ValueError, RecursionError):
        return False
