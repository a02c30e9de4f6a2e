"""Make the prompts of --rows: fill each row into the words, the system prompt and the prefill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from ..errors import StreamError, usage
from ..settings.invocation import Invocation
from ..wire.lenient_json import whole
from .chat_options import system_of
from .files import Files
from .item import Item
from .prompt import LITERAL_DASH
from .row_fields import filler, has_fields
from .rows import Read, Table, read
from .stdin import has_stdin
from .text import arguments_text


def row_items(
    invocation: Invocation, pieces: Sequence[Iterator[bytes]], files: Files
) -> tuple[Table, Iterator[Item]]:
    """Return the table, and an item for each of its rows. `pieces` are the lines of each file.

    Usage errors for a field that the rows do not have.
    """
    settings = invocation.settings
    assert settings.rows is not None
    if "-" in invocation.words:
        raise usage("--rows fills in the words, so '-' has no place among them", "{field}")
    if has_stdin(invocation.words):
        raise usage("--rows has no text for the template's {{stdin}}", "{field}")
    table, rows = read(pieces, settings.rows)
    words = [arguments_text(word).replace(LITERAL_DASH, "-") for word in invocation.words]
    texts = {"prompt": " ".join(words)}
    if settings.system is not None and "system" in invocation.typed:
        texts["system"] = system_of(settings.system, files) or ""
    if settings.prefill is not None and "prefill" in invocation.typed:
        texts["prefill"] = arguments_text(settings.prefill)
    if not has_fields(texts.values()):
        raise usage("the words name no field of the rows", "stream --rows 'Sum up: {text}'")
    return table, _items(table, rows, texts, _new_field(settings.into, settings.force))


def _new_field(into: str | None, force: bool) -> str | None:
    return None if force or into == "*" else into


def _items(
    table: Table, rows: Iterator[Read], texts: dict[str, str], new_field: str | None
) -> Iterator[Item]:
    where = {"prompt": "the prompt", "system": "--system", "prefill": "--prefill"}
    known = table.names
    fill = {name: filler(text, known, where[name]) for name, text in texts.items() if known}

    def items() -> Iterator[Item]:
        for number, row, trouble in rows:
            id = _id_of(row.cells, row.fields)
            try:
                if trouble is not None:
                    raise trouble
                if new_field is not None and new_field in row.fields:
                    raise usage(f"it has a field '{new_field}' already", "--force replaces it")
                filled = {name: each(row.fields) for name, each in fill.items()}
            except StreamError as error:
                if error is not trouble:
                    error = usage(f"row {number + 1}: {error.message}", error.hint)
                yield Item(number, trouble=error, id=id, row=row)
                continue
            prompt = filled.pop("prompt")
            yield Item(number, prompt, id=id, row=row, changes=filled)

    return items()


def _id_of(cells: list[Any], fields: Any) -> str | int | None:
    """Return the row's own id: the text of that column, or a text or whole number."""
    given = fields.get("id")
    if not given:
        return None
    raw = next((each[1] for each in cells if isinstance(each, tuple) and each[0] == "id"), None)
    if raw is None:
        return whole(str(given))
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if type(value) in (str, int) else None
