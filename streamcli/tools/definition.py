"""Read the tools of --tools: from a TOML or JSON file, or a program that answers `--schema`."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import click
import orjson

from ..answer.schema_check import Schema
from ..errors import usage
from ..file_errors import absolute, on_file
from ..input.files import Files
from ..input.stdin import NAMES as STDIN
from ..messages import Tool
from ..settings.quantities import Seconds, Size

_KEYS = (
    *("name", "description", "parameters", "command", "timeout", "max_output"),
    *("env", "cwd", "confirm"),
)
_SELF_KEYS = ("name", "description", "input_schema")  # of what a program says of itself
# What all providers take: https://platform.openai.com/docs/api-reference/chat/create (tools)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A field of the arguments in a command; {{city}} is the text {city}.
FIELD = re.compile(r"\{\{([A-Za-z_][\w-]*)\}\}|\{([A-Za-z_][\w-]*)\}")

TIMEOUT = 30.0
MAX_OUTPUT = 64 << 10

# Runs a program with `--schema`, and returns what it writes; StreamError if it fails.
SelfDescription = Callable[[str], bytes]


class CommandTool(Tool):
    """A tool and the command that runs it; `command` is None if the caller answers its calls.

    `environ` names the variables that the command gets, see environment.py. `timeout` is in
    seconds, `max_output` in bytes. `cwd` is its folder, None for ours. With `confirm` a person has
    to allow each call.
    """

    __slots__ = (
        "command",
        "confirm",
        "cwd",
        "environ",
        "max_output",
        "schema",
        "timeout",
    )

    def __init__(
        self,
        name: str,
        description: str,
        parameters: dict[str, Any],
        schema: Schema,
        *,
        command: tuple[str, ...] | None = None,
        timeout: float = TIMEOUT,
        max_output: int = MAX_OUTPUT,
        environ: tuple[str, ...] | None = None,
        cwd: str | None = None,
        confirm: bool = False,
    ) -> None:
        super().__init__(name, description, parameters)
        self.schema = schema
        self.command = command
        self.timeout = timeout
        self.max_output = max_output
        self.environ = environ
        self.cwd = cwd
        self.confirm = confirm


def load(places: Sequence[str], files: Files, describe: SelfDescription) -> list[CommandTool]:
    """Return the tools of all --tools, in their order; usage errors name the file and the key."""
    tools: list[CommandTool] = []
    where_of: dict[str, str] = {}
    for place in places:
        for tool in _of_place(place, files, describe):
            if other := where_of.get(tool.name):
                both = f"{other} twice" if other == place else f"{other} and {place}"
                raise usage(f"the tool {tool.name} is in {both}", "each tool needs its own name")
            where_of[tool.name] = place
            tools.append(tool)
    return tools


def _of_place(place: str, files: Files, describe: SelfDescription) -> list[CommandTool]:
    if program := _program(place):
        return [_of_program(place, program, describe(program))]
    data = _parsed(place, files)
    folder = "" if place in STDIN else os.path.dirname(absolute(place))
    listed = next((key for key in ("tools", "tool") if isinstance(data, dict) and key in data), "")
    if listed:
        if len(data) > 1:
            other = next(key for key in data if key != listed)
            what = f"{place}: {other}: beside a list of tools there is no other key"
            raise usage(what, "put it into each tool")
        data = data[listed]
    if isinstance(data, dict):
        return [_Table(place, "", data, folder).tool()]
    if not isinstance(data, list) or not data:
        what = f"{place}: it has to be a tool (name, description, ...) or a list of them"
        raise usage(what, "stream --help=manual shows one under TOOLS")
    return [
        _Table(place, f"tools[{number}].", table, folder).tool()
        for number, table in enumerate(data)
    ]


def _program(place: str) -> str:
    """Return the path of the program that `place` names; "" if it is a file to read."""
    if place in STDIN or place.endswith((".toml", ".json")):
        return ""
    if not os.path.exists(place):
        return "" if os.sep in place else shutil.which(place) or ""
    runs = os.access(place, os.X_OK) and stat.S_ISREG(os.stat(place).st_mode)
    return absolute(place) if runs else ""


def _of_program(place: str, program: str, said: bytes) -> CommandTool:
    where = f"{place} --schema"
    try:
        data = orjson.loads(said)
    except orjson.JSONDecodeError as error:
        raise usage(
            f"{where} did not write JSON: {error}",
            'it has to write {"name":...,"description":...,"input_schema":{...}}',
        ) from None
    if not isinstance(data, dict):
        hint = 'it has to write {"name":...,"description":...,"input_schema":{...}}'
        raise usage(f"{where} wrote JSON that is not an object", hint)
    known = {key: value for key, value in data.items() if key in _SELF_KEYS}
    if "input_schema" in known:
        known["parameters"] = known.pop("input_schema")
    table = _Table(where, "", known, "", schema_key="input_schema")
    tool = table.tool()
    tool.command = (program,)
    return tool


def _parsed(place: str, files: Files) -> Any:
    text = files.text(place)
    if place.endswith(".json") or (
        not place.endswith(".toml") and text.lstrip()[:1] in ("{", "[") and _is_json(text)
    ):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise usage(f"{place} is not JSON: {error}", "`jq .` checks it") from None
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = (
            ""
            if place.endswith(".toml")
            else on_file("a program needs its run bit: chmod +x", place)
        )
        raise usage(f"{place} is not TOML: {error}", hint) from None


def _is_json(text: str) -> bool:
    """Return whether a text is JSON; TOML may begin with a bracket too."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


