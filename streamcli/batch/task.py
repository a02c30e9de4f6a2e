r"""A prompt of a batch: its state, and the transitions between its states.

    READ ----> QUEUED ----> RUNNING ----> OVER ----> DONE
     |  \         |         ^     |       ^  ^
     |   \        v         |     v       |  |
     |    +--> DROPPED      +- WAITING ---+  |
     +---------------------------------------+

* READ to QUEUED: the reader offers it, and there is room. To OVER: it is not asked (a bad line, or
  an answer of --reuse).
* QUEUED or WAITING to RUNNING: a worker takes it, through the gate of its endpoint.
* RUNNING to WAITING: any worker asks it again later. To OVER: it has its outcome.
* WAITING to OVER: the batch is cancelled.
* OVER to DONE: the main thread has handled the end. Until then the task counts as running, so a
  slow writer stops new requests.
* READ or QUEUED to DROPPED: the batch stops, or its endpoints are closed, before it is asked.

The `Queue` makes the transitions, with its lock held.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Generic, Protocol, TypeVar

from ..answer.answer_stream import AnswerStream, Moment
from ..events import Failed
from ..outcome import Outcome
from .limits.gate import Entry, Gate


class State(Enum):
    READ = "read"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    OVER = "over"
    DONE = "done"
    DROPPED = "dropped"


_BEFORE = {
    State.READ: (),
    State.QUEUED: (State.READ,),
    State.RUNNING: (State.QUEUED, State.WAITING),
    State.WAITING: (State.RUNNING,),
    State.OVER: (State.READ, State.RUNNING, State.WAITING),
    State.DONE: (State.OVER,),
    State.DROPPED: (State.READ, State.QUEUED),
}


class Client(Protocol):
    """The connections of one worker.

    `cancel` is called from another thread. `close` closes the connections; the client may be used
    again, and connects anew.
    """

    def cancel(self) -> None: ...
    def close(self) -> None: ...


Q = TypeVar("Q")  # the question, which tasks and queue do not look into
C = TypeVar("C", bound=Client)


class Task(Generic[Q, C]):
    """One prompt for one route (a model, a race, or a model with its fallbacks).

    `sequence` numbers the tasks. `gates` are those of the endpoints that it may ask. `failed` is
    the reason why it cannot be asked at all. `tokens` is the estimated size of the prompt.
    """

    __slots__ = (
        "always_ends",
        "answer",
        "arrived",
        "client",
        "entry",
        "failed",
        "gates",
        "reused",
        "moments",
        "not_before",
        "outcome",
        "passed",
        "question",
        "queue_ms",
        "retries",
        "sequence",
        "state",
        "tokens",
    )

    def __init__(
        self,
        sequence: int,
        question: Q,
        gates: tuple[Gate, ...],
        failed: Failed | None = None,
        *,
        tokens: int = 0,
    ) -> None:
        self.state = State.READ
        self.sequence = sequence
        self.question = question
        self.gates = gates
        self.failed = failed
        self.tokens = tokens
        self.always_ends = False  # it fails, instead of being dropped, if its endpoints are closed
        self.reused: AnswerStream | None = None  # its answer, if --reuse has it
        self.answer: AnswerStream | None = None  # set when it starts for the first time
        self.moments: Iterator[Moment] | None = None  # the rest of the answer
        self.client: C | None = None  # of the worker that has it, or had it last
        self.entry = Entry()  # the gate's facts about this prompt
        self.passed: Gate | None = None  # the gate that counts its request as running
        self.not_before = 0.0  # the earliest time of the next attempt
        self.arrived = 0.0  # when it was read, if the input had to be waited for
        self.queue_ms: float | None = None  # how late it started by the schedule of --rate
        self.retries = 0
        self.outcome: Outcome | None = None  # once it is over

    # Transitions

    def enqueue(self) -> None:
        self._move(State.QUEUED)

    def start(self, now: float) -> None:
        self._move(State.RUNNING)
        self.passed = self.gate
        self.passed.started(self.entry, now, self.tokens)

    def wait(self, until: float) -> None:
        """Leave the worker until another attempt, which may be at another endpoint's gate."""
        self._move(State.WAITING)
        self.not_before = until
        self._leave()
        if self.gate is not self.passed:
            self.entry = Entry()
        self.passed = None

    def finish(self, outcome: Outcome) -> None:
        self._move(State.OVER)
        self.outcome = outcome
        outcome.queue_ms = self.queue_ms
        self.moments = self.client = None
        self._leave(outcome.usage.total_tokens)

    def settle(self) -> None:
        self._move(State.DONE)
        self.answer = None  # it knows this task: without a cycle both are freed at once

    def drop(self) -> None:
        self._move(State.DROPPED)

    def _move(self, state: State) -> None:
        assert self.state in _BEFORE[state], f"prompt {self.sequence}: {self.state} to {state}"
        self.state = state

    def _leave(self, tokens: int | None = None) -> None:
        if self.passed is not None:
            self.passed.ended(self.entry, tokens)

    # Questions

    @property
    def number(self) -> int:
        """The index of the endpoint that is asked, or would be asked first."""
        return self.answer.number if self.answer is not None else 0

    @property
    def gate(self) -> Gate:
        return self.gates[self.number]

    @property
    def started(self) -> bool:
        return self.answer is not None

    @property
    def is_hopeless(self) -> bool:
        """Whether it is to be dropped: not asked yet, and all of its endpoints are closed."""
        if self.answer is not None or self.always_ends:
            return False
        return all(gate.closed is not None for gate in self.gates)
