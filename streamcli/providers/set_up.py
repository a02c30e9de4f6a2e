"""Remember which setup requests a run has sent, so that each is sent once for all its endpoints."""

from __future__ import annotations

from collections import Counter
from threading import Lock

from ..request import HttpRequest


class Step:
    """A setup request, and its number among the equal ones in its list (0, 1, ...)."""

    __slots__ = ("key", "request")

    def __init__(self, request: HttpRequest, number: int) -> None:
        self.request = request
        self.key = (request.url, request.body, number)


class SetUp:
    """Remembers the setup requests of a run; a lock that is held while they are sent."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sent: set[tuple[str, bytes, int]] = set()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    @staticmethod
    def numbered(requests: list[HttpRequest]) -> list[Step]:
        """Return the steps of one endpoint; equal requests in a list are all sent."""
        count: Counter[tuple[str, bytes]] = Counter()
        steps = []
        for request in requests:
            steps.append(Step(request, count[request.url, request.body]))
            count[request.url, request.body] += 1
        return steps

    def is_new(self, step: Step) -> bool:
        """Return whether no endpoint of the run has sent this step."""
        return step.key not in self._sent

    def sent(self, step: Step) -> None:
        """Note that a step was sent."""
        self._sent.add(step.key)
