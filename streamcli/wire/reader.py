"""The interface between json_body.py and a protocol: how the values of a body are read."""

from __future__ import annotations

from typing import Any, Protocol

from ..events import Event, Failed, Finished


class Reader(Protocol):
    """The protocol's part: it reads the values and knows how the answer ended."""

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        """Read one JSON value (mostly an object). `event` is its SSE event, or "message"."""

    def finished(self) -> bool:
        """Return whether the provider gave a finish reason, and nothing revoked it."""

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        """Put events that were held back (tool calls) into `out`, and return the end.

        `evidence` proves the end: marker, eof, hold or transport_error, with finish_reason before
        it if `finished`.
        """
