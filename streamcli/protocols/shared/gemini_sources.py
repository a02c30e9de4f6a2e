"""What an answer of Gemini's rests on: quotations and search results, as citations. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...events import Citation
from ...wire.lenient_json import natural, words


def citations(candidate: dict[str, Any]) -> Iterator[Citation]:
    yield from _quotes(candidate)
    yield from _grounds(candidate)


def _quotes(candidate: dict[str, Any]) -> Iterator[Citation]:
    """Passages that stand elsewhere. A start of 0 is left out on the wire."""
    metadata = candidate.get("citationMetadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    sources = metadata.get("citations") or metadata.get("citationSources")
    for source in sources if isinstance(sources, list) else ():
        if isinstance(source, dict):
            yield from _citation(source, source)


def _grounds(candidate: dict[str, Any]) -> Iterator[Citation]:
    """What a search found, once for each passage that rests on it."""
    metadata = candidate.get("groundingMetadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    chunks, supports = metadata.get("groundingChunks"), metadata.get("groundingSupports")
    sources = [
        next((each for each in chunk.values() if isinstance(each, dict) and "uri" in each), {})
        for chunk in (chunks if isinstance(chunks, list) else ())
        if isinstance(chunk, dict)
    ]
    used = set()
    for support in supports if isinstance(supports, list) else ():
        if not isinstance(support, dict):
            continue
        segment, numbers = support.get("segment"), support.get("groundingChunkIndices")
        for number in numbers if isinstance(numbers, list) else ():
            if type(number) is int and 0 <= number < len(sources):
                used.add(number)
                yield from _citation(sources[number], segment)
    for number, source in enumerate(sources):
        if number not in used:
            yield from _citation(source, None)


def _citation(source: dict[str, Any], passage: Any) -> Iterator[Citation]:
    url, title = words(source.get("uri")), words(source.get("title"))
    start = end = None
    if isinstance(passage, dict) and natural(passage.get("endIndex")) is not None:
        start, end = passage.get("startIndex", 0), passage["endIndex"]
    if url or title:
        yield Citation(url, title, natural(start), end)
