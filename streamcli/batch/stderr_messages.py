"""Write on stderr what happens in a batch: failures as they come, progress, and the end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import StreamError
from ..events import Retry
from ..outcome import Verdict
from ..providers.endpoint import Endpoint, hint_of, reporter_of
from ..settings.formats import format_of
from ..settings.settings import Settings
from ..terminal.fds import is_pipe, is_terminal
from ..terminal.messages import Messages
from ..terminal.sanitize import one_line, visible
from ..terminal.screen import is_colored, is_dumb
from .halt import Halt
from .limits import describe
from .limits.gate import Gate
from .plan import Plan, Prompt
from .summary import Summary

if TYPE_CHECKING:
    from ..report.slo import Judgement
    from ..terminal.progress import Progress
    from ..terminal.waiting import Waiting
    from .progress_figures import ProgressFigures

_SHOWN = 10  # failures of one kind that are shown one by one
_LATE_MS = 1000  # half of the prompts being later than this is not the load that --rate asks for
_NAME = 40  # characters of a prompt in messages


class BatchMessages:
    """Writes through `messages`, above the progress display if there is one.

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
        self._shown: dict[str, int] = {}
        self._progress: Progress | None = None
        self._figures: ProgressFigures | None = None
        self._waiting: Waiting | None = None

    def retries(self, task: Prompt, retry: Retry) -> None:
        """Report a retry."""
        self._messages.detail(
            f"{self._name(task)}: {retry.error.message}: again in {retry.delay:.1f} s"
        )

    def ended(self, task: Prompt, verdict: Verdict, endpoint: Endpoint | None) -> None:
        """Report a prompt whose verdict has a message."""
        message = self._message(task, verdict, endpoint)
        if verdict.exit_code and self._figures is not None:
            self._figures.error = message
        kind = f"{verdict.status} {verdict.exit_code}"
        shown = self._shown[kind] = self._shown.get(kind, 0) + 1
        if shown > _SHOWN + 1 and not self._messages.verbose:
            return
        if shown == _SHOWN + 1 and not self._messages.verbose:
            message += " (more of this kind are only counted: -v shows them)"
        if verdict.exit_code:
            self._messages.error(message, hint_of(verdict, endpoint))
        else:
            self._messages.note(message)

    def _message(self, task: Prompt, verdict: Verdict, endpoint: Endpoint | None) -> str:
        if (route := task.question.route) is None:  # the message names the line
            return verdict.message
        several = endpoint is not None and len(route.endpoints) > 1
        provider = reporter_of(verdict, endpoint)
        if endpoint and several:
            provider = f"{endpoint.target.provider}: "
        return f"{self._name(task)}: {provider}{verdict.message}"

    def _name(self, task: Prompt) -> str:
        """Return the name of a prompt; with --verbose its beginning too.

        The beginning tells it from the same prompt number of another run (xargs -P).
        """
        beginning = task.question.prompt if self._messages.verbose else ""
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
        """Report how the batch ended, after so many `seconds`.

        `fatal` is an error of the output or the input, `halt` is given if --halt stopped the
        batch, and `undone` is set if prompts were not asked.
        """
        messages, summary = self._messages, self._summary
        if self._settings.usage and summary.done:
            messages.error(summary.usage_line())
        if self._settings.stats and summary.done:
            from .stats_table import batch_table

            messages.table(batch_table(summary, seconds * 1000), self._settings.color)
        hint = self._resume_hint()
        if fatal is not None:
            messages.error(fatal.message, fatal.hint or hint)
        elif signum:
            if signum != signal.SIGPIPE:
                name = signal.Signals(signum).name
                messages.error(f"stopped by {name}: {summary.so_far()}", hint)
        else:
            self._closed_gates()
            self._failures(halt, hint)
            self._halted(halt, hint, undone)
            self._lateness()
            if summary.skipped and not summary.done:
                messages.note(f"nothing is left to ask: {summary.skipped} done already")
        for line in describe.lines(self._gates):
            messages.detail(line)

    def _resume_hint(self) -> str:
        """Return how to ask only the prompts that are left; "" if nothing makes that possible."""
        if self._settings.resume:
            return "the same command goes on from here"
        resumable = self._settings.records and not self._settings.converses
        return "--resume FILE, with these records, asks only the rest" if resumable else ""

    def _closed_gates(self) -> None:
        """Report each provider that was asked nothing more, and why."""
        for (provider, _), gate in list(self._gates.items()):
            if gate.closed is not None:
                why = f"{provider}: {gate.closed.message}"
                self._messages.error(f"{why}: nothing more was asked of it")

    def _failures(self, halt: Halt | None, hint: str) -> None:
        """Report how many prompts failed."""
        summary = self._summary
        if summary.failed:
            stopped = ", stopped by --halt" if halt is not None and not str(halt) else ""
            failed = f"{summary.failed} of {summary.done} prompts failed ({summary.line()})"
            self._messages.error(failed + stopped, hint)

    def _halted(self, halt: Halt | None, hint: str, undone: bool) -> None:
        """Report the cost or the tokens at which --halt stopped the batch."""
        if halt is not None and str(halt) and undone:
            self._messages.error(f"stopped by --halt: {halt}: {self._summary.so_far()}", hint)
        if halt is not None and halt.estimates:
            self._messages.note("a server sent no usage: --halt counted characters instead")

    def _lateness(self) -> None:
        """Report that the schedule of --rate was not kept, and what would help."""
        late_ms = self._summary.late_ms
        if late_ms >= _LATE_MS:
            jobs = f"raise -j ({self._settings.jobs}), if the server can take more at once"
            self._messages.note(
                f"half of the prompts started {late_ms / 1000:.1f} s or more behind "
                f"--rate: {next(describe.lines(self._gates), jobs)}"
            )

    def missed(self, judgements: Sequence[Judgement]) -> None:
        """Report each service level objective that was missed."""
        from ..report.slo import lines

        for line in lines(judgements):
            self._messages.error(line)

    def show_progress(
        self,
        plan: Plan,
        running: Callable[[], list[Prompt]],
        models: Sequence[str],
        total: int | None,
    ) -> None:
        """Draw the progress from here on.

        `running` returns the prompts that run. `models` are those of --model, `total` is the number
        of prompts for each of them, None if it is not known. Where the answers go to the same
        terminal, a waiting sign is shown between them instead of the progress.
        """
        prompts = None if total is None else total * max(1, len(models))
        if not shows_progress(self._settings) or prompts == 1:
            self._show_waiting(lambda: len(running()))
            return
        from ..terminal.progress import Progress
        from .progress_figures import ProgressFigures

        self._figures = figures = ProgressFigures(
            self._summary, plan, running, models=models, total=total
        )
        self._progress = Progress(
            clock=time.monotonic,
            state=lambda: figures.state(describe.current(self._gates, time.monotonic())),
            color=is_colored(self._settings.color),
            line=None if is_dumb() else self._messages.screen.line(2),
            row=is_pipe(1),  # the pipe's reader may write to the terminal: stream -L --jsonl | jq
        )
        self._progress.start()

    def _show_waiting(self, in_flight: Callable[[], int]) -> None:
        """Show how long answers have been waited for, while none comes."""
        if self._settings.progress != "auto":
            return

        def words(waited: float) -> str:
            running, held = in_flight(), describe.current(self._gates, time.monotonic())
            if not running and not held:
                return ""  # only the input is waited for
            facts = [
                f"{self._summary.done} done",
                f"{running} in flight",
                *filter(None, [visible(held)]),
            ]
            return f"waiting {waited:.0f} s ({', '.join(facts)})"

        self._waiting = self._messages.sign(words)
        if self._waiting is not None:
            self._waiting.start()

    def close(self) -> None:
        """Erase the progress, or the waiting sign."""
        if self._waiting is not None:
            self._waiting.stop()
        if self._progress is not None:
            self._progress.close()


def shows_progress(settings: Settings) -> bool:
    """Return whether progress is wanted, and no answers go to the terminal where it is drawn."""
    if settings.progress != "auto" or settings.quiet:
        return bool(settings.progress == "always")
    written = format_of(settings.format).records or settings.output is None
    return is_terminal(2) and not (written and is_terminal(1))
