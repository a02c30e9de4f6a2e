"""The names of figures: `n`, `goodput`, `ttft_ms.p99`, `icl_ms.max`."""

from __future__ import annotations

import re

from ..events import USAGE_FIELDS

# Metrics with one value for each request, in its `timings`: milliseconds, and tokens a second.
LATENCIES = ("ttft_ms", "ttfo_ms", "duration_ms", "headers_ms", "queue_ms", "tokens_per_second")
# And those that are computed: the wait for the first token since the request was due, the time for
# each output token, and the gaps between chunks.
METRICS = (*LATENCIES, "wait_ms", "tpot_ms", "icl_ms")
COUNTS = ("n", "ok", "failed", "reused", "attempts", "retries", *USAGE_FIELDS)
RATES = ("goodput", "cost", "wall_ms", "request_throughput", "output_token_throughput")
STATISTICS = ("mean", "p50", "p90", "p99", "max")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,6})?)")


def quantile(statistic: str) -> float | None:
    """Return the share that a name like p99 or p99.9 stands for; None for another name."""
    match = _PERCENTILE.fullmatch(statistic)
    return float(match[1]) / 100 if match else None


def is_name(name: str) -> bool:
    """Return whether `name` is one that Figures.value knows."""
    metric, dot, statistic = name.partition(".")
    if dot:
        known = statistic in ("mean", "max") or quantile(statistic) is not None
        return metric in METRICS and known
    return metric in COUNTS or metric in RATES
