"""Make the tables of the records in the manual from records.schema.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from ..errors import EXIT_OF_STATUS, STATUS_OF_KIND
from .markdown import table

Schema = dict[str, Any]


def records() -> str:
    """Return the tables, one for the common fields and one for each type of record."""
    schema = json.loads(files("streamcli").joinpath("records.schema.json").read_text("utf-8"))
    kinds: dict[str, Schema] = schema["$defs"]
    common = [name for name in kinds["end"]["properties"] if _common(name, kinds)]
    first = kinds["end"]["properties"]
    shared = {name: {**first[name], "const": None} for name in common}
    parts = ["### Every record", _table(shared)]
    for kind, facts in kinds.items():
        own = {name: prop for name, prop in facts["properties"].items() if name not in common}
        parts += [f"### {kind}", facts["description"], _table(own)]
    return "\n\n".join(parts)


def _common(name: str, kinds: dict[str, Schema]) -> bool:
    """Return whether all records of prompts have the field; `type` differs only in its value."""
    props = [facts["properties"].get(name) for kind, facts in kinds.items() if kind != "summary"]
    return name == "type" or all(prop == props[0] for prop in props)


def _table(props: dict[str, Schema]) -> str:
    return table(("field", "meaning"), *_fields(props))


def _fields(props: dict[str, Schema], inside: str = "") -> Iterator[tuple[str, str]]:
    for name, prop in props.items():
        yield f"`{inside}{name}`", f"{_sentence(prop['description'])}{_values(prop)}"
        for branch in (prop, *prop.get("oneOf", ())):
            yield from _fields(branch.get("properties", {}), f"{inside}{name}.")
        yield from _fields(prop.get("items", {}).get("properties", {}), f"{inside}{name}[].")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _values(prop: Schema) -> str:
    """Return the values that a field may have, "" if the manual lists them elsewhere."""
    if prop.get("const"):
        return f" Always `{prop['const']}`."
    values = prop.get("enum") or prop.get("items", {}).get("enum") or []
    names = [f"`{value}`" for value in values if value is not None]
    if all(str(value) in prop["description"] for value in values):
        return ""  # each is explained there
    if set(values) in (set(EXIT_OF_STATUS) - {"batch", "slo"}, set(STATUS_OF_KIND)):
        return ""
    null = " or null" if None in values else ""
    return f" One of {', '.join(names)}{null}." if prop.get("type") != "array" else ""
