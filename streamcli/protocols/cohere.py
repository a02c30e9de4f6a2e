"""Cohere's v2 chat; streams of the older v1 (JSON lines) are decoded too, but not requested.

Source: https://docs.cohere.com/reference/chat-stream. Recorded streams show where it deviates
(tests/protocols/test_cohere.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..events import (
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
from ..messages import Attachment, ChatRequest, Message
from ..request import HttpRequest, Target
from ..wire.error_shapes import error_beside, error_in
from ..wire.fast_runs import Template, UnnamedEvents
from ..wire.json_body import JsonBody, has_answer
from ..wire.lenient_json import is_json, whole, words
from ..wire.provider_errors import http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.cohere_parts import Call, cite, items, usage_of
from .shared.ending import Ending
from .shared.finish_reasons import first_of
from .shared.listing import Listing, with_field
from .shared.nested_text import text_beside, text_in
from .shared.request import calls_of, cannot, function_of, merge, no_words_for, post, sent

_OWN_PATH = re.compile(r"/v[12](/chat)?$|/models$")


def _models(base: str) -> str:
    """Return {base}/v1/models, with a page size: the default page has twenty models."""
    base, _, query = base.partition("?")
    query = with_field(query, "endpoint=chat&page_size=1000")
    return f"{_OWN_PATH.sub('', base.rstrip('/'))}/v1/models?{query}"


NAME = "cohere"
CAN = ("tools", "attachments", "reasoning", "schema")
NEEDS_MODEL = True
LISTING = Listing("models", _models, place="models", ids=("name", "id"))

# Tokens for thinking, by effort. Higher efforts have no limit, as Cohere recommends:
# https://docs.cohere.com/docs/reasoning
BUDGETS = {"low": 2048, "medium": 8192}
# A base may have the version, lack it, or have the whole path.
_VERSION = re.compile(r"/v[12](/chat)?$")

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

# The events that recognise the protocol: others have events of the other names too.
BEGINNINGS = ("message-start", "content-start", "content-delta", "tool-plan-delta", "message-end")


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}/v2/chat."""
    no_words_for(NAME, chat, "prefill")
    messages = [{"role": "system", "content": chat.system}] if chat.system is not None else []
    messages += [_message(message) for message in chat.messages]
    body: dict[str, Any] = {"model": chat.model, "messages": messages, "stream": chat.stream}
    for field, value in (
        ("temperature", sent(chat, target, "temperature")),
        ("p", sent(chat, target, "top_p")),
        ("max_tokens", sent(chat, target, "max_tokens")),
        ("stop_sequences", sent(chat, target, "stop")),
        ("seed", sent(chat, target, "seed")),
        ("frequency_penalty", sent(chat, target, "frequency_penalty")),
        ("presence_penalty", sent(chat, target, "presence_penalty")),
        ("tools", [function_of(tool) for tool in chat.tools] or None),
        ("tool_choice", _tool_choice(chat.tool_choice)),
        ("thinking", _thinking(chat, target)),
    ):
        if value is not None:
            body[field] = value
    if chat.schema is not None:
        from .shared.schemas import object_schema

        body["response_format"] = {"type": "json_object", "json_schema": object_schema(chat)}
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
    state = [each.opaque for each in message.parts(NAME) if isinstance(each.opaque, dict)]
    if thinking := [each for each in state if "tool_plan" not in each]:
        text = [{"type": "text", "text": message.text}] if message.text else []
        plain["content"] = [*thinking, *parts, *text]
    elif message.tool_calls and not content:
        del plain["content"]
    for each in state:
        if "tool_plan" in each:
            plain |= each
    if message.tool_calls:
        plain["tool_calls"] = calls_of(message)
    return plain


def _part(attachment: Attachment) -> dict[str, Any]:
    kind, url = attachment.kind, attachment.url
    # A URL that does not show its type is most likely that of an image.
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


