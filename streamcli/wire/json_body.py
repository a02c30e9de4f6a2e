"""A body of JSON events, whatever its framing and whatever is wrong with it: for all protocols.

What is the same for each of them lives here: lenient parsing, `[DONE]`, keepalives, errors written
beside the stream, events that are too large, bodies that are not a stream, what a broken or missing
end means, and what a text field may hold. What the values say is the protocol's own.
"""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from ..events import (
    Event,
    Failed,
    Finished,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    ToolResult,
)
from .endings import WAITED, cut, held_no, no_stream, proof_of, too_large
from .fast_runs import Runs
from .lenient_json import Halves
from .payloads import Payloads
from .snapshots import Snapshots
from .sse import MAX_EVENT_SIZE, Message

_ANSWERS = (Text, ToolCall, ToolResult, Refusal)


class Reader(Protocol):
    """The protocol's side of a body: it reads the values and says how the answer ended."""

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        """Read one JSON value (mostly an object); its SSE event is "message" if it has no name."""

    def finished(self) -> bool:
        """Return whether the provider's own word for the end stands: a finish reason."""

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        """Return the end as an event, after what was held back for it (tool calls) went into `out`.

        `evidence` says what proves it: marker, eof, hold or transport_error, and finish_reason
        before it if `finished`.
        """


