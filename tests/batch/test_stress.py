"""Batches under stress: a server that fails in every way, kills, full pipes, limits, signals.

Black box: the command as a process, a scripted server on loopback, pipes and signals.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from batchserver import Act, BatchServer, Plan, answer_to
from conftest import WITH_SIGNALS, Popen, Stream, eventually
from records import of_type, parse_records, whole_answers

from streamcli.output.order import OrderedWriter


def lines(prompts: Iterable[str]) -> bytes:
    return "".join(f"{prompt}\n" for prompt in prompts).encode()


def model(server: BatchServer) -> tuple[str, ...]:
    return "-m", "vllm:tiny", "--base-url", server.base


def ends_by_index(records: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    ends = of_type(records, "end")
    by_index = {end["index"]: end for end in ends}
    assert len(by_index) == len(ends), "a prompt ended twice"
    return by_index


# ---- one in ten fails ---------------------------------------------------------------------------

WAIT = "retry-after-ms: 50\r\n"
# What a prompt gets, and the verdict if it gets nothing else, and if it gets it once.
FAULTS = {
    "busy": (Act(429), "rate_limited", "complete"),
    "busy-wait": (Act(429, headers=WAIT), "rate_limited", "complete"),
    "error": (Act(500), "provider", "complete"),
    "reset": (Act(text="", end="reset"), "network", "complete"),
    "cut": (Act(end="cut"), "truncated", "truncated"),
    "stall": (Act(end="stall"), "timeout", "timeout"),
    "in-stream": (Act(end="error"), "provider", "provider"),
    "rejected": (Act(400), "rejected", "rejected"),
    "long": (Act(end="length"), "length", "length"),
}


def test_every_prompt_is_accounted_for_whatever_fails(stream: Stream, tmp_path: Path) -> None:
    total, rng = 600, random.Random(20)
    prompts = [f"prompt {number}" for number in range(total)]
    chosen = rng.sample(prompts, total // 10)
    kinds = rng.choices([*FAULTS], [1 if "busy" in kind else 5 for kind in FAULTS], k=len(chosen))
    faults = {
        prompt: (kind, rng.random() < 0.3)  # for good, or once
        for prompt, kind in zip(chosen, kinds, strict=True)
    }
    assert {kind for kind, for_good in faults.values() if for_good} == FAULTS.keys()

    def plan(prompt: str, before: int) -> Act:
        if prompt in faults:
            kind, for_good = faults[prompt]
            if for_good or not before:
                return FAULTS[kind][0]
        return Act()

    expected = ["complete"] * total
    for prompt, (kind, for_good) in faults.items():
        expected[prompts.index(prompt)] = FAULTS[kind][1 if for_good else 2]
    # Between two events is where only a stall waits: the others come in one piece.
    options = ("-L", "-j", "32", "--idle-timeout", "1", "--max-wait", "1", "--events", "e.jsonl")
    with BatchServer(plan) as server:
        run = stream(*model(server), *options, stdin=lines(prompts), timeout=200)
    assert run.returncode == 20
    records = parse_records((tmp_path / "e.jsonl").read_bytes())
    ends = ends_by_index(records)
    assert [ends[index]["status"] for index in range(total)] == expected
    (summary,) = of_type(records, "summary")
    assert summary["statuses"] == Counter(expected)
    assert summary["prompts"] == total
    assert summary["failed"] == total - expected.count("complete")
    assert (summary["unasked"], summary["exit_code"]) == (0, 20)
    assert summary["attempts"] == len(server.asked)
    texts = run.text.split("\n")
    assert texts.pop() == ""
    assert len(texts) == total
    for prompt, verdict, text in zip(prompts, expected, texts, strict=True):
        if verdict == "complete":
            assert text == answer_to(prompt)
        else:
            assert answer_to(prompt).startswith(text)


# ---- killed, again and again --------------------------------------------------------------------


def answers(records: list[dict[str, Any]]) -> dict[tuple[str, int], list[str]]:
    """The whole answers of a journal, by what they answer: --json has the text, --jsonl deltas."""
    texts: dict[str, str] = defaultdict(str)
    for delta in of_type(records, "delta"):
        texts[delta["request_id"]] += delta["text"]
    found = defaultdict(list)
    for end in of_type(records, "end"):
        if end["complete"]:
            text = end["text"] if "text" in end else texts[end["request_id"]]
            found[end["prompt_hash"], end["occurrence"]].append(text)
    return found


@pytest.mark.parametrize(("form", "kills"), [("--json", 12), ("--jsonl", 6)])
def test_killed_at_any_moment_and_resumed(
    popen: Popen, stream: Stream, tmp_path: Path, form: str, kills: int
) -> None:
    rng = random.Random(form)
    prompts = [f"prompt {rng.randrange(150)}" for _ in range(200)]
    assert len(set(prompts)) < 150
    jobs = 8
    journal, questions = tmp_path / "out.jsonl", tmp_path / "prompts"
    questions.write_bytes(lines(prompts))
    journal.touch()
    leash = threading.Semaphore(0)  # as many as may be answered: never all, however late a kill is

    def plan(prompt: str, before: int) -> Act:
        leash.acquire()
        return Act(gap=0.002)

    with BatchServer(plan) as server:
        options = ("-L", "-j", str(jobs), form, "--resume", journal)
        command = (*model(server), *options)
        for _ in range(kills):
            aim = rng.randint(0, 5)
            leash = threading.Semaphore(aim + 4)
            aim += len(server.asked)
            with open(questions, "rb") as stdin, open(journal, "ab") as stdout:
                process = popen(*command, stdin=stdin, stdout=stdout)
            assert eventually(lambda aim=aim: len(server.asked) >= aim)
            time.sleep(rng.random() * 0.01)
            assert process.poll() is None, process.stderr.read()
            process.kill()
            process.wait()
            leash.release(len(prompts))
            assert eventually(lambda: not server.running)
        leash = threading.Semaphore(2 * len(prompts))
        asked, left = len(server.asked), len(prompts) - len(whole_answers(journal.read_bytes()))
        with open(questions, "rb") as stdin, open(journal, "ab") as stdout:
            last = stream(*command, stdin=stdin, stdout=stdout)
    assert (last.returncode, last.stderr) == (0, "")
    # Requests of the one that was killed may still be read later.
    assert left <= len(server.asked) - asked <= left + jobs
    assert left < len(prompts)
    whole, torn = [], 0
    for line in journal.read_bytes().split(b"\n"):
        try:
            whole.append(json.loads(line))
        except ValueError:
            torn += bool(line)
    assert torn <= kills
    found = answers(whole)
    assert all(len(texts) == 1 for texts in found.values()), "an answer twice"
    texts = Counter(text for texts in found.values() for text in texts)
    assert texts == Counter(map(answer_to, prompts))
    with BatchServer() as server, open(questions, "rb") as stdin:
        again = stream(*model(server), *options, stdin=stdin)
    assert (again.returncode, of_type(again.records, "end"), server.asked) == (0, [], [])


# ---- in the order of the prompts ----------------------------------------------------------------


def late(seed: int) -> Plan:
    rng = random.Random(seed)
    return lambda prompt, before: Act(wait=rng.random() * 0.03, gap=rng.choice((0, 0, 0.002)))


def timeless(stdout: bytes) -> list[dict[str, Any]]:
    """Records without what is another in each run."""
    records = parse_records(stdout)
    for record in records:
        for name in ("request_id", "ts", "t_ms", "timings", "percentiles"):
            record.pop(name, None)
    return records


@pytest.mark.parametrize("form", [(), ("--json", "-k"), ("--jsonl", "-k")])
def test_the_order_is_that_of_one_job(stream: Stream, form: tuple[str, ...]) -> None:
    prompts = [f"prompt {number}" for number in range(60)]
    prompts[7] = prompts[40] = ""
    seen = []
    for jobs in ("1", "24"):
        with BatchServer(late(3)) as server:
            run = stream(*model(server), "-L", "-j", jobs, *form, stdin=lines(prompts))
        assert (run.returncode, run.stderr) == (0, "")
        assert server.most <= int(jobs)
        seen.append(timeless(run.stdout) if form else run.stdout)
    assert seen[0] == seen[1]
    if not form:
        assert seen[0] == lines(answer_to(prompt) for prompt in prompts if prompt)


SPOOLING = """
from streamcli.output import order
order.LIMIT = 50_000
from streamcli.__main__ import main
main()
"""


@pytest.mark.parametrize("form", [(), ("--json", "-k"), ("--jsonl", "-k")])
def test_answers_that_wait_on_the_disk(child_env: dict[str, str], form: tuple[str, ...]) -> None:
    prompts = [f"prompt {number}" for number in range(40)]

    def big(prompt: str) -> str:
        return f"{prompt}: " + f"{prompt[-2:].strip() * 100} " * 100

    def plan(prompt: str, before: int) -> Act:
        return Act(text=big(prompt), wait=1.0 if prompt == prompts[0] else 0.0)

    with BatchServer(plan) as server:
        run = subprocess.run(
            [sys.executable, "-c", SPOOLING, *model(server), "-L", "-j", "8", *form],
            input=lines(prompts),
            capture_output=True,
            env=child_env,
            timeout=60,
        )
    assert (run.returncode, run.stderr) == (0, b"")
    if form:
        records = parse_records(run.stdout)
        assert [end["index"] for end in of_type(records, "end")] == [*range(len(prompts))]
        texts = answers(records)
        assert Counter(text for each in texts.values() for text in each) == Counter(
            map(big, prompts)
        )
    else:
        assert run.stdout == lines(map(big, prompts))


@pytest.mark.parametrize("limit", [0, 1, 50, 1 << 20])
def test_a_turnstile_lets_through_in_order(limit: int) -> None:
    rng = random.Random(limit)
    for _ in range(50):
        written: list[bytes] = []
        turnstile = OrderedWriter(written.append, limit)
        wanted = [[b"%d.%d " % (n, i) for i in range(rng.randrange(5))] for n in range(12)]
        left = {number: list(pieces) for number, pieces in enumerate(wanted)}
        while left:
            number = rng.choice([*left])
            if left[number]:
                turnstile.slot(number).write(left[number].pop(0))
            else:
                turnstile.done(number)
                del left[number]
        turnstile.finish()
        assert b"".join(written) == b"".join(map(b"".join, wanted))


def test_what_is_over_is_written_across_gaps() -> None:
    written: list[bytes] = []
    turnstile = OrderedWriter(written.append, 5)
    for number in (3, 1, 5):
        turnstile.slot(number).write(b"<%d>" % number)
        turnstile.done(number)
    assert written == []
    turnstile.finish()
    assert b"".join(written) == b"<1><3><5>"


def test_a_gap_stands_only_before_something() -> None:
    written: list[bytes] = []
    turnstile = OrderedWriter(written.append)
    for number, text in enumerate((b"0", b"", b"2", b"", b"", b"5", b"")):
        if text:
            turnstile.slot(number).write(text)
        turnstile.done(number, gap=b"" if text else b"-")
    turnstile.slot(9).write(b"9")
    turnstile.done(8, gap=b"-")
    turnstile.done(10, gap=b"-")
    turnstile.finish()
    assert b"".join(written) == b"0-2--5--9"


def test_small_pieces_wait_in_little_memory() -> None:
    size, count = 4, 60_000
    turnstile = OrderedWriter(lambda data: None, limit=100_000)
    turnstile.slot(0).write(b"head")
    tracemalloc.start()
    try:
        for number in range(count):
            turnstile.slot(1 + number % 7).write(b"%04d" % (number % 10_000))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        turnstile.finish()
    assert most < count * size


# ---- one process or many ------------------------------------------------------------------------


def test_xargs_and_jobs_give_the_same_answers(
    stream: Stream, shell_env: dict[str, str], tmp_path: Path
) -> None:
    prompts = [f"prompt {number}" for number in range(12)]
    with BatchServer(late(4)) as server:
        run = stream(*model(server), "-L", "-j", "8", "--json", stdin=lines(prompts))
        one = shlex.join(["stream", *model(server), "--json", "--"])
        many = shlex.join(["stream", *model(server), "-L", "--json"])
        scripts = {
            "each.jsonl": f"xargs -P 8 -d '\\n' -n 1 {one}",
            "some.jsonl": f"xargs -P 3 -d '\\n' -n 4 sh -c 'printf \"%s\\n\" \"$@\" | {many}' _",
        }
        for name, script in scripts.items():
            subprocess.run(
                ["sh", "-c", f"{script} >> {name}"],
                input=lines(prompts),
                env=shell_env,
                cwd=tmp_path,
                check=True,
                timeout=60,
            )
    assert run.returncode == 0
    expected = answers(run.records)
    assert len(expected) == len(prompts)
    for name in scripts:
        assert answers(parse_records((tmp_path / name).read_bytes())) == expected


# ---- limits of the provider ---------------------------------------------------------------------


BUSY = Act(429)
BUSY_INSIDE = Act(text="", end="error", code=429)  # 200, and then it says so


class Refusing:
    """A plan: `busy` to everything, for so many seconds, from that request on; counts those."""

    def __init__(self, seconds: float, first: int, busy: Act = BUSY) -> None:
        self.refused = 0
        self._seconds, self._first, self._busy = seconds, first, busy
        self._count, self._until = itertools.count(), 0.0
        self._lock = threading.Lock()

    def __call__(self, prompt: str, before: int) -> Act:
        with self._lock:
            if next(self._count) >= self._first:
                self._until = self._until or time.monotonic() + self._seconds
                if time.monotonic() < self._until:
                    self.refused += 1
                    return self._busy
        return Act(wait=0.01)


def test_a_limit_for_all_loses_nothing(popen: Popen, tmp_path: Path) -> None:
    """429 for a while from the first request on, or in the middle, with a hint or without one.

    How many requests and how much time that costs: test_limits.py and test_learned_rate.py, on a
    fake clock. The answers fit into a pipe, so that the batches run side by side.
    """
    prompts = [f"prompt {number}" for number in range(60)]
    with ExitStack() as stack:
        running = []
        busy = (BUSY, Act(429, headers="retry-after-ms: 300\r\n"), BUSY_INSIDE)
        for first, each in [(0, busy[0]), (0, busy[1]), (20, busy[1]), (20, busy[2])]:
            plan, events = Refusing(0.5, first, each), f"{len(running)}.jsonl"
            server = stack.enter_context(BatchServer(plan))
            process = popen(
                *model(server), "-L", "-j", "32", "--events", events, stdin=subprocess.PIPE
            )
            process.stdin.write(lines(prompts))
            process.stdin.close()
            running.append((server, plan, events, process))
        for server, plan, events, process in running:
            _, err = process.communicate(timeout=60)
            assert (process.returncode, err) == (0, b"")
            records = parse_records((tmp_path / events).read_bytes())
            ends = ends_by_index(records)
            assert {end["status"] for end in ends.values()} == {"complete"}
            assert len(ends) == len(prompts)
            assert len(server.asked) == len(prompts) + plan.refused
            (summary,) = of_type(records, "summary")
            (limits,) = summary["limits"]
            assert limits["refusals"] == plan.refused > 0


def test_a_limit_that_never_ends(popen: Popen, tmp_path: Path) -> None:
    (tmp_path / "prompts").write_bytes(lines(f"prompt {number}" for number in range(5000)))
    options = ("-L", "-j", "8", "--json", "--max-wait", "0.5", "-f", "prompts", "-n")
    with ExitStack() as stack:
        running = []
        for busy in (BUSY, BUSY_INSIDE, Act(429, headers="retry-after: 0\r\n")):  # again at once
            server = stack.enter_context(BatchServer(Refusing(1e9, 20, busy)))
            running.append((server, popen(*model(server), *options)))
        for server, process in running:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 20
            ends = ends_by_index(parse_records(out))
            statuses = Counter(end["status"] for end in ends.values())
            assert statuses.keys() == {"complete", "rate_limited"}
            assert statuses["complete"] == 20
            assert len(server.asked) <= 20 + 10 * 8
            assert b"nothing more was asked" in err


def test_a_wait_that_is_too_long(stream: Stream, tmp_path: Path) -> None:
    """The later ones are answered when it is known how the one that has to wait ended."""

    def plan(prompt: str, before: int) -> Act:
        if prompt == "prompt 10":
            return Act(429, headers="retry-after: 3600\r\n")
        if int(prompt.removeprefix("prompt ")) > 10:
            eventually(lambda: b"rate_limited" in journal.read_bytes())
        return Act()

    journal = tmp_path / "e.jsonl"
    journal.touch()
    prompts = [f"prompt {number}" for number in range(5000)]
    options = ("-L", "-j", "4", "--json", "--events", journal)
    with BatchServer(plan) as server:
        run = stream(*model(server), *options, stdin=lines(prompts))
    assert run.returncode == 20
    ends = ends_by_index(run.records)
    assert ends[10]["status"] == "rate_limited"
    assert {seen.prompt for seen in server.asked} <= {f"prompt {index}" for index in ends}
    assert len(ends) < 20
    assert "asks to wait 3600 s, beyond --max-wait" in run.complaints[0]
    assert "nothing more was asked" in run.complaints[1]


def endless(process: subprocess.Popen[bytes]) -> list[int]:
    """Feed prompts until nobody wants more, or far too many were taken; return how many bytes."""
    taken = [0]
    with suppress(BrokenPipeError):
        while taken[0] < 64 << 20:
            assert process.stdin
            taken[0] += os.write(process.stdin.fileno(), b"another prompt of many\n" * 10)
        process.kill()
    return taken


FINAL = {
    "wrong key": (Act(401), "auth"),
    "forbidden": (Act(403), "auth"),
    "quota": (Act(429, code="insufficient_quota"), "rate_limited"),
    "payment": (Act(402), "rate_limited"),
    "redirect": (Act(302, headers="location: http://127.0.0.1:9/\r\n"), "redirect"),
}


@pytest.mark.parametrize("why", FINAL)
@pytest.mark.parametrize("after", [0, 30])
def test_what_is_refused_to_all_costs_a_request_a_job(popen: Popen, why: str, after: int) -> None:
    act, status = FINAL[why]
    count = itertools.count()
    jobs = 8
    plan = lambda prompt, before: Act() if next(count) < after else act  # noqa: E731
    with BatchServer(plan) as server:
        process = popen(*model(server), "-L", "-j", str(jobs), "--json", stdin=subprocess.PIPE)
        feeder = threading.Thread(target=endless, args=(process,))
        feeder.start()  # stdin never ends: whoever would read it all would not come back
        out, err = process.stdout.read(), process.stderr.read().decode()
        assert process.wait(60) == 20
        feeder.join(60)
        assert not feeder.is_alive()
    records = parse_records(out)
    statuses = Counter(end["status"] for end in ends_by_index(records).values())
    assert statuses["complete"] == after
    assert 1 <= statuses[status] <= jobs
    assert len(records) == after + statuses[status]
    assert after < len(server.asked) <= len(records)  # some may have heard of it just in time
    assert "vllm: HTTP" in err
    assert "nothing more was asked" in err


def test_retries_share_a_budget(stream: Stream) -> None:
    prompts = [f"prompt {number}" for number in range(100)]
    with BatchServer(lambda prompt, before: Act(500, headers="retry-after-ms: 1\r\n")) as server:
        run = stream(*model(server), "-L", "-j", "16", "--json", stdin=lines(prompts))
    assert run.returncode == 20
    assert {end["status"] for end in ends_by_index(run.records).values()} == {"provider"}
    assert len(server.asked) == 100 + 50 + 20


# ---- signals ------------------------------------------------------------------------------------

HOLD = Act(wait=120)  # longer than any test


def some_hang(prompt: str, before: int) -> Act:
    return HOLD if prompt.startswith("hang") else Act()


MIXED = ["hang 0", "prompt 1", "prompt 2", "hang 3", "prompt 4", "hang 5", "prompt 6", "hang 7"]
MORTAL = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


def journal_of(tmp_path: Path) -> list[dict[str, Any]]:
    return parse_records((tmp_path / "e.jsonl").read_bytes())


def written(tmp_path: Path, kind: str) -> int:
    path = tmp_path / "e.jsonl"
    return path.read_bytes().count(b'{"type":"%s"' % kind.encode()) if path.exists() else 0


@pytest.mark.parametrize(("signum", "code"), MORTAL)
def test_a_signal_in_the_middle(popen: Popen, tmp_path: Path, signum: int, code: int) -> None:
    with BatchServer(some_hang) as server:
        options = (*model(server), "-L", "-j", "4", "--events", "e.jsonl")
        process = popen(*options, stdin=subprocess.PIPE)
        process.stdin.write(lines(MIXED))
        assert eventually(lambda: written(tmp_path, "end") == 4 and len(server.asked) == 8)
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
    assert process.returncode == -signum
    # Those behind the head of the line were over, and are written in their places.
    wanted = [answer_to(p) if p.startswith("prompt") else "" for p in MIXED]
    assert out == lines(wanted)
    assert f"stopped by {signal.Signals(signum).name}: 4 done, 4 broken off" in err.decode()
    assert err.count(b"\n") == 1
    records = journal_of(tmp_path)
    ends = ends_by_index(records)
    assert {index: end["status"] for index, end in ends.items()} == {
        index: "complete" if prompt.startswith("prompt") else "interrupted"
        for index, prompt in enumerate(MIXED)
    }
    assert {end["exit_code"] for end in ends.values() if not end["complete"]} == {code}
    assert {end["exit_code"] for end in ends.values() if end["complete"]} == {0}
    assert records[-1]["type"] == "summary"
    assert records[-1]["exit_code"] == code
    assert len(server.asked) == len(MIXED)


def test_nothing_new_starts_after_a_signal(popen: Popen, tmp_path: Path) -> None:
    with BatchServer(lambda prompt, before: Act(gap=0.02)) as server:
        questions = tmp_path / "prompts"
        questions.write_bytes(lines(f"prompt {number}" for number in range(10_000)))
        with open(questions, "rb") as stdin:
            process = popen(*model(server), "-L", "-j", "8", "--json", stdin=stdin)
        assert eventually(lambda: len(server.asked) > 40)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    ends = ends_by_index(parse_records(out))
    asked = {int(seen.prompt.removeprefix("prompt ")) for seen in server.asked}
    assert asked <= ends.keys()
    statuses = Counter(end["status"] for end in ends.values())
    assert statuses.keys() <= {"complete", "interrupted"}
    assert statuses["interrupted"] <= 8
    # A request that was broken off as it was sent may never have been read.
    assert {ends[index]["status"] for index in ends.keys() - asked} <= {"interrupted"}


@pytest.mark.parametrize("how", ["signal", "halt", "wrong key"])
def test_what_was_not_asked_is_no_line(popen: Popen, how: str) -> None:
    def plan(prompt: str, before: int) -> Act:
        if prompt == "prompt 0":
            return Act()
        if how == "wrong key":
            return Act(401)
        return HOLD if how == "signal" else Act(400)

    with BatchServer(plan) as server:
        options = ("-L", "-j", "4", "--halt", "soon,fail=2" if how == "halt" else "never")
        process = popen(*model(server), *options, stdin=subprocess.PIPE)
        process.stdin.write(lines(f"prompt {number}" for number in range(100)))
        if how == "signal":
            # The first was answered, and those after it hang.
            assert eventually(lambda: server.running == 4 and server.count("prompt 4"))
            process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    texts = out.removesuffix(b"\n").split(b"\n")
    assert texts[0] == answer_to("prompt 0").encode()
    assert not any(texts[1:])
    assert len(server.asked) <= len(texts) <= 1 + 4 + 2


def test_those_that_wait_for_another_try_end_too(popen: Popen, tmp_path: Path) -> None:
    with BatchServer(lambda prompt, before: Act(429, headers="retry-after: 60\r\n")) as server:
        options = (*model(server), "-L", "-j", "4", "--events", "e.jsonl")
        process = popen(*options, stdin=subprocess.PIPE)
        process.stdin.write(lines(MIXED))
        assert eventually(lambda: written(tmp_path, "retry"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    records = journal_of(tmp_path)
    started = {record["index"] for record in of_type(records, "start")}
    ends = ends_by_index(records)
    assert ends.keys() == started
    assert {end["status"] for end in ends.values()} == {"interrupted"}


# The command, which after one signal waits for its threads as long as no test does.
WAITING_LONG = """
from streamcli.batch import pool
pool.GRACE = 600
from streamcli.__main__ import main
main()
"""


def test_a_second_signal_ends_it_at_once(child_env: dict[str, str], tmp_path: Path) -> None:
    with unanswering() as port:  # a connection being made is what takes longest to end
        options = ("-m", "vllm:m", "--base-url", f"http://127.0.0.1:{port}/v1", "-L")
        options += ("--connect-timeout", "600", "--events", "e.jsonl")
        command = [sys.executable, "-c", WAITING_LONG, *options]
        process = subprocess.Popen(
            [sys.executable, "-IS", "-c", WITH_SIGNALS, "", *command],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_env,
            cwd=tmp_path,
            start_new_session=True,
            bufsize=0,
        )
        with process:
            try:
                assert process.stdin
                process.stdin.write(lines(MIXED))
                assert eventually(lambda: written(tmp_path, "start") == 4)

                def ends() -> bool:
                    process.send_signal(signal.SIGINT)  # the first ones count as one
                    return process.poll() is not None

                assert eventually(ends)
            finally:
                process.kill()
            assert process.returncode == -signal.SIGINT
    assert written(tmp_path, "end") == 0


@contextmanager
def unanswering() -> Iterator[int]:
    """A port that lets connections wait for ever: nobody accepts, and its queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def test_a_signal_while_connections_are_made(popen: Popen, tmp_path: Path) -> None:
    with unanswering() as port:
        base = f"http://127.0.0.1:{port}/v1"
        options = ("-m", "vllm:m", "--base-url", base, "-L", "-j", "3", "--connect-timeout", "60")
        process = popen(*options, "--events", "e.jsonl", stdin=subprocess.PIPE)
        process.stdin.write(lines(MIXED))
        assert eventually(lambda: written(tmp_path, "start") == 3)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    ends = ends_by_index(journal_of(tmp_path))
    assert {index: end["status"] for index, end in ends.items()} == dict.fromkeys(
        range(3), "interrupted"
    )
    assert all(end["timings"]["duration_ms"] > 0 for end in ends.values())


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_signal_while_nobody_reads(popen: Popen, tmp_path: Path, form: tuple[str, ...]) -> None:
    def plan(prompt: str, before: int) -> Act:
        return Act(text="x" * 50_000)

    with BatchServer(plan) as server:
        options = (*model(server), "-L", "-j", "4", "--events", "e.jsonl", *form)
        process = popen(*options, stdin=subprocess.PIPE)
        feeder = threading.Thread(target=endless, args=(process,))
        feeder.start()
        assert eventually(lambda: not changing(lambda: len(server.asked)))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
        feeder.join()
    records = journal_of(tmp_path)
    started = {record["index"] for record in of_type(records, "start")}
    assert ends_by_index(records).keys() == started
    assert records[-1]["type"] == "summary"


