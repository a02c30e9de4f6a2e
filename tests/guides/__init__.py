"""Streaming guides of other systems, example by example: what their code does, and our command.

A guide is a file here. Its `EXAMPLES` are a table: where in the guide, their call, our command, and
what comes of it against a server that answers as that system does. Its `NOTES` are what has no
command of ours: nothing is called there, it is not for a command, or it waits for something that
`stream` cannot do yet. Together they have every part of the guide's `OUTLINE`.

tests/docgen/test_guides.py runs them; below is what they share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from conftest import eventually
from faultserver import Conn, Request, cut_rst, json_bytes, part

KEY = "sk-guide-5f3a9c1e"

Play = Callable[[Conn, Path], None]  # it may look at the folder the command runs in


class Ran(NamedTuple):
    """What one command did: its exit status and output, what the server saw, where it ran."""

    code: int
    text: str
    complaints: str
    requests: list[Request]
    folder: Path

    @property
    def body(self) -> Any:
        """What was sent; the same in each attempt."""
        first, *others = self.requests
        assert all(other.body == first.body for other in others)
        return first.json


class Case(NamedTuple):
    """One behaviour of the server, and what the user has of it.

    `hurry` replaces something in the command, for a test that has less time than a reader. With
    `terminal` it runs on one: its text is what the screen shows at the end, its complaints all
    that was ever written there.
    """

    play: Play
    check: Callable[[Ran], None]
    hurry: tuple[str, str] = ("", "")
    terminal: bool = False


class Example(NamedTuple):
    places: tuple[tuple[str, str], ...]  # (the guide's heading, a quote of their call below it)
    what: str  # their call and what it is for, in Markdown: the page's line above the command
    ours: str  # for bash: the block below it
    cases: tuple[Case, ...]


class Note(NamedTuple):
    """A part of a guide without a command of ours.

    The page has `why` below `what`; without `what` the note is not on the page.
    """

    heading: str
    why: str
    what: str = ""


class Guide(NamedTuple):
    title: str
    examples: tuple[Example, ...]
    notes: tuple[Note, ...]
    outline: tuple[str, ...]  # its headings in their order, as far as something stands below them
    more: str = ""  # what the page says below them


# ---- what servers do ----------------------------------------------------------------------------

STORY = ("Once", " upon a", " time.")
TOLD = "Once upon a time."


def says(*texts: str, reason: str = "stop") -> Play:
    """An answer as Chat Completions have it."""

    def play(conn: Conn, folder: Path) -> None:
        conn.open_with(*texts)
        conn.finish(reason)
        conn.done()
        conn.end()

    return play


def calls(name: str, arguments: str, then: Callable[[str], str]) -> Play:
    """A call of a tool, in pieces; and once its result is there, what `then` makes of it."""

    def play(conn: Conn, folder: Path) -> None:
        results = [each for each in conn.request.json["messages"] if each["role"] == "tool"]
        if results:
            says(then(results[0]["content"]))(conn, folder)
            return
        conn.open_with("Let me see.")
        call = {"index": 0, "id": "call_1", "type": "function"}
        conn.event(part(tool_calls=[{**call, "function": {"name": name, "arguments": ""}}]))
        for piece in (arguments[:9], arguments[9:]):
            conn.event(part(tool_calls=[{"index": 0, "function": {"arguments": piece}}]))
        conn.finish("tool_calls")
        conn.done()
        conn.end()

    return play


def counts_tokens(conn: Conn, folder: Path) -> None:
    """The story, and its tokens if they are asked for."""
    conn.open_with(*STORY)
    conn.finish()
    if conn.request.json.get("stream_options", {}).get("include_usage"):
        conn.usage(9, 12)
    conn.done()
    conn.end()


def cut(conn: Conn, folder: Path) -> None:
    """The connection breaks behind "Hello wor"."""
    cut_rst(conn)


def refuses_twice(conn: Conn, folder: Path) -> None:
    if conn.attempt == 1:
        conn.reply(429, {"error": "Too many requests"}, retry_after="0")
    elif conn.attempt == 2:
        conn.reply(503, b"upstream is busy", ctype="text/plain", retry_after_ms="10")
    else:
        says(*STORY)(conn, folder)


def goes_on_until_nobody_listens(conn: Conn, folder: Path) -> None:
    with suppress(OSError):  # it may find out while it writes
        conn.open_with("def quicksort(items):\n")
        while not conn.wait_peer_closed(0.02):
            conn.delta("    ...\n")
    (folder / "cancelled").touch()


def only_together(count: int, play: Play) -> Play:
    """Nothing is answered before so many have asked: who asks one after the other fails."""

    def wait_and_play(conn: Conn, folder: Path) -> None:
        (folder / f"asked.{conn.attempt}").touch()
        assert eventually(lambda: len(list(folder.glob("asked.*"))) >= count)
        play(conn, folder)

    return wait_and_play


def anyone_says(*texts: str) -> Play:
    """The same answer in whichever protocol is asked for."""

    def play(conn: Conn, folder: Path) -> None:
        path = conn.request.path.partition("?")[0]
        if path.endswith("/chat/completions"):
            says(*texts)(conn, folder)
            return
        conn.head()
        if path.endswith("/v1/messages"):
            conn.event({"type": "message_start", "message": {"id": "msg_1", "model": "claude"}})
            for text in texts:
                delta = {"type": "text_delta", "text": text}
                conn.event({"type": "content_block_delta", "index": 0, "delta": delta})
            conn.event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
            conn.event({"type": "message_stop"})
        elif path.endswith("/api/chat"):
            for text in texts:
                message = {"role": "assistant", "content": text}
                conn.chunk(json_bytes({"message": message, "done": False}) + b"\n")
            conn.chunk(json_bytes({"done": True, "done_reason": "stop"}) + b"\n")
        elif path.endswith("/stream"):
            for text in texts:
                conn.chunk(f"data: {text}\n\n".encode())
        else:
            for result in tasks(*texts):
                conn.event({"jsonrpc": "2.0", "id": 1, "result": result})
        conn.end()

    return play


def tasks(*texts: str, state: str = "completed", words: str = "") -> Iterator[dict[str, Any]]:
    """What Tyler's A2A server sends for an answer: its `result`s."""
    about = {"taskId": "t-1", "contextId": "c-1"}

    def status(state: str, **more: Any) -> dict[str, Any]:
        more["status"] = {"state": state, **more.get("status", {})}
        return {"kind": "status-update", **about, "final": False, **more}

    def artifact(*parts: str, **more: bool) -> dict[str, Any]:
        found = [{"kind": "text", "text": text} for text in parts]
        artifact = {"artifactId": "a-1", "name": "Task t-1 Result", "parts": found}
        return {"kind": "artifact-update", **about, "artifact": artifact, **more}

    yield status("working")
    for number, text in enumerate(texts):
        yield artifact(text, append=number > 0, lastChunk=False)
    if state == "completed":
        yield artifact(append=True, lastChunk=True)
        yield status(state, final=True)
    else:
        message = {"messageId": "m", "role": "agent", "parts": [{"kind": "text", "text": words}]}
        yield status(state, final=True, status={"message": message})


# ---- what the user has of it --------------------------------------------------------------------


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def asked(ran: Ran, model: str, *messages: dict[str, str], **fields: Any) -> None:
    """The request of Chat Completions is, field by field, the one that their code sends."""
    assert ran.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert ran.requests[0].path.endswith("/v1/chat/completions")
    assert ran.body == {"model": model, "messages": list(messages), "stream": True, **fields}


def a_third_attempt(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, TOLD)
    assert len(ran.requests) == 3
    assert ran.body["messages"] == [user("Hello!")]
    first, second = ran.complaints.splitlines()
    assert "Too many requests" in first
    assert "upstream is busy" in second


def prints(text: str, complaint: str = "", code: int = 0) -> Callable[[Ran], None]:
    """Exactly this on stdout, and a complaint with these words in it, or none."""

    def check(ran: Ran) -> None:
        assert (ran.code, ran.text) == (code, text), ran.complaints
        assert complaint in ran.complaints
        assert bool(complaint) == bool(ran.complaints), ran.complaints

    return check
