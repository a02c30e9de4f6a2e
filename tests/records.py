"""Read records, and check them: what tests ask of `--jsonl`, `--json` and `--events`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

import streamcli

Records = list[dict[str, Any]]

SCHEMA = json.loads((Path(streamcli.__file__).parent / "records.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def parse_records(data: bytes) -> Records:
    """Return one JSON object a line; a line that is not one, or is not ended, fails here."""
    assert not data or data.endswith(b"\n"), f"torn last line: {data[-80:]!r}"
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def whole_answers(journal: bytes) -> set[tuple[str, int]]:
    """Return which prompts have a whole answer in a journal that kills have torn."""
    found = set()
    for line in journal.split(b"\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if record["type"] == "end" and record["complete"]:
            found.add((record["prompt_hash"], record["occurrence"]))
    return found


def of_type(records: Records, kind: str) -> Records:
    return [record for record in records if record["type"] == kind]


def text_of(records: Records, channel: str = "text") -> str:
    """Return the text of a channel, after checking that no delta is missing."""
    deltas = of_type(records, "delta")
    assert [record["seq"] for record in deltas] == list(range(len(deltas)))
    return "".join(record["text"] for record in deltas if record["channel"] == channel)


def check(records: Records) -> None:
    """Check each record against the schema that is shipped."""
    for record in records:
        # By the type's own branch: errors of a oneOf name nothing.
        validator = VALIDATOR.evolve(schema={**SCHEMA, "oneOf": [{"$ref": ref(record["type"])}]})
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(record)]
        assert not errors, (record, errors)


def ref(kind: str) -> str:
    return f"#/$defs/{kind}"
