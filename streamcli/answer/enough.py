"""--enough: stop the request once the answer has what was wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..events import Event, Failed, Finished, Text
from ..outcome import Outcome
from .answer_stream import AnswerStream, Moment

# Takes the text of an answer delta by delta. Returns how many characters of this delta belong to
# an answer that is enough now, None while it is not.
Watch = Callable[[str], int | None]


class Enough:
    """An AnswerStream that cancels its request as soon as `watch` has seen enough."""

    def __init__(self, stream: AnswerStream, watch: Watch) -> None:
        self.resumable = stream.resumable
        self._stream = stream
        self._watch = watch

    @property
    def outcome(self) -> Outcome:
        return self._stream.outcome

    @property
    def number(self) -> int:
        return self._stream.number

    def t_ms(self) -> float:
        return self._stream.t_ms()

    def stop(self, failed: Failed) -> None:
        self._stream.stop(failed)

    def __iter__(self) -> Iterator[Moment]:
        for t_ms, events in self._stream:
            wanted = self._wanted_events(events)
            if wanted is None:
                yield t_ms, events
                continue
            self._cancel(events, wanted)
            if wanted:
                yield t_ms, wanted
            end = self.outcome.end
            assert end is not None
            yield self.outcome.t_ms, [end]
            return

    def _wanted_events(self, events: list[Event]) -> list[Event] | None:
        """Return the events up to the place where it is enough; None if it is not enough yet."""
        for number, event in enumerate(events):
            if not isinstance(event, Text) or event.choice:
                continue
            size = self._watch(event.text)
            if size is not None:
                last = [type(event)(event.text[:size])] if size else []
                return events[:number] + last
        return None

    def _cancel(self, events: list[Event], wanted: list[Event]) -> None:
        """Stop the request, and count only the characters that are given out."""
        outcome = self.outcome
        outcome.chars -= _chars(events) - _chars(wanted)
        self._stream.stop(Failed("interrupted", "enough was seen"))
        outcome.end, outcome.enough = Finished(None, None, ()), True


def _chars(events: list[Event]) -> int:
    return sum(len(e.text) for e in events if isinstance(e, Text) and not e.choice)
