"""Files and programs that define tools: what they may say, and every mistake by file and key."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from streamcli.errors import StreamError
from streamcli.input.files import Files
from streamcli.input.stdin import Stdin
from streamcli.tools.definition import CommandTool, load

TOML = """
name = "weather"
description = "The weather"
command = ["sh", "-c", "true", "--", "{city}"]
timeout = "2m"
max_output = "1K"
env = ["WEATHER_KEY"]
cwd = "sub"
confirm = true
[parameters.properties.city]
type = "string"
"""


def loaded(*places: Path | str, said: bytes = b"") -> list[CommandTool]:
    files = Files(Stdin(lambda note: None, lambda: 0.0, closed=True))
    return load([str(place) for place in places], files, lambda program: said)


def write(folder: Path, text: str | Sequence[Any] | dict[str, Any], name: str = "") -> Path:
    is_text = isinstance(text, str)
    path = folder / (name or ("t.toml" if is_text else "t.json"))
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_every_key(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tool,) = loaded(write(tmp_path, "\ufeff" + TOML))
    assert (tool.name, tool.description) == ("weather", "The weather")
    assert tool.parameters == {"type": "object", "properties": {"city": {"type": "string"}}}
    assert tool.command is not None
    assert tool.command[0].endswith("/sh")
    assert tool.command[1:] == ("-c", "true", "--", "{city}")
    assert (tool.timeout, tool.max_output) == (120.0, 1024)
    assert (tool.environ, tool.cwd, tool.confirm) == (
        ("WEATHER_KEY",),
        str(tmp_path / "sub"),
        True,
    )


def test_defaults(tmp_path: Path) -> None:
    (tool,) = loaded(write(tmp_path, {"name": "now"}))
    assert (tool.command, tool.timeout, tool.max_output) == (None, 30.0, 65536)
    assert (tool.environ, tool.cwd, tool.confirm) == (None, None, False)
    assert tool.parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[{"name": "a"}, {"name": "b"}]', "t.json"),
        ('{"tools": [{"name": "a"}, {"name": "b"}]}', "t.json"),
        ('[{"name": "a"}, {"name": "b"}]', "t"),
        ('[[tools]]\nname = "a"\n[[tools]]\nname = "b"\n', "t.toml"),
        ('[[tools]]\nname = "a"\n[[tools]]\nname = "b"\n', "t"),
        ('[[tool]]\nname = "a"\n[[tool]]\nname = "b"\n', "t.toml"),
    ],
)
def test_lists(text: str, name: str, tmp_path: Path) -> None:
    assert [tool.name for tool in loaded(write(tmp_path, text, name))] == ["a", "b"]


def test_a_program_is_beside_its_file(tmp_path: Path) -> None:
    program = write(tmp_path, "#!/bin/sh\n", "run")
    program.chmod(0o755)
    (tool,) = loaded(write(tmp_path, {"name": "a", "command": ["./run"]}))
    assert tool.command == (str(program),)


def test_a_program_says_what_it_is(tmp_path: Path) -> None:
    program = write(tmp_path, "#!/bin/sh\n", "run")
    program.chmod(0o755)
    schema = {"type": "object", "properties": {"q": {}}}
    said = {"name": "a", "description": "d", "input_schema": schema, "more": 1}
    (tool,) = loaded(program, said=json.dumps(said).encode())
    assert (tool.name, tool.parameters, tool.command) == ("a", schema, (str(program),))
    for bad, message in (
        (b"usage: run", "run --schema did not write JSON"),
        (b"[]", "not an object"),
        (b'{"input_schema": {}}', "run --schema: name: "),
        (b'{"name": "a", "input_schema": []}', "run --schema: input_schema: "),
    ):
        with pytest.raises(StreamError, match=re.escape(message)):
            loaded(program, said=bad)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"name": None}, "name: "),
        ({"name": "a b"}, "name: it has to be 1 to 64"),
        ({"name": 7}, "name: it has to be a text"),
        ({"nmae": "a"}, "nmae: there is no such key"),
        ({"description": []}, "description: it has to be a text"),
        ({"parameters": []}, "parameters: it has to be a JSON Schema"),
        ({"parameters": {"type": "array"}}, "parameters: its type has to be object"),
        ({"parameters": {"required": 7}}, "parameters is not a JSON Schema"),
        ({"parameters": {"properties": []}}, "parameters: its properties"),
        ({"command": "ls {city}"}, "command: it has to be a list of texts"),
        ({"command": []}, "command: it is empty"),
        ({"command": ["{city}"]}, "command: the arguments of a call cannot name the program"),
        ({"command": ["sh", "{city}"]}, "command: parameters has no property city"),
        ({"command": ["no-such-program-here"]}, "command: there is no program"),
        ({"command": ["./gone"]}, "command: there is no program"),
        ({"command": ["./t.json"]}, "t.json is not executable: chmod +x"),
        ({"command": ["sh", "a\0"]}, "command: no argument can hold a NUL"),
        ({"timeout": "soon"}, "timeout: 'soon' is not a time"),
        ({"timeout": True}, "timeout: it has to be a number"),
        ({"max_output": "many"}, "max_output: 'many' is not a size"),
        ({"env": "HOME"}, "env: it has to be a list of texts"),
        ({"cwd": "gone"}, "cwd: there is no folder"),
        ({"confirm": "yes"}, "confirm: it has to be true or false"),
    ],
)
def test_a_mistake_names_file_and_key(keys: dict[str, Any], message: str, tmp_path: Path) -> None:
    tool = {key: value for key, value in {"name": "a", **keys}.items() if value is not None}
    path = write(tmp_path, tool)
    with pytest.raises(StreamError) as raised:
        loaded(path)
    assert raised.value.exit_code == 2
    assert raised.value.message.startswith(f"{path}: "), raised.value.message
    assert message in raised.value.message
    assert not raised.value.message.endswith(".")
    path = write(tmp_path, [{"name": "fine"}, tool])
    with pytest.raises(StreamError) as raised:
        loaded(path)
    assert raised.value.message.startswith(f"{path}: tools[1]."), raised.value.message


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("name = ", "t.toml", "is not TOML"),
        ("{", "t.json", "is not JSON"),
        ("echo hello", "t", "is not TOML"),
        ("[]", "t.json", "a tool (name, description, ...) or a list"),
        ("7", "t.json", "a tool (name, description, ...) or a list"),
        ("[7]", "t.json", "tools[0]: a tool has to be a table"),
        ('{"tools": [], "name": "a"}', "t.json", "name: beside a list of tools"),
    ],
)
def test_files_that_are_something_else(text: str, name: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, text, name)
    with pytest.raises(StreamError, match=re.escape(message)) as raised:
        loaded(path)
    assert raised.value.exit_code == 2
    assert str(path) in raised.value.message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(StreamError, match=re.escape(str(path))) as raised:
            loaded(path)
        assert raised.value.exit_code == 2


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    one, two = write(tmp_path, {"name": "a"}), write(tmp_path, {"name": "a"}, "two.json")
    for places in ((one, two), (one, one)):
        with pytest.raises(StreamError, match="the tool a is in"):
            loaded(*places)
