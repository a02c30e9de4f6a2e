"""The report for machines: one JSON object, schema `stream.report/1`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

from ..events import USAGE_FIELDS
from .figure_names import METRICS, STATISTICS
from .figures import Figures

SCHEMA = "stream.report/1"
INFINITE = "inf"  # JSON has no such number; jq and sort(1) put the text behind every number
_COUNTS = ("n", "ok", "failed", "reused", "attempts", "retries")
_RATES = ("goodput", "cost", "wall_ms", "request_throughput", "output_token_throughput")


def report(
    groups: Iterable[tuple[str, Figures]],
    *,
    by: str,
    adjusted: bool,
    skipped: Mapping[str, int],
) -> dict[str, Any]:
    """Return the report; `skipped` counts the records that were not measured, by reason."""
    return {
        "type": "report",
        "schema": SCHEMA,
        "by": by,
        "adjusted": adjusted,
        "skipped": dict(skipped),
        "groups": [{"group": name, **of_group(figures)} for name, figures in groups],
    }


def of_group(figures: Figures) -> dict[str, Any]:
    """Return the figures of a group, None for an unknown one."""
    return {
        **{name: figures.value(name) for name in _COUNTS},
        "statuses": dict(figures.statuses),
        **{name: _rounded(figures.value(name)) for name in _RATES},
        "usage": {name: figures.value(name) for name in USAGE_FIELDS},
        "percentiles": {metric: _percentiles(figures, metric) for metric in METRICS},
        "histograms": {
            metric: [
                [_rounded(value), count] for value, count in figures.histogram(metric).counts()
            ]
            for metric in METRICS
        },
        "icl_upper_bound": bool(figures.gaps.estimated),
    }


def _percentiles(figures: Figures, metric: str) -> dict[str, Any] | None:
    if not figures.histogram(metric).count:
        return None
    return {each: _rounded(figures.value(f"{metric}.{each}")) for each in STATISTICS}


def _rounded(value: float | None) -> float | str | None:
    if value is None:
        return None
    return INFINITE if value == inf else round(value, 6)
