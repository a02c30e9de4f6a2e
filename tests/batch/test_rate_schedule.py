"""--rate: a schedule that late starts do not shift, on a fake clock, and queue_ms in records."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from itertools import pairwise
from statistics import mean, stdev
from types import SimpleNamespace

import pytest
from batchserver import Act, BatchServer
from conftest import Popen, Stream, eventually
from records import check, parse_records

from streamcli.batch.limits.gate import Gate
from streamcli.batch.queue import Queue
from streamcli.batch.rate_schedule import CATCH_UP, RateSchedule
from streamcli.batch.task import Client, Task
from streamcli.outcome import Outcome


def test_nothing_starts_before_its_time() -> None:
    rng, now, pace = random.Random(1), 1000.0, RateSchedule(10)
    starts = []
    for _ in range(500):
        now += pace.wait(now) + rng.choice((0, 0, 0.001, 0.015, 0.05, 0.5, 3))
        while not pace.wait(now):
            pace.started(now)
            starts.append(now)
    assert len(starts) >= 500
    for number, start in enumerate(starts):
        assert number <= (start - starts[0]) * 10 + 1


def test_a_late_start_does_not_shift_those_behind_it() -> None:
    pace = RateSchedule(10)
    assert pace.started(5.0) == 0
    late = [pace.started(7.0) for _ in range(20)]  # a stall of 2 s
    assert late == pytest.approx([(19 - number) / 10 for number in range(20)])
    assert pace.wait(7.0) == pytest.approx(0.1)
    assert pace.started(7.1) == pytest.approx(0)


def test_more_than_a_minute_is_not_caught_up_with() -> None:
    """But it is told: lateness is measured by the schedule."""
    pace = RateSchedule(1)
    pace.started(0.0)
    assert pace.started(1000.0) == 999
    caught_up = 1
    while not pace.wait(1000.0):
        pace.started(1000.0)
        caught_up += 1
    assert caught_up == pytest.approx(CATCH_UP, abs=2)
    assert pace.started(1001.0) == pytest.approx(1001 - 1 - caught_up)


def test_a_schedule_waits_for_its_input() -> None:
    pace = RateSchedule(10)
    pace.started(0.0)
    pace.restart(50.0)
    assert pace.started(50.0) == 0
    assert pace.wait(50.0) == pytest.approx(0.1)
    pace.restart(50.0)
    assert pace.wait(50.0) == pytest.approx(0.1)  # it is not behind


def test_without_a_rate() -> None:
    pace = RateSchedule(None)
    assert [pace.started(0.0), pace.wait(0.0), pace.started(0.0)] == [None, 0.0, None]


def test_poisson() -> None:
    """The gaps of a Poisson process have the mean that was asked for, and deviate as much."""
    rng, now, pace = random.Random(1), 0.0, RateSchedule(100, random.Random(2).random)
    starts = []
    for _ in range(20_000):
        now += pace.wait(now)
        assert pace.started(now) == pytest.approx(0, abs=2e-4)
        starts.append(now)
        now += rng.random() * 1e-4
    gaps = [late - early for early, late in pairwise(starts)]
    assert mean(gaps) == pytest.approx(0.01, rel=0.03)
    assert stdev(gaps) == pytest.approx(0.01, rel=0.05)
    edge = RateSchedule(1, lambda: 1.0)  # what a random source never returns
    edge.started(0.0)
    assert edge.wait(0.0) < 60


def test_a_stall_shows_in_what_waited_behind_it() -> None:
    """Ten a second, two workers, and a server that stalls for 2 s: p99 with queue is over 1 s."""
    now = 100.0
    gate = Gate(2, 120, lambda: 0.5)
    queue: Queue[Task[None, Client]] = Queue(2, RateSchedule(10), lambda: now)
    tasks: Iterator[Task[None, Client]] = iter([Task(n, None, (gate,)) for n in range(100)])
    running: list[tuple[float, Task[None, Client]]] = []
    late = []
    done = 0
    while done < 100:
        while queue.has_room and (task := next(tasks, None)):
            queue.offer(task)
        started, wait = queue.poll()
        if started is not None:
            started.answer = SimpleNamespace(number=0)  # type: ignore[assignment]
            assert started.queue_ms is not None
            late.append(started.queue_ms)
            stalls = 103 <= now < 105
            running.append((105.0 if stalls else now + 0.01, started))
            continue
        ends = min((end for end, _ in running), default=float("inf"))
        now = min(ends, now + wait)
        for end, each in list(running):
            if end <= now:
                running.remove((end, each))
                queue.answered(each)
                queue.finish(each, Outcome())
                queue.settle(each)
                done += 1
    late.sort()
    assert late[50] == pytest.approx(0)
    assert late[98] >= 1000
    assert late[-1] <= 2000


def test_records_tell_how_late_a_prompt_started(stream: Stream) -> None:
    with BatchServer() as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "-L", "--jsonl", "--rate", "100/s")
        run = stream(*args, "-j", "1", stdin=b"p\n" * 20)
        check(run.records)
        ends = [record for record in run.records if record["type"] == "end"]
        assert all(end["timings"]["queue_ms"] >= 0 for end in ends)
        waits = run.records[-1]["percentiles"]["queue_ms"]
        assert waits["max"] == pytest.approx(max(end["timings"]["queue_ms"] for end in ends), abs=1)
        run = stream(*args[:-2], stdin=b"p\n")
        assert "queue_ms" not in run.records[-2]["timings"]
        assert "queue_ms" not in run.records[-1]["percentiles"]


def test_all_behind_a_stalled_one_are_late(popen: Popen) -> None:
    """One worker, and a first answer that takes until the test lets it go."""
    go = threading.Event()

    def plan(prompt: str, before: int) -> Act:
        if prompt == "first":
            go.wait(60)
        return Act()

    with BatchServer(plan) as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "-L", "--json", "-j", "1")
        process = popen(*args, "--rate", "50/s", stdin=-1)
        process.stdin.write(b"first\n" + b"p\n" * 5)
        process.stdin.close()
        assert eventually(lambda: server.count("first"))
        threading.Timer(1.5, go.set).start()
        ends = parse_records(process.stdout.read())
        assert process.wait(60) == 0
    late = {end["index"]: end["timings"]["queue_ms"] for end in ends}
    assert late[0] == 0
    assert all(late[index] >= 300 for index in range(1, 6))  # 1400 if nothing else runs here


def test_a_schedule_that_is_not_kept_has_a_note(stream: Stream) -> None:
    """One worker cannot keep it, whose first answer takes 1.5 s; one prompt is always in time."""
    with BatchServer(lambda prompt, before: Act(wait=1.5 if prompt == "slow" else 0)) as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "-L", "-j", "1", "--rate", "50/s")
        late = stream(*args, stdin=b"slow\np\np\np\n")
        assert late.returncode == 0
        (note,) = late.complaints
        assert note.startswith("stream: half of the prompts started ")
        assert note.endswith(" behind --rate: raise -j (1), if the server can take more at once")
        assert stream(*args, stdin=b"p\n").stderr == ""
        assert stream(*args, "-q", stdin=b"slow\np\np\np\n").stderr == ""


@pytest.mark.parametrize(
    "rate", ["5/s,normal", ",poisson", "poisson", "5/s,poisson,poisson", "0/s"]
)
def test_what_is_no_rate(stream: Stream, rate: str) -> None:
    run = stream("-m", "vllm:m", "-L", "--rate", rate, stdin=b"")
    assert run.returncode == 2
    assert "is not a rate like 5/s, 90/m or 1000/h" in run.complaints[0]