def changing(value: Callable[[], int]) -> bool:
    """Whether it is, half a second later, another one; it is no longer 0."""
    before = value()
    time.sleep(0.5)
    return not before or value() != before


@pytest.mark.parametrize("form", [(), ("--json",), ("--jsonl",)])
def test_head_takes_three_lines(popen: Popen, tmp_path: Path, form: tuple[str, ...]) -> None:
    with BatchServer(lambda prompt, before: Act(gap=0.001)) as server:
        options = (*model(server), "-L", "-j", "8", "--events", "e.jsonl", *form)
        process = popen(*options, stdin=subprocess.PIPE)
        feeder = threading.Thread(target=endless, args=(process,))
        feeder.start()
        head = subprocess.run(
            ["head", "-n", "3"], stdin=process.stdout, capture_output=True, timeout=60, check=True
        )
        process.stdout.close()
        assert process.wait(60) == -signal.SIGPIPE
        feeder.join()
        assert process.stderr.read() == b""
    assert head.stdout.count(b"\n") == 3
    records = journal_of(tmp_path)
    started = {record["index"] for record in of_type(records, "start")}
    ends = ends_by_index(records)
    assert ends.keys() == started
    codes = Counter(end["exit_code"] for end in ends.values())
    assert codes.keys() <= {0, 141}
    assert codes[0] >= (0 if form == ("--jsonl",) else 3)
    assert codes[141]
    assert records[-1]["exit_code"] == 141


