"""What Anthropic's Messages are asked. Pure.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from ...messages import Attachment, ChatRequest, Message, Tool
from ...request import HttpRequest, Target, join_url
from .arguments import object_of
from .claude import max_tokens, thinking
from .request import PENALTIES, cannot, key_headers, merge, no_words_for

VERSION = "2023-06-01"
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def request(name: str, chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/v1/messages, for the protocol `name`."""
    no_words_for(name, chat, "seed", *PENALTIES, hint="leave it out")
    limit = target.quirks.get("default_max_tokens") or max_tokens(chat.model)
    body: dict[str, Any] = {
        "model": chat.model,
        "max_tokens": limit if chat.max_tokens is None else chat.max_tokens,
        "messages": _messages(name, chat),
        "stream": chat.stream,
    }
    if not chat.model:
        del body["model"]
    fields: tuple[tuple[str, Any], ...] = (
        ("system", chat.system),
        ("temperature", chat.temperature),
        ("top_p", chat.top_p),
        ("stop_sequences", list(chat.stop) or None),
        ("tools", [_tool(tool) for tool in chat.tools] or None),
        ("tool_choice", _tool_choice(chat.tool_choice)),
    )
    body |= {field: value for field, value in fields if value is not None}
    if chat.think is not None:
        merge(body, thinking(chat, chat.think, limit))
    if chat.schema is not None:
        merge(body, {"output_config": {"format": {"type": "json_schema", "schema": chat.schema}}})
    merge(body, chat.options)
    return HttpRequest(
        "POST", _url(target.base_url), _headers(target), orjson.dumps(body), target.unix_socket
    )


def _url(base: str) -> str:
    """An address is usually given without its version, but some paste it, or the whole path."""
    known = re.search(r"/(v\d+|messages)/*(\?|$)", base)
    return join_url(base, "/messages" if known else "/v1/messages")


def _headers(target: Target) -> list[tuple[str, str]]:
    headers = [("Content-Type", "application/json")]
    if "anthropic-version" not in {name.lower() for name, _ in target.headers}:
        headers.append(("anthropic-version", VERSION))
    return headers + key_headers(target, "x-api-key")


def _messages(name: str, chat: ChatRequest) -> list[dict[str, Any]]:
    """All results of one round of tools belong into one message, what the user adds behind them."""
    messages: list[dict[str, Any]] = []
    results = False  # the last message is one of results
    for message in chat.messages:
        role = "assistant" if message.role == "assistant" else "user"
        content = _content(name, message)
        if results and role == "user":
            if isinstance(content, str):
                content = [_text(content)]
            messages[-1]["content"] += content
        else:
            messages.append({"role": role, "content": content})
            results = message.role == "tool"
    if chat.prefill:
        messages.append({"role": "assistant", "content": chat.prefill})
    return messages


def _content(name: str, message: Message) -> str | list[dict[str, Any]]:
    blocks = [_block(name, attachment) for attachment in message.attachments]
    if message.role == "tool":
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.call_id}
        result["content"] = [*blocks, _text(message.text)] if blocks else message.text
        if message.is_error:
            result["is_error"] = True
        return [result]
    if not blocks and not message.tool_calls:
        return message.text
    if message.text:  # an empty block is refused
        blocks.append(_text(message.text))
    for id, tool, arguments in message.tool_calls:
        blocks.append({"type": "tool_use", "id": id, "name": tool, "input": object_of(arguments)})
    return blocks


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _block(name: str, attachment: Attachment) -> dict[str, Any]:
    kind, mime, url = attachment.kind, attachment.mime, attachment.url
    source = {"type": "url", "url": url} if url else {"type": "base64", "media_type": mime}
    if not url and kind != "text":
        source["data"] = attachment.base64()
    # A URL that does not tell its type is most likely an image's.
    if (kind == "image" and (url or mime in IMAGES)) or (url and not mime):
        return {"type": "image", "source": source}
    if kind == "text" and not url:
        text = attachment.data.decode("utf-8", "replace")
        source = {"type": "text", "media_type": "text/plain", "data": text}
    if kind == "pdf" or source["type"] == "text":
        return {"type": "document", "source": source, "title": attachment.name}
    hint = "convert it to PNG or JPEG" if kind == "image" else ""
    what = f"the URL of {mime}" if url else f"{attachment.name} ({mime or 'unknown type'})"
    raise cannot(name, what, hint)


def _tool(tool: Tool) -> dict[str, Any]:
    schema = tool.parameters or {"type": "object"}
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


def _tool_choice(choice: str | None) -> dict[str, str] | None:
    if choice is None:
        return None
    words = {"auto": "auto", "none": "none", "required": "any"}
    return {"type": words[choice]} if choice in words else {"type": "tool", "name": choice}
