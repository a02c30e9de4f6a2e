"""The format `text`: raw deltas, one write a network read; the reasoning beside it if wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..events import Event, Reasoning, Returned, Text, ToolResult
from ..outcome import Outcome, Verdict
from ..settings.settings import Settings
from ..terminal.fds import is_terminal
from ..terminal.sanitize import Sanitizer
from ..terminal.screen import Line, Screen, is_colored
from .descriptor import STDOUT, ScreenOut
from .sink import Context, Item, Look, Writer

if TYPE_CHECKING:
    from .shape import Shape


def look_of(settings: Settings, screen: Screen, *, batch: bool = False) -> Look:
    """Return how a text shows reasoning and control characters.

    In a `batch` nobody can tell whose reasoning it is, so it is shown only if that is asked for.
    """
    on_terminal, watched = is_terminal(1), is_terminal(2)
    always, auto = settings.sanitize == "always", settings.sanitize == "auto"
    shown = on_terminal and watched and not batch
    reasoning = settings.reasoning or ("stderr" if shown else "hide")
    aside: Writer | None = None
    if reasoning == "stderr":
        dim = is_colored(settings.color, terminal=watched)
        aside = ScreenOut(2, "stderr", screen.line(2) or Line(), dim=dim)
    return Look(
        reasoning,
        sanitize=always or (auto and on_terminal and settings.output in (None, *STDOUT)),
        aside=aside,
        sanitize_aside=always or (auto and watched),
        together=shown and settings.output is None and screen.line(1) is screen.line(2),
    )


def sink(out: Writer, context: Context) -> TextSink:
    """Return the sink of this format."""
    if context.item is None:
        return TextSink(out, context.look, context.shape)
    return ItemSink(out, context.look, context.item, context.shape)


class TextSink:
    """Writes the text of choice 0 to `out`, in a shape if it is to have one."""

    def __init__(self, out: Writer, look: Look, shape: Shape | None = None) -> None:
        self._out = out
        self._shape = shape
        # Without a pace there is no method of its own kept here: that cycle would outlive the sink.
        self._paced = None if look.paced is None else look.paced(self._write)
        self._reasoning = look.reasoning
        self._clean = Sanitizer() if look.sanitize else None
        self._end_newline = look.end_newline
        self._last = "\n"  # how the text so far ends; an empty text needs no newline
        self._channel: type[Event] | None = None
        self._breaks = 0  # line breaks that both channels so far end with, two at most
        self._aside = look.aside
        self._clean_aside = Sanitizer() if look.sanitize_aside else None
        self._aside_last = "\n"
        self._together = look.together
        self._plain = look.reasoning in ("hide", "raw")

    def emit(self, t_ms: float, events: list[Event]) -> None:
        if self._end_newline and isinstance(events[0], ToolResult) and not events[0].by:
            self._end_line()
        shape = self._shape
        if self._plain and (shape is None or not shape.counts_deltas):
            text = "".join([e.text for e in events if isinstance(e, Text) and not e.choice])
            if text and shape is not None:
                text = shape.feed(text)
            if text:
                self._put(text)
        elif shape is not None:
            self._shaped(events, shape)
        else:
            self._both(events)

    def _shaped(self, events: list[Event], shape: Shape) -> None:
        """Write what the shape makes of each delta; the reasoning goes beside it."""
        shaped: list[Event] = []
        for event in events:
            if isinstance(event, Text):
                if not event.choice and (text := shape.feed(event.text)):
                    shaped.append(type(event)(text))
            else:
                shaped.append(event)
        if shaped:
            self._both(shaped)

    def _both(self, events: list[Event]) -> None:
        pieces: list[str] = []
        for event in events:
            if isinstance(event, Text) and not event.choice:
                if self._reasoning == "only":
                    continue
                if type(event) is Returned and self._reasoning == "stdout":
                    continue  # the reasoning showed it already
                if self._channel is Reasoning and not self._together:
                    self._end_aside()
                gap = self._gap(Text, event.text)
                if gap and self._together:
                    self._think(gap)
                    gap = ""
                pieces.append(gap + event.text)
            elif type(event) is Reasoning and not event.choice:
                if self._reasoning == "stderr":
                    if pieces:  # on one terminal people see the order of the two
                        self._put("".join(pieces))
                        pieces.clear()
                    self._think(self._gap(Reasoning, event.text) + event.text)
                elif self._reasoning in ("stdout", "only"):
                    pieces.append(self._gap(Reasoning, event.text) + event.text)
        if pieces:
            self._put("".join(pieces))

    def _gap(self, channel: type[Event], text: str) -> str:
        """Return what sets `text` apart from the other channel before it, in the same place."""
        changed = self._channel not in (None, channel)
        apart = self._together or self._reasoning == "stdout"
        gap = "\n" * (2 - self._breaks) if changed and apart else ""
        self._channel = channel
        kept = text.rstrip("\n")
        breaks = len(text) - len(kept) + (0 if kept else self._breaks + len(gap))
        self._breaks = min(breaks, 2)
        return gap

    def _end_line(self) -> None:
        """End the line on a terminal where another round begins, after a tool that we ran."""
        if self._last != "\n":
            self._write("\n")
        self._breaks = 2  # the lines of the tools are between

    def _put(self, text: str) -> None:
        if self._paced is None:
            self._write(text)
        else:
            self._paced(text)

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
            self._aside.write(text.encode())

    def _end_aside(self) -> None:
        if self._aside is not None and self._aside_last != "\n":
            self._aside.write(b"\n")
            self._aside_last = "\n"

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        self._end_shape()
        if self._clean is not None and (rest := self._clean.close()):
            self._last = rest[-1]
            self._out.write(rest.encode())
        self._end_aside()
        ended = self._together and self._channel is Reasoning  # the reasoning began a line
        if self._end_newline and self._last != "\n" and not ended:
            self._out.write(b"\n")

    def _end_shape(self) -> None:
        """Write what the shape has held back."""
        if self._shape is not None and (rest := self._shape.close()):
            self._both([Text(rest)])


class ItemSink(TextSink):
    """Writes the text of one prompt of many, which ends with exactly one `item.end`.

    If that is a newline, the newlines that the text ends with are left out.
    """

    def __init__(self, out: Writer, look: Look, item: Item, shape: Shape | None = None) -> None:
        super().__init__(out, look, shape)
        self._end = item.end
        self._heading = item.heading
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
        self._end_shape()
        rest = self._clean.close() if self._clean is not None else ""
        self._end_aside()
        self._out.write((self._heading + (rest and self._held + rest)).encode() + self._end)
