"""Put the tool calls of Chat Completions together from their deltas. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from ...events import Event, Opaque
from ...wire.lenient_json import whole
from .arguments import can_send, text_of
from .ending import Ending

# Fields with a call's arguments: OpenAI's, a custom tool's, Llama's template's, Gemini's.
_ARGUMENTS = ("arguments", "input", "parameters", "args")
_NO_NAMES = ("null", "None", "undefined")  # a missing value, as servers print it
_TRIES = 8  # attempts to parse arguments that may be whole: more would be quadratic


class _Call:
    """One tool call that streams."""

    __slots__ = (
        "depth",
        "extra",
        "given",
        "id",
        "judged",
        "late",
        "name",
        "number",
        "pieces",
        "plain",
        "tries",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.extra: Any = None  # state that the provider wants back (Gemini's signatures)
        self.plain = False  # a custom tool: its input is free text
        self.given = ""  # its arguments, once the call was given out
        self.late: list[str] = []  # pieces that came after that
        self.depth = 0  # open braces; those in strings are counted too
        self.tries = _TRIES
        self.judged = (0, "empty")  # (number of pieces, the state after them)

    def closes(self) -> bool:
        """Return whether the arguments are a complete object.

        An empty object is not, as some servers begin with one.
        """
        if not self.name or self.plain or not self.pieces[-1].rstrip().endswith("}"):
            return False
        if not self.tries:  # many braces in strings: wait for the finish reason
            return False
        self.tries -= 1
        arguments = "".join(self.pieces).strip()
        return arguments[:1] == "{" and len(arguments) > 2 and self.state() == "whole"

    def state(self) -> str:
        """Return how far the arguments have come: "empty", "partial" or "whole"."""
        count, state = self.judged
        if count != len(self.pieces):
            open_end = self.pieces[-1].endswith((",", ":", "{", "["))
            state = "whole" if not open_end and _is_whole("".join(self.pieces)) else "partial"
            self.judged = (len(self.pieces), state)
        return state


class ToolCalls:
    """The calls of one answer, for all ways in which Chat Completions servers number them.

    A call is given to `ending`, and by that to `out`, as soon as it is whole: when the object of
    its arguments closes, when another call of its choice begins, or when `give` is called for the
    choice's finish reason. A new call needs a name: an id alone does not begin one, as some servers
    write another id into every delta. A delta with a name begins a call if its index has no call
    yet, if its id or its name is another one, or if the arguments so far are whole. The same call
    sent twice is one call. After an id, a name without an id continues the name, as OpenAI's own
    clients read it.
    """

    def __init__(self, ending: Ending) -> None:
        self._ending = ending
        self._count = 0
        self._pending: dict[int, list[_Call]] = {}  # by choice, in the order in which they began
        # The last call of a choice, of an index in it, and of an id in it.
        self._last: dict[tuple[Any, ...], _Call] = {}

    @property
    def open(self) -> bool:
        """Whether some call has begun and was not given out."""
        return any(self._pending.values())

    def add(self, choice: int, delta: Any, out: list[Event]) -> None:
        """Read one element of `tool_calls`."""
        if not isinstance(delta, dict):
            if delta:
                shown = whole(_piece(delta))[:60]
                self._ending.wrong = f"the stream holds {shown} where a tool call belongs"
            return
        function = delta.get("function")
        plain = not isinstance(function, dict) and isinstance(delta.get("custom"), dict)
        if not isinstance(function, dict):
            # A custom tool's free text; or a server that leaves out the object `function`.
            function = delta["custom"] if plain else delta
        name, id, index = function.get("name"), delta.get("id"), delta.get("index")
        name = name if isinstance(name, str) and name not in _NO_NAMES else ""
        id = id if isinstance(id, str) and id not in _NO_NAMES else ""
        index = index if isinstance(index, int | str) else None
        piece = _piece(next((function[each] for each in _ARGUMENTS if each in function), None))
        call = self._find(choice, index, id, name, piece)
        if call is None:
            self._give(choice, out, all=False)
            call = _Call(self._count)
            self._count += 1
            call.plain = plain
            self._pending.setdefault(choice, []).append(call)
        self._last[choice,] = self._last[choice, "index", index] = call
        if id:
            call.id = call.id or id
            self._last[choice, "id", id] = call
        call.name = _name(call, name)
        call.extra = delta.get("extra_content") or call.extra
        if not piece:
            return
        if call.given:
            call.late.append(piece)
            return
        call.pieces.append(piece)
        call.depth += piece.count("{") - piece.count("}")
        if not call.depth and call.closes():
            self._give(choice, out, all=False)

    def _find(self, choice: int, index: Any, id: str, name: str, piece: str) -> _Call | None:
        """Return the call that a delta continues; None if it begins another one."""
        last = self._last.get((choice,))
        call = self._last.get((choice, "index", index)) if index is not None else None
        if call is None and id:
            call = self._last.get((choice, "id", id))
        if call is not None:
            return None if name and _begins_another(call, id, name, piece) else call
        if index is None:
            partial = last is not None and last.name == name and last.state() == "partial"
            return last if partial or not name else None
        if name or id or last is None:
            return None
        # Only the index changed in the middle of a call.
        goes_on = last.state() == "partial" or (bool(last.name) and not last.pieces)
        return last if goes_on and not last.given else None

    def give(self, choice: int, out: list[Event]) -> None:
        """Give out the calls of a choice, as its finish reason came; later ones are a new round."""
        self._give(choice, out, all=True)
        if not self._pending.get(choice):
            for key in [key for key in self._last if key[0] == choice]:
                self._check(self._last.pop(key))

    def rest(self, out: list[Event]) -> None:
        """Give out the rest at the end: calls without a finish reason, and broken ones."""
        for choice, calls in self._pending.items():
            for call in calls:
                self._whole(call, choice, out, last=True)
        self._pending.clear()
        for call in self._last.values():
            self._check(call)

    def _check(self, call: _Call) -> None:
        """Note an error if arguments went on after they were whole, other than by a repetition."""
        if call.late and (late := "".join(call.late)).strip() not in ("", call.given.strip()):
            shown = late if len(late) <= 60 else late[:57] + "..."
            self._ending.wrong = f"the arguments of {call.name} went on after its end: {shown}"

    def _give(self, choice: int, out: list[Event], all: bool) -> None:
        """Give out the calls that are whole; `all`: no more arguments will come.

        A call whose arguments are not JSON waits; unless `all`, so do a call without arguments and
        the calls after them.
        """
        calls = self._pending.get(choice, [])
        waiting: list[_Call] = []
        for at, call in enumerate(calls):
            state = call.state()
            if state == "whole" or (all and (state == "empty" or call.plain)):
                self._whole(call, choice, out)
            elif all:
                waiting.append(call)
            else:  # the later calls are not looked at: that would be quadratic
                waiting = calls[at:] if at else calls
                break
        self._pending[choice] = waiting

    def _whole(self, call: _Call, choice: int, out: list[Event], last: bool = False) -> None:
        if not (
            call.name or call.id or call.pieces
        ):  # some servers write an empty call beside text
            return
        arguments = _joined(call.pieces)
        call.given = arguments or "{}"
        # Some servers send no id; it must be unique all the same.
        id = whole(call.id) or f"call_{call.number}"
        before = len(out)
        self._ending.call(
            id, whole(call.name), arguments, out, choice, bool(call.id), last, call.plain
        )
        if call.extra and not choice and len(out) > before and can_send(call.extra):
            out.append(Opaque("openai-chat", {"extra_content": call.extra}, call_id=id))


def _begins_another(call: _Call, id: str, name: str, piece: str) -> bool:
    """Return whether a delta with a name, at the index or id of `call`, begins another call."""
    if not call.name:
        return False
    state = call.state()
    if id and call.id and id != call.id:
        return name != call.name or state == "whole" or (state == "empty" and not piece)
    if id and call.id:
        return state == "whole" and _is_whole(piece) and piece != "".join(call.pieces)
    if call.id and not call.pieces and not piece:
        return False  # the name comes in pieces
    return name != call.name or (state == "whole" and piece != "".join(call.pieces))


def _name(call: _Call, name: str) -> str:
    """Return the name of a call: deltas repeat it, or send it in pieces before the arguments."""
    if call.pieces or not name or name.startswith(call.name):
        return name or call.name
    return call.name + name


def _joined(pieces: list[str]) -> str:
    """Return the arguments, joined; if each piece repeats the one before it, the last piece."""
    arguments = "".join(pieces)
    if len(pieces) > 1 and not _is_whole(arguments) and _is_whole(pieces[-1]):
        grows = all(b.startswith(a) for a, b in zip(pieces, pieces[1:], strict=False))
        return pieces[-1] if grows else arguments
    return arguments


def _is_whole(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _piece(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    if arguments is None:
        return ""
    try:
        return text_of(arguments)
    except ValueError:  # nested beyond reason: no tool could read it
        return "[nested too deeply"


def calls_in(delta: dict[str, Any]) -> list[Any]:
    """Return the pieces of calls in a delta: of the field for many, or the older one for one."""
    calls = delta.get("tool_calls") or delta.get("toolCalls")
    if not calls:
        function = delta.get("function_call") or delta.get("functionCall")
        calls = {"index": 0, "function": function} if isinstance(function, dict) else []
    return calls if isinstance(calls, list) else [calls]
