"""Read the parts of Cohere's events: calls, sources, token counts. Pure."""

from __future__ import annotations

from typing import Any

from ...events import Citation, Event, Usage
from ...wire.lenient_json import count, natural, words


class Call:
    """A tool call that has begun."""

    __slots__ = ("arguments", "id", "name", "pieces")

    def __init__(self, id: str, name: str) -> None:
        self.id = id
        self.name = name
        self.pieces: list[str] = []
        self.arguments: Any = None  # if they come as an object


def items(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list, or the one object in place of a list."""
    items = value if isinstance(value, list) else (value,)
    return [item for item in items if type(item) is dict]


def cite(citation: dict[str, Any], out: list[Event]) -> None:
    """Give each source of a citation; a source without title and URL has its id as title."""
    start, end = citation.get("start"), citation.get("end")
    sources = items(citation.get("sources"))
    ids = citation.get("document_ids")  # v1
    sources += [{"id": id} for id in (ids if isinstance(ids, list) else ())]
    for source in sources:
        facts = source.get("document") or source.get("tool_output")
        facts = facts if isinstance(facts, dict) else {}
        url, title = words(facts.get("url")), words(facts.get("title"))
        title = title or words(source.get("id"))
        out.append(Citation(url, title, natural(start), natural(end)))


def usage_of(usage: dict[str, Any]) -> Usage:
    """Return the token counts; the billed ones, which exclude Cohere's own prompt, if need be."""
    tokens = usage.get("tokens") or usage.get("billed_units")
    tokens = tokens if isinstance(tokens, dict) else {}
    return Usage(
        count(tokens.get("input_tokens")),
        count(tokens.get("output_tokens")),
        count(tokens.get("reasoning_tokens")),
        cache_read_tokens=count(usage.get("cached_tokens")),
    )
