"""The speed table: `stream` against its peers, in ratios, in paired runs on one machine.

`python tests/bench/bench.py [ROW ...]` runs the rows named (all by default) and prints each figure
beside its target. Peers run against the same loopback server (server.py), in its own process.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from measure import (
    Cannot,
    Command,
    OutOfTime,
    Used,
    check_accounting,
    into_pipe,
    lags,
    left,
    median,
    output,
    paired,
    percentile,
    shell,
    used,
)

PYTHON = sys.executable
STREAM = [PYTHON, "-m", "streamcli", "-m", "vllm:m"]
BARE_IMPORTS = "import sys; sys.modules['httpx._main']=None; import click, orjson, httpx, httpcore"
SED = ["sed", "-un", r"/^data: \[DONE\]/d; s/^data: //p"]
JQ = ["jq", "--unbuffered", "-rj", ".choices[0].delta.content // empty"]
JQ_ALONE = [
    "jq",
    "--unbuffered",
    "-Rrj",
    'select(startswith("data: {")) | .[6:] | fromjson | .choices[0].delta.content // empty',
]
OPENAI_SDK = """
import sys, openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="none")
messages = [{"role": "user", "content": "hello"}]
options = {"include_usage": True}
for chunk in client.chat.completions.create(
    model="m", messages=messages, stream=True, stream_options=options
):
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)
"""
BODY = json.dumps(
    {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
)
NOT_AT_START = {"httpx", "rich", "ssl", "asyncio"}
FLOOD = 100_000
FEW = 10_000
STAMPS, EVERY_MS = 1000, 2
Peers = dict[str, Command]


class Figure(NamedTuple):
    what: str
    value: float
    unit: str
    target: str  # "<= 1.25", ">= 25"; "" for a figure that is only told

    def reached(self) -> bool | None:
        if not self.target:
            return None
        sign, limit = self.target.split()
        return self.value <= float(limit) if sign == "<=" else self.value >= float(limit)


class Bench(NamedTuple):
    """What a row is run with."""

    base: str  # URL of the server
    env: Mapping[str, str]
    peers_python: str | None
    runs: int | None
    most: int  # deltas of the long memory run
    deadline: float = 0.0

    def url(self, traffic: str) -> str:
        return f"{self.base}/{traffic}/v1"

    def output(self, command: Command) -> bytes:
        return output(command, self.env, self.deadline)

    def paired(self, commands: Mapping[str, Command], runs: int) -> dict[str, list[Used]]:
        return paired(commands, self.runs or runs, self.env, self.deadline)


class Report:
    """What a row found: raw runs, the figures with a target, and remarks."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.runs: dict[str, list[Any]] = {}
        self.figures: list[Figure] = []
        self.notes: list[str] = []

    def ratio(self, what: str, over: str, under: str, field: str, target: str = "") -> None:
        """Ratio of the medians of `field`, if both were run."""
        if over in self.runs and under in self.runs:
            value = self.median(over, field) / self.median(under, field)
            self.figures.append(Figure(what, value, "x", target))

    def median(self, case: str, field: str) -> float:
        return median([run._asdict()[field] for run in self.runs[case]])


class Lag(NamedTuple):
    p50: float  # microseconds
    p99: float


def curl(url: str) -> list[str]:
    command = ["curl", "-q", "-sSN", "-H", "content-type: application/json", "-d", BODY]
    return [*command, f"{url}/chat/completions"]


def curl_sed_jq(url: str) -> list[str]:
    return shell(curl(url), SED, JQ)


def curl_jq(url: str) -> list[str]:
    return shell(curl(url), JQ_ALONE)


def stream(url: str, *options: str) -> list[str]:
    return [*STREAM, "--base-url", url, *options, "hello"]


def python_peers(bench: Bench, url: str, report: Report) -> Peers:
    """`llm` and the openai SDK, if BENCH_PEERS_PYTHON names an interpreter that has them."""
    if not bench.peers_python:
        report.notes.append("llm, openai SDK: skipped, BENCH_PEERS_PYTHON is not set")
        return {}
    # llm reads YAML, of which JSON is a part; its folder is a temporary one.
    folder = Path(bench.env["LLM_USER_PATH"])
    folder.mkdir(exist_ok=True)
    model = {"model_id": "m", "model_name": "m", "api_base": url}
    (folder / "extra-openai-models.yaml").write_text(json.dumps([model]))
    run = bench.peers_python
    known: Peers = {
        "openai": [run, "-c", OPENAI_SDK, url],
        "llm": [run, "-m", "llm", "prompt", "--no-log", "-m", "m", "hello"],
    }
    found: Peers = {}
    for name, command in known.items():
        try:
            bench.output([run, "-c", f"import {name}"])
            found[f"{name} SDK" if name == "openai" else name] = command
        except Cannot as reason:
            report.notes.append(f"{name}: skipped, {reason}")
    return found


