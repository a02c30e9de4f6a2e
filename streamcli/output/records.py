"""Records, schema `stream.records/1` (see records.schema.json): their fields and their bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache
from time import gmtime, strftime
from typing import Any

import orjson

from ..events import USAGE_FIELDS, Failed, Finished, ToolCall
from ..outcome import Outcome, Verdict, decimal
from ..wire.lenient_json import whole

SCHEMA = "stream.records/1"
_MESSAGE = 500  # characters of an error's message: an `end` record stays below PIPE_BUF

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RAW = re.compile(rb"\x7f|\xc2[\x80-\x9f]")


def request_id(now: float) -> str:
    """Return a ULID (https://github.com/ulid/spec): 48 bits of Unix ms, 80 random bits."""
    number = int(now * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def timestamp(now: float) -> str:
    """Return a Unix time as RFC 3339 in UTC, with milliseconds."""
    return f"{_second(int(now))}.{int(now * 1000) % 1000:03d}Z"


@lru_cache(1)
def _second(now: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(now))


def prompt_hash(canonical: dict[str, Any]) -> str:
    """Return the first 128 bits of the SHA-256 of the versioned canonical request, in hex."""
    from hashlib import sha256

    text = orjson.dumps({"v": 1, **canonical}, option=orjson.OPT_SORT_KEYS)
    return sha256(text).hexdigest()[:32]


def line(record: dict[str, Any]) -> bytes:
    """Return a record as a line of JSON that a terminal can show."""
    return escape(dumps(record)) + b"\n"


def dumps(record: dict[str, Any]) -> bytes:
    """Return a record as JSON, whatever a server or a file name put into it."""
    try:
        return orjson.dumps(record)
    except TypeError:
        return orjson.dumps(_storable(record))


def _storable(value: Any) -> Any:
    """Return `value` with only what JSON in UTF-8 can hold.

    Half a surrogate pair becomes U+FFFD, a number beyond 64 bits becomes null.
    """
    if isinstance(value, dict):
        return {key: _storable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, str):
        return whole(value)
    return None if type(value) is int and value.bit_length() > 63 else value


def escape(data: bytes) -> bytes:
    """Return JSON with \\u escapes for DEL and C1: orjson leaves them, and terminals obey them."""
    if b"\x7f" in data or b"\xc2" in data:
        return _RAW.sub(lambda match: b"\\u00%02x" % match[0][-1], data)
    return data


class Facts:
    """Holds the fields that the records of one prompt share, as far as they are known."""

    __slots__ = (
        "hash",
        "model",
        "now",
        "occurrence",
        "prompt",
        "protocol",
        "provider",
        "request_id",
        "reused",
        "tags",
    )

    def __init__(self, now: Callable[[], float], tags: dict[str, Any] | None = None) -> None:
        self.now = now
        self.request_id = request_id(now())
        self.tags = tags or {}  # in batches: `index`, `id`, `source`, `target`
        self.provider: str | None = None
        self.protocol: str | None = None
        self.model: str | None = None
        self.hash: str | None = None
        self.occurrence = 0
        self.prompt: str | None = None  # only where it is wanted
        self.reused = False  # the answer is from the records of --reuse

    def asks(self, asked: tuple[str, str, str] | None) -> None:
        """Note the provider, protocol and model that are asked from now on; see Attempt.asked."""
        if asked is not None:
            provider, protocol, model = asked
            self.provider, self.protocol, self.model = provider, protocol, model or self.model

    def base(self, kind: str, t_ms: float) -> dict[str, Any]:
        """Return the fields that every record has."""
        return {"type": kind, "request_id": self.request_id, **self.tags, "t_ms": round(t_ms, 1)}

    def source(self) -> dict[str, Any]:
        """Return the fields of `start` and `end` records that name the provider."""
        return {
            "schema": SCHEMA,
            "ts": timestamp(self.now()),
            "provider": self.provider,
            "protocol": self.protocol,
            "model": self.model,
        }


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
    """Return a message cut to _MESSAGE: a provider may put the whole request into it."""
    return message if len(message) <= _MESSAGE else message[: _MESSAGE - 3] + "..."


def plain(cost: float | None) -> float | orjson.Fragment | None:
    """Return a cost as records write it: 0.00001, where orjson alone writes 1e-05."""
    if cost is None or "e" not in repr(cost):
        return cost
    return orjson.Fragment(decimal(cost))


def end_record(facts: Facts, outcome: Outcome, verdict: Verdict) -> dict[str, Any]:
    """Return the `end` record of an answer."""
    end = outcome.end
    finished = end if isinstance(end, Finished) else None
    error = verdict.error and {**verdict.error, "message": _short(verdict.error["message"])}
    source = facts.source()
    source["model"] = outcome.model or facts.model
    prompt = {} if facts.prompt is None else {"prompt": facts.prompt}
    reused = {"reused_from": outcome.reused_from} if outcome.reused_from else {}
    return {
        **facts.base("end", outcome.t_ms),
        **source,
        "response_id": outcome.response_id or None,
        "prompt_hash": facts.hash,
        "occurrence": facts.occurrence,
        **prompt,
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
        **reused,
    }
