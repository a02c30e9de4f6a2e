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

    orjson is strict where real streams are not: lone surrogates (an emoji that the server cut in
    two), NaN, bytes that are not UTF-8, integers beyond 64 bits, control characters in strings,
    several values in a payload, a byte order mark before it. `strict`: control characters in
    strings are errors; line breaks in strings always are.
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
    """Return whether a value has more than `levels` levels of objects and arrays."""
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


class SurrogateJoiner:
    """Joins surrogate pairs that a server split over two deltas of one channel.

    Python strings do not merge them, and a lone one cannot be encoded: it becomes U+FFFD.
    """

    def __init__(self) -> None:
        self.pending: dict[Any, str] = {}  # by channel; empty nearly always

    def join(self, channel: Any, text: str) -> str:
        text = self.pending.pop(channel, "") + text
        if "\ud800" <= text[-1:] <= "\udbff":
            self.pending[channel] = text[-1]
            text = text[:-1]
        return whole(text)

    def rest(self) -> list[tuple[Any, str]]:
        """Return (channel, U+FFFD) for each surrogate that is still pending at the end."""
        pending, self.pending = self.pending, {}
        return [(channel, "\ufffd") for channel in pending]


def words(value: Any) -> str:
    """Return a field that should be a string, without lone surrogates; "" if it is not one."""
    return whole(value) if isinstance(value, str) else ""


def natural(value: Any) -> int | None:
    """Return a field that should be a count or an index; None if it is not one of 0 to 2**53."""
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