def with_stream(bench: Bench, report: Report, commands: Peers, peers: Peers) -> Peers:
    """`commands` (ours) and `peers`, in the order they run; ours only if `stream` is there."""
    try:
        bench.output([PYTHON, "-m", "streamcli", "--version"])
    except Cannot as reason:
        report.notes.append(f"stream: cannot be run, peers only: {reason}")
        return peers
    return {**commands, **peers}


def start_prompt(bench: Bench) -> Report:
    report = Report("one short prompt over http, whole process")
    url = bench.url("short")
    peers: Peers = {
        "bare imports": [PYTHON, "-c", BARE_IMPORTS],
        "bare python": [PYTHON, "-c", "pass"],
        "curl|sed|jq": curl_sed_jq(url),
        "curl|jq": curl_jq(url),
        **python_peers(bench, url, report),
    }
    commands = with_stream(bench, report, {"stream": stream(url)}, peers)
    answer = bench.output(curl_sed_jq(url))
    for name, command in commands.items():  # this also warms up the bytecode
        written = bench.output(command)
        if "bare" not in name and written.rstrip(b"\n") != answer:
            raise Cannot(f"{name} printed {written[:60]!r}, curl|sed|jq {answer[:60]!r}")
    report.runs.update(bench.paired(commands, 11))
    report.ratio("stream / bare imports, wall", "stream", "bare imports", "wall", "<= 1.25")
    report.ratio("stream / bare imports, CPU", "stream", "bare imports", "cpu", "<= 1.25")
    report.ratio("llm / stream, wall", "llm", "stream", "wall", ">= 5")
    return report


def start_help(bench: Bench) -> Report:
    report = Report("--help, --version and (if there is one) --dry-run")
    ours: Peers = {
        "--help": [PYTHON, "-m", "streamcli", "--help"],
        "--version": [PYTHON, "-m", "streamcli", "--version"],
        "--dry-run": stream("http://127.0.0.1:9/v1", "--dry-run"),
    }
    commands = with_stream(bench, report, ours, {"import click": [PYTHON, "-c", "import click"]})
    if "--help" in commands and b"--dry-run" not in bench.output(ours["--help"]):
        del commands["--dry-run"]
        report.notes.append("--dry-run: not in --help, skipped")
    loaded: dict[str, list[str]] = {}
    for name, command in commands.items():
        bench.output(command)
        if name in ours:
            loaded[name] = heavy_imports(bench, command)
    report.runs.update(bench.paired(commands, 15))
    for name, heavy in loaded.items():
        report.ratio(f"{name} / import click, wall", name, "import click", "wall", "<= 1.5")
        what = f"{name}: heavy imports ({', '.join(heavy) or 'none'})"
        report.figures.append(Figure(what, len(heavy), "", "<= 0"))
    return report


def heavy_imports(bench: Bench, command: Command) -> list[str]:
    """Which of NOT_AT_START the command imports."""
    told = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]],
        env=bench.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=left(bench.deadline),
    ).stderr.decode(errors="replace")
    lines = [line for line in told.splitlines() if line.startswith("import time:")]
    return sorted(NOT_AT_START & {line.rpartition("|")[2].strip() for line in lines})


def flood_text(bench: Bench) -> Report:
    return flood(bench, f"flood/{FLOOD}", ">= 25")


def flood_each(bench: Bench) -> Report:
    return flood(bench, f"each/{FLOOD}", "")


def flood_padded(bench: Bench) -> Report:
    return flood(bench, f"padded/{FLOOD}", "")


def flood(bench: Bench, traffic: str, target: str) -> Report:
    report = Report(f"{FLOOD:,} deltas, text into a pipe")
    url = bench.url(traffic)
    python = python_peers(bench, url, report)
    peers: Peers = {"curl|sed|jq": curl_sed_jq(url), "curl|jq": curl_jq(url)}
    commands = with_stream(bench, report, {"stream": stream(url)}, peers)
    same_text({name: bench.output(command) for name, command in commands.items()})
    report.runs.update(bench.paired({n: into_pipe(c) for n, c in commands.items()}, 3))
    report.ratio("curl|sed|jq / stream, CPU", "curl|sed|jq", "stream", "cpu", target)
    report.ratio("curl|jq / stream, CPU", "curl|jq", "stream", "cpu")
    for name, command in python.items():
        try:
            report.runs[name] = [used(into_pipe(command), bench.env, bench.deadline)]
            report.notes.append(f"{name}: one run, for orientation")
        except Cannot as reason:
            report.notes.append(f"{name}: no figure, {reason}")
    return report


