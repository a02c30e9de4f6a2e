"""What --resume needs: which prompts are done by FILE, and which of identical prompts one is.

FILE is a journal: records of `stream.records/1`, one a line (--json, --jsonl), in whatever state
a killed run or a pipe through jq has left it. Of its lines only whole `end` records count, those
that say `complete`.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import sys
from codecs import utf_8_decode
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from .errors import StreamError, usage
from .prompt import unreadable
from .sinks.out import Out, ends_torn
from .sinks.records import SCHEMA
from .terminal import is_null

if TYPE_CHECKING:
    from sqlite3 import Connection

BLOCK = 64 * 1024  # bytes of a read
LONGEST = 32 << 20  # bytes of a line: longer ones come in pieces, and so are no records
SPILL = 50_000  # distinct prompts counted in memory, some 6 MB

# How our own lines begin, which is where one that is glued to a torn one is found.
HEAD = b'{"type":'
KINDS = ("start", "delta", "tool_call", "tool_result", "citation", "retry", "end", "summary")
_HEADS = [HEAD + b'"%s"' % kind.encode() for kind in KINDS]
_KEY = b'"prompt_hash"'  # and no other records have it than those of kind end
_HASH = re.compile(r"[0-9a-f]{32}")
_FAMILY = SCHEMA.partition("/")[0] + "/"

_PACKED = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
)
_COME = "records come with --json or --jsonl"


class Done:
    """(prompt_hash, occurrence) of finished prompts, in 16 bytes each and little around them.

    A key is the hash plus a multiple of an odd constant; keys lie end to end in buckets by their
    last bits, and bytearray.find is the search.
    """

    _BUCKETS = 4096
    _STEP = 0x9E3779B97F4A7C15F39CC0605CEDC835  # 2**128 / golden ratio, odd: spreads occurrences

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(self._BUCKETS)]
        self._size = 0

    def add(self, hash: str, occurrence: int) -> bool:
        """False if it was there. `hash` is 32 hex digits."""
        key, bucket = self._place(hash, occurrence)
        if _holds(bucket, key):
            return False
        bucket += key
        self._size += 1
        return True

    def has(self, hash: str, occurrence: int) -> bool:
        key, bucket = self._place(hash, occurrence)
        return _holds(bucket, key)

    def __len__(self) -> int:
        return self._size

    def _place(self, hash: str, occurrence: int) -> tuple[bytes, bytearray]:
        number = int(hash, 16) + occurrence * self._STEP & (1 << 128) - 1
        return number.to_bytes(16, "big"), self._buckets[number % self._BUCKETS]


def _holds(bucket: bytearray, key: bytes) -> bool:
    at = bucket.find(key)
    while at % 16 and at >= 0:  # the end of one key and the beginning of the next
        at = bucket.find(key, at + 1)
    return at >= 0


class Occurrences:
    """Counts identical prompts: exact for any number of them, in bounded memory.

    The first `spill` distinct prompts are counted in a dict, others in a private temporary
    database on disk. For one thread.
    """

    def __init__(self, spill: int = SPILL) -> None:
        self._spill = spill
        self._counts: dict[bytes, int] = {}
        self._database: Connection | None = None

    def next(self, hash: str) -> int:
        """How many prompts with this hash came before: 0, 1, ... StreamError if the disk fails."""
        key = bytes.fromhex(hash)
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= self._spill:
                return self._next_on_disk(key)
            count = 0
        self._counts[key] = count + 1
        return count

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    def _next_on_disk(self, key: bytes) -> int:
        try:
            import sqlite3
        except ImportError:  # a Python built without it: memory has to do
            self._spill = sys.maxsize
            self._counts[key] = 1
            return 0
        try:
            if self._database is None:
                self._database = _database()
            execute = self._database.execute
            if execute("INSERT OR IGNORE INTO seen VALUES (?, 0)", (key,)).rowcount:
                return 0
            execute("UPDATE seen SET count = count + 1 WHERE hash = ?", (key,))
            found = execute("SELECT count FROM seen WHERE hash = ?", (key,)).fetchone()
            return int(found[0])
        except sqlite3.Error as error:
            message = f"the temporary database of prompts cannot be written: {error}"
            raise StreamError("write", message, "TMPDIR names another folder for it") from error


def _database() -> Connection:
    from sqlite3 import connect

    database = connect("", isolation_level=None)  # "" is a file of our own that has no name
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -4096")  # KiB
    database.execute("CREATE TABLE seen (hash BLOB PRIMARY KEY, count INTEGER) WITHOUT ROWID")
    database.execute("BEGIN")
    return database


def known_by(hash: str, id: str | int | None) -> str:
    """What a prompt is known by: its hash, and the id that its line of --requests gave it.

    Equal prompts with ids of their own are told apart wherever they were asked: a job's lines may
    be shared out among processes, none of which can count those of the others.
    """
    if id is None:
        return hash
    from hashlib import sha256

    return sha256(orjson.dumps([hash, id])).hexdigest()[:32]


def read(
    paths: Sequence[str],
    *,
    events: str | None = None,
    stdout: int = 1,
    note: Callable[[str], None],
) -> Done:
    """The prompts that these journals know to be complete, each `known_by` its hash and id.

    Usage errors for a file that is none, or that stdout does not append to but overwrites. Only
    `events`, the file of --events, may be missing: it has not begun yet. Where the journal is the
    file that `stdout` goes to, a torn last line is ended, so that the next one stands alone.
    """
    done = Done()
    for path in paths:
        try:
            with open(path, "rb") as file:
                ours = _is_stdout(file, path, stdout)
                others = _read(file, path, done)
                torn = ours and ends_torn(file.fileno())
        except FileNotFoundError as error:
            if events is not None and os.path.realpath(path) == os.path.realpath(events):
                continue
            trouble = unreadable(path, error)
            trouble.hint = f"to begin with an empty one: touch {_quoted(path)}"
            raise trouble from error
        except IsADirectoryError:
            raise usage(f"{path} is a directory", "--resume takes a file of records") from None
        except OSError as error:
            raise unreadable(path, error) from error
        if torn:
            Out(stdout, "stdout").write(b"\n")
        if others:
            lines = "line of it is no record" if others == 1 else "lines of it are no records"
            note(f"{path} was read, but {others} {lines}")
    return done


def _is_stdout(file: BinaryIO, path: str, stdout: int) -> bool:
    """Whether stdout goes there; a usage error if that makes it unfit, or it is no file."""
    here = os.fstat(file.fileno())
    piped = stat.S_ISFIFO(here.st_mode)
    if is_null(file.fileno()):
        return False
    if not piped and not stat.S_ISREG(here.st_mode):
        raise usage(f"{path} is a device", "--resume takes a file of records")
    try:
        same = os.path.samestat(here, os.fstat(stdout))
        flags = fcntl.fcntl(stdout, fcntl.F_GETFL)
    except OSError:  # closed
        return False
    if not same:
        return False
    if piped:
        raise usage(f"{path} is the pipe that stdout goes into", "--resume takes a file of records")
    if not flags & os.O_APPEND:
        why = "would write over it" if here.st_size else "> empties it first"
        name = _quoted(path)
        hint = f"use >> instead of >: --resume {name} >> {name}"
        raise usage(f"{path} is where stdout goes, and {why}", hint)
    return True


def _read(file: BinaryIO, path: str, done: Done) -> int:
    """How many lines are no records."""
    others, known = 0, False
    for block in _blocks(file):
        known = known or _is_journal(path, block)
        others += _others(block)
        for line in _ends(block):
            for record in _records(line, path):
                hash, occurrence = record.get("prompt_hash"), record.get("occurrence")
                id = record.get("id")
                if (
                    record["type"] == "end"
                    and record.get("complete") is True
                    and isinstance(id, str | int | None)
                    and isinstance(hash, str)
                    and _HASH.fullmatch(hash)
                    and type(occurrence) is int
                    and occurrence >= 0
                ):
                    done.add(known_by(hash, id), occurrence)
    return others


def _blocks(file: BinaryIO) -> Iterator[bytes]:
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


def _ends(block: bytes) -> Iterator[bytes]:
    """The lines that may hold an `end` record."""
    start = 0
    while (at := block.find(_KEY, start)) >= 0:
        start = block.rfind(b"\n", start, at) + 1 or start
        end = block.find(b"\n", at) + 1 or len(block)
        yield block[start:end]
        start = end


def _others(block: bytes) -> int:
    """How many of these lines are neither records, nor torn ones, nor blank."""
    heads = block.count(b"\n" + HEAD) + block.startswith(HEAD)
    if heads == block.count(b"\n"):
        return 0
    lines = block.split(b"\n")
    return sum(b'"type"' not in line and not HEAD.startswith(line[:8].strip()) for line in lines)


def _records(line: bytes, path: str) -> list[dict[str, Any]]:
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


def _is_journal(path: str, block: bytes) -> bool:
    """False for blank lines, which tell nothing; a usage error for lines of something else."""
    lines = [line for line in map(bytes.strip, block.split(b"\n")) if line]
    if not lines:
        return False
    first = lines[0]
    if first != b"[" and any(_records(line, path) for line in lines):
        return True
    begun = any(first.startswith(head) or head.startswith(block.strip()) for head in _HEADS)
    torn = begun and _value(first) is None
    if not torn and not first.startswith(b"stream: "):  # our own stderr
        raise usage(*_what_else(path, block, first))
    return True


def _what_else(path: str, block: bytes, first: bytes) -> tuple[str, str]:
    """(what the file is, what to do): it is no journal."""
    for magic, tool in _PACKED:
        if block.startswith(magic):
            return f"{path} is compressed by {tool}", f"--resume <({tool} -dc {_quoted(path)})"
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
            hint = f"--requests --json --resume OUT < {_quoted(path)} >> OUT"
            return f"{path} holds requests, no records", hint
        return f"{path} is JSON Lines of something else, no file of records", _COME
    if first[:1] in b"[{":
        what, items = ("array", "'.[]'") if first[:1] == b"[" else ("document", ".")
        hint = f"--resume <(jq -c {items} {_quoted(path)})" if _KEY in block else _COME
        return f"{path} is a JSON {what}, and records are one a line", hint
    return f"{path} is plain text, no file of records", f"stream's text output? {_COME}"


def _quoted(path: str) -> str:
    from shlex import quote

    return quote(path)
