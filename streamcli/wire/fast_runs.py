"""Runs of like chunks, decoded together. Pure.

Consecutive deltas of a stream differ only in their text: if a payload equals a parsed one outside
the text, and inside is what a JSON string may hold, its parsed form differs in that string only.
So a read that is one run of such events is cut at what stands between two texts, and the texts are
parsed together. Exact, and five times as fast as parsing each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from ..events import Event, Text
from .payloads import Payloads

_PROBE = "probe"
_PATIENCE = 16


class Template:
    """The form of the last plain text chunk; `place(value)` is the object with its `field`.

    A read of any other form is left to the parser and sets the next template. Servers whose chunks
    all differ (timestamps, padding) stop that after a few misses.
    """

    def __init__(self, field: str, place: Callable[[Any], Any]) -> None:
        self.learning = False  # the payloads of this read may be learned from
        self._field = field
        self._key = b'"%b":' % field.encode()
        self._place = place
        self._before = b""  # of the first event of a run, up to its text
        self._after = b""  # of the last one, from its text on
        self._between = b""
        self._misses = 0

    def feed(self, payloads: Payloads, data: bytes, out: list[Event]) -> list[bytes]:
        """Puts the deltas of a run into `out`; returns the payloads of everything else."""
        self.learning = False
        if not payloads.settled or self._misses > _PATIENCE:
            return payloads.feed(data)
        sse = payloads.sse
        clean = sse.between_events
        lines = sse.lines(data)
        if not lines:
            return []
        if clean and self._between and lines.startswith(self._before):
            end = lines.rfind(b"\n\n") + 2
            room = end >= len(self._before) + len(self._after)  # else they share a quote
            if room and lines.endswith(self._after, 0, end):
                texts = self._texts(lines[len(self._before) : end - len(self._after)])
                if texts:
                    out += [Text(text) for text in texts if text]
                    self._misses = 0
                    return sse.parse(lines[end:])
        self._misses += 1
        self.learning = True
        return sse.parse(lines)

    def forget(self) -> None:
        """The next chunk may mean something else than the last of its form: parse it."""
        self._between = b""

    def _texts(self, run: bytes) -> list[str] | None:
        """The texts of a run; None if one of them is no JSON string."""
        parts = run.split(self._between)
        joined = b'","'.join(parts)
        try:
            if joined.count(b'"') == 2 * len(parts) - 2:  # the quotes put in just now
                texts: list[str] = orjson.loads(b'["' + joined + b'"]')
            else:
                texts = [orjson.loads(b'"' + part + b'"') for part in parts]
        except orjson.JSONDecodeError:
            return None
        return texts

    def learn(self, payload: bytes, value: Any, event: Event) -> None:
        """Take the form of a payload that gave `event` alone, if that is its text, of choice 0."""
        self.learning = False
        if (
            type(event) is not Text
            or event.choice
            or type(payload) is not bytes
            or b"\n" in payload
            or payload.count(self._key) != 1
        ):
            return
        start = payload.find(self._key) + len(self._key)
        if payload[start : start + 1] == b" ":
            start += 1
        end = payload.find(b'"', start + 1) + 1
        before, after = payload[:start], payload[end:]
        if payload[start : start + 1] != b'"' or not after:
            return
        try:
            probe = orjson.loads(b'%b"%b"%b' % (before, _PROBE.encode(), after))
            if self._place(probe).pop(self._field) != _PROBE:
                return
            if self._place(value).pop(self._field) != event.text:
                return
            same = probe == value
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return
        if same:
            self._before = b"data: " + before + b'"'
            self._after = b'"' + after + b"\n\n"
            self._between = self._after + self._before
