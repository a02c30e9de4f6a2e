"""One prompt's way out: its sinks, its verdict, its last record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import Interrupted, StreamError
from ..events import Event, Failed
from ..outcome import Outcome, Verdict, interrupted, judge
from ..settings.settings import Settings
from .sink import Sink

if TYPE_CHECKING:
    from ..answer.schema_check import Matching
    from .records import Facts


class Delivery:
    """Sinks are opened by the owner and put into `sinks`; `close` gives the verdict.

    `matching` checks the text against a schema. `facts` are those of its records, if it has any.
    `signum` is the signal that ends the process.
    """

    def __init__(self, settings: Settings, *, records: bool) -> None:
        self.settings = settings
        self._records = records
        self.sinks: list[Sink] = []
        self.matching: Matching | None = None
        self.facts: Facts | None = None
        self.signum = 0
        self._broken: StreamError | Interrupted | None = None

    def add(self, sinks: Iterable[Sink]) -> None:
        try:
            self.sinks += sinks
        except (StreamError, Interrupted) as error:
            self._broken = error
            raise

    def match(self, matching: Matching) -> None:
        self.matching = matching
        self.sinks.insert(0, matching)

    def emit(self, t_ms: float, events: list[Event]) -> None:
        try:
            for sink in self.sinks:
                sink.emit(t_ms, events)
        except (StreamError, Interrupted) as error:
            self._broken = error
            raise

    def close(self, outcome: Outcome) -> Verdict:
        """Closes all sinks, records last: what a text sink meets at its end is in the record.

        What broke a sink is how it ended, whatever came after.
        """
        if self._broken is not None:
            outcome.end = self.failure(self._broken)
        verdict = self._judge(outcome)
        for sink in reversed(self.sinks):
            try:
                sink.close(outcome, verdict)
            except (StreamError, Interrupted) as error:
                good = verdict.exit_code == 0 or verdict.status in ("complete", "length")
                if good or isinstance(error, Interrupted):
                    outcome.end = self.failure(error)
                    verdict = self._judge(outcome)
        return verdict

    def failure(self, error: StreamError | Interrupted) -> Failed:
        """What went wrong outside the stream, as its end."""
        if isinstance(error, Interrupted):
            self.signum = error.signum
            return interrupted(error.signum)
        return Failed.of(error)

    def _judge(self, outcome: Outcome) -> Verdict:
        accepted = self.settings.accept
        verdict = judge(
            outcome,
            max_tokens=self.settings.max_tokens,
            shows_tools=self._records,
            accept=frozenset(accepted),
        )
        if self.signum and verdict.status == "interrupted":
            verdict.exit_code = 128 + self.signum
        elif verdict.complete and self.matching is not None:
            verdict = self.matching.judged(verdict, accepted)
        return verdict
