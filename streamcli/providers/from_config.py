"""Make providers' rows from the [provider.NAME] tables of the configuration, and check them."""

from __future__ import annotations

import re
from typing import Any

from ..errors import StreamError
from ..protocols._contract import ReadsRow, get
from ..settings.config_file import ConfigFile, nearest
from ..settings.invocation import Config
from ..settings.options import PROTOCOLS
from .row import Row
from .table import BY_NAME

_KEYS = (
    *("protocol", "base_url", "key_env", "key_cmd", "key_header", "think_tags"),
    *("headers", "defaults", "prices"),
)
# A row of these without keys of the protocol's own has no mistake (see test_contract.py). Others
# are asked, which takes importing them.
_COMPLETE = frozenset(row.protocol for row in BY_NAME.values())
_PRICES = ("input", "output", "cache_read", "cache_write")
# Settings that a Chat Completions server of the user's own most likely understands.
_CHAT = {"stream_options": {"include_usage": True}}


def rows_of(config: Config) -> tuple[dict[str, Row], dict[str, StreamError]]:
    """Return the rows of the tables, and the errors of tables that are wrong, both by name."""
    assert isinstance(config, ConfigFile)
    rows: dict[str, Row] = {}
    broken: dict[str, StreamError] = {}
    for name, facts in config.providers.items():
        try:
            rows[name] = _row(config, name, facts)
        except StreamError as error:
            broken[name] = error
    return rows, broken


def _row(config: ConfigFile, name: str, facts: Any) -> Row:
    """Return the row of one table; a usage error names the key and the line that is wrong."""
    where = ("provider", name)
    if not isinstance(facts, dict):
        raise config.mistake(("provider",), name, f"has to be a table: [provider.{name}]")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise config.mistake(("provider",), name, "is not a name: letters, digits, '-', '_'")
    ours = BY_NAME.get(name)
    protocol = _string(config, where, facts, "protocol", ours.protocol if ours else "openai-chat")
    if protocol not in PROTOCOLS:
        hint = nearest(protocol, PROTOCOLS)
        raise config.mistake(where, "protocol", f"is not a protocol's name: {hint}")
    likely: dict[str, Any] = _CHAT if protocol == "openai-chat" else {}
    base = ours or Row(name, protocol, "", needs_key=False, **likely)
    row = Row(
        name,
        protocol,
        _string(config, where, facts, "base_url", base.base_url),
        key_vars=base.key_vars,
        base_vars=() if "base_url" in facts else base.base_vars,
        needs_key=base.needs_key,
        root=base.root,
        can=ours.own_can if ours and protocol == ours.protocol else None,
        variable_headers=base.variable_headers,
        template=dict(base.template) if protocol == base.protocol else None,
        **base.quirks,
    )
    if not row.base_url and not row.base_vars and ours is None:
        raise config.mistake(where, "base_url", "is missing")
    _own_keys(config, where, facts, row)
    _key(config, where, facts, row)
    if "think_tags" in facts:
        row.quirks["think_tags"] = _think_tags(config, where, facts["think_tags"])
    headers = _table(config, where, facts, "headers")
    for key, value in headers.items():
        if not isinstance(value, str):
            raise config.mistake((*where, "headers"), key, "has to be a string")
    row.headers = tuple(headers.items())
    defaults = _table(config, where, facts, "defaults")
    row.defaults = config.options((*where, "defaults"), defaults)
    for model, prices in _table(config, where, facts, "prices").items():
        row.prices[model] = _price(config, (*where, "prices"), model, prices)
    return row


def _think_tags(config: ConfigFile, where: tuple[str, ...], tags: Any) -> tuple[Any, ...]:
    """Return the kinds of tags: names, and pairs of an opening and a closing tag."""
    for tag in tags if isinstance(tags, list) else [None]:
        pair = tag if isinstance(tag, list) and len(tag) == 2 else [tag]
        if not all(isinstance(text, str) and text.strip() for text in pair):
            what = 'has to be a list of names and pairs: ["think", ["[THINK]", "[/THINK]"]]'
            raise config.mistake(where, "think_tags", what)
    return tuple(tuple(tag) if isinstance(tag, list) else tag for tag in tags)


def _key(config: ConfigFile, where: tuple[str, ...], facts: dict[str, Any], row: Row) -> None:
    """Put into the row where its key comes from, and which header carries it."""
    if "key_env" in facts:
        if not (variable := _string(config, where, facts, "key_env", "")):
            raise config.mistake(where, "key_env", "has to be the name of a variable")
        row.key_vars = (variable,)
        row.needs_key = True
    if "key_cmd" in facts:
        command = facts["key_cmd"]
        good = isinstance(command, list) and all(isinstance(arg, str) for arg in command)
        if not good or not command:
            raise config.mistake(where, "key_cmd", 'has to be a list: ["pass", "show", "openai"]')
        row.key_cmd = tuple(command)
        row.needs_key = True
    if "key_header" in facts:
        header = _string(config, where, facts, "key_header", "")
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", header):
            raise config.mistake(where, "key_header", "has to be a header's name: X-API-Key")
        row.quirks["key_header"] = header


def _own_keys(config: ConfigFile, where: tuple[str, ...], facts: dict[str, Any], row: Row) -> None:
    """Put the keys that the row's protocol reads by itself into the row's template."""
    own = {key: value for key, value in facts.items() if key not in _KEYS}
    if not own and row.protocol in _COMPLETE:
        return
    protocol = get(row.protocol)
    keys = protocol.ROW_KEYS if isinstance(protocol, ReadsRow) else ()
    for key in own:
        if key not in keys:
            raise _not_here(config, where, key, row.protocol)
    row.template |= own
    if isinstance(protocol, ReadsRow) and (found := protocol.row_fault(own, row.template)):
        (*inside, key), what = found
        raise config.mistake((*where, *inside), key, what)


def _not_here(config: ConfigFile, where: tuple[str, ...], key: str, protocol: str) -> StreamError:
    """Return the error for a key that `protocol` does not read."""
    readers = {name: each for name in PROTOCOLS if isinstance(each := get(name), ReadsRow)}
    if goes := [name for name, each in readers.items() if key in each.ROW_KEYS]:
        what = f"goes with protocol {', '.join(goes)}; this one is {protocol}"
        return config.mistake(where, key, what)
    known = dict.fromkeys(key for each in readers.values() for key in each.ROW_KEYS)
    return config.unknown(where, key, "a key", (*_KEYS, *known))


def _price(config: ConfigFile, where: tuple[str, ...], model: str, prices: Any) -> dict[str, float]:
    if not isinstance(prices, dict):
        raise config.mistake(where, model, "has to be a table: { input = 0.25, output = 2.0 }")
    for key, value in prices.items():
        if key not in _PRICES:
            raise config.unknown((*where, model), key, "a price", _PRICES)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise config.mistake((*where, model), key, "has to be a price per million tokens")
    return {key: float(value) for key, value in prices.items()}


def _string(
    config: ConfigFile, where: tuple[str, ...], facts: dict[str, Any], key: str, other: str
) -> str:
    value = facts.get(key, other)
    if not isinstance(value, str):
        raise config.mistake(where, key, "has to be a string")
    return value


def _table(
    config: ConfigFile, where: tuple[str, ...], facts: dict[str, Any], key: str
) -> dict[str, Any]:
    value = facts.get(key, {})
    if not isinstance(value, dict):
        raise config.mistake(where, key, "has to be a table")
    return value
