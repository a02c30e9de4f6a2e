"""A Honcho on loopback, without a model: API v3 as its server speaks it, with memory in a dict.

Workspaces, peers, sessions and messages are got or created, validated and refused as the server
does; a chat answers with what the test put into `answer`. What is faithful in it is proved by
Honcho's own SDK (tests/test_honcho_sdk.py). Nothing in here knows the client.

Source: https://github.com/plastic-labs/honcho (src/routers, src/schemas/api.py), server 3.0.12.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import parse_qs, unquote

from faultserver import Conn, FaultServer, Request

LEVELS = ("minimal", "low", "medium", "high", "max")
NAME = r"^[a-zA-Z0-9_-]+$"
SESSION = r"/workspaces/([^/]+)/sessions/([^/]+)"


class Refused(Exception):
    """An answer that is not 2xx; `detail` is a text, or a list where validation failed."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail


@dataclass
class Session:
    facts: dict[str, Any]
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)  # name: its configuration
    messages: list[dict[str, Any]] = field(default_factory=list)

    def said(self) -> list[tuple[str, str]]:
        return [(message["peer_id"], message["content"]) for message in self.messages]


@dataclass
class Workspace:
    facts: dict[str, Any]
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# ---- validation, in the words of pydantic -------------------------------------------------------


def invalid(kind: str, place: tuple[str | int, ...], message: str, given: Any, **ctx: Any) -> Any:
    error = {"type": kind, "loc": ["body", *place], "msg": message, "input": given}
    return {**error, "ctx": ctx} if ctx else error


class Body:
    """A request's JSON object, whose fields are taken out by what they have to be."""

    def __init__(self, value: Any, place: tuple[str | int, ...] = ()) -> None:
        self.errors: list[Any] = []
        self.value = value if isinstance(value, dict) else {}
        self._place = place
        if not isinstance(value, dict):
            message = "Input should be a valid dictionary or object to extract fields from"
            self._wrong("model_attributes_type", (), message, value)

    def _wrong(
        self, kind: str, place: tuple[str | int, ...], message: str, given: Any, **ctx: Any
    ) -> None:
        self.errors.append(invalid(kind, (*self._place, *place), message, given, **ctx))

    def text(
        self, name: str, least: int = 0, most: int = 1 << 30, pattern: str = "", needed: bool = True
    ) -> str:
        given = self.value.get(name)
        if name not in self.value or (given is None and not needed):
            if needed:
                self._wrong("missing", (name,), "Field required", self.value)
        elif not isinstance(given, str):
            self._wrong("string_type", (name,), "Input should be a valid string", given)
        elif len(given) < least:
            message = f"String should have at least {least} character{'s' * (least > 1)}"
            self._wrong("string_too_short", (name,), message, given, min_length=least)
        elif len(given) > most:
            message = f"String should have at most {most} characters"
            self._wrong("string_too_long", (name,), message, given, max_length=most)
        elif pattern and not re.search(pattern, given):
            message = f"String should match pattern '{pattern}'"
            self._wrong("string_pattern_mismatch", (name,), message, given, pattern=pattern)
        return given if isinstance(given, str) else ""

    def name(self) -> str:
        return self.text("id", 1, 512, NAME)

    def table(self, name: str) -> dict[str, Any] | None:
        given = self.value.get(name)
        if given is not None and not isinstance(given, dict):
            self._wrong("dict_type", (name,), "Input should be a valid dictionary", given)
        return given if isinstance(given, dict) else None

    def one_of(self, name: str, choices: tuple[str, ...], default: str) -> str:
        given = self.value.get(name, default)
        if given not in choices:
            expected = f"{', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}"
            message = f"Input should be {expected}"
            self._wrong("literal_error", (name,), message, given, expected=expected)
        return str(given)

    def items(self, name: str, most: int) -> list[Any]:
        given = self.value.get(name)
        if not isinstance(given, list):
            kind = "list_type" if name in self.value else "missing"
            message = "Input should be a valid list" if given is not None else "Field required"
            self._wrong(kind, (name,), message, given)
            return []
        if not 1 <= len(given) <= most:
            few = not given
            edge = "at least 1 item" if few else f"at most {most} items"
            message = f"List should have {edge} after validation, not {len(given)}"
            ctx = {"field_type": "List", "actual_length": len(given)}
            limit = {"min_length": 1} if few else {"max_length": most}
            self._wrong("too_short" if few else "too_long", (name,), message, given, **ctx, **limit)
        return given

    def check(self, *others: Body) -> None:
        errors = sum((other.errors for other in others), self.errors)
        if errors:
            raise Refused(422, errors)


