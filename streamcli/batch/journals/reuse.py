"""The journals of --reuse: find the complete answer to a prompt by the hash of the prompt.

The records are read once. For each complete answer 32 bytes stay in memory: its key, and its
position in its file. The text is read from the file when the answer is reused.
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
from .hash_index import HashIndex
from .journal import BLOCK, HASH, blocks, ends_of, records_of
from .journal_check import check_journal, is_own_stdout, open_trouble

_OPTION = "--reuse"
_ID = re.compile(rb'"request_id"\s*:\s*"([^"\\]{1,64})"')
_ANY = -1  # stands for any occurrence but the first
_FILES = 256  # their number is one byte of a position


class Reuse:
    """Finds the complete answers in the files `paths`.

    Only `events`, the file of --events, may be missing: it has not begun yet. With `exact`, each of
    several equal prompts needs an answer of its own. `only` is the hash of the one prompt that will
    be looked up, "" for any: the records of other prompts are then passed over.
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
        """Raise a usage error for a file that is not a journal, or cannot be read."""
        self._exact = exact
        self._only = only.encode()
        self._positions = HashIndex(16)
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
            position = self._positions.get(hash, each)
            if position is None:
                continue
            if (answer := self._answer(hash, *_unpacked(position))) is not None:
                return answer
        return None

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _read(self, file: BinaryIO, path: str, number: int) -> None:
        """Note the positions of the complete answers in a file."""
        at, checked = 0, False
        begun: dict[bytes, int] = {}  # offsets of the first records of prompts without an end
        for block in blocks(file):
            checked = checked or check_journal(path, block, _OPTION)
            if not self._only:
                for found in _ID.finditer(block):
                    if found[1] not in begun:
                        begun[found[1]] = at + block.rfind(b"\n", 0, found.start()) + 1
            for start, record in self._end_records(block, path):
                first = 0 if self._only else at + start
                first = begun.pop(str(record.get("request_id")).encode(), first)
                self._note(record, number, first, at + start)
            at += len(block)

    def _end_records(self, block: bytes, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (offset, record) of each `end` record in whole lines, of the wanted prompt only."""
        if self._only not in block:
            return
        for start, line in ends_of(block):
            if self._only in line:
                yield from ((start, r) for r in records_of(line, path) if r["type"] == "end")

    def _note(self, record: dict[str, Any], number: int, first: int, end: int) -> None:
        """Note the position of an answer, if its `end` record says that it is complete."""
        hash, occurrence = record.get("prompt_hash"), record.get("occurrence")
        if (
            record.get("status") != "complete"  # `enough` may be less than the whole answer
            or record.get("complete") is not True
            or not (isinstance(hash, str) and HASH.fullmatch(hash))
            or not (type(occurrence) is int and 0 <= occurrence < 2**32)
        ):
            return
        # A record of a reused answer may lack the text, which the first record has.
        is_original = not record.get("reused_from")
        position = _packed(number, first, end)
        self._positions.put(hash, occurrence, position, replace=is_original)
        if occurrence:
            self._positions.put(hash, _ANY, position)

    def _answer(self, hash: str, number: int, first: int, end: int) -> Answer | None:
        """Return the answer whose `end` record begins at the offset `end`.

        Return None if the file has changed, so that the answer is not whole any more.
        """
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


def _packed(number: int, first: int, end: int) -> bytes:
    """Return a position as bytes: the file's number, the offsets of the first and last record."""
    return (number << 56 | first).to_bytes(8, "big") + end.to_bytes(8, "big")


def _unpacked(position: bytes) -> tuple[int, int, int]:
    number_and_first = int.from_bytes(position[:8], "big")
    end = int.from_bytes(position[8:], "big")
    return number_and_first >> 56, number_and_first & (1 << 56) - 1, end


def _opened(path: str, stdout: int) -> BinaryIO:
    """Open a file; copy a pipe into a temporary file, as its bytes are read twice."""
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
    """Yield the events of an answer: from its `end` record, or from the records before that."""
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
    """Yield the records in a part of the file that name an id; other records are between them."""
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
