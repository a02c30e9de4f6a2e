"""Change JSON Schemas to the forms of providers: an object at the root, closed, strict. Pure.

For providers that take only objects, a schema of anything else is wrapped in one (`{"items":
[...]}`); answer/unwrap.py removes the wrapper from the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...messages import ChatRequest

if TYPE_CHECKING:
    from ...request import Quirks

_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONES = ("items", "additionalProperties", "contains", "not", "if", "then", "else")
# The keywords of the strict form that every model with it takes
# (https://platform.openai.com/docs/guides/structured-outputs).
_STRICT = {"type", "properties", "required", "additionalProperties", "items", "enum", "const"}
_STRICT |= {"description", "title", "anyOf", "$ref", "$defs"}

Schema = dict[str, Any]


def wrapper_of(chat: ChatRequest) -> str:
    """Return the wrapper's field for the schema of `chat`; "" if it need not be wrapped."""
    schema = chat.schema
    if schema is None:
        return ""
    kind = schema.get("type")
    if kind is None:
        return "value" if "enum" in schema or "const" in schema else ""
    if kind == "object" or kind == ["object"]:
        return ""
    return "items" if kind == "array" else "value"


def wrapped_in(name: str) -> Schema | None:
    """Return a schema whose answers are wrapped in the field `name`; None if there is none."""
    return {"items": {"type": "array"}, "value": {"type": "string"}}.get(name)


def object_schema(chat: ChatRequest) -> Schema:
    """Return the schema of the request, wrapped if its root is not an object."""
    schema = chat.schema
    assert schema is not None
    name = wrapper_of(chat)
    if not name:
        return schema
    inner = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
    own: Schema = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    whole: Schema = {
        "type": "object",
        "properties": {name: inner},
        "required": [name],
        "additionalProperties": False,
        **own,
    }
    if "$id" in inner:  # its references are relative to it
        whole["properties"] = {name: schema}
        return {key: value for key, value in whole.items() if key not in own}
    if "$schema" in inner:
        whole["$schema"] = inner.pop("$schema")
    moved = f"#/properties/{name}"

    def move(level: Schema) -> Schema:
        where = level.get("$ref")
        if not isinstance(where, str) or not (where == "#" or where.startswith("#/")):
            return level
        if where.startswith(("#/$defs/", "#/definitions/")):
            return level
        return {**level, "$ref": moved + where[1:]}

    made: Schema = _mapped(whole, move)
    return made


def openai_schema(chat: ChatRequest, quirks: Quirks) -> dict[str, Any]:
    """Return the `schema` field of OpenAI's forms, and `strict` where that is asked for."""
    schema = object_schema(chat)
    if not quirks.get("strict_schema") or (form := strict(schema)) is None:
        return {"schema": schema}
    return {"schema": form, "strict": True}


def closed(schema: Schema) -> Schema:
    """Return the schema with `additionalProperties: false` wherever fields are named."""
    made: Schema = _mapped(schema, _close)
    return made


def strict(schema: Schema) -> Schema | None:
    """Return the schema closed at every level; None if it has no strict form.

    The strict form requires every field, and takes few keywords.
    """
    fits = True

    def check(level: Schema) -> Schema:
        nonlocal fits
        level = _close(level)
        fields, required = level.get("properties", {}), level.get("required", [])
        if not isinstance(fields, dict) or not isinstance(required, list):
            fits = False
        elif level.get("type") == "object" or fields:
            fits = fits and level.get("additionalProperties") is False
            fits = fits and all(name in required for name in fields)
        fits = fits and level.keys() <= _STRICT
        return level

    made = _mapped(schema, check)
    return made if fits and made.get("type") == "object" else None


def _close(level: Schema) -> Schema:
    if isinstance(level.get("properties"), dict) and "additionalProperties" not in level:
        return {**level, "additionalProperties": False}
    return level


def _mapped(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    """Return the schema with `change` applied to every subschema, from the root down."""
    if not isinstance(schema, dict):
        return schema
    schema = dict(change(schema))
    for key in _MAPS:
        if isinstance(inner := schema.get(key), dict):
            schema[key] = {name: _mapped(each, change) for name, each in inner.items()}
    for key in _LISTS:
        if isinstance(inner := schema.get(key), list):
            schema[key] = [_mapped(each, change) for each in inner]
    for key in _ONES:
        if key in schema:
            schema[key] = _mapped(schema[key], change)
    return schema
