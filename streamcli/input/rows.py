"""Read the rows of a table one by one, for --rows: CSV, TSV, or objects in JSON Lines."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from ..errors import StreamError, usage
from .text import BOM, decode

_DELIMITERS = ",;\t|"
# Stands for a CR inside of a line, which the csv module would take for the end of a row, and fail.
# (Bytes that are not UTF-8 become U+DC80 to U+DCFF.)
_CR = "\udc0d"
_DOUBLED = 'a quote inside a quoted field is written ""'
_LARGEST = 64 << 20  # characters of a field: more is a quote that is not closed


class Row:
    """One row: `fields` are the texts for the prompt, by name.

    `cells` holds all of it as it was read: the cells of a CSV, or (name, JSON text) of an object.
    """

    __slots__ = ("cells", "fields")

    def __init__(self, fields: Mapping[str, str], cells: list[Any]) -> None:
        self.fields = fields
        self.cells = cells


class Table:
    """The columns and the form that all rows of an input share.

    `kind` is "csv" or "jsonl"; `names` are the header's, or the fields of the first object. `bom`
    and `dialect` are those of the CSV.
    """

    def __init__(self, kind: str, names: list[str], *, bom: bool = False) -> None:
        self.kind = kind
        self.names = names
        self.bom = bom
        self.dialect: dict[str, Any] = {}


# (the number of a row from 0, the row as far as it could be read, the error if it could not)
Read = tuple[int, Row, StreamError | None]


def read(files: Sequence[Iterator[bytes]], kind: str) -> tuple[Table, Iterator[Read]]:
    """Return the table and its rows, from each file's lines without their newlines. Usage errors.

    `kind` is "csv", "tsv", "jsonl", or "auto" for what the first line looks like.
    """
    first, bom, files = _first_line(files)
    if kind == "auto":
        kind = "jsonl" if first.lstrip()[:1] == b"{" else "csv"
    if kind == "jsonl":
        return _objects(chain.from_iterable(files))
    return _cells(files, first, "\t" if kind == "tsv" else "", bom)


def _first_line(
    files: Sequence[Iterator[bytes]],
) -> tuple[bytes, bool, list[Iterator[bytes]]]:
    """Return the first line, whether it has a BOM, and the files from there on without theirs."""
    line, bom = b"", False
    left = list(files)
    while left:
        if (first := next(left[0], None)) is not None:
            bom = first.startswith(BOM)
            line = first.removeprefix(BOM)
            left[0] = chain((line,), left[0])
            break
        del left[0]
    return line, bom, [*left[:1], *map(_without_bom, left[1:])]


def _without_bom(lines: Iterator[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        yield line if number else line.removeprefix(BOM)


# CSV


def _cells(
    files: Sequence[Iterator[bytes]], first: bytes, delimiter: str, bom: bool
) -> tuple[Table, Iterator[Read]]:
    csv.field_size_limit(_LARGEST)
    dialect = _dialect_of(first, delimiter)
    readers = [_Reader(lines, dialect) for lines in files]
    names = (readers[0].next_row(-1) or []) if readers else []
    if readers and readers[0].is_open(names, readers[0].line_num):
        raise usage("the header of the CSV has a quote that is not closed", _DOUBLED)
    if b'"' not in first and any(_CR in name for name in names):
        what = "the header of the CSV has a lone CR in it"
        raise usage(what, "tr '\\r' '\\n' makes lines of those of old Macs")
    table = Table("csv", [name.replace(_CR, "\r") for name in names], bom=bom)
    table.dialect = dialect
    for name in table.names:
        decode(name.encode("utf-8", "surrogateescape"), "the header")
    return table, _rows(readers, table.names)


class _Reader:
    """Reads the rows of one file. Bytes that are not UTF-8 fail their own row."""

    def __init__(self, lines: Iterator[bytes], dialect: Mapping[str, Any]) -> None:
        self._lines = lines
        self._rows = csv.reader(self._texts(), **dialect)
        self._last = ""  # the line that was read last

    def _texts(self) -> Iterator[str]:
        for line in self._lines:
            text = line.decode("utf-8", "surrogateescape")
            if b"\r" in line:
                text = text[:-1].replace("\r", _CR) + text[-1:]
            self._last = text
            yield text + "\n"

    def next_row(self, number: int) -> list[str] | None:
        """Return the next row, which has that number, or the header (-1); None at the end."""
        try:
            cells: list[str] | None = next(self._rows, None)
        except csv.Error as error:
            what = "the header" if number < 0 else f"row {number + 1}"
            hint = "look for a quote that is not closed"
            raise usage(f"{what} of the CSV cannot be read: {error}", hint) from None
        return cells

    def is_open(self, cells: list[str], lines: int) -> bool:
        """Return whether a quote of this row, of so many lines, is not closed in the whole file.

        The csv module takes the rest of the file for the cell then, with its last newline. In a
        cell that is closed, such a newline has a line with nothing but the quote behind it.
        """
        if not cells or cells[-1][-1:] != "\n":
            return False
        return lines == 1 or self._last.rstrip("\r") != '"'

    @property
    def line_num(self) -> int:
        return self._rows.line_num


def _dialect_of(first: bytes, delimiter: str) -> dict[str, Any]:
    """Return the dialect of a CSV (arguments of csv.reader), by its first line."""
    text = first.decode("utf-8", "replace")
    outside = re.sub(r'"[^"]*"?', "", text)
    if not delimiter:
        delimiter = max(_DELIMITERS, key=outside.count)
    names = text.rstrip("\r").split(delimiter)
    quoted = all(name[:1] == '"' == name[-1:] and len(name) > 1 for name in names)
    return {
        "delimiter": delimiter,
        "quoting": csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL,
        "lineterminator": "\r\n" if first.endswith(b"\r") else "\n",
    }


def _rows(readers: Sequence[_Reader], names: list[str]) -> Iterator[Read]:
    number = 0
    for place, reader in enumerate(readers):
        header = (
            [name.replace(_CR, "\r") for name in reader.next_row(number) or ()] if place else []
        )
        if header not in ([], names):
            shown = ", ".join(header)[:100]
            raise usage(f"file {place + 1} has another header: {shown}", "a run for each of them")
        lines = reader.line_num
        while (cells := reader.next_row(number)) is not None:
            if cells:  # a blank line is not a row
                is_open = reader.is_open(cells, reader.line_num - lines)
                yield _row_of(cells, names, number, is_open=is_open)
                number += 1
            lines = reader.line_num


def _row_of(cells: list[str], names: list[str], number: int, *, is_open: bool) -> Read:
    trouble = None
    text = "\0".join(cells)
    if _CR in text:
        text = text.replace(_CR, "\r")
        cells = [cell.replace(_CR, "\r") for cell in cells]
    if not text.isascii() and not _is_utf8(text):
        trouble = usage(f"row {number + 1} is not UTF-8", "iconv -f ENCODING -t UTF-8")
    elif is_open:
        what = f"row {number + 1} has a quote that is not closed, and goes to the end"
        trouble = usage(what, _DOUBLED)
    elif len(cells) > len(names):
        what = f"row {number + 1} has {len(cells)} fields, and the header has {len(names)}"
        trouble = usage(what, "quote a field that has the delimiter in it")
    values = [*cells, *[""] * (len(names) - len(cells))]
    fields = dict(zip(reversed(names), reversed(values[: len(names)]), strict=True))
    return number, Row(fields, values), trouble


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# JSON Lines


def _objects(lines: Iterator[bytes]) -> tuple[Table, Iterator[Read]]:
    rows = _numbered_objects(lines)
    table = Table("jsonl", [])
    first = next(rows, None)
    if first is None:
        return table, iter(())
    number, row, trouble = first
    if trouble is not None:
        raise trouble
    table.names = [name for name, _ in row.cells]

    def with_first() -> Iterator[Read]:
        yield number, row, None
        yield from rows

    return table, with_first()


def _numbered_objects(lines: Iterator[bytes]) -> Iterator[Read]:
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            cells = members(decode(line, f"line {number + 1}"))
        except StreamError as error:
            yield number, Row({}, []), error
        except ValueError as error:
            trouble = usage(f"line {number + 1} is not a JSON object: {error}")
            yield number, Row({}, []), trouble
        else:
            yield number, Row({name: _text_of(raw) for name, raw in cells}, cells), None


def members(text: str) -> list[tuple[str, str]]:
    """Return (name, JSON text) of an object's members; a ValueError if it is not an object.

    The values keep the text that they were written in: a long number stays what it is.
    """
    decoder = json.JSONDecoder()
    found: list[tuple[str, str]] = []
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("it does not begin with '{'")
    at = _skip(text, at + 1)
    try:
        while text[at : at + 1] != "}":
            if found:
                if text[at : at + 1] != ",":
                    raise ValueError("a comma is missing")
                at = _skip(text, at + 1)
            name, at = decoder.raw_decode(text, at)
            if not isinstance(name, str):
                raise ValueError("a name is not a string")
            at = _skip(text, at)
            if text[at : at + 1] != ":":
                raise ValueError("a colon is missing")
            start = _skip(text, at + 1)
            _, at = decoder.raw_decode(text, start)
            found.append((name, text[start:at]))
            at = _skip(text, at)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if text[at + 1 :].strip():
        raise ValueError("there is more behind it")
    return found


_BLANKS = re.compile(r"[ \t\r\n]*")


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found is not None else at


def _text_of(raw: str) -> str:
    """Return the text of a JSON value for a prompt: a string as it is, "" for null, else JSON."""
    if raw[:1] != '"':
        return "" if raw == "null" else raw
    from ..wire.lenient_json import whole

    return whole(str(json.loads(raw)))
