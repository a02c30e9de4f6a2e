"""What makes runs out of Anthropic's and Cohere's events, which differ in more than text. Pure.

Each is named after the `type` in its JSON; Anthropic pads it with spaces before its last brace
against traffic analysis. Neither says anything.
"""

from __future__ import annotations

import re
from typing import Any

from ..events import Event
from .fast_runs import Template

_END = b"}\n\n"


class PlainEvents:
    """Takes the name `name` off server-sent events, for a reader that has no use for it.

    Exact at any cut: JSON has no line break in a string, so what stands behind one is never text.
    """

    def __init__(self, name: str) -> None:
        self._named = b"event: %b\ndata: " % name.encode()
        self._fresh = True  # the next byte begins an event
        self._held = b""  # the beginning of an event, as long as it may be the name's

    def feed(self, data: bytes) -> bytes:
        """Holds nothing back that could complete an event."""
        if self._held:
            data = self._held + data
            self._held = b""
        named = self._named
        if self._fresh and data.startswith(named):
            data = data[len(named) - 6 :]  # "data: " stays
        data = data.replace(b"\n\n" + named, b"\n\ndata: ")
        last = data.rfind(b"\n\n", -len(named) - 2)
        begun = data[last + 2 :] if last >= 0 else data if self._fresh else b"-"
        self._fresh = len(begun) < len(named) and named.startswith(begun)
        if self._fresh and begun:
            self._held = begun
            data = data[: -len(begun)]
        return data

    def close(self) -> bytes:
        held, self._held = self._held, b""
        return held


class PaddedRuns(Template):
    """Runs of events with any number of spaces before the last brace."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._tail = b""  # from the text's end to the padding
        self._padded = re.compile(b"")

    def learn(self, payload: bytes, value: Any, event: Event) -> None:
        super().learn(payload, value, event)
        if self._after.endswith(_END) and self._after != _END:
            self._tail = self._after.removesuffix(_END).rstrip(b" ")
            self._between = self._tail + _END + self._before
            self._padded = re.compile(
                re.escape(self._tail) + b" *" + re.escape(_END + self._before)
            )
            self._after = _END

    def _texts(self, run: bytes) -> list[str] | None:
        run = run.rstrip(b" ")
        if not run.endswith(self._tail):
            return None
        return super()._texts(self._padded.sub(lambda _: self._between, run[: -len(self._tail)]))
