"""--reuse: complete answers in records, found again by the hash of their prompt.

The records are read once. What is kept in memory is 32 bytes for each complete answer: its key, and
where it stands in its file. The text is read from the file when it is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import orjson

from ...answer.reused import Answer
from ...errors import usage
from ...events import Event, Reasoning, Text, ToolCall
from ...output.descriptor import Out, ends_torn
from .journal import (
    BLOCK,
    HASH,
    blocks,
    check_journal,
    ends_of,
    is_own_stdout,
    open_trouble,
    records_of,
)

_OPTION = "--reuse"
_ID = re.compile(rb'"request_id"\s*:\s*"([^"\\]{1,64})"')
_BUCKETS = 4096
_KEY, _ENTRY = 16, 32  # bytes
_STEP = 0x9E3779B97F4A7C15F39CC0605CEDC835  # 2**128 / golden ratio, odd: spreads occurrences
_ANY = -1  # stands for some other occurrence than the first
_FILES = 256


class Reuse:
    """The complete answers in the files `paths`; usage errors for files that are none.

    Only `events`, the file of --events, may be missing: it has not begun yet. `exact`: of equal
    prompts each needs an answer of its own. `only` is the hash of the one prompt that is wanted:
    the records of others are then passed over.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        events: str | None = None,
        exact: bool = False,
        only: str = "",
        stdout: int = 1,
    ) -> None:
        self._exact = exact
        self._only = only.encode()
        self._places = _Places()
        self._files: list[BinaryIO] = []
        if len(paths) > _FILES:
            raise usage(f"--reuse takes at most {_FILES} files", "put them into one with cat")
        for path in paths:
            try:
                file = _opened(path, stdout)
            except OSError as error:
                trouble = open_trouble(error, path, _OPTION, events)
                if trouble is None:
                    continue
                raise trouble from error
            self._files.append(file)
            self._read(file, path, len(self._files) - 1)

    def find(self, hash: str, occurrence: int = 0) -> Answer | None:
        """Return the answer to the prompt with that hash; None if it has to be asked."""
        occurrences = [occurrence] if self._exact else dict.fromkeys((occurrence, 0, _ANY))
        for each in occurrences:
            place = self._places.get(hash, each)
            if place is not None and (answer := self._answer(hash, *place)) is not None:
                return answer
        return None

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _read(self, file: BinaryIO, path: str, number: int) -> None:
        """Note where the complete answers of a file are."""
        at, known = 0, False
        begun: dict[bytes, int] = {}  # where the first record of a prompt without an end stands
        for block in blocks(file):
            known = known or check_journal(path, block, _OPTION)
            if not self._only:
                for found in _ID.finditer(block):
                    if found[1] not in begun:
                        begun[found[1]] = at + block.rfind(b"\n", 0, found.start()) + 1
            if self._only in block:
                for start, line in ends_of(block):
                    for record in records_of(line, path) if self._only in line else ():
                        if record["type"] == "end":
                            first = 0 if self._only else at + start
                            first = begun.pop(str(record.get("request_id")).encode(), first)
                            self._note(record, number, first, at + start)
            at += len(block)

    def _note(self, record: dict[str, Any], number: int, first: int, end: int) -> None:
        hash, occurrence = record.get("prompt_hash"), record.get("occurrence")
        if (
            record.get("status") != "complete"  # not `enough`: that may be less than all
            or record.get("complete") is not True
            or not (isinstance(hash, str) and HASH.fullmatch(hash))
            or not (type(occurrence) is int and 0 <= occurrence < 2**32)
        ):
            return
        newer = not record.get("reused_from")  # its text may be that of the other record alone
        self._places.put(hash, occurrence, number, first, end, over=newer)
        if occurrence:
            self._places.put(hash, _ANY, number, first, end, over=False)

    def _answer(self, hash: str, number: int, first: int, end: int) -> Answer | None:
        """Return the answer that ends in the line at `end`; None if it is not whole any more."""
        file = self._files[number]
        try:
            file.seek(end)
            for record in records_of(file.readline(), ""):
                if record["type"] == "end" and record.get("prompt_hash") == hash:
                    answer = Answer(record, list(_events_of(file, record, first, end)))
                    return answer if answer.is_whole else None
        except OSError:
            pass
        return None


