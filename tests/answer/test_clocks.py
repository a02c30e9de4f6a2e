"""Every clock of a turn, on a clock of our own: first, idle, total, and the hold after a reason.

One test with a real process stays for each clock (tests/cli/test_faults.py).
"""

from __future__ import annotations

import pytest
from turns import CALL, DONE, FOREVER, PING, ROLE, STOP, USAGE, Read, Run, chunk, text

from streamcli.events import Failed, Retry
from streamcli.limits import Limits
from streamcli.outcome import judge

# ---- first --------------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", [[(FOREVER, b"")], [(20, PING)] * 99], ids=["silence", "pings"])
def test_the_first_clock_runs_until_the_first_event(reads: list[Read]) -> None:
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
def test_the_idle_clock_runs_between_events(silence: list[Read]) -> None:
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
    stall: list[Read] = [(0, text("Hi")), (FOREVER, b"")]
    run = Run(stall, stall, limits=Limits(max_retries=3))
    run.failed("idle_timeout")
    assert run.server.asked == 1


# ---- total --------------------------------------------------------------------------------------


def test_the_total_clock_runs_over_the_whole_prompt() -> None:
    run = Run([(40, text(str(n))) for n in range(9)], limits=Limits(timeout=100))
    assert "not over in time" in run.failed("total_timeout").message
    assert (run.text, run.seconds) == ("01", 100)


def test_the_total_clock_counts_retries_and_their_waits() -> None:
    lost: list[Read] = [(90, b'data: {"error":{"type":"overloaded_error","message":"busy"}}\n\n')]
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
    limits: Limits, seconds: float, silence: list[Read]
) -> None:
    run = Run([(0, text("Hi")), (0, STOP), *silence], limits=limits)
    assert run.finished("finish_reason", "hold").reason == "stop"
    assert (run.text, run.seconds) == ("Hi", seconds)


def test_an_event_restarts_the_hold() -> None:
    run = Run([(0, text("Hi")), (0, STOP), (9, USAGE), (FOREVER, b"")])
    run.finished("finish_reason", "hold")
    assert (run.seconds, run.outcome.usage.output_tokens) == (19, 2)


@pytest.mark.parametrize(
    ("reads", "status"),
    [
        # The server runs the call itself: visible text follows.
        ([CALL, chunk("tool_calls"), text("It rains."), STOP], "complete"),
        ([CALL, chunk("tool_calls"), text(" \n"), STOP], "tool"),
        ([CALL, STOP], "tool"),
        ([CALL], "tool"),
        ([text("Let me see."), CALL, chunk("tool_calls")], "tool"),
        ([text("Let me see."), chunk("tool_calls")], "malformed"),
    ],
)
def test_a_call_that_waits_for_the_caller_is_never_exit_0(reads: list[bytes], status: str) -> None:
    run = Run([(0, read) for read in (*reads, DONE)])
    assert judge(run.outcome, shows_tools=False).status == status


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
