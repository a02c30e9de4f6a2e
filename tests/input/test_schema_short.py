"""The short form of --schema: what it means, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.answer.schema_check import Schema
from streamcli.errors import StreamError
from streamcli.input.chat_options import schema_of
from streamcli.input.files import Files
from streamcli.input.schema_short import FORM, schema_of_short
from streamcli.input.stdin import Stdin

STR, INT = {"type": "string"}, {"type": "integer"}


def fields(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("name", fields(name=STR)),
        ("name, age int", fields(name=STR, age=INT)),
        ("name str,age   int,", fields(name=STR, age=INT)),
        ("a float, b bool", fields(a={"type": "number"}, b={"type": "boolean"})),
        ("bio: a short text", fields(bio={**STR, "description": "a short text"})),
        ("bio: short, age int: in years", None),
        (
            "bio: a text, or two\nage int: in years,\nx, y int\n",
            fields(
                bio={**STR, "description": "a text, or two"},
                age={**INT, "description": "in years"},
                x=STR,
                y=INT,
            ),
        ),
        ("age? int", fields(age={"type": ["integer", "null"]})),
        ("bio?: if known", fields(bio={"type": ["string", "null"], "description": "if known"})),
        ("kind enum(a|b c, d)", fields(kind={**STR, "enum": ["a", "b c, d"]})),
        (
            "kind? enum( a | b )",
            fields(kind={"type": ["string", "null"], "enum": ["a", "b", None]}),
        ),
        ("tags []str", fields(tags={"type": "array", "items": STR})),
        ("m [][]int", fields(m={"type": "array", "items": {"type": "array", "items": INT}})),
        ("k []enum(a|b)", fields(k={"type": "array", "items": {**STR, "enum": ["a", "b"]}})),
        ("[name, age int]", {"type": "array", "items": fields(name=STR, age=INT)}),
        ("[\n name\n age int\n]", {"type": "array", "items": fields(name=STR, age=INT)}),
        ("größe_2 int", fields(größe_2=INT)),
        ("int int", fields(int=INT)),
    ],
)
def test_the_short_form(text: str, schema: dict[str, Any] | None) -> None:
    if schema is None:
        short, age = {**STR, "description": "short"}, {**INT, "description": "in years"}
        schema = fields(bio=short, age=age)
    made = schema_of_short(text)
    assert made == schema
    Schema(made)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no field"),
        ("[]", "no field"),
        (" , ", "no field"),
        ("[name", "no ']'"),
        ("name, name int", "name is there twice"),
        ("age integer", "unknown type integer"),
        ("age []", "'[]' behind the field age"),
        ("age int x", "'x' behind the field age"),
        ("name]", "behind the field name"),
        ("a b?", "unknown type b"),
        ("a enum()", "empty value"),
        ("a enum(x||y)", "empty value"),
        ("a enum(x|x)", "twice"),
        ("a enum(x, y)", "have '|' between them"),
        ("a enum(x", "unknown type enum"),
        ("people [name, age int]", "behind the field people"),
        (": text", "no field's name is at"),
        ("a.b int", "behind the field a"),
        ("x " + "[]" * 9 + "int", "more than 8 lists"),
    ],
)
def test_what_is_wrong_is_named_with_the_form(text: str, says: str) -> None:
    with pytest.raises(StreamError) as caught:
        schema_of_short(text)
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    assert FORM in caught.value.hint
    assert caught.value.exit_code == 2


NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
WORDS = st.from_regex(r"[a-z]([a-z ,']{0,10}[a-z])?", fullmatch=True)


@settings(max_examples=40)
@given(
    st.dictionaries(
        NAMES,
        st.tuples(
            st.sampled_from(["str", "int", "float", "bool", "enum"]),
            st.booleans(),
            st.integers(0, 2),
            WORDS,
            st.lists(WORDS, min_size=1, max_size=4, unique=True).filter(
                lambda values: len(values) > 1 or "," not in values[0]
            ),
        ),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
)
def test_what_is_written_is_read(
    wanted: dict[str, tuple[str, bool, int, str, list[str]]], listed: bool
) -> None:
    lines = []
    for name, (kind, null, lists, about, values) in wanted.items():
        word = f"enum({'|'.join(values)})" if kind == "enum" else kind
        lines.append(f"{name}{'?' * null} {'[]' * lists}{word}: {about}")
    text = "\n".join([*lines, "last_one int"])
    made = schema_of_short(f"[{text}]" if listed else text)
    made = made["items"] if listed else made
    assert list(made["properties"]) == made["required"] == [*wanted, "last_one"]
    for name, (kind, null, lists, about, values) in wanted.items():
        got = made["properties"][name]
        assert got["description"] == about
        assert isinstance(got["type"], list) == null
        for _ in range(lists):
            got = got["items"]
        if kind == "enum":
            assert [each for each in got["enum"] if each is not None] == values


@given(st.text(alphabet="[]ab,:?|()\n \t intenum", max_size=40))
def test_any_text_is_a_schema_or_an_error(text: str) -> None:
    try:
        made = schema_of_short(text)
    except StreamError:
        return
    Schema(made)


def test_where_the_schema_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = Files(Stdin(lambda note: None, lambda: 0.0, closed=True))
    Path("person").write_bytes(b"\xef\xbb\xbfname\nage int: in years, about\n")
    Path("point.json").write_text('{"type": "object"}')
    Path("list.txt").write_text("[name]")
    assert schema_of("person", files) == fields(
        name=STR, age={**INT, "description": "in years, about"}
    )
    assert schema_of("point.json", files) == {"type": "object"}
    assert schema_of("list.txt", files) == {"type": "array", "items": fields(name=STR)}
    Path("folder").mkdir()
    assert schema_of("folder", files) == fields(folder=STR)
    assert schema_of("name str", files) == fields(name=STR)
    assert schema_of(' {"type": "array"}', files) == {"type": "array"}
    for bad, says in (
        ("persona.json", "no such file"),
        ("./persona", "no such file"),
        ("persona.txt", "not understood, and no file has that name"),
        ("{nope", "is not JSON"),
        ('{"a":' * 100 + "1" + "}" * 100, "nested more than 64"),
    ):
        with pytest.raises(StreamError, match=says):
            schema_of(bad, files)
