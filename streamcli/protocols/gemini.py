"""Google's Gemini as server-sent events, which Vertex AI and LiteLLM stream too.

The request is in shared/gemini.py, the events are in shared/gemini_events.py.
"""

from __future__ import annotations

from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ._contract import Glimpse
from .shared.gemini import request as gemini_request
from .shared.gemini_bodies import EventsDecoder as Decoder
from .shared.gemini_events import MODELS, recognised, refusal

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
    """Return the POST to {base}/models/{model}:streamGenerateContent?alt=sse."""
    return gemini_request(NAME, chat, target, "alt=sse")


def recognises(glimpse: Glimpse) -> bool:
    return recognised(glimpse.value) and not glimpse.in_array
