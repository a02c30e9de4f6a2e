"""What applications made with Vercel's AI SDK are asked. Pure.

Sources: `HttpChatTransport` of the package `ai` 5 to 7, and `useChat` of version 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...messages import ChatRequest, Message
from ...request import HttpRequest, Target
from .agents import conversation, id_of, only_what_it_takes, post, text_and_files
from .arguments import object_of
from .request import cannot, merge

Form = Callable[[str, Message, dict[str, Message]], dict[str, Any]]


def request(
    name: str, chat: ChatRequest, target: Target, form: Form, accept: str, **more: Any
) -> HttpRequest:
    """POST {base}, the application's own address (usually its /api/chat), for the protocol `name`.

    `form` makes a message of its id, itself, and the results of tools by their calls' ids.
    """
    only_what_it_takes(name, chat)
    if chat.tools:
        raise cannot(name, "tools", "the application has its own")
    told = conversation(chat)
    results = {message.call_id: message for message in chat.messages if message.role == "tool"}
    body: dict[str, Any] = {
        "id": id_of("chat", *(id for id, _ in told[:1])),
        "messages": [form(id, m, results) for id, m in told if m.role != "tool"],
        **more,
    }
    if chat.model:
        body["model"] = chat.model  # many applications let their page choose one
    merge(body, chat.options)
    return post(target, body, accept)


def ui_message(id: str, message: Message, results: dict[str, Message]) -> dict[str, Any]:
    """A message of version 5 and later; the results of its tool calls are part of it."""
    text, files = text_and_files(message)
    parts: list[dict[str, Any]] = [
        {
            "type": "file",
            "mediaType": file.mime or "image/*",  # a URL that does not tell
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
