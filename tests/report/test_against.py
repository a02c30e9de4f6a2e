"""--report A --against B: equal runs pass, worse ones do not. Simulated runs with a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf

import pytest

from streamcli.errors import StreamError
from streamcli.report.against import JUDGED, Row, Tolerance, compare, regressions
from streamcli.report.comparison import complaints, lines, markdown
from streamcli.report.figures import Figures
from streamcli.report.intervals import Sample, interval_of_quantile, interval_of_share

NONE = Tolerance(0.0)
FEW = 574  # fewer answers say nothing of a p99, with eight intervals that hold together
Slow = Callable[[random.Random], float]  # milliseconds more for a request


def run(
    seed: int,
    n: int = 600,
    *,
    factor: float = 1.0,
    slow: Slow = lambda rng: 0.0,
    failing: float = 0.01,
    adjusted: bool = False,
) -> Figures:
    """Simulate requests whose times have long tails, as those of servers have."""
    rng = random.Random(seed)
    figures = Figures(adjusted=adjusted)
    for _ in range(n):
        ttft = rng.lognormvariate(5.0, 0.5) * factor + slow(rng)
        tokens, each = rng.randint(20, 400), rng.lognormvariate(2.3, 0.2) * factor
        failed = rng.random() < failing
        timings = {
            "ttft_ms": round(ttft, 1),
            "duration_ms": round(ttft + tokens * each, 1),
            "tokens_per_second": round(1000 / each, 1),
            "queue_ms": 0.0,
        }
        status = "provider" if failed else "complete"
        figures.add({"status": status, "exit_code": 15 if failed else 0, "timings": timings})
    return figures


def rows(a: Figures, b: Figures, tolerance: Tolerance = NONE) -> dict[str, Row]:
    found, alone = compare({"m": a}, {"m": b}, tolerance)
    assert not alone
    return {row.figure: row for row in found}


def stalled(rng: random.Random) -> float:
    """Three of a hundred requests take two seconds more."""
    return 2000.0 if rng.random() < 0.03 else 0.0


def found(a: Figures, b: Figures, tolerance: Tolerance = NONE) -> set[str]:
    return {row.figure for row in regressions(rows(a, b, tolerance).values())}


@pytest.mark.parametrize(("n", "pairs"), [(25, 100), (600, 40)])
def test_equal_runs_pass(n: int, pairs: int) -> None:
    """Without any tolerance, and with eight figures each, at most 5 of 100 fail."""
    failed = 0
    for seed in range(pairs):
        compared = rows(run(2 * seed, n), run(2 * seed + 1, n))
        assert len(compared) == len(JUDGED) + 2
        failed += bool(regressions(compared.values()))
    assert failed <= 0.05 * pairs


@pytest.mark.parametrize("n", [60, 700])
def test_equal_runs_with_two_modes_pass(n: int) -> None:
    """The median is in the gap between them, and all values of a mode are within a step."""

    def two_modes(rng: random.Random) -> Figures:
        figures = Figures()
        for _ in range(n):
            ttft, duration = (round(rng.choice((50, 500)) + rng.random(), 1) for _ in range(2))
            timings = {"ttft_ms": ttft, "duration_ms": duration}
            figures.add({"status": "complete", "exit_code": 0, "timings": timings})
        return figures

    rng = random.Random(1)
    for tolerance in (NONE, Tolerance(0, "ms")):
        pairs = [(two_modes(rng), two_modes(rng)) for _ in range(10)]
        assert sum(bool(found(a, b, tolerance)) for a, b in pairs) <= 1


def test_a_run_is_no_worse_than_itself() -> None:
    one = run(1)
    for row in rows(one, one).values():
        assert row.change == 0
        assert row.verdict in ("ok", "not_judged")


def test_real_regressions_are_found() -> None:
    """Each kind of them, in nearly every run of 600; and where it is."""
    tolerance = Tolerance(0.05)
    slower = [found(run(2 * s, factor=1.2), run(2 * s + 1), tolerance) for s in range(15)]
    assert sum("ttft_ms.p50" in each for each in slower) >= 12
    assert sum("tpot_ms.p50" in each for each in slower) >= 14
    stalls = [found(run(2 * s, 900, slow=stalled), run(2 * s + 1, 900)) for s in range(15)]
    assert sum("ttft_ms.p99" in each for each in stalls) >= 12
    assert sum("ttft_ms.p50" in each for each in stalls) <= 2
    failing = [found(run(2 * s, failing=0.1), run(2 * s + 1), tolerance) for s in range(15)]
    assert sum(each == {"goodput"} for each in failing) >= 14


def test_what_is_tolerated() -> None:
    slower, before = run(1, 900, factor=1.1), run(2, 900)
    assert "tpot_ms.p50" in found(slower, before)
    assert "tpot_ms.p50" in found(slower, before, Tolerance(0.05))
    assert not found(slower, before, Tolerance(0.3))
    slow = run(1, 900, factor=1.4)
    assert found(slow, before, Tolerance(5, "ms")) >= {"ttft_ms.p50", "duration_ms.p50"}
    assert "tpot_ms.p50" not in found(slow, before, Tolerance(5, "ms"))
    assert not found(slower, before, Tolerance(2000, "ms"))
    better = rows(before, run(1, 900, factor=2), Tolerance(0.05))
    assert better["ttft_ms.p50"].verdict == "improvement"


def test_too_few_answers_say_nothing() -> None:
    """However different they are: the interval is open."""
    before, after = run(1, FEW - 1, failing=0), run(2, FEW - 1, failing=0, factor=3)
    row = rows(after, before)["ttft_ms.p99"]
    assert (row.verdict, row.needs) == ("too_few", FEW)
    assert row.record()["needs"] == FEW
    enough = rows(run(2, FEW, failing=0, factor=3), run(1, FEW, failing=0))["ttft_ms.p99"]
    assert enough.verdict == "regression"
    for a, b in ((1, 1), (1, 900), (900, 1), (5, 5)):
        few = rows(run(3, a, failing=0, factor=50), run(4, b, failing=0))
        assert not regressions(few.values()), (a, b)
        assert few["ttft_ms.p50"].verdict == "too_few"


def test_runs_without_an_answer() -> None:
    none, some = run(1, 50, failing=1), run(2, 50)
    worse = rows(none, some)
    assert set(worse) >= {"ttft_ms.p50", "goodput"}
    assert worse["ttft_ms.p50"].verdict == "unknown"
    assert [row.figure for row in regressions(worse.values())] == ["goodput"]
    assert not regressions(rows(some, none).values())
    assert list(rows(none, none)) == ["goodput", "queue_ms.p99"]
    infinite = rows(run(1, 900, failing=0.6, adjusted=True), run(2, 900, adjusted=True))
    assert infinite["ttft_ms.p50"].verdict == "regression"
    assert infinite["ttft_ms.p50"].record()["a"] == "inf"


def test_values_beyond_all_measure() -> None:
    odd = Figures()
    times = {"ttft_ms": 1e12, "duration_ms": 1e300, "tokens_per_second": 1e-300, "queue_ms": True}
    for _ in range(20):
        odd.add({"status": "complete", "exit_code": 0, "timings": times})
    compared = rows(odd, run(1, 50), Tolerance(0.05))
    assert compared["ttft_ms.p50"].verdict == "regression"
    assert compared["tpot_ms.p50"].a is None
    assert max(len(line) for line, _ in lines([*compared.values()], width=200)) < 100


def test_groups_are_compared_by_name() -> None:
    one, two = run(1, 50), run(2, 50)
    compared, alone = compare({"x": one, "y": two}, {"y": one, "z": two}, NONE)
    assert {row.group for row in compared} == {"y"}
    assert alone == ["x", "z"]
    compared, alone = compare({"x": one}, {"z": two}, NONE)
    assert {row.group for row in compared} == {"x against z"}
    assert not alone
    for a, b in (({}, {"x": one}), ({"x": one}, {}), ({"x": one, "y": one}, {"z": one}), ({}, {})):
        with pytest.raises(StreamError, match="nothing to compare"):
            compare(a, b, NONE)


def test_more_groups_make_wider_intervals() -> None:
    one, two = run(1), run(2)
    single = rows(one, two)["ttft_ms.p50"].interval
    compared, _ = compare({str(n): one for n in range(9)}, {str(n): two for n in range(9)}, NONE)
    several = next(row.interval for row in compared if row.figure == "ttft_ms.p50")
    assert single is not None
    assert several is not None
    assert several[0] < single[0] < single[1] < several[1]


# ---- the intervals ------------------------------------------------------------------------------


def difference(a: float, b: float) -> float:
    return 0.0 if a == b else a - b


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_the_interval_is_that_of_a_bootstrap(q: float) -> None:
    """A bootstrap draws what is computed here, up to a value or two beside the quantile."""
    rng = random.Random(7)
    samples = [[rng.lognormvariate(5, 0.5) for _ in range(400)] for _ in range(2)]

    def drawn(values: list[float]) -> float:
        return sorted(rng.choices(values, k=len(values)))[int(len(values) * q)]

    draws = sorted(drawn(samples[0]) - drawn(samples[1]) for _ in range(1500))
    a, b = (Sample((value, 1) for value in values) for values in samples)
    low, high = interval_of_quantile(a, b, q, 0.1, difference)
    width = draws[1425] - draws[75]
    assert low == pytest.approx(draws[75], abs=0.25 * width)
    assert high == pytest.approx(draws[1425], abs=0.25 * width)


def test_the_interval_holds_as_often_as_it_says() -> None:
    """The true difference of two equal medians is 0: it is in 90 of 100 intervals, or more."""
    inside, rng = 0, random.Random(1)
    for _ in range(200):
        a, b = (Sample((rng.expovariate(1), 1) for _ in range(40)) for _ in range(2))
        low, high = interval_of_quantile(a, b, 0.5, 0.1, difference)
        inside += low <= 0 <= high
    assert 180 <= inside < 200


def test_a_sample() -> None:
    sample = Sample([(3.0, 2), (1.0, 1), (inf, 1)])
    assert sample.n == 4
    assert [sample.at(rank) for rank in range(6)] == [0, 1, 3, 3, inf, inf]
    assert [sample.quantile(q) for q in (0.01, 0.25, 0.26, 0.75, 0.76)] == [1, 1, 3, 3, inf]
    for n in (1, 3, 1_000_000):
        spread = Sample([(1.0, n)]).spread(0.99, up=True)
        assert sum(spread.values()) == pytest.approx(1)


def test_shares() -> None:
    """An example of Newcombe's: 56/70 and 48/80, 95 %."""
    assert interval_of_share((56, 70), (48, 80), 0.05) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert interval_of_share((0, 10), (0, 10), 0.05) == pytest.approx((-0.2775, 0.2775), abs=5e-5)
    low, high = interval_of_share((600, 600), (600, 600), 0.05)
    assert -0.01 < low < 0 < high < 0.01


