"""What Chat Completions are asked, with the habits of each server as data. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...messages import Attachment, ChatRequest, Message
from ...request import HttpRequest, Target, join_url
from .openai_values import think_fields
from .request import calls_of, cannot, function_of, merge, post, sent

if TYPE_CHECKING:
    from ...request import Quirks

THINK = {"*": {"reasoning_effort": "$effort"}}


def request(name: str, chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/chat/completions, for the protocol `name`."""
    quirks = target.quirks
    messages = [{"role": "system", "content": chat.system}] if chat.system is not None else []
    messages += [_message(name, message) for message in chat.messages]
    body: dict[str, Any] = {"model": chat.model, "messages": messages, "stream": chat.stream}
    if not chat.model:
        del body["model"]
    if chat.stream and quirks.get("stream_options") and "stream_options" not in target.refused:
        body["stream_options"] = dict(quirks["stream_options"])
    limit = quirks.get("max_tokens", "max_tokens")
    if limit in target.refused:  # it has two names, and some servers know one of them
        limit = "max_tokens" if limit != "max_tokens" else "max_completion_tokens"
    seed = quirks.get("seed", "seed")
    for field, value in (
        ("temperature", sent(chat, target, "temperature")),
        ("top_p", sent(chat, target, "top_p")),
        (limit, sent(chat, target, "max_tokens", limit)),
        ("stop", sent(chat, target, "stop")),
        (seed, sent(chat, target, "seed", seed)),
        ("frequency_penalty", sent(chat, target, "frequency_penalty")),
        ("presence_penalty", sent(chat, target, "presence_penalty")),
        ("tools", [function_of(tool) for tool in chat.tools] or None),
        ("tool_choice", _tool_choice(chat.tool_choice)),
    ):
        if value is not None:
            body[field] = value
    if chat.think is not None:
        merge(body, _think(chat, target))
    if chat.schema is not None:
        merge(body, _response_format(chat.schema, quirks))
    if chat.prefill is not None:
        if "prefill" not in quirks:
            raise cannot(f"{target.provider}'s {name}", "a beginning of the answer (--prefill)")
        in_message, in_body = quirks["prefill"]
        messages.append({"role": "assistant", "content": chat.prefill, **in_message})
        body |= in_body
    if chat.hide_reasoning is not None and "hide_field" in quirks:
        body[quirks["hide_field"]] = chat.hide_reasoning
    merge(body, chat.options)
    base_url = target.base_url
    if chat.prefill is not None and base_url == quirks.get("own_base"):
        base_url = quirks["prefill_base"]
    return post(target, join_url(base_url, "/chat/completions"), body)


def _think(chat: ChatRequest, target: Target) -> dict[str, Any]:
    """Return the fields for --think; a server that refuses its templates' switch gets an effort."""
    assert chat.think is not None
    fields = think_fields(chat.think, target.quirks, THINK)
    if "chat_template_kwargs" in target.refused and fields.pop("chat_template_kwargs", None):
        fields.setdefault("reasoning_effort", chat.think)
    if "think" in chat.wishes:
        fields = {name: value for name, value in fields.items() if name not in target.refused}
    return fields


def _message(name: str, message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
    plain: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        plain["tool_calls"] = calls_of(message)
    if message.attachments:
        parts = [_part(name, attachment) for attachment in message.attachments]
        plain["content"] = [*parts, {"type": "text", "text": message.text}]
    return plain


def _part(name: str, attachment: Attachment) -> dict[str, Any]:
    kind, url = attachment.kind, attachment.url
    if kind == "image" or (url and kind == "other"):
        return {"type": "image_url", "image_url": {"url": attachment.data_url()}}
    if kind == "audio" and not url:
        # The API knows wav and mp3 by these names alone.
        format = {"audio/wav": "wav", "audio/mpeg": "mp3"}.get(attachment.mime)
        if format is None:
            raise cannot(name, f"{attachment.name} ({attachment.mime})", "convert it to wav or mp3")
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
    raise cannot(name, what)


def _tool_choice(choice: str | None) -> Any:
    if choice in (None, "auto", "none", "required"):
        return choice
    return {"type": "function", "function": {"name": choice}}


def _response_format(schema: dict[str, Any], quirks: Quirks) -> dict[str, Any]:
    shape: dict[str, Any] = {"name": "answer", "schema": schema}
    if quirks.get("strict_schema"):
        shape["strict"] = True
    return {"response_format": {"type": "json_schema", "json_schema": shape}}
