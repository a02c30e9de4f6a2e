"""Build a request to Gemini, for both of its framings. Pure.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from ...errors import usage
from ...message_parts import Call
from ...messages import Attachment, ChatRequest, Message, Tool
from ...request import HttpRequest, Target
from .arguments import object_of
from .request import cannot, key_headers, merge, sent

# Models before 3 take a number of tokens for thinking, later ones a level.
# https://ai.google.dev/gemini-api/docs/openai#thinking has the same numbers.
BUDGETS = {"none": 0, "low": 1024, "medium": 8192, "high": 24576, "max": 24576}
LEVELS = {"none": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "max": "HIGH"}
_PRO_MAX = 32768

_NUMBER = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_VERSION = re.compile(r"/v\d+(alpha|beta)?\d*(/|$)")
_OPERATION = re.compile(r":(streamG|g)enerateContent$")
# The protocol NAME of Opaque events, for both framings.
STATE = "gemini"
_INVENTED = re.compile(r"call_\d+")  # an id of ours, as the model gave none
# Sent instead of a missing signature: models since 3 refuse a call without one.
# https://ai.google.dev/gemini-api/docs/thought-signatures
_UNSIGNED = "skip_thought_signature_validator"


def request(name: str, chat: ChatRequest, target: Target, query: str) -> HttpRequest:
    """Return the POST to {base}/models/{model}:streamGenerateContent, for the protocol `name`."""
    if chat.prefill:
        raise cannot(name, "a beginning of the answer (--prefill)")
    body: dict[str, Any] = {"contents": _contents(name, chat)}
    if chat.system is not None:
        body["systemInstruction"] = {"parts": [{"text": chat.system}]}
    if config := _config(chat, target):
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
    """Return the URL; the base may have a version, have none, or be the whole URL."""
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


def _config(chat: ChatRequest, target: Target) -> dict[str, Any]:
    fields: tuple[tuple[str, Any], ...] = (
        ("temperature", sent(chat, target, "temperature")),
        ("topP", sent(chat, target, "top_p")),
        ("maxOutputTokens", sent(chat, target, "max_tokens")),
        ("stopSequences", sent(chat, target, "stop")),
        ("seed", sent(chat, target, "seed")),
        ("frequencyPenalty", sent(chat, target, "frequency_penalty")),
        ("presencePenalty", sent(chat, target, "presence_penalty")),
    )
    config = {field: value for field, value in fields if value is not None}
    if chat.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": chat.schema}
    think = sent(chat, target, "think", "thinking")
    if think is not None and (thinking := _thinking(chat, think)):
        config["thinkingConfig"] = thinking
    return config


def _thinking(chat: ChatRequest, effort: str) -> dict[str, Any]:
    thinking: dict[str, Any] = {}
    if _has_levels(chat.model):
        thinking["thinkingLevel"] = _level(chat.model, effort)
    elif effort == "max" and "pro" in chat.model:
        thinking["thinkingBudget"] = _PRO_MAX
    elif effort == "none" and "pro" in chat.model and "think" in chat.wishes:
        return {}  # 2.5 Pro always thinks, and refuses a budget of 0
    else:
        thinking["thinkingBudget"] = BUDGETS[effort]
    if effort != "none" and not chat.hide_reasoning:
        thinking["includeThoughts"] = True
    return thinking


def _number(model: str) -> tuple[int, int]:
    """Return (major, minor); a name without a number (gemini-flash-latest) is a new model."""
    found = _NUMBER.search(model)
    if found:
        return int(found[1]), int(found[2] or 0)
    return (99, 0) if "gemini" in model else (0, 0)


def _has_levels(model: str) -> bool:
    return _number(model) >= (3, 0)


def _level(model: str, effort: str) -> str:
    """Return the level of an effort, or the next one that the model has.

    https://ai.google.dev/gemini-api/docs/thinking: Pro models and Flash since 3.7 have no MINIMAL,
    and 3 Pro has no MEDIUM.
    """
    level, number = LEVELS[effort], _number(model)
    if level == "MINIMAL" and ("pro" in model or (number >= (3, 7) and "lite" not in model)):
        return "LOW"
    if level == "MEDIUM" and number == (3, 0) and "pro" in model:
        return "HIGH"
    return level


def _contents(name: str, chat: ChatRequest) -> list[dict[str, Any]]:
    """Return the contents; all tool results of one round are in one content."""
    contents: list[dict[str, Any]] = []
    last = ""
    for message in chat.messages:
        parts = _parts(name, message, _has_levels(chat.model))
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
        if not _INVENTED.fullmatch(message.call_id):
            result["id"] = message.call_id
        result["response"] = {"error" if message.is_error else "output": message.text}
        return [{"functionResponse": result}, *parts]
    own = message.parts(STATE)
    if not (own or parts):
        return [{"text": ""}]
    signed = signed and not any(part.call and part.opaque for part in own)
    for part in own:
        state = part.opaque if isinstance(part.opaque, dict) else {}
        if part.call is not None:
            parts.append({"functionCall": _call(part.call), **state})
            if signed:  # only the first of parallel calls has a signature
                parts[-1]["thoughtSignature"] = _UNSIGNED
                signed = False
        elif part.text:
            parts.append({"text": part.text, **state})
        elif state:
            parts.append(state)
    return parts


def _call(call: Call) -> dict[str, Any]:
    id, name, arguments = call
    function: dict[str, Any] = {"name": name, "args": object_of(arguments)}
    if not _INVENTED.fullmatch(id):
        function["id"] = id
    return function


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
