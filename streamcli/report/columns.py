"""Turn many `end` records into columns, which are counted in a third of the time.

Records that `stream` would not write are counted one by one, so the figures are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from types import NoneType
from typing import Any, NamedTuple

from ..errors import EXIT_OF_STATUS
from ..events import USAGE_FIELDS
from .figure_names import LATENCIES
from .numbers import MOST

FEW = 8  # fewer rows are not worth columns
_TOP = ("exit_code", "attempts", "rounds", "cost")
_SUMMARY = ("mean", "p50", "p90", "p99", "max")  # of `icl_ms`
_LATENCIES = tuple(name for name in LATENCIES if name != "queue_ms")  # that is not in all records
_TIMINGS = (*_LATENCIES, "chunks")
_top, _tokens = itemgetter(*_TOP), itemgetter(*USAGE_FIELDS)
_timings, _summary = itemgetter(*_TIMINGS), itemgetter(*_SUMMARY)
_WHOLE: frozenset[type] = frozenset({int, NoneType})
_EVERY: frozenset[type] = frozenset({int})
_NUMBERS: frozenset[type] = frozenset({int, float, NoneType})
_TS = 24  # characters

# `ts`, `status`, the values of _SUMMARY or None, those of _TOP, USAGE_FIELDS and _TIMINGS, and
# `queue_ms`. Nothing in it is long, so many may wait.
Row = tuple[Any, ...]


class Columns(NamedTuple):
    """The fields of many records; None is left out where it is not said otherwise."""

    ts: Sequence[str]
    statuses: Sequence[str]
    attempts: Sequence[int]
    rounds: Sequence[int]
    costs: Sequence[float]
    tokens: Mapping[str, Sequence[int]]  # by field of `usage`
    times: Mapping[str, Sequence[float]]  # by metric: LATENCIES, and wait_ms
    durations: Sequence[float | None]  # one a record
    gaps: Sequence[Sequence[float]]  # of answers with gaps: `icl_ms`, in the order of _SUMMARY
    gap_counts: Sequence[int]  # of these: how many gaps


def row_of(record: Mapping[str, Any]) -> Row | None:
    """Return the fields of an `end` record that figures need; None if one is missing or odd."""
    if "reused_from" in record:
        return None
    try:
        timings, ts, status = record["timings"], record["ts"], record["status"]
        gaps, queue = timings["icl_ms"], timings.get("queue_ms")
        summary = None if gaps is None else _summary(gaps)
        numbers = (*_top(record), *_tokens(record["usage"]), *_timings(timings), queue)
        if type(ts) is not str or len(ts) != _TS or status not in EXIT_OF_STATUS:
            return None
    except (KeyError, TypeError, AttributeError):
        return None
    if not _NUMBERS.issuperset(map(type, numbers)):
        return None
    if summary is not None and not _NUMBERS.issuperset(map(type, summary)):
        return None
    return (ts, status, summary, *numbers)


def record_of(row: Row) -> dict[str, Any]:
    """Return the record of a row, as far as figures need it."""
    ts, status, summary, *numbers = row
    tokens, timings = len(_TOP), len(_TOP) + len(USAGE_FIELDS)
    gaps = None if summary is None else dict(zip(_SUMMARY, summary, strict=True))
    return {
        **{"ts": ts, "status": status, **dict(zip(_TOP, numbers, strict=False))},
        "usage": dict(zip(USAGE_FIELDS, numbers[tokens:], strict=False)),
        "timings": {
            **dict(zip((*_TIMINGS, "queue_ms"), numbers[timings:], strict=True)),
            "icl_ms": gaps,
        },
    }


def columns(rows: Iterable[Row]) -> Columns | None:
    """Return the columns of rows; None if a value is not as `stream` writes it."""
    ts, statuses, summaries, _, attempts, rounds, costs, *rest = zip(*rows, strict=True)
    tokens, timings = rest[: len(USAGE_FIELDS)], rest[len(USAGE_FIELDS) :]
    *latencies, chunks, queues = timings
    try:
        times = {
            name: _checked(column, _NUMBERS)
            for name, column in zip(_LATENCIES, latencies, strict=True)
        }
        times["queue_ms"] = _checked(queues, _NUMBERS)
        ttfts = latencies[_LATENCIES.index("ttft_ms")]
        if times["queue_ms"]:
            times["wait_ms"] = [
                queue + ttft
                for queue, ttft in zip(queues, ttfts, strict=True)
                if queue is not None and ttft is not None
            ]
        gaps, gap_counts = [], []
        rounds_of_each = _checked(rounds, _EVERY)
        for summary, number, parts in zip(
            summaries, _checked(chunks, _EVERY), rounds_of_each, strict=True
        ):
            if summary is not None and (total := number - (parts or 1)) > 0:
                gaps.append(summary)
                gap_counts.append(total)
        for column in zip(*gaps, strict=True):
            if len(_checked(column, _NUMBERS)) < len(gaps):
                return None
        return Columns(
            ts=ts,
            statuses=statuses,
            attempts=_checked(attempts, _EVERY),
            rounds=rounds_of_each,
            costs=_checked(costs, _NUMBERS),
            tokens={
                name: _checked(column, _WHOLE)
                for name, column in zip(USAGE_FIELDS, tokens, strict=True)
            },
            times=times,
            durations=latencies[_LATENCIES.index("duration_ms")],
            gaps=gaps,
            gap_counts=gap_counts,
        )
    except _Odd:
        return None


class _Odd(Exception):
    """A value is not as `stream` writes it."""


def _checked(column: Sequence[Any], allowed: frozenset[type]) -> Sequence[Any]:
    """Return the column without None; raise _Odd for a type or a value that it cannot have."""
    types = set(map(type, column))
    if not types <= allowed:
        raise _Odd
    if NoneType in types:
        column = [value for value in column if value is not None] if len(types) > 1 else ()
    if column and not (min(column) >= 0 and max(column) <= MOST):
        raise _Odd
    return column
