"""JSON as servers really write it: lenient where orjson is strict. Pure; raises ValueError only."""

from __future__ import annotations

from typing import Any

import orjson


def is_json(data: bytes) -> bool:
    """Return whether `data` is JSON, for lenient readers."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            return bool(json_values(data))
        except ValueError:
            return False
    return True


def json_values(payload: bytes, strict: bool = False) -> list[Any]:
    """Return the JSON values of one payload; ValueError if it holds anything else.

    orjson is strict where real streams are not: surrogate halves (an emoji cut in two by the
    server), NaN, bytes that are no UTF-8, integers beyond 64 bits, control characters in strings,
    several values in a payload, a byte order mark before it. `strict`: control characters
    in strings are mistakes; line breaks always are.
    """
    try:
        return [orjson.loads(payload)]
    except orjson.JSONDecodeError:
        pass
    import json

    text = payload.decode("utf-8", "replace").strip().removeprefix("\ufeff")
    decoder = json.JSONDecoder(strict=strict or "\n" in text)
    values: list[Any] = []
    at = 0
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            values.append(value)
            while text[at : at + 1].isspace():
                at += 1
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not values:
        raise ValueError("empty")
    return values


def deeper(value: Any, levels: int) -> bool:
    """Return whether a value has more levels of objects and arrays than that."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            inner
            for each in layer
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not layer:
            return False
    return True


class Halves:
    """Joins surrogate pairs that a server cut over two deltas of one channel.

    Python strings do not merge them, and a lone one cannot be written: a half without its partner
    becomes U+FFFD.
    """

    def __init__(self) -> None:
        self.held: dict[Any, str] = {}  # by channel; empty nearly always

    def join(self, channel: Any, text: str) -> str:
        text = self.held.pop(channel, "") + text
        if "\ud800" <= text[-1:] <= "\udbff":
            self.held[channel] = text[-1]
            text = text[:-1]
        return whole(text)

    def rest(self) -> list[tuple[Any, str]]:
        """Return what is still held at the end, as it has to be shown."""
        held, self.held = self.held, {}
        return [(channel, "\ufffd") for channel in held]


def words(value: Any) -> str:
    """Return a field that should be a string, as one that can be written; "" if it is not one."""
    return whole(value) if isinstance(value, str) else ""


def natural(value: Any) -> int | None:
    """Return a field that should be a count or a place; None if a record cannot hold it."""
    return value if type(value) is int and 0 <= value < 2**53 else None


def count(value: Any) -> int | None:
    """Return a token count; floats and numeric strings occur. None if it is not a count."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return natural(value)


def whole(text: str) -> str:
    """Return `text` with pairs of surrogates merged and lone ones replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
