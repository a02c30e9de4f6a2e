"""One answer in Python: its text as it arrives, and its outcome."""

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
    from .network_source import NetworkSource

Moment = tuple[float, list[Event]]
# Runs a tool's function with its arguments, and returns what it returns.
Call = Callable[[Callable[..., Any], dict[str, Any]], Any]


class Answer:
    """The answer to one prompt; nothing is sent before you read from it.

    Iterate over it for its text deltas, or over `events()`. `text`, `value` and `outcome` read the
    rest first. Errors are values in `outcome`; `raise_for_status` raises them. Leaving a `with`
    block closes the connection. An Answer belongs to one thread; only `cancel` may be called from
    another one.
    """

    def __init__(
        self, prompt: str, options: Mapping[str, Any], *, call: Call | None = None
    ) -> None:
        options = checked(options, awaits=call is not None)
        if not isinstance(prompt, str):
            raise TypeError(f"the prompt has to be a str, not {type(prompt).__name__}")
        self.prompt = prompt
        self.notes: list[str] = []  # remarks that the command writes on stderr
        self.tool_calls: list[ToolCall] = []
        self._options = options
        self._call = call
        self._text: list[str] = []
        self._over = Flag()
        self._source: NetworkSource | None = None
        self._answer: AnswerStream | None = None
        self._delivery: Delivery | None = None
        self._unasked = Outcome()  # the outcome of a prompt that is not asked
        self._cause: BaseException | None = None
        self._outcome: AnswerOutcome | None = None
        self._moments = self._run()

    # Reading

    def moments(self) -> Iterator[Moment]:
        """Return (milliseconds, events) of each network read that is still to come."""
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
        """Read the rest of the answer."""
        for _ in self._moments:
            pass
        return self

    @property
    def text(self) -> str:
        """The whole text; of a broken answer, the text that came."""
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
        """Close the connection, if the answer is not over."""
        self._moments.close()
        if self._outcome is None:  # it never began
            self._end(Failed("interrupted", "the answer was closed before its end"))
            self._finish()

    def cancel(self) -> None:
        """Cancel the answer, from any thread; a reader then comes to its end."""
        self._over.set()
        if self._source is not None:
            self._source.cancel()

    def settle(self, outcome: AnswerOutcome) -> None:
        """End an answer of a batch, whose events came through `keep`."""
        self._outcome = outcome
        self._moments.close()

    # Asking

    def _run(self) -> Generator[Moment, None, None]:
        """Ask, and turn every error into the end of the answer."""
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
        """Ask, and yield what each network read brings."""
        from ..output.delivery import Delivery
        from ..providers.context import context_of
        from ..terminal.messages import Messages
        from .network_source import NetworkSource

        if self._over.is_set():
            return
        environ = dict(os.environ)
        invocation = invocation_of(self.prompt, self._options, environ)
        messages = Messages()
        messages.above = self.notes.append
        context = context_of(
            invocation, messages, environ=environ, clock=time.monotonic, closed_fds=(0,)
        )
        context.key_for = key_for(self._options)
        self._delivery = Delivery(invocation.settings)
        if functions := self._options.get("tools"):
            from ..tools.functions import FunctionTools

            context.tools = FunctionTools(
                functions, invocation.settings, self._call, clock=time.monotonic
            )
        self._source = source = NetworkSource(invocation, context, sleep=self._over.wait)
        stream = source.prepare()
        if not invocation.settings.race:
            self._delivery.settings = source.endpoints[0].settings
        if source.matching is not None:
            self._delivery.check(source.matching)
        self._answer = stream = source.saving(stream)
        for t_ms, events in stream:
            self._delivery.emit(t_ms, events)
            yield t_ms, events

    def keep(self, events: list[Event]) -> None:
        """Keep the text and the tool calls of one network read."""
        for event in events:
            if isinstance(event, Text) and not event.choice:
                self._text.append(event.text)
            elif isinstance(event, ToolCall):
                self.tool_calls.append(event)

    def _end(self, failed: Failed) -> None:
        if self._answer is None:
            self._unasked.end = failed
        elif self._answer.outcome.end is None:
            self._answer.stop(failed)

    def _finish(self) -> None:
        """Close everything, and set the outcome."""
        if self._outcome is not None:
            return
        from ..output.delivery import Delivery
        from ..settings.settings import Settings

        outcome = self._unasked if self._answer is None else self._answer.outcome
        if self._over.is_set() and not isinstance(outcome.end, Finished):
            outcome.end = Failed("interrupted", "the answer was cancelled")
        asked = ("", "", "")
        if self._source is not None:
            self._source.close(outcome.end)
            if self._source.endpoints:
                endpoint = self._source.endpoints[self._answer.number if self._answer else 0]
                asked = endpoint.source
                endpoint.price(outcome)
        delivery = self._delivery or Delivery(Settings(format="jsonl"))
        verdict = delivery.close(outcome)
        self._outcome = AnswerOutcome(outcome, verdict, asked, self._cause)
