"""The rows of a batch: what --rows and --into exclude, and how rows are written back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import usage
from ..input.text import arguments_text
from ..settings.formats import format_of
from ..settings.settings import Settings

if TYPE_CHECKING:
    from ..input.rows import Table
    from ..output.rows import RowFormat


def check_rows(settings: Settings) -> None:
    """Raise a usage error for what --rows or --into excludes."""
    if settings.rows is not None and settings.replace is not None:
        raise usage("--rows and --replace exclude each other", "{field} in the words")
    if settings.into is None:
        if settings.force:
            raise usage("--force needs --into", "--into FIELD")
        return
    arguments_text(settings.into)
    if not settings.into:
        raise usage("--into names no field", "--into FIELD")
    if settings.rows is None:
        raise usage("--into needs --rows", "--rows 'Sum up: {text}'")
    if format_of(settings.format).records:
        raise usage(
            f"--into and --{settings.format} both write to stdout", "--events FILE has the records"
        )
    if settings.output is not None:
        raise usage("--into writes the rows to stdout, and -O the texts to files", "> FILE")
    if settings.resume:
        raise usage("--into writes every row, and --resume leaves some out", "--reuse FILE")
    if settings.compares or (settings.repeat or 1) > 1:
        raise usage("--into has one answer for each row", "one -m, and no --repeat")


def row_format(
    settings: Settings, table: Table | None, schema: dict[str, Any] | None
) -> RowFormat | None:
    """Return how rows are written back."""
    if table is None or settings.into is None:
        return None
    from ..output.rows import RowFormat

    return RowFormat(table, settings.into, schema, force=settings.force)
