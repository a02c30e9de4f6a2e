"""Run a batch: from the invocation to the exit status."""

from __future__ import annotations

import time
from contextlib import ExitStack

from ..errors import StreamError
from ..events import Failed
from ..outcome import Outcome
from ..output.delivery import Delivery
from ..output.formats import Outputs
from ..providers.context import messages_of
from ..settings.invocation import Invocation
from ..terminal.messages import Messages
from ..terminal.signals import Signals
from .channel import Channel
from .check_options import check_options
from .main_loop import found_bug
from .plan import Prompt
from .prepare import prepare


def run(invocation: Invocation, signals: Signals, closed_fds: set[int]) -> int:
    """Ask many prompts; return the exit status, or raise Interrupted to die by its signal."""
    settings = invocation.settings
    messages = messages_of(settings)
    signals.before_death = messages.screen.wipe
    channel: Channel[Prompt] = Channel(max(64, 4 * settings.jobs))
    with ExitStack() as locks:
        try:
            check_options(invocation, messages)
            if settings.resume or settings.reuse:
                from .journals.lock import locked

                journals, events = settings.resume + settings.reuse, settings.events
                locks.enter_context(locked(journals, events=events, note=messages.note))
            main_loop = prepare(invocation, signals, closed_fds, messages, channel)
        except StreamError as error:
            return _report_failure(invocation, signals, closed_fds, messages, error)
        except Exception as error:
            bug = found_bug(error, messages)
            return _report_failure(invocation, signals, closed_fds, messages, bug)
        with signals.notifying(channel.signal):
            return main_loop.run()


def _report_failure(
    invocation: Invocation,
    signals: Signals,
    closed_fds: set[int],
    messages: Messages,
    error: StreamError,
) -> int:
    """Report why nothing was asked, with records on in an `end` record; return the exit status."""
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
            pass  # the first error is the one to report
    verdict = delivery.close(outcome)
    messages.error(verdict.message, verdict.hint)
    return verdict.exit_code
