"""The common parts of requests, whatever the protocol. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

from ...errors import StreamError, usage
from ...messages import ChatRequest, Message, Tool
from ...request import HttpRequest, Target

# What a request may ask for, in words for people.
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
# What a server that has its model by itself decides too.
SAMPLING = ("temperature", "top_p", "max_tokens", "stop", "seed", *PENALTIES)


def insists_on(chat: ChatRequest, field: str) -> bool:
    """Whether this field of Chat must be said; a general preference may be left out."""
    wished = field in chat.wishes and field in (*SAMPLING, "think")
    return getattr(chat, field) not in (None, ()) and not wished


# OpenAI's models that always reason, under any prefix of a gateway; gpt-5-chat does not.
_REASONS = r"(?:^|[/:.])(?:o[134]|gpt-5|codex)(?![\w.])(?!.*chat)"
_NOT_OF_REASONING = ("temperature", "top_p", "stop", *PENALTIES)


def sent(chat: ChatRequest, target: Target, field: str, name: str = "") -> Any:
    """Return the value of this field of Chat, as it goes into the body (as `name`) or None.

    A general preference is not sent where the server rejected it, or the model is known to.
    """
    value = getattr(chat, field)
    if field in chat.wishes and (
        (name or field) in target.refused
        or (field in _NOT_OF_REASONING and re.search(_REASONS, chat.model))
    ):
        return None
    return list(value) or None if isinstance(value, tuple) else value


def no_words_for(protocol: str, chat: ChatRequest, *fields: str, hint: str = "") -> None:
    """Raises if the request insists on one of `fields` of Chat: the protocol has none of them."""
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
    """POST of `body` as JSON, with the target's key and the user's own headers the last."""
    told = [("Content-Type", "application/json")]
    if accept:
        told.append(("Accept", accept))
    told += [*headers, *key_headers(target)]
    return HttpRequest("POST", url, told, orjson.dumps(body), target.unix_socket)


def key_headers(target: Target, usual: str = "Authorization") -> list[tuple[str, str]]:
    """The key in the header that the row names, or else the protocol's, and the user's own."""
    headers: list[tuple[str, str]] = []
    if target.key:
        name = target.quirks.get("key_header", usual)
        bearer = "Bearer " if name.lower() == "authorization" else ""
        headers.append((name, bearer + target.key))
    return headers + list(target.headers)


def function_of(tool: Tool) -> dict[str, Any]:
    """A tool as OpenAI's Chat Completions made it usual."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def calls_of(message: Message) -> list[dict[str, Any]]:
    """The calls that an assistant made, in the same form."""
    return [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id, name, arguments in message.tool_calls
    ]


def merge(body: dict[str, Any], extra: dict[str, Any]) -> None:
    """Puts `extra` into `body`, nested objects field by field; `extra` wins."""
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(body.get(key), dict):
            merge(body[key], value)
        else:
            body[key] = value


def cannot(protocol: str, what: str, hint: str = "") -> StreamError:
    """Return the usage error for a part of a request that the wire format cannot express."""
    return usage(f"{protocol} cannot carry {what}", hint)
