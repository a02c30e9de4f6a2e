"""The rows of one prompt: starts, floods, memory, latency."""

import json
import subprocess
from pathlib import Path

from measure import (
    Cannot,
    Command,
    OutOfTime,
    into_pipe,
    lags,
    left,
    percentile,
    shell,
    used,
)
from report import FEW, PYTHON, STREAM, Bench, Figure, Lag, Peers, Report, Row, same_text

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
STAMPS, EVERY_MS = 1000, 2


def curl(url: str) -> list[str]:
    command = ["curl", "-q", "-sSN", "-H", "content-type: application/json", "-d", BODY]
    return [*command, f"{url}/chat/completions"]


def curl_sed_jq(url: str) -> list[str]:
    return shell(curl(url), SED, JQ)


def curl_jq(url: str) -> list[str]:
    return shell(curl(url), JQ_ALONE)


def floor(url: str, *options: str) -> list[str]:
    """The least that a Python client can do."""
    return [PYTHON, str(Path(__file__).with_name("floor.py")), url, *options]


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
    return flood(bench, f"flood/{FLOOD}", ">= 25", "<= 0.8")


def flood_each(bench: Bench) -> Report:
    return flood(bench, f"each/{FLOOD}", "")


def flood_padded(bench: Bench) -> Report:
    return flood(bench, f"padded/{FLOOD}", "")


def flood(bench: Bench, traffic: str, target: str, floor_target: str = "") -> Report:
    report = Report(f"{FLOOD:,} deltas, text into a pipe")
    url = bench.url(traffic)
    python = python_peers(bench, url, report)
    peers: Peers = {
        "floor": floor(url),
        "curl|sed|jq": curl_sed_jq(url),
        "curl|jq": curl_jq(url),
    }
    commands = with_stream(bench, report, {"stream": stream(url)}, peers)
    same_text({name: bench.output(command) for name, command in commands.items()})
    report.runs.update(bench.paired({n: into_pipe(c) for n, c in commands.items()}, 3))
    report.ratio("stream / floor, CPU", "stream", "floor", "cpu", floor_target)
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
    peers: Peers = {
        "floor, records": floor(url, "jsonl"),
        "curl|sed|jq": curl_sed_jq(url),
        "curl|jq": curl_jq(url),
    }
    commands = with_stream(bench, report, {"stream --jsonl": ours}, peers)
    texts = {"curl|jq": bench.output(curl_jq(url))}
    if "stream --jsonl" in commands:
        texts["stream --jsonl"] = text_of(bench.output(ours), report)
    same_text(texts)
    report.runs.update(bench.paired({n: into_pipe(c) for n, c in commands.items()}, 3))
    floor_name = "floor, records"
    report.ratio("stream / floor, CPU", "stream --jsonl", floor_name, "cpu", "<= 1.0")
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
    peers: Peers = {
        "floor": floor(url),
        "curl|sed|jq": curl_sed_jq(url),
        "curl|jq": curl_jq(url),
    }
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
    report.ratio("stream / floor, p50", "stream", "floor", "p50", "<= 1.25")
    report.ratio("stream / floor, p99", "stream", "floor", "p99", "<= 1.5")
    report.ratio("stream / curl|sed|jq, p50", "stream", "curl|sed|jq", "p50", "<= 0.6")
    report.ratio("stream / curl|sed|jq, p99", "stream", "curl|sed|jq", "p99", "<= 1.0")
    report.ratio("stream / curl|jq, p50", "stream", "curl|jq", "p50")
    report.ratio("stream / curl|jq, p99", "stream", "curl|jq", "p99")
    return report


def lag_of(bench: Bench, command: Command) -> Lag:
    taken = [lag / 1000 for lag in lags(command, STAMPS, bench.env, bench.deadline)]
    return Lag(percentile(taken, 0.5), percentile(taken, 0.99))


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
