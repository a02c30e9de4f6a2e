"""Plain text as server-sent events: the data of each event is a delta of the answer.

FastAPI's `StreamingResponse(..., media_type="text/event-stream")` writes it for a generator of
text, as AgentiCraft's guide shows. The format has no end marker and no errors: only a clean end of
the HTTP body proves that the answer is whole.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..events import Event, Failed, Finished, Progress, Text
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.endings import MARKER_EVENTS, PINGS, cut, held_nothing, no_stream, not_utf8, too_large
from ..wire.error_shapes import is_error_event
from ..wire.payloads import Payloads
from ..wire.provider_errors import stream_failure
from ..wire.sse import MAX_EVENT_SIZE, Message
from ..wire.sse_text import TextEvents, UnescapedEvents
from ._contract import Glimpse
from .shared import template

NAME = "sse-text"
CAN: tuple[str, ...] = ()
NEEDS_MODEL = False  # unless its template has a place for one
LISTING = None
ROW_KEYS = template.KEYS
needs_model, can, row_fault = template.needs_model, template.can, template.row_fault
MARKER = b"[done]"
_NOTHING = (b"", b"{}", b"null", b"done", b"end", b"[end]")  # beside an event's name


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the request that the row's template makes (shared/template.py)."""
    return template.request(NAME, chat, target, accept="text/event-stream")


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return template.refusal(status, headers, body)


def recognises(glimpse: Glimpse) -> bool:
    return glimpse.text is not None


def decoder(target: Target, limit: int, chat: ChatRequest | None) -> Decoder:
    """Return the decoder for the row, with its quirk `unescaped`."""
    return Decoder(limit, bool(target.quirks.get("unescaped")))


class Decoder:
    """Decodes events of text. `[DONE]` is an end marker if nothing follows it, otherwise text.

    `unescaped`: the server is known to write line breaks unescaped (wire/sse_text.py).
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE, unescaped: bool = False) -> None:
        self.ended = False
        self._limit = limit
        framing = UnescapedEvents(limit) if unescaped else TextEvents(limit)
        self._payloads = Payloads(limit, framing)
        self._alive = False  # some event came
        self._torn = False  # the bytes ended inside a character
        self._pending: list[bytes] = []  # a marker and blanks, while they may be the end

    @property
    def ending(self) -> bool:
        return bool(self._pending)

    def feed(self, data: bytes) -> list[Event]:
        out: list[Event] = []
        if self.ended:
            return out
        for payload in self._payloads.feed(data):
            self._payload(payload, out)
            if self.ended:
                return out
        if self._payloads.overflow:
            self._end(too_large(self._limit), out)
        return out

    def close(self, broken: Failed | None = None) -> list[Event]:
        out: list[Event] = []
        if self.ended:
            return out
        for payload in self._payloads.close():
            self._payload(payload, out, last=True)
        if self.ended:
            return out
        end: Finished | Failed
        if self._pending and self._alive:
            end = Finished(None, None, ("marker",))
        elif self._pending:
            end = held_nothing("text", "marker", self._payloads)
        elif not self._alive:
            end = broken or no_stream(
                self._payloads, "text as server-sent events", eof_ends_it=True
            )
        elif broken or self._torn:
            end = cut(broken)
        else:
            end = Finished(None, None, ("eof",))
        self._end(end, out)
        return out

    def _payload(self, payload: bytes, out: list[Event], last: bool = False) -> None:
        if self._payloads.looks_like != "sse":
            return
        event = payload.event.lower() if type(payload) is Message else "message"
        if event in PINGS:
            return
        if payload.strip().lower() == MARKER or (
            event in MARKER_EVENTS and payload.strip().lower() in _NOTHING
        ):
            self._release(out)
            self._pending.append(payload)
            out.append(Progress())  # `ending` is true from here on, so the wait is short
        elif self._pending and not payload.strip():
            self._pending.append(payload)
        elif is_error_event(event):
            self._end(stream_failure(payload.decode("utf-8", "replace"), "error"), out)
        else:
            self._release(out)
            self._say(payload, out, last)

    def _release(self, out: list[Event]) -> None:
        pending, self._pending = self._pending, []
        for payload in pending:
            self._say(payload, out)

    def _say(self, payload: bytes, out: list[Event], last: bool = False) -> None:
        self._alive = True
        try:
            text = payload.decode()
        except UnicodeDecodeError as error:
            text = payload[: error.start].decode()
            self._torn = last and error.reason == "unexpected end of data"
            if text:
                out.append(Text(text))
            if not self._torn:
                self._end(not_utf8(error), out)
            return
        if text:
            out.append(Text(text))

    def _end(self, end: Finished | Failed, out: list[Event]) -> None:
        out.append(end)
        self.ended = True
