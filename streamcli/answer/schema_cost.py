"""Count the steps that checking a value against a JSON Schema will take, without taking them. Pure.

A check follows every way through a schema. The ways multiply where two branches lead to one
subschema, so a few lines of `anyOf` and `$ref` can take longer than the universe is old.

A *way* is one path of keywords from a subschema to another one, for the same value. Each way that
reaches a subschema costs one step for each value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

DEEPEST = 256  # nested subschemas of one value: the library recurses, in native code
MOST_WAYS = 100_000  # from one subschema to all others of the same value
MOST_TARGETS = 1_000_000  # subschemas that can be reached, summed over all subschemas

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# Keywords with subschemas for the same value: with one, with a list, with an object of them.
_ONES = ("not", "if", "then", "else")
_LISTS = ("anyOf", "oneOf", "allOf")
_MAPS = ("dependentSchemas", "dependencies")
# Keywords with subschemas for the members of an object, or the elements of an array.
_OF_MEMBERS = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_OF_ELEMENTS = ("items", "additionalItems", "unevaluatedItems", "contains")
_BY_INDEX = ("prefixItems", "items")
# The library checks the other subschemas again to find what is unevaluated.
_UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")
_UNEVALUATED_FACTOR = 3

Ways = dict[int, int]  # from the id of a subschema to the number of ways to it


class TooMuch(Exception):
    """A schema whose check would take too long, or recurse too deeply."""


class SchemaCost:
    """Counts the steps that checking a value takes."""

    def __init__(self, schema: dict[str, Any]) -> None:
        """Raise TooMuch if there are too many ways through the subschemas of one value."""
        self._root = schema
        self._named: dict[str, Any] = {}  # by $id, or by "#" and anchor
        self.refers = False  # some subschema may be reached by several ways
        self.branches = False  # a mismatch has a fault for each branch
        self._subschemas = {id(each): each for each in self._walk(schema)}
        self._ways: dict[int, Ways] = {}
        self._targets = 0
        for each in list(self._subschemas.values()):
            if sum(self._ways_from(each).values()) > MOST_WAYS:
                raise TooMuch

    def exceeds(self, value: Any, most: int) -> bool:
        """Return whether the check of `value` takes more than `most` steps, at worst."""
        steps = 0
        left: list[tuple[list[Any], Ways]] = [([value], {id(self._root): 1})]
        while left:  # values with the same subschemas are counted together
            values, arriving = left.pop()
            here: Ways = {}
            for schema, ways in arriving.items():
                for inner, more in self._ways_from(self._subschemas[schema]).items():
                    here[inner] = here.get(inner, 0) + ways * more
            steps += sum(here.values()) * len(values)
            if steps > most:
                return True
            schemas = [(self._subschemas[schema], ways) for schema, ways in here.items()]
            children = _children(values, [schema for schema, _ in schemas])
            for key, of_key in children.items():
                left.append((of_key, _ways_to_children(schemas, key)))
        return False

    def _ways_from(self, schema: dict[str, Any]) -> Ways:
        """Return the ways from `schema` to the subschemas of the same value, and to itself.

        Depth first, with a stack of our own: a schema may be nested deeper than Python recurses.
        """
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
                if id(each) in under_way:  # a cycle: it is followed once
                    continue
                if id(each) not in self._ways:
                    stack[-1] = (level, _before(each, inner), ways)
                    enter(each)
                    break
                again = any(name in level for name in _UNEVALUATED)
                factor = _UNEVALUATED_FACTOR if again else 1
                targets = self._ways[id(each)]
                self._targets += len(targets)
                if self._targets > MOST_TARGETS:
                    raise TooMuch
                for target, more in targets.items():
                    ways[target] = ways.get(target, 0) + factor * more
            else:
                stack.pop()
                under_way.discard(id(level))
                self._ways[id(level)] = ways
        return self._ways[id(schema)]

    def _same_value(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the subschemas that `schema` applies to the same value."""
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
        """Return the subschema that a reference names; if unknown, the root: the worst case."""
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
        """Yield every object in a schema, as each may be a subschema; note what they hold."""
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


def _children(
    values: list[Any], schemas: list[dict[str, Any]]
) -> dict[str | int | None, list[Any]]:
    """Return the members of `values` by name, and their elements by index.

    None stands for all names that no schema lists; the last index for all elements from there on.
    """
    names: set[str] = set()
    indexed = 0  # the number of elements with a subschema of their own
    for schema in schemas:
        names.update(own if isinstance(own := schema.get("properties"), dict) else ())
        for keyword in _BY_INDEX:
            if isinstance(several := schema.get(keyword), list):
                indexed = max(indexed, len(several))
    found: dict[str | int | None, list[Any]] = {}
    for value in values:
        if isinstance(value, dict):
            for name, each in value.items():
                found.setdefault(name if name in names else None, []).append(each)
        elif isinstance(value, list):
            for at, each in enumerate(value[:indexed]):
                found.setdefault(at, []).append(each)
            if len(value) > indexed:
                found.setdefault(indexed, []).extend(value[indexed:])
    return found


def _ways_to_children(schemas: list[tuple[dict[str, Any], int]], key: str | int | None) -> Ways:
    """Return the ways to the subschemas of a member, or of an element (see `_children`)."""
    found: Ways = {}
    for schema, ways in schemas:
        of = _of_element(schema, key) if isinstance(key, int) else _of_member(schema, key)
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
    for keyword in _BY_INDEX:
        several = schema.get(keyword)
        if isinstance(several, list) and at < len(several):
            yield several[at]
    for keyword in _OF_ELEMENTS:
        if keyword in schema:
            yield schema[keyword]
