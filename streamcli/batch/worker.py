"""A worker of a batch: the clients of its thread, and how it asks a question."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from threading import Event as Flag
from typing import TYPE_CHECKING

from ..answer.answer_stream import AnswerStream
from ..answer.compose import Candidate, Connection, compose
from ..answer.enough import Enough, Watch
from ..errors import StreamError
from ..messages import ChatRequest, Message
from ..providers.endpoint import Endpoint, hash_of
from ..request import HttpRequest
from ..transport.seam import Open, Patience, Response
from .limits.gate import Gate
from .limits.limit_headers import Allowance, allowances
from .question import Question
from .retries import Retries
from .task import Task

if TYPE_CHECKING:
    from ..answer.compose import Tools
    from ..conversation.conversation import Conversation
    from ..transport.client import Http

_STUCK = 2  # unfinished connections of a racer that lost, after which it is not asked again


class Worker:
    """The clients of one thread, one for each kind of connection.

    Each racer of a race has a thread and a client of its own; a racer that loses loses both.
    `stop_tools` ends the programs of every prompt, as all workers are cancelled together.
    """

    def __init__(self, stop_tools: Callable[[], None] | None = None) -> None:
        self._stop_tools = stop_tools
        self._clients: dict[object, Http] = {}
        self.cancelled = False
        self._lost: dict[int, list[Http]] = {}  # by the number of the racer
        self._cancels: list[Callable[[], None]] = []  # of the racers of the present race

    def http(self, endpoint: Endpoint, racer: int | None = None) -> Http:
        """Return the client for an endpoint; each racer, by its number, has one of its own."""
        target = endpoint.target
        kind = (target.unix_socket, target.base_url.startswith("https:"), racer)
        http = self._clients.get(kind)
        # A client that was cancelled without its worker is that of a racer that lost.
        if http is None or (http.cancelled and not self.cancelled):
            http = self._clients[kind] = endpoint.client()
            if self.cancelled:
                http.cancel()
        return http

    def begin_race(self) -> None:
        """Forget the racers of the last race."""
        self._cancels = []

    def enter_race(
        self, endpoint: Endpoint, racer: int
    ) -> tuple[Callable[[], Http], Flag, Callable[[], None]]:
        """Return (the function that gives its client, its cancel flag, the function to cancel)."""
        http, over = self.http(endpoint, racer), Flag()
        cancel = partial(self._lose, racer, http, over)
        client = _refuse_stuck if self._is_stuck(racer) else partial(_itself, http)
        self._cancels.append(cancel)
        return client, over, cancel

    def _lose(self, racer: int, http: Http, over: Flag) -> None:
        over.set()
        http.cancel()
        self._lost.setdefault(racer, []).append(http)

    def _is_stuck(self, racer: int) -> bool:
        """Return whether too many connections of a racer that lost are still being made."""
        lost = self._lost[racer] = [http for http in self._lost.get(racer, ()) if http.connecting]
        return len(lost) >= _STUCK

    def close(self) -> None:
        """Close the connections; the clients of racers that lost end by themselves."""
        for kind, http in list(self._clients.items()):
            if self.cancelled or not http.cancelled:
                self._clients.pop(kind).close()

    def cancel(self) -> None:
        """Cancel whatever waits for the network or a tool; called from another thread."""
        self.cancelled = True
        if self._stop_tools is not None:
            self._stop_tools()
        for cancel in self._cancels:
            cancel()
        for http in list(self._clients.values()):
            http.cancel()


class Asker:
    """Makes the AnswerStream of a task, in the thread of the worker that has the task.

    `watch` makes the watch of an answer for --enough, None without it. `tools` are those that the
    models may call. With a `conversation` each task is a turn of it, asked when the turn before is
    over; the flag beside it says that its system prompt was typed.
    """

    def __init__(
        self,
        retries: Retries,
        *,
        races: bool,
        watch: Callable[[], Watch] | None,
        tools: Tools | None,
        schema_retries: int,
        conversation: tuple[Conversation, bool] | None,
    ) -> None:
        self._retries = retries
        self._races = races
        self._watch = watch
        self._tools = tools
        self._schema_retries = schema_retries
        self._conversation = conversation

    def worker(self) -> Worker:
        """Return the clients of a new thread."""
        return Worker(None if self._tools is None else self._tools.stop)

    def ask(self, task: Task[Question, Worker], worker: Worker) -> AnswerStream:
        """Return the answer to a task, which is asked through the clients of `worker`."""
        new_messages = self._prepend_history(task)
        numbers = range(len(task.gates))
        usable = [number for number in numbers if task.gates[number].closed is None]
        if new_messages or (self._races and len(numbers) > 1):
            worker.begin_race()
            candidates = [self._racer(task, worker, number) for number in numbers]
        else:
            candidates = [self._candidate(task, number) for number in numbers]
        matching = task.question.matching
        stream = compose(
            candidates,
            race=self._races,
            first=usable[0] if usable else 0,
            clock=time.monotonic,
            random=random.random,
            tools=self._tools,
            problem=None if matching is None else matching.problem_of,
            schema_retries=self._schema_retries,
        )
        if self._watch is not None:
            stream = Enough(stream, self._watch())
        return self._saving(task, worker, stream, new_messages) if new_messages else stream

    def _prepend_history(self, task: Task[Question, Worker]) -> list[Message]:
        """Put the conversation so far before the prompt; return the new messages, if it has one."""
        if self._conversation is None:
            return []
        (conversation, own_system), question = self._conversation, task.question
        assert question.route is not None
        endpoints, new_messages = question.route.endpoints, question.chats[0].messages
        question.chats = [
            conversation.request(chat, endpoint.answerer, own_system=own_system)
            for endpoint, chat in zip(endpoints, question.chats, strict=True)
        ]
        if question.hash is not None:
            question.hash = hash_of(endpoints[0], question.chats[0])
        return new_messages

    def _saving(
        self,
        task: Task[Question, Worker],
        worker: Worker,
        stream: AnswerStream,
        new_messages: list[Message],
    ) -> AnswerStream:
        """Return the stream, which saves its turn in the conversation."""
        assert self._conversation is not None
        question = task.question
        assert question.route is not None
        answerers = [endpoint.answerer for endpoint in question.route.endpoints]
        saving = self._conversation[0].saving(stream, question.chats[0], new_messages, answerers)
        saving.resumable = False  # another prompt may not be asked between two attempts
        saving.is_cancelled = lambda: worker.cancelled
        return saving

    def _candidate(self, task: Task[Question, Worker], number: int) -> Candidate:
        """Return an endpoint as one of those that are asked one after the other."""
        endpoint, gate, chat = _asked_of(task, number)

        def client() -> Http:
            assert task.client is not None  # after a retry it may be another worker's
            return task.client.http(endpoint)

        def connect() -> Connection:
            client()  # make it now: that does not count as part of the prompt's time
            advise = partial(self._retries.advise, task, gate)
            return Connection(_opener(endpoint, gate, client, advise), _at_once)

        return Candidate(endpoint, chat, connect, self._retries.pause_of(task))

    def _racer(self, task: Task[Question, Worker], worker: Worker, number: int) -> Candidate:
        """Return an endpoint as one of those that are asked at the same time."""
        endpoint, gate, chat = _asked_of(task, number)

        def connect() -> Connection:
            client, over, cancel = worker.enter_race(endpoint, number)
            advise = partial(self._retries.advise, task, gate)
            return Connection(_opener(endpoint, gate, client, advise), over.wait, cancel=cancel)

        return Candidate(endpoint, chat, connect, self._retries.pause_of_racer(gate))


def _asked_of(task: Task[Question, Worker], number: int) -> tuple[Endpoint, Gate, ChatRequest]:
    """Return the endpoint of a task with that number, its gate, and the request for it."""
    question = task.question
    assert question.route is not None
    return question.route.endpoints[number], task.gates[number], question.chats[number]


def _opener(
    endpoint: Endpoint,
    gate: Gate,
    client: Callable[[], Http],
    advise: Callable[[list[Allowance]], None],
) -> Open:
    """Return the function that sends a request; it raises a StreamError once the gate is closed.

    `advise` gets the limits that a response states.
    """

    def open(request: HttpRequest, patience: Patience) -> Response:
        if (closed := gate.closed) is not None:
            why = closed.message, closed.hint
            raise StreamError(closed.kind, *why, http_status=closed.http_status)
        answer = endpoint.opener(client())(request, patience)
        if allowed := allowances(answer.headers, time.time()):
            advise(allowed)
        return answer

    return open


def _itself(http: Http) -> Http:
    return http


def _refuse_stuck() -> Http:
    raise StreamError("connect", "connections for earlier prompts are still being made")


def _at_once(seconds: float) -> None:
    """Return without a wait: the task was put back for that long."""
