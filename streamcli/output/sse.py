"""The format `sse`: the records as server-sent events, for a page's EventSource.

(https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream)
"""

from __future__ import annotations

import re
from typing import Any

from .jsonl import RecordSink
from .records import line
from .sink import Context, Lines

_TYPE = re.compile(rb'\{"type":"(\w+)"')
_SEQ = re.compile(rb'"seq":(\d+),')


def sink(out: Lines, context: Context) -> RecordSink:
    """Return the sink of this format."""
    assert context.facts is not None
    return RecordSink(_Events(out), context.facts)


def summary(record: dict[str, Any]) -> bytes:
    """Return the summary of a batch as this format writes it."""
    return _event(line(record))


class _Events:
    """Writes each line of JSON as an event: its type, its data, and a delta's number as its id."""

    def __init__(self, out: Lines) -> None:
        self._out = out

    def lines(self, data: bytes) -> None:
        self._out.lines(b"".join(map(_event, data.splitlines(keepends=True))))


def _event(record: bytes) -> bytes:
    kind = _TYPE.match(record)
    name = kind[1] if kind is not None else b"message"
    number = _SEQ.search(record) if name == b"delta" else None
    id = b"id: %s\n" % number[1] if number is not None else b""
    return b"event: %s\n%sdata: %s\n" % (name, id, record)
