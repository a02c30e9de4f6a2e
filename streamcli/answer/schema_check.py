"""Whether an answer matches its JSON Schema: the verdict `mismatch`.

The only file that knows the jsonschema library, imported when a schema is given.
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


class Matching:
    """A sink that keeps the text and says in the end what is wrong with it."""

    def __init__(self, schema: dict[str, Any] | Matching) -> None:
        """A usage error if `schema` is none; of another Matching it takes what that has checked."""
        self._text: list[str] = []
        self._validator: Any
        if isinstance(schema, Matching):
            self._validator = schema._validator
            return
        try:
            kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
            kind.check_schema(schema)
            self._validator = kind(schema, registry=Registry())  # it fetches nothing
        except jsonschema.SchemaError as error:
            raise usage(f"--schema is no JSON Schema: {error.message}") from None
        except RecursionError:
            raise usage("--schema is nested beyond reason") from None
        except Exception as error:  # a `$schema` or `$id` that is no text, or no URL
            raise usage(f"--schema is no JSON Schema: {_first_line(error)}") from None

    def emit(self, t_ms: float, events: list[Event]) -> None:
        self._text += [e.text for e in events if isinstance(e, Text) and not e.choice]

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        pass

    def problem(self) -> str:
        """What does not match; "" if all does."""
        try:
            values = json_values("".join(self._text).encode())
        except ValueError as trouble:
            return f"it is not JSON ({trouble})"
        if len(values) != 1:
            return "it is several JSON values"
        try:
            for error in self._validator.iter_errors(values[0]):
                return f"{error.message} (at {error.json_path})"
        except Unresolvable as missing:
            return f"the schema refers to {missing.ref}, which is not in it"
        except RecursionError:
            return "it, or the schema, is nested beyond reason"
        except Exception as error:  # what older drafts let pass: any type, a `$ref` that is none
            return f"the schema cannot be used: {_first_line(error)}"
        return ""

    def judged(self, verdict: Verdict, accept: Sequence[str]) -> Verdict:
        """`verdict`, or `mismatch` in its place."""
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
