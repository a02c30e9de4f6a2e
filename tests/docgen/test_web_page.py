"""stream-guides(7), In a web page: its page and its servers, as browsers and others read them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import eventually, needs
from faultserver import Conn, FaultServer
from pages import block
from realservers import RealServer, free_port, needed
from records import check

SECTION = "In a web page"
PEERS = Path(__file__).resolve().parents[1] / "peers"
ROOT = PEERS.parents[1]
STORY = ["Once", " upon\n", "\r\n a time: <b>", "é😀\u2028", '"data: x"\n\n', "The end."]
# What the test's page adds to that of the manual: it sends what is shown, once the answer is over.
REPORT = """
<script>
source.addEventListener("end", () => {
  const shown = [document.title, document.getElementById("text").textContent, source.readyState];
  fetch("REPORT", {method: "POST", mode: "no-cors", body: JSON.stringify(shown)});
});
</script>
"""

Serve = Callable[[str], RealServer]

LEFT = threading.Event()  # who asked to "leave" is gone


def tells(conn: Conn) -> None:
    prompt = conn.request.json["messages"][-1]["content"]
    if prompt == "leave":
        conn.open_with("one")
        while not conn.wait_peer_closed(0.05):
            conn.delta("more")
        LEFT.set()
        return
    conn.open_with(*STORY)
    conn.finish("length" if prompt == "cut" else "stop")
    conn.done()
    conn.end()


@pytest.fixture
def serve(server: FaultServer, shell_env: dict[str, str], tmp_path: Path) -> Iterator[Serve]:
    """Starts one of the page's servers, whose provider is ours, in a folder with the page."""
    env = {**shell_env, "STREAM_MODEL": "vllm:m", "VLLM_BASE_URL": server.script("web", tells)}
    LEFT.clear()
    (tmp_path / "page.html").write_text(block("stream-guides.7", SECTION, "EventSource"))
    running: list[RealServer] = []

    def start(kind: str) -> RealServer:
        port = free_port()
        if kind == "http.server":
            text = block("stream-guides.7", SECTION, "ThreadingHTTPServer")
            assert "8000" in text
            (tmp_path / "server.py").write_text(text.replace("8000", str(port)))
            command: list[str | Path] = [sys.executable, "server.py"]
        else:
            (python,) = needed("FastAPI", "venv-fastapi/bin/python")
            probe = [python, "-c", "import websockets, httpx"]
            if subprocess.run(probe, capture_output=True, check=False).returncode:
                pytest.skip("FastAPI is not set up: no websockets in venv-fastapi")
            (tmp_path / "app.py").write_text(block("stream-guides.7", SECTION, "FastAPI()"))
            command = [python, "-B", "-m", "uvicorn", "app:app", "--port", str(port)]
        running.append(RealServer(command, port, tmp_path, health="/", env=env))
        running[-1].ready()
        return running[-1]

    yield start
    for each in running:
        each.stop()


KINDS = ["http.server", pytest.param("fastapi", marks=pytest.mark.real)]


