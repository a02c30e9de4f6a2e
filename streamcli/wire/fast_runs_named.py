"""Runs of events of one name, cut apart together: five times as fast as line by line. Pure."""

from __future__ import annotations

from ..events import Event
from .fast_runs import Template
from .payloads import Payloads
from .sse import Message


class NamedRuns(Template):
    """For bodies whose values tell their type themselves: their events' names are left out.

    Names cost a line and an object each. Where a read is a run of events `event: NAME`, `data:
    {...}` with one name, each payload stands between two copies of the same bytes. Names that do
    not begin with `prefix` (an error's) are kept, and never part of a run.
    """

    def __init__(self, prefix: str, limit: int) -> None:
        self.learning = False
        self._start = b"event: " + prefix.encode()
        self._prefix = prefix
        self._limit = limit

    def feed(self, payloads: Payloads, data: bytes, out: list[Event]) -> list[bytes]:
        if not payloads.settled:
            return self._bare(payloads.feed(data))
        sse = payloads.sse
        clean = sse.between_events
        lines = sse.lines(data)
        first: list[bytes] = []
        if not clean:  # finish the event that an earlier read began
            end = 1 if lines[:1] == b"\n" else lines.find(b"\n\n") + 2
            if end == 1 != lines[:1].count(b"\n"):
                return self._bare(sse.parse(lines))
            first = self._bare(sse.parse(lines[:end]))
            lines = lines[end:]
        end = lines.rfind(b"\n\n")
        if end > 0 and lines.startswith(self._start) and len(lines) <= self._limit:
            before = lines[: lines.find(b"\n") + 1] + b"data: "
            run = lines[len(before) : end].split(b"\n\n" + before)
            # No payload has a line end in it: then each event is two lines and a blank one.
            if lines.startswith(before) and lines.count(b"\n", 0, end + 2) == 3 * len(run):
                sse.recognised = True
                return first + run + self._bare(sse.parse(lines[end + 2 :]))
        return first + self._bare(sse.parse(lines))

    def _bare(self, payloads: list[bytes]) -> list[bytes]:
        return [
            bytes(payload)
            if type(payload) is Message and payload.event.startswith(self._prefix)
            else payload
            for payload in payloads
        ]