# ---- readers and writers of our pipes -----------------------------------------------------------


def test_who_does_not_read_is_not_asked_for(popen: Popen) -> None:
    def plan(prompt: str, before: int) -> Act:
        return Act(text=f"{prompt}: " + "x" * 20_000)

    total = 400
    with ExitStack() as stack:
        running = []
        for form in ((), ("--json",), ("--jsonl",)):
            server = stack.enter_context(BatchServer(plan))
            options = (*model(server), "-L", "-j", "4", "--idle-timeout", "4", *form)
            process = popen(*options, stdin=subprocess.PIPE)
            process.stdin.write(lines(f"prompt {number}" for number in range(total)))
            process.stdin.close()
            running.append((server, process))
        for server, _ in running:
            assert eventually(lambda server=server: not changing(lambda: len(server.asked)))
        time.sleep(4.5)  # longer than --idle-timeout
        for server, process in running:
            # 64 KiB fill a pipe and 20 KB are an answer; then there are those that run, and in text
            # those that wait for the first: more, the later that comes.
            assert len(server.asked) <= total // 4
            out = process.stdout.read()
            assert process.wait(60) == 0, process.stderr.read()
            assert len(server.asked) == total
            if server is running[0][0]:
                assert out.count(b"\n") == total
            else:
                assert len(ends_by_index(parse_records(out))) == total


