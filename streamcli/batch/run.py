"""A batch from the command line to its exit status: prepare its parts in order, then run them."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from ..answer.answer_stream import AnswerStream
from ..answer.enough import Watch
from ..answer.retry import delay
from ..errors import StreamError, usage
from ..events import Failed
from ..input import batch_items
from ..outcome import Outcome
from ..output.delivery import Delivery
from ..output.file_names import check_template, file_of
from ..output.formats import Outputs
from ..providers.choose import keeps_conversations, told_alone
from ..providers.context import Context, context_of, messages_of
from ..settings.settings import Invocation, Settings
from ..terminal.messages import Messages
from ..terminal.signals import Signals
from .channel import Channel
from .journals.seen import Done, Occurrences
from .main_loop import MainLoop, found_bug
from .messages import Reports, shows_progress
from .open_files import raise_limit
from .pace import Pace
from .plan import Given, Plan, Prompt
from .pool import Pool
from .queue import Queue
from .retries import Retries
from .routes import Routes
from .rows import check_rows, row_format
from .summary import Summary
from .worker import Asker

if TYPE_CHECKING:
    from ..conversation.conversation import Conversation
    from .objectives import Objectives


def run(invocation: Invocation, signals: Signals, closed_fds: set[int]) -> int:
    """Run many prompts; return the exit status, or raise Interrupted to die by."""
    settings = invocation.settings
    messages = messages_of(settings)
    signals.before_death = messages.screen.wipe
    channel: Channel[Prompt] = Channel(max(64, 4 * settings.jobs))
    with ExitStack() as held:
        try:
            _check(invocation, messages)
            if settings.resume or settings.reuse:
                from .journals.lock import locked

                journals, events = settings.resume + settings.reuse, settings.events
                held.enter_context(locked(journals, events=events, note=messages.note))
            main_loop = _prepare(invocation, signals, closed_fds, messages, channel)
        except StreamError as error:
            return _refuse(invocation, signals, closed_fds, messages, error)
        except Exception as error:
            return _refuse(invocation, signals, closed_fds, messages, found_bug(error, messages))
        with signals.notifying(channel.signal):
            return main_loop.run()


def _prepare(
    invocation: Invocation,
    signals: Signals,
    closed_fds: set[int],
    messages: Messages,
    channel: Channel[Prompt],
) -> MainLoop:
    """Make all parts, each from those before it; nothing is asked yet."""
    began = time.monotonic()
    objectives = _objectives(invocation.settings)
    context = context_of(
        invocation, messages, environ=os.environ, clock=time.monotonic, closed_fds=closed_fds
    )
    counted = shows_progress(invocation.settings)
    found = batch_items.of(invocation, context.stdin, context.files, messages.note, counted=counted)
    done = _journal(invocation.settings, messages)
    if invocation.settings.converses:
        from ..conversation.opening import with_last_model

        invocation = with_last_model(invocation, context.environ, context.providers)
    given = _given(invocation.settings)
    beside = _is_side_by_side(invocation.settings, messages)
    if beside and "jobs" not in invocation.given:
        invocation = invocation.but(
            jobs=max(invocation.settings.jobs, len(invocation.settings.model))
        )
    routes = Routes(invocation, context)
    settings = routes.settings
    conversation = _conversation_of(invocation, context, routes)
    if conversation is not None:
        settings = settings.but(jobs=1)
    several = len(routes.all) > 1
    models = [route.name for route in routes.all]
    outputs = Outputs(
        settings,
        signals,
        closed_fds,
        messages.screen,
        batch=True,
        headings=several,
        rows=row_format(settings, found.table, routes.schema),
        beside=models if beside else (),
    )
    outputs.open()
    connections = len(settings.model) if settings.race else 1
    raise_limit(settings.jobs * (connections + (2 if context.tools is not None else 0)))
    routes.start()
    if objectives is not None and len(routes.all) == 1:
        objectives.one_model(routes.all[0])
    repeat = settings.repeat or 1
    plan = Plan(
        found.items,
        routes,
        repeat=repeat,
        done=done,
        occurrences=Occurrences() if settings.records or done is not None or given else None,
        file_of=file_of(settings.output),
        given=given,
    )
    limits = settings.limits
    by_the_rules = partial(
        delay, max_retries=limits.max_retries, max_wait=limits.max_wait, random=random.random
    )
    rate, how = settings.rate or (None, "even")
    pace = Pace(rate, random.random if how == "poisson" else None)
    queue: Queue[Prompt] = Queue(settings.jobs, pace, time.monotonic)
    retries = Retries(queue, by_the_rules)
    asker = Asker(
        settings.race,
        retries,
        _watch_of(settings),
        context.tools,
        settings.schema_retries,
        conversation,
    )
    pool = Pool(
        plan,
        queue,
        channel,
        asker.ask,
        asker.worker,
        clock=time.monotonic,
        attempts=settings.format not in ("text", "json")
        or settings.events is not None
        or messages.verbose,
    )
    summary = Summary(models if settings.stats or counted else None)
    reports = Reports(settings, messages, summary, routes.gates)
    total = None if found.total is None else found.total * repeat
    if beside:
        outputs.begin()
    else:
        reports.show_progress(plan, pool.running, models, total)
    return MainLoop(
        settings,
        routes,
        plan,
        pool,
        outputs,
        summary,
        reports,
        messages,
        objectives=objectives,
        began=began,
        clock=time.monotonic,
    )


def _is_side_by_side(settings: Settings, messages: Messages) -> bool:
    if not settings.compares or messages.screen.line(1) is None:
        return False
    from ..output.compare import is_side_by_side

    return is_side_by_side(settings, messages.screen)


def _check(invocation: Invocation, messages: Messages) -> None:
    """Raise a usage error for options that exclude each other, or a batch."""
    settings = invocation.settings
    inputs = settings.batch_inputs
    if len(inputs) > 1:
        if settings.chat:  # which reads lines, whether -L is given or not
            inputs = ["chat" if name == "lines" else name for name in inputs]
        raise usage(f"--{inputs[0]} and --{inputs[1]} exclude each other", "give one of them")
    for option in ("decode", "replay", "speed"):
        if getattr(settings, option) is not None:
            raise usage(f"--{option} is for one answer that is there already, not for a batch")
    if settings.converses and settings.reuse:
        raise usage(f"{settings.conversation_option} and --reuse exclude each other")
    if "pace" in invocation.given:
        raise usage("--pace is for one answer, not for a batch")
    if settings.record:
        raise usage("--record keeps one answer, not a batch's", "--events keeps records")
    if settings.resume and not settings.records:
        messages.note("--resume reads records, and this run writes none: --json or --events")
    check_rows(settings)
    several = bool(inputs) or (settings.repeat or 1) > 1
    check_template(settings.output, several, settings.compares, files=settings.files)


def _conversation_of(
    invocation: Invocation, context: Context, routes: Routes
) -> tuple[Conversation, bool] | None:
    """Return the conversation whose turns the prompts are, and whether -s was typed for it."""
    settings = invocation.settings
    if not settings.converses:
        return None
    endpoints = routes.all[0].endpoints if routes.all else []
    if endpoints and keeps_conversations(endpoints, settings):
        if settings.chat:
            context.messages.note(told_alone(endpoints))
        return None
    from ..conversation.opening import open_conversation

    note = context.messages.note
    conversation = open_conversation(settings, context.environ, note)
    if "jobs" in invocation.typed and settings.jobs > 1:
        note("the lines of a session are asked one after the other, whatever -j says")
    return conversation, "system" in invocation.typed


def _journal(settings: Settings, messages: Messages) -> Done | None:
    if not settings.resume:
        return None
    from .journals.resume import read

    return read(settings.resume, events=settings.events, note=messages.note)


def _given(settings: Settings) -> Given | None:
    """Return what finds the answers that --reuse has."""
    if not settings.reuse:
        return None
    from ..answer.enough import Enough
    from ..answer.reused import Reused
    from .journals.reuse import Reuse

    exact = (settings.repeat or 1) > 1
    reuse = Reuse(settings.reuse, events=settings.events, exact=exact)
    watch_of = _watch_of(settings)

    def given(hash: str, occurrence: int) -> AnswerStream | None:
        if (answer := reuse.find(hash, occurrence)) is None:
            return None
        stream = Reused(answer, time.monotonic)
        return stream if watch_of is None else Enough(stream, watch_of())

    return given


def _objectives(settings: Settings) -> Objectives | None:
    """Return what measures the batch for --slo."""
    if not settings.slo:
        return None
    from .objectives import Objectives

    return Objectives(settings.slo)


def _watch_of(settings: Settings) -> Callable[[], Watch] | None:
    """Return what makes the watch of each answer, for --enough."""
    if settings.enough is None:
        return None
    from ..output.enough import Watch as WatchText

    return partial(WatchText, settings)


def _refuse(
    invocation: Invocation,
    signals: Signals,
    closed_fds: set[int],
    messages: Messages,
    error: StreamError,
) -> int:
    """Report why nothing was asked: with records on, as the end of one."""
    from ..output.records import Facts

    settings = invocation.settings
    delivery = Delivery(settings)
    outcome = Outcome()
    outcome.end = Failed.of(error)
    if settings.records:
        try:
            outputs = Outputs(settings, signals, closed_fds, messages.screen)
            delivery.open(outputs.sinks(Facts(time.time)))
        except StreamError:
            pass  # one trouble is enough
    verdict = delivery.close(outcome)
    messages.error(verdict.message, verdict.hint)
    return verdict.exit_code
