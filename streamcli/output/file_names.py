"""The names of -O's files in a batch: {index}, {id} and {model} in a template."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from shlex import quote
from typing import Any

from ..errors import usage
from .descriptor import STDOUT, unwritable

_PLACE = re.compile(r"\{(index|id|model)\}")
_LONGEST = 255  # bytes of a file's name that systems take
_SHORTEST = 40  # characters of a value in it: a hash, and a beginning to know it by
_UNSAFE = re.compile(r"[^A-Za-z0-9._@+=,-]|^\.")


def check_template(template: str | None, several: bool, models: bool) -> None:
    """Raise a usage error unless -O names a file for each prompt, in a folder that exists."""
    if template is None or template in STDOUT:
        return
    if several and "{index}" not in template and "{id}" not in template:
        raise usage(f"-O {template} is one file for many prompts", "-O 'out/{index}.txt'")
    if models and "{model}" not in template:
        raise usage(f"-O {template} is one file for several models", "-O 'out/{model}-{index}'")
    folder = os.path.dirname(template)
    if folder and not _PLACE.search(folder) and not os.path.isdir(folder):
        raise usage(f"-O {template}: there is no folder {folder}", f"mkdir -p {quote(folder)}")


def file_of(template: str | None) -> Callable[[Mapping[str, Any]], str] | None:
    """Return how to name an item's file by its tags, if -O may name one file for several."""
    if template is None or template in STDOUT or "{index}" in template:
        return None
    return partial(filled, template)


def make_folder(template: str, path: str) -> None:
    """Make the folder of the file `path`, if the template names one for each prompt."""
    if not _PLACE.search(os.path.dirname(template)):
        return
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise unwritable(f"the folder {folder}", error, "made") from error


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Return -O with its {index}, {id} and {model} filled in.

    An id comes from the input, so it cannot leave the folder. The index stands for a missing or
    empty one.
    """
    longest = _room(template)

    def value(match: re.Match[str]) -> str:
        given = values.get(match[1])
        return _name(values["index"] if given in (None, "") else given, longest)

    return _PLACE.sub(value, template)


def _room(template: str) -> int:
    """Return the characters that each value may have beside the template's own."""
    own = max(len(os.fsencode(part)) for part in _PLACE.sub("", template).split("/"))
    return max(_SHORTEST, (_LONGEST - own) // max(1, len(_PLACE.findall(template))))


def _name(value: object, longest: int) -> str:
    """Return a value as part of a file name: special characters are %XX, a long tail its hash."""
    name = _UNSAFE.sub(lambda bad: "".join(f"%{b:02X}" for b in bad[0].encode()), str(value))
    if len(name) <= longest:
        return name
    from hashlib import sha256

    return f"{name[: longest - 33]}-{sha256(name.encode()).hexdigest()[:32]}"