def test_prompts_are_asked_as_they_come(popen: Popen) -> None:
    with BatchServer() as server:
        process = popen(*model(server), "-L", "-j", "4", stdin=subprocess.PIPE)
        for number in range(6):
            process.stdin.write(lines([f"prompt {number}"]))
            assert read_line(process) == lines([answer_to(f"prompt {number}")])
        process.stdin.write(b"without a newline")
        process.stdin.close()
        assert process.stdout.read() == lines([answer_to("without a newline")])
        assert process.wait(60) == 0


def read_line(process: subprocess.Popen[bytes]) -> bytes:
    got = b""
    while not got.endswith(b"\n"):
        assert select.select([process.stdout], [], [], 60)[0], got
        data = os.read(process.stdout.fileno(), 1)
        assert data, process.stderr.read()
        got += data
    return got


# ---- how many at once, how fast, how long -------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2, 7, 40])
def test_so_many_run_at_once_and_never_more(stream: Stream, jobs: int) -> None:
    meeting = threading.Barrier(jobs)

    def plan(prompt: str, before: int) -> Act:
        meeting.wait(60)  # nobody is answered until all are there
        return Act(wait=0.005)

    prompts = [f"prompt {number}" for number in range(jobs * 3)]
    with BatchServer(plan) as server:
        run = stream(*model(server), "-L", "-j", str(jobs), "--json", stdin=lines(prompts))
        assert not meeting.broken
        assert server.most == jobs
    assert run.returncode == 0
    assert len(ends_by_index(run.records)) == len(prompts)


