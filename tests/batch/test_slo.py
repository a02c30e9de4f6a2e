"""--slo at the end of a batch: exit 29, a line for each objective missed, and the summary."""

from __future__ import annotations

import json
import signal
import threading
from typing import Any

import pytest
from batchserver import Act, BatchServer, by_word
from conftest import Popen, Result, Stream, eventually
from records import check, of_type, parse_records

from streamcli.report.figures import Figures
from streamcli.report.objective import limits, parse
from streamcli.report.slo import judge

EASY = ("--slo", "ttft_ms.p99<10m", "--slo", "goodput>=40%", "--slo", "n>=5")
HARD = ("--slo", "ttft_ms.p99<1us")


def asked(stream: Stream, server: BatchServer, *args: Any, prompts: str = "p\n" * 5) -> Result:
    at = ("-m", "vllm:m", "--base-url", server.base, "--max-retries", "0")
    return stream(*at, "-L", "--jsonl", *args, stdin=prompts.encode())


def test_objectives_that_are_met(stream: Stream) -> None:
    with BatchServer() as server:
        run = asked(stream, server, *EASY)
    check(run.records)
    assert (run.returncode, run.stderr) == (0, "")
    summary = run.records[-1]
    assert summary["exit_code"] == 0
    assert [(each["slo"], each["group"], each["met"]) for each in summary["slo"]] == [
        ("ttft_ms.p99<10m", "vllm:m", True),
        ("goodput>=40%", "vllm:m", True),
        ("n>=5", "vllm:m", True),
    ]
    assert summary["slo"][1]["value"] == 1


def test_each_objective_that_was_missed_has_a_line(stream: Stream) -> None:
    with BatchServer() as server:
        run = asked(stream, server, *HARD, *EASY, "--slo", "n>1k")
    check(run.records)
    assert run.returncode == 29
    first, second = run.complaints
    assert first.startswith("stream: SLO missed: ttft_ms.p99 is ")
    assert first.endswith(", not below 0.001")
    assert second == "stream: SLO missed: n is 5, not above 1000"
    summary = run.records[-1]
    assert summary["exit_code"] == 29
    assert [each["met"] for each in summary["slo"]] == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("slo", "code", "line"),
    [
        ("goodput>=0.6", 20, ""),
        ("goodput>0.6", 29, "goodput is 0.6 (3 of 5 prompts were answered), not above 0.6"),
        ("ttft:10m goodput:1", 2, ""),
        ("ttft:10m", 29, "goodput is 0.6 (3 of 5 prompts met ttft:10m), not at least 1"),
        ("failed<=1", 29, "failed is 2, not at most 1"),
    ],
)
def test_prompts_that_failed(stream: Stream, slo: str, code: int, line: str) -> None:
    """29 says that an objective was missed; 20 that prompts failed, and none was."""
    with BatchServer(by_word) as server:
        run = asked(stream, server, "--slo", slo, prompts="a\n500 b\nc\n400 d\ne\n")
    assert run.returncode == code
    assert [each for each in run.complaints if "SLO" in each] == (
        [f"stream: SLO missed: {line}"] if line else []
    )
    if code != 2:
        assert "stream: 2 of 5 prompts failed" in run.stderr


def test_a_figure_that_is_not_known_is_missed(stream: Stream) -> None:
    slos = ("--slo", "ttft_ms.p99<10m", "--slo", "queue_ms.p99<10m")
    with BatchServer(by_word) as server:
        failed = asked(stream, server, *slos, prompts="500 a\n500 b\n")
        no_rate = asked(stream, server, *slos)
        nothing = asked(stream, server, *slos, prompts="")
    for run, missed in (
        (failed, ["ttft_ms.p99 is not known: none of 2 prompts was answered"]),
        (no_rate, ["queue_ms.p99 is not known: none of 5 answers has it"]),
        (nothing, ["ttft_ms.p99 is not known: there was no prompt to measure"]),
    ):
        check(run.records)
        assert run.returncode == 29
        for words in missed:
            assert f"stream: SLO missed: {words}" in run.complaints
        assert None in [each["value"] for each in run.records[-1]["slo"]]


def test_a_single_prompt_is_a_batch_of_one(stream: Stream) -> None:
    with BatchServer() as server:
        at = ("-m", "vllm:m", "--base-url", server.base)
        good = stream(*at, "--slo", "e2el:10m", "p")
        slow = stream(*at, "--slo", "e2el:1us", "p")
    assert (good.returncode, good.text) == (0, "answer to <p> done\n")
    assert slow.returncode == 29
    assert slow.text == good.text
    words = "goodput is 0 (0 of 1 prompts met e2el:1us), not at least 1"
    assert slow.complaints == [f"stream: SLO missed: {words}"]


