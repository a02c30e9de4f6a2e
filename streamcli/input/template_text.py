"""Fill in a template: find the {{variables}} of its text, and replace them by values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..errors import usage
from .stdin import STDIN_HERE

STDIN = "stdin"  # the variable that stands for the text of stdin
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# Linear in the text: a field ends at the next brace. A backslash before it leaves it as it is.
_FIELD = re.compile(r"(\\?)\{\{([^{}\n]*)\}\}")


def variables(texts: Iterable[str], where: str) -> list[str]:
    """Return the names in {{fields}}, each once, in their order; `stdin` among them.

    A usage error for a field that is not a name: it belongs to another template language.
    """
    names: dict[str, None] = {}
    for text in texts:
        for escaped, field in _FIELD.findall(text):
            if escaped:
                continue
            name = field.strip()
            if not NAME.fullmatch(name):
                shown = f"{{{{{field}}}}}"
                raise usage(
                    f"{where}: {shown} is not a variable: write \\{shown} for these characters"
                )
            names[name] = None
    return list(names)


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its {{variables}} replaced by `values`.

    A field inside a value is not replaced. STDIN_HERE marks the place of {{stdin}}.
    """

    def value_of(match: re.Match[str]) -> str:
        escaped, field = match.groups()
        if escaped:
            return match[0][1:]
        name = field.strip()
        return STDIN_HERE if name == STDIN else values[name]

    return _FIELD.sub(value_of, text)
