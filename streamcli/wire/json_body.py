"""Read a body of JSON events in any framing, with all its faults: the part common to protocols.

This is lenient parsing, `[DONE]`, keepalives, errors written beside the stream, events that are too
large, bodies that are not a stream, the meaning of a broken or missing end, and the types that a
text field may have. The meaning of the values is up to the protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from ..events import Event, Failed, Reasoning, Refusal, Started, Text, ToolCall, ToolResult
from .endings import WAITED, cut, evidence_of, held_nothing, no_stream, too_large
from .fast_runs import Runs
from .lenient_json import SurrogateJoiner
from .payloads import Payloads
from .sse import MAX_EVENT_SIZE, Message

if TYPE_CHECKING:
    from .reader import Reader
    from .snapshots import Snapshots

_ANSWERS = (Text, ToolCall, ToolResult, Refusal)


class JsonBody:
    """Drives a Reader. `feed` and `close` follow the contract of protocols._contract.Decoder.

    The reader puts deltas into `out` with `say`. It calls `finish` at its format's end marker, and
    `fail` for an end by an error. After `fail_later` the rest of the body is still read, until its
    marker or its end: the reader then takes usage from it, and nothing else.

    The hold rule is implemented here: if `close` gets an idle or total timeout, the answer is
    finished if the reader is `finished` and text or a tool call came; otherwise the timeout itself
    is the end.

    `noun` names what the body should have been ("chat completion"). A `template` makes runs of
    equal chunks fast; its texts go straight to `out`. `done_ends_it`: `[DONE]` is this protocol's
    end marker; elsewhere it is ignored. `eof_ends_it`: the protocol has no end marker, so a clean
    end of the bytes, between two values, ends the answer. `payloads` is a framing of the protocol's
    own. `finds_errors`: a value that gives no event may be a gateway's error in any shape; False
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
        self.alive = False  # some value belonged to this protocol: readers set it
        self.answered = False  # text or a tool call came; set it where values bypass `feed`
        self.failure: Failed | None = None  # the end that was put off: see `fail_later`
        self.surrogates = SurrogateJoiner()
        self.snapshots: Snapshots | None = None  # for deltas that may repeat all text before them
        self._reader = reader
        self._noun = noun
        self._limit = limit
        self._template = template
        self.done_ends_it = done_ends_it
        self.eof_ends_it = eof_ends_it
        self._finds_errors = finds_errors
        self.mistyped = False  # the current value has an object or a list where text belongs
        self.torn = False  # the bytes ended inside a value
        self.strict = False  # a control character in a string is bad JSON: see json_array.py
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
        if self._template is None or self.surrogates.pending:
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
        """Return the last events; `broken` is the failure that cut the bytes, None without."""
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
            self.finish(evidence_of(broken), out)
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
        """Put a delta into `out`, if there is any text. Split surrogate pairs are joined.

        A number or a boolean becomes its JSON text. An object or a list, which the protocol has no
        rule for, ends the answer: dropped, it would leave an answer that seems whole.
        """
        if type(text) is not str:
            from .unexpected_values import text_of

            text = text_of(self, text)
        if not text:
            return
        if self.snapshots is not None:
            text = self.snapshots.new_in((channel, choice), text)
            if self.snapshots.settled:
                self.snapshots = None
        # UTF-8 cannot encode lone surrogates; only the lenient parser yields them.
        if self.surrogates.pending or not text.isascii():
            text = self.surrogates.join((channel, choice), text)
        if text:
            out.append(channel(text, choice))

    def finish(self, proof: str, out: list[Event]) -> None:
        """End the answer as finished; `proof` is marker, eof, hold or transport_error.

        If a failure was put off, it is the end instead.
        """
        if self.failure is not None:
            self.fail(self.failure, out)
            return
        self._say_rest(out)
        evidence = ("finish_reason", proof) if self._reader.finished() else (proof,)
        out.append(self._reader.finish(evidence, out))
        self.ended = True

    def fail_later(self, failed: Failed) -> None:
        """End the answer with `failed` at the marker or the end of the body.

        The first failure counts. Use it where usage may follow an error.
        """
        self.failure = self.failure or failed

    def fail_after_usage(self, failed: Failed, out: list[Event]) -> None:
        """End the answer with an error that usage may follow.

        An answer that has not begun ends at once, so that a retry need not wait.
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

    def _say_pending(self, at: int, out: list[Event]) -> None:
        """Give the delta that waited for the next one, as that did not repeat it."""
        if self.snapshots is not None and (pending := self.snapshots.give_up()) is not None:
            self.snapshots = None
            (channel, choice), text = pending
            said: list[Event] = []
            self.say(channel, text, said, choice)
            out[at:at] = said

    def _say_rest(self, out: list[Event]) -> None:
        self._say_pending(len(out), out)
        for (channel, choice), text in self.surrogates.rest():
            out.append(channel(text, choice))

    def payload(self, payload: bytes, out: list[Event], last: bool = False) -> None:
        """Read one payload. `feed` calls it; a protocol with its own framing calls it too (AWS).

        `last`: the bytes ended, and may have ended inside of it.
        """
        event = "message"
        if type(payload) is not bytes:
            if not isinstance(payload, Message):
                from .unexpected_payloads import stray_lines

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
                self._template.forget()  # it may be something else than text
            from .unexpected_payloads import unexpected_payload

            unexpected_payload(self, payload, event, out, last)
            return
        template, before = self._template, len(out)
        if not value and event != "message":
            from .unexpected_values import is_sign

            if is_sign(self, value, event, out):
                return
        self.read(value, event, out)
        if template is None or self.ended:
            return
        added = len(out) - before
        if self.failure is not None:
            template.forget()
        elif self.snapshots is not None:
            return  # a run of deltas that repeat the text before them is not a run of text
        elif added == 1 and template.learning:
            template.learn(payload, value, out[before])
        elif added != 1 or type(out[before]) is not Text:
            template.forget()  # the learned form may mean something else from here on

    def read(self, value: Any, event: str, out: list[Event]) -> None:
        """Let the reader read a value; if it gave no event, look for an error in it."""
        before = len(out)
        waiting = self.snapshots.pending if self.snapshots is not None else None
        try:
            self._reader.value(value, event, out)
        except RecursionError:
            self.fail(Failed("bad_json", "the stream holds JSON that is nested too deeply"), out)
        if waiting is not None and self.snapshots is not None and self.snapshots.pending is waiting:
            self._say_pending(before, out)
        added = len(out) - before
        nothing = not added or (added == 1 and type(out[before]) is Started)
        if (
            nothing
            and self._finds_errors
            and not (self.failure or self.ended)
            and not (type(value) is dict and value.get("choices"))  # as most streams begin
        ):
            from .unexpected_values import find_error

            find_error(self, value, event, out)
        if self.mistyped and not self.ended and self.failure is not None:
            self.fail(self.failure, out)

    def each(self, values: Any, event: str, out: list[Event]) -> None:
        """Read the objects of a list, which some gateways send where one event belongs."""
        for value in values if type(values) is list else ():
            if type(value) is dict and not self.ended:
                self._reader.value(value, event, out)

    def marker(self, out: list[Event]) -> None:
        """End the answer at its end marker; a stream without any value of ours fails."""
        if self.failure is not None or self.alive:
            self.finish("marker", out)
        else:
            self.fail(held_nothing(self._noun, "marker", self._payloads), out)

    def _unfinished(self, broken: Failed | None) -> Failed:
        """Return the failure of a body without a proper end: cut off, or not a stream at all."""
        if self.alive:
            return cut(broken)
        over = self.eof_ends_it and not self.torn
        return broken or no_stream(self._payloads, self._noun, over)


def has_answer(events: list[Event]) -> bool:
    """Return whether the events include text, a refusal, a tool call or its result."""
    return any(isinstance(event, _ANSWERS) for event in events)
