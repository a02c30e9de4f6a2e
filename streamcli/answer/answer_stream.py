"""The answer to a prompt as a stream of events: the interface of turns, fallbacks, races, loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from ..events import Event, Failed
from ..outcome import Outcome
from ..protocols._contract import Decoder

# Milliseconds since the prompt began, and the events of one network read.
Moment = tuple[float, list[Event]]
# From the text of a whole answer: the trouble of storing it, None if there is none. Another call
# continues with what is not stored yet.
Store = Callable[[str], Failed | None]
# Tells the server that nobody reads the decoder's answer any more.
Cancel = Callable[[Decoder], None]
# From a failure and the number of the attempt: seconds until the next, None if there is none.
Pause = Callable[[Failed, int], float | None]


class AnswerStream(Protocol):
    """A prompt in progress: one Turn, or several as one. Iterate, then read `outcome`.

    `number` is the index of the target whose answer it is. `resumable`: after a Retry the
    iteration may be left, and resumed in any thread.
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


class Earlier(Protocol):
    """A turn before this one: when its prompt began on the clock, and its attempts."""

    @property
    def began(self) -> float: ...
    @property
    def outcome(self) -> Outcome: ...
