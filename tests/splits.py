"""One expectation, every chunking: ways to cut the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from zlib import crc32

from streamcli.events import Event, Reasoning, Refusal, Text
from streamcli.protocols._contract import Decoder


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def tiny(data: bytes, edge: int = 400) -> list[bytes]:
    """Cut a recording into bytes; between the edges of a long one into seeded reads of 1 to 40."""
    random = Random(len(data))
    pieces = bytewise(data[:edge])
    at, last = edge, len(data) - edge
    while at < last:
        size = min(random.randrange(1, 41), last - at)
        pieces.append(data[at : at + size])
        at += size
    return pieces + bytewise(data[at:])


def every_two(data: bytes) -> Iterator[list[bytes]]:
    """All ways to cut `data` in two."""
    for at in range(len(data) + 1):
        yield [data[:at], data[at:]]


def some_two(data: bytes) -> Iterator[list[bytes]]:
    """Cut `data` in two: anywhere if it is short, else around each end of a line and at each 29th.

    The 29th are counted from a place that depends on `data`: over many bodies that are alike, no
    place in them is left out.
    """
    places: Iterable[int] = range(len(data) + 1)
    if len(data) > 150:
        ends = {at + beside for at, byte in enumerate(data) if byte == 10 for beside in (0, 1, 2)}
        places = sorted(ends.union(range(crc32(data) % 29, len(data) + 1, 29)))
    for at in places:
        yield [data[:at], data[at:]]


def sampled(data: bytes, count: int, seed: int = 7) -> Iterator[list[bytes]]:
    """Seeded cuts: some in two, some into reads of a typical or a tiny size, at most 3000 reads."""
    random = Random(seed)
    sizes = [size for size in (2, 3, 17, 64, 1024, 4096) if size * 3000 > len(data)] or [4096]
    for _ in range(count):
        at = random.randrange(len(data) + 1)
        yield [data[:at], data[at:]]
        size = random.choice(sizes)
        yield [data[i : i + size] for i in range(0, len(data), size)]


def decode(decoder: Decoder, pieces: list[bytes]) -> list[Event]:
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    return events + decoder.close()


def merged(events: list[Event]) -> list[Event]:
    """Neighbouring deltas of one channel joined: how they were cut is not what is tested."""
    out: list[Event] = []
    for event in events:
        last = out[-1] if out else None
        if (
            isinstance(event, Text | Reasoning | Refusal)
            and type(last) is type(event)
            and last.choice == event.choice  # type: ignore[union-attr]
        ):
            out[-1] = type(event)(last.text + event.text, event.choice)  # type: ignore[union-attr]
        else:
            out.append(event)
    return out
