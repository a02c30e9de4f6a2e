"""Usage errors for output options that contradict each other, or share a file with an input."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from ..errors import usage
from ..input.stdin import NAMES
from ..settings.formats import format_of
from ..settings.settings import Settings
from .descriptor import STDOUT


def check_outputs(settings: Settings) -> None:
    """Raise a usage error for two options with one output, or one that shapes a missing text."""
    records = format_of(settings.format).records
    file = None if settings.output in STDOUT else settings.output
    if records and file is None:
        for option in ("extract", "items"):
            if getattr(settings, option) is not None:
                what = f"--{option} is for a text, and --format {settings.format} writes none"
                raise usage(what, f"-O FILE, or --{option} without --format")
    if settings.output in STDOUT and records:
        what = f"-O {settings.output} and --format {settings.format}"
        raise usage(f"{what} both write to stdout", "-O FILE")
    for option in ("events", "record"):
        place = getattr(settings, option)
        if place is not None and file is not None and is_one_file(place, file):
            raise usage(f"-O and --{option} name the same file", f"--{option} ANOTHER")
        if place not in STDOUT and not (option == "events" and place == "1"):
            continue
        if records or file is None:
            what = f"--format {settings.format}" if records else "the text"
            other = ", or --jsonl" if option == "events" else ""
            hint = f"--{option} FILE" if records else f"--{option} {place} -O FILE{other}"
            raise usage(f"--{option} {place} and {what} both write to stdout", hint)
        if option == "record" and settings.events in (*STDOUT, "1"):
            raise usage("--events and --record both write to stdout", "--record FILE")


def check_files(settings: Settings) -> None:
    """Raise a usage error for a file that is written twice, or read and written."""
    session = settings.session if "/" in (settings.session or "") else None
    for option in ("events", "record", "output"):
        place = getattr(settings, option)
        if place is not None and session is not None and is_one_file(place, session):
            raise usage(f"--{option} and --session name the same file", f"--{option} ANOTHER")
    if not settings.batch_inputs:
        return  # a prompt is read to its end before its answer begins
    read = [0 if path in NAMES else path for path in settings.file or NAMES[:1]]
    inputs = {found for place in read if (found := _identity_of(place))}
    for place, shown in ((1, "stdout"), (settings.events, "--events")):
        if place is not None and _identity_of(place) in inputs:
            what = f"{shown} is a file that the prompts are read from"
            raise usage(what, "name another one, or the answers become prompts")


def is_one_file(path: str, other: str) -> bool:
    """Return whether two names are of one file, which may not exist yet; False for devices."""
    from ..file_errors import followed

    same = followed(path) == followed(other)
    return same and (os.path.isfile(path) or not os.path.exists(path))


def _identity_of(place: int | str) -> tuple[int, int] | None:
    """Return the device and inode of a regular file; None for anything else."""
    with suppress(OSError):
        found = os.stat(place)
        if stat.S_ISREG(found.st_mode):
            return found.st_dev, found.st_ino
    return None
