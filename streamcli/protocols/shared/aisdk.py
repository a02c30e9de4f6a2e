"""The common parts of the two protocols of Vercel's AI SDK: request, reasons, token counts. Pure.

Sources: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol, and the packages `ai` 4 to 7, whose
`HttpChatTransport` (5 to 7) and `useChat` (4) make the requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ...events import Citation, Event, Failed, Usage
from ...messages import ChatRequest, Message
from ...request import HttpRequest, Target
from ...wire.lenient_json import count, natural, words
from ...wire.provider_errors import stream_failure
from . import finish_reasons
from .agents import conversation, id_of, only_what_it_takes, post, text_and_files
from .arguments import object_of
from .request import cannot, merge

Form = Callable[[str, Message, dict[str, Message]], dict[str, Any]]

ENDPOINT = "the endpoint (often http://HOST/api/chat)"
_MASKED = "An error occurred."  # the SDK's message for any error, unless the application sets one
_NAMES = {
    "input_tokens": ("inputTokens", "promptTokens", "input_tokens", "prompt_tokens"),
    "output_tokens": ("outputTokens", "completionTokens", "output_tokens", "completion_tokens"),
    "reasoning_tokens": ("reasoningTokens",),
    "cache_read_tokens": ("cachedInputTokens",),
    "cache_write_tokens": ("cacheWriteInputTokens",),
    "total_tokens": ("totalTokens", "total_tokens"),
}
# Since version 6 the parts of a count are in an object of their own.
_DETAILS = {
    "reasoning_tokens": ("outputTokenDetails", "reasoningTokens"),
    "cache_read_tokens": ("inputTokenDetails", "cacheReadTokens"),
    "cache_write_tokens": ("inputTokenDetails", "cacheWriteTokens"),
}


def request(
    name: str, chat: ChatRequest, target: Target, form: Form, accept: str, **more: Any
) -> HttpRequest:
    """Return the POST to {base}, the application's address (usually its /api/chat).

    `name` is the protocol's. `form` returns a message's wire form from its id, the message, and the
    results of tools by the ids of their calls.
    """
    only_what_it_takes(name, chat)
    if chat.tools:
        raise cannot(name, "tools", "the application has its own")
    named = conversation(chat)
    results = {message.call_id: message for message in chat.messages if message.role == "tool"}
    body: dict[str, Any] = {
        "id": id_of("chat", *(id for id, _ in named[:1])),
        "messages": [form(id, m, results) for id, m in named if m.role != "tool"],
        **more,
    }
    if chat.model:
        body["model"] = chat.model  # many applications let the request choose the model
    merge(body, chat.options)
    return post(target, body, accept)


def ui_message(id: str, message: Message, results: dict[str, Message]) -> dict[str, Any]:
    """Return a message of version 5 and later; it holds the results of its tool calls."""
    text, files = text_and_files(message)
    parts: list[dict[str, Any]] = [
        {
            "type": "file",
            "mediaType": file.mime or "image/*",  # a URL does not show its type
            "filename": file.name,
            "url": file.data_url(),
        }
        for file in files
    ]
    if text or not message.tool_calls:
        parts.append({"type": "text", "text": text})
    for call_id, name, arguments in message.tool_calls:
        part = {"type": f"tool-{name}", "toolCallId": call_id, "input": object_of(arguments)}
        result = results.get(call_id)
        if result is None:
            part["state"] = "input-available"
        elif result.is_error:
            part |= {"state": "output-error", "errorText": result.text}
        else:
            part |= {"state": "output-available", "output": result.text}
        parts.append(part)
    return {"id": id, "role": message.role, "parts": parts}


def message_of_4(id: str, message: Message, results: dict[str, Message]) -> dict[str, Any]:
    text, files = text_and_files(message)
    plain: dict[str, Any] = {"id": id, "role": message.role, "content": text}
    if files:
        plain["experimental_attachments"] = [
            {"name": file.name, "contentType": file.mime or "image/*", "url": file.data_url()}
            for file in files
        ]
    calls = []
    for call_id, name, arguments in message.tool_calls:
        call = {"toolCallId": call_id, "toolName": name, "args": object_of(arguments)}
        result = results.get(call_id)
        state = {"state": "call"} if result is None else {"state": "result", "result": result.text}
        calls.append({**call, **state})
    return {**plain, "toolInvocations": calls} if calls else plain


def reason_of(raw: str | None, open: bool, any: bool) -> str | None:
    """Return our word for a finish reason. `open`: a call waits for the caller; `any`: one came.

    The reason may be tool-calls after a call that the application has answered itself: then it is
    `stop`.
    """
    reason = finish_reasons.reason_of(raw)
    if open and reason in ("stop", "other", None):
        return "tool_calls"
    return "stop" if reason == "tool_calls" and any and not open else reason


def failure_of(raw: str | None) -> Failed | None:
    """Return the failure that a finish reason means; None if it ends an answer.

    The SDK writes `unknown` where the provider transmitted no reason, mostly as its stream was cut
    (https://github.com/vercel/ai/pull/2664); since version 6 it writes `other` then.
    """
    failed = finish_reasons.failure_of("other" if raw == "unknown" else raw)
    if failed is not None and raw == "unknown":
        failed.message = "the provider gave no reason for the end of the answer"
        failed.raw = raw
    return failed


def reason_in(value: dict[str, Any]) -> str | None:
    """Return the finish reason of an event: a word, or since version 7 an object with two."""
    found = value.get("finishReason") or value.get("finish_reason")
    if isinstance(found, dict):
        return finish_reasons.first_of(found.get("unified"), found.get("raw"))
    return finish_reasons.first_of(found)


def nothing(evidence: tuple[str, ...]) -> Failed:
    """Return the failure of a stream that held only markers, which is not an answer."""
    message = "the stream ended and held neither text nor a finish reason"
    return Failed("not_a_stream", message, evidence=evidence)


def error_of(error: Any) -> Failed:
    failed = stream_failure(error)
    if failed.message == _MASKED:
        failed.hint = "the server keeps its errors to itself: see its own log"
    return failed


def with_version_hint(events: list[Event]) -> list[Event]:
    """Return the last events; if the stream is of the other version, a hint names its protocol."""
    end = events[-1] if events else None
    if isinstance(end, Failed) and end.kind == "not_a_stream":
        if re.search(r': [0-9a-k]:["[{]', end.message):
            end.hint = "it is of the AI SDK 4: the protocol is ai-data"
        elif ': data: {"type":' in end.message:
            end.hint = "it is of the AI SDK 5 or later: the protocol is ui-message"
    return events


def usage_of(usage: Any) -> Usage | None:
    """Return the token counts of any version; None without any."""
    if not isinstance(usage, dict):
        return None
    counts = {}
    for field, names in _NAMES.items():
        found = [count(usage[name]) for name in names if name in usage]
        if found == [] and field in _DETAILS:
            place, name = _DETAILS[field]
            details = usage.get(place)
            found = [count(details.get(name))] if isinstance(details, dict) else []
        counts[field] = found[0] if found else None
    return Usage(**counts) if any(number is not None for number in counts.values()) else None


def total(usages: list[Usage]) -> Usage:
    """Return the sum of several usages; a count that none of them has is unknown."""
    counts: dict[str, int | None] = {}
    for field in _NAMES:
        known = [n for usage in usages if (n := getattr(usage, field)) is not None]
        counts[field] = sum(known) if known else None
    return Usage(**counts)


def cite(source: Any, out: list[Event], start: Any = None, end: Any = None) -> None:
    """Give a source that the answer cites; a document without a URL has a title."""
    if not isinstance(source, dict):
        return
    url, title = words(source.get("url")), words(source.get("title") or source.get("filename"))
    if url or title:
        out.append(Citation(url, title, natural(start), natural(end)))
