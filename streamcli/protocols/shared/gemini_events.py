"""What Gemini says, for both of its framings: the values of a stream to events. Pure.

Source: https://ai.google.dev/api/generate-content; the deviations are those of recorded streams
(see tests/test_gemini.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...events import (
    Citation,
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Started,
    Text,
    ToolCall,
    Usage,
)
from ...wire.fast_runs import Template
from ...wire.json_body import JsonBody
from ...wire.lenient_json import natural, whole, words
from ...wire.provider_errors import http_refusal, stream_failure
from ...wire.sse import MAX_EVENT_SIZE
from .arguments import text_of
from .listing import Listing, models_below

MODELS = Listing("models", models_below("/v1beta"), place="models", ids=("name", "id"))

FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
# No end of an answer: what the model wrote is of no use to the server.
FAILURES = (
    "MALFORMED_FUNCTION_CALL",
    "MALFORMED_RESPONSE",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "NO_IMAGE",
    "IMAGE_OTHER",
)
SEVERITY = ("stop", "other", "length", "content_filter")
# With enum-encoding=int. From 6 on Gemini and Vertex count differently; most there are filters.
NUMBERS = ("", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")
BLOCK_NUMBERS = ("", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY")


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return http_refusal(status, headers, body)


class Values:
    """The reader of a JsonBody."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self.body = JsonBody(self, "answer of Gemini's", limit, Template("text", _place))
        self._version = ""
        self._id = ""
        self._reasons: dict[int, str] = {}  # candidate: its raw finish reason
        self._block = ""  # why the prompt was refused
        self._counts: list[int | None] = []
        self._calls: list[tuple[int, str, str, Any]] = []
        self._growing = False  # the last call's arguments
        self._cited: set[tuple[str, str, int | None, int | None]] = set()

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is list:
            for item in value:
                if not self.body.ended:
                    self.value(item, event, out)
            return
        if type(value) is not dict:
            return
        if "error" in value and (error := value["error"]):
            self.body.fail(stream_failure(error), out)
            return
        before = len(out)
        version, id = value.get("modelVersion"), value.get("responseId")
        if version != self._version or id != self._id:
            self._start(version, id, out)
        candidates, usage = value.get("candidates"), value.get("usageMetadata")
        for number, candidate in enumerate(candidates if type(candidates) is list else ()):
            if type(candidate) is dict and not self.body.ended:
                self._candidate(candidate, number, bool(version), out)
        if self.body.ended:
            return
        if type(usage) is dict:
            self._count(usage, out)
        if isinstance(feedback := value.get("promptFeedback"), dict):
            self._block = _word(feedback.get("blockReason"), BLOCK_NUMBERS) or self._block
            self.ending = self.ending or bool(self._block)
        if version or candidates or usage or self._block:
            self.body.alive = True
            if len(out) == before:
                out.append(Progress())

    def _start(self, version: Any, id: Any, out: list[Event]) -> None:
        version = version if type(version) is str else ""
        id = id if type(id) is str else ""
        if (version or id) and (version, id) != (self._version, self._id):
            self._version, self._id = version, id
            out.append(Started(whole(version), whole(id)))

    def _count(self, usage: dict[str, Any], out: list[Event]) -> None:
        counts = [natural(usage.get(name)) for name in _COUNTS]
        if counts != self._counts and counts != _UNKNOWN:
            self._counts = counts
            out.append(usage_of(*counts))

    def _candidate(
        self, candidate: dict[str, Any], number: int, current: bool, out: list[Event]
    ) -> None:
        index = natural(candidate.get("index"))
        index = number if index is None else index
        content = candidate.get("content")
        parts = content.get("parts") if type(content) is dict else None
        said = False
        for part in parts if type(parts) is list else ():
            if type(part) is not dict:
                continue
            text = part.get("text")
            if text and type(text) is str:
                said = True
                channel = Reasoning if part.get("thought") is True else Text
                self.body.say(channel, text, out, index)
            # Code that the model runs itself, its results and images are nothing to us.
            if "functionCall" in part:
                self._call(part["functionCall"], index, out)
        if "citationMetadata" in candidate or "groundingMetadata" in candidate:
            for citation in citations(candidate):  # later chunks repeat them
                facts = (citation.url, citation.title, citation.start, citation.end)
                if facts not in self._cited:
                    self._cited.add(facts)
                    out.append(citation)
        if reason := candidate.get("finishReason"):
            self._ended(candidate, _word(reason, NUMBERS), index, out)
            # The oldest models say STOP in every chunk: with more text to come, it is no end yet.
            self.ending = self.finished() and (current or not said)

    def _ended(self, candidate: dict[str, Any], reason: str, index: int, out: list[Event]) -> None:
        if reason:
            self._reasons[index] = reason
        if reason in FAILURES:
            message = f"the server ended the answer with finish reason {reason}"
            if isinstance(explained := candidate.get("finishMessage"), str):
                message += ": " + " ".join(whole(explained).split())
            self.body.fail(Failed("stream_error", message, evidence=("finish_reason",)), out)

    def _call(self, call: Any, index: int, out: list[Event]) -> None:
        """A call comes whole; or begun by its name, in fragments, and ended by an empty one."""
        if not isinstance(call, dict):
            return
        name, id, more = call.get("name"), call.get("id"), call.get("willContinue") is True
        fragments = call.get("partialArgs")
        if isinstance(name, str) and name:
            number = len(self._calls)
            id = words(id) or f"call_{number}"  # most have none
            arguments = call.get("args")
            if more or fragments:
                arguments = PartialArgs(arguments)
            self._calls.append((index, id, whole(name), arguments))
            self._growing = True
        if self._growing and isinstance(grown := self._calls[-1][3], PartialArgs):
            grown.add(fragments)
        self._growing = self._growing and more

    # How it ends

    def finished(self) -> bool:
        return bool(self._reasons or self._block)

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        for index, id, name, arguments in self._calls:
            try:
                partial = isinstance(arguments, PartialArgs)
                text = arguments.text() if partial else text_of(arguments)
            except ValueError as error:
                return Failed("bad_json", f"a tool call is {error}", evidence=evidence)
            out.append(ToolCall(id, name, text, index))
        if self._block:  # the prompt was refused, there is no candidate
            return Finished("content_filter", self._block, evidence)
        raw = max(self._reasons.values(), key=lambda word: SEVERITY.index(_reason(word)))
        reason = _reason(raw)
        if self._calls and reason == "stop":
            reason = "tool_calls"
        return Finished(reason, raw, evidence)


