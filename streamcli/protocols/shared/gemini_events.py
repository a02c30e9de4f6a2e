"""Decode the values of a Gemini stream to events, for both of its framings. Pure.

Source: https://ai.google.dev/api/generate-content. Recorded streams show where it deviates
(tests/protocols/test_gemini.py).
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
    Opaque,
    Progress,
    Reasoning,
    Started,
    Text,
    Usage,
)
from ...wire.error_shapes import error_beside, error_in
from ...wire.fast_runs import Template
from ...wire.json_body import JsonBody
from ...wire.lenient_json import natural, whole, words
from ...wire.provider_errors import http_refusal, stream_failure
from ...wire.snapshots import Snapshots
from ...wire.sse import MAX_EVENT_SIZE
from .arguments import can_send
from .ending import Ending
from .gemini import STATE
from .gemini_arguments import PartialArgs
from .gemini_spelling import normalized
from .listing import Listing, models_below
from .nested_text import text_beside, text_in

MODELS = Listing("models", models_below("/v1beta"), place="models", ids=("name", "id"))

_FIELDS = frozenset(
    ("candidates", "usageMetadata", "modelVersion", "responseId", "promptFeedback", "createTime")
)
# Fields of parts about code and tools that the server runs itself.
_SERVED = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
# Finish reasons with enum-encoding=int. From 6 on Gemini and Vertex differ; most are filters.
NUMBERS = ("", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")
BLOCK_NUMBERS = ("", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY")


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    failed = http_refusal(status, headers, body)
    if status == 400 and "thinking" in failed.message.lower():
        failed.hint = failed.hint or "leave out --think, or ask for another effort"
    return failed


class Values:
    """Reads the values of an answer; the reader of a JsonBody."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self._runs = Template("text", _place)
        self.body = JsonBody(self, "answer of Gemini's", limit, self._runs)
        self.body.snapshots = Snapshots()
        self._version = ""
        self._id = ""
        self._ending = Ending()
        self._early = False  # the reason came with text, from a server that sends one every time
        self._choices: dict[int, int] = {}  # by the index of a candidate
        self._block = ""  # why the prompt was refused
        self._counts: list[int | None] = []
        self._growing: _Growing | None = None
        self._cited: set[tuple[str, str, int | None, int | None]] = set()

    @property
    def ending(self) -> bool:
        return (self._ending.is_final and not self._early) or self.body.failure is not None

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is list:
            for item in value:
                if not self.body.ended:
                    self.value(item, event, out)
            return
        if type(value) is not dict:
            return
        value = normalized(value)
        usage = value.get("usageMetadata")
        if self.body.failure is not None:  # only the counts are wanted of what is behind an error
            if type(usage) is dict:
                self._count(usage, out)
            return
        before = len(out)
        version, id = value.get("modelVersion"), value.get("responseId")
        if version != self._version or id != self._id:
            self._start(version, id, out)
        candidates = value.get("candidates")
        candidates = candidates if type(candidates) is list else []
        for number, candidate in enumerate(candidates):
            if type(candidate) is dict and not self.body.ended:
                self._candidate(candidate, number, len(candidates) == 1, bool(version), out)
        if self.body.ended:
            return
        if type(usage) is dict:
            self._count(usage, out)
        if "error" in value and (error := value["error"]):
            error = value if error is True else error
            self.body.fail_after_usage(stream_failure(error), out)
            return
        if not _FIELDS.issuperset(value) and (error := error_beside(value)) is not None:
            self.body.fail_after_usage(stream_failure(error), out)
            return
        if isinstance(feedback := value.get("promptFeedback"), dict):
            self._block = _word(feedback.get("blockReason"), BLOCK_NUMBERS) or self._block
        if version or candidates or usage or self._block:
            self.body.alive = True
            if len(out) == before:
                out.append(Progress())
        elif error := error_in(value, event):
            self.body.fail_after_usage(stream_failure(error), out)

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
        self, candidate: dict[str, Any], number: int, alone: bool, current: bool, out: list[Event]
    ) -> None:
        index = natural(candidate.get("index"))
        content = candidate.get("content")
        index = self._choice(number if index is None else index, alone, content)
        parts = content.get("parts") if type(content) is dict else None
        said = len(out)
        for part in parts if type(parts) is list else ():
            if type(part) is dict and not self.body.ended:
                self._part(part, index, out)
        if self.body.ended:
            return
        said = len(out) > said
        if "citationMetadata" in candidate or "groundingMetadata" in candidate:
            for citation in citations(candidate):  # later chunks repeat them
                facts = (citation.url, citation.title, citation.start, citation.end)
                if facts not in self._cited:
                    self._cited.add(facts)
                    out.append(citation)
        error = candidate.get("error") or (type(content) is dict and content.get("error"))
        if error:
            self.body.fail_after_usage(stream_failure(error), out)
            return
        if reason := _word(candidate.get("finishReason"), NUMBERS):
            self._close_call(out)
            self._ending.detail = " ".join(words(candidate.get("finishMessage")).split())
            self._ending.end(reason, index)
            self._runs.forget()  # runs of text do not come by here, but would reopen the answer
            # The oldest models say STOP in every chunk: more text may come.
            self._early = said and not current

    def _choice(self, index: int, alone: bool, content: Any) -> int:
        """Return a candidate's choice: gateways count from 1, or give the end another index."""
        known = self._choices
        if index not in known:
            if alone and len(known) == 1 and not content:
                return next(iter(known.values()))
            number = 0 if alone and not known else index
            known[index] = max(known.values()) + 1 if number in known.values() else number
        return known[index]

    def _part(self, part: dict[str, Any], index: int, out: list[Event]) -> None:
        text, before = part.get("text"), len(out)
        if part.get("thought") is True:
            if thought := text_in(text):
                self._ending.reasoning(index)
                self.body.say(Reasoning, thought, out, index)
        elif text is not None and text != "":
            self._ending.text(index, str(text))
            self.body.say(Text, text, out, index)
        if self.body.ended:
            return
        if "functionCall" in part:
            self._call(part, index, out)
        elif len(part) > 1 or text is None:
            if error := part.get("error"):
                self.body.fail_after_usage(stream_failure(error), out)
                return
            if text is None and (other := text_beside(part)):
                self._ending.text(index, other)
                self.body.say(Text, other, out, index)
            # Code that the model runs itself, and its results: text will follow.
            if any(field in part for field in _SERVED):
                self._ending.work()
            self._keep(part, index, out, before)

    def _keep(self, part: dict[str, Any], index: int, out: list[Event], before: int) -> None:
        """Give the opaque state of a part without a call: its text's signature, or all of it."""
        signature = part.get("thoughtSignature")
        served = any(field in part for field in _SERVED)
        if index or not (served or isinstance(signature, str)) or not can_send(part):
            return
        if len(out) > before and type(event := out[-1]) is Text:
            out.append(Opaque(STATE, {"thoughtSignature": signature}, chars=len(event.text)))
        else:
            out.append(Opaque(STATE, part))

    def _call(self, part: dict[str, Any], index: int, out: list[Event]) -> None:
        """Read a call: whole, or in fragments between its name and an empty call."""
        call = part["functionCall"]
        if not call:
            return
        call = call if isinstance(call, dict) else {"args": call}
        name, id, more = call.get("name"), call.get("id"), call.get("willContinue") is True
        fragments = call.get("partialArgs")
        if isinstance(name, str) and name:
            self._close_call(out)
            arguments = call.get("args")
            self._growing = growing = _Growing(index, words(id), whole(name), arguments)
            growing.signature = words(part.get("thoughtSignature"))
            if more or fragments:
                growing.fragments = PartialArgs(arguments)
        elif self._growing is None:  # it has no name
            self._growing = _Growing(index, words(id), "", call.get("args"))
        if self._growing is not None:
            if self._growing.fragments is not None:
                self._growing.fragments.add(fragments)
            if not more:
                self._close_call(out)

    def _close_call(self, out: list[Event]) -> None:
        """Give out the call that has begun, as it is whole."""
        call, self._growing = self._growing, None
        if call is None:
            return
        id = call.id or f"call_{self._ending.calls}"  # most have none
        fragments = call.fragments
        arguments = call.arguments if fragments is None else fragments.arguments()
        if fragments is not None and fragments.lost:
            what = f"the model called {call.name} with arguments in pieces that do not fit"
            self._ending.wrong = self._ending.wrong or what
        given = len(out)
        self._ending.call(id, call.name, arguments, out, call.index, own_id=bool(call.id))
        if call.signature and not call.index and len(out) > given:
            out.append(Opaque(STATE, {"thoughtSignature": call.signature}, call_id=id))

    # The end

    def finished(self) -> bool:
        return bool(self._block) or self._ending.reached

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        self._close_call(out)
        if self._block:  # the prompt was refused, there is no candidate
            return Finished("content_filter", self._block, evidence)
        end = self._ending.finish(evidence, out)
        if isinstance(end, Finished) and end.reason == "other" and end.raw:
            # CONTINUATION is the limit of one request; most numbers without a name are filters.
            own = "content_filter" if end.raw.isdigit() else "other"
            end.reason = "length" if end.raw == "CONTINUATION" else own
        return end


