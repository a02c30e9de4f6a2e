"""Show on the terminal that an answer is waited for, and which tools the server runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..events import Attempt, Event, Retry, Started, ToolCall, ToolResult, Usage
from ..terminal.messages import Messages
from ..terminal.sanitize import one_line

if TYPE_CHECKING:
    from ..answer.answer_stream import Moment
    from ..terminal.waiting import Waiting

_BEFORE_A_TOKEN = (Attempt, Retry, Started, ToolResult, Usage)
_NAME = 40  # characters of a tool that the sign of life names
_CALLS = 1000  # that are remembered until their results are there


class Watch:
    """Shows the progress of one answer on stderr's terminal, beside the sinks that write it.

    The waiting sign is shown until each first token, and while tools run; the tools that we run
    name themselves in it. With `steps`, a call that the server ran gets a line, as our calls do.
    """

    def __init__(self, messages: Messages, *, steps: bool) -> None:
        self._messages = messages
        self._sign = messages.sign()
        self._steps = steps
        self._calls: dict[str, ToolCall] = {}

    def over(self, moments: Iterable[Moment], emit: Callable[[float, list[Event]], None]) -> None:
        """Pass all moments on to `emit`, and show what comes between them."""
        sign, messages = self._sign, self._messages
        messages.waiting = sign
        if sign is not None:
            sign.start()
        try:
            for t_ms, events in moments:
                if sign is not None and sign.shown:
                    _take_away(sign, events)
                emit(t_ms, events)
                if self._steps:
                    for event in events:
                        self._step(event)
                if sign is not None:
                    _go_on(sign, events[-1])
        finally:
            messages.waiting = None
            if sign is not None:
                sign.stop()

    def _step(self, event: Event) -> None:
        """Note a call of a tool, or write the line of a call that the server ran."""
        if isinstance(event, ToolCall) and len(self._calls) < _CALLS:
            self._calls[event.id] = event
        if not isinstance(event, ToolResult):
            return
        if not event.by:  # our own call has its line already
            self._calls.pop(event.call_id, None)
            return
        from ..tools.call_lines import call_line

        id, name = event.call_id, event.name
        call = self._calls.pop(id, None) or ToolCall(id, name, "", by=event.by)
        width = None if self._messages.verbose else self._messages.width
        self._messages.note(call_line(call, event, width))


def _take_away(sign: Waiting, events: list[Event]) -> None:
    """Erase the sign before events are written: for a moment, and for longer at a token."""
    if all(isinstance(event, _BEFORE_A_TOKEN) for event in events):
        sign.hide()
    else:
        sign.pause()


def _go_on(sign: Waiting, last: Event) -> None:
    """Show what is waited for after the event `last`; our own calls show themselves."""
    if isinstance(last, Retry):
        sign.show("retrying in", seconds=last.delay)
    elif isinstance(last, Attempt):
        sign.show()
    elif sign.shown:
        return
    elif isinstance(last, ToolResult):
        sign.show()
    elif isinstance(last, ToolCall) and last.by:
        sign.show(f"running {one_line(last.name, _NAME)}")
