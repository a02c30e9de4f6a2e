"""Translate Picoschema, the short form of a JSON Schema in Dotprompt's YAML.

    title: string, the name of the dish
    servings?: integer
    steps(array): string
    course(enum, when it is eaten): [STARTER, MAIN]
    source(object): {url: string}
    (*): string

https://google.github.io/dotprompt/reference/picoschema/ - a field with `?` is optional, which also
lets it be null; what stands behind a comma is its description; other fields are allowed only by
(*).
"""

from __future__ import annotations

import re
from typing import Any

_SCALARS = ("string", "number", "integer", "boolean", "null", "any")
_TYPES = (*_SCALARS, "object", "array")  # of JSON Schema
_FIELD = re.compile(
    r"(?P<name>[^?()]+)(?P<optional>\??)"
    r"(\((?P<kind>array|object|enum)(,(?P<description>[^()]*))?\))?\s*"
)
_DEEPEST = 64


class Unreadable(Exception):
    """It is neither a JSON Schema nor Picoschema; the message says why."""


def json_schema(value: Any) -> dict[str, Any]:
    """Return a JSON Schema unchanged, Picoschema as a JSON Schema; raise Unreadable for others."""
    if isinstance(value, dict):
        if value.get("type") in _TYPES or isinstance(value.get("type"), list):
            return value
        if isinstance(value.get("properties"), dict):
            return {"type": "object", **value}
        if "$ref" in value or "anyOf" in value or "oneOf" in value:
            return value
    return _schema(value, 0)


def _schema(value: Any, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise Unreadable("is nested too deep")
    if isinstance(value, str):
        return _scalar(value)
    if not isinstance(value, dict):
        raise Unreadable(f"has {value!r} where a type belongs")
    schema: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
    schema["additionalProperties"] = False
    for key, inner in value.items():
        if key == "(*)":
            schema["additionalProperties"] = _schema(inner, depth + 1)
            continue
        match = _FIELD.fullmatch(key)
        if match is None:
            raise Unreadable(f"has the field '{key}', which is not a name with ? or (array)")
        name = match["name"].strip()
        field = _field(match["kind"], inner, depth + 1)
        if description := (match["description"] or "").strip():
            field["description"] = description
        if match["optional"]:
            field = _or_null(field)
        else:
            schema["required"].append(name)
        schema["properties"][name] = field
    return schema


def _field(kind: str | None, inner: Any, depth: int) -> dict[str, Any]:
    if kind == "array":
        return {"type": "array", "items": _schema(inner, depth)}
    if kind == "enum":
        if not isinstance(inner, list) or not inner:
            raise Unreadable("has an enum without a list of values")
        return {"enum": list(inner)}
    return _schema(inner, depth)


def _scalar(text: str) -> dict[str, Any]:
    kind, _, description = text.partition(",")
    kind = kind.strip()
    if kind not in _SCALARS:
        raise Unreadable(f"has the type '{kind}': there are {', '.join(_SCALARS)}")
    schema: dict[str, Any] = {} if kind == "any" else {"type": kind}
    if description.strip():
        schema["description"] = description.strip()
    return schema


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    if "enum" in field:
        return {**field, "enum": [*field["enum"], None]}
    if isinstance(field.get("type"), str):
        return {**field, "type": [field["type"], "null"]}
    return field
