"""A batch's queue: tasks that wait, and when the next one may start; for any thread.

It makes the transitions of tasks (see task.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition, Lock
from typing import Any, Generic, TypeVar

from ..events import Failed
from ..outcome import Outcome
from .alarm import INFINITE, Alarm
from .limits.gate import Budget, Gate
from .limits.limit_headers import Allowance
from .pace import Pace
from .task import State, Task
from .turns import in_turn

MANY = 1000  # tasks that wait for another attempt, before no new ones are read

T = TypeVar("T", bound=Task[Any, Any])


class Queue(Generic[T]):
    """Tasks that wait for their first attempt or another one, and the rules for starting them.

    A task counts as `running` from its start until the main thread has handled its end, so a slow
    writer stops new requests.
    """

    def __init__(self, jobs: int, pace: Pace, clock: Callable[[], float]) -> None:
        self.running: set[T] = set()
        self.stopped = False  # nothing starts any more, further attempts included
        self._jobs = jobs
        self._workers = 0
        self._pace = pace
        self._clock = clock
        self._budget = Budget()
        self._ready: deque[T] = deque()
        self._later: deque[T] = deque()
        self._dropped: list[T] = []
        self._over = False  # no more input is there, or wanted
        self._lock = lock = Lock()  # taken by itself: a Condition's way there costs two calls
        self._work, self._room = Condition(lock), Condition(lock)
        self._alarm = Alarm(self._work, clock)

    # The reader's side

    def offer(self, task: T, *, waited_for: bool = False) -> bool:
        """Wait for room, and take the task in. False: it is dropped, no more tasks are wanted.

        `waited_for`: it was not there before.
        """
        with self._lock:
            if waited_for:
                task.arrived = self._clock()
                if not self._ready:
                    self._pace.rest(task.arrived)
            while not self.has_room and not self._over:
                self._room.wait()
            if self._over:
                self._drop(task)
                return False
            task.enqueue()
            self._ready.append(task)
            self._work.notify()
            return True

    def refuse(self, task: T, outcome: Outcome) -> bool:
        """End a task that cannot be asked. False: it is dropped, no more tasks are wanted."""
        with self._lock:
            if self._over:
                self._drop(task)
                return False
            task.finish(outcome)
            self.running.add(task)
            return True

    def end(self) -> bool:
        """Note the end of the input; return whether all is done already."""
        with self._lock:
            self._over = True
            self._work.notify_all()
            return self._done()

    @property
    def has_room(self) -> bool:
        return len(self._ready) < self._jobs and len(self._later) < self._jobs + MANY

    # The workers' side

    def hire(self) -> bool:
        """Return whether another worker is needed, and count it: tasks wait, and all are busy."""
        if self._workers >= self._jobs:
            return False
        with self._lock:
            waiting = self._ready or self._later
            if not waiting or self._workers > len(self.running) or self._workers >= self._jobs:
                return False
            self._workers += 1
            return True

    def unhire(self) -> bool:
        """Uncount a worker for which there is no thread; return whether others are left."""
        with self._lock:
            self._workers -= 1
            self._jobs = max(1, self._workers)
            return self._workers > 0

    def take(self) -> T | None:
        """Return the next task, started, as soon as it may start; None if there will be none."""
        with self._lock:
            while not self.stopped:
                now = self._clock()
                task, wait = self._start_next(now)
                if task is not None:
                    return task
                if self._done():
                    self._work.notify_all()
                    break
                self._alarm.wait(now + wait)
            return None

    def poll(self) -> tuple[T | None, float]:
        """Return the task that may start now, started, or None and the seconds until one may.

        Infinite seconds: it depends on tasks that run, or on the input.
        """
        with self._lock:
            return self._start_next(self._clock())

    def dry(self) -> bool:
        """Return whether nothing waits, nor will, unless a running task comes back."""
        with self._lock:
            return self._over and not self._ready and not self._later

    def put_back(self, task: T, delay: float) -> bool:
        """Let it be continued in `delay` seconds, by any worker. False: the batch is stopped."""
        with self._lock:
            if self.stopped:
                return False
            task.wait(self._clock() + delay)
            self.running.discard(task)
            self._later.append(task)
            return True

    def finish(self, task: T, outcome: Outcome) -> bool:
        """End a task. False: the main thread did not wait for it, and has ended it itself."""
        with self._lock:
            if task.state is State.OVER:
                return False
            task.finish(outcome)
            return True

    def answered(self, task: T) -> None:
        """Note that the first of an answer came."""
        gate = task.passed
        if (
            gate is not None and gate.is_open
        ):  # no worker waits for it, and a little is lost at most
            gate.answered(task.entry, self._clock())
        elif gate is not None:
            with self._lock:
                if gate.answered(task.entry, self._clock()):
                    self._work.notify()

    def advise(self, task: T, gate: Gate, given: Iterable[Allowance]) -> None:
        """Note what a response to a task says of the limits of its server."""
        with self._lock:
            gate.advise(task.entry if task.passed is gate else None, given, self._clock())

    def limited(self, task: T, failed: Failed) -> float | None:
        """Return the seconds until a task that was refused has its turn again, or None."""
        gate = task.gate
        with self._lock:
            wait = gate.limited(task.entry, failed, self._clock())
            if gate.closed is not None:
                self._work.notify()
            return wait

    def spend(self) -> bool:
        """Return whether the budget has one retry more, and spend it."""
        with self._lock:
            return self._budget.spend()

    def judge(self, gate: Gate, failed: Failed) -> None:
        """Close the gate if the failure concerns every other request too."""
        with self._lock:
            gate.judge(failed)
            if gate.closed is not None:
                self._work.notify()

    # The main thread's side

    def settle(self, task: T) -> bool:
        """Note that the end of a task is handled; return whether all is done."""
        with self._lock:
            task.settle()
            self.running.discard(task)
            self._work.notify()
            return self._done()

    def stop(self, *, waiting: bool) -> list[T]:
        """Start no new tasks. `waiting`: nor further attempts; return the tasks that wait for one.

        These count as running until their ends are handled.
        """
        with self._lock:
            for task in self._ready:
                self._drop(task)
            self._ready.clear()
            self._over = True
            given = list(self._later) if waiting else []
            if waiting:
                self.running.update(given)
                self._later.clear()
                self.stopped = True
            self._room.notify_all()
            self._work.notify_all()
            return given

    def dropped(self) -> list[T]:
        """Return the tasks that were dropped since the last call."""
        if not self._dropped:
            return []
        with self._lock:
            dropped, self._dropped = self._dropped, []
            return dropped

    def all_done(self) -> bool:
        """Return whether nothing runs, waits, or will come."""
        with self._lock:
            return self._done()

    def unsettled(self) -> list[T]:
        """Return the tasks whose end is not handled."""
        with self._lock:
            return list(self.running)

    # With the lock held

    def _drop(self, task: T) -> None:
        task.drop()
        self._dropped.append(task)

    def _done(self) -> bool:
        return self._over and not self.running and not self._ready and not self._later

    def _start(self, task: T, now: float) -> None:
        late = self._pace.started(now)
        if not task.started:
            self._budget.prompts += 1
            if late is not None:
                task.queue_ms = min(late, now - task.arrived) * 1000
        self.running.add(task)
        task.start(now)
        if len(self._ready) <= self._jobs // 2:  # not for each: waking costs
            self._room.notify()
        if self._ready or self._later:
            self._work.notify()  # that worker finds out what else may start, and when

    def _start_next(self, now: float) -> tuple[T | None, float]:
        """Start the task that may start now; return it, or None and the seconds until one may."""
        if len(self.running) >= self._jobs:
            return None, INFINITE
        soonest, pace = INFINITE, self._pace.wait(now)
        shut: Gate | None = None
        for task in in_turn(self._later, self._ready):
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
                self._start(task, now)
                return task, 0.0
            soonest = min(soonest, wait)
        self._drop_hopeless()
        return None, soonest

    def _drop_hopeless(self) -> None:
        """Drop the tasks whose endpoints are closed before they were asked."""
        hopeless = [task for task in self._ready if task.hopeless]
        for task in hopeless:
            self._ready.remove(task)
            self._drop(task)
        if hopeless:
            self._room.notify_all()
