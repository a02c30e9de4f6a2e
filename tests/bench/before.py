"""This checkout against an older one, in pairs: `python tests/bench/before.py PYTHON [ROW ...]`.

PYTHON is an interpreter in which the older `stream` is installed; ours is the interpreter that runs
this. Both have the same versions of every library, or the ratios compare those. A ratio is the
median of the ratios of the pairs (one run of each, in turn), so that a machine whose speed drifts
tells the same; ten pairs of one command with itself show how far to believe it (`--same`).
"""

import argparse
import os
import sys
import tempfile
import time

from batches import numbered
from bench import plain_environment, serving
from measure import Command, check_accounting, into_pipe, lags, median, output, percentile, used
from report import PYTHON
from singles import EVERY_MS, FLOOD, STAMPS

PROMPTS = 1000
PAIRS = {"start": 40, "flood": 12, "latency": 12, "batch": 12}


def commands(python: str, base: str, crowd: str) -> dict[str, Command]:
    """The command of each row, run by `python`."""
    stream = [python, "-m", "streamcli", "-m", "vllm:m"]
    short = [*stream, "--base-url", f"{base}/short/v1", "hello"]
    flood = [*stream, "--base-url", f"{base}/flood/{FLOOD}/v1", "hello"]
    many = [*stream, "--base-url", f"{crowd}/short/v1", "-L", "-j", "64"]
    return {
        "start, one prompt": short,
        "start, --help": [python, "-m", "streamcli", "--help"],
        "start, --version": [python, "-m", "streamcli", "--version"],
        "start, --dry-run": [*short, "--dry-run"],
        "start, --list-providers": [python, "-m", "streamcli", "--list-providers"],
        "flood, text": into_pipe(flood),
        "flood, --jsonl": into_pipe([*flood, "--jsonl"]),
        "latency": [*stream, "--base-url", f"{base}/stamp/{STAMPS}/{EVERY_MS}/v1", "hello"],
        "batch, text": into_pipe(numbered(PROMPTS, many)),
        "batch, --json": into_pipe(numbered(PROMPTS, [*many, "--json"])),
    }


def figures(name: str, command: Command, env: dict[str, str]) -> dict[str, float]:
    """What one run took: CPU and wall seconds and MiB, or the lags of a stream in microseconds."""
    deadline = time.monotonic() + 120
    if name == "latency":
        taken = [lag / 1000 for lag in lags(command, STAMPS, env, deadline)]
        return {"p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99)}
    return used(command, env, deadline)._asdict()


def main() -> int:
    options = argparse.ArgumentParser(description="This checkout against an older one, in pairs.")
    options.add_argument("python", help="an interpreter that has the older stream")
    options.add_argument("row", nargs="*", help=f"of {', '.join(PAIRS)}")
    options.add_argument("--pairs", type=int, help="instead of each row's own number")
    options.add_argument("--same", action="store_true", help="ours against itself: the noise")
    given = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving("server.py") as base,
        serving("crowd.py") as crowd,
    ):
        env = plain_environment(folder)
        check_accounting(env)
        ours = commands(PYTHON, base, crowd)
        older = commands(PYTHON if given.same else given.python, base, crowd)
        os.chdir(folder)  # `python -m` would take a package that lies in the current folder
        for name in ours:
            row = name.partition(",")[0]
            if given.row and row not in given.row:
                continue
            if name != "latency":
                for command in (ours[name], older[name]):  # it works, and its bytecode is written
                    output(command, env, time.monotonic() + 60)
            pairs = []
            for run in range(given.pairs or PAIRS[row]):
                both = [(ours, 0), (older, 1)]
                taken = [
                    (index, figures(name, which[name], env))
                    for which, index in both[:: 1 - run % 2 * 2]
                ]
                pairs.append([figure for _, figure in sorted(taken)])
            told = [
                f"{field} {median([a[field] for a, _ in pairs]):.4g}"
                f" / {median([b[field] for _, b in pairs]):.4g}"
                f" = {median([a[field] / b[field] for a, b in pairs]):.3f}"
                for field in pairs[0][0]
            ]
            print(f"{name:24} {'   '.join(told)}   ({len(pairs)} pairs)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
