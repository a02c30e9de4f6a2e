"""The text itself: raw deltas, one write a network read; the reasoning beside it if asked for."""

from __future__ import annotations

import os
from typing import Any

from ..errors import StreamError
from ..events import Event, Reasoning, Returned, Text
from ..outcome import Outcome, Verdict
from ..terminal.sanitize import Sanitizer
from .descriptor import Out, Writer


class TextSink:
    """Text of choice 0 to `out`. On a terminal a last newline is added if the answer had none.

    `reasoning`: "hide", "stderr" (to `aside`, dimmed if `dim`), "stdout" (before the text, a
    blank line between), "only", "raw" (tags are in the text already; nothing to do here).
    """

    def __init__(
        self,
        out: Writer,
        *,
        reasoning: str = "hide",
        sanitize: bool = False,
        end_newline: bool = False,
        aside: Writer | None = None,
        dim: bool = False,
        sanitize_aside: bool = False,
    ) -> None:
        self._out = out
        self._reasoning = reasoning
        self._clean = Sanitizer() if sanitize else None
        self._end_newline = end_newline
        self._last = "\n"  # how the text so far ends; nothing yet needs no newline
        self._channel: type[Event] | None = None
        self._breaks = 0  # line breaks that both so far end with, two at most
        self._aside = aside
        self._dim = dim
        self._clean_aside = Sanitizer() if sanitize_aside else None
        self._aside_last = "\n"
        self._plain = reasoning in ("hide", "raw")

    def emit(self, t_ms: float, events: list[Event]) -> None:
        if self._plain:
            text = "".join([e.text for e in events if isinstance(e, Text) and not e.choice])
            if text:
                self._write(text)
        else:
            self._both(events)

    def _both(self, events: list[Event]) -> None:
        pieces: list[str] = []
        for event in events:
            if isinstance(event, Text) and not event.choice:
                if self._reasoning == "only":
                    continue
                if type(event) is Returned and self._reasoning == "stdout":
                    continue  # it stands there already
                if self._channel is Reasoning:
                    self._end_aside()
                pieces.append(self._apart(Text, event.text))
            elif type(event) is Reasoning and not event.choice:
                if self._reasoning == "stderr":
                    if pieces:  # on one terminal the order of the two is seen
                        self._write("".join(pieces))
                        pieces.clear()
                    self._think(event.text)
                    self._channel = Reasoning
                else:
                    pieces.append(self._apart(Reasoning, event.text))
        if pieces:
            self._write("".join(pieces))

    def _apart(self, channel: type[Event], text: str) -> str:
        """`text`, on stdout behind a blank line if the other channel came before it."""
        changed = self._channel not in (None, channel)
        gap = "\n" * (2 - self._breaks) if changed and self._reasoning == "stdout" else ""
        self._channel = channel
        kept = text.rstrip("\n")
        breaks = len(text) - len(kept) + (0 if kept else self._breaks + len(gap))
        self._breaks = min(breaks, 2)
        return gap + text

    def _write(self, text: str) -> None:
        if self._clean is not None:
            text = self._clean.feed(text)
        if text:
            self._last = text[-1]
            self._out.write(text.encode())

    def _think(self, text: str) -> None:
        if self._aside is None:
            return
        if self._clean_aside is not None:
            text = self._clean_aside.feed(text)
        if text:
            self._aside_last = text[-1]
            shown = f"\x1b[2m{text}\x1b[22m" if self._dim else text
            self._aside.write(shown.encode())

    def _end_aside(self) -> None:
        if self._aside is not None and self._aside_last != "\n":
            self._aside.write(b"\n")
            self._aside_last = "\n"

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        if self._clean is not None and (rest := self._clean.close()):
            self._last = rest[-1]
            self._out.write(rest.encode())
        self._end_aside()
        if self._end_newline and self._last != "\n":
            self._out.write(b"\n")


class ItemSink(TextSink):
    """The text of one prompt of many: it ends with exactly one `end`, whatever it is.

    If that is a newline, those that the text ends with are not written. `heading` comes first.
    """

    def __init__(self, out: Writer, end: bytes = b"\n", heading: str = "", **looks: Any) -> None:
        super().__init__(out, **looks)
        self._end = end
        self._heading = heading
        self._held = ""

    def _write(self, text: str) -> None:
        if self._clean is not None:
            text = self._clean.feed(text)
        if self._end == b"\n":
            text = self._held + text
            kept = text.rstrip("\n")
            self._held = text[len(kept) :]
            text = kept
        if self._heading:
            text, self._heading = self._heading + text, ""
        if text:
            self._out.write(text.encode())

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        rest = self._clean.close() if self._clean is not None else ""
        self._end_aside()
        self._out.write((self._heading + (rest and self._held + rest)).encode() + self._end)


class FileSink:
    """Text into a file that takes its name only on exit 0: a make target is never half an answer.

    Written beside the target (links followed) and renamed. What is no regular file (a FIFO,
    /dev/null) is written as it is, and the file behind our own stdout or stderr (/dev/stdout)
    through these: a rename would lose what else goes there.
    """

    def __init__(self, path: str, **text_options: str | bool) -> None:
        self._path = path
        self._target = os.path.realpath(path)
        self._temporary: str | None = None
        if not path:
            raise StreamError("write", "-O '' names no file")
        try:
            shared = _ours(path)
            if shared is not None:
                fd = os.dup(shared)
            elif os.path.exists(path) and not os.path.isfile(path):
                fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            else:
                folder, name = os.path.split(self._target)
                # A short stem: names may be as long as the file system lets them.
                part = f".{name[:32]}.{os.urandom(4).hex()}.part"
                self._temporary = os.path.join(folder, part)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                fd = os.open(self._temporary, flags, 0o666)
                if os.path.exists(self._target):
                    os.fchmod(fd, os.stat(self._target).st_mode & 0o7777)
        except OSError as error:
            self.discard()
            raise _unwritable(path, error) from error
        self._fd = fd
        self._text = TextSink(Out(fd, path), **text_options)  # type: ignore[arg-type]

    def emit(self, t_ms: float, events: list[Event]) -> None:
        self._text.emit(t_ms, events)

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        try:
            self._text.close(outcome, verdict)
            os.close(self._fd)
            if self._temporary is not None and verdict.exit_code == 0:
                os.rename(self._temporary, self._target)
                self._temporary = None
        except OSError as error:  # a full disk may only show up here (NFS, quotas)
            raise _unwritable(self._path, error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        if self._temporary is not None:
            try:
                os.unlink(self._temporary)
            except OSError:
                pass
            self._temporary = None


def _ours(path: str) -> int | None:
    """The descriptor of ours that writes to that very file, if one does."""
    try:
        target = os.stat(path)
    except OSError:
        return None
    number = path.removeprefix("/dev/fd/")
    if number != path and number.isdigit():
        return int(number)
    for fd in (1, 2):
        if os.path.samestat(os.fstat(fd), target) and not os.path.samefile(path, os.devnull):
            return fd
    return None


def _unwritable(path: str, error: OSError) -> StreamError:
    return StreamError("write", f"{path} cannot be written: {(error.strerror or '').lower()}")
