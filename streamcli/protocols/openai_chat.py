"""OpenAI Chat Completions, as OpenAI and two dozen compatible servers really stream it.

Source: https://platform.openai.com/docs/api-reference/chat; the deviations are those of recorded
streams (see tests/test_recordings.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ..chat import Chat, HttpRequest, Target, join_url
from ..events import (
    Citation,
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Refusal,
    Started,
    Text,
    Usage,
)
from ..framing import MAX_EVENT_SIZE, Message, Payloads
from ..jsontext import Halves, json_values
from ..refusals import describe, excerpt, http_refusal, stream_failure
from ..runs import Template
from ..toolcalls import ToolCalls

NAME = "openai-chat"

FINISH = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "refusal",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
# Reasons that are no end of an answer but a failure of the server (Mistral, OpenRouter, DeepSeek,
# the vLLM family).
FAILURES = ("error", "abort", "insufficient_system_resource")
SEVERITY = ("stop", "other", "tool_calls", "length", "refusal", "content_filter")


def request(chat: Chat, target: Target) -> HttpRequest:
    """POST {base}/chat/completions."""
    quirks = target.quirks
    messages = [{"role": "system", "content": chat.system}] if chat.system is not None else []
    body: dict[str, Any] = {
        "model": chat.model,
        "messages": messages + chat.messages,
        "stream": chat.stream,
    }
    if not chat.model:
        del body["model"]
    if chat.stream and quirks.get("stream_options"):
        body["stream_options"] = dict(quirks["stream_options"])
    for field, value in (
        ("temperature", chat.temperature),
        ("top_p", chat.top_p),
        (quirks.get("max_tokens", "max_tokens"), chat.max_tokens),
        ("stop", list(chat.stop) or None),
        (quirks.get("seed", "seed"), chat.seed),
        ("frequency_penalty", chat.frequency_penalty),
        ("presence_penalty", chat.presence_penalty),
    ):
        if value is not None:
            body[field] = value
    if chat.hide_reasoning and "hide_field" in quirks:
        body[quirks["hide_field"]] = True
    _merge(body, chat.options)
    headers = [("Content-Type", "application/json")]
    if target.key:
        header = quirks.get("key_header")
        headers.append(
            (header, target.key) if header else ("Authorization", f"Bearer {target.key}")
        )
    return HttpRequest(
        "POST",
        join_url(target.base_url, "/chat/completions"),
        headers + list(target.headers),
        orjson.dumps(body),
        target.unix_socket,
    )


def _merge(body: dict[str, Any], extra: dict[str, Any]) -> None:
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(body.get(key), dict):
            _merge(body[key], value)
        else:
            body[key] = value


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return http_refusal(status, headers, body)


class Decoder:
    """Chat Completions bytes to events; also a whole answer where a server did not stream."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ended = False
        self.ending = False
        self._payloads = Payloads(limit)
        self._limit = limit
        self._model = ""
        self._response_id = ""
        self._reasons: dict[int, str] = {}  # choice: its raw finish reason
        self._choices: set[int] = set()
        self._usage: Any = None
        self._tools = ToolCalls()
        self._halves = Halves()
        self._cited: set[str] = set()
        self._refused = False
        self._alive = False  # some payload was one of ours
        self._strays = 0
        self._template = Template("content", _place)

    def feed(self, data: bytes) -> list[Event]:
        out: list[Event] = []
        if self.ended:
            return out
        if self._halves:
            payloads = self._payloads.feed(data)
        else:
            payloads = self._template.feed(self._payloads, data, out)
        for payload in payloads:
            self._payload(payload, out)
            if self.ended:
                return out
        strays = self._payloads.sse.strays
        if len(strays) > self._strays:
            self._stray(strays[self._strays :], out)
            self._strays = len(strays)
        if self._payloads.overflow and not self.ended:
            self._fail(
                Failed(
                    "too_large",
                    f"one event of the stream is larger than {self._limit} bytes",
                    "raise --max-event-size if you trust the server",
                ),
                out,
            )
        return out

    def close(self, broken: Failed | None = None) -> list[Event]:
        out: list[Event] = []
        if self.ended:
            return out
        for payload in self._payloads.close():
            if payload.strip():
                self._payload(payload, out, last=True)
            if self.ended:
                return out
        strays = self._payloads.sse.strays
        self._stray(strays[self._strays :], out)
        if self.ended:
            return out
        if self._reasons:
            self._finish("transport_error" if broken else "eof", out)
        else:
            self._fail(self._unfinished(broken), out)
        return out

    # What one payload says

    def _payload(self, payload: bytes, out: list[Event], last: bool = False) -> None:
        try:
            value = orjson.loads(payload)
        except orjson.JSONDecodeError:
            self._odd_payload(payload, out, last)
            return
        before = len(out)
        self._value(value, payload, out)
        if self._template.learning and out[before:] and out[before:] == [Text(_said(value))]:
            self._template.learn(payload, value)

    def _odd_payload(self, payload: bytes, out: list[Event], last: bool) -> None:
        if payload.strip().startswith(b"[DONE]"):
            self._alive = True
            self._finish("marker", out)
            return
        try:
            values = json_values(payload)
        except ValueError:
            values = []
            for line in payload.split(b"\n") if b"\n" in payload else ():
                try:
                    values += json_values(line)
                except ValueError:
                    values = []
                    break
        if not values:
            if last:  # the bytes ended inside it: cut, not garbled; close() gives that verdict
                return
            shown = describe(payload[:80].decode("utf-8", "replace"))[0]
            self._fail(Failed("bad_json", f"the stream holds invalid JSON: {shown}"), out)
            return
        for value in values:
            self._value(value, payload, out)
            if self.ended:
                return

    def _value(self, value: Any, payload: bytes, out: list[Event]) -> None:
        if isinstance(value, list):
            for item in value:
                if not self.ended:
                    self._value(item, payload, out)
            return
        if not isinstance(value, dict):
            return
        if not self._response_id and (value.get("model") or value.get("id")):
            self._start(value, out)
        groq = value.get("x_groq")
        groq = groq if isinstance(groq, dict) else {}
        usage = value.get("usage") or groq.get("usage")
        if usage and usage != self._usage and isinstance(usage, dict):
            self._usage = usage
            self._alive = True
            out.append(usage_of(usage))
        named = type(payload) is Message and payload.event == "error"
        error = value.get("error")
        if error or named or value.get("object") == "error" or value.get("type") == "error":
            self._fail(stream_failure(error or value, "error"), out)
            return
        if groq.get("error"):
            self._fail(stream_failure(groq["error"]), out)
            return
        choices = value.get("choices")
        if isinstance(choices, list):
            self._alive = True
            for choice in choices:
                if type(choice) is dict:
                    self._choice(choice, out)
        citations = value.get("citations")
        if citations and isinstance(citations, list):
            for url in citations:
                self._cite(url, "", None, None, out)

    def _start(self, value: dict[str, Any], out: list[Event]) -> None:
        model, id = value.get("model"), value.get("id")
        model = model if isinstance(model, str) else ""
        id = id if isinstance(id, str) else ""
        if (model and not self._model) or id:
            self._model = self._model or model
            self._response_id = id
            out.append(Started(self._model, id))

    def _choice(self, choice: dict[str, Any], out: list[Event]) -> None:
        index = choice.get("index")
        index = index if type(index) is int else 0
        delta = choice.get("delta")
        if delta is None and index not in self._choices:
            # A whole answer. Where chunks have both (Perplexity), `message` is cumulative.
            delta = choice.get("message")
        if type(delta) is dict:
            self._choices.add(index)
            self._delta(delta, index, out)
        reason = choice.get("finish_reason")
        if reason and isinstance(reason, str):
            self._reasons[index] = reason
            if reason.lower() in FAILURES:
                detail = choice.get("native_finish_reason")
                word = f"{reason} ({detail})" if detail and detail != reason else reason
                self._fail(
                    Failed(
                        "overloaded" if "resource" in reason else "stream_error",
                        f"the server ended the answer with finish reason {word}",
                        evidence=("finish_reason",),
                        transient="resource" in reason,
                    ),
                    out,
                )
            else:
                self.ending = self._choices <= self._reasons.keys()

    def _delta(self, delta: dict[str, Any], index: int, out: list[Event]) -> None:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought and isinstance(thought, str):
            self._say(Reasoning, thought, index, out)
        elif details := delta.get("reasoning_details"):
            self._reasoning_details(details, index, out)
        content = delta.get("content")
        if content:
            if type(content) is str:
                self._say(Text, content, index, out)
            elif isinstance(content, list):
                self._parts(content, index, out)
        refusal = delta.get("refusal")
        if refusal and isinstance(refusal, str):
            self._refused = True
            self._say(Refusal, refusal, index, out)
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
            transcript = audio.get("transcript")
            if transcript and isinstance(transcript, str):
                self._say(Text, transcript, index, out)
        notes = delta.get("annotations")
        for note in notes if notes and isinstance(notes, list) else ():
            source = note.get("url_citation") if isinstance(note, dict) else None
            if isinstance(source, dict):
                start, end = source.get("start_index"), source.get("end_index")
                self._cite(source.get("url"), source.get("title"), start, end, out)

    def _say(
        self,
        channel: type[Text] | type[Reasoning] | type[Refusal],
        text: str,
        index: int,
        out: list[Event],
    ) -> None:
        # Lone surrogates make a string that UTF-8 cannot hold; only json's fallback yields them.
        if self._halves or not text.isascii():
            text = self._halves.join((channel, index), text)
        if text:
            out.append(channel(text, index))

    def _parts(self, parts: list[Any], index: int, out: list[Event]) -> None:
        """Mistral's list-valued content: text, thinking and reference parts."""
        for part in parts:
            if isinstance(part, str):
                self._say(Text, part, index, out)
            elif isinstance(part, dict):
                thinking = part.get("thinking")
                if isinstance(part.get("text"), str):
                    self._say(Text, part["text"], index, out)
                elif isinstance(thinking, str):
                    self._say(Reasoning, thinking, index, out)
                elif isinstance(thinking, list):
                    for thought in thinking:
                        if isinstance(thought, dict) and isinstance(thought.get("text"), str):
                            self._say(Reasoning, thought["text"], index, out)

    def _reasoning_details(self, details: Any, index: int, out: list[Event]) -> None:
        """OpenRouter's and Snowflake's list; read only where no plain field says the same."""
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict):
                thought = detail.get("text") or detail.get("summary")
                if isinstance(thought, str):
                    self._say(Reasoning, thought, index, out)

    def _cite(self, url: Any, title: Any, start: Any, end: Any, out: list[Event]) -> None:
        if isinstance(url, dict):
            url, title = url.get("url"), url.get("title")
        if not isinstance(url, str) or not url:
            return
        if start is None:  # a list repeated on every chunk
            if url in self._cited:
                return
            self._cited.add(url)
        out.append(
            Citation(
                url,
                title if isinstance(title, str) else "",
                start if type(start) is int else None,
                end if type(end) is int else None,
            )
        )

    def _stray(self, lines: list[bytes], out: list[Event]) -> None:
        """JSON objects written into an event stream without `data:` are errors (Lemonade)."""
        for line in lines:
            try:
                values = json_values(line)
            except ValueError:
                continue
            for value in values:
                if not self.ended and isinstance(value, dict):
                    self._fail(stream_failure(value.get("error") or value), out)

    # How it ends

    def _finish(self, proof: str, out: list[Event]) -> None:
        for (channel, index), text in self._halves.rest():
            out.append(channel(text, index))
        out += self._tools.calls()
        evidence = ("finish_reason", proof) if self._reasons else (proof,)
        raw = max(
            self._reasons.values(), key=lambda word: SEVERITY.index(_reason(word)), default=None
        )
        reason = _reason(raw) if raw is not None else None
        if self._refused and reason in ("stop", None):
            reason = "refusal"
        elif reason == "stop" and self._tools:
            # Gemini's endpoint and vLLM with a named tool_choice say stop after a tool call.
            reason = "tool_calls"
        out.append(Finished(reason, raw, evidence))
        self.ended = True

    def _fail(self, failed: Failed, out: list[Event]) -> None:
        for (channel, index), text in self._halves.rest():
            out.append(channel(text, index))
        if self._reasons and not failed.evidence:
            failed.evidence = ("finish_reason",)
        out.append(failed)
        self.ended = True

    def _unfinished(self, broken: Failed | None) -> Failed:
        """The bytes ended without finish reason and marker: cut, or never a stream at all."""
        payloads = self._payloads
        if broken and not self._alive:
            return broken
        if self._alive:
            how = broken.message if broken else "the server ended the stream"
            return Failed(
                "truncated",
                f"{how} in the middle of the answer",
                "try again",
                transient=broken is not None,
                evidence=("transport_error" if broken else "eof",),
            )
        body = excerpt(payloads.excerpt)
        if payloads.looks_like == "html":
            return Failed(
                "not_a_stream",
                f"the answer is a web page (HTML), not a stream: {body}",
                "check --base-url, and whether a proxy or login page stands between",
            )
        if payloads.looks_like == "json":
            return Failed("not_a_stream", f"the answer is JSON, but no chat completion: {body}")
        if payloads.looks_like == "sse" and payloads.sse.recognised:
            return Failed(
                "truncated", "the server ended the stream before the answer", evidence=("eof",)
            )
        shown = f"not a stream: {body}" if body else "empty"
        return Failed("not_a_stream", f"the answer is {shown}", evidence=("eof",))


