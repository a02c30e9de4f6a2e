"""When a batch sends its next request: gates, queue, budget, rate, halt, in a time of their own.

The servers here are limits that providers have; hours of them pass in moments.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Protocol

import pytest

from streamcli.batch.limits.gate import PATIENCE, Entry, Gate
from streamcli.batch.queue import Queue
from streamcli.batch.rate_schedule import RateSchedule
from streamcli.batch.retry_budget import RetryBudget
from streamcli.batch.task import Client, Task
from streamcli.events import Failed
from streamcli.outcome import Outcome

Prompt = Task[None, Client]


class Limit(Protocol):
    """Whether a request is taken now; `over` when its answer is."""

    def takes(self, now: float) -> bool: ...
    def over(self) -> None: ...


class Bucket:
    """`rate` requests a second, `burst` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst, self.left, self.at = rate, burst, float(burst), 0.0

    def takes(self, now: float) -> bool:
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        taken = self.left >= 1
        self.left -= taken
        return taken

    def over(self) -> None: ...


class AtOnce:
    """So many at the same time."""

    def __init__(self, most: int) -> None:
        self.most, self.running = most, 0

    def takes(self, now: float) -> bool:
        taken = self.running < self.most
        self.running += taken
        return taken

    def over(self) -> None:
        self.running -= 1


class Down:
    """Nothing between `first` and `last`."""

    def __init__(self, first: float = 0.0, last: float = 0.0) -> None:
        self.first, self.last = first, last

    def takes(self, now: float) -> bool:
        return not self.first <= now < self.last

    def over(self) -> None: ...


class World:
    """A batch of `total` prompts in a time of its own; `bad` prompts are never taken."""

    def __init__(
        self,
        limit: Limit,
        *,
        total: int = 500,
        jobs: int = 32,
        bad: int = 0,
        max_wait: float = 120,
        wanted: float | None = None,
    ) -> None:
        self.now, self.requests, self.answered = 0.0, 0, 0
        self.lost: list[int] = []
        self.bad = set(random.Random(7).sample(range(total), bad))
        self._limit = limit
        self._wanted = wanted
        self._random = random.Random(1)
        self.gate = Gate(jobs, max_wait, self._random.random)
        self._queue = queue = Queue[Prompt](jobs, RateSchedule(None), lambda: self.now)
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        tasks: Iterator[Prompt] = iter(
            [Task(number, None, (self.gate,)) for number in range(total)]
        )
        while True:  # what `take` does, but for waiting
            while queue.has_room and not self.gate.closed and (given := next(tasks, None)):
                queue.offer(given)
            task, wait = queue.poll()
            if task is not None:
                self._begin(task)
            elif self._coming and self._coming[0][0] <= self.now + wait:
                self.now, _, happen = heapq.heappop(self._coming)
                happen()
            elif wait < float("inf"):
                self.now += wait + 1e-6
            else:
                break

    @property
    def lost_for_nothing(self) -> set[int]:
        return set(self.lost) - self.bad

    def _later(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (self.now + seconds, next(self._order), happen))

    def _begin(self, task: Prompt) -> None:
        task.answer = task.answer or SimpleNamespace(number=0)  # type: ignore[assignment]
        if self.gate.closed:
            self._end(task, whole=False)
            return
        self.requests += 1
        taken = task.sequence not in self.bad and self._limit.takes(self.now)
        self._later(0.2 + 0.2 * self._random.random(), lambda: self._head(task, taken))

    def _head(self, task: Prompt, taken: bool) -> None:
        if taken:
            self._queue.answered(task)
            self._later(2, lambda: self._end(task, whole=True))
            return
        failed = Failed("rate_limit", "busy", transient=True, retry_after=self._wanted)
        wait = None if self.gate.closed else self._queue.limited(task, failed)
        if wait is None:
            self._end(task, whole=False)
        else:
            assert self._queue.put_back(task, wait)

    def _end(self, task: Prompt, *, whole: bool) -> None:
        if whole:
            self.answered += 1
            self._limit.over()
        else:
            self.lost.append(task.sequence)
        self._queue.finish(task, Outcome())
        self._queue.settle(task)


LIMITED = [
    # limit, what else, requests at most that are refused, seconds that it may take
    (Bucket(1, 60), {}, 600, 480),
    (Bucket(1, 60), {"wanted": 1.0}, 400, 480),
    (Bucket(20, 20), {}, 60, 60),
    (Bucket(0.05, 3), {"total": 50}, 400, 1000),
    (AtOnce(10), {}, 150, 160),
    (Down(5, 10), {}, 4 * 32, 60),
    (Down(0, 5), {}, 2 * 32 + 4, 60),
    (Down(5, 305), {}, 5 * 32, 400),
    (Down(0, 300), {"wanted": 60.0}, 2 * 32, 400),
]


