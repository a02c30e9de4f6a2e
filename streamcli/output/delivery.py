"""Deliver one answer to its sinks, and judge how it ended."""

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
    from .shape import Shape


class Delivery:
    """Writes one answer to all of its sinks, and judges how it ended.

    `matching` checks the text against a schema, `shape` changes it before it is written. `facts`
    are the shared fields of its records, None without records. `signum` is the signal that ended
    it, for the process to die by, or 0.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.shape: Shape | None = None
        if settings.shapes_text:
            from .shape import shape_of

            self.shape = shape_of(settings)
        self.sinks: list[Sink] = []
        self.matching: Matching | None = None
        self.facts: Facts | None = None
        self.signum = 0
        self._broken: StreamError | Interrupted | None = None

    def open(self, sinks: Iterable[Sink]) -> None:
        """Take the sinks of an iterator, which opens them; an error leaves those before it open."""
        try:
            self.sinks += sinks
        except (StreamError, Interrupted) as error:
            self._broken = error
            raise

    def check(self, matching: Matching) -> None:
        """Check the text against a schema."""
        self.matching = matching
        self.sinks.insert(0, matching)

    def emit(self, t_ms: float, events: list[Event]) -> None:
        """Write events to every sink; see Sink.emit."""
        try:
            for sink in self.sinks:
                sink.emit(t_ms, events)
        except (StreamError, Interrupted) as error:
            self._broken = error
            raise

    def close(self, outcome: Outcome) -> Verdict:
        """Close all sinks and return the verdict.

        Records come last: their `end` record has the error of a text sink that cannot be closed.
        An error of a sink is the end of the answer, whatever comes after it.
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
        """Return an error outside the stream, or a signal, as the end of the answer."""
        if isinstance(error, Interrupted):
            self.signum = error.signum
            return interrupted(error.signum)
        return Failed.of(error)

    def _judge(self, outcome: Outcome) -> Verdict:
        accepted = self.settings.accept
        verdict = judge(
            outcome,
            max_tokens=self.settings.max_tokens,
            shows_tools=self.settings.records,
            accept=frozenset(accepted),
        )
        if self.signum and verdict.status == "interrupted":
            verdict.exit_code = 128 + self.signum
        elif verdict.status == "complete" and self.matching is not None:
            verdict = self.matching.judged(verdict, accepted)
        if self.shape is not None:
            verdict = self.shape.judged(verdict, accepted)
        return verdict
