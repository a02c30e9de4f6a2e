"""The rows of many prompts: against threads that people write, and a batch's own promises."""

from pathlib import Path
from typing import NamedTuple

from measure import Cannot, Command, OutOfTime, into_pipe, left, percentile, shell, stamped, used
from report import FEW, PYTHON, STREAM, Bench, Figure, Peers, Report, Row, same_text

PROMPTS, JOBS = 3000, 128
LIVE, DELTAS, EVERY_MS = 200, 100, 50
CROWD, CROWD_DELTAS, CROWD_MS = 1000, 20, 200
JOURNAL = 1_000_000  # records, of about a kilobyte each


class Live(NamedTuple):
    p50: float  # milliseconds from the server's stamp to readable here
    p99: float
    late: float  # milliseconds from the server's last delta to the last one here

    def __str__(self) -> str:
        return (
            f"p50 {self.p50:8.2f} ms   p99 {self.p99:8.2f} ms   last one {self.late:6.1f} ms late"
        )


def url_of(bench: Bench, traffic: str) -> str:
    return f"{bench.crowd}/{traffic}/v1"


def stream(url: str, jobs: int, *options: str) -> list[str]:
    return [*STREAM, "--base-url", url, "-L", "-j", str(jobs), *options]


def script(name: str, url: str, jobs: int, *options: str) -> list[str]:
    return [PYTHON, str(Path(__file__).with_name(name)), url, str(jobs), *options]


def numbered(count: int, command: Command) -> list[str]:
    """`command` with the prompts 1, 2, 3, ... on stdin."""
    return shell(["seq", str(count)], command)


def batch(bench: Bench) -> Report:
    report = Report(f"{PROMPTS:,} short prompts, {JOBS} at once; the ratios are of CPU time")
    url = url_of(bench, "short")
    commands: Peers = {
        "stream": stream(url, JOBS),
        "stream --json": stream(url, JOBS, "--json"),
        "stream --jsonl": stream(url, JOBS, "--jsonl"),
        "threads": script("batch_threads.py", url, JOBS),
        "threads, JSON": script("batch_threads.py", url, JOBS, "json"),
    }
    commands = {name: numbered(PROMPTS, command) for name, command in commands.items()}
    written = {name: bench.output(command) for name, command in commands.items()}
    same_text({name: written[name] for name in ("stream", "threads")})
    for name in ("stream --json", "threads, JSON"):
        if (lines := written[name].count(b"\n")) != PROMPTS:
            raise Cannot(f"{name} wrote {lines} lines")
    report.runs.update(bench.paired({n: into_pipe(c) for n, c in commands.items()}, 5))
    report.ratio("stream / threads", "stream", "threads", "cpu", "<= 1.25")
    report.ratio("--json / threads, JSON", "stream --json", "threads, JSON", "cpu", "<= 1.25")
    report.ratio("stream / threads, wall", "stream", "threads", "wall")
    report.ratio("--json / threads, JSON, wall", "stream --json", "threads, JSON", "wall")
    tasks = into_pipe(numbered(PROMPTS, script("batch_tasks.py", url, JOBS)))
    report.runs["one AsyncClient"] = [used(tasks, bench.env, bench.deadline)]
    report.ratio("one AsyncClient / stream", "one AsyncClient", "stream", "cpu")
    return report


def streams(bench: Bench) -> Report:
    report = Report(f"{LIVE} live streams, a delta every {EVERY_MS} ms; {CROWD:,} at once")
    url = url_of(bench, f"stamp/{DELTAS}/{EVERY_MS}")
    commands: Peers = {
        "stream --jsonl": stream(url, LIVE, "--jsonl"),
        "stream, in order": stream(url, LIVE),
        "threads": script("batch_threads.py", url, LIVE, "stamps"),
    }
    for run in range(bench.runs or 3):
        try:
            for name, command in commands.items():
                report.runs.setdefault(name, []).append(live(bench, command))
        except OutOfTime:
            if run == 0:
                raise
            break
    for name in ("stream --jsonl", "stream, in order"):
        late = report.median(name, "late")
        report.figures.append(Figure(f"{name}: last one", late, "ms late", "<= 500"))
    url = url_of(bench, f"stamp/{CROWD_DELTAS}/{CROWD_MS}")
    crowds: Peers = {
        f"stream, {CROWD}": stream(url, CROWD),
        f"--jsonl, {CROWD}": stream(url, CROWD, "--jsonl"),
        f"threads, {CROWD}": script("batch_threads.py", url, CROWD),
    }
    piped: Peers = {n: into_pipe(numbered(CROWD, command)) for n, command in crowds.items()}
    report.runs.update(bench.paired(piped, 3))
    for name in list(crowds)[:2]:
        report.ratio(f"{name} / threads, memory", name, f"threads, {CROWD}", "peak", "<= 1.2")
    return report


