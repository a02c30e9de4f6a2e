"""Open the sinks of answers by the settings, for one prompt or a batch: which format, which files.

To add an output format NAME:

1. Add a row to FORMATS in settings/formats.py: `Format("NAME", "MODULE", "what it is")`, with
   `records=True` if it is made of records.
2. Write output/MODULE.py. It has a function `sink(out, context)` that returns a Sink (sink.py): an
   object with `emit(t_ms, events)` and `close(outcome, verdict)`. `out` has `lines(bytes)` for a
   format of records and `write(bytes)` for the others; sink.Context has the rest (`context.item`
   says how an answer of a batch ends). json_object.py is an example for records, text.py for text.
   If the row says `summary=True`, the file also has `summary(record)`, which returns the bytes of a
   batch's summary record.

`--format`, the help, the manual, the completions, batches, --keep-order, --events and -O then
know it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import StreamError
from ..settings.formats import format_of
from ..settings.settings import Settings
from ..terminal.fds import is_terminal
from ..terminal.sanitize import one_line
from ..terminal.screen import Screen
from ..terminal.signals import Signals
from .descriptor import STDOUT, LineOut, Out, ScreenOut
from .sink import Context, Item, Sink, TextStyle
from .text import text_style_of

if TYPE_CHECKING:
    from ..input.rows import Row
    from .compare import Compare
    from .order import OrderedWriter, Slot
    from .records import Facts
    from .rows import RowFormat
    from .shape import Shape


class Outputs:
    """The outputs of a run (stdout, --events, -O), each opened once, and the sinks on them.

    `screen` has the terminal's lines, which the text shares with the messages. With `batch`, texts
    keep the order of their prompts, and records do with --keep-order. With `headings`, each text of
    a batch begins with `==> NAME <==`, as head(1) does with several files, unless --print0 is
    given: then a text is the model's alone. `silent` writes no text to stdout. `rows` is how --into
    writes the rows back, in place of texts. `side_by_side` names the models whose answers are drawn
    side by side.
    """

    def __init__(
        self,
        settings: Settings,
        signals: Signals,
        closed_fds: set[int],
        screen: Screen,
        *,
        batch: bool = False,
        headings: bool = False,
        silent: bool = False,
        rows: RowFormat | None = None,
        side_by_side: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._settings = settings
        self._signals = signals
        self._closed = closed_fds
        self._screen = screen
        self._batch = batch
        self._headings = headings and not settings.print0
        self._silent = silent
        self._rows = rows
        self._is_reused = _is_among(settings.events, settings.reuse)
        self._item_end = b"\0" if settings.print0 else b"\n"
        self._format = format_of(settings.format)
        self._module = import_module(f".{self._format.module}", __package__)
        self._file = None if settings.output in STDOUT else settings.output
        self._events: LineOut | None = None
        self._stdout: Out | None = None
        self._order: OrderedWriter | None = None
        self._reasoning_order: OrderedWriter | None = None
        self._side_by_side = side_by_side
        self._compare: Compare | None = None
        self._style = text_style_of(settings, screen, batch=batch and not side_by_side)
        if settings.pace is not None and self._file is None and not batch:
            from .pace import Pace

            rate = settings.pace
            self._style.paced = lambda write: Pace(write, rate, clock, sleep).write
        if batch and not side_by_side and self._style.reasoning_out is not None:
            from .order import OrderedWriter

            self._reasoning_order = OrderedWriter(self._style.reasoning_out.write)

    def open(self) -> None:
        """Open the outputs that all prompts share, for a batch, before anything is asked."""
        self._check_options()
        self._open_events()
        self._check_stdout()
        self._open_stdout()
        here = self._screen.line(1)
        if self._side_by_side and here is not None:
            from .compare import Compare

            self._compare = Compare(self._side_by_side, self._settings, here)

    def begin(self) -> None:
        """Draw the answers side by side, if they are, from here on until `finish`."""
        if self._compare is not None:
            self._compare.start()

    def sinks(
        self,
        facts: Facts | None,
        shape: Shape | None = None,
        number: int = 0,
        name: str = "",
        tags: Mapping[str, Any] | None = None,
        row: Row | None = None,
    ) -> Iterator[Sink]:
        """Yield the sinks of one answer, each opened when it is reached.

        `facts` are given if the run writes records; `shape` changes the text before it is written.
        In a batch, `number` is the position of the answer in the order, `name` its model, `tags`
        are its index, id and source, and `row` is its row of --rows. --events comes first, so that
        its `end` record, written last, can have an error of the others.
        """
        if not self._batch:  # a batch was checked when it began
            self._check_options()
        if facts is not None and (events := self._open_events()) is not None:
            from .jsonl import JournalSink, RecordSink

            yield (JournalSink if self._is_reused else RecordSink)(events, facts)
        self._check_stdout()
        style = self._style
        if self._compare is not None:
            yield self._compare.sink(number, name, style, shape)
            return
        if self._reasoning_order is not None:
            style = style.but(reasoning_out=self._reasoning_order.slot(number))
        if (stdout := self._open_stdout()) is not None:
            item = Item(self._item_end, self._heading(number, name)) if self._batch else None
            out: Out | Slot = stdout if self._order is None else self._order.slot(number)
            if not self._format.records and item is None:
                # In a chat another answer follows.
                style = style.but(end_newline=is_terminal(1) or self._settings.chat)
            if self._rows is not None and row is not None:
                from .rows import RowSink

                yield RowSink(out, self._rows, row, shape, sanitize=style.sanitize)
                return
            yield self._module.sink(out, Context(self._settings, style, facts, item, shape))
        if self._file is not None:
            yield self._file_sink(style, shape, name, tags)

    def done(self, number: int, gap: bytes = b"") -> None:
        """Note that the answer with that number is written, so that the next ones may follow.

        `gap` is written in its place if something follows.
        """
        if self._order is not None:
            self._order.done(number, gap)
        if self._reasoning_order is not None:
            self._reasoning_order.done(number)

    def skip(self, number: int, name: str, row: Row | None = None) -> None:
        """Leave out the answer of a task that was not asked; its text is empty, so lines match."""
        if self._compare is not None:
            self._compare.skip(number, name)
            return
        if self._rows is not None and row is not None:
            self.done(number, self._as_shown(self._rows.line(row, None)))
            return
        text = self._order is not None and not self._format.records
        self.done(number, self._heading(number, name).encode() + self._item_end if text else b"")

    def finish(self) -> None:
        """Write the finished answers that wait for their turn: no more will come."""
        if self._compare is not None and self._stdout is not None:
            self._compare.finish(self._stdout)
        for order in (self._order, self._reasoning_order):
            if order is not None:
                order.finish()

    def summary(self, record: dict[str, Any]) -> None:
        """Write a batch's summary record, to --events and where the format has one."""
        if self._events is not None:
            from .jsonl import summary

            self._events.lines(summary(record))
        if self._format.summary and isinstance(self._stdout, LineOut):
            self._stdout.lines(self._module.summary(record))

    def _check_options(self) -> None:
        """Raise a usage error for output options that contradict each other."""
        settings = self._settings
        if not settings.is_plain_output:
            from .conflicts import check_files, check_outputs

            check_files(settings)
            check_outputs(settings)

    def _check_stdout(self) -> None:
        records = self._format.records
        if 1 in self._closed and (records or self._file is None):
            raise StreamError("write", "stdout is closed", "give it a place to write to")

    def _open_events(self) -> LineOut | None:
        where = self._settings.events
        if self._events is None and where is not None:
            from .events_file import open_events

            fd = open_events(where)
            self._events = LineOut(fd, where, self._signals.shield, self._stopped)
        return self._events

    def _open_stdout(self) -> Out | None:
        """Return stdout as the format needs it; None if nothing goes there."""
        if self._stdout is not None:
            return self._stdout
        write: Callable[[bytes], None]
        if self._format.records or self._rows is not None:
            rows = self._rows is not None
            lines = LineOut(
                1,
                "stdout",
                self._signals.shield,
                self._stopped,
                long=self._format.long or rows,
                screen=self._screen.line(1),
            )
            in_order = self._settings.keep_order or rows
            self._stdout, write = lines, lines.lines
            if self._rows is not None and (header := self._rows.header()):
                lines.lines(self._as_shown(header))
        elif self._file is None and not self._silent:
            line = self._screen.line(1)
            text = ScreenOut(1, "stdout", line) if line else Out(1, "stdout", self._stopped)
            self._stdout, write, in_order = text, text.write, True
        else:
            return None
        if self._batch and in_order and not self._side_by_side:
            from .order import OrderedWriter

            self._order = OrderedWriter(write)
        return self._stdout

    def _as_shown(self, row: bytes) -> bytes:
        """Return a row, with control characters visible if --sanitize says so."""
        from .rows import visible

        return visible(row) if self._style.sanitize else row

    @property
    def _stopped(self) -> Callable[[], int] | None:
        """Return the function that gives the signal which ends a batch; None for one prompt.

        There the signal is an exception.
        """
        return (lambda: self._signals.notified) if self._batch else None

    def _file_sink(
        self, style: TextStyle, shape: Shape | None, name: str, tags: Mapping[str, Any] | None
    ) -> Sink:
        from .file import FileSink

        assert self._file is not None
        path = self._file
        if self._batch:
            from .file_names import filled, make_folder

            path = filled(path, {**(tags or {}), "model": name})
            make_folder(self._file, path)
        return FileSink(path, style, self._settings.sanitize, shape)

    def _heading(self, number: int, name: str) -> str:
        """Return the heading of an answer, with a blank line before it if it is not the first."""
        if not self._headings:
            return ""
        name = one_line(name)  # it may be from a line of --requests
        return f"==> {name} <==\n" if number == 0 else f"\n==> {name} <==\n"


def _is_among(events: str | None, reuse: tuple[str, ...]) -> bool:
    """Return whether --reuse reads the file of --events, which then has what is reused."""
    if events is None or not reuse:
        return False
    from ..file_errors import followed

    found = followed(events)
    return found in [followed(path) for path in reuse]
