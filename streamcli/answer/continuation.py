"""Goes on where a broken answer ended, without repeating or losing a character. Pure.

With a protocol that can begin an answer (`prefill`) what was received is the beginning of the next
request. Some servers refuse a beginning that ends in white space: it is left out there, and what
the continuation repeats of it is dropped. Some models do not go on but say the beginning once more:
that is held back until it is clear, and dropped if it is.
"""

from __future__ import annotations

from ..errors import StreamError
from ..events import Event, Failed, Finished, Text
from ..messages import ChatRequest
from ..protocols._contract import Decoder, ResumableDecoder, Resumes, WireFormat
from ..request import HttpRequest, Target

_TELLING = 16  # so many characters are not said twice by chance
# What an answer may break off with and still be gone on with.
DROPS = ("truncated", "idle_timeout", "overloaded", "lost")


class Splice:
    """What one prompt received so far, over all its attempts."""

    def __init__(self) -> None:
        self.seen: int | None = None  # the sequence number after which a response goes on
        self.pieced = False  # put together of several answers
        self._response_id = ""
        self._text: list[str] = []
        self._owed = ""  # white space that was delivered, and may come again
        self._echo = ""  # what the continuation would begin with if it said all of it once more
        self._held = ""

    def received(self, events: list[Event]) -> None:
        self._text += [e.text for e in events if isinstance(e, Text) and not e.choice]

    def request(
        self, protocol: WireFormat, chat: ChatRequest, target: Target, decoder: Decoder | None
    ) -> HttpRequest | None:
        """What asks for the rest; None if there is no way to.

        A response that the server goes on with by itself is attached to again (the protocol has
        `resume`, and its decoder knows `response_id` and `sequence_number`); elsewhere the text so
        far is the answer's beginning.
        """
        if (
            isinstance(protocol, Resumes)
            and isinstance(decoder, ResumableDecoder)
            and (number := decoder.sequence_number) is not None
            and target.quirks.get("background")
        ):
            # A stream that was attached to again does not tell its id once more.
            self._response_id = decoder.response_id or self._response_id
            if self._response_id:
                self.seen = number
                return protocol.resume(chat, target, self._response_id, number)
        continued = self.going_on(chat)
        if continued is None:
            return None
        try:
            return protocol.request(continued, target)
        except StreamError:  # it has no words for a beginning
            return None

    def going_on(self, chat: ChatRequest) -> ChatRequest | None:
        """The request for the rest; None while there is no text to go on from."""
        text = (chat.prefill or "") + "".join(self._text)
        beginning = text.rstrip()
        if not beginning:
            return None
        self._owed = text[len(beginning) :]
        self._echo = text if len(text) >= _TELLING else ""
        self._held = ""
        self.pieced = True
        return chat.but(prefill=beginning)

    def join(self, events: list[Event]) -> list[Event]:
        """The events of the continuation without what was delivered before."""
        if not self._owed and not self._echo:
            return events
        out: list[Event] = []
        for event in events:
            if isinstance(event, Text) and not event.choice:
                if text := self._without_owed(self._without_echo(event.text)):
                    out.append(Text(text))
                continue
            if isinstance(event, Finished | Failed) and self._held:
                out.append(Text(self._held))  # it ended before it was clear: then it is new
                self._held = self._echo = ""
            out.append(event)
        return out

    def _without_echo(self, text: str) -> str:
        if not self._echo:
            return text
        text = self._held + text
        if self._echo.startswith(text) and text != self._echo:
            self._held = text
            return ""
        if text.startswith(self._echo):
            text = text[len(self._echo) :]
            self._owed = ""
        self._held = self._echo = ""
        return text

    def _without_owed(self, text: str) -> str:
        if self._owed and text:
            same = _common(text, self._owed)
            text = text[same:]
            self._owed = "" if text else self._owed[same:]
        return text


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return length
