"""The format `markdown`: the text rendered for a person, live on a terminal."""

from __future__ import annotations

import os
from typing import Protocol

from ..events import Event, Reasoning, Text, ToolCall, ToolResult
from ..outcome import Outcome, Verdict
from ..settings.settings import Settings
from ..terminal.fds import in_foreground, is_terminal
from ..terminal.markdown.live import Live
from ..terminal.markdown.page import Page, Paint
from ..terminal.sanitize import Sanitizer
from ..terminal.screen import is_dumb
from ..terminal.suspend import Suspend
from .descriptor import ScreenOut
from .sink import Context, Item, Writer
from .text import TextSink

_COLUMNS, _LINES = 80, 24  # where nobody says


def sink(out: Writer, context: Context) -> TextSink:
    """Return the sink of this format, or that of the format text where the text is code or JSON."""
    settings = context.settings
    if not all(each is None for each in (settings.extract, settings.items, settings.schema)):
        from . import text

        return text.sink(out, context)
    page = Page(_columns, paint_of(settings))
    if isinstance(out, ScreenOut) and context.item is None and not is_dumb() and in_foreground(1):
        screen = Live(page, out.draw, lambda: _size()[1] - 1)
        return MarkdownSink(out, context, screen, Suspend(out.hide, out.forget))
    return MarkdownSink(out, context, Still(page, out, context.item))


class Screen(Protocol):
    """The place where Markdown is drawn."""

    def feed(self, text: str) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


class Still:
    """Writes each block once, when it is over: for a pipe, a batch, or a terminal without a cursor.

    In a batch the answer begins with the heading of the `item`, and ends with its end.
    """

    def __init__(self, page: Page, out: Writer, item: Item | None) -> None:
        self._page = page
        self._out = out
        self._heading = item.heading if item is not None else ""
        self._end = item.end if item is not None else b""
        if self._end == b"\n" and self._heading:
            self._end = b""  # the next heading has the blank line
        self._wrote = False

    def feed(self, text: str) -> None:
        self._put(self._page.feed(text))

    def finish(self) -> None:
        self._put(self._page.finish())

    def close(self) -> None:
        self.finish()
        if self._end or not self._wrote:
            self._out.write(self._heading.encode() + (self._end or b"\n"))

    def _put(self, text: str) -> None:
        if text:
            text, self._heading = self._heading + text, ""
            self._wrote = True
            self._out.write(text.encode())


class MarkdownSink(TextSink):
    """Draws the text on a `screen`; reasoning on the terminal and calls of tools end a block.

    `suspend` erases the open rows at ^Z.
    """

    def __init__(
        self, out: Writer, context: Context, screen: Screen, suspend: Suspend | None = None
    ) -> None:
        super().__init__(out, context.style, context.shape)
        self._screen = screen
        self._suspend = suspend
        self._drawn = False
        self._sanitizer = Sanitizer()  # whatever --sanitize says: the cursor moves by what is drawn

    def emit(self, t_ms: float, events: list[Event]) -> None:
        begin = 0
        for at, event in enumerate(events):
            if isinstance(event, ToolCall | ToolResult):
                if at > begin:
                    super().emit(t_ms, events[begin:at])
                self._screen.finish()
                begin = at
        super().emit(t_ms, events[begin:])

    def _gap(self, channel: type[Event], text: str) -> str:
        before = self._channel
        if channel is Reasoning and before is Text and self._reasoning == "stderr":
            self._screen.finish()
            self._breaks = max(self._breaks, 1)
        gap = super()._gap(channel, text)
        # Before a block that is not the first, there is a blank line anyway.
        return gap[1:] if channel is Text and before is Reasoning and self._drawn else gap

    def _end_line(self) -> None:
        self._breaks = 2  # a block that is over has ended its line

    def _write(self, text: str) -> None:
        if text := self._sanitizer.feed(text):
            if self._suspend is not None and not self._drawn:
                self._suspend.start()
            self._drawn = True
            self._screen.feed(text)

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        self._end_shape()
        self._end_reasoning()
        if rest := self._sanitizer.close():
            self._screen.feed(rest)
        try:
            self._screen.close()
        finally:
            if self._suspend is not None:
                self._suspend.stop()


def paint_of(settings: Settings) -> Paint:
    """Return which escape sequences stdout may have."""
    always, never = settings.color == "always", settings.color == "never"
    watched = is_terminal(1) and not is_dumb()
    colors = always or (watched and not never and not os.environ.get("NO_COLOR"))
    return Paint(styles=watched or always, colors=colors)


def _size() -> tuple[int, int]:
    """Return the columns and lines of stdout's terminal.

    Of a pipe, which may lead to a pager: COLUMNS, or the columns of stderr's terminal.
    """
    columns = os.environ.get("COLUMNS", "")
    for fd in (1, 2):
        try:
            size = os.get_terminal_size(fd)
        except OSError:
            continue
        if fd == 1 or not columns.isdecimal():
            return size.columns or _COLUMNS, size.lines or _LINES
    return (int(columns) if columns.isdecimal() else 0) or _COLUMNS, _LINES


def _columns() -> int:
    return _size()[0]
