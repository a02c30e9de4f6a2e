"""The speed table: `stream` against its peers, in ratios, in paired runs on one machine.

`python tests/bench/bench.py [ROW ...]` runs the rows named (the short ones by default) and prints
each figure beside its target. Peers run against the same loopback servers (server.py, crowd.py).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import batches
import limits
import singles
from measure import Cannot, check_accounting
from report import PYTHON, Bench, Report

ROWS = {**singles.ROWS, **batches.ROWS}
EXTRA_ROWS = {**singles.EXTRA_ROWS, **batches.EXTRA_ROWS, **limits.EXTRA_ROWS}


@contextmanager
def serving(script: str) -> Iterator[str]:
    command = [PYTHON, str(Path(__file__).with_name(script)), "--port", "0"]
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
        medians = {field: report.median(case, field) for field in runs[0]._fields}
        print(f"  {case:18} {type(runs[0])(**medians)}   median of {len(runs)}")
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
    options.add_argument(
        "--full", action="store_true", help="ten times what memory and million take"
    )
    options.add_argument("--runs", type=int, help="paired runs, instead of each row's own number")
    options.add_argument("--patience", type=float, default=1, help="times each row's time bound")
    given = options.parse_args()
    rows = {**ROWS, **EXTRA_ROWS}
    if unknown := set(given.row) - set(rows):
        options.error(f"no such row: {', '.join(sorted(unknown))}")

    results: dict[str, Any] = {}
    failed = False
    with (
        tempfile.TemporaryDirectory() as folder,
        serving("server.py") as base,
        serving("crowd.py") as crowd,
    ):
        bench = Bench(
            base,
            crowd,
            Path(folder),
            plain_environment(folder),
            os.environ.get("BENCH_PEERS_PYTHON"),
            given.runs,
            10_000_000 if given.full else 1_000_000,
        )
        check_accounting(bench.env)
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load", *os.getloadavg())
        for name in given.row or ROWS:
            seconds = rows[name].seconds * given.patience
            if given.full and name in ("memory", "million"):
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
