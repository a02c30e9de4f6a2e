"""Feed a Merger as a connection does that leaves the body to the HTTP library."""

from __future__ import annotations

from streamcli.transport.chunk_merger import Merger


def fed(merger: Merger, data: bytes) -> bytes:
    """All that `data` gives for the library: a head, and behind it what came of the body."""
    given = merger.feed(data)
    rest, merger.rest = merger.rest, b""
    return given + (merger.feed(rest) if rest else b"")