# ---- how it looks -------------------------------------------------------------------------------


def test_the_table() -> None:
    a, b = run(1, 900, factor=1.2, slow=stalled), run(2, 900)
    compared, _ = compare({"m\x1b[2J|*x*": a, "y": b}, {"m\x1b[2J|*x*": b, "y": b}, Tolerance())
    for width in (200, 80, 60, 40, 20):
        shown = [line for line, _ in lines(compared, width=width)]
        assert max(map(len, shown)) <= width
        assert "\x1b" not in "".join(shown)
        assert shown[0].startswith("m^[[2J|*x*")
    wide = [line for line, _ in lines(compared, width=80)]
    assert wide[1].split() == ["A", "B", "change", "interval", "verdict"]
    assert wide[2].startswith("ttft_ms.p50 ")
    assert wide[2].endswith("regression")
    marked = list(markdown(compared, by="model"))
    assert len(marked) == 2 + len(compared)
    assert {line.replace("\\|", "").count("|") for line in marked} == {8}
    assert "**regression**" in marked[2]
    told = complaints(compared)
    assert len(told) == len(regressions(compared))
    assert told[0].startswith("regression: m\x1b[2J|*x*: ttft_ms.p50 is ")
    assert told[0].endswith(" %, beyond 5 %")
    goodput = complaints(compare({"m": run(1, failing=0.3)}, {"m": b}, Tolerance(20, "ms"))[0])
    assert goodput[0].endswith(" points, beyond 1 point")
