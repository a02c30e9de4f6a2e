"""What an agent is asked by AG-UI: the input of a run. Pure.

Source: https://docs.ag-ui.com/spec/1.0/basic/run-input
"""

from __future__ import annotations

from typing import Any

import orjson

from ...messages import Attachment, ChatRequest, Message, Tool
from ...request import HttpRequest, Target
from .agents import conversation, id_of, only_what_it_takes, post, text_and_files
from .request import calls_of, cannot, merge

# Where -o goes: fields of the protocol's own; all else is for the agent, in forwardedProps.
FIELDS = (
    "threadId",
    "runId",
    "parentRunId",
    "protocolVersion",
    "state",
    "messages",
    "tools",
    "context",
    "forwardedProps",
    "resume",
)
PARTS = ("image", "audio", "video")  # by the first half of the MIME type; all else is a document


def request(name: str, chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}, for the protocol `name`. Servers before 1.0 insist on every field."""
    only_what_it_takes(name, chat)
    if chat.tool_choice not in (None, "auto", "none"):
        raise cannot(name, f"a tool choice ({chat.tool_choice})", "auto and none are possible")
    told = conversation(chat)
    ids = [id for id, _ in told]
    body: dict[str, Any] = {
        "threadId": id_of("thread", *ids[:1]),
        "runId": id_of("run", *ids, orjson.dumps(chat.options).decode()),
        "state": {},
        "messages": [_message(id, message) for id, message in told],
        "tools": [] if chat.tool_choice == "none" else [_tool(tool) for tool in chat.tools],
        "context": [],
        "forwardedProps": {"model": chat.model} if chat.model else {},
    }
    own = {field: value for field, value in chat.options.items() if field in FIELDS}
    merge(body["forwardedProps"], {k: v for k, v in chat.options.items() if k not in own})
    merge(body, own)
    return post(target, body, "text/event-stream")


def _message(id: str, message: Message) -> dict[str, Any]:
    text, files = text_and_files(message)
    plain: dict[str, Any] = {"id": id, "role": message.role, "content": text}
    if files:
        plain["content"] = [{"type": "text", "text": text}, *map(_part, files)]
    if message.tool_calls:
        plain["toolCalls"] = calls_of(message)
    if message.role == "tool":
        plain["toolCallId"] = message.call_id
        if message.is_error:
            plain["error"] = message.text
    return plain


def _part(attachment: Attachment) -> dict[str, Any]:
    major = attachment.mime.partition("/")[0] or "image"  # a URL that does not tell
    source = {"type": "data", "value": attachment.base64()}
    if attachment.url:
        source = {"type": "url", "value": attachment.url}
    if attachment.mime:
        source["mimeType"] = attachment.mime
    return {"type": major if major in PARTS else "document", "source": source}


def _tool(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
