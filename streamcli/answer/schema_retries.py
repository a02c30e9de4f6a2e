"""--schema-retries: ask again, and name the fault, while an answer does not match its schema.

The events of an answer are held back until it is checked, so nothing is written that would have
to be taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..events import Attempt, Failed, Finished, Retry, Usage
from ..messages import ChatRequest, Message
from ..outcome import Outcome
from .answer_stream import Moment
from .assistant_message import AssistantMessage
from .tool_loop import AskRound, sum_of

_WHOLE = (None, "stop", "other")  # the finish reasons of an answer that is worth a check


class SchemaRetries:
    """A prompt that is asked until its answer matches, as one AnswerStream.

    `problem` returns why a text does not match, "" if it does. `outcome.usage` is the sum of all.
    `repeats_prompt`: the provider sees the last message only, so that repeats the prompt too.
    """

    def __init__(
        self,
        chat: ChatRequest,
        ask: AskRound,
        problem: Callable[[str], str],
        retries: int,
        *,
        repeats_prompt: bool = False,
    ) -> None:
        self._chat = chat
        self._ask = ask
        self._problem = problem
        self._retries = retries
        self._repeats_prompt = repeats_prompt
        self._used: Usage | None = None  # the usage of the answers before this one
        self._current = ask(chat, 1, None)

    @property
    def resumable(self) -> bool:
        return self._current.resumable

    @property
    def outcome(self) -> Outcome:
        return self._current.outcome

    @property
    def number(self) -> int:
        return self._current.number

    def t_ms(self) -> float:
        return self._current.t_ms()

    def stop(self, failed: Failed) -> None:
        self._current.stop(failed)
        self._add_usage()

    def __iter__(self) -> Iterator[Moment]:
        for left in range(self._retries, -1, -1):
            answer = AssistantMessage()
            moments: list[Moment] = []
            for t_ms, events in self._current:
                answer.add(events)
                if isinstance(events[0], Attempt | Retry):  # the caller may leave at a Retry
                    yield t_ms, events
                elif not isinstance(events[-1], Finished | Failed):
                    moments.append((t_ms, events))
            self._add_usage()
            end = self.outcome.end
            assert end is not None
            text = answer.message().text
            fault = self._fault(end, text) if left else ""
            if not fault:
                yield from moments
                yield self.outcome.t_ms, [end]
                return
            failed = Failed("mismatch", f"the answer does not match --schema: {fault}")
            yield self.t_ms(), [Retry(self.outcome.attempts, failed, 0.0)]
            self._used = self.outcome.usage
            self._current = self._ask(self._corrected(text, fault), 1, self._current)

    def _fault(self, end: Finished | Failed, text: str) -> str:
        """Return why a whole answer does not match; "" if it does, or is not worth a check."""
        if isinstance(end, Failed) or end.reason not in _WHOLE or self.outcome.open_call:
            return ""
        return self._problem(text)

    def _corrected(self, text: str, fault: str) -> ChatRequest:
        """Return the request with the answer and its fault after the prompt."""
        messages = self._chat.messages
        if not text.strip():  # providers refuse an empty message
            return self._chat
        words = f"That does not match the JSON Schema: {fault}. Answer again, with JSON alone."
        if self._repeats_prompt:
            words = f"{messages[-1].text}\n\n{words}"
        return self._chat.but(
            messages=[*messages, Message("assistant", text), Message("user", words)]
        )

    def _add_usage(self) -> None:
        """Add the usage of the earlier answers to this one's, once."""
        used, self._used = self._used, None
        if used is not None:
            self.outcome.usage = sum_of(used, self.outcome.usage)
