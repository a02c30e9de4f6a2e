"""Figures of records: exact where they can be, within 1 % where they are percentiles."""

from __future__ import annotations

from math import inf
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcli.report.figure_names import is_name
from streamcli.report.figures import Figures
from streamcli.timings import Histogram


def end(**fields: Any) -> dict[str, Any]:
    timings = {"ttft_ms": 10.0, "duration_ms": 100.0, **fields.pop("timings", {})}
    usual = {"type": "end", "status": "complete", "exit_code": 0, "attempts": 1}
    return {**usual, "timings": timings, **fields}


def exact(values: list[float], q: float) -> float:
    """Return the smallest value that at least q of them do not exceed."""
    ordered = sorted(values)
    return next(v for rank, v in enumerate(ordered, 1) if rank >= q * len(ordered))


milliseconds = st.floats(0.001, 1e9, allow_nan=False)


@given(st.lists(milliseconds, min_size=1, max_size=60))
def test_percentiles_are_within_one_percent(values: list[float]) -> None:
    figures = Figures()
    for value in values:
        figures.add(end(timings={"ttft_ms": value}))
    for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        true = exact(values, q)
        assert figures.value(f"ttft_ms.{name}") == pytest.approx(true, rel=0.0101)
    assert figures.value("ttft_ms.max") == max(values)
    assert figures.value("ttft_ms.mean") == pytest.approx(sum(values) / len(values))


def test_any_percentile_can_be_asked_for() -> None:
    figures = Figures()
    for value in range(1, 1001):
        figures.add(end(timings={"ttft_ms": value}))
    assert figures.value("ttft_ms.p25") == pytest.approx(250, rel=0.0101)
    assert figures.value("ttft_ms.p99.9") == pytest.approx(999, rel=0.0101)


def test_counts_sums_and_rates() -> None:
    figures = Figures()
    for second, tokens in ((1, 10), (2, 20), (3, None)):
        figures.add(
            end(
                ts=f"2026-11-29T10:00:0{second}.000Z",
                usage={"output_tokens": tokens, "input_tokens": 3},
                cost=0.25,
                attempts=second,
                timings={"duration_ms": 1000, "tokens_per_second": 20.0},
            )
        )
    figures.add(end(status="timeout", exit_code=28, cost=None, attempts=0))
    expected = {
        "n": 4,
        "ok": 3,
        "failed": 1,
        "goodput": 0.75,
        "cost": 0.75,
        "input_tokens": 9,
        "output_tokens": 30,
        "total_tokens": None,
        "attempts": 6,
        "retries": 3,
        "wall_ms": 3000,
        "output_token_throughput": 10,
        "request_throughput": pytest.approx(4 / 3),
        "tpot_ms.p50": pytest.approx(50, rel=0.0101),
    }
    assert {name: figures.value(name) for name in expected} == expected
    assert figures.statuses == {"complete": 3, "timeout": 1}


def test_the_times_of_files_are_joined_where_they_overlap() -> None:
    def at(*seconds: int) -> Figures:
        figures = Figures()
        for second in seconds:
            ts = f"2026-11-29T10:00:{second:02}.000Z"
            figures.add(end(ts=ts, timings={"duration_ms": 1000.0}))
            figures.next_file()
        return figures

    assert at(10, 50).value("wall_ms") == 2000, "two runs, and a pause that is nobody's"
    assert at(10, 10, 11).value("wall_ms") == 2000
    one = at(10)
    one.merge(at(30))
    assert one.value("wall_ms") == 2000
    shuffled = Figures()
    order = [*range(60)]
    Random(3).shuffle(order)
    for second in order:
        ts = f"2026-11-29T10:00:{second:02}.000Z"
        shuffled.add(end(ts=ts, timings={"duration_ms": 500.0 * (second + 1)}))
    assert shuffled.value("wall_ms") == 59_500, "the first began half a second before the minute"


def test_failures_count_as_infinite_only_if_asked() -> None:
    for adjusted, p50, p99, slowest in ((False, 10.0, 10.0, 10.0), (True, 10.0, inf, inf)):
        figures = Figures(adjusted=adjusted)
        for _ in range(97):
            figures.add(end(timings={"ttft_ms": 10.0, "queue_ms": 1.0}))
        for _ in range(3):
            failed = {"ttft_ms": 1.0, "queue_ms": 500.0}
            figures.add(end(status="rate_limited", exit_code=16, timings=failed))
        assert figures.value("ttft_ms.p50") == pytest.approx(p50, rel=0.0101)
        assert figures.value("ttft_ms.p99") == pytest.approx(p99, rel=0.0101)
        assert figures.value("duration_ms.max") == (inf if adjusted else 100.0)
        assert figures.value("ttft_ms.max") == slowest
        assert figures.value("queue_ms.max") == 500.0, "they did wait"


