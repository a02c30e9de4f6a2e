"""Everything that is not the answer: one line each on stderr, `stream: ` in front."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..outcome import Outcome
from .fds import one_line, visible


class Voice:
    """Says errors always, notes unless --quiet, details with --verbose, debug with --debug."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, debug: bool = False) -> None:
        self.through: Callable[[str], None] | None = None  # what shows progress on stderr
        self._quiet = quiet
        self.verbose = verbose or debug
        self.debugging = debug

    def error(self, message: str, hint: str = "") -> None:
        """What happened, and what to do: our own words, so a hint may have several lines."""
        lines = hint.split("\n") if hint.startswith("\n") else [one_line(hint)]
        limit = 4000 if self.verbose else 300
        self._write(one_line(message, limit), "\n".join(map(visible, lines)))

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
        line = f"stream: {message}{colon}{hint}"
        if self.through is not None:
            self.through(line)
            return
        try:
            os.write(2, f"{line}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # nobody is there to be told


def usage_line(outcome: Outcome) -> str:
    """For --usage: what the server said, and nothing it did not."""
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
        known.append(f"cost {outcome.cost:g}")
    return "tokens: " + (", ".join(known) if known else "the server did not say")


def stats_line(outcome: Outcome) -> str:
    """For --stats: the timings of the end record, for people."""
    timings = outcome.timings()
    parts = []
    if timings["ttft_ms"] is not None:
        parts.append(f"TTFT {timings['ttft_ms']:.0f} ms")
    parts.append(f"{timings['duration_ms']:.0f} ms in all")
    parts.append(f"{timings['chunks']} chunks")
    gaps = timings["icl_ms"]
    if gaps and gaps["max"]:
        parts.append(f"gap p50 {gaps['p50']:.1f} p99 {gaps['p99']:.1f} max {gaps['max']:.1f} ms")
    if timings["tokens_per_second"] is not None:
        parts.append(f"{timings['tokens_per_second']:.1f} tokens/s")
    if outcome.attempts > 1:
        parts.append(f"{outcome.attempts} attempts")
    return ", ".join(parts)
