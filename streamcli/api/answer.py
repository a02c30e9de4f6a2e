"""One answer in Python: iterate over its text as it arrives, then read how it ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from threading import Event as Flag
from typing import TYPE_CHECKING, Any, Self

from ..errors import StreamError, bug
from ..events import Event, Failed, Finished, Text, ToolCall
from ..outcome import Outcome
from .options import checked, invocation_of, key_for
from .outcome import AnswerOutcome

if TYPE_CHECKING:
    from ..answer.answer_stream import AnswerStream
    from ..output.delivery import Delivery
    from .live import Live

Moment = tuple[float, list[Event]]
# Runs a tool's function with its arguments, and returns what it returns.
Call = Callable[[Callable[..., Any], dict[str, Any]], Any]


class Answer:
    """The answer to one prompt; nothing is sent before the first of it is wanted.

    Iterate for its text deltas, or over `events()`. `text`, `value` and `outcome` read what is
    left. However it ends is a value (`outcome`); `raise_for_status` makes an exception of it.
    In a `with` block, leaving it closes the connection. An Answer belongs to one thread, and only
    `cancel` may be called from another.
    """

    def __init__(self, prompt: str, given: Mapping[str, Any], *, call: Call | None = None) -> None:
        given = checked(given, awaits=call is not None)
        if not isinstance(prompt, str):
            raise TypeError(f"the prompt has to be a str, not {type(prompt).__name__}")
        self.prompt = prompt
        self.notes: list[str] = []  # remarks that the command writes on stderr
        self.tool_calls: list[ToolCall] = []
        self._given = given
        self._call = call
        self._text: list[str] = []
        self._over = Flag()
        self._live: Live | None = None
        self._answer: AnswerStream | None = None
        self._delivery: Delivery | None = None
        self._nothing = Outcome()  # of a prompt that is not asked
        self._cause: BaseException | None = None
        self._outcome: AnswerOutcome | None = None
        self._moments = self._run()

    # Reading

    def moments(self) -> Iterator[Moment]:
        """Return what each network read that is still to come brings: its time and events."""
        return self._moments

    def __iter__(self) -> Iterator[str]:
        """Return the text deltas that are still to come, each as it arrives."""
        for _, event in self.events():
            if isinstance(event, Text) and not event.choice:
                yield event.text

    def events(self) -> Iterator[tuple[float, Event]]:
        """Return the events that are still to come, with milliseconds since the request began."""
        for t_ms, events in self._moments:
            for event in events:
                yield t_ms, event

    def read(self) -> Self:
        """Read what is left of the answer."""
        for _ in self._moments:
            pass
        return self

    @property
    def text(self) -> str:
        """The whole text, as far as it came."""
        self.read()
        return "".join(self._text)

    @property
    def value(self) -> Any:
        """The JSON value that the text is; ValueError if it is not one."""
        from ..wire.lenient_json import json_values

        values = json_values(self.text.encode())
        if len(values) != 1:
            raise ValueError(f"the answer is not one JSON value, but {len(values)}")
        return values[0]

    @property
    def outcome(self) -> AnswerOutcome:
        """How the answer ended: the verdict, finish reason, usage and timings."""
        self.read()
        assert self._outcome is not None
        return self._outcome

    def raise_for_status(self) -> Self:
        """Raise an AnswerError if the answer did not end well; otherwise return it."""
        self.outcome.raise_for_status()
        return self

    # Ending

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the answer: close its connection, if it is not over."""
        self._moments.close()
        if self._outcome is None:  # it never began
            self._end(Failed("interrupted", "the answer was closed before its end"))
            self._finish()

    def cancel(self) -> None:
        """Break the answer off, from any thread: who reads it finds its end."""
        self._over.set()
        if self._live is not None:
            self._live.cancel()

    def settle(self, outcome: AnswerOutcome) -> None:
        """End an answer that another reader has read (`keep`): that of a batch."""
        self._outcome = outcome
        self._moments.close()

    # Asking

    def _run(self) -> Generator[Moment, None, None]:
        try:
            for moment in self._ask():
                self.keep(moment[1])
                yield moment
                if self._over.is_set():
                    break
        except StreamError as error:
            self._end(Failed.of(error))
        except Exception as error:
            self._cause = error
            self._end(Failed.of(bug(error)))
        except BaseException:  # closed, ^C
            self._end(Failed("interrupted", "the answer was closed before its end"))
            raise
        finally:
            self._finish()

    def _ask(self) -> Iterator[Moment]:
        from ..output.delivery import Delivery
        from ..providers.context import context_of
        from ..terminal.messages import Messages
        from .live import Live

        if self._over.is_set():
            return
        environ = dict(os.environ)
        invocation = invocation_of(self.prompt, self._given, environ)
        messages = Messages()
        messages.above = self.notes.append
        context = context_of(
            invocation, messages, environ=environ, clock=time.monotonic, closed_fds=(0,)
        )
        context.key_for = key_for(self._given)
        self._delivery = Delivery(invocation.settings)
        if functions := self._given.get("tools"):
            from ..tools.functions import FunctionTools

            context.tools = FunctionTools(
                functions, invocation.settings, self._call, clock=time.monotonic
            )
        self._live = live = Live(invocation, context, sleep=self._over.wait)
        stream = live.prepare()
        if not invocation.settings.race:
            self._delivery.settings = live.endpoints[0].settings
        if live.matching is not None:
            self._delivery.check(live.matching)
        self._answer = stream = live.saving(stream)
        for t_ms, events in stream:
            self._delivery.emit(t_ms, events)
            yield t_ms, events

    def keep(self, events: list[Event]) -> None:
        """Keep the text and the tool calls of one read."""
        for event in events:
            if isinstance(event, Text) and not event.choice:
                self._text.append(event.text)
            elif isinstance(event, ToolCall):
                self.tool_calls.append(event)

    def _end(self, failed: Failed) -> None:
        if self._answer is None:
            self._nothing.end = failed
        elif self._answer.outcome.end is None:
            self._answer.stop(failed)

    def _finish(self) -> None:
        """Close everything, and settle the outcome."""
        if self._outcome is not None:
            return
        from ..output.delivery import Delivery
        from ..settings.settings import Settings

        outcome = self._nothing if self._answer is None else self._answer.outcome
        if self._over.is_set() and not isinstance(outcome.end, Finished):
            outcome.end = Failed("interrupted", "the answer was cancelled")
        source = ("", "", "")
        if self._live is not None:
            self._live.close(outcome.end)
            if self._live.endpoints:
                endpoint = self._live.endpoints[self._answer.number if self._answer else 0]
                source = endpoint.source
                endpoint.price(outcome)
        delivery = self._delivery or Delivery(Settings(format="jsonl"))
        verdict = delivery.close(outcome)
        self._outcome = AnswerOutcome(outcome, verdict, source, self._cause)
