"""What Gemini is asked, for both of its framings. Pure.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from ...errors import usage
from ...messages import Attachment, ChatRequest, Message, Tool
from ...request import HttpRequest, Target
from .arguments import object_of
from .request import cannot, key_headers, merge

# Models before 3 are told how many tokens to think with, later ones how hard.
# https://ai.google.dev/gemini-api/docs/openai#thinking has the same numbers.
BUDGETS = {"none": 0, "low": 1024, "medium": 8192, "high": 24576, "max": 24576}
LEVELS = {"none": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "max": "HIGH"}
_PRO_MAX = 32768

_MAJOR = re.compile(r"gemini-(\d+)")
_VERSION = re.compile(r"/v\d+(alpha|beta)?\d*(/|$)")
_OPERATION = re.compile(r":(streamG|g)enerateContent$")
_OURS = re.compile(r"call_\d+")  # an id that was invented where the model gave none
# What stands for a signature that is not there: models since 3 refuse a call without one.
# https://ai.google.dev/gemini-api/docs/thought-signatures
_UNSIGNED = "skip_thought_signature_validator"


def request(name: str, chat: ChatRequest, target: Target, query: str) -> HttpRequest:
    """POST {base}/models/{model}:streamGenerateContent, for the protocol `name`."""
    if chat.prefill:
        raise cannot(name, "a beginning of the answer (--prefill)")
    body: dict[str, Any] = {"contents": _contents(name, chat)}
    if chat.system is not None:
        body["systemInstruction"] = {"parts": [{"text": chat.system}]}
    if config := _config(chat):
        body["generationConfig"] = config
    if chat.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in chat.tools]}]
    if chat.tool_choice is not None:
        body["toolConfig"] = {"functionCallingConfig": _calling(chat.tool_choice)}
    merge(body, chat.options)
    headers = [("Content-Type", "application/json"), *key_headers(target, "x-goog-api-key")]
    return HttpRequest(
        "POST",
        _url(chat, target.base_url, query),
        headers,
        orjson.dumps(body),
        target.unix_socket,
    )


def _url(chat: ChatRequest, base: str, query: str) -> str:
    """An address is given with its version or without, or with the whole path."""
    base, _, given = base.partition("?")
    base = base.rstrip("/")
    path = _OPERATION.sub("", base)
    if path == base:
        if not chat.model:
            raise usage("Gemini's address holds the model, and none is given", "-m gemini:MODEL")
        if not _VERSION.search(base.partition("://")[2]):
            path += "/v1beta"
        model = chat.model
        if not re.fullmatch(r"[\w./@-]+", model, re.ASCII):
            from urllib.parse import quote

            model = quote(model, safe="/@")
        if not model.startswith(("models/", "tunedModels/", "publishers/", "projects/")):
            model = f"models/{model}"
        path += f"/{model}"
    operation = "streamGenerateContent" if chat.stream else "generateContent"
    queries = "&".join(part for part in (given, query if chat.stream else "") if part)
    return f"{path}:{operation}" + (f"?{queries}" if queries else "")


def _config(chat: ChatRequest) -> dict[str, Any]:
    fields: tuple[tuple[str, Any], ...] = (
        ("temperature", chat.temperature),
        ("topP", chat.top_p),
        ("maxOutputTokens", chat.max_tokens),
        ("stopSequences", list(chat.stop) or None),
        ("seed", chat.seed),
        ("frequencyPenalty", chat.frequency_penalty),
        ("presencePenalty", chat.presence_penalty),
    )
    config = {field: value for field, value in fields if value is not None}
    if chat.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": chat.schema}
    if chat.think is not None:
        config["thinkingConfig"] = _thinking(chat, chat.think)
    return config


def _thinking(chat: ChatRequest, effort: str) -> dict[str, Any]:
    thinking: dict[str, Any] = {}
    if _levelled(chat.model):
        thinking["thinkingLevel"] = LEVELS[effort]
    elif effort == "max" and "pro" in chat.model:
        thinking["thinkingBudget"] = _PRO_MAX
    else:
        thinking["thinkingBudget"] = BUDGETS[effort]
    if effort != "none" and not chat.hide_reasoning:
        thinking["includeThoughts"] = True
    return thinking


def _levelled(model: str) -> bool:
    """A model since 3; a name without number (gemini-flash-latest) is a new one."""
    found = _MAJOR.search(model)
    return int(found[1]) >= 3 if found else "gemini" in model


def _contents(name: str, chat: ChatRequest) -> list[dict[str, Any]]:
    """All results of one round of tools belong into one content."""
    contents: list[dict[str, Any]] = []
    last = ""
    for message in chat.messages:
        parts = _parts(name, message, _levelled(chat.model))
        if message.role == last == "tool":
            contents[-1]["parts"] += parts
        else:
            role = "model" if message.role == "assistant" else "user"
            contents.append({"role": role, "parts": parts})
        last = message.role
    return contents


def _parts(name: str, message: Message, signed: bool) -> list[dict[str, Any]]:
    parts = [_attachment(name, attachment) for attachment in message.attachments]
    if message.role == "tool":
        result: dict[str, Any] = {"name": message.name}
        if not _OURS.fullmatch(message.call_id):
            result["id"] = message.call_id
        result["response"] = {"error" if message.is_error else "output": message.text}
        return [{"functionResponse": result}, *parts]
    if message.text or not (parts or message.tool_calls):
        parts.append({"text": message.text})
    for number, (id, called, arguments) in enumerate(message.tool_calls):
        call: dict[str, Any] = {"name": called, "args": object_of(arguments)}
        if not _OURS.fullmatch(id):
            call["id"] = id
        part: dict[str, Any] = {"functionCall": call}
        if signed and not number:  # of several at once only the first has one
            part["thoughtSignature"] = _UNSIGNED
        parts.append(part)
    return parts


def _attachment(name: str, attachment: Attachment) -> dict[str, Any]:
    mime, url = attachment.mime, attachment.url
    if url:
        file = {"fileUri": url}
        return {"fileData": {"mimeType": mime, **file} if mime else file}
    if attachment.kind == "other" and not mime.startswith("video/"):
        raise cannot(name, f"{attachment.name} ({mime or 'unknown type'})")
    return {"inlineData": {"mimeType": mime, "data": attachment.base64()}}


def _declaration(tool: Tool) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if tool.parameters:  # `parameters` itself takes a subset of JSON Schema only
        declaration["parametersJsonSchema"] = tool.parameters
    return declaration


def _calling(choice: str) -> dict[str, Any]:
    modes = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
    if choice in modes:
        return {"mode": modes[choice]}
    return {"mode": "ANY", "allowedFunctionNames": [choice]}
