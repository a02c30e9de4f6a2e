"""Honcho's names and addresses, and what it is told before and after an answer. Pure.

Honcho answers out of what it remembers: messages that peers wrote in sessions of a workspace. All
that is written is got or created in this order, as its own SDK does: workspace, peers, session,
messages. A question without a session writes nothing.

Source: the server's routes and limits, https://github.com/plastic-labs/honcho (src/routers,
src/schemas/api.py), API v3.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from ...errors import StreamError, usage
from ...messages import ChatRequest
from ...request import HttpRequest, Target
from . import request as asking

JSON = "application/json"
BATCH = 100  # messages of one request
LONGEST = 25_000  # characters of one message
STEERING = ("peer", "workspace", "add", "store")  # -o options that are no fields of a question

Stored = dict[str, Any]  # a message as Honcho takes it: content, peer_id, metadata, ...

_NAME = re.compile(r"[A-Za-z0-9_-]{1,512}")
_OWN_PATH = re.compile(r"/v3(/.*)?$")
_MESSAGE = ("content", "metadata", "created_at", "configuration")
_AUTHOR = ("peer_id", "peer", "role")


def before(chat: ChatRequest, target: Target, messages: list[Stored]) -> list[HttpRequest]:
    """What has to be sent, one after the other, before the question is.

    The session of --session is made if it is not there, with its peers; one of `-o session_id=`
    has to be there. `messages` are those of `-o add=` (see messages_of). Raises a usage error
    where there is no session to write in.
    """
    session, store = session_of(chat, target), store_of(chat)
    wanted = "session" in target.quirks or {"add", "store"} & chat.options.keys()
    if not messages and not wanted:
        return []
    if session is None:
        raise _no_session("add")
    workspace = workspace_of(chat, target)
    names = [peer_of(chat, target), *(message["peer_id"] for message in messages)]
    peers = list(dict.fromkeys(names if store is None else [*names, store]))
    inside = f"/workspaces/{workspace}"
    return [
        post(target, "/workspaces", {"id": workspace}),
        *(post(target, f"{inside}/peers", {"id": peer}) for peer in peers),
        post(target, f"{inside}/sessions", {"id": session, "peers": {peer: {} for peer in peers}}),
        *_storing(target, f"{inside}/sessions/{session}/messages", messages),
    ]


def after(chat: ChatRequest, target: Target, text: str) -> list[HttpRequest]:
    """What stores a whole answer as the words of the peer `-o store=`: none if nobody is named.

    An answer too long for one message becomes several, which joined are the answer again.
    """
    session, store = session_of(chat, target), store_of(chat)
    if session is None or store is None:
        return []
    pieces = [text[at : at + LONGEST] for at in range(0, len(text), LONGEST)]
    messages = [{"content": piece, "peer_id": store} for piece in pieces]
    path = f"/workspaces/{workspace_of(chat, target)}/sessions/{session}/messages"
    return _storing(target, path, messages)


def _storing(target: Target, path: str, messages: list[Stored]) -> list[HttpRequest]:
    batches = [messages[at : at + BATCH] for at in range(0, len(messages), BATCH)]
    return [post(target, path, {"messages": batch}) for batch in batches]


def messages_of(data: bytes, where: str) -> list[Stored]:
    """The messages of a JSON Lines file called `where`; a usage error names the line.

    Each line is an object with `content` and one of `peer_id`, `peer` and `role`, which all name
    the peer that wrote it, and may have `metadata`, `created_at` and `configuration`.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [
        _message(line, f"{where}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _message(line: bytes, where: str) -> Stored:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise usage(f"{where}: no JSON ({error})") from None
    form = '{"peer_id":"alice","content":"I like tea."}'
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        raise usage(f"{where}: no message", form)
    authors = [key for key in _AUTHOR if key in value]
    if len(authors) != 1:
        raise usage(f"{where}: a message is by one peer, in one of {', '.join(_AUTHOR)}", form)
    if others := value.keys() - {*_MESSAGE, *_AUTHOR}:
        fields = f"a message holds {', '.join(('peer_id', *_MESSAGE))}"
        raise usage(f"{where}: Honcho would drop '{min(others)}'", fields)
    if len(value["content"]) > LONGEST:
        size = len(value["content"])
        raise usage(f"{where}: {size} characters, Honcho takes {LONGEST} a message", "cut it")
    peer = _name(value[authors[0]], f"{where}: {authors[0]} ")
    stored = {key: value[key] for key in _MESSAGE if value.get(key) is not None}
    return {**stored, "peer_id": peer}


# Who and where


def peer_of(chat: ChatRequest, target: Target) -> str:
    """Who is asked: `-o peer=`, else what stands where others have a model (honcho:NAME)."""
    if "peer" in chat.options:
        return _name(chat.options["peer"], "-o peer=")
    if not chat.model:
        provider = target.provider
        raise usage(f"no peer for {provider}", f'stream -p {provider} -o peer=NAME "..."')
    return _name(chat.model, f"-m {target.provider}:")


def workspace_of(chat: ChatRequest, target: Target) -> str:
    """`-o workspace=`, else the quirk that the shell set from HONCHO_WORKSPACE_ID."""
    if "workspace" in chat.options:
        return _name(chat.options["workspace"], "-o workspace=")
    return _name(target.quirks.get("workspace") or "default", "HONCHO_WORKSPACE_ID=")


def session_of(chat: ChatRequest, target: Target) -> str | None:
    """`-o session_id=`, else the quirk that the shell set from --session.

    A usage error without one if something shall be written.
    """
    if "session_id" in chat.options:
        return _name(chat.options["session_id"], "-o session_id=")
    if session := target.quirks.get("session"):
        return _name(session, "--session ")
    for option in ("add", "store"):
        if option in chat.options:
            raise _no_session(option)
    return None


def store_of(chat: ChatRequest) -> str | None:
    return _name(chat.options["store"], "-o store=") if "store" in chat.options else None


def target_of(chat: ChatRequest) -> str | None:
    return _name(chat.options["target"], "-o target=") if "target" in chat.options else None


def _name(value: Any, option: str) -> str:
    """A name as Honcho takes it; `option` is what gave it."""
    if type(value) is int:  # -o peer=7 was read as JSON
        value = str(value)
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    shown = value if isinstance(value, str) else orjson.dumps(value).decode()
    shown = shown if len(shown) < 80 else f"{shown[:60]}... ({len(shown)} characters)"
    raise usage(
        f"{option}{shown}: that is no name for Honcho",
        "letters, digits, _ and -, at most 512 of them",
    )


def _no_session(option: str) -> StreamError:
    return usage(f"-o {option}= needs a session to write in", "--session NAME")


def post(target: Target, path: str, body: dict[str, Any], accept: str = JSON) -> HttpRequest:
    """A POST below {base}/v3; the base may be written with that, or with a whole route."""
    base, query, tail = target.base_url.partition("?")
    base = _OWN_PATH.sub("", base.rstrip("/"))
    return asking.post(target, f"{base}/v3{path}{query}{tail}", body, accept)
