"""The states of a batch's task: the transitions of its docstring, and no others."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from streamcli.batch.limits.gate import Gate
from streamcli.batch.task import Client, State, Task
from streamcli.outcome import Outcome

Prompt = Task[str, Client]

TO: dict[State, Callable[[Prompt], None]] = {
    State.QUEUED: Task.enqueue,
    State.RUNNING: lambda task: task.start(0.0),
    State.WAITING: lambda task: task.wait(1.0),
    State.OVER: lambda task: task.finish(Outcome()),
    State.DONE: Task.settle,
    State.DROPPED: Task.drop,
}
# A way to each state, and the states that may follow it.
WAYS = {
    State.READ: ((), {State.QUEUED, State.OVER, State.DROPPED}),
    State.QUEUED: ((State.QUEUED,), {State.RUNNING, State.DROPPED}),
    State.RUNNING: ((State.QUEUED, State.RUNNING), {State.WAITING, State.OVER}),
    State.WAITING: (
        (State.QUEUED, State.RUNNING, State.WAITING),
        {State.RUNNING, State.OVER},
    ),
    State.OVER: ((State.OVER,), {State.DONE}),
    State.DONE: ((State.OVER, State.DONE), set()),
    State.DROPPED: ((State.DROPPED,), set()),
}


@pytest.mark.parametrize(("now", "then"), list(itertools.product(WAYS, TO)))
def test_a_task_moves_only_as_drawn(now: State, then: State) -> None:
    way, allowed = WAYS[now]
    task: Prompt = Task(0, "question", (Gate(1, 1, lambda: 0.5),))
    for state in way:
        TO[state](task)
    assert task.state is now
    if then in allowed:
        TO[then](task)
        assert task.state is then
    else:
        with pytest.raises(AssertionError, match="prompt 0"):
            TO[then](task)
        assert task.state is now


def test_a_gate_counts_a_task_while_it_runs() -> None:
    gate = Gate(1, 1, lambda: 0.5)
    task: Prompt = Task(0, "question", (gate,))
    task.enqueue()
    assert gate.wait(1.0) == 0
    task.start(1.0)
    assert gate.wait(1.0) == float("inf")
    task.wait(2.0)
    assert gate.wait(2.0) == 0
    task.start(2.0)
    task.finish(Outcome())
    assert gate.wait(3.0) == 0  # the server has ended it, whatever our main thread does
    task.settle()
    assert gate.wait(3.0) == 0
