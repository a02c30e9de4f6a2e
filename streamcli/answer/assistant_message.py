"""Fold the events of an answer into the assistant's message that the next request sends back."""

from __future__ import annotations

from collections.abc import Iterable

from ..events import Attempt, Event, Opaque, Reasoning, Text, ToolCall
from ..message_parts import Placed
from ..messages import Message


class AssistantMessage:
    """Collects choice 0 of an answer as it streams; call `message` at any time.

    `prefill` is the beginning of the answer that the caller gave: the events do not repeat it.
    """

    def __init__(self, prefill: str = "") -> None:
        self._text = [prefill] if prefill else []
        self._chars = len(prefill)
        self._reasoning: list[str] = []
        self.calls: list[ToolCall] = []  # those that the caller has to run
        self._opaque: list[Placed] = []
        self._delivered = False

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Text):
                self._delivered = True
                if not event.choice:
                    self._text.append(event.text)
                    self._chars += len(event.text)
            elif isinstance(event, Reasoning):
                self._delivered = True
                if not event.choice:
                    self._reasoning.append(event.text)
            elif isinstance(event, ToolCall):
                self._delivered = True
                if not event.choice and not event.by:  # the server answers its own calls
                    self.calls.append(event)
            elif isinstance(event, Opaque):
                self._opaque.append(Placed(event, self._chars, len(self.calls)))
            elif isinstance(event, Attempt) and not self._delivered:
                self._opaque.clear()  # state of the failed attempt: the next one has its own

    def message(self) -> Message:
        return Message(
            "assistant",
            "".join(self._text),
            tool_calls=tuple((call.id, call.name, call.arguments) for call in self.calls),
            reasoning="".join(self._reasoning),
            opaque=tuple(self._opaque),
        )


def assistant_message(events: Iterable[Event], prefill: str = "") -> Message:
    """Return the message of a whole answer: text, reasoning, calls and opaque state."""
    folded = AssistantMessage(prefill)
    folded.add(events)
    return folded.message()
