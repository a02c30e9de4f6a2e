"""Keep the ids of tool calls unique in a conversation, where the provider sends no ids.

A decoder invents call_0, call_1, ... in each answer. Records and other providers match results to
calls by their ids, so the call_0 of a later answer gets the next free number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..events import Event, Opaque, ToolCall
from ..messages import Message

_INVENTED = re.compile(r"call_(\d{1,9})")


class CallIds:
    """The ids of a conversation. Call `next_answer` before each answer but the first."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._taken = {call[0] for message in messages for call in message.tool_calls}
        self._new_ids: dict[
            str, str
        ] = {}  # of this answer's calls, by the id that the decoder gave

    def next_answer(self) -> None:
        self._taken.update(self._new_ids.values())
        self._new_ids = {}

    def rename(self, events: Iterable[Event]) -> None:
        """Set the ids of the tool calls among the events, and of the state that belongs to one."""
        for event in events:
            if isinstance(event, ToolCall):
                event.id = self._id_of(event.id)
            elif isinstance(event, Opaque) and event.call_id:
                event.call_id = self._id_of(event.call_id)

    def _id_of(self, id: str) -> str:
        if id not in self._new_ids:
            new = id
            if id in self._taken and _INVENTED.fullmatch(id):
                number = len(self._taken)
                while (new := f"call_{number}") in self._taken or new in self._new_ids.values():
                    number += 1
            self._new_ids[id] = new
        return self._new_ids[id]
