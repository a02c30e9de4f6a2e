"""The table of --stats for a batch: its summary, with a column for each model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..terminal.sanitize import one_line
from ..terminal.stats import Row, Table, cost, number, sparkline
from .summary import Summary

_NAME = 24  # characters of a model's name at the head of a column, where there are several
_NAME_ALONE = 300
_SOMETIMES = ("skipped", "reused", "unasked")  # counts that are shown if there are any
_ALWAYS = ("input_tokens", "output_tokens")  # others are shown if a server sent some
_SHARES = ("p50", "p90", "p99")


def batch_table(summary: Summary, wall_ms: float) -> Table:
    """Return the table of a batch that took `wall_ms` milliseconds.

    If each of several models had one prompt, it has their times in place of percentiles.
    """
    parts = list(summary.parts.values())
    several = len(parts) > 1
    once = several and all(part.done <= 1 for part in parts)
    shown = [*parts, summary] if several and not once else parts if once else [summary]
    names = [one_line(name, _NAME if several else _NAME_ALONE) for name in summary.parts]
    if several and not once:
        names.append("all")
    records = [each.record(wall_ms, 0) for each in shown]
    left = [Row("model", *names)] if names else []
    if once:
        left.append(Row("status", *(next(iter(part.statuses), "-") for part in parts)))
    else:
        left += _counts(summary, records)
    whole = summary.record(wall_ms, 0)
    for name, total in whole["usage"].items():
        if name in _ALWAYS or (total is not None and name != "total_tokens"):
            left.append(_row(name, [record["usage"][name] for record in records]))
    if summary.cost is not None:
        left.append(Row("cost", *(cost(each.cost) for each in shown)))
    if whole["attempts"] != whole["prompts"]:
        left.append(_row("attempts", [record["attempts"] for record in records]))
    right = []
    if not once:
        right = [_row(n, [record["timings"][n] for record in records]) for n in whole["timings"]]
    for name in whole["percentiles"]:
        if once:
            times = [part.first.get(name) for part in parts]
            if times != [None] * len(times):
                right.append(_row(name, times))
            continue
        known: list[dict[str, Any]] = [record["percentiles"].get(name) or {} for record in records]
        if any(known):
            right += [_row(f"{name}.{p}", [each.get(p) for each in known]) for p in _SHARES]
    if not several and summary.ttft.count > 1:
        right.append(Row("ttft_ms", sparkline(summary.ttft)))
    return Table(left, right)


def _row(name: str, values: Sequence[float | None]) -> Row:
    return Row(name, *map(number, values))


def _counts(summary: Summary, records: list[dict[str, Any]]) -> Iterator[Row]:
    """Yield the rows that count the prompts by their verdicts."""
    whole = records[-1]
    for name in ("prompts", "failed", *(name for name in _SOMETIMES if whole[name])):
        yield _row(name, [record[name] for record in records])
    for status in summary.statuses:
        counts = [record["statuses"].get(status, 0) for record in records]
        yield _row(f"statuses.{status}", counts)