class _Growing:
    """A function call that has begun."""

    __slots__ = ("arguments", "fragments", "id", "index", "name", "signature")

    def __init__(self, index: int, id: str, name: str, arguments: Any) -> None:
        self.index = index
        self.id = id
        self.name = name
        self.arguments = arguments
        self.fragments: PartialArgs | None = None
        self.signature = ""


def _place(value: Any) -> Any:
    """Return the object that holds the text of a plain chunk."""
    (candidate,) = value["candidates"]
    if candidate.get("finishReason"):
        raise LookupError("it says more than its text")
    (part,) = candidate["content"]["parts"]
    return part


def _word(reason: Any, numbers: tuple[str, ...]) -> str:
    if isinstance(reason, str) and re.fullmatch("[0-9]{1,3}", reason):
        reason = int(reason)
    if type(reason) is int:
        return numbers[reason] if 0 <= reason < len(numbers) else str(reason)
    if not isinstance(reason, str) or reason.endswith("_UNSPECIFIED"):
        return ""
    return whole(reason)


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
    """Return the _COUNTS as Usage; theirs exclude reasoning, and results of the server's tools."""
    if results is not None:
        asked = results + (asked or 0)
    if thoughts is not None:
        said = thoughts + (said or 0)
    return Usage(asked, said, thoughts, cached, None, total)


def recognised(value: Any) -> bool:
    """Return whether an event is Gemini's, in either framing."""
    ours = ("candidates", "usageMetadata", "promptFeedback")
    if isinstance(value, dict) and type(inner := value.get("response")) is dict:
        value = inner if "candidates" in inner else value
    return isinstance(value, dict) and any(name in value for name in ours)


# What an answer rests on: quotations and search results, as citations.


def citations(candidate: dict[str, Any]) -> Iterator[Citation]:
    yield from _quotes(candidate)
    yield from _grounds(candidate)


def _quotes(candidate: dict[str, Any]) -> Iterator[Citation]:
    """Yield passages that are quotations. The API leaves out a start of 0."""
    metadata = candidate.get("citationMetadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    sources = metadata.get("citations") or metadata.get("citationSources")
    for source in sources if isinstance(sources, list) else ():
        if isinstance(source, dict):
            yield from _citation(source, source)


def _grounds(candidate: dict[str, Any]) -> Iterator[Citation]:
    """Yield the results of a search, once for each passage that relies on them."""
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