# ---- the server ---------------------------------------------------------------------------------


class Honcho:
    """What answers, on whichever server plays it.

    `answer` is what chats say, in deltas; None is an answer that is null. `fails` is how they go
    wrong: "silent" (200 and nothing, as when the model behind it is gone), "cut" (the answer's
    middle, then a clean end), "lost" (the same, then the connection breaks), "told" (an error in
    the stream, as the workspace chat of newer servers has it) or "500". `keys` are the tokens it
    takes, each with the workspace it opens ("*" for all); none: no auth.
    """

    def __init__(self, **keys: str) -> None:
        self.keys = keys
        self.answer: list[str] | None = ["They like ", "tea."]
        self.fails = ""
        self.fails_once = ""  # the same, for the next chat alone
        self.refuses: list[str] = []  # the paths whose next POST is answered with 503
        self.refuses_after: dict[str, int] = {}  # the same, after so many of them
        self.workspaces: dict[str, Workspace] = {}

    def play(self, conn: Conn) -> None:
        try:
            self._route(conn)
        except Refused as refused:
            conn.reply(refused.status, {"detail": refused.detail})

    def _route(self, conn: Conn) -> None:
        path, _, query = conn.request.path.partition("?")
        path = unquote(path).removeprefix("/v3")
        known = False
        if path in self.refuses_after:
            self.refuses_after[path] -= 1
            if self.refuses_after[path] < 0:
                del self.refuses_after[path]
                raise Refused(503, "try again")
        if path in self.refuses:
            self.refuses.remove(path)
            raise Refused(503, "try again")
        for method, pattern, handler in ROUTES:
            if found := re.fullmatch(pattern, path):
                known = True
                if method == conn.request.method:
                    self._authorize(conn.request, found.groups())
                    call = Call(self, conn, found.groups(), parse_qs(query))
                    handler(call)
                    return
        raise Refused(405, "Method Not Allowed") if known else Refused(404, "Not Found")

    def _authorize(self, request: Request, path: tuple[str, ...]) -> None:
        if not self.keys:
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(401, "No access token provided")
        opens = self.keys.get(token)
        if opens is None:
            raise Refused(401, "Invalid JWT")
        if path and opens not in ("*", path[0]):
            raise Refused(401, "JWT not permissioned for this resource")
        if not path and opens not in ("*", json.loads(request.body).get("id")):
            raise Refused(401, "Unauthorized access to resource")

    # Memory

    def workspace(self, name: str) -> Workspace:
        if name not in self.workspaces:
            facts = {"id": name, "metadata": {}, "configuration": {}, "created_at": now()}
            self.workspaces[name] = Workspace(facts)
        return self.workspaces[name]

    def peer(self, workspace: str, name: str) -> dict[str, Any]:
        peers = self.workspace(workspace).peers
        if name not in peers:
            if len(name) > 512 or not re.fullmatch(NAME, name):
                raise Refused(422, f"Peer name(s) ['{name}'] must match {NAME}")
            peers[name] = {
                "id": name,
                "workspace_id": workspace,
                "created_at": now(),
                "metadata": {},
                "configuration": {},
            }
        return peers[name]

    def session(self, workspace: str, name: str) -> Session:
        sessions = self.workspace(workspace).sessions
        if name not in sessions:
            facts = {"id": name, "is_active": True, "workspace_id": workspace, "metadata": {}}
            sessions[name] = Session({**facts, "configuration": {}, "created_at": now()})
        return sessions[name]

    def join(self, workspace: str, session: Session, peers: dict[str, Any]) -> None:
        """Who is there already keeps what is configured."""
        for name, configuration in peers.items():
            self.peer(workspace, name)
            session.peers.setdefault(name, configuration or {})


class HonchoServer(Honcho):
    """One on a server of its own: a context manager."""

    def __init__(self, **keys: str) -> None:
        super().__init__(**keys)
        self._http = FaultServer()
        self._http.script("v3", self.play)
        self.url = self._http.origin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()
        assert not self._http.errors, self._http.errors

    @property
    def requests(self) -> list[Request]:
        return self._http.requests

    def routes(self) -> list[str]:
        """Method and path of all requests so far."""
        return [f"{request.method} {request.path.split('?')[0]}" for request in self.requests]


