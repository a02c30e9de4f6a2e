"""--report with --slo and --against: exit 29, and what stdout and stderr say."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from conftest import Stream


def run_of(path: Path, seed: int, n: int = 100, *, slower: float = 1.0, model: str = "m") -> None:
    """Write the records of a run: one in fifty fails."""
    rng = random.Random(seed)
    with path.open("w") as file:
        for number in range(n):
            failed = number % 50 == 49
            ttft = round(rng.lognormvariate(5, 0.3) * slower, 1)
            record = {
                "type": "end",
                "request_id": f"01{seed:04d}{number:020d}",
                "schema": "stream.records/1",
                "ts": f"2026-01-01T00:00:{number % 60:02d}.000Z",
                "provider": "vllm",
                "model": model,
                "status": "provider" if failed else "complete",
                "exit_code": 15 if failed else 0,
                "timings": {"ttft_ms": ttft, "duration_ms": ttft * 3, "queue_ms": 5.0},
            }
            file.write(json.dumps(record, separators=(",", ":")) + "\n")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    run_of(tmp_path / "main.jsonl", 1)
    run_of(tmp_path / "same.jsonl", 2)
    run_of(tmp_path / "slow.jsonl", 3, slower=1.5)
    run_of(tmp_path / "other.jsonl", 4, model="other")
    return tmp_path


def test_objectives(stream: Stream, runs: Path) -> None:
    met = ("--slo", "ttft_ms.p99<1s", "--slo", "goodput>=98%", "--slo", "wait_ms.p50>100")
    run = stream("--report", *met, "main.jsonl")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.text.startswith("model ")
    missed = stream("--report", *met, "--slo", "ttft_ms.p99<100", "main.jsonl")
    assert missed.returncode == 29
    assert missed.text == run.text
    (line,) = missed.complaints
    assert line.startswith("stream: SLO missed: ttft_ms.p99 is ")
    assert line.endswith(", not below 100")


def test_objectives_of_each_group(stream: Stream, runs: Path) -> None:
    files = ("main.jsonl", "other.jsonl")
    run = stream("--report", "--slo", "n>=100", "--slo", "failed<1", *files)
    assert run.returncode == 29
    assert run.complaints == [
        "stream: SLO missed: vllm:m: failed is 2, not below 1",
        "stream: SLO missed: vllm:other: failed is 2, not below 1",
    ]
    by = stream("--report", "--by", "status", "--slo", "failed<1", *files)
    assert by.complaints == ["stream: SLO missed: provider: failed is 4, not below 1"]


def test_goodput_is_that_of_the_objectives(stream: Stream, runs: Path) -> None:
    """A bound on each prompt decides which ones are good, in the report's own figure too."""
    run = stream("--report", "--json", "--slo", "ttft:150", "--slo", "goodput>0.9", "main.jsonl")
    assert run.returncode == 29
    report = json.loads(run.text)
    goodput = report["groups"][0]["goodput"]
    assert 0.2 < goodput < 0.9
    assert report["slo"] == [
        {"slo": "goodput>0.9", "group": "vllm:m", "value": goodput, "met": False}
    ]
    assert "against" not in report


def test_an_equal_run(stream: Stream, runs: Path) -> None:
    for a, b in (("same.jsonl", "main.jsonl"), ("main.jsonl", "main.jsonl")):
        run = stream("--report", a, "--against", b)
        assert run.returncode == 0
        assert run.complaints == [
            "stream: 2 of 6 figures have no verdict: it takes up to 546 answers of each run"
        ]
        rows = run.text[run.text.index("\nvllm:m\n   ") :].splitlines()[3:]
        assert [row.split()[0] for row in rows] == [
            *("ttft_ms.p50", "ttft_ms.p90", "ttft_ms.p99", "duration_ms.p50", "duration_ms.p99"),
            *("goodput", "queue_ms.p99"),
        ]


