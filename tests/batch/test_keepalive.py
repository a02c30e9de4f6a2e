"""Connections in a batch: a worker keeps its own from one prompt to the next."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest
from batchserver import Act, BatchServer, answer_to
from conftest import Stream

PROMPTS = [f"p{number}" for number in range(40)]
LINES = "\n".join(PROMPTS).encode()
ANSWERS = "".join(answer_to(prompt) + "\n" for prompt in PROMPTS)


def batch(server: BatchServer, jobs: int) -> list[str]:
    return ["-m", "vllm:m", "--base-url", server.base, "-L", "-j", str(jobs)]


def test_a_worker_keeps_its_connection(stream: Stream) -> None:
    with BatchServer() as server:
        run = stream(*batch(server, 4), stdin=LINES)
        assert (run.returncode, run.text) == (0, ANSWERS)
        assert server.connections <= 4


def test_a_refusal_keeps_the_connection_too(stream: Stream) -> None:
    with BatchServer(lambda prompt, before: Act(status=400)) as server:
        run = stream(*batch(server, 1), "--json", stdin=LINES)
        assert run.returncode == 20
        assert [record["status"] for record in run.records] == ["rejected"] * len(PROMPTS)
        assert server.connections == 1


@pytest.mark.parametrize("end", ["hold", "close"])
def test_a_server_that_keeps_none(stream: Stream, end: str) -> None:
    """It never ends the body, or hangs up after each answer: nothing is lost or asked again."""
    with BatchServer(lambda prompt, before: Act(end=end)) as server:
        run = stream(*batch(server, 2), "--json", stdin=LINES)
        assert run.returncode == 0
        assert [record["attempts"] for record in run.records] == [1] * len(PROMPTS)
        assert sorted(asked.prompt for asked in server.asked) == sorted(PROMPTS)
        assert server.connections == len(PROMPTS)


def test_an_answer_that_is_not_whole_frees_the_server_at_once(stream: Stream) -> None:
    """After an error inside the stream the connection is closed, not kept for later."""
    closed = threading.Event()

    def one(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            error = b'data: {"error":{"message":"out of order","code":400}}\n\n'
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(error), error)
            )
            with suppress(ConnectionError):  # who hangs up with bytes unread resets
                while connection.recv(65536):
                    pass
            closed.set()
        listener.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=one, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        options = ["-m", "vllm:m", "--base-url", url, "-L", "-j", "1", "--max-retries", "0"]
        run = stream(*options, "--json", stdin=b"one\ntwo\n")
        assert [record["status"] for record in run.records] == ["provider", "network"]
        assert closed.is_set()


def test_a_server_that_hears_one_connection_at_a_time(stream: Stream) -> None:
    """A worker that has nothing left to do hangs up, so that others are heard."""
    with BatchServer(threads=False) as server:
        run = stream(*batch(server, 4), "--first-timeout", "60", stdin=LINES)
        assert (run.returncode, run.text) == (0, ANSWERS)
        assert len(server.asked) == len(PROMPTS)
