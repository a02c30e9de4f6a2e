"""The stages between a decoder and the reader of a turn that look at every event: redact, meter.

Thinking is split out by `think_tags.Splitter`, a broken answer is joined by `continuation.Splice`.
"""

from __future__ import annotations

from ..events import (
    Citation,
    Event,
    Failed,
    Finished,
    Reasoning,
    Refusal,
    Returned,
    Started,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from ..outcome import Outcome
from ..request import Target

_REFUSAL = 1000  # characters of a refusal that its message may need


class Redact:
    """Hides the key where servers repeat it in facts beside the answer; text is left as it came."""

    def __init__(self, target: Target, model: str) -> None:
        self._hide = target.hide
        self._model = model

    def __call__(self, events: list[Event]) -> list[Event]:
        for event in events:
            kind = type(event)
            if kind is Text or kind is Reasoning:
                continue
            if isinstance(event, Started):
                if event.model != self._model:
                    event.model = self._hide(event.model)
                event.response_id = self._hide(event.response_id)
            elif isinstance(event, Citation):
                event.url, event.title = self._hide(event.url), self._hide(event.title)
            elif isinstance(event, Finished | Failed) and event.raw:
                event.raw = self._hide(event.raw)
        return events


class Tally:
    """Counts what the attempts of one prompt gave, into its Outcome.

    `delivered`: some delta was given out, so another attempt would repeat it. `counts_usage` is
    False once an answer is put together of several: nobody counted the tokens of the whole.
    `text` collects the answer if `keeps_text`.
    """

    def __init__(self, outcome: Outcome, keeps_text: bool) -> None:
        self.delivered = False
        self.counts_usage = True
        self.text: list[str] = []
        self._keeps_text = keeps_text
        self._outcome = outcome

    def add(self, t_ms: float, events: list[Event]) -> None:
        outcome = self._outcome
        deltas = chars = 0
        visible = False
        for event in events:
            kind = type(event)
            if kind is Text or kind is Returned:
                deltas += 1
                visible = True
                if not event.choice:  # type: ignore[attr-defined]
                    text: str = event.text  # type: ignore[attr-defined]
                    chars += len(text)
                    if self._keeps_text:
                        self.text.append(text)
                    if outcome.open_call and not text.isspace():
                        outcome.open_call = False  # the server ran it, and goes on
            elif kind is Reasoning:
                deltas += 1
            else:
                deltas += self._fact(event)
        outcome.chars += chars
        if deltas:
            self.delivered = True
            outcome.meter.deltas(t_ms, deltas, visible)

    def _fact(self, event: Event) -> int:
        """Note an event that is neither text nor reasoning; return 1 if it is a delta."""
        outcome = self._outcome
        if isinstance(event, ToolCall):
            outcome.calls += 1
            outcome.open_call = outcome.open_call or not event.by
            return 1
        if isinstance(event, Refusal):
            if len(outcome.refusal) < _REFUSAL:
                outcome.refusal += event.text
            return 1
        if isinstance(event, ToolResult):
            outcome.open_call = False
        elif isinstance(event, Usage):
            if self.counts_usage:
                outcome.usage = event
        elif isinstance(event, Started):
            outcome.model, outcome.response_id = event.model, event.response_id
        return 0
