"""One prompt of a batch, as the input gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..errors import StreamError
    from .request_line import Request
    from .rows import Row


class Item:
    """One prompt of the input.

    `index` is its position from 0, skipped ones counted. `prompt` is its text, or `request` its
    line of --requests. `trouble` is the error for which it cannot be asked. `id` is the line's own,
    `source` the name of its file (--files). `row` is the row of --rows from which it was filled in,
    and `changes` are the fields of the request, besides the prompt, that were filled in too.
    """

    __slots__ = ("changes", "id", "index", "prompt", "request", "row", "source", "trouble")

    def __init__(
        self,
        index: int,
        prompt: str = "",
        request: Request | None = None,
        trouble: StreamError | None = None,
        id: str | int | None = None,
        source: str | None = None,
        row: Row | None = None,
        changes: Mapping[str, str] | None = None,
    ) -> None:
        self.index = index
        self.source = source
        self.row = row
        self.changes = changes or {}
        self.id = request.id if request is not None else id
        self.prompt = prompt
        self.request = request
        self.trouble = trouble

    @property
    def model(self) -> str | None:
        """The model that its line names."""
        return self.request.model if self.request is not None else None
