"""Honcho, a memory of what peers said: ask its dialectic chat about a peer.

Source: the server's routes and its SDKs, https://github.com/plastic-labs/honcho (API v3), and
recorded answers of a server 3.0.12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from ..errors import StreamError, usage
from ..events import Event, Failed, Finished, Text
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.error_body import error_of_body
from ..wire.error_shapes import error_beside, error_in
from ..wire.fast_runs import Template
from ..wire.json_body import JsonBody, has_answer
from ..wire.payloads import Payloads
from ..wire.provider_errors import http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared import request as asking
from .shared.finish_reasons import failure_of, first_of, reason_of
from .shared.listing import Listing
from .shared.nested_text import text_beside
from .shared.request import SAMPLING, cannot, merge, no_words_for

NAME = "honcho"
CAN = ("schema",)
NEEDS_MODEL = False  # the name of the peer takes its place, or `-o peer=`
WORKSPACE_VARIABLE = "HONCHO_WORKSPACE_ID"

JSON = "application/json"
BATCH = 100  # messages of one request
LONGEST_MESSAGE = 25_000  # characters
STEERING = ("peer", "workspace", "add", "store")  # -o options that are not fields of a question

Stored = dict[str, Any]  # a message as Honcho takes it: content, peer_id, metadata, ...


class _Queue(Listing):
    """The status of a workspace's queue, a read that needs no peer and creates nothing."""

    def __init__(self) -> None:
        super().__init__("status", lambda base: _below(base, "/queue/status"), "total_work_units")

    def address(self, target: Target, options: Mapping[str, Any]) -> str:
        chat = ChatRequest("", [], options=dict(options))
        path = f"/workspaces/{workspace_of(chat, target)}/queue/status"
        return _below(target.base_url, path)


LISTING = _Queue()

_NAME = re.compile(r"[A-Za-z0-9_-]{1,512}")
_OWN_PATH = re.compile(r"/v3(/.*)?$")
_GONE = re.compile(r"\b(workspace|peer|session)\b.* not found", re.IGNORECASE)
_MESSAGE = ("content", "metadata", "created_at", "configuration")
_AUTHOR = ("peer_id", "peer", "role")

LONGEST_QUESTION = 10_000  # characters

