"""Read the parts of an output item of OpenAI Responses, in all shapes of servers. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...events import Reasoning, Refusal, Text
from .nested_text import text_in

Channel = type[Text] | type[Reasoning] | type[Refusal]

# The channel of a delta, and the type of its part in a finished item.
DELTAS: dict[str, tuple[Channel, str]] = {
    "response.output_text.delta": (Text, "output_text"),
    "response.text.delta": (Text, "output_text"),
    "response.refusal.delta": (Refusal, "refusal"),
    "response.reasoning_summary_text.delta": (Reasoning, "summary_text"),
    "response.reasoning_summary.delta": (Reasoning, "summary_text"),
    "response.reasoning_text.delta": (Reasoning, "reasoning_text"),
    "response.reasoning.delta": (Reasoning, "reasoning_text"),
    "response.reasoning_content.delta": (Reasoning, "reasoning_text"),
    "response.thinking.delta": (Reasoning, "reasoning_text"),
    "response.audio.transcript.delta": (Text, "output_audio"),
    "response.output_audio_transcript.delta": (Text, "output_audio"),
}
DONE = {kind.replace(".delta", ".done"): part for kind, (_, part) in DELTAS.items()}
CHANNELS: dict[str, Channel] = {part: channel for channel, part in DELTAS.values()}
CHANNELS["text"] = Text  # some servers write the type of Chat Completions
# The fields that may hold a part's text; the documented ones come first.
_FIELDS = ("text", "refusal", "transcript", "content", "value", "json")


def parts_of(item: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (index, part) of an item; each part has a type of CHANNELS.

    Servers also write strings and numbers as parts, and parts with a wrong type or none: in a
    message every part with text is text.
    """
    kind = item.get("type")
    thinks = kind == "reasoning"
    for field, usual in (("summary", "summary_text"), ("content", "reasoning_text")):
        parts = item.get(field)
        if field == "summary" and not thinks:
            usual = "text"
            parts = parts if isinstance(parts, list) else None
        elif not thinks:
            usual = "text"
        if field == "content" and parts is None and thinks:
            parts = item.get("text")
        if parts is None or not (thinks or kind in ("message", None) or isinstance(parts, list)):
            continue
        for index, part in enumerate(parts if isinstance(parts, list) else [parts]):
            if (plain := _part(part, usual)) is not None:
                yield index, plain


def _part(part: Any, usual: str) -> dict[str, Any] | None:
    """Return a part with a type, `usual` if it has none that we know; None if it has no text."""
    if part in (None, ""):
        return None
    if not isinstance(part, dict):
        return {"type": usual, "text": part}
    kind = part.get("type")
    if isinstance(kind, str) and kind in CHANNELS:
        return part
    if any(part.get(name) not in (None, "") for name in _FIELDS) or not isinstance(kind, str):
        return {**part, "type": usual}
    return None


def text_of_part(part: dict[str, Any]) -> Any:
    """Return the text of a part, a string or a number; None without any.

    A part of unknown form is returned itself, so that it becomes an error.
    """
    for name in _FIELDS:
        if (value := part.get(name)) not in (None, ""):
            return text_in(value)
    known = part.keys() & {*_FIELDS, "annotations", "logprobs", "item_id", "sequence_number"}
    return None if known else part


def place_of(value: dict[str, Any]) -> tuple[Any, int]:
    """Return (item, index of the part) that an event is about."""
    item = value.get("output_index")
    if type(item) is not int:  # llama.cpp
        item = value.get("item_id")
        item = item if type(item) is str else ""
    index = value.get("content_index")
    if type(index) is not int:
        index = value.get("summary_index")
        index = index if type(index) is int else 0
    return item, index
