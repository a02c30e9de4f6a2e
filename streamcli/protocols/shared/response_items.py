"""Read the output items of OpenAI Responses, and give each part of them once. Pure.

A server sends a text up to five times: in deltas, in the event that ends them, in the finished
part, in the finished item and in the finished response. If there are no deltas (LM Studio sends
some reasoning and arguments so), the first of the others counts.
"""

from __future__ import annotations

from typing import Any

from ...events import Citation, Event, Opaque, Reasoning, Refusal, Text, ToolCall
from ...wire.json_body import JsonBody
from ...wire.lenient_json import natural, words
from .arguments import can_send
from .given_text import Given, are_text, is_text
from .nested_text import text_in
from .response_calls import ResponseCalls
from .response_parts import CHANNELS, DELTAS, DONE, Channel, parts_of, place_of, text_of_part

_PART_DONE = ("content_part", "reasoning_part", "reasoning_summary_part")

# Events that must not be given again when a stream repeats what came before.
GIVEN = (Text, Reasoning, Refusal, ToolCall, Citation, Opaque)


class Items:
    """The parts of a response that were given so far."""

    def __init__(self, protocol: str, body: JsonBody) -> None:
        self.calls = ResponseCalls()
        self.refused = False
        self._protocol = protocol
        self._body = body
        self._given: dict[tuple[Channel, Any], Given] = {}  # by channel and item
        self._at: Any = None  # kind, item and index of the last delta
        self._last = Given()
        self._kinds: set[str] = set()  # of parts
        self._cited: set[tuple[Any, ...]] = set()
        self._names_change = False  # the items' ids or indexes change, and mean nothing
        self._sealed = False  # opaque state was given
        self._opened: set[Any] = set()  # items that began in this stream
        self._cut = False  # the last message is incomplete, by its own status

    @property
    def midway(self) -> bool:
        """Whether the stream began in the middle of the response."""
        return self.calls.midway

    @midway.setter
    def midway(self, began: bool) -> None:
        self.calls.midway = began

    def delta(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        channel, part = DELTAS[kind]
        text = value.get("delta")
        if type(text) is not str:
            text = text_in(text)  # early servers send objects
        if text is None or text == "":
            return
        item = value.get("output_index")
        index = value.get("content_index")
        at = (kind, item if type(item) is int else value.get("item_id"), index)
        if at != self._at or index is None:
            self._at = at
            self._last = self._place(channel, part, *place_of(value))
            self._last.streamed = True
        if type(text) is str:
            given = self._last
            given.first = given.first or text
            given.length += len(text)
            given.last = text
        self._body.say(channel, text, out)

    def _place(self, channel: Channel, part: str, item: Any, index: int) -> Given:
        given = self._given.setdefault((channel, item), Given())
        given.places.add((part, index))
        self._kinds.add(part)
        self.refused = self.refused or channel is Refusal
        return given

    def event(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        """Read an event that is not a delta of a text."""
        name = kind.removeprefix("response.")
        if kind in DONE:
            self._part({**value, "type": DONE[kind]}, *place_of(value), out)
        elif name.removesuffix(".done") in _PART_DONE:
            self._part(value.get("part"), *place_of(value), out)
        elif name in ("output_item.added", "output_item.done"):
            item = value.get("item")
            if isinstance(item, dict):
                self._cut = _is_incomplete(item, self._cut)
                self._item(item, value, kind.endswith(".added"), out)
        elif name == "output_text.annotation.added":
            self._cite(value.get("annotation"), out)
        elif name.startswith(("function_call_arg", "custom_tool_call_input")):
            self.calls.arguments(value, kind.endswith(".done"))

    def is_cut(self, response: dict[str, Any]) -> bool:
        """Return whether the last message is incomplete, even in a response that is completed."""
        output = response.get("output")
        for item in output if isinstance(output, list) else ():
            if isinstance(item, dict):
                self._cut = _is_incomplete(item, self._cut)
        return self._cut

    def finished(self, response: dict[str, Any], completed: bool, out: list[Event]) -> None:
        """Give the parts, calls and sources that only the finished response holds."""
        output = response.get("output")
        if isinstance(output, str | dict):  # one message, or its text
            output = [output]
        items = [
            {"type": "message", "content": item} if isinstance(item, str) else item
            for item in (output if isinstance(output, list) else ())
            if isinstance(item, str | dict)
        ]
        self.calls.rest(completed, out)
        parts = [list(parts_of(item)) for item in items]
        if self.midway:  # earlier streams gave the parts: only the end is of interest
            self.calls.any = self.calls.any or any(map(self.calls.is_call, items))
            self.refused |= any(part.get("type") == "refusal" for each in parts for _, part in each)
            return
        if not self._kinds and not any(parts):  # the SDKs' field with all text
            text = {"type": "text", "text": response.get("output_text")}
            items, parts = [*items, {}], [*parts, [(0, text)]]
        called, sealed = self.calls.any, self._sealed
        new = self._new([part for each in parts for _, part in each])
        for channel in (Text, Reasoning, Refusal):
            mine = [part for each in parts for _, part in each if CHANNELS[part["type"]] is channel]
            given = [each for (at, _), each in self._given.items() if at is channel]
            if len(mine) == len(given) == len(given[0].places if given else ()) == 1:
                self._give_rest(channel, given[0], str(text_of_part(mine[0])), out)
        for number, item in enumerate(items):
            if not sealed:
                self._seal(item, out)
            if not called:
                self.calls.whole(item, out)
            for index, part in parts[number]:
                if id(part) in new:
                    self._part(part, ("finished", number), index, out)
                else:
                    self._notes(part, out)
        cited = response.get("citations")  # xAI's list of all sources, cited in the text or not
        known = {url for url, *_ in self._cited}
        for url in cited if isinstance(cited, list) else ():
            if isinstance(url, str) and url not in known:
                self._cite({"url": url}, out)

    def _new(self, parts: list[dict[str, Any]]) -> set[int]:
        """Return the `id()`s of the parts of the finished response that were not given before.

        A text may differ from the streamed one. So if a channel has no more parts than were given,
        none of them is new; otherwise the last ones are.
        """
        new: set[int] = set()
        for channel in {CHANNELS[part["type"]] for part in parts}:
            given = [each for (at, _), each in self._given.items() if at is channel]
            mine = [part for part in parts if CHANNELS[part["type"]] is channel]
            mine = [part for part in mine if text_of_part(part) not in (None, "")]
            more = len(mine) - sum(len(each.places) for each in given)
            if more <= 0:
                continue
            wholes = frozenset[int]().union(*(each.wholes for each in given))
            open = [each for each in given if each.length]
            missing = [
                part
                for part in mine
                if hash(text := str(text_of_part(part))) not in wholes and not are_text(text, open)
            ]
            new |= {id(part) for part in missing[-more:]}
        return new

    def _item(
        self, item: dict[str, Any], value: dict[str, Any], added: bool, out: list[Event]
    ) -> None:
        where, _ = place_of({"item_id": item.get("id"), **value})
        if added:
            self._opened.add(where)
            self.calls.begin(item, where)
            return
        self._seal(item, out)
        self.calls.end(item, value, out)
        for index, part in parts_of(item):
            self._part(part, where, index, out)

    def _seal(self, item: dict[str, Any], out: list[Event]) -> None:
        """Give an encrypted item as opaque state, which the provider wants back as it came."""
        if item.get("encrypted_content") and not self.calls.is_call(item) and can_send(item):
            self._sealed = True
            out.append(Opaque(self._protocol, item))

    def _part(self, part: Any, item: Any, index: int, out: list[Event]) -> None:
        """Give a whole part, unless it was given before."""
        kind = part.get("type") if isinstance(part, dict) else None
        if type(kind) is not str or kind not in CHANNELS:
            return
        if self.midway and item not in self._opened:
            return  # an earlier stream gave it
        channel, text = CHANNELS[kind], text_of_part(part)
        known = text is None or text == ""
        given = self._given.get((channel, item))
        if not known and given is not None and given.places == {(kind, index)}:
            self._give_rest(channel, given, str(text), out)
        if not known and not self._was_given(kind, item, index, text):
            self._place(channel, kind, item, index).settle(str(text))
            self._body.say(channel, text, out)
        self._notes(part, out)

    def _give_rest(self, channel: Channel, given: Given, text: str, out: list[Event]) -> None:
        """Give the end of a text, whose last deltas some servers (xAI) leave out."""
        if rest := given.rest_of(text):
            given.settle(text)
            self._body.say(channel, rest, out)

    def _notes(self, part: dict[str, Any], out: list[Event]) -> None:
        notes = part.get("annotations")
        for note in notes if isinstance(notes, list) else ():
            self._cite(note, out)

    def _was_given(self, kind: str, item: Any, index: int, text: Any) -> bool:
        """Return whether this text was given, for this item or for another one.

        Some servers' item indexes count parts, grow with each delta or are missing, and ids change.
        Then the text itself decides.
        """
        channel, text = CHANNELS[kind], str(text)
        given = self._given.get((channel, item))
        if given is not None and ((kind, index) in given.places or given.holds(text)):
            given.settle(text)
            return True
        others = [(where, each) for (at, where), each in self._given.items() if at is channel]
        unsettled = [each for _, each in others if each.length]
        if is_text(text, unsettled):
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


def _is_incomplete(item: dict[str, Any], before: bool) -> bool:
    """Return whether a message has the status incomplete; `before` if it has no status."""
    status = item.get("status") if item.get("type") == "message" else None
    return before if status is None else status == "incomplete"


def _may_be(where: Any, item: Any, given: Given) -> bool:
    """Return whether the items `where` and `item` may be the same one, by different names."""
    if "" in (where, item) or type(where) is not type(item):
        return True
    return type(item) is str and given.streamed
