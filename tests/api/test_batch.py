"""Many prompts in Python: their order, their failures, and leaving early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import eventually, threads_left
from faultserver import Conn, FaultServer
from tool_answers import call, chunk, sse

from streamcli import stream_batch

RAIN = sse(chunk(content="It rains."), chunk("stop"), done=True)


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
    answers.close()


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
    answers.close()
    assert gone.acquire(timeout=60)
    assert gone.acquire(timeout=60)
    assert eventually(lambda: not threads_left())


def test_mistakes_in_the_call(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        stream_batch(["a"], jobs=0, **options)
    with pytest.raises(TypeError, match="jobs has to be an int, not str"):
        stream_batch(["a"], jobs="2", **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="have to be several, not a str"):
        stream_batch("abc", **options)
    with pytest.raises(TypeError, match="session"):
        stream_batch(["a"], session="s", **options)
    with pytest.raises(TypeError, match="no option"):
        stream_batch(["a"], modle="x", **options)


def test_an_exception_of_the_prompts_comes_after_the_answers_before_it(
    options: dict[str, Any],
) -> None:
    def prompts() -> Iterator[str]:
        yield "a"
        yield "b"
        raise LookupError("no more")

    answers = stream_batch(prompts(), jobs=4, **options)
    assert [next(answers).text, next(answers).text] == ["a", "b"]
    with pytest.raises(LookupError, match="no more"):
        next(answers)
    assert not list(answers)
    assert eventually(lambda: not threads_left())


def test_prompts_are_taken_in_the_thread_of_the_caller(options: dict[str, Any]) -> None:
    """As a cursor of a database needs it."""
    threads = set()

    def prompts() -> Iterator[str]:
        for number in range(5):
            threads.add(threading.get_ident())
            yield str(number)

    assert len(list(stream_batch(prompts(), jobs=3, **options))) == 5
    assert threads == {threading.get_ident()}


def test_connections_are_shared(server: FaultServer, options: dict[str, Any]) -> None:
    peers = set()

    def play(conn: Conn) -> None:
        peers.add(conn.peer)
        echo(conn)

    options["base_url"] = server.script("shared", play)
    prompts = [str(number) for number in range(40)]
    assert [each.text for each in stream_batch(prompts, jobs=2, **options)] == prompts
    assert len(peers) <= 2


def test_a_limit_holds_all_prompts_and_costs_none_a_retry(server: FaultServer) -> None:
    def limited(conn: Conn) -> None:
        if conn.attempt <= 3:
            conn.reply(429, b"{}", ctype="application/json", retry_after="0")
        else:
            echo(conn)

    url = server.script("limited", limited)
    prompts = [str(number) for number in range(12)]
    answers = list(stream_batch(prompts, jobs=4, model="vllm:m", base_url=url, max_retries=0))
    assert [each.text for each in answers] == prompts
    assert len(server.seen("limited")) == 15


def test_a_wrong_key_is_asked_with_once_and_every_prompt_has_its_answer(
    server: FaultServer,
) -> None:
    def refuses(conn: Conn) -> None:
        conn.reply(401, b'{"error": {"message": "wrong key"}}', ctype="application/json")

    url = server.script("refuses", refuses)
    answers = list(stream_batch(map(str, range(50)), jobs=2, model="vllm:m", base_url=url))
    assert [each.outcome.status for each in answers] == ["auth"] * 50
    assert [each.prompt for each in answers] == [str(number) for number in range(50)]
    assert len(server.seen("refuses")) <= 2


def test_what_cannot_be_asked_at_all_is_each_answers_outcome(options: dict[str, Any]) -> None:
    answers = list(stream_batch(["a", "b"], model="nowhere:m"))
    assert [each.outcome.status for each in answers] == ["usage"] * 2
    assert "nowhere" in answers[1].outcome.message
    answers = list(stream_batch(["a", "", "\ud800", "b"], jobs=2, **options))
    assert [each.outcome.status for each in answers] == ["complete", "usage", "usage", "complete"]
    assert answers[1].text == ""
    with pytest.raises(TypeError, match="has to be a str"):
        list(stream_batch(["a", 7], **options))  # type: ignore[list-item]
    assert eventually(lambda: not threads_left())


def test_a_schema_is_checked_for_each_answer(server: FaultServer) -> None:
    url = server.script("echo", echo)
    answers = stream_batch(
        ['{"age": 7}', '{"age": "x"}'], model="vllm:m", base_url=url, schema="age int"
    )
    good, bad = answers
    assert good.value == {"age": 7}
    assert (bad.outcome.status, bad.text) == ("mismatch", '{"age": "x"}')


def test_functions_are_tools_of_every_prompt(server: FaultServer) -> None:
    asked = [call("weather", {"city": "Oslo"})]

    def play(conn: Conn) -> None:
        if conn.request.json["messages"][-1]["role"] == "tool":
            conn.reply(200, RAIN, ctype="text/event-stream")
        else:
            body = sse(chunk(tool_calls=asked), chunk("tool_calls"), done=True)
            conn.reply(200, body, ctype="text/event-stream")

    cities: list[str] = []

    def weather(city: str) -> str:
        cities.append(city)
        return "rain"

    url = server.script("tools", play)
    answers = list(
        stream_batch(["a", "b", "c"], jobs=2, model="vllm:m", base_url=url, tools=[weather])
    )
    assert [each.text for each in answers] == ["It rains."] * 3
    assert [each.tool_calls[0].name for each in answers] == ["weather"] * 3
    assert cities == ["Oslo"] * 3


def test_a_failed_prompt_has_its_fallback(server: FaultServer) -> None:
    def picks(conn: Conn) -> None:
        if conn.request.json["model"] == "first":
            conn.reply(500, b"{}", ctype="application/json")
        else:
            echo(conn)

    url = server.script("picks", picks)
    answers = list(
        stream_batch(["a", "b"], model="vllm:first", fallback="second", base_url=url, max_retries=0)
    )
    assert [each.text for each in answers] == ["a", "b"]
    assert [each.outcome.model for each in answers] == ["tiny-1"] * 2


def test_nothing_is_left_open(options: dict[str, Any]) -> None:
    def run() -> None:
        list(stream_batch(map(str, range(12)), jobs=3, **options))
        for _ in stream_batch(map(str, range(12)), jobs=3, **options):
            break
        stream_batch(["never read"], **options)

    run()
    before = len(os.listdir("/dev/fd"))
    run()
    assert eventually(lambda: len(os.listdir("/dev/fd")) <= before)
    assert eventually(lambda: not threads_left())


def test_several_batches_at_once(options: dict[str, Any]) -> None:
    prompts = [str(number) for number in range(10)]
    found: list[list[str]] = []

    def work() -> None:
        found.append([each.text for each in stream_batch(prompts, jobs=2, **options)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [prompts] * 4
    first, second = (stream_batch(prompts, jobs=2, **options) for _ in range(2))
    pairs = zip(first, second, strict=True)
    assert [(a.text, b.text) for a, b in pairs] == [(each, each) for each in prompts]


PROGRAM = """
import signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from streamcli import stream_batch
answers = stream_batch(map(str, range(9)), jobs=3, model="vllm:m", base_url=sys.argv[1])
try:
    for answer in answers:
        print(answer.text, flush=True)
except KeyboardInterrupt:
    answers.close()
    print([each.name for each in threading.enumerate()], list(answers), flush=True)
"""


def test_ctrl_c_ends_all_of_them(server: FaultServer, child_env: dict[str, str]) -> None:
    gone = threading.Semaphore(0)

    def play(conn: Conn) -> None:
        if conn.request.json["messages"][-1]["content"] == "0":
            eventually(lambda: len(server.seen("play")) >= 3)
            echo(conn)
        elif conn.wait_peer_closed(60):
            gone.release()

    command = [sys.executable, "-c", PROGRAM, server.script("play", play)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "['MainThread'] []\n")
    assert gone.acquire(timeout=60)
    assert gone.acquire(timeout=60)