def test_two_prompts_that_come_late_run_at_once(popen: Popen) -> None:
    meeting = threading.Barrier(2)

    def plan(prompt: str, before: int) -> Act:
        if prompt.startswith("both"):
            meeting.wait(60)
        return Act()

    with BatchServer(plan) as server:
        process = popen(*model(server), "-L", "-j", "4", stdin=subprocess.PIPE)
        for number in range(8):
            process.stdin.write(lines(["one"]))
            read_line(process)
            process.stdin.write(lines([f"both {number}"] * 2))
            read_line(process), read_line(process)
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_rate(stream: Stream) -> None:
    """Seen from outside a first request is late, as all is imported for it: so the whole counts."""
    with BatchServer() as server:
        options = ("-L", "-j", "8", "--rate", "16/s")
        run = stream(*model(server), *options, stdin=lines("abcdefghijklmnopqrstu"))
    assert (run.returncode, len(server.asked)) == (0, 21)
    assert run.seconds >= 20 / 16 - 0.05


def test_a_rate_counts_other_tries_too(stream: Stream) -> None:
    def plan(prompt: str, before: int) -> Act:
        return Act() if before else Act(500, headers="retry-after-ms: 1\r\n")

    with BatchServer(plan) as server:
        options = ("-L", "-j", "8", "--rate", "12/s")
        run = stream(*model(server), *options, stdin=lines("abcdef"))
    assert (run.returncode, len(server.asked)) == (0, 12)
    assert run.seconds >= 11 / 12 - 0.05


