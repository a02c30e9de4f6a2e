"""The fields of a request line: read each value, and raise errors that say what it has to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ..errors import StreamError, usage
from ..settings.options import EFFORTS, TABLE
from ..wire.lenient_json import deeper
from .chat_options import NESTED

NUMBERS = ("temperature", "top_p", "max_tokens", "seed", "frequency_penalty", "presence_penalty")
FIELDS = ("id", "prompt", "messages", "system", "model", *NUMBERS, "stop", "schema", "think")

# All other options belong to the command line alone, and so do these names of other programs.
_NEVER = {option.name for option in TABLE} - set(FIELDS) | {
    *("url", "api_base", "endpoint", "host", "proxy", "headers", "extra_headers", "extra_body"),
    *("key", "api_key", "authorization", "files", "path", "attachments", "options", "session"),
    *("tools", "tool_choice", "functions", "function_call", "mcp", "command", "template"),
}


def text_of(name: str, value: Any) -> str:
    if type(value) is not str:
        raise wrong(name, "a text", value)
    return value


def model_of(name: str, value: Any) -> str:
    if not text_of(name, value):
        raise wrong(name, "a name", value)
    if value.startswith("local:"):
        raise usage("a request line cannot choose a file", f"-m {value} is an option")
    return str(value)


def _stops(name: str, value: Any) -> tuple[str, ...]:
    texts = [value] if type(value) is str else value
    if type(texts) is not list or not all(type(text) is str for text in texts):
        raise wrong(name, "a text or a list of texts", value)
    return tuple(texts)


def _effort(name: str, value: Any) -> str:
    if type(value) is bool:
        return "medium" if value else "none"
    if value not in EFFORTS:
        raise wrong(name, f"true, false, {', '.join(EFFORTS[:-1])} or {EFFORTS[-1]}", value)
    return str(value)


def schema_of(name: str, value: Any) -> dict[str, Any]:
    """Return a JSON Schema; the short form is one too, except in a batch file's line."""
    if type(value) is str and name == "schema":
        from .schema_short import schema_of_short

        try:
            return schema_of_short(value)
        except StreamError as error:
            hint = "a JSON Schema, or 'name, age int', never a file"
            raise usage(f"'{name}': {error.message}", hint) from None
    if type(value) is not dict:
        what = "an object: the JSON Schema itself, never a file"
        if name == "schema":
            what = "a JSON Schema or its short form, never a file"
        raise wrong(name, what, value)
    if deeper(value, NESTED):
        raise usage(f"'{name}' is nested more than {NESTED} levels deep")
    return value


def _reader(name: str) -> Callable[[str, Any], float]:
    """Return a reader of numbers with the range of that option."""
    kind = next(option.type for option in TABLE if option.name == name)
    assert isinstance(kind, click.IntRange | click.FloatRange)
    whole = isinstance(kind, click.IntRange)
    low = float("-inf") if kind.min is None else kind.min
    high = float("inf") if kind.max is None else kind.max
    what = "a whole number" if whole else "a number"
    if low == -(2**63):
        what += " of 64 bits"
    else:
        what += f" from {low:g}" + (f" to {high:g}" if high < 2**63 - 1 else " up")

    def read(name: str, value: Any) -> float:
        typed = type(value) is int or (type(value) is float and not whole)
        if not typed or not low <= value <= high:
            raise wrong(name, what, value)
        return int(value) if whole else float(value)

    return read


READERS: dict[str, Callable[[str, Any], Any]] = {
    **{name: _reader(name) for name in NUMBERS},
    "stop": _stops,
    "schema": schema_of,
    "think": _effort,
}


def wrong(name: str, what: str, value: Any) -> StreamError:
    return usage(f"'{name}' has to be {what}, and is {shown(value)}")


def shown(value: Any) -> str:
    """Describe a value for a message: the value itself if it is short, else its kind."""
    if value is None:
        return "missing"
    if type(value) is str:
        return f'"{value}"' if len(value) <= 40 else f'"{value[:37]}..."'
    if type(value) in (bool, int, float):
        return str(value).lower()
    return "an object" if type(value) is dict else "a list"


def no_field(name: str, known: tuple[str, ...], where: str) -> StreamError:
    plain = name.lower().replace("-", "_")
    if plain in _NEVER:
        return usage(
            f"a request line cannot choose '{name}'",
            "addresses, keys, files, tools and the like are options of the command",
        )
    from difflib import get_close_matches

    near = get_close_matches(plain, known, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
    return usage(f"'{name}' is not a field {where}", hint)
