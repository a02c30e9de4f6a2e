"""One prompt, several turns: the next one only while nothing was delivered (--fallback)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..events import Event, Failed, Retry

if TYPE_CHECKING:
    from ..outcome import Outcome
    from .answer_stream import Earlier, Moment
    from .turn import Turn

# The kinds of failure that another provider would meet too.
_OURS = ("usage", "write", "interrupted", "bug", "total_timeout")


class Fallback:
    """Turns, one after the other, as one: iterate, then read `outcome`.

    Each of `makers` makes a turn from the one before it (or None); `first` is the index of the
    first one to use, and `before` the earlier round of a tool loop. Only if it is `resumable` may
    the iteration be left after a Retry.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[Earlier | None], Turn]],
        first: int = 0,
        before: Earlier | None = None,
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
                failed = self._gave_nothing(events)
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

    def _gave_nothing(self, events: list[Event]) -> Failed | None:
        """Return the failure of a turn that delivered nothing, if another may do better."""
        end = events[-1]
        if isinstance(end, Failed) and not self._turn.delivered and end.kind not in _OURS:
            return end
        return None

    def stop(self, failed: Failed) -> None:
        self._turn.stop(failed)

    def t_ms(self) -> float:
        return self._turn.t_ms()