def flood_jsonl(bench: Bench) -> Report:
    report = Report(f"{FLOOD:,} deltas, records with timings; the peers print only the text")
    url = bench.url(f"flood/{FLOOD}")
    ours = stream(url, "--jsonl")
    peers: Peers = {"curl|sed|jq": curl_sed_jq(url), "curl|jq": curl_jq(url)}
    commands = with_stream(bench, report, {"stream --jsonl": ours}, peers)
    texts = {"curl|jq": bench.output(curl_jq(url))}
    if "stream --jsonl" in commands:
        texts["stream --jsonl"] = text_of(bench.output(ours), report)
    same_text(texts)
    report.runs.update(bench.paired({n: into_pipe(c) for n, c in commands.items()}, 3))
    report.ratio("curl|sed|jq / stream, CPU", "curl|sed|jq", "stream --jsonl", "cpu", ">= 10")
    report.ratio("curl|jq / stream, CPU", "curl|jq", "stream --jsonl", "cpu")
    return report


def text_of(records: bytes, report: Report) -> bytes:
    """The text that the records carry; Cannot unless the last one is a complete end."""
    parsed = [json.loads(line) for line in records.splitlines()]
    if not parsed or parsed[-1]["type"] != "end" or not parsed[-1]["complete"]:
        raise Cannot("stream --jsonl: the last record is not a complete end")
    deltas = [one for one in parsed if one["type"] == "delta" and one["channel"] == "text"]
    report.notes.append(f"stream --jsonl: {len(deltas):,} delta records, {len(records):,} bytes")
    return "".join(one["text"] for one in deltas).encode()


def same_text(texts: Mapping[str, bytes]) -> None:
    """Nothing is timed before all print the same bytes."""
    found = {name: hashlib.sha256(text).hexdigest()[:16] for name, text in texts.items()}
    if len(set(found.values())) > 1:
        raise Cannot(f"the outputs differ: {found}")


def memory(bench: Bench) -> Report:
    report = Report(f"peak memory at {bench.most:,} deltas over {FEW:,}")
    ours: Peers = {}
    options: dict[str, list[str]] = {"text": [], "jsonl": ["--jsonl"]}
    for form, extra in options.items():
        for count in (FEW, bench.most):
            command: Command = stream(bench.url(f"flood/{count}"), *extra)
            ours[f"{form} {count:,}"] = into_pipe(command)
    commands = with_stream(bench, report, ours, {})
    few = {name: command for name, command in commands.items() if name.endswith(f" {FEW:,}")}
    report.runs.update(bench.paired(few, 3))
    for name, command in commands.items():
        if name not in few:
            report.runs[name] = [used(command, bench.env, bench.deadline)]
            form = name.split()[0]
            growth = report.median(name, "peak") - report.median(f"{form} {FEW:,}", "peak")
            report.figures.append(Figure(f"{form}: growth", growth, "MiB", "<= 2"))
    return report


def latency(bench: Bench) -> Report:
    report = Report(
        f"{STAMPS} deltas {EVERY_MS} ms apart: from the server's stamp to readable here"
    )
    url = bench.url(f"stamp/{STAMPS}/{EVERY_MS}")
    peers: Peers = {"curl|sed|jq": curl_sed_jq(url), "curl|jq": curl_jq(url)}
    commands = with_stream(bench, report, {"stream": stream(url)}, peers)
    for run in range(bench.runs or 5):
        try:
            round_ = {name: lag_of(bench, command) for name, command in commands.items()}
        except OutOfTime:
            if run == 0:
                raise
            break
        for name, one in round_.items():
            report.runs.setdefault(name, []).append(one)
    report.ratio("stream / curl|sed|jq, p50", "stream", "curl|sed|jq", "p50", "<= 0.6")
    report.ratio("stream / curl|sed|jq, p99", "stream", "curl|sed|jq", "p99", "<= 1.0")
    report.ratio("stream / curl|jq, p50", "stream", "curl|jq", "p50")
    report.ratio("stream / curl|jq, p99", "stream", "curl|jq", "p99")
    return report


def lag_of(bench: Bench, command: Command) -> Lag:
    taken = [lag / 1000 for lag in lags(command, STAMPS, bench.env, bench.deadline)]
    return Lag(percentile(taken, 0.5), percentile(taken, 0.99))