class JsonBody:
    """Drives a Reader. `feed` and `close` keep the contract of protocols.Decoder.

    The reader puts deltas into `out` with `say`, and calls `finish` where its format's own marker
    ends the answer, `fail` for what ends it badly. After `fail_later` the rest of the body is still
    read, until its marker or its end: the reader then takes usage from it, and nothing else.

    The hold rule is kept here: where `close` is told that we stopped waiting (an idle or total
    timeout), the answer is finished if its reason stands (`finished`) and text or a tool call came;
    else the timeout itself is the end. protocols/shared/ending.py keeps reasons so that text behind
    one reopens the answer.

    `noun` is what the body should have been ("chat completion"). A `template` makes runs of like
    chunks quick; its texts go straight to `out`. `done_ends_it`: `[DONE]` is this protocol's end
    marker; elsewhere it says nothing. `eof_ends_it`: it has no word for the end, so that a clean
    end of the bytes, between two values, is one. `payloads` is a framing of the protocol's own.
    `finds_errors`: a value that gives no event may be an error of a gateway, in any shape; not so
    where the values may mean anything.
    """

    def __init__(
        self,
        reader: Reader,
        noun: str,
        limit: int = MAX_EVENT_SIZE,
        template: Runs | None = None,
        done_ends_it: bool = False,
        eof_ends_it: bool = False,
        payloads: Payloads | None = None,
        finds_errors: bool = True,
    ) -> None:
        self.ended = False
        self.alive = False  # some value was one of ours
        self.answered = False  # text or a tool call came; set it where values come by another way
        self.failure: Failed | None = None  # the end that is to come: see `fail_later`
        self.halves = Halves()
        self.snapshots: Snapshots | None = None  # where deltas may repeat all that came before
        self._reader = reader
        self._noun = noun
        self._limit = limit
        self._template = template
        self.done_ends_it = done_ends_it
        self.eof_ends_it = eof_ends_it
        self._finds_errors = finds_errors
        self.odd = False  # a value that is read held something else where text belongs
        self.torn = False  # the bytes ended inside a value
        self.strict = False  # a control character in a string stands for a line break: bad JSON
        self._payloads = payloads or Payloads(limit)

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON, of a server that does not stream or has no events."""
        return self._payloads.looks_like == "json"

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes completed."""
        out: list[Event] = []
        if self.ended:
            return out
        if self._template is None or self.halves.held:
            payloads = self._payloads.feed(data)
        else:
            payloads = self._template.feed(self._payloads, data, out)
        for payload in payloads:
            self.payload(payload, out)
            if self.ended:
                return out
        if self._payloads.overflow:
            self.fail(too_large(self._limit), out)
        if not self.answered:
            self.answered = has_answer(out)
        return out

    def close(self, broken: Failed | None = None) -> list[Event]:
        """Return the last events: the bytes ended, by `broken` if it was not the server's doing."""
        out: list[Event] = []
        if self.ended:
            return out
        for payload in self._payloads.close():
            if payload.strip():
                self.payload(payload, out, last=True)
            if self.ended:
                return out
        waited = broken is not None and broken.kind in WAITED
        answered = self.answered or has_answer(out)
        over = self.eof_ends_it and self.alive and not (broken or self.torn)
        if over or self.failure or (self._reader.finished() and (answered or not waited)):
            self.finish(proof_of(broken), out)
        elif broken is not None and waited:
            self.fail(broken, out)
        else:
            self.fail(self._unfinished(broken), out)
        return out

    def say(
        self,
        channel: type[Text] | type[Reasoning] | type[Refusal],
        text: Any,
        out: list[Event],
        choice: int = 0,
    ) -> None:
        """Put a delta into `out`, if there is any text. Surrogate pairs that were cut are joined.

        A number or a boolean is its JSON text. An object or a list, where the protocol has no rule
        for one, ends the answer: without it the answer would seem whole.
        """
        if type(text) is not str:
            from .odd_values import text_of

            text = text_of(self, text)
        if not text:
            return
        if self.snapshots is not None:
            text = self.snapshots.new_in((channel, choice), text)
            if self.snapshots.settled:
                self.snapshots = None
        # Lone surrogates make a string that UTF-8 cannot hold; only the lenient parser yields them.
        if self.halves.held or not text.isascii():
            text = self.halves.join((channel, choice), text)
        if text:
            out.append(channel(text, choice))

    def finish(self, proof: str, out: list[Event]) -> None:
        """End the answer by the provider's word; `proof` is marker, eof, hold or transport_error.

        A failure that was put off is the end instead.
        """
        if self.failure is not None:
            self.fail(self.failure, out)
            return
        self._say_rest(out)
        evidence = ("finish_reason", proof) if self._reader.finished() else (proof,)
        out.append(self._reader.finish(evidence, out))
        self.ended = True

    def fail_later(self, failed: Failed) -> None:
        """End the answer with `failed` once the marker or the end of the body is reached.

        The first failure counts. Use it where usage may follow an error.
        """
        self.failure = self.failure or failed

    def fail_after_usage(self, failed: Failed, out: list[Event]) -> None:
        """End the answer with an error behind which usage may still come.

        An answer that has not begun is over at once, so that it is asked for again without delay.
        """
        if self.answered or has_answer(out):
            self.fail_later(failed)
        else:
            self.fail(failed, out)

    def fail(self, failed: Failed, out: list[Event]) -> None:
        """End the answer with `failed`, or with the failure that was put off before."""
        failed = self.failure or failed
        self._say_rest(out)
        if self._reader.finished() and not failed.evidence:
            failed.evidence = ("finish_reason",)
        out.append(failed)
        self.ended = True

    def _say_held(self, at: int, out: list[Event]) -> None:
        """Give the delta that waited for the next one, which did not repeat it."""
        if self.snapshots is not None and (held := self.snapshots.give_up()) is not None:
            self.snapshots = None
            (channel, choice), text = held
            said: list[Event] = []
            self.say(channel, text, said, choice)
            out[at:at] = said

    def _say_rest(self, out: list[Event]) -> None:
        self._say_held(len(out), out)
        for (channel, choice), text in self.halves.rest():
            out.append(channel(text, choice))

    def payload(self, payload: bytes, out: list[Event], last: bool = False) -> None:
        """Read one payload; `feed` finds them, another framing (AWS's) brings its own."""
        event = "message"
        if type(payload) is not bytes:
            if not isinstance(payload, Message):
                from .odd_payloads import stray_lines

                stray_lines(self, payload, out)
                return
            event = payload.event
            payload = bytes(payload)  # orjson takes no other kind of bytes
        if len(payload) > self._limit:
            self.fail(too_large(self._limit), out)
            return
        if payload == b"[DONE]":
            if self.done_ends_it:
                self.marker(out)
            return
        try:
            value = orjson.loads(payload)
        except orjson.JSONDecodeError:
            if self._template is not None:
                self._template.forget()  # it may say something else than text
            from .odd_payloads import odd_payload

            odd_payload(self, payload, event, out, last)
            return
        template, before = self._template, len(out)
        if not value and event != "message":
            from .odd_values import is_sign

            if is_sign(self, value, event, out):
                return
        self.read(value, event, out)
        if template is None or self.ended:
            return
        given = len(out) - before
        if self.failure is not None:
            template.forget()
        elif self.snapshots is not None:
            return  # a run of deltas that repeat what came before is not text
        elif given == 1 and template.learning:
            template.learn(payload, value, out[before])
        elif given != 1 or type(out[before]) is not Text:
            template.forget()  # what was learned may mean something else from here on

    def read(self, value: Any, event: str, out: list[Event]) -> None:
        before = len(out)
        waits = self.snapshots.held if self.snapshots is not None else None
        try:
            self._reader.value(value, event, out)
        except RecursionError:
            self.fail(_nested(), out)
        if waits is not None and self.snapshots is not None and self.snapshots.held is waits:
            self._say_held(before, out)
        given = len(out) - before
        quiet = given < 2 and (not given or type(out[before]) is Started)  # or who answers
        if quiet and self._finds_errors and self.failure is None and not self.ended:
            self._find_error(value, event, out)
        if self.odd and not self.ended and self.failure is not None:
            self.fail(self.failure, out)

    def each(self, values: Any, event: str, out: list[Event]) -> None:
        """Read the objects of a list, which some gateways send where one event belongs."""
        for value in values if type(values) is list else ():
            if type(value) is dict and not self.ended:
                self._reader.value(value, event, out)

    def _find_error(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is dict and value.get("choices"):
            return  # a chunk that has nothing to say, as most streams begin with
        from .odd_values import find_error

        find_error(self, value, event, out)

    def marker(self, out: list[Event]) -> None:
        """End the answer by its format's marker; it is a failure if nothing came before."""
        if self.failure is not None or self.alive:
            self.finish("marker", out)
        else:
            self.fail(held_no(self._noun, "marker", self._payloads), out)

    def _unfinished(self, broken: Failed | None) -> Failed:
        """Return the end where the provider's word is missing: cut, or never a stream at all."""
        if self.alive:
            return cut(broken)
        over = self.eof_ends_it and not self.torn
        return broken or no_stream(self._payloads, self._noun, over)


def has_answer(events: list[Event]) -> bool:
    """Return whether text, a refusal, a tool call or its result is among the events."""
    return any(isinstance(event, _ANSWERS) for event in events)


def _nested() -> Failed:
    return Failed("bad_json", "the stream holds JSON that is nested too deeply")
