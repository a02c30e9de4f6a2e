"""Many prompts at once in Python, by the engine of the command's batches."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ..errors import StreamError
from ..events import Failed
from ..outcome import Outcome
from .answer import Answer
from .options import checked, invocation_of, key_for
from .outcome import AnswerOutcome

if TYPE_CHECKING:
    from ..batch.plan import Prompt
    from ..output.delivery import Delivery

Answers = Generator[Answer, None, None]
_AHEAD = 2  # answers for each job that may wait for those before them
_GRACE = 2.0  # seconds for threads to end once the batch is left
_UNLIMITED = 1 << 62  # updates that may wait: the answers are kept in memory anyway


def answers(prompts: Iterable[str], jobs: int, options: Mapping[str, Any]) -> Answers:
    """Return the answers, each read to its end; see `streamcli.stream_batch`."""
    options = checked(options)
    if isinstance(prompts, str):
        raise TypeError("the prompts have to be several, not a str: [prompt]")
    if not isinstance(jobs, int) or isinstance(jobs, bool):
        raise TypeError(f"jobs has to be an int, not {type(jobs).__name__}")
    if jobs < 1:
        raise ValueError("jobs has to be at least 1")
    if "session" in options:
        raise TypeError("stream_batch() has no option 'session': its answers are independent")
    return _answers(iter(prompts), jobs, options)


def _answers(prompts: Iterator[str], jobs: int, options: Mapping[str, Any]) -> Answers:
    try:
        batch = _Batch(jobs, options)
    except StreamError as error:  # nothing can be asked: each answer has the error
        for prompt in prompts:
            yield _refused(Answer(prompt, options), error)
        return
    try:
        yield from batch.run(prompts)
    finally:
        batch.close()


def _refused(answer: Answer, error: StreamError) -> Answer:
    from ..output.delivery import Delivery
    from ..settings.settings import Settings

    outcome = Outcome()
    outcome.end = Failed.of(error)
    verdict = Delivery(Settings(format="jsonl")).close(outcome)
    answer.settle(AnswerOutcome(outcome, verdict, ("", "", "")))
    return answer


class _Batch:
    """One run of the engine: one configuration, one gate for each provider, shared connections.

    The caller's thread reads the prompts and handles all updates; the threads of the pool ask.
    """

    def __init__(self, jobs: int, options: Mapping[str, Any]) -> None:
        """Raise a StreamError where something is missing."""
        from ..batch.channel import Channel
        from ..batch.engine import make_pool
        from ..batch.routes import Routes
        from ..providers.context import context_of
        from ..terminal.messages import Messages

        self._jobs = jobs
        self._options = options
        self._notes: list[str] = []  # every answer has the notes of the run
        environ = dict(os.environ)
        invocation = invocation_of("", options, environ).but(jobs=jobs)
        messages = Messages()
        messages.above = self._notes.append
        context = context_of(
            invocation, messages, environ=environ, clock=time.monotonic, closed_fds=(0,)
        )
        context.key_for = key_for(options)
        if functions := options.get("tools"):
            from ..tools.functions import FunctionTools

            context.tools = FunctionTools(functions, invocation.settings, clock=time.monotonic)
        self._routes = routes = Routes(invocation, context)
        try:
            routes.start()
        except BaseException:
            routes.close()
            raise
        self._feed: SimpleQueue[Prompt | None] = SimpleQueue()
        self._pool = make_pool(
            iter(self._feed.get, None),
            routes.settings.but(rate=None),  # which only the command has
            Channel(_UNLIMITED),
            tools=context.tools,
            attempts=False,
        )
        self._open: dict[Prompt, tuple[Answer, Delivery]] = {}
        self._over: set[Answer] = set()

    def run(self, prompts: Iterator[str]) -> Iterator[Answer]:
        """Yield the answers; raise an exception of `prompts` after the answers before it."""
        waiting: deque[Answer] = deque()
        updates = iter(self._pool)
        failure: Exception | None = None
        more, count = True, 0
        while True:
            while more and len(waiting) < _AHEAD * self._jobs:
                try:
                    prompt = next(prompts, None)
                except Exception as error:
                    failure, prompt = error, None
                if prompt is None:
                    more = False
                    self._feed.put(None)
                    break
                waiting.append(answer := Answer(prompt, self._options))
                answer.notes = self._notes
                self._ask(answer, count)
                count += 1
            if not waiting:
                break
            while waiting[0] not in self._over:
                self._handle(next(updates))
            answer = waiting.popleft()
            self._over.discard(answer)
            yield answer
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Cancel what is in flight, and end the threads."""
        self._pool.cancel(Failed("interrupted", "the batch was closed before its end"))
        self._feed.put(None)
        self._pool.join(_GRACE)
        self._routes.close()

    def _ask(self, answer: Answer, number: int) -> None:
        """Put a prompt into the queue; one that cannot be asked ends at once."""
        from ..batch.question import Question
        from ..batch.task import Task
        from ..batch.token_estimate import tokens_in
        from ..input.item import Item
        from ..input.text import is_utf8
        from ..output.delivery import Delivery

        route = self._routes.all[0]
        endpoint = route.endpoints[0]
        delivery = Delivery(endpoint.settings)
        try:
            if not is_utf8(answer.prompt):
                raise StreamError("usage", "the prompt has half a surrogate pair in it")
            chats = route.chats_for(Item(number, answer.prompt))
        except StreamError as error:
            self._over.add(_refused(answer, error))
            return
        if (matching := route.matching_of(chats[0])) is not None:
            delivery.check(matching)
        task: Prompt = Task(
            number,
            Question(route, chats, {"index": number}),
            self._routes.gates_of(route),
            tokens=tokens_in(len(answer.prompt)),
        )
        task.always_ends = True
        self._open[task] = answer, delivery
        self._feed.put(task)

    def _handle(self, update: Any) -> None:
        """Pass an update on to its answer."""
        if isinstance(update, StreamError):  # no thread can be started
            raise RuntimeError(str(update))
        task, t_ms, events = update
        answer, delivery = self._open[task]
        if events is not None:
            answer.keep(events)
            delivery.emit(t_ms, events)
            return
        del self._open[task]
        outcome = task.outcome
        endpoint = task.question.endpoint(task.number)
        endpoint.explain(outcome.end)
        endpoint.price(outcome)
        verdict = delivery.close(outcome)
        answer.settle(AnswerOutcome(outcome, verdict, endpoint.source))
        self._over.add(answer)
