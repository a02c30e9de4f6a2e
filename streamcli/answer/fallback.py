"""--fallback: ask the next endpoint when one fails before it has delivered anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..events import Event, Failed, Retry

if TYPE_CHECKING:
    from ..outcome import Outcome
    from .answer_stream import EarlierTurn, Moment
    from .turn import Turn

# The kinds of failure that would be the same with another provider.
_SAME_ELSEWHERE = ("usage", "write", "interrupted", "bug", "total_timeout")


class Fallback:
    """Turns, one after the other, as one AnswerStream.

    Each of `makers` makes a turn and takes the turn before it (None for the first). `first` is the
    index of the maker to begin with, `before` the earlier round of a tool loop.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[EarlierTurn | None], Turn]],
        first: int = 0,
        before: EarlierTurn | None = None,
        *,
        resumable: bool = True,
    ) -> None:
        self.resumable = resumable
        self._makers = makers
        self._turn = makers[first](before)
        self.number = first  # the index of the current turn

    @property
    def outcome(self) -> Outcome:
        return self._turn.outcome

    @property
    def began(self) -> float:
        return self._turn.began

    def __iter__(self) -> Iterator[Moment]:
        for make in (*self._makers[self.number + 1 :], None):
            for t_ms, events in self._turn:
                failed = self._failed_undelivered(events)
                if failed is None or make is None:
                    yield t_ms, events
                    continue
                attempts = self._turn.outcome.attempts
                self._turn = make(self._turn)
                self.number += 1
                yield t_ms, [Retry(attempts, failed, 0.0)]
                break
            else:
                return

    def _failed_undelivered(self, events: list[Event]) -> Failed | None:
        """Return the failure of a turn that delivered nothing, if another may do better."""
        end = events[-1]
        if isinstance(end, Failed) and not self._turn.delivered and end.kind not in _SAME_ELSEWHERE:
            return end
        return None

    def stop(self, failed: Failed) -> None:
        self._turn.stop(failed)

    def t_ms(self) -> float:
        return self._turn.t_ms()
