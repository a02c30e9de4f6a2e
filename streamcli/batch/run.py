"""A batch from the command line to its exit status: input, threads, sinks and journal together."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from ..answer.enough import Watch
from ..answer.retry import delay
from ..errors import EXIT_OF_STATUS, Interrupted, StreamError, bug, usage
from ..events import Event, Failed, Retry
from ..input import batch_items as items
from ..outcome import Outcome, Verdict, interrupted
from ..output.delivery import Delivery
from ..output.file_names import check_template, file_of
from ..output.formats import Outputs
from ..providers.context import context_of
from ..providers.endpoint import Endpoint
from ..providers.prices import price
from ..settings.settings import Invocation, Settings
from ..terminal.messages import Messages
from ..terminal.signals import Signals
from .limits import Halt, Pace
from .messages import Commentary, called, shows_progress
from .open_files import raise_limit
from .plan import Asked, Prompts
from .pool import Batch
from .routes import Lanes
from .seen import Done, Occurrences
from .summary import Summary
from .task import News, Task
from .worker import Asker, Worker


class Batching:
    """Many prompts: `run` returns the exit status, or raises Interrupted to die by."""

    def __init__(self, invocation: Invocation, signals: Signals, closed_fds: set[int]) -> None:
        self._invocation = invocation
        self._settings = settings = invocation.settings
        self._signals = signals
        self._closed = closed_fds
        self._voice = Messages(quiet=settings.quiet, verbose=settings.verbose, debug=settings.debug)
        self._records = settings.records
        self._summary = Summary()
        self._halt = Halt(*settings.halt)
        self._halted = False
        self._began = time.monotonic()
        self._deliveries: dict[Task, Delivery] = {}
        self._fatal: StreamError | None = None
        self._signum = 0
        self._lanes: Lanes
        self._outputs: Outputs
        self._prompts: Prompts
        self._batch: Batch
        self._commentary: Commentary
        self._total: int | None = None  # prompts, if that can be known

    def run(self) -> int:
        try:
            self._prepare()
        except StreamError as error:
            return self._refuse(error)
        except Exception as error:
            return self._refuse(self._bug(error))
        self._signals.notify = self._batch.channel.signal
        if self._signals.pending:
            self._interrupt(self._signals.pending)
        queue, prompts = self._batch.queue, self._prompts
        self._commentary.show_progress(self._total, lambda: (prompts.skipped, len(queue.running)))
        try:
            self._listen()
        finally:
            self._commentary.close()
            self._lanes.close()
        code = self._finish()
        if self._signum:
            raise Interrupted(self._signum)
        return code

    # Before anything is asked

    def _prepare(self) -> None:
        invocation, settings = self._invocation, self._settings
        self._check()
        context = context_of(
            invocation,
            self._voice,
            environ=os.environ,
            clock=time.monotonic,
            closed_fds=self._closed,
        )
        counted = shows_progress(settings)
        texts, total = items.of(
            invocation, context.stdin, context.files, self._voice.note, counted=counted
        )
        done = self._journal()
        self._lanes = lanes = Lanes(invocation, context)
        self._settings = settings = lanes.settings
        self._commentary = Commentary(settings, self._voice, self._summary, lanes.gates)
        self._outputs = Outputs(
            settings,
            self._signals,
            self._closed,
            self._voice.screen,
            batch=True,
            headings=len(lanes.all) > 1,
        )
        self._outputs.open()
        raise_limit(settings.jobs * (len(settings.model) if settings.race else 1))
        lanes.start()
        hashed = self._records or done is not None
        repeat = settings.repeat or 1
        if total is not None:
            self._total = total * repeat * max(1, len(lanes.all))
        self._prompts = Prompts(
            texts,
            lanes,
            repeat=repeat,
            done=done,
            occurrences=Occurrences() if hashed else None,
            file_of=file_of(settings.output),
        )
        limits = settings.limits
        by_the_rules = partial(
            delay,
            max_retries=limits.max_retries,
            max_wait=limits.max_wait,
            random=random.random,
        )
        asker = Asker(settings.race, by_the_rules, _watch_of(settings))
        self._batch = asker.batch = Batch(
            self._prompts,
            asker.ask,
            Worker,
            jobs=settings.jobs,
            pace=Pace(settings.rate),
            delay=by_the_rules,
            clock=time.monotonic,
            attempts=settings.format not in ("text", "json")
            or settings.events is not None
            or self._voice.verbose,
        )

    def _check(self) -> None:
        settings = self._settings
        inputs = settings.batch_inputs
        if len(inputs) > 1:
            raise usage(f"--{inputs[0]} and --{inputs[1]} exclude each other")
        for option in ("decode", "replay", "speed"):
            if getattr(settings, option) is not None:
                raise usage(f"--{option} is for one answer that is there already, not for a batch")
        if "pace" in self._invocation.given:
            raise usage("--pace is for one answer, not for a batch")
        if settings.record:
            raise usage("--record keeps one answer, not a batch's", "--events keeps records")
        if settings.resume and not settings.records:
            self._voice.note("--resume reads records, and this run writes none: --json or --events")
        several = bool(inputs) or (settings.repeat or 1) > 1
        check_template(settings.output, several, settings.compares)

    def _journal(self) -> Done | None:
        settings = self._settings
        if not settings.resume:
            return None
        from .resume import read

        return read(settings.resume, events=settings.events, note=self._voice.note)

    def _refuse(self, error: StreamError) -> int:
        """Nothing was asked; with records on that is told as the end of one."""
        from ..output.records import Facts

        delivery = Delivery(self._settings)
        outcome = Outcome()
        outcome.end = Failed.of(error)
        if self._records and error.kind != "write":
            try:
                screen = self._voice.screen
                outputs = Outputs(self._settings, self._signals, self._closed, screen)
                delivery.open(outputs.sinks(Facts(time.time)))
            except StreamError:
                pass  # one trouble is enough
        verdict = delivery.close(outcome)
        self._voice.error(verdict.message, verdict.hint)
        return verdict.exit_code

    # What comes back: in the main thread

    def _listen(self) -> None:
        for news in self._batch:
            try:
                self._hear(news)
            except Exception as error:  # ends what runs, and what ran has its records
                self._break(self._bug(error))
        self._skip_dropped()

    def _hear(self, news: News | int | StreamError) -> None:
        if isinstance(news, int):
            self._interrupt(news)
        elif isinstance(news, StreamError):
            self._break(news)
        else:
            task, t_ms, events = news
            if events is None:
                self._over(task)
            else:
                self._emit(task, t_ms, events)
        self._skip_dropped()

    def _bug(self, error: Exception) -> StreamError:
        if self._voice.debugging:
            sys.excepthook(type(error), error, error.__traceback__)
        return bug(error)

    def _emit(self, task: Task, t_ms: float, events: list[Event]) -> None:
        try:
            self._delivery(task).emit(t_ms, events)
        except (StreamError, Interrupted) as error:
            self._break(error)
        if self._voice.verbose and isinstance(events[0], Retry):
            retry = events[0]
            what = retry.error.message
            self._voice.detail(f"{called(task)}: {what}: again in {retry.delay:.1f} s")

    def _delivery(self, task: Task) -> Delivery:
        if (delivery := self._deliveries.get(task)) is not None:
            return delivery
        asked = cast(Asked, task.what)
        settings = self._settings
        if asked.lane is not None and not settings.race:  # with the defaults of its provider
            settings = asked.lane.peers[0].settings
        delivery = self._deliveries[task] = Delivery(settings)
        facts = None
        if self._records:
            from ..output.records import Facts

            facts = delivery.facts = Facts(time.time, asked.tags)
            facts.hash, facts.occurrence = asked.hash, asked.occurrence
            if asked.lane is not None:
                facts.asks(asked.lane.peers[0].source)
        name = asked.lane.name if asked.lane is not None else ""
        if self._settings.race and (winner := _peer(task)) is not None:
            name = winner.label
        delivery.open(self._outputs.sinks(facts, delivery.shape, task.sequence, name, asked.tags))
        if asked.matching is not None:
            delivery.check(asked.matching)
        return delivery

    def _over(self, task: Task) -> None:
        outcome = task.outcome
        assert outcome is not None
        peer = _peer(task)
        if peer is not None:
            peer.explain(cast(Any, outcome.end))
            price(peer.row, peer.model, outcome)
        try:
            delivery = self._delivery(task)
        except (StreamError, Interrupted) as error:
            self._break(error)
            delivery = self._deliveries[task]
        if peer is not None and delivery.facts is not None:
            delivery.facts.asks(peer.source)
        if self._signum and isinstance(outcome.end, Failed) and outcome.end.kind == "interrupted":
            delivery.signum = self._signum
        verdict = delivery.close(outcome)
        del self._deliveries[task]
        try:
            self._outputs.done(task.sequence)
        except (StreamError, Interrupted) as error:
            self._break(error)
        if delivery.signum and not self._signum:
            self._break(Interrupted(delivery.signum))
        elif verdict.status == "write":
            self._break(StreamError("write", verdict.message, verdict.hint))
        self._count(task, outcome, verdict, peer)

    def _count(self, task: Task, outcome: Outcome, verdict: Verdict, peer: Endpoint | None) -> None:
        summary = self._summary
        summary.add(outcome, verdict)
        if verdict.message and verdict.status not in ("interrupted", "write"):
            self._commentary.told(task, verdict, peer)
        if self._fatal is not None or self._signum:
            return
        if self._halt.due(summary.done, summary.failed):
            self._halted = True
            if self._halt.how == "now":
                self._batch.cancel(Failed("interrupted", "stopped by --halt"))
            else:
                self._batch.stop()
        elif not self._settings.requests and self._lanes.refuse():
            self._batch.stop()  # nobody is left to ask: the rest of the input stays where it is

    def _skip_dropped(self) -> None:
        try:
            for task in self._batch.dropped():
                lane = cast(Asked, task.what).lane
                self._outputs.skip(task.sequence, lane.name if lane is not None else "")
        except (StreamError, Interrupted) as error:
            self._break(error)

    def _interrupt(self, signum: int) -> None:
        self._signum = self._signum or signum
        self._batch.cancel(interrupted(signum))

    def _break(self, error: StreamError | Interrupted) -> None:
        """The output, or the input, cannot be gone on with."""
        if isinstance(error, Interrupted):
            self._interrupt(error.signum)
            return
        if self._fatal is None:
            self._fatal = error
            self._batch.cancel(Failed.of(error))

    # The end

    def _finish(self) -> int:
        summary = self._summary
        summary.skipped = self._prompts.skipped
        summary.unasked = self._batch.unasked
        for write in (self._outputs.finish, self._write_summary):
            try:
                write()
            except StreamError as error:
                self._fatal = self._fatal or error
            except Interrupted as error:
                self._signum = self._signum or error.signum
        seconds = time.monotonic() - self._began
        self._commentary.end(self._fatal, self._signum, self._halted, seconds)
        return self._code()

    def _code(self) -> int:
        if self._signum:
            return 128 + self._signum
        if self._fatal is not None:
            return self._fatal.exit_code
        return EXIT_OF_STATUS["batch"] if self._summary.failed or self._summary.unasked else 0

    def _write_summary(self) -> None:
        if not self._records:
            return
        from ..output.records import SCHEMA, request_id, timestamp

        wall = (time.monotonic() - self._began) * 1000
        now = time.time()
        head = {"type": "summary", "request_id": request_id(now), "t_ms": round(wall, 1)}
        head |= {"schema": SCHEMA, "ts": timestamp(now)}
        self._outputs.summary(head | self._summary.record(wall, self._code()))


def _watch_of(settings: Settings) -> Callable[[], Watch] | None:
    """Return what makes the watch of each answer, for --enough."""
    if settings.enough is None:
        return None
    from ..output.enough import Watch as WatchText

    return partial(WatchText, settings)


def _peer(task: Task) -> Endpoint | None:
    """Whose answer it is, or who would be asked."""
    lane = cast(Asked, task.what).lane
    if lane is None:
        return None
    return lane.peers[task.asking.number if task.asking is not None else 0]
