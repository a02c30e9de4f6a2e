"""The common parts of requests, for all protocols. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

from ...errors import StreamError, usage
from ...messages import ChatRequest, Message, Tool
from ...request import HttpRequest, Target

# The options of a request, in words for errors.
ASKED = {
    "system": "a system prompt (--system)",
    "temperature": "a temperature (--temperature)",
    "top_p": "a share of the likeliest words (--top-p)",
    "max_tokens": "a token limit (--max-tokens)",
    "stop": "stop sequences (--stop)",
    "seed": "a seed (--seed)",
    "frequency_penalty": "a frequency penalty (--frequency-penalty)",
    "presence_penalty": "a presence penalty (--presence-penalty)",
    "think": "how hard to think (--think)",
    "schema": "a schema (--schema)",
    "prefill": "a beginning of the answer (--prefill)",
    "tools": "tools",
    "tool_choice": "a choice of tools",
}
PENALTIES = ("frequency_penalty", "presence_penalty")
# Options about the model, which a server with a model of its own decides itself.
SAMPLING = ("temperature", "top_p", "max_tokens", "stop", "seed", *PENALTIES)


def insists_on(chat: ChatRequest, field: str) -> bool:
    """Return whether a field of ChatRequest must be sent; a general preference may be left out."""
    wished = field in chat.wishes and field in (*SAMPLING, "think")
    return getattr(chat, field) not in (None, ()) and not wished


# OpenAI's models that always reason, under any prefix of a gateway; gpt-5-chat does not.
_REASONS = r"(?:^|[/:.])(?:o[134]|gpt-5|codex)(?![\w.])(?!.*chat)"
_NOT_OF_REASONING = ("temperature", "top_p", "stop", *PENALTIES)


def sent(chat: ChatRequest, target: Target, field: str, name: str = "") -> Any:
    """Return the value of a field of ChatRequest for the body field `name`; None to leave it out.

    A general preference is left out if the server rejected it, or the model is known to reject it.
    """
    value = getattr(chat, field)
    if field in chat.wishes and (
        (name or field) in target.refused
        or (field in _NOT_OF_REASONING and re.search(_REASONS, chat.model))
    ):
        return None
    return list(value) or None if isinstance(value, tuple) else value


def no_words_for(protocol: str, chat: ChatRequest, *fields: str, hint: str = "") -> None:
    """Raise a usage error if the request must have one of `fields`: the protocol has none."""
    for field in fields:
        if insists_on(chat, field):
            raise cannot(protocol, ASKED[field], hint)


def post(
    target: Target,
    url: str,
    body: dict[str, Any],
    accept: str = "",
    headers: tuple[tuple[str, str], ...] = (),
) -> HttpRequest:
    """Return the POST of `body` as JSON. The target's key and the user's headers come last."""
    sent = [("Content-Type", "application/json")]
    if accept:
        sent.append(("Accept", accept))
    sent += [*headers, *key_headers(target)]
    return HttpRequest("POST", url, sent, orjson.dumps(body), target.unix_socket)


def key_headers(target: Target, usual: str = "Authorization") -> list[tuple[str, str]]:
    """Return the header with the key (the row's, or else `usual`), and the user's own headers."""
    headers: list[tuple[str, str]] = []
    if target.key:
        name = target.quirks.get("key_header", usual)
        bearer = "Bearer " if name.lower() == "authorization" else ""
        headers.append((name, bearer + target.key))
    return headers + list(target.headers)


def function_of(tool: Tool) -> dict[str, Any]:
    """Return a tool in the form of OpenAI's Chat Completions, which other formats share."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def calls_of(message: Message) -> list[dict[str, Any]]:
    """Return the tool calls of an assistant's message, in the same form."""
    return [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id, name, arguments in message.tool_calls
    ]


def merge(body: dict[str, Any], extra: dict[str, Any]) -> None:
    """Put `extra` into `body`, nested objects field by field; `extra` wins."""
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(body.get(key), dict):
            merge(body[key], value)
        else:
            body[key] = value


def cannot(protocol: str, what: str, hint: str = "") -> StreamError:
    """Return the usage error for a part of a request that the wire format cannot express."""
    return usage(f"{protocol} cannot carry {what}", hint)