def test_a_regression(stream: Stream, runs: Path) -> None:
    run = stream("--report", "slow.jsonl", "--against", "main.jsonl", "-q")
    assert run.returncode == 29
    assert run.complaints[0].startswith("stream: regression: ttft_ms.p50 is ")
    assert run.complaints[0].endswith(", beyond 5 %")
    wide = stream("--report", "slow.jsonl", "--against", "main.jsonl", "--tolerance", "2s")
    assert wide.returncode == 0
    as_json = stream("--report", "--json", "slow.jsonl", "--against", "main.jsonl")
    rows = {row["figure"]: row for row in json.loads(as_json.text)["against"]}
    assert rows["ttft_ms.p50"]["verdict"] == "regression"
    low, high = rows["ttft_ms.p50"]["interval"]
    assert 0.05 < low < rows["ttft_ms.p50"]["change"] < high
    assert rows["ttft_ms.p99"]["verdict"] == "too_few"
    assert rows["queue_ms.p99"]["interval"] is None
    in_markdown = stream("--report=md", "slow.jsonl", "--against", "main.jsonl", "--slo", "n>1k")
    assert "| **regression** |" in in_markdown.text
    assert in_markdown.text.endswith("\n* SLO missed\\: n is 100, not above 1000\n")


def test_several_files_are_one_run(stream: Stream, runs: Path) -> None:
    args = ("main.jsonl", "same.jsonl", "--against", "slow.jsonl", "--against", "same.jsonl")
    run = stream("--report", "--json", *args)
    assert run.returncode == 0
    assert json.loads(run.text)["groups"][0]["n"] == 200


def test_a_run_from_stdin(stream: Stream, runs: Path) -> None:
    slow = (runs / "slow.jsonl").read_bytes()
    for args in (
        ("--report", "--against", "main.jsonl"),
        ("--report", "-", "--against=main.jsonl"),
    ):
        assert stream(*args, stdin=slow).returncode == 29
    assert stream("--report", "main.jsonl", "--against", "-", stdin=slow).returncode == 0
    twice = stream("--report", "-", "--against", "-", stdin=slow)
    assert twice.returncode == 2
    assert "stdin can be read once" in twice.complaints[0]
    assert stream("--report", "--against", "-", stdin=slow).returncode == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("main.jsonl", "--against", "other.jsonl", "--slo", "x<1"), "there is no figure 'x'"),
        (("main.jsonl", "--against", "absent.jsonl"), "absent.jsonl"),
        (("main.jsonl", "--against", "empty.jsonl"), "empty.jsonl: no end records"),
        (("empty.jsonl", "--slo", "n>=0"), "empty.jsonl: no end records"),
        (("main.jsonl", "--against", ""), "--against is empty"),
        (("main.jsonl", "--tolerance", "5%"), "--tolerance needs --against"),
        (("main.jsonl", "--against", "same.jsonl", "--tolerance", "5"), "neither a share like 5%"),
        (("both.jsonl", "--against", "other2.jsonl"), "there is nothing to compare"),
    ],
)
def test_mistakes(stream: Stream, runs: Path, args: tuple[str, ...], words: str) -> None:
    (runs / "empty.jsonl").touch()
    run_of(runs / "other2.jsonl", 5, model="a\x1b[2J")
    joined = (runs / "main.jsonl").read_bytes() + (runs / "other.jsonl").read_bytes()
    (runs / "both.jsonl").write_bytes(joined)
    run = stream("--report", *args)
    assert run.returncode == 2
    assert words in run.complaints[0]
    assert "\x1b" not in run.stderr
    assert run.text == ""


@pytest.mark.parametrize("args", [("--against", "main.jsonl"), ("--tolerance", "5%")])
def test_without_a_report(stream: Stream, runs: Path, args: tuple[str, ...]) -> None:
    run = stream(*args, "hi")
    assert run.returncode == 2
    assert run.complaints[0].startswith(f"stream: {args[0]} needs --report")


def test_models_of_other_names(stream: Stream, runs: Path) -> None:
    run = stream("--report", "other.jsonl", "--against", "main.jsonl")
    assert run.returncode == 0
    assert "\nvllm:other against vllm:m\n" in run.text
    both = stream("--report", "other.jsonl", "main.jsonl", "--against", "main.jsonl")
    assert "in one of the runs only, not compared: vllm:other" in both.stderr
