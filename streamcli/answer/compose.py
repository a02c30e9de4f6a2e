"""Join turns, fallbacks, races, tools and schema retries into the answer to one prompt."""

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
    from .answer_stream import AnswerStream, Cancel, EarlierTurn, Pause, Store
    from .tool_loop import Round, Runner


class Endpoint(Protocol):
    """The facts and methods of an endpoint that a turn needs (providers/endpoint.py)."""

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
    """The tools of a run: how calls are checked, allowed, run and shown; see tool_loop.py."""

    max_rounds: int

    def runner(self) -> Runner: ...
    def check(self, tool: Tool, arguments: dict[str, Any]) -> str: ...
    def allows(self, call: ToolCall) -> bool: ...
    def trace(self, call: ToolCall, result: ToolResult) -> None: ...
    def stop(self) -> None: ...


class Connection:
    """How one endpoint is reached for one prompt.

    `open` sends the prompt's request, `plain` those that go before and after it (`open`, if not
    given). `sleep` waits between attempts, in seconds; `cancel` interrupts a request and a wait,
    and is needed in a race only.
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

    `connect` is called when the endpoint's turn begins, in the thread that iterates. `pause`
    decides instead of the endpoint's limits whether and when to retry.
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
    """Return the AnswerStream of one prompt; iterating it sends the requests.

    `race`: all candidates are asked at once; otherwise one after the other, as fallbacks, beginning
    with the index `first`. With `tools` the calls of the answer are run, and further requests send
    their results. `problem` returns what is wrong with an answer's text ("" for nothing): it is
    asked for again, at most `schema_retries` times. An answer that Anthropic pauses in its own
    tools is continued.
    """
    ask = _Rounds(candidates, clock, random, race and len(candidates) > 1, first)
    retries = 0 if problem is None else schema_retries
    if tools is None and not retries and not any(map(_may_pause, candidates)):
        return ask.first_round()
    if retries and tools is None:
        from .schema_retries import SchemaRetries

        assert problem is not None
        keeps = isinstance(candidates[first].endpoint.protocol, Keeper)
        return SchemaRetries(candidates[first].chat, ask, problem, retries, repeats_prompt=keeps)
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


class _Rounds:
    """Makes the AnswerStream of each round of a prompt; a call is tool_loop.AskRound."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        clock: Callable[[], float],
        random: Callable[[], float],
        race: bool,
        first: int,
    ) -> None:
        self._candidates = candidates
        self._clock = clock
        self._random = random
        self._race = race
        self._first = first

    def __call__(self, chat: ChatRequest, round: int, before: Round | None) -> Round:
        return self.first_round() if before is None else self._next_round(chat, round, before)

    def first_round(self) -> Round:
        if self._race:
            from .race import Race

            connections = [candidate.connect() for candidate in self._candidates]
            turns = [
                self._turn(candidate, connection)
                for candidate, connection in zip(self._candidates, connections, strict=True)
            ]
            return Race(turns, [connection.cancel for connection in connections])
        makers = [partial(self._connected_turn, candidate, 1) for candidate in self._candidates]
        if len(makers) == 1:
            return makers[0](None)
        from .fallback import Fallback

        return Fallback(makers, self._first)

    def _next_round(self, chat: ChatRequest, round: int, before: Round) -> Round:
        """Ask the endpoint of the round before, then its fallbacks; a race's winner has none."""
        changes = {name: getattr(chat, name) for name in ("messages", "prefill", "tool_choice")}
        candidates = [
            Candidate(each.endpoint, each.chat.but(**changes), each.connect, each.pause)
            for each in self._candidates
        ]
        makers = [partial(self._connected_turn, candidate, round) for candidate in candidates]
        if len(makers) == 1:
            return makers[0](before)
        from .fallback import Fallback

        number = before.number
        if self._race:  # a racer's connection sleeps by itself, and belongs to its thread
            return Fallback(makers[: number + 1], number, before, resumable=False)
        return Fallback(makers, number, before)

    def _connected_turn(self, candidate: Candidate, round: int, before: EarlierTurn | None) -> Turn:
        return self._turn(candidate, candidate.connect(), before, round)

    def _turn(
        self,
        candidate: Candidate,
        connection: Connection,
        before: EarlierTurn | None = None,
        round: int = 1,
    ) -> Turn:
        endpoint, chat = candidate.endpoint, candidate.chat
        return Turn(
            chat,
            endpoint.target,
            endpoint.protocol,
            endpoint.prepared(chat, connection.plain, connection.open),
            endpoint.limits,
            clock=self._clock,
            sleep=connection.sleep,
            random=self._random,
            split_think=endpoint.split_think,
            continues=endpoint.continues,
            pause=candidate.pause,
            before=before,
            store=endpoint.store(chat, connection.plain),
            cancel=endpoint.canceller(),
            round=round,
        )
