"""Records, schema `stream.records/1` (see records.schema.json): JSONL, JSON, one object a line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache
from time import gmtime, strftime
from typing import Any

import orjson

from ..events import (
    USAGE_FIELDS,
    Attempt,
    Citation,
    Event,
    Failed,
    Finished,
    Reasoning,
    Refusal,
    Retry,
    Returned,
    Text,
    ToolCall,
    ToolResult,
)
from ..outcome import Outcome, Verdict, decimal
from ..wire.lenient_json import whole
from .descriptor import Lines

SCHEMA = "stream.records/1"
PIECE = 600  # characters of text a delta record: at six bytes each still below PIPE_BUF
_MESSAGE = 500  # characters of an error's message, for the same reason

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RAW = re.compile(rb"\x7f|\xc2[\x80-\x9f]")
_CHANNELS = {
    Text: b',"channel":"text","text":',
    Returned: b',"channel":"text","text":',
    Reasoning: b',"channel":"reasoning","text":',
    Refusal: b',"channel":"refusal","text":',
}


def request_id(now: float) -> str:
    """A ULID (https://github.com/ulid/spec): 48 bits of Unix milliseconds, 80 random bits."""
    number = int(now * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def timestamp(now: float) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return f"{_second(int(now))}.{int(now * 1000) % 1000:03d}Z"


@lru_cache(1)
def _second(now: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(now))


def prompt_hash(canonical: dict[str, Any]) -> str:
    """The first 128 bits of the SHA-256 of the versioned canonical request, in hex."""
    from hashlib import sha256

    text = orjson.dumps({"v": 1, **canonical}, option=orjson.OPT_SORT_KEYS)
    return sha256(text).hexdigest()[:32]


def line(record: dict[str, Any]) -> bytes:
    return escape(_dumps(record)) + b"\n"


def _dumps(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record)
    except TypeError:
        return orjson.dumps(_sayable(record))


def _sayable(value: Any) -> Any:
    """`value` without what JSON in UTF-8 cannot say, and a server or a file's name can hold: half
    a surrogate pair becomes U+FFFD, a number beyond 64 bits is unknown.
    """
    if isinstance(value, dict):
        return {key: _sayable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_sayable(each) for each in value]
    if isinstance(value, str):
        return whole(value)
    return None if type(value) is int and value.bit_length() > 63 else value


def escape(data: bytes) -> bytes:
    """orjson leaves DEL and C1 as they are, and terminals obey them: \\u escapes instead."""
    if b"\x7f" in data or b"\xc2" in data:
        return _RAW.sub(lambda match: b"\\u00%02x" % match[0][-1], data)
    return data


class Facts:
    """What the records of one prompt have in common, as far as it is known."""

    __slots__ = (
        "hash",
        "model",
        "now",
        "occurrence",
        "protocol",
        "provider",
        "request_id",
        "tags",
    )

    def __init__(self, now: Callable[[], float], tags: dict[str, Any] | None = None) -> None:
        self.now = now
        self.request_id = request_id(now())
        self.tags = tags or {}  # in batches: `index`, `id`, and `target` if there are several
        self.provider: str | None = None
        self.protocol: str | None = None
        self.model: str | None = None
        self.hash: str | None = None
        self.occurrence = 0

    def asks(self, asked: tuple[str, str, str] | None) -> None:
        """From here on it is this provider that is asked, see Attempt."""
        if asked is not None:
            provider, protocol, model = asked
            self.provider, self.protocol, self.model = provider, protocol, model or self.model

    def base(self, kind: str, t_ms: float) -> dict[str, Any]:
        return {"type": kind, "request_id": self.request_id, **self.tags, "t_ms": round(t_ms, 1)}

    def source(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "ts": timestamp(self.now()),
            "provider": self.provider,
            "protocol": self.protocol,
            "model": self.model,
        }


class RecordSink:
    """Every event as a record, the moment it comes."""

    def __init__(self, out: Lines, facts: Facts) -> None:
        self._out = out
        self._facts = facts
        self._seq = 0
        self._round = 1
        base = orjson.dumps({"type": "delta", "request_id": facts.request_id, **facts.tags})
        self._base = base[:-1] + b',"t_ms":'

    def emit(self, t_ms: float, events: list[Event]) -> None:
        head = b'%s%.1f,"seq":' % (self._base, t_ms)
        lines: list[bytes] = []
        seq = self._seq
        dumps = orjson.dumps
        for event in events:
            if type(event) is Text and len(event.text) <= PIECE and not event.choice:
                lines.append(b'%s%d,"channel":"text","text":%s}\n' % (head, seq, dumps(event.text)))
                seq += 1
            elif isinstance(event, Text | Reasoning | Refusal):
                channel = _CHANNELS[type(event)]
                tail = b',"choice":%d}\n' % event.choice if event.choice else b"}\n"
                for at in range(0, len(event.text), PIECE):
                    piece = dumps(event.text[at : at + PIECE])
                    lines.append(b"%s%d%s%s%s" % (head, seq, channel, piece, tail))
                    seq += 1
            else:
                record = self._record(t_ms, event)
                if record is not None:
                    lines.append(_dumps(record) + b"\n")
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
        if isinstance(event, Retry):
            return {
                **facts.base("retry", t_ms),
                "attempt": event.attempt,
                "error": error_of(event.error),
                "delay_ms": round(event.delay * 1000, 1),
            }
        return None

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        self._out.lines(line(end_record(self._facts, outcome, verdict)))


class JsonSink:
    """One `end` record a prompt, with the whole text in it."""

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


def tool_call(event: ToolCall) -> dict[str, str]:
    call = {"call_id": event.id, "name": event.name, "arguments": event.arguments}
    return {**call, "by": event.by} if event.by else call


def error_of(failed: Failed) -> dict[str, Any]:
    return {
        "kind": failed.kind,
        "message": _short(failed.message),
        "http_status": failed.http_status,
    }


def _short(message: str) -> str:
    """A provider may say anything, such as what it was sent; each failed prompt's record has it."""
    return message if len(message) <= _MESSAGE else message[: _MESSAGE - 3] + "..."


def plain(cost: float | None) -> float | orjson.Fragment | None:
    """Return a cost as records write it: 0.00001, where orjson alone writes 1e-05."""
    if cost is None or "e" not in repr(cost):
        return cost
    return orjson.Fragment(decimal(cost))


def end_record(facts: Facts, outcome: Outcome, verdict: Verdict) -> dict[str, Any]:
    end = outcome.end
    finished = end if isinstance(end, Finished) else None
    error = verdict.error and {**verdict.error, "message": _short(verdict.error["message"])}
    source = facts.source()
    source["model"] = outcome.model or facts.model
    return {
        **facts.base("end", outcome.t_ms),
        **source,
        "response_id": outcome.response_id or None,
        "prompt_hash": facts.hash,
        "occurrence": facts.occurrence,
        "status": verdict.status,
        "complete": verdict.complete,
        "evidence": list(end.evidence) if end is not None else [],
        "finish_reason": finished.reason if finished else None,
        "provider_finish_reason": end.raw if end is not None else None,
        "exit_code": verdict.exit_code,
        "error": error,
        "usage": {name: getattr(outcome.usage, name) for name in USAGE_FIELDS},
        "timings": outcome.timings(),
        "attempts": outcome.attempts,
        "rounds": outcome.rounds,
        "chars": outcome.chars,
        "cost": plain(outcome.cost),
    }
