"""Read a journal: a file of records `stream.records/1`, one a line, for --resume and --reuse.

A journal may be in whatever state a killed run or a pipe through jq has left it. Only whole lines
count, and of these only `end` records that say `complete`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from ...errors import usage
from ...output.records import SCHEMA

BLOCK = 64 * 1024  # bytes of a read
LONGEST = 32 << 20  # bytes of a line: a longer one is read in pieces, so it is not a record

# The beginning of our own lines. A torn line may have the next one glued to it: it is found here.
HEAD = b'{"type":'
KINDS = (
    *("start", "delta", "tool_call", "tool_result", "citation", "usage", "retry", "end"),
    "summary",
)
HEADS = [HEAD + b'"%s"' % kind.encode() for kind in KINDS]
KEY = b'"prompt_hash"'  # only `end` records have it
HASH = re.compile(r"[0-9a-f]{32}")
_FAMILY = SCHEMA.partition("/")[0] + "/"


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield whole lines, many at once; then the rest that no newline ends.

    It reads no further than it is iterated.
    """
    held: list[bytes] = []
    size = 0
    while data := file.read(BLOCK):
        end = data.rfind(b"\n") + 1
        if end or size > LONGEST:
            yield b"".join((*held, data[:end]))
            held, size = [], 0
        held.append(data[end:])
        size += len(data) - end
    if size:
        yield b"".join(held)


def ends_of(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) of each line that may hold an `end` record."""
    start = 0
    while (at := block.find(KEY, start)) >= 0:
        start = block.rfind(b"\n", start, at) + 1 or start
        end = block.find(b"\n", at) + 1 or len(block)
        yield start, block[start:end]
        start = end


def other_lines(block: bytes) -> int:
    """Return how many of these lines are neither records, nor torn records, nor blank."""
    heads = block.count(b"\n" + HEAD) + block.startswith(HEAD)
    if heads == block.count(b"\n"):
        return 0
    lines = block.split(b"\n")
    return sum(b'"type"' not in line and not HEAD.startswith(line[:8].strip()) for line in lines)


def records_of(line: bytes, path: str) -> list[dict[str, Any]]:
    """Return the whole records in a line: one, or those that are glued to a torn one.

    Raise a usage error for a record of another version.
    """
    value = value_of(line)
    values = [value] if value is not None else [value_of(HEAD + p) for p in line.split(HEAD)[1:]]
    return [value for value in values if _is_record(value, path)]


def value_of(data: bytes) -> Any:
    """Return the JSON value of a line; None if it is not JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _is_record(value: Any, path: str) -> bool:
    """Return whether a value is a record; raise a usage error for one of another version."""
    if not isinstance(value, dict):
        return False
    schema = value.get("schema", SCHEMA)  # only `start` and `end` records have it
    if isinstance(schema, str) and schema != SCHEMA and schema.startswith(_FAMILY):
        raise usage(f"{path} holds records of another version, {schema}", f"this reads {SCHEMA}")
    kind = value.get("type")
    ours = kind == "summary" or "request_id" in value or "prompt_hash" in value
    return ours and kind in KINDS and schema == SCHEMA