def test_an_accepted_verdict_is_ok() -> None:
    figures = Figures()
    figures.add(end(status="length", exit_code=0))
    figures.add(end(status="length", exit_code=10))
    figures.add(end(status="complete", exit_code="0"))
    assert (figures.value("ok"), figures.value("n")) == (2, 3)


def test_goodput_has_limits() -> None:
    figures = Figures(limits={"ttft_ms": 50, "tpot_ms": 25})
    for ttft, rate in ((40, 50.0), (60, 50.0), (40, 30.0), (40, None)):
        figures.add(end(timings={"ttft_ms": ttft, "tokens_per_second": rate}))
    assert figures.value("goodput") == 0.25


def test_reused_answers_are_not_measured() -> None:
    figures = Figures()
    figures.add(end(reused_from="01J"))
    assert (figures.value("n"), figures.value("reused")) == (0, 1)
    assert figures.value("goodput") is None


def test_gaps_between_deltas_are_pooled() -> None:
    figures = Figures()
    for gap, count in ((10.0, 98), (500.0, 2)):
        figures.add(end(timings={"icl_ms": {"p99": 7}, "chunks": 99}), {gap: count})
    assert figures.value("icl_ms.p90") == pytest.approx(10, rel=0.0101)
    assert figures.value("icl_ms.p99") == pytest.approx(500, rel=0.0101)
    assert figures.value("icl_ms.mean") == pytest.approx(19.8)
    assert figures.gaps.estimated == 0


@given(
    st.lists(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=40), min_size=1, max_size=8),
    st.sampled_from((0.5, 0.9, 0.99)),
)
def test_percentiles_of_percentiles_are_bounds(answers: list[list[float]], q: float) -> None:
    figures = Figures()
    pooled = Histogram()
    for gaps in answers:
        own = Histogram()
        for gap in gaps:
            own.add(gap)
        pooled.merge(own)
        figures.add(end(timings={"icl_ms": own.summary(), "chunks": len(gaps) + 1}, rounds=1))
    name = f"icl_ms.p{round(q * 100)}"
    true = pooled.percentile(q)
    assert figures.value(name) >= true * 0.98  # type: ignore[operator]
    assert figures.value("icl_ms.max") == pytest.approx(pooled.max, abs=0.001)
    assert figures.value("icl_ms.mean") == pytest.approx(pooled.mean, abs=0.001)
    if len(answers) == 1:
        assert figures.value(name) == pytest.approx(true, rel=0.02, abs=0.001)


hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(st.data())
def test_no_record_is_too_strange(data: st.DataObject) -> None:
    names = ("status", "exit_code", "attempts", "usage", "timings", "cost", "ts", "rounds")
    record = {name: data.draw(hostile) for name in names}
    inner = ("ttft_ms", "duration_ms", "tokens_per_second", "chunks", "icl_ms", "queue_ms")
    if data.draw(st.booleans()):
        record["timings"] = {name: data.draw(hostile) for name in inner}
        record["usage"] = {"output_tokens": data.draw(hostile)}
        record["ts"] = "2026-99-29T10:00:00.000Z"
    figures = Figures(adjusted=data.draw(st.booleans()), limits={"ttft_ms": 5})
    figures.add(record)
    figures.add(end())
    assert (
        figures.value(
            "n",
        )
        == 2
        or figures.value("reused") == 1
    )
    for name in figures.names():
        assert figures.value(name) is not None


def test_merging_is_adding_all() -> None:
    random = Random(7)
    one, two, both = Figures(), Figures(), Figures()
    for number in range(300):
        record = end(
            status=random.choice(("complete", "timeout")),
            exit_code=0,
            cost=random.random(),
            usage={"output_tokens": number},
            timings={"ttft_ms": random.random() * 100, "chunks": 9},
        )
        (one if number % 3 else two).add(record)
        both.add(record)
    one.merge(two)
    assert one.names() == both.names()
    for name in both.names():
        assert one.value(name) == pytest.approx(both.value(name))
    assert one.statuses == both.statuses


def test_memory_is_flat() -> None:
    figures, random = Figures(), Random(1)
    for _ in range(20_000):
        figures.add(end(timings={"ttft_ms": random.random() * 1e6}))
    assert len([*figures.histogram("ttft_ms").counts()]) < 1200


@pytest.mark.parametrize("name", ["ttft_ms", "ttft_ms.p", "ttft_ms.p100", "n.p50", "x.max", ""])
def test_other_names_are_errors(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(KeyError):
        Figures().value(name)


def test_counts_are_the_histogram() -> None:
    histogram = Histogram()
    for value, count in ((0.0, 2), (5.0, 3), (7.0, 1), (inf, 1)):
        histogram.add_many(value, count)
    values = [*histogram.counts()]
    assert [count for _, count in values] == [2, 3, 1, 1]
    assert [value for value, _ in values] == pytest.approx([0.0, 5.0, 7.0, inf], rel=0.0101)
    assert (histogram.count, histogram.max, histogram.mean) == (7, inf, inf)
