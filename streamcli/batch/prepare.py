"""Prepare a batch: make its parts from the settings, each from those before it; ask nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..answer.answer_stream import AnswerStream
from ..answer.enough import Watch
from ..input.batch_items import Input, read_items
from ..output.file_names import file_of
from ..output.formats import Outputs
from ..providers.choose import conversation_note, keeps_conversations
from ..providers.context import Context, context_of
from ..settings.invocation import Invocation
from ..settings.settings import Settings
from ..terminal.messages import Messages
from ..terminal.signals import Signals
from .channel import Channel
from .engine import make_pool
from .journals.completed import Completed
from .journals.occurrences import Occurrences
from .main_loop import MainLoop
from .open_files import raise_limit
from .plan import FindReused, Plan, Prompt
from .routes import Routes
from .stderr_messages import BatchMessages, shows_progress
from .summary import Summary

if TYPE_CHECKING:
    from ..conversation.conversation import Conversation
    from ..input.rows import Table
    from ..output.rows import RowFormat
    from .slo import Objectives


def prepare(
    invocation: Invocation,
    signals: Signals,
    closed_fds: set[int],
    messages: Messages,
    channel: Channel[Prompt],
) -> MainLoop:
    """Return the main loop of the batch; its endpoints are started, and nothing is asked yet.

    Raise a StreamError for options, input or journals that cannot be used.
    """
    began = time.monotonic()
    objectives = _objectives(invocation.settings)
    context = context_of(
        invocation, messages, environ=os.environ, clock=time.monotonic, closed_fds=closed_fds
    )
    counted = shows_progress(invocation.settings)
    found = read_items(invocation, context.stdin, context.files, messages.note, counted=counted)
    completed = _completed(invocation.settings, messages)
    find_reused = _find_reused(invocation.settings)
    side_by_side = _is_side_by_side(invocation.settings, messages)
    invocation = _with_model_and_jobs(invocation, context, side_by_side=side_by_side)
    routes = Routes(invocation, context)
    settings = routes.settings
    conversation = _conversation_of(invocation, context, routes)
    if conversation is not None:
        settings = settings.but(jobs=1)
    models = [route.name for route in routes.all]
    outputs = Outputs(
        settings,
        signals,
        closed_fds,
        messages.screen,
        batch=True,
        headings=len(models) > 1,
        rows=_row_format(settings, found.table, routes.schema),
        side_by_side=models if side_by_side else (),
    )
    outputs.open()
    raise_limit(_open_files(settings, context))
    routes.start()
    if objectives is not None and len(routes.all) == 1:
        objectives.one_model(routes.all[0])
    plan = _plan_of(found, routes, settings, completed, find_reused)
    pool = make_pool(
        plan,
        settings,
        channel,
        tools=context.tools,
        watch=_watch_of(settings),
        conversation=conversation,
        attempts=_shows_attempts(settings, messages),
    )
    summary = Summary(models if settings.stats or counted else None)
    batch_messages = BatchMessages(settings, messages, summary, routes.gates)
    total = None if found.total is None else found.total * (settings.repeat or 1)
    if side_by_side:
        outputs.begin()
    else:
        batch_messages.show_progress(plan, pool.running, models, total)
    return MainLoop(
        settings,
        routes,
        plan,
        pool,
        outputs,
        summary,
        batch_messages,
        messages,
        objectives=objectives,
        began=began,
        clock=time.monotonic,
    )


def _plan_of(
    found: Input,
    routes: Routes,
    settings: Settings,
    completed: Completed | None,
    find_reused: FindReused | None,
) -> Plan:
    """Return the plan; prompts are hashed only where records or journals need the hash."""
    hashes = settings.records or completed is not None or find_reused is not None
    return Plan(
        found.items,
        routes,
        repeat=settings.repeat or 1,
        completed=completed,
        occurrences=Occurrences() if hashes else None,
        file_of=file_of(settings.output),
        find_reused=find_reused,
    )


def _shows_attempts(settings: Settings, messages: Messages) -> bool:
    """Return whether anything shows the single attempts of a prompt: a record, or -v."""
    records = settings.format not in ("text", "json") or settings.events is not None
    return records or messages.verbose


def _with_model_and_jobs(
    invocation: Invocation, context: Context, *, side_by_side: bool
) -> Invocation:
    """Return the invocation with the model of its session, and a job for each column."""
    if invocation.settings.converses:
        from ..conversation.opening import with_last_model

        invocation = with_last_model(invocation, context.environ, context.providers)
    if side_by_side and "jobs" not in invocation.explicit:
        settings = invocation.settings
        invocation = invocation.but(jobs=max(settings.jobs, len(settings.model)))
    return invocation


def _open_files(settings: Settings, context: Context) -> int:
    """Return how many connections and pipes the jobs may have open at once."""
    connections = len(settings.model) if settings.race else 1
    pipes = 2 if context.tools is not None else 0
    return settings.jobs * (connections + pipes)


def _row_format(
    settings: Settings, table: Table | None, schema: dict[str, Any] | None
) -> RowFormat | None:
    """Return how --into writes the rows back; None without it."""
    if table is None or settings.into is None:
        return None
    from ..output.rows import RowFormat

    return RowFormat(table, settings.into, schema, force=settings.force)


def _is_side_by_side(settings: Settings, messages: Messages) -> bool:
    """Return whether the answers of several models are drawn side by side on the terminal."""
    if not settings.compares or messages.screen.line(1) is None:
        return False
    from ..output.compare import is_side_by_side

    return is_side_by_side(settings, messages.screen)


def _conversation_of(
    invocation: Invocation, context: Context, routes: Routes
) -> tuple[Conversation, bool] | None:
    """Return the conversation of which each prompt is a turn, and whether -s was typed for it.

    Return None if the prompts are independent, or if the provider keeps the conversation itself.
    """
    settings = invocation.settings
    if not settings.converses:
        return None
    endpoints = routes.all[0].endpoints if routes.all else []
    if endpoints and keeps_conversations(endpoints, settings):
        if settings.chat:
            context.messages.note(conversation_note(endpoints))
        return None
    from ..conversation.opening import open_conversation

    note = context.messages.note
    conversation = open_conversation(settings, context.environ, note)
    if "jobs" in invocation.typed and settings.jobs > 1:
        note("the lines of a session are asked one after the other, whatever -j says")
    return conversation, "system" in invocation.typed


def _completed(settings: Settings, messages: Messages) -> Completed | None:
    """Return the prompts that the journals of --resume have complete; None without it."""
    if not settings.resume:
        return None
    from .journals.resume import read

    return read(settings.resume, events=settings.events, note=messages.note)


def _find_reused(settings: Settings) -> FindReused | None:
    """Return the function that finds an answer of --reuse; None without it."""
    if not settings.reuse:
        return None
    from ..answer.enough import Enough
    from ..answer.reused import Reused
    from .journals.reuse import Reuse

    exact = (settings.repeat or 1) > 1
    reuse = Reuse(settings.reuse, events=settings.events, exact=exact)
    watch_of = _watch_of(settings)

    def find(hash: str, occurrence: int) -> AnswerStream | None:
        if (answer := reuse.find(hash, occurrence)) is None:
            return None
        stream = Reused(answer, time.monotonic)
        return stream if watch_of is None else Enough(stream, watch_of())

    return find


def _objectives(settings: Settings) -> Objectives | None:
    """Return the objectives of --slo; None without it."""
    if not settings.slo:
        return None
    from .slo import Objectives

    return Objectives(settings.slo)


def _watch_of(settings: Settings) -> Callable[[], Watch] | None:
    """Return the function that makes the watch of each answer for --enough; None without it."""
    if settings.enough is None:
        return None
    from ..output.enough import Watch as WatchText

    return partial(WatchText, settings)
