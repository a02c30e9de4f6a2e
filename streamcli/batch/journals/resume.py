"""Read the journals of --resume: which prompts are complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from ...output.descriptor import Out, ends_torn
from .completed import Completed, key_of
from .journal import HASH, blocks, ends_of, other_lines, records_of
from .journal_check import check_journal, is_own_stdout, open_trouble

_OPTION = "--resume"


def read(
    paths: Sequence[str],
    *,
    events: str | None = None,
    stdout: int = 1,
    note: Callable[[str], None],
) -> Completed:
    """Return the prompts that are complete in these journals.

    Raise a usage error for a file that is not a journal, or that stdout overwrites instead of
    appending to it. Only `events`, the file of --events, may be missing: it has not begun yet. If
    `stdout` goes to a journal with a torn last line, end that line first, so that the next record
    has a line of its own.
    """
    completed = Completed()
    for path in paths:
        try:
            with open("/dev/stdin" if path == "-" else path, "rb") as file:
                ours = is_own_stdout(file, path, stdout, _OPTION)
                others = _read(file, path, completed)
                torn = ours and ends_torn(file.fileno())
        except OSError as error:
            trouble = open_trouble(error, path, _OPTION, events)
            if trouble is None:
                continue
            raise trouble from error
        if torn:
            Out(stdout, "stdout").write(b"\n")
        if others:
            lines = "line of it is not a record" if others == 1 else "lines of it are not records"
            note(f"{path} was read, but {others} {lines}")
    return completed


def _read(file: BinaryIO, path: str, completed: Completed) -> int:
    """Add the complete prompts of a journal; return how many of its lines are not records."""
    others, checked = 0, False
    for block in blocks(file):
        checked = checked or check_journal(path, block, _OPTION)
        others += other_lines(block)
        for _, line in ends_of(block):
            for record in records_of(line, path):
                _add(record, completed)
    return others


def _add(record: dict[str, Any], completed: Completed) -> None:
    """Add the prompt of an `end` record that says `complete`; ignore other records."""
    hash, occurrence, id = (record.get(key) for key in ("prompt_hash", "occurrence", "id"))
    if (
        record["type"] == "end"
        and record.get("complete") is True
        and isinstance(id, str | int | None)
        and isinstance(hash, str)
        and HASH.fullmatch(hash)
        and type(occurrence) is int
        and occurrence >= 0
    ):
        completed.add(key_of(hash, id), occurrence)
