"""The output items of OpenAI Responses, each part of them given once. Pure.

A server tells a text up to five times: in deltas, in the event that ends them, in the finished
part, in the finished item and in the finished response. Where there are no deltas (LM Studio sends
some reasoning and arguments so), the first of the others counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...events import Citation, Event, Reasoning, Refusal, Text, ToolCall
from ...wire.lenient_json import natural, words
from .arguments import text_of

Channel = type[Text] | type[Reasoning] | type[Refusal]

# What a delta adds to: its channel, and the type of its part in a finished item.
DELTAS: dict[str, tuple[Channel, str]] = {
    "response.output_text.delta": (Text, "output_text"),
    "response.refusal.delta": (Refusal, "refusal"),
    "response.reasoning_summary_text.delta": (Reasoning, "summary_text"),
    "response.reasoning_text.delta": (Reasoning, "reasoning_text"),
    "response.audio.transcript.delta": (Text, "output_audio"),
}
_DONE = {kind.replace(".delta", ".done"): part for kind, (_, part) in DELTAS.items()}
_CHANNELS = {part: channel for channel, part in DELTAS.values()}
# What the caller has to answer, and the field of its arguments; all other tools are the server's.
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}

# Events that a stream which repeats itself must not give again.
GIVEN = (Text, Reasoning, Refusal, ToolCall, Citation)

Place = tuple[Any, int]


def place(value: dict[str, Any]) -> Place:
    """Which item and which part of it an event is about. Item ids change on their way (Copilot)."""
    item = value.get("output_index")
    if type(item) is not int:  # llama.cpp
        item = value.get("item_id")
        item = item if type(item) is str else ""
    index = value.get("content_index")
    if type(index) is not int:
        index = value.get("summary_index")
        index = index if type(index) is int else 0
    return item, index


class Items:
    """What of a response was given so far. Texts go through `say`, all else straight to `out`."""

    def __init__(self, say: Callable[[Channel, Any, list[Event]], None]) -> None:
        self.said: set[tuple[str, Place]] = set()  # parts of which something was given
        self.called = False  # the caller's tools
        self.midway = False  # the stream began in the middle of the response
        self._say = say
        self._opened: set[Any] = set()  # items that began in this stream
        self._calls: dict[Any, tuple[dict[str, Any], list[str]]] = {}  # begun: item, arguments
        self._custom: bool | None = None  # the caller brought custom tools, None: not known yet
        self._count = 0

    @property
    def refused(self) -> bool:
        return any(kind == "refusal" for kind, _ in self.said)

    def tools(self, tools: Any) -> None:
        """The tools that the response was asked with. xAI shows its own as custom tools."""
        if isinstance(tools, list):
            kinds = [tool.get("type") for tool in tools if isinstance(tool, dict)]
            self._custom = "custom" in kinds or "namespace" in kinds

    def event(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        """An event that is no delta of a text."""
        if kind in _DONE:
            self._part({**value, "type": _DONE[kind]}, place(value), out)
        elif kind in ("response.content_part.done", "response.reasoning_summary_part.done"):
            self._part(value.get("part"), place(value), out)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            item = value.get("item")
            if isinstance(item, dict):
                where, _ = place({"item_id": item.get("id"), **value})
                self._item(item, where, kind.endswith(".added"), out)
        elif kind == "response.output_text.annotation.added":
            self.said.add(("note", place(value)))
            self._cite(value.get("annotation"), out)
        elif kind.startswith(("response.function_call_arg", "response.custom_tool_call_input")):
            self._arguments(value, kind.endswith(".done"))

    def finished(self, output: Any, completed: bool, out: list[Event]) -> None:
        """What only the finished response tells; `output` are its items."""
        items = [item for item in output if isinstance(item, dict)] if type(output) is list else []
        self._custom = self._custom is not False
        if completed:
            for item, pieces in self._calls.values():
                self._call(item, pieces, out)
        self._calls.clear()
        if self.midway:  # only how it ended is to be told
            self.called = self.called or any(map(self._is_call, items))
            parts = [part for item in items for _, part in _parts(item) if type(part) is dict]
            if any(part.get("type") == "refusal" for part in parts):
                self.said.add(("refusal", ("finished", 0)))
            return
        called, known = self.called, {kind for kind, _ in self.said}
        for number, item in enumerate(items):
            if not called:
                self._call(item, [], out)
            for index, part in _parts(item):
                where = (("finished", number), index)
                self.said.update((kind, where) for kind in known)
                self._part(part, where, out)

    def _item(self, item: dict[str, Any], where: Any, added: bool, out: list[Event]) -> None:
        if added:
            self._opened.add(where)
            if self._is_call(item):
                self._calls[where] = (item, [])
            return
        _, pieces = self._calls.pop(where, (item, []))
        self._call(item, pieces, out)
        for index, part in _parts(item):
            self._part(part, (where, index), out)

    def _part(self, part: Any, where: Place, out: list[Event]) -> None:
        """A whole part: what of it was not given yet."""
        kind = part.get("type") if isinstance(part, dict) else None
        if type(kind) is not str or kind not in _CHANNELS:
            return
        if self.midway and where[0] not in self._opened:
            return  # given before, as far as it was not in the deltas of this stream
        text = part.get("text") or part.get("refusal") or part.get("transcript")
        if text and (kind, where) not in self.said:
            self.said.add((kind, where))
            self._say(_CHANNELS[kind], text, out)
        notes = part.get("annotations")
        if notes and isinstance(notes, list) and ("note", where) not in self.said:
            self.said.add(("note", where))
            for note in notes:
                self._cite(note, out)

    def _cite(self, note: Any, out: list[Event]) -> None:
        if not isinstance(note, dict):
            return
        url = words(note.get("url") or note.get("file_id"))
        start, end = note.get("start_index", note.get("index")), note.get("end_index")
        if url:
            out.append(
                Citation(
                    url,
                    words(note.get("title") or note.get("filename")),
                    natural(start),
                    natural(end),
                )
            )

    def _is_call(self, item: Any) -> bool:
        kind = item.get("type") if isinstance(item, dict) else None
        return kind == "function_call" or (kind == "custom_tool_call" and self._custom is not False)

    def _arguments(self, value: dict[str, Any], done: bool) -> None:
        _, pieces = self._calls.get(place(value)[0], ({}, []))
        text = (value.get("arguments") or value.get("input")) if done else value.get("delta")
        if isinstance(text, str) and text:
            if done:
                pieces.clear()
            pieces.append(text)

    def _call(self, item: dict[str, Any], pieces: list[str], out: list[Event]) -> None:
        if not self._is_call(item) or item.get("status") == "incomplete":
            return
        if item["type"] == "custom_tool_call" and self.midway and self._custom is None:
            self._calls["later", len(self._calls)] = (item, pieces)
            return
        try:
            arguments = text_of(item.get(_CALLS[item["type"]]) or "".join(pieces))
        except ValueError:  # nested beyond reason: no tool could read it
            arguments = ""
        self.called = True
        self._count += 1
        id = words(item.get("call_id") or item.get("id")) or f"call_{self._count}"
        out.append(ToolCall(id, words(item.get("name")), arguments))


def _parts(item: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    for field in ("summary", "content"):
        parts = item.get(field)
        if isinstance(parts, list):
            yield from enumerate(parts)
