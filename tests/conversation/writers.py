"""Processes that write to one session, forked by a process without threads.

`append PATH PROCESSES TURNS`, `kill PATH ROUNDS` and `full PATH`. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from streamcli.conversation.conversation import Conversation
from streamcli.conversation.history import carried
from streamcli.errors import StreamError
from streamcli.messages import Message

WHO = ("p", "m")


def say(path: str, name: str, size: int = 1) -> list[str]:
    """Open the session anew, as a run does, and add a turn; return the notes."""
    notes: list[str] = []
    add(Conversation(path, "s", notes.append), name, size)
    return notes


def add(conversation: Conversation, name: str, size: int = 1) -> None:
    """Add a turn with a tool, whose result has that size."""
    answer = [
        Message("assistant", "", tool_calls=((f"call {name}", "look", "{}"),)),
        Message("tool", "x" * size, call_id=f"call {name}", name="look"),
        Message("assistant", f"to {name}"),
    ]
    asked = [Message("user", name)]
    conversation.add(asked, answer, system=None, answerer=WHO, status="")


def fork_each(count: int, work: object) -> list[int]:
    pids = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work(number)  # type: ignore[operator]
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    return pids


def append(path: str, processes: int, turns: int) -> object:
    def work(number: int) -> None:
        for turn in range(turns):
            if turn % 10 == 0:  # a chat of ten turns, then another run
                conversation = Conversation(path, "s", lambda note: None)
            add(conversation, f"{number}.{turn}")

    return [os.waitpid(pid, 0)[1] for pid in fork_each(processes, work)]


def kill(path: str, rounds: int) -> object:
    """Kill a writer at a random moment, go on, and again; return the trouble that was met."""
    source = random.Random(7)
    problems, torn = [], 0
    for number in range(rounds):

        def work(_: int, number: int = number) -> None:
            source.seed(number)
            for turn in range(10**9):
                say(path, f"{number}.{turn}", source.choice((1, 1_000_000, 8_000_000)))

        (pid,) = fork_each(1, work)
        time.sleep(source.random() * 0.02)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        try:
            torn += bool(say(path, f"after {number}"))
            problems += faults(path)
        except Exception as error:
            problems.append(f"{number}: {error!r}")
        if os.path.getsize(path) > 30_000_000:
            os.unlink(path)
    return {"problems": problems, "torn": torn}


def full(path: str) -> object:
    """Add a turn that the disk has no room for; return what is raised, and the sizes."""
    import resource

    say(path, "one")
    before = os.path.getsize(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before + 100, resource.RLIM_INFINITY))
    try:
        say(path, "two", 100_000)
    except StreamError as error:
        return [error.kind, error.message, before, os.path.getsize(path)]
    return []


def faults(path: str) -> list[str]:
    """Return what a provider would refuse in the conversation."""
    found = []
    messages = carried(Conversation(path, "s", lambda note: None).entries, *WHO, with_tools=True)
    roles = [message.role for message in messages]
    if roles != ["user", "assistant", "tool", "assistant"] * (len(roles) // 4):
        found.append(f"roles: {roles[-8:]}")
    calls = [call[0] for message in messages for call in message.tool_calls]
    results = [message.call_id for message in messages if message.role == "tool"]
    if calls != results:
        found.append(f"calls {calls[-3:]} have the results {results[-3:]}")
    return found


if __name__ == "__main__":
    mode, where, *numbers = sys.argv[1:]
    print(
        json.dumps({"append": append, "kill": kill, "full": full}[mode](where, *map(int, numbers)))
    )
