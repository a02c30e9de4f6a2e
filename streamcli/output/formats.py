"""Which sinks a prompt writes to: from the options and from what stdout and stderr are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import StreamError, usage
from ..terminal.fds import Signals, is_terminal
from .descriptor import LineOut, Out, ends_torn
from .sink import Sink
from .text import FileSink, TextSink

if TYPE_CHECKING:
    from .records import Facts


def sinks(
    params: Mapping[str, Any],
    facts: Facts | None,
    signals: Signals,
    closed_fds: set[int],
    *,
    silent: bool = False,
) -> Iterator[Sink]:
    """Opens them one after the other, so that trouble with one leaves those before it.

    `facts` are given when records are wanted. --events comes first: what the text sink meets can
    still be told there. `silent`: no text on stdout.
    """
    if facts is not None:
        from .records import JsonSink, RecordSink

        if params["events"] is not None:
            fd = events_fd(params["events"])
            yield RecordSink(LineOut(fd, params["events"], signals.shield), facts)
        if params["format"] == "jsonl":
            yield RecordSink(LineOut(1, "stdout", signals.shield), facts)
        elif params["format"] == "json":
            yield JsonSink(LineOut(1, "stdout", signals.shield, long=True), facts)
    path = params["output"]
    if 1 in closed_fds and not (params["format"] == "text" and path):
        raise StreamError("write", "stdout is closed", "give it a place to write to")
    look = looks(params)
    if path is not None:
        yield FileSink(path, **look)
    elif params["format"] == "text" and not silent:
        yield TextSink(Out(1, "stdout"), end_newline=is_terminal(1), **look)


def looks(params: Mapping[str, Any], *, batch: bool = False) -> dict[str, Any]:
    """How a text sink shows reasoning and control characters.

    In a `batch` nobody can tell whose reasoning it is: it is shown only if that is asked for.
    """
    on_terminal, watched = is_terminal(1), is_terminal(2)
    always, auto = params["sanitize"] == "always", params["sanitize"] == "auto"
    shown = on_terminal and watched and not batch
    reasoning = params["reasoning"] or ("stderr" if shown else "hide")
    look = {
        "reasoning": reasoning,
        "sanitize": always or (auto and on_terminal and params["output"] is None),
    }
    if reasoning == "stderr":
        color = params["color"]
        colorful = color == "auto" and watched and not os.environ.get("NO_COLOR")
        look["aside"] = Out(2, "stderr")
        look["dim"] = color == "always" or colorful
        look["sanitize_aside"] = always or (auto and watched)
    return look


def events_fd(where: str) -> int:
    """--events: a number is a file descriptor, anything else a file that is appended to."""
    if where.isascii() and where.isdigit():
        try:
            os.fstat(int(where))
        except (OSError, OverflowError):
            raise usage(f"--events {where}: that file descriptor is not open") from None
        return int(where)
    try:
        if os.path.exists(where) and not os.path.isfile(where):
            return os.open(where, os.O_WRONLY | os.O_CLOEXEC)  # a FIFO waits for its reader here
        fd = os.open(where, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        # The line that a killed run may have left torn is finished, so that ours stand alone.
        if ends_torn(fd):
            os.write(fd, b"\n")
        return fd
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StreamError("write", f"{where} cannot be written: {why}") from error