def _thinking(chat: ChatRequest, target: Target) -> dict[str, Any] | None:
    effort = sent(chat, target, "think", "thinking")
    if effort is None:
        return None
    if effort == "none":
        return {"type": "disabled"}
    budget = BUDGETS.get(effort)
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
    """Decodes the events of a stream, or a whole answer of v2."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self._body = JsonBody(self, "answer of Cohere's", limit, Template("text", _place))
        self._events = UnnamedEvents("content-delta")
        self._ending = Ending()
        self._open: dict[int, Call] = {}  # by index
        # Pieces of the reasoning and of the plan, which Cohere wants back.
        self._thinking: list[str] = []
        self._plan: list[str] = []

    @property
    def ended(self) -> bool:
        return self._body.ended

    @property
    def ending(self) -> bool:
        return self._ending.is_final or self._body.failure is not None

    def feed(self, data: bytes) -> list[Event]:
        return self._body.feed(self._events.feed(data))

    def close(self, broken: Failed | None = None) -> list[Event]:
        return self._body.feed(self._events.close()) + self._body.close(broken)

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            self._body.each(value, event, out)
            return
        kind, before = value.get("type"), len(out)
        if kind is None and isinstance(value.get("delta"), dict):  # some gateways drop it
            kind = event if event in EVENTS else "content-delta"
        if self._body.failure is not None:
            self._after_error(kind, value, out)
            return
        if kind in EVENTS:
            self._event(kind, value, out)
        elif "event_type" in value and "is_finished" in value:
            self._older(value, out)
        elif "finish_reason" in value and isinstance(value.get("message"), dict):
            self._start(value.get("id"), out)
            self._message(value["message"], -1, out)
            self._close_all(out)
            self._end(value, value.get("usage"), out)
        else:
            named = kind not in (None, "error") and event != "error"
            if error := value.get("error") if named else error_in(value, event):
                self._body.fail_after_usage(stream_failure(error, "error"), out)
            return  # a value of unknown type is ignored
        self._body.alive = True
        if len(out) == before:
            out.append(Progress())

    def _event(self, kind: Any, value: dict[str, Any], out: list[Event]) -> None:
        """Read an event of v2."""
        body, delta, index = self._body, value.get("delta"), value.get("index")
        index = index if type(index) is int else -1
        if kind == "message-start":
            self._start(value.get("id"), out)
        elif kind in ("tool-call-start", "content-start"):
            self._close_all(out, only_whole=True)
        before = len(out)
        if isinstance(delta, dict):
            self._message(delta.get("message"), index, out)
        if kind == "content-delta" and delta and len(out) == before and not body.mistyped:
            self._say(text_beside(delta, "message"), out)
        error = value.get("error")
        if not error and kind == "message-end":
            error = error_beside(value)
        elif not error and isinstance(delta, dict):
            error = delta.get("error")
        if error and not body.ended:
            body.fail_after_usage(stream_failure(error, "error"), out)
        if body.ended:
            return
        if kind == "message-end":
            end = {**value, **delta} if isinstance(delta, dict) else value
            self._end(end, end.get("usage"), out)
        if kind == "content-end":
            self._keep(out)
        elif kind == "tool-call-end":
            self._close(index, out)
        elif kind == "message-end" and not body.ended:
            self._close_all(out)
            body.finish("marker", out)

    def _after_error(self, kind: Any, value: dict[str, Any], out: list[Event]) -> None:
        """Read the usage after an error, and nothing else."""
        if kind == "message-end":
            delta = value.get("delta")
            self._count(delta.get("usage") if isinstance(delta, dict) else None, out)
            self._body.finish("marker", out)

    def _start(self, id: Any, out: list[Event]) -> None:
        if id and isinstance(id, str):
            out.append(Started("", whole(id)))  # Cohere does not name the model

    def _message(self, message: Any, index: int, out: list[Event]) -> None:
        """Read a whole message, or the part that an event adds to it."""
        if type(message) is not dict:
            return
        if error := message.get("error"):
            self._body.fail_after_usage(stream_failure(error, "error"), out)
            return
        if plan := message.get("tool_plan"):
            self._think(plan, self._plan, out)
        content = message.get("content")
        for item in content if type(content) is list else (content,):
            if type(item) is dict:
                self._think(item.get("thinking"), self._thinking, out)
                self._say(item.get("text"), out)
            else:
                self._say(item, out)
        for call in items(message.get("tool_calls")):
            self._call(call, index, out)
        for citation in items(message.get("citations")):
            cite(citation, out)

    def _say(self, text: Any, out: list[Event]) -> None:
        if text is not None and text != "":
            if self._thinking:
                self._keep(out)
            self._ending.text(0, str(text))
            self._body.say(Text, text, out)

    def _think(self, thought: Any, pieces: list[str], out: list[Event]) -> None:
        if thought := text_in(thought):
            self._ending.reasoning()
            self._body.say(Reasoning, thought, out)
            if isinstance(thought, str):
                pieces.append(thought)

    def _keep(self, out: list[Event]) -> None:
        """Give the whole reasoning and plan as opaque state, in the form that Cohere wants back."""
        if self._thinking:
            thought = {"type": "thinking", "thinking": whole("".join(self._thinking))}
            out.append(Opaque(NAME, thought))
            self._thinking = []
        if self._plan:
            out.append(Opaque(NAME, {"tool_plan": whole("".join(self._plan))}))
            self._plan = []

    def _call(self, delta: dict[str, Any], index: int, out: list[Event]) -> None:
        """Begin a call if the delta has a name, otherwise continue the call of its index."""
        function = delta.get("function")
        function = function if isinstance(function, dict) else {}
        id, name = words(delta.get("id")), words(function.get("name"))
        arguments = function.get("arguments")
        begun = self._open.get(index)
        if begun is None and not (name or id) and len(self._open) == 1:
            (index, begun), *_ = self._open.items()  # some gateways mix up the index
        if begun is None:
            begins = bool(name or id or arguments not in (None, ""))  # one without a name too
        else:  # the same start may come twice
            same = bool(id) and not any(begun.pieces) and (begun.id, begun.name) == (id, name)
            begins = bool(name) and not same
        if begins:
            self._close(index, out)
            self._ending.reasoning()  # the answer goes on
            self._open[index] = Call(id, name)
        if call := self._open.get(index):
            if isinstance(arguments, str):
                call.pieces.append(arguments)
            elif arguments is not None:
                call.arguments = arguments

    def _close(self, index: int, out: list[Event]) -> None:
        """Give out a call, as it is whole."""
        call = self._open.pop(index, None)
        if call is None:
            return
        self._keep(out)
        arguments = "".join(call.pieces) or call.arguments
        id = call.id or f"call_{self._ending.calls}"
        self._ending.call(id, call.name, arguments, out, own_id=bool(call.id))

    def _close_all(self, out: list[Event], only_whole: bool = False) -> None:
        for index, call in list(self._open.items()):
            if not only_whole or is_json("".join(call.pieces).encode()):
                self._close(index, out)
        if not only_whole:
            self._keep(out)

    def _older(self, value: dict[str, Any], out: list[Event]) -> None:
        """Read an event of v1."""
        kind = value["event_type"]
        if kind == "stream-start":
            self._start(value.get("generation_id"), out)
        elif kind == "text-generation":
            self._say(value.get("text"), out)
        elif kind == "tool-calls-chunk":  # the plan; the calls come whole later
            self._think(value.get("text"), [], out)
        elif kind == "tool-calls-generation":
            for call in items(value.get("tool_calls")):
                function = {"name": call.get("name"), "arguments": call.get("parameters") or {}}
                self._call({"function": function}, -1, out)
                self._close(-1, out)
        elif kind == "citation-generation":
            for citation in items(value.get("citations")):
                cite(citation, out)
        elif kind == "stream-end":
            response = value.get("response")
            response = response if isinstance(response, dict) else {}
            if not self._body.answered and not has_answer(out):
                self._say(response.get("text"), out)
            own = {name: each for name, each in value.items() if each is not None}
            self._end({**response, **own}, response.get("meta"), out)
            if not self._body.ended:
                self._body.finish("marker", out)

    def _end(self, end: dict[str, Any], usage: Any, out: list[Event]) -> None:
        self._count(usage, out)
        self._ending.end(first_of(end.get("finish_reason"), end.get("finishReason")))
        if error := end.get("error"):
            failed = stream_failure({"message": error, "type": end.get("error_type")})
            self._body.fail(failed, out)

    def _count(self, usage: Any, out: list[Event]) -> None:
        if isinstance(usage, dict) and (counted := usage_of(usage)) != Usage():
            out.append(counted)

    def finished(self) -> bool:
        return self._ending.reached

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        self._close_all(out)
        end = self._ending.finish(evidence, out)
        if isinstance(end, Failed) and end.raw == "TIMEOUT":
            end.transient = True
        return end


def _place(value: Any) -> Any:
    """Return the object that holds the text of a plain delta."""
    return value["delta"]["message"]["content"]
