"""The names of -O's files in a batch: fill in {index}, {id}, {model}, and those of --files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..errors import usage
from ..file_errors import on_file
from .descriptor import STDOUT, unwritable

_PLACE = re.compile(r"\{(index|id|model)\}")
_PLACE_OF_FILES = re.compile(r"\{(index|id|model|name|stem|path)\}")
_LONGEST = 255  # bytes of a file's name that systems take
_SHORTEST = 40  # characters of a value in it: a hash, and a beginning to know it by
_UNSAFE = re.compile(r"[^A-Za-z0-9._@+=,-]|^\.")
# In the names of files that are there, only what a person would not see, or would be led by.
_UNSAFE_IN_NAMES = re.compile(r"[\x00-\x1f\x7f]|^\.")


def check_template(
    template: str | None, several: bool, models: bool, *, files: bool = False
) -> None:
    """Raise a usage error unless -O names a file for each prompt, in a folder that exists."""
    if template is None or template in STDOUT:
        return
    own = ("{index}", "{id}", *(("{name}", "{stem}", "{path}") if files else ()))
    if several and not any(place in template for place in own):
        example = "'out/{path}'" if files else "'out/{index}.txt'"
        raise usage(f"-O {template} is one file for many prompts", f"-O {example}")
    if models and "{model}" not in template:
        raise usage(f"-O {template} is one file for several models", "-O 'out/{model}-{index}'")
    folder = os.path.dirname(template)
    if folder and not _places(files).search(folder) and not os.path.isdir(folder):
        if files and "{path}" in template:
            return  # it is made with the folders of the path
        raise usage(f"-O {template}: there is no folder {folder}", on_file("mkdir -p", folder))


def file_of(template: str | None) -> Callable[[Mapping[str, Any]], str] | None:
    """Return the function from an item's tags to its file; None if no two items can share one."""
    if template is None or template in STDOUT or "{index}" in template:
        return None
    return partial(filled, template)


def make_folder(template: str, path: str) -> None:
    """Make the folder of the file `path`, if the template names one for each prompt."""
    if not _PLACE_OF_FILES.search(os.path.dirname(template)) and "{path}" not in template:
        return
    folder = os.path.dirname(path)
    if not folder:
        return
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise unwritable(f"the folder {folder}", error, "made") from error


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Return -O with its places filled in: {index}, {id}, {model}, and the names of a `source`.

    Ids and names come from the input, so they are changed where they would leave the folder. The
    index stands for a missing or empty id.
    """
    source = values.get("source")
    places = _places(source is not None)
    longest = _room(template, places)

    def value(match: re.Match[str]) -> str:
        kind = match[1]
        if source is not None and kind in ("name", "stem", "path"):
            return _of_source(str(source), kind, longest)
        given = values.get(kind)
        return _name(values["index"] if given in (None, "") else given, longest)

    return places.sub(value, template)


def _places(files: bool) -> re.Pattern[str]:
    return _PLACE_OF_FILES if files else _PLACE


def _room(template: str, places: re.Pattern[str]) -> int:
    """Return the characters that each value may have beside the template's own."""
    own = max(len(os.fsencode(part)) for part in places.sub("", template).split("/"))
    return max(_SHORTEST, (_LONGEST - own) // max(1, len(places.findall(template))))


def _of_source(source: str, kind: str, longest: int) -> str:
    """Return a file's path, its last part, or that without its suffix, inside the folder of -O."""
    parts = [part for part in source.split("/") if part not in ("", ".")] or [
        source.replace("/", "%2F")
    ]
    if kind != "path":
        parts = parts[-1:]
    if kind == "stem":
        parts[0] = os.path.splitext(parts[0])[0]
    return "/".join(_name(part, longest, _UNSAFE_IN_NAMES) for part in parts)


def _name(value: object, longest: int, unsafe: re.Pattern[str] = _UNSAFE) -> str:
    """Return a value as part of a file name: special characters are %XX, a long tail its hash."""
    name = unsafe.sub(lambda bad: "".join(f"%{b:02X}" for b in bad[0].encode()), str(value))
    data = name.encode()
    if len(data) <= longest:
        return name
    from hashlib import sha256

    beginning = data[: longest - 33].decode("utf-8", "ignore")
    return f"{beginning}-{sha256(data).hexdigest()[:32]}"
