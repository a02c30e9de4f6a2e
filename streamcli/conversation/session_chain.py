"""Read the messages of a session file from its end: each one names its parent, the one before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from ..errors import StreamError, usage

_BLOCK = 1 << 20  # bytes of one read
_LONGEST_LINE = 256 << 20


class Line(NamedTuple):
    """A line of a message: its fields, and the byte where it begins."""

    offset: int
    fields: dict[str, Any]


class Stored(NamedTuple):
    """The contents of a file: the messages up to the one to go on from, first to last.

    `size` is the file's in bytes; `skipped` counts lines at its end that cannot be read.
    """

    lines: list[Line]
    size: int
    skipped: int


def read_chain(fd: int, size: int, label: str) -> Stored:
    """Return the messages from the first to the last, found by their parents.

    The file is read backward from its end. A parent is nearer to the beginning than its children,
    so there are no cycles. Raise a usage error for a session that is damaged, an OSError if it
    cannot be read.
    """
    found: list[Line] = []
    ids: set[str] = set()
    wanted: str | None = None  # the id of the next message to find; None: any, for the last one
    skipped = 0
    for offset, line in _backward(fd, size, label):
        if not line.strip() or (wanted is not None and wanted.encode() not in line):
            continue
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError:
            fields = None
        if not isinstance(fields, dict):
            skipped += wanted is None
            continue
        if wanted is None and fields.get("type") == "head":
            wanted = _id_of(fields, "at", label)
            if wanted is None:
                return Stored([], size, skipped)
        if "role" not in fields:
            continue
        id = _id_of(fields, "id", label)
        if id is None or (wanted is not None and id != wanted):
            continue
        if id in ids:
            raise damaged(label, f"the id '{id}' is there twice")
        ids.add(id)
        found.append(Line(offset, fields))
        wanted = _id_of(fields, "parent", label)
        if wanted is None:
            break
    else:
        if wanted is not None:
            where = f"line {_number(fd, found[-1].offset)}" if found else "its head"
            raise damaged(label, f"{where} names the message '{wanted}', which is not before it")
    found.reverse()
    return Stored(found, size, skipped)


def _id_of(fields: dict[str, Any], name: str, label: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable():
        raise damaged(label, f"'{name}' of a line is not an id")
    return value


def _backward(fd: int, size: int, label: str) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) from the last line to the first, beginning after the last newline."""
    pieces: list[bytes] = []  # of the line whose beginning is not read yet, in reverse order
    held, at = 0, size
    while at:
        step = min(_BLOCK, at)
        at -= step
        block = os.pread(fd, step, at)
        if len(block) < step:
            raise damaged(label, "it became shorter while it was read")
        end = step
        while (newline := block.rfind(b"\n", 0, end)) >= 0:
            pieces.append(block[newline + 1 : end])
            yield at + newline + 1, b"".join(reversed(pieces))
            pieces.clear()
            held, end = 0, newline
        pieces.append(block[:end])
        held += end
        if held > _LONGEST_LINE:
            raise damaged(label, f"a line is larger than {_LONGEST_LINE >> 20} MiB")
    yield 0, b"".join(reversed(pieces))


def _number(fd: int, offset: int) -> int:
    return line_number(f"/dev/fd/{fd}", offset)


def line_number(path: str, offset: int) -> int:
    """Return the number of the line that begins at this byte, for a message."""
    number = 1
    with suppress(OSError), open(path, "rb") as file:
        while offset > 0 and (block := file.read(min(_BLOCK, offset))):
            number += block.count(b"\n")
            offset -= len(block)
    return number


def damaged(label: str, why: str) -> StreamError:
    return usage(f"the session {label} is damaged: {why}", "begin another one")
