"""One turn as messages: what was asked, and the answer with its calls and their results."""

from __future__ import annotations

from collections.abc import Iterable

from ..answer.assistant_message import AssistantMessage
from ..events import Attempt, Event, Failed, Finished, ToolResult
from ..messages import Message
from ..outcome import Outcome


class TurnMessages:
    """Folds the events of an answer into messages; `messages` may be called at any time.

    A round whose calls all have results is kept with them. Of the last round only the text is kept
    if it broke off or its calls have no results: a provider refuses calls without results.
    """

    def __init__(self, prefill: str = "") -> None:
        self._done: list[Message] = []
        self._answer = AssistantMessage(prefill)
        self._results: dict[str, Message] = {}  # of the round's calls, by id
        self._round = 1

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Attempt) and event.round != self._round:
                self._end_round()
                self._round = event.round
            if isinstance(event, ToolResult) and not event.by:
                self._results[event.call_id] = Message(
                    "tool",
                    event.output,
                    call_id=event.call_id,
                    name=event.name,
                    is_error=event.is_error,
                )
        self._answer.add(events)

    def messages(self, *, whole: bool) -> list[Message]:
        """Return the messages of the answer, the last one without calls; none without any text.

        `whole`: the answer did not break off.
        """
        last, done = self._answer.message(), list(self._done)
        if last.tool_calls and self._is_answered:
            done += self._with_results(last)
            last = Message("assistant", "")
        elif last.tool_calls or not whole:
            lasting = tuple(each for each in last.opaque if each.opaque.lasting)
            last = Message("assistant", last.text, reasoning=last.reasoning, opaque=lasting)
        return [*done, last] if done or last.text.strip() else []

    @property
    def _is_answered(self) -> bool:
        return all(call.id in self._results for call in self._answer.calls)

    def _end_round(self) -> None:
        """End a round, because another one begins."""
        message = self._answer.message()
        if not message.tool_calls:  # the provider paused
            self._done.append(message)
        elif self._is_answered:
            self._done += self._with_results(message)
        self._answer, self._results = AssistantMessage(), {}

    def _with_results(self, message: Message) -> list[Message]:
        return [message, *(self._results[call.id] for call in self._answer.calls)]


def trouble(outcome: Outcome) -> str:
    """Return the status of an answer that is not whole, as records name it; "" if it is whole."""
    end = outcome.end
    if outcome.enough:
        return ""
    if isinstance(end, Failed):
        return end.status
    if isinstance(end, Finished):
        bad = {"length": "length", "content_filter": "filtered", "refusal": "filtered"}
        return bad.get(end.reason or "", "")
    return "interrupted"
