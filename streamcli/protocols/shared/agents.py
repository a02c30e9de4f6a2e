"""Build requests to applications and agents, rather than to models. Pure.

Such an endpoint has its model, its instructions and its limits by itself: what a request may say is
the conversation, with an id for it and for each message.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from ...events import Failed
from ...messages import ChatRequest, Message
from ...request import HttpRequest, Target, join_url
from ...wire.provider_errors import http_refusal
from . import request as asking
from .request import SAMPLING, cannot, no_words_for


def only_what_it_takes(protocol: str, chat: ChatRequest) -> None:
    """Raises if the chat asks for what the application decides by itself."""
    hint = "the application decides that; -o FIELD=VALUE gives it a field it reads"
    no_words_for(protocol, chat, *SAMPLING, "think", "schema", "prefill", hint=hint)
    if not chat.stream:
        raise cannot(protocol, "--no-stream", "it has no other form")


def conversation(chat: ChatRequest) -> list[tuple[str, Message]]:
    """All messages, a system prompt the first of them, each with its id.

    Ids look random (UUIDs, as some servers insist) and are made of the content up to there: the
    same request has the same ids, and a conversation that goes on keeps those it had.
    """
    messages = [Message("system", chat.system)] if chat.system is not None else []
    said = sha256()
    told = []
    for message in (*messages, *chat.messages):
        said.update(orjson.dumps(message.canonical(), option=orjson.OPT_SORT_KEYS))
        told.append((_uuid(said.hexdigest()), message))
    return told


def id_of(kind: str, *ids: str) -> str:
    """An id of another kind (a chat's, a run's), made of the messages' `ids`."""
    return _uuid(sha256("\n".join((kind, *ids)).encode()).hexdigest())


def _uuid(digest: str) -> str:
    """Return the first 128 bits as a UUID of version 8 (RFC 9562: contents of one's own)."""
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def text_and_files(message: Message) -> tuple[str, list[Any]]:
    """Return the text behind that of text files, and the other attachments."""
    text, others = "", []
    for attachment in message.attachments:
        if attachment.kind == "text" and not attachment.url:
            text += f"{attachment.named_text()}\n\n"
        else:
            others.append(attachment)
    return text + message.text, others


def post(
    target: Target, body: dict[str, Any], accept: str, headers: tuple[tuple[str, str], ...] = ()
) -> HttpRequest:
    """POST to the address as it is, or to the path below it that the row names."""
    path = target.template.get("path")
    url = join_url(target.base_url, path) if path else target.base_url
    return asking.post(target, url, body, accept, headers)


def refusal(status: int, headers: Mapping[str, str], body: bytes, whose: str) -> Failed:
    """`whose` address it should have been."""
    failed = http_refusal(status, headers, body)
    if status in (404, 405):
        failed.hint = f"check --base-url: it is the whole address of {whose}"
    return failed


def path_fault(
    own: Mapping[str, Any], template: Mapping[str, Any]
) -> tuple[tuple[str, ...], str] | None:
    """Return what is wrong with the `path` of a row, which nothing is filled into."""
    from .template import PLACEHOLDER, wrong_type

    if PLACEHOLDER.search(str(own.get("path"))):
        return ("path",), "has a placeholder, which this protocol does not fill in"
    return wrong_type(own)
