"""Where the answers of a batch go: descriptors opened once, the sinks of each prompt over them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from shlex import quote
from typing import Any

from ..errors import StreamError, usage
from ..settings.settings import Settings
from ..terminal.sanitize import one_line
from ..terminal.signals import Signals
from .descriptor import LineOut, Out
from .formats import events_fd, looks
from .order import Turnstile
from .records import Facts, JsonSink, RecordSink
from .records import line as as_line
from .sink import Sink
from .text import FileSink, ItemSink

_PLACE = re.compile(r"\{(index|id|model)\}")
_LONGEST = 255  # bytes of a file's name that systems take
_SHORTEST = 40  # characters of a value in it: a hash, and a beginning to know it by
_UNSAFE = re.compile(r"[^A-Za-z0-9._@+=,-]|^\.")


class Outlets:
    """`sinks` are those of one task, whose number among the tasks is its place in the order.

    Text always keeps the order of the prompts, records with --keep-order. `headings`: each text
    begins with `==> name <==`, as head(1) does with several files; but with --print0 it is the
    model's alone.
    """

    def __init__(
        self, settings: Settings, signals: Signals, closed_fds: set[int], headings: bool
    ) -> None:
        self._settings = settings
        self._headings = headings and not settings.print0
        self._end = b"\0" if settings.print0 else b"\n"
        self._events: LineOut | None = None
        self._records: LineOut | None = None
        self._line: Turnstile | None = None
        self._asides: Turnstile | None = None
        self._template: str | None = settings.output
        self._looks = looks(settings, batch=True)
        shield = signals.shield

        def stopped() -> int:
            return signals.notified

        if settings.events is not None:
            self._events = LineOut(events_fd(settings.events), settings.events, shield, stopped)
        to_file = settings.format == "text" and self._template is not None
        if 1 in closed_fds and not to_file:
            raise StreamError("write", "stdout is closed", "give it a place to write to")
        if settings.format != "text":
            self._records = LineOut(1, "stdout", shield, stopped, long=settings.format == "json")
            if settings.keep_order:
                self._line = Turnstile(self._records.lines)
        elif self._template is None:
            self._line = Turnstile(Out(1, "stdout", stopped).write)
        if aside := self._looks.pop("aside", None):
            self._asides = Turnstile(aside.write)

    def sinks(
        self, number: int, name: str, tags: Mapping[str, Any], facts: Facts | None
    ) -> Iterator[Sink]:
        """Those of the task of that number, which asks `name`; opened when its first news come.

        One after the other, so that trouble with one leaves those before it. `tags` are its
        index, and its id if it has one.
        """
        if facts is not None:
            if self._events is not None:
                yield RecordSink(self._events, facts)
            if self._records is not None:
                out = self._line.place(number) if self._line is not None else self._records
                kind = JsonSink if self._settings.format == "json" else RecordSink
                yield kind(out, facts)
        looks = dict(self._looks)
        if self._asides is not None:
            looks["aside"] = self._asides.place(number)
        if self._template is not None:
            path = filled(self._template, {**tags, "model": name})
            if _PLACE.search(os.path.dirname(self._template)):
                _make_folder(os.path.dirname(path))
            yield FileSink(path, **looks)
        elif self._settings.format == "text" and self._line is not None:
            heading = self._heading(number, name)
            yield ItemSink(self._line.place(number), end=self._end, heading=heading, **looks)

    def _heading(self, number: int, name: str) -> str:
        if not self._headings:
            return ""
        name = one_line(name)  # it may be from a line of --requests
        return f"==> {name} <==\n" if number == 0 else f"\n==> {name} <==\n"

    def done(self, number: int, gap: bytes = b"") -> None:
        """All of that task is written; those behind it may follow."""
        for line in (self._line, self._asides):
            if line is not None:
                line.done(number, gap if line is self._line else b"")

    def skip(self, number: int, name: str) -> None:
        """The task of that number was not asked: a text that follows it still lines up."""
        text = self._settings.format == "text"
        self.done(number, self._heading(number, name).encode() + self._end if text else b"")

    def finish(self) -> None:
        """There will be no more: finished answers that wait for their turn are written."""
        for line in (self._line, self._asides):
            if line is not None:
                line.finish()

    def summary(self, record: dict[str, Any]) -> None:
        """To --events and --jsonl; --json is one record a prompt and no more."""
        for out in (self._events, self._records if self._settings.format == "jsonl" else None):
            if out is not None:
                out.lines(as_line(record))


def check_template(template: str | None, several: bool, models: bool) -> None:
    """Whether -O names a file for each prompt, in a folder that is there: a usage error if not."""
    if template is None:
        return
    if several and "{index}" not in template and "{id}" not in template:
        raise usage(f"-O {template} is one file for many prompts", "-O 'out/{index}.txt'")
    if models and "{model}" not in template:
        raise usage(f"-O {template} is one file for several models", "-O 'out/{model}-{index}'")
    folder = os.path.dirname(template)
    if folder and not _PLACE.search(folder) and not os.path.isdir(folder):
        raise usage(f"-O {template}: there is no folder {folder}", f"mkdir -p {quote(folder)}")


def file_of(template: str | None) -> Callable[[Mapping[str, Any]], str] | None:
    """From an item's tags to its file, where -O may name one file for several of them."""
    if template is None or "{index}" in template:
        return None
    return partial(filled, template)


def _make_folder(path: str) -> None:
    """Where -O names a folder for each prompt, nobody can have made it."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StreamError("write", f"the folder {path} cannot be made: {why}") from error


def filled(template: str, values: Mapping[str, Any]) -> str:
    """-O with its {index}, {id} and {model}. An id is from the input: it never leaves the folder.

    Where there is no id, or an empty one, it is the index.
    """

    longest = _room(template)

    def value(match: re.Match[str]) -> str:
        given = values.get(match[1])
        return _name(values["index"] if given in (None, "") else given, longest)

    return _PLACE.sub(value, template)


def _room(template: str) -> int:
    """Characters of each value, if they share what -O's own leave of a name."""
    own = max(len(os.fsencode(part)) for part in _PLACE.sub("", template).split("/"))
    return max(_SHORTEST, (_LONGEST - own) // max(1, len(_PLACE.findall(template))))


def _name(value: object, longest: int) -> str:
    """A value in a file name: what means something in a path becomes %XX, a long tail its hash."""
    name = _UNSAFE.sub(lambda bad: "".join(f"%{b:02X}" for b in bad[0].encode()), str(value))
    if len(name) <= longest:
        return name
    from hashlib import sha256

    return f"{name[: longest - 33]}-{sha256(name.encode()).hexdigest()[:32]}"


def raise_limit(jobs: int) -> None:
    """As many open files as so many connections need; a usage error where the system forbids it."""
    import resource

    needed = 2 * jobs + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < jobs + 64:
        raise usage(
            f"-j {jobs} needs {jobs + 64} open files, and {hard} is the limit",
            f"-j {max(1, hard - 64)}, or raise it (ulimit -Hn)",
        )
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        pass  # macOS may refuse below its hard limit; what fails for it will say so
