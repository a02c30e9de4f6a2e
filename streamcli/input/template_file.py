"""Read a template: front matter and prompt of a file, or a table of the configuration.

    #!/usr/bin/env -S stream -t
    +++
    model = "groq:llama-3.3-70b"
    +++
    Sum up for {{who}}:

    {{stdin}}

The first line, the front matter and the prompt may each be missing. Between `---` the front matter
is YAML (see dotprompt.py). Templates may come from anybody: they say what is asked and how, never
where, with whose key, nor what is written or run, and they name only files that are beside them.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import orjson

from ..errors import StreamError, usage
from ..secrets import is_secret
from ..settings.config_file import ConfigFile, nearest
from ..settings.option_types import Opt
from ..settings.options import TABLE
from ..wire.lenient_json import deeper
from .chat_options import NESTED, options_of
from .schema_short import schema_of_short
from .stdin import NAMES as STDIN_NAMES
from .template_text import NAME, STDIN, variables
from .text import BOM, decode, unreadable

OPTIONS = {option.long[2:].replace("-", "_"): option for option in TABLE if option.template}
_OTHERS = {option.long[2:].replace("-", "_") for option in TABLE} - OPTIONS.keys()
_OWN = ("description", "vars")  # keys that are not options; in the configuration also the prompt
_LARGEST = 1 << 20  # bytes: what is longer is not a template but a text for -f
_LARGEST_FRONT = 1 << 16
# TOML's parser takes time by the square of a dotted key's length.
_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){64}""")
_FENCES = {"+++": "TOML", "---": "YAML"}
# Fields of a request's body that would be an address, a file, a header, a key or a tool.
_FORBIDDEN = re.compile("ur[il]|host|endpoint|webhook|header|file|tool|function|mcp|plugin", re.I)


class Template:
    """A template: its prompt, its options by field of Settings, the defaults of its variables."""

    __slots__ = ("defaults", "description", "options", "prompt", "variables")

    def __init__(
        self,
        prompt: str,
        options: dict[str, Any],
        defaults: dict[str, str],
        description: str,
        where: str,
    ) -> None:
        self.prompt = prompt
        self.options = options
        self.defaults = defaults
        self.description = description
        if "\0" in prompt:
            raise usage(f"{where} is not a text: there is a NUL in it")
        self.variables = variables((prompt, *self.texts.values()), where)
        if STDIN in variables(self.texts.values(), where):
            what = f"{where}: {{{{{STDIN}}}}} has its place in the prompt only"
            raise usage(what, "put it behind the front matter")

    @property
    def texts(self) -> dict[str, str]:
        """The options with variables in them; what is read from a file has none."""
        system, prefill = self.options.get("system"), self.options.get("prefill")
        texts = {} if prefill is None else {"prefill": prefill}
        if system is not None and (system[:1] != "@" or system[:2] == "@@"):
            texts["system"] = system
        return texts


