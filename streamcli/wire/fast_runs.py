"""Decode runs of equal events together, five times as fast as one by one. Pure.

Consecutive deltas of a stream differ in their text alone. A read that is one run of such events is
split at the bytes between two texts, and the texts are parsed together. Every shortcut is exact:
what does not fit goes to the parser, event by event.

A JsonBody takes one `Runs`:

* `Template`, where everything but the text repeats (Chat Completions and similar formats);
* `PaddedRuns`, where any number of spaces stands before the last brace (Anthropic);
* `NamedRuns`, where events have a name, and a number of their own in the JSON (Responses).

`UnnamedEvents` removes the names of events before that, where the JSON holds its type itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

import orjson

from ..events import Event, Text
from .payloads import Payloads
from .sse import Message

_PROBE = "probe"
_CUT = 20  # bytes; longer ones make it slower again
_MOST_MISSES = 16  # reads in a row without a run, after which a Template gives up


class Runs(Protocol):
    """How a JsonBody reads runs of events. `learning`: call `learn` for payloads of this read."""

    learning: bool

    def feed(self, payloads: Payloads, data: bytes, out: list[Event]) -> list[bytes]:
        """Put the deltas of a run into `out`; return the payloads of the other events."""

    def learn(self, payload: bytes, value: Any, event: Event) -> None:
        """Learn the form of a payload that gave one event, `event`."""

    def forget(self) -> None:
        """Drop what was learned: an event of the same form may mean something else now."""


class Template:
    """The form of the last plain text chunk: the bytes before and after its text.

    `place(value)` returns the object whose `field` is the text. If a payload equals a parsed one
    outside the text, and its text is a valid JSON string, its parsed form differs in that string
    only. A read of another form goes to the parser and sets the next template. After _MOST_MISSES
    the template gives up: some servers' chunks all differ (timestamps, padding).
    """

    def __init__(self, field: str, place: Callable[[Any], Any]) -> None:
        self.learning = False
        self._field = field
        self._key = b'"%b":' % field.encode()
        self._place = place
        self._before = b""  # the bytes of an event before its text
        self._after = b""  # the bytes of an event after its text
        self._between = b""  # the bytes between two texts; empty while nothing is learned
        self._misses = 0

    def feed(self, payloads: Payloads, data: bytes, out: list[Event]) -> list[bytes]:
        self.learning = False
        if not payloads.settled or self._misses > _MOST_MISSES:
            return payloads.feed(data)
        sse = payloads.sse
        clean = sse.between_events
        lines = sse.lines(data)
        if not lines:
            return []
        if clean and self._between and lines.startswith(self._before):
            end = lines.rfind(b"\n\n") + 2
            room = end >= len(self._before) + len(self._after)  # else both match the same quote
            if room and lines.endswith(self._after, 0, end):
                texts = self._texts(lines[len(self._before) : end - len(self._after)])
                if texts:
                    out += [Text(text) for text in texts if text]
                    self._misses = 0
                    return sse.parse(lines[end:])
        self._misses += 1
        self.learning = True
        return sse.parse(lines)

    def forget(self) -> None:
        self._between = b""

    def _texts(self, run: bytes) -> list[str] | None:
        """Return the texts of a run; None if one of them is not a JSON string."""
        skipped = len(self._between) - _CUT
        try:
            if len(run) < skipped:  # one event, as most reads bring
                return [orjson.loads(b'"' + run + b'"')]
            # Half of a chunk and more is what stands between two texts, and so long a separator is
            # looked for slowly: a few bytes of it tell where to cut, and a comparison proves it.
            parts = run.split(self._between[:_CUT])
            if skipped > 0:
                parts[1:] = [part[skipped:] for part in parts[1:]]
                if self._between.join(parts) != run:
                    return None
            joined = b'","'.join(parts)
            if _are_strings(joined, len(parts)):
                texts: list[str] = orjson.loads(b'["' + joined + b'"]')
                return texts
            return [orjson.loads(b'"' + part + b'"') for part in parts]
        except orjson.JSONDecodeError:
            return None

    def learn(self, payload: bytes, value: Any, event: Event) -> None:
        self.learning = False
        if (
            type(event) is not Text
            or event.choice
            or type(payload) is not bytes
            or b"\n" in payload
            or payload.count(self._key) != 1
        ):
            return
        start = payload.find(self._key) + len(self._key)
        if payload[start : start + 1] == b" ":
            start += 1
        end = payload.find(b'"', start + 1) + 1
        before, after = payload[:start], payload[end:]
        if payload[start : start + 1] != b'"' or not after:
            return
        try:
            probe = orjson.loads(b'%b"%b"%b' % (before, _PROBE.encode(), after))
            if self._place(probe).pop(self._field) != _PROBE:
                return
            if self._place(value).pop(self._field) != event.text:
                return
            same = probe == value
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return
        if same:
            self._before = b"data: " + before + b'"'
            self._after = b'"' + after + b"\n\n"
            self._between = self._after + self._before


def _are_strings(joined: bytes, count: int) -> bool:
    """Return whether `joined` is the insides of so many JSON strings, with `","` between them.

    That is: each quote is one of those between them, or escaped inside a string. False for some
    that are: a string may end in an escaped quote and a comma.
    """
    escaped = 0
    if b"\\" in joined:
        pairless = joined.replace(b"\\\\", b"__")  # each backslash left escapes what follows
        if b'\\","' in pairless:
            return False  # the quote that follows may be one between two strings
        escaped = pairless.count(b'\\"')
    return joined.count(b'"') - escaped == 2 * count - 2


_END = b"}\n\n"


class PaddedRuns(Template):
    """A Template for events with any number of spaces before the last brace.

    Anthropic pads its events so, against traffic analysis.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._tail = b""  # the bytes between the text and the padding
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


