"""Continue a broken answer (--on-drop continue) without repeating or losing a character. Pure.

Where a protocol can begin an answer (`prefill`), the next request begins it with the text received
so far. Some servers refuse a prefill that ends in white space: the white space is not sent, and is
dropped from the continuation if the model repeats it. Some models do not continue but write the
beginning again: text that equals the beginning is held back until that is clear, and dropped then.
"""

from __future__ import annotations

from ..errors import StreamError
from ..events import Event, Failed, Finished, Text, ToolCall
from ..messages import ChatRequest
from ..protocols._contract import Decoder, ResumableDecoder, Resumes, WireFormat
from ..request import HttpRequest, Target

_MIN_REPEAT = 16  # characters: a shorter beginning may come again by chance
# The kinds of failure after which an answer may be continued.
_BREAKS = ("truncated", "idle_timeout", "overloaded", "lost")


class Continuation:
    """The text that one prompt received so far, over all its attempts, and how to get the rest."""

    def __init__(self) -> None:
        self.is_joined = False  # the answer consists of several requests' answers
        self._last_event: int | None = None  # its number, where the server continues by itself
        self._response_id = ""
        self._text: list[str] = []
        self._called = False  # a tool call was given
        self._stripped = ""  # white space that was delivered but not sent, and may come again
        self._beginning = ""  # the text so far, while the continuation may repeat all of it
        self._repeated = ""  # the part of the beginning that came again, held back

    def may_follow(self, end: Failed) -> bool:
        """Return whether an answer that broke off with `end` may be continued.

        With a finish reason (`raw`) it may not: the provider itself ended it.
        """
        return end.kind in _BREAKS and not end.raw

    def attach(self, decoder: Decoder) -> None:
        """Let the decoder skip the events that were read before the response broke off."""
        if self._last_event is not None and isinstance(decoder, ResumableDecoder):
            decoder.skip_until = self._last_event

    def request(
        self, protocol: WireFormat, chat: ChatRequest, target: Target, decoder: Decoder | None
    ) -> HttpRequest | None:
        """Return the request for the rest of the answer; None if there is no way to ask for it.

        Where the server keeps a response going (`background`), the request attaches to it again.
        Elsewhere the text so far becomes the prefill, unless a tool call was given: the model would
        repeat the call. `decoder` is the decoder of the broken answer.
        """
        if isinstance(protocol, Resumes) and isinstance(decoder, ResumableDecoder):
            number = decoder.sequence_number
            if number is not None and target.background:
                # A stream that was attached to again does not repeat its id.
                self._response_id = decoder.response_id or self._response_id
                if self._response_id:
                    self._last_event = number
                    return protocol.resume(chat, target, self._response_id, number)
        continued = None if self._called else self.with_prefill(chat)
        if continued is None:
            return None
        try:
            return protocol.request(continued, target)
        except StreamError:  # the protocol takes no prefill
            return None

    def with_prefill(self, chat: ChatRequest) -> ChatRequest | None:
        """Return `chat` with the text so far as its prefill; None while there is no text."""
        text = (chat.prefill or "") + "".join(self._text)
        prefill = text.rstrip()
        if not prefill:
            return None
        self._stripped = text[len(prefill) :]
        self._beginning = text if len(text) >= _MIN_REPEAT else ""
        self._repeated = ""
        self.is_joined = True
        return chat.but(prefill=prefill)

    def join(self, events: list[Event]) -> list[Event]:
        """Return the events without text that was delivered before, and keep the new text."""
        if self._stripped or self._beginning:
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
                if text := self._without_stripped(self._without_beginning(event.text)):
                    out.append(Text(text))
                continue
            if isinstance(event, Finished | Failed) and self._repeated:
                out.append(Text(self._repeated))  # only a part of the beginning: new text after all
                self._repeated = self._beginning = ""
            out.append(event)
        return out

    def _without_beginning(self, text: str) -> str:
        """Return the text of a delta without the beginning, "" while it may still be that."""
        if not self._beginning:
            return text
        text = self._repeated + text
        if self._beginning.startswith(text) and text != self._beginning:
            self._repeated = text
            return ""
        if text.startswith(self._beginning):
            text = text[len(self._beginning) :]
            self._stripped = ""
        self._repeated = self._beginning = ""
        return text

    def _without_stripped(self, text: str) -> str:
        """Return the text of a delta without the white space that was delivered before."""
        if self._stripped and text:
            same = _common_length(text, self._stripped)
            text = text[same:]
            self._stripped = "" if text else self._stripped[same:]
        return text


def _common_length(one: str, other: str) -> int:
    """Return the number of characters that both texts begin with."""
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return length
