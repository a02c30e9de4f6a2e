"""The tasks of a batch that wait to be asked, and the order in which they may start."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from .task import Task

T = TypeVar("T", bound=Task[Any, Any])


class WaitingTasks(Generic[T]):
    """Holds the tasks that wait for their first attempt (`ready`) or for another one (`later`).

    The lock of the Queue protects it.
    """

    def __init__(self) -> None:
        self.ready: deque[T] = deque()
        self.later: deque[T] = deque()
        self._dropped: list[T] = []

    def __bool__(self) -> bool:
        return bool(self.ready or self.later)

    def in_start_order(self) -> Iterator[T]:
        """Yield the tasks, the first one to start before the others.

        Another attempt goes first, unless the last response of its provider was a 429. Those go
        last, the prompt that was refused the least before the others: the prompt itself may be at
        fault.
        """
        limited = [task for task in self.later if task.gate.refuses]
        if not limited:
            yield from self.later
            yield from self.ready
            return
        yield from [task for task in self.later if not task.gate.refuses]
        yield from self.ready
        yield from sorted(limited, key=lambda task: task.entry.refused)

    def remove(self, task: T) -> None:
        """Remove a task that starts."""
        (self.later if task.started else self.ready).remove(task)

    def drop(self, task: T) -> None:
        """Drop a task that is not to be asked at all."""
        task.drop()
        self._dropped.append(task)

    def drop_ready(self) -> None:
        """Drop all tasks that wait for their first attempt."""
        for task in self.ready:
            self.drop(task)
        self.ready.clear()

    def drop_hopeless(self) -> bool:
        """Drop the tasks whose endpoints are all closed; return whether there were any."""
        hopeless = [task for task in self.ready if task.is_hopeless]
        for task in hopeless:
            self.ready.remove(task)
            self.drop(task)
        return bool(hopeless)

    def take_dropped(self) -> list[T]:
        """Return the tasks that were dropped since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    @property
    def has_dropped(self) -> bool:
        """Whether `take_dropped` would return a task; may be read without the lock."""
        return bool(self._dropped)