def _place(value: Any) -> Any:
    """The object that holds the text of a plain chunk."""
    (candidate,) = value["candidates"]
    if candidate.get("finishReason"):
        raise LookupError("it says more than its text")
    (part,) = candidate["content"]["parts"]
    return part


def _word(reason: Any, numbers: tuple[str, ...]) -> str:
    if type(reason) is int:
        return numbers[reason] if 0 <= reason < len(numbers) else str(reason)
    if not isinstance(reason, str) or reason.endswith("_UNSPECIFIED"):
        return ""
    return whole(reason)


def _reason(raw: str) -> str:
    return "content_filter" if raw.isdigit() else FINISH.get(raw.upper(), "other")


_COUNTS = (
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "cachedContentTokenCount",
    "totalTokenCount",
)
_UNKNOWN = [None] * len(_COUNTS)


def usage_of(
    asked: int | None,
    results: int | None,
    said: int | None,
    thoughts: int | None,
    cached: int | None,
    total: int | None,
) -> Usage:
    """The _COUNTS in our terms: theirs are without thoughts, and the results of their own tools."""
    if results is not None:
        asked = results + (asked or 0)
    if thoughts is not None:
        said = thoughts + (said or 0)
    return Usage(asked, said, thoughts, cached, None, total)


def recognised(value: Any) -> bool:
    """Return whether an event is Gemini's, in either framing."""
    ours = ("candidates", "usageMetadata", "promptFeedback")
    return isinstance(value, dict) and any(name in value for name in ours)


# What an answer rests on: quotations and search results, as citations.


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


_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\[(?:'([^']*)'|"([^"]*)")\]""")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")
# Further than this no model nests or leaves out; more could be asked of our memory.
_DEEPEST = 100
_WIDEST_GAP = 100


class PartialArgs:
    """Puts one tool call's arguments together from Gemini's fragments, in linear time.

    A fragment is a value and its place: {"jsonPath": "$.a[0].b", "stringValue": "x",
    "willContinue": true}; a string may come in several.
    """

    def __init__(self, arguments: Any = None) -> None:
        self._root: dict[str, Any] = dict(arguments) if isinstance(arguments, dict) else {}
        self._place = ""  # of the string that is not over yet
        self._pieces: list[str] = []

    def add(self, fragments: Any) -> None:
        for fragment in fragments if isinstance(fragments, list) else ():
            place = fragment.get("jsonPath") if isinstance(fragment, dict) else None
            name = next((name for name in _VALUES if name in fragment), "") if place else ""
            if not name or not isinstance(place, str):
                continue
            value = None if name == "nullValue" else fragment[name]
            if place != self._place:
                self._settle()
            if not isinstance(value, str):
                self._put(place, value)
                continue
            self._place = place
            self._pieces.append(value)
            if fragment.get("willContinue") is not True:
                self._settle()

    def text(self) -> str:
        """The arguments as JSON; ValueError if they are nested too deeply."""
        self._settle()
        return text_of(self._root)

    def _settle(self) -> None:
        if self._place:
            self._put(self._place, "".join(self._pieces))
            self._place = ""
            self._pieces = []

    def _put(self, place: str, value: Any) -> None:
        steps = _steps(place)
        if not steps or isinstance(steps[0], int):
            return
        node: Any = self._root
        for step, following in zip(steps, (*steps[1:], None), strict=True):
            if isinstance(step, int) and isinstance(node, list):
                if step - len(node) > _WIDEST_GAP:
                    return
                node += [None] * (step + 1 - len(node))
                below = node[step]
            elif isinstance(step, str) and isinstance(node, dict):
                below = node.get(step)
            else:  # what is there already is of another kind
                return
            if following is None:
                node[step] = value
            elif below is None:
                below = node[step] = [] if isinstance(following, int) else {}
            node = below


def _steps(place: str) -> list[str | int]:
    """`$.a[0]['b']` as ["a", 0, "b"]; [] for what is no such path."""
    steps: list[str | int] = []
    at = 1
    while at < len(place) and len(steps) < _DEEPEST:
        step = _STEP.match(place, at)
        if not step:
            return []
        name, number, quoted, double = step.groups()
        steps.append(int(number) if number else name or quoted or double or "")
        at = step.end()
    return steps if place.startswith("$") and at == len(place) else []