class NamedRuns:
    """Splits runs of events with the same name, for values that hold their type themselves.

    The names are dropped, as each would cost a line and an object. If a read is a run of events
    `event: NAME`, `data: {...}` with one name, each payload stands between two copies of the same
    bytes. A name that does not begin with `prefix` (an error's) is kept, and not part of a run; so
    is the name of a value without a type.
    """

    def __init__(self, prefix: str, limit: int) -> None:
        self.learning = False
        self._start = b"event: " + prefix.encode()
        self._type = b'"' + prefix.encode()  # in a value that holds its type
        self._prefix = prefix
        self._limit = limit

    def feed(self, payloads: Payloads, data: bytes, out: list[Event]) -> list[bytes]:
        if not payloads.settled:
            return self._bare(payloads.feed(data))
        sse = payloads.sse
        clean = sse.between_events
        lines = sse.lines(data)
        first: list[bytes] = []
        if not clean:  # finish the event that an earlier read began
            end = 1 if lines[:1] == b"\n" else lines.find(b"\n\n") + 2
            if end == 1 != lines[:1].count(b"\n"):
                return self._bare(sse.parse(lines))
            first = self._bare(sse.parse(lines[:end]))
            lines = lines[end:]
        end = lines.rfind(b"\n\n")
        if end > 0 and lines.startswith(self._start) and len(lines) <= self._limit:
            before = lines[: lines.find(b"\n") + 1] + b"data: "
            run = lines[len(before) : end].split(b"\n\n" + before)
            # If no payload holds a line end, each event is two lines and a blank one.
            whole = lines.startswith(before) and lines.count(b"\n", 0, end + 2) == 3 * len(run)
            if whole and run[0].find(self._type) >= 0:
                sse.recognised = True
                return first + run + self._bare(sse.parse(lines[end + 2 :]))
        return first + self._bare(sse.parse(lines))

    def _bare(self, payloads: list[bytes]) -> list[bytes]:
        return [
            bytes(payload)
            if type(payload) is Message
            and payload.event.startswith(self._prefix)
            and payload.find(self._type) >= 0
            else payload
            for payload in payloads
        ]

    def learn(self, payload: bytes, value: Any, event: Event) -> None:
        """Learn nothing: the values are parsed one by one."""

    def forget(self) -> None:
        """Forget nothing."""


class UnnamedEvents:
    """Removes `event: NAME` with one name from server-sent events, for a reader without need of it.

    Exact for any chunking: a JSON string holds no line break, so `event:` at a line's start is
    never text.
    """

    def __init__(self, name: str) -> None:
        self._named = b"event: %b\ndata: " % name.encode()
        self._fresh = True  # the next byte begins an event
        self._pending = b""  # the beginning of an event, while it may be the line with the name

    def feed(self, data: bytes) -> bytes:
        """Return the bytes without names; bytes that complete an event are never held back."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        named = self._named
        if self._fresh and data.startswith(named):
            data = data[len(named) - 6 :]  # "data: " stays
        data = data.replace(b"\n\n" + named, b"\n\ndata: ")
        last = data.rfind(b"\n\n", -len(named) - 2)
        begun = data[last + 2 :] if last >= 0 else data if self._fresh else b"-"
        self._fresh = len(begun) < len(named) and named.startswith(begun)
        if self._fresh and begun:
            self._pending = begun
            data = data[: -len(begun)]
        return data

    def close(self) -> bytes:
        pending, self._pending = self._pending, b""
        return pending
