"""One line of `--requests`: the forms it may have, and what it may not choose.

    {"prompt": "...", "id": ..., "model": ..., "temperature": ...}
    {"messages": [{"role": "user", "content": "..."}], ...}
    {"custom_id": "...", "method": "POST", "url": "/v1/chat/completions", "body": {...}}

The last one is a line of OpenAI's batch files, whose body is a request of Chat Completions
(https://platform.openai.com/docs/api-reference/batch/request-input): what we have no name for goes
into the request's body as -o would put it there. Lines may come from anybody: they say what is
asked, never where, with whose key or files, nor where the answer goes. A null is a field left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import orjson

from ..errors import StreamError, usage
from ..messages import EFFORTS, Attachment, Message
from ..settings.options import TABLE
from ..wire.lenient_json import deeper
from .chat_options import NESTED
from .text import decode

_NUMBERS = ("temperature", "top_p", "max_tokens", "seed", "frequency_penalty", "presence_penalty")
_FIELDS = ("id", "prompt", "messages", "system", "model", *_NUMBERS, "stop", "schema", "think")
_BATCH_LINE = ("custom_id", "method", "url", "body")
_URLS = ("/v1/chat/completions", "/chat/completions")  # Azure's have no version
# The fields of a body, and what they are called here.
_BODY = {name: name for name in ("model", "messages", *_NUMBERS, "stop")} | {
    "max_completion_tokens": "max_tokens",
    "response_format": "schema",
    "reasoning_effort": "think",
}
_IGNORED = ("stream", "stream_options")  # ours to decide, and no part of the answer
_THINK = {"minimal": "low", "xhigh": "max"}  # efforts with no name of ours

# Every option is the command line's alone but for the fields above; these have other names there.
_NEVER = {option.name for option in TABLE} - set(_FIELDS) | {
    *("url", "api_base", "endpoint", "host", "proxy", "headers", "extra_headers", "extra_body"),
    *("key", "api_key", "authorization", "files", "path", "attachments", "options", "session"),
    *("tools", "tool_choice", "functions", "function_call", "mcp", "command", "template"),
}

# Of those, what a body may not hold either. Others are fields that some provider knows: `provider`
# and `reasoning` of OpenRouter, `tools`.
_NEVER_IN_BODY = {
    *("url", "base_url", "api_base", "endpoint", "host", "proxy", "unix_socket"),
    *("header", "headers", "extra_headers", "extra_body", "key", "key_file", "api_key"),
    *("authorization", "file", "files", "path", "attach", "attachments", "option", "options"),
    *("output", "events", "record", "mcp", "command", "template"),
}


class Request:
    """The request of one line. Either `prompt` is given, or `messages` that end with a user's.

    `id` is as it was given, `changes` are fields of ChatRequest by name, each in its own type,
    `options` are fields of the body.
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
    """Return the request of one line; a usage error for anything that is wrong with it."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        decode(line, "it")  # says so if it is not even UTF-8
        what = f"it is not JSON: {error.msg}, column {error.colno}"
        raise usage(what, 'a line is {"prompt": "..."}; -L takes plain lines') from None
    if type(value) is not dict:
        what = "null" if value is None else _kind(value)
        raise usage(f"it is {what}, not an object", 'a line is {"prompt": "..."}')
    if "body" in value or "custom_id" in value:
        return _batch_line(value)
    return _request(value)


def id_of(line: bytes) -> str | int | None:
    """Return the id of a line that is wrong, if it can be read."""
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
            raise _no_field(name, _BATCH_LINE, "of a batch file's line")
    if line.get("method", "POST") != "POST":
        raise _wrong("method", "POST", line["method"])
    if line.get("url", _URLS[0]) not in _URLS:
        raise _wrong("url", _URLS[0], line["url"])
    body = line.get("body")
    if type(body) is not dict:
        raise _wrong("body", "an object", body)
    fields: dict[str, Any] = {"id": line.get("custom_id")}
    options: dict[str, Any] = {}
    for name, value in body.items():
        if value is None or name in _IGNORED:
            continue
        if name == "n":
            if value != 1:
                raise _wrong("n", "1: an answer a line", value)
            continue
        if name not in _BODY or (name == "response_format" and not _is_schema(value)):
            options[name] = _option(name, value)
            continue
        if name == "response_format":
            value = _schema("response_format", value["json_schema"]["schema"])
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
        raise _no_field(name, tuple(_BODY), "of the body")
    if deeper(value, NESTED):
        raise usage(f"'{name}' is nested more than {NESTED} levels deep")
    return value


def _is_schema(form: Any) -> bool:
    """Tell whether a response_format holds a JSON Schema: the answer is then checked against it."""
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
        if read := _CHANGES.get(name):
            request.changes[name] = read(name, value)
        elif name == "prompt":
            request.prompt = _text(name, value)
        elif name == "id":
            if type(value) not in (str, int):
                raise _wrong(name, "a text or a whole number of 64 bits", value)
            request.id = value
        elif name == "model":
            request.model = _model(name, value)
        elif name == "system":
            request.system = _text(name, value)
        elif name != "messages":
            raise _no_field(name, _FIELDS, "of a request line")
    messages = fields.get("messages")
    if messages is not None:
        if request.prompt is not None:
            raise usage("it has both 'prompt' and 'messages'", "give one of them")
        system, request.messages = _conversation(messages, with_tools)
        if system is not None and request.system is not None:
            raise usage("'system' and a system message contradict each other")
        request.system = request.system if system is None else system
    elif request.prompt is None:
        raise usage("it has no prompt", "give 'prompt' or 'messages'")
    elif not request.prompt.strip():
        raise usage("the prompt is empty")
    return request


def _conversation(value: Any, with_tools: bool) -> tuple[str | None, list[Message]]:
    """Return (system, messages): the leading system messages as one text, and the rest."""
    if type(value) is not list or not value:
        raise _wrong("messages", "a list with messages in it", value)
    system: list[str] = []
    messages: list[Message] = []
    for number, message in enumerate(value):
        where = f"messages[{number}]"
        if type(message) is not dict:
            raise _wrong(where, "an object", message)
        role = message.get("role")
        if with_tools and (role == "tool" or (role == "assistant" and message.get("tool_calls"))):
            messages.append(_of_tools(message, where))
            continue
        if role in ("tool", "function") or message.get("tool_calls"):
            raise usage(f"{where}: a request line cannot choose tools")
        if role not in ("system", "developer", "user", "assistant"):
            raise _wrong(f"{where}.role", "system, developer, user or assistant", role)
        for name in message:
            if name not in ("role", "content") and message[name]:
                raise _no_field(name, ("role", "content"), f"of {where}")
        text, attachments = _content(message.get("content"), f"{where}.content", role)
        if role in ("user", "assistant"):
            messages.append(Message(role, text, attachments=attachments))
        elif messages:
            raise usage(f"{where}: a {role} message has to come before all others")
        else:
            system.append(text)
    if with_tools and messages and messages[-1].role == "tool":
        return "\n\n".join(system) if system else None, messages
    if not messages or messages[-1].role != "user":
        raise usage("the last of the messages is not the user's", "it is the one that is answered")
    if not messages[-1].text.strip() and not messages[-1].attachments:
        raise usage("the prompt is empty")
    return "\n\n".join(system) if system else None, messages


def _of_tools(message: dict[str, Any], where: str) -> Message:
    """Return a message with tool calls, or with the result of one."""
    text = message.get("content")
    text = "" if text is None else _content(text, f"{where}.content", "tool")[0]
    if message["role"] == "tool":
        call_id = _text(f"{where}.tool_call_id", message.get("tool_call_id"))
        name = message.get("name")
        return Message("tool", text, call_id=call_id, name=name if type(name) is str else "")
    calls = message["tool_calls"]
    if type(calls) is not list:
        raise _wrong(f"{where}.tool_calls", "a list of calls", calls)
    found = []
    for number, call in enumerate(calls):
        at = f"{where}.tool_calls[{number}]"
        function = call.get("function") if type(call) is dict else None
        if type(function) is not dict:
            raise _wrong(f"{at}.function", "an object", function)
        found.append(
            (
                _text(f"{at}.id", call.get("id")),
                _text(f"{at}.function.name", function.get("name")),
                _text(f"{at}.function.arguments", function.get("arguments")),
            )
        )
    return Message("assistant", text, tool_calls=tuple(found))


def _content(value: Any, where: str, role: str) -> tuple[str, tuple[Attachment, ...]]:
    """Return (text, attachments). Several text parts are joined by newlines, as vLLM does it."""
    if type(value) is str:
        return value, ()
    if type(value) is not list:
        raise _wrong(where, "a text or a list of parts", value)
    texts: list[str] = []
    attachments: list[Attachment] = []
    for number, part in enumerate(value):
        kind = part.get("type") if type(part) is dict else None
        if kind == "text":
            texts.append(_text(f"{where}[{number}].text", part.get("text")))
        elif kind == "image_url" and role == "user":
            attachments.append(_image(part.get("image_url"), f"{where}[{number}].image_url"))
        else:
            what = "a text part" + (" or an image_url part" if role == "user" else "")
            raise _wrong(f"{where}[{number}]", what, part if kind is None else kind)
    return "\n".join(texts), tuple(attachments)


def _image(value: Any, where: str) -> Attachment:
    """Read {"url": ...}: an address for the provider, or the image itself. `detail` is not sent."""
    url = value.get("url") if type(value) is dict else None
    if type(url) is not str or value.get("detail") not in (None, "auto"):
        raise _wrong(where, 'an object like {"url": "https://..."}', value)
    if not url.startswith(("https://", "http://", "data:")):
        raise _wrong(f"{where}.url", "an https: or data: URL, never a file", url)
    from .attachments import of_url

    image = of_url(url)
    if not image.url and image.kind != "image":
        raise _wrong(f"{where}.url", "an image", image.mime)
    return image


def _text(name: str, value: Any) -> str:
    if type(value) is not str:
        raise _wrong(name, "a text", value)
    return value


def _model(name: str, value: Any) -> str:
    if not _text(name, value):
        raise _wrong(name, "a name", value)
    if value.startswith("local:"):
        raise usage("a request line cannot choose a file", f"-m {value} is an option")
    return str(value)


def _stop(name: str, value: Any) -> tuple[str, ...]:
    texts = [value] if type(value) is str else value
    if type(texts) is not list or not all(type(text) is str for text in texts):
        raise _wrong(name, "a text or a list of texts", value)
    return tuple(texts)


def _think(name: str, value: Any) -> str:
    if type(value) is bool:
        return "medium" if value else "none"
    if value not in EFFORTS:
        raise _wrong(name, f"true, false, {', '.join(EFFORTS[:-1])} or {EFFORTS[-1]}", value)
    return str(value)


def _schema(name: str, value: Any) -> dict[str, Any]:
    """Return a JSON Schema, or what the short form stands for (not in a batch file's line)."""
    if type(value) is str and name == "schema":
        from .schema_short import schema_of_short

        try:
            return schema_of_short(value)
        except StreamError as error:
            hint = "a JSON Schema, or 'name, age int', never a file"
            raise usage(f"'{name}': {error.message}", hint) from None
    if type(value) is not dict:
        what = "an object: the JSON Schema itself, never a file"
        if name == "schema":
            what = "a JSON Schema or its short form, never a file"
        raise _wrong(name, what, value)
    if deeper(value, NESTED):
        raise usage(f"'{name}' is nested more than {NESTED} levels deep")
    return value


def _reader(name: str) -> Callable[[str, Any], float]:
    """Return a reader of numbers with the range of that option."""
    kind = next(option.type for option in TABLE if option.name == name)
    assert isinstance(kind, click.IntRange | click.FloatRange)
    whole = isinstance(kind, click.IntRange)
    low = float("-inf") if kind.min is None else kind.min
    high = float("inf") if kind.max is None else kind.max
    what = "a whole number" if whole else "a number"
    if low == -(2**63):
        what += " of 64 bits"
    else:
        what += f" from {low:g}" + (f" to {high:g}" if high < 2**63 - 1 else " up")

    def read(name: str, value: Any) -> float:
        typed = type(value) is int or (type(value) is float and not whole)
        if not typed or not low <= value <= high:
            raise _wrong(name, what, value)
        return int(value) if whole else float(value)

    return read


_CHANGES: dict[str, Callable[[str, Any], Any]] = {
    **{name: _reader(name) for name in _NUMBERS},
    "stop": _stop,
    "schema": _schema,
    "think": _think,
}


def _wrong(name: str, what: str, value: Any) -> StreamError:
    return usage(f"'{name}' has to be {what}, and is {_kind(value)}")


def _kind(value: Any) -> str:
    """Return a value for a message: itself, if it is short."""
    if value is None:
        return "missing"
    if type(value) is str:
        return f'"{value}"' if len(value) <= 40 else f'"{value[:37]}..."'
    if type(value) in (bool, int, float):
        return str(value).lower()
    return "an object" if type(value) is dict else "a list"


def _no_field(name: str, known: tuple[str, ...], where: str) -> StreamError:
    plain = name.lower().replace("-", "_")
    if plain in _NEVER:
        return usage(
            f"a request line cannot choose '{name}'",
            "it says what is asked; with which files and tools, and where to, are options",
        )
    from difflib import get_close_matches

    near = get_close_matches(plain, known, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
    return usage(f"'{name}' is not a field {where}", hint)