class FrontMatter(ConfigFile):
    """The keys of one template; every error names the file, the key and the line.

    The files that it names are in `folder`; with `confined` they cannot be elsewhere.
    """

    def __init__(self, path: str, text: str, folder: str, *, confined: bool) -> None:
        super().__init__(path, text)
        self._folder = folder
        self._confined = confined

    def template(self, where: tuple[str, ...], table: Mapping[str, Any], prompt: str) -> Template:
        description = table.get("description", "")
        if not isinstance(description, str):
            raise self.mistake(where, "description", "has to be a text")
        given = {key: value for key, value in table.items() if key not in _OWN}
        options = self.checked(where, given)
        defaults = self.defaults_of(where, "vars", table.get("vars", {}))
        what = f"{self.path}: {'.'.join(where)}" if where else self.path
        return Template(prompt, options, defaults, description, what)

    def checked(
        self,
        where: tuple[str, ...],
        given: Mapping[str, Any],
        known: Mapping[str, Opt] = OPTIONS,
    ) -> dict[str, Any]:
        """Return the options of a template, by field of Settings."""
        for key in given:
            if key.replace("-", "_") in _OTHERS:
                raise self.mistake(where, key, "is not for a template: give it on the command line")
        table = {key: self._as_typed(where, key, value) for key, value in given.items()}
        return self.options(where, table, known)

    def unknown(self, where: tuple[str, ...], key: str, what: str, known: Any) -> StreamError:
        return self.mistake(where, key, f"is not {what} of a template: {nearest(key, known)}")

    def defaults_of(self, where: tuple[str, ...], key: str, table: Any) -> dict[str, str]:
        if not isinstance(table, dict):
            raise self.mistake(where, key, "has to be a table of variables and their defaults")
        for name, value in table.items():
            if not isinstance(value, str) or not NAME.fullmatch(name) or name == STDIN:
                raise self.mistake((*where, key), name, "has to be a variable's name, with a text")
        return table

    def _as_typed(self, where: tuple[str, ...], key: str, value: Any) -> Any:
        """Return a value as one would type it: a file as its path, a table as JSON."""
        if key == "schema":
            if isinstance(value, dict):
                return self._json(where, key, value)
            if isinstance(value, str):
                return self._schema(where, key, value)
        elif key == "system" and isinstance(value, str) and value[:1] == "@" != value[1:2]:
            return f"@{self._file(where, key, value[1:])}"
        elif key == "option":
            if isinstance(value, dict):
                value = [f"{name}={self._json(where, key, each)}" for name, each in value.items()]
            self._check_fields(where, key, value)
        return value

    def _schema(self, where: tuple[str, ...], key: str, value: str) -> str:
        """Return a schema as JSON, or as the path of the file that holds it."""
        if value.lstrip()[:1] == "{":
            return value
        if os.sep in value or value.endswith(".json") or value in STDIN_NAMES:
            return self._file(where, key, value)
        try:
            return orjson.dumps(schema_of_short(value)).decode()
        except StreamError as error:
            raise self.mistake(where, key, f"is not a schema: {error.message}") from None

    def _json(self, where: tuple[str, ...], key: str, value: Any) -> str:
        try:
            return orjson.dumps(value).decode()
        except TypeError as error:
            raise self.mistake(where, key, f"cannot be written as JSON: {error}") from None

    def _file(self, where: tuple[str, ...], key: str, path: str) -> str:
        """Return the path of a file that a template names: beside it, wherever we run."""
        if path in STDIN_NAMES:
            return path
        if self._confined:
            inside = os.path.normpath(path)
            if os.path.isabs(inside) or inside.split(os.sep)[0] == ".." or path[:1] == "~":
                raise self.mistake(where, key, "names a file that is not beside the template")
            found = os.path.join(self._folder, path)
            if not self._is_beside(found):
                raise self.mistake(where, key, "names a link to a file that is not beside it")
            return found
        return os.path.join(self._folder, os.path.expanduser(path))

    def _is_beside(self, found: str) -> bool:
        """Return whether a path, its links followed, is below the folder of the template.

        The template may be a link itself, with all that is beside it, as dotfiles often are.
        """
        if "\0" in found:
            return True  # no file can have that name: reading it reports the error
        real = os.path.realpath(found)
        folders = {os.path.realpath(self._folder), os.path.dirname(os.path.realpath(self.path))}
        return any(os.path.commonpath((folder, real)) == folder for folder in folders)

    def _check_fields(self, where: tuple[str, ...], key: str, value: Any) -> None:
        pairs = value if isinstance(value, list) else [value]
        try:
            fields = options_of(tuple(str(pair) for pair in pairs))
        except StreamError as error:
            raise self.mistake(where, key, error.message) from None
        if deeper(fields, NESTED):
            raise self.mistake(where, key, f"is nested more than {NESTED} levels deep")
        for name in _names_in(fields):
            if is_secret(name) or _FORBIDDEN.search(name) or ("add" in fields and name == "add"):
                raise self.mistake(where, key, f"sets {name}, which is not for a template")


def _names_in(value: Any) -> list[str]:
    """Return the names of all fields in a value, however deep."""
    names: list[str] = []
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            names += map(str, each)
            left += each.values()
        elif isinstance(each, list):
            left += each
    return names


def read(path: str) -> Template:
    """Return the template in a file, `-` for stdin. Usage errors."""
    source: str | int = 0 if path in STDIN_NAMES else path
    try:
        with open(source, "rb", closefd=source != 0) as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    where = "stdin" if source == 0 else path
    if b"\0" in data:
        raise usage(f"{where} is not a text: there is a NUL at offset {data.index(0)}")
    if len(data) > _LARGEST:
        raise usage(f"{where} is longer than {_LARGEST >> 20} MiB", "-f takes a long text")
    text = decode(data.removeprefix(BOM), where).replace("\r\n", "\n")
    fence, front, prompt = _parts(text, where)
    if len(front) > _LARGEST_FRONT:
        raise usage(f"{where}: more than {_LARGEST_FRONT >> 10} KiB between {fence} and {fence}")
    folder = "" if source == 0 else os.path.dirname(path)
    try:
        if fence == "---":
            from .dotprompt import Dotprompt

            return Dotprompt(where, front, folder, confined=True).read(prompt)
        if _LONG_KEY.search(front):
            raise usage(f"{where}: the front matter is nested too deep")
        table = tomllib.loads(front)
        return FrontMatter(where, front, folder, confined=True).template((), table, prompt)
    except tomllib.TOMLDecodeError as error:
        raise usage(f"{where}: {error}") from None
    except RecursionError:
        raise usage(f"{where}: the front matter is nested too deep") from None


def _parts(text: str, where: str) -> tuple[str, str, str]:
    """Return the fence, the front matter, and the prompt.

    Lines before the front matter are kept in it as empty ones, so that errors name the right line.
    """
    before = ""
    if text.startswith("#!"):
        text = text.partition("\n")[2]
        before = "\n"
    first, newline, rest = text.partition("\n")
    fence = first.rstrip()
    if fence not in _FENCES:
        return "", "", text.strip("\n")
    end = re.search(rf"^{re.escape(fence)}[ \t]*$", rest, re.MULTILINE)
    if end is None:
        raise usage(f"{where}: the front matter does not end: {fence} on a line of its own")
    return fence, before + "\n" + rest[: end.start()], rest[end.end() :].strip("\n")
