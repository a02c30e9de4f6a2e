"""The parts of a Markdown text, the containers that they are in, and the gaps between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Container(NamedTuple):
    """A block quote, or an item of a list.

    `number` counts containers. An item has the `marker` of its `list` ("-", "." and so on), its
    `place` there, and the columns of `indent` that its content is behind.
    """

    number: int
    marker: str = ""  # "" is a quote
    list: int = 0
    place: int = 0
    indent: int = 0


class Step(NamedTuple):
    """A container on the way to a part: `fresh` if the part is its first."""

    container: Container
    fresh: bool


class Part(NamedTuple):
    """A block without blocks in it, or a line of code.

    `kind` is one of "paragraph", "heading" (with a `level`), "table", "rule", "definition",
    "empty" (an item without content), "indented" (one line of code), and "fence", "code" (one line)
    and "end" (the closing fence).
    A blank line comes before it if `gap` is not negative, inside of the first `gap` containers.
    """

    kind: str
    text: str
    path: list[Step]
    gap: int
    level: int = 0


def gap(above: Sequence[Container], here: Sequence[Container], *, close: bool, blank: bool) -> int:
    """Return in how many containers the blank line between two parts is; -1 if there is none.

    In one list there is one if the text has it (`blank`), and so if the parts stand `close`.
    """
    depth = 0
    while depth < min(len(above), len(here)) and above[depth] is here[depth]:
        depth += 1
    siblings = (
        depth < min(len(above), len(here))
        and bool(here[depth].marker)
        and above[depth].list == here[depth].list
    )
    if siblings or close or (depth and here[depth - 1].marker):
        return depth if blank else -1
    return depth
