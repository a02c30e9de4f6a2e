"""The main thread of a batch: write the workers' updates, count verdicts, decide when to stop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from signal import SIGINT
from typing import TYPE_CHECKING

from ..errors import EXIT_OF_STATUS, Interrupted, StreamError, bug
from ..events import Event, Failed, Retry
from ..outcome import Outcome, Verdict, interrupted
from ..output.formats import Outputs
from ..providers.endpoint import Endpoint
from ..settings.settings import Settings
from ..terminal.messages import Messages
from .channel import Update
from .deliveries import Deliveries
from .halt import Halt
from .limits import describe
from .plan import Plan, Prompt
from .pool import Pool
from .question import Question
from .routes import Routes
from .stderr_messages import BatchMessages
from .summary import Summary
from .worker import Worker

if TYPE_CHECKING:
    from ..report.slo import Judgement
    from .slo import Objectives


class MainLoop:
    """`run` handles the updates of a pool to the end, and returns the exit status.

    `began` is the time of `clock` when the batch began.
    """

    def __init__(
        self,
        settings: Settings,
        routes: Routes,
        plan: Plan,
        pool: Pool[Question, Worker],
        outputs: Outputs,
        summary: Summary,
        batch_messages: BatchMessages,
        messages: Messages,
        *,
        objectives: Objectives | None,
        began: float,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._routes = routes
        self._plan = plan
        self._pool = pool
        self._outputs = outputs
        self._deliveries = Deliveries(settings, outputs)
        self._summary = summary
        self._batch_messages = batch_messages
        self._messages = messages
        self._objectives = objectives
        self._judgements: list[Judgement] = []
        self._began = began
        self._clock = clock
        self._halt = Halt(*settings.halt)
        self._halted = False
        self._fatal: StreamError | None = None  # an error of the output or the input
        self._signum = 0

    def run(self) -> int:
        """Return the exit status, once all is written; raise Interrupted to die by its signal."""
        try:
            self._handle_updates()
        finally:
            self._batch_messages.close()
            self._routes.close()
        code = self._finish()
        if self._signum:
            raise Interrupted(self._signum)
        return code

    # Updates

    def _handle_updates(self) -> None:
        for update in self._pool:
            try:
                self._handle(update)
            except Exception as error:  # a bug: cancel the running tasks, so that they get records
                self._abort(found_bug(error, self._messages))
        self._skip_dropped()

    def _handle(self, update: Update[Prompt] | int | StreamError) -> None:
        if isinstance(update, int):
            self._interrupt(update)
        elif isinstance(update, StreamError):
            self._abort(update)
        else:
            task, t_ms, events = update
            if events is None:
                self._end(task)
            else:
                self._emit(task, t_ms, events)
        self._skip_dropped()

    def _emit(self, task: Prompt, t_ms: float, events: list[Event]) -> None:
        """Write the events of a task."""
        try:
            self._deliveries.of(task).emit(t_ms, events)
        except (StreamError, Interrupted) as error:
            self._abort(error)
        if self._messages.verbose and isinstance(events[0], Retry):
            self._batch_messages.retries(task, events[0])

    def _end(self, task: Prompt) -> None:
        """Write the end of a task, and count its verdict."""
        outcome = task.outcome
        assert outcome is not None
        endpoint = task.question.endpoint(task.number)
        if endpoint is not None:
            endpoint.explain(outcome.end)
            endpoint.price(outcome)
        try:
            delivery = self._deliveries.of(task)
        except (StreamError, Interrupted) as error:
            self._abort(error)
            delivery = self._deliveries.of(task)
        if endpoint is not None and delivery.facts is not None:
            delivery.facts.asks(endpoint.source)
        if self._signum and isinstance(outcome.end, Failed) and outcome.end.kind == "interrupted":
            delivery.signum = self._signum
        verdict = delivery.close(outcome)
        self._deliveries.forget(task)
        try:
            self._outputs.done(task.sequence)
        except (StreamError, Interrupted) as error:
            self._abort(error)
        if delivery.signum and not self._signum:
            self._abort(Interrupted(delivery.signum))
        elif verdict.status == "write":
            self._abort(StreamError("write", verdict.message, verdict.hint))
        self._count(task, outcome, verdict, endpoint)

    def _count(
        self, task: Prompt, outcome: Outcome, verdict: Verdict, endpoint: Endpoint | None
    ) -> None:
        """Count a verdict, report it, and stop the batch if --halt says so or all gates closed."""
        summary = self._summary
        summary.add(outcome, verdict, task.question.route_name)
        if self._objectives is not None:
            self._objectives.add(task.question, outcome, verdict)
        self._halt.spend(outcome, endpoint, task.tokens)
        if verdict.message and verdict.status not in ("interrupted", "write"):
            self._batch_messages.ended(task, verdict, endpoint)
        if self._fatal is not None or self._signum:
            return
        if not self._halted and self._halt.due(summary.done, summary.failed):
            self._halted = True
            if self._halt.how == "now":
                self._pool.cancel(Failed("interrupted", "stopped by --halt"))
            else:
                self._pool.stop()
        elif not self._settings.requests and self._routes.are_closed():
            self._pool.stop()  # the rest of the input stays where it is

    def _skip_dropped(self) -> None:
        """Leave out the answers of the prompts that were dropped."""
        try:
            for task in self._pool.dropped():
                self._summary.unasked += 1
                question = task.question
                self._outputs.skip(task.sequence, question.route_name, row=question.row)
        except (StreamError, Interrupted) as error:
            self._abort(error)

    def _interrupt(self, signum: int) -> None:
        """Cancel what runs because of a signal."""
        self._signum = self._signum or signum
        if signum == SIGINT and (line := self._messages.screen.line(2)) is not None:
            line.interrupted()
        self._pool.cancel(interrupted(signum))

    def _abort(self, error: StreamError | Interrupted) -> None:
        """Cancel what runs because of an error of the output or the input."""
        if isinstance(error, Interrupted):
            self._interrupt(error.signum)
            return
        if self._fatal is None:
            self._fatal = error
            self._pool.cancel(Failed.of(error))

    # The end

    def _finish(self) -> int:
        """Write what is left, report how the batch ended, and return the exit status."""
        self._summary.skipped = self._plan.skipped.total()
        if self._objectives is not None and self._fatal is None and not self._signum:
            self._judgements = self._objectives.judge()
        for write in (self._outputs.finish, self._write_summary):
            try:
                write()
            except StreamError as error:
                self._fatal = self._fatal or error
            except Interrupted as error:
                self._signum = self._signum or error.signum
        seconds = self._clock() - self._began
        halt = self._halt if self._halted else None
        self._batch_messages.end(self._fatal, self._signum, halt, self._is_undone, seconds)
        if self._judgements and self._fatal is None and not self._signum:
            self._batch_messages.missed(self._judgements)
        return self._code()

    def _code(self) -> int:
        """Return the exit status of the batch."""
        if self._signum:
            return 128 + self._signum
        if self._fatal is not None:
            return self._fatal.exit_code
        if not all(judgement.met for judgement in self._judgements):
            return EXIT_OF_STATUS["slo"]
        return EXIT_OF_STATUS["batch"] if self._summary.failed or self._is_undone else 0

    @property
    def _is_undone(self) -> bool:
        """Whether prompts of the input were not asked."""
        return bool(self._summary.unasked) or (self._halted and not self._pool.has_read_all)

    def _write_summary(self) -> None:
        """Write the `summary` record, if records are on."""
        if not self._settings.records:
            return
        from ..output.records import SCHEMA, request_id, timestamp

        wall = (self._clock() - self._began) * 1000
        now = time.time()
        head = {"type": "summary", "request_id": request_id(now), "t_ms": round(wall, 1)}
        head |= {"schema": SCHEMA, "ts": timestamp(now)}
        limits = describe.records(self._routes.gates)
        record = head | self._summary.record(wall, self._code(), limits)
        if self._judgements:
            record["slo"] = [judgement.record() for judgement in self._judgements]
        self._outputs.summary(record)


def found_bug(error: Exception, messages: Messages) -> StreamError:
    """Return a bug of ours as a failure; --debug shows its traceback."""
    if messages.debugging:
        sys.excepthook(type(error), error, error.__traceback__)
    return bug(error)
