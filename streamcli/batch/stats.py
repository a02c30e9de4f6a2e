"""The table of --stats for a batch: its summary, with a column for each model that was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..terminal.sanitize import one_line
from ..terminal.stats import Row, Table, cost, number, sparkline
from .summary import Summary

_NAME = 24  # characters of a model's name at the head of a column, where there are several
_NAME_ALONE = 300
_SOMETIMES = ("skipped", "reused", "unasked")  # counts that are shown if there are any
_SHARES = ("p50", "p90", "p99")


def batch_table(summary: Summary, wall_ms: float) -> Table:
    """Return the table of a batch that took `wall_ms` milliseconds."""
    parts = summary.parts
    several = len(parts) > 1
    names = [one_line(name, _NAME if several else _NAME_ALONE) for name in parts]
    shown = [*parts.values(), summary] if several else [summary]
    records = [each.record(wall_ms, 0) for each in shown]
    whole = records[-1]

    def row(name: str, values: Sequence[float | None]) -> Row:
        return Row(name, *map(number, values))

    left = [Row("model", *names, "all")] if several else [Row("model", *names)] if names else []
    left += [row(name, [record[name] for record in records]) for name in ("prompts", "failed")]
    left += [row(n, [record[n] for record in records]) for n in _SOMETIMES if whole[n]]
    left += [
        row(f"statuses.{status}", [record["statuses"].get(status, 0) for record in records])
        for status in whole["statuses"]
    ]
    for name, total in whole["usage"].items():
        if (
            total is not None
            and name != "total_tokens"
            or name in ("input_tokens", "output_tokens")
        ):
            left.append(row(name, [record["usage"][name] for record in records]))
    if summary.cost is not None:
        left.append(Row("cost", *(cost(each.cost) for each in shown)))
    if whole["attempts"] != whole["prompts"]:
        left.append(row("attempts", [record["attempts"] for record in records]))
    right = [
        row(name, [record["timings"][name] for record in records]) for name in whole["timings"]
    ]
    for name in whole["percentiles"]:
        told: list[dict[str, Any]] = [record["percentiles"].get(name) or {} for record in records]
        if not any(told):
            continue
        right += [row(f"{name}.{share}", [each.get(share) for each in told]) for share in _SHARES]
    if not several and summary.ttft.count > 1:
        right.append(Row("ttft_ms", sparkline(summary.ttft)))
    return Table(left, right)