@pytest.mark.parametrize(("limit", "options", "refused", "seconds"), LIMITED)
def test_a_limit_loses_nothing(
    limit: Limit, options: dict[str, Any], refused: int, seconds: float
) -> None:
    world = World(limit, **options)
    assert not world.lost
    assert world.gate.closed is None
    assert world.answered == options.get("total", 500)
    assert world.requests - world.answered <= refused
    assert world.now <= seconds


@pytest.mark.parametrize("bad", [1, 20, 60])
@pytest.mark.parametrize("limited", [False, True])
def test_prompts_that_are_always_refused_do_not_keep_others_back(limited: bool, bad: int) -> None:
    world = World(Bucket(20, 20) if limited else Down(), bad=bad, max_wait=10)
    assert not world.lost_for_nothing
    assert set(world.lost) == world.bad
    assert world.answered == 500 - bad
    assert world.now <= 300 + 10 * PATIENCE


@pytest.mark.parametrize("limited", [False, True])
def test_the_last_one_is_not_waited_for_beyond_its_time(limited: bool) -> None:
    """When all others are done nobody else's answer can tell its refusals from everybody's."""
    world = World(Bucket(20, 20) if limited else Down(), total=100, bad=1, max_wait=10)
    assert set(world.lost) == world.bad
    assert world.now <= 10 + PATIENCE * 10 + 10


@pytest.mark.parametrize("first", [0, 20])
def test_who_always_refuses_is_given_up(first: float) -> None:
    world = World(Down(first, float("inf")), total=10_000, max_wait=60)
    assert world.gate.closed is not None
    assert 0.5 * PATIENCE * 60 <= world.now - first <= PATIENCE * 60 + 20
    assert world.requests - world.answered <= 5 * 32
    assert len(world.lost) <= 200


def test_a_wait_beyond_max_wait_closes() -> None:
    world = World(Down(0, 1e9), wanted=121.0)
    assert world.gate.closed is not None
    assert "beyond --max-wait" in world.gate.closed.message
    assert world.requests <= 32


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("auth", True, True),
        ("quota", True, True),
        ("redirect", True, True),
        ("filtered", False, False),  # of this prompt
        ("context_window", False, False),
        ("rejected", False, False),
    ],
)
def test_what_closes_a_gate(kind: str, before: bool, after: bool) -> None:
    """`before` and `after` the provider has answered something."""
    for answered, closes in ((False, before), (True, after)):
        gate, entry = Gate(4, 120, random.random), Entry()
        gate.started(entry, 0.0)
        if answered:
            gate.answered(entry, 1.0)
        gate.judge(Failed(kind, "no"))
        assert (gate.closed is not None) is closes


@pytest.mark.parametrize("answered", [True, False])
def test_a_firewall_closes_a_gate_only_when_it_blocks_everything(answered: bool) -> None:
    """Its web page may be about one prompt: others may be let through."""
    gate, entry = Gate(4, 120, random.random), Entry()
    gate.started(entry, 0.0)
    for _ in range(2):
        gate.judge(Failed("forbidden", "a web page"))
    assert gate.closed is None
    if answered:
        gate.answered(entry, 1.0)
    gate.judge(Failed("forbidden", "a web page"))
    assert (gate.closed is None) is answered


def test_a_server_that_refuses_after_a_wait_is_asked_once_at_a_time() -> None:
    gate, now = Gate(8, 120, lambda: 0.5), 0.0
    busy = Failed("rate_limit", "busy", transient=True, retry_after=5.0)
    tasks: list[Prompt] = [Task(number, None, (gate,)) for number in range(8)]
    while gate.learned.holds.total < 20:
        for task in tasks:
            if gate.wait(now) == 0:
                gate.started(task.entry, now)
        now += 1
        for task in tasks:
            if task.entry.ticket is not None:
                assert gate.limited(task.entry, busy, now) is not None
                gate.ended(task.entry)
    now = gate.learned.holds.until
    assert gate.wait(now) == 0
    gate.started(tasks[0].entry, now)
    assert gate.wait(now + 5) == float("inf")
    gate.answered(tasks[0].entry, now + 1)
    assert gate.wait(now + 5) == 0


def test_a_request_that_ends_without_a_word_keeps_no_other_back() -> None:
    """The only request after a hold may break off, which says nothing of the limit."""
    gate, now = Gate(1, 120, lambda: 0.5), 0.0
    busy = Failed("rate_limit", "busy", transient=True)
    entry = Entry()
    for _ in range(30):
        now += gate.wait(now)
        gate.started(entry, now)
        gate.limited(entry, busy, now)
        gate.ended(entry)
    now += gate.wait(now)
    gate.started(entry, now)
    assert gate.wait(now) == float("inf")
    gate.ended(entry)
    assert gate.wait(now + 60) == 0


def test_a_budget_of_retries() -> None:
    budget = RetryBudget()
    assert sum(budget.spend() for _ in range(100)) == 50
    budget.prompts = 1000
    assert sum(budget.spend() for _ in range(1000)) == 200
