"""Continue a broken answer (--on-drop continue) without repeating or losing a character. Pure.

Where a protocol can begin an answer (`prefill`), the text received so far is the beginning of the
next request. Some servers refuse a beginning that ends in white space: it is left out there, and
dropped from the continuation if that repeats it. Some models do not continue but write the
beginning again: text that equals it is held until that is clear, and dropped if they do.
"""

from __future__ import annotations

from ..errors import StreamError
from ..events import Event, Failed, Finished, Text, ToolCall
from ..messages import ChatRequest
from ..protocols._contract import Decoder, ResumableDecoder, Resumes, WireFormat
from ..request import HttpRequest, Target

_TELLING = 16  # so many characters do not come twice by chance
# The kinds of failure after which an answer may be continued.
_DROPS = ("truncated", "idle_timeout", "overloaded", "lost")


class Splice:
    """The text that one prompt received so far, over all its attempts."""

    def __init__(self) -> None:
        self.seen: int | None = None  # the number of the last event before a response goes on
        self.pieced = False  # put together of several answers
        self._response_id = ""
        self._text: list[str] = []
        self._called = False  # a tool call was given
        self._owed = ""  # white space that was delivered, and may come again
        self._echo = ""  # the text so far, as long as the continuation may repeat all of it
        self._held = ""  # the part of it that came again

    def mends(self, end: Failed) -> bool:
        """Return whether an answer that ended so may be continued.

        Not with a reason (`raw`): then the provider itself ended it.
        """
        return end.kind in _DROPS and not end.raw

    def attach(self, decoder: Decoder) -> None:
        """Have the decoder of a response that goes on skip the events already seen."""
        if self.seen is not None and isinstance(decoder, ResumableDecoder):
            decoder.skip_until = self.seen

    def request(
        self, protocol: WireFormat, chat: ChatRequest, target: Target, decoder: Decoder | None
    ) -> HttpRequest | None:
        """Return the request for the rest; None if there is no way to ask for it.

        A response that the server continues by itself is attached to again; elsewhere the text so
        far becomes the answer's beginning, unless a tool call was given: the model would repeat
        it. `decoder` is that of the broken answer.
        """
        if isinstance(protocol, Resumes) and isinstance(decoder, ResumableDecoder):
            number = decoder.sequence_number
            if number is not None and target.background:
                # A stream that was attached to again does not repeat its id.
                self._response_id = decoder.response_id or self._response_id
                if self._response_id:
                    self.seen = number
                    return protocol.resume(chat, target, self._response_id, number)
        continued = None if self._called else self.going_on(chat)
        if continued is None:
            return None
        try:
            return protocol.request(continued, target)
        except StreamError:  # the protocol cannot begin an answer
            return None

    def going_on(self, chat: ChatRequest) -> ChatRequest | None:
        """Return the request for the rest; None while there is no text to continue."""
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
        """Return the events without text that was delivered before, and keep the new text."""
        if self._owed or self._echo:
            events = self._without_repetition(events)
        for event in events:
            if isinstance(event, Text):
                if not event.choice:
                    self._text.append(event.text)
            elif isinstance(event, ToolCall):
                self._called = True
        return events

    def _without_repetition(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if isinstance(event, Text) and not event.choice:
                if text := self._without_owed(self._without_echo(event.text)):
                    out.append(Text(text))
                continue
            if isinstance(event, Finished | Failed) and self._held:
                out.append(Text(self._held))  # the answer ended in between: the text is new
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
    """Return the number of characters that both begin with."""
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return length
