"""A body of JSON events, whatever its framing and whatever is wrong with it: shared by protocols.

What is the same for every JSON protocol lives here: lenient parsing, `[DONE]`, errors written
beside the stream, events that are too large, bodies that are no stream at all, what a broken or
missing end means. What the values say is the protocol's own.
"""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from ..events import Event, Failed, Finished, Reasoning, Refusal, Text
from .endings import WAITED, cut, held_no, no_stream, proof_of, too_large
from .fast_runs import Template
from .lenient_json import Halves, json_values
from .provider_errors import describe, stream_failure
from .sse import MAX_EVENT_SIZE, Message, Payloads


class Reader(Protocol):
    """What a protocol makes of the values."""

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        """One JSON value (mostly an object) and its SSE event name ("message" if it has none)."""

    def finished(self) -> bool:
        """Whether the provider's own word for the end was seen (a finish reason)."""

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        """The end as an event, after what was held back for it (tool calls) went into `out`.

        `evidence` says what proves it: marker, eof, hold or transport_error, and finish_reason
        before it if `finished`.
        """


class JsonBody:
    """Drives a Reader. `feed` and `close` keep the contract of protocols.Decoder.

    `noun` is what the body should have been ("chat completion"). A `template` makes runs of like
    chunks quick; its texts go straight to `out`. `done_ends_it`: `[DONE]` is this protocol's end
    marker; elsewhere it says nothing. `eof_ends_it`: it has no word for the end, so that a clean
    end of the bytes, between two values, is one. `payloads` is a framing of the protocol's own.
    """

    def __init__(
        self,
        reader: Reader,
        noun: str,
        limit: int = MAX_EVENT_SIZE,
        template: Template | None = None,
        done_ends_it: bool = False,
        eof_ends_it: bool = False,
        payloads: Payloads | None = None,
    ) -> None:
        self.ended = False
        self.alive = False  # some value was one of ours
        self.halves = Halves()
        self._reader = reader
        self._noun = noun
        self._limit = limit
        self._template = template
        self._done_ends_it = done_ends_it
        self._eof_ends_it = eof_ends_it
        self._torn = False  # the bytes ended inside a value
        self._payloads = payloads or Payloads(limit)

    def feed(self, data: bytes) -> list[Event]:
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
        return out

    def close(self, broken: Failed | None = None) -> list[Event]:
        out: list[Event] = []
        if self.ended:
            return out
        for payload in self._payloads.close():
            if payload.strip():
                self.payload(payload, out, last=True)
            if self.ended:
                return out
        whole = self._eof_ends_it and self.alive and not (broken or self._torn)
        if whole or self._reader.finished():
            self.finish(proof_of(broken), out)
        elif broken is not None and broken.kind in WAITED:
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
        """A delta, if `text` is one: a string that is not empty. Cut surrogate pairs are joined."""
        if not text or type(text) is not str:
            return
        # Lone surrogates make a string that UTF-8 cannot hold; only the lenient parser yields them.
        if self.halves.held or not text.isascii():
            text = self.halves.join((channel, choice), text)
        if text:
            out.append(channel(text, choice))

    def finish(self, proof: str, out: list[Event]) -> None:
        """The end by the provider's word; `proof` is marker, eof, hold or transport_error."""
        self._say_rest(out)
        evidence = ("finish_reason", proof) if self._reader.finished() else (proof,)
        out.append(self._reader.finish(evidence, out))
        self.ended = True

    def fail(self, failed: Failed, out: list[Event]) -> None:
        self._say_rest(out)
        if self._reader.finished() and not failed.evidence:
            failed.evidence = ("finish_reason",)
        out.append(failed)
        self.ended = True

    def _say_rest(self, out: list[Event]) -> None:
        for (channel, choice), text in self.halves.rest():
            out.append(channel(text, choice))

    def payload(self, payload: bytes, out: list[Event], last: bool = False) -> None:
        """One payload; `feed` finds them, another framing (AWS's) brings its own."""
        event = "message"
        if type(payload) is not bytes:
            if not isinstance(payload, Message):
                self._stray(payload, out)
                return
            event = payload.event
            payload = bytes(payload)  # orjson takes no other kind of bytes
        if len(payload) > self._limit:
            self.fail(too_large(self._limit), out)
            return
        try:
            value = orjson.loads(payload)
        except orjson.JSONDecodeError:
            if self._template is not None:
                self._template.forget()  # it may say something else than text
            self._odd_payload(payload, event, out, last)
            return
        template, before = self._template, len(out)
        try:
            self._reader.value(value, event, out)
        except RecursionError:
            self.fail(_nested(), out)
        if template is None or self.ended:
            return
        if len(out) == before + 1 and template.learning:
            template.learn(payload, value, out[before])
        elif len(out) != before + 1 or type(out[before]) is not Text:
            template.forget()  # what was learned may mean something else from here on

    def _odd_payload(self, payload: bytes, event: str, out: list[Event], last: bool) -> None:
        if payload.strip().startswith(b"[DONE]"):
            if self._done_ends_it:
                self._marker(out)
            return
        try:
            values = json_values(payload)
        except ValueError:
            values = []
            for line in payload.split(b"\n") if b"\n" in payload else ():
                try:
                    values += json_values(line)
                except ValueError:
                    values = []
                    break
        if not values:
            if last:  # the bytes ended inside it: cut, not garbled; `close` gives that verdict
                self._torn = True
                return
            shown = describe(payload[:80].decode("utf-8", "replace"))[0]
            self.fail(Failed("bad_json", f"the stream holds invalid JSON: {shown}"), out)
            return
        for value in values:
            if not self.ended:
                try:
                    self._reader.value(value, event, out)
                except RecursionError:
                    self.fail(_nested(), out)

    def _marker(self, out: list[Event]) -> None:
        if self.alive:
            self.finish("marker", out)
        else:
            self.fail(held_no(self._noun, "marker", self._payloads), out)

    def _stray(self, line: bytes, out: list[Event]) -> None:
        """A JSON object written into an event stream without `data:` is an error (Lemonade)."""
        try:
            values = json_values(line)
        except ValueError:
            return
        for value in values:
            if not self.ended and isinstance(value, dict):
                self.fail(stream_failure(value.get("error") or value), out)

    def _unfinished(self, broken: Failed | None) -> Failed:
        """The bytes ended without the provider's word for it: cut, or never a stream at all."""
        if self.alive:
            return cut(broken)
        over = self._eof_ends_it and not self._torn
        return broken or no_stream(self._payloads, self._noun, over)


def _nested() -> Failed:
    return Failed("bad_json", "the stream holds JSON that is nested too deeply")
