"""Read and check the configuration file; every error names the file, the key and the line.

[defaults]            options by their long names: model = "ollama:llama3.2"
[alias]               names for models: fast = "groq:llama-3.3-70b-versatile"
[provider.NAME]       a provider of the user's, or changes to one of ours: providers/from_config
                      makes a row of it and checks it
[template.NAME]       a prompt and its options: input/templates reads it when it is used
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import StreamError, usage
from ..secrets import is_secret, url_secrets
from .formats import format_of
from .invocation import Config
from .option_types import Opt
from .options import TABLE

_OPTIONS = {option.long[2:].replace("-", "_"): option for option in TABLE if option.config}
# Where a provider's table may hold a secret. Commands and names of variables are not secrets.
_SECRET_TABLES = ("headers", "query", "body")
_KINDS = "a text or a number"
_PAIRS = ("header", "option")  # options whose values are NAME:VALUE or NAME=VALUE


class ConfigFile(Config):
    """A configuration from a file: it converts options, and names the line of an error."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__()
        self.path = path
        self.text = text

    def options(
        self, where: tuple[str, ...], table: dict[str, Any], known: Mapping[str, Opt] = _OPTIONS
    ) -> dict[str, Any]:
        """Return options by field of Settings, converted and checked as on the command line."""
        import click

        values: dict[str, Any] = {}
        for key, value in table.items():
            option = known.get(key.replace("-", "_"))
            if option is None or (option.name == "format" and where != ("defaults",)):
                raise self.unknown(where, key, "an option", known)
            if option.multiple and not isinstance(value, list):
                value = [value]
            if option.bare and value is True:
                value = option.bare
            if option.is_flag and not isinstance(value, bool):
                raise self.mistake(where, key, "has to be true or false")
            if not option.is_flag and not _is_plain(value if option.multiple else [value]):
                kinds = "a text, a number or a list of them" if option.multiple else _KINDS
                raise self.mistake(where, key, f"has to be {kinds}")
            if option.lacks_name(value):
                raise self.mistake(where, key, "is empty: leave it out")
            try:
                context = click.Context(click.Command("stream"))
                converted = option.type_cast_value(context, value)
            except (click.BadParameter, TypeError, ValueError, AttributeError) as error:
                bad = error.message if isinstance(error, click.BadParameter) else str(error)
                raise self.mistake(where, key, bad.rstrip(".")) from None
            if option.name == "format" and format_of(converted).records:
                raise self.mistake(where, key, "has to be markdown or text: records are not a look")
            assert option.name is not None
            values[option.name] = converted
        return values

    def mistake(self, where: tuple[str, ...], key: str, what: str) -> StreamError:
        """Return the error that names this key and its line."""
        line = line_of(self.text, where, key)
        return usage(f"{self.path}, line {line}: '{'.'.join((*where, key))}' {what}")

    def unknown(self, where: tuple[str, ...], key: str, what: str, known: Any) -> StreamError:
        """Return the error for a key that is not one of `known`, with the nearest of them."""
        return self.mistake(
            where, key, f"is not {what} of the configuration: {nearest(key, known)}"
        )


def _is_plain(values: list[Any]) -> bool:
    """Return whether each value is a text or a number; true and false are numbers to Python."""
    return all(isinstance(each, str | int | float) and type(each) is not bool for each in values)


def nearest(name: str, known: Any) -> str:
    """Return a hint with the nearest of the `known` names, or with all of them."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"


def load(path: str) -> Config:
    """Return the configuration in the file, an empty one if there is no such file. Usage errors."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISFIFO(mode):
                raise usage(f"{path} is a pipe", "make a file of it, or --no-config")
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return Config()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise usage(f"cannot read {path}: {why}", "correct it, or --no-config") from error
    if stat.S_ISREG(mode) and mode & 0o022:
        raise usage(f"others can write {path}", _closing(path))
    import tomllib

    try:
        text = data.decode("utf-8-sig")
        tables = tomllib.loads(text)
    except UnicodeDecodeError as error:
        hint = "iconv -f ENCODING -t UTF-8, or --no-config"
        raise usage(f"{path} is not UTF-8: offset {error.start}", hint) from None
    except tomllib.TOMLDecodeError as error:
        raise usage(f"{path}: {error}", "correct it, or --no-config") from None
    config = ConfigFile(path, text)
    if stat.S_ISREG(mode) and mode & 0o044:
        for where, key in _secrets(tables):
            found = config.mistake(where, key, "is secret, and others can read the file")
            raise usage(found.message, _closing(path))
    _read(config, tables)
    return config


