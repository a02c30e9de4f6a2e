"""The threads of a batch, in this process: many small batches with every kind of trouble.

They switch as often as they can, so that what may happen in any order does.
"""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue

import pytest
from conftest import eventually, threads_left

from streamcli.answer.answer_stream import Moment, Pause
from streamcli.answer.retry import delay
from streamcli.batch import pool as pool_module
from streamcli.batch.channel import Channel, Item
from streamcli.batch.limits.gate import Gate
from streamcli.batch.pool import Pool
from streamcli.batch.queue import Queue
from streamcli.batch.rate_schedule import RateSchedule
from streamcli.batch.retries import Retries
from streamcli.batch.task import State, Task
from streamcli.errors import StreamError
from streamcli.events import Attempt, Failed, Finished, Retry, Text
from streamcli.outcome import Outcome

LATE = 120.0  # seconds without any news: then nothing will come any more


@pytest.fixture(autouse=True)
def _switching() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class Line:
    """The client of a worker."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        pass


Prompt = Task[None, Line]


class Reply:
    """An AnswerStream whose attempts end in ways that `rng` chooses from `kinds`."""

    resumable = True
    number = 0

    def __init__(self, task: Prompt, rng: random.Random, kinds: list[str], pause: Pause) -> None:
        self.outcome = Outcome()
        self._task, self._rng, self._kinds, self._pause = task, rng, kinds, pause

    def t_ms(self) -> float:
        return 1.0

    def stop(self, failed: Failed) -> None:
        self.outcome.end = failed

    def __iter__(self) -> Iterator[Moment]:
        for attempt in itertools.count(1):
            yield 0.0, [Attempt(attempt)]
            end: Finished | Failed = Failed("lost", "cancelled")
            line = self._task.client
            assert line is not None
            if not line.cancelled.is_set():
                end = yield from self._attempt(line)
            self.outcome.end = end
            wait = self._pause(end, attempt) if isinstance(end, Failed) else None
            if wait is None:
                yield 1.0, [end]
                return
            yield 1.0, [Retry(attempt, end, wait)]
            self.outcome.end = None

    def _attempt(self, line: Line) -> Iterator[Moment]:
        kind = self._rng.choice(self._kinds)
        for _ in range(self._rng.choice((0, 1, 4, 60))):
            yield 1.0, [Text("x")]
            if kind == "cut":
                break
        if kind == "slow" and line.cancelled.wait(0.02 * self._rng.random()):
            return Failed("lost", "cancelled")
        if kind == "bug":
            raise ValueError("in the middle")
        if kind == "raised":
            raise StreamError("lost", "raised")
        return {
            "cut": Failed("truncated", "cut"),
            "busy": Failed("rate_limit", "busy", transient=True, retry_after=0.001),
            "error": Failed("server_error", "error", transient=True),
            "auth": Failed("auth", "wrong key"),
        }.get(kind) or Finished("stop", "stop", ("finish_reason",))


KINDS = {
    "answers": ["answer"],
    "faults": ["answer"] * 6 + ["slow", "slow", "cut", "bug", "raised", "error"],
    "limits": ["answer"] * 20 + ["busy", "error"],
    "errors": ["error"],
    "key": ["answer"] * 8 + ["auth"],
}


class Impatient(Channel[Prompt]):
    """Fails the test where a batch would wait for ever."""

    def __init__(self, limit: int, hangs: str) -> None:
        super().__init__(limit)
        self._hangs = hangs

    def get(self, timeout: float | None = None) -> Item[Prompt]:
        try:
            return super().get(LATE if timeout is None else timeout)
        except Empty:
            assert timeout is not None, self._hangs
            raise


def one_batch(seed: int, what: str, then: str) -> None:
    rng = random.Random(f"{seed} {what} {then}")
    total, jobs = rng.randint(1, 50), rng.choice((1, 2, 3, 8, 64))
    gates = [Gate(jobs, 1, rng.random) for _ in range(rng.choice((1, 1, 2)))]

    def tasks() -> Iterator[Prompt]:
        for number in range(total):
            if rng.random() < 0.05:
                time.sleep(0.002 * rng.random())
            if then == "input" and number == total - 1:
                raise StreamError("usage", "the input broke")
            bad = Failed("usage", "bad line") if rng.random() < 0.1 else None
            yield Task(number, None, (rng.choice(gates),), bad)

    def reply(task: Prompt, line: Line) -> Reply:
        assert task.client is line
        assert task.state is State.RUNNING
        rng = random.Random(f"{seed} {task.sequence}")
        return Reply(task, rng, KINDS[what], retries.pause_of(task))

    def soon(failed: Failed, attempt: int) -> float | None:
        return delay(failed, attempt, max_retries=3, max_wait=1, random=lambda: 0.001)

    queue: Queue[Prompt] = Queue(jobs, RateSchedule(rng.choice((None, None, 3000))), time.monotonic)
    retries = Retries(queue, soon)
    channel = Impatient(max(64, 4 * jobs), f"{seed} {what} {then}: it hangs")
    attempts = rng.random() < 0.5
    running = Pool(tasks(), queue, channel, reply, Line, clock=time.monotonic, attempts=attempts)
    moment = rng.randint(0, total)
    begun, ended, dropped = set(), set(), set()
    for news in running:
        if isinstance(news, StreamError | int):
            running.cancel(Failed("interrupted", "stopped"))
            continue
        task, _, events = news
        assert task.sequence not in ended, "news after the end, or a second end"
        if events is None:
            assert task.state is State.OVER
            assert task.outcome is not None
            assert task.outcome.end is not None
            ended.add(task.sequence)
        else:
            begun.add(task.sequence)
        dropped |= {task.sequence for task in running.dropped()}
        if len(ended) >= moment:
            if then == "signal":
                channel.signal(2)
            elif then == "halt":
                running.stop()
    assert eventually(lambda: not threads_left(), LATE), "a thread still waits"
    dropped |= {task.sequence for task in running.dropped()}
    assert begun <= ended
    assert not dropped & ended
    if then == "end" and not any(gate.closed for gate in gates):
        assert ended == set(range(total))
    if then == "end":
        assert len(ended | dropped) == total or all(gate.closed for gate in gates)


@pytest.mark.parametrize("then", ["end", "signal", "halt", "input"])
@pytest.mark.parametrize("what", KINDS)
def test_every_batch_ends_and_loses_nothing(what: str, then: str) -> None:
    for seed in range(3 if what == "limits" else 8):
        one_batch(seed, what, then)


@pytest.mark.parametrize("producers", [1, 3])
def test_a_channel_wakes_who_waits_for_room(producers: int) -> None:
    for limit in (1, 2, 5):
        channel: Channel[int] = Channel(limit)

        def produce(channel: Channel[int] = channel) -> None:
            for number in range(500):
                channel.put((number, 0.0, None))

        for _ in range(producers):
            threading.Thread(target=produce, daemon=True).start()
        for _ in range(500 * producers):
            assert channel.get(LATE) is not None


def test_who_comes_to_wait_when_all_is_read_is_not_left_waiting() -> None:
    """The reader empties the channel between the writer's look at it and the writer's wait."""
    looks = itertools.count()

    class Interrupted(SimpleQueue[Item[int]]):
        def qsize(self) -> int:
            size = super().qsize()
            if next(looks) == 3:  # each of the puts looked once, and the third goes to wait
                reading.start()
                reading.join(0.3)
            return size

    channel: Channel[int] = Channel(2, Interrupted())

    def read() -> None:
        for _ in range(3):
            channel.get(LATE)

    reading = threading.Thread(target=read)

    def write() -> None:
        for number in range(3):
            channel.put((number, 0.0, None))

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(LATE)
    assert not writing.is_alive()


def test_who_waits_for_room_goes_on_when_nothing_will_be_read() -> None:
    channel: Channel[int] = Channel(1)
    channel.signal(2)
    writing = threading.Thread(target=lambda: channel.put((0, 0.0, None)), daemon=True)
    writing.start()
    channel.close()
    writing.join(LATE)
    assert not writing.is_alive()


def test_nothing_is_put_back_once_it_was_cancelled() -> None:
    gate = Gate(1, 1, random.random)
    queue: Queue[Prompt] = Queue(1, RateSchedule(None), time.monotonic)
    assert queue.offer(Task(0, None, (gate,)))
    task = queue.take()
    assert task is not None
    assert queue.stop(waiting=True) == []
    assert not queue.put_back(task, 0.0)
    assert queue.unsettled() == [task]
    assert queue.finish(task, Outcome())
    assert not queue.finish(task, Outcome())  # a worker that comes late
    assert queue.settle(task)


def test_a_wait_longer_than_any_clock() -> None:
    gate = Gate(2, 1, random.random)
    queue: Queue[Prompt] = Queue(2, RateSchedule(1e-300), time.monotonic)
    for number in range(2):
        assert queue.offer(Task(number, None, (gate,)))
    assert queue.take() is not None
    threading.Timer(0.1, queue.stop, kwargs={"waiting": True}).start()
    assert queue.take() is None


@pytest.mark.parametrize("threads", [-1, 0, 1, 3])
def test_a_system_that_gives_few_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    given = itertools.count()

    class Few(threading.Thread):
        def start(self) -> None:
            if next(given) > threads:  # one is the reader
                raise RuntimeError("can't start new thread")
            super().start()

    monkeypatch.setattr(pool_module, "Thread", Few)
    gate = Gate(8, 1, random.random)
    queue: Queue[Prompt] = Queue(8, RateSchedule(None), time.monotonic)
    retries = Retries(queue, lambda failed, attempt: None)
    running = Pool(
        [Task(number, None, (gate,)) for number in range(20)],
        queue,
        Channel(64),
        lambda task, line: Reply(task, random.Random(1), ["slow"], retries.pause_of(task)),
        Line,
        clock=time.monotonic,
    )
    news = []
    for each in running:
        news.append(each)
        if isinstance(each, StreamError):
            running.cancel(Failed("usage", "no thread"))
    ends = [each for each in news if isinstance(each, tuple) and each[2] is None]
    errors = [each for each in news if isinstance(each, StreamError)]
    assert (len(ends), len(errors)) == ((20, 0) if threads > 0 else (0, 1))
