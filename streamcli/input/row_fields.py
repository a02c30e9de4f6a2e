"""Fill a row's fields into a text: `{field}` is a value, `{{` and `}}` are braces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..errors import usage

_PLACE = re.compile(r"\{\{|\}\}|\{([^\W\d]\w*)\}")
_SHOWN = 20  # names of fields in an error


def filler(text: str, names: Sequence[str], where: str) -> Callable[[Mapping[str, str]], str]:
    """Return the function that fills a row's fields into a text.

    Raise a usage error for a field that is not one of `names`; `where` names the text.
    """
    pieces: list[tuple[str, str]] = []  # a text, and the field behind it
    plain, at = "", 0
    for found in _PLACE.finditer(text):
        plain += text[at : found.start()]
        at = found.end()
        if found[1] is None:
            plain += found[0][0]
            continue
        if found[1] not in names:
            shown = ", ".join(map(_shown, names[:_SHOWN])) + (
                ", ..." if len(names) > _SHOWN else ""
            )
            what = f"{where} names the field '{found[1]}', and the rows have {shown or 'none'}"
            raise usage(what, f"'{{{{{found[1]}}}}}' for a word in braces")
        if list(names).count(found[1]) > 1:
            raise usage(f"two columns are called '{found[1]}'", "rename one of them")
        pieces.append((plain, found[1]))
        plain = ""
    plain += text[at:]

    def fill(fields: Mapping[str, str]) -> str:
        out: list[str] = []
        for before, name in pieces:
            if name not in fields:
                raise usage(f"it has no field '{name}'")
            out += (before, fields[name])
        return "".join((*out, plain))

    return fill


def _shown(name: str) -> str:
    """Return a name for a message, in quotes if there are blanks around it, or nothing at all."""
    return name if name and name == name.strip() else f"'{name}'"


def has_fields(texts: Iterable[str]) -> bool:
    """Return whether any of the texts has a place for a field."""
    return any(found[1] is not None for text in texts for found in _PLACE.finditer(text))
