"""A batch's queue: tasks that wait, and when the next one may start. No edges.

Every method may be called from any thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from threading import TIMEOUT_MAX, Condition, Lock

from ..events import Failed
from .limits import Budget, Entry, Gate, Pace
from .task import Task

INFINITE = float("inf")
MANY = 1000  # so many may wait for another try before no new ones are read


class Queue:
    """Tasks that wait, those that wait for another try, and who may start when.

    A task is `running` from its start until the main thread has heard its end: as long as that
    does not come after with the writing, nothing more is asked.
    """

    def __init__(self, jobs: int, pace: Pace, clock: Callable[[], float]) -> None:
        self.running: set[Task] = set()
        self.unasked: Callable[[Task], None] = lambda task: None
        self._jobs = jobs
        self._workers = 0
        self._pace = pace
        self._clock = clock
        self._budget = Budget()
        self._ready: deque[Task] = deque()
        self._later: deque[Task] = deque()
        self._over = False  # no more input is there, or wanted
        self._stopped = False  # nor is anything else
        self._alarm = INFINITE  # when the next of those that wait for a time wakes up
        lock = Lock()
        self._work, self._room = Condition(lock), Condition(lock)

    # The reader's side

    def offer(self, task: Task) -> bool:
        """Waits for room. False: no more tasks are wanted."""
        with self._room:
            while self._full() and not self._over:
                self._room.wait()
            if self._over:
                return False
            self._ready.append(task)
            self._work.notify()
            return True

    def refuse(self, task: Task) -> bool:
        """One that cannot be asked is for the main thread. False: no more tasks are wanted."""
        with self._work:
            if not self._over:
                self.running.add(task)
            return not self._over

    def end(self) -> bool:
        """No more input; whether all is done already."""
        with self._work:
            self._over = True
            self._work.notify_all()
            return self._done()

    # The workers' side

    def hire(self) -> bool:
        """Whether another worker is needed, which then counts: tasks wait, and all are busy."""
        if self._workers >= self._jobs:
            return False
        with self._work:
            waiting = self._ready or self._later
            if not waiting or self._workers > len(self.running) or self._workers >= self._jobs:
                return False
            self._workers += 1
            return True

    def unhire(self) -> bool:
        """The system gives no more threads; whether there are workers that will do."""
        with self._work:
            self._workers -= 1
            self._jobs = max(1, self._workers)
            return self._workers > 0

    def take(self) -> Task | None:
        """The next task that may start, when it may; None when there will be none."""
        with self._work:
            while not self._stopped:
                now = self._clock()
                task, wait = self._next(now)
                if task is not None:
                    self._start(task, now)
                    return task
                if self._done():
                    self._work.notify_all()
                    break
                self._rest(now + wait)
            return None

    def dry(self) -> bool:
        """Whether nothing waits, nor will, unless one of those that run comes back."""
        with self._work:
            return self._over and not self._ready and not self._later

    def put_back(self, task: Task, delay: float) -> bool:
        """To be gone on with in `delay` seconds, after which its worker takes another one.

        False: nothing is gone on with any more.
        """
        with self._work:
            if self._stopped:
                return False
            task.not_before = self._clock() + delay
            self._leave(task)
            if task.gate is not task.let:
                task.entry = Entry()
            task.let = None
            self._later.append(task)
            return True

    def answered(self, task: Task) -> None:
        gate = task.let
        if gate is not None and not gate.calm:
            with self._work:
                gate.answered(task.entry)
                self._work.notify()

    def limited(self, task: Task, failed: Failed) -> float | None:
        """After a 429: seconds until that task's turn comes again, or None."""
        gate = task.gate
        with self._work:
            wait = gate.limited(task.entry, failed, self._clock())
            if gate.closed is not None:
                self._work.notify()
            return wait

    def spend(self) -> bool:
        """Whether a retry more is within the budget; then it is spent."""
        with self._work:
            return self._budget.spend()

    def judge(self, gate: Gate, failed: Failed) -> None:
        with self._work:
            gate.judge(failed)
            if gate.closed is not None:
                self._work.notify()

    # The main thread's side

    def ended(self, task: Task) -> bool:
        """Its end has been heard; whether all is done."""
        with self._work:
            self._leave(task)
            self._work.notify()
            return self._done()

    def stop(self, *, waiting: bool) -> list[Task]:
        """Nothing new starts; `waiting`: nor do those that wait for another try, which it gives."""
        with self._work:
            for task in self._ready:
                self.unasked(task)
            self._ready.clear()
            self._over = True
            given = list(self._later) if waiting else []
            if waiting:
                self.running.update(given)  # until their ends are heard
                self._later.clear()
                self._stopped = True
            self._room.notify_all()
            self._work.notify_all()
            return given

    def all_done(self) -> bool:
        with self._work:
            return self._done()

    def left(self) -> list[Task]:
        """Those whose end has not been heard."""
        with self._work:
            return list(self.running)

    # With the lock held

    def _full(self) -> bool:
        return len(self._ready) >= self._jobs or len(self._later) >= self._jobs + MANY

    def _done(self) -> bool:
        return self._over and not self.running and not self._ready and not self._later

    def _start(self, task: Task, now: float) -> None:
        if not task.started:
            self._budget.prompts += 1
        self.running.add(task)
        task.let = task.gate
        task.let.started(task.entry, now)
        self._pace.started(now)
        if len(self._ready) <= self._jobs // 2:  # not for each: waking costs
            self._room.notify()
        if self._ready or self._later:
            self._work.notify()  # whoever it is looks what else may start, and when

    def _leave(self, task: Task) -> None:
        self.running.discard(task)
        if task.let is not None:
            task.let.ended(task.entry)

    def _rest(self, until: float) -> None:
        """Waits for news. Only one of those that wait for a time does so with a clock."""
        if until >= self._alarm:
            self._work.wait()
            return
        self._alarm = until
        self._work.wait(min(max(0.0, until - self._clock()), TIMEOUT_MAX))
        if self._alarm == until:
            self._alarm = INFINITE

    def _next(self, now: float) -> tuple[Task | None, float]:
        """A task that may start now, or else the seconds until one may: inf if that depends."""
        if len(self.running) >= self._jobs:
            return None, INFINITE
        soonest, pace = INFINITE, self._pace.wait(now)
        shut: Gate | None = None
        for task in self._in_turn():
            gate = task.gate
            if gate is shut:
                continue
            if gate.closed is None:
                wait = max(pace, gate.wait(now))
                if wait > 0:
                    shut = gate
                else:
                    wait = task.not_before - now
            elif task.hopeless:
                continue
            else:
                wait = 0.0  # it ends at once, or asks the next one
            if wait <= 0:
                (self._later if task.started else self._ready).remove(task)
                return task, 0.0
            soonest = min(soonest, wait)
        self._drop_unasked()
        return None, soonest

    def _in_turn(self) -> Iterator[Task]:
        """Those that wait for another try go first, but not where one was just refused.

        There whoever was refused the least goes first: it may be the prompt that is at fault.
        """
        doubtful = [task for task in self._later if task.gate.refuses]
        if not doubtful:
            yield from self._later
            yield from self._ready
            return
        yield from [task for task in self._later if not task.gate.refuses]
        yield from self._ready
        yield from sorted(doubtful, key=lambda task: task.entry.refused)

    def _drop_unasked(self) -> None:
        """What waits for a provider that is closed was never asked."""
        closed = [task for task in self._ready if task.hopeless]
        for task in closed:
            self._ready.remove(task)
            self.unasked(task)
        if closed:
            self._room.notify_all()