def _place(value: Any) -> Any:
    """The object that holds the text of a plain chunk."""
    (choice,) = value["choices"]
    return choice["delta"]


def _said(value: Any) -> str:
    try:
        said = _place(value)["content"]
    except (LookupError, TypeError, ValueError):
        return ""
    return said if isinstance(said, str) else ""


def _reason(raw: str) -> str:
    return FINISH.get(raw.lower(), "other")


def usage_of(usage: dict[str, Any]) -> Usage:
    """Token counts, with the names that OpenAI, DeepSeek and xAI use for the same thing."""
    prompt = usage.get("prompt_tokens_details")
    prompt = prompt if isinstance(prompt, dict) else {}
    completion = usage.get("completion_tokens_details")
    completion = completion if isinstance(completion, dict) else {}
    cached = prompt.get("cached_tokens")
    return Usage(
        count(usage.get("prompt_tokens")),
        count(usage.get("completion_tokens")),
        count(completion.get("reasoning_tokens", usage.get("reasoning_tokens"))),
        count(usage.get("prompt_cache_hit_tokens") if cached is None else cached),
        count(prompt.get("cache_write_tokens")),
        count(usage.get("total_tokens")),
    )


def count(value: Any) -> int | None:
    """A token count; floats and numeric strings occur. None if it is no count."""
    if isinstance(value, str) and value.isdigit():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else None
