"""What a batch says to people, on stderr: failures as they come, how far it is, how it ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, cast

from ..errors import StreamError
from ..outcome import Verdict
from ..providers.endpoint import Endpoint, hint_of
from ..settings.settings import Settings
from ..terminal.fds import is_terminal
from ..terminal.messages import Messages
from .limits import Gate
from .plan import Asked
from .summary import Summary
from .task import Task

if TYPE_CHECKING:
    from ..terminal.progress import Progress, State

_SAID = 10  # failures of one kind that are told one by one


class Commentary:
    """Speaks through `voice`, above the progress line while there is one.

    `gates` are by provider and address.
    """

    def __init__(
        self,
        settings: Settings,
        voice: Messages,
        summary: Summary,
        gates: Mapping[tuple[str, str], Gate],
    ) -> None:
        self._settings = settings
        self._voice = voice
        self._summary = summary
        self._gates = gates
        self._records = settings.records
        self._said: dict[str, int] = {}
        self._progress: Progress | None = None

    def told(self, task: Task, verdict: Verdict, peer: Endpoint | None) -> None:
        """One that is over, if there is something to say of it."""
        kind = f"{verdict.status} {verdict.exit_code}"
        said = self._said[kind] = self._said.get(kind, 0) + 1
        if said > _SAID + 1 and not self._voice.verbose:
            return
        message = verdict.message
        if (lane := cast(Asked, task.what).lane) is not None:  # a bad line has named itself
            who = f"{peer.target.provider}: " if peer is not None and len(lane.peers) > 1 else ""
            message = f"{called(task)}: {who}{message}"
        if said == _SAID + 1 and not self._voice.verbose:
            message += " (more of this kind are counted, not told; -v tells)"
        if verdict.exit_code:
            self._voice.error(message, hint_of(verdict, peer))
        else:
            self._voice.note(message)

    def end(self, fatal: StreamError | None, signum: int, halted: bool, seconds: float) -> None:
        """What became of it all. `fatal` is what broke the output or the input."""
        voice, summary = self._voice, self._summary
        again = "--resume FILE, with these records, asks only the rest" if self._records else ""
        if self._settings.resume:
            again = "the same command goes on from here"
        if fatal is not None:
            voice.error(fatal.message, fatal.hint or again)
        elif signum:
            if signum != signal.SIGPIPE:
                name = signal.Signals(signum).name
                voice.error(f"stopped by {name}: {summary.so_far()}", again)
        else:
            for (provider, _), gate in list(self._gates.items()):
                if gate.closed is not None:
                    why = f"{provider}: {gate.closed.message}"
                    voice.error(f"{why}: nothing more was asked of it")
            if summary.failed:
                stopped = ", stopped by --halt" if halted else ""
                failed = f"{summary.failed} of {summary.done} prompts failed ({summary.line()})"
                voice.error(failed + stopped, again)
            if summary.skipped and not summary.done:
                voice.note(f"nothing is left to ask: {summary.skipped} done already")
        if self._settings.usage:
            voice.error(summary.usage_line())
        if self._settings.stats:
            voice.error(summary.stats_line(seconds * 1000))

    def show_progress(self, total: int | None, now: Callable[[], tuple[int, int]]) -> None:
        """`now` gives how many were skipped, and how many are in flight."""
        if not shows_progress(self._settings) or total == 1:
            return
        from ..terminal.progress import Progress

        color = self._settings.color
        self._progress = Progress(
            total=total,
            clock=time.monotonic,
            state=partial(self._state, now),
            color=color == "always" or (color == "auto" and not os.environ.get("NO_COLOR")),
            terminal=is_terminal(2),
        )
        self._progress.start()
        self._voice.above = self._progress.print_line

    def _state(self, now: Callable[[], tuple[int, int]]) -> State:
        """In the thread that draws it."""
        from ..terminal.progress import State

        summary, (skipped, in_flight) = self._summary, now()
        return State(
            done=summary.done,
            failed=summary.failed,
            skipped=skipped,
            in_flight=in_flight,
            tokens=summary.tokens,
            held=self._held(),
        )

    def _held(self) -> str:
        now = time.monotonic()
        for (provider, _), gate in list(self._gates.items()):
            if (wait := gate.until - now) > 0:
                return f"{provider}: waiting {wait:.0f} s"
        return ""

    def close(self) -> None:
        """The progress line goes away."""
        if self._progress is not None:
            self._progress.close()
        self._voice.above = None


def shows_progress(settings: Settings) -> bool:
    """Whether it is wanted, and nothing else is written where it would stand."""
    if settings.progress != "auto" or settings.quiet:
        return bool(settings.progress == "always")
    written = settings.format != "text" or settings.output is None
    return is_terminal(2) and not (written and is_terminal(1))


def called(task: Task) -> str:
    tags = cast(Asked, task.what).tags
    name = f"prompt {tags['index'] + 1}"
    if "id" in tags:
        name += f" ({str(tags['id'])[:40]})"
    return name + (f" to {tags['target']}" if "target" in tags else "")
