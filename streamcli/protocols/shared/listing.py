"""Find and read the lists of servers: models, skills of agents, or a status. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ...request import Target, join_url

# Patterns are text: they are compiled only when models are listed.
_OPERATIONS = (
    r"(/v1)?/(chat/completions|completions|responses|messages)$|/api(/chat|/generate)?$|/models$"
)
_VERSION = r"/v\d\w*$"


class Listing:
    """A list that a server offers.

    `what` names it: "models", an agent's "skills", or "status" (not a list, but a read that creates
    nothing and proves that key and address work). `url` returns the list's URL from any base URL.
    `place` is the field of the response with the list (a bare array is accepted too), `ids` are the
    fields with an object's id. `model` is the model of the request whose headers are sent; "" if a
    request takes none.
    """

    __slots__ = ("ids", "model", "place", "url", "what")

    def __init__(
        self,
        what: str,
        url: Callable[[str], str],
        place: str = "data",
        ids: tuple[str, ...] = ("id", "name"),
        model: str = "any",
    ) -> None:
        self.what = what
        self.url = url
        self.place = place
        self.ids = ids
        self.model = model

    def address(self, target: Target, options: Mapping[str, Any]) -> str:
        """Return the list's URL at `target`; `options` are those of `-o`."""
        return self.url(target.base_url)

    def fits(self, value: Any) -> bool:
        """Return whether a response can be what was asked for."""
        return self.what != "status" or (isinstance(value, dict) and self.place in value)

    def names(self, value: Any) -> list[str]:
        """Return the ids in the response, a list of strings or objects."""
        if isinstance(value, dict):
            # Gateways answer for other vendors with a list of OpenAI's form.
            value = value.get(self.place) or value.get("data") or value.get("models")
        names = []
        for each in value if isinstance(value, list) else ():
            if isinstance(each, dict):
                each = next((each[name] for name in self.ids if each.get(name)), None)
            if isinstance(each, str):
                names.append(" ".join(each.removeprefix("models/").split()))
        return names


def models_below(version: str = "") -> Callable[[str], str]:
    """Return a function that returns {base}/models; `base` may be the URL of an operation.

    `version` is put before /models if the base has no version of its own.
    """

    def url(base: str) -> str:
        base, query, tail = base.partition("?")
        base = re.sub(_OPERATIONS, lambda found: found[1] or "", base.rstrip("/"))
        if version and not re.search(_VERSION, base):
            base += version
        return join_url(base + query + tail, "/models")

    return url


def with_field(query: str, field: str) -> str:
    """Return `query` with one more `name=value`."""
    return "&".join(filter(None, (query, field)))
