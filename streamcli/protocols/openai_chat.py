"""OpenAI Chat Completions, as OpenAI and two dozen compatible servers really stream it.

Source: https://platform.openai.com/docs/api-reference/chat; the deviations are those of recorded
streams and of public reports (tests/protocols/test_openai_chat.py, tests/protocols/cases).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events import Citation, Event, Failed, Finished, Progress, Reasoning, Refusal, Started, Text
from ..messages import ChatRequest
from ..request import HttpRequest, Target, join_url
from ..wire.fast_runs import Template
from ..wire.json_body import JsonBody
from ..wire.lenient_json import natural, whole, words
from ..wire.provider_errors import error_in, http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.chat_messages import message_of, schema_fields, tool_choice_of
from .shared.choice_indexes import ChoiceIndexes
from .shared.ending import Ending
from .shared.finish_reasons import failure_of, first_of, is_failure, known
from .shared.listing import Listing, models_below
from .shared.nested_text import text_in
from .shared.openai import choices_of, think_fields, usage_of
from .shared.request import cannot, function_of, merge, post, sent
from .shared.tool_calls import ToolCalls

NAME = "openai-chat"
CAN = ("tools", "reasoning", "schema")
NEEDS_MODEL = True
LISTING = Listing("models", models_below())
THINK = {"*": {"reasoning_effort": "$effort"}}
# The fields of a chunk that not every server writes: errors, and facts beside the choices.
_RARE = frozenset(
    ("error", "error_code", "error_message", "base_resp", "success", "errors")
    + ("x_groq", "search_results", "citations", "finish_reason", "finishReason")
)
# The kinds of parts that hold thoughts, and those that hold text under another name than theirs.
_THOUGHT_PARTS = ("reasoning", "reasoning_text", "thinking", "redacted_thinking", "thought")
_THOUGHTS_OF = ("thinking", "summary", "text", "reasoning", "content")
_TEXT_PARTS = ("text", "output_text", "json")
# What the provider's own word means where it is stronger than the finish reason beside it.
_WORSE = ("length", "content_filter", "refusal", "paused", "overloaded", "failed")


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}/chat/completions."""
    quirks = target.quirks
    messages = [{"role": "system", "content": chat.system}] if chat.system is not None else []
    messages += [message_of(message, quirks) for message in chat.messages]
    body: dict[str, Any] = {"model": chat.model, "messages": messages, "stream": chat.stream}
    if not chat.model:
        del body["model"]
    if chat.stream and quirks.get("stream_options") and "stream_options" not in target.refused:
        body["stream_options"] = dict(quirks["stream_options"])
    limit = quirks.get("max_tokens", "max_tokens")
    if limit in target.refused:  # it has two names, and some servers know one of them
        limit = "max_tokens" if limit != "max_tokens" else "max_completion_tokens"
    seed = quirks.get("seed", "seed")
    for field, value in (
        ("temperature", sent(chat, target, "temperature")),
        ("top_p", sent(chat, target, "top_p")),
        (limit, sent(chat, target, "max_tokens", limit)),
        ("stop", sent(chat, target, "stop")),
        (seed, sent(chat, target, "seed", seed)),
        ("frequency_penalty", sent(chat, target, "frequency_penalty")),
        ("presence_penalty", sent(chat, target, "presence_penalty")),
        ("tools", [function_of(tool) for tool in chat.tools] or None),
        ("tool_choice", tool_choice_of(chat.tool_choice)),
    ):
        if value is not None:
            body[field] = value
    if chat.think is not None:
        merge(body, _think(chat, target))
    if chat.schema is not None:
        merge(body, schema_fields(chat, target, messages))
    if chat.prefill is not None:
        if "prefill" not in quirks:
            raise cannot(f"{target.provider}'s {NAME}", "a beginning of the answer (--prefill)")
        in_message, in_body = quirks["prefill"]
        messages.append({"role": "assistant", "content": chat.prefill, **in_message})
        body |= in_body
    if chat.hide_reasoning is not None and "hide_field" in quirks:
        body[quirks["hide_field"]] = chat.hide_reasoning
    merge(body, chat.options)
    base_url = target.base_url
    if chat.prefill is not None and base_url == quirks.get("own_base"):
        base_url = quirks["prefill_base"]
    return post(target, join_url(base_url, "/chat/completions"), body)