@pytest.mark.real
@pytest.mark.parametrize("kind", KINDS)
def test_a_browser_shows_the_answer_and_asks_once(
    kind: str, serve: Serve, server: FaultServer, tmp_path: Path
) -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("needs chromium")
    shown: list[Any] = []
    there = threading.Event()

    def report(conn: Conn) -> None:
        shown.append(conn.request.json)
        conn.reply(200, b"")
        there.set()

    page = tmp_path / "page.html"
    page.write_text(page.read_text() + REPORT.replace("REPORT", server.script("report", report)))
    url = f"{serve(kind).url}/?q={quote('Tell me a story')}"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--no-first-run", f"--user-data-dir={tmp_path / 'browser'}", url]
    command += ["--remote-debugging-port=0"]  # without it the browser leaves at once
    with (tmp_path / "browser.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        assert there.wait(120), (tmp_path / "browser.log").read_text(errors="replace")
    finally:
        os.killpg(process.pid, 9)
        process.wait(60)
    assert shown == [["complete", "".join(STORY), 2]]  # 2: it is closed
    assert len(server.seen("web")) == 1
    assert server.seen("web")[0].json["messages"][-1]["content"] == "Tell me a story"


@pytest.mark.parametrize("kind", KINDS)
def test_another_reader_gets_the_records_and_ends_the_request_by_leaving(
    kind: str, serve: Serve
) -> None:
    running = serve(kind)
    with socket.create_connection(("127.0.0.1", running.port), 60) as client:
        client.sendall(b"GET /answer?q=leave HTTP/1.1\r\nHost: a\r\n\r\n")
        got = b""
        while b"event: delta" not in got:
            got += client.recv(65536)
    assert LEFT.wait(60)
    needs("node")
    (modules,) = needed("eventsource-parser", "node-peers/node_modules")
    command = ["node", PEERS / "event_source.mjs", f"{running.url}/answer?q=cut"]
    run = subprocess.run(
        command, env={**os.environ, "NODE_PATH": str(modules)}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    kind_of_content, *events = map(json.loads, run.stdout[:-1].split("\n"))
    assert kind_of_content.startswith("text/event-stream")
    records = [json.loads(data) for _, _, data in events]
    check(records)
    assert [event for event, _, _ in events] == [record["type"] for record in records]
    deltas = [json.loads(data) for event, _, data in events if event == "delta"]
    ids = [id for event, id, _ in events if event == "delta"]
    assert ids == [str(number) for number in range(len(deltas))]
    assert "".join(record["text"] for record in deltas) == "".join(STORY)
    assert (records[-1]["status"], records[-1]["exit_code"]) == ("length", 10)


@pytest.mark.real
def test_a_chat_over_a_websocket(serve: Serve, server: FaultServer) -> None:
    running = serve("fastapi")
    (python,) = needed("FastAPI", "venv-fastapi/bin/python")
    url = f"ws://127.0.0.1:{running.port}/ws/chat"
    run = subprocess.run(
        [python, PEERS / "web_socket.py", url, "hi", "cut", "leave"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    messages = list(map(json.loads, run.stdout[:-1].split("\n")))
    ends = [at for at, message in enumerate(messages) if message["type"] == "complete"]
    assert [messages[at]["status"] for at in ends] == ["complete", "length"]
    assert "".join(each["data"] for each in messages[: ends[0]]) == "".join(STORY)
    assert messages[-1] == {"type": "content", "data": "one"}
    roles = [[each["role"] for each in asked.json["messages"]] for asked in server.seen("web")]
    turn = ["user", "assistant"]
    assert roles == [["user"], [*turn, "user"], [*turn, *turn, "user"]]
    assert LEFT.wait(60)
    assert "Traceback" not in running.log.read_text()


def test_each_line_of_a_websocketd_is_a_prompt(
    server: FaultServer, shell_env: dict[str, str], tmp_path: Path
) -> None:
    """What websocketd does: a line for each message, and a message for each line."""
    command = block("stream-guides.7", SECTION, "websocketd").strip()
    own = command.removeprefix("websocketd --port 8000 ")
    assert own.startswith("stream ")
    env = {**shell_env, "STREAM_MODEL": "vllm:m", "VLLM_BASE_URL": server.script("web", tells)}
    process = subprocess.Popen(
        own.split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=tmp_path
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        for number in range(2):
            process.stdin.write(b"hi\n")
            process.stdin.flush()
            text, record = "", {"type": ""}
            while record["type"] != "end":
                record = json.loads(process.stdout.readline())
                text += record.get("text", "")
            assert (record["index"], text) == (number, "".join(STORY))
        process.stdin.close()
        assert process.stdout.read().count(b'"summary"') == 1
    assert process.returncode == 0
    assert eventually(lambda: len(server.seen("web")) == 2)
