"""Turns one after the other: who is asked next, for what, and by whose clock."""

from __future__ import annotations

import pytest
from turns import DONE, FOREVER, ROLE, STOP, Attempt, Clock, Played, Server, text, turn

from streamcli.answer.fallback import Fallback
from streamcli.errors import StreamError
from streamcli.events import Attempt as Asked
from streamcli.events import Retry
from streamcli.limits import Limits

STALL: Attempt = [(FOREVER, b"")]
LOST = StreamError("lost", "the connection was lost", transient=True)


class Run(Played):
    """A chain of turns, each over a server of its own with these attempts."""

    def __init__(self, *servers: list[Attempt], limits: Limits | None = None) -> None:
        clock = Clock()
        self.servers = [Server(clock, *attempts) for attempts in servers]
        makers = [
            lambda before, server=server: turn(clock, server, limits=limits, before=before)
            for server in self.servers
        ]
        self.chain = Fallback(makers)
        super().__init__(clock, self.chain)

    @property
    def asked(self) -> list[int]:
        return [server.asked for server in self.servers]


GOOD: Attempt = [(1, text("Hi")), (0, STOP + DONE)]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (STALL, "first_timeout"),
        ([(0, ROLE), (FOREVER, b"")], "idle_timeout"),
        ([(0, b"<html>"), (0, b"no</html>")], "not_a_stream"),
        ([], "not_a_stream"),
        ([(0, LOST)], "lost"),
        ([(0, b'data: {"error":{"message":"down"}}\n\n')], "stream_error"),
    ],
)
def test_the_next_one_is_asked_while_nothing_was_delivered(bad: Attempt, kind: str) -> None:
    run = Run([bad], [GOOD])
    run.finished("finish_reason", "marker")
    assert (run.text, run.asked, run.chain.number) == ("Hi", [1, 1], 1)
    (retry,) = [event for event in run.events if isinstance(event, Retry)]
    assert (retry.error.kind, retry.delay) == (kind, 0)
    assert [event.attempt for event in run.events if isinstance(event, Asked)] == [1, 2]
    assert run.outcome.attempts == 2


@pytest.mark.parametrize("end", [(FOREVER, b""), (0, LOST)], ids=["stall", "cut"])
def test_an_answer_that_began_stays(end: tuple[float, bytes | StreamError]) -> None:
    run = Run([[(0, text("Hi")), end]], [GOOD])
    assert (run.text, run.asked, run.chain.number) == ("Hi", [1, 0], 0)


def test_the_last_failure_counts() -> None:
    run = Run([STALL], [[(0, LOST)]])
    run.failed("lost")
    assert run.asked == [1, 1]


def test_the_total_clock_runs_over_all() -> None:
    limits = Limits(timeout=2, first_timeout=1.2, max_retries=0)
    run = Run([STALL], [STALL], [GOOD], limits=limits)
    run.failed("total_timeout")
    assert (run.asked, run.seconds) == ([1, 1, 0], 2)
    run = Run([STALL], [GOOD], limits=Limits(timeout=0.5, max_retries=0))
    run.failed("total_timeout")
    assert run.asked == [1, 0], "no time is left for the second one"
