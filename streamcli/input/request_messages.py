"""Read the messages of a request line: a conversation in the form of Chat Completions."""

from __future__ import annotations

from typing import Any

from ..errors import usage
from ..messages import Attachment, Message
from .request_fields import no_field, text_of, wrong


def conversation(value: Any, with_tools: bool) -> tuple[str | None, list[Message]]:
    """Return (system, messages): the leading system messages as one text, and the others.

    `with_tools`: messages may hold calls of tools and their results. Usage errors.
    """
    if type(value) is not list:
        raise wrong("messages", "a list with messages in it", value)
    if not value:
        raise usage("'messages' has to be a list with messages in it, and is empty")
    system: list[str] = []
    messages: list[Message] = []
    for number, message in enumerate(value):
        where = f"messages[{number}]"
        if type(message) is not dict:
            raise wrong(where, "an object", message)
        role = message.get("role")
        if with_tools and (role == "tool" or (role == "assistant" and message.get("tool_calls"))):
            messages.append(_of_tools(message, where))
            continue
        if role in ("tool", "function") or message.get("tool_calls"):
            raise usage(f"{where}: a request line cannot choose tools")
        if role not in ("system", "developer", "user", "assistant"):
            raise wrong(f"{where}.role", "system, developer, user or assistant", role)
        for name in message:
            if name not in ("role", "content") and message[name]:
                raise no_field(name, ("role", "content"), f"of {where}")
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
        call_id = text_of(f"{where}.tool_call_id", message.get("tool_call_id"))
        name = message.get("name")
        return Message("tool", text, call_id=call_id, name=name if type(name) is str else "")
    calls = message["tool_calls"]
    if type(calls) is not list:
        raise wrong(f"{where}.tool_calls", "a list of calls", calls)
    found = []
    for number, call in enumerate(calls):
        at = f"{where}.tool_calls[{number}]"
        function = call.get("function") if type(call) is dict else None
        if type(function) is not dict:
            raise wrong(f"{at}.function", "an object", function)
        found.append(
            (
                text_of(f"{at}.id", call.get("id")),
                text_of(f"{at}.function.name", function.get("name")),
                text_of(f"{at}.function.arguments", function.get("arguments")),
            )
        )
    return Message("assistant", text, tool_calls=tuple(found))


def _content(value: Any, where: str, role: str) -> tuple[str, tuple[Attachment, ...]]:
    """Return (text, attachments). Several text parts are joined by newlines, as vLLM does it."""
    if type(value) is str:
        return value, ()
    if type(value) is not list:
        raise wrong(where, "a text or a list of parts", value)
    texts: list[str] = []
    attachments: list[Attachment] = []
    for number, part in enumerate(value):
        kind = part.get("type") if type(part) is dict else None
        if kind == "text":
            texts.append(text_of(f"{where}[{number}].text", part.get("text")))
        elif kind == "image_url" and role == "user":
            attachments.append(_image(part.get("image_url"), f"{where}[{number}].image_url"))
        else:
            what = "a text part" + (" or an image_url part" if role == "user" else "")
            raise wrong(f"{where}[{number}]", what, part if kind is None else kind)
    return "\n".join(texts), tuple(attachments)


def _image(value: Any, where: str) -> Attachment:
    """Read {"url": ...}: an address for the provider, or the image itself. `detail` is not sent."""
    url = value.get("url") if type(value) is dict else None
    if type(url) is not str or value.get("detail") not in (None, "auto"):
        raise wrong(where, 'an object like {"url": "https://..."}', value)
    if not url.startswith(("https://", "http://", "data:")):
        raise wrong(f"{where}.url", "an https: or data: URL, never a file", url)
    from .attachments import of_url

    image = of_url(url)
    if not image.url and image.kind != "image":
        raise wrong(f"{where}.url", "an image", image.mime)
    return image
