"""Journals: files of records `stream.records/1`, one a line, as --resume and --reuse read them.

They may be in whatever state a killed run or a pipe through jq has left them. Of their lines only
whole `end` records count, those that say `complete`.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from codecs import utf_8_decode
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from ...errors import StreamError, usage
from ...file_errors import lost_folder, on_file, unreadable
from ...output.records import SCHEMA
from ...terminal.fds import is_null

BLOCK = 64 * 1024  # bytes of a read
LONGEST = 32 << 20  # bytes of a line: longer ones come in pieces, and so are no records

# How our own lines begin, which is where one that is glued to a torn one is found.
HEAD = b'{"type":'
KINDS = (
    *("start", "delta", "tool_call", "tool_result", "citation", "usage", "retry", "end"),
    "summary",
)
_HEADS = [HEAD + b'"%s"' % kind.encode() for kind in KINDS]
_KEY = b'"prompt_hash"'  # and no other records have it than those of kind end
HASH = re.compile(r"[0-9a-f]{32}")
_FAMILY = SCHEMA.partition("/")[0] + "/"

_PACKED = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
)
_COME = "records come with --json or --jsonl"


def is_own_stdout(file: BinaryIO, path: str, stdout: int, option: str) -> bool:
    """Whether stdout goes there; a usage error if that makes it unfit, or it is no file."""
    here = os.fstat(file.fileno())
    piped = stat.S_ISFIFO(here.st_mode)
    if is_null(file.fileno()):
        return False
    if not piped and not stat.S_ISREG(here.st_mode):
        raise usage(f"{path} is a device", f"{option} takes a file of records")
    try:
        same = os.path.samestat(here, os.fstat(stdout))
        flags = fcntl.fcntl(stdout, fcntl.F_GETFL)
    except OSError:  # closed
        return False
    if not same:
        return False
    if piped:
        raise usage(
            f"{path} is the pipe that stdout goes into", f"{option} takes a file of records"
        )
    if not flags & os.O_APPEND:
        why = "would write over it" if here.st_size else "> empties it first"
        name = quoted(path)
        hint = f"use >> instead of >: {option} {name} >> {name}"
        raise usage(f"{path} is where stdout goes, and {why}", hint)
    return True


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines, many at once; at last what no newline ends. Reads no further than asked."""
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
    """The lines that may hold an `end` record, each with its offset."""
    start = 0
    while (at := block.find(_KEY, start)) >= 0:
        start = block.rfind(b"\n", start, at) + 1 or start
        end = block.find(b"\n", at) + 1 or len(block)
        yield start, block[start:end]
        start = end


def other_lines(block: bytes) -> int:
    """How many of these lines are neither records, nor torn ones, nor blank."""
    heads = block.count(b"\n" + HEAD) + block.startswith(HEAD)
    if heads == block.count(b"\n"):
        return 0
    lines = block.split(b"\n")
    return sum(b'"type"' not in line and not HEAD.startswith(line[:8].strip()) for line in lines)


def records_of(line: bytes, path: str) -> list[dict[str, Any]]:
    """The whole records in a line: one, or what is glued to a torn one."""
    value = _value(line)
    values = [value] if value is not None else [_value(HEAD + p) for p in line.split(HEAD)[1:]]
    return [value for value in values if _is_record(value, path)]


def _value(data: bytes) -> Any:
    """None where it is no JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _is_record(value: Any, path: str) -> bool:
    """A usage error for one of another version."""
    if not isinstance(value, dict):
        return False
    schema = value.get("schema", SCHEMA)  # only start and end have it
    if isinstance(schema, str) and schema != SCHEMA and schema.startswith(_FAMILY):
        raise usage(f"{path} holds records of another version, {schema}", f"this reads {SCHEMA}")
    kind = value.get("type")
    ours = kind == "summary" or "request_id" in value or "prompt_hash" in value
    return ours and kind in KINDS and schema == SCHEMA


def check_journal(path: str, block: bytes, option: str) -> bool:
    """False for blank lines, which tell nothing; a usage error for lines of something else."""
    lines = [line for line in map(bytes.strip, block.split(b"\n")) if line]
    if not lines:
        return False
    first = lines[0]
    if first != b"[" and any(records_of(line, path) for line in lines):
        return True
    begun = any(first.startswith(head) or head.startswith(block.strip()) for head in _HEADS)
    torn = begun and _value(first) is None
    if not torn and not first.startswith(b"stream: "):  # our own stderr
        raise usage(*_what_else(path, block, first, option))
    return True


def _what_else(path: str, block: bytes, first: bytes, option: str) -> tuple[str, str]:
    """(what the file is, what to do): it is no journal."""
    for magic, tool in _PACKED:
        if block.startswith(magic):
            return f"{path} is compressed by {tool}", f"{option} <({tool} -dc {quoted(path)})"
    try:
        utf_8_decode(block)  # which leaves the beginning of a character at the end alone
    except UnicodeDecodeError:
        text = False
    else:
        text = b"\0" not in block
    if not text:
        return f"{path} is binary, no file of records", _COME
    if first[:14].lower().startswith((b"<!doctype html", b"<html")):
        return f"{path} is HTML, no file of records", _COME
    value = _value(first)
    if isinstance(value, dict):
        if str(value.get("schema")).startswith("stream.cassette/"):
            return f"{path} is a recording (--record), no file of records", _COME
        if not value.keys().isdisjoint(("prompt", "messages", "custom_id")):
            hint = f"--requests --json {option} OUT < {quoted(path)} >> OUT"
            return f"{path} holds requests, no records", hint
        return f"{path} is JSON Lines of something else, no file of records", _COME
    if first[:1] in b"[{":
        what, items = ("array", "'.[]'") if first[:1] == b"[" else ("document", ".")
        hint = f"{option} <(jq -c {items} {quoted(path)})" if _KEY in block else _COME
        return f"{path} is a JSON {what}, and records are one a line", hint
    return f"{path} is plain text, no file of records", f"stream's text output? {_COME}"


def open_trouble(error: OSError, path: str, option: str, events: str | None) -> StreamError | None:
    """Return why a journal cannot be opened; None for the one that --events is about to begin."""
    if isinstance(error, IsADirectoryError):
        return usage(f"{path} is a directory", f"{option} takes a file of records")
    trouble = unreadable(path, error)
    if isinstance(error, FileNotFoundError):
        if events is not None and os.path.realpath(path) == os.path.realpath(events):
            return None
        if lost_folder(path, error) is None:
            trouble.hint = on_file("to begin with an empty one: touch", path)
    return trouble


def quoted(path: str) -> str:
    from shlex import quote

    return quote(path)
