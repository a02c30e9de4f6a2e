"""The format `json`: one `end` record a prompt, with the whole text in it."""

from __future__ import annotations

from ..events import Attempt, Event, Reasoning, Text, ToolCall
from ..outcome import Outcome, Verdict
from .records import Facts, end_record, line, tool_call
from .sink import Context, Lines


def sink(out: Lines, context: Context) -> JsonSink:
    """Return the sink of this format."""
    assert context.facts is not None
    return JsonSink(out, context.facts)


class JsonSink:
    """Collects the answer, and writes it in its `end` record."""

    def __init__(self, out: Lines, facts: Facts) -> None:
        self._out = out
        self._facts = facts
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._tool_calls: list[dict[str, str]] = []

    def emit(self, t_ms: float, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Text):
                if not event.choice:
                    self._text.append(event.text)
            elif isinstance(event, Reasoning):
                if not event.choice:
                    self._reasoning.append(event.text)
            elif isinstance(event, ToolCall):
                self._tool_calls.append(tool_call(event))
            elif isinstance(event, Attempt):
                self._facts.asks(event.asked)

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        record = end_record(self._facts, outcome, verdict)
        record["text"] = "".join(self._text)
        record["reasoning"] = "".join(self._reasoning)
        record["tool_calls"] = self._tool_calls
        self._out.lines(line(record))
