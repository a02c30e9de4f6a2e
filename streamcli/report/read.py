"""Read records in whatever state runs have left them, and pass each request on once.

`--jsonl`, `--json` and `--events` files may be mixed and joined; lines that are torn, or not
records, are counted and skipped. Memory is flat: answers that have not ended are a bounded number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import orjson

from ..input.text import BOM
from ..output.records import SCHEMA
from ..timings import Histogram
from .seen_ids import SeenIds

BLOCK = 1 << 17  # bytes of a read: more does not stay in a processor's cache
LONGEST = 64 << 20  # bytes of a line: longer ones are not records
IN_FLIGHT = 20_000  # answers that have begun: twice what the most --jobs can have at a time
_HEAD = b'{"type":"'
_END = _HEAD + b'end","'
_DELTA = b'{"type":"delta","request_id":"'  # as our own deltas begin, with 26 characters behind it
_ID = slice(len(_DELTA), len(_DELTA) + 26)
_T_MS = b'"t_ms":'
_SSE = (b"event:", b"id:", b"data:")  # what --format sse has between its records
_FAMILY = SCHEMA.partition("/")[0] + "/"
_LONG = 512  # deltas of an answer whose times are turned into counts before its end
_CHECK = 1 << 20  # bytes of records after which the long answers are looked for
_DISTINCT = 4096  # counts that are turned into a histogram's

Asked = tuple[Any, Any]  # provider and model of the first start record of a request
Take = Callable[[Mapping[str, Any], Asked | None, Mapping[float, int] | None], None]


class _Dropped(list[float]):
    """The times of a request that was counted already: they are not kept."""

    def append(self, time: float) -> None:
        pass


class Reader:
    """Passes every `end` record to `take` once, with facts from the records before it.

    These are the provider and model that were asked, and the gaps between its deltas in
    milliseconds with their number, if all of its deltas were there.
    """

    def __init__(self, take: Take, seen: SeenIds | None = None) -> None:
        self.torn = 0
        self.foreign = 0
        self.duplicates = 0
        self.other_versions = 0
        self.unfinished = 0  # began, and have no end
        self._take = take
        self._unchecked = 0  # bytes
        self._seen = seen or SeenIds()
        self._times: dict[bytes, list[float]] = {}  # of the deltas of answers that have not ended
        self._counts: dict[bytes, _Gaps] = {}
        self._asked: dict[bytes, Asked] = {}

    def read(self, file: BinaryIO) -> None:
        """Read a file to its end. Raise an OSError if it cannot be read."""
        for block in _blocks(file):
            if block:
                self.feed(block)
            else:
                self.foreign += 1

    def feed(self, block: bytes) -> None:
        """Read whole lines."""
        times, loads = self._times, orjson.loads
        for line in block.split(b"\n"):
            if line.startswith(_END):
                try:
                    record = loads(line)
                except orjson.JSONDecodeError:
                    self._line(line)
                else:
                    self._record(record)
            elif line.startswith(_DELTA) and line.endswith(b"}") and line.find(_HEAD, 56) < 0:
                at = line.find(_T_MS, 56)
                try:
                    time = float(line[at + 7 : line.find(b",", at)])
                    times[line[_ID]].append(time)
                except (ValueError, KeyError):
                    self._line(line)
            elif line:
                self._line(line)
        self._unchecked += len(block)
        if self._unchecked >= _CHECK:
            self._unchecked = 0
            for id, long in times.items():
                if len(long) > _LONG:
                    self._shorten(id, long)

    def close(self) -> None:
        """Count the requests that have not ended."""
        while self._times:
            self._give_up()

    def _line(self, line: bytes) -> None:
        """Read a line that may have blanks, a BOM or the prefix of an SSE event."""
        line = line.strip().removeprefix(BOM).removeprefix(b"data: ")
        if not line or line.startswith(_SSE):
            return
        record = _parsed(line)
        if record is None:  # a record that a killed run tore may have the next one glued to it
            for part in _unglued(line):
                self._part(part, _parsed(part))
        else:
            self._part(line, record)

    def _part(self, line: bytes, record: Any) -> None:
        if type(record) is dict:
            self._record(record)
        elif record is None and (line.startswith(_HEAD) or _HEAD.startswith(line)):
            self.torn += 1
        else:
            self.foreign += 1

    def _record(self, record: dict[str, Any]) -> None:
        kind = record.get("type")
        if kind == "end":
            self._end(record)
        elif kind == "delta":
            self._delta(record)
        elif kind == "start":
            self._start(record)
        elif not isinstance(kind, str) or not (record.keys() & {"request_id", "schema"}):
            self.foreign += 1

    def _end(self, record: dict[str, Any]) -> None:
        schema = record.get("schema", SCHEMA)
        if schema != SCHEMA:
            if isinstance(schema, str) and schema.startswith(_FAMILY):
                self.other_versions += 1
            else:
                self.foreign += 1
            return
        id = _id(record)
        if id is None:  # it went through jq, perhaps
            if type(record.get("timings")) is dict or isinstance(record.get("status"), str):
                self._take(record, None, None)
            else:
                self.foreign += 1
            return
        if id not in self._times:  # the end record is all that there is
            if self._seen.add(id):
                self._take(record, None, None)
            else:
                self.duplicates += 1
            return
        times = self._times.pop(id)
        counts, asked = self._counts.pop(id, None), self._asked.pop(id, None)
        if not self._seen.add(id):
            self.duplicates += 1
            return
        gaps = None
        if times:
            timings = record.get("timings")
            chunks = timings.get("chunks") if type(timings) is dict else None
            counts = counts or _Gaps()
            counts.add(times)
            if type(chunks) is int and counts.deltas >= chunks:
                gaps = counts.counts
        self._take(record, asked, gaps)

    def _start(self, record: dict[str, Any]) -> None:
        if (id := _id(record)) is None:
            return
        times = self._times.get(id)
        if times is None:
            self._begin(id)
        elif times:  # another attempt, or the next round of tools: the time between is not a gap
            self._shorten(id, times)
            self._counts[id].last = None
        if id not in self._asked:
            self._asked[id] = record.get("provider"), record.get("model")

    def _delta(self, record: dict[str, Any]) -> None:
        """Note a delta of an answer without a start record, or one with other blanks than ours."""
        time = record.get("t_ms")
        if (id := _id(record)) is None or not isinstance(time, int | float):
            return
        if id not in self._times:
            self._begin(id)
        self._times[id].append(time)

    def _begin(self, id: bytes) -> None:
        if len(self._times) >= IN_FLIGHT:
            self._give_up()
        self._times[id] = _Dropped() if self._seen.has(id) else []

    def _give_up(self) -> None:
        id, times = next(iter(self._times.items()))
        del self._times[id]
        self._counts.pop(id, None)
        self._asked.pop(id, None)
        self.unfinished += not isinstance(times, _Dropped)

    def _shorten(self, id: bytes, times: list[float]) -> None:
        """Turn the times of deltas into counts of the gaps between them."""
        self._counts.setdefault(id, _Gaps()).add(times)
        times.clear()


class _Gaps:
    """The gaps of an answer so far, in steps of 0.1 ms as the records have them, and their number.

    Many different gaps become the values of a histogram, within 1 %.
    """

    __slots__ = ("counts", "deltas", "last")

    def __init__(self) -> None:
        self.counts: dict[float, int] = {}
        self.deltas = 0
        self.last: float | None = None

    def add(self, times: list[float]) -> None:
        counts, last = self.counts, self.last
        self.deltas += len(times)
        for time in times:
            if last is not None and time - last < 1e12:  # false for NaN
                gap = int((time - last) * 10 + 0.5) / 10
                counts[gap] = counts.get(gap, 0) + 1
            last = time
        self.last = last
        if len(counts) > _DISTINCT:
            histogram = Histogram()
            for gap, count in counts.items():
                histogram.add_many(gap, count)
            self.counts = dict(histogram.counts())


def _parsed(line: bytes) -> Any:
    """Return a line's value; None if it is not JSON."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _unglued(line: bytes) -> Iterator[bytes]:
    start = 0
    while (at := line.find(_HEAD, start + 1)) >= 0:
        yield line[start:at]
        start = at
    yield line[start:]


def _id(record: dict[str, Any]) -> bytes | None:
    id = record.get("request_id")
    return id.encode() if isinstance(id, str) else None


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield whole lines, many at once, then what no newline ends; b"" for a line beyond LONGEST."""
    held: list[bytes] = []
    size = 0
    while data := file.read(BLOCK):
        end = data.rfind(b"\n") + 1
        if not end:
            size += len(data)
            if size <= LONGEST:
                held.append(data)
            else:
                held.clear()
            continue
        if size > LONGEST:
            start = data.find(b"\n") + 1
            yield b""
            if start < end:
                yield data[start:end]
        else:
            yield b"".join((*held, data[:end]))
        held, size = [data[end:]], len(data) - end
    if size > LONGEST:
        yield b""
    elif size:
        yield b"".join(held)
