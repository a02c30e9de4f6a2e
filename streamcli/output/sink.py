"""A sink: the place where the events of one answer are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..events import Event
from ..outcome import Outcome, Verdict
from ..settings.settings import Settings

if TYPE_CHECKING:
    from .records import Facts
    from .shape import Shape
    from .text import Look


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
