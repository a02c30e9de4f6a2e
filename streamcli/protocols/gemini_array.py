"""Google's Gemini as one JSON array, which it streams element by element without `alt=sse`.

The request is in shared/gemini.py, the events are in shared/gemini_events.py.
"""

from __future__ import annotations

from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ._contract import Glimpse
from .shared.gemini import request as gemini_request
from .shared.gemini_bodies import ArrayDecoder as Decoder
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

NAME = "gemini-array"
CAN = ("tools", "attachments", "reasoning", "schema")
ANY_SCHEMA = True
NEEDS_MODEL = True
LISTING = MODELS


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}/models/{model}:streamGenerateContent."""
    return gemini_request(NAME, chat, target, "")


def recognises(glimpse: Glimpse) -> bool:
    return recognised(glimpse.value) and glimpse.in_array