def _think(chat: ChatRequest, target: Target) -> dict[str, Any]:
    """Return the fields for --think; a server that refuses its templates' switch gets an effort."""
    assert chat.think is not None
    fields = think_fields(chat.think, target.quirks, THINK, chat.model)
    if "chat_template_kwargs" in target.refused and fields.pop("chat_template_kwargs", None):
        fields.setdefault("reasoning_effort", chat.think)
    if "think" in chat.wishes:
        fields = {name: value for name, value in fields.items() if name not in target.refused}
    return fields


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return http_refusal(status, headers, body)


def recognises(glimpse: Glimpse) -> bool:
    return choices_of(glimpse.value) == "chat"


def decoder(target: Target, limit: int, chat: ChatRequest | None) -> Decoder:
    """Return the decoder of an answer, which knows how many choices were asked for (`-o n=`)."""
    asked = None if chat is None else natural(chat.options.get("n", 1))
    return Decoder(limit, one_choice=None if asked is None else asked == 1)


class Decoder:
    """Chat Completions bytes to events; also a whole answer where a server did not stream.

    `one_choice`: whether one was asked for; None if that is not known.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE, one_choice: bool | None = None) -> None:
        self._body = JsonBody(
            self, "chat completion", limit, Template("content", _place), done_ends_it=True
        )
        self._model = ""
        self._response_id = ""
        self._indexes = ChoiceIndexes(one_choice)
        self._choices: set[int] = set()
        self._messages: dict[int, str | None] = {}  # the last message of a choice without deltas
        self._ending = Ending()
        self._calls = ToolCalls(self._ending)
        self._usage: Any = None
        self._error: Failed | None = None  # of the chunk that is read
        self._begun = False  # something of the answer was given
        self._cited: set[str] = set()
        self._refused = False

    @property
    def ended(self) -> bool:
        return self._body.ended

    @property
    def ending(self) -> bool:
        return self._body.failure is not None or self._ending.soon

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
        if usage := value.get("usage"):
            self._count(usage, out)
        choices = value.get("choices")
        plain = event == "message" and not body.failure and _RARE.isdisjoint(value)
        if plain and choices and isinstance(choices, list):
            self._read_choices(choices, value, out)
            if self._error is not None:
                self._fail(self._error, out)
        else:
            self._rare_value(value, event, out)

    def _rare_value(self, value: dict[str, Any], event: str, out: list[Event]) -> None:
        """Read a value that holds more than choices, or none."""
        groq = value.get("x_groq")
        groq = groq if isinstance(groq, dict) else {}
        self._count(groq.get("usage"), out)
        choices = value.get("choices")
        if isinstance(choices, dict) and choices:
            choices = [choices]
        choices = choices if isinstance(choices, list) else None
        if self._body.failure is not None:  # usage alone is of interest behind an error
            for choice in choices or ():
                self._count(choice.get("usage") if type(choice) is dict else None, out)
            return
        if error := error_in(value, event) or groq.get("error"):
            self._error = stream_failure(error, "error")
        if choices is not None:
            self._read_choices(choices, value, out)
            if not self._body.ended:
                self._reason(value, 0, out)
        if self._error is not None:
            self._fail(self._error, out)
            return
        for name in ("search_results", "citations"):
            if (sources := value.get(name)) and isinstance(sources, list):
                for source in sources:
                    self._cite(source, "", None, None, out)

    def _read_choices(self, choices: list[Any], value: dict[str, Any], out: list[Event]) -> None:
        self._body.alive = True
        self._indexes.alone = len(choices) == 1
        self._indexes.id = value.get("id")
        for choice in choices:
            if type(choice) is dict and not self._body.ended:
                self._choice(choice, out)
        self._indexes.before = self._indexes.id

    def _start(self, value: dict[str, Any], out: list[Event]) -> None:
        model, id = words(value.get("model")), words(value.get("id"))
        if (model and not self._model) or id:
            self._model = self._model or model
            self._response_id = id
            out.append(Started(self._model, id))

    def _count(self, usage: Any, out: list[Event]) -> None:
        if usage and usage != self._usage and isinstance(usage, dict):
            self._usage = usage
            self._body.alive = True
            out.append(usage_of(usage))

    def _choice(self, choice: dict[str, Any], out: list[Event]) -> None:
        index = choice.get("index")
        index = self._indexes.choice(natural(index) or 0) if index else 0
        delta = choice.get("delta")
        if type(delta) is not dict:
            delta = self._without_delta(delta, choice, index)
        if "usage" in choice:
            self._count(choice["usage"], out)
        error = choice.get("error")
        if type(delta) is dict:
            if index not in self._choices:
                self._choices.add(index)
                self._ending.seen(index)
            before = len(out)
            self._delta(delta, index, out)
            self._begun = self._begun or len(out) > before
            error = error or delta.get("error")
        if error:
            self._error = self._error or stream_failure(error, "error")
        reason = choice.get("finish_reason")
        if reason or "finishReason" in choice or "native_finish_reason" in choice:
            self._reason(choice, index, out)
        elif type(delta) is dict and "finish_reason" in delta:
            self._reason(delta, index, out)

    def _without_delta(self, delta: Any, choice: dict[str, Any], index: int) -> Any:
        """Return as a delta what a choice has instead: a `message`, a `text`, or a bare string.

        A message is a whole answer. Servers that send one in every chunk repeat what came before,
        or give the next piece only. Where chunks have a delta too (Perplexity) it says nothing new.
        """
        if type(delta) is str:
            return {"content": delta}
        message = choice.get("message")
        if type(message) is not dict:
            text = choice.get("text")
            return {"content": text} if type(text) is str else None
        content = message.get("content")
        if index not in self._choices:
            self._messages[index] = content if type(content) is str else ""
            return message
        if type(content) is not str or index not in self._messages:
            return None
        before = self._messages[index]
        if before is None or not content.startswith(before):
            self._messages[index] = None  # pieces
            return {"content": content}
        self._messages[index] = content
        return {"content": content[len(before) :]}

    def _reason(self, choice: dict[str, Any], index: int, out: list[Event]) -> None:
        """Read a finish reason, and the provider's own word beside it if that is a worse one."""
        native = choice.get("native_finish_reason")
        raw = first_of(choice.get("finish_reason"), choice.get("finishReason"), native)
        if raw is None:
            return
        beaten = is_failure(native) or known(raw) in ("stop", "other")
        if beaten and not is_failure(raw) and known(native) in _WORSE:
            raw, native = whole(str(native)), raw
        self._calls.give(index, out)
        self._ending.end(raw, index)
        self._ending.detail = native
        if is_failure(raw) and (failed := failure_of(raw, native)):
            self._fail(failed, out)

    def _fail(self, failed: Failed, out: list[Event]) -> None:
        """End the answer with an error, behind which its usage may still come.

        An answer that has not begun is over at once, so that it is asked for again without delay.
        """
        failed = self._error or failed
        failed.raw = failed.raw or self._ending.raw
        if self._begun:
            self._body.fail_later(failed)
        else:
            self._body.fail(failed, out)

    def _delta(self, delta: dict[str, Any], index: int, out: list[Event]) -> None:
        content = delta.get("content")
        if len(delta) > (content is not None):
            self._beside_text(delta, index, out)
        if type(content) is str:
            if content:
                self._ending.text(index, content)
                self._body.say(Text, content, out, index)
        elif content is not None:
            self._parts(content, index, out)
        if "tool_calls" in delta or "function_call" in delta:
            self._tools(delta, index, out)

    def _beside_text(self, delta: dict[str, Any], index: int, out: list[Event]) -> None:
        """Read what a delta holds beside its text and its tool calls."""
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if type(thought) is str and thought:
            self._ending.reasoning(index)
            self._body.say(Reasoning, thought, out, index)
            if len(delta) == 1 or (len(delta) == 2 and ("content" in delta or "role" in delta)):
                return
        else:
            self._other_thought(thought, delta, index, out)
        if refusal := delta.get("refusal"):
            self._refused = True
            self._ending.text(index)
            self._body.say(Refusal, text_in(refusal), out, index)
        audio = delta.get("audio")
        if audio and isinstance(audio, dict) and (transcript := audio.get("transcript")):
            self._text(transcript, index, out)
        notes = delta.get("annotations")
        for note in notes if notes and isinstance(notes, list) else ():
            source = note.get("url_citation") if isinstance(note, dict) else None
            if isinstance(source, dict):
                start, end = source.get("start_index"), source.get("end_index")
                self._cite(source.get("url"), source.get("title"), start, end, out)

    def _other_thought(
        self, thought: Any, delta: dict[str, Any], index: int, out: list[Event]
    ) -> None:
        """Read reasoning that is not a string, or that has another name."""
        thought = thought or delta.get("reasoning_text") or delta.get("thinking")
        if thought is not None and thought not in ("", [], {}):
            self._think(thought, index, out)
            return
        # OpenRouter's and Snowflake's list; read only where no plain field says the same.
        details = delta.get("reasoning_details")
        for detail in details if details and isinstance(details, list) else ():
            if isinstance(detail, dict):
                self._think(detail.get("text") or detail.get("summary"), index, out)

    def _think(self, thought: Any, index: int, out: list[Event]) -> None:
        """Give reasoning: a string, an object that holds one, or a list of parts."""
        if thought and (thought := text_in(thought)):
            self._ending.reasoning(index)
            self._body.say(Reasoning, thought, out, index)

    def _text(self, text: Any, index: int, out: list[Event]) -> None:
        """Give text, also where a part or a number stands in its place."""
        if isinstance(text, dict) and isinstance(text.get("text"), str):
            text = text["text"]
        if text is not None and text != "":
            self._ending.text(index, text if type(text) is str else "text")
            self._body.say(Text, text, out, index)

    def _parts(self, content: Any, index: int, out: list[Event]) -> None:
        """Read content that is not a string: mostly a list of text, thinking and references."""
        for part in content if isinstance(content, list) else [content]:
            if not isinstance(part, dict):
                self._text(part, index, out)
                continue
            kind = part.get("type")
            if kind in _THOUGHT_PARTS or "thinking" in part:
                self._think(_thought_of(part), index, out)
                if isinstance(part.get("thinking"), dict | list | str):
                    self._text(part.get("text"), index, out)
            elif "text" in part:
                self._text(part["text"], index, out)
            elif kind in _TEXT_PARTS:
                self._text(part.get("content", part.get(kind)), index, out)
            elif kind == "refusal" and part.get("refusal"):
                self._refused = True
                self._ending.text(index)
                self._body.say(Refusal, text_in(part["refusal"]), out, index)
            elif not isinstance(kind, str):
                self._text(part, index, out)  # nobody knows what it is: an error

    def _tools(self, delta: dict[str, Any], index: int, out: list[Event]) -> None:
        calls = delta.get("tool_calls")
        if not calls:
            function = delta.get("function_call")
            calls = {"index": 0, "function": function} if isinstance(function, dict) else None
        if not calls:
            return
        self._ending.reasoning(index)  # the answer goes on
        for call in calls if isinstance(calls, list) else [calls]:
            self._calls.add(index, call, out)
        out.append(Progress())

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
        return self._ending.reached

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        self._calls.rest(out)
        end = self._ending.finish(evidence, out)
        if isinstance(end, Finished) and self._refused and end.reason in ("stop", None):
            end.reason = "refusal"
        return end


def _thought_of(part: dict[str, Any]) -> Any:
    """Return what a part of reasoning holds, whatever the field's name."""
    return next((part[name] for name in _THOUGHTS_OF if part.get(name)), None)


def _place(value: Any) -> Any:
    """Return the object that holds the text of a plain chunk."""
    (choice,) = value["choices"]
    return choice["delta"]
