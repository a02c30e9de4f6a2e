"""OpenAI Chat Completions, as OpenAI and two dozen compatible servers really stream it.

Source: https://platform.openai.com/docs/api-reference/chat; the deviations are those of recorded
streams (see tests/test_openai_chat.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events import Citation, Event, Failed, Finished, Progress, Reasoning, Refusal, Started, Text
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.fast_runs import Template
from ..wire.json_body import JsonBody
from ..wire.lenient_json import natural, whole, words
from ..wire.provider_errors import error_in, http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.chat_request import request as chat_request
from .shared.finish_reasons import failure_of, reason_of, worst
from .shared.listing import Listing, models_below
from .shared.openai_values import choices_of, usage_of
from .shared.toolcalls import ToolCalls

NAME = "openai-chat"
CAN = ("tools", "reasoning", "schema")
NEEDS_MODEL = True
LISTING = Listing("models", models_below())


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/chat/completions."""
    return chat_request(NAME, chat, target)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return http_refusal(status, headers, body)


def recognises(glimpse: Glimpse) -> bool:
    return choices_of(glimpse.value) == "chat"


class Decoder:
    """Chat Completions bytes to events; also a whole answer where a server did not stream."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self._body = JsonBody(
            self, "chat completion", limit, Template("content", _place), done_ends_it=True
        )
        self._model = ""
        self._response_id = ""
        self._reasons: dict[int, str] = {}  # choice: its raw finish reason
        self._choices: set[int] = set()
        self._open: set[int] = set()  # those without a finish reason
        self._usage: Any = None
        self._tools = ToolCalls()
        self._cited: set[str] = set()
        self._refused = False

    @property
    def ended(self) -> bool:
        return self._body.ended

    def feed(self, data: bytes) -> list[Event]:
        return self._body.feed(data)

    def close(self, broken: Failed | None = None) -> list[Event]:
        return self._body.close(broken)

    # What one value says

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if isinstance(value, list):
            for item in value:
                if not self.ended and isinstance(item, dict):
                    self.value(item, event, out)
            return
        if not isinstance(value, dict):
            return
        body = self._body
        if not self._response_id and (value.get("model") or value.get("id")):
            self._start(value, out)
        groq = value.get("x_groq")
        groq = groq if isinstance(groq, dict) else {}
        usage = value.get("usage") or groq.get("usage")
        if usage and usage != self._usage and isinstance(usage, dict):
            self._usage = usage
            body.alive = True
            out.append(usage_of(usage))
        if error := error_in(value, event) or groq.get("error"):
            body.fail(stream_failure(error, "error"), out)
            return
        choices = value.get("choices")
        if isinstance(choices, list):
            body.alive = True
            for choice in choices:
                if type(choice) is dict and not body.ended:
                    self._choice(choice, out)
        citations = value.get("citations")
        if citations and isinstance(citations, list):
            for url in citations:
                self._cite(url, "", None, None, out)

    def _start(self, value: dict[str, Any], out: list[Event]) -> None:
        model, id = words(value.get("model")), words(value.get("id"))
        if (model and not self._model) or id:
            self._model = self._model or model
            self._response_id = id
            out.append(Started(self._model, id))

    def _choice(self, choice: dict[str, Any], out: list[Event]) -> None:
        index = natural(choice.get("index")) or 0
        delta = choice.get("delta")
        if delta is None and index not in self._choices:
            # A whole answer. Where chunks have both (Perplexity), `message` is cumulative.
            delta = choice.get("message")
        if type(delta) is dict:
            if self.ending and self._tools and delta.get("content"):
                # The server ran the tools itself, and the model goes on (Tyler's agents do so).
                out += self._tools.calls()
                self._reasons.clear()
                self.ending = False
            self._choices.add(index)
            if index not in self._reasons:
                self._open.add(index)
            self._delta(delta, index, out)
        reason = choice.get("finish_reason")
        if reason and isinstance(reason, str):
            self._reasons[index] = whole(reason)
            if failed := failure_of(reason, choice.get("native_finish_reason")):
                self._body.fail(failed, out)
            else:
                self._open.discard(index)
                self.ending = not self._open

    def _delta(self, delta: dict[str, Any], index: int, out: list[Event]) -> None:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought and type(thought) is str:
            self._body.say(Reasoning, thought, out, index)
        elif details := delta.get("reasoning_details"):
            self._reasoning_details(details, index, out)
        content = delta.get("content")
        if type(content) is list:
            self._parts(content, index, out)
        elif content:
            self._body.say(Text, content, out, index)
        refusal = delta.get("refusal")
        if refusal:
            self._refused = True
            self._body.say(Refusal, refusal, out, index)
        if calls := delta.get("tool_calls"):
            if isinstance(calls, list):
                for call in calls:
                    self._tools.add(index, call)
                out.append(Progress())
        elif isinstance(call := delta.get("function_call"), dict):
            self._tools.add(index, {"index": 0, "function": call})
            out.append(Progress())
        audio = delta.get("audio")
        if audio and isinstance(audio, dict):
            self._body.say(Text, audio.get("transcript"), out, index)
        notes = delta.get("annotations")
        for note in notes if notes and isinstance(notes, list) else ():
            source = note.get("url_citation") if isinstance(note, dict) else None
            if isinstance(source, dict):
                start, end = source.get("start_index"), source.get("end_index")
                self._cite(source.get("url"), source.get("title"), start, end, out)

    def _parts(self, parts: list[Any], index: int, out: list[Event]) -> None:
        """Mistral's list-valued content: text, thinking and reference parts."""
        for part in parts:
            if isinstance(part, str):
                self._body.say(Text, part, out, index)
            elif isinstance(part, dict):
                thinking = part.get("thinking")
                self._body.say(Text, part.get("text"), out, index)
                if isinstance(thinking, str):
                    thinking = [{"text": thinking}]
                for thought in thinking if isinstance(thinking, list) else ():
                    if isinstance(thought, dict):
                        self._body.say(Reasoning, thought.get("text"), out, index)

    def _reasoning_details(self, details: Any, index: int, out: list[Event]) -> None:
        """OpenRouter's and Snowflake's list; read only where no plain field says the same."""
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict):
                thought = detail.get("text") or detail.get("summary")
                self._body.say(Reasoning, thought, out, index)

    def _cite(self, url: Any, title: Any, start: Any, end: Any, out: list[Event]) -> None:
        if isinstance(url, dict):
            url, title = url.get("url"), url.get("title")
        if not isinstance(url, str) or not url:
            return
        if start is None:  # a list repeated on every chunk
            if url in self._cited:
                return
            self._cited.add(url)
        out.append(Citation(whole(url), words(title), natural(start), natural(end)))

    # How it ends

    def finished(self) -> bool:
        return bool(self._reasons) and not self._open

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished:
        raw = worst(self._reasons.values())
        reason = reason_of(raw) if raw is not None else None
        if self._refused and reason in ("stop", None):
            reason = "refusal"
        elif reason == "stop" and self._tools:
            # Gemini's endpoint and vLLM with a named tool_choice say stop after a tool call.
            reason = "tool_calls"
        out += self._tools.calls()
        return Finished(reason, raw, evidence)


def _place(value: Any) -> Any:
    """The object that holds the text of a plain chunk."""
    (choice,) = value["choices"]
    return choice["delta"]
