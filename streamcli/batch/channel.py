"""The channel from a batch's workers to its main thread: bounded, so slow output slows them."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Condition
from typing import Generic, TypeVar

from ..errors import StreamError
from ..events import Event

T = TypeVar("T")
# A task, the milliseconds since its prompt began, and the events of one read; None: it has ended.
Update = tuple[T, float, list[Event] | None]
# An update, the number of a signal, an error of the input, or None: check whether all is done.
Item = Update[T] | int | StreamError | None


class Channel(Generic[T]):
    """Passes updates of tasks `T` from any thread to the main thread.

    A thread that puts an update waits while more than `limit` are in the `queue`, unless the
    channel is closed.
    """

    def __init__(self, limit: int, queue: SimpleQueue[Item[T]] | None = None) -> None:
        self._queue: SimpleQueue[Item[T]] = SimpleQueue() if queue is None else queue
        self._limit = limit
        self._room = Condition()
        self._full = False
        self._closed = False

    def put(self, update: Update[T]) -> None:
        """Pass on an update, and wait while the queue is full."""
        self._queue.put(update)
        if self._queue.qsize() > self._limit:
            with self._room:
                self._full = True  # before the size is read, or `get` could miss this thread
                while self._queue.qsize() > self._limit // 2 and not self._closed:
                    self._room.wait()
                    self._full = True

    def signal(self, item: Item[T]) -> None:
        """Put without waiting: for the main thread itself, and for its signal handler."""
        self._queue.put(item)

    def get(self, timeout: float | None = None) -> Item[T]:
        """Return the next item; raise queue.Empty after `timeout` seconds without one."""
        got = self._queue.get(timeout=timeout)
        if self._full and self._queue.qsize() <= self._limit // 2:
            with self._room:
                self._full = False
                self._room.notify_all()
        return got

    def close(self) -> None:
        """Stop making threads wait: nobody reads the channel any more."""
        with self._room:
            self._closed = True
            self._room.notify_all()