class _Places:
    """Where answers are, by (hash, occurrence): 32 bytes each, and little around them.

    Entries lie end to end in buckets by the last bits of their key, and bytearray.find searches.
    """

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(_BUCKETS)]

    def put(
        self, hash: str, occurrence: int, number: int, first: int, end: int, *, over: bool
    ) -> None:
        """Keep a place; in the place of an earlier one only if it goes `over` it."""
        key, bucket = self._key(hash, occurrence)
        entry = key + (number << 56 | first).to_bytes(8, "big") + end.to_bytes(8, "big")
        at = _find(bucket, key)
        if at < 0:
            bucket += entry
        elif over:
            bucket[at : at + _ENTRY] = entry

    def get(self, hash: str, occurrence: int) -> tuple[int, int, int] | None:
        """Return the number of the file, and the offsets of the first and the last record."""
        key, bucket = self._key(hash, occurrence)
        at = _find(bucket, key)
        if at < 0:
            return None
        both = int.from_bytes(bucket[at + _KEY : at + 24], "big")
        end = int.from_bytes(bucket[at + 24 : at + _ENTRY], "big")
        return both >> 56, both & (1 << 56) - 1, end

    def _key(self, hash: str, occurrence: int) -> tuple[bytes, bytearray]:
        number = int(hash, 16) + occurrence * _STEP & (1 << 128) - 1
        return number.to_bytes(_KEY, "big"), self._buckets[number % _BUCKETS]


def _find(bucket: bytearray, key: bytes) -> int:
    at = bucket.find(key)
    while at % _ENTRY and at >= 0:  # it began inside an entry
        at = bucket.find(key, at + 1)
    return at


def _opened(path: str, stdout: int) -> BinaryIO:
    """Return the file, open; a pipe's bytes in a temporary file, as they are read twice."""
    file = open("/dev/stdin" if path == "-" else path, "rb")
    try:
        if is_own_stdout(file, path, stdout, _OPTION) and ends_torn(file.fileno()):
            Out(stdout, "stdout").write(b"\n")
        if file.seekable():
            return file
        from shutil import copyfileobj
        from tempfile import TemporaryFile

        spool = TemporaryFile()
        copyfileobj(file, spool)
        spool.seek(0)
    except BaseException:
        file.close()
        raise
    file.close()
    return spool


def _events_of(file: BinaryIO, end: dict[str, Any], first: int, last: int) -> Iterator[Event]:
    """Yield what the answer said: from its `end` record, or from the records before that."""
    text, reasoning = end.get("text"), end.get("reasoning")
    if isinstance(text, str):
        if isinstance(reasoning, str) and reasoning:
            yield Reasoning(reasoning)
        if text:
            yield Text(text)
        calls = end.get("tool_calls")
        yield from map(_call, calls if isinstance(calls, list) else ())
        return
    request_id = str(end.get("request_id"))
    for record in _records_between(file, request_id, first, last):
        if record.get("request_id") != request_id:
            continue
        if record["type"] == "tool_call":
            yield _call(record)
        elif record["type"] == "delta" and not record.get("choice"):
            piece = record.get("text")
            if isinstance(piece, str) and record.get("channel") in ("text", "reasoning"):
                yield Text(piece) if record["channel"] == "text" else Reasoning(piece)


def _records_between(
    file: BinaryIO, request_id: str, first: int, last: int
) -> Iterator[dict[str, Any]]:
    """Yield the records that name that id; others of the same run stand between them."""
    name = orjson.dumps(request_id)
    file.seek(first)
    left, rest = last - first, b""
    while left > 0 and (data := file.read(min(BLOCK, left))):
        left -= len(data)
        data = rest + data
        stop = data.rfind(b"\n") + 1
        rest = data[stop:]
        at = 0
        while (found := data.find(name, at, stop)) >= 0:
            at = data.find(b"\n", found) + 1
            yield from records_of(data[data.rfind(b"\n", 0, found) + 1 : at], "")


def _call(record: Any) -> ToolCall:
    fields = record if isinstance(record, dict) else {}
    id, name, arguments, by = (
        str(fields.get(key) or "") for key in ("call_id", "name", "arguments", "by")
    )
    return ToolCall(id, name, arguments, by=by)
