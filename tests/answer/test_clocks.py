"""Every clock of a turn, on a clock of our own: first, idle, total, and the hold after a reason.

One test with a real process stays for each clock (tests/cli/test_faults.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from streamcli.answer.turn import Turn
from streamcli.events import Event, Failed, Finished, Retry, Text
from streamcli.messages import ChatRequest, Message
from streamcli.outcome import Limits
from streamcli.protocols._contract import get
from streamcli.request import HttpRequest, Target
from streamcli.transport.errors import out_of_time
from streamcli.transport.seam import Patience

FOREVER = 1e9
PING = b": ping\n\n"


def chunk(reason: str | None = None, **fields: Any) -> bytes:
    choice = {"delta": fields, "finish_reason": reason}
    return b"data: %s\n\n" % json.dumps({"id": "i", "model": "m", "choices": [choice]}).encode()


def text(words: str) -> bytes:
    return chunk(content=words)


ROLE = chunk(role="assistant", content="")
STOP = chunk("stop")
DONE = b"data: [DONE]\n\n"
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
CALL = chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "look", "arguments": "{}"}}])


class Clock:
    """A clock that moves only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Server:
    """Plays (seconds of silence, bytes) for each attempt, and waits as a transport does."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, clock: Clock, *attempts: list[tuple[float, bytes]]) -> None:
        self._clock = clock
        self._attempts = list(attempts)
        self.asked = 0

    def open(self, request: HttpRequest, patience: Patience) -> Server:
        self._patience = patience
        self._reads = self._attempts[self.asked]
        self.asked += 1
        return self

    def chunks(self) -> Iterator[bytes]:
        for silence, data in self._reads:
            left, kind = self._patience.left(self._clock())
            if silence > left:
                self._clock.sleep(max(0.0, left))
                raise out_of_time(kind, self._patience.limit)
            self._clock.sleep(silence)
            self._patience.waited(silence)
            yield data

    def read(self) -> bytes:
        return b""

    def close(self, whole: bool = False) -> None:
        pass


class Run:
    """The events of a turn over such a server, and when it was over."""

    def __init__(
        self,
        *attempts: list[tuple[float, bytes]],
        limits: Limits | None = None,
        protocol: str = "openai-chat",
        slow_reader: float = 0,
    ) -> None:
        clock = Clock()
        self.server = Server(clock, *attempts)
        self.turn = Turn(
            ChatRequest("m", [Message("user", "hi")]),
            Target("p", protocol, "http://h/v1"),
            get(protocol),
            self.server.open,
            limits or Limits(max_retries=0),
            clock=clock,
            sleep=clock.sleep,
            random=lambda: 0.5,
        )
        self.events: list[Event] = []
        for _, events in self.turn:
            self.events += events
            clock.sleep(slow_reader)
        self.seconds = clock.now - 1000.0
        self.outcome = self.turn.outcome

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    def failed(self, kind: str) -> Failed:
        end = self.outcome.end
        assert isinstance(end, Failed), end
        assert (end.kind, end.status) == (kind, "timeout")
        return end

    def finished(self, *evidence: str) -> Finished:
        end = self.outcome.end
        assert isinstance(end, Finished), end
        assert end.evidence == evidence
        return end


# ---- first --------------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", [[(FOREVER, b"")], [(20, PING)] * 99], ids=["silence", "pings"])
def test_the_first_clock_runs_until_the_first_event(reads: list[tuple[float, bytes]]) -> None:
    run = Run(reads)
    assert "nothing came for 300 s" in run.failed("first_timeout").message
    assert run.seconds == 300
    assert run.outcome.meter.ttft_ms is None


def test_the_first_clock_ends_with_any_event() -> None:
    run = Run([(299, ROLE), (59, text("Hi")), (0, STOP + DONE)])
    run.finished("finish_reason", "marker")
    assert (run.outcome.meter.headers_ms, run.outcome.meter.ttft_ms) == (0, 358_000)
    run = Run([(299, ROLE), (61, text("Hi"))])
    run.failed("idle_timeout")


# ---- idle ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("silence", [[(FOREVER, b"")], [(7, PING)] * 99], ids=["silence", "pings"])
def test_the_idle_clock_runs_between_events(silence: list[tuple[float, bytes]]) -> None:
    run = Run([(0, text("Hi")), *silence])
    assert "nothing more came for 60 s" in run.failed("idle_timeout").message
    assert (run.text, run.seconds) == ("Hi", 60)
    assert run.outcome.end is run.events[-1]


def test_each_event_restarts_the_idle_clock() -> None:
    growing = chunk(tool_calls=[{"index": 0, "function": {"arguments": ""}}])
    run = Run(
        [(59, text("a")), (59, chunk(reasoning_content="b")), (59, CALL), (59, growing)]
        + [(59, text("c")), (59, STOP), (0, DONE)]
    )
    run.finished("finish_reason", "marker")
    assert run.seconds == 6 * 59


def test_the_time_of_a_slow_reader_does_not_count() -> None:
    run = Run([(1, text("a")), (1, text("b")), (1, STOP), (1, DONE)], slow_reader=1000)
    run.finished("finish_reason", "marker")


def test_an_idle_timeout_is_not_retried_once_text_was_out() -> None:
    stall = [(0.0, text("Hi")), (FOREVER, b"")]
    run = Run(stall, stall, limits=Limits(max_retries=3))
    run.failed("idle_timeout")
    assert run.server.asked == 1


# ---- total --------------------------------------------------------------------------------------


def test_the_total_clock_runs_over_the_whole_prompt() -> None:
    run = Run([(40, text(str(n))) for n in range(9)], limits=Limits(timeout=100))
    assert "not over in time" in run.failed("total_timeout").message
    assert (run.text, run.seconds) == ("01", 100)


def test_the_total_clock_counts_retries_and_their_waits() -> None:
    lost = [(90.0, b'data: {"error":{"type":"overloaded_error","message":"busy"}}\n\n')]
    limits = Limits(timeout=100, max_retries=3)
    run = Run(lost, [(FOREVER, b"")], limits=limits)
    assert run.failed("total_timeout")
    assert [event.delay for event in run.events if isinstance(event, Retry)] == [0.25]
    assert run.seconds == 100


def test_the_total_clock_counts_a_slow_reader() -> None:
    run = Run([(1, text("a")), (1, text("b")), (1, STOP)], limits=Limits(timeout=5), slow_reader=4)
    run.failed("total_timeout")


# ---- the hold after a finish reason -------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [(Limits(), 10), (Limits(idle_timeout=3), 3), (Limits(timeout=4), 4)],
    ids=["10 s", "a shorter idle timeout", "the total timeout"],
)
@pytest.mark.parametrize("silence", [[(FOREVER, b"")], [(2, PING)] * 99], ids=["silence", "pings"])
def test_a_server_that_holds_on_after_its_reason(
    limits: Limits, seconds: float, silence: list[tuple[float, bytes]]
) -> None:
    run = Run([(0, text("Hi")), (0, STOP), *silence], limits=limits)
    assert run.finished("finish_reason", "hold").reason == "stop"
    assert (run.text, run.seconds) == ("Hi", seconds)


def test_an_event_restarts_the_hold() -> None:
    run = Run([(0, text("Hi")), (0, STOP), (9, USAGE), (FOREVER, b"")])
    run.finished("finish_reason", "hold")
    assert (run.seconds, run.outcome.usage.output_tokens) == (19, 2)


def test_a_marker_within_the_hold_is_the_end() -> None:
    run = Run([(0, text("Hi")), (0, STOP), (9, DONE), (FOREVER, b"")])
    run.finished("finish_reason", "marker")
    assert run.seconds == 9


def test_after_the_marker_nothing_is_waited_for() -> None:
    run = Run([(0, text("Hi")), (0, STOP + DONE), (FOREVER, b"")])
    run.finished("finish_reason", "marker")
    assert run.seconds == 0


def test_an_error_within_the_hold_wins() -> None:
    error = b'data: {"error":{"message":"the GPU fell over"}}\n\n'
    run = Run([(0, text("Hi")), (0, STOP + USAGE), (9, error + DONE)])
    end = run.outcome.end
    assert isinstance(end, Failed)
    assert (end.status, run.outcome.usage.input_tokens) == ("provider", 1)
