"""Ids of tool calls that are unique in a conversation, where the provider gives none of its own.

A decoder invents call_0, call_1, ... in each answer. Results are matched to calls by their ids, in
records and by other providers, so that a later answer's call_0 gets the next free number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..events import Event, Opaque, ToolCall
from ..messages import Message

_INVENTED = re.compile(r"call_(\d{1,9})")


class CallIds:
    """The ids of a conversation; `next_answer` before each answer but the first."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._taken = {call[0] for message in messages for call in message.tool_calls}
        self._here: dict[str, str] = {}  # of this answer: as it came, and as it is given out

    def next_answer(self) -> None:
        self._taken.update(self._here.values())
        self._here = {}

    def rename(self, events: Iterable[Event]) -> None:
        """Give the calls among the events, and the state that belongs to one, their ids."""
        for event in events:
            if isinstance(event, ToolCall):
                event.id = self._id_of(event.id)
            elif isinstance(event, Opaque) and event.call_id:
                event.call_id = self._id_of(event.call_id)

    def _id_of(self, id: str) -> str:
        if id not in self._here:
            new = id
            if id in self._taken and _INVENTED.fullmatch(id):
                number = len(self._taken)
                while (new := f"call_{number}") in self._taken or new in self._here.values():
                    number += 1
            self._here[id] = new
        return self._here[id]
