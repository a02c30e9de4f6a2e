"""The limits of a prompt: its timeouts, its retries, and the size of an event."""

from __future__ import annotations


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
