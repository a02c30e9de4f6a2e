"""One answer in Python, against the scripted server: text, events, verdicts, what stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import Configure, eventually, threads_left
from faultserver import Conn, FaultServer

import streamcli
from streamcli import Answer, AnswerError
from streamcli.api.failures import OF_STATUS, CancelledError, FilteredError, TruncatedError
from streamcli.errors import EXIT_OF_STATUS
from streamcli.events import Finished, Started, Text, Usage


def ask(server: FaultServer, name: str = "ok", **options: Any) -> Answer:
    options.setdefault("max_retries", 0)
    return streamcli.stream("hi", model="vllm:m", base_url=server.url(name), **options)


def test_iterating_gives_the_text_deltas(server: FaultServer) -> None:
    with ask(server) as answer:
        assert list(answer) == ["Hello", " world"]
    assert answer.text == "Hello world"
    outcome = answer.outcome
    assert (outcome.status, outcome.complete, outcome.exit_code) == ("complete", True, 0)
    assert (outcome.finish_reason, outcome.evidence) == ("stop", ("finish_reason", "marker"))
    assert (outcome.provider, outcome.protocol) == ("vllm", "openai-chat")
    assert outcome.usage["output_tokens"] == 2
    assert outcome.timings["ttft_ms"] > 0
    assert answer.raise_for_status() is answer


def test_the_text_is_there_without_iterating_and_after_a_part_of_it(server: FaultServer) -> None:
    assert ask(server).text == "Hello world"
    answer = ask(server)
    assert next(iter(answer)) == "Hello"
    assert answer.text == "Hello world"
    assert list(answer) == []


def test_events_have_their_times_and_end_with_one_end(server: FaultServer) -> None:
    seen = list(ask(server).events())
    assert [t for t, _ in seen] == sorted(t for t, _ in seen)
    kinds = [type(event) for _, event in seen]
    assert {Started, Text, Usage} <= set(kinds)
    assert kinds.count(Finished) == 1
    assert kinds[-1] is Finished


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("cut_rst", "truncated", "Hello wor"),
        ("length", "length", "Hello world"),
        ("filtered", "filtered", "Hello world"),
        ("error_midstream", "provider", "Hello wor"),
        ("html", "malformed", ""),
        ("redirect", "redirect", ""),
    ],
)
def test_a_bad_end_is_a_value_and_an_exception_when_asked(
    server: FaultServer, name: str, status: str, text: str
) -> None:
    answer = ask(server, name)
    assert answer.text == text
    assert answer.outcome.status == status
    assert answer.outcome.exit_code == EXIT_OF_STATUS[status]
    assert not answer.outcome.complete
    with pytest.raises(AnswerError, match="."):
        answer.raise_for_status()
    with pytest.raises(OF_STATUS[status]) as raised:
        answer.outcome.raise_for_status()
    assert raised.value.outcome is answer.outcome
    assert raised.value.status == status


def test_the_exceptions_are_one_tree_and_cover_every_verdict() -> None:
    bad = {
        status for status, code in EXIT_OF_STATUS.items() if code and status not in ("batch", "slo")
    }
    assert OF_STATUS.keys() == bad
    assert issubclass(TruncatedError, AnswerError)
    assert issubclass(FilteredError, AnswerError)


def test_options_reach_the_request(server: FaultServer) -> None:
    answer = ask(
        server,
        system="@brief",
        temperature=0.5,
        stop="END",
        options={"top_k": 3, "note": "x"},
        headers={"X-Team": "blue"},
        api_key="secret-key",
    )
    assert answer.text == "Hello world"
    request = server.requests[-1]
    assert request.json["messages"] == [
        {"role": "system", "content": "@brief"},
        {"role": "user", "content": "hi"},
    ]
    assert (request.json["temperature"], request.json["stop"]) == (0.5, ["END"])
    assert (request.json["top_k"], request.json["note"]) == (3, "x")
    assert request.headers["x-team"] == "blue"
    assert request.headers["authorization"] == "Bearer secret-key"


def test_a_prompt_is_text_whatever_it_looks_like(server: FaultServer) -> None:
    for prompt in ("-", "--help", "@file", "a\n\nb"):
        answer = streamcli.stream(prompt, model="vllm:m", base_url=server.url("ok"))
        assert answer.text == "Hello world"
        assert server.requests[-1].json["messages"][-1]["content"] == prompt


def test_configuration_and_environment_choose_the_model(
    server: FaultServer, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure('[defaults]\nmodel = "vllm:mine"\n')
    assert streamcli.stream("hi", base_url=server.url("ok")).text == "Hello world"
    assert server.requests[-1].json["model"] == "mine"
    monkeypatch.setenv("STREAM_MODEL", "vllm:other")
    streamcli.stream("hi", base_url=server.url("ok")).read()
    assert server.requests[-1].json["model"] == "other"
    monkeypatch.delenv("STREAM_MODEL")
    answer = streamcli.stream("hi", config=False)
    assert answer.outcome.status == "usage"


def test_mistakes_in_the_call_are_type_errors() -> None:
    with pytest.raises(TypeError, match="no option 'modle'"):
        streamcli.stream("hi", modle="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="has to be a str"):
        streamcli.stream(b"hi")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="mapping"):
        streamcli.stream("hi", api_key="k", fallback="groq:m")
    with pytest.raises(TypeError, match="exclude each other"):
        streamcli.stream("hi", tools=[print], tool_files="tools.toml")
    with pytest.raises(AttributeError, match="no attribute 'steam'"):
        _ = streamcli.steam


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": True}, "temperature has to be a number, not bool"),
        ({"timeout": "2s"}, "timeout has to be a number, not str"),
        ({"max_tokens": 1.5}, "max_tokens has to be an int, not float"),
        ({"stop": 5}, "stop has to be a str or a sequence of them, not int"),
        ({"fallback": ["a", 5]}, "fallback has to be a str or a sequence of them, not list"),
        ({"model": 5}, "model has to be a str, not int"),
        ({"session": Path("x")}, "session has to be a str, not PosixPath"),
        ({"headers": "a: b"}, "headers has to be a mapping, not str"),
        ({"schema": 5}, "schema has to be a str or a mapping, not int"),
        ({"no_stream": "yes"}, "no_stream has to be a bool, not str"),
        ({"tools": 5}, "tools has to be a sequence of functions, not int"),
    ],
)
def test_a_value_of_another_type_is_a_type_error(given: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        streamcli.stream("hi", **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": -5}, "temperature: -5 is not at least 0"),
        ({"top_p": float("nan")}, "top_p: nan is not a finite number"),
        ({"max_tokens": 0}, "max_tokens: 0 is not at least 1"),
        ({"max_event_size": 5}, "max_event_size: 5 is less than 1K"),
        ({"timeout": -1}, "timeout: -1 is not at least 0"),
        ({"think": "hard"}, "think: 'hard' is not one of"),
        ({"on_drop": "weep"}, "on_drop: 'weep' is not one of"),
        ({"options": {"a": object()}}, "a cannot be written as JSON"),
        ({"attach": "a\0b"}, "a\0b is not the name of a file"),
        ({"key_file": "a\0b"}, "a\0b is not the name of a file"),
        ({"tool_files": "a\0b"}, "a\0b is not the name of a file"),
        ({"schema": "a\0/b"}, "a\0/b is not the name of a file"),
        ({"system": "\ud800"}, "system has half a surrogate pair"),
        ({"stop": ["a", "\ud800"]}, "stop has half a surrogate pair"),
    ],
)
def test_a_value_out_of_bounds_is_an_outcome(
    server: FaultServer, given: dict[str, Any], said: str
) -> None:
    outcome = streamcli.stream("hi", model="vllm:m", base_url=server.url("ok"), **given).outcome
    assert (outcome.status, outcome.exit_code) == ("usage", 2)
    assert outcome.message.startswith(said)
    assert not server.requests


def test_half_a_surrogate_pair_is_no_prompt() -> None:
    outcome = streamcli.stream("\ud800", model="vllm:m").outcome
    assert (outcome.status, outcome.message) == (
        "usage",
        "the prompt has half a surrogate pair in it",
    )


def test_mistakes_in_values_are_an_outcome() -> None:
    outcome = streamcli.stream("hi", model="nowhere:m").outcome
    assert (outcome.status, outcome.exit_code) == ("usage", 2)
    assert "no provider is called 'nowhere'" in outcome.message
    outcome = streamcli.stream("", model="vllm:m").outcome
    assert outcome.status == "usage"


def test_a_key_goes_to_its_own_provider_only(server: FaultServer) -> None:
    def fails(conn: Conn) -> None:
        conn.reply(500, b"{}", ctype="application/json")

    keys = {"vllm": "first-key"}
    answer = streamcli.stream(
        "hi",
        model="vllm:m",
        fallback="ollama:m",
        base_url=server.script("both", fails),
        api_key=keys,
        max_retries=0,
    )
    assert answer.outcome.status != "complete"
    asked = server.seen("both")
    assert asked[0].headers["authorization"] == "Bearer first-key"
    assert all("authorization" not in each.headers for each in asked[1:])


def test_a_schema_gives_a_value(server: FaultServer) -> None:
    def answers(conn: Conn) -> None:
        conn.open_with('{"age":', " 7}")
        conn.finish()
        conn.done()
        conn.end()

    url = server.script("json", answers)
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    assert streamcli.stream("hi", model="vllm:m", base_url=url, schema=schema).value == {"age": 7}
    assert streamcli.stream("hi", model="vllm:m", base_url=url, schema="age int").value["age"] == 7
    bad = streamcli.stream("hi", model="vllm:m", base_url=url, schema="name str")
    assert bad.outcome.status == "mismatch"
    with pytest.raises(ValueError, match="."):
        _ = ask(server).value


def test_leaving_early_closes_the_connection(server: FaultServer) -> None:
    gone = threading.Event()

    def endless(conn: Conn) -> None:
        conn.open_with("one")
        if conn.wait_peer_closed(60):
            gone.set()

    url = server.script("endless", endless)
    with streamcli.stream("hi", model="vllm:m", base_url=url) as answer:
        assert next(iter(answer)) == "one"
    assert gone.wait(60)
    assert answer.outcome.status == "interrupted"
    assert answer.text == "one"
    with pytest.raises(CancelledError):
        answer.raise_for_status()


def test_cancelling_from_another_thread_ends_a_stalled_answer(server: FaultServer) -> None:
    answer = ask(server, "stall_middle")
    assert next(iter(answer))
    threading.Timer(0.05, answer.cancel).start()
    assert answer.outcome.status == "interrupted"


def test_an_answer_that_is_never_read_asks_nothing(server: FaultServer) -> None:
    with ask(server) as answer:
        pass
    assert server.requests == []
    assert answer.outcome.status == "interrupted"


def test_nothing_is_left_open(server: FaultServer) -> None:
    ask(server).read()
    before = len(os.listdir("/dev/fd"))
    for name in ("ok", "cut_rst", "html", "ok"):
        ask(server, name).read()
    with ask(server, "slow") as answer:
        next(iter(answer))
    # The server, whose sockets are this process's too, sees it a moment later.
    assert eventually(lambda: len(os.listdir("/dev/fd")) <= before)
    assert eventually(lambda: not threads_left())


def test_many_threads_ask_at_once(server: FaultServer) -> None:
    texts: list[str] = []

    def work() -> None:
        texts.append(ask(server).text)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["Hello world"] * 12


def test_nothing_is_written_and_stdin_is_left_alone(
    server: FaultServer, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ask(server, "cut_rst").read()
    ask(server, "odd_reason").read()
    (tmp_path / "notes.txt").touch()
    answer = streamcli.stream(
        str(tmp_path / "notes.txt"), model="vllm:m", base_url=server.url("ok")
    )
    assert answer.text == "Hello world"
    assert len(answer.notes) == 1
    assert capfd.readouterr() == ("", "")
    assert ask(server, attach="-").outcome.status == "usage"


def test_a_session_is_continued(server: FaultServer) -> None:
    for _ in range(2):
        assert ask(server, session="py").text == "Hello world"
    roles = [each["role"] for each in server.requests[-1].json["messages"]]
    assert roles == ["user", "assistant", "user"]


PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from streamcli import stream
try:
    with stream("hi", model="vllm:m", base_url=sys.argv[1]) as answer:
        for delta in answer:
            print(delta, flush=True)
except KeyboardInterrupt:
    print(answer.outcome.status, answer.text, flush=True)
"""


def test_ctrl_c_leaves_a_settled_answer(server: FaultServer, child_env: dict[str, str]) -> None:
    command = [sys.executable, "-c", PROGRAM, server.url("stall_middle")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_env) as process:
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert rest.split()[0] == "interrupted"
    assert first in rest


def test_importing_it_loads_nothing_heavy(child_env: dict[str, str]) -> None:
    heavy = ["click", "httpx", "httpcore", "rich", "ssl", "asyncio", "orjson", "jsonschema_rs"]
    script = (
        f"import sys; from streamcli import stream; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=child_env, check=True
    )
    assert done.stdout == "[]\n"
