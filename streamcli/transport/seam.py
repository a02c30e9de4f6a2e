"""The interface between a turn and the network: Open, Response and Patience."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from ..request import HttpRequest

ENDING_WAIT = 10.0  # seconds after a finish reason to wait for the end marker and usage


class Patience:
    """The timeouts of one attempt: how long it may still wait for bytes.

    Only time spent waiting for the network counts: the reader reports it with `waited`, so time
    blocked on stdout does not count. `first` is the seconds to the first event, `idle` those
    between events; keepalives do not renew them. `total` is the clock time at which the whole
    prompt must be over.
    """

    def __init__(self, first: float, idle: float, total: float | None = None) -> None:
        self._limit = first
        self._idle = idle
        self._total = total
        self._kind = "first_timeout"
        self._spent = 0.0

    def progress(self, ending: bool = False) -> None:
        """Begin a new wait, as an event came. `ending`: it was a finish reason, so wait less."""
        self._spent = 0.0
        self._kind = "idle_timeout"
        self._limit = min(self._idle, ENDING_WAIT) if ending else self._idle

    @property
    def limit(self) -> float:
        """The seconds that this wait may take in total."""
        return self._limit

    def waited(self, seconds: float) -> None:
        """Count seconds that were spent waiting."""
        self._spent += seconds

    def left(self, now: float) -> tuple[float, str]:
        """Return (the seconds left to wait, the kind of the timeout after them)."""
        left = self._limit - self._spent
        if self._total is not None and self._total - now < left:
            return self._total - now, "total_timeout"
        return left, self._kind


class Response(Protocol):
    """A response from the network or a recording.

    `chunks` returns an iterator of its body, one item a read, `read` the whole body of an error.
    `close` leaves the response; `whole`: the answer was complete, so the connection may be kept.
    """

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def chunks(self) -> Iterator[bytes]: ...
    def read(self) -> bytes: ...
    def close(self, whole: bool = False) -> None: ...


# Sends a request; returns once the head of the response is there. It raises StreamError.
Open = Callable[[HttpRequest, Patience], Response]
