"""The queue of a batch: which task may start next, and when; safe in any thread.

It makes the transitions of tasks (see task.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Condition, Lock
from typing import Any, Generic, TypeVar

from ..events import Failed
from ..outcome import Outcome
from .alarm import INFINITE, Alarm
from .limits.gate import Gate
from .limits.limit_headers import Allowance
from .rate_schedule import RateSchedule
from .retry_budget import RetryBudget
from .task import State, Task
from .waiting_tasks import WaitingTasks

MOST_LATER = 1000  # tasks that wait for another attempt before no new ones are read

T = TypeVar("T", bound=Task[Any, Any])


class Queue(Generic[T]):
    """Starts the waiting tasks, by the rules for starting them.

    A task counts as `running` from its start until the main thread has handled its end, so a slow
    writer stops new requests.
    """

    def __init__(self, jobs: int, schedule: RateSchedule, clock: Callable[[], float]) -> None:
        self.running: set[T] = set()
        self.stopped = False  # nothing starts any more, further attempts included
        self._jobs = jobs
        self._workers = 0
        self._schedule = schedule
        self._clock = clock
        self._budget = RetryBudget()
        self._waiting: WaitingTasks[T] = WaitingTasks()
        self._input_ended = False  # there is no more input, or none is wanted
        self._lock = lock = Lock()  # used directly: through a Condition it costs two more calls
        self._work, self._room = Condition(lock), Condition(lock)
        self._alarm = Alarm(self._work, clock)

    # The reader's side

    def offer(self, task: T, *, waited_for: bool = False) -> bool:
        """Wait for room, and take the task in; return False if no more tasks are wanted.

        It is dropped then. `waited_for`: the input did not have it before now.
        """
        with self._lock:
            if waited_for:
                task.arrived = self._clock()
                if not self._waiting.ready:
                    self._schedule.restart(task.arrived)
            while not self.has_room and not self._input_ended:
                self._room.wait()
            if self._input_ended:
                self._waiting.drop(task)
                return False
            task.enqueue()
            self._waiting.ready.append(task)
            self._work.notify()
            return True

    def finish_unasked(self, task: T, outcome: Outcome) -> bool:
        """End a task that is not asked; return False if no more tasks are wanted.

        It is dropped then.
        """
        with self._lock:
            if self._input_ended:
                self._waiting.drop(task)
                return False
            task.finish(outcome)
            self.running.add(task)
            return True

    def end(self) -> bool:
        """Note the end of the input; return whether all tasks are done already."""
        with self._lock:
            self._input_ended = True
            self._work.notify_all()
            return self._done()

    @property
    def has_room(self) -> bool:
        waiting = self._waiting
        return len(waiting.ready) < self._jobs and len(waiting.later) < self._jobs + MOST_LATER

    # The workers' side

    def add_worker(self) -> bool:
        """Count one more worker if it is needed: tasks wait, and all workers are busy.

        Return whether it is needed.
        """
        if self._workers >= self._jobs:
            return False
        with self._lock:
            all_busy = self._workers <= len(self.running)
            if not self._waiting or not all_busy or self._workers >= self._jobs:
                return False
            self._workers += 1
            return True

    def remove_worker(self) -> bool:
        """Uncount a worker that got no thread; return whether others are left."""
        with self._lock:
            self._workers -= 1
            self._jobs = max(1, self._workers)
            return self._workers > 0

    def take(self) -> T | None:
        """Wait until the next task may start, start it and return it; None if none will come."""
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
        """Start the task that may start now; return it, or None and the seconds until one may.

        The seconds are infinite if a running task has to end first, or the input to bring one.
        """
        with self._lock:
            return self._start_next(self._clock())

    def is_drained(self) -> bool:
        """Return whether no task waits, and none will unless a running task is put back."""
        with self._lock:
            return self._input_ended and not self._waiting

    def put_back(self, task: T, delay: float) -> bool:
        """Let any worker continue it in `delay` seconds; return False if the batch is stopped."""
        with self._lock:
            if self.stopped:
                return False
            task.wait(self._clock() + delay)
            self.running.discard(task)
            self._waiting.later.append(task)
            return True

    def finish(self, task: T, outcome: Outcome) -> bool:
        """End a task; return False if the main thread did not wait, and has ended it itself."""
        with self._lock:
            if task.state is State.OVER:
                return False
            task.finish(outcome)
            return True

    def answered(self, task: T) -> None:
        """Note that an answer has begun."""
        gate = task.passed
        # Without the lock while the gate is unlimited: no worker waits for it, and at worst one
        # measurement is lost.
        if gate is not None and gate.is_unlimited:
            gate.answered(task.entry, self._clock())
        elif gate is not None:
            with self._lock:
                if gate.answered(task.entry, self._clock()):
                    self._work.notify()

    def advise(self, task: T, gate: Gate, allowed: Iterable[Allowance]) -> None:
        """Note the limits that a response to a task states."""
        with self._lock:
            gate.advise(task.entry if task.passed is gate else None, allowed, self._clock())

    def limited(self, task: T, failed: Failed) -> float | None:
        """Return the seconds until a refused task may be asked again; None if it may not."""
        gate = task.gate
        with self._lock:
            wait = gate.limited(task.entry, failed, self._clock())
            if gate.closed is not None:
                self._work.notify()
            return wait

    def spend(self) -> bool:
        """Take a retry from the budget; return False if none is left."""
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
        """Note that the end of a task is handled; return whether all tasks are done."""
        with self._lock:
            task.settle()
            self.running.discard(task)
            self._work.notify()
            return self._done()

    def stop(self, *, waiting: bool) -> list[T]:
        """Start no new tasks; with `waiting`, no further attempts either.

        Return the tasks that waited for another attempt, for the caller to end. They count as
        running until their ends are handled.
        """
        with self._lock:
            self._waiting.drop_ready()
            self._input_ended = True
            later = list(self._waiting.later) if waiting else []
            if waiting:
                self.running.update(later)
                self._waiting.later.clear()
                self.stopped = True
            self._room.notify_all()
            self._work.notify_all()
            return later

    def dropped(self) -> list[T]:
        """Return the tasks that were dropped since the last call."""
        if not self._waiting.has_dropped:
            return []
        with self._lock:
            return self._waiting.take_dropped()

    def all_done(self) -> bool:
        """Return whether no task runs, waits, or will come."""
        with self._lock:
            return self._done()

    def unsettled(self) -> list[T]:
        """Return the tasks whose end is not handled."""
        with self._lock:
            return list(self.running)

    # With the lock held

    def _done(self) -> bool:
        return self._input_ended and not self.running and not self._waiting

    def _start(self, task: T, now: float) -> None:
        late = self._schedule.started(now)
        if not task.started:
            self._budget.prompts += 1
            if late is not None:
                task.queue_ms = min(late, now - task.arrived) * 1000
        self.running.add(task)
        task.start(now)
        if len(self._waiting.ready) <= self._jobs // 2:  # not for each task: waking costs
            self._room.notify()
        if self._waiting:
            self._work.notify()  # that worker finds out what else may start, and when

    def _start_next(self, now: float) -> tuple[T | None, float]:
        """Start the task that may start now; return it, or None and the seconds until one may."""
        if len(self.running) >= self._jobs:
            return None, INFINITE
        soonest, due = INFINITE, self._schedule.wait(now)
        shut: Gate | None = None  # the last gate that lets nothing through yet
        for task in self._waiting.in_start_order():
            gate = task.gate
            if gate is shut:
                continue
            if gate.closed is None:
                wait = max(due, gate.wait(now))
                if wait > 0:
                    shut = gate
                else:
                    wait = task.not_before - now
            elif task.is_hopeless:
                continue
            else:
                wait = 0.0  # it ends at once, or asks its next endpoint
            if wait <= 0:
                self._waiting.remove(task)
                self._start(task, now)
                return task, 0.0
            soonest = min(soonest, wait)
        if self._waiting.drop_hopeless():
            self._room.notify_all()
        return None, soonest
