"""Everything that is not the answer: one line each on stderr, `stream: ` in front."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .terminal import one_line, visible


class Voice:
    """Says errors always, notes unless --quiet, details with --verbose, debug with --debug."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._quiet: bool = params["quiet"]
        self.verbose: bool = params["verbose"] or params["debug"]
        self.debugging: bool = params["debug"]

    def error(self, message: str, hint: str = "") -> None:
        """What happened, and what to do: our own words, so a hint may have several lines."""
        lines = hint.split("\n") if hint.startswith("\n") else [one_line(hint)]
        self._write(one_line(message), "\n".join(map(visible, lines)))

    def note(self, message: str) -> None:
        if not self._quiet:
            self._write(one_line(message))

    def detail(self, message: str) -> None:
        if self.verbose:
            self._write(one_line(message))

    def debug(self, message: str) -> None:
        if self.debugging:
            self._write(one_line(message, 4000))

    def _write(self, message: str, hint: str = "") -> None:
        colon = ":" if hint.startswith("\n") else ": " if hint else ""
        try:
            os.write(2, f"stream: {message}{colon}{hint}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # nobody is there to be told
