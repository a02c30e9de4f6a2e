"""Rounds of a tool loop, over the real requests and decoders of the protocols."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from tool_answers import PROTOCOLS, anthropic, call, chunk, sse, use, words

from streamcli.answer.schema_check import Schema
from streamcli.answer.tool_loop import Round, ToolLoop
from streamcli.answer.turn import Turn
from streamcli.errors import StreamError
from streamcli.events import (
    Attempt,
    Event,
    Failed,
    Finished,
    Opaque,
    Retry,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from streamcli.limits import Limits
from streamcli.messages import ChatRequest, Message, Tool
from streamcli.outcome import Outcome, judge
from streamcli.protocols._contract import get
from streamcli.request import HttpRequest, Target
from streamcli.transport.seam import Patience

LOOK = Tool(
    "look",
    "Look something up",
    {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
)
NOW = Tool("now", "The time", {"type": "object", "properties": {}})


class Answer:
    """An HTTP answer that is a list of bytes, or trouble."""

    headers: Mapping[str, str] = {}

    def __init__(self, *reads: bytes | StreamError, status: int = 200) -> None:
        self.reads = reads
        self.status = status

    def chunks(self) -> Iterator[bytes]:
        for read in self.reads:
            if isinstance(read, StreamError):
                raise read
            yield read

    def read(self) -> bytes:
        return b"".join(read for read in self.reads if isinstance(read, bytes))

    def close(self, whole: bool = False) -> None:
        pass


class Tools:
    """Runs tools that are functions; notes what ran together."""

    def __init__(self, **tools: Callable[[dict[str, Any]], str] | None) -> None:
        self._tools = tools
        self.ran: list[list[str]] = []
        self.stopped = False

    def runs(self, name: str) -> bool:
        return self._tools.get(name) is not None

    def run(self, calls: Sequence[ToolCall]) -> Iterable[ToolResult]:
        self.ran.append([call.name for call in calls])
        for made in calls:
            run = self._tools[made.name]
            assert run is not None
            try:
                output, is_error = run(json.loads(made.arguments)), False
            except ValueError as error:
                output, is_error = str(error), True
            yield ToolResult(made.id, made.name, output, is_error, 5.0)

    def stop(self) -> None:
        self.stopped = True


def tools() -> Tools:
    return Tools(look=lambda arguments: f"{arguments['q']}: rain", now=lambda arguments: "noon")


class Run:
    """A loop over answers, one an attempt; its events and its requests' bodies."""

    def __init__(
        self,
        *answers: Answer,
        protocol: str = "openai-chat",
        runner: Tools | None = None,
        confirm: Callable[[ToolCall], bool] = lambda call: True,
        max_rounds: int = 8,
        limits: Limits | None = None,
        stop_at: type[Event] | None = None,
        **options: Any,
    ) -> None:
        self._answers = iter(answers)
        self._limits = limits or Limits(max_retries=0)
        self._protocol = protocol
        self._now = 0.0
        self.bodies: list[Any] = []
        self.runner = runner or tools()
        chat = ChatRequest("m", [Message("user", "Weather?")], tools=(LOOK, NOW), **options)
        self.loop = ToolLoop(
            chat,
            self._round,
            self.runner,
            check=lambda tool, arguments: Schema(tool.parameters).problem(arguments),
            confirm=confirm,
            max_rounds=max_rounds,
        )
        self.events: list[Event] = []
        self.times: list[float] = []
        for t_ms, events in self.loop:
            self.times.append(t_ms)
            self.events += events
            if stop_at and any(isinstance(event, stop_at) for event in events):
                self.loop.stop(Failed("interrupted", "stopped by SIGINT"))
                break
        self.outcome = self.loop.outcome
        self.end = self.outcome.end

    def _round(self, chat: ChatRequest, round: int, before: Round | None) -> Turn:
        return Turn(
            chat,
            Target("p", self._protocol, "http://h/v1"),
            get(self._protocol),
            self._open,
            self._limits,
            clock=self._clock,
            sleep=lambda seconds: None,
            random=lambda: 0.5,
            before=before,
            round=round,
        )

    def _clock(self) -> float:
        self._now += 0.001
        return self._now

    def _open(self, request: HttpRequest, patience: Patience) -> Answer:
        self.bodies.append(json.loads(request.body))
        return next(self._answers)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.of(Text))


def calling(*calls: Any, text: str = "", tokens: int | None = 3) -> Answer:
    usage = None if tokens is None else {"prompt_tokens": 10, "completion_tokens": tokens}
    begin = [chunk(content=text)] if text else []
    return Answer(sse(*begin, chunk(tool_calls=list(calls)), chunk("tool_calls", usage), done=True))


def saying(text: str, tokens: int | None = 2, reason: str = "stop") -> Answer:
    usage = None if tokens is None else {"prompt_tokens": 20, "completion_tokens": tokens}
    return Answer(sse(chunk(content=text), chunk(reason, usage), done=True))


TWO = (call("look", {"q": "Oslo"}, "c1"), call("now", {}, "c2", 1))


# ---- rounds -------------------------------------------------------------------------------------


def test_calls_are_run_and_their_results_sent_back() -> None:
    run = Run(calling(*TWO, text="Let me see. "), saying("It rains."))
    assert run.text == "Let me see. It rains."
    assert run.of(ToolResult) == [
        ToolResult("c1", "look", "Oslo: rain", False, 5.0),
        ToolResult("c2", "now", "noon", False, 5.0),
    ]
    assert run.runner.ran == [["look", "now"]]
    assert run.events[-1] is run.end
    assert sum(isinstance(event, Finished | Failed) for event in run.events) == 1
    assert [event.round for event in run.of(Attempt)] == [1, 2]
    assert run.times == sorted(run.times)
    outcome = run.outcome
    assert (outcome.rounds, outcome.attempts, outcome.calls, outcome.chars) == (2, 2, 2, 21)
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (30, 5)
    assert (outcome.model, outcome.open_call) == ("m", False)
    assert judge(outcome, shows_tools=False).status == "complete"
    assert [message.role for message in run.loop.messages] == [
        "assistant",
        "tool",
        "tool",
        "assistant",
    ]
    assert run.loop.messages[-1].text == "It rains."


def test_an_answer_without_calls_is_one_round() -> None:
    run = Run(saying("Hello"))
    assert (run.text, run.outcome.rounds, run.runner.ran) == ("Hello", 1, [])
    assert run.outcome.usage == Usage(20, 2)
    assert run.outcome.timings()["ttft_ms"] is not None


def test_usage_that_one_round_does_not_know_is_unknown() -> None:
    run = Run(calling(*TWO, tokens=None), saying("It rains."))
    assert run.outcome.usage == Usage()


def test_the_model_may_call_again() -> None:
    run = Run(calling(TWO[0]), calling(TWO[1], text="Hm. "), saying("Noon."))
    assert run.runner.ran == [["look"], ["now"]]
    assert (run.outcome.rounds, run.text) == (3, "Hm. Noon.")
    roles = [message["role"] for message in run.bodies[2]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]


def test_the_rounds_run_out() -> None:
    run = Run(*[calling(TWO[0])] * 2, max_rounds=2)
    assert isinstance(run.end, Failed)
    assert (run.end.kind, run.end.status) == ("tool", "tool")
    assert "--max-rounds" in run.end.hint
    assert len(run.runner.ran) == 1, "nobody would read the results of the last round"
    assert run.loop.partial is not None
    assert [message.role for message in run.loop.messages] == ["assistant", "tool"]
    assert judge(run.outcome).exit_code == 13


def test_a_tool_without_a_command_ends_the_turn() -> None:
    run = Run(calling(*TWO), runner=Tools(now=lambda arguments: "noon"))
    assert isinstance(run.end, Finished)
    assert (run.outcome.rounds, run.runner.ran) == (1, [])
    assert [event.id for event in run.of(ToolCall)] == ["c1", "c2"]
    assert judge(run.outcome, shows_tools=True).exit_code == 0
    assert judge(run.outcome, shows_tools=False).exit_code == 13


@pytest.mark.parametrize("choice", ["required", "look", "auto", "none", None])
def test_a_forced_call_is_forced_once(choice: str | None) -> None:
    run = Run(calling(TWO[0]), saying("It rains."), tool_choice=choice)
    assert ("tool_choice" in run.bodies[0]) == (choice is not None)
    kept = choice if choice in ("auto", "none") else None
    assert run.bodies[1].get("tool_choice") == kept


def test_a_prefill_begins_the_first_answer_only() -> None:
    first = anthropic(words(" see."), use("c1", "now", "{}"), reason="tool_use")
    rest = anthropic(words("Noon."), reason="end_turn")
    run = Run(Answer(first), Answer(rest), protocol="anthropic", prefill="Let me")
    answer, results = run.bodies[1]["messages"][1:]
    assert answer["content"][0] == {"type": "text", "text": "Let me see."}
    assert results["role"] == "user"
    assert run.text == " see.Noon.", "the answer does not repeat it"


@pytest.mark.parametrize("reason", ["stop", "moon"])
def test_calls_count_whatever_the_reason_says(reason: str) -> None:
    first = Answer(sse(chunk(tool_calls=[TWO[0]]), chunk(reason), done=True))
    assert Run(first, saying("It rains.")).text == "It rains."


def test_calls_of_an_answer_that_was_cut_do_not_run() -> None:
    first = Answer(sse(chunk(tool_calls=[TWO[0]]), chunk("length"), done=True))
    run = Run(first)
    assert run.runner.ran == []
    assert judge(run.outcome).status == "length"


# ---- bad calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (call("fly", {}), "no tool 'fly'; the tools are: look, now"),
        (call("look", {"q": 7}), '7 is not of type "string"'),
        (call("look", {}), '"q" is a required property'),
        (call("look", [1]), "not a JSON object"),
    ],
)
def test_a_bad_call_goes_back_to_the_model(bad: Any, says: str) -> None:
    run = Run(calling(bad, call("now", {}, "c2", 1)), saying("Sorry."))
    first, second = run.of(ToolResult)
    assert (first.call_id, first.is_error, second.output) == ("c1", True, "noon")
    assert says in first.output
    assert run.runner.ran == [["now"]]
    sent = [message for message in run.bodies[1]["messages"] if message["role"] == "tool"]
    assert [message["tool_call_id"] for message in sent] == ["c1", "c2"]
    assert says in sent[0]["content"]


def test_a_call_that_is_not_allowed_does_not_run() -> None:
    run = Run(calling(*TWO), saying("Sorry."), confirm=lambda call: call.name == "now")
    assert run.runner.ran == [["now"]]
    assert [result.is_error for result in run.of(ToolResult)] == [True, False]
    assert "not allow" in run.of(ToolResult)[0].output


def test_a_tool_that_fails_is_a_result() -> None:
    def broken(arguments: dict[str, Any]) -> str:
        raise ValueError("no network")

    run = Run(calling(TWO[0]), saying("Sorry."), runner=Tools(look=broken))
    (result,) = run.of(ToolResult)
    assert (result.output, result.is_error) == ("no network", True)


def test_trouble_of_the_runner_ends_the_prompt() -> None:
    def gone(arguments: dict[str, Any]) -> str:
        raise StreamError("tool", "the tools' server is gone")

    run = Run(calling(*TWO), runner=Tools(now=lambda arguments: "noon", look=gone))
    assert isinstance(run.end, Failed)
    assert run.end.status == "tool"
    assert run.loop.messages == [], "calls without results are not sent back"
    assert run.loop.partial is not None


# ---- bad luck -----------------------------------------------------------------------------------


def test_a_round_that_fails_is_the_end() -> None:
    run = Run(calling(TWO[0]), Answer(b'{"error":{"message":"no"}}', status=400))
    assert isinstance(run.end, Failed)
    assert (run.end.status, run.outcome.rounds) == ("rejected", 2)
    assert [message.role for message in run.loop.messages] == ["assistant", "tool"]


def test_a_later_round_is_retried_as_the_first_one_is() -> None:
    busy = Answer(b"", status=503)
    run = Run(calling(TWO[0]), busy, saying("It rains."), limits=Limits(max_retries=1))
    assert run.text == "It rains."
    assert [(event.attempt, event.round) for event in run.of(Attempt)] == [(1, 1), (2, 2), (3, 2)]
    assert len(run.of(Retry)) == 1
    assert run.bodies[1] == run.bodies[2]


@pytest.mark.parametrize("phase", [Text, ToolCall, ToolResult])
def test_it_can_be_stopped_in_every_phase(phase: type[Event]) -> None:
    first = Answer(
        sse(chunk(content="Hm.")), sse(chunk(tool_calls=[TWO[0]]), chunk("tool_calls"), done=True)
    )
    run = Run(first, saying("It rains."), stop_at=phase)
    assert isinstance(run.end, Failed)
    assert run.end.status == "interrupted"
    assert run.runner.stopped
    assert run.loop.messages == []


# ---- every protocol -----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_rounds_over_every_protocol_with_tools(protocol: str) -> None:
    first, second, where = PROTOCOLS[protocol]
    run = Run(Answer(first), Answer(second), protocol=protocol)
    assert (run.text, run.outcome.rounds) == ("It rains.", 2), run.end
    (made,) = run.of(ToolCall)
    assert (made.name, json.loads(made.arguments)) == ("look", {"q": "Oslo"})
    asked, again = (body[where] for body in run.bodies)
    assert again[: len(asked)] == asked
    sent = json.dumps(again[len(asked) :])
    assert "Oslo: rain" in sent
    assert sent.index('"look"') < sent.index("Oslo: rain"), "the call, and then its result"
    assert {k: v for k, v in run.bodies[1].items() if k != where} == {
        k: v for k, v in run.bodies[0].items() if k != where
    }


def test_a_pause_goes_on_by_itself() -> None:
    paused = anthropic(words("I search. "), reason="pause_turn")
    rest = anthropic(words("It rains."), reason="end_turn")
    run = Run(Answer(paused), Answer(rest), protocol="anthropic")
    assert (run.text, run.outcome.rounds) == ("I search. It rains.", 2)
    assert [message["role"] for message in run.bodies[1]["messages"]] == ["user", "assistant"]
    run = Run(Answer(paused), protocol="anthropic", max_rounds=1)
    assert run.end is not None
    assert (run.end.raw, len(run.bodies)) == ("pause_turn", 1)


def test_opaque_state_goes_back_with_its_message() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    runner = tools()

    def ask(chat: ChatRequest, round: int, before: Round | None) -> Scripted:
        seen.append(chat.messages)
        calls: list[Event] = [Opaque("anthropic", thinking), ToolCall("c1", "now", "{}")]
        return Scripted(calls if round == 1 else [Text("Noon.")], round)

    seen: list[list[Message]] = []
    loop = ToolLoop(
        ChatRequest("m", [Message("user", "Time?")], tools=(NOW,)),
        ask,
        runner,
        check=lambda tool, arguments: "",
        confirm=lambda call: True,
    )
    assert [event for _, events in loop for event in events if isinstance(event, Text)]
    parts = seen[1][1].parts("anthropic")
    assert [part.opaque for part in parts] == [thinking, None]
    assert parts[1].call == ("c1", "now", "{}")


class Scripted:
    """An AnswerStream that gives these events."""

    number = 0
    resumable = False
    began = 0.0

    def __init__(self, events: list[Event], round: int) -> None:
        self.outcome = Outcome()
        self._events = events
        self.outcome.open_calls = {event.id for event in events if isinstance(event, ToolCall)}

    def __iter__(self) -> Iterator[tuple[float, list[Event]]]:
        end = Finished("tool_calls" if self.outcome.open_call else "stop", None, ("marker",))
        yield 1.0, self._events
        self.outcome.end = end
        yield 2.0, [end]

    def stop(self, failed: Failed) -> None:
        self.outcome.end = failed

    def t_ms(self) -> float:
        return 2.0
