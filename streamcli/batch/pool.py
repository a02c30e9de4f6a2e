"""Many prompts at once: threads that ask, one that hears. No edges in here: they are arguments.

A reader thread fills the `Queue` (lazily), workers take tasks from it, and whoever iterates the
`Batch`, the main thread, gets what comes: (task, t_ms, events), and (task, t_ms, None) when it is
over. The channel between is bounded, so a slow reader of the output slows the sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from queue import Empty, SimpleQueue
from threading import Thread

from ..answer.answer_stream import AnswerStream
from ..errors import StreamError, bug, usage
from ..events import Attempt, Failed, Finished, Retry, Started, Usage
from ..outcome import Outcome
from .limits import Pace
from .queue import Queue
from .task import Channel, Client, News, Task

GRACE = 2.0  # seconds for those in flight to end by themselves once they are cancelled
_ENDS = (Finished, Failed)  # told by the last news: each more wakes the main thread
_NO_ANSWER = (Attempt, Retry, Started, Usage, Failed)  # may come before a refusal, or are one


class Batch:
    """Runs the tasks of an iterable (in a thread: it may wait for input); iterate it for the news.

    `ask` makes the AnswerStream of a task, which asks through `task.client` and has `pause` for its
    decisions; `client` makes what a worker asks through, in its thread. `interrupted` is how
    tasks end that `cancel` broke off.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        ask: Callable[[Task], AnswerStream],
        client: Callable[[], Client],
        *,
        jobs: int,
        pace: Pace,
        delay: Callable[[Failed, int], float | None],
        clock: Callable[[], float],
        attempts: bool = True,
    ) -> None:
        """`delay` is what to wait by the rules for one prompt; `attempts`: Attempt and Retry are
        news too.
        """
        self.channel = Channel(max(64, 4 * jobs))
        self.queue = Queue(jobs, pace, clock)
        self.unasked = 0
        self._tasks = tasks
        self._ask = ask
        self._client = client
        self._delay = delay
        self._clock = clock
        self._attempts = attempts
        self._clients: list[Client] = []
        self._cancelled: Failed | None = None
        self._dropped: SimpleQueue[Task] = SimpleQueue()
        self.queue.unasked = self._dropped.put

    # The main thread's side

    def __iter__(self) -> Iterator[News | int | StreamError]:
        """News, numbers of signals that `channel.signal` was told, and trouble with the input."""
        try:
            _start(self._read)
        except StreamError as error:
            yield error
            return
        deadline: float | None = None
        while True:
            if self._cancelled is not None and deadline is None:
                deadline = self._clock() + GRACE
            try:
                timeout = None if deadline is None else max(0.0, deadline - self._clock())
                news = self.channel.get(timeout)
            except Empty:
                yield from self._left_behind()
                return
            if news is None:
                if self.queue.all_done():
                    return
                continue
            yield news
            if isinstance(news, tuple) and news[2] is None and self.queue.ended(news[0]):
                return

    def dropped(self) -> list[Task]:
        """Tasks that were taken from the input and then not asked, since the last call."""
        tasks = []
        while not self._dropped.empty():
            tasks.append(self._dropped.get())
        self.unasked += len(tasks)
        return tasks

    def stop(self) -> None:
        """Starts nothing new; what runs goes on to its end."""
        self.queue.stop(waiting=False)
        if self.queue.all_done():
            self.channel.signal(None)

    def cancel(self, failed: Failed) -> None:
        """Breaks off all that runs, which ends as `failed`."""
        if self._cancelled is not None:
            return
        self._cancelled = failed
        for task in self.queue.stop(waiting=True):
            self.channel.signal(self._last_news(task))
        for client in list(self._clients):
            client.cancel()
        if self.queue.all_done():
            self.channel.signal(None)

    def _left_behind(self) -> Iterator[News]:
        """Those whose threads do not come back (a name is being looked up): ended all the same."""
        for task in self.queue.left():
            if (outcome := task.outcome) is None:
                outcome = Outcome()
                if task.asking is not None:
                    outcome = copy(task.asking.outcome)
                    outcome.t_ms = task.asking.t_ms()
                outcome.end = self._cancelled
                task.outcome = outcome
            yield task, outcome.t_ms, None

    # The reader's side

    def _read(self) -> None:
        try:
            for task in self._tasks:
                wanted = self._refuse(task) if task.failed is not None else self.queue.offer(task)
                if not wanted:
                    self._dropped.put(task)
                    break
                self._hire()
        except StreamError as error:
            self.channel.signal(error)
        except Exception as error:
            self.channel.signal(bug(error))
        if self.queue.end():
            self.channel.signal(None)

    def _refuse(self, task: Task) -> bool:
        if not self.queue.refuse(task):
            return False
        task.outcome = Outcome()
        task.outcome.end = task.failed
        self.channel.put((task, 0.0, None))
        return True

    def _hire(self) -> None:
        if self.queue.hire():
            try:
                _start(self._work)
            except StreamError:
                if not self.queue.unhire():
                    raise

    # A worker's side

    def _work(self) -> None:
        client: Client | None = None
        while (task := self.queue.take()) is not None:
            self._hire()  # who looks after those that still wait
            try:
                if client is None:
                    client = self._client()
                    self._clients.append(client)
                    if self._cancelled is not None:
                        client.cancel()
                task.client = client
                if self._put_back(task):
                    continue
            except StreamError as error:
                self._stop(task, Failed.of(error))
            except Exception as error:
                self._stop(task, Failed.of(bug(error)))
            self.channel.put(self._last_news(task))
            if client is not None and self.queue.dry():
                client.close()  # some servers hear one connection at a time
        if self.queue.all_done():
            self.channel.signal(None)

    def _put_back(self, task: Task) -> bool:
        """Asks, and tells what comes, until it is over (False) or is to be gone on with later."""
        gate = task.gate
        if task.asking is None:
            task.asking = self._ask(task)
            task.moments = iter(task.asking)
        elif gate.closed is not None and gate is task.gates[-1]:
            task.asking.stop(copy(gate.closed))  # since it was put back
            return False
        assert task.moments is not None
        put, attempts, answered = self.channel.put, self._attempts, False
        for t_ms, events in task.moments:
            kind = type(events[0])
            if kind not in _ENDS and (attempts or (kind is not Attempt and kind is not Retry)):
                put((task, t_ms, events))
            if not answered and any(type(event) not in _NO_ANSWER for event in events):
                answered = True
                self.queue.answered(task)
            if kind is Retry and task.asking.resumable:
                retry = events[0]
                assert isinstance(retry, Retry)
                if task.gate is not gate:  # that one is done with: the next is asked
                    self.queue.judge(gate, retry.error)
                return self.queue.put_back(task, retry.delay)
        return False

    def _stop(self, task: Task, failed: Failed) -> None:
        if task.asking is not None:
            task.asking.stop(failed)
        else:
            task.outcome = Outcome()
            task.outcome.end = failed

    def _last_news(self, task: Task) -> News:
        if task.outcome is None:
            assert task.asking is not None
            if self._cancelled is not None and not _whole(task.asking.outcome):
                task.asking.stop(self._cancelled)
            task.outcome = task.asking.outcome
        end = task.outcome.end
        if isinstance(end, Failed) and self._cancelled is None:
            self.queue.judge(task.gate, end)
        task.moments = task.client = None
        return task, task.outcome.t_ms, None

    # What an AnswerStream decides by

    def pause(self, task: Task) -> Callable[[Failed, int], float | None]:
        """A 429 holds its provider and costs the prompt nothing; other retries are counted."""

        def pause(failed: Failed, attempt: int) -> float | None:
            if task.gate.closed is not None or self._cancelled is not None:
                return None
            waits = failed.kind == "rate_limit" and failed.transient
            if waits and failed.should_retry is not False:
                return self.queue.limited(task, failed)
            wait = self._delay(failed, task.retries + 1)
            if wait is None or not self.queue.spend():
                return None
            task.retries += 1
            return wait

        return pause


def _start(work: Callable[[], None]) -> None:
    try:
        Thread(target=work, daemon=True).start()
    except RuntimeError as error:
        raise usage(f"no thread to ask with: {error}", "see ulimit -u") from error


def _whole(outcome: Outcome) -> bool:
    return outcome.end is not None and not isinstance(outcome.end, Failed)
