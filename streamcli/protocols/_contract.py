"""The contract of a protocol file: one wire format a file, everything about it in that file.

A protocol module holds these; nothing else has to be touched when one is added:

* `NAME`: its name, as `protocol =` in the configuration writes it.
* `CAN`: what its servers can do beyond streaming text, where a provider's row does not say.
* `NEEDS_MODEL`: False where the other side has a model of its own.
* `LISTING`: where a server lists its models, and how that list is read; None if it does not.
* `request(chat, target) -> HttpRequest`: pure. It raises errors.usage, before anything is sent,
  for what the format cannot carry.
* `refusal(status, headers, body) -> Failed`: pure, for every answer that is not 2xx.
* `recognises(glimpse) -> bool`: whether a body that begins like this is in this format. At most
  one protocol recognises a body: --decode=auto asks each.
* `Decoder(limit)`, sans-IO, whose contract is:
  - `feed(data) -> list[Event]`: the events that these bytes completed, or none yet; never an
    exception, whatever the bytes.
  - `close(broken=None) -> list[Event]`: the bytes ended, by `broken` (a Failed) if the transport
    broke or we stopped waiting; ends with one Finished or Failed if `feed` has not given it yet.
  - `ended`: Finished or Failed was given; `feed` ignores later bytes.
  - `ending`: a finish reason that ends an answer was seen; only a marker and usage may follow.

The classes below declare what only some protocols have.
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
    """The beginning of a body, as far as it is known.

    `head` holds its first bytes, at most 200. Then either `value` is a JSON event (`in_array`: the
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
    """How a protocol reads what comes back."""

    Decoder: DecoderFactory

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Failed: ...


class WireFormat(Replies, Protocol):
    """A protocol module, as far as one question and its answer need it."""

    def request(self, chat: ChatRequest, target: Target) -> HttpRequest: ...


class ProtocolFile(WireFormat, Protocol):
    """A protocol module: all that every one has."""

    NAME: str
    CAN: tuple[str, ...]
    NEEDS_MODEL: bool
    LISTING: Listing | None

    def recognises(self, glimpse: Glimpse) -> bool: ...


@runtime_checkable
class DecodesByRow(Protocol):
    """A protocol whose bytes mean what the provider's row says, or what was asked (`chat`)."""

    def decoder(self, target: Target, limit: int, chat: ChatRequest | None) -> Decoder: ...


@runtime_checkable
class Keeper(Protocol):
    """A protocol whose servers keep conversations themselves.

    `messages_of(data, where)` reads the file of `-o add=`; a usage error names its line.
    `before(chat, target, messages)` is sent, one request after the other, before the first
    question, and `after(chat, target, text)` when an answer is whole. All are pure.
    """

    def messages_of(self, data: bytes, where: str) -> list[dict[str, Any]]: ...
    def before(
        self, chat: ChatRequest, target: Target, messages: list[dict[str, Any]]
    ) -> list[HttpRequest]: ...
    def after(self, chat: ChatRequest, target: Target, text: str) -> list[HttpRequest]: ...


@runtime_checkable
class ReadsRow(Protocol):
    """A protocol with keys of its own in a provider's row, and in [provider.NAME].

    `row_fault(own, template)` gives (the keys that lead to the mistake, what it is) for the row's
    `own` keys, where `template` has all of them; None if there is no mistake.
    """

    ROW_KEYS: tuple[str, ...]

    def row_fault(
        self, own: Mapping[str, Any], template: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], str] | None: ...


@runtime_checkable
class Templated(ReadsRow, Protocol):
    """A protocol that only reads answers: the row's template makes the request, and decides."""

    def needs_model(self, template: Mapping[str, Any]) -> bool: ...
    def can(self, template: Mapping[str, Any]) -> tuple[str, ...]: ...


@runtime_checkable
class TakesAnySchema(Protocol):
    """A protocol whose servers take a schema with any root; others get an object's, see schemas."""

    ANY_SCHEMA: bool


@runtime_checkable
class HasWorkspaces(Protocol):
    """A protocol whose workspace an environment variable may name."""

    WORKSPACE_VARIABLE: str


@runtime_checkable
class CountsCacheApart(Protocol):
    """A protocol whose input tokens do not contain the cached ones."""

    CACHE_IS_APART: bool


@runtime_checkable
class Cancels(Protocol):
    """A protocol whose servers go on with a task when nobody reads its answer any more.

    `cancel(target, decoder)` stops the task whose answer `decoder` was reading; None while its id
    is unknown, and once it is over.
    """

    def cancel(self, target: Target, decoder: Decoder) -> HttpRequest | None: ...


@runtime_checkable
class Resumes(Protocol):
    """A protocol whose servers go on with a broken answer by themselves."""

    def resume(
        self, chat: ChatRequest, target: Target, response_id: str, after: int
    ) -> HttpRequest: ...


@runtime_checkable
class ResumableDecoder(Decoder, Protocol):
    """The decoder of a protocol that `Resumes`; it skips events up to number `skip_until`."""

    response_id: str
    sequence_number: int | None
    skip_until: int | None


def decoder_for(
    protocol: Replies, target: Target, limit: int, chat: ChatRequest | None = None
) -> Decoder:
    """Return what decodes the target's answer to `chat`; an event may have `limit` bytes."""
    by_row = _by_row(cast(Hashable, protocol))
    return protocol.Decoder(limit) if by_row is None else by_row.decoder(target, limit, chat)


@cache
def _by_row(protocol: Hashable) -> DecodesByRow | None:
    # isinstance looks at all members of these classes: too much for each of many prompts.
    return protocol if isinstance(protocol, DecodesByRow) else None


def get(name: str) -> ProtocolFile:
    """Return the protocol of that name; ModuleNotFoundError if there is none."""
    return cast(ProtocolFile, import_module(f".{name.replace('-', '_')}", __package__))


def names() -> list[str]:
    """Return the names of all protocols: adding a file is all that adding one takes."""
    from pkgutil import iter_modules

    package = import_module(__package__)
    found = (each.name for each in iter_modules(package.__path__) if not each.ispkg)
    return sorted(name.replace("_", "-") for name in found if not name.startswith("_"))
