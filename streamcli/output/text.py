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
from .sink import Context, Item, TextStyle, Writer

if TYPE_CHECKING:
    from .shape import Shape


def text_style_of(settings: Settings, screen: Screen, *, batch: bool = False) -> TextStyle:
    """Return the style of a run: how its text shows reasoning and control characters.

    In a `batch` nobody can tell whose reasoning it is, so it is shown only if it was asked for.
    """
    on_terminal, watched = is_terminal(1), is_terminal(2)
    always, auto = settings.sanitize == "always", settings.sanitize == "auto"
    shown = on_terminal and watched and not batch
    reasoning = settings.reasoning or ("stderr" if shown else "hide")
    reasoning_out: Writer | None = None
    if reasoning == "stderr":
        dim = is_colored(settings.color, terminal=watched)
        reasoning_out = ScreenOut(2, "stderr", screen.line(2) or Line(), dim=dim)
    return TextStyle(
        reasoning,
        sanitize=always or (auto and on_terminal and settings.output in (None, *STDOUT)),
        reasoning_out=reasoning_out,
        sanitize_reasoning=always or (auto and watched),
        one_terminal=shown and settings.output is None and screen.line(1) is screen.line(2),
    )


def sink(out: Writer, context: Context) -> TextSink:
    """Return the sink of this format."""
    if context.item is None:
        return TextSink(out, context.style, context.shape)
    return ItemSink(out, context.style, context.item, context.shape)


class TextSink:
    """Writes the text of choice 0 to `out`; `shape` changes it before, if given."""

    def __init__(self, out: Writer, style: TextStyle, shape: Shape | None = None) -> None:
        self._out = out
        self._shape = shape
        # Without a pace there is no method of its own kept here: that cycle would outlive the sink.
        self._paced = None if style.paced is None else style.paced(self._write)
        self._reasoning = style.reasoning
        self._clean = Sanitizer() if style.sanitize else None
        self._end_newline = style.end_newline
        self._last = "\n"  # the last character of the text; an empty text needs no newline
        self._channel: type[Event] | None = None
        self._breaks = 0  # line breaks at the end of all that was written, two at most
        self._reasoning_out = style.reasoning_out
        self._clean_reasoning = Sanitizer() if style.sanitize_reasoning else None
        self._reasoning_last = "\n"
        self._one_terminal = style.one_terminal
        self._text_only = style.reasoning in ("hide", "raw")

    def emit(self, t_ms: float, events: list[Event]) -> None:
        if self._end_newline and isinstance(events[0], ToolResult) and not events[0].by:
            self._end_line()
        shape = self._shape
        if self._text_only and (shape is None or not shape.counts_deltas):
            text = "".join([e.text for e in events if isinstance(e, Text) and not e.choice])
            if text and shape is not None:
                text = shape.feed(text)
            if text:
                self._write_paced(text)
        elif shape is not None:
            self._write_shaped(events, shape)
        else:
            self._write_both(events)

    def _write_shaped(self, events: list[Event], shape: Shape) -> None:
        """Write the output of the shape for each delta, and the reasoning."""
        shaped: list[Event] = []
        for event in events:
            if isinstance(event, Text):
                if not event.choice and (text := shape.feed(event.text)):
                    shaped.append(type(event)(text))
            else:
                shaped.append(event)
        if shaped:
            self._write_both(shaped)

    def _write_both(self, events: list[Event]) -> None:
        """Write text and reasoning, each to its place, in their order."""
        pieces: list[str] = []
        for event in events:
            if isinstance(event, Text) and not event.choice:
                if self._reasoning == "only":
                    continue
                if type(event) is Returned and self._reasoning == "stdout":
                    continue  # it was shown as reasoning already
                if self._channel is Reasoning and not self._one_terminal:
                    self._end_reasoning()
                gap = self._gap(Text, event.text)
                if gap and self._one_terminal:
                    self._write_reasoning(gap)
                    gap = ""
                pieces.append(gap + event.text)
            elif type(event) is Reasoning and not event.choice:
                if self._reasoning == "stderr":
                    if pieces:  # both may be on one terminal, where their order is visible
                        self._write_paced("".join(pieces))
                        pieces.clear()
                    self._write_reasoning(self._gap(Reasoning, event.text) + event.text)
                elif self._reasoning in ("stdout", "only"):
                    pieces.append(self._gap(Reasoning, event.text) + event.text)
        if pieces:
            self._write_paced("".join(pieces))

    def _gap(self, channel: type[Event], text: str) -> str:
        """Return the line breaks between `text` and the other channel before it."""
        changed = self._channel not in (None, channel)
        apart = self._one_terminal or self._reasoning == "stdout"
        gap = "\n" * (2 - self._breaks) if changed and apart else ""
        self._channel = channel
        kept = text.rstrip("\n")
        breaks = len(text) - len(kept) + (0 if kept else self._breaks + len(gap))
        self._breaks = min(breaks, 2)
        return gap

    def _end_line(self) -> None:
        """End the line, because another round begins after a tool that we ran."""
        if self._last != "\n":
            self._write("\n")
        self._breaks = 2  # the lines of the tools stand between

    def _write_paced(self, text: str) -> None:
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

    def _write_reasoning(self, text: str) -> None:
        if self._reasoning_out is None:
            return
        if self._clean_reasoning is not None:
            text = self._clean_reasoning.feed(text)
        if text:
            self._reasoning_last = text[-1]
            self._reasoning_out.write(text.encode())

    def _end_reasoning(self) -> None:
        if self._reasoning_out is not None and self._reasoning_last != "\n":
            self._reasoning_out.write(b"\n")
            self._reasoning_last = "\n"

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        self._end_shape()
        if self._clean is not None and (rest := self._clean.close()):
            self._last = rest[-1]
            self._out.write(rest.encode())
        self._end_reasoning()
        # On one terminal, reasoning after the text has ended the line.
        ended = self._one_terminal and self._channel is Reasoning
        if self._end_newline and self._last != "\n" and not ended:
            self._out.write(b"\n")

    def _end_shape(self) -> None:
        """Write the text that the shape has held back."""
        if self._shape is not None and (rest := self._shape.close()):
            self._write_both([Text(rest)])


class ItemSink(TextSink):
    """Writes the text of one prompt of a batch, which ends with exactly one `item.end`.

    If that is a newline, the text's own newlines at its end are left out.
    """

    def __init__(
        self, out: Writer, style: TextStyle, item: Item, shape: Shape | None = None
    ) -> None:
        super().__init__(out, style, shape)
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
        self._end_reasoning()
        self._out.write((self._heading + (rest and self._held + rest)).encode() + self._end)
