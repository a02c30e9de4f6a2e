"""The options of the Python face: what they are, and the invocation that they make."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from ..messages import Tool
    from ..settings.settings import Config, Invocation


class Options(TypedDict, total=False):
    """The options of `stream`, `astream` and `stream_batch`: those of the command of that name.

    Times are in seconds. `options` are further fields of the request's body (`-o`), `schema` is a
    JSON Schema or the short form, `tools` are functions, `tool_files` the FILEs and COMMANDs of
    --tools. `api_key` is stronger than the variables; with `fallback` it is a mapping
    by provider, so that no key is sent to another one. `config=False` reads no configuration.
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


# Options under another name than their field, or that are not fields at all.
_OTHERS = ("options", "headers", "tools", "tool_files", "api_key", "config")
_FIELDS = tuple(name for name in Options.__annotations__ if name not in _OTHERS)
# Fields that hold several values: one may be given alone.
_SEVERAL = ("model", "fallback", "stop", "attach")


def check_names(given: Mapping[str, Any]) -> None:
    """Raise TypeError for an option that does not exist."""
    for name in given:
        if name not in Options.__annotations__:
            raise TypeError(f"stream() has no option {name!r}")
    if given.get("tools") and given.get("tool_files"):
        raise TypeError("tools and tool_files exclude each other")
    if isinstance(given.get("api_key"), str) and given.get("fallback"):
        raise TypeError("with fallback, api_key has to be a mapping: {provider: key}")


def checked(given: Mapping[str, Any], *, awaits: bool = False) -> Mapping[str, Any]:
    """Return the options with their functions as tools; TypeError for what cannot be right.

    `awaits`: coroutine functions may be tools.
    """
    check_names(given)
    if not given.get("tools"):
        return given
    from ..tools.functions import tools_of

    return {**given, "tools": tools_of(given["tools"], awaits=awaits)}


def key_for(given: Mapping[str, Any]) -> Callable[[str], str | None]:
    """Return what gives the key that was passed for a provider."""
    key = given.get("api_key")
    return key.get if isinstance(key, Mapping) else lambda provider: key


def invocation_of(prompt: str, given: Mapping[str, Any], environ: Mapping[str, str]) -> Invocation:
    """Return the run that asks `prompt`. Usage errors where the configuration cannot be used."""
    from ..input.prompt import LITERAL_DASH
    from ..settings.settings import Config, Invocation, Settings

    values = _values(given)
    config = _config(environ) if given.get("config", True) else Config()
    general = {name: config.defaults[name] for name in _FIELDS if name in config.defaults}
    if variable := environ.get("STREAM_MODEL"):
        general["model"] = (variable,)
    settings = Settings(
        **{**general, **values}, no_stdin=True, format="jsonl", quiet=True, progress="never"
    )
    words = (LITERAL_DASH if prompt == "-" else prompt,)
    typed = frozenset(values) | ({"tools"} if given.get("tools") else frozenset())
    return Invocation(settings, words, typed, frozenset(general) - typed, config)


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of Settings that the options set."""
    import orjson

    values = {name: given[name] for name in _FIELDS if name in given and given[name] is not None}
    for name in _SEVERAL:
        if name in values:
            values[name] = tuple(map(os.fspath, _several(values[name])))
    if str(values.get("system", "")).startswith("@"):
        values["system"] = f"@{values['system']}"  # a text, not the name of a file
    if isinstance(schema := values.get("schema"), Mapping):
        values["schema"] = orjson.dumps(schema).decode()
    if options := given.get("options"):
        values["option"] = tuple(
            f"{key}={orjson.dumps(value).decode()}" for key, value in options.items()
        )
    if headers := given.get("headers"):
        values["header"] = tuple(f"{name}: {value}" for name, value in headers.items())
    if files := given.get("tool_files"):
        values["tools"] = tuple(_several(files))
    return values


def _several(value: Any) -> Sequence[Any]:
    return (value,) if isinstance(value, str | os.PathLike) else tuple(value)


def _config(environ: Mapping[str, str]) -> Config:
    from ..settings.settings import Config, config_path

    path = config_path(environ)
    if environ.get("STREAM_NO_CONFIG") or not os.path.exists(path):
        return Config()
    from ..settings.config_file import load

    return load(path)
