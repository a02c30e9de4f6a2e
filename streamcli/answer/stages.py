"""The stages of a turn behind its decoder: the last events, redact, meter.

Thinking is split out by `think_tags.Splitter`, a broken answer is joined by `continuation.Splice`.
"""

from __future__ import annotations

from collections.abc import Callable

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
from ..protocols._contract import Decoder
from ..request import Target
from ..wire.endings import WAITED

_BROKE = ("lost", "bad_http")  # the transport broke
_CALLS = (ToolCall, ToolResult)
_REFUSAL = 1000  # characters of a refusal that its message may need


class Redact:
    """Hides the key where servers repeat it in facts beside the answer; text is left as it came."""

    def __init__(self, target: Target, model: str) -> None:
        self._hide = target.hide
        self._model = model

    def __call__(self, facts: list[Event]) -> None:
        for event in facts:
            if isinstance(event, Started):
                if event.model != self._model:
                    event.model = self._hide(event.model)
                event.response_id = self._hide(event.response_id)
            elif isinstance(event, Citation):
                event.url, event.title = self._hide(event.url), self._hide(event.title)
            elif isinstance(event, Finished | Failed) and event.raw:
                event.raw = self._hide(event.raw)


class Tally:
    """Counts what the attempts of one prompt gave, into its Outcome.

    `delivered`: some delta was given out, so another attempt would repeat it. `counts_usage` is
    False once an answer is put together of several: nobody counted the tokens of the whole.
    `text` collects the answer if `keeps_text`.
    """

    def __init__(
        self, outcome: Outcome, redact: Callable[[list[Event]], None], keeps_text: bool
    ) -> None:
        self.delivered = False
        self.counts_usage = True
        self.text: list[str] = []
        self._keeps_text = keeps_text
        self._outcome = outcome
        self._redact = redact

    def add(self, t_ms: float, events: list[Event]) -> Finished | Failed | None:
        """Count the events of one read; return the end, if it is among them."""
        facts: list[Event] = []  # all but the deltas of text and reasoning
        chars = 0
        visible = False
        for event in events:
            kind = type(event)
            if kind is Text:
                visible = True
                if not event.choice:  # type: ignore[attr-defined]
                    chars += len(event.text)  # type: ignore[attr-defined]
            elif kind is not Reasoning:
                facts.append(event)
        outcome = self._outcome
        outcome.chars += chars
        deltas = len(events) - len(facts)
        end, called = None, False
        if facts:
            self._redact(facts)
            for event in facts:
                deltas += self._fact(event)
                visible = visible or type(event) is Returned
                called = called or isinstance(event, _CALLS)
            if isinstance(event, Finished | Failed):
                end = event
        if called or outcome.open_call:
            self._follow_calls(events)
        if self._keeps_text:
            self.text += [e.text for e in events if isinstance(e, Text) and not e.choice]
        if deltas:
            self.delivered = True
            outcome.meter.deltas(t_ms, deltas, visible)
        return end

    def _fact(self, event: Event) -> int:
        """Note an event that is neither text nor reasoning; return 1 if it is a delta."""
        outcome = self._outcome
        if isinstance(event, ToolCall):
            outcome.calls += 1
            return 1
        if isinstance(event, Returned):
            outcome.chars += 0 if event.choice else len(event.text)
            return 1
        if isinstance(event, Refusal):
            if len(outcome.refusal) < _REFUSAL:
                outcome.refusal += event.text
            return 1
        if isinstance(event, Usage):
            if self.counts_usage:
                outcome.usage = event
        elif isinstance(event, Started):
            outcome.model, outcome.response_id = event.model, event.response_id
        return 0

    def _follow_calls(self, events: list[Event]) -> None:
        """Note which calls wait for the caller: a call's result, or visible text, settles it."""
        open_calls = self._outcome.open_calls
        for event in events:
            if isinstance(event, ToolCall):
                if not event.by:
                    open_calls.add(event.id)
            elif isinstance(event, ToolResult):
                open_calls.discard(event.call_id)
            elif isinstance(event, Text) and not event.text.isspace():
                open_calls.clear()


def last_events(decoder: Decoder, broken: Failed | None) -> list[Event]:
    """Return what the decoder held back, and the end.

    `broken` is why the bytes stopped, None if they ended. A decoder judges what a broken
    transport means, and whether an answer was complete, or had failed before, when we stopped
    waiting; any other trouble is the end itself, whatever the decoder makes of the cut.
    """
    if broken is None or broken.kind in _BROKE:
        return decoder.close(broken)
    if broken.kind in WAITED:
        return decoder.close(broken)
    events = decoder.close()
    events[-1] = broken
    return events
