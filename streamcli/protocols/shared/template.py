"""Build requests from a row's template, for protocols that define only the response. Pure.

The row's template holds `method`, `path` (which may hold a query), `query` and `body`. Their
strings may hold placeholders, "{prompt}" and others. A string that is one placeholder becomes its
value, of any type, and is left out with its key if there is no value; in other strings a
placeholder becomes text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from ...events import Failed
from ...messages import ChatRequest, Message
from ...request import HttpRequest, Target, join_url, quoted
from ...secrets import is_secret
from ...wire.provider_errors import http_refusal
from .request import ASKED, cannot, insists_on, key_headers, merge

KEYS = ("path", "method", "query", "body")

# Fields of ChatRequest: the user can set only those that the template has.
_COMMON = ("system", "temperature", "top_p", "max_tokens", "stop", "seed")
_FIELDS = (*_COMMON, "frequency_penalty", "presence_penalty", "think", "schema", "prefill")
NAMES = ("prompt", "messages", "model", "stream", *_FIELDS)

# The body of a row without one: what most servers understand.
USUAL_BODY = {name: f"{{{name}}}" for name in ("model", "prompt", "stream", *_COMMON)}

PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_DOUBLED = re.compile(r"\{\{\w+\}\}")  # as in Jinja: two of its braces would stay in the text


def request(protocol: str, chat: ChatRequest, target: Target, accept: str = "") -> HttpRequest:
    """Return the request that the row's template makes of `chat`.

    `-o` options go into the body, or into the query if there is no body. A key is sent as a bearer
    token.
    """
    template = target.template
    body = body_of(template)
    values = _values(protocol, chat, target, names_of({**template, "body": body}))
    headers = [("Accept", accept)] if accept else []
    route, fields = _address(template, values)
    if body is None:
        fields |= {quoted(key): quoted(_text(value)) for key, value in chat.options.items()}
    else:
        body = _filled(body, values)
        merge(body, chat.options)
        headers.append(("Content-Type", "application/json"))
    base, _, own = target.base_url.partition("?")
    query = "&".join(filter(None, (own, *(f"{name}={value}" for name, value in fields.items()))))
    url = (join_url(base, route) if route else base) + ("?" + query if query else "")
    sent = b"" if body is None else orjson.dumps(body)
    method = template.get("method", "POST")
    return HttpRequest(method, url, headers + key_headers(target), sent, target.unix_socket)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    failed = http_refusal(status, headers, body)
    if status in (404, 405, 422):
        failed.hint = "check the provider's path, method, query and body; --dry-run shows them"
    return failed


def needs_model(template: Mapping[str, Any]) -> bool:
    """Return whether the row's template has a place for a model."""
    return "model" in names_of(template)


