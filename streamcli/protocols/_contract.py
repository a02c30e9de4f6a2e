"""The contract of a protocol file: one wire format in each file, and all about it in that file.

A protocol module holds these; to add a protocol, add a file:

* `NAME`: its name, as `protocol =` in the configuration writes it.
* `CAN`: what its servers can do beyond streaming text, unless a provider's row says otherwise.
* `NEEDS_MODEL`: False if the server has a model of its own.
* `LISTING`: where a server lists its models, and how to read the list; None if it lists none.
* `request(chat, target) -> HttpRequest`: pure. It raises a usage error, before anything is sent,
  for a part of the request that the format cannot express.
* `refusal(status, headers, body) -> Failed`: pure, for every response that is not 2xx.
* `recognises(glimpse) -> bool`: whether a body that begins like this is in this format. At most
  one protocol recognises a body: --decode=auto asks each.
* `Decoder(limit)`, sans-IO, whose contract is:
  - `feed(data) -> list[Event]`: return the events that these bytes completed; never raise,
    whatever the bytes are.
  - `close(broken=None) -> list[Event]`: the bytes ended, by the Failed `broken` if the transport
    broke or a timeout came. Return the last events, which end with one Finished or Failed, unless
    `feed` has returned that.
  - `ended`: Finished or Failed was returned; `feed` ignores later bytes.
  - `ending`: a finish reason that ends an answer was read; only a marker and usage may follow.

The classes below declare the optional parts, which only some protocols have.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from .shared.listing import Listing

if TYPE_CHECKING:
    from ..events import Event, Failed
    from ..messages import ChatRequest
    from ..request import HttpRequest, Target


class Decoder(Protocol):
    """Turns one answer's bytes into events."""

    @property
    def ended(self) -> bool: ...
    @property
    def ending(self) -> bool: ...
    def feed(self, data: bytes) -> list[Event]: ...
    def close(self, broken: Failed | None = None) -> list[Event]: ...


class DecoderFactory(Protocol):
    def __call__(self, limit: int = ...) -> Decoder: ...


class Glimpse:
    """The beginning of a body, to recognise its protocol.

    `head` holds its first bytes, at most 200. Also either `value` is a JSON event (`in_array`: the
    body is one JSON array), or `text` is the data of a server-sent event that is not JSON.
    """

    __slots__ = ("head", "in_array", "text", "value")

    def __init__(
        self,
        head: bytes = b"",
        value: Any = None,
        *,
        in_array: bool = False,
        text: bytes | None = None,
    ) -> None:
        self.head = head
        self.value = value
        self.in_array = in_array
        self.text = text


class Replies(Protocol):
    """The part of a protocol module that reads responses."""

    Decoder: DecoderFactory

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Failed: ...


class WireFormat(Replies, Protocol):
    """The part of a protocol module that one prompt needs."""

    def request(self, chat: ChatRequest, target: Target) -> HttpRequest: ...


class ProtocolFile(WireFormat, Protocol):
    """A protocol module: the part that every protocol has."""

    NAME: str
    CAN: tuple[str, ...]
    NEEDS_MODEL: bool
    LISTING: Listing | None

    def recognises(self, glimpse: Glimpse) -> bool: ...


@runtime_checkable
class DecodesByRow(Protocol):
    """A protocol whose decoder depends on the provider's row, or on the request (`chat`)."""

    def decoder(self, target: Target, limit: int, chat: ChatRequest | None) -> Decoder: ...


@runtime_checkable
class Keeper(Protocol):
    """A protocol whose servers keep conversations themselves.

    `messages_of(data, where)` reads the file of `-o add=`; a usage error names its line. `before`
    returns the requests to send before the first prompt, `after` those to send after a whole
    answer, one after the other. All are pure.
    """

    def messages_of(self, data: bytes, where: str) -> list[dict[str, Any]]: ...
    def before(
        self, chat: ChatRequest, target: Target, messages: list[dict[str, Any]]
    ) -> list[HttpRequest]: ...
    def after(self, chat: ChatRequest, target: Target, text: str) -> list[HttpRequest]: ...


@runtime_checkable
class ReadsRow(Protocol):
    """A protocol with keys of its own in a provider's row, and in [provider.NAME].

    `row_fault(own, template)` returns (the keys that lead to a fault, its description) for the
    row's `own` keys; `template` also has the inherited ones. None if there is no fault.
    """

    ROW_KEYS: tuple[str, ...]

    def row_fault(
        self, own: Mapping[str, Any], template: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], str] | None: ...


@runtime_checkable
class Templated(ReadsRow, Protocol):
    """A protocol that defines only the response: the row's template makes the request."""

    def needs_model(self, template: Mapping[str, Any]) -> bool: ...
    def can(self, template: Mapping[str, Any]) -> tuple[str, ...]: ...


@runtime_checkable
class TakesAnySchema(Protocol):
    """A protocol whose servers take any schema; others get an object's (shared/schemas.py)."""

    ANY_SCHEMA: bool


@runtime_checkable
class HasWorkspaces(Protocol):
    """A protocol with workspaces; an environment variable may name the workspace."""

    WORKSPACE_VARIABLE: str


@runtime_checkable
class CountsCacheApart(Protocol):
    """A protocol whose count of input tokens excludes the cached ones."""

    CACHE_IS_APART: bool


@runtime_checkable
class Cancels(Protocol):
    """A protocol whose servers go on with a task even if nobody reads its answer.

    `cancel` returns the request that stops the task whose answer `decoder` was reading; None while
    the task's id is unknown, and once the task is over.
    """

    def cancel(self, target: Target, decoder: Decoder) -> HttpRequest | None: ...


@runtime_checkable
class Resumes(Protocol):
    """A protocol whose servers continue a response when the connection breaks.

    `resume` returns the request for the events after number `after`.
    """

    def resume(
        self, chat: ChatRequest, target: Target, response_id: str, after: int
    ) -> HttpRequest: ...


@runtime_checkable
class ResumableDecoder(Decoder, Protocol):
    """The decoder of a protocol that Resumes; it skips the events up to number `skip_until`."""

    response_id: str
    sequence_number: int | None
    skip_until: int | None


def decoder_for(
    protocol: Replies, target: Target, limit: int, chat: ChatRequest | None = None
) -> Decoder:
    """Return the decoder for the target's answer to `chat`; an event has at most `limit` bytes."""
    by_row = _by_row(cast(Hashable, protocol))
    return protocol.Decoder(limit) if by_row is None else by_row.decoder(target, limit, chat)


@cache
def _by_row(protocol: Hashable) -> DecodesByRow | None:
    # isinstance with such a class checks all its members, which is slow for each of many prompts.
    return protocol if isinstance(protocol, DecodesByRow) else None


def get(name: str) -> ProtocolFile:
    """Return the protocol of that name; ModuleNotFoundError if there is none."""
    return cast(ProtocolFile, import_module(f".{name.replace('-', '_')}", __package__))


def names() -> list[str]:
    """Return the names of all protocols, from the files in this folder."""
    from pkgutil import iter_modules

    package = import_module(__package__)
    found = (each.name for each in iter_modules(package.__path__) if not each.ispkg)
    return sorted(name.replace("_", "-") for name in found if not name.startswith("_"))
