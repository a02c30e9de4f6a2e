"""Google's Gemini as server-sent events, which Vertex AI and LiteLLM stream too.

The request is in shared/gemini.py, the events are in shared/gemini_events.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..events import Event, Failed
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.gemini import request as gemini_request
from .shared.gemini_events import MODELS, Values, recognised, refusal

if TYPE_CHECKING:
    from .gemini_array import Decoder as ArrayDecoder

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

NAME = "gemini"
CAN = ("tools", "attachments", "reasoning", "schema")
ANY_SCHEMA = True
NEEDS_MODEL = True
LISTING = MODELS


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/models/{model}:streamGenerateContent?alt=sse."""
    return gemini_request(NAME, chat, target, "alt=sse")


def recognises(glimpse: Glimpse) -> bool:
    return recognised(glimpse.value) and not glimpse.in_array


class Decoder:
    """Decodes events, or a whole answer where a server did not stream.

    A server that ignores alt=sse sends an array, of which each element counts when it is whole.
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
                from .gemini_array import Decoder as Array

                self._array = Array(self._limit)
        return self._values.body.feed(data) if self._array is None else self._array.feed(data)

    def close(self, broken: Failed | None = None) -> list[Event]:
        if self._array is not None:
            return self._array.close(broken)
        return self._values.body.close(broken)
