"""The terminal and the signals: what is one, what it may be shown, how to die properly."""

from __future__ import annotations

import os
import re
import signal
import stat
import time
from collections.abc import Callable
from types import FrameType

from ..errors import Interrupted

# What model output may not do to a terminal: C0 (except newline, tab, and CR before a newline),
# DEL, C1, bidi overrides and isolates, tag characters, the zero-width space. ZWJ, ZWNJ, LRM and
# RLM pass: emoji and Persian need them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
    "|\r(?!\n)"
)
_TWINS = 0.1  # seconds: nobody presses ^C twice within that time


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20 or code == 0x7F:
        return "^" + chr(code ^ 0x40)
    return f"<U+{code:04X}>"


def visible(text: str) -> str:
    """`text` with everything a terminal might obey in visible form; one line stays one line."""
    return _UNSAFE.sub(_visible, text)


def one_line(text: str, limit: int = 600) -> str:
    """For messages: no line breaks, no control characters, no more than `limit` characters."""
    text = visible(" ".join(text.split()))
    return text if len(text) <= limit else text[: limit - 3] + "..."


class Sanitizer:
    """`visible` for a stream: a CR that ends a delta waits for what follows it."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        return visible(text[:-1] if self._held else text)

    def close(self) -> str:
        held, self._held = self._held, ""
        return visible(held)


def is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def hold_standard_fds() -> set[int]:
    """Opens /dev/null on 0, 1 and 2 where they are closed, and tells which were.

    Otherwise the next socket would get the number and the answer be written into it.
    """
    closed = set()
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            closed.add(fd)
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
    return closed


def is_null(fd: int) -> bool:
    try:
        here, null = os.fstat(fd), os.stat(os.devnull)
    except OSError:
        return True
    return stat.S_ISCHR(here.st_mode) and here.st_rdev == null.st_rdev


class Signals:
    """SIGINT, SIGTERM and SIGHUP become errors.Interrupted in the main thread, once.

    A second one kills at once, unless it is the twin of the first: timeout(1) sends to its child,
    and then to the group that this is in. A signal ignored at start (nohup, a shell's background
    job) stays ignored. Inside `with signals.shield:` it waits for the end of the block, so that a
    record is never left half written. With `tell` it is given that instead, from within the
    handler, and raises nothing: for who has more than one prompt to end. `told` is its number then.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.pending = 0
        self.tell: Callable[[int], None] | None = None
        self.told = 0
        self._depth = 0
        self._first: float | None = None  # when one came
        self.shield = self

    def install(self) -> None:
        for number in self.NUMBERS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is not None:
            if now - self._first > _TWINS:
                die_by(number)
            return
        self._first = now
        if self.tell is not None:
            self.told = number
            self.tell(number)
            return
        self.pending = number
        if not self._depth:
            raise Interrupted(number)

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *exc: object) -> None:
        self._depth -= 1
        if self.pending and not self._depth and exc[0] is None:
            number, self.pending = self.pending, 0
            raise Interrupted(number)


def die_by(number: int) -> None:
    """Ends this process by that signal, so that shells and make see what happened."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # not reached, unless the signal is blocked from outside