def _closing(path: str) -> str:
    """Return the command that keeps others out of a file."""
    from ..file_errors import on_file

    return on_file("chmod 600", path)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, without waiting for the writer of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _read(config: ConfigFile, tables: dict[str, Any]) -> None:
    known = ("defaults", "alias", "provider", "template")
    for name, table in tables.items():
        if name not in known:
            raise config.unknown((), name, "a table", known)
        if not isinstance(table, dict):
            raise config.mistake((), name, f"has to be a table: [{name}]")
    config.defaults = config.options(("defaults",), tables.get("defaults", {}))
    for name, model in tables.get("alias", {}).items():
        if not isinstance(model, str) or not model:
            raise config.mistake(("alias",), name, 'has to be a model: "[PROVIDER:]MODEL"')
        config.aliases[name] = model
    config.providers = tables.get("provider", {})
    config.templates = tables.get("template", {})


def _secrets(tables: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield (table, key) of every secret in the file.

    A literal value is secret if the name of its header or field says so, and so is a password in
    an address. The values of key_env, key_cmd and a {placeholder} are not in the file.
    """
    tables_of: list[tuple[tuple[str, ...], Any]] = [(("defaults",), tables.get("defaults"))]
    providers = tables.get("provider")
    for name, facts in providers.items() if isinstance(providers, dict) else ():
        if not isinstance(facts, dict):
            continue
        where = ("provider", name)
        for key in ("base_url", "path"):
            if isinstance(facts.get(key), str) and _secret_in_url(facts[key]):
                yield where, key
        for table in _SECRET_TABLES:
            yield from _secret_fields((*where, table), facts.get(table), facts.get("key_header"))
        tables_of.append(((*where, "defaults"), facts.get("defaults")))
    for inside, options in tables_of:
        for key, value in options.items() if isinstance(options, dict) else ():
            for pair in value if isinstance(value, list) else [value]:
                named = isinstance(pair, str) and re.split("[:=]", pair, maxsplit=1)
                if key in _PAIRS and named and len(named) > 1 and is_secret(named[0]):
                    yield inside, key


def _secret_fields(
    where: tuple[str, ...], table: Any, key_header: Any
) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, value in table.items() if isinstance(table, dict) else ():
        if isinstance(value, dict):
            yield from _secret_fields((*where, key), value, key_header)
        named = is_secret(key) or (
            isinstance(key_header, str) and key.lower() == key_header.lower()
        )
        if named and isinstance(value, str) and value and not re.fullmatch(r"\{\w+\}", value):
            yield where, key


def _secret_in_url(url: str) -> bool:
    base, _, query = url.partition("?")
    fields = (field.partition("=") for field in query.split("&"))
    return bool(url_secrets(base)) or any(
        value and is_secret(name) and not value.startswith("{") for name, _, value in fields
    )


def line_of(text: str, where: tuple[str, ...], key: str) -> int:
    """Return the line where `key` of the table `where` is, as well as a scan of TOML can tell.

    tomllib does not keep positions. The key may be written as [where.key], as `key =` below
    [where], or inside a dotted key or an inline table: then it is the nearest enclosing line.
    """
    best, best_depth = 1, -1
    table: tuple[str, ...] = ()
    target = (*where, key)
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line):
            table = _names(header[1])
            here = table
        elif assigned := re.match(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*'|\s*\.\s*)+)\s*=", line):
            here = (*table, *_names(assigned[1]))
        else:
            continue
        depth = len(here)
        if here == target[:depth] and depth > best_depth:
            best, best_depth = number, depth
    return best


def _names(dotted: str) -> tuple[str, ...]:
    parts = re.findall(r"\"[^\"]*\"|'[^']*'|[\w-]+", dotted)
    return tuple(part.strip("\"'") for part in parts)
