"""A batch's tasks, and what its workers tell the main thread of them. No edges."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Condition
from typing import Protocol

from ..answer.answer_stream import AnswerStream, Moment
from ..errors import StreamError
from ..events import Event, Failed
from ..outcome import Outcome
from .limits import Entry, Gate


class Client(Protocol):
    """What a worker asks through; `cancel` comes from another thread.

    `close` hangs up: it may be used again, and connects anew.
    """

    def cancel(self) -> None: ...
    def close(self) -> None: ...


class Task:
    """One prompt for one model (or a race, or fallbacks): its place, and its state.

    `sequence` counts the tasks, `gates` are those of whom it may ask. `failed` is why it cannot
    be asked at all. `outcome` is set once it is over. A worker has it while it is `let` through
    a gate, of which `entry` is what that has to know.
    """

    __slots__ = (
        "asking",
        "client",
        "entry",
        "failed",
        "gates",
        "let",
        "moments",
        "not_before",
        "outcome",
        "retries",
        "sequence",
        "what",
    )

    def __init__(
        self, sequence: int, what: object, gates: tuple[Gate, ...], failed: Failed | None = None
    ) -> None:
        self.sequence = sequence
        self.what = what  # the owner's
        self.gates = gates
        self.failed = failed
        self.asking: AnswerStream | None = None
        self.moments: Iterator[Moment] | None = None
        self.client: Client | None = None  # of the worker that has it now
        self.entry = Entry()
        self.let: Gate | None = None
        self.not_before = 0.0
        self.retries = 0
        self.outcome: Outcome | None = None

    @property
    def gate(self) -> Gate:
        return self.gates[self.asking.number if self.asking is not None else 0]

    @property
    def started(self) -> bool:
        return self.asking is not None

    @property
    def hopeless(self) -> bool:
        """It was not asked yet, and nobody is left to ask."""
        return self.asking is None and all(gate.closed is not None for gate in self.gates)


News = tuple[Task, float, list[Event] | None]
# What the main thread is told: a signal's number, trouble with the input, None for the end too.
Word = News | int | StreamError | None


class Channel:
    """From the workers to the main thread. Whoever has put too much waits."""

    def __init__(self, limit: int) -> None:
        self._queue: SimpleQueue[Word] = SimpleQueue()
        self._limit = limit
        self._room = Condition()
        self._full = False

    def put(self, news: News) -> None:
        self._queue.put(news)
        if self._queue.qsize() > self._limit:
            with self._room:
                self._full = True  # before the look, so that either side sees what the other did
                while self._queue.qsize() > self._limit // 2:
                    self._room.wait()
                    self._full = True

    def signal(self, what: Word) -> None:
        """Never waits: for the main thread itself, and for its signal handler."""
        self._queue.put(what)

    def get(self, timeout: float | None = None) -> Word:
        got = self._queue.get(timeout=timeout)
        if self._full and self._queue.qsize() <= self._limit // 2:
            with self._room:
                self._full = False
                self._room.notify_all()
        return got
