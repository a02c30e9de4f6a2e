"""The seam between a turn and the network: how to send a request, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from ..request import HttpRequest

ENDING_WAIT = 10.0  # after a finish reason that ends an answer, for the marker and usage


class Patience:
    """How long one attempt may still wait for bytes.

    Only time spent waiting counts: the reader reports it with `waited`, so time blocked on
    stdout does not. `first` seconds to the first event, then `idle` between events; keepalives
    do not renew it. `total` is the clock time at which the whole prompt must be over.
    """

    def __init__(self, first: float, idle: float, total: float | None = None) -> None:
        self._limit = first
        self._idle = idle
        self._total = total
        self._kind = "first_timeout"
        self._spent = 0.0

    def progress(self, ending: bool = False) -> None:
        """Begin a new wait: an event came. `ending`: it ended the answer, so the wait is short."""
        self._spent = 0.0
        self._kind = "idle_timeout"
        self._limit = min(self._idle, ENDING_WAIT) if ending else self._idle

    @property
    def limit(self) -> float:
        """The seconds that this wait may take in all."""
        return self._limit

    def waited(self, seconds: float) -> None:
        """Count seconds that were spent waiting."""
        self._spent += seconds

    def left(self, now: float) -> tuple[float, str]:
        """Return (seconds to wait, the kind of timeout that it is when they are over)."""
        left = self._limit - self._spent
        if self._total is not None and self._total - now < left:
            return self._total - now, "total_timeout"
        return left, self._kind


class Response(Protocol):
    """A response of the network or of a recording.

    `close` leaves it. `whole`: the answer was complete, so its connection is worth keeping.
    """

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def chunks(self) -> Iterator[bytes]: ...
    def read(self) -> bytes: ...
    def close(self, whole: bool = False) -> None: ...


Open = Callable[[HttpRequest, Patience], Response]
