"""List the stored sessions, with the facts that --list-sessions shows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from .session_paths import SUFFIX, named_sessions

_LOOKED_AT = 1 << 18  # bytes at the beginning of a file that are searched for the first prompt


class Session(NamedTuple):
    """A stored session: its name, its file, the Unix time of its last turn, its first prompt."""

    name: str
    path: str
    changed: float
    size: int
    prompt: str


def stored_sessions(environ: Mapping[str, str]) -> list[Session]:
    """Return the named sessions, the latest one first; usage error for an unreadable folder."""
    found = sorted(named_sessions(environ), key=lambda each: (each[1], each[0]), reverse=True)
    return [_session(path, changed) for path, changed in found]


def _session(path: str, changed: float) -> Session:
    size, prompt = 0, ""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            prompt = _first_prompt(file.read(_LOOKED_AT))
    except OSError:
        pass  # an unreadable session is listed without its prompt
    name = os.path.basename(path).removesuffix(SUFFIX)
    return Session(name, path, changed, size, prompt)


def _first_prompt(data: bytes) -> str:
    """Return the text of the first message of the user; "" if it is not among these bytes."""
    for line in data.split(b"\n"):
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(fields, dict) and fields.get("role") == "user":
            text = fields.get("content")
            return text if isinstance(text, str) else ""
    return ""
