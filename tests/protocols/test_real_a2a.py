"""Against the official A2A SDK's own servers, 0.3 and 1.0, and Tyler's (see realservers.py).

Their agent does what the prompt says (peers/a2a_agent.py), so each test shows the whole story.
"""

from __future__ import annotations

import json
import signal
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import realservers
from conftest import Popen, Result, Stream
from realservers import RealServer

pytestmark = pytest.mark.real

WILD = ("😀", "你好\n", " ", "👩‍👩‍👧", "\u2028", "\r\n", "[DONE]", "data: ", "\n\n", "\\u0041", '"')
NEW = ("-H", "A2A-Version: 1.0")
# A line of the SDK, and what it is asked in: 1.x answers in 0.3 too.
WAYS = {"0.3": ("venv-a2a03", ()), "1.0": ("venv-a2a1", NEW), "1.x in 0.3": ("venv-a2a1", ())}

Ask = Callable[..., Result]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agents")


@pytest.fixture(scope="session")
def old(folder: Path) -> Iterator[RealServer]:
    with realservers.agent(folder, "venv-a2a03") as server:
        yield server


@pytest.fixture(scope="session")
def newer(folder: Path) -> Iterator[RealServer]:
    with realservers.agent(folder, "venv-a2a1") as server:
        yield server


@pytest.fixture(params=WAYS)
def ask(request: pytest.FixtureRequest, stream: Stream) -> Ask:
    """Gives the agent these steps, with these options."""
    venv, version = WAYS[request.param]
    server: RealServer = request.getfixturevalue("old" if venv == "venv-a2a03" else "newer")

    def run(*steps: list[Any], args: tuple[str | Path, ...] = ()) -> Result:
        env = {"TYLER_BASE_URL": server.url}
        return stream("-p", "tyler", *version, *args, "--", json.dumps(steps), env=env)

    return run


def chunks(*texts: str) -> list[list[Any]]:
    """An answer as Tyler's server gives it."""
    return [["working", ""], *(["chunk", text] for text in texts), ["close"]]


DONE = ["end", "completed", ""]


@pytest.mark.parametrize("args", [(), ("--no-stream",)])
def test_an_answer_to_its_last_byte(ask: Ask, args: tuple[str, ...]) -> None:
    run = ask(*chunks(*WILD), DONE, args=args)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "".join(WILD).encode()


def test_its_records(ask: Ask) -> None:
    steps = (["working", "Looking"], ["working", "Reading"], *chunks(*WILD), DONE)
    start, *deltas, end = ask(*steps, args=("--jsonl",)).records
    assert (start["provider"], start["protocol"]) == ("tyler", "a2a")
    said = [(each["channel"], each["text"]) for each in deltas]
    assert said[:2] == [("reasoning", "Looking"), ("reasoning", "Reading")]
    assert said[2:] == [("text", text) for text in WILD]
    assert (end["status"], end["exit_code"], end["finish_reason"]) == ("complete", 0, "stop")
    assert end["evidence"] == ["finish_reason", "marker"]
    assert end["provider_finish_reason"] in ("completed", "TASK_STATE_COMPLETED")
    assert len(end["response_id"]) == 36  # the task's
    assert not any(end["usage"].values())


def test_a_message_without_a_task(ask: Ask) -> None:
    for args in ((), ("--no-stream",)):
        run = ask(["message", "Just this"], args=(*args, "--json"))
        (end,) = run.records
        assert (end["text"], end["status"], end["response_id"]) == ("Just this", "complete", "m1")


