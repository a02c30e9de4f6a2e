"""Google's Gemini as one JSON array, which it streams element by element without `alt=sse`.

The request is in shared/gemini.py, the events are in shared/gemini_events.py.
"""

from __future__ import annotations

from ..events import Event, Failed
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.json_array import ArrayEvents
from ..wire.json_body import has_answer
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.gemini import request as gemini_request
from .shared.gemini_events import MODELS, Values, recognised, refusal

__all__ = [
    "ANY_SCHEMA",
    "CAN",
    "LISTING",
    "NAME",
    "NEEDS_MODEL",
    "Decoder",
    "recognises",
    "refusal",
    "request",
]

NAME = "gemini-array"
CAN = ("tools", "attachments", "reasoning", "schema")
ANY_SCHEMA = True
NEEDS_MODEL = True
LISTING = MODELS


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/models/{model}:streamGenerateContent."""
    return gemini_request(NAME, chat, target, "")


def recognises(glimpse: Glimpse) -> bool:
    return recognised(glimpse.value) and glimpse.in_array


class Decoder:
    """Decodes the elements of the array, and also what `gemini` reads.

    The end of the array is the marker of the answer, if its reason stands.
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
                body.feed(b":\n\n")  # a stream began: it is not empty
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
