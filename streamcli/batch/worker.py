"""How a task of a batch is asked: the clients of a worker's thread, and what goes through them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from threading import Event as Flag
from typing import TYPE_CHECKING, cast

from ..answer.answer_stream import AnswerStream
from ..answer.compose import Candidate, Connection, compose
from ..answer.enough import Enough, Watch
from ..errors import StreamError
from ..events import Failed
from ..messages import ChatRequest
from ..providers.endpoint import Endpoint
from ..request import HttpRequest
from ..transport.seam import Open, Patience, Response
from .limits import Gate
from .plan import Asked
from .pool import Batch
from .task import Task

if TYPE_CHECKING:
    from ..transport.client import Http

_STUCK = 2  # connections of one racer that nobody waits for any more


class Worker:
    """What one thread asks through: its clients, one for each kind of connection.

    Those of a race have a thread each, so they have a client each; who loses loses that too.
    """

    def __init__(self) -> None:
        self._clients: dict[object, Http] = {}
        self._cancelled = False
        self._lost: dict[int, list[Http]] = {}  # by the number of the racer
        self.cancels: list[Callable[[], None]] = []  # of the race that is on

    def http(self, peer: Endpoint, racer: int | None = None) -> Http:
        target = peer.target
        kind = (target.unix_socket, target.base_url.startswith("https:"), racer)
        http = self._clients.get(kind)
        if http is None or http.cancelled:
            http = self._clients[kind] = peer.client()
            if self._cancelled:
                http.cancel()
        return http

    def lose(self, racer: int, http: Http, over: Flag) -> None:
        over.set()
        http.cancel()
        self._lost.setdefault(racer, []).append(http)

    def stuck(self, racer: int) -> bool:
        """Whether enough connections of it are still being made that nobody waits for."""
        lost = self._lost[racer] = [http for http in self._lost.get(racer, ()) if http.connecting]
        return len(lost) >= _STUCK

    def close(self) -> None:
        """Hangs up: those that lost a race end by themselves."""
        for kind in [kind for kind, http in self._clients.items() if not http.cancelled]:
            self._clients.pop(kind).close()

    def cancel(self) -> None:
        self._cancelled = True
        for cancel in self.cancels:
            cancel()
        for http in list(self._clients.values()):
            http.cancel()


class Asker:
    """Makes the AnswerStream of a task; its `ask` runs in the worker's thread that has the task.

    `delay` is what to wait by the rules for one prompt, `batch` the one whose rules come before.
    `watch` makes what tells when an answer is enough (--enough), None for never.
    """

    batch: Batch

    def __init__(
        self,
        races: bool,
        delay: Callable[[Failed, int], float | None],
        watch: Callable[[], Watch] | None = None,
    ) -> None:
        self._races = races
        self._delay = delay
        self._watch = watch

    def ask(self, task: Task) -> AnswerStream:
        numbers = range(len(task.gates))
        race = self._races and len(numbers) > 1
        if race:
            cast(Worker, task.client).cancels = []
        usable = [number for number in numbers if task.gates[number].closed is None]
        stream = compose(
            [self._candidate(task, number, race) for number in numbers],
            race=race,
            first=usable[0] if usable else 0,
            clock=time.monotonic,
            random=random.random,
        )
        return stream if self._watch is None else Enough(stream, self._watch())

    def _candidate(self, task: Task, number: int, race: bool) -> Candidate:
        endpoint, chat = _pair(task, number)
        if race:
            pause = partial(self._pause_of_racer, task.gates[number])
            return Candidate(endpoint, chat, partial(self._connect_racer, task, number), pause)
        connect = partial(self._connect, task, number)
        return Candidate(endpoint, chat, connect, self.batch.pause(task))

    def _connect(self, task: Task, number: int) -> Connection:
        http = partial(cast(Worker, task.client).http, _pair(task, number)[0])
        http()  # making a client is not part of the time that the prompt takes
        return Connection(self._opener(task, number, http), _at_once)

    def _connect_racer(self, task: Task, number: int) -> Connection:
        worker = cast(Worker, task.client)
        http, over = worker.http(_pair(task, number)[0], number), Flag()
        client = _stuck if worker.stuck(number) else partial(_itself, http)
        cancel = partial(worker.lose, number, http, over)
        worker.cancels.append(cancel)
        return Connection(self._opener(task, number, client), over.wait, cancel=cancel)

    def _opener(self, task: Task, number: int, http: Callable[[], Http]) -> Open:
        peer, gate = _pair(task, number)[0], task.gates[number]

        def open(request: HttpRequest, patience: Patience) -> Response:
            if (closed := gate.closed) is not None:
                why = closed.message, closed.hint
                raise StreamError(closed.kind, *why, http_status=closed.http_status)
            return peer.opener(http())(request, patience)

        return open

    def _pause_of_racer(self, gate: Gate, failed: Failed, attempt: int) -> float | None:
        """By the rules for one prompt: its wait holds nobody else."""
        self.batch.queue.judge(gate, failed)
        return None if gate.closed is not None else self._delay(failed, attempt)


def _pair(task: Task, number: int) -> tuple[Endpoint, ChatRequest]:
    asked = cast(Asked, task.what)
    assert asked.lane is not None
    return asked.lane.peers[number], asked.chats[number]


def _itself(http: Http) -> Http:
    return http


def _stuck() -> Http:
    raise StreamError("connect", "connections for earlier prompts are still being made")


def _at_once(seconds: float) -> None:
    """The task was put back for that long: nothing is left to wait for."""
