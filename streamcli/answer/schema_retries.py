"""--schema-retries: ask again, with the fault, while an answer does not match its schema.

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
    """A prompt whose answer is asked for until it matches, as one AnswerStream.

    `problem` returns what a text does not match, "" if it does. The usage is that of all answers.
    `repeats`: the provider keeps no conversation, so the prompt is sent again with the fault.
    """

    def __init__(
        self,
        chat: ChatRequest,
        ask: AskRound,
        problem: Callable[[str], str],
        retries: int,
        *,
        repeats: bool = False,
    ) -> None:
        self._chat = chat
        self._ask = ask
        self._problem = problem
        self._retries = retries
        self._repeats = repeats
        self._used: Usage | None = None  # by the answers before this one
        self._asking = ask(chat, 1, None)

    @property
    def resumable(self) -> bool:
        return self._asking.resumable

    @property
    def outcome(self) -> Outcome:
        return self._asking.outcome

    @property
    def number(self) -> int:
        return self._asking.number

    def t_ms(self) -> float:
        return self._asking.t_ms()

    def stop(self, failed: Failed) -> None:
        self._asking.stop(failed)
        self._count()

    def __iter__(self) -> Iterator[Moment]:
        for left in range(self._retries, -1, -1):
            answer = AssistantMessage()
            held: list[Moment] = []
            for t_ms, events in self._asking:
                answer.add(events)
                if isinstance(events[0], Attempt | Retry):  # it may be left at a Retry
                    yield t_ms, events
                elif not isinstance(events[-1], Finished | Failed):
                    held.append((t_ms, events))
            self._count()
            end = self.outcome.end
            assert end is not None
            text = answer.message().text
            fault = self._fault(end, text) if left else ""
            if not fault:
                yield from held
                yield self.outcome.t_ms, [end]
                return
            failed = Failed("mismatch", f"the answer does not match --schema: {fault}")
            yield self.t_ms(), [Retry(self.outcome.attempts, failed, 0.0)]
            self._used = self.outcome.usage
            self._asking = self._ask(self._corrected(text, fault), 1, self._asking)

    def _fault(self, end: Finished | Failed, text: str) -> str:
        if isinstance(end, Failed) or end.reason not in _WHOLE or self.outcome.open_call:
            return ""
        return self._problem(text)

    def _corrected(self, text: str, fault: str) -> ChatRequest:
        """Return the request with the answer and its fault behind the prompt."""
        messages = self._chat.messages
        if not text.strip():  # providers refuse an empty message
            return self._chat
        words = f"That does not match the JSON Schema: {fault}. Answer again, with JSON alone."
        if self._repeats:
            words = f"{messages[-1].text}\n\n{words}"
        return self._chat.but(
            messages=[*messages, Message("assistant", text), Message("user", words)]
        )

    def _count(self) -> None:
        """Add the usage of the answers before to this one's, once."""
        used, self._used = self._used, None
        if used is not None:
            self.outcome.usage = sum_of(used, self.outcome.usage)
