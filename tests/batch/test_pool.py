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
from queue import Empty

import pytest

from streamcli.answer.answer_stream import Moment, Pause
from streamcli.answer.retry import delay
from streamcli.batch import pool as batch_module
from streamcli.batch.limits import Gate, Pace
from streamcli.batch.pool import Batch
from streamcli.batch.queue import Queue
from streamcli.batch.task import Channel, Task
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
    """What a worker asks through."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        pass


class Reply:
    """An AnswerStream: its attempts end as `rng` wants, out of `kinds`."""

    resumable = True
    number = 0

    def __init__(self, task: Task, rng: random.Random, kinds: list[str], pause: Pause) -> None:
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
            assert isinstance(self._task.client, Line)
            if not self._task.client.cancelled.is_set():
                end = yield from self._attempt(self._task.client)
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


def one_batch(seed: int, what: str, then: str) -> None:
    rng = random.Random(f"{seed} {what} {then}")
    total, jobs = rng.randint(1, 50), rng.choice((1, 2, 3, 8, 64))
    gates = [Gate(jobs, 1, rng.random) for _ in range(rng.choice((1, 1, 2)))]

    def tasks() -> Iterator[Task]:
        for number in range(total):
            if rng.random() < 0.05:
                time.sleep(0.002 * rng.random())
            if then == "input" and number == total - 1:
                raise StreamError("usage", "the input broke")
            bad = Failed("usage", "bad line") if rng.random() < 0.1 else None
            yield Task(number, None, (rng.choice(gates),), bad)

    def reply(task: Task) -> Reply:
        return Reply(
            task, random.Random(f"{seed} {task.sequence}"), KINDS[what], running.pause(task)
        )

    def soon(failed: Failed, attempt: int) -> float | None:
        return delay(failed, attempt, max_retries=3, max_wait=1, random=lambda: 0.001)

    running = Batch(
        tasks(),
        reply,
        Line,
        jobs=jobs,
        pace=Pace(rng.choice((None, None, 3000))),
        delay=soon,
        clock=time.monotonic,
        attempts=rng.random() < 0.5,
    )
    get = running.channel.get

    def in_time(timeout: float | None = None) -> object:
        try:
            return get(LATE if timeout is None else timeout)
        except Empty:
            assert timeout is not None, f"{seed} {what} {then}: it hangs"
            raise

    running.channel.get = in_time  # type: ignore[method-assign,assignment]
    moment = rng.randint(0, total)
    begun, ended, dropped = set(), set(), set()
    for news in running:
        if isinstance(news, StreamError | int):
            running.cancel(Failed("interrupted", "stopped"))
            continue
        task, _, events = news
        assert task.sequence not in ended, "news after the end, or a second end"
        if events is None:
            assert task.outcome is not None
            assert task.outcome.end is not None
            ended.add(task.sequence)
        else:
            begun.add(task.sequence)
        dropped |= {task.sequence for task in running.dropped()}
        if len(ended) >= moment:
            if then == "signal":
                running.channel.signal(2)
            elif then == "halt":
                running.stop()
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
    for seed in range(5 if what == "limits" else 20):
        one_batch(seed, what, then)


@pytest.mark.parametrize("producers", [1, 3])
def test_a_channel_wakes_who_waits_for_room(producers: int) -> None:
    for limit in (1, 2, 5):
        channel = Channel(limit)

        def produce(channel: Channel = channel) -> None:
            for number in range(500):
                channel.put((Task(number, None, ()), 0.0, None))

        for _ in range(producers):
            threading.Thread(target=produce, daemon=True).start()
        for _ in range(500 * producers):
            assert channel.get(LATE) is not None


def test_who_comes_to_wait_when_all_is_read_is_not_left_waiting() -> None:
    """The reader empties the channel between the writer's look at it and the writer's wait."""
    channel, looks = Channel(2), itertools.count()
    queue = channel._queue

    class Interrupted:
        put, get = queue.put, queue.get

        def qsize(self) -> int:
            size = queue.qsize()
            if next(looks) == 3:  # each of the puts looked once, and the third goes to wait
                reading.start()
                reading.join(0.3)
            return size

    def read() -> None:
        for _ in range(3):
            channel.get(LATE)

    reading = threading.Thread(target=read)
    channel._queue = Interrupted()  # type: ignore[assignment]

    def write() -> None:
        for number in range(3):
            channel.put((Task(number, None, ()), 0.0, None))

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(LATE)
    assert not writing.is_alive()


def test_nothing_is_put_back_once_it_was_cancelled() -> None:
    gate = Gate(1, 1, random.random)
    queue = Queue(1, Pace(None), time.monotonic)
    assert queue.offer(Task(0, None, (gate,)))
    task = queue.take()
    assert task is not None
    assert queue.stop(waiting=True) == []
    assert not queue.put_back(task, 0.0)
    assert queue.left() == [task]
    assert queue.ended(task)


def test_a_wait_longer_than_any_clock() -> None:
    gate = Gate(2, 1, random.random)
    queue = Queue(2, Pace(1e-300), time.monotonic)
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

    monkeypatch.setattr(batch_module, "Thread", Few)
    gate = Gate(8, 1, random.random)
    running = Batch(
        [Task(number, None, (gate,)) for number in range(20)],
        lambda task: Reply(task, random.Random(1), ["slow"], running.pause(task)),
        Line,
        jobs=8,
        pace=Pace(None),
        delay=lambda failed, attempt: None,
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
