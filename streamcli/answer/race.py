"""--race: ask several endpoints at once; the first visible text wins, the others are cancelled.

Each racer has a thread of its own, and they share nothing but the queue of their events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from queue import Empty, Queue
from threading import Thread

from ..errors import usage
from ..events import Failed, Finished, Text
from ..outcome import Outcome
from .answer_stream import Moment
from .turn import Turn

_QUEUE_SIZE = 64  # moments; a slow reader then stops the racers, which stop reading their sockets


class Race:
    """Turns at the same time, of which one wins, as one AnswerStream.

    `cancels` holds a function for each racer that interrupts its wait. A whole answer without text
    (a tool call) wins only if no racer has text. If all fail, the failure of the first one counts.
    """

    resumable = False

    def __init__(self, turns: Sequence[Turn], cancels: Sequence[Callable[[], None]]) -> None:
        self._turns = turns
        self._cancels = cancels
        self._moments: Queue[tuple[int, Moment | BaseException | None]] = Queue(_QUEUE_SIZE)
        self._winner: int | None = None  # the index of the racer that won
        self.number = 0  # the same index; 0 as long as nobody has won
        self._stopped: Outcome | None = None

    @property
    def outcome(self) -> Outcome:
        return self._stopped or self._turns[self.number].outcome

    @property
    def began(self) -> float:
        return self._turns[0].began

    def t_ms(self) -> float:
        return self._turns[0].t_ms()

    def __iter__(self) -> Iterator[Moment]:
        for number in range(len(self._turns)):
            try:
                Thread(target=self._run, args=(number,), daemon=True).start()
            except RuntimeError as error:
                raise usage(f"no thread to race in: {error}", "see ulimit -u") from error
        received, running = self._until_text()
        if self._winner is None:
            self._winner = self._best_without_text()
        winner = self.number = self._winner
        self._cancel_all_but(winner)
        yield from received[winner]
        received.clear()
        while winner in running:
            number, moment = self._next()
            if number != winner:
                continue
            if moment is None:
                break
            yield moment
        self._drain()

    def _until_text(self) -> tuple[list[list[Moment]], set[int]]:
        """Return the moments up to the first text, by racer, and the racers still running."""
        received: list[list[Moment]] = [[] for _ in self._turns]
        running = set(range(len(self._turns)))
        while running and self._winner is None:
            number, moment = self._next()
            if moment is None:
                running.discard(number)
                continue
            received[number].append(moment)
            if any(isinstance(event, Text) for event in moment[1]):
                self._winner = number
        return received, running

    def _next(self) -> tuple[int, Moment | None]:
        number, moment = self._moments.get()
        if isinstance(moment, BaseException):
            raise moment
        return number, moment

    def _best_without_text(self) -> int:
        """Return the index of the first racer that finished; 0 if all failed."""
        ends = [turn.outcome.end for turn in self._turns]
        finished = [number for number, end in enumerate(ends) if isinstance(end, Finished)]
        return finished[0] if finished else 0

    def _run(self, number: int) -> None:
        """Run one racer in its thread; None in the queue, or an exception, says that it ended."""
        last: BaseException | None = None
        try:
            for moment in self._turns[number]:
                if self._winner not in (None, number):
                    return
                self._moments.put((number, moment))
        except BaseException as bug:  # `_next` raises it in the thread that iterates
            last = bug
        if self._winner in (None, number):
            self._moments.put((number, last))

    def _cancel_all_but(self, winner: int | None) -> None:
        for number, cancel in enumerate(self._cancels):
            if number != winner:
                cancel()

    def _drain(self) -> None:
        """Empty the queue, so that no racer waits for a place in it."""
        try:
            while True:
                self._moments.get_nowait()
        except Empty:
            pass

    def stop(self, failed: Failed) -> None:
        """End the race from outside; its threads end by themselves, and their moments are lost."""
        stopped = copy(self.outcome)
        stopped.end = failed
        stopped.t_ms = self.t_ms()
        self._stopped = stopped
        self._winner = len(self._turns)  # no racer
        self._cancel_all_but(None)
        self._drain()
