"""What a turn is allowed, and how it ended: values."""

from __future__ import annotations

from typing import Any

from .events import Failed, Finished, Usage
from .meter import Meter


class Limits:
    """The waits of a turn, in seconds, its retries, and the largest event in bytes."""

    def __init__(
        self,
        *,
        first_timeout: float = 300.0,
        idle_timeout: float = 60.0,
        timeout: float | None = None,
        max_retries: int = 3,
        max_wait: float = 120.0,
        max_event_size: int = 16 * 1024 * 1024,
    ) -> None:
        self.first_timeout = first_timeout
        self.idle_timeout = idle_timeout
        self.timeout = timeout
        self.max_retries = max_retries
        self.max_wait = max_wait
        self.max_event_size = max_event_size


class Outcome:
    """How a prompt ended, with all that its `end` record and its message say."""

    def __init__(self) -> None:
        self.end: Finished | Failed | None = None
        self.model = ""
        self.response_id = ""
        self.usage = Usage()
        self.attempts = 0
        self.chars = 0
        self.cost: float | None = None
        self.refusal = ""
        self.t_ms = 0.0
        self.meter = Meter()

    def timings(self) -> dict[str, Any]:
        return self.meter.timings(self.t_ms, self.usage.output_tokens)
