"""Check a JSON value against a JSON Schema: an answer (the verdict `mismatch`), or arguments.

The only file that imports the jsonschema-rs library; it is imported when a schema is given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jsonschema_rs

from ..errors import usage
from ..events import Event, Text
from ..outcome import Outcome, Verdict
from ..wire.lenient_json import deeper, json_values
from .schema_cost import DEEPEST, SchemaCost, TooMuch

_LONGEST = 300  # characters of a problem: it quotes the value
_DEEPEST = DEEPEST  # levels of a value: the library recurses, in native code
_MOST_STEPS = 50_000_000  # of a check: about a second
_MOST_STEPS_TO_LOCATE = 20_000  # the library describes the fault of each branch, which takes long
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# The library's message about a reference to another document, or to nothing in the schema.
_MISSING = re.compile(r"(?:Resource|Pointer|Anchor) ('.*?') (?:is not present|does not exist)")
# Patterns take linear time; those with lookaround or backreferences get at most so many steps.
_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000)


class Schema:
    """A valid JSON Schema; `name` is how messages call it."""

    def __init__(self, schema: dict[str, Any], name: str = "--schema") -> None:
        """Compile the schema; raise a usage error if it is not one, or refers outside itself."""
        if not isinstance(schema.get("$schema", ""), str):
            raise usage(f"{name} is not a JSON Schema: its $schema is not a text")
        make = jsonschema_rs.validator_for
        try:
            jsonschema_rs.meta.validate(schema)
        except jsonschema_rs.ValidationError as error:
            place = f" (at {_path(error.instance_path)})" if error.instance_path else ""
            raise usage(f"{name} is not a JSON Schema: {_short(error.message)}{place}") from None
        except jsonschema_rs.ReferencingError:  # a dialect of somebody's own
            make = jsonschema_rs.Draft202012Validator
        except ValueError:
            raise usage(f"{name} is nested too deeply") from None
        if deeper(schema, _DEEPEST):
            raise usage(f"{name} is nested too deeply")
        try:
            self._cost = SchemaCost(schema)
        except TooMuch:
            what = f"{name} cannot be used: checking it would take too long"
            raise usage(what, "let fewer branches lead to one subschema") from None
        try:
            self._validator = make(schema, offline=True, pattern_options=_PATTERNS)
        except Exception as error:
            text = str(getattr(error, "message", error))
            if missing := _MISSING.match(text):
                what = f"{name} cannot be used: it refers to {missing[1]}, which is not in it"
                raise usage(what, "put that below $defs, as nothing is fetched") from None
            raise usage(f"{name} cannot be used: {_short(_first_line(text))}") from None

    def problem(self, value: Any) -> str:
        """Return what does not match, and where; "" if `value` matches."""
        if deeper(value, _DEEPEST):
            return "the value is nested too deeply"
        cost = self._cost
        if cost.refers and cost.exceeds(value, _MOST_STEPS):
            return "checking it would take too long: the schema has too many branches"
        try:
            if self._validator.is_valid(value):
                return ""
            if cost.branches and cost.exceeds(value, _MOST_STEPS_TO_LOCATE):
                return "it is too large to say where"
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return f"{_short(error.message)} (at {_path(error.instance_path)})"
        except Exception as error:  # a lone surrogate, for one
            return f"it cannot be checked: {_first_line(str(error))}"
        return ""


class Matching:
    """A sink that collects the answer's text and checks it at the end."""

    def __init__(self, schema: dict[str, Any] | Matching) -> None:
        """Raise a usage error for a bad schema. Another Matching shares its compiled one."""
        self._text: list[str] = []
        self._schema: Schema = schema._schema if isinstance(schema, Matching) else Schema(schema)

    def emit(self, t_ms: float, events: list[Event]) -> None:
        self._text += [e.text for e in events if isinstance(e, Text) and not e.choice]

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        pass

    def problem(self) -> str:
        """Return what does not match in the answer; "" if it matches."""
        return self.problem_of("".join(self._text))

    def problem_of(self, text: str) -> str:
        """Return what does not match in the text of a whole answer; "" if it matches."""
        try:
            values = json_values(text.encode())
        except ValueError as trouble:
            return f"it is not JSON ({trouble})"
        if len(values) != 1:
            return "it is several JSON values"
        return self._schema.problem(values[0])

    def judged(self, verdict: Verdict, accept: Sequence[str]) -> Verdict:
        """Return `verdict` if the answer matches, else the verdict `mismatch`."""
        problem = self.problem()
        if not problem:
            return verdict
        message = f"the answer does not match --schema: {problem}"
        hint = "ask again (--schema-retries 2), or --accept mismatch"
        mismatch = Verdict("mismatch", message, hint)
        mismatch.error = {"kind": "mismatch", "message": message, "http_status": None}
        if "mismatch" in accept:
            mismatch.exit_code = 0
        return mismatch


def _path(place: Sequence[str | int]) -> str:
    """Return the path of a value as a JSONPath: `$.next[2]['two words']`."""
    steps = []
    for step in place:
        if isinstance(step, str) and _NAME.fullmatch(step):
            steps.append(f".{step}")
        else:
            steps.append(f"[{step!r}]")
    return _short("$" + "".join(steps))


def _short(text: str) -> str:
    """Return a text cut in the middle: a problem begins with its value and ends with the fault."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}...{text[-half:]}"


def _first_line(text: str) -> str:
    return text.partition("\n")[0].rstrip(":")
