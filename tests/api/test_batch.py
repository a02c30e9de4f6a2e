"""Many prompts in Python: their order, their failures, and leaving early."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import eventually
from faultserver import Conn, FaultServer

from streamcli import stream_batch


def echo(conn: Conn) -> None:
    prompt = conn.request.json["messages"][-1]["content"]
    if prompt == "bad":
        conn.reply(400, b'{"error": {"message": "no"}}', ctype="application/json")
        return
    conn.open_with(prompt)
    conn.finish()
    conn.done()
    conn.end()


@pytest.fixture
def options(server: FaultServer) -> dict[str, Any]:
    return {"model": "vllm:m", "base_url": server.script("echo", echo), "max_retries": 0}


def test_answers_are_whole_and_in_order(options: dict[str, Any]) -> None:
    prompts = [str(number) for number in range(20)]
    answers = list(stream_batch(prompts, jobs=4, **options))
    assert [each.prompt for each in answers] == prompts
    assert [each.text for each in answers] == prompts


def test_a_failed_prompt_is_an_answer_too(options: dict[str, Any]) -> None:
    answers = list(stream_batch(["a", "bad", "b"], jobs=2, **options))
    assert [each.outcome.status for each in answers] == ["complete", "rejected", "complete"]


def test_prompts_are_read_as_they_are_needed(options: dict[str, Any]) -> None:
    taken: list[int] = []

    def prompts() -> Iterator[str]:
        for number in range(1000):
            taken.append(number)
            yield str(number)

    answers = stream_batch(prompts(), jobs=2, **options)
    assert not taken
    assert next(answers).text == "0"
    assert len(taken) <= 5
    answers.close()  # type: ignore[attr-defined]


def test_leaving_early_cancels_what_is_in_flight(server: FaultServer) -> None:
    gone = threading.Semaphore(0)

    def endless(conn: Conn) -> None:
        if conn.request.json["messages"][-1]["content"] == "0":
            eventually(lambda: len(server.seen("endless")) == 3)  # the others are in flight
            conn.open_with("one")
            conn.finish()
            conn.done()
            conn.end()
        elif conn.wait_peer_closed(60):
            gone.release()

    url = server.script("endless", endless)
    answers = stream_batch(map(str, range(3)), jobs=3, model="vllm:m", base_url=url)
    assert next(answers).text == "one"
    answers.close()  # type: ignore[attr-defined]
    assert gone.acquire(timeout=60)
    assert gone.acquire(timeout=60)
    assert not [each for each in threading.enumerate() if each.name.startswith("stream")]


def test_mistakes_in_the_call(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        stream_batch(["a"], jobs=0, **options)
    with pytest.raises(TypeError, match="session"):
        stream_batch(["a"], session="s", **options)
    with pytest.raises(TypeError, match="no option"):
        stream_batch(["a"], modle="x", **options)
