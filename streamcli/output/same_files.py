"""Usage errors where one file would be read and written, or written twice."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from ..errors import usage
from ..input.stdin import NAMES
from ..settings.settings import Settings


def check_apart(settings: Settings) -> None:
    """Raise a usage error for files that two options, or an option and stdout, share."""
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
    """Return whether two names are those of one file, which may not exist yet; no device."""
    same = os.path.realpath(path) == os.path.realpath(other)
    return same and (os.path.isfile(path) or not os.path.exists(path))


def _identity_of(place: int | str) -> tuple[int, int] | None:
    """Return the device and inode of a regular file; None for others, and where there is none."""
    with suppress(OSError):
        found = os.stat(place)
        if stat.S_ISREG(found.st_mode):
            return found.st_dev, found.st_ino
    return None
