"""The row of a batch that finds its server's limit: how close it comes, and how much is refused."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from measure import Cannot, Command, shell
from report import PYTHON, STREAM, Bench, Figure, Report, Row

JOBS = 64
# Path, requests a second, prompts, seconds until the steady state.
LIMITS = {
    "bucket 50/s, exact hint": ("bucket/50/50/ms", 50, 1500, 10),
    "bucket 20/s, whole seconds": ("bucket/20/5/s", 20, 700, 10),
    "bucket 20/s, no hint": ("bucket/20/5/none", 20, 900, 20),
    "window of 5 s, 20/s": ("window/100/5", 20, 700, 10),
}
MOST, MANY = 8, 1500  # at once, and prompts
SHARED = ("bucket/40/10/ms", 40, 900)  # by two processes


class Steady(NamedTuple):
    """One run in its steady state."""

    rate: float  # answers a second
    refused: float  # refusals for each answer
    wall: float  # seconds, of the whole run

    def __str__(self) -> str:
        return f"{self.rate:6.1f} answers/s   {self.refused:.3f} refusals each   {self.wall:.1f} s"


@contextmanager
def limited(path: str) -> Iterator[str]:
    command = [PYTHON, str(Path(__file__).with_name("limited.py"))]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/{path}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ours(url: str, prompts: int, jobs: int = JOBS) -> Command:
    command = [*STREAM, "--base-url", url, "-L", "-j", str(jobs), "--jsonl"]
    return shell(["seq", str(prompts)], command)


def steady(bench: Bench, url: str, prompts: int, after: float, jobs: int = JOBS) -> Steady:
    records = [json.loads(line) for line in bench.output(ours(url, prompts, jobs)).splitlines()]
    ends = [record for record in records if record["type"] == "end"]
    if len(ends) != prompts or not all(end["complete"] for end in ends):
        raise Cannot(f"{len(ends)} of {prompts} answers")
    moments = sorted((moment(end), end["attempts"] - 1) for end in ends)
    first, last = moments[0][0], moments[-1][0]
    # The last second has the stragglers, which no limit holds up.
    kept = [refused for at, refused in moments if first + after <= at <= last - 1]
    if not kept:
        raise Cannot("it was over before its steady state")
    wall: float = records[-1]["timings"]["duration_ms"] / 1000
    return Steady(len(kept) / (last - 1 - first - after), sum(kept) / len(kept), wall)


def moment(end: dict[str, Any]) -> float:
    return datetime.fromisoformat(end["ts"]).timestamp()


def limits(bench: Bench) -> Report:
    report = Report(f"what -j {JOBS} makes of a server's limit, in the steady state")

    def one(case: tuple[str, int, int, int]) -> Steady:
        path, _, prompts, after = case
        with limited(path) as url:
            return steady(bench, url, prompts, after)

    with ThreadPoolExecutor(len(LIMITS)) as threads:  # they wait, most of the time
        for (name, case), found in zip(
            LIMITS.items(), threads.map(one, LIMITS.values()), strict=True
        ):
            report.runs[name] = [found]
            report.figures.append(Figure(name, found.rate / case[1], "of it", ">= 0.9"))
            report.figures.append(Figure("  refusals", found.refused, "an answer", "<= 0.2"))
    with limited(f"concurrency/{MOST}") as url:
        known = steady(bench, url, MANY, 2, MOST)
        found = steady(bench, url, MANY, 2)
    report.runs[f"{MOST} at once, -j {MOST}"] = [known]
    report.runs[f"{MOST} at once"] = [found]
    report.figures.append(Figure(f"{MOST} at once", found.rate / known.rate, "of it", ">= 0.9"))
    report.figures.append(Figure("  refusals", found.refused, "an answer", "<= 0.2"))
    with limited("fifth") as url:
        refused = steady(bench, url, 3000, 0)
    with limited("free") as url:
        free = steady(bench, url, 3000, 0)
    report.runs["a fifth refused once"], report.runs["none refused"] = [refused], [free]
    slower = refused.wall / free.wall
    report.figures.append(Figure("a fifth refused once, wall", slower, "x", "<= 2"))
    path, rate, prompts = SHARED
    with limited(path) as url, ThreadPoolExecutor(2) as threads:
        both = list(threads.map(lambda _: steady(bench, url, prompts, 15), range(2)))
    report.runs["two processes"] = both
    for each in both:
        report.figures.append(Figure("a process of two", each.rate / rate, "of it", ">= 0.4"))
    return report


EXTRA_ROWS = {"limits": Row(limits, 240)}  # only when named
