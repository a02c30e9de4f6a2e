"""How much work a JSON Schema makes: the steps of a check, counted before they are made. Pure.

A check follows every way through a schema. Ways multiply where two branches lead to one subschema,
so a few lines of `anyOf` and `$ref` can take longer than the universe is old.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

DEEPEST = 256  # subschemas of one value in one another: what checks them recurses, in native code
MOST_WAYS = 100_000  # through the subschemas of one value
MOST_PLACES = 1_000_000  # that these ways lead to, from all subschemas together

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ONES = ("not", "if", "then", "else")  # of the same value, as are those of the next two
_LISTS = ("anyOf", "oneOf", "allOf")
_MAPS = ("dependentSchemas", "dependencies")
_OF_MEMBERS = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_OF_ELEMENTS = ("items", "additionalItems", "unevaluatedItems", "contains")
_BY_PLACE = ("prefixItems", "items")
# What these leave over is found by looking at the other subschemas once more.
_UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")
_AGAIN = 3

Ways = dict[int, int]  # from the id of a subschema to the number of ways to it


class TooMuch(Exception):
    """A schema whose check would take too long, or recurse too deeply."""


class SchemaCost:
    """Counts the steps that checking a value takes."""

    def __init__(self, schema: dict[str, Any]) -> None:
        """Raise TooMuch if there are too many ways through the subschemas of one value."""
        self._root = schema
        self._named: dict[str, Any] = {}
        self.refers = False  # whether subschemas can be reached by several ways at all
        self.branches = False  # whether its faults are many: those of each branch
        self._subschemas = {id(each): each for each in self._walk(schema)}
        self._ways: dict[int, Ways] = {}
        self._places = 0
        for each in list(self._subschemas.values()):
            if sum(self._ways_from(each).values()) > MOST_WAYS:
                raise TooMuch

    def exceeds(self, value: Any, most: int) -> bool:
        """Return whether the check of `value` takes more than `most` steps, at worst."""
        steps = 0
        left: list[tuple[list[Any], Ways]] = [([value], {id(self._root): 1})]
        while left:  # values that the same subschemas are for are counted together
            values, arriving = left.pop()
            here: Ways = {}
            for schema, ways in arriving.items():
                for inner, more in self._ways_from(self._subschemas[schema]).items():
                    here[inner] = here.get(inner, 0) + ways * more
            steps += sum(here.values()) * len(values)
            if steps > most:
                return True
            schemas = [(self._subschemas[schema], ways) for schema, ways in here.items()]
            for place, inside in _by_place(values, [schema for schema, _ in schemas]).items():
                left.append((inside, _arriving(schemas, place)))
        return False

    def _ways_from(self, schema: dict[str, Any]) -> Ways:
        """Return the ways to the subschemas of the same value, and to itself."""
        stack: list[tuple[dict[str, Any], Iterator[dict[str, Any]], Ways]] = []
        under_way: set[int] = set()

        def enter(level: dict[str, Any]) -> None:
            if len(stack) >= DEEPEST:
                raise TooMuch
            under_way.add(id(level))
            stack.append((level, self._same_value(level), {id(level): 1}))

        if id(schema) not in self._ways:
            enter(schema)
        while stack:
            level, inner, ways = stack[-1]
            for each in inner:
                if id(each) in under_way:  # in a circle: it is followed once
                    continue
                if id(each) not in self._ways:
                    stack[-1] = (level, _before(each, inner), ways)
                    enter(each)
                    break
                again = _AGAIN if any(name in level for name in _UNEVALUATED) else 1
                inside = self._ways[id(each)]
                self._places += len(inside)
                if self._places > MOST_PLACES:
                    raise TooMuch
                for target, more in inside.items():
                    ways[target] = ways.get(target, 0) + again * more
            else:
                stack.pop()
                under_way.discard(id(level))
                self._ways[id(level)] = ways
        return self._ways[id(schema)]

    def _same_value(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for name in _REFERENCES:
            if name in schema and isinstance(target := self._target(schema[name]), dict):
                yield target
        for name in _ONES:
            yield from _schemas(schema.get(name))
        for name in _LISTS:
            inner = schema.get(name)
            for each in inner if isinstance(inner, list) else ():
                yield from _schemas(each)
        for name in _MAPS:
            inner = schema.get(name)
            for each in inner.values() if isinstance(inner, dict) else ():
                yield from _schemas(each)

    def _target(self, reference: Any) -> Any:
        """Return what a reference leads to; the root if that is not known: the worst there is."""
        if not isinstance(reference, str):
            return None
        where, _, pointer = reference.partition("#")
        target = self._named.get(where, self._root) if where else self._root
        if not pointer.startswith("/"):
            return self._named.get(f"#{pointer}", target) if pointer else target
        for step in unquote(pointer)[1:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict):
                target = target.get(step)
            elif isinstance(target, list) and step.isdecimal() and int(step) < len(target):
                target = target[int(step)]
            else:
                return self._root
        return target

    def _walk(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield every object in a schema: a subschema may stand anywhere."""
        left: list[Any] = [schema]
        while left:
            value = left.pop()
            if isinstance(value, list):
                left += value
            elif isinstance(value, dict):
                left += value.values()
                self.refers = self.refers or any(name in value for name in _REFERENCES)
                self.refers = self.refers or any(name in value for name in _UNEVALUATED)
                self.branches = self.branches or "anyOf" in value or "oneOf" in value
                for name, sign in (("$id", ""), ("$anchor", "#"), ("$dynamicAnchor", "#")):
                    if isinstance(value.get(name), str):
                        self._named.setdefault(sign + value[name], value)
                yield value


