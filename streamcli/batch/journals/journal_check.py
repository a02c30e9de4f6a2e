"""Check a file that is named as a journal: the usage errors for one that cannot be one."""

from __future__ import annotations

import fcntl
import os
import stat
from codecs import utf_8_decode
from typing import BinaryIO

from ...errors import StreamError, usage
from ...file_errors import followed, lost_folder, on_file, unreadable
from ...terminal.fds import is_null
from .journal import HEADS, KEY, records_of, value_of

_COMPRESSED = (  # (magic bytes, the program that wrote them)
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
)
_RECORDS_HINT = "records come with --json or --jsonl"


def is_own_stdout(file: BinaryIO, path: str, stdout: int, option: str) -> bool:
    """Return whether stdout goes to this file.

    Raise a usage error if stdout would overwrite it, or if it is a device or stdout's own pipe.
    """
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


def check_journal(path: str, block: bytes, option: str) -> bool:
    """Return whether these first lines are those of a journal; False if all are blank.

    Raise a usage error if they are something else.
    """
    lines = [line for line in map(bytes.strip, block.split(b"\n")) if line]
    if not lines:
        return False
    first = lines[0]
    if first != b"[" and any(records_of(line, path) for line in lines):
        return True
    begun = any(first.startswith(head) or head.startswith(block.strip()) for head in HEADS)
    torn = begun and value_of(first) is None
    if not torn and not first.startswith(b"stream: "):  # stderr may go there too
        raise usage(*_describe(path, block, first, option))
    return True


def _describe(path: str, block: bytes, first: bytes, option: str) -> tuple[str, str]:
    """Return (what the file is, what to do), for a file that is not a journal."""
    for magic, tool in _COMPRESSED:
        if block.startswith(magic):
            return f"{path} is compressed by {tool}", f"{option} <({tool} -dc {quoted(path)})"
    try:
        utf_8_decode(block)  # accepts a character that is cut at the end
    except UnicodeDecodeError:
        text = False
    else:
        text = b"\0" not in block
    if not text:
        return f"{path} is binary, no file of records", _RECORDS_HINT
    if first[:14].lower().startswith((b"<!doctype html", b"<html")):
        return f"{path} is HTML, no file of records", _RECORDS_HINT
    value = value_of(first)
    if isinstance(value, dict):
        if str(value.get("schema")).startswith("stream.cassette/"):
            return f"{path} is a recording (--record), no file of records", _RECORDS_HINT
        if not value.keys().isdisjoint(("prompt", "messages", "custom_id")):
            hint = f"--requests --json {option} OUT < {quoted(path)} >> OUT"
            return f"{path} holds requests, no records", hint
        return f"{path} is JSON Lines of something else, no file of records", _RECORDS_HINT
    if first[:1] in b"[{":
        what, items = ("array", "'.[]'") if first[:1] == b"[" else ("document", ".")
        hint = f"{option} <(jq -c {items} {quoted(path)})" if KEY in block else _RECORDS_HINT
        return f"{path} is a JSON {what}, and records are one a line", hint
    return f"{path} is plain text, no file of records", f"stream's text output? {_RECORDS_HINT}"


def open_trouble(error: OSError, path: str, option: str, events: str | None) -> StreamError | None:
    """Return the error for a journal that cannot be opened.

    Return None for the file that --events is about to create.
    """
    if isinstance(error, IsADirectoryError):
        return usage(f"{path} is a directory", f"{option} takes a file of records")
    trouble = unreadable(path, error)
    if isinstance(error, FileNotFoundError):
        if events is not None and followed(path) == followed(events):
            return None
        if lost_folder(path, error) is None:
            trouble.hint = on_file("to begin with an empty one: touch", path)
    return trouble


def quoted(path: str) -> str:
    from shlex import quote

    return quote(path)
