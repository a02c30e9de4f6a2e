"""Write messages to stderr: one line each, with the name of the program before it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .sanitize import one_line, visible
from .screen import Screen, is_colored, is_dumb

if TYPE_CHECKING:
    from ..outcome import Outcome
    from .stats import Table
    from .waiting import Waiting


def line_of(message: str) -> str:
    """Return the line on stderr for a message; its commands get the name of this program."""
    from .program import named, program

    return f"{program()}: {named(message)}"


class Messages:
    """Writes errors always, notes unless --quiet, details with --verbose, debug with --debug.

    On the terminal that shows the answer, a message begins a new line. If `above` is set, it gets
    the lines instead of stderr. `signs`: a waiting sign may be shown on a terminal; `waiting` is
    the sign of the current answer, if it has one.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        verbose: bool = False,
        debug: bool = False,
        signs: bool = False,
    ) -> None:
        self.waiting: Waiting | None = None
        self._signs = signs and not quiet
        self.above: Callable[[str], None] | None = None
        self.screen = Screen()
        self.verbose = verbose or debug
        self.debugging = debug
        self._quiet = quiet

    def error(self, message: str, hint: str = "") -> None:
        """Write an error and its hint. The hint is our own text, and may have several lines."""
        lines = hint.split("\n") if hint.startswith("\n") else [one_line(hint)]
        limit = 4000 if self.verbose else 300
        self._write(one_line(message, limit), "\n".join(map(visible, lines)))

    def note(self, message: str) -> None:
        """Write a message that is not an error."""
        if not self._quiet:
            self._write(one_line(message))

    def detail(self, message: str, limit: int = 600) -> None:
        """Write a message for --verbose, cut to `limit` characters."""
        if self.verbose:
            self._write(one_line(message, limit))

    def debug(self, message: str) -> None:
        """Write a message for --debug."""
        if self.debugging:
            self._write(one_line(message, 4000))

    @property
    def width(self) -> int | None:
        """The cells of a line on stderr's terminal; None if stderr is not a terminal."""
        from .widths import columns_of

        return None if self.screen.line(2) is None else columns_of(2)

    def table(self, table: Table, color: str) -> None:
        """Write the table of --stats; `color` is the value of --color."""
        width = self.width
        dims = is_colored(color, terminal=width is not None)
        self._put(table.drawn(width, dims=dims))

    def sign(self, words: Callable[[float], str] | None = None) -> Waiting | None:
        """Return a new waiting sign for stderr's terminal; None if none is wanted."""
        line = self.screen.line(2)
        if line is None or not self._signs or is_dumb():
            return None
        from .waiting import Waiting

        return Waiting(line, time.monotonic, words)

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show a waiting sign with the words `what` while the block runs."""
        sign = None if self.waiting is not None else self.sign()
        if sign is None:
            yield
            return
        sign.start(what)
        try:
            yield
        finally:
            sign.stop()

    def _write(self, message: str, hint: str = "") -> None:
        colon = ":" if hint.startswith("\n") else ": " if hint else ""
        line = line_of(f"{message}{colon}{hint}")
        if self.above is not None:
            self.above(line)
            return
        self._put(f"{line}\n")

    def _put(self, lines: str) -> None:
        data = lines.encode("utf-8", "backslashreplace")
        if (here := self.screen.line(2)) is None:
            write_stderr(data)
            return
        with here.lock:
            write_stderr(here.message(data))


def write_stderr(data: bytes) -> None:
    """Write to stderr; a failure is ignored, as there is nobody to tell it to."""
    try:
        os.write(2, data)
    except OSError:
        pass


def usage_line(outcome: Outcome) -> str:
    """Return the line of --usage: the counts that the server sent, and the cost."""
    usage = outcome.usage
    named = (
        ("input", usage.input_tokens),
        ("output", usage.output_tokens),
        ("reasoning", usage.reasoning_tokens),
        ("cached", usage.cache_read_tokens),
        ("total", usage.total_tokens),
    )
    known = [f"{count} {name}" for name, count in named if count is not None]
    if outcome.cost is not None:
        from ..outcome import decimal

        known.append(f"cost {decimal(outcome.cost, 6)}")
    return "tokens: " + (", ".join(known) if known else "the server sent none")
