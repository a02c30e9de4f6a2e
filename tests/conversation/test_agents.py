"""Conversations with agents and applications: what each protocol sends in the second turn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Stream
from faultserver import Conn, FaultServer
from tool_answers import sse

A2A = {"kind": "message", "messageId": "m", "contextId": "c1", "role": "agent"}
A2A["parts"] = [{"kind": "text", "text": "Aye."}]  # type: ignore[assignment]
ANSWERS: dict[str, bytes] = {
    "ag-ui": sse(
        {"type": "RUN_STARTED", "threadId": "t", "runId": "r"},
        {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Aye."},
        {"type": "TEXT_MESSAGE_END", "messageId": "m"},
        {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"},
    ),
    "ai-data": b'0:"Aye."\nd:{"finishReason":"stop"}\n',
    "ui-message": sse(
        {"type": "start"},
        {"type": "text-start", "id": "t"},
        {"type": "text-delta", "id": "t", "delta": "Aye."},
        {"type": "text-end", "id": "t"},
        {"type": "finish"},
        done=True,
    ),
    "a2a": sse({"jsonrpc": "2.0", "id": 1, "result": A2A}),
    "honcho": sse({"delta": {"content": "Aye."}, "done": False}, {"done": True}),
    "sse-text": b"data: Aye.\n\n",
}
CTYPES = {"ai-data": "text/plain; charset=utf-8"}
MANY = 'body = { messages = "{messages}" }\n'  # a place for a conversation


@pytest.fixture
def agent(server: FaultServer, configure: Callable[[str], Path]) -> Callable[..., list[str]]:
    """Script an agent of this protocol; return the options."""

    def script(protocol: str, more: str = "") -> list[str]:
        def play(conn: Conn) -> None:
            conn.reply(200, ANSWERS[protocol], ctype=CTYPES.get(protocol, "text/event-stream"))

        base = server.script("agent", play)
        configure(f'[provider.mine]\nprotocol = "{protocol}"\nbase_url = "{base}"\n{more}')
        return ["-p", "mine"]

    return script


def said(body: Any) -> list[str]:
    """Return the texts of a request's messages, whatever the protocol calls them."""
    return [each.get("content") or each["parts"][0]["text"] for each in body["messages"]]


@pytest.mark.parametrize("form", ["--chat", "--session"])
@pytest.mark.parametrize("protocol", ["ag-ui", "ai-data", "ui-message", "sse-text"])
def test_the_second_turn_has_the_first(
    protocol: str, form: str, stream: Stream, server: FaultServer, agent: Any
) -> None:
    more = MANY if protocol == "sse-text" else ""
    args = agent(protocol, more)
    if form == "--chat":
        run = stream(*args, "--chat", stdin=b"One?\nTwo?\n")
        assert (run.returncode, run.text) == (0, "Aye.\nAye.\n"), run.stderr
    else:
        for prompt in ("One?", "Two?"):
            run = stream(*args, "--session", "./s.jsonl", prompt)
            assert (run.returncode, run.text) == (0, "Aye."), run.stderr
    first, second = (each.json for each in server.seen("agent"))
    assert said(first) == ["One?"]
    assert said(second) == ["One?", "Aye.", "Two?"]
    for name in ("threadId", "id"):  # of the whole conversation
        assert first.get(name) == second.get(name)


def test_an_a2a_agent_keeps_the_first(stream: Stream, server: FaultServer, agent: Any) -> None:
    run = stream(*agent("a2a"), "--chat", stdin=b"One?\nTwo?\n")
    assert (run.returncode, run.text) == (0, "Aye.\nAye.\n"), run.stderr
    first, second = (each.json["params"]["message"] for each in server.seen("agent"))
    assert "contextId" not in first
    assert (second["contextId"], second["parts"][0]["text"]) == ("c1", "Two?")


def test_a_provider_that_hears_each_prompt_alone_says_so(
    stream: Stream, server: FaultServer, agent: Any
) -> None:
    args = (*agent("honcho"), "-m", "peer", "--chat")
    run = stream(*args, stdin=b"One?\nTwo?\n")
    assert (run.returncode, run.text) == (0, "Aye.\nAye.\n")
    assert [each.json["query"] for each in server.seen("agent")] == ["One?", "Two?"]
    (note,) = run.complaints
    assert note.startswith("stream: mine is sent each prompt alone: ")


def test_a_template_without_a_place_for_a_conversation(
    stream: Stream, server: FaultServer, agent: Any
) -> None:
    run = stream(*agent("sse-text"), "--chat", stdin=b"One?\nTwo?\n")
    assert (run.returncode, run.text) == (20, "Aye.\n\n")
    assert "sse-text cannot carry a conversation: mine's template has no {messages}" in run.stderr
