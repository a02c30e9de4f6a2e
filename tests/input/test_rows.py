"""Rows of a table: how they are read, filled in, and written back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.errors import StreamError
from streamcli.input.row_fields import filler
from streamcli.input.rows import Row, Table, members, read
from streamcli.output.rows import RowFormat


def table_of(data: bytes, kind: str = "auto", *more: bytes) -> tuple[Table, list[Any]]:
    files = [
        iter(each.split(b"\n")[: None if each[-1:] != b"\n" else -1]) for each in (data, *more)
    ]
    table, rows = read(files, kind)
    return table, list(rows)


def back(table: Table, rows: list[Any], answer: str | None = "A", **kwargs: Any) -> bytes:
    format = RowFormat(table, "new", None, **{"force": False, **kwargs})
    return format.header() + b"".join(format.line(row, answer) for _, row, _ in rows)


CELLS = st.text(alphabet="ab\"',;|\t\n\r\\ =é\0\ufeff", max_size=6)
NAMES = st.lists(st.from_regex(r"[a-z]{1,4}", fullmatch=True), min_size=2, max_size=4, unique=True)


@settings(max_examples=50)
@given(
    NAMES.filter(lambda names: "new" not in names),
    st.lists(st.lists(CELLS, min_size=4, max_size=4), max_size=5),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
    st.booleans(),
)
def test_any_csv_comes_back_as_it_was(
    names: list[str],
    rows: list[list[str]],
    delimiter: str,
    terminator: str,
    quoting: Any,
    bom: bool,
    ended: bool,
) -> None:
    rows = [row[: len(names)] for row in rows]
    dialect = {"delimiter": delimiter, "lineterminator": "\r\n", "quoting": quoting}

    def written(lines: list[list[str]]) -> bytes:
        made = []
        for line in lines:
            out = io.StringIO(newline="")
            csv.writer(out, **dialect).writerow(line)
            made.append(out.getvalue().removesuffix("\r\n") + terminator)
        return "".join(made).encode()

    data = b"\xef\xbb\xbf" * bom + written([names, *rows])
    if rows and not ended:
        data = data.removesuffix(terminator.encode())
    table, found = table_of(data)
    assert table.names == names
    assert [row.cells for _, row, _ in found] == rows
    assert [trouble for *_, trouble in found] == [None] * len(rows)
    for _, row, _ in found:
        assert row.fields == dict(zip(names, row.cells, strict=True))
    wanted = written([[*names, "new"], *([*row, 'x"\n,'] for row in rows)])
    assert back(table, found, 'x"\n,') == b"\xef\xbb\xbf" * bom + wanted


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=50)
@given(
    st.lists(st.dictionaries(st.text(max_size=4), JSON, max_size=4), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_any_object_comes_back_as_it_was(
    objects: list[dict[str, Any]], ascii: bool, separators: tuple[str, str]
) -> None:
    objects = [{k: v for k, v in each.items() if k != "new"} for each in objects]
    lines = [json.dumps(each, ensure_ascii=ascii, separators=separators) for each in objects]
    table, found = table_of("\n".join(lines).encode("utf-8", "surrogatepass"), "jsonl")
    assert [dict((k, json.loads(v)) for k, v in row.cells) for _, row, _ in found] == objects
    out = [json.loads(line) for line in back(table, found, 'x"\n').splitlines()]
    assert out == [{**each, "new": 'x"\n'} for each in objects]
    assert [list(each) for each in out] == [[*each, "new"] for each in objects]


def test_numbers_keep_the_digits_they_were_written_with() -> None:
    line = (
        b'{"n": 1.10, "big": 123456789012345678901234567890, "e": 1E5, "z": -0.0, "u": "\\u00e9"}\n'
    )
    table, found = table_of(line)
    fields = found[0][1].fields
    assert fields["n"] == "1.10"
    assert fields["u"] == "é"
    written = back(table, found)
    for piece in (
        b":1.10,",
        b":123456789012345678901234567890,",
        b":1E5,",
        b":-0.0,",
        b'"\\u00e9"',
    ):
        assert piece in written


def test_half_a_surrogate_pair_in_a_name_stays_one() -> None:
    table, found = table_of(b'{"\\ud800": "\\udfff", "a": 1}\n')
    assert back(table, found) == b'{"\\ud800":"\\udfff","a":1,"new":"A"}\n'
    assert found[0][1].fields["\ud800"] == "\ufffd"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[1]", "does not begin with '{'"),
        ("{1: 2}", "a name is not a string"),
        ('{"a" 1}', "a colon is missing"),
        ('{"a": 1 "b": 2}', "a comma is missing"),
        ('{"a": 1} {"b": 2}', "more behind it"),
        ('{"a": }', "Expecting value"),
        ('{"a": 1', "a comma is missing"),
        ('{"a": 1,}', "Expecting value"),
        ('{"a": ' + "[" * 50_000, "nested too deeply"),
    ],
)
def test_what_is_not_an_object(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("{", r"\{")):
        members(line)
    table, found = table_of(b'{"a": 1}\n' + line.encode() + b'\n{"a": 2}\n')
    troubles = [trouble for *_, trouble in found]
    assert troubles[0] is troubles[2] is None
    assert troubles[1] is not None
    assert "line 2 is not a JSON object" in troubles[1].message


@pytest.mark.parametrize(
    ("data", "names", "rows"),
    [
        (b"a,b\n1,2\n", ["a", "b"], [["1", "2"]]),
        (b"a;b\n1,5;2\n", ["a", "b"], [["1,5", "2"]]),
        (b"a\tb\n1\t2\n", ["a", "b"], [["1", "2"]]),
        (b'"a;b",c\n1,2\n', ["a;b", "c"], [["1", "2"]]),
        (b"a\r\n1\r\n\r\n2", ["a"], [["1"], ["2"]]),
        (b"a,b\n1\n", ["a", "b"], [["1", ""]]),
        (b"a,b\n1,2,3\n", ["a", "b"], [["1", "2", "3"]]),
        (b'a\n"x\ny"\n', ["a"], [["x\ny"]]),
        (b"a\n=1+1\n-2\n@x\n", ["a"], [["=1+1"], ["-2"], ["@x"]]),
        (b"", [], []),
        (b"\xef\xbb\xbf", [], []),
        (b"a,b", ["a", "b"], []),
    ],
)
def test_how_a_csv_is_read(data: bytes, names: list[str], rows: list[list[str]]) -> None:
    table, found = table_of(data, "csv")
    assert table.names == names
    assert [row.cells for _, row, _ in found] == rows


def test_a_row_that_is_wrong_fails_alone_and_is_written_back() -> None:
    data = b"a,b\n1,\xff\n1,2,3\n4,5\n"
    table, found = table_of(data)
    said = [trouble.message if trouble else None for *_, trouble in found]
    assert said == ["row 1 is not UTF-8", "row 2 has 3 fields, and the header has 2", None]
    assert back(table, found, None) == b"a,b,new\n1,\xff,\n1,2,,3\n4,5,\n"


def test_several_files_have_one_header() -> None:
    table, found = table_of(b"a,b\n1,2\n", "csv", b"\xef\xbb\xbfa,b\n3,4", b"")
    assert [(number, row.cells) for number, row, _ in found] == [(0, ["1", "2"]), (1, ["3", "4"])]
    with pytest.raises(StreamError, match="file 2 has another header: a, c"):
        table_of(b"a,b\n1,2\n", "csv", b"a,c\n3,4\n")
    _, found = table_of(b"", "jsonl", b'\xef\xbb\xbf{"a":1}\n')
    assert [row.fields for _, row, _ in found] == [{"a": "1"}]


def test_a_lone_cr() -> None:
    table, found = table_of(b'a,b\n"x\ry",2\n')
    assert found[0][1].cells == ["x\ry", "2"]
    assert back(table, found, "1\r2") == b'a,b,new\n"x\ry",2,"1\r2"\n'
    table, found = table_of(b"a,b\r\nx\ry,\r\n\r,\r\r\n\xff\r,3\r\n")
    assert [row.cells for _, row, _ in found] == [["x\ry", ""], ["\r", "\r"], ["\udcff\r", "3"]]
    assert [trouble is None for *_, trouble in found] == [True, True, False]
    assert back(table, found) == b'a,b,new\r\n"x\ry",,A\r\n"\r","\r",A\r\n"\xff\r",3,A\r\n'
    with pytest.raises(StreamError, match="the header of the CSV has a lone CR"):
        table_of(b"a,b\r1,2\rx,2\r")
    table, found = table_of(b'"a\rb",c\n1,2\n', "csv", b'"a\rb",c\n3,4\n')
    assert table.names == ["a\rb", "c"]
    assert [row.cells for _, row, _ in found] == [["1", "2"], ["3", "4"]]


def test_a_quote_that_is_not_closed_ends_somewhere() -> None:
    def lines() -> Iterator[bytes]:
        yield b"a,b"
        yield b'1,"' + b"x" * 1000
        for _ in range(70):
            yield b"y" * (1 << 20)

    _, rows = read([lines()], "csv")
    with pytest.raises(StreamError, match="row 1 of the CSV cannot be read"):
        list(rows)


@pytest.mark.parametrize(
    "data",
    [
        b'a,b\n1,"x\n2,y\n',
        b'a,b\r\n1,"x\r\n2,y\r\n',
        b'a,b\n1,"x',
        b'a,b\n1,"x""\n',
        b'a,b\n1,"x\n""\n',
        b'a,b\n1,"\n',
        b'a\n"\n',
        b'a,b\n1,x\n2,"y\n3,5"" z\n',
    ],
)
def test_a_quote_that_is_not_closed_fails_its_row(data: bytes) -> None:
    """Its row is the rest of the file: nothing of it is an answer that looks right."""
    *good, last = table_of(data)[1]
    assert [trouble for *_, trouble in good] == [None] * len(good)
    assert last[2] is not None
    assert f"row {len(good) + 1} has a quote that is not closed" in last[2].message


@pytest.mark.parametrize(
    "data",
    [
        b'a,b\n1,"x\n"\n',
        b'a,b\r\n1,"x\r\n"\r\n',
        b'a\n"\n"',
        b'a,b\n1,"x\n\n"\n2,5" pipe\n',
        b'a,b\n"\n",2\n\n',
    ],
)
def test_a_newline_at_the_end_of_a_field_is_one(data: bytes) -> None:
    assert [trouble for *_, trouble in table_of(data)[1]][0] is None


def test_a_header_without_the_end_of_a_quote() -> None:
    with pytest.raises(StreamError, match="the header of the CSV has a quote"):
        table_of(b'a,"b\n1,2\n', "csv")


def test_cells_of_ten_megabytes() -> None:
    big = "x" * 10_000_000
    table, found = table_of(f"a,b\n{big},1\n".encode())
    assert found[0][1].fields["a"] == big
    assert back(table, found) == f"a,b,new\n{big},1,A\n".encode()


# Filling in


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{a} and {b}", "1 and {b}2"),
        ("{a}{a}", "11"),
        ("{{a}} {{{a}}}", "{a} {1}"),
        ('{"key": {a}, "x y": {} }', '{"key": 1, "x y": {} }'),
        ("{ a } {1} {a.b} {a", "{ a } {1} {a.b} {a"),
        ("é{größe}", "é{{}}"),
        ("}} {{", "} {"),
    ],
)
def test_fields_are_filled_in_once(text: str, filled: str) -> None:
    fields = {"a": "1", "b": "{b}2", "größe": "{{}}"}
    assert filler(text, list(fields), "the prompt")(fields) == filled


def test_an_unknown_field_names_those_that_are_there() -> None:
    with pytest.raises(StreamError) as caught:
        filler("{nope}", ["a", "b"], "the prompt")
    assert "the field 'nope', and the rows have a, b" in caught.value.message
    assert caught.value.exit_code == 2
    with pytest.raises(StreamError, match="the rows have a, ' b', ''"):
        filler("{b}", ["a", " b", ""], "the prompt")
    with pytest.raises(StreamError, match="two columns are called 'a'"):
        filler("{a}", ["a", "a"], "the prompt")
    with pytest.raises(StreamError, match="it has no field 'a'"):
        filler("{a}", ["a"], "the prompt")({})


# Writing back


def test_what_a_value_becomes() -> None:
    schema = {"type": "object", "properties": {"n": {}, "t": {}, "z": {}, "l": {}, "gone": {}}}
    answer = '{"t": "x, \\"y\\"", "n": 1.5, "l": [1, {"a": null}], "z": null}'
    table, found = table_of(b"id\n7\n")
    spread = RowFormat(table, "*", schema, force=False)
    assert spread.header() == b"id,n,t,z,l,gone\n"
    line = spread.line(found[0][1], answer)
    assert next(csv.reader([line.decode()])) == ["7", "1.5", 'x, "y"', "", '[1,{"a":null}]', ""]
    one = RowFormat(table, "v", schema, force=False)
    assert json.loads(next(csv.reader([one.line(found[0][1], answer).decode()]))[1])["n"] == 1.5
    table, found = table_of(b'{"id": 7}\n')
    spread = RowFormat(table, "*", schema, force=False)
    assert json.loads(spread.line(found[0][1], answer)) == {
        "id": 7,
        **json.loads(answer),
        "gone": None,
    }
    assert json.loads(spread.line(found[0][1], None)) == {
        "id": 7,
        **dict.fromkeys(schema["properties"]),
    }
    with pytest.raises(StreamError, match="needs a schema with fields"):
        RowFormat(table, "*", {"type": "array"}, force=False)


def test_a_field_that_is_there_is_replaced_only_by_force() -> None:
    table, found = table_of(b"a,b,c\n1,2,3\n")
    with pytest.raises(StreamError, match="a field 'b' already"):
        RowFormat(table, "b", None, force=False)
    forced = RowFormat(table, "b", None, force=True)
    assert forced.header() == b"a,b,c\n"
    assert forced.line(found[0][1], "new") == b"1,new,3\n"
    assert forced.line(found[0][1], None) == b"1,,3\n"
    objects, rows = table_of(b'{"a":1,"b":2}\n')
    assert RowFormat(objects, "b", None, force=True).line(rows[0][1], "x") == b'{"a":1,"b":"x"}\n'
    late = RowFormat(table_of(b'{"a":1}\n')[0], "b", None, force=False)
    assert late.line(Row({}, [("b", "2")]), None) == b'{"b":2}\n'  # it is not emptied
