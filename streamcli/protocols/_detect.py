"""Find out which protocol a body is in, by its beginning: for --decode=auto. Pure."""

from __future__ import annotations

from typing import Any

from ..events import Event, Failed
from ..request import Target
from ..wire.lenient_json import json_values
from ..wire.payloads import Payloads
from ..wire.sse import MAX_EVENT_SIZE, Message, Stray
from ._contract import Decoder, Glimpse, ProtocolFile, decoder_for, get, names

PATIENCE = 1 << 18  # bytes after which the search for the protocol ends
USUAL = "openai-chat"  # the protocol of a body that none recognises


def protocol_of(value: Any, in_array: bool = False) -> str:
    """Return the name of the protocol whose event `value` is; "" if none recognises it."""
    if isinstance(value, list):
        return protocol_of(value[0], in_array=True) if value else ""
    glimpse = Glimpse(value=value, in_array=in_array)
    return _recognised(_all(), glimpse) if isinstance(value, dict) else ""


def _all() -> list[ProtocolFile]:
    return [get(name) for name in names()]


def _recognised(protocols: list[ProtocolFile], glimpse: Glimpse) -> str:
    return next((each.NAME for each in protocols if each.recognises(glimpse)), "")


def _is_text(payload: bytes) -> bool:
    """Return whether an event's data that is not JSON is text, rather than broken JSON."""
    by_itself = type(payload) is not Stray and type(payload) is not Message
    return by_itself and payload.lstrip()[:1] not in (b"", b"{", b"[", b'"')


class AutoDecoder:
    """Keeps the bytes until a protocol recognises them, then uses that protocol's decoder.

    `target` is where the bytes come from, if it is known: its quirks go to the decoder.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE, target: Target | None = None) -> None:
        self.name = ""
        self._limit = limit
        self._target = target or Target("", "", "")
        self._pending: list[bytes] = []
        self._size = 0
        self._payloads = Payloads(limit)
        self._inner: Decoder | None = None
        self._protocols = _all()

    @property
    def ended(self) -> bool:
        return self._inner is not None and self._inner.ended

    @property
    def ending(self) -> bool:
        return self._inner is not None and self._inner.ending

    def feed(self, data: bytes) -> list[Event]:
        if self._inner is not None:
            return self._inner.feed(data)
        if not self._size:
            self._ask(Glimpse(data[:200]))
        if self._inner is None:
            self._look(self._payloads.feed(data))
        self._pending.append(data)
        self._size += len(data)
        if self._size > PATIENCE:
            self._become(USUAL)
        return self._replay()

    def close(self, broken: Failed | None = None) -> list[Event]:
        if self._inner is None:
            self._look(self._payloads.close())
            self._become(self.name or USUAL)
        out = self._replay()
        assert self._inner is not None
        return out + self._inner.close(broken)

    def _look(self, payloads: list[bytes]) -> None:
        head = self._payloads.excerpt
        array = head.lstrip().startswith(b"[")
        self._ask(Glimpse(head))
        for payload in payloads:
            if self._inner is not None:
                return
            try:
                values = json_values(payload)
            except ValueError:
                if self._payloads.looks_like == "sse" and _is_text(payload):
                    self._ask(Glimpse(head, text=payload))
                continue
            for value in values:
                for each in value if isinstance(value, list) else (value,):
                    self._ask(Glimpse(head, each, in_array=array or each is not value))

    def _ask(self, glimpse: Glimpse) -> None:
        if self._inner is None:
            self._become(_recognised(self._protocols, glimpse))

    def _become(self, name: str) -> None:
        if self._inner is None and name:
            self.name = name
            self._inner = decoder_for(get(name), self._target, self._limit)

    def _replay(self) -> list[Event]:
        """Decode the pending bytes, once their protocol is known."""
        if self._inner is None or not self._pending:
            return []
        pending, self._pending = b"".join(self._pending), []
        return self._inner.feed(pending)
