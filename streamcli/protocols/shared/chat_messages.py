"""Build the messages, attachments and schema of a Chat Completions request. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import orjson

from ...messages import Attachment, ChatRequest, Message
from ...request import Target
from .openai import think_fields
from .request import calls_of, cannot

if TYPE_CHECKING:
    from ...request import Quirks


def message_of(message: Message, quirks: Quirks, refused: Collection[str] = ()) -> dict[str, Any]:
    """Return a message, with the state that its provider wants back beside its tool calls.

    That is the opaque state that came with the calls, and the reasoning before them, in the form of
    the row's quirk `thoughts_back`: DeepSeek refuses a call without it, even if it was empty
    (https://api-docs.deepseek.com/guides/thinking_mode#tool-calls). Mistral takes it as a part of
    the content, as it sent it (https://docs.mistral.ai/capabilities/reasoning/). `refused` names
    fields that the server does not take.
    """
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
    plain: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        plain["tool_calls"] = calls_of(message)
        parts = message.parts("openai-chat")
        wanted = {part.call[0]: part.opaque for part in parts if part.call}
        for call in plain["tool_calls"]:
            call.update(wanted.get(call["id"]) or {})
        if (field := quirks.get("thoughts_back")) == "parts":
            if message.reasoning:
                thoughts = [{"type": "text", "text": message.reasoning}]
                text = [{"type": "text", "text": message.text}] if message.text else []
                plain["content"] = [{"type": "thinking", "thinking": thoughts}, *text]
        elif field:
            plain[field] = message.reasoning
        else:
            for part in parts:
                state: dict[str, Any] = part.opaque or {} if part.call is None else {}
                plain |= {name: state[name] for name in state if name not in refused}
    if message.attachments:
        attached = [_part(attachment) for attachment in message.attachments]
        plain["content"] = [*attached, {"type": "text", "text": message.text}]
    return plain


def _part(attachment: Attachment) -> dict[str, Any]:
    kind, url = attachment.kind, attachment.url
    if kind == "image" or (url and kind == "other"):
        return {"type": "image_url", "image_url": {"url": attachment.data_url()}}
    if kind == "audio" and not url:
        # The API knows wav and mp3 by these names alone.
        format = {"audio/wav": "wav", "audio/mpeg": "mp3"}.get(attachment.mime)
        if format is None:
            raise cannot(
                "openai-chat", f"{attachment.name} ({attachment.mime})", "convert it to wav or mp3"
            )
        return {
            "type": "input_audio",
            "input_audio": {"data": attachment.base64(), "format": format},
        }
    if kind == "pdf" and not url:
        file = {"filename": attachment.name, "file_data": attachment.data_url()}
        return {"type": "file", "file": file}
    if kind == "text" and not url:
        return {"type": "text", "text": attachment.named_text()}
    what = f"the URL of {attachment.mime}" if url else f"{attachment.name} ({attachment.mime})"
    raise cannot("openai-chat", what)


def tool_choice_of(choice: str | None) -> Any:
    if choice in (None, "auto", "none", "required"):
        return choice
    return {"type": "function", "function": {"name": choice}}


def schema_fields(
    chat: ChatRequest, target: Target, messages: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the fields for --schema; for a server that takes none, describe it in `messages`."""
    from .schemas import object_schema, openai_schema

    if target.quirks.get("json_object") or target.refused & {"response_format", "json_schema"}:
        schema = object_schema(chat)
        _ask_in_words(schema, messages)
        if schema.get("type") in (None, "object"):
            return {"response_format": {"type": "json_object"}}
        return {}
    shape = {"name": "answer", **openai_schema(chat, target.quirks)}
    return {"response_format": {"type": "json_schema", "json_schema": shape}}


def _ask_in_words(schema: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Ask for the schema in the system prompt, as the server does not take one."""
    words = "Answer with JSON alone, without a code fence, that matches this JSON Schema:\n"
    words += orjson.dumps(schema).decode()
    if messages and messages[0]["role"] == "system":
        messages[0] = {"role": "system", "content": f"{messages[0]['content']}\n\n{words}"}
    else:
        messages.insert(0, {"role": "system", "content": words})


def think_of(chat: ChatRequest, target: Target, knob: dict[str, Any]) -> dict[str, Any]:
    """Return the fields for --think; if the server refused the template's switch, an effort."""
    assert chat.think is not None
    fields = think_fields(chat.think, target.quirks, knob, chat.model)
    if "chat_template_kwargs" in target.refused and fields.pop("chat_template_kwargs", None):
        fields.setdefault("reasoning_effort", chat.think)
    if "think" in chat.wishes:
        fields = {name: value for name, value in fields.items() if name not in target.refused}
    return fields
