"""The mode --report: from a real load to the table, and what it does with bad input."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from batchserver import BatchServer
from conftest import COMMAND, Popen, Stream
from ptys import Pty

ROW = b'{"type":"end","request_id":"%026d","status":"complete","exit_code":0,"provider":"vllm",'
ROW += b'"model":"qwen","timings":{"ttft_ms":%d,"ttfo_ms":%d,"duration_ms":1000,"chunks":1}}\n'


def records(count: int = 100) -> bytes:
    return b"".join(ROW % (number, number + 1, number + 1) for number in range(count))


@pytest.fixture
def load(tmp_path: Path) -> Path:
    path = tmp_path / "load.jsonl"
    path.write_bytes(records())
    return path


def test_from_a_load_to_its_report(stream: Stream, tmp_path: Path) -> None:
    with BatchServer() as server:
        at = ("-m", "vllm:m", "--base-url", server.base, "--repeat", "200", "-j", "20")
        run = stream(*at, "--events", "load.jsonl", "--jsonl", "Tell me a joke")
    assert run.returncode == 0
    (tmp_path / "jsonl").write_bytes(run.stdout)
    report = stream("--report", "load.jsonl")
    assert (report.returncode, report.stderr) == (0, "")
    assert report.text.splitlines()[1].startswith("vllm:m   200   200 ")
    value = json.loads(stream("--report", "--json", "load.jsonl").stdout)
    (group,) = value["groups"]
    assert group["icl_upper_bound"] is False, "the deltas say the gaps"
    ends = [each for each in run.records if each["type"] == "end"]
    summary = run.records[-1]
    for metric in ("ttft_ms", "duration_ms"):
        values = sorted(each["timings"][metric] for each in ends)
        for name, rank in (("p50", 99), ("p90", 179), ("p99", 197), ("max", 199)):
            figure = group["percentiles"][metric][name]
            assert figure == pytest.approx(values[rank], rel=0.0101)
        # The summary has the same percentiles, of times that are not rounded yet.
        told = summary["percentiles"][metric]["p50"]
        assert group["percentiles"][metric]["p50"] == pytest.approx(told, rel=0.021, abs=0.1)
    assert group["usage"]["output_tokens"] == summary["usage"]["output_tokens"]

    twice = stream("--report", "load.jsonl", "jsonl", "load.jsonl")
    assert twice.text == report.text
    assert twice.stderr == "stream: skipped 400 requests that were counted already\n"


def test_objectives_have_the_table_only(stream: Stream, load: Path) -> None:
    run = stream("--report", load, "--slo", "ttft_ms.p99<5")
    assert run.returncode == 29
    assert len(run.text.splitlines()) == 2
    assert run.complaints == ["stream: SLO missed: ttft_ms.p99 is 98, not below 5"]
    assert len(stream("--report", load, "--slo", "n>5", "-v").text.splitlines()) > 5


def test_records_on_stdin(stream: Stream, load: Path) -> None:
    for words, stdin in (((), records()), (("-",), records()), ((load,), None)):
        run = stream("--report", *words, stdin=stdin)
        assert (run.returncode, run.stderr) == (0, "")
        assert run.text.splitlines()[1].startswith("vllm:qwen   100   100 ")
    with open(load, "rb") as file:
        assert stream("--report", stdin=file).text == run.text


def test_what_is_skipped_is_said_once(stream: Stream, load: Path) -> None:
    junk = b'text\n{"type":"end","req\n' + records(2) + b'{"type":"start","request_id":"x"}\n'
    reused = b'{"type":"end","request_id":"r","status":"complete","reused_from":"q"}\n'
    run = stream("--report", load, "-", stdin=junk + reused)
    assert run.returncode == 0
    assert run.complaints == [
        "stream: skipped 1 torn line, 1 line that is not a record, 2 requests that were counted "
        "already, 1 request without an end, 1 answer from other records"
    ]
    assert stream("--report", "-q", load, "-", stdin=junk).stderr == ""


@pytest.mark.parametrize(
    ("args", "stdin", "message"),
    [
        (["--report"], None, "--report has no records to read: stream --report load.jsonl"),
        (["--report", "-n"], b"", "--report has no records to read: stream --report load.jsonl"),
        (["--report", "missing"], b"", "missing cannot be read: no such file or directory: check"),
        (["--report", "."], b"", ". cannot be read: is a directory: name a file in it"),
        (["--report"], b"", "stdin: no end records: records come with --json"),
        (["--report", "-", "-"], b"", "stdin can be read once, and is named twice"),
        (["--report", "-f", "x"], b"", "--report takes its files as words: leave -f out"),
        (["--by", "id", "x"], b"", "--by needs --report"),
        (["--adjusted", "x"], b"", "--adjusted needs --report"),
        (["--report", "--by", ""], b"", "--by names no field"),
        (["--report", "--chat"], b"", "--report and --chat exclude each other"),
        (["--report", "-L"], b"", "--report and --lines exclude each other"),
        (["--report", "--list-models"], b"", "--report and --list-models exclude each other"),
        (["--report=svg", "--json"], b"", "--report=svg and --format json exclude each other"),
        (["--report=pdf"], b"", "invalid value for '--report'"),
    ],
)
def test_mistakes_are_exit_2(
    stream: Stream, args: list[str], stdin: bytes | None, message: str
) -> None:
    run = stream(*args, stdin=stdin)
    assert (run.returncode, run.stdout) == (2, b"")
    (complaint,) = run.complaints
    assert complaint.startswith(f"stream: {message}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"type":"end","schema":"stream.records/9"}\n', "records of another version"),
        (b'{"type":"start","request_id":"x"}\n', "no request has ended"),
        (b'{"type":"end","request_id":"x","reused_from":"y"}\n', "every answer is from other"),
    ],
)
def test_nothing_to_measure_is_exit_2(stream: Stream, line: bytes, message: str) -> None:
    run = stream("--report", stdin=line)
    assert (run.returncode, run.stdout) == (2, b"")
    assert run.complaints[-1].startswith(f"stream: stdin: {message}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(records()), "is compressed: gzip -dc"),
        (json.dumps([*map(json.loads, records().splitlines())]).encode(), "is an array, not"),
        (json.dumps(json.loads(records(1)), indent=2).encode(), "has records of several lines: jq"),
        (b"\0\1", "no end records"),
    ],
)
def test_a_file_of_another_form_has_a_command(
    stream: Stream, tmp_path: Path, data: bytes, message: str
) -> None:
    (tmp_path / "load 1").write_bytes(data)
    run = stream("--report", "load 1")
    assert (run.returncode, run.stdout) == (2, b"")
    assert run.complaints[-1].startswith("stream: load 1")
    assert message in run.complaints[-1]
    assert ("'load 1' | stream --report" in run.complaints[-1]) == (data[0] > 0)


def test_a_field_that_no_record_has_is_noted(stream: Stream, load: Path) -> None:
    run = stream("--report", "--by", "nosuch", load)
    assert run.returncode == 0
    assert run.complaints == ["stream: no record has nosuch, so all requests are in one group"]
    assert stream("--report", "--by", "status", load).stderr == ""


def test_a_report_in_a_file_is_never_half(stream: Stream, load: Path, tmp_path: Path) -> None:
    for kind, begins in (("text", "model"), ("md", "| model"), ("svg", "<svg")):
        run = stream(f"--report={kind}", load, "-O", "report")
        assert (run.returncode, run.stdout, run.stderr) == (0, b"", "")
        assert (tmp_path / "report").read_text().startswith(begins)
    run = stream("--report", "--json", load, "-O", "-")
    assert json.loads(run.stdout)["type"] == "report"
    assert stream("--report", "/dev/null", "-O", "report").returncode == 2
    assert (tmp_path / "report").read_text().startswith("<svg"), "what was there stays"
    assert stream("--report", load, "-O", "no/report").returncode == 23
    assert sorted(os.listdir(tmp_path)) == ["load.jsonl", "report"]


def test_a_full_disk_is_exit_23(stream: Stream, load: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "wb") as full:
        run = stream("--report", load, stdout=full)
    assert run.returncode == 23
    (complaint,) = run.complaints
    assert complaint.startswith("stream: stdout cannot be written: no space left")


def test_a_signal_ends_it(popen: Popen) -> None:
    process = popen("--report", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(records(10_000))  # more than a pipe holds: it is reading
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == -signal.SIGINT
    process.stdin.close()


def test_a_reader_that_goes_is_sigpipe(stream: Stream, load: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as pipe:
        run = stream("--report", load, stdout=pipe)
    assert run.returncode == -signal.SIGPIPE


@pytest.mark.parametrize(
    ("columns", "term", "extra", "bold"),
    [
        (80, "xterm-256color", {}, True),
        (40, "xterm-256color", {}, True),
        (200, "xterm-256color", {}, True),
        (80, "dumb", {}, False),
        (80, "xterm-256color", {"NO_COLOR": "1"}, False),
    ],
)
def test_on_a_terminal(
    child_env: dict[str, str],
    tmp_path: Path,
    load: Path,
    columns: int,
    term: str,
    extra: dict[str, str],
    bold: bool,
) -> None:
    command = [*COMMAND, "--report", str(load)]
    screen = Pty(command, child_env | extra, tmp_path, term=term, columns=columns)
    try:
        code, lines = screen.end()
    finally:
        screen.close()
    assert code == 0
    assert lines[0].split()[:5] == ["model", "n", "ok", "TTFT", "p50"]
    assert lines[1].split()[:3] == ["vllm:qwen", "100", "100"]
    assert lines[3:5] == ["vllm:qwen", "100 of 100 ok, goodput 100 %"]
    rows = {line.split()[0]: line.split()[1:5] for line in lines[6:] if line[0] != " "}
    assert [*map(float, rows["TTFT"])] == pytest.approx([50, 90, 99, 100], rel=0.0101)
    assert rows["duration"] == ["997", "997", "997", "1"], "1 000, within 1 %"
    assert (b"\x1b[1m" in screen.raw) == bold
    assert screen.raw.count(b"\x1b") == (4 * 2 - 2 if bold else 0)


def test_hostile_names_and_values(stream: Stream) -> None:
    strange: list[Any] = [
        {"model": "\x1b[2J[bold]\u202e|", "timings": {"ttft_ms": "12", "duration_ms": -5}},
        {"model": "x" * 100_000, "timings": {"ttft_ms": 1e300, "chunks": 1 << 80}},
        {"model": {"a": 1}, "status": 5, "exit_code": None, "timings": [], "usage": 7},
        {"model": "ok", "status": "new_status", "exit_code": 99, "timings": {"ttft_ms": 5}},
    ]
    lines = [
        json.dumps({"type": "end", "request_id": f"r{number}", "status": "complete", **each})
        for number, each in enumerate(strange)
    ]
    data = "\n".join(lines).encode()
    for kind in ("--report", "--report=md", "--report=svg"):
        run = stream(kind, stdin=data)
        assert (run.returncode, run.stderr) == (0, "")
        assert b"\x1b" not in run.stdout
        assert "\u202e" not in run.text
    groups = json.loads(stream("--report", "--json", stdin=data).stdout)["groups"]
    assert sorted(len(group["group"]) for group in groups) == [1, 2, 12, 200]
    assert {group["n"] for group in groups} == {1}
