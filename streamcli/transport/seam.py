"""What asks the network and what answers: the seam between a turn and the transport."""

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
        """An event came. `ending`: the finish reason too, only little is worth waiting for."""
        self._spent = 0.0
        self._kind = "idle_timeout"
        self._limit = min(self._idle, ENDING_WAIT) if ending else self._idle

    @property
    def limit(self) -> float:
        """The wait that is allowed now, in seconds, whatever of it is spent."""
        return self._limit

    def waited(self, seconds: float) -> None:
        self._spent += seconds

    def left(self, now: float) -> tuple[float, str]:
        """(seconds, kind): how long to wait, and which timeout it is when they are over."""
        left = self._limit - self._spent
        if self._total is not None and self._total - now < left:
            return self._total - now, "total_timeout"
        return left, self._kind


class Response(Protocol):
    """A response: what transport and recordings give.

    `close` is for one that is left alone, `whole` for one that said all it has to say.
    """

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> Iterator[bytes]: ...
    def read(self) -> bytes: ...
    def close(self, whole: bool = False) -> None: ...


Open = Callable[[HttpRequest, Patience], Response]
