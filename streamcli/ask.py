"""One prompt from the command line to its exit status: puts the edges and the flow together."""

from __future__ import annotations

import random
import sys
import time
from typing import TYPE_CHECKING, Any

from .errors import Interrupted, StreamError
from .events import Event, Failed, Finished, Retry, Started
from .outcome import Outcome
from .outputs import sinks
from .sinks import Sink
from .sources import Source
from .terminal import Signals
from .turn import Turn
from .verdict import Verdict, interrupted, judge
from .voice import Voice, stats_line, usage_line

if TYPE_CHECKING:
    from .config import Typed
    from .matching import Matching


class Ask:
    """One prompt: settings, turn, sinks, verdict. `run` returns the exit status.

    Every failure after the options were parsed ends in one place, so that with records on there
    is always an `end` record. Raises Interrupted once all is written, for the caller to die by.
    """

    def __init__(self, typed: Typed, signals: Signals, closed_fds: set[int]) -> None:
        self._typed = typed
        self._params = params = typed.params
        self._signals = signals
        self._closed = closed_fds
        self._voice = Voice(params)
        self._records = params["format"] != "text" or params["events"] is not None
        self._facts: Any = None
        self._turn: Turn | None = None
        self.outcome = Outcome()
        self.silent = False  # the answer is for nobody: a probe
        self._began = time.monotonic()
        self._sinks: list[Sink] = []
        self._source: Source | None = None
        self._matching: Matching | None = None
        self._signum = 0

    def run(self) -> int:
        try:
            self._open_sinks()
            self._stream()
        except (StreamError, Interrupted) as error:
            self._stop(error)
        except Exception as error:  # a bug of ours: said once, as a verdict like any other
            if self._voice.debugging:
                sys.excepthook(type(error), error, error.__traceback__)
            self._stop(
                StreamError(
                    "bug",
                    f"this is a bug in stream: {type(error).__name__}: {error}",
                    "run it again with --debug and report what it prints",
                )
            )
        verdict = self._close()
        if self._signum:
            raise Interrupted(self._signum)
        self._report(verdict)
        return verdict.exit_code

    @property
    def provider(self) -> str:
        return self._source.target.provider if self._source is not None else ""

    def _open_sinks(self) -> None:
        if self._records:
            from .sinks.records import Facts

            self._facts = Facts(time.time)
        self._sinks += sinks(
            self._params, self._facts, self._signals, self._closed, silent=self.silent
        )

    # The main job

    def _stream(self) -> None:
        turn = self._prepare()
        sinks = self._sinks
        if len(sinks) == 1 and not self._voice.verbose:
            emit = sinks[0].emit
            for t_ms, events in turn:
                emit(t_ms, events)
                if len(events) == 1:
                    self._tell(events[0])
            return
        for t_ms, events in turn:
            for sink in sinks:
                sink.emit(t_ms, events)
            for event in events:
                self._tell(event)

    def _prepare(self) -> Turn:
        params = self._params
        self._source = source = Source(
            self._typed, self._voice, self._signals, self._closed, self._facts
        )
        source.prepare()
        schema = source.chat.schema
        if schema is not None:
            from .matching import Matching

            self._matching = Matching(schema)
            self._sinks.insert(0, self._matching)
        self._turn = Turn(
            source.chat,
            source.target,
            source.protocol,
            source.open,
            source.limits,
            clock=time.monotonic,
            sleep=source.sleep,
            random=random.random,
            split_think=params["reasoning"] != "raw",
            go_on=params["on_drop"] == "continue",
        )
        self.outcome = self._turn.outcome
        return self._turn

    def _tell(self, event: Event) -> None:
        if isinstance(event, Retry):
            what = event.error.message
            self._voice.note(f"{what}: trying again in {event.delay:.1f} s")
        elif isinstance(event, Started):
            self._voice.detail(f"answered by {event.model} ({event.response_id or 'no id'})")

    # How it ends

    def _stop(self, error: StreamError | Interrupted) -> None:
        if isinstance(error, Interrupted):
            self._signum = error.signum
            failed = interrupted(error.signum)
        else:
            failed = Failed.of(error)
        if self._turn is not None:
            self._turn.stop(failed)
        else:
            self.outcome.end = failed
            self.outcome.t_ms = (time.monotonic() - self._began) * 1000

    def _close(self) -> Verdict:
        """Closes all sinks, records last: what a text sink meets at its end is in the record."""
        if self._source is not None:
            self._close_source(self._source)
        verdict = self._judge()
        for sink in reversed(self._sinks):
            try:
                sink.close(self.outcome, verdict)
            except (StreamError, Interrupted) as error:
                if isinstance(error, Interrupted) or verdict.status in ("complete", "length"):
                    self._stop(error)
                    verdict = self._judge()
        return verdict

    def _close_source(self, source: Source) -> None:
        trouble = source.close(self.outcome.end)
        if trouble is not None and isinstance(self.outcome.end, Finished):
            self._stop(trouble)
        if source.row is not None and source.row.prices:
            from .providers import cost

            self.outcome.cost = cost(source.row, source.model, self.outcome.usage)

    def _judge(self) -> Verdict:
        end = self.outcome.end
        assert end is not None
        verdict = judge(
            end,
            refusal=self.outcome.refusal,
            max_tokens=self._params["max_tokens"],
            shows_tools=self._records,
            accept=frozenset(self._params["accept"] or ()),
        )
        if self._signum:
            verdict.exit_code = 128 + self._signum
        elif verdict.complete and self._matching is not None:
            verdict = self._matching.judged(verdict, self._params["accept"] or ())
        return verdict

    def _report(self, verdict: Verdict) -> None:
        voice, outcome = self._voice, self.outcome
        if self._params["usage"]:
            voice.error(usage_line(outcome))
        if self._params["stats"]:
            voice.error(stats_line(outcome))
        if verdict.message:
            kept = f" ({outcome.chars} characters kept)" if outcome.chars else ""
            if verdict.exit_code == 0:
                if self.silent:
                    return
                voice.note(verdict.message)
            elif verdict.status == "length":
                voice.error(verdict.message, verdict.hint)
            else:
                hint = verdict.hint
                if self._keyless(verdict):
                    hint = "no key was sent: name a file with --key-file"
                    row = self._source.row if self._source is not None else None
                    if names := row.key_vars if row is not None else ():
                        hint = f"no key was sent: set {names[0]}, or --key-file"
                voice.error(verdict.message + kept, hint)

    def _keyless(self, verdict: Verdict) -> bool:
        source = self._source
        return (
            verdict.error is not None
            and verdict.error["kind"] == "auth"
            and source is not None
            and source.row is not None
            and not source.target.key
            and not source.target.headers
        )
