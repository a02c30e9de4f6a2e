"""The stages of a turn behind its decoder: think, continue, unwrap, redact, meter.

`Stages` joins the first three, which have files of their own: think_tags.py, continuation.py and
unwrap.py. `Redact` and `Tally` are for every answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

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
from ..protocols._contract import Decoder, WireFormat
from ..request import Target
from ..wire.endings import WAITED
from .think_tags import Splitter

if TYPE_CHECKING:
    from ..messages import ChatRequest
    from .continuation import Continuation

# Maps the events of one read; it may hold some back until a later one.
Stage = Callable[[list[Event]], list[Event]]

_BROKEN_TRANSPORT = ("lost", "bad_http")  # kinds of failure
_CALLS = (ToolCall, ToolResult)
_TEXT = frozenset((Text,))
_FEW = 8  # events of a read that are counted one by one
_REFUSAL = 1000  # characters of a refusal that are kept for the error's message


class Stages:
    """Splits off thinking, joins a continued answer and unwraps an array, as far as wanted.

    Call `begin` with the decoder of each attempt, and `apply` with the events of each read, if
    `left` is not empty.
    """

    def __init__(
        self,
        chat: ChatRequest,
        target: Target,
        protocol: WireFormat,
        *,
        split_think: bool,
        continuation: Continuation | None,
    ) -> None:
        self.left: list[Stage] = []
        self._chat = chat
        self._target = target
        self._protocol = protocol
        self._split_think = split_think
        self._continuation = continuation
        self._think: Splitter | None = None  # the first of the stages, until it is done
        self._unwrap: Stage | None = None

    def begin(self, decoder: Decoder, *, continues: bool) -> None:
        """Set up the stages of an attempt; `continues`: it asks for the rest of an answer."""
        self.left = []
        self._think = None
        if self._split_think and not continues:
            self._think = Splitter(anywhere=self._target.quirks.get("think_tags", ()))
            self.left.append(self._think.split)
        if self._continuation is not None:
            self._continuation.attach(decoder)
            self.left.append(self._continuation.join)
        if self._chat.schema is not None:
            if not continues:
                from .unwrap import unwrapping

                self._unwrap = unwrapping(self._chat, self._protocol)
            if self._unwrap is not None:
                self.left.append(self._unwrap)

    def apply(self, events: list[Event]) -> list[Event]:
        """Return the events of one read after the stages."""
        for stage in self.left:
            events = stage(events)
        if self._think is not None and self._think.done:
            self._think = None
            del self.left[0]
        return events


class Redact:
    """Hides the key where a server repeats it beside the answer (model, id, citations, raw).

    The text itself is left as it came.
    """

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
    """Counts the events of all attempts of one prompt into its Outcome.

    `delivered`: some delta was given out, so another attempt would repeat it. Set `counts_usage` to
    False for an answer that is joined from several: no server counted the tokens of the whole.
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
        if len(events) > _FEW and _TEXT.issuperset(map(type, events)):  # as most long reads are
            visible = True
            chars = len("".join([e.text for e in events if not e.choice]))  # type: ignore[attr-defined]
        else:
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
        """Keep `open_calls`: a call waits for the caller until its result or visible text comes."""
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
    """Return the events that the decoder held back, and the end.

    `broken` is why the bytes stopped, None if they ended. The decoder judges a broken transport and
    a timeout: the answer may have been complete, or have failed, before. Any other failure (of
    writing, say) is the end itself, whatever the decoder makes of the cut.
    """
    if broken is None or broken.kind in (*_BROKEN_TRANSPORT, *WAITED):
        return decoder.close(broken)
    events = decoder.close()
    events[-1] = broken
    return events
