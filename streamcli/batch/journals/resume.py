"""The journals of --resume: read the prompts that are complete by FILE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO

from ...output.descriptor import Out, ends_torn
from .journal import (
    HASH,
    blocks,
    check_journal,
    ends_of,
    is_own_stdout,
    open_trouble,
    other_lines,
    records_of,
)
from .seen import Done, known_by

_OPTION = "--resume"


def read(
    paths: Sequence[str],
    *,
    events: str | None = None,
    stdout: int = 1,
    note: Callable[[str], None],
) -> Done:
    """Return the prompts that these journals have complete, each `known_by` its hash and id.

    Raise a usage error for a file that is not a journal, or that stdout overwrites instead of
    appending to it. Only `events`, the file of --events, may be missing: it has not begun yet. If
    `stdout` goes to a journal, end its torn last line, so that the next one stands alone.
    """
    done = Done()
    for path in paths:
        try:
            with open("/dev/stdin" if path == "-" else path, "rb") as file:
                ours = is_own_stdout(file, path, stdout, _OPTION)
                others = _read(file, path, done)
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
    return done


def _read(file: BinaryIO, path: str, done: Done) -> int:
    """Put the complete prompts of a journal into `done`; return how many lines are not records."""
    others, known = 0, False
    for block in blocks(file):
        known = known or check_journal(path, block, _OPTION)
        others += other_lines(block)
        for _, line in ends_of(block):
            for record in records_of(line, path):
                hash, occurrence = record.get("prompt_hash"), record.get("occurrence")
                id = record.get("id")
                if (
                    record["type"] == "end"
                    and record.get("complete") is True
                    and isinstance(id, str | int | None)
                    and isinstance(hash, str)
                    and HASH.fullmatch(hash)
                    and type(occurrence) is int
                    and occurrence >= 0
                ):
                    done.add(known_by(hash, id), occurrence)
    return others
