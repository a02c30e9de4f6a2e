"""AnswerStream: the one interface of turns, fallbacks, races, tool loops and schema retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from ..events import Event, Failed
from ..outcome import Outcome
from ..protocols._contract import Decoder

# Milliseconds since the prompt began, and the events of one network read.
Moment = tuple[float, list[Event]]
# Stores the text of a whole answer; returns the failure, or None once all is stored. After a
# failure another call continues with what is not stored yet.
Store = Callable[[str], Failed | None]
# Tells the server that the answer of this decoder is not read any further.
Cancel = Callable[[Decoder], None]
# Takes a failure and the number of its attempt; returns the seconds until the next attempt, None
# for no further one.
Pause = Callable[[Failed, int], float | None]


class AnswerStream(Protocol):
    """A prompt in progress: one Turn, or several as one. Iterate, then read `outcome`.

    `number` is the index of the target that answers. `resumable`: the iteration may be left after
    a Retry event, and resumed in any thread. `stop` ends the answer from outside with `failed`.
    `t_ms` returns the milliseconds since the prompt began.
    """

    @property
    def resumable(self) -> bool: ...
    @property
    def outcome(self) -> Outcome: ...
    @property
    def number(self) -> int: ...
    def __iter__(self) -> Iterator[Moment]: ...
    def stop(self, failed: Failed) -> None: ...
    def t_ms(self) -> float: ...


class EarlierTurn(Protocol):
    """A turn of the same prompt before this one: when the prompt began, and the attempts so far."""

    @property
    def began(self) -> float: ...
    @property
    def outcome(self) -> Outcome: ...
