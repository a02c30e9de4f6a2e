"""Cohere's v2 chat; what its older v1 streams (JSON lines) is read too, though never asked for.

Source: https://docs.cohere.com/reference/chat-stream; the deviations are those of recorded streams
(see tests/test_cohere.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..events import Citation, Event, Failed, Finished, Progress, Reasoning, Started, Text, Usage
from ..messages import Attachment, ChatRequest, Message
from ..request import HttpRequest, Target
from ..wire.fast_runs import Template, UnnamedEvents
from ..wire.json_body import JsonBody
from ..wire.lenient_json import count, natural, whole, words
from ..wire.provider_errors import http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.listing import Listing, with_field
from .shared.request import calls_of, cannot, function_of, merge, no_words_for, post
from .shared.toolcalls import ToolCalls

_OWN_PATH = re.compile(r"/v[12](/chat)?$|/models$")


def _models(base: str) -> str:
    """{base}/v1/models, all of them: it gives twenty where nothing is said."""
    base, _, query = base.partition("?")
    query = with_field(query, "endpoint=chat&page_size=1000")
    return f"{_OWN_PATH.sub('', base.rstrip('/'))}/v1/models?{query}"


NAME = "cohere"
CAN = ("tools", "attachments", "reasoning", "schema")
NEEDS_MODEL = True
LISTING = Listing("models", _models, place="models", ids=("name", "id"))

# Tokens to think with. Harder than that is without a limit, which is what Cohere recommends:
# https://docs.cohere.com/docs/reasoning
BUDGETS = {"low": 2048, "medium": 8192}
# An address is given with its version or without, or with the whole path.
_VERSION = re.compile(r"/v[12](/chat)?$")

FINISH = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    # v1 alone
    "ERROR_LIMIT": "length",
    "ERROR_TOXIC": "content_filter",
}
# No end of an answer, though the event is the usual one.
FAILURES = ("ERROR", "TIMEOUT", "USER_CANCEL")
EVENTS = (
    "message-start",
    "content-start",
    "content-delta",
    "content-end",
    "tool-plan-delta",
    "tool-call-start",
    "tool-call-delta",
    "tool-call-end",
    "citation-start",
    "citation-end",
    "message-end",
)

# Other protocols have events of the other names too.
BEGINNINGS = ("message-start", "content-start", "content-delta", "tool-plan-delta", "message-end")


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/v2/chat."""
    no_words_for(NAME, chat, "prefill")
    messages = [{"role": "system", "content": chat.system}] if chat.system is not None else []
    messages += [_message(message) for message in chat.messages]
    body: dict[str, Any] = {"model": chat.model, "messages": messages, "stream": chat.stream}
    for field, value in (
        ("temperature", chat.temperature),
        ("p", chat.top_p),
        ("max_tokens", chat.max_tokens),
        ("stop_sequences", list(chat.stop) or None),
        ("seed", chat.seed),
        ("frequency_penalty", chat.frequency_penalty),
        ("presence_penalty", chat.presence_penalty),
        ("tools", [function_of(tool) for tool in chat.tools] or None),
        ("tool_choice", _tool_choice(chat.tool_choice)),
        ("thinking", _thinking(chat)),
    ):
        if value is not None:
            body[field] = value
    if chat.schema is not None:
        body["response_format"] = {"type": "json_object", "json_schema": chat.schema}
    merge(body, chat.options)
    base, query, tail = target.base_url.partition("?")
    base = _VERSION.sub("", base.rstrip("/"))
    return post(target, f"{base}/v2/chat{query}{tail}", body)


def _message(message: Message) -> dict[str, Any]:
    parts = [_part(attachment) for attachment in message.attachments]
    content = [*parts, {"type": "text", "text": message.text}] if parts else message.text
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": content}
    plain: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        if not content:
            del plain["content"]
        plain["tool_calls"] = calls_of(message)
    return plain


def _part(attachment: Attachment) -> dict[str, Any]:
    kind, url = attachment.kind, attachment.url
    # A URL that does not tell its type is most likely an image's.
    if kind == "image" or (url and not attachment.mime):
        return {"type": "image_url", "image_url": {"url": attachment.data_url()}}
    if kind == "text" and not url:
        return {"type": "text", "text": attachment.named_text()}
    mime = attachment.mime or "unknown type"
    raise cannot(NAME, f"the URL of {mime}" if url else f"{attachment.name} ({mime})")


def _tool_choice(choice: str | None) -> str | None:
    if choice in (None, "auto"):
        return None
    if choice not in ("required", "none"):
        raise cannot(NAME, f"a tool choice ({choice})", "auto, none and required are possible")
    return choice.upper()


