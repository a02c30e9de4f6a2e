"""The question of a batch's task: its route, its requests, and the fields of its records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..messages import ChatRequest
from ..providers.endpoint import Endpoint
from .routes import Route

if TYPE_CHECKING:
    from ..answer.schema_check import Matching
    from ..input.rows import Row


class Question:
    """A prompt for one route: `chats` has a request for each of the route's endpoints.

    `route` is None for a line that cannot be read. `tags` are the fields that identify the prompt
    in records (index, id, source, target). `matching` checks the answer against a schema. `hash`
    and `occurrence` are known only where records are wanted. `row` is the row of --rows from which
    the prompt was filled in.
    """

    __slots__ = ("chats", "hash", "matching", "occurrence", "route", "row", "tags")

    def __init__(
        self,
        route: Route | None,
        chats: list[ChatRequest],
        tags: dict[str, Any],
        *,
        matching: Matching | None = None,
        hash: str | None = None,
        occurrence: int = 0,
        row: Row | None = None,
    ) -> None:
        self.route = route
        self.chats = chats
        self.tags = tags
        self.matching = matching
        self.hash = hash
        self.occurrence = occurrence
        self.row = row

    @property
    def route_name(self) -> str:
        return self.route.name if self.route is not None else ""

    def endpoint(self, number: int) -> Endpoint | None:
        """Return the endpoint of the route with that index."""
        return self.route.endpoints[number] if self.route is not None else None

    @property
    def prompt(self) -> str | None:
        """The text of the prompt; None for a line that cannot be read."""
        return self.chats[0].prompt if self.chats else None

    def __str__(self) -> str:
        """Return the name of the prompt in messages: `prompt 3 (id) to MODEL`."""
        name = f"prompt {self.tags['index'] + 1}"
        own = self.tags.get("id", self.tags.get("source"))
        if own is not None:
            name += f" ({str(own)[-40:] if 'source' in self.tags else str(own)[:40]})"
        return name + (f" to {self.tags['target']}" if "target" in self.tags else "")