# A stream cannot hold an error: whatever fails after the headers just ends the body.
_BROKEN_OFF = (
    "check that --session and -o target= name what is there (-o add=FILE makes it); else the "
    "model behind Honcho failed: see its log"
)


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}/v3/workspaces/{workspace}/peers/{peer}/chat.

    The question is the last message of the user: Honcho knows earlier ones, if they are in a
    session. `-o target=` asks what the peer knows about another peer.
    """
    no_words_for(NAME, chat, "system", "prefill", "tools", "tool_choice", *SAMPLING)
    question = ""
    for message in chat.messages:
        if message.attachments:
            name = message.attachments[0].name
            raise cannot(NAME, f"{name} (--attach)", "put a text file's contents in with --file")
        if message.role == "user":
            question = message.text
    body: dict[str, Any] = {"query": question, "stream": chat.stream}
    if chat.think is not None:
        body["reasoning_level"] = "minimal" if chat.think == "none" else chat.think
    if chat.schema is not None:
        from .shared.schemas import object_schema

        body["response_format"] = object_schema(chat)
    merge(body, {key: chat.options[key] for key in chat.options if key not in STEERING})
    store_of(chat)  # so that an invalid name fails before anything is sent
    names = {"session_id": session_of(chat, target), "target": target_of(chat)}
    body |= {field: name for field, name in names.items() if name is not None}
    size = len(body["query"]) if isinstance(body["query"], str) else 0
    if size == 0:
        raise cannot(NAME, "an empty question")
    if size > LONGEST_QUESTION:
        hint = (
            f"at most {LONGEST_QUESTION}; more belongs into a session: -o add=FILE --session NAME"
        )
        raise cannot(NAME, f"a question of {size} characters", hint)
    peer, workspace = peer_of(chat, target), workspace_of(chat, target)
    accept = "text/event-stream" if chat.stream else JSON
    return post(target, f"/workspaces/{workspace}/peers/{peer}/chat", body, accept)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    """Return the failure of a question or a setup request: both have {"detail": ...}."""
    failed = http_refusal(status, headers, body)
    error = error_of_body(body)
    detail = error.get("detail") if isinstance(error, dict) else None
    if status in (401, 403):
        failed.hint = "check the key, and -o workspace=NAME: a key may be good for one alone"
    elif status == 404 and isinstance(detail, str) and _GONE.search(detail):
        failed.hint = "check -o workspace=, -o target= and --session: they name what is there"
    elif status in (404, 405):  # no such route: an older version, or another server
        failed.hint = "check --base-url (http://HOST:8000; its API has to be version 3)"
    return failed


def recognises(glimpse: Glimpse) -> bool:
    value = glimpse.value
    if not isinstance(value, dict) or not value:
        return False
    if isinstance(value.get("delta"), dict) and "done" in value:
        return True
    # The end of an empty answer, or an answer that was not streamed.
    return value.keys() <= {"done", "evidence"} or value.keys() <= {"content", "evidence"}


class Decoder:
    """Decodes Honcho's events, or a whole answer, {"content": ...}.

    `evidence` of the last event (sources of the answer) is not a citation, as it has no URL.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self._payloads = Payloads(limit)
        template = Template("content", lambda value: value["delta"])
        self._body = JsonBody(self, "answer of Honcho's", limit, template, payloads=self._payloads)
        self.feed = self._body.feed
        self._reason: str | None = None

    @property
    def ended(self) -> bool:
        return self._body.ended

    def close(self, broken: Failed | None = None) -> list[Event]:
        out = self._body.close(broken)
        said = self._body.answered or has_answer(out)
        end = out[-1] if out and not said else None
        if isinstance(end, Failed) and (broken is not None or end.evidence == ("eof",)):
            end.hint = end.hint if end.hint not in ("", "try again") else _BROKEN_OFF
            if self._payloads.looks_like in ("", "sse"):
                end.transient = True  # nothing came: mostly the model behind it failed
        return out

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            return
        body = self._body
        delta, done = value.get("delta"), value.get("done")
        if done is not None and type(done) is not bool:
            done = str(done).lower() in ("true", "1")
        if value.get("error") == "" or (error := error_in(value, event)) is not None:
            body.fail(stream_failure(error if value.get("error") != "" else ""), out)
            return
        if type(delta) is dict:
            text, error = delta.get("content"), delta.get("error")
            text = text_beside(delta) if text is None else text
            if error:
                body.say(Text, text, out)
                body.fail(stream_failure(error), out)
                return
        elif type(done) is bool:
            text = text_beside(value)
        elif "content" in value and isinstance(value["content"], str | None):
            text, done = value["content"], True  # null: Honcho knows nothing
        else:
            return
        if done and (error := error_beside(value)) is not None:
            body.say(Text, text, out)
            body.fail(stream_failure(error), out)
            return
        body.alive = True
        body.say(Text, text, out)
        self._reason = first_of(value.get("finish_reason")) or self._reason
        if done is True:
            body.finish("marker", out)

    def finished(self) -> bool:
        return False  # Honcho has no finish reasons; a gateway's comes with `done`

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        if failed := failure_of(self._reason):
            failed.evidence = evidence
            return failed
        return Finished(reason_of(self._reason), self._reason, evidence)


# The requests before and after a question