def test_each_model_is_judged(stream: Stream) -> None:
    with BatchServer() as server:
        args = ("-m", "vllm:one", "-m", "vllm:two\x1b[2J", "--base-url", server.base)
        run = stream(*args, "--json", "--events", "e.jsonl", *HARD, "p")
    assert run.returncode == 29
    assert [line.split(" is ")[0] for line in run.complaints if "SLO" in line] == [
        "stream: SLO missed: vllm:one: ttft_ms.p99",
        "stream: SLO missed: vllm:two^[[2J: ttft_ms.p99",
    ]


def test_a_report_on_the_records_has_the_same_verdict(stream: Stream) -> None:
    texts = ["ttft:3ms", "tpot:10m", "goodput>=0", "duration_ms.p50<3ms", "tokens_per_second.p50>1"]
    texts += ["output_tokens>=12", "request_throughput>0", "icl_ms.max<10m", "attempts<=6"]
    with BatchServer(by_word) as server:
        slos = [word for text in texts for word in ("--slo", text)]
        run = asked(stream, server, *slos, prompts="a\n500 b\nc\nd\n")
    objectives = parse(texts)
    figures = Figures(limits=limits(objectives))
    for end in of_type(run.records, "end"):
        figures.add(end)
    for told, judged in zip(
        run.records[-1]["slo"], judge(objectives, {"vllm:m": figures}), strict=True
    ):
        again = judged.record()
        if not told["slo"].startswith(("request_throughput", "icl_ms")):
            assert told == again
        assert told["met"] == again["met"]


def test_a_report_on_the_records_has_the_percentiles_of_the_summary(stream: Stream) -> None:
    """Answers that broke off had tokens, and a time: they are in neither."""

    def plan(prompt: str, before: int) -> Act:
        return Act(end="cut" if prompt == "cut" else "length" if prompt == "long" else "whole")

    with BatchServer(plan) as server:
        run = asked(stream, server, prompts="cut\nlong\n" * 3 + "p\n" * 10)
        accepted = asked(stream, server, "--accept", "length", prompts="cut\nlong\n" * 3)
    for each, counted in ((run, 10), (accepted, 3)):
        percentiles = each.records[-1]["percentiles"]
        report = json.loads(stream("--report", "--json", stdin=each.stdout).stdout)
        (group,) = report["groups"]
        assert group["ok"] == counted
        for metric in ("ttft_ms", "ttfo_ms", "duration_ms"):
            for name, value in percentiles[metric].items():
                figure = group["percentiles"][metric][name]
                assert figure == pytest.approx(value, rel=0.021, abs=0.1)


def test_nothing_is_asked_if_an_objective_is_none(stream: Stream) -> None:
    with BatchServer() as server:
        for texts in (["ttft_ms.p99"], ["goodput"], ["ttft.p99<1", "ttft.p99>2"], ["x\x1b[2J<1"]):
            run = asked(stream, server, *(f"--slo={text}" for text in texts))
            check(run.records)
            assert run.returncode == 2
            assert run.complaints[0].startswith("stream: --slo")
            assert "\x1b" not in run.stderr
        assert not server.asked


def test_a_run_that_was_stopped_is_not_judged(popen: Popen) -> None:
    go = threading.Event()

    def plan(prompt: str, before: int) -> Act:
        if prompt == "late":
            go.wait(60)
        return Act()

    with BatchServer(plan) as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "-L", "--jsonl", "-j", "1", *HARD)
        process = popen(*args, stdin=-1)
        process.stdin.write(b"p\nlate\n")
        process.stdin.close()
        assert eventually(lambda: server.count("late"))
        process.send_signal(signal.SIGINT)
        records = parse_records(process.stdout.read())
        complaints = process.stderr.read().decode()
        go.set()
        assert process.wait(60) == -signal.SIGINT
    check(records)
    assert records[-1]["type"] == "summary"
    assert "slo" not in records[-1]
    assert "SLO" not in complaints


def test_a_stall_is_felt_by_those_behind_it(stream: Stream) -> None:
    """Ten prompts a second, two at once, and a server that stalls for 2 s.

    A closed loop asks less while the server stalls, and sees two slow answers. The schedule shows
    that ten more waited. Bounds from below only: a busy machine makes it worse.
    """

    def plan(prompt: str, before: int) -> Act:
        return Act(wait=2.0 if prompt.startswith("stall") else 0.0)

    prompts = "stall\n" * 2 + "p\n" * 18
    with BatchServer(plan) as server:
        slos = ("--slo", "wait_ms.p50>=1s", "--slo", "wait_ms.p99>=1s", "--slo", "queue_ms.p90>=1s")
        run = asked(stream, server, "--rate", "10/s", "-j", "2", *slos, prompts=prompts)
    assert run.returncode == 0
    waits = [end["timings"]["queue_ms"] for end in of_type(run.records, "end")]
    assert sum(wait >= 1000 for wait in waits) >= 8
