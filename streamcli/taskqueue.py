"""What a batch's threads share: tasks that wait, and what the workers have to tell. No edges.

Every method may be called from any thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Condition, Lock
from typing import Protocol

from .errors import StreamError
from .events import Event, Failed
from .outcome import Outcome
from .pacing import Gate, Pace
from .turn import Asking, Moment


class Client(Protocol):
    """What a worker asks through; `cancel` comes from another thread."""

    def cancel(self) -> None: ...


class Task:
    """One prompt for one model (or a race, or fallbacks): its place, and its state.

    `sequence` counts the tasks, `gates` are those of whom it may ask. `failed` is why it cannot
    be asked at all. `outcome` is set once it is over.
    """

    __slots__ = (
        "asking",
        "client",
        "failed",
        "gates",
        "moments",
        "not_before",
        "outcome",
        "retries",
        "sequence",
        "what",
    )

    def __init__(
        self, sequence: int, what: object, gates: tuple[Gate, ...], failed: Failed | None = None
    ) -> None:
        self.sequence = sequence
        self.what = what  # the owner's
        self.gates = gates
        self.failed = failed
        self.asking: Asking | None = None
        self.moments: Iterator[Moment] | None = None
        self.client: Client | None = None  # of the worker that has it now
        self.not_before = 0.0
        self.retries = 0
        self.outcome: Outcome | None = None

    @property
    def gate(self) -> Gate:
        return self.gates[self.asking.number if self.asking is not None else 0]

    @property
    def hopeless(self) -> bool:
        """It was not asked yet, and nobody is left to ask."""
        return self.asking is None and all(gate.closed is not None for gate in self.gates)


News = tuple[Task, float, list[Event] | None]
# What the main thread is told: a signal's number, trouble with the input, None for the end too.
Word = News | int | StreamError | None


class Channel:
    """From the workers to the main thread. Whoever has put too much waits."""

    def __init__(self, limit: int) -> None:
        self._queue: SimpleQueue[Word] = SimpleQueue()
        self._limit = limit
        self._room = Condition()
        self._full = False

    def put(self, news: News) -> None:
        self._queue.put(news)
        if self._queue.qsize() > self._limit:
            with self._room:
                while self._queue.qsize() > self._limit // 2:
                    self._full = True  # again each time: others may have filled it meanwhile
                    self._room.wait()

    def signal(self, what: Word) -> None:
        """Never waits: for the main thread itself, and for its signal handler."""
        self._queue.put(what)

    def get(self, timeout: float | None = None) -> Word:
        got = self._queue.get(timeout=timeout)
        if self._full and self._queue.qsize() <= self._limit // 2:
            with self._room:
                self._full = False
                self._room.notify_all()
        return got


class Queue:
    """Tasks that wait, those that wait for another try, and who may start when."""

    def __init__(self, jobs: int, pace: Pace, clock: Callable[[], float]) -> None:
        self.running: set[Task] = set()
        self.idle = 0  # workers that wait for a task, or are about to get one
        self.short = False  # there are more tasks than these
        self._bound = jobs
        self._pace = pace
        self._clock = clock
        self._ready: deque[Task] = deque()
        self._later: deque[Task] = deque()
        self._over = False  # no more input is there, or wanted
        self._stopped = False  # nor is anything else
        lock = Lock()
        self._work, self._room = Condition(lock), Condition(lock)
        self.unasked: Callable[[Task], None] = lambda task: None

    def offer(self, task: Task) -> bool:
        """From the reader: waits for room. False: no more tasks are wanted."""
        with self._room:
            while len(self._ready) + len(self._later) >= self._bound and not self._over:
                self._room.wait()
            if self._over:
                return False
            self._ready.append(task)
            self.short = len(self._ready) > self.idle
            self._work.notify()
            return True

    def end(self) -> bool:
        """No more input; whether all is done already."""
        with self._work:
            self._over = True
            self._work.notify_all()
            return self._done()

    def take(self) -> Task | None:
        """The next task that may start, when it may; None when there will be none."""
        with self._work:
            self.idle += 1
            try:
                while not self._stopped:
                    now = self._clock()
                    task, wait = self._next(now)
                    if task is not None:
                        self.running.add(task)
                        task.gate.started(now)
                        self._pace.started(now)
                        if len(self._ready) <= self._bound // 2:  # not for each: waking costs
                            self._room.notify()
                        return task
                    if self._done():
                        self._work.notify_all()
                        return None
                    self._work.wait(wait)
                return None
            finally:
                self.idle -= 1

    def put_back(self, task: Task, delay: float, gate: Gate) -> None:
        """To be gone on with in `delay` seconds; it held `gate` until now."""
        with self._work:
            task.not_before = self._clock() + delay
            self._leave(task, gate)
            self._later.append(task)
            self._work.notify()

    def ended(self, task: Task, gate: Gate) -> None:
        with self._work:
            self._leave(task, gate)
            if self._done():
                self._work.notify_all()
            elif self._ready or self._later:
                self._work.notify()

    def answered(self, gate: Gate) -> None:
        if not gate.calm:
            with self._work:
                gate.answered()
                self._work.notify_all()

    def limited(self, gate: Gate, failed: Failed) -> float | None:
        with self._work:
            wait = gate.limited(failed, self._clock())
            if wait is None:
                gate.close(failed)
                self._work.notify_all()
            return wait

    def judge(self, gate: Gate, failed: Failed) -> None:
        with self._work:
            gate.judge(failed)
            if gate.closed is not None:
                self._work.notify_all()

    def stop(self, *, waiting: bool) -> list[Task]:
        """Nothing new starts; `waiting`: nor do those that wait for another try, which it gives."""
        with self._work:
            for task in self._ready:
                self.unasked(task)
            self._ready.clear()
            self._over = True
            given = list(self._later) if waiting else []
            if waiting:
                self._later.clear()
                self._stopped = True
            self._room.notify_all()
            self._work.notify_all()
            return given

    def all_done(self) -> bool:
        with self._work:
            return self._done()

    def _done(self) -> bool:
        return self._over and not self.running and not self._ready and not self._later

    def _leave(self, task: Task, gate: Gate) -> None:
        gate.ended()
        self.running.discard(task)

    def _next(self, now: float) -> tuple[Task | None, float | None]:
        """A task that may start now, or the seconds until one may (None: when something ends)."""
        soonest = float("inf")
        shut: dict[Gate, float] = {}
        for queue in (self._later, self._ready):
            for place, task in enumerate(queue):
                gate = task.gate
                if gate.closed is not None:
                    if task.hopeless:
                        continue
                    wait = 0.0  # it ends at once, or asks the next one
                elif gate in shut:
                    wait = shut[gate]
                else:
                    wait = gate.wait(now)
                    if wait > 0:
                        shut[gate] = wait
                wait = max(wait, task.not_before - now)
                if wait <= 0:
                    wait = self._pace.wait(now)
                    if wait <= 0:
                        del queue[place]
                        return task, None
                soonest = min(soonest, wait)
        self._drop_unasked()
        return None, soonest if soonest < float("inf") else None

    def _drop_unasked(self) -> None:
        """What waits for a provider that is closed was never asked."""
        closed = [task for task in self._ready if task.hopeless]
        for task in closed:
            self._ready.remove(task)
            self.unasked(task)
        if closed:
            self._room.notify_all()