def live(bench: Bench, command: Command) -> Live:
    prompts = "".join(f"{number}\n" for number in range(LIVE)).encode()
    found = stamped(command, prompts, bench.env, bench.deadline)
    if len(found) != LIVE * DELTAS:
        raise Cannot(f"{len(found)} of {LIVE * DELTAS} stamps")
    lags = [(read - sent) / 1e6 for sent, read in found]
    late = max(read for _, read in found) - max(sent for sent, _ in found)
    return Live(percentile(lags, 0.5), percentile(lags, 0.99), late / 1e6)


def slow_head(bench: Bench) -> Report:
    report = Report("191 MB of answers wait for the first one: what --keep-order takes")
    url = url_of(bench, "slow/15000/65536")
    head = "(echo slow; seq 2999) | "
    commands: Peers = {
        "as they come": stream(url, 8, "--json"),
        "--json -k": stream(url, 8, "--json", "-k"),
        "text": stream(url, 8),
    }
    for name, command in commands.items():
        piped = into_pipe(["sh", "-c", head + shell(command)[2]])
        report.runs[name] = [used(piped, bench.env, bench.deadline)]
    for name in ("--json -k", "text"):
        growth = report.median(name, "peak") - report.median("as they come", "peak")
        report.figures.append(Figure(f"{name}: more memory", growth, "MiB", "<= 72"))
    return report


def million(bench: Bench) -> Report:
    many = bench.most // 10
    report = Report(f"peak memory of {many:,} prompts on stdin over {FEW:,}")
    url = url_of(bench, "one")
    ours: Peers = {
        "text": stream(url, 32),
        "--json": stream(url, 32, "--json"),
        "--jsonl": stream(url, 32, "--jsonl"),
    }
    for name, command in ours.items():
        for count in (FEW, many):
            piped = into_pipe(numbered(count, command))
            report.runs[f"{name} {count:,}"] = [used(piped, bench.env, bench.deadline)]
        grown(report, name, FEW, many, "<= 16" if name != "text" else "<= 4")
    return report


def grown(report: Report, name: str, few: int, many: int, target: str) -> None:
    growth = report.median(f"{name} {many:,}", "peak") - report.median(f"{name} {few:,}", "peak")
    report.figures.append(Figure(f"{name}: growth", growth, "MiB", target))


def resume(bench: Bench) -> Report:
    report = Report(f"--resume with {JOURNAL:,} finished prompts in the journal")
    full, empty = bench.folder / "full.jsonl", bench.folder / "empty.jsonl"
    empty.touch()
    ours = stream(url_of(bench, "one"), 4, "-q", "--json", "--resume")
    record = bench.output(numbered(1, [*ours, str(empty)])).decode()
    forge = [PYTHON, str(Path(__file__).with_name("forge.py")), str(full), str(JOURNAL)]
    bench.output(shell(["printf", "%s", record], forge))
    report.notes.append(f"the journal has {full.stat().st_size / 1e9:.2f} GB")
    commands: Peers = {
        "empty journal": numbered(1, [*ours, str(empty)]),
        "full journal": numbered(1, [*ours, str(full)]),
        f"all done {FEW:,}": numbered(FEW, [*ours, str(full)]),
        f"all done {JOURNAL:,}": numbered(JOURNAL, [*ours, str(full)]),
    }
    if asked := bench.output(commands["full journal"]):
        raise Cannot(f"a prompt that is done was asked again: {asked[:80]!r}")
    report.runs.update(bench.paired(commands, 3))
    bytes_each = report.median("full journal", "peak") - report.median("empty journal", "peak")
    each = bytes_each * 1024 * 1024 / JOURNAL
    report.figures.append(Figure("memory of a finished prompt", each, "bytes", "<= 32"))
    grown(report, "all done", FEW, JOURNAL, "<= 16")
    full.unlink()
    left(bench.deadline)
    return report


ROWS = {
    "batch": Row(batch, 110),
    "streams": Row(streams, 120),
    "slow-head": Row(slow_head, 60),
}
EXTRA_ROWS = {  # only when named
    "million": Row(million, 400),
    "resume": Row(resume, 240),
}
