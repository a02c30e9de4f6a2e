"""Timings: exact where they can be, within 1 % where they are percentiles, flat in memory."""

from __future__ import annotations

from random import Random

from streamcli.timings import Histogram, Meter


def test_percentiles_are_within_one_percent() -> None:
    random = Random(1)
    gaps = [random.lognormvariate(2, 1.5) for _ in range(20_000)] + [0.0] * 50
    histogram = Histogram()
    for gap in gaps:
        histogram.add(gap)
    gaps.sort()
    for q in (0.5, 0.9, 0.99):
        exact = gaps[int(len(gaps) * q)]
        assert abs(histogram.percentile(q) - exact) <= 0.0101 * exact
    summary = histogram.summary()
    assert summary is not None
    assert summary["max"] == round(gaps[-1], 3)
    assert abs(summary["mean"] - sum(gaps) / len(gaps)) < 0.001


def test_gaps_within_one_read_are_zero() -> None:
    meter = Meter()
    meter.deltas(10.0, 3, text=False)
    meter.deltas(30.0, 1, text=True)
    timings = meter.timings(50.0, 5)
    assert timings == {
        "headers_ms": None,
        "ttft_ms": 10.0,
        "ttfo_ms": 30.0,
        "duration_ms": 50.0,
        "tokens_per_second": 100.0,
        "chunks": 4,
        "icl_ms": {"mean": 6.667, "p50": 0.0, "p90": 20.0, "p99": 20.0, "max": 20.0},
    }


def test_what_is_unknown_is_null() -> None:
    meter = Meter()
    timings = meter.timings(5.0, None)
    assert timings["icl_ms"] is None
    assert timings["ttft_ms"] is None
    assert timings["tokens_per_second"] is None
    meter.deltas(3.0, 1, text=True)
    assert meter.timings(5.0, 9)["tokens_per_second"] is None, "one piece has no rate"
    assert meter.timings(5.0, 9)["icl_ms"] is None


def test_memory_is_flat() -> None:
    histogram = Histogram()
    random = Random(2)
    for _ in range(100_000):
        histogram.add(random.random() * 1e6)
    assert len(histogram._buckets) < 1200


def test_the_time_of_tools_is_neither_a_gap_nor_slow_tokens() -> None:
    meter = Meter()
    meter.deltas(10.0, 1, text=True)
    meter.deltas(20.0, 1, text=True)
    meter.next_round()
    meter.deltas(5000.0, 1, text=True)
    meter.deltas(5010.0, 1, text=True)
    timings = meter.timings(5010.0, 6)
    assert (timings["ttft_ms"], timings["chunks"]) == (10.0, 4)
    assert timings["icl_ms"]["max"] == 10.0
    assert timings["tokens_per_second"] == 200.0, "4 tokens after the first ones, in 20 ms"
    meter.next_round()
    assert meter.timings(6000.0, 6)["tokens_per_second"] is None, "the last round brought nothing"
