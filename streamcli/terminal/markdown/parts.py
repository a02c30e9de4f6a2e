"""The parts of a Markdown text, the containers that hold them, and the gaps between parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .lines import quoted


class Container(NamedTuple):
    """A block quote, or an item of a list.

    `number` counts the containers of a text. An item has the `marker` of its list ("-", "." and so
    on), the `list` it belongs to, its `place` there (as counted by the text), and the `indent` of
    its content in columns.
    """

    number: int
    marker: str = ""  # "" is a quote
    list: int = 0
    place: int = 0
    indent: int = 0

    def continues(self, rest: str, *, is_new: bool) -> int:
        """Return how many columns of the line belong to the container; -1 if the line left it.

        `is_new`: nothing of the container was read yet. Then a blank line ends it.
        """
        body = rest.lstrip(" ")
        indent = len(rest) - len(body)
        if not self.marker:
            return quoted(body, indent)
        if not body:
            return -1 if is_new else min(indent, self.indent)
        return self.indent if indent >= self.indent else -1


class Step(NamedTuple):
    """A container on the path to a part; `fresh`: the part is the first one in it."""

    container: Container
    fresh: bool


class Part(NamedTuple):
    """A block that holds no other blocks, or a line of code.

    `kind` is one of "paragraph", "heading" (with a `level`), "table", "rule", "definition",
    "empty" (an item without content), "indented" (one line of code), and "fence", "code" (one line)
    and "end" (the closing fence). If `gap` is not negative, a blank line comes before the part,
    inside the first `gap` containers of its path.
    """

    kind: str
    text: str
    path: list[Step]
    gap: int
    level: int = 0


def gap(above: Sequence[Container], here: Sequence[Container], *, close: bool, blank: bool) -> int:
    """Return how many containers the blank line between two parts is in; -1 for no blank line.

    Within one list, and between `close` parts, there is one only if the text has it (`blank`).
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