def test_artifacts_of_all_kinds(ask: Ask) -> None:
    run = ask(
        ["artifact", "one", [{"text": "Draft"}], False],
        ["artifact", "one", [{"text": "Draft, "}, {"text": "longer. "}], False],
        ["artifact", "two", [{"data": {"ok": [True, None]}}, {"url": "https://h/x.txt"}], None],
        ["artifact", "two", [{"text": " It fits."}], True],
        ["end", "completed", "All done."],
        args=("--jsonl",),
    )
    deltas = [record for record in run.records if record["type"] == "delta"]
    texts = [record["text"] for record in deltas if record["channel"] == "text"]
    assert "".join(texts) == 'Draft, longer. {"ok":[true,null]} It fits.'
    assert deltas[-1]["text"] == "All done."
    assert deltas[-1]["channel"] == "reasoning"
    (cited,) = [record for record in run.records if record["type"] == "citation"]
    assert (cited["url"], cited["title"]) == ("https://h/x.txt", "linked.txt")


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("failed", 15, "the agent's task failed: no luck"),
        ("canceled", 15, "the agent's task was canceled: no luck"),
        ("rejected", 22, "the agent rejected the task: no luck"),
        ("auth-required", 67, "the agent wants credentials: no luck"),
    ],
)
def test_a_task_that_fails(ask: Ask, state: str, code: int, words: str) -> None:
    for args in ((), ("--no-stream",)):
        run = ask(*chunks("so ", "far"), ["end", state, "no luck"], args=args)
        assert (run.returncode, run.text) == (code, "so far")
        (told,) = run.complaints
        assert words in told
        assert "6 characters kept" in told


def test_a_question_and_its_answer(ask: Ask) -> None:
    """The task waits: naming it goes on with it."""
    (end,) = ask(["end", "input-required", "Which one?"], args=("--json",)).records
    assert (end["text"], end["status"], end["finish_reason"]) == ("Which one?", "complete", "stop")
    run = ask(["chunk", "That one."], DONE, args=("-o", f"taskId={end['response_id']}", "--json"))
    (again,) = run.records
    assert (again["text"], again["response_id"]) == ("That one.", end["response_id"])


def test_an_agent_that_breaks(ask: Ask, request: pytest.FixtureRequest) -> None:
    """0.3's server just hangs up; 1.x says why."""
    run = ask(*chunks("so far"), ["raise", "out of luck"])
    assert run.text == "so far"
    if request.node.callspec.params["ask"] == "0.3":
        assert run.returncode == 18
    else:
        assert (run.returncode, "out of luck" in run.stderr) == (15, True)


def test_files_arrive_whole(ask: Ask, tmp_path: Path) -> None:
    data = b"\x89PNG\r\n\x1a\n\x00\xff"
    picture = tmp_path / "dot.png"
    picture.write_bytes(data)
    args = ("-a", picture, "-a", "https://h/page.html")
    file, link = json.loads(ask(["echo"], DONE, args=args).stdout)
    file, link = file.get("file", file), link.get("file", link)  # 0.3 wraps them
    assert b64encode(data).decode() in file.values()
    assert {"dot.png", "image/png"} <= set(file.values())
    assert {"https://h/page.html", "page.html", "text/html"} <= set(link.values())


def test_what_is_refused_is_told(ask: Ask) -> None:
    run = ask(DONE, args=("-o", "taskId=nobody"))
    assert (run.returncode, "nobody" in run.stderr) == (22, True)
    run = ask(DONE, args=("-o", "configuration.historyLength=x"))
    assert run.returncode == 22
    assert "nteger" in run.stderr or "historyLength" in run.stderr
    run = ask(DONE, args=("--temperature", "1"))
    assert (run.returncode, "--temperature" in run.stderr) == (2, True)


def test_the_other_version(old: RealServer, stream: Stream) -> None:
    run = stream("-p", "tyler", *NEW, "hi", env={"TYLER_BASE_URL": old.url})
    assert (run.returncode, run.stdout) == (22, b"")
    assert "-H A2A-Version" in run.stderr
    run = stream("-p", "tyler", "hi", env={"TYLER_BASE_URL": f"{old.url}/v1"})
    assert (run.returncode, "agent-card.json" in run.stderr) == (22, True)


def test_check_reads_the_card(ask: Ask) -> None:
    run = ask(args=("--check",))
    assert (run.returncode, run.stderr) == (0, "")
    assert "2 skills" in run.text


