"""Build requests to applications and agents, rather than to models. Pure.

Such an endpoint decides about the model, the instructions and the limits itself: a request holds
the conversation only, with an id for it and for each message.
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
    """Raise a usage error if the chat sets an option that the application decides itself."""
    hint = "the application decides that; -o FIELD=VALUE gives it a field it reads"
    no_words_for(protocol, chat, *SAMPLING, "think", "schema", "prefill", hint=hint)
    if not chat.stream:
        raise cannot(protocol, "--no-stream", "it has no other form")


def conversation(chat: ChatRequest) -> list[tuple[str, Message]]:
    """Return (id, message) of all messages; a system prompt is the first.

    The ids are UUIDs, as some servers require, and hashes of the content up to the message: the
    same request has the same ids, and a conversation that goes on keeps its ids.
    """
    messages = [Message("system", chat.system)] if chat.system is not None else []
    hashed = sha256()
    named = []
    for message in (*messages, *chat.messages):
        hashed.update(orjson.dumps(message.canonical(), option=orjson.OPT_SORT_KEYS))
        named.append((_uuid(hashed.hexdigest()), message))
    return named


def id_of(kind: str, *ids: str) -> str:
    """Return an id of another kind (a chat's, a run's), as a hash of the messages' `ids`."""
    return _uuid(sha256("\n".join((kind, *ids)).encode()).hexdigest())


def _uuid(digest: str) -> str:
    """Return the first 128 bits of a hash as a UUID of version 8 (RFC 9562: custom content)."""
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def text_and_files(message: Message) -> tuple[str, list[Any]]:
    """Return the text, with the text files before it, and the other attachments."""
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
    """Return the POST to the target's address, or to the row's `path` below it."""
    path = target.template.get("path")
    url = join_url(target.base_url, path) if path else target.base_url
    return asking.post(target, url, body, accept, headers)


def refusal(status: int, headers: Mapping[str, str], body: bytes, whose: str) -> Failed:
    """Return the failure of a response that is not 2xx; `whose` names the endpoint."""
    failed = http_refusal(status, headers, body)
    if status in (404, 405):
        failed.hint = f"check --base-url: it is the whole address of {whose}"
    return failed


def path_fault(
    own: Mapping[str, Any], template: Mapping[str, Any]
) -> tuple[tuple[str, ...], str] | None:
    """Return the fault of a row's `path`, which cannot hold placeholders; None if it has none."""
    from .template import PLACEHOLDER, wrong_type

    if PLACEHOLDER.search(str(own.get("path"))):
        return ("path",), "has a placeholder, which this protocol does not fill in"
    return wrong_type(own)
