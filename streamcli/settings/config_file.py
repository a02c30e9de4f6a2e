"""The configuration file: read, checked, and every mistake told with file, key and line.

[defaults]            options by their long names: model = "ollama:llama3.2"
[alias]               names for models: fast = "groq:llama-3.3-70b-versatile"
[provider.NAME]       a row of the user's, or changes to one of ours: protocol, base_url,
                      key_env, key_cmd, key_header, headers, defaults, prices; path, method, query,
                      body and other keys that a protocol reads (protocols/shared/template.py)
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from ..errors import StreamError, usage
from ..protocols._contract import ReadsRow, get
from ..providers.table import BY_NAME, Row
from .option_types import Opt
from .options import PROTOCOLS, TABLE

_PROVIDER_KEYS = (
    *("protocol", "base_url", "key_env", "key_cmd", "key_header"),
    *("headers", "defaults", "prices"),
)
# A row of these without keys of the protocol's own has no mistake (see test_contract.py). Others
# are asked, which takes importing them.
_COMPLETE = frozenset(row.protocol for row in BY_NAME.values())
# A server of the user's own: what its protocol makes likely.
_CHAT = {"stream_options": {"include_usage": True}}
_PRICES = ("input", "output", "cache_read", "cache_write")
_OPTIONS = {option.long[2:].replace("-", "_"): option for option in TABLE if option.config}


class Config:
    """What the file says, with option values already converted; empty if there is none."""

    def __init__(self) -> None:
        self.path = ""
        self.defaults: dict[str, Any] = {}  # by click's parameter names
        self.aliases: dict[str, str] = {}
        self.rows: dict[str, Row] = dict(BY_NAME)


def load(path: str) -> Config:
    """The configuration in `path`; an empty one if there is no such file. Usage errors."""
    config = Config()
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return config
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise usage(f"{path} cannot be read: {why}", "mend it, or --no-config") from error
    if stat.S_ISREG(mode) and mode & 0o077:
        raise usage(f"others may read or write {path}", f"chmod 600 {path}")
    import tomllib

    try:
        text = data.decode()
        tables = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise usage(f"{path} is not UTF-8: offset {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise usage(f"{path}: {error}", "mend it, or --no-config") from None
    config.path = path
    _Reader(path, text, config).read(tables)
    return config


class _Reader:
    """Checks the tables of one file and fills a Config."""

    def __init__(self, path: str, text: str, config: Config) -> None:
        self._path = path
        self._text = text
        self._config = config

    def read(self, tables: dict[str, Any]) -> None:
        known = {"defaults": self._defaults, "alias": self._aliases, "provider": self._providers}
        for name, table in tables.items():
            if name not in known:
                raise self._mistake((), name, self._unknown("table", name, known))
            if not isinstance(table, dict):
                raise self._mistake((), name, f"is a table: [{name}]")
            known[name](table)

    def _defaults(self, table: dict[str, Any]) -> None:
        self._config.defaults = self._options(("defaults",), table)

    def _options(self, where: tuple[str, ...], table: dict[str, Any]) -> dict[str, Any]:
        """Options by their long names, converted and range-checked as on the command line."""
        import click

        values: dict[str, Any] = {}
        for key, value in table.items():
            option: Opt | None = _OPTIONS.get(key.replace("-", "_"))
            if option is None:
                raise self._mistake(where, key, self._unknown("option", key, _OPTIONS))
            if option.multiple and not isinstance(value, list):
                value = [value]
            if option.is_flag and not isinstance(value, bool):
                raise self._mistake(where, key, "is true or false")
            try:
                context = click.Context(click.Command("stream"))
                converted = option.type_cast_value(context, value)
            except (click.BadParameter, TypeError, ValueError, AttributeError) as error:
                told = error.message if isinstance(error, click.BadParameter) else str(error)
                raise self._mistake(where, key, told.rstrip(".")) from None
            assert option.name is not None
            values[option.name] = converted
        return values

    def _aliases(self, table: dict[str, Any]) -> None:
        for name, model in table.items():
            if not isinstance(model, str) or not model:
                raise self._mistake(("alias",), name, 'is a model: "[PROVIDER:]MODEL"')
            self._config.aliases[name] = model

    def _providers(self, table: dict[str, Any]) -> None:
        for name, facts in table.items():
            if not isinstance(facts, dict):
                raise self._mistake(("provider",), name, f"is a table: [provider.{name}]")
            if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
                raise self._mistake(("provider",), name, "is no name: letters, digits, '-', '_'")
            self._config.rows[name] = self._row(name, facts)

    def _row(self, name: str, facts: dict[str, Any]) -> Row:
        where = ("provider", name)
        ours = BY_NAME.get(name)
        usual = ours.protocol if ours else "openai-chat"
        protocol = self._string(where, facts, "protocol", usual)
        likely: dict[str, Any] = _CHAT if protocol == "openai-chat" else {}
        base = ours or Row(name, protocol, "", needs_key=False, **likely)
        row = Row(
            name,
            protocol,
            self._string(where, facts, "base_url", base.base_url),
            key_vars=base.key_vars,
            base_vars=() if "base_url" in facts else base.base_vars,
            needs_key=base.needs_key,
            root=base.root,
            can=ours.own_can if ours and protocol == ours.protocol else None,
            **base.quirks,
        )
        if not row.base_url and not row.base_vars and name not in BY_NAME:
            raise self._mistake(where, "base_url", "is missing")
        if row.protocol not in PROTOCOLS:
            raise self._mistake(where, "protocol", self._unknown("name", row.protocol, PROTOCOLS))
        self._own_keys(where, facts, row)
        if "key_env" in facts:
            row.key_vars = (self._string(where, facts, "key_env", ""),)
            row.needs_key = True
        if "key_cmd" in facts:
            command = facts["key_cmd"]
            good = isinstance(command, list) and all(isinstance(arg, str) for arg in command)
            if not good or not command:
                raise self._mistake(where, "key_cmd", 'is a list: ["pass", "show", "openai"]')
            row.key_cmd = tuple(command)
            row.needs_key = True
        if "key_header" in facts:
            header = self._string(where, facts, "key_header", "")
            if not re.fullmatch(r"[A-Za-z0-9_.-]+", header):
                raise self._mistake(where, "key_header", "is the name of a header: X-API-Key")
            row.quirks["key_header"] = header
        headers = self._table(where, facts, "headers")
        for key, value in headers.items():
            if not isinstance(value, str):
                raise self._mistake((*where, "headers"), key, "is a string")
        row.headers = tuple(headers.items())
        row.defaults = self._options((*where, "defaults"), self._table(where, facts, "defaults"))
        for model, prices in self._table(where, facts, "prices").items():
            row.prices[model] = self._price((*where, "prices"), model, prices)
        return row

    def _own_keys(self, where: tuple[str, ...], facts: dict[str, Any], row: Row) -> None:
        """Put the keys that the row's protocol reads by itself into the row's quirks."""
        own = {key: value for key, value in facts.items() if key not in _PROVIDER_KEYS}
        if not own and row.protocol in _COMPLETE:
            return
        protocol = get(row.protocol)
        keys = protocol.ROW_KEYS if isinstance(protocol, ReadsRow) else ()
        for key in own:
            if key not in keys:
                raise self._mistake(where, key, self._not_here(key, row.protocol))
        row.quirks |= own
        if isinstance(protocol, ReadsRow) and (found := protocol.row_fault(own, row.quirks)):
            (*inside, key), what = found
            raise self._mistake((*where, *inside), key, what)

    def _not_here(self, key: str, protocol: str) -> str:
        """Return what is wrong with a key that `protocol` does not read."""
        readers = {name: each for name in PROTOCOLS if isinstance(each := get(name), ReadsRow)}
        if goes := [name for name, each in readers.items() if key in each.ROW_KEYS]:
            return f"goes with protocol {', '.join(goes)}; this one is {protocol}"
        keys = dict.fromkeys(key for each in readers.values() for key in each.ROW_KEYS)
        return self._unknown("key", key, (*_PROVIDER_KEYS, *keys))

    def _price(self, where: tuple[str, ...], model: str, prices: Any) -> dict[str, float]:
        if not isinstance(prices, dict):
            raise self._mistake(where, model, "is a table: { input = 0.25, output = 2.0 }")
        for key, value in prices.items():
            if key not in _PRICES:
                raise self._mistake((*where, model), key, self._unknown("price", key, _PRICES))
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise self._mistake((*where, model), key, "is a price per million tokens")
        return {key: float(value) for key, value in prices.items()}

    def _string(self, where: tuple[str, ...], facts: dict[str, Any], key: str, other: str) -> str:
        value = facts.get(key, other)
        if not isinstance(value, str):
            raise self._mistake(where, key, "is a string")
        return value

    def _table(self, where: tuple[str, ...], facts: dict[str, Any], key: str) -> dict[str, Any]:
        value = facts.get(key, {})
        if not isinstance(value, dict):
            raise self._mistake(where, key, "is a table")
        return value

    def _unknown(self, what: str, name: str, known: Any) -> str:
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=1, cutoff=0.5)
        other = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
        return f"is no {what} of the configuration: {other}"

    def _mistake(self, where: tuple[str, ...], key: str, what: str) -> StreamError:
        line = line_of(self._text, where, key)
        return usage(f"{self._path}, line {line}: '{'.'.join((*where, key))}' {what}")


def line_of(text: str, where: tuple[str, ...], key: str) -> int:
    """The line where `key` of the table `where` stands, as well as a scan of TOML can tell.

    tomllib keeps no positions. The key may stand as [where.key], as `key =` below [where], or
    inside a dotted key or an inline table: then the nearest enclosing line is told.
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
