"""Plain text: the bytes of the body are the answer, in UTF-8.

It is the text stream protocol of the Vercel AI SDK, and the format of many small servers. The
answer is whole if the body ended properly, and every body with status 200 is an answer.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Mapping

from ..events import Event, Failed, Finished, Text
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.endings import cut, not_utf8
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared import template

NAME = "text"
CAN: tuple[str, ...] = ()
NEEDS_MODEL = False  # unless its template has a place for one
LISTING = None
ROW_KEYS = template.KEYS
needs_model, can, row_fault = template.needs_model, template.can, template.row_fault


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the request that the row's template makes (shared/template.py)."""
    return template.request(NAME, chat, target, accept="text/plain, */*")


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return template.refusal(status, headers, body)


def recognises(glimpse: Glimpse) -> bool:
    return False  # any bytes could be text


class Decoder:
    """Decodes each read to a delta. `limit` is not used, as nothing is collected."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ended = False
        self.ending = False
        self._utf8 = getincrementaldecoder("utf-8-sig")()
        self._alive = False

    def feed(self, data: bytes) -> list[Event]:
        out: list[Event] = []
        if self.ended:
            return out
        try:
            text, failed = self._utf8.decode(data), None
        except UnicodeDecodeError as error:
            text, failed = error.object[: error.start].decode(), not_utf8(error)
        if text:
            self._alive = True
            out.append(Text(text))
        if failed is not None:
            self.ended = True
            out.append(failed)
        return out

    def close(self, broken: Failed | None = None) -> list[Event]:
        if self.ended:
            return []
        self.ended = True
        half = self._utf8.getstate()[0]  # of a character
        if broken and not (self._alive or half):
            return [broken]
        if broken or half:
            return [cut(broken)]
        if not self._alive:
            return [Failed("not_a_stream", "the answer is empty", evidence=("eof",))]
        return [Finished(None, None, ("eof",))]
