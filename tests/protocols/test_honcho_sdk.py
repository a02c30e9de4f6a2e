"""Honcho's own SDK against tests/honchoserver.py: it is the judge of how faithful that server is.

Needs venv-honcho in STREAM_TEST_SERVERS (.ci/setup_honcho.sh puts it there).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import realservers
from honcho_guide import ANSWER, ASSISTANT, QUESTION, SESSION, TASTES, USER, by_hand
from honchoserver import HonchoServer

pytestmark = pytest.mark.real

# The guide's restaurant example, in the spelling of SDK 2: chat_stream instead of stream=True.
RESTAURANT = """
import json, sys
from honcho import Honcho

user_name, assistant_name, session_name, question, *tastes = json.loads(sys.argv[1])
honcho = Honcho()
user = honcho.peer(user_name)
assistant = honcho.peer(assistant_name)
session = honcho.session(session_name)
session.add_peers([user, assistant])
session.add_messages([user.message(taste) for taste in tastes])
full_response = ""
for chunk in user.chat_stream(question, session=session.id):
    print(json.dumps(chunk), flush=True)
    full_response += chunk
session.add_messages([assistant.message(full_response)])
"""

# Each line tries something and prints what came of it.
TRIES = """
import json, sys
from honcho import Honcho
from honcho.http.exceptions import HonchoError

honcho = Honcho(max_retries=0)
def tried(do):
    try:
        return do()
    except HonchoError as error:
        return [type(error).__name__, error.status, str(error.message)]
for line in sys.stdin:
    print(json.dumps(tried(lambda: eval(line))), flush=True)