def test_an_agents_bytes_are_recognised(old: RealServer, newer: RealServer, stream: Stream) -> None:
    for server, version, method, role in (
        (old, "0.3", "message/stream", "user"),
        (newer, "1.0", "SendStreamingMessage", "ROLE_USER"),
    ):
        part = {"kind": "text", "text": json.dumps([*chunks(*WILD), DONE])}
        message = {"kind": "message", "messageId": "u1", "role": role, "parts": [part]}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": message}}
        request = urllib.request.Request(server.url, json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        request.add_header("A2A-Version", version)
        with urllib.request.urlopen(request, timeout=60) as response:
            data = response.read()
        run = stream("--decode", stdin=data)
        assert (run.returncode, run.stdout) == (0, "".join(WILD).encode())


@pytest.mark.parametrize("way", ["0.3", "1.0"])
def test_a_killed_server(folder: Path, popen: Popen, way: str) -> None:
    """The first words are there while the agent is still at work; then it is gone."""
    venv, version = WAYS[way]
    with realservers.agent(folder, venv) as server:
        steps = json.dumps([*chunks("so far"), ["sleep", 600]])
        env = {"TYLER_BASE_URL": server.url}
        child = popen("-p", "tyler", *version, "--", steps, env=env)
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.read(6) == b"so far"
        server.kill()
        rest, told = child.communicate(timeout=60)
        assert (child.returncode, rest) == (18, b"")
        assert told.count(b"\n") == 1


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupted_task_is_cancelled(
    request: pytest.FixtureRequest, popen: Popen, way: str
) -> None:
    """The agent would work on for ten minutes; its server says that the task is canceled."""
    venv, version = WAYS[way]
    server: RealServer = request.getfixturevalue("old" if venv == "venv-a2a03" else "newer")
    steps = json.dumps([*chunks("so far"), ["sleep", 600]])
    env = {"TYLER_BASE_URL": server.url}
    child = popen("-p", "tyler", "-n", "--jsonl", *version, "--", steps, env=env)
    assert child.stdout is not None
    while b"so far" not in child.stdout.readline():
        pass
    child.send_signal(signal.SIGINT)
    rest = child.communicate(timeout=60)[0]
    id = json.loads(rest.splitlines()[-1])["response_id"]
    method = "GetTask" if version else "tasks/get"
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"id": id}}
    headers = {"Content-Type": "application/json"} | ({"A2A-Version": "1.0"} if version else {})
    asked = urllib.request.Request(server.url, json.dumps(call).encode(), headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        state = json.load(answer)["result"]["status"]["state"]
    assert "cancel" in state.lower()


# Tyler's own server


@pytest.fixture(scope="session")
def tyler(folder: Path) -> Iterator[RealServer]:
    realservers.needed("the A2A SDK", "venv-a2a03/bin/python")
    if not [*Path(realservers.HOME).glob("venv-a2a03/lib/python*/site-packages/tyler")]:
        pytest.skip("Tyler is not set up: no slide-tyler in STREAM_TEST_SERVERS")
    with realservers.agent(folder, "venv-a2a03", "tyler_server.py") as server:
        yield server


@pytest.mark.parametrize("args", [(), ("--no-stream",)])
def test_tyler(tyler: RealServer, stream: Stream, args: tuple[str, ...]) -> None:
    def run(prompt: str) -> Result:
        return stream("-p", "tyler", *args, "--", prompt, env={"TYLER_BASE_URL": tyler.url})

    wild = "".join(WILD)
    answered = run(wild)
    assert (answered.returncode, answered.stdout, answered.stderr) == (0, wild.encode(), "")
    assert run("nothing").text == "Task completed."
    failed = run("fail")
    assert (failed.returncode, failed.text) == (15, "fail")
    assert "Task failed: the model is gone (4 characters kept)" in failed.stderr
    failed = run("raise")
    assert (failed.returncode, failed.text) == (15, "raise")
    assert "out of words" in failed.stderr


def test_a_conversation_goes_on_with_the_agent(ask: Ask) -> None:
    """A task that is over is followed by another one; one that waits for us goes on."""

    def turn(end: list[str], *options: str) -> tuple[str, bool]:
        args = ("--session", "./trip.jsonl", "--json", *options)
        run = ask(["working", ""], ["ids"], ["close"], end, args=args)
        assert run.returncode == 0, run.stderr
        context, goes_on = json.loads(run.records[0]["text"].removesuffix("Which?"))
        return context, goes_on

    waits = ["end", "input-required", "Which?"]
    first, *others = [turn(DONE), turn(waits), turn(DONE, "--no-stream"), turn(DONE)]
    assert [goes_on for _, goes_on in (first, *others)] == [False, False, True, False]
    assert {context for context, _ in others} == {first[0]}