class _Table:
    """The keys of one tool; every mistake names the file and the key."""

    def __init__(
        self, file: str, prefix: str, table: Any, folder: str, schema_key: str = "parameters"
    ) -> None:
        self._file = file
        self._prefix = prefix
        self._folder = folder
        self._schema_key = schema_key
        if not isinstance(table, dict):
            raise usage(f"{file}: {prefix.rstrip('.')}: a tool has to be a table of keys")
        self._table = table

    def tool(self) -> CommandTool:
        for key in self._table:
            if key not in _KEYS:
                self._bad(key, f"there is no such key; the keys are {', '.join(_KEYS)}")
        name = self._text("name")
        if not _NAME.fullmatch(name or ""):
            self._bad("name", "it has to be 1 to 64 letters, digits, '_' or '-'")
        assert name is not None
        parameters = self._parameters()
        key = f"{self._file}: {self._prefix}{self._schema_key}"
        schema = Schema(parameters, key)
        cwd = self._text("cwd")
        if cwd is not None:
            cwd = os.path.join(self._folder, os.path.expanduser(cwd))
            if not os.path.isdir(cwd):
                self._bad("cwd", f"there is no folder {cwd}")
        return CommandTool(
            name,
            self._text("description") or "",
            parameters,
            schema,
            command=self._command(parameters),
            timeout=self._measured("timeout", Seconds(), TIMEOUT),
            max_output=self._measured("max_output", Size(), MAX_OUTPUT),
            environ=self._texts("env"),
            cwd=cwd,
            confirm=self._flag("confirm"),
        )

    def _bad(self, key: str, why: str) -> NoReturn:
        shown = self._schema_key if key == "parameters" else key
        raise usage(f"{self._file}: {self._prefix}{shown}: {why}")

    def _text(self, key: str) -> str | None:
        value = self._table.get(key)
        if value is not None and not isinstance(value, str):
            self._bad(key, "it has to be a text")
        return value

    def _texts(self, key: str) -> tuple[str, ...] | None:
        value = self._table.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self._bad(key, "it has to be a list of texts")
        return tuple(value)

    def _flag(self, key: str) -> bool:
        value = self._table.get(key, False)
        if not isinstance(value, bool):
            self._bad(key, "it has to be true or false")
        return bool(value)

    def _measured(self, key: str, kind: Seconds | Size, default: Any) -> Any:
        value = self._table.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self._bad(key, "it has to be a number, or one with a unit")
        try:
            return kind.convert(str(value), None, None)
        except click.BadParameter as error:
            self._bad(key, error.message.removesuffix("."))

    def _parameters(self) -> dict[str, Any]:
        value = self._table.get("parameters", {})
        if not isinstance(value, dict):
            self._bad("parameters", "it has to be a JSON Schema, as a table")
        if value.get("type", "object") != "object":
            self._bad("parameters", "its type has to be object")
        if not isinstance(value.get("properties", {}), dict):
            self._bad("parameters", "its properties have to be a table")
        return {"type": "object", "properties": {}, **value}

    def _command(self, parameters: Mapping[str, Any]) -> tuple[str, ...] | None:
        words = self._texts("command")
        if words is None:
            return None
        if not words or not words[0]:
            self._bad("command", "it is empty")
        if any("\0" in word for word in words):
            self._bad("command", "no argument can hold a NUL")
        if FIELD.search(words[0]):
            self._bad("command", "the arguments of a call cannot name the program")
        for word in words:
            for _, field in FIELD.findall(word):
                if field and field not in parameters["properties"]:
                    hint = f"{{{{{field}}}}} is the text {{{field}}}"
                    self._bad("command", f"parameters has no property {field}: {hint}")
        return (self._found(words[0]), *words[1:])

    def _found(self, program: str) -> str:
        """Return the path of the command's program: one with a slash is beside the file."""
        if os.sep not in program:
            path = shutil.which(program)
            if path is None:
                self._bad("command", f"there is no program {program} in PATH")
            return absolute(path)
        path = absolute(os.path.join(self._folder, os.path.expanduser(program)))
        if not os.path.isfile(path):
            self._bad("command", f"there is no program {path}")
        if not os.access(path, os.X_OK):
            self._bad("command", f"{path} is not executable: {on_file('chmod +x', path)}")
        return path