def before(chat: ChatRequest, target: Target, messages: list[Stored]) -> list[HttpRequest]:
    """Return the setup requests, which are sent in this order before the question.

    They create the session of --session, with its peers, if it is missing; the session of
    `-o session_id=` must exist. `messages` are those of `-o add=` (see messages_of). Raise a usage
    error if there is no session to write to.
    """
    session, store = session_of(chat, target), store_of(chat)
    wanted = target.session is not None or {"add", "store"} & chat.options.keys()
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
    """Return the requests that store an answer as a message of the peer `-o store=`.

    An answer that is too long for one message is cut into several.
    """
    session, store = session_of(chat, target), store_of(chat)
    if session is None or store is None:
        return []
    pieces = [text[at : at + LONGEST_MESSAGE] for at in range(0, len(text), LONGEST_MESSAGE)]
    messages = [{"content": piece, "peer_id": store} for piece in pieces]
    path = f"/workspaces/{workspace_of(chat, target)}/sessions/{session}/messages"
    return _storing(target, path, messages)


def _storing(target: Target, path: str, messages: list[Stored]) -> list[HttpRequest]:
    batches = [messages[at : at + BATCH] for at in range(0, len(messages), BATCH)]
    return [post(target, path, {"messages": batch}) for batch in batches]


def messages_of(data: bytes, where: str) -> list[Stored]:
    """Return the messages of the JSON Lines file `where`; a usage error names the line.

    Each line is an object with `content` and one of `peer_id`, `peer` and `role`, the name of the
    peer that wrote it; it may have `metadata`, `created_at` and `configuration`.
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
    if len(value["content"]) > LONGEST_MESSAGE:
        size = len(value["content"])
        raise usage(
            f"{where}: {size} characters, Honcho takes {LONGEST_MESSAGE} a message", "cut it"
        )
    peer = _name(value[authors[0]], f"{where}: {authors[0]} ")
    stored = {key: value[key] for key in _MESSAGE if value.get(key) is not None}
    return {**stored, "peer_id": peer}


# The names of peers, workspaces and sessions


def peer_of(chat: ChatRequest, target: Target) -> str:
    """Return the peer to ask: `-o peer=`, or the name in the place of a model (honcho:NAME)."""
    if "peer" in chat.options:
        return _name(chat.options["peer"], "-o peer=")
    if not chat.model:
        provider = target.provider
        raise usage(f"no peer for {provider}", f'stream -p {provider} -o peer=NAME "..."')
    return _name(chat.model, f"-m {target.provider}:")


def workspace_of(chat: ChatRequest, target: Target) -> str:
    """Return `-o workspace=`, or the target's, which comes from HONCHO_WORKSPACE_ID."""
    if "workspace" in chat.options:
        return _name(chat.options["workspace"], "-o workspace=")
    return _name(target.workspace or "default", f"{WORKSPACE_VARIABLE}=")


def session_of(chat: ChatRequest, target: Target) -> str | None:
    """Return `-o session_id=`, or the target's, which comes from --session.

    Raise a usage error without a session if messages are to be written.
    """
    if "session_id" in chat.options:
        return _name(chat.options["session_id"], "-o session_id=")
    if session := target.session:
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
    """Return `value` if it is a name that Honcho takes; a usage error names the `option`."""
    if type(value) is int:  # -o peer=7 was read as JSON
        value = str(value)
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    shown = value if isinstance(value, str) else orjson.dumps(value).decode()
    shown = shown if len(shown) < 80 else f"{shown[:60]}... ({len(shown)} characters)"
    raise usage(
        f"{option}{shown}: that is not a name for Honcho",
        "letters, digits, _ and -, at most 512 of them",
    )


def _no_session(option: str) -> StreamError:
    return usage(f"-o {option}= needs a session to write in", "--session NAME")


def post(target: Target, path: str, body: dict[str, Any], accept: str = JSON) -> HttpRequest:
    return asking.post(target, _below(target.base_url, path), body, accept)


def _below(base: str, path: str) -> str:
    """Return {base}/v3{path}; the base may be written with /v3, or with a whole route."""
    base, query, tail = base.partition("?")
    return f"{_OWN_PATH.sub('', base.rstrip('/'))}/v3{path}{query}{tail}"
