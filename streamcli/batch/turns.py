"""The order in which the tasks of a batch that wait may start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from .task import Task

T = TypeVar("T", bound=Task[Any, Any])


def in_turn(later: Iterable[T], ready: Iterable[T]) -> Iterator[T]:
    """Yield the tasks for another attempt (`later`), and those for their first (`ready`).

    Further attempts go first, but not behind a gate that just refused. There the prompt that was
    refused the least goes first: it may be the prompt that is at fault.
    """
    doubtful = [task for task in later if task.gate.refuses]
    if not doubtful:
        yield from later
        yield from ready
        return
    yield from [task for task in later if not task.gate.refuses]
    yield from ready
    yield from sorted(doubtful, key=lambda task: task.entry.refused)
