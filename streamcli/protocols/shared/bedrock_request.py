"""What AWS Bedrock's Converse is asked. Pure.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from ...messages import Attachment, ChatRequest, Message, Tool
from ...request import HttpRequest, Target, quoted
from .arguments import object_of
from .claude import max_tokens, thinking, version
from .request import PENALTIES, cannot, merge, no_words_for, post

# (kind of block, format) of a type.
FORMATS = {
    **{f"image/{kind}": ("image", kind) for kind in ("png", "jpeg", "gif", "webp")},
    **{f"audio/{kind}": ("audio", kind) for kind in ("wav", "flac", "ogg", "mp4")},
    **{f"video/{kind}": ("video", kind) for kind in ("mp4", "webm")},
    "audio/mpeg": ("audio", "mp3"),
    "application/pdf": ("document", "pdf"),
}
_TYPE = "application/vnd.amazon.eventstream, application/json"
# Addresses are pasted whole, or as the one of its OpenAI-compatible API.
_OTHER_PATHS = re.compile(r"(/model/[^/]+/converse(-stream)?|/openai/v1)$")
_UNNAMEABLE = re.compile(r"[^a-zA-Z0-9()\[\]-]+")


def request(name: str, chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/model/{model}/converse-stream, for the protocol `name`."""
    no_words_for(name, chat, "seed", *PENALTIES)
    body: dict[str, Any] = {"messages": _messages(name, chat)}
    if chat.system:
        body["system"] = [{"text": chat.system}]
    sampling: tuple[tuple[str, Any], ...] = (
        ("maxTokens", chat.max_tokens),
        ("temperature", chat.temperature),
        ("topP", chat.top_p),
        ("stopSequences", list(chat.stop) or None),
    )
    if config := {field: value for field, value in sampling if value is not None}:
        body["inferenceConfig"] = config
    if chat.tools and chat.tool_choice != "none":
        body["toolConfig"] = _tool_config(chat)
    elif any(message.role == "tool" for message in chat.messages):
        # It refuses calls and results of tools that are not offered too.
        raise cannot(name, "results of tools without the tools")
    if chat.think is not None:
        merge(body, _thinking(name, chat, chat.think))
    if chat.schema is not None:
        shape = {"name": "answer", "schema": orjson.dumps(chat.schema).decode()}
        form = {"type": "json_schema", "structure": {"jsonSchema": shape}}
        merge(body, {"outputConfig": {"textFormat": form}})
    merge(body, chat.options)
    return post(target, _url(chat, target.base_url), body, _TYPE)


def _url(chat: ChatRequest, base: str) -> str:
    base, query, tail = base.partition("?")
    base = _OTHER_PATHS.sub("", base.rstrip("/"))
    # A model may be an ARN, with slashes and colons: all of it is one quoted of the path.
    operation = "converse-stream" if chat.stream else "converse"
    return f"{base}/model/{quoted(chat.model)}/{operation}{query}{tail}"


def _messages(name: str, chat: ChatRequest) -> list[dict[str, Any]]:
    """User and assistant must take turns: results of tools belong to what the user says."""
    messages: list[dict[str, Any]] = []
    documents: list[str] = []
    for message in chat.messages:
        role = "assistant" if message.role == "assistant" else "user"
        content = _content(name, message, documents)
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += content
        else:
            messages.append({"role": role, "content": content})
    if chat.prefill:
        messages.append({"role": "assistant", "content": [{"text": chat.prefill}]})
    return messages


def _content(name: str, message: Message, documents: list[str]) -> list[dict[str, Any]]:
    blocks = [_block(name, attachment, documents) for attachment in message.attachments]
    if message.text:  # an empty block is refused
        blocks.append({"text": message.text})
    if message.role == "tool":
        result: dict[str, Any] = {"toolUseId": message.call_id, "content": blocks}
        if message.is_error:  # only some models know that a call can fail
            result["status"] = "error"
        return [{"toolResult": result}]
    for id, tool, arguments in message.tool_calls:
        use = {"toolUseId": id, "name": tool, "input": object_of(arguments)}
        blocks.append({"toolUse": use})
    return blocks


def _block(name: str, attachment: Attachment, documents: list[str]) -> dict[str, Any]:
    """Text goes as text: not every model takes documents. `documents` are the names so far."""
    if attachment.url:
        raise cannot(name, f"an attachment by its address ({attachment.url})", "fetch it first")
    if attachment.kind == "text":
        return {"text": attachment.named_text()}
    if attachment.mime not in FORMATS:
        raise cannot(name, f"{attachment.name} ({attachment.mime or 'unknown type'})")
    kind, format = FORMATS[attachment.mime]
    block: dict[str, Any] = {"format": format, "source": {"bytes": attachment.base64()}}
    if kind == "document":
        block["name"] = _document_name(attachment.name, documents)
    return {kind: block}


def _document_name(file: str, taken: list[str]) -> str:
    """Letters, digits and few signs, at most 200; and no two documents of one name."""
    name = _UNNAMEABLE.sub(" ", file.rpartition(".")[0]).strip()[:190] or "document"
    if name in taken:
        name += f" {len(taken) + 1}"
    taken.append(name)
    return name


def _tool_config(chat: ChatRequest) -> dict[str, Any]:
    config: dict[str, Any] = {"tools": [{"toolSpec": _tool(tool)} for tool in chat.tools]}
    if chat.tool_choice is not None:
        words = {"auto": "auto", "required": "any"}
        word = words.get(chat.tool_choice)
        config["toolChoice"] = {word: {}} if word else {"tool": {"name": chat.tool_choice}}
    return config


def _tool(tool: Tool) -> dict[str, Any]:
    schema = {"json": tool.parameters or {"type": "object"}}
    described = {"description": tool.description} if tool.description else {}  # never empty
    return {"name": tool.name, **described, "inputSchema": schema}


def _thinking(name: str, chat: ChatRequest, effort: str) -> dict[str, Any]:
    """Every vendor's models have a knob of their own; Claude's is the one of Anthropic's API."""
    if version(chat.model) is None:
        raise cannot(
            f"{name} with {chat.model}",
            "how hard to think (--think)",
            "-o additionalModelRequestFields.NAME=VALUE sets a model's own field",
        )
    asked = thinking(chat, effort, max_tokens(chat.model))
    fields: dict[str, Any] = {"additionalModelRequestFields": {"thinking": asked["thinking"]}}
    if "max_tokens" in asked:
        fields["inferenceConfig"] = {"maxTokens": asked["max_tokens"]}
    if "output_config" in asked:
        fields["outputConfig"] = asked["output_config"]
    return fields
