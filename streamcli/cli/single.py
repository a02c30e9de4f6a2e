"""Run one prompt: from the invocation to the exit status."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from signal import SIGINT
from typing import TYPE_CHECKING, Any

from ..errors import Interrupted, StreamError, bug
from ..events import Event, Finished, Retry, Started
from ..input.stdin import STDIN_HERE, STDIN_SHOWN
from ..outcome import Outcome, Verdict
from ..output.delivery import Delivery
from ..output.formats import Outputs
from ..providers.context import Context, context_of, messages_of
from ..providers.endpoint import hint_of, reporter_of
from ..settings.formats import format_of
from ..terminal.messages import usage_line
from ..terminal.sanitize import one_line
from ..terminal.signals import Signals

if TYPE_CHECKING:
    from ..answer.answer_stream import AnswerStream, Moment
    from ..output.records import Facts
    from ..providers.endpoint import Endpoint
    from ..settings.invocation import Invocation
    from .source import Source

Emit = Callable[[float, list[Event]], None]
_SOON = 0.05  # seconds: a note does not name a shorter wait
_NAME = 40  # characters of a prompt in messages


class Single:
    """Asks one prompt, and writes its answer.

    Every failure after the options were parsed ends in one place, so that with records on there
    is always an `end` record. `context` and `source` are given by a chat, for one of its turns.
    """

    def __init__(
        self,
        invocation: Invocation,
        signals: Signals,
        closed_fds: set[int],
        *,
        context: Context | None = None,
        source: Callable[[Facts | None], Source] | None = None,
    ) -> None:
        self._invocation = invocation
        self._settings = settings = invocation.settings
        self._signals = signals
        self._closed = closed_fds
        self._messages = messages_of(settings) if context is None else context.messages
        signals.before_death = self._messages.screen.wipe
        self._delivery = Delivery(settings)
        self._facts: Any = None
        self._answer: AnswerStream | None = None
        self._falls_back = False
        self._asked = 0  # the number of the endpoint that is asked
        self._failed_before = Outcome()  # how it ended, if that was before anything was asked
        self.silent = False  # for a probe, whose answer is not written
        self._began = time.monotonic()
        self._make_source = source
        self._source: Source | None = None
        self._context = context

    @property
    def outcome(self) -> Outcome:
        """The outcome of the answer, as far as it is known."""
        return self._failed_before if self._answer is None else self._answer.outcome

    @property
    def provider(self) -> str:
        """The name of the provider that was asked; "" if none was."""
        endpoint = self._endpoint()
        return endpoint.target.provider if endpoint is not None else ""

    def run(self) -> int:
        """Ask the prompt; return the exit status, or raise Interrupted to die by its signal.

        All is written before that.
        """
        try:
            if self._has_nothing_to_ask():
                return 0
            self._open_sinks()
            self._ask()
        except (StreamError, Interrupted) as error:
            self._stop(error)
        except Exception as error:  # a bug of ours is reported as a verdict like any other
            if self._messages.debugging:
                sys.excepthook(type(error), error, error.__traceback__)
            self._stop(bug(error))
        verdict = self._close()
        self._report_figures(verdict)
        if self._delivery.signum:
            raise Interrupted(self._delivery.signum)
        self._report(verdict)
        return verdict.exit_code

    def _has_nothing_to_ask(self) -> bool:
        """Return whether stdin is empty and -r is given; reads stdin."""
        if not self._settings.no_run_if_empty or self._settings.replays:
            return False
        try:
            return self._run_context().stdin.is_empty
        except StreamError:
            return False  # reading stdin for the prompt reports the error, with its record

    def _run_context(self) -> Context:
        """Return the context of the run; make it at the first call."""
        if self._context is None:
            self._context = context_of(
                self._invocation,
                self._messages,
                environ=os.environ,
                clock=time.monotonic,
                closed_fds=self._closed,
            )
        return self._context

    def _open_sinks(self) -> None:
        if self._settings.records:
            from ..output.records import Facts

            self._facts = Facts(time.time)
        screen = self._messages.screen
        outputs = Outputs(self._settings, self._signals, self._closed, screen, silent=self.silent)
        self._delivery.open(outputs.sinks(self._facts, self._delivery.shape))

    def _ask(self) -> None:
        """Ask, and write the events of the answer."""
        self._source = source = self._new_source(self._run_context())
        self._answer = stream = source.prepare()
        self._falls_back = len(source.endpoints) > 1 and not self._settings.race
        if source.endpoints and not self._settings.race:  # with the defaults of its provider
            self._settings = self._delivery.settings = source.endpoints[0].settings
        if source.matching is not None:
            self._delivery.check(source.matching)
        if self._settings.enough is not None:
            stream = self._until_enough(stream)
        self._answer = stream = source.saving(stream)
        self._write(iter(stream))

    def _new_source(self, context: Context) -> Source:
        """Return where the answer comes from: a chat, a recording, or the network."""
        if self._make_source is not None:
            return self._make_source(self._facts)
        if self._settings.replays:
            from .replay import Replay, check

            check(self._invocation)
            return Replay(self._invocation, context, self._closed, self._facts)
        from ..api.network_source import NetworkSource

        return NetworkSource(
            self._invocation,
            context,
            facts=self._facts,
            shield=self._signals.shield,
            prompt_hint=_prompt_hint,
        )

    def _write(self, moments: Iterator[Moment]) -> None:
        """Write the events of the answer as they come."""
        sinks = self._delivery.sinks
        emit = sinks[0].emit if len(sinks) == 1 else self._delivery.emit
        if self._messages.screen.line(2) is not None:
            from .watch import Watch

            steps = not format_of(self._settings.format).records
            Watch(self._messages, steps=steps).over(moments, partial(self._emit, emit))
            return
        for t_ms, events in moments:
            emit(t_ms, events)
            if len(events) == 1 or self._messages.verbose:
                for event in events:
                    self._note(event)

    def _emit(self, emit: Emit, t_ms: float, events: list[Event]) -> None:
        emit(t_ms, events)
        for event in events:
            self._note(event)

    def _until_enough(self, stream: AnswerStream) -> AnswerStream:
        """Return the stream, which ends once the condition of --enough is met."""
        from ..answer.enough import Enough
        from ..output.enough import Watch

        return Enough(stream, Watch(self._settings))

    def _note(self, event: Event) -> None:
        """Note a retry, a fallback, and with -v the model that answers."""
        if isinstance(event, Retry):
            before, self._asked = self._asked, self._answer.number if self._answer else 0
            wait = f"in {event.delay:.1f} s" if event.delay >= _SOON else "at once"
            then = f"trying again {wait if event.delay else 'with that'}"
            endpoint = self._endpoint() if self._falls_back else None
            if self._asked != before and endpoint is not None:
                then = f"asking {endpoint.label}"
            self._messages.note(f"{event.error.message}: {then}")
        elif isinstance(event, Started):
            self._messages.detail(f"answered by {event.model} ({event.response_id or 'no id'})")

    # How it ends

    def _endpoint(self) -> Endpoint | None:
        """Return the endpoint that was asked, or would have been asked first."""
        if self._source is None or not self._source.endpoints:
            return None
        return self._source.endpoints[self._answer.number if self._answer is not None else 0]

    def _stop(self, error: StreamError | Interrupted) -> None:
        """End the answer because of an error or a signal."""
        line = self._messages.screen.line(2)
        if line is not None and isinstance(error, Interrupted) and error.signum == SIGINT:
            line.interrupted()
        failed = self._delivery.failure(error)
        if self._answer is not None:
            self._answer.stop(failed)
        else:
            self._failed_before.end = failed
            self._failed_before.t_ms = (time.monotonic() - self._began) * 1000

    def _close(self) -> Verdict:
        """Close the source and the sinks; return the verdict."""
        if self._source is not None:
            trouble = self._source.close(self.outcome.end)
            if trouble is not None and isinstance(self.outcome.end, Finished):
                self._stop(trouble)
            if (endpoint := self._endpoint()) is not None:
                endpoint.price(self.outcome)
        return self._delivery.close(self.outcome)

    def _report_figures(self, verdict: Verdict) -> None:
        """Write what --usage and --stats ask for, if anything was asked."""
        messages, settings, outcome = self._messages, self._settings, self.outcome
        if not outcome.attempts:
            return
        if settings.usage:
            messages.error(usage_line(outcome))
        if settings.stats:
            from ..terminal.stats import answer_table

            endpoint = self._endpoint()
            provider, model = ("", "") if endpoint is None else endpoint.answerer
            priced = endpoint is not None and bool(endpoint.row.prices)
            table = answer_table(outcome, verdict, provider, model, priced=priced)
            messages.table(table, settings.color)

    def _report(self, verdict: Verdict) -> None:
        """Write the message of the verdict on stderr."""
        messages, outcome = self._messages, self.outcome
        if verdict.message:
            kept = f" ({outcome.chars} characters kept)" if outcome.chars else ""
            if verdict.exit_code == 0:
                if self.silent:
                    return
                messages.note(verdict.message)
            elif verdict.status == "length":
                messages.error(self._name() + verdict.message, verdict.hint)
            else:
                endpoint = self._endpoint()
                message = reporter_of(verdict, endpoint) + verdict.message + kept
                messages.error(self._name() + message, hint_of(verdict, endpoint))
        if self._delivery.shape is not None and (answer := self._delivery.shape.beginning()):
            messages.detail(f"the answer: {answer}", limit=4000)

    def _name(self) -> str:
        """Return the name of this prompt for --verbose: it tells parallel runs apart (xargs -P)."""
        if not self._settings.verbose:
            return ""
        words = (word.replace(STDIN_HERE, STDIN_SHOWN) for word in self._invocation.words)
        name = one_line(" ".join((*self._settings.file, *words)), _NAME)
        return f"{name}: " if name else ""


def _prompt_hint() -> str:
    """Return a hint for a command line where an option took the words of the prompt."""
    from .usage_errors import literal, sentence

    word = sentence(sys.argv[1:])
    return literal(word) if word else ""
