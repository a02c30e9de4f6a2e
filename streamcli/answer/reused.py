"""--reuse: give an answer that records hold already, as an AnswerStream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..events import FINISH_REASONS, Event, Failed, Finished, Text, ToolCall, Usage
from ..outcome import Outcome
from .answer_stream import Moment
from .stages import Tally

_EVIDENCE = ("finish_reason", "marker", "eof", "hold", "transport_error")


class Answer:
    """A complete answer: its `end` record, and its events without their end."""

    __slots__ = ("end", "events")

    def __init__(self, end: dict[str, Any], events: list[Event]) -> None:
        self.end = end
        reason = end.get("finish_reason")
        # A tool loop answered its calls: the answer is the text of its last round.
        open_calls = reason == "tool_calls"
        self.events = [each for each in events if open_calls or not isinstance(each, ToolCall)]

    @property
    def request_id(self) -> str:
        """The id of the prompt that was sent, also where records of a reused answer are reused."""
        return str(self.end.get("reused_from") or self.end.get("request_id"))

    @property
    def is_whole(self) -> bool:
        """Whether the records hold all of its text."""
        chars = sum(len(each.text) for each in self.events if isinstance(each, Text))
        return bool(chars == self.end.get("chars"))

    def finished(self) -> Finished:
        reason, raw = self.end.get("finish_reason"), self.end.get("provider_finish_reason")
        evidence = self.end.get("evidence")
        return Finished(
            reason if reason in FINISH_REASONS else None,
            raw if isinstance(raw, str) else None,
            tuple(each for each in _EVIDENCE if isinstance(evidence, list) and each in evidence),
        )


class Reused:
    """Gives a stored answer without a request: no attempts, and no usage."""

    number = 0
    resumable = True

    def __init__(self, answer: Answer, clock: Callable[[], float]) -> None:
        self.outcome = Outcome()
        self.outcome.model = str(answer.end.get("model") or "")
        self.outcome.response_id = str(answer.end.get("response_id") or "")
        self.outcome.usage = Usage()
        self.outcome.reused_from = answer.request_id
        self._answer = answer
        self._clock = clock
        self._began = clock()

    def t_ms(self) -> float:
        return (self._clock() - self._began) * 1000.0

    def __iter__(self) -> Iterator[Moment]:
        end = self._answer.finished()
        tally = Tally(self.outcome, lambda facts: None, keeps_text=False)
        t_ms = self.t_ms()
        tally.add(t_ms, [*self._answer.events, end])
        if self._answer.events:
            yield t_ms, self._answer.events
        self.outcome.end = end
        self.outcome.t_ms = self.t_ms()
        yield self.outcome.t_ms, [end]

    def stop(self, failed: Failed) -> None:
        self.outcome.end = failed
        self.outcome.t_ms = self.t_ms()
