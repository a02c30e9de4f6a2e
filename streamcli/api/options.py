"""The options of the Python face: their names and types, and the invocation they make."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from ..errors import StreamError

if TYPE_CHECKING:
    from ..messages import Tool
    from ..settings.invocation import Config, Invocation


class Options(TypedDict, total=False):
    """The options of `stream`, `astream` and `stream_batch`: those of the command of that name.

    Times are in seconds. `options` are further fields of the request's body (`-o`), `schema` is a
    JSON Schema or the short form, `tools` are functions, `tool_files` the FILEs and COMMANDs of
    --tools. `api_key` replaces the key of the environment; with `fallback` it is a mapping by
    provider, so that no key is sent to another provider. With `config=False` no configuration is
    read.
    """

    model: str
    provider: str
    fallback: str | Sequence[str]
    system: str
    temperature: float
    top_p: float
    max_tokens: int
    stop: str | Sequence[str]
    seed: int
    frequency_penalty: float
    presence_penalty: float
    think: str
    schema: Mapping[str, Any] | str
    schema_retries: int
    prefill: str
    options: Mapping[str, Any]
    attach: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    tools: Sequence[Callable[..., Any] | Tool]
    tool_files: str | Sequence[str]
    tool_choice: str
    max_rounds: int
    session: str
    base_url: str
    headers: Mapping[str, str]
    api_key: str | Mapping[str, str]
    key_file: str
    connect_timeout: float
    first_timeout: float
    idle_timeout: float
    timeout: float
    max_retries: int
    max_wait: float
    max_event_size: int
    on_drop: str
    no_stream: bool
    unix_socket: str
    config: bool


# Options whose name is not that of a field of Settings.
_OTHERS = ("options", "headers", "tools", "tool_files", "api_key", "config")
_FIELDS = tuple(name for name in Options.__annotations__ if name not in _OTHERS)
# Fields that hold several values; one may be passed without a list.
_SEVERAL = ("model", "fallback", "stop", "attach")


# What each option has to be, for those that are not a str.
_WHOLE = ("max_tokens", "seed", "schema_retries", "max_rounds", "max_retries", "max_event_size")
_NUMBERS = (
    *("temperature", "top_p", "frequency_penalty", "presence_penalty", "connect_timeout"),
    *("first_timeout", "idle_timeout", "timeout", "max_wait"),
)
_FLAGS = ("no_stream", "config")
_MAPPINGS = ("options", "headers")
_LISTS = ("fallback", "stop", "attach", "tool_files")
# Options whose values have bounds or a few choices, which the option table knows.
_BOUNDED = frozenset((*_WHOLE, *_NUMBERS, "think", "on_drop"))


def check_names(given: Mapping[str, Any]) -> None:
    """Raise TypeError for an option that does not exist, or is of another type."""
    for name, value in given.items():
        if name not in Options.__annotations__:
            raise TypeError(f"stream() has no option {name!r}")
        if value is not None and (kind := _wrong(name, value)):
            raise TypeError(f"{name} has to be {kind}, not {type(value).__name__}")
    if given.get("tools") and given.get("tool_files"):
        raise TypeError("tools and tool_files exclude each other")
    if isinstance(given.get("api_key"), str) and given.get("fallback"):
        raise TypeError("with fallback, api_key has to be a mapping: {provider: key}")


def _wrong(name: str, value: Any) -> str:
    """Return the type that an option has to have; "" if its value has it."""
    from numbers import Integral, Real

    if name in _WHOLE or name in _NUMBERS:
        whole = name in _WHOLE
        good = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
        return "" if good else "an int" if whole else "a number"
    if name in _FLAGS:
        return "" if isinstance(value, bool) else "a bool"
    if name in _MAPPINGS:
        return "" if isinstance(value, Mapping) else "a mapping"
    if name in ("schema", "api_key"):
        return "" if isinstance(value, str | Mapping) else "a str or a mapping"
    if name in _LISTS:
        return "" if _are_texts(value, name == "attach") else "a str or a sequence of them"
    if name == "tools":
        return "" if isinstance(value, Iterable) else "a sequence of functions"
    return "" if isinstance(value, str) else "a str"


def _are_texts(value: Any, paths: bool) -> bool:
    kinds = (str, os.PathLike) if paths else (str,)
    if isinstance(value, kinds):
        return True
    return isinstance(value, Sequence) and all(isinstance(each, kinds) for each in value)


def checked(given: Mapping[str, Any], *, awaits: bool = False) -> Mapping[str, Any]:
    """Return the options with functions turned into tools; TypeError for a wrong name or type.

    With `awaits` coroutine functions may be tools.
    """
    check_names(given)
    if not given.get("tools"):
        return given
    from ..tools.functions import tools_of

    return {**given, "tools": tools_of(given["tools"], awaits=awaits)}


def key_for(given: Mapping[str, Any]) -> Callable[[str], str | None]:
    """Return the function that gives the key passed for a provider, None if there is none."""
    key = given.get("api_key")
    return key.get if isinstance(key, Mapping) else lambda provider: key


def invocation_of(prompt: str, given: Mapping[str, Any], environ: Mapping[str, str]) -> Invocation:
    """Return the run that asks `prompt`. Usage errors where the configuration cannot be used."""
    from ..input.prompt import LITERAL_DASH
    from ..settings.invocation import Config, Invocation
    from ..settings.settings import Settings

    values = _bounded(_values(given))
    _check_texts({"the prompt": prompt, **values})
    config = _config(environ) if given.get("config", True) else Config()
    preferences = {name: config.defaults[name] for name in _FIELDS if name in config.defaults}
    if variable := environ.get("STREAM_MODEL"):
        preferences["model"] = (variable,)
    settings = Settings(
        **{**preferences, **values}, no_stdin=True, format="jsonl", quiet=True, progress="never"
    )
    words = (LITERAL_DASH if prompt == "-" else prompt,)
    typed = frozenset(values) | ({"tools"} if given.get("tools") else frozenset())
    return Invocation(settings, words, typed, frozenset(preferences) - typed, config)


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of Settings that the options set."""
    values = {name: given[name] for name in _FIELDS if name in given and given[name] is not None}
    for name in _SEVERAL:
        if name in values:
            values[name] = tuple(map(os.fspath, _several(values[name])))
    if str(values.get("system", "")).startswith("@"):
        values["system"] = f"@{values['system']}"  # a text, not the name of a file
    if isinstance(schema := values.get("schema"), Mapping):
        values["schema"] = _json("schema", schema)
    if options := given.get("options"):
        values["option"] = tuple(f"{key}={_json(key, each)}" for key, each in options.items())
    if headers := given.get("headers"):
        values["header"] = tuple(f"{name}: {value}" for name, value in headers.items())
    if files := given.get("tool_files"):
        values["tools"] = tuple(_several(files))
    return values


