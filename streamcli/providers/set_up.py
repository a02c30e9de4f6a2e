"""Remember which setup requests a run has sent, so that each is sent once for all its endpoints."""

from __future__ import annotations

from collections import Counter
from threading import Lock

from ..request import HttpRequest


class Step:
    """A setup request, and which of those that are equal to it in its list (0, 1, ...)."""

    __slots__ = ("key", "request")

    def __init__(self, request: HttpRequest, number: int) -> None:
        self.request = request
        self.key = (request.url, request.body, number)


class SetUp:
    """Held while setup requests are sent: a context manager."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sent: set[tuple[str, bytes, int]] = set()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    @staticmethod
    def numbered(requests: list[HttpRequest]) -> list[Step]:
        """Return the steps of one endpoint. Equal requests in a list are each meant."""
        count: Counter[tuple[str, bytes]] = Counter()
        steps = []
        for request in requests:
            steps.append(Step(request, count[request.url, request.body]))
            count[request.url, request.body] += 1
        return steps

    def is_new(self, step: Step) -> bool:
        return step.key not in self._sent

    def sent(self, step: Step) -> None:
        self._sent.add(step.key)
