"""A sink: where the events of one answer are written, and what it knows of the answer."""

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
        """Write what one network read brought, `t_ms` after the request began."""

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        """Write the end of the answer."""


class Writer(Protocol):
    """Takes bytes of a text."""

    def write(self, data: bytes) -> None: ...


class Lines(Protocol):
    """Takes records: whole lines."""

    def lines(self, data: bytes) -> None: ...


class Item:
    """The place of a text in a batch: `heading` comes first, `end` is what it ends with."""

    __slots__ = ("end", "heading")

    def __init__(self, end: bytes = b"\n", heading: str = "") -> None:
        self.end = end
        self.heading = heading


class Look:
    """How a text is shown.

    `reasoning` is one of "hide", "stderr" (to `aside`), "stdout" (before the text, a blank line
    between), "only", and "raw" (tags are in the text already; the sink does nothing). `together`:
    `aside` and the text are on one terminal, and have a blank line between them there. `sanitize`
    and `sanitize_aside` make control characters visible. `end_newline` ends a text with a newline
    if it has none. `paced` makes a writer of text that keeps a steady pace.
    """

    __slots__ = (
        "aside",
        "end_newline",
        "paced",
        "reasoning",
        "sanitize",
        "sanitize_aside",
        "together",
    )

    def __init__(
        self,
        reasoning: str = "hide",
        *,
        sanitize: bool = False,
        end_newline: bool = False,
        aside: Writer | None = None,
        sanitize_aside: bool = False,
        together: bool = False,
        paced: Callable[[Callable[[str], None]], Callable[[str], None]] | None = None,
    ) -> None:
        self.reasoning = reasoning
        self.sanitize = sanitize
        self.end_newline = end_newline
        self.aside = aside
        self.sanitize_aside = sanitize_aside
        self.together = together
        self.paced = paced

    def but(
        self,
        *,
        sanitize: bool | None = None,
        end_newline: bool = False,
        aside: Writer | None = None,
    ) -> Look:
        """Return a copy for another place."""
        return Look(
            self.reasoning,
            sanitize=self.sanitize if sanitize is None else sanitize,
            end_newline=end_newline,
            aside=aside or self.aside,
            sanitize_aside=self.sanitize_aside,
            together=self.together,
            paced=self.paced,
        )


class Context:
    """The facts of an answer that a sink may need.

    `facts` are what its records have in common, for a format that is made of records. `look` says
    how a text is shown, `shape` what is made of it. `item` is None for the one answer of a run
    that is not a batch.
    """

    __slots__ = ("facts", "item", "look", "settings", "shape")

    def __init__(
        self,
        settings: Settings,
        look: Look,
        facts: Facts | None = None,
        item: Item | None = None,
        shape: Shape | None = None,
    ) -> None:
        self.settings = settings
        self.look = look
        self.facts = facts
        self.item = item
        self.shape = shape
