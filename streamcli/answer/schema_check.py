"""Check a JSON value against a JSON Schema: an answer (the verdict `mismatch`), or arguments.

The only file that imports the jsonschema library; it is imported when a schema is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable

from ..errors import usage
from ..events import Event, Text
from ..outcome import Outcome, Verdict
from ..wire.lenient_json import json_values


class Schema:
    """A JSON Schema, checked itself; `name` is what messages call it."""

    def __init__(self, schema: dict[str, Any], name: str = "--schema") -> None:
        """Raise a usage error if `schema` is not a JSON Schema."""
        self._validator: Any
        try:
            kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
            kind.check_schema(schema)
            self._validator = kind(schema, registry=Registry())  # it fetches nothing
        except jsonschema.SchemaError as error:
            raise usage(f"{name} is not a JSON Schema: {error.message}") from None
        except RecursionError:
            raise usage(f"{name} is nested too deeply") from None
        except Exception as error:  # a `$schema` or `$id` that is not a string, or not a URL
            raise usage(f"{name} is not a JSON Schema: {_first_line(error)}") from None

    def problem(self, value: Any) -> str:
        """Return what does not match; "" if all of `value` does."""
        try:
            for error in self._validator.iter_errors(value):
                return f"{error.message} (at {error.json_path})"
        except Unresolvable as missing:
            return f"the schema refers to {missing.ref}, which is not in it"
        except RecursionError:
            return "the value, or the schema, is nested too deeply"
        except Exception as error:  # older drafts allow any type, and a `$ref` to nothing
            return f"the schema cannot be used: {_first_line(error)}"
        return ""


class Matching:
    """A sink that keeps the answer's text and checks it at the end."""

    def __init__(self, schema: dict[str, Any] | Matching) -> None:
        """Raise a usage error for a bad schema. Another Matching shares its checked one."""
        self._text: list[str] = []
        self._schema: Schema = schema._schema if isinstance(schema, Matching) else Schema(schema)

    def emit(self, t_ms: float, events: list[Event]) -> None:
        self._text += [e.text for e in events if isinstance(e, Text) and not e.choice]

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        pass

    def problem(self) -> str:
        """Return what does not match; "" if the answer does."""
        try:
            values = json_values("".join(self._text).encode())
        except ValueError as trouble:
            return f"it is not JSON ({trouble})"
        if len(values) != 1:
            return "it is several JSON values"
        return self._schema.problem(values[0])

    def judged(self, verdict: Verdict, accept: Sequence[str]) -> Verdict:
        """Return `verdict`, or `mismatch` in its place."""
        problem = self.problem()
        if not problem:
            return verdict
        message = f"the answer does not match --schema: {problem}"
        mismatch = Verdict("mismatch", message, "try again, or --accept mismatch")
        mismatch.error = {"kind": "mismatch", "message": message, "http_status": None}
        if "mismatch" in accept:
            mismatch.exit_code = 0
        return mismatch


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(":")
