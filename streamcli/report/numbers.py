"""Decide which numbers of records can be measurements, and collect them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeGuard

from ..timings import Histogram

MOST = 1e12  # of a value: 31 years in milliseconds; what is beyond it is not a measurement

Pending = Counter[float]  # values that wait to be counted, with how often they came


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value can be a measurement: a number from 0 on, and not beyond all time."""
    return (type(value) is float or type(value) is int) and 0 <= value <= MOST


def fold(pending: Pending, histogram: Histogram) -> None:
    """Move the values that wait into the histogram."""
    histogram.add_counts(pending.items())
    pending.clear()


def wait_of(timings: Mapping[str, Any]) -> float | None:
    """Return the milliseconds from the time that a request was due to its first token."""
    queue, ttft = timings.get("queue_ms"), timings.get("ttft_ms")
    if queue is None or not is_number(queue) or not is_number(ttft):
        return None
    return float(queue + ttft)
