"""Write a table of Markdown, and fill in the generated parts of a page."""

from __future__ import annotations

import re
from collections.abc import Callable

_PART = re.compile(r"(<!-- (\w+): generated -->\n).*?(<!-- end -->)", re.DOTALL)
_VALUE = re.compile(r"(<!--(\w+)-->).*?(<!--/-->)", re.DOTALL)


def table(*rows: tuple[str, ...]) -> str:
    """Return a table in Markdown; the first row is its header."""
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def fill(page: str, part: Callable[[str], str]) -> str:
    """Return the page with its generated parts filled in; `part` returns the part of a name.

    A part of several lines stands between `<!-- NAME: generated -->` and `<!-- end -->`, a value
    inside a line between `<!--NAME-->` and `<!--/-->`.
    """
    page = _PART.sub(lambda found: f"{found[1]}\n{part(found[2])}\n\n{found[3]}", page)
    return _VALUE.sub(lambda found: f"{found[1]}{part(found[2])}{found[3]}", page)
