"""Google's Gemini as server-sent events, which Vertex AI and LiteLLM stream too.

The request is in shared/gemini.py, the events are in shared/gemini_events.py.
"""

from __future__ import annotations

from ..events import Event, Failed
from ..messages import ChatRequest
from ..request import HttpRequest, Target
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
    """Decodes events, or a whole answer where a server did not stream."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self._values = Values(limit)

    @property
    def ended(self) -> bool:
        return self._values.body.ended

    @property
    def ending(self) -> bool:
        return self._values.ending

    def feed(self, data: bytes) -> list[Event]:
        return self._values.body.feed(data)

    def close(self, broken: Failed | None = None) -> list[Event]:
        return self._values.body.close(broken)