class Call:
    """One request: the path's names, the query, and what is to be answered."""

    def __init__(
        self, server: Honcho, conn: Conn, path: tuple[str, ...], query: dict[str, list[str]]
    ) -> None:
        self.server = server
        self.conn = conn
        self.path = path
        self.query = query

    def json(self) -> Any:
        try:
            return json.loads(self.conn.request.body)
        except ValueError as error:
            place = getattr(error, "pos", 0)
            why = getattr(error, "msg", "not UTF-8")
            raise Refused(
                422, [invalid("json_invalid", (place,), "JSON decode error", {}, error=why)]
            ) from None

    def page(self, items: list[Any]) -> None:
        number, size = (int(self.query.get(k, [d])[0]) for k, d in (("page", "1"), ("size", "50")))
        if self.query.get("reverse", [""])[0] == "true":
            items = items[::-1]
        shown = items[(number - 1) * size : number * size]
        pages = -(-len(items) // size)
        total = {"total": len(items), "page": number, "size": size, "pages": pages}
        self.conn.reply(200, {"items": shown, **total})

    def have(self, session: str) -> Session:
        sessions = self.server.workspace(self.path[0]).sessions
        if session not in sessions:
            raise Refused(404, f"Session {session} not found in workspace {self.path[0]}")
        return sessions[session]


def post_workspace(call: Call) -> None:
    body = Body(call.json())
    name, metadata = body.name(), body.table("metadata")
    body.check()
    new = name not in call.server.workspaces
    facts = call.server.workspace(name).facts
    facts |= {"metadata": metadata} if metadata and new else {}
    call.conn.reply(201 if new else 200, facts)


def post_peer(call: Call) -> None:
    body = Body(call.json())
    name = body.name()
    given = {key: body.table(key) for key in ("metadata", "configuration")}
    body.check()
    new = name not in call.server.workspace(call.path[0]).peers
    peer = call.server.peer(call.path[0], name)
    peer |= {key: value for key, value in given.items() if value is not None}
    call.conn.reply(201 if new else 200, peer)


def post_session(call: Call) -> None:
    body = Body(call.json())
    name, peers = body.name(), body.table("peers") or {}
    given = {key: body.table(key) for key in ("metadata", "configuration")}
    body.check()
    new = name not in call.server.workspace(call.path[0]).sessions
    session = call.server.session(call.path[0], name)
    call.server.join(call.path[0], session, peers)
    session.facts |= {key: value for key, value in given.items() if value is not None}
    call.conn.reply(201 if new else 200, session.facts)


def post_session_peers(call: Call) -> None:
    peers = Body(call.json())
    peers.check()
    session = call.server.session(*call.path)
    call.server.join(call.path[0], session, peers.value)
    call.conn.reply(200, session.facts)


def put_session_peers(call: Call) -> None:
    peers = Body(call.json())
    peers.check()
    session = call.have(call.path[1])
    session.peers.clear()
    call.server.join(call.path[0], session, peers.value)
    call.conn.reply(200, session.facts)


def delete_session_peers(call: Call) -> None:
    session = call.have(call.path[1])
    for name in call.json():
        session.peers.pop(name, None)
    call.conn.reply(200, session.facts)


def get_session_peers(call: Call) -> None:
    call.page([call.server.peer(call.path[0], name) for name in call.have(call.path[1]).peers])


def post_messages(call: Call) -> None:
    body = Body(call.json())
    each = [
        Body(value, ("messages", at)) for at, value in enumerate(body.items("messages", most=100))
    ]
    given = [
        (one.text("content", most=25_000), one.text("peer_id"), one.table("metadata"))
        for one in each
    ]
    body.check(*each)
    workspace, name = call.path
    session = call.server.session(workspace, name)
    call.server.join(workspace, session, {peer: {} for _, peer, _ in given})
    new = [
        {
            "id": secrets.token_urlsafe(16)[:21],
            "content": content.replace("\0", ""),
            "peer_id": peer,
            "session_id": name,
            "metadata": metadata or {},
            "created_at": one.value.get("created_at") or now(),
            "workspace_id": workspace,
            "token_count": len(content.split()),
        }
        for one, (content, peer, metadata) in zip(each, given, strict=True)
    ]
    session.messages += new
    call.conn.reply(201, new)


def list_messages(call: Call) -> None:
    call.page(call.have(call.path[1]).messages)


def get_queue(call: Call) -> None:
    names = ("total", "completed", "in_progress", "pending")
    call.conn.reply(200, {f"{name}_work_units": 0 for name in names})


def post_chat(call: Call) -> None:
    body = Body(call.json())
    body.text("query", 1, 10_000)
    names = [body.text(name, needed=False) for name in ("target", "session_id")]
    body.one_of("reasoning_level", LEVELS, "low")
    filters, schema = body.table("filters"), body.table("response_format")
    body.check()
    given, (target, session) = body.value, names
    if given.get("scope") is not None and (filters is not None or session):
        other = "session_id" if filters is None else "filters"
        raise Refused(422, f"`scope` and `{other}` are mutually exclusive")
    if filters is not None and filters.keys() != {"session_id"}:
        raise Refused(422, "only 'session_id' can be filtered by")
    if schema is not None and schema.get("type", "object") != "object":
        raise Refused(422, "Invalid response_format: root schema must have type 'object'")
    call.server.peer(*call.path)
    workspace = call.server.workspace(call.path[0])
    unknown = ""
    if session and session not in workspace.sessions:
        unknown = f"Session {session} not found in workspace {call.path[0]}"
    elif target and target not in workspace.peers:
        unknown = f"Peer {target} not found in workspace {call.path[0]}"
    evidence = evidence_of(workspace) if given.get("include_evidence") else None
    if given.get("stream"):
        stream(call, unknown, evidence)
    elif unknown:
        raise Refused(404, unknown)
    elif call.server.fails_once or call.server.fails:
        raise Refused(500, "An unexpected error occurred")
    else:
        answer = call.server.answer
        whole: dict[str, Any] = {"content": None if answer is None else "".join(answer)}
        call.conn.reply(200, whole if evidence is None else {**whole, "evidence": evidence})


def stream(call: Call, unknown: str, evidence: Any) -> None:
    """Nothing that goes wrong from here on has words: the headers are out."""
    conn, fails = call.conn, call.server.fails_once or call.server.fails
    call.server.fails_once = ""
    if fails == "500":
        raise Refused(500, "An unexpected error occurred")
    conn.head(ctype="text/event-stream; charset=utf-8")
    if unknown:
        return  # not ended: the connection is closed in the middle of the body
    if fails == "silent":
        conn.end()
        return
    answer = call.server.answer or []
    for text in answer[: -(-len(answer) // 2)] if fails else answer:
        event(conn, {"delta": {"content": text}, "done": False})
    if fails == "told":
        event(conn, {"error": "the model fell over", "done": True})
    elif not fails:
        event(conn, {"done": True} if evidence is None else {"done": True, "evidence": evidence})
    if fails != "lost":
        conn.end()


def event(conn: Conn, value: Any) -> None:
    conn.chunk(f"data: {json.dumps(value)}\n\n".encode())  # as json.dumps writes it: all ASCII


def evidence_of(workspace: Workspace) -> dict[str, Any]:
    fields = ("id", "session_id", "peer_id", "created_at")
    messages = [m for session in workspace.sessions.values() for m in session.messages]
    return {
        "conclusions": [],
        "messages": [{key: message[key] for key in fields} for message in messages],
        "tool_calls": [{"tool_name": "search_messages", "tool_input": {"query": "tea"}}],
        "reasoning_trace_id": None,
    }


ROUTES: list[tuple[str, str, Callable[[Call], None]]] = [
    ("POST", "/workspaces", post_workspace),
    ("POST", "/workspaces/([^/]+)/peers", post_peer),
    ("POST", "/workspaces/([^/]+)/peers/([^/]+)/chat", post_chat),
    ("POST", "/workspaces/([^/]+)/sessions", post_session),
    ("POST", f"{SESSION}/peers", post_session_peers),
    ("PUT", f"{SESSION}/peers", put_session_peers),
    ("DELETE", f"{SESSION}/peers", delete_session_peers),
    ("GET", f"{SESSION}/peers", get_session_peers),
    ("POST", f"{SESSION}/messages", post_messages),
    ("POST", f"{SESSION}/messages/list", list_messages),
    ("GET", "/workspaces/([^/]+)/queue/status", get_queue),
]