class Row(NamedTuple):
    run: Callable[[Bench], Report]
    seconds: float


ROWS = {
    "start-prompt": Row(start_prompt, 20),
    "start-help": Row(start_help, 10),
    "flood-text": Row(flood_text, 55),
    "flood-jsonl": Row(flood_jsonl, 30),
    "memory": Row(memory, 25),
    "latency": Row(latency, 35),
}
EXTRA_ROWS = {  # only when named
    "flood-each": Row(flood_each, 55),
    "flood-padded": Row(flood_padded, 55),
}


@contextmanager
def serving() -> Iterator[str]:
    command = [PYTHON, str(Path(__file__).with_name("server.py")), "--port", "0"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def plain_environment(folder: str) -> dict[str, str]:
    """Ours without proxies, keys and anybody's configuration, the same for every program."""
    dropped = ("STREAM_", "OPENAI_", "VLLM_", "LLM_", "PYTHONDONTWRITEBYTECODE")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(dropped) and not name.lower().endswith("_proxy")
    }
    for kind in ("CONFIG", "STATE", "DATA", "CACHE"):
        kept[f"XDG_{kind}_HOME"] = folder
    return {**kept, "LLM_USER_PATH": os.path.join(folder, "llm"), "NO_PROXY": "127.0.0.1"}


def show(name: str, report: Report) -> None:
    print(f"\n{name}: {report.title}")
    for case, runs in report.runs.items():
        if isinstance(runs[0], Lag):
            p50, p99 = report.median(case, "p50"), report.median(case, "p99")
            wide = f"p50 {p50:7.0f} us   p99 {p99:7.0f} us"
        else:
            wall, cpu, peak = (report.median(case, field) for field in Used._fields)
            wide = f"wall {wall * 1000:8.1f} ms   CPU {cpu * 1000:8.1f} ms   peak {peak:6.1f} MiB"
        print(f"  {case:18} {wide}   median of {len(runs)}")
    for one in report.figures:
        value = f"{one.value:.2f} {one.unit}" if one.unit else f"{one.value:.0f}"
        goal = f"target {one.target} {one.unit}".rstrip() if one.target else ""
        verdict = {True: "reached", False: "NOT REACHED", None: "no target"}[one.reached()]
        print(f"  {one.what:42} {value:>10}   {goal:18} {verdict}")
    for note in report.notes:
        print(f"  - {note}")


def raw(report: Report) -> dict[str, Any]:
    figures = [{**one._asdict(), "reached": one.reached()} for one in report.figures]
    runs = {case: [run._asdict() for run in all_] for case, all_ in report.runs.items()}
    return {"title": report.title, "runs": runs, "figures": figures, "notes": report.notes}


def main() -> int:
    options = argparse.ArgumentParser(description="Ratios of stream against its peers.")
    options.add_argument("row", nargs="*", help=f"of {', '.join([*ROWS, *EXTRA_ROWS])}")
    options.add_argument("--json", metavar="FILE", help="the raw figures as JSON")
    options.add_argument("--full", action="store_true", help="memory at 10 000 000 deltas")
    options.add_argument("--runs", type=int, help="paired runs, instead of each row's own number")
    options.add_argument("--patience", type=float, default=1, help="times each row's time bound")
    given = options.parse_args()
    rows = {**ROWS, **EXTRA_ROWS}
    if unknown := set(given.row) - set(rows):
        options.error(f"no such row: {', '.join(sorted(unknown))}")

    results: dict[str, Any] = {}
    failed = False
    with tempfile.TemporaryDirectory() as folder, serving() as base:
        bench = Bench(
            base,
            plain_environment(folder),
            os.environ.get("BENCH_PEERS_PYTHON"),
            given.runs,
            10_000_000 if given.full else 1_000_000,
        )
        check_accounting(bench.env)
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load", *os.getloadavg())
        for name in given.row or ROWS:
            seconds = rows[name].seconds * given.patience
            if given.full and name == "memory":
                seconds *= 10
            try:
                deadline = time.monotonic() + seconds
                report = rows[name].run(bench._replace(deadline=deadline))
            except (Cannot, subprocess.TimeoutExpired) as reason:
                print(f"\n{name}: FAILED: {reason}")
                results[name], failed = {"failed": str(reason)}, True
            else:
                show(name, report)
                results[name] = raw(report)
            sys.stdout.flush()
    if given.json:
        Path(given.json).write_text(json.dumps(results, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
