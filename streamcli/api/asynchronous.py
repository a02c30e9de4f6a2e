"""An answer for asyncio: read in a thread, through a bounded queue, at the reader's pace."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from typing import Any, Self

from ..events import Event, Text, ToolCall
from .answer import Answer, Moment
from .outcome import AnswerOutcome

_AHEAD = 64  # network reads that may wait in the queue


class AsyncAnswer:
    """The answer to one prompt, for `async for`; see Answer, whose names it has.

    `text`, `value` and `outcome` can be used once it is read: `await answer.read()`. Cancelling the
    task that reads it, or leaving its `async with` block, closes the connection.
    """

    def __init__(self, prompt: str, options: Mapping[str, Any]) -> None:
        self._answer = Answer(prompt, options, call=self._run_function)
        self._queue: queue.Queue[Moment | None] = queue.Queue(_AHEAD)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived = asyncio.Event()  # set when something is in the queue
        self._thread: threading.Thread | None = None
        self._ended = False
        self._tool: Future[Any] | None = None  # the coroutine of a tool, in the loop

    @property
    def prompt(self) -> str:
        return self._answer.prompt

    @property
    def notes(self) -> list[str]:
        return self._answer.notes

    @property
    def tool_calls(self) -> list[ToolCall]:
        return self._answer.tool_calls

    async def __aiter__(self) -> AsyncIterator[str]:
        async for _, event in self.events():
            if isinstance(event, Text) and not event.choice:
                yield event.text

    async def events(self) -> AsyncIterator[tuple[float, Event]]:
        """Return the events that are still to come, with milliseconds since the request began."""
        while (moment := await self._next()) is not None:
            t_ms, events = moment
            for event in events:
                yield t_ms, event

    async def read(self) -> Self:
        """Read the rest of the answer."""
        while await self._next() is not None:
            pass
        return self

    @property
    def text(self) -> str:
        """The whole text; of a broken answer, the text that came. RuntimeError before `read`."""
        return self._read().text

    @property
    def value(self) -> Any:
        """The JSON value that the text is; ValueError if it is not one."""
        return self._read().value

    @property
    def outcome(self) -> AnswerOutcome:
        """How the answer ended; RuntimeError before `read`."""
        return self._read().outcome

    def raise_for_status(self) -> Self:
        """Raise an AnswerError if the answer did not end well; otherwise return it."""
        self.outcome.raise_for_status()
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, if the answer is not over, and end the thread."""
        self._ended = True
        if self._thread is None:
            self._answer.close()
            return
        self._answer.cancel()
        if self._tool is not None:
            self._tool.cancel()
        while self._thread.is_alive():
            self._drain()
            self._arrived.clear()
            if self._thread.is_alive() and self._queue.empty():
                await self._wait(0.1)
        self._thread.join()

    def _read(self) -> Answer:
        if not self._ended:
            raise RuntimeError("the answer is not over: await answer.read() first")
        return self._answer

    async def _next(self) -> Moment | None:
        if self._ended:
            return None
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, name="stream", daemon=True)
            self._thread.start()
        try:
            while True:
                self._arrived.clear()
                try:
                    moment = self._queue.get_nowait()
                except queue.Empty:
                    await self._arrived.wait()
                    continue
                if moment is None:
                    self._ended = True
                    self._thread.join()
                return moment
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._arrived.wait(), seconds)
        except TimeoutError:
            pass

    def _drain(self) -> None:
        try:
            while True:
                self._queue.get_nowait()
        except queue.Empty:
            pass

    # In the thread

    def _work(self) -> None:
        for moment in self._answer.moments():
            self._put(moment)
        self._put(None)

    def _put(self, moment: Moment | None) -> None:
        self._queue.put(moment)
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:  # the loop is closed: nobody reads any more
            self._answer.cancel()

    def _run_function(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Run a tool's function: a coroutine in the event loop, any other in this thread."""
        result = function(**arguments)
        if not asyncio.iscoroutine(result):
            return result
        assert self._loop is not None
        self._tool = running = asyncio.run_coroutine_threadsafe(result, self._loop)
        if self._ended:  # meanwhile
            running.cancel()
        return running.result()
