"""Check how a mistake in the configuration is reported."""

from __future__ import annotations

from pathlib import Path

from conftest import Result


def refused(run: Result, path: Path, line: int | None) -> str:
    """Return the one line of the message: exit 2, naming the file and the line."""
    assert run.returncode == 2, run.stderr
    assert run.stdout == b""
    (said,) = run.complaints
    assert said.startswith("stream: ")
    assert str(path) in said
    if line is not None:
        assert f"line {line}" in said
    return said
