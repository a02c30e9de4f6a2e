"""Build the messages of a request to Anthropic's Messages, from content blocks. Pure."""

from __future__ import annotations

from typing import Any

from ...messages import Attachment, ChatRequest, Message
from .arguments import object_of
from .request import cannot

_NAME = "anthropic"
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def messages_of(chat: ChatRequest) -> list[dict[str, Any]]:
    """Return the messages. All tool results of one round, and text after them, are one message."""
    messages: list[dict[str, Any]] = []
    results = False  # the last message holds tool results
    for message in chat.messages:
        role = "assistant" if message.role == "assistant" else "user"
        content = _content(message)
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


def _content(message: Message) -> str | list[dict[str, Any]]:
    blocks = [_attachment(attachment) for attachment in message.attachments]
    if message.role == "tool":
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.call_id}
        result["content"] = [*blocks, _text(message.text)] if blocks else message.text
        if message.is_error:
            result["is_error"] = True
        return [result]
    parts = message.parts(_NAME)
    if not blocks and all(part.text and part.opaque is None for part in parts):
        return message.text
    for part in parts:
        if part.opaque is not None:
            blocks.append(part.opaque)
        elif part.call is not None:
            id, tool, arguments = part.call
            use = {"type": "tool_use", "id": id, "name": tool, "input": object_of(arguments)}
            blocks.append(use)
        elif part.text.strip():  # a blank block is refused
            blocks.append(_text(part.text))
    return blocks


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _attachment(attachment: Attachment) -> dict[str, Any]:
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
    raise cannot(_NAME, what, hint)
