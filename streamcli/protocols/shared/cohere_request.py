"""What Cohere's v2 chat is asked. Pure.

Source: https://docs.cohere.com/reference/chat-stream
"""

from __future__ import annotations

import re
from typing import Any

from ...messages import Attachment, ChatRequest, Message
from ...request import HttpRequest, Target
from .request import calls_of, cannot, function_of, merge, no_words_for, post

# Tokens to think with. Harder than that is without a limit, which is what Cohere recommends:
# https://docs.cohere.com/docs/reasoning
BUDGETS = {"low": 2048, "medium": 8192}
# An address is given with its version or without, or with the whole path.
_VERSION = re.compile(r"/v[12](/chat)?$")


def request(name: str, chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/v2/chat, for the protocol `name`."""
    no_words_for(name, chat, "prefill")
    messages = [{"role": "system", "content": chat.system}] if chat.system is not None else []
    messages += [_message(name, message) for message in chat.messages]
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
        ("tool_choice", _tool_choice(name, chat.tool_choice)),
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


def _message(name: str, message: Message) -> dict[str, Any]:
    parts = [_part(name, attachment) for attachment in message.attachments]
    content = [*parts, {"type": "text", "text": message.text}] if parts else message.text
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": content}
    plain: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        if not content:
            del plain["content"]
        plain["tool_calls"] = calls_of(message)
    return plain


def _part(name: str, attachment: Attachment) -> dict[str, Any]:
    kind, url = attachment.kind, attachment.url
    # A URL that does not tell its type is most likely an image's.
    if kind == "image" or (url and not attachment.mime):
        return {"type": "image_url", "image_url": {"url": attachment.data_url()}}
    if kind == "text" and not url:
        return {"type": "text", "text": attachment.named_text()}
    mime = attachment.mime or "unknown type"
    raise cannot(name, f"the URL of {mime}" if url else f"{attachment.name} ({mime})")


def _tool_choice(name: str, choice: str | None) -> str | None:
    if choice in (None, "auto"):
        return None
    if choice not in ("required", "none"):
        raise cannot(name, f"a tool choice ({choice})", "auto, none and required are possible")
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
