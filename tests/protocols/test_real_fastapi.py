"""Real FastAPI and uvicorn: the endpoint of AgentiCraft's guide, and others of one's own."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Configure, Popen, Stream
from realservers import RealServer, free_port, needed
from records import parse_records

pytestmark = pytest.mark.real

HERE = Path(__file__).resolve().parents[1]
STORY = "Once upon a time:\n\n  - a fox,\n  - é😀\nThe end.\n"
AGENT = ("-p", "agenticraft")


@contextmanager
def serving(folder: Path) -> Iterator[RealServer]:
    (python,) = needed("FastAPI", "venv-fastapi/bin/python")
    port = free_port()
    app = ("fastapi_app:app", "--app-dir", str(HERE), "--host", "127.0.0.1", "--port", str(port))
    server = RealServer([python, "-B", "-m", "uvicorn", *app], port, folder, health="/openapi.json")
    try:
        server.ready()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def fastapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with serving(tmp_path_factory.mktemp("fastapi")) as server:
        yield server


def asking(server: RealServer) -> dict[str, str]:
    return {"AGENTICRAFT_BASE_URL": server.url}


def begun(process: subprocess.Popen[bytes]) -> bytes:
    """Waits for the answer to begin: what the first read brings."""
    assert process.stdout
    assert select.select([process.stdout], [], [], 60)[0], "no answer"
    return os.read(process.stdout.fileno(), 65536)


def test_the_guides_endpoint(fastapi: RealServer, stream: Stream) -> None:
    run = stream(*AGENT, "Tell me a story & more?", env=asking(fastapi))
    assert (run.returncode, run.stderr, run.text) == (0, "", STORY)


def test_its_records(fastapi: RealServer, stream: Stream) -> None:
    records = stream(*AGENT, "--jsonl", "Tell me a story", env=asking(fastapi)).records
    deltas = [record["text"] for record in records if record["type"] == "delta"]
    assert deltas[:4] == ["Once", " upon", " a time", ":"]
    assert "".join(deltas) == STORY
    end = records[-1]
    assert (end["status"], end["evidence"], end["protocol"]) == ("complete", ["eof"], "sse-text")


def test_a_server_that_is_killed(tmp_path: Path, popen: Popen) -> None:
    with serving(tmp_path) as server:
        process = popen(*AGENT, "count", env=asking(server))
        first = begun(process)
        server.kill()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 18, err
    text = (first + out).decode()
    assert text.startswith(" 1")
    assert f"({len(text)} characters kept)" in err.decode()


def test_an_agent_that_breaks(fastapi: RealServer, stream: Stream) -> None:
    run = stream(*AGENT, "--json", "count and break", env=asking(fastapi))
    assert run.returncode == 18
    (end,) = run.records
    assert (end["text"], end["status"]) == (" 1 2 3", "truncated")
    assert end["evidence"] == ["transport_error"]


def test_an_interrupt_keeps_what_came(fastapi: RealServer, popen: Popen, tmp_path: Path) -> None:
    process = popen(*AGENT, "--events", "events.jsonl", "count", env=asking(fastapi))
    first = begun(process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    text = (first + out).decode()
    assert text.startswith(" 1")
    *deltas, end = parse_records((tmp_path / "events.jsonl").read_bytes())[1:]
    assert (end["type"], end["status"]) == ("end", "interrupted")
    assert "".join(delta["text"] for delta in deltas) == text


def test_raw_bytes_by_curl(fastapi: RealServer, stream: Stream) -> None:
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    request = stream("--dry-run=curl", *AGENT, "Tell me a story", env=asking(fastapi)).text
    raw = subprocess.run(["sh", "-c", request], capture_output=True, check=True).stdout
    for how in ("--decode=sse-text", "--decode"):
        run = stream(how, stdin=raw)
        assert (run.returncode, run.text) == (0, STORY)


def test_what_fastapi_refuses(fastapi: RealServer, stream: Stream, configure: Configure) -> None:
    configure(
        f"""
        [provider.other]
        protocol = "sse-text"
        base_url = "{fastapi.url}"
        path = "/stream?question={{prompt}}"
        [provider.login]
        protocol = "sse-text"
        base_url = "{fastapi.url}/login"
        """
    )
    run = stream("-p", "other", "hi")
    assert run.returncode == 22
    assert "HTTP 422: prompt: Field required: check the provider's path" in run.stderr
    run = stream("-p", "login", "hi")
    assert run.returncode == 8
    assert "web page (HTML), not a stream: Sign in" in run.stderr


def test_endpoints_of_ones_own(fastapi: RealServer, stream: Stream, configure: Configure) -> None:
    configure(
        f"""
        [provider.plain]
        protocol = "text"
        base_url = "{fastapi.url}"
        path = "/plain"
        body = {{ messages = "{{messages}}", temperature = "{{temperature}}" }}
        [provider.events]
        protocol = "json-events"
        base_url = "{fastapi.url}"
        method = "GET"
        path = "/events?q={{prompt}}"
        text_path = "delta.text"
        done_path = "done"
        """
    )
    run = stream("-p", "plain", "--temperature", "0.5", "-s", "Be brief.", "hi")
    assert (run.returncode, run.text) == (0, "0.5 " + STORY)
    (end,) = stream("-p", "events", "--json", "a b&c").records
    assert (end["text"], end["status"], end["evidence"]) == (STORY, "complete", ["marker"])
    assert stream("-p", "plain", "count and break").returncode == 18
    assert stream("-p", "events", "count and break").returncode == 18