def _json(name: str, value: Any) -> str:
    import orjson

    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise StreamError("usage", f"{name} cannot be written as JSON: {error}") from None


def _bounded(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as the command would convert them; usage errors for those out of bounds."""
    names = _BOUNDED & values.keys()
    if not names:
        return values  # without the option table, whose import takes longer than all of this
    import click

    from ..settings.options import TABLE

    context = click.Context(click.Command("stream"))
    for option in TABLE:
        if option.name in names:
            try:
                values[option.name] = option.type_cast_value(context, values[option.name])
            except click.BadParameter as error:
                raise StreamError("usage", f"{option.name}: {error.message.rstrip('.')}") from None
    return values


def _check_texts(values: Mapping[str, Any]) -> None:
    """Raise a usage error for a text that UTF-8 cannot hold."""
    from ..input.text import is_utf8

    for name, value in values.items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and not is_utf8(text):
                raise StreamError("usage", f"{name} has half a surrogate pair in it")


def _several(value: Any) -> Sequence[Any]:
    return (value,) if isinstance(value, str | os.PathLike) else tuple(value)


def _config(environ: Mapping[str, str]) -> Config:
    from ..settings.invocation import Config, config_path

    path = config_path(environ)
    if environ.get("STREAM_NO_CONFIG") or not os.path.exists(path):
        return Config()
    from ..settings.config_file import load

    return load(path)
