"""Decode the two bodies of Gemini's answers: events, and a JSON array of them. No I/O."""

from __future__ import annotations

from ...events import Event, Failed
from ...wire.json_array import ArrayEvents
from ...wire.json_body import has_answer
from ...wire.sse import MAX_EVENT_SIZE
from .gemini_events import Values


class ArrayDecoder:
    """Decodes the elements of an array, and also events.

    The end of the array is the end marker, if the answer has a finish reason by then.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self._values = Values(limit)
        self._values.body.strict = True
        self._array = ArrayEvents(limit)

    @property
    def ended(self) -> bool:
        return self._values.body.ended

    @property
    def ending(self) -> bool:
        return self._values.ending

    def feed(self, data: bytes) -> list[Event]:
        values, body = self._values, self._values.body
        out: list[Event] = []
        for part in self._array.feed(data):
            if isinstance(part, bytes):
                out += body.feed(part)
                continue
            if not body.alive:
                body.feed(b":\n\n")  # so that the body does not count as empty
            for element in part:
                if not body.ended:
                    body.read(element, "message", out)
        body.answered = body.answered or has_answer(out)
        if self._array.closed and values.finished() and not body.ended:
            body.finish("marker", out)
        return out

    def close(self, broken: Failed | None = None) -> list[Event]:
        body = self._values.body
        return body.feed(self._array.close()) + body.close(broken)


class EventsDecoder:
    """Decodes events, or a whole answer of a server that did not stream.

    A server that ignores alt=sse sends an array: each element is decoded as soon as it is whole.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self._values = Values(limit)
        self._limit = limit
        self._begun = False
        self._array: ArrayDecoder | None = None

    @property
    def ended(self) -> bool:
        return self._values.body.ended if self._array is None else self._array.ended

    @property
    def ending(self) -> bool:
        return self._values.ending if self._array is None else self._array.ending

    def feed(self, data: bytes) -> list[Event]:
        if not self._begun and (start := data.strip()):
            self._begun = True
            if start[:1] == b"[":
                self._array = ArrayDecoder(self._limit)
        return self._values.body.feed(data) if self._array is None else self._array.feed(data)

    def close(self, broken: Failed | None = None) -> list[Event]:
        if self._array is not None:
            return self._array.close(broken)
        return self._values.body.close(broken)
