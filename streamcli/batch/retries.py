"""Decide whether and when a batch retries a prompt.

A rate limit (429) makes the provider's gate wait, and costs no retry. Every other retry is counted,
of the prompt and of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..answer.answer_stream import Pause
from ..events import Failed
from .limits.gate import Gate
from .limits.limit_headers import Allowance
from .queue import Queue
from .task import Task

# From a failure and the number of its attempt to the seconds until the next one; None: no retry.
Delay = Callable[[Failed, int], float | None]


class Retries:
    """The retry rules of a batch: `delay` is the rule of one prompt, the queue has shared ones."""

    def __init__(self, queue: Queue[Any], delay: Delay) -> None:
        self._queue = queue
        self._delay = delay

    def advise(self, task: Task[Any, Any], gate: Gate, allowed: list[Allowance]) -> None:
        """Note the limits that a response states."""
        self._queue.advise(task, gate, allowed)

    def pause_of(self, task: Task[Any, Any]) -> Pause:
        """Return the decision for one prompt; a rate limit costs it no retry."""

        def pause(failed: Failed, attempt: int) -> float | None:
            queue = self._queue
            if task.gate.closed is not None or queue.stopped:
                return None
            limited = failed.transient and (failed.kind == "rate_limit" or failed.concurrent)
            if limited and failed.should_retry is not False:
                return queue.limited(task, failed)
            wait = self._delay(failed, task.retries + 1)
            if wait is None or not queue.spend():
                return None
            task.retries += 1
            return wait

        return pause

    def pause_of_racer(self, gate: Gate) -> Pause:
        """Return the decision for one racer of a prompt, whose wait delays no other request."""

        def pause(failed: Failed, attempt: int) -> float | None:
            self._queue.judge(gate, failed)
            return None if gate.closed is not None else self._delay(failed, attempt)

        return pause
