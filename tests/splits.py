"""One expectation, every chunking: ways to cut the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from streamcli.events import Event, Reasoning, Refusal, Text
from streamcli.protocols._contract import Decoder


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def every_two(data: bytes) -> Iterator[list[bytes]]:
    """All ways to cut `data` in two."""
    for at in range(len(data) + 1):
        yield [data[:at], data[at:]]


def sampled(data: bytes, count: int, seed: int = 7) -> Iterator[list[bytes]]:
    """Seeded cuts: some in two, some into reads of a typical or a tiny size."""
    random = Random(seed)
    for _ in range(count):
        at = random.randrange(len(data) + 1)
        yield [data[:at], data[at:]]
        size = random.choice((2, 3, 17, 64, 1024, 4096))
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
