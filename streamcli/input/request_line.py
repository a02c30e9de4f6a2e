"""Parse one line of `--requests`, in any of its forms; refuse what a line may not choose.

    {"prompt": "...", "id": ..., "model": ..., "temperature": ...}
    {"messages": [{"role": "user", "content": "..."}], ...}
    {"custom_id": "...", "method": "POST", "url": "/v1/chat/completions", "body": {...}}

The last one is a line of OpenAI's batch files, whose body is a request of Chat Completions
(https://platform.openai.com/docs/api-reference/batch/request-input): fields that we have no name
for go into the request's body as -o would put them there. Lines may come from anybody: they say
what is asked, never where, with whose key or files, nor where the answer goes. A null is a field
left out.
"""

from __future__ import annotations

from typing import Any

import orjson

from ..errors import usage
from ..messages import Message
from ..wire.lenient_json import deeper
from .chat_options import NESTED
from .request_fields import (
    FIELDS,
    NUMBERS,
    READERS,
    model_of,
    no_field,
    schema_of,
    shown,
    text_of,
    wrong,
)
from .request_messages import conversation
from .text import decode

_BATCH_LINE = ("custom_id", "method", "url", "body")
_URLS = ("/v1/chat/completions", "/chat/completions")  # Azure's have no version
# The fields of a body, and what they are called here.
_BODY = {name: name for name in ("model", "messages", *NUMBERS, "stop")} | {
    "max_completion_tokens": "max_tokens",
    "response_format": "schema",
    "reasoning_effort": "think",
}
_IGNORED = ("stream", "stream_options")  # stream decides these itself
_THINK = {"minimal": "low", "xhigh": "max"}  # efforts with no name of ours


# Of those, what a body may not hold either. Others are fields that some provider knows: `provider`
# and `reasoning` of OpenRouter, `tools`.
_NEVER_IN_BODY = {
    *("url", "base_url", "api_base", "endpoint", "host", "proxy", "unix_socket"),
    *("header", "headers", "extra_headers", "extra_body", "key", "key_file", "api_key"),
    *("authorization", "file", "files", "path", "attach", "attachments", "option", "options"),
    *("output", "events", "record", "mcp", "command", "template"),
}


class Request:
    """The request of one line, with either a `prompt`, or `messages` that end with a user's.

    `changes` are fields of ChatRequest by name, each with its own type; `options` are fields of the
    request's body.
    """

    __slots__ = ("changes", "id", "messages", "model", "options", "prompt", "system")

    def __init__(self) -> None:
        self.id: str | int | None = None
        self.prompt: str | None = None
        self.messages: list[Message] = []
        self.system: str | None = None
        self.model: str | None = None
        self.changes: dict[str, Any] = {}
        self.options: dict[str, Any] = {}


def parse(line: bytes) -> Request:
    """Return the request of one line; raise a usage error for a bad line."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        decode(line, "it")  # says so if it is not even UTF-8
        what = f"it is not JSON: {error.msg}, column {error.colno}"
        raise usage(what, 'a line is {"prompt": "..."}; -L takes plain lines') from None
    if type(value) is not dict:
        what = "null" if value is None else shown(value)
        raise usage(f"it is {what}, not an object", 'a line is {"prompt": "..."}')
    if "body" in value or "custom_id" in value:
        return _batch_line(value)
    return _request(value)


def id_of(line: bytes) -> str | int | None:
    """Return the id of a bad line, None if it cannot be read."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if type(value) is not dict:
        return None
    named = value.get("custom_id") if value.get("id") is None else value["id"]
    return named if type(named) in (str, int) else None


def _batch_line(line: dict[str, Any]) -> Request:
    line = {name: value for name, value in line.items() if value is not None}
    for name in line:
        if name not in _BATCH_LINE:
            raise no_field(name, _BATCH_LINE, "of a batch file's line")
    if line.get("method", "POST") != "POST":
        raise wrong("method", "POST", line["method"])
    if line.get("url", _URLS[0]) not in _URLS:
        raise wrong("url", _URLS[0], line["url"])
    body = line.get("body")
    if type(body) is not dict:
        raise wrong("body", "an object", body)
    fields: dict[str, Any] = {"id": line.get("custom_id")}
    options: dict[str, Any] = {}
    for name, value in body.items():
        if value is None or name in _IGNORED:
            continue
        if name == "n":
            if value != 1:
                raise wrong("n", "1: an answer a line", value)
            continue
        if name not in _BODY or (name == "response_format" and not _is_schema(value)):
            options[name] = _option(name, value)
            continue
        if name == "response_format":
            value = schema_of("response_format", value["json_schema"]["schema"])
        elif name == "reasoning_effort" and type(value) is str:
            value = _THINK.get(value, value)
        if fields.setdefault(_BODY[name], value) != value:
            raise usage("'max_tokens' and 'max_completion_tokens' contradict each other")
    request = _request(fields, with_tools=True)
    request.options = options
    return request


def _option(name: str, value: Any) -> Any:
    """Return a field to pass on as it is; a usage error for what a line may not choose."""
    if name.lower().replace("-", "_") in _NEVER_IN_BODY:
        raise no_field(name, tuple(_BODY), "of the body")
    if deeper(value, NESTED):
        raise usage(f"'{name}' is nested more than {NESTED} levels deep")
    return value


def _is_schema(form: Any) -> bool:
    """Return whether a response_format holds a JSON Schema, to check the answer against."""
    if type(form) is not dict or form.get("type") != "json_schema":
        return False
    schema = form.get("json_schema")
    return type(schema) is dict and "schema" in schema


def _request(fields: dict[str, Any], *, with_tools: bool = False) -> Request:
    """Return the request of these fields; `with_tools`: messages may hold calls and results."""
    request = Request()
    for name, value in fields.items():
        if value is None:
            continue
        if read := READERS.get(name):
            request.changes[name] = read(name, value)
        elif name == "prompt":
            request.prompt = text_of(name, value)
        elif name == "id":
            if type(value) not in (str, int):
                raise wrong(name, "a text or a whole number of 64 bits", value)
            request.id = value
        elif name == "model":
            request.model = model_of(name, value)
        elif name == "system":
            request.system = text_of(name, value)
        elif name != "messages":
            raise no_field(name, FIELDS, "of a request line")
    messages = fields.get("messages")
    if messages is not None:
        if request.prompt is not None:
            raise usage("it has both 'prompt' and 'messages'", "give one of them")
        system, request.messages = conversation(messages, with_tools)
        if system is not None and request.system is not None:
            raise usage("'system' and a system message contradict each other")
        request.system = request.system if system is None else system
    elif request.prompt is None:
        raise usage("it has no prompt", "give 'prompt' or 'messages'")
    elif not request.prompt.strip():
        raise usage("the prompt is empty")
    return request
