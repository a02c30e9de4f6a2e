"""Collect the tool calls of an agent or application, which runs most of them itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from ...events import Event, Failed, ToolCall, ToolResult
from ...wire.lenient_json import whole
from .arguments import text_of


class AgentCalls:
    """Gives out each call as soon as it is whole, and each result.

    A call is `by` the server, unless it is for one of the caller's own tools (`ours`). Calls
    without a result are open: the agent leaves them to the caller, even if they were given as its.
    """

    def __init__(self, ours: Iterable[str] = ()) -> None:
        self._ours = frozenset(ours)
        # All of these are by the ids of calls.
        self._names: dict[str, str] = {}  # of all calls
        self._pieces: dict[str, list[str]] = {}  # the arguments of calls that are not whole yet
        self._waiting: dict[str, str] = {}  # the arguments of given calls without a result
        self._answered: set[str] = set()  # calls whose result was given
        self._settled: set[str] = set()  # calls that are not open, whatever comes
        self._new: list[str] = []  # calls that began since `keep`

    @property
    def open(self) -> bool:
        """Whether some call has no result yet."""
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
        """Give out the call, as its arguments are complete."""
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
        """Give out a call with all its arguments; streamed ones stay as the model wrote them."""
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
        """Give out the result of the agent's tool, once, after its call."""
        if id in self._answered:
            return
        self._answered.add(id)
        self.settle(id)
        self.whole(id, out)
        name = self._names.get(id, "")
        out.append(ToolResult(id, name, text_of_output(output), is_error, by="server"))

    def settle(self, id: str) -> None:
        """Note that a call is not open, whether or not its result will come."""
        self._settled.add(id)
        self._waiting.pop(id, None)

    def keep(self) -> None:
        """Protect the calls so far from `take_back`."""
        self._new.clear()

    def take_back(self) -> None:
        """Drop the calls since `keep`, as their step begins again; given ones cannot be revoked."""
        for id in self._new:
            self._pieces.pop(id, None)
            self._waiting.pop(id, None)
        self._new.clear()

    def only(self, ids: Any) -> None:
        """Keep only those calls open that the agent names, if it names any."""
        if ids and isinstance(ids, list):
            named = {id for id in ids if isinstance(id, str)}
            self._pieces = {id: each for id, each in self._pieces.items() if id in named}
            self._waiting = {id: each for id, each in self._waiting.items() if id in named}

    def end(self, out: list[Event]) -> bool:
        """Give out the calls that were not completed; return whether any call is open."""
        for id in list(self._pieces):
            self.whole(id, out)
        return bool(self._waiting)

    def fault(self) -> Failed | None:
        """Return the failure of an open call that the caller cannot run; None if all are sound."""
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
