"""The verdict of a report: --slo and --against on groups, as each of its forms shows it."""

from __future__ import annotations

from typing import Any

import pytest

from streamcli.errors import StreamError
from streamcli.report.against import Tolerance
from streamcli.report.figures import Figures
from streamcli.report.verdict import ReportVerdict
from streamcli.settings.quantities import Tolerance as ToleranceType


def figures(*ttfts: float | None, limits: dict[str, float] | None = None) -> Figures:
    """Figures of requests with these times to the first token; None is one that failed."""
    found = Figures(limits=limits)
    for ttft in ttfts:
        record: dict[str, Any] = {"status": "complete", "exit_code": 0}
        record["timings"] = {"ttft_ms": ttft, "duration_ms": ttft and ttft * 2}
        if ttft is None:
            record |= {"status": "provider", "exit_code": 15}
        found.add(record)
    return found


def judged(*slos: str, a: dict[str, Figures], b: dict[str, Figures] | None = None) -> ReportVerdict:
    verdict = ReportVerdict(slos)
    verdict.judge(a, b)
    return verdict


def test_without_either_there_is_no_verdict() -> None:
    verdict = judged(a={"m": figures(1, None)})
    assert not verdict.failed
    assert verdict.fields() == {}
    assert list(verdict.text(80)) == list(verdict.markdown("model")) == verdict.complaints() == []


def test_objectives_of_each_group() -> None:
    groups = {"fast": figures(*[100.0] * 99), "sl\x1b[2Jow": figures(*[100.0] * 90, *[700.0] * 9)}
    verdict = judged("ttft_ms.p99<500", "n>=99", a=groups)
    assert verdict.failed
    (line,) = verdict.complaints()
    assert line.startswith(
        "SLO missed: sl\x1b[2Jow: ttft_ms.p99 is 698, "
    )  # messages show it as ^[
    assert [each["met"] for each in verdict.fields()["slo"]] == [True, True, False, True]
    assert "\x1b" not in "".join(verdict.markdown("model"))
    assert list(verdict.markdown("model"))[1].startswith(
        r"* SLO missed\: sl^\[\[2Jow\: ttft\_ms.p99"
    )
    assert not judged("ttft_ms.p99<500", a={"fast": groups["fast"]}).failed


@pytest.mark.parametrize(
    ("slos", "line"),
    [
        (["ttft:500"], "goodput is 0.5 (2 of 4 prompts met ttft:500), not at least 1"),
        (["ttft:500", "goodput>=0.5"], None),
        (
            ["ttft_ms<100", "goodput>0"],
            "goodput is 0 (0 of 4 prompts met ttft_ms<100), not above 0",
        ),
        (["goodput>0.75"], "goodput is 0.75 (3 of 4 prompts were answered), not above 0.75"),
        (["failed<1"], "failed is 1, not below 1"),
        (["ttft_ms.max<=900"], None),
        (["ttft_ms.mean<366.6"], "ttft_ms.mean is 367, not below 366.6"),
        (["ttft_ms.mean<366.6666"], "ttft_ms.mean is 367, not below 366.6666"),
        (["ttft_ms.mean>366.7"], "ttft_ms.mean is 366.67, not above 366.7"),
        (["ttft_ms.mean<366.667"], None),
        (["tpot_ms.p50<5"], "tpot_ms.p50 is not known: none of 3 answers has it"),
        (["cost<5"], "cost is not known: none of 3 answers has it"),
    ],
)
def test_what_was_missed(slos: list[str], line: str | None) -> None:
    verdict = ReportVerdict(slos)
    verdict.judge({"m": figures(100.0, 100.0, 900.0, None, limits=verdict.limits)}, None)
    assert verdict.complaints() == ([f"SLO missed: {line}"] if line else [])


def test_failures_that_count_as_infinite() -> None:
    adjusted = Figures(adjusted=True)
    adjusted.add({"status": "provider", "exit_code": 15, "timings": {}})
    verdict = judged("ttft_ms.p99<500", a={"m": adjusted})
    assert verdict.complaints() == ["SLO missed: ttft_ms.p99 is inf, not below 500"]
    assert verdict.fields()["slo"][0]["value"] is None


def test_another_run() -> None:
    before = {"m": figures(*[100.0] * 100), "old": figures(1)}
    same = judged(a={"m": figures(*[101.0] * 100)}, b=before)
    assert not same.failed
    assert same.notes[0] == "in one of the runs only, not compared: old"
    assert "2 of 6 figures have no verdict" in same.notes[1]
    worse = judged("n>5", a={"m": figures(*[200.0] * 100)}, b=before)
    assert worse.failed
    assert worse.complaints()[0].startswith(
        "regression: ttft_ms.p50 is 200, was 100: +100 %, beyond 5 %"
    )
    assert {each["verdict"] for each in worse.fields()["against"]} >= {"regression", "too_few"}
    assert [line for line, _ in worse.text(80)][1] == "m"
    assert any("**regression**" in line for line in worse.markdown("model"))
    with pytest.raises(StreamError, match="nothing to compare"):
        judged(a={"x": figures(1)}, b=before)


def test_tolerances() -> None:
    convert = ToleranceType().convert
    assert convert("5%", None, None) == (0.05, "%")
    assert convert("0%", None, None) == (0, "%")
    assert convert("0", None, None) == (0, "%")
    assert convert("20ms", None, None) == (20, "ms")
    assert convert("0.5s", None, None) == (500, "ms")
    assert Tolerance(*convert("20ms", None, None)) == Tolerance(20, "ms")
    for text in ("5", "", "%", "ms", "-5%", "nan%", "inf%", "5 apples", "5%%", "0x5%"):
        with pytest.raises(Exception, match="neither a share like 5% nor a time like 20ms"):
            convert(text, None, None)
