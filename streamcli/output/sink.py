"""The interface of a sink, which writes the events of one answer; and what a sink needs to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..events import Event
from ..outcome import Outcome, Verdict
from ..settings.settings import Settings

if TYPE_CHECKING:
    from .records import Facts
    from .shape import Shape


class Sink(Protocol):
    """Writes one answer.

    Raises errors.StreamError("write") for what it cannot write, errors.Interrupted(SIGPIPE) when
    the reader has gone.
    """

    def emit(self, t_ms: float, events: list[Event]) -> None:
        """Write the events of one network read, `t_ms` milliseconds after the request began."""

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        """Write the end of the answer."""


class Writer(Protocol):
    """Takes bytes of a text."""

    def write(self, data: bytes) -> None: ...


class Lines(Protocol):
    """Takes records: whole lines."""

    def lines(self, data: bytes) -> None: ...


class Item:
    """How a text of a batch is written: after a `heading`, and with `end` behind it."""

    __slots__ = ("end", "heading")

    def __init__(self, end: bytes = b"\n", heading: str = "") -> None:
        self.end = end
        self.heading = heading


class TextStyle:
    """How a text is written.

    `reasoning` is one of "hide", "stderr" (to `reasoning_out`), "stdout" (before the text, a blank
    line between), "only" (instead of the text) and "raw" (its tags are in the text already).
    `one_terminal` is set if reasoning and text are on the same terminal: then a blank line parts
    them there. `sanitize` and `sanitize_reasoning` make control characters visible. `end_newline`
    ends a text with a newline if it has none. `paced` wraps the writer of a text in one that keeps
    a steady pace.
    """

    __slots__ = (
        "reasoning_out",
        "end_newline",
        "paced",
        "reasoning",
        "sanitize",
        "sanitize_reasoning",
        "one_terminal",
    )

    def __init__(
        self,
        reasoning: str = "hide",
        *,
        sanitize: bool = False,
        end_newline: bool = False,
        reasoning_out: Writer | None = None,
        sanitize_reasoning: bool = False,
        one_terminal: bool = False,
        paced: Callable[[Callable[[str], None]], Callable[[str], None]] | None = None,
    ) -> None:
        self.reasoning = reasoning
        self.sanitize = sanitize
        self.end_newline = end_newline
        self.reasoning_out = reasoning_out
        self.sanitize_reasoning = sanitize_reasoning
        self.one_terminal = one_terminal
        self.paced = paced

    def but(
        self,
        *,
        sanitize: bool | None = None,
        end_newline: bool = False,
        reasoning_out: Writer | None = None,
    ) -> TextStyle:
        """Return a copy for another output."""
        return TextStyle(
            self.reasoning,
            sanitize=self.sanitize if sanitize is None else sanitize,
            end_newline=end_newline,
            reasoning_out=reasoning_out or self.reasoning_out,
            sanitize_reasoning=self.sanitize_reasoning,
            one_terminal=self.one_terminal,
            paced=self.paced,
        )


class Context:
    """The facts of an answer that a sink may need.

    `facts` are the shared fields of its records, for a format of records. `style` says how a text
    is written, `shape` changes it before. `item` is None for the one answer of a run that is not a
    batch.
    """

    __slots__ = ("facts", "item", "style", "settings", "shape")

    def __init__(
        self,
        settings: Settings,
        style: TextStyle,
        facts: Facts | None = None,
        item: Item | None = None,
        shape: Shape | None = None,
    ) -> None:
        self.settings = settings
        self.style = style
        self.facts = facts
        self.item = item
        self.shape = shape
