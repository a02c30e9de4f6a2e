"""AWS's binary framing: vectors by others, every split, damage, sizes, and that it is linear."""

from __future__ import annotations

import struct
from random import Random
from zlib import crc32

import pytest
from awsframes import DAMAGED, RECORDED_TEXT, RECORDED_TOOLS, VECTORS, answer, frame
from splits import bytewise, every_two, sampled

from streamcli.wire.aws_eventstream import MAX_HEADERS, EventStream

Plain = list[tuple[dict[str, str], bytes]]


def frames(pieces: list[bytes], limit: int = 1 << 24) -> tuple[Plain, EventStream]:
    stream = EventStream(limit)
    found = [frame for piece in pieces for frame in stream.feed(piece)]
    return [(frame.headers, frame.payload) for frame in found], stream


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name: str) -> None:
    data, headers, payload = VECTORS[name]
    for pieces in (bytewise(data), *every_two(data)):
        found, stream = frames(pieces)
        assert found == [(headers, payload)]
        assert not stream.damage
    if name not in ("int32", "all types"):  # else it has headers that are no strings
        assert frame(headers, payload) == data


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_damaged_vectors(data: bytes) -> None:
    good = VECTORS["payload"][0]
    for pieces in (bytewise(good + data + good), [good + data + good]):
        found, stream = frames(pieces)
        assert found == [({}, b"{'foo':'bar'}")], "what came before it was whole"
        assert "checksum" in stream.damage
        assert stream.feed(good) == []


@pytest.mark.parametrize("data", [RECORDED_TEXT, RECORDED_TOOLS], ids=["text", "tools"])
def test_recorded_bytes(data: bytes) -> None:
    found, stream = frames([data])
    assert not stream.damage
    assert b"".join(frame(headers, payload) for headers, payload in found) == data
    for pieces in (bytewise(data), *every_two(data[:600]), *sampled(data, 10)):
        assert frames(pieces)[0] == frames([b"".join(pieces)])[0]


def test_every_wrong_byte_is_noticed() -> None:
    data = answer("Hi")
    whole, _ = frames([data])
    for at in range(len(data)):
        found, stream = frames([data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]])
        assert stream.damage or stream.overflow
        assert found == whole[: len(found)]


def with_prelude(length: int, headers: int, rest: bytes = b"") -> bytes:
    """A message whose beginning has the right checksum for the wrong lengths."""
    prelude = struct.pack(">II", length, headers)
    return prelude + struct.pack(">I", crc32(prelude)) + rest


@pytest.mark.parametrize(
    ("length", "headers"),
    [(0, 0), (15, 0), (16, 1), (100, 85), (2**32 - 1, 2**32 - 1), (1 << 20, MAX_HEADERS + 1)],
)
def test_lengths_that_cannot_be(length: int, headers: int) -> None:
    found, stream = frames([with_prelude(length, headers, b"x" * 200)])
    assert found == []
    assert "lengths" in stream.damage
    assert not stream.overflow


def test_a_message_that_is_too_large_is_known_by_its_first_bytes() -> None:
    for pieces in ([frame({}, b"x" * 101)], [with_prelude(117, 0)], bytewise(with_prelude(117, 0))):
        found, stream = frames(pieces, limit=100)
        assert found == []
        assert stream.overflow
    assert frames([frame({}, b"x" * 100)], limit=100)[0] == [({}, b"x" * 100)]
    _, stream = frames([with_prelude(2**32 - 1, 0)])
    assert stream.overflow


@pytest.mark.parametrize(
    "headers",
    [
        b"\x04name",  # no type
        b"\x04nam",  # cut in its name
        b"\x04name\x0a",  # no such type
        b"\x04name\x07\x00",  # cut in its value's length
        b"\x04name\x07\x00\x05abcd",  # or in its value
        b"\x04name\x09abcd",
        b"\x04name\x00\x04",
    ],
)
def test_broken_headers(headers: bytes) -> None:
    found, stream = frames([frame(headers, b"x")])
    assert found == []
    assert "headers" in stream.damage


def test_odd_headers() -> None:
    name = "é" * 100
    assert frames([frame({name: "日本", "": ""}, b"x")])[0] == [({name: "日本", "": ""}, b"x")]
    (found,) = frames([frame(b"\x01\xff\x07\x00\x01\xff")])[0]
    assert found == ({"\ufffd": "\ufffd"}, b"")


def test_junk_never_raises_and_chunking_changes_nothing() -> None:
    random = Random(20261120)
    for number in range(3000):
        data = bytearray(answer("Hi", "there"))
        for _ in range(random.choice((1, 2, 5))):
            at = random.randrange(len(data))
            if random.random() < 0.5:
                data[at] = random.randrange(256)
            else:
                del data[at : at + random.choice((1, 3, 50))]
        whole, stream = frames([bytes(data)])
        for pieces in sampled(bytes(data), 1, seed=number):
            found, again = frames(pieces)
            assert found == whole
            assert (again.damage, again.overflow) == (stream.damage, stream.overflow)


def test_what_drips_is_joined_once() -> None:
    """Not timed: what is held until the message is whole are the pieces as they came."""
    data = frame({"a": "b"}, b"x" * 10_000)
    stream = EventStream()
    joined = 0
    for at in range(0, len(data) - 10, 10):
        before = len(stream._fragments)
        assert stream.feed(data[at : at + 10]) == []
        joined += len(stream._fragments) <= before
    assert joined == 1, "to read the lengths"
    (whole,) = stream.feed(data[at + 10 :])
    assert whole.payload == b"x" * 10_000
