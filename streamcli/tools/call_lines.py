"""Show the calls of tools to a person: a line for each, and their names while they run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import TYPE_CHECKING

from ..events import ToolCall, ToolResult
from ..terminal.messages import line_of
from ..terminal.sanitize import one_line
from ..terminal.widths import cells, cut
from .command import CommandResult

if TYPE_CHECKING:
    from ..terminal.waiting import Waiting

_SHOWN = 200  # characters of the arguments, and of the result
_LEAST = 4  # cells that each of them has at least, on a narrow terminal
_NAMED, _NAME = 3, 30  # tools that the waiting sign names, and the characters of each


def call_line(call: ToolCall, result: ToolResult, width: int | None) -> str:
    """Return the line of a call that is over, cut to `width` cells of a terminal if given."""
    arguments = one_line(call.arguments or "{}", _SHOWN)
    output = one_line(result.output, _SHOWN) or "(nothing)"
    name, error = one_line(call.name, _SHOWN), "error: " if result.is_error else ""
    facts = "by the server" if result.by else f"{(result.duration_ms or 0.0) / 1000:.1f} s"
    if isinstance(result, CommandResult) and result.remark:
        facts += f", {result.remark}"
    if width is not None:
        name = cut(name, max(_LEAST, width // 4))
        room = width - 1 - cells(line_of(f"{name}  -> {error} ({facts})"))
        arguments = cut(arguments, max(_LEAST, room // 2, room - cells(output)))
        output = cut(output, max(_LEAST, room - cells(arguments)))
    return f"{name} {arguments} -> {error}{output} ({facts})"


class RunningCalls:
    """Names the running calls in the waiting sign, if there is one; safe in any thread."""

    def __init__(self, sign: Waiting | None, calls: Sequence[ToolCall]) -> None:
        self._sign = sign
        self._lock = Lock()
        self._names = {number: one_line(call.name, _NAME) for number, call in enumerate(calls)}
        if sign is not None:
            sign.show(_running(self._names.values()), breaks=True)

    def ended(self, number: int) -> None:
        """Note that a call is over; after the last one the sign waits for the answer."""
        with self._lock:
            self._names.pop(number, None)
            if self._sign is None:
                return
            if self._names:
                self._sign.rename(_running(self._names.values()))
            else:
                self._sign.show()


def _running(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return f"running {', '.join(shown[:_NAMED])}{more}"
