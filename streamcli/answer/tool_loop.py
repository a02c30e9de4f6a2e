"""Rounds of a tool loop: ask, run the tools that the model calls, ask again with their results.

The loop knows no tool and no network: the functions that ask a round, and that check, allow and
run calls, are arguments. A round's calls run together; their results keep the order of the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import orjson

from ..errors import StreamError
from ..events import USAGE_FIELDS, Failed, Finished, ToolCall, ToolResult, Usage
from ..messages import ChatRequest, Message, Tool
from ..outcome import Outcome
from .answer_stream import AnswerStream, Moment
from .assistant_message import AssistantMessage
from .call_ids import CallIds
from .stages import Tally

# Takes a tool and the arguments of a call; returns what does not match its schema, "" if all does.
Check = Callable[[Tool, dict[str, Any]], str]
# Takes a call whose arguments match; returns whether it may run.
Confirm = Callable[[ToolCall], bool]
# Is called with each call that is answered, and its result.
Trace = Callable[[ToolCall, ToolResult], None]

# Anthropic's finish reason for a pause in its own tools: send the conversation back to continue.
_PAUSED = "pause_turn"
_KEPT_CHOICES = ("auto", "none")  # for later rounds too; other tool choices would call for ever
_CUT = ("length", "content_filter", "refusal")  # the finish reasons after which no call is run


class Round(AnswerStream, Protocol):
    """The AnswerStream of one round; a Turn takes the one before it as its `before`."""

    @property
    def began(self) -> float: ...


# Takes the request, the number of its round, and the round before it (None for the first).
AskRound = Callable[[ChatRequest, int, Round | None], Round]


class Runner(Protocol):
    """Runs tools."""

    def runs(self, name: str) -> bool:
        """Return whether this tool has a program to run."""

    def run(self, calls: Sequence[ToolCall]) -> Iterable[ToolResult]:
        """Run the calls together; yield one result for each, in their order, as early as possible.

        Raise StreamError to end the prompt; a tool that fails gives a result with `is_error`.
        """

    def stop(self) -> None:
        """Stop the tools that run; callable from another thread, or while a signal is raised."""


class NoTools:
    """Tools and Runner of a prompt without tools of ours, whose answer may pause."""

    max_rounds = 8

    def runner(self) -> Runner:
        return self

    def runs(self, name: str) -> bool:
        return False

    def run(self, calls: Sequence[ToolCall]) -> Iterable[ToolResult]:
        return ()

    def check(self, tool: Tool, arguments: dict[str, Any]) -> str:
        return ""

    def allows(self, call: ToolCall) -> bool:
        return False

    def trace(self, call: ToolCall, result: ToolResult) -> None:
        pass

    def stop(self) -> None:
        pass


class ToolLoop:
    """A prompt with its rounds, as one AnswerStream: iterate, then read `outcome` and `messages`.

    `outcome` counts over all rounds: text, calls, usage (unknown as soon as one round's is),
    attempts and timings. The end of a round before the last one is not an event. `messages` are the
    new ones, after the request's own: each round's answer and the results of its calls. The answer
    of a round that failed is in `partial` instead.
    """

    def __init__(
        self,
        chat: ChatRequest,
        ask: AskRound,
        runner: Runner,
        *,
        check: Check,
        confirm: Confirm,
        trace: Trace = lambda call, result: None,
        max_rounds: int = 8,
    ) -> None:
        self.outcome = Outcome()
        self.messages: list[Message] = []
        self.partial: Message | None = None
        self._chat = chat
        self._ask = ask
        self._runner = runner
        self._check = check
        self._confirm = confirm
        self._trace = trace
        self._max_rounds = max_rounds
        self._tools = {tool.name: tool for tool in chat.tools}
        self._current = ask(chat, 1, None)
        self._tally = Tally(self.outcome, lambda facts: None, keeps_text=False)
        self._tally.counts_usage = False  # it is summed here
        self._used: Usage | None = None  # the usage of the rounds before this one
        self._ids = CallIds(chat.messages)

    @property
    def resumable(self) -> bool:
        return self._current.resumable

    @property
    def number(self) -> int:
        return self._current.number

    @property
    def began(self) -> float:
        return self._current.began

    def t_ms(self) -> float:
        return self._current.t_ms()

    def stop(self, failed: Failed) -> None:
        self._runner.stop()
        self._current.stop(failed)
        self._end(failed)

    def __iter__(self) -> Iterator[Moment]:
        chat, round = self._chat, 1
        while True:
            answer = AssistantMessage(chat.prefill or "")
            yield from self._round(answer)
            end = self._current.outcome.end
            assert end is not None
            message = answer.message()
            paused = end.raw == _PAUSED
            calls = answer.calls if self._current.outcome.open_call and not paused else []
            if not paused and not self._runs_here(end, calls):
                yield self._end(end, message)
                return
            if round == self._max_rounds:
                yield self._end(end if paused else _rounds_ran_out(round, end), message)
                return
            new_messages = [message]
            try:
                for result in self._results(calls):
                    new_messages.append(_message_of(result))
                    yield self.t_ms(), [result]
            except StreamError as error:
                yield self._end(Failed.of(error), message)
                return
            self.messages += new_messages  # together: providers refuse calls without results
            round += 1
            chat = self._next_chat(chat)
            self.outcome.rounds = round
            self.outcome.meter.next_round()
            self._used = self.outcome.usage
            self._ids.next_answer()
            self._current = self._ask(chat, round, self._current)

    def _round(self, answer: AssistantMessage) -> Iterator[Moment]:
        """Give out the events of one round, but not its end."""
        total = self.outcome
        for t_ms, events in self._current:
            now = self._current.outcome
            self._ids.rename(events)
            answer.add(events)
            ended = self._tally.add(t_ms, events) is not None
            total.attempts = now.attempts
            total.usage = now.usage if self._used is None else sum_of(self._used, now.usage)
            if total.meter.headers_ms is None:
                total.meter.headers_ms = now.meter.headers_ms
            if not ended:
                yield t_ms, events

    def _runs_here(self, end: Finished | Failed, calls: Sequence[ToolCall]) -> bool:
        """Return whether all of the calls are run here; else the caller answers all of them."""
        if not calls or not self._tools or isinstance(end, Failed) or end.reason in _CUT:
            return False
        known = [call for call in calls if call.name in self._tools]
        return all(self._runner.runs(call.name) for call in known)

    def _results(self, calls: Sequence[ToolCall]) -> Iterator[ToolResult]:
        """Run the calls without a fault together; yield a result for each call, in their order."""
        refused = {}
        sound = []
        for number, call in enumerate(calls):
            if why := self._fault(call):
                refused[number] = ToolResult(call.id, call.name, why, is_error=True)
            else:
                sound.append(call)
        results = iter(self._runner.run(sound) if sound else ())
        for number, call in enumerate(calls):
            result = refused[number] if number in refused else next(results)
            self._trace(call, result)
            yield result

    def _fault(self, call: ToolCall) -> str:
        """Return why a call is not run, in words for the model; "" if it may run."""
        tool = self._tools.get(call.name)
        if tool is None:
            return f"there is no tool {call.name!r}; the tools are: {', '.join(self._tools)}"
        try:
            arguments = orjson.loads(call.arguments or "{}")
        except orjson.JSONDecodeError as error:
            return f"the arguments are not JSON: {error}"
        if not isinstance(arguments, dict):
            return "the arguments are not a JSON object"
        if problem := self._check(tool, arguments):
            return f"the arguments do not match the schema of {call.name}: {problem}"
        return "" if self._confirm(call) else "the user did not allow this call"

    def _next_chat(self, chat: ChatRequest) -> ChatRequest:
        choice = self._chat.tool_choice
        return chat.but(
            messages=[*self._chat.messages, *self.messages],
            prefill=None,  # it began the first answer, and its message holds it now
            tool_choice=choice if choice in _KEPT_CHOICES else None,
        )

    def _end(self, end: Finished | Failed, message: Message | None = None) -> Moment:
        """Note the end, and the last round's message; return the moment to give out."""
        if isinstance(end, Failed):
            self.partial = message
        elif message is not None:
            self.messages.append(message)
        self.outcome.end = end
        self.outcome.t_ms = self.t_ms()
        return self.outcome.t_ms, [end]


def _message_of(result: ToolResult) -> Message:
    return Message(
        "tool",
        result.output,
        call_id=result.call_id,
        name=result.name,
        is_error=result.is_error,
    )


def _rounds_ran_out(rounds: int, end: Finished | Failed) -> Failed:
    return Failed(
        "tool",
        f"the model still calls tools in round {rounds}, the last one",
        "raise --max-rounds if it needs more",
        evidence=end.evidence,
        raw=end.raw,
    )


def sum_of(one: Usage, other: Usage) -> Usage:
    """Return the sum of two usages; a count that is unknown in one of them is unknown."""
    counts = []
    for name in USAGE_FIELDS:
        a, b = getattr(one, name), getattr(other, name)
        counts.append(None if a is None or b is None else a + b)
    return Usage(*counts)
