"""The format `jsonl`, and --events: every event as a record, the moment it comes."""

from __future__ import annotations

from typing import Any

import orjson

from ..events import (
    USAGE_FIELDS,
    Attempt,
    Citation,
    Event,
    Reasoning,
    Refusal,
    Retry,
    Returned,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from ..outcome import Outcome, Verdict
from .records import Facts, dumps, end_record, error_of, escape, line, tool_call
from .sink import Context, Lines

PIECE = 600  # characters of text a delta record: at six bytes each still below PIPE_BUF
_CHANNELS = {
    Text: b',"channel":"text","text":',
    Returned: b',"channel":"text","text":',
    Reasoning: b',"channel":"reasoning","text":',
    Refusal: b',"channel":"refusal","text":',
}


def sink(out: Lines, context: Context) -> RecordSink:
    """Return the sink of this format."""
    assert context.facts is not None
    return RecordSink(out, context.facts)


def summary(record: dict[str, Any]) -> bytes:
    """Return the summary of a batch as this format writes it."""
    return line(record)


class RecordSink:
    """Writes a record for each event; a long delta becomes several records."""

    def __init__(self, out: Lines, facts: Facts) -> None:
        self._out = out
        self._facts = facts
        self._seq = 0
        self._round = 1
        self._counts: dict[str, int | None] = {}
        base = orjson.dumps({"type": "delta", "request_id": facts.request_id, **facts.tags})
        self._base = base[:-1] + b',"t_ms":'

    def emit(self, t_ms: float, events: list[Event]) -> None:
        head = b'%s%.1f,"seq":' % (self._base, t_ms)
        lines: list[bytes] = []
        seq = self._seq
        of_text = orjson.dumps
        for event in events:
            if type(event) is Text and len(event.text) <= PIECE and not event.choice:
                lines.append(
                    b'%s%d,"channel":"text","text":%s}\n' % (head, seq, of_text(event.text))
                )
                seq += 1
            elif isinstance(event, Text | Reasoning | Refusal):
                channel = _CHANNELS[type(event)]
                tail = b',"choice":%d}\n' % event.choice if event.choice else b"}\n"
                for at in range(0, len(event.text), PIECE):
                    piece = of_text(event.text[at : at + PIECE])
                    lines.append(b"%s%d%s%s%s" % (head, seq, channel, piece, tail))
                    seq += 1
            else:
                record = self._record(t_ms, event)
                if record is not None:
                    lines.append(dumps(record) + b"\n")
        self._seq = seq
        if lines:
            self._out.lines(escape(b"".join(lines)))

    def _record(self, t_ms: float, event: Event) -> dict[str, Any] | None:
        facts = self._facts
        if isinstance(event, Attempt):
            facts.asks(event.asked)
            self._round = event.round
            start = facts.base("start", t_ms)
            return {**start, **facts.source(), "attempt": event.attempt, "round": event.round}
        if isinstance(event, ToolCall):
            return {**facts.base("tool_call", t_ms), **tool_call(event), "round": self._round}
        if isinstance(event, ToolResult):
            result = {
                **facts.base("tool_result", t_ms),
                "call_id": event.call_id,
                "name": event.name,
                "output": event.output,
                "is_error": event.is_error,
                "duration_ms": None if event.duration_ms is None else round(event.duration_ms, 1),
                "round": self._round,
            }
            return {**result, "by": event.by} if event.by else result
        if isinstance(event, Citation):
            return {
                **facts.base("citation", t_ms),
                "url": event.url,
                "title": event.title,
                "start": event.start,
                "end": event.end,
            }
        if isinstance(event, Usage):
            return self._usage(t_ms, event)
        if isinstance(event, Retry):
            return {
                **facts.base("retry", t_ms),
                "attempt": event.attempt,
                "error": error_of(event.error),
                "delay_ms": round(event.delay * 1000, 1),
            }
        return None

    def _usage(self, t_ms: float, event: Usage) -> dict[str, Any] | None:
        """Return the record of token counts; None if a server only repeats the last ones."""
        counts = {name: getattr(event, name) for name in USAGE_FIELDS}
        if counts == self._counts:
            return None
        self._counts = counts
        return {**self._facts.base("usage", t_ms), **counts}

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        self._out.lines(line(end_record(self._facts, outcome, verdict)))


class JournalSink(RecordSink):
    """Writes records into a file that --reuse reads too; a reused answer gets its `end` only."""

    def emit(self, t_ms: float, events: list[Event]) -> None:
        if not self._facts.reused:
            super().emit(t_ms, events)
