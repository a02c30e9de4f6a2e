"""Wire formats, one a file. A protocol module holds:

* `request(chat, target) -> HttpRequest`: pure. What the format cannot say raises errors.usage
  before anything is sent.
* `refusal(status, headers, body) -> Failed`: pure, for every answer that is not 2xx.
* `Decoder(limit)`, sans-IO, whose contract is:
  - `feed(data) -> list[Event]`: the events that these bytes completed, or none yet; never an
    exception, whatever the bytes.
  - `close(broken=None) -> list[Event]`: the bytes have ended, by `broken` (a Failed) if the
    transport broke; ends with one Finished or Failed if `feed` has not given it yet.
  - `ended`: Finished or Failed was given, what follows is ignored.
  - `ending`: the finish reason was seen; only a marker and usage may follow.
* `decoder(target, limit) -> Decoder`, only where the row says what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol, cast

from ..events import Event, Failed
from ..messages import ChatRequest
from ..request import HttpRequest, Target


class Decoder(Protocol):
    @property
    def ended(self) -> bool: ...
    @property
    def ending(self) -> bool: ...
    def feed(self, data: bytes) -> list[Event]: ...
    def close(self, broken: Failed | None = None) -> list[Event]: ...


class DecoderFactory(Protocol):
    def __call__(self, limit: int = ...) -> Decoder: ...


class WireFormat(Protocol):
    Decoder: DecoderFactory

    def request(self, chat: ChatRequest, target: Target) -> HttpRequest: ...
    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Failed: ...


class Keeper(Protocol):
    """What a protocol module also has if its servers keep conversations themselves.

    `messages_of(data, where)` reads the file of `-o add=`; a usage error names its line.
    `before(chat, target, messages)` is sent, one after the other, before the first question, and
    `after(chat, target, text)` when an answer is whole. All are pure.
    """

    messages_of: Callable[[bytes, str], list[dict[str, Any]]]
    before: Callable[[ChatRequest, Target, list[dict[str, Any]]], list[HttpRequest]]
    after: Callable[[ChatRequest, Target, str], list[HttpRequest]]


def keeper(protocol: WireFormat) -> Keeper | None:
    """The same module, if it is a Keeper."""
    return cast(Keeper, protocol) if hasattr(protocol, "before") else None


def decoder_for(protocol: WireFormat, target: Target, limit: int) -> Decoder:
    """What decodes the target's answers; an event may have `limit` bytes."""
    make = getattr(protocol, "decoder", None)
    return cast(Decoder, make(target, limit)) if make else protocol.Decoder(limit)


def get(name: str) -> WireFormat:
    """The protocol of that name; ModuleNotFoundError if there is none."""
    return cast(WireFormat, import_module(f".{name.replace('-', '_')}", __package__))
