"""Compute the time in which requests ran, from the times of their `end` records. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from math import inf
from typing import Any

from .numbers import is_number

_TS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Spans:
    """The time in which requests ran: from the first begin to the last end, in each file.

    The spans of several files are joined where they overlap.
    """

    def __init__(self) -> None:
        self._begin = inf  # seconds, Unix time
        self._last = ""
        self._longest = -1.0
        self._day = ""
        self._horizon = ""  # a request that ended later, and was not longer, cannot widen the span
        self._closed: list[tuple[float, float]] = []

    def add(self, ts: Any, duration: Any) -> None:
        """Add a request that ended at `ts` (RFC 3339) after `duration` milliseconds."""
        if type(ts) is not str or not is_number(duration):
            return
        if self._horizon < ts < self._day and duration <= self._longest and len(ts) == 24:
            if ts > self._last:
                self._last = ts
            return
        if not _TS.fullmatch(ts):
            return
        try:
            end = datetime.fromisoformat(ts).timestamp()
        except (ValueError, OverflowError):
            return
        self._last = max(self._last, ts)
        self._day = self._last[:11] + "24"  # before it, and behind a valid time, is another one
        self._begin = min(self._begin, end - duration / 1000)
        self._longest = max(self._longest, duration)
        horizon = self._begin + self._longest / 1000
        try:
            shown = datetime.fromtimestamp(horizon, datetime.fromisoformat(ts).tzinfo)
        except (ValueError, OverflowError):
            return
        self._horizon = shown.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def add_many(self, ts: Sequence[str], durations: Sequence[Any]) -> None:
        """Add many requests, and look at each only if one may widen the span."""
        first, last = min(ts), max(ts)
        within = self._horizon < first and last < self._day and set(map(len, ts)) == {24}
        if within and None not in durations and max(durations) <= self._longest:
            self._last = max(self._last, last)
            return
        for each, duration in zip(ts, durations, strict=True):
            self.add(each, duration)

    def close(self) -> None:
        """End the span of this file."""
        self._closed = self._all()
        self._begin, self._longest = inf, -1.0
        self._last = self._day = self._horizon = ""

    def milliseconds(self) -> float | None:
        """Return how long requests ran; None if no record says."""
        spans = self._all()
        return round(sum(end - begin for begin, end in spans) * 1000, 1) if spans else None

    def merge(self, other: Spans) -> None:
        self.close()
        self._closed = _joined([*self._closed, *other._all()])

    def _all(self) -> list[tuple[float, float]]:
        if not self._last:
            return self._closed
        try:
            end = datetime.fromisoformat(self._last).timestamp()
        except ValueError:  # a text of the same length
            return self._closed
        return _joined([*self._closed, (self._begin, end)])


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return spans that do not overlap, in order, and cover the same time."""
    joined: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined
