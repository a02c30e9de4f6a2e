"""A turn over lists of bytes: retries, endings and timings, with a clock and a sleep of our own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from streamcli.answer.turn import Turn
from streamcli.errors import StreamError
from streamcli.events import Attempt, Event, Failed, Finished, Reasoning, Retry, Returned, Text
from streamcli.limits import Limits
from streamcli.messages import ChatRequest, Message
from streamcli.protocols._contract import get
from streamcli.request import HttpRequest, Target
from streamcli.transport.seam import Patience


def delta(text: str) -> bytes:
    return (
        b'data: {"id":"i","model":"m","choices":[{"delta":{"content":"%s"}}]}\n\n' % text.encode()
    )


FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
LOST = StreamError("lost", "the connection was lost", transient=True)


class Fake:
    """An answer that is a list of what each read brings: bytes, or trouble."""

    def __init__(
        self,
        *reads: bytes | StreamError,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers or {}
        self.reads = reads
        self.closed = False

    def chunks(self) -> Iterator[bytes]:
        for read in self.reads:
            if isinstance(read, StreamError):
                raise read
            yield read

    def read(self) -> bytes:
        return b"".join(read for read in self.reads if isinstance(read, bytes))

    def close(self, whole: bool = False) -> None:
        self.closed = True


class Run:
    """Turns `answers` (one an attempt) into events, and notes what was slept."""

    def __init__(
        self,
        *answers: Fake | StreamError,
        limits: Limits | None = None,
        chat: ChatRequest | None = None,
    ) -> None:
        self.slept: list[float] = []
        self.requests: list[HttpRequest] = []
        self.now = 0.0
        self.answers = list(answers)
        target = Target("p", "openai-chat", "http://h/v1", quirks={"stream_options": {"a": 1}})
        self.turn = Turn(
            chat or ChatRequest("m", [Message("user", "hi")]),
            target,
            get("openai-chat"),
            self.open,
            limits or Limits(),
            clock=self.clock,
            sleep=self.slept.append,
            random=lambda: 0.5,
        )
        self.events: list[Event] = [e for _, events in self.turn for e in events]
        self.end = self.turn.outcome.end

    def clock(self) -> float:
        self.now += 0.001
        return self.now

    def open(self, request: HttpRequest, patience: Patience) -> Fake:
        self.requests.append(request)
        answer = self.answers[len(self.requests) - 1]
        if isinstance(answer, StreamError):
            raise answer
        return answer


def test_one_answer() -> None:
    answer = Fake(delta("Hi"), delta(" there") + FINISH, DONE)
    run = Run(answer)
    assert [e for e in run.events if isinstance(e, Attempt | Text | Finished)] == [
        Attempt(1, ("p", "openai-chat", "m")),
        Text("Hi"),
        Text(" there"),
        Finished("stop", "stop", ("finish_reason", "marker")),
    ]
    outcome = run.turn.outcome
    assert (outcome.model, outcome.response_id, outcome.chars) == ("m", "i", 8)
    assert outcome.timings()["chunks"] == 2
    assert answer.closed


def test_the_end_comes_once_and_last() -> None:
    run = Run(Fake(delta("Hi") + FINISH + DONE + delta("more")))
    assert run.events[-1] is run.end
    assert sum(isinstance(e, Finished | Failed) for e in run.events) == 1


def test_nothing_delivered_is_asked_again() -> None:
    run = Run(LOST, Fake(status=503), Fake(LOST), Fake(delta("Hi"), FINISH, DONE))
    assert isinstance(run.end, Finished)
    assert [e.attempt for e in run.events if isinstance(e, Attempt)] == [1, 2, 3, 4]
    assert [e.error.kind for e in run.events if isinstance(e, Retry)] == [
        "lost",
        "server_error",
        "lost",
    ]
    assert run.slept == [0.25, 0.5, 1.0]
    assert run.turn.outcome.attempts == 4


def test_anything_delivered_is_never_asked_again() -> None:
    run = Run(Fake(delta("Hi"), LOST), Fake(delta("Hi"), FINISH, DONE))
    assert isinstance(run.end, Failed)
    assert run.end.status == "truncated"
    assert run.end.evidence == ("transport_error",)
    assert run.slept == []


def test_an_overload_in_the_stream_is_asked_again() -> None:
    overload = b'data: {"error":{"type":"overloaded_error","message":"busy"}}\n\n'
    run = Run(Fake(overload), Fake(delta("Hi"), FINISH, DONE))
    assert isinstance(run.end, Finished)


def test_a_broken_transport_after_the_reason_is_complete() -> None:
    run = Run(Fake(delta("Hi"), FINISH, LOST))
    assert run.end == Finished("stop", "stop", ("finish_reason", "transport_error"))


def test_a_stall_keeps_what_was_held_back() -> None:
    run = Run(Fake(delta("<think>hm"), StreamError("idle_timeout", "nothing more came")))
    assert isinstance(run.end, Failed)
    assert run.end.kind == "idle_timeout"
    assert Reasoning("hm") in run.events
    assert Returned("<think>hm") in run.events


def test_a_field_the_server_rejects_is_left_out_once() -> None:
    no = b'{"error":{"message":"Unknown field: stream_options"}}'
    run = Run(Fake(no, status=400), Fake(delta("Hi"), FINISH, DONE), limits=Limits(max_retries=0))
    assert isinstance(run.end, Finished)
    assert b"stream_options" in run.requests[0].body
    assert b"stream_options" not in run.requests[1].body
    assert run.slept == [0.0]
    run = Run(Fake(no, status=400), Fake(no, status=400), limits=Limits(max_retries=0))
    assert isinstance(run.end, Failed)
    assert run.end.status == "rejected"


def test_a_field_is_said_in_another_way_once() -> None:
    no = b'{"error":{"message":"Unsupported parameter: \'max_tokens\'","param":"max_tokens"}}'
    chat = ChatRequest("m", [Message("user", "hi")], max_tokens=7)
    run = Run(Fake(no, status=400), Fake(delta("Hi"), FINISH, DONE), chat=chat)
    assert isinstance(run.end, Finished)
    assert b'"max_tokens"' in run.requests[0].body
    assert b'"max_completion_tokens":7' in run.requests[1].body
    no = no.replace(b"max_tokens", b"temperature")
    typed = ChatRequest("m", [Message("user", "hi")], temperature=7)
    run = Run(Fake(no, status=400), chat=typed)
    assert isinstance(run.end, Failed)
    assert (len(run.requests), run.end.hint) == (1, "leave out --temperature")


def test_a_wait_that_is_too_long_is_named() -> None:
    run = Run(Fake(status=429, headers={"Retry-After": "500"}))
    assert isinstance(run.end, Failed)
    assert "500 s" in run.end.message
    assert run.slept == []


def test_retries_stop_where_the_total_time_would_be_over() -> None:
    run = Run(*[LOST] * 9, limits=Limits(max_retries=9, timeout=0.9))
    assert run.slept == [0.25, 0.5]


@pytest.mark.parametrize("attempts", [1, 4])
def test_attempts_are_told(attempts: int) -> None:
    run = Run(*[LOST] * 4, limits=Limits(max_retries=attempts - 1))
    assert isinstance(run.end, Failed)
    assert ("(4 attempts)" in run.end.message) == (attempts == 4)


def test_the_servers_message_never_shows_the_key() -> None:
    body = b'{"error":{"message":"Incorrect API key provided: sk-secret"}}'
    turn = Turn(
        ChatRequest("m", []),
        Target("p", "openai-chat", "http://h", key="sk-secret", headers=(("X-Token", "tok-9"),)),
        get("openai-chat"),
        lambda request, patience: Fake(body, status=401),
        Limits(),
        clock=lambda: 0.0,
        sleep=lambda s: None,
        random=lambda: 0.0,
    )
    for _ in turn:
        pass
    assert isinstance(turn.outcome.end, Failed)
    assert "sk-secret" not in turn.outcome.end.message
    assert "[hidden]" in turn.outcome.end.message