def _thinking(chat: ChatRequest) -> dict[str, Any] | None:
    if chat.think is None:
        return None
    if chat.think == "none":
        return {"type": "disabled"}
    budget = BUDGETS.get(chat.think)
    if budget is None:
        return {"type": "enabled"}
    if chat.max_tokens is not None:  # it counts as part of the answer
        budget = max(1, min(budget, chat.max_tokens // 2))
    return {"type": "enabled", "token_budget": budget}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    failed = http_refusal(status, headers, body)
    if failed.kind == "quota" and "calls / month" in failed.message:  # of a trial key
        failed.hint = "a production key has no such limit"
    elif status == 404 and "model" not in failed.message:
        failed.hint = "check --base-url (https://api.cohere.com)"
    return failed


def recognises(glimpse: Glimpse) -> bool:
    value = glimpse.value
    if not isinstance(value, dict):
        return False
    if value.get("type") in BEGINNINGS or ("event_type" in value and "is_finished" in value):
        return True
    return "finish_reason" in value and isinstance(value.get("message"), dict)  # a whole answer


class Decoder:
    """The events of a stream to ours; also a whole answer of v2."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self._body = JsonBody(self, "answer of Cohere's", limit, Template("text", _place))
        self._events = UnnamedEvents("content-delta")
        self._reason = ""
        self._calls = ToolCalls()

    @property
    def ended(self) -> bool:
        return self._body.ended

    def feed(self, data: bytes) -> list[Event]:
        return self._body.feed(self._events.feed(data))

    def close(self, broken: Failed | None = None) -> list[Event]:
        return self._body.feed(self._events.close()) + self._body.close(broken)

    # What one value says

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            return
        kind, before = value.get("type"), len(out)
        if kind in EVENTS:
            delta = value.get("delta")
            if kind == "message-start":
                self._start(value.get("id"), out)
            if isinstance(delta, dict):
                self._message(delta.get("message"), value.get("index"), out)
                if kind == "message-end":
                    self._end(delta, delta.get("usage"), out)
            if kind == "message-end" and not self._body.ended:
                self._body.finish("marker", out)
        elif "event_type" in value and "is_finished" in value:
            self._older(value, out)
        elif "finish_reason" in value and isinstance(value.get("message"), dict):
            self._start(value.get("id"), out)
            self._message(value["message"], None, out)
            self._end(value, value.get("usage"), out)
        else:
            alone = kind is None and isinstance(value.get("message"), str)
            if alone or value.get("error") or "error" in (kind, event):
                self._body.fail(stream_failure(value, "error"), out)
            return  # else one of the types yet to come
        self._body.alive = True
        if len(out) == before:
            out.append(Progress())

    def _start(self, id: Any, out: list[Event]) -> None:
        if id and isinstance(id, str):
            out.append(Started("", whole(id)))  # which model it is, is never said

    def _message(self, message: Any, index: Any, out: list[Event]) -> None:
        """A message, or what an event adds to it: there each list is the one item that grows."""
        if type(message) is not dict:
            return
        self._body.say(Reasoning, message.get("tool_plan"), out)
        for item in _items(message.get("content")):
            self._body.say(Reasoning, item.get("thinking"), out)
            self._body.say(Text, item.get("text"), out)
        for call in _items(message.get("tool_calls")):
            self._calls.add(0, {"index": index, **call})
        for citation in _items(message.get("citations")):
            _cite(citation, out)

    def _older(self, value: dict[str, Any], out: list[Event]) -> None:
        """An event of v1."""
        kind = value["event_type"]
        if kind == "stream-start":
            self._start(value.get("generation_id"), out)
        elif kind == "text-generation":
            self._body.say(Text, value.get("text"), out)
        elif kind == "tool-calls-chunk":  # what is said before the calls; they come whole later
            self._body.say(Reasoning, value.get("text"), out)
        elif kind == "tool-calls-generation":
            for call in _items(value.get("tool_calls")):
                function = {"name": call.get("name"), "arguments": call.get("parameters")}
                self._calls.add(0, {"function": function})
        elif kind == "citation-generation":
            for citation in _items(value.get("citations")):
                _cite(citation, out)
        elif kind == "stream-end":
            response = value.get("response")
            usage = response.get("meta") if isinstance(response, dict) else None
            self._end(value, usage, out)
            if not self._body.ended:
                self._body.finish("marker", out)

    def _end(self, end: dict[str, Any], usage: Any, out: list[Event]) -> None:
        if isinstance(usage, dict) and (counted := usage_of(usage)) != Usage():
            out.append(counted)
        reason, error = end.get("finish_reason"), end.get("error")
        if reason and isinstance(reason, str):
            self._reason = whole(reason)
            self.ending = True
        if error:
            failed = stream_failure({"message": error, "type": end.get("error_type")})
        elif self._reason in FAILURES:
            message = f"the server ended the answer with finish reason {self._reason}"
            failed = Failed("stream_error", message, transient=self._reason == "TIMEOUT")
        else:
            return
        self._body.fail(failed, out)

    # How it ends

    def finished(self) -> bool:
        return bool(self._reason)

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished:
        raw = self._reason or None
        reason = FINISH.get(raw, "other") if raw else None
        if self._calls and reason == "stop":
            reason = "tool_calls"
        out += self._calls.calls()
        return Finished(reason, raw, evidence)


def _place(value: Any) -> Any:
    """The object that holds the text of a plain delta."""
    return value["delta"]["message"]["content"]


def _items(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, or the one that stands where a list of them would."""
    items = value if isinstance(value, list) else (value,)
    return [item for item in items if type(item) is dict]


def _cite(citation: dict[str, Any], out: list[Event]) -> None:
    """Each source of a citation; one that was given without title or URL goes by its id."""
    start, end = citation.get("start"), citation.get("end")
    sources = _items(citation.get("sources"))
    ids = citation.get("document_ids")  # v1
    sources += [{"id": id} for id in (ids if isinstance(ids, list) else ())]
    for source in sources:
        facts = source.get("document") or source.get("tool_output")
        facts = facts if isinstance(facts, dict) else {}
        url, title = words(facts.get("url")), words(facts.get("title"))
        title = title or words(source.get("id"))
        out.append(Citation(url, title, natural(start), natural(end)))


def usage_of(usage: dict[str, Any]) -> Usage:
    """Token counts. What is billed is less: without the words that Cohere itself puts before."""
    tokens = usage.get("tokens") or usage.get("billed_units")
    tokens = tokens if isinstance(tokens, dict) else {}
    return Usage(
        count(tokens.get("input_tokens")),
        count(tokens.get("output_tokens")),
        cache_read_tokens=count(usage.get("cached_tokens")),
    )
