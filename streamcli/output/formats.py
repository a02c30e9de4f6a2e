"""Which sinks a prompt writes to: from the options and from what stdout and stderr are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import StreamError, usage
from ..settings.settings import Settings
from ..terminal.fds import is_terminal
from ..terminal.signals import Signals
from .descriptor import LineOut, Out, ends_torn
from .sink import Sink
from .text import FileSink, TextSink

if TYPE_CHECKING:
    from .records import Facts


def sinks(
    settings: Settings,
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

        if settings.events is not None:
            fd = events_fd(settings.events)
            yield RecordSink(LineOut(fd, settings.events, signals.shield), facts)
        if settings.format == "jsonl":
            yield RecordSink(LineOut(1, "stdout", signals.shield), facts)
        elif settings.format == "json":
            yield JsonSink(LineOut(1, "stdout", signals.shield, long=True), facts)
    path = settings.output
    if 1 in closed_fds and not (settings.format == "text" and path):
        raise StreamError("write", "stdout is closed", "give it a place to write to")
    look = looks(settings)
    if path is not None:
        yield FileSink(path, **look)
    elif settings.format == "text" and not silent:
        yield TextSink(Out(1, "stdout"), end_newline=is_terminal(1), **look)


def looks(settings: Settings, *, batch: bool = False) -> dict[str, Any]:
    """How a text sink shows reasoning and control characters.

    In a `batch` nobody can tell whose reasoning it is: it is shown only if that is asked for.
    """
    on_terminal, watched = is_terminal(1), is_terminal(2)
    always, auto = settings.sanitize == "always", settings.sanitize == "auto"
    shown = on_terminal and watched and not batch
    reasoning = settings.reasoning or ("stderr" if shown else "hide")
    look = {
        "reasoning": reasoning,
        "sanitize": always or (auto and on_terminal and settings.output is None),
    }
    if reasoning == "stderr":
        color = settings.color
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
