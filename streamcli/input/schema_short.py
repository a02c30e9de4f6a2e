"""Parse the short form of --schema, `name, age int, kind enum(a|b), bio?: a text`."""

from __future__ import annotations

import re
from typing import Any

from ..errors import StreamError, usage

FORM = "'name, age int, tags []str, kind enum(a|b), bio?: a short text'"

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_NAME = re.compile(r"[\w$-]+")
_TYPE = re.compile(r"((?:\[\s*\]\s*)*)(enum\s*\(([^()]*)\)|[\w$-]+)")
_BLANKS = re.compile(r"[^\S\n]*")
_BETWEEN = re.compile(r"[\s,]*")
_NESTED = 8  # levels of lists
_SHOWN = 40  # characters of a field in an error


def schema_of_short(text: str) -> dict[str, Any]:
    """Return the JSON Schema of a short form; raise a usage error that shows the form.

    Commas or new lines part the fields. A description runs to the next comma, or to the end of
    its line if there are several lines. All fields are required, and others are not allowed.
    Brackets around the fields make an array of such objects.
    """
    text = text.strip()
    if text[:1] != "[":
        return _object_of(text)
    if text[-1:] != "]" or len(text) < 2:
        raise _wrong("the '[' at its beginning has no ']' at its end")
    return {"type": "array", "items": _object_of(text[1:-1].strip())}


def _object_of(text: str) -> dict[str, Any]:
    ends_description = re.compile(r"\n" if "\n" in text else r",")
    properties: dict[str, Any] = {}
    at = 0
    while (at := _end(_BETWEEN, text, at)) < len(text):
        field = _NAME.match(text, at)
        if field is None:
            raise _wrong(f"no field's name is at '{_shown(text, at)}'")
        name = field[0]
        if name in properties:
            raise _wrong(f"the field {name} is there twice")
        at = field.end()
        null = text.startswith("?", at)
        at = _end(_BLANKS, text, at + null)
        kind: dict[str, Any] = {"type": "string"}
        if (found := _TYPE.match(text, at)) is not None:
            kind = _type_of(name, found)
            at = _end(_BLANKS, text, found.end())
        if null:
            kind = _or_null(kind)
        if text.startswith(":", at):
            end = ends_description.search(text, at)
            until = end.start() if end is not None else len(text)
            if description := text[at + 1 : until].strip().removesuffix(",").rstrip():
                kind["description"] = description
            at = until
        elif at < len(text) and text[at] not in ",\n":
            raise _wrong(f"'{_shown(text, at)}' behind the field {name} is not understood")
        properties[name] = kind
    if not properties:
        raise _wrong("it has no field")
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _type_of(name: str, found: re.Match[str]) -> dict[str, Any]:
    lists, word, values = found[1].count("["), found[2], found[3]
    if values is not None:
        kind: dict[str, Any] = {"type": "string", "enum": _values_of(name, values)}
    elif word in _TYPES:
        kind = {"type": _TYPES[word]}
    else:
        known = ", ".join([*_TYPES, "enum(a|b)"])
        raise _wrong(f"{name} has the unknown type {word} (types are {known})")
    if lists > _NESTED:
        raise _wrong(f"{name} has more than {_NESTED} lists in one another")
    for _ in range(lists):
        kind = {"type": "array", "items": kind}
    return kind


def _values_of(name: str, values: str) -> list[Any]:
    each = [value.strip() for value in values.split("|")]
    if not all(each):
        raise _wrong(f"the enum of {name} has an empty value")
    if len(each) == 1 and "," in values:
        raise _wrong(f"the values of the enum of {name} have '|' between them, not ','")
    if len(set(each)) < len(each):
        raise _wrong(f"the enum of {name} has a value twice")
    return list(each)


def _or_null(kind: dict[str, Any]) -> dict[str, Any]:
    kind["type"] = [kind["type"], "null"]
    if "enum" in kind:
        kind["enum"].append(None)
    return kind


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found is not None else at


def _shown(text: str, at: int) -> str:
    line = text[at : at + _SHOWN + 1].partition("\n")[0]
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."


def _wrong(what: str) -> StreamError:
    return usage(f"the short form of --schema: {what}", f"--schema {FORM}")
