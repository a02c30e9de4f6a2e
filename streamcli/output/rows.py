"""--into: the rows of --rows, written back with the answer in a field of its own."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import orjson

from ..errors import usage
from ..events import Event, Text
from ..input.rows import Row, Table
from ..outcome import Outcome, Verdict
from ..terminal.sanitize import Sanitizer
from ..wire.lenient_json import json_values
from .sink import Writer

if TYPE_CHECKING:
    from .shape import Shape

SPREAD = "*"  # --into: each field of the schema has its own


class RowFormat:
    """Writes rows of a table back, with answers in the field `into` or in the schema's fields."""

    def __init__(
        self, table: Table, into: str, schema: dict[str, Any] | None, *, force: bool
    ) -> None:
        """Raise a usage error for a field that is there already, unless `force` replaces it."""
        self._table = table
        self._spread = into == SPREAD
        self._parses = schema is not None
        self._force = force
        self._into = _fields_of(schema) if self._spread else [into]
        there = [name for name in self._into if name in table.names]
        if there and not force:
            fields = " and ".join(f"'{name}'" for name in there)
            raise usage(f"the rows have a field {fields} already", "--force replaces it")
        self._added = [name for name in self._into if name not in there]

    def header(self) -> bytes:
        """Return the header of a CSV, with its newline; b"" for other tables."""
        if self._table.kind != "csv" or not self._table.names:
            return b""
        bom = b"\xef\xbb\xbf" if self._table.bom else b""
        return bom + self._csv([*self._table.names, *self._added])

    def line(self, row: Row, answer: str | None) -> bytes:
        """Return the line of a row with its answer; its fields are empty if there is none."""
        texts = self._texts(answer)
        if self._table.kind == "csv":
            return self._csv(self._cells(row, texts))
        values = {name: "null" if text is None else text for name, text in texts.items()}
        if not self._force:  # a row that has the field already was refused, and keeps its value
            for name, _ in row.cells:
                values.pop(name, None)
        cells = [(name, values.pop(name, raw)) for name, raw in row.cells]
        members = [f"{_quoted(name)}:{raw}" for name, raw in (*cells, *values.items())]
        return ("{" + ",".join(members) + "}\n").encode()

    def _texts(self, answer: str | None) -> dict[str, str | None]:
        """Return the text of each added field: a cell of CSV, or a value as JSON text."""
        if answer is None:
            return dict.fromkeys(self._into)
        if not self._parses:
            return {self._into[0]: self._text(answer)}
        value = json_values(answer.encode())[0]
        if not self._spread:
            return {self._into[0]: self._text(value)}
        fields = value if isinstance(value, dict) else {}
        return {name: self._text(fields[name]) if name in fields else None for name in self._into}

    def _text(self, value: Any) -> str | None:
        if self._table.kind == "csv" and isinstance(value, str):
            return value
        if self._table.kind == "csv" and value is None:
            return None
        try:
            return orjson.dumps(value).decode()
        except TypeError:  # an integer beyond 64 bits, half a surrogate pair
            from json import dumps

            return dumps(value, separators=(",", ":"))

    def _cells(self, row: Row, texts: dict[str, str | None]) -> list[str]:
        names = self._table.names
        cells = list(row.cells)
        for at, name in enumerate(names):
            if name in texts:
                cells[at] = texts[name] or ""
        added = [texts[name] or "" for name in self._added]
        return [*cells[: len(names)], *added, *cells[len(names) :]]

    def _csv(self, cells: Sequence[str]) -> bytes:
        out = StringIO(newline="")
        # With this end of line Python quotes a CR too, which would end a row elsewhere.
        dialect = {**self._table.dialect, "lineterminator": "\r\n"}
        csv.writer(out, **dialect).writerow(cells)
        end: str = self._table.dialect["lineterminator"]
        line = out.getvalue().removesuffix("\r\n") + end
        return line.encode("utf-8", "surrogateescape")


class RowSink:
    """Collects the text of one answer, and writes its row with it."""

    def __init__(
        self,
        out: Writer,
        format: RowFormat,
        row: Row,
        shape: Shape | None,
        *,
        sanitize: bool = False,
    ) -> None:
        self._sanitize = sanitize
        self._out = out
        self._format = format
        self._row = row
        self._shape = shape
        self._text: list[str] = []

    def emit(self, t_ms: float, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Text) and not event.choice:
                shape = self._shape
                self._text.append(event.text if shape is None else shape.feed(event.text))

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        answer: str | None = None
        if verdict.exit_code == 0 and outcome.end is not None:
            rest = self._shape.close() if self._shape is not None else ""
            answer = ("".join(self._text) + rest).rstrip("\n")
        try:
            data = self._format.line(self._row, answer)
        except ValueError:  # a mismatch that was accepted: it is not JSON
            data = self._format.line(self._row, None)
        self._out.write(visible(data) if self._sanitize else data)


def visible(data: bytes) -> bytes:
    """Return a row with its control characters made visible."""
    clean = Sanitizer()
    text = data.decode("utf-8", "backslashreplace")
    return (clean.feed(text) + clean.close()).encode()


def _fields_of(schema: dict[str, Any] | None) -> list[str]:
    fields = (schema or {}).get("properties")
    if not isinstance(fields, dict) or not fields:
        hint = "--schema 'name, age int', or --into FIELD"
        raise usage("--into '*' needs a schema with fields", hint)
    return list(fields)


def _quoted(name: str) -> str:
    try:
        return orjson.dumps(name).decode()
    except TypeError:  # half a surrogate pair
        from json import dumps

        return dumps(name)