def _before(first: dict[str, Any], rest: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield first
    yield from rest


def _schemas(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value


def _by_place(
    values: list[Any], schemas: list[dict[str, Any]]
) -> dict[str | int | None, list[Any]]:
    """Return members by their name, None for those without a subschema, and elements by place."""
    names: set[str] = set()
    places = 0  # those with a subschema of their own
    for schema in schemas:
        names.update(own if isinstance(own := schema.get("properties"), dict) else ())
        for keyword in _BY_PLACE:
            if isinstance(several := schema.get(keyword), list):
                places = max(places, len(several))
    found: dict[str | int | None, list[Any]] = {}
    for value in values:
        if isinstance(value, dict):
            for name, each in value.items():
                found.setdefault(name if name in names else None, []).append(each)
        elif isinstance(value, list):
            for at, each in enumerate(value[:places]):
                found.setdefault(at, []).append(each)
            if len(value) > places:
                found.setdefault(places, []).extend(value[places:])
    return found


def _arriving(schemas: list[tuple[dict[str, Any], int]], place: str | int | None) -> Ways:
    """Return the ways to the subschemas of a member, or of an element."""
    found: Ways = {}
    for schema, ways in schemas:
        of = _of_element(schema, place) if isinstance(place, int) else _of_member(schema, place)
        for inner in of:
            if isinstance(inner, dict):
                found[id(inner)] = found.get(id(inner), 0) + ways
    return found


def _of_member(schema: dict[str, Any], name: str | None) -> Iterator[Any]:
    own = schema.get("properties")
    named = False
    if isinstance(own, dict) and name in own:
        named = True
        yield own[name]
    patterns = schema.get("patternProperties")
    if isinstance(patterns, dict):
        yield from patterns.values()
    for keyword in _OF_MEMBERS:
        if keyword in schema and not (named and keyword == "additionalProperties"):
            yield schema[keyword]


def _of_element(schema: dict[str, Any], at: int) -> Iterator[Any]:
    for keyword in _BY_PLACE:
        several = schema.get(keyword)
        if isinstance(several, list) and at < len(several):
            yield several[at]
    for keyword in _OF_ELEMENTS:
        if keyword in schema:
            yield schema[keyword]
