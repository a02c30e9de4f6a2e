"""A table through --rows, killed and started again; and one too large for memory. Standalone.

python tests/bench/rows.py [--rows N] [--kills N] [--megabytes N]

The server is server.py, which gives every prompt the same answer. What is printed: the wall time
and peak memory of each run, how many requests the kills cost, and whether the table is whole.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
STREAM = [sys.executable, "-m", "streamcli", "--no-config", "-m", "vllm:m"]
IDIOM = ["--rows", "--into", "answer", "--events", "J", "--reuse", "J", "-q"]


def peak(pid: int) -> float:
    """The peak memory of a process so far, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def run(
    command: list[str], folder: Path, source: str, kill_after: int | None = None
) -> tuple[int, float, float]:
    """(exit status, seconds, peak MiB); killed once the journal has grown by so many lines."""
    journal = folder / "J"
    begin = time.perf_counter()
    before = journal.stat().st_size if journal.exists() else 0
    with open(folder / source, "rb") as rows, open(folder / "out.csv", "wb") as out:
        process = subprocess.Popen(
            command,
            stdin=rows,
            stdout=out,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        most = 0.0
        while process.poll() is None:
            try:
                most = max(most, peak(process.pid))
            except OSError:
                break
            grown = (journal.stat().st_size if journal.exists() else 0) - before
            if kill_after is not None and grown > kill_after:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.05)
        process.wait()
    return process.returncode, time.perf_counter() - begin, most


def write(path: Path, count: int, width: int) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "more"])
        for number in range(count):
            writer.writerow([number, f'row {number}, "quoted"\nand a line', "x" * width])


def whole(folder: Path, count: int) -> bool:
    """Whether every row is in the output once, in order, with an answer."""
    number = 0
    with open(folder / "out.csv", newline="") as file:
        rows = csv.reader(file)
        if next(rows) != ["id", "text", "more", "answer"]:
            return False
        for row in rows:
            if row[0] != str(number) or not row[3]:
                return False
            number += 1
    return number == count


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--kills", type=int, default=5)
    options.add_argument("--megabytes", type=int, default=0, help="a table of so many, no requests")
    options.add_argument("--jobs", type=int, default=32)
    given = options.parse_args()
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout
    url = f"http://127.0.0.1:{int(server.stdout.readline())}/short/v1"
    command = [*STREAM, "--base-url", url, *IDIOM, "-j", str(given.jobs), "{text}"]
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder / "in.csv", given.rows, 20)
            size = 0
            for kill in range(given.kills):
                # Records of one answer are some 1.5 kB in the journal.
                share = given.rows * 1500 // (given.kills + 1)
                code, seconds, most = run(command, folder, "in.csv", share)
                size = (folder / "J").stat().st_size
                print(
                    f"kill {kill + 1}: exit {code}, {seconds:.1f} s, peak {most:.1f} MiB, "
                    f"journal {size / 1e6:.0f} MB",
                    flush=True,
                )
            code, seconds, most = run(command, folder, "in.csv")
            print(f"the rest: exit {code}, {seconds:.1f} s, peak {most:.1f} MiB", flush=True)
            print(f"every row once, in order: {whole(folder, given.rows)}")
            paid = 0
            with open(folder / "J", "rb") as journal:
                for line in journal:
                    if line.startswith(b'{"type":"end"') and b'"reused_from"' not in line:
                        paid += json.loads(line)["complete"]
            print(f"answers paid for: {paid} of {given.rows}", flush=True)
            code, seconds, most = run(command, folder, "in.csv")
            print(f"all of it again: exit {code}, {seconds:.1f} s, peak {most:.1f} MiB")
            if given.megabytes:
                (folder / "J").unlink()
                count = given.megabytes * 10
                write(folder / "big.csv", count, 100_000)
                code, seconds, most = run(command, folder, "big.csv")
                print(
                    f"{given.megabytes} MB: exit {code}, {seconds:.1f} s, peak {most:.1f} MiB, "
                    f"whole {whole(folder, count)}"
                )
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
