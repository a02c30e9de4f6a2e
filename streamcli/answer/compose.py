"""The one place that joins turns, fallbacks and races into the answer to one prompt.

A tool loop belongs above it: it calls `compose` once a round, with the messages so far in the
candidates' chats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ..messages import ChatRequest
from ..outcome import Limits
from ..protocols._contract import WireFormat
from ..request import Target
from ..transport.seam import Open
from .turn import Turn

if TYPE_CHECKING:
    from .answer_stream import AnswerStream, Cancel, Pause, Store


class Endpoint(Protocol):
    """What a turn needs to know of the endpoint that it asks."""

    target: Target
    protocol: WireFormat
    limits: Limits

    @property
    def split_think(self) -> bool: ...
    @property
    def continues(self) -> bool: ...
    def prepared(self, chat: ChatRequest, plain: Open, open: Open) -> Open: ...
    def store(self, chat: ChatRequest, plain: Open) -> Store | None: ...
    def canceller(self) -> Cancel | None: ...


class Connection:
    """How one endpoint is reached for one prompt.

    `open` sends the question, `plain` what goes before and after it (the same, if not given).
    `sleep` waits between attempts; `cancel` breaks off both, and is needed in a race only.
    """

    __slots__ = ("cancel", "open", "plain", "sleep")

    def __init__(
        self,
        open: Open,
        sleep: Callable[[float], object],
        *,
        plain: Open | None = None,
        cancel: Callable[[], None] = lambda: None,
    ) -> None:
        self.open = open
        self.plain = plain or open
        self.sleep = sleep
        self.cancel = cancel


class Candidate:
    """An endpoint that may answer, the request for it, and how it is reached.

    `connect` is called when its turn begins, in the thread that asks. `pause` decides instead of
    the endpoint's limits whether and when to ask again.
    """

    __slots__ = ("chat", "connect", "endpoint", "pause")

    def __init__(
        self,
        endpoint: Endpoint,
        chat: ChatRequest,
        connect: Callable[[], Connection],
        pause: Pause | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.chat = chat
        self.connect = connect
        self.pause = pause


def compose(
    candidates: Sequence[Candidate],
    *,
    clock: Callable[[], float],
    random: Callable[[], float],
    race: bool = False,
    first: int = 0,
) -> AnswerStream:
    """Return what will give the answer: of one candidate, the first that can, or the fastest.

    In a race all are asked at once; otherwise one after the other, beginning with the `first`.
    """
    if race and len(candidates) > 1:
        from .race import Race

        connections = [candidate.connect() for candidate in candidates]
        turns = [
            _turn(candidate, connection, clock, random)
            for candidate, connection in zip(candidates, connections, strict=True)
        ]
        return Race(turns, [connection.cancel for connection in connections])
    makers = [partial(_connected_turn, candidate, clock, random) for candidate in candidates]
    if len(makers) == 1:
        return makers[0](None)
    from .fallback import Fallback

    return Fallback(makers, first)


def _connected_turn(
    candidate: Candidate,
    clock: Callable[[], float],
    random: Callable[[], float],
    before: Turn | None,
) -> Turn:
    return _turn(candidate, candidate.connect(), clock, random, before)


def _turn(
    candidate: Candidate,
    connection: Connection,
    clock: Callable[[], float],
    random: Callable[[], float],
    before: Turn | None = None,
) -> Turn:
    endpoint, chat = candidate.endpoint, candidate.chat
    return Turn(
        chat,
        endpoint.target,
        endpoint.protocol,
        endpoint.prepared(chat, connection.plain, connection.open),
        endpoint.limits,
        clock=clock,
        sleep=connection.sleep,
        random=random,
        split_think=endpoint.split_think,
        go_on=endpoint.continues,
        pause=candidate.pause,
        before=before,
        store=endpoint.store(chat, connection.plain),
        cancel=endpoint.canceller(),
    )
