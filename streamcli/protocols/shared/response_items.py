"""The output items of OpenAI Responses, each part of them given once. Pure.

A server tells a text up to five times: in deltas, in the event that ends them, in the finished
part, in the finished item and in the finished response. Where there are no deltas (LM Studio sends
some reasoning and arguments so), the first of the others counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...events import Citation, Event, Opaque, Reasoning, Refusal, Text, ToolCall
from ...wire.json_body import JsonBody
from ...wire.lenient_json import natural, words
from .arguments import call_text, can_send, text_of

Channel = type[Text] | type[Reasoning] | type[Refusal]

# What a delta adds to: its channel, and the type of its part in a finished item.
DELTAS: dict[str, tuple[Channel, str]] = {
    "response.output_text.delta": (Text, "output_text"),
    "response.refusal.delta": (Refusal, "refusal"),
    "response.reasoning_summary_text.delta": (Reasoning, "summary_text"),
    "response.reasoning_summary.delta": (Reasoning, "summary_text"),
    "response.reasoning_text.delta": (Reasoning, "reasoning_text"),
    "response.reasoning.delta": (Reasoning, "reasoning_text"),
    "response.audio.transcript.delta": (Text, "output_audio"),
    "response.output_audio_transcript.delta": (Text, "output_audio"),
}
_DONE = {kind.replace(".delta", ".done"): part for kind, (_, part) in DELTAS.items()}
_PART_DONE = ("content_part", "reasoning_part", "reasoning_summary_part")
_CHANNELS: dict[str, Channel] = {part: channel for channel, part in DELTAS.values()}
_CHANNELS["text"] = Text  # a part of servers that take Chat's word for it
# What the caller has to answer, and the field of its arguments; all other tools are the server's.
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}

# Events that a stream which repeats itself must not give again.
GIVEN = (Text, Reasoning, Refusal, ToolCall, Citation, Opaque)


class _Given:
    """The text that an item gave to a channel, as far as recognising it again needs.

    `places` are its parts by kind and index, `wholes` hashes of texts that are settled; the other
    fields are of the deltas since then. The text itself may be long, and is not kept.
    """

    __slots__ = ("first", "last", "length", "places", "streamed", "wholes")

    def __init__(self) -> None:
        self.streamed = False
        self.places: set[tuple[str, int]] = set()
        self.wholes: set[int] = set()
        self.settle()

    def settle(self, text: str = "") -> None:
        self.wholes.add(hash(text))
        self.first = self.last = ""
        self.length = 0

    def holds(self, text: str) -> bool:
        return hash(text) in self.wholes or _is(text, [self])


def _is(text: str, run: list[_Given]) -> bool:
    """Return whether the deltas of `run`, one behind the other, are this text."""
    if not run or sum(given.length for given in run) != len(text):
        return False
    return text.startswith(run[0].first) and text.endswith(run[-1].last)


class Items:
    """The parts of a response that were given so far."""

    def __init__(self, protocol: str, body: JsonBody) -> None:
        self.called = False  # the caller's tools
        self.refused = False
        self.wrong = ""  # what is wrong with a tool call
        self.midway = False  # the stream began in the middle of the response
        self._protocol = protocol
        self._body = body
        self._given: dict[tuple[Channel, Any], _Given] = {}  # by channel and item
        self._at: Any = None  # kind, item and index of the last delta
        self._last = _Given()
        self._kinds: set[str] = set()  # of parts
        self._cited: set[tuple[Any, ...]] = set()
        self._names_change = False  # the items' names or indexes are not to be trusted
        self._sealed = False  # opaque state was given
        self._opened: set[Any] = set()  # items that began in this stream
        self._calls: dict[Any, tuple[dict[str, Any], list[str]]] = {}  # begun: item, arguments
        self._called: set[tuple[str, str, str]] = set()  # calls: id, name, arguments
        self._custom: bool | None = None  # the caller brought custom tools, None: not known yet
        self._count = 0

    def tools(self, tools: Any) -> None:
        """Note the tools that were asked with: xAI shows its own as custom tools."""
        if isinstance(tools, list):
            kinds = [tool.get("type") for tool in tools if isinstance(tool, dict)]
            self._custom = "custom" in kinds or "namespace" in kinds

    def delta(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        channel, part = DELTAS[kind]
        text = value.get("delta")
        if type(text) is dict:  # of early servers
            text = text.get("text", text)
        if not text:
            return
        item = value.get("output_index")
        index = value.get("content_index")
        at = (kind, item if type(item) is int else value.get("item_id"), index)
        if at != self._at or index is None:
            self._at = at
            self._last = self._place(channel, part, *_place(value))
            self._last.streamed = True
        if type(text) is str:
            given = self._last
            given.first = given.first or text
            given.length += len(text)
            given.last = text
        self._body.say(channel, text, out)

    def _place(self, channel: Channel, part: str, item: Any, index: int) -> _Given:
        given = self._given.setdefault((channel, item), _Given())
        given.places.add((part, index))
        self._kinds.add(part)
        self.refused = self.refused or channel is Refusal
        return given

    def event(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        """Read an event that is not a delta of a text."""
        name = kind.removeprefix("response.")
        if kind in _DONE:
            self._part({**value, "type": _DONE[kind]}, *_place(value), out)
        elif name.removesuffix(".done") in _PART_DONE:
            self._part(value.get("part"), *_place(value), out)
        elif name in ("output_item.added", "output_item.done"):
            item = value.get("item")
            if isinstance(item, dict):
                where, _ = _place({"item_id": item.get("id"), **value})
                self._item(item, where, kind.endswith(".added"), out)
        elif name == "output_text.annotation.added":
            self._cite(value.get("annotation"), out)
        elif name.startswith(("function_call_arg", "custom_tool_call_input")):
            self._arguments(value, kind.endswith(".done"))

    def finished(self, response: dict[str, Any], completed: bool, out: list[Event]) -> None:
        """Give what only the finished response tells."""
        output = response.get("output")
        items = [item for item in output if isinstance(item, dict)] if type(output) is list else []
        self._custom = self._custom is not False
        if completed:
            for item, pieces in self._calls.values():
                self._call(item, pieces, out)
        self._calls.clear()
        if self.midway:  # only how it ended is to be told
            self.called = self.called or any(map(self._is_call, items))
            parts = [part for item in items for _, part in _parts(item) if type(part) is dict]
            self.refused |= any(part.get("type") == "refusal" for part in parts)
            return
        called, sealed, known = self.called, self._sealed, frozenset(self._kinds)
        for number, item in enumerate(items):
            if not sealed:
                self._seal(item, out)
            if not called:
                self._call(item, [], out)
            for index, part in _parts(item):
                self._part(part, ("finished", number), index, out, known)
        if not self._kinds and not items:  # the SDKs' name for all text
            self._part({"type": "text", "text": response.get("output_text")}, "", 0, out)

    def _item(self, item: dict[str, Any], where: Any, added: bool, out: list[Event]) -> None:
        if added:
            self._opened.add(where)
            if self._is_call(item):
                self._calls[where] = (item, [])
            return
        _, pieces = self._calls.pop(where, (item, []))
        self._seal(item, out)
        self._call(item, pieces, out)
        for index, part in _parts(item):
            self._part(part, where, index, out)

    def _seal(self, item: dict[str, Any], out: list[Event]) -> None:
        """Give an item that only the provider can read: it wants that back as it came."""
        if item.get("encrypted_content") and not self._is_call(item) and can_send(item):
            self._sealed = True
            out.append(Opaque(self._protocol, item))

    def _part(
        self,
        part: Any,
        item: Any,
        index: int,
        out: list[Event],
        known: frozenset[str] = frozenset(),
    ) -> None:
        """Give of a whole part what was not given yet; `known` kinds were."""
        kind = part.get("type") if isinstance(part, dict) else None
        if type(kind) is not str or kind not in _CHANNELS:
            return
        if self.midway and item not in self._opened:
            return  # given before, as far as it was not in the deltas of this stream
        text = part.get("text") or part.get("refusal") or part.get("transcript")
        if text and kind not in known and not self._was_given(kind, item, index, text):
            self._place(_CHANNELS[kind], kind, item, index).settle(str(text))
            self._body.say(_CHANNELS[kind], text, out)
        notes = part.get("annotations")
        for note in notes if isinstance(notes, list) else ():
            self._cite(note, out)

    def _was_given(self, kind: str, item: Any, index: int, text: Any) -> bool:
        """Return whether this text was given, under this name or another.

        An item's index may count on where its part's does, grow with each delta or be missing, and
        its id may change: then the text itself settles it.
        """
        channel, text = _CHANNELS[kind], str(text)
        given = self._given.get((channel, item))
        if given is not None and ((kind, index) in given.places or given.holds(text)):
            given.settle(text)
            return True
        others = [(where, each) for (at, where), each in self._given.items() if at is channel]
        unsettled = [each for _, each in others if each.length]
        if _is(text, unsettled):
            self._names_change = True
            for each in unsettled:
                each.settle(text)
            return True
        return any(
            each.holds(text)
            for where, each in others
            if self._names_change or _may_be(where, item, each)
        )

    def _cite(self, note: Any, out: list[Event]) -> None:
        if not isinstance(note, dict) or not (url := words(note.get("url") or note.get("file_id"))):
            return
        title = words(note.get("title") or note.get("filename"))
        start, end = note.get("start_index", note.get("index")), note.get("end_index")
        cited = url, title, natural(start), natural(end)
        if cited not in self._cited:
            self._cited.add(cited)
            out.append(Citation(*cited))

    def _is_call(self, item: Any) -> bool:
        kind = item.get("type") if isinstance(item, dict) else None
        return kind == "function_call" or (kind == "custom_tool_call" and self._custom is not False)

    def _arguments(self, value: dict[str, Any], done: bool) -> None:
        _, pieces = self._calls.get(_place(value)[0], ({}, []))
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
        own_id, name = words(item.get("call_id") or item.get("id")), words(item.get("name"))
        given = item.get(_CALLS[item["type"]]) or "".join(pieces)
        self.called = True
        try:
            # A custom tool takes text of any kind.
            arguments = call_text(given) if item["type"] == "function_call" else text_of(given)
        except ValueError as error:
            self.wrong = f"the model called {name} with arguments that are {error}"
            return
        if own_id and (own_id, name, arguments) in self._called:
            return
        self._called.add((own_id, name, arguments))
        self._count += 1
        out.append(ToolCall(own_id or f"call_{self._count}", name, arguments))


def _may_be(where: Any, item: Any, given: _Given) -> bool:
    """Return whether what was given as item `where` may be of `item` by another name."""
    if "" in (where, item) or type(where) is not type(item):
        return True
    return type(item) is str and given.streamed


def _place(value: dict[str, Any]) -> tuple[Any, int]:
    """Return which item and which part of it an event is about."""
    item = value.get("output_index")
    if type(item) is not int:  # llama.cpp
        item = value.get("item_id")
        item = item if type(item) is str else ""
    index = value.get("content_index")
    if type(index) is not int:
        index = value.get("summary_index")
        index = index if type(index) is int else 0
    return item, index


def _parts(item: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    for field in ("summary", "content"):
        parts = item.get(field)
        if isinstance(parts, str) and field == "content" and item.get("type") == "message":
            parts = [{"type": "text", "text": parts}]
        if isinstance(parts, list):
            yield from enumerate(parts)