def failing(*which: int) -> Plan:
    names = {f"prompt {number}" for number in which}
    return lambda prompt, before: Act(400) if prompt in names else Act()


HALTS = [
    # option, what fails, how many are asked with one job, exit status
    ("never", range(30), 30),
    ("soon,fail=1", [4], 5),
    ("soon,fail=3", [4, 6, 11, 12], 12),
    ("now,fail=2", [0, 9], 10),
    ("10%", [15, 20, 21], 22),
    ("10%", [3], 10),
    ("soon,fail=50%", range(0, 30, 2), 10),
    ("soon,fail=9", [1], 30),
]


@pytest.mark.parametrize(("halt", "which", "asked"), HALTS)
def test_halt(stream: Stream, halt: str, which: Iterable[int], asked: int) -> None:
    prompts = [f"prompt {number}" for number in range(30)]
    with BatchServer(failing(*which)) as server:
        run = stream(
            *model(server), "-L", "-j", "1", "--json", "--halt", halt, stdin=lines(prompts)
        )
    assert run.returncode == 20
    assert [seen.prompt for seen in server.asked] == prompts[:asked]
    assert [*ends_by_index(run.records)] == [*range(asked)]


def test_halt_soon_lets_those_end_that_run(stream: Stream, tmp_path: Path) -> None:
    def plan(prompt: str, before: int) -> Act:
        """The first fails when the others run, which are answered when that is known, if ever."""
        if prompt == "prompt 0":
            return Act(400 if eventually(lambda: server.running == 4) else 200)
        if how == "now":
            return HOLD
        eventually(lambda: written(tmp_path, "end"))
        return Act(wait=0.3)

    prompts = [f"prompt {number}" for number in range(30)]
    for how, status in (("now", "interrupted"), ("soon", "complete")):
        (tmp_path / "e.jsonl").unlink(missing_ok=True)
        with BatchServer(plan) as server:
            options = ("-L", "-j", "4", "--json", "--halt", f"{how},fail=1", "--events", "e.jsonl")
            run = stream(*model(server), *options, stdin=lines(prompts))
        assert run.returncode == 20
        ends = ends_by_index(run.records)
        assert {index: end["status"] for index, end in ends.items()} == {
            0: "rejected",
            1: status,
            2: status,
            3: status,
        }
        assert len(server.asked) == 4


def test_repeat(stream: Stream) -> None:
    with BatchServer(late(1)) as server:
        run = stream(*model(server), "--repeat", "30", "-j", "8", "--json", "-k", "Hello")
        lined = stream(*model(server), "-L", "--repeat", "3", "-j", "8", stdin=lines(["a", "b"]))
    assert (run.returncode, lined.returncode) == (0, 0)
    ends = of_type(run.records, "end")
    assert [(end["index"], end["occurrence"]) for end in ends] == [(n, n) for n in range(30)]
    assert len({end["prompt_hash"] for end in ends}) == 1
    assert server.count("Hello") == 30
    assert lined.stdout == lines(answer_to(prompt) for prompt in "aaabbb")
