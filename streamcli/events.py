"""The events of a stream, as values: no I/O and no clock.

Plain slotted classes: frozen dataclasses would cost every start half a millisecond each.
Exactly one `Finished` or `Failed` ends an attempt, and it comes last.
"""

from __future__ import annotations

from typing import Any

from .errors import STATUS_OF_KIND, StreamError

FINISH_REASONS = ("stop", "length", "content_filter", "refusal", "tool_calls", "other")


class Event:
    """The base of all events: equal by type and content, and not hashable."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            getattr(self, name) == getattr(other, name) for name in self._fields()
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def _fields(cls) -> tuple[str, ...]:
        return sum((vars(base).get("__slots__", ()) for base in cls.__mro__), ())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields())
        return f"{type(self).__name__}({fields})"


class Attempt(Event):
    """A request goes out: the nth attempt (1, 2, ...) of this prompt.

    `asked` is its (provider, protocol, model), None for a recording. `round` counts the requests
    of a tool loop from 1: the second one sends the results of the first one's calls.
    """

    __slots__ = ("asked", "attempt", "round")

    def __init__(
        self, attempt: int, asked: tuple[str, str, str] | None = None, round: int = 1
    ) -> None:
        self.attempt = attempt
        self.asked = asked
        self.round = round


class Retry(Event):
    """Attempt `attempt` failed with `error`; the next starts in `delay` seconds."""

    __slots__ = ("attempt", "delay", "error")

    def __init__(self, attempt: int, error: Failed, delay: float) -> None:
        self.attempt = attempt
        self.error = error
        self.delay = delay


class Started(Event):
    """The server named its model and the response's id; either is empty if it did not."""

    __slots__ = ("model", "response_id")

    def __init__(self, model: str, response_id: str) -> None:
        self.model = model
        self.response_id = response_id


class Delta(Event):
    """A piece of `text` of one `choice`; never empty, and without lone surrogates."""

    __slots__ = ("choice", "text")

    def __init__(self, text: str, choice: int = 0) -> None:
        self.text = text
        self.choice = choice


class Text(Delta):
    """A delta of the answer."""

    __slots__ = ()


class Returned(Text):
    """Text that was given out as Reasoning before it proved to be text."""

    __slots__ = ()


class Reasoning(Delta):
    """A delta of the model's reasoning, before or between its text."""

    __slots__ = ()


class Refusal(Delta):
    """A delta of a refusal, sent instead of text."""

    __slots__ = ()


class Progress(Event):
    """A sign that the answer grows, with nothing to show yet (a tool call's arguments).

    It resets the idle timeout.
    """

    __slots__ = ()


class ToolCall(Event):
    """A whole tool call; `arguments` is its raw JSON text, as the model wrote it.

    `by` is "server" for a call that the server or agent runs itself, else "": the caller runs it.
    """

    __slots__ = ("arguments", "by", "choice", "id", "name")

    def __init__(self, id: str, name: str, arguments: str, choice: int = 0, by: str = "") -> None:
        self.id = id
        self.name = name
        self.arguments = arguments
        self.choice = choice
        self.by = by


class ToolResult(Event):
    """The output of the tool call `call_id`; `by` as in ToolCall.

    `is_error`: the tool failed, and `output` says how. `duration_ms` is None if nobody measured it.
    """

    __slots__ = ("by", "call_id", "duration_ms", "is_error", "name", "output")

    def __init__(
        self,
        call_id: str,
        name: str,
        output: str,
        is_error: bool = False,
        duration_ms: float | None = None,
        by: str = "",
    ) -> None:
        self.call_id = call_id
        self.name = name
        self.output = output
        self.is_error = is_error
        self.duration_ms = duration_ms
        self.by = by


