"""The file of `--record`: one JSON object a line, each written whole."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from signal import SIGPIPE
from typing import Any

from ..errors import Interrupted, StreamError
from .descriptor import STDOUT, LineOut, unwritable
from .records import line


class RecordingFile:
    """Writes a recording to a file, which is emptied first, or to a descriptor; `-` is stdout.

    A line that cannot be written raises a write error. Every later write, and `close`, raise it
    again: a recording with a gap is not a recording.
    """

    def __init__(self, place: str | int, shield: AbstractContextManager[None]) -> None:
        if place in STDOUT:
            place = 1
        self._out = LineOut(_begin(place), str(place), shield)
        self._ours = isinstance(place, str)
        self._trouble: StreamError | None = None

    def write(self, fields: dict[str, Any]) -> None:
        if self._trouble is not None:
            raise self._trouble
        try:
            self._out.lines(line(fields))
        except StreamError as error:
            self._trouble = error  # the line may be torn: nothing can follow it
            raise
        except Interrupted as signal:
            if signal.signum != SIGPIPE:
                raise
            self._trouble = StreamError("write", "the recording's reader is gone")
            raise self._trouble from None

    def close(self) -> None:
        if self._ours:
            os.close(self._out.fd)
        if self._trouble is not None:
            raise self._trouble


def _begin(place: str | int) -> int:
    try:
        if isinstance(place, int):
            os.fstat(place)
            return place
        return os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise unwritable(str(place), error) from error