"""


@pytest.fixture
def honcho() -> Iterator[HonchoServer]:
    with HonchoServer() as server:
        yield server


def python(server: HonchoServer, script: str, *args: str, stdin: str = "", **env: str) -> list[Any]:
    """The JSON lines that a script prints which has the SDK."""
    (program,) = realservers.needed("Honcho's SDK", "venv-honcho/bin/python")
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [program, "-c", script, *args],
        input=stdin,
        capture_output=True,
        text=True,
        env={**kept, "HONCHO_URL": server.url, "NO_PROXY": "127.0.0.1", **env},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def tries(server: HonchoServer, *lines: str, **env: str) -> list[Any]:
    return python(server, TRIES, stdin="\n".join(lines), **env)


def test_the_restaurant_example(honcho: HonchoServer) -> None:
    honcho.answer = list(ANSWER)
    given = json.dumps([USER, ASSISTANT, SESSION, QUESTION, *TASTES])
    assert python(honcho, RESTAURANT, given) == list(ANSWER)
    workspace = honcho.workspaces["default"]
    assert set(workspace.peers) == {USER, ASSISTANT}
    session = workspace.sessions[SESSION]
    assert set(session.peers) == {USER, ASSISTANT}
    said = [(USER, taste) for taste in TASTES]
    assert session.said() == [*said, (ASSISTANT, "".join(ANSWER))]


def test_our_steps_leave_the_same_memory_as_the_sdk(honcho: HonchoServer, tmp_path: Path) -> None:
    honcho.answer = list(ANSWER)
    given = json.dumps([USER, ASSISTANT, SESSION, QUESTION, *TASTES])
    python(honcho, RESTAURANT, given, HONCHO_WORKSPACE_ID="theirs")
    routes = honcho.routes()
    assert by_hand(honcho, "ours") == "".join(ANSWER)
    theirs, ours = honcho.workspaces["theirs"], honcho.workspaces["ours"]
    assert set(ours.peers) == set(theirs.peers)
    assert ours.sessions[SESSION].said() == theirs.sessions[SESSION].said()
    assert ours.sessions[SESSION].peers == theirs.sessions[SESSION].peers
    sent = [route.replace("/ours", "/theirs") for route in honcho.routes()[len(routes) :]]
    add_peers = f"POST /v3/workspaces/theirs/sessions/{SESSION}/peers"
    assert sent == [route for route in routes if route != add_peers]  # ours come with the session


def test_reading_it_back(honcho: HonchoServer) -> None:
    found = tries(
        honcho,
        "honcho.session('s').add_messages(["
        "honcho.peer('a').message(f'm{n}', metadata={'n': n}) for n in range(60)])[7].content",
        "[m.content for m in honcho.session('s').messages()]",
        "[m.metadata['n'] for m in honcho.session('s').messages(size=2, reverse=True).items]",
        "honcho.session('s').messages(size=25).pages",
        "[p.id for p in honcho.session('s').peers()]",
        "honcho.session('s').set_peers(['b'])",
        "honcho.session('s').add_peers(['c', 'd'])",
        "honcho.session('s').remove_peers('d')",
        "[p.id for p in honcho.session('s').peers()]",
        "honcho.peer('a', metadata={'x': 1}).metadata",
        "honcho.session('s').is_active",
        "honcho.queue_status().pending_work_units",
    )
    names = [f"m{number}" for number in range(60)]
    peers = ["a"], None, None, None, ["b", "c"]
    assert found == ["m7", names, [59, 58], 3, *peers, {"x": 1}, True, 0]


def test_chats_of_every_kind(honcho: HonchoServer) -> None:
    found = tries(
        honcho,
        "honcho.peer('a').chat('who?')",
        "list(honcho.peer('a').chat_stream('who?', reasoning_level='max'))",
        "honcho.peer('a').chat('who?', response_format={'type': 'object'})",
        "honcho.session('s').add_messages([honcho.peer('b').message('hi')])[0].peer_id",
        "honcho.peer('a').chat('who?', include_evidence=True).evidence.messages[0].peer_id",
        "(s := honcho.peer('a').chat_stream('who?', include_evidence=True), list(s),"
        " s.evidence.tool_calls[0].tool_name)[1:]",
        "honcho.peer('a').chat('who?', target='b', session='s')",
    )
    deltas, whole = ["They like ", "tea."], "They like tea."
    assert found == [whole, deltas, whole, "b", "b", [deltas, "search_messages"], whole]
    honcho.answer = None
    assert tries(honcho, "honcho.peer('a').chat('who?')") == [None]


def test_refusals_are_what_the_sdk_knows_them_as(honcho: HonchoServer) -> None:
    def told(kind: str, status: int, *words: str) -> None:
        name, number, message = found.pop(0)
        assert (name, number) == (kind, status), message
        for word in words:
            assert word in message

    found = tries(
        honcho,
        "honcho.peer('a').chat('x' * 10001)",
        "list(honcho.peer('a').chat_stream('x' * 10001))",
        "honcho.peer('a b')",
        "honcho.session('s').add_messages([honcho.peer('a').message('x')] * 101)",
        "honcho.session('s').add_messages([honcho.peer('a').message('x' * 25001)])",
        "honcho.peer('a').chat('who?', target='nobody')",
        "honcho.peer('a').chat('who?', session='nowhere')",
        "list(honcho.peer('a').chat_stream('who?', scope='x', session='s')) if 0 else "
        "honcho._http.post('/v3/workspaces/default/peers/a/chat',"
        " body={'query': 'q', 'scope': 'x', 'session_id': 's'})",
        "honcho._http.get('/v3/nothing')",
    )
    told("UnprocessableEntityError", 422, "at most 10000 characters")
    told("UnprocessableEntityError", 422, "at most 10000 characters")
    told("UnprocessableEntityError", 422, "should match pattern")
    told("UnprocessableEntityError", 422, "at most 100 items")
    told("UnprocessableEntityError", 422, "at most 25000 characters", "messages")
    told("NotFoundError", 404, "Peer nobody not found in workspace default")
    told("NotFoundError", 404, "Session nowhere not found in workspace default")
    told("UnprocessableEntityError", 422, "mutually exclusive")
    told("NotFoundError", 404, "Not Found")


def test_keys() -> None:
    with HonchoServer(admin="*", mine="w") as server:
        assert tries(server, "honcho.peer('a').id", HONCHO_API_KEY="admin") == ["a"]
        env = {"HONCHO_API_KEY": "mine", "HONCHO_WORKSPACE_ID": "w"}
        assert tries(server, "honcho.peer('a').id", **env) == ["a"]
        for env in ({"HONCHO_API_KEY": "mine"}, {"HONCHO_API_KEY": "other"}, {}):
            ((kind, status, _),) = tries(server, "honcho.peer('a').id", **env)
            assert (kind, status) == ("AuthenticationError", 401)


@pytest.mark.parametrize("wrong", ["target='nobody'", "session='nowhere'"])
def test_a_stream_about_what_is_not_there_breaks_off(honcho: HonchoServer, wrong: str) -> None:
    """After 200: the SDK's HTTP library finds the body incomplete."""
    line = f"list(honcho.peer('a').chat_stream('who?', {wrong}))"
    script = "import httpx\n" + TRIES.replace(
        "except HonchoError", "except httpx.RemoteProtocolError"
    )
    script = script.replace("error.status, str(error.message)", "str(error)")
    ((kind, message),) = python(honcho, script, stdin=line)
    assert kind == "RemoteProtocolError"
    assert "incomplete" in message


def test_the_sdk_takes_a_cut_answer_for_a_whole_one(honcho: HonchoServer) -> None:
    """Which is why ours is not made after it."""
    honcho.fails = "cut"
    assert tries(honcho, "list(honcho.peer('a').chat_stream('who?'))") == [["They like "]]
