"""The messages of a batch on stderr: failures as they come, its progress, and its end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..errors import StreamError
from ..events import Retry
from ..outcome import Verdict
from ..providers.endpoint import Endpoint, hint_of
from ..settings.settings import Settings
from ..terminal.fds import is_terminal
from ..terminal.messages import Messages
from ..terminal.sanitize import one_line, visible
from ..terminal.screen import is_colored, is_dumb
from . import found
from .halt import Halt
from .limits import Gate
from .plan import Prompt
from .summary import Summary

if TYPE_CHECKING:
    from ..report.slo import Judgement
    from ..terminal.progress import Progress, State
    from ..terminal.waiting import Waiting

_SHOWN = 10  # failures of one kind that are shown one by one
_NAME = 40  # characters of a prompt that tell it from others


class Reports:
    """Writes through `messages`, above the progress line while there is one.

    `gates` are by provider and address.
    """

    def __init__(
        self,
        settings: Settings,
        messages: Messages,
        summary: Summary,
        gates: Mapping[tuple[str, str], Gate],
    ) -> None:
        self._settings = settings
        self._messages = messages
        self._summary = summary
        self._gates = gates
        self._records = settings.records
        self._shown: dict[str, int] = {}
        self._progress: Progress | None = None
        self._waiting: Waiting | None = None

    def retries(self, task: Prompt, retry: Retry) -> None:
        """Report another attempt."""
        self._messages.detail(
            f"{self._name(task)}: {retry.error.message}: again in {retry.delay:.1f} s"
        )

    def ended(self, task: Prompt, verdict: Verdict, endpoint: Endpoint | None) -> None:
        """Report a prompt that is over, and whose verdict has a message."""
        kind = f"{verdict.status} {verdict.exit_code}"
        shown = self._shown[kind] = self._shown.get(kind, 0) + 1
        if shown > _SHOWN + 1 and not self._messages.verbose:
            return
        message = verdict.message
        if (route := task.question.route) is not None:  # a bad line has named itself
            several = endpoint is not None and len(route.endpoints) > 1
            provider = f"{endpoint.target.provider}: " if endpoint and several else ""
            message = f"{self._name(task)}: {provider}{message}"
        if shown == _SHOWN + 1 and not self._messages.verbose:
            message += " (more of this kind are only counted: -v shows them)"
        if verdict.exit_code:
            self._messages.error(message, hint_of(verdict, endpoint))
        else:
            self._messages.note(message)

    def _name(self, task: Prompt) -> str:
        """Return the name of a prompt, with --verbose its beginning too."""
        beginning = task.question.beginning if self._messages.verbose else ""
        return (
            f"{task.question} ({one_line(beginning, _NAME)})" if beginning else str(task.question)
        )

    def end(
        self,
        fatal: StreamError | None,
        signum: int,
        halt: Halt | None,
        undone: bool,
        seconds: float,
    ) -> None:
        """Report how the batch ended.

        `fatal` is what broke the output or the input, `halt` what stopped the batch. `undone`:
        prompts were not asked.
        """
        messages, summary = self._messages, self._summary
        resumable = self._records and not self._settings.converses
        again = "--resume FILE, with these records, asks only the rest" if resumable else ""
        if self._settings.resume:
            again = "the same command goes on from here"
        if fatal is not None:
            messages.error(fatal.message, fatal.hint or again)
        elif signum:
            if signum != signal.SIGPIPE:
                name = signal.Signals(signum).name
                messages.error(f"stopped by {name}: {summary.so_far()}", again)
        else:
            for (provider, _), gate in list(self._gates.items()):
                if gate.closed is not None:
                    why = f"{provider}: {gate.closed.message}"
                    messages.error(f"{why}: nothing more was asked of it")
            if summary.failed:
                stopped = ", stopped by --halt" if halt is not None and not str(halt) else ""
                failed = f"{summary.failed} of {summary.done} prompts failed ({summary.line()})"
                messages.error(failed + stopped, again)
            if halt is not None and str(halt) and undone:
                messages.error(f"stopped by --halt: {halt}: {summary.so_far()}", again)
            if halt is not None and halt.estimates:
                messages.note("a server sent no usage: --halt counted characters instead")
            if summary.skipped and not summary.done:
                messages.note(f"nothing is left to ask: {summary.skipped} done already")
        for line in found.lines(self._gates):
            messages.detail(line)
        if self._settings.usage and summary.done:
            messages.error(summary.usage_line())
        if self._settings.stats and summary.done:
            from .stats import batch_table

            messages.table(batch_table(summary, seconds * 1000), self._settings.color)

    def missed(self, judgements: Sequence[Judgement]) -> None:
        """Report each service level objective that was missed."""
        from ..report.slo import lines

        for line in lines(judgements):
            self._messages.error(line)

    def show_progress(self, total: int | None, now: Callable[[], tuple[int, int]]) -> None:
        """Draw the progress from here on; `now` gives how many were skipped, and how many run.

        Where the answers go to the same terminal, a sign of life between them takes its place.
        """
        if not shows_progress(self._settings) or total == 1:
            self._show_waiting(lambda: now()[1])
            return
        from ..terminal.progress import Progress

        self._progress = Progress(
            total=total,
            clock=time.monotonic,
            state=partial(self._state, now),
            color=is_colored(self._settings.color),
            terminal=is_terminal(2),
        )
        self._progress.start()
        self._messages.above = self._progress.print_line

    def _show_waiting(self, in_flight: Callable[[], int]) -> None:
        line = self._messages.screen.line(2)
        if line is None or self._settings.quiet or self._settings.progress != "auto" or is_dumb():
            return
        from ..terminal.waiting import Waiting

        def words(waited: float) -> str:
            running, held = in_flight(), found.now(self._gates, time.monotonic())
            if not running and not held:
                return ""  # the input is waited for, and no answer
            facts = [
                f"{self._summary.done} done",
                f"{running} in flight",
                *filter(None, [visible(held)]),
            ]
            return f"waiting {waited:.0f} s ({', '.join(facts)})"

        self._waiting = Waiting(line, time.monotonic, words)
        self._waiting.start()

    def _state(self, now: Callable[[], tuple[int, int]]) -> State:
        """Return the figures; called in the thread that draws them."""
        from ..terminal.progress import State

        summary, (skipped, in_flight) = self._summary, now()
        return State(
            done=summary.done,
            failed=summary.failed,
            skipped=skipped,
            in_flight=in_flight,
            tokens=summary.tokens,
            held=found.now(self._gates, time.monotonic()),
        )

    def close(self) -> None:
        """Erase the progress line, or the sign of life."""
        if self._waiting is not None:
            self._waiting.stop()
        if self._progress is not None:
            self._progress.close()
        self._messages.above = None


def shows_progress(settings: Settings) -> bool:
    """Return whether progress is wanted, and nothing else is written where it would stand."""
    if settings.progress != "auto" or settings.quiet:
        return bool(settings.progress == "always")
    written = settings.format != "text" or settings.output is None
    return is_terminal(2) and not (written and is_terminal(1))
