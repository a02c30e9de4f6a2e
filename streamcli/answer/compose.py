"""The one place that joins turns, fallbacks, races and tools into the answer to one prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..events import ToolCall, ToolResult
from ..limits import Limits
from ..messages import ChatRequest, Tool
from ..protocols._contract import Keeper, WireFormat
from ..request import Target
from ..transport.seam import Open
from .turn import Turn

if TYPE_CHECKING:
    from .answer_stream import AnswerStream, Cancel, Earlier, Pause, Store
    from .tool_loop import Round, Runner


class Endpoint(Protocol):
    """The facts of an endpoint that a turn needs."""

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


class Tools(Protocol):
    """The tools of a run: how calls are checked, allowed, run and shown; see tool_loop."""

    max_rounds: int

    def runner(self) -> Runner: ...
    def check(self, tool: Tool, arguments: dict[str, Any]) -> str: ...
    def allows(self, call: ToolCall) -> bool: ...
    def trace(self, call: ToolCall, result: ToolResult) -> None: ...
    def stop(self) -> None: ...


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
    tools: Tools | None = None,
    problem: Callable[[str], str] | None = None,
    schema_retries: int = 0,
) -> AnswerStream:
    """Return what will give the answer: of one candidate, the first that can, or the fastest.

    In a race all are asked at once; otherwise one after the other, beginning with the `first`.
    With `tools` the calls of the answer are run, and asking goes on with their results. An answer
    that has a `problem` is asked for again, `schema_retries` times. A provider that pauses in its
    own tools is asked to go on.
    """
    race = race and len(candidates) > 1
    retries = 0 if problem is None else schema_retries
    if tools is None and not retries and not any(map(_may_pause, candidates)):
        return _first_round(candidates, clock, random, race, first)

    def ask(chat: ChatRequest, round: int, before: Round | None) -> Round:
        if before is None:
            return _first_round(candidates, clock, random, race, first)
        return _next_round(candidates, clock, random, race, chat, round, before)

    if retries and tools is None:
        from .schema_retries import SchemaRetries

        assert problem is not None
        repeats = isinstance(candidates[first].endpoint.protocol, Keeper)
        return SchemaRetries(candidates[first].chat, ask, problem, retries, repeats=repeats)
    from .tool_loop import NoTools, ToolLoop

    tools = NoTools() if tools is None else tools
    return ToolLoop(
        candidates[first].chat,
        ask,
        tools.runner(),
        check=tools.check,
        confirm=tools.allows,
        trace=tools.trace,
        max_rounds=tools.max_rounds,
    )


def _may_pause(candidate: Candidate) -> bool:
    """Return whether the request has tools that Anthropic runs itself, in turns with pauses."""
    return candidate.endpoint.target.protocol == "anthropic" and "tools" in candidate.chat.options


def _first_round(
    candidates: Sequence[Candidate],
    clock: Callable[[], float],
    random: Callable[[], float],
    race: bool,
    first: int,
) -> Round:
    if race:
        from .race import Race

        connections = [candidate.connect() for candidate in candidates]
        turns = [
            _turn(candidate, connection, clock, random)
            for candidate, connection in zip(candidates, connections, strict=True)
        ]
        return Race(turns, [connection.cancel for connection in connections])
    makers = [partial(_connected_turn, candidate, clock, random, 1) for candidate in candidates]
    if len(makers) == 1:
        return makers[0](None)
    from .fallback import Fallback

    return Fallback(makers, first)


def _next_round(
    candidates: Sequence[Candidate],
    clock: Callable[[], float],
    random: Callable[[], float],
    race: bool,
    chat: ChatRequest,
    round: int,
    before: Round,
) -> Round:
    """Ask who answered the round before, and then its fallbacks; the winner of a race has none."""
    changes = {name: getattr(chat, name) for name in ("messages", "prefill", "tool_choice")}
    again = [
        Candidate(each.endpoint, each.chat.but(**changes), each.connect, each.pause)
        for each in candidates
    ]
    makers = [partial(_connected_turn, candidate, clock, random, round) for candidate in again]
    if len(makers) == 1:
        return makers[0](before)
    from .fallback import Fallback

    number = before.number
    # A racer's connection sleeps by itself, and belongs to its thread.
    return Fallback(makers[: number + 1] if race else makers, number, before, resumable=not race)


def _connected_turn(
    candidate: Candidate,
    clock: Callable[[], float],
    random: Callable[[], float],
    round: int,
    before: Earlier | None,
) -> Turn:
    return _turn(candidate, candidate.connect(), clock, random, before, round)


def _turn(
    candidate: Candidate,
    connection: Connection,
    clock: Callable[[], float],
    random: Callable[[], float],
    before: Earlier | None = None,
    round: int = 1,
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
        round=round,
    )