def can(template: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a templated row can do beyond streaming text: we know of nothing."""
    return ()


def secrets_of(template: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values that the template gives to fields with a secret name."""
    query = template.get("path", "").partition("?")[2]
    fields = (field.partition("=") for field in query.split("&"))
    tables = strings_of({key: template[key] for key in ("query", "body") if key in template})
    named = [(name, value) for name, _, value in fields] + [(keys[-1], v) for keys, v in tables]
    for name, value in named:
        if is_secret(name) and not PLACEHOLDER.search(value):
            yield value


def body_of(template: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the row's body, or USUAL_BODY if the template has no place for the prompt."""
    body: dict[str, Any] | None = template.get("body")
    if body is not None or template.get("method") == "GET":
        return body
    return None if {"prompt", "messages"} & names_of(template) else USUAL_BODY


def _address(template: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return (path, query), filled in and quoted; the row's own text must be quoted already."""
    route, _, query = template.get("path", "").partition("?")
    fields = {}
    for field in filter(None, query.split("&")):
        name, _, value = field.partition("=")
        if _filled(value, values) is not None:
            fields[name] = _put(value, values, quoted)
    for name, value in _filled(template.get("query", {}), values).items():
        fields[quoted(name)] = quoted(_text(value))
    return _put(route, values, quoted), fields


def _values(protocol: str, chat: ChatRequest, target: Target, names: set[str]) -> dict[str, Any]:
    """Return the placeholders' values, None for no value.

    Raise a usage error if the request has a part that the template has no place for.
    """
    messages = chat.messages
    first = {"system"} if "messages" in names else set()  # it becomes the first message
    for name in ("tools", "tool_choice", *_FIELDS):
        if name not in names | first and insists_on(chat, name):
            hint = f"{target.provider}'s template has no {{{name}}}" if name in _FIELDS else ""
            raise cannot(protocol, ASKED[name], hint)
    if chat.model and "model" not in names:
        what = f"the name of a model: {target.provider} takes none"
        raise cannot(protocol, what, f"-p {target.provider}")
    if "messages" not in names and len(messages) != 1:
        hint = f"{target.provider}'s template has no {{messages}}"
        raise cannot(protocol, "a conversation", hint)
    values = {name: getattr(chat, name) for name in _FIELDS}
    values |= {"model": chat.model or None, "stop": list(chat.stop) or None}
    values |= {"stream": chat.stream, "prompt": messages[-1].text}
    values["messages"] = [_message(protocol, message) for message in messages]
    if chat.system is not None and "system" not in names:
        values["messages"].insert(0, {"role": "system", "content": chat.system})
    return values


def _message(protocol: str, message: Message) -> dict[str, str]:
    if message.tool_calls or message.role == "tool":
        raise cannot(protocol, "tools")
    for attachment in message.attachments:
        raise cannot(protocol, attachment.name, "-f puts the text of a file into the prompt")
    return {"role": message.role, "content": message.text}


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    """Return a part of the template, filled in; None if its placeholder has no value."""
    if isinstance(value, dict):
        filled = {key: _filled(inner, values) for key, inner in value.items()}
        return {key: inner for key, inner in filled.items() if inner is not None}
    if isinstance(value, list):
        return [inner for each in value if (inner := _filled(each, values)) is not None]
    if isinstance(value, str):
        alone = PLACEHOLDER.fullmatch(value)
        return values[alone[1]] if alone else _put(value, values, str)
    return value


def _put(text: str, values: Mapping[str, Any], written: Callable[[str], str]) -> str:
    return PLACEHOLDER.sub(lambda found: written(_text(values[found[1]])), text)


def _text(value: Any) -> str:
    """Return a value as text: "" for None, a string as it is, other values as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def names_of(template: Mapping[str, Any]) -> set[str]:
    """Return the names of a template's placeholders."""
    parts = {key: template[key] for key in KEYS if key in template}
    return {name for _, text in strings_of(parts) for name in PLACEHOLDER.findall(text)}


def strings_of(value: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each string of a template, with the keys that lead to it."""
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings_of(inner, (*keys, key))
    elif isinstance(value, list):
        for inner in value:
            yield from strings_of(inner, keys)


# The faults of a template in the configuration


def row_fault(
    own: Mapping[str, Any], template: Mapping[str, Any]
) -> tuple[tuple[str, ...], str] | None:
    """Return (keys, fault) of `own`, the row's part of the template; None without a fault."""
    return wrong_type(own) or _wrong_placeholder(own) or _missing(template)


def wrong_type(own: Mapping[str, Any]) -> tuple[tuple[str, ...], str] | None:
    """Return (keys, fault) of the first key whose value has a wrong type."""
    for key, good, what in (
        ("path", _is_path, 'is a path: "/stream", or "/stream?prompt={prompt}"'),
        ("method", ("POST", "GET").__contains__, "is POST or GET"),
        ("query", _is_query, 'is a table of plain values: { prompt = "{prompt}" }'),
        ("body", lambda value: isinstance(value, dict), 'is a table: { prompt = "{prompt}" }'),
    ):
        if key in own and not good(own[key]):
            return (key,), what
    return None


def _wrong_placeholder(own: Mapping[str, Any]) -> tuple[tuple[str, ...], str] | None:
    for keys, text in strings_of({key: own[key] for key in KEYS if key in own}):
        if doubled := _DOUBLED.search(text):
            return keys, f"has {doubled[0]}: a placeholder has one brace on each side"
        for name in PLACEHOLDER.findall(text):
            if name not in NAMES:
                known = ", ".join(f"{{{each}}}" for each in NAMES)
                return keys, f"has an unknown placeholder, {{{name}}}: there are {known}"
    return None


def _missing(template: Mapping[str, Any]) -> tuple[tuple[str, ...], str] | None:
    if template.get("method") == "GET" and "body" in template:
        return ("body",), "goes with POST only"
    if not {"prompt", "messages"} & names_of({**template, "body": body_of(template)}):
        key = "body" if "body" in template else "path"
        return (key,), "has no place for {prompt} or {messages}, and nothing else has"
    return None


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value[:1] in ("", "/", "?") and "#" not in value


def _is_query(value: Any) -> bool:
    plain = (str, int, float, bool)
    return isinstance(value, dict) and all(isinstance(each, plain) for each in value.values())
