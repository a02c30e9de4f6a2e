"""HelpingAI: thoughts and feelings in the text, hideThink, and what its server says to errors.

Sources: its Python SDK (client/base.py, client/completions.py, models.py) and its cookbook, whose
answers begin with a block, go on with text, and have another block before the next paragraph.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Result, Stream
from faultserver import Conn, FaultServer, finish, part

KEY = "hai-test-5f3a9c1e"
ANSWER = (
    "<think>\nLet me spell it: s-t-r-a-w.\n</think>\n\nI count each r.\n\n"
    "<ser>\nEmotion: curious < calm\n</ser>\n\n<think>\nOnce more: 3, 8, 9.\n</think>\n\n"
    "There are <b>three</b>."
)
TEXT = "I count each r.\n\nThere are <b>three</b>."
THOUGHTS = ("\nLet me spell it: s-t-r-a-w.\n", "\nEmotion: curious < calm\n\nOnce more: 3, 8, 9.\n")

Ask = Callable[..., Result]


def answers(text: str, size: int = 3) -> Callable[[Conn], None]:
    """In deltas of `size` characters; a list of models to who asks for it."""

    def play(conn: Conn) -> None:
        conn.open_with(*(text[at : at + size] for at in range(0, len(text), size)))
        conn.finish()
        conn.done()
        conn.end()

    return play


@pytest.fixture
def ask(server: FaultServer, stream: Stream) -> Ask:
    """Asks the server that plays the first argument."""

    def run(play: Callable[[Conn], None], *args: str | Path, provider: str = "helpingai") -> Result:
        url = server.script("hai", play)
        env = {"HAI_API_KEY": KEY, "HAI_BASE_URL": url, "MACHINEFI_API_KEY": KEY}
        return stream(*("-m", f"{provider}:m", *args, "hi"), env={**env, "MACHINEFI_BASE_URL": url})

    return run


# ---- blocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_blocks_of_both_kinds_are_split_out_as_they_stream(ask: Ask, size: int) -> None:
    play = answers(ANSWER, size)
    assert (ask(play).text, ask(play).stderr) == (TEXT, "")
    assert ask(play, "--reasoning", "only").text == "".join(THOUGHTS)
    assert ask(play, "--reasoning", "raw").text == ANSWER
    apart = ask(play, "--reasoning", "stderr")
    assert (apart.text, apart.stderr) == (TEXT, "".join(THOUGHTS))
    before, between = THOUGHTS
    first, second = "I count each r.\n\n", "There are <b>three</b>."
    both = ask(play, "--reasoning", "stdout")
    assert both.text == f"{before}\n{first}{between}\n{second}"


def test_records_have_both_channels_in_order(ask: Ask) -> None:
    found: list[list[str]] = []
    for record in ask(answers(ANSWER), "--jsonl").records:
        if record["type"] == "delta":
            if not found or found[-1][0] != record["channel"]:
                found.append([record["channel"], ""])
            found[-1][1] += record["text"]
    first, second = "I count each r.\n\n", "There are <b>three</b>."
    assert found == [
        *(["reasoning", THOUGHTS[0]], ["text", first]),
        *(["reasoning", THOUGHTS[1]], ["text", second]),
    ]
    (end,) = ask(answers(ANSWER), "--json").records
    assert (end["text"], end["reasoning"]) == (TEXT, "".join(THOUGHTS))
    assert end["chars"] == len(TEXT)


def test_a_block_that_never_closes_was_text(ask: Ask) -> None:
    text = "One.\n<think>two</think>\nThree <ser>four"
    assert ask(answers(text)).text == "One.\nThree <ser>four"
    assert ask(answers(text), "--reasoning", "stdout").text == "One.\n\ntwo\n\nThree \n\nfour"


def test_an_answer_cut_inside_a_block_keeps_it(ask: Ask) -> None:
    def play(conn: Conn) -> None:
        conn.open_with("One. <think>tw", "o</thi")
        conn.end()

    result = ask(play)
    assert (result.returncode, result.text) == (18, "One. <think>two</thi")


def test_a_whole_answer_is_split_too(ask: Ask) -> None:
    def play(conn: Conn) -> None:
        message = {"role": "assistant", "content": ANSWER}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        conn.reply(200, {"id": "1", "model": "m", "choices": [choice]})

    assert ask(play, "--no-stream").text == TEXT


def test_other_rows_split_only_what_opens_the_answer(ask: Ask) -> None:
    rest = ANSWER.removeprefix("<think>" + THOUGHTS[0] + "</think>\n\n")
    assert ask(answers(ANSWER), provider="machinefi").text == rest
    assert ask(answers(rest), provider="machinefi").text == rest
    opened = "<ser>a</ser>b"
    assert ask(answers(opened), provider="machinefi").text == opened


def test_a_recording_is_split_as_it_was_live(ask: Ask, stream: Stream, tmp_path: Path) -> None:
    assert ask(answers(ANSWER), "--record", tmp_path / "tape").text == TEXT
    replay = ("--replay", tmp_path / "tape", "--speed", "instant")
    assert stream(*replay).text == TEXT
    assert stream(*replay, env={"STREAM_PROVIDER": "openai"}).text == TEXT  # who was asked counts
    assert stream(*replay, "--reasoning", "only").text == "".join(THOUGHTS)


@pytest.mark.parametrize("decode", ["--decode", "--decode=openai-chat"])
def test_raw_bytes_are_split_as_those_of_whom_p_names(stream: Stream, decode: str) -> None:
    delta = {"choices": [{"delta": {"content": "Hi<ser>calm</ser> you"}}]}
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    raw = b"".join(b"data: %b\n\n" % json.dumps(value).encode() for value in (delta, end))
    assert stream(decode, stdin=raw).text == "Hi<ser>calm</ser> you"
    assert stream(decode, "-p", "helpingai", stdin=raw).text == "Hi you"


# ---- hideThink ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        ((), None),  # hidden by default only: the records would want it
        (("--jsonl",), None),
        (("--reasoning", "hide"), True),
        (("--reasoning", "hide", "--jsonl"), True),
        (("--reasoning", "only"), False),
        (("--reasoning", "stdout"), False),
        (("--reasoning", "stderr"), False),
        (("--reasoning", "raw"), False),
        (("--think=none",), True),
        (("--think",), False),
        (("--think=high", "--reasoning", "hide"), True),
        (("--reasoning", "hide", "-o", "hideThink=false"), False),
    ],
)
def test_hide_think_is_sent_where_it_was_said(
    stream: Stream, args: tuple[str, ...], sent: bool | None
) -> None:
    command = ("--dry-run", "-m", "helpingai:m", *args, "hi")
    body = json.loads(stream(*command).text.partition("\n\n")[2])
    assert body.get("hideThink") is sent
    if "-o" not in args and not any("think" in arg for arg in args):
        command = ("--dry-run", "-m", "machinefi:m", *args, "hi")
        assert "hideThink" not in stream(*command).text


def test_a_variable_says_it_and_a_configuration_does_not_in_a_pipe(
    stream: Stream, tmp_path: Path
) -> None:
    dry = ("--dry-run", "-m", "helpingai:m", "hi")
    assert '"hideThink":true' in stream(*dry, env={"STREAM_REASONING": "hide"}).text
    config = tmp_path / ".xdg" / "config" / "stream" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[defaults]\nreasoning = "hide"\n')
    config.chmod(0o600)
    assert "hideThink" not in stream(*dry).text


def test_the_server_leaves_them_out(ask: Ask, server: FaultServer) -> None:
    def play(conn: Conn) -> None:
        answers(TEXT if conn.request.json.get("hideThink") else ANSWER)(conn)

    (end,) = ask(play, "--reasoning", "hide", "--json").records
    assert (end["text"], end["reasoning"]) == (TEXT, "")
    (end,) = ask(play, "--json").records
    assert (end["text"], end["reasoning"]) == (TEXT, "".join(THOUGHTS))


# ---- errors -------------------------------------------------------------------------------------

MANY_WORDS = "This request needs tools, which need stream=true"


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (400, {"error": {"message": "No such field", "type": "t", "code": "c"}}, 22, "No such"),
        (400, {"error": "Request failed with status code 400"}, 22, "Request failed with status"),
        (400, {"message": "messages are missing"}, 22, "messages are missing"),
        (422, {"detail": "max_tokens is too large"}, 22, "max_tokens is too large"),
        (404, {"error_message": "Model 'x' not found", "error_type": "e"}, 22, "Model 'x' not"),
        (400, {"reason": "unheard of"}, 22, "unheard of"),
        (400, b"plain words", 22, "plain words"),
        (401, {"error": {"message": "Invalid API key provided", "type": "e"}}, 67, "Invalid API"),
        (403, {"error": {"message": "No.", "type": "content_filter"}}, 11, "No."),
        (403, {"error": "not for you"}, 67, "not for you"),
        (429, {"error": "Rate limit exceeded"}, 16, "Rate limit exceeded"),
        (500, b"", 15, "HTTP 500"),
        (503, b"<html><title>503 Service Unavailable</title></html>", 15, "503 Service Unavail"),
    ],
)
def test_errors_in_every_shape(ask: Ask, status: int, body: Any, code: int, said: str) -> None:
    ctype = "text/html" if isinstance(body, bytes) else "application/json"
    result = ask(lambda conn: conn.reply(status, body, ctype=ctype), "--max-retries", "0")
    assert (result.returncode, result.text) == (code, "")
    (line,) = result.complaints
    assert line.startswith(f"stream: HTTP {status}")
    assert said in line


def test_an_error_in_the_stream(ask: Ask) -> None:
    def play(conn: Conn) -> None:
        conn.open_with("One.")
        conn.event({"error": "the worker is gone"})
        conn.done()
        conn.end()

    result = ask(play)
    assert (result.returncode, result.text) == (15, "One.")
    assert "the worker is gone" in result.stderr


def test_a_rate_limit_is_waited_for(ask: Ask, server: FaultServer) -> None:
    def play(conn: Conn) -> None:
        if conn.attempt == 1:
            conn.reply(429, {"error": {"message": "Too many", "type": "t"}}, retry_after="0")
        else:
            answers(ANSWER)(conn)

    records = ask(play, "--jsonl").records
    (retry,) = [record for record in records if record["type"] == "retry"]
    assert (retry["delay_ms"], retry["error"]["http_status"]) == (0, 429)
    assert records[-1]["attempts"] == 2
    result = ask(lambda conn: conn.reply(429, b"", retry_after="4000"))
    assert result.returncode == 16
    assert "4000" in result.stderr


def test_what_needs_a_stream_is_told_to_who_asked_for_none(ask: Ask) -> None:
    def play(conn: Conn) -> None:
        conn.reply(400, {"error": MANY_WORDS})

    assert "try it without --no-stream" in ask(play, "--no-stream").stderr
    assert "--no-stream" not in ask(play).stderr
    missing = ask(lambda conn: conn.reply(400, {"error": "no messages"}), "--no-stream")
    assert "--no-stream" not in missing.stderr


@pytest.mark.parametrize(
    ("reason", "code"),
    [("stop", 0), ("length", 10), ("content_filter", 11), ("eos_token", 0)],
)
def test_finish_reasons(ask: Ask, reason: str, code: int) -> None:
    def play(conn: Conn) -> None:
        conn.open_with(ANSWER)
        conn.event(finish(reason))
        conn.done()
        conn.end()

    result = ask(play)
    assert (result.returncode, result.text) == (code, TEXT)
    (end,) = ask(play, "--json").records
    assert end["provider_finish_reason"] == reason


def test_tool_calls_beside_thoughts(ask: Ask) -> None:
    def play(conn: Conn) -> None:
        conn.open_with("<think>Look it up.</think>")
        function = {"name": "look", "arguments": '{"q":1}'}
        conn.event(part(tool_calls=[{"index": 0, "id": "c1", "function": function}]))
        conn.finish("tool_calls")
        conn.done()
        conn.end()

    (end,) = ask(play, "--json").records
    assert (end["text"], end["reasoning"], end["status"]) == ("", "Look it up.", "complete")
    assert end["tool_calls"] == [{"call_id": "c1", "name": "look", "arguments": '{"q":1}'}]


# ---- models -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "found",
    [
        ["Dhanishtha-2.0-preview", "Helpingai3-raw"],
        [{"id": "Dhanishtha-2.0-preview", "name": "Dhanishtha 2.0"}, {"id": "Helpingai3-raw"}],
        {"object": "list", "data": [{"id": "Dhanishtha-2.0-preview"}, {"id": "Helpingai3-raw"}]},
        {"models": ["Dhanishtha-2.0-preview", "Helpingai3-raw"]},
    ],
)
def test_models_in_every_shape(server: FaultServer, stream: Stream, found: Any) -> None:
    url = server.script("models", lambda conn: conn.reply(200, found))
    env = {"HAI_API_KEY": KEY, "HAI_BASE_URL": url}
    result = stream("--list-models", "-p", "helpingai", env=env)
    assert result.text == "Dhanishtha-2.0-preview\nHelpingai3-raw\n"
    (request,) = server.seen("models")
    assert (request.method, request.path) == ("GET", "/models/v1/models")
    assert request.headers["authorization"] == f"Bearer {KEY}"