class Opaque(Event):
    """State that the provider wants back unchanged with the next request of the conversation.

    A decoder gives it at its place among the Text and ToolCall events of choice 0, as soon as it is
    whole; answer/assistant_message.py keeps that place. `protocol` is the NAME of the protocol that
    wrote `value`; only that one can send it back, and the others drop it. `value` is JSON data as
    it came: a whole part of the message (a block, an item), or extra fields of a part.

    * Alone (`call_id` empty, `chars` 0) it is a part of its own: Anthropic's `thinking` and
      `redacted_thinking` blocks, Responses' `reasoning` items, Bedrock's `reasoningContent`,
      Gemini's empty text part that holds a `thoughtSignature`.
    * With `call_id` it belongs to that tool call (Gemini's `thoughtSignature` on a
      `functionCall`): give it directly before or after the ToolCall.
    * With `chars` it belongs to the last `chars` characters of text given before it (Gemini's
      `thoughtSignature` on a text part; an Anthropic text block with its citations).

    `lasting`: it concerns the conversation, not this answer (the context that an A2A agent keeps),
    so it stays valid if the answer breaks off.
    """

    __slots__ = ("call_id", "chars", "lasting", "protocol", "value")

    def __init__(
        self,
        protocol: str,
        value: Any,
        *,
        call_id: str = "",
        chars: int = 0,
        lasting: bool = False,
    ) -> None:
        self.protocol = protocol
        self.value = value
        self.call_id = call_id
        self.chars = chars
        self.lasting = lasting


class Citation(Event):
    """A source the answer cites; `start` and `end` are the provider's own offsets."""

    __slots__ = ("end", "start", "title", "url")

    def __init__(
        self, url: str, title: str = "", start: int | None = None, end: int | None = None
    ) -> None:
        self.url = url
        self.title = title
        self.start = start
        self.end = end


# In the order of the records' fields.
USAGE_FIELDS = (
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "total_tokens",
)


class Usage(Event):
    """Token counts so far; a later event replaces an earlier one. None is unknown, never zero.

    A number that cannot be a count is unknown too: a negative one, or one of 2**53 and more, which
    not every reader of JSON keeps exactly.
    """

    __slots__ = USAGE_FIELDS

    def __init__(
        self,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        total_tokens: int | None = None,
    ) -> None:
        self.input_tokens = _valid_count(input_tokens)
        self.output_tokens = _valid_count(output_tokens)
        self.reasoning_tokens = _valid_count(reasoning_tokens)
        self.cache_read_tokens = _valid_count(cache_read_tokens)
        self.cache_write_tokens = _valid_count(cache_write_tokens)
        self.total_tokens = _valid_count(total_tokens)


def _valid_count(number: int | None) -> int | None:
    return number if number is not None and 0 <= number < 2**53 else None


class Finished(Event):
    """The answer ended as the provider said.

    `reason` is one of FINISH_REASONS, or None where an end marker came without a reason; `raw` is
    the provider's own word for it; `evidence` lists what proved the end: finish_reason, marker,
    eof, hold (the server kept the connection open after its reason, and we stopped waiting),
    transport_error.
    """

    __slots__ = ("evidence", "raw", "reason")

    def __init__(self, reason: str | None, raw: str | None, evidence: tuple[str, ...]) -> None:
        self.reason = reason
        self.raw = raw
        self.evidence = evidence


class Failed(Event):
    """The answer failed, or broke off: the facts of errors.StreamError, as a value.

    `evidence` and `raw` are as in Finished, as far as they are known. `without` names a request
    field that the server rejected, and that another attempt may leave out. `concurrent`: the
    server refused because too many requests run at once.
    """

    __slots__ = (
        "concurrent",
        "evidence",
        "hint",
        "http_status",
        "kind",
        "message",
        "raw",
        "retry_after",
        "should_retry",
        "transient",
        "without",
    )

    def __init__(
        self,
        kind: str,
        message: str,
        hint: str = "",
        *,
        http_status: int | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        transient: bool = False,
        evidence: tuple[str, ...] = (),
        without: str | None = None,
        raw: str | None = None,
        concurrent: bool = False,
    ) -> None:
        self.kind = kind
        self.message = message
        self.hint = hint
        self.http_status = http_status
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.transient = transient
        self.evidence = evidence
        self.without = without
        self.raw = raw
        self.concurrent = concurrent

    @property
    def status(self) -> str:
        return STATUS_OF_KIND[self.kind]

    @classmethod
    def of(cls, error: StreamError, **changes: Any) -> Failed:
        return cls(
            changes.pop("kind", error.kind),
            changes.pop("message", error.message),
            changes.pop("hint", error.hint),
            http_status=error.http_status,
            retry_after=error.retry_after,
            should_retry=error.should_retry,
            transient=error.transient,
            **changes,
        )
