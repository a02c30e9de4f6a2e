"""The threads of a batch: a reader fills the queue, workers ask, the main thread gets updates.

The reader takes from the input lazily. Iterating the `Pool` yields (task, t_ms, events), and
(task, t_ms, None) when a task is over. The channel between the threads is bounded, so a slow reader
of the output slows the sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from queue import Empty
from threading import Thread
from typing import Generic

from ..answer.answer_stream import AnswerStream
from ..errors import StreamError, bug, usage
from ..events import Attempt, Failed, Finished, Retry, Started, Usage
from ..outcome import Outcome
from .channel import Channel, Update
from .queue import Queue
from .task import C, Q, Task

READING = 0.05  # seconds to read a prompt that was there; one that takes longer came just now
GRACE = 2.0  # seconds for running tasks to end by themselves once they are cancelled
# The events that end an answer. They come with its last update: one of their own would wake the
# main thread once more.
_ENDS = (Finished, Failed)
# The events that do not show that a request was accepted: they may come before a refusal.
_NO_ANSWER = (Attempt, Retry, Started, Usage, Failed)


class Pool(Generic[Q, C]):
    """Runs the tasks of an iterable (in a thread: it may wait for input); iterate for the updates.

    `ask` makes the AnswerStream of a task, which asks through the task's client; `client` makes
    the client of a worker, in its thread. With `attempts`, Attempt and Retry are updates too.
    """

    def __init__(
        self,
        tasks: Iterable[Task[Q, C]],
        queue: Queue[Task[Q, C]],
        channel: Channel[Task[Q, C]],
        ask: Callable[[Task[Q, C], C], AnswerStream],
        client: Callable[[], C],
        *,
        clock: Callable[[], float],
        attempts: bool = True,
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._channel = channel
        self._ask = ask
        self._client = client
        self._clock = clock
        self._attempts = attempts
        self._clients: list[C] = []
        self._threads: list[Thread] = []
        self._cancelled: Failed | None = None
        self.has_read_all = False  # the reader has reached the end of the input

    # The main thread's side

    def __iter__(self) -> Iterator[Update[Task[Q, C]] | int | StreamError]:
        """Yield updates, the numbers of signals, and the error of an input that broke."""
        try:
            self._start(self._read)
        except StreamError as error:
            yield error
            return
        deadline: float | None = None
        try:
            while True:
                if self._cancelled is not None and deadline is None:
                    deadline = self._clock() + GRACE
                try:
                    timeout = None if deadline is None else max(0.0, deadline - self._clock())
                    item = self._channel.get(timeout)
                except Empty:
                    yield from self._abandon()
                    return
                if item is None:
                    if self._queue.all_done():
                        return
                    continue
                yield item
                if isinstance(item, tuple) and item[2] is None and self._queue.settle(item[0]):
                    return
        finally:
            self._channel.close()  # or a thread that still puts an update would wait for ever

    def running(self) -> list[Task[Q, C]]:
        """Return the tasks that run."""
        return list(self._queue.running)

    def dropped(self) -> list[Task[Q, C]]:
        """Return the tasks that were taken from the input and not asked, since the last call."""
        return self._queue.dropped()

    def stop(self) -> None:
        """Start nothing new; running tasks go on to their end."""
        self._queue.stop(waiting=False)
        self._wake_if_done()

    def cancel(self, failed: Failed) -> None:
        """Cancel the running tasks, which end as `failed`."""
        if self._cancelled is not None:
            return
        self._cancelled = failed
        for task in self._queue.stop(waiting=True):
            if (update := self._finished(task)) is not None:
                self._channel.signal(update)
        for client in list(self._clients):
            client.cancel()
        self._wake_if_done()

    def _wake_if_done(self) -> None:
        if self._queue.all_done():
            self._channel.signal(None)

    def _abandon(self) -> Iterator[Update[Task[Q, C]]]:
        """End the tasks whose threads do not return in time (they look up a name)."""
        for task in self._queue.unsettled():
            outcome = Outcome()
            if task.answer is not None:
                outcome = copy(task.answer.outcome)
                outcome.t_ms = task.answer.t_ms()
            outcome.end = self._cancelled
            self._queue.finish(task, outcome)
            assert task.outcome is not None
            yield task, task.outcome.t_ms, None

    def join(self, seconds: float) -> None:
        """Wait up to `seconds` for the threads to end; one that looks up a name may not."""
        deadline = self._clock() + seconds
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - self._clock()))

    def _start(self, work: Callable[[], None]) -> None:
        thread = Thread(target=work, name="stream-batch", daemon=True)
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError as error:
            self._threads.remove(thread)
            raise usage(f"no thread to ask with: {error}", "see ulimit -u") from error

    # The reader's side

    def _read(self) -> None:
        try:
            tasks = iter(self._tasks)
            while True:
                began = self._clock()
                if (task := next(tasks, None)) is None:
                    self.has_read_all = True
                    break
                if not self._accept(task, waited_for=self._clock() - began > READING):
                    break
                self._start_worker()
        except StreamError as error:
            self._channel.signal(error)
        except Exception as error:
            self._channel.signal(bug(error))
        if self._queue.end():
            self._channel.signal(None)

    def _accept(self, task: Task[Q, C], *, waited_for: bool) -> bool:
        """Take a task from the input; return whether more are wanted.

        `waited_for`: the input did not have it before now.
        """
        if task.failed is not None:
            return self._fail(task)
        if task.reused is not None:
            return self._reuse(task, task.reused)
        return self._queue.offer(task, waited_for=waited_for)

    def _reuse(self, task: Task[Q, C], answer: AnswerStream) -> bool:
        """Pass on an answer of --reuse, which needs neither a worker nor a gate."""
        moments = list(answer)
        if not self._queue.finish_unasked(task, answer.outcome):
            return False
        for t_ms, events in moments:
            if type(events[0]) not in _ENDS:
                self._channel.put((task, t_ms, events))
        self._channel.put((task, answer.outcome.t_ms, None))
        return True

    def _fail(self, task: Task[Q, C]) -> bool:
        """End a task that cannot be asked."""
        outcome = Outcome()
        outcome.end = task.failed
        if not self._queue.finish_unasked(task, outcome):
            return False
        self._channel.put((task, 0.0, None))
        return True

    def _start_worker(self) -> None:
        """Start one more worker if the queue needs it, and the system has a thread for it."""
        if self._queue.add_worker():
            try:
                self._start(self._work)
            except StreamError:
                if not self._queue.remove_worker():
                    raise

    # A worker's side

    def _work(self) -> None:
        client: C | None = None
        while (task := self._queue.take()) is not None:
            self._start_worker()  # for the tasks that still wait
            failed: Failed | None = None
            try:
                if client is None:
                    client = self._client()
                    self._clients.append(client)
                    if self._cancelled is not None:
                        client.cancel()
                if self._ask_or_put_back(task, client):
                    continue
            except StreamError as error:
                failed = Failed.of(error)
            except Exception as error:
                failed = Failed.of(bug(error))
            if (update := self._finished(task, failed)) is not None:
                self._channel.put(update)
            if client is not None and self._queue.is_drained():
                client.close()  # some servers serve one connection at a time
        if client is not None:
            client.close()
        self._wake_if_done()

    def _ask_or_put_back(self, task: Task[Q, C], client: C) -> bool:
        """Ask, and pass on the events; return whether the task was put back into the queue."""
        gate = task.gate
        task.client = client
        if task.answer is None:
            task.answer = self._ask(task, client)
            task.moments = iter(task.answer)
        elif gate.closed is not None and gate is task.gates[-1]:
            task.answer.stop(copy(gate.closed))  # the gate closed after the task was put back
            return False
        assert task.moments is not None
        put, attempts, answered = self._channel.put, self._attempts, False
        for t_ms, events in task.moments:
            kind = type(events[0])
            if kind not in _ENDS and (attempts or (kind is not Attempt and kind is not Retry)):
                put((task, t_ms, events))
            if not answered and any(type(event) not in _NO_ANSWER for event in events):
                answered = True
                self._queue.answered(task)
            if kind is Retry and task.answer.resumable:
                retry = events[0]
                assert isinstance(retry, Retry)
                if task.gate is not gate:  # the next endpoint is asked
                    self._queue.judge(gate, retry.error)
                return self._queue.put_back(task, retry.delay)
        return False

    def _finished(
        self, task: Task[Q, C], failed: Failed | None = None
    ) -> Update[Task[Q, C]] | None:
        """End the task and return its last update; None if the main thread has ended it.

        `failed` is what stopped it, None if it ended by itself.
        """
        answer = task.answer
        if answer is None:
            outcome = Outcome()
            outcome.end = failed or self._cancelled
        else:
            if failed is not None:
                answer.stop(failed)
            if self._cancelled is not None and not _is_whole(answer.outcome):
                answer.stop(self._cancelled)
            outcome = answer.outcome
        if isinstance(outcome.end, Failed) and self._cancelled is None:
            self._queue.judge(task.gate, outcome.end)
        if not self._queue.finish(task, outcome):
            return None
        return task, outcome.t_ms, None


def _is_whole(outcome: Outcome) -> bool:
    return outcome.end is not None and not isinstance(outcome.end, Failed)
