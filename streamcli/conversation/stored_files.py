"""The attachments of stored messages: files that may have been removed since."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

from ..input.attachments import LIMIT
from ..message_json import from_json


def with_files(fields: dict[str, Any], note: Callable[[str], None]) -> dict[str, Any]:
    """Return the fields of a message with only those attachments that can still be read.

    The text names the others, and a note says so: the answers after them are already there.
    """
    attachments = fields.get("attachments")
    if not isinstance(attachments, list):
        return fields
    there, gone = [], []
    for each in attachments:
        path = each.get("path") if isinstance(each, dict) and not each.get("url") else None
        if not isinstance(path, str) or not path:
            there.append(each)
            continue
        try:
            from_json({"role": "user", "attachments": [each]}, read_file)
        except (ValueError, OSError) as error:
            what = str(error) if isinstance(error, ValueError) else f"cannot read {path}"
            note(f"{what}: the conversation goes on without it")
            gone.append(
                name
                if isinstance(name := each.get("name"), str) and name
                else os.path.basename(path)
            )
        else:
            there.append(each)
    text = fields.get("content")
    if not gone or not isinstance(text, str):
        return fields
    named = "\n".join([text, *(f"[{name} is no longer there]" for name in gone)])
    return {**fields, "attachments": there, "content": named}


def read_file(path: str) -> bytes:
    """Return the bytes of an attachment's file; OSError if it is missing or not a regular file."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError("not a regular file")
        return file.read(LIMIT + 1)
