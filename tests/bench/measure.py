"""Run a command and account for every process in it: wall, CPU and peak memory, in paired runs.

A small launcher stands between us and the command: the kernel counts the memory of the process
that called exec as the new program's own peak, and a bare interpreter is less than any program
measured here. `wait4` on a shell counts what the shell waited for, so the shell must wait for every
part of a pipeline; `check_accounting` proves that it does.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

LAUNCHER = """
import os, signal, sys, time
null = os.open(os.devnull, os.O_RDWR)
actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)]
ours = [signal.SIGPIPE, signal.SIGXFSZ]
begin = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions, setsigdef=ours)
_, status, used = os.wait4(pid, 0)
wall = time.perf_counter() - begin
print(os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
BURN = "import time\nwhile time.process_time() < 0.15: pass"


class Cannot(Exception):
    """A command that does not do what the row is about, so its figure would mean nothing."""


class OutOfTime(Cannot):
    """The row's time is up."""

    def __str__(self) -> str:
        return "out of time (see --patience)"


class Used(NamedTuple):
    wall: float  # seconds
    cpu: float  # seconds, user and system, of all processes
    peak: float  # MiB, of the largest process

    def __str__(self) -> str:
        return f"wall {self.wall:8.3f} s   CPU {self.cpu:8.3f} s   peak {self.peak:6.1f} MiB"


Command = Sequence[str]


def shell(*parts: Command) -> list[str]:
    """A pipeline as one command."""
    return ["sh", "-c", " | ".join(shlex.join(part) for part in parts)]


def into_pipe(command: Command) -> list[str]:
    """The command writing into a pipe that is read at once and thrown away."""
    script = command[2] if command[:2] == ["sh", "-c"] else shlex.join(command)
    return ["sh", "-c", f"{script} | cat > /dev/null"]


def left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise OutOfTime
    return seconds


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process started in its own session, with everything it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def finished(command: Command, env: Mapping[str, str], deadline: float) -> tuple[int, bytes, str]:
    """Exit status, stdout, and the last line on stderr; nothing of it is left running."""
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            written, _ = process.communicate(timeout=left(deadline))
        except subprocess.TimeoutExpired:
            kill(process)
            raise OutOfTime from None
        except BaseException:
            kill(process)
            raise
        complaints.seek(0)
        said = complaints.read(100_000).decode(errors="replace").strip()
    return process.returncode, written, said.rpartition("\n")[2]


def output(command: Command, env: Mapping[str, str], deadline: float) -> bytes:
    """What the command writes; Cannot, with its last complaint, unless it exits 0."""
    code, written, said = finished(command, env, deadline)
    if code != 0:
        raise Cannot(f"exit {code}: {said or 'no message'}")
    return written


def used(command: Command, env: Mapping[str, str], deadline: float) -> Used:
    """One run, its output thrown away. A complaint on stderr fails it: in a pipeline the exit
    status is only that of the last part."""
    launcher = [sys.executable, "-S", "-E", "-c", LAUNCHER, *command]
    _, told, said = finished(launcher, env, deadline)
    code, wall, cpu, peak = told.split() or (b"1", b"0", b"0", b"0")
    if code != b"0" or said:
        raise Cannot(f"exit {int(code)}: {said or 'no message'}")
    return Used(float(wall), float(cpu), float(peak) / 1024)


def paired(
    commands: Mapping[str, Command], runs: int, env: Mapping[str, str], deadline: float
) -> dict[str, list[Used]]:
    """A B C A B C ...: the same number of runs of each, fewer than asked if the time is up."""
    taken: dict[str, list[Used]] = {name: [] for name in commands}
    for run in range(runs):
        try:
            round_ = {name: used(command, env, deadline) for name, command in commands.items()}
        except OutOfTime:
            if run == 0:
                raise
            break
        for name, one in round_.items():
            taken[name].append(one)
    return taken


def lags(command: Command, count: int, env: Mapping[str, str], deadline: float) -> list[int]:
    """Nanoseconds from the stamp in each line to the moment the line could be read here."""
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    watchdog = threading.Timer(left(deadline), os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    found: list[int] = []
    rest = b""
    try:
        pipe = process.stdout.fileno()
        while data := os.read(pipe, 65536):
            now = time.monotonic_ns()
            *lines, rest = (rest + data).split(b"\n")
            found.extend(now - int(line) for line in lines)
        process.wait()
    except BaseException:
        kill(process)
        raise
    finally:
        watchdog.cancel()
        process.stdout.close()
    left(deadline)
    if process.returncode != 0 or len(found) != count or rest:
        raise Cannot(f"exit {process.returncode}, {len(found)} of {count} stamps")
    return found


STAMP = re.compile(rb"(\d{11,20})(?=\n|\\n)")  # in a line of text, or in one of JSON


def stamped(
    command: Command, prompts: bytes, env: Mapping[str, str], deadline: float
) -> list[tuple[int, int]]:
    """(the server's stamp, when it could be read here) of each delta, in nanoseconds."""
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    watchdog = threading.Timer(left(deadline), os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    found: list[tuple[int, int]] = []
    rest = b""
    try:
        process.stdin.write(prompts)  # no more than a pipe takes
        process.stdin.close()
        pipe = process.stdout.fileno()
        while data := os.read(pipe, 1 << 18):
            now = time.monotonic_ns()
            lines, end, rest = (rest + data).rpartition(b"\n")
            found.extend((int(stamp), now) for stamp in STAMP.findall(lines + end))
        process.wait()
    except BaseException:
        kill(process)
        raise
    finally:
        watchdog.cancel()
        process.stdout.close()
    left(deadline)
    if process.returncode != 0:
        raise Cannot(f"exit {process.returncode}, {len(found)} stamps")
    return found


def check_accounting(env: Mapping[str, str]) -> None:
    """Three processes in a pipeline burn 0.15 s each; all of it must be on the bill."""
    burn = [sys.executable, "-S", "-E", "-c", BURN]
    billed = used(shell(burn, burn, burn), env, time.monotonic() + 30).cpu
    if billed < 0.44:
        raise Cannot(f"this sh hides the CPU time of a pipeline: {billed:.2f} s of 0.45 s")


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
