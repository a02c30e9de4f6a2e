"""Batches: what they read, what they write and where, how they go on after a death."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyte
import pytest
from batchserver import Act, BatchServer, answer_to, by_word
from conftest import COMMAND, WITH_SIGNALS, Popen, Result, Stream, eventually
from records import check, parse_records

from streamcli.output.order import OrderedWriter


class Ask:
    """The command, asking a BatchServer that answers by the first word of a prompt."""

    def __init__(self, stream: Stream, server: BatchServer) -> None:
        self._stream = stream
        self.server = server
        self.args = ("-m", "vllm:m", "--base-url", server.base)

    def __call__(self, *args: Any, stdin: Any = b"", **more: Any) -> Result:
        return self._stream(*self.args, *args, stdin=stdin, **more)

    def ends(self, *args: Any, stdin: Any = b"", **more: Any) -> list[dict[str, Any]]:
        """The `end` records by index, all of which keep the schema."""
        run = self(*args, "--json", stdin=stdin, **more)
        check(run.records)
        assert all(record["type"] == "end" for record in run.records)
        return sorted(run.records, key=lambda record: (record["index"], record.get("target", "")))


@pytest.fixture
def ask(stream: Stream) -> Iterator[Ask]:
    with BatchServer(by_word) as server:
        yield Ask(stream, server)


def texts(records: list[dict[str, Any]]) -> list[str]:
    return [record["text"] for record in records]


def prompts(ask: Ask) -> list[str]:
    return sorted(asked.prompt for asked in ask.server.asked)


# What is read


def test_lines(ask: Ask) -> None:
    """CRLF, a BOM, NUL bytes, blank lines, no newline at the end."""
    data = b"\xef\xbb\xbfsay one\r\n\r\n  \nsay a\0b\nsay three"
    ends = ask.ends("-L", stdin=data)
    assert [end["index"] for end in ends] == [0, 3, 4]
    assert texts(ends) == ["one", "a\0b", "three"]
    assert all("id" not in end and "target" not in end for end in ends)


def test_lines_of_a_million_characters(ask: Ask) -> None:
    lines = ["é" * 1_000_000, "x" * 1_000_000, "short"]
    run = ask("-L", "-j", "1", stdin="\n".join(lines).encode())
    assert run.text == "".join(answer_to(line) + "\n" for line in lines)
    assert run.returncode == 0


def test_nul_separated(ask: Ask) -> None:
    ends = ask.ends("-0", stdin=b"say a\nb\0\0say c\r\n\0say last")
    assert [(end["index"], end["text"]) for end in ends] == [(0, "a\nb"), (2, "c\r\n"), (3, "last")]


def test_bytes_that_are_no_utf_8(ask: Ask) -> None:
    run = ask("-L", "--json", stdin=b"say a\nb\xff\nsay c\n")
    check(run.records)
    assert {record["index"]: record["status"] for record in run.records} == {
        0: "complete",
        1: "usage",
        2: "complete",
    }
    bad = next(record for record in run.records if record["index"] == 1)
    assert bad["error"]["message"] == "line 2 is not UTF-8: byte 0xff at offset 1"
    assert (bad["prompt_hash"], bad["exit_code"], bad["attempts"]) == (None, 2, 0)
    assert run.returncode == 20
    assert run.complaints[0].startswith("stream: line 2 is not UTF-8: byte 0xff at offset 1: ")


@pytest.mark.parametrize("args", [("-L",), ("-0",), ("--requests",)])
def test_nothing_to_ask(ask: Ask, args: tuple[str, ...]) -> None:
    run = ask(*args, "--jsonl", stdin=b"")
    check(run.records)
    (summary,) = run.records
    assert (summary["type"], summary["prompts"], summary["exit_code"]) == ("summary", 0, 0)
    assert (run.returncode, run.stderr) == (0, "")
    blank = ask(*args, stdin=b"" if args == ("-0",) else b"\n \n\n")
    assert (blank.returncode, blank.stdout, blank.stderr) == (0, b"", "")
    assert ask(*args, stdin=None).returncode == 0  # /dev/null


def test_the_arguments_apply_to_each(ask: Ask) -> None:
    for args, wanted in (
        (["Then", "what?"], "{}\n\nThen what?"),
        (["Before", "-", "after"], "Before\n\n{}\n\nafter"),
        (["--", "a", "-", "b"], "{}\n\na - b"),
        (["-I", "%", "is % more than %?"], "is {} more than {}?"),
    ):
        assert ask("-L", *args, stdin=b"say 1\n2\n").returncode == 0
        got = [asked.prompt for asked in ask.server.asked[-2:]]
        assert sorted(got) == sorted(wanted.replace("{}", line) for line in ("say 1", "2"))


def test_files(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfsay 1\n\nsay 2")
    (tmp_path / "b").write_bytes(b"\xef\xbb\xbfsay 3\r\n")
    ends = ask.ends("-L", "-f", "a", "-f", "-", "-f", "b", stdin=b"say stdin\n")
    assert texts(ends) == ["1", "2", "stdin", "3"]
    assert [end["index"] for end in ends] == [0, 2, 3, 4]
    assert texts(ask.ends("-L", "-n", "-f", "b", stdin=b"say stdin\n")) == ["3"]


def test_stdin_is_read_as_it_comes(ask: Ask, popen: Popen) -> None:
    process = popen(*ask.args, "-L", stdin=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    for word in (b"one", b"two"):
        process.stdin.write(b"say %s\n" % word)
        assert process.stdout.readline() == word + b"\n"
    process.stdin.close()
    assert process.wait(60) == 0


@pytest.mark.parametrize("more", [[], ["--json"], ["--chat"], ["--events", "p"]])
def test_answers_do_not_become_prompts(ask: Ask, tmp_path: Path, more: list[str]) -> None:
    """As of `stream -L < p >> p`, which would ask for ever."""
    path = tmp_path / "p"
    path.write_bytes(b"say a\nsay b\n")
    option = [] if "--chat" in more else ["-L"]
    with path.open("rb") as lines, path.open("ab") as out:
        where: dict[str, Any] = {} if "--events" in more else {"stdout": out}
        run = ask(*option, *more, stdin=lines, **where)
    assert run.returncode == 2
    what = "--events" if "--events" in more else "stdout"
    assert run.complaints == [
        f"stream: {what} is a file that the prompts are read from: "
        "name another one, or the answers become prompts"
    ]
    assert path.read_bytes() == b"say a\nsay b\n"
    assert not prompts(ask)


def test_a_line_without_end_ends_the_input(ask: Ask, tmp_path: Path) -> None:
    """As that of /dev/zero, which would fill the memory; what was read before is answered."""
    endless = tmp_path / "endless"
    with endless.open("wb") as file:
        file.write(b"say a\n")
        file.truncate(300 << 20)
    run = ask("-L", "-f", endless)
    assert (run.returncode, run.text) == (2, "a\n")
    assert "a line of the input is larger than 256 MiB" in run.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-L", "-0"], "--lines and --null exclude each other"),
        (["-L", "--requests"], "--lines and --requests exclude each other"),
        (["--chat", "--requests"], "--chat and --requests exclude each other"),
        (["--chat", "--reuse", "J"], "--chat and --reuse exclude each other"),
        (["-L", "--replay", "x"], "--replay is for one answer that is there already"),
        (["-L", "--decode"], "--decode is for one answer that is there already"),
        (["-L", "--speed", "2"], "--speed is for one answer that is there already"),
        (["-L", "--record", "x"], "--record keeps one answer, not a batch's: --events"),
        (["-L", "--check"], "--check and --lines exclude each other"),
        (["-0", "--dry-run"], "--dry-run and --null exclude each other"),
        (["--requests", "--list-models"], "--list-models and --requests exclude each other"),
        (["-L", "-n"], "a batch reads stdin, and -n forbids it: -f FILE"),
        (["-L", "-n", "-f", "-"], "a batch reads stdin, and -n forbids it: -f FILE"),
        (["-L", "-f", "-", "-f", "-"], "'-f -' is given twice, and stdin can be read once"),
        (["-L", "-f", "."], ". is a directory"),
        (["-L", "-f", "/nowhere"], "/nowhere cannot be read: no such file or directory"),
        (["-L", "-f", ""], "--file is empty: --file FILE"),
        (["-L", "-", "-"], "stdin has one place only, and '-' or -I asks for it twice"),
        (["-L", "-I", "%", "-", "%"], "stdin has one place only"),
        (["-L", "-I", "", "x"], "-I needs a text to replace: -I {}"),
        (["-L", "-I", "%", "x"], "-I %: the arguments do not contain '%'"),
        (["-L", "-O", "out"], "-O out is one file for many prompts: -O 'out/{index}.txt'"),
        (["-L", "-O", "no/{index}"], "-O no/{index}: there is no folder no: mkdir -p no"),
        (["-m", "vllm:n", "-O", "out"], "-O out is one file for several models"),
        (["-m", "vllm:m", "x"], "--model names the same model twice: --repeat N asks again"),
        (["-L", "-m", "vllm:n", "--fallback", "vllm:k", "--race"], "--race and --fallback excl"),
        (["-L", "--schema", '{"type": 3}'], "--schema is not a JSON Schema"),
        (["-L", "-j", "0"], "invalid value for '-j' / '--jobs'"),
        (["-L", "--halt", "sometimes"], "invalid value for '--halt'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_asked(ask: Ask, args: list[str], said: str) -> None:
    run = ask(*args, stdin=b"hi\n")
    assert run.returncode == 2
    (complaint,) = run.complaints
    assert complaint.startswith(f"stream: {said}")
    assert (run.stdout, ask.server.asked) == (b"", [])


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_closed_stdout_has_its_end_among_the_events(
    ask: Ask, child_env: dict[str, str], tmp_path: Path, form: str
) -> None:
    events = tmp_path / "e.jsonl"
    words = shlex.join([*COMMAND, *ask.args, "-L", "--format", form, "--events", str(events)])
    run = subprocess.run(
        ["sh", "-c", f"echo hi | {words} >&-"], stderr=subprocess.PIPE, env=child_env, text=True
    )
    assert run.returncode == 23
    assert run.stderr == "stream: stdout is closed: give it a place to write to\n"
    (end,) = parse_records(events.read_bytes())
    assert (end["type"], end["status"], end["exit_code"]) == ("end", "write", 23)
    assert ask.server.asked == []


def test_a_closed_stdin_and_a_terminal(ask: Ask, child_env: dict[str, str]) -> None:
    words = " ".join([*COMMAND, *ask.args])
    for more, said in (("-L <&-", "closed"), ("--requests -f - <&-", "closed")):
        run = subprocess.run(
            ["sh", "-c", f"{words} {more}"], capture_output=True, env=child_env, text=True
        )
        assert (run.returncode, run.stdout) == (2, "")
        expected = f"stream: a batch reads its prompts on stdin, and that is {said}: -f FILE\n"
        assert run.stderr == expected
    master, slave = pty.openpty()
    try:
        command = [*COMMAND, *ask.args, "-L"]
        run = subprocess.run(command, stdin=slave, capture_output=True, env=child_env, text=True)
        assert (run.returncode, run.stdout) == (2, "")
        assert "and that is a terminal: -f FILE" in run.stderr
        os.write(master, b"say typed\n\x04")
        command.append("-")  # asks for it
        run = subprocess.run(command, stdin=slave, capture_output=True, env=child_env, text=True)
        assert (run.returncode, run.stdout) == (0, "typed\n")
    finally:
        os.close(master)
        os.close(slave)


def test_batch_options_without_a_batch(ask: Ask) -> None:
    env = {"STREAM_JOBS": "8", "STREAM_RATE": "5/s", "STREAM_KEEP_ORDER": "1"}
    run = ask("-j", "2", "--halt", "now,fail=1", "--print0", "say hi", stdin=None, env=env)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"hi", "")


# Requests


def test_requests(ask: Ask) -> None:
    lines = [
        {"prompt": "say a", "id": "x", "temperature": 0.5},
        {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "say b"}]},
        {
            "custom_id": "q",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "other", "messages": [{"role": "user", "content": "say c"}]},
        },
        {"prompt": "say d", "id": 7, "model": "qwen3:8b", "system": "T"},  # no provider's name
    ]
    data = "\n\n".join(map(json.dumps, lines)).encode()
    ends = ask.ends("--requests", "--temperature", "1", "-s", "the batch's", stdin=data)
    assert [end["index"] for end in ends] == [0, 2, 4, 6]
    assert texts(ends) == ["a", "b", "c", "d"]
    assert [end.get("id") for end in ends] == ["x", None, "q", 7]
    assert [end.get("target") for end in ends] == [None, None, "other", "qwen3:8b"]
    bodies = {asked.prompt[-1]: asked.body for asked in ask.server.asked}
    assert [bodies[key]["model"] for key in "abcd"] == ["m", "m", "other", "qwen3:8b"]
    assert [bodies[key]["temperature"] for key in "abcd"] == [0.5, 1, 1, 1]
    systems = [bodies[key]["messages"][0]["content"] for key in "abcd"]
    assert systems == ["the batch's", "S", "the batch's", "T"]


def test_bad_requests(ask: Ask) -> None:
    """Each fails alone, with its number, and its id as far as it can be read."""
    lines = [
        "nope",
        '{"prompt": "say a", "url": "http://evil", "id": "u"}',
        '{"id": 3}',
        '{"prompt": "say b"}',
        '{"custom_id": "c", "body": {"messages": []}}',
        '{"prompt": "x", "model": "local:weights.gguf"}',
        '{"prompt": "x", "schema": {"type": 3}}',
        '["prompt"]',
    ]
    run = ask("--requests", "--json", stdin="\n".join(lines).encode())
    check(run.records)
    ends = sorted(run.records, key=lambda record: record["index"])
    assert [end["status"] for end in ends] == ["usage"] * 3 + ["complete"] + ["usage"] * 4
    assert [end.get("id") for end in ends] == [None, "u", 3, None, "c", None, None, None]
    bad = {end["index"]: end["error"]["message"] for end in ends if end["error"]}
    for index in (0, 1, 2, 4, 5, 7):
        assert bad[index].startswith(f"line {index + 1}: ")
    assert bad[2] == "line 3: it has no prompt"
    assert prompts(ask) == ["say b"]
    assert run.returncode == 20
    assert sum(line.startswith("stream: line ") for line in run.complaints) == 6
    assert run.complaints[-1].startswith("stream: 7 of 8 prompts failed (7 usage)")


def test_a_bad_request_may_stop_it(ask: Ask) -> None:
    lines = b'nope\n{"prompt": "stall"}\n{"prompt": "say b"}\n'
    run = ask("--requests", "--json", "--halt", "now,fail=1", stdin=lines)
    assert run.returncode == 20
    assert run.records[0]["error"]["message"].startswith("line 1: it is not JSON")
    # The third may be answered before the first is reported; the second never is.
    assert not any(record["complete"] for record in run.records if record["index"] == 1)
    assert "stopped by --halt" in run.complaints[-1]


def test_requests_that_name_their_models_need_no_other(stream: Stream, ask: Ask) -> None:
    """The provider is the option's, whatever a name looks like; without a model a line fails."""
    lines = b'{"prompt": "say a", "model": "one"}\n{"prompt": "b"}\n'
    lines += b'{"prompt": "say c", "model": "openai:x"}\n'
    run = stream("-p", "vllm", "--base-url", ask.server.base, "--requests", "--json", stdin=lines)
    ends = sorted(run.records, key=lambda record: record["index"])
    assert [end["status"] for end in ends] == ["complete", "usage", "complete"]
    assert ends[1]["error"]["message"] == "line 2: it names no model, nor does --model"
    assert [end["model"] for end in ends] == ["one", None, "openai:x"]
    assert run.returncode == 20


def test_a_chat_completions_server_without_a_provider(stream: Stream, ask: Ask) -> None:
    lines = b'{"prompt": "say a", "model": "one"}\n{"prompt": "say b"}\n'
    args = ("-m", "m", "--base-url", ask.server.base, "--requests")
    run = stream(*args, stdin=lines)
    assert (run.returncode, run.text) == (0, "a\nb\n")
    assert {asked.body["model"] for asked in ask.server.asked} == {"one", "m"}


# What goes along


def test_what_is_read_once_serves_all(ask: Ask, child_env: dict[str, str], tmp_path: Path) -> None:
    """Pipes too: of several models each gets what <(...) said."""
    command = " ".join([*COMMAND, *ask.args])
    keys, system, schema = "<(echo k1)", "@<(echo be brief)", '<(echo \'{"type":"integer"}\')'
    script = f"{command} -m vllm:n -L --json --key-file {keys} -s {system}"
    script = script.replace("-s @<(", "-s @/dev/fd/9 9< <(") + f" --schema {schema}"
    run = subprocess.run(
        ["bash", "-c", script], input=b"say 1\nsay 2\nsay x\n", capture_output=True, env=child_env
    )
    records = [json.loads(line) for line in run.stdout.splitlines()]
    statuses = sorted(record["status"] for record in records)
    assert statuses == ["complete"] * 4 + ["mismatch"] * 2, run.stderr
    assert run.returncode == 20
    for asked in ask.server.asked:
        assert asked.body["messages"][0] == {"role": "system", "content": "be brief"}
        assert asked.key == "Bearer k1"


def test_attachments_and_a_beginning(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("the note")
    run = ask("-L", "-a", "note.txt", "--prefill", "Well,", stdin=b"a\nb\n")
    assert run.returncode == 0
    for asked in ask.server.asked:
        assert asked.body["messages"][-1] == {"role": "assistant", "content": "Well,"}
        assert "the note" in json.dumps(asked.body["messages"][0])


def test_a_schema_is_checked_for_each(ask: Ask) -> None:
    args = ("-L", "--schema", '{"type":"integer"}')
    ends = ask.ends(*args, stdin=b"say 5\nsay six\nsay 7\n")
    assert [end["exit_code"] for end in ends] == [0, 12, 0]
    run = ask(*args, "--accept", "mismatch", stdin=b"say six\n")
    assert (run.returncode, run.text) == (0, "six\n")


def test_a_schema_that_none_can_use_fails_its_line_only(ask: Ask) -> None:
    draft = "http://json-schema.org/draft-04/schema#"
    bad = [{"$schema": 1}, {"$schema": []}, {"type": "nonsense"}]
    odd = [{"$schema": draft, "$ref": 1}, {"$schema": draft.replace("4", "3"), "type": "nonsense"}]
    good = [{"$schema": "http://["}, {"type": "integer"}]  # an unknown dialect is the usual one
    lines = [{"prompt": "say 5", "schema": schema} for schema in [*bad, *odd, *good]]
    ends = ask.ends("--requests", stdin="\n".join(map(json.dumps, lines)).encode())
    assert [end["status"] for end in ends] == ["usage"] * 5 + ["complete"] * 2
    assert all("is not a JSON Schema: " in end["error"]["message"] for end in ends[:3])
    assert all("--schema cannot be used: " in end["error"]["message"] for end in ends[3:5])


# Text


def test_texts_line_up(ask: Ask) -> None:
    """Failed or empty, each ends with one newline, in the order of the input."""
    lines = b"say a\n\n404 x\nsay \ncut\nsay b\n"
    run = ask("-L", "-j", "6", stdin=lines + b"bad \xff\nsay last")
    assert run.text == "a\n\n\nanswer to \nb\n\nlast\n"
    assert run.returncode == 20


def test_newlines_at_the_end_are_one(stream: Stream) -> None:
    told = {"a": "one\n\n\n", "b": "two\n\nlines\n", "c": "\n\n", "d": "x\n \n"}
    with BatchServer(lambda prompt, before: Act(text=told[prompt])) as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "-L")
        run = stream(*args, stdin=b"a\nb\nc\nd\n")
        assert run.text == "one\ntwo\n\nlines\n\nx\n \n"
        run = stream(*args, "--print0", stdin=b"a\nb\nc\nd\n")
        assert run.text == "".join(told[key] + "\0" for key in "abcd")


def test_reasoning_goes_where_it_is_wanted(ask: Ask) -> None:
    lines = b"think hard\nsay plain\n"
    answer = answer_to("think hard")
    assert ask("-L", stdin=lines).text == f"{answer}\nplain\n"
    assert ask("-L", "--reasoning", "only", stdin=lines).text == "hard\n\n"
    assert ask("-L", "--reasoning", "stdout", stdin=lines).text == f"hard\n\n{answer}\nplain\n"
    run = ask("-L", "--reasoning", "stderr", stdin=lines)
    assert (run.text, run.stderr) == (f"{answer}\nplain\n", "hard\n")


def test_control_characters(stream: Stream) -> None:
    with BatchServer(lambda prompt, before: Act(text="\x1b[2Ja\r")) as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "-L")
        assert stream(*args, stdin=b"a\nb\n").text == "\x1b[2Ja\r\n" * 2
        run = stream(*args, "--sanitize", "always", stdin=b"a\nb\n")
        assert run.text == "^[[2Ja^M\n" * 2


def test_the_head_streams_and_the_others_wait(popen: Popen) -> None:
    """The first answer's deltas come as they are, those of the second when it is over."""
    was_read = threading.Semaphore(1)
    wait = lambda: was_read.acquire(timeout=60)  # noqa: E731

    def plan(prompt: str, before: int) -> Act:
        return Act(text="a b c", between=wait) if prompt == "slow" else Act(text="second")

    with BatchServer(plan) as server:
        process = popen("-m", "vllm:m", "--base-url", server.base, "-L", stdin=subprocess.PIPE)
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"slow\nquick\n")
        process.stdin.close()
        got = []
        while data := os.read(process.stdout.fileno(), 100):
            got.append(data)
            was_read.release()
    assert b"".join(got) == b"a b c\nsecond\n"
    assert got[:2] == [b"a ", b"b "]
    assert process.wait(60) == 0


def test_what_waits_spills_to_disk() -> None:
    """More than fits: all of it comes, in order, and what was kept is let go."""
    written: list[bytes] = []
    line = OrderedWriter(written.append, limit=100)
    for round_ in range(30):
        for number in (3, 1, 2, 5):
            line.slot(number).write(b"%d:%d\n" % (number, round_))
    line.slot(0).write(b"head\n")
    assert written == [b"head\n"]
    for number in (5, 3, 1, 0):
        line.done(number)
    wanted = [b"%d:%d\n" % (number, r) for number in (1, 2) for r in range(30)]
    assert b"".join(written) == b"head\n" + b"".join(wanted)
    line.slot(2).write(b"now live\n")
    assert written[-1] == b"now live\n"
    line.done(2)
    line.finish()
    tail = [b"%d:%d\n" % (number, r) for number in (3, 5) for r in range(30)]
    assert b"".join(written).endswith(b"now live\n" + b"".join(tail))


# Records


def test_chunk_records(ask: Ask) -> None:
    lines = (
        b'{"prompt": "say a b", "id": "A"}\n{"prompt": "404"}\n{"prompt": "say a b", "id": "A"}\n'
    )
    run = ask("--requests", "--jsonl", stdin=lines)
    check(run.records)
    *records, summary = run.records
    for index, id, kinds in (
        (0, "A", ["start", "delta", "delta", "usage", "end"]),
        (1, None, ["start", "end"]),
        (2, "A", ["start", "delta", "delta", "usage", "end"]),
    ):
        mine = [record for record in records if record["index"] == index]
        assert [record["type"] for record in mine] == kinds
        assert {record.get("id") for record in mine} == {id}
        assert len({record["request_id"] for record in mine}) == 1
    ends = {record["index"]: record for record in records if record["type"] == "end"}
    assert ends[0]["prompt_hash"] == ends[2]["prompt_hash"] != ends[1]["prompt_hash"]
    assert sorted([ends[0]["occurrence"], ends[2]["occurrence"]]) == [0, 1]
    assert summary["type"] == "summary"
    assert (summary["prompts"], summary["failed"], summary["attempts"]) == (3, 1, 3)
    assert summary["statuses"] == {"complete": 2, "rejected": 1}
    assert summary["exit_code"] == run.returncode == 20
    assert summary["chars"] == 6
    assert summary["usage"]["output_tokens"] == 4


def test_events_beside_text(ask: Ask, tmp_path: Path) -> None:
    """The text keeps the order; the records come as they do, and the summary is the last."""
    events = tmp_path / "events.jsonl"
    run = ask("-L", "-j", "2", "--events", events, stdin=b"say a\n404 b\nsay c\n")
    assert run.text == "a\n\nc\n"
    records = [json.loads(line) for line in events.read_text().splitlines()]
    check(records)
    assert [record["type"] for record in records].count("end") == 3
    assert records[-1]["type"] == "summary"
    ask("-L", "--events", events, stdin=b"say d\n")
    assert len(events.read_text().splitlines()) == len(records) + 5  # appended


def test_keep_order_is_the_order_of_one_job(stream: Stream) -> None:
    def plan(prompt: str, before: int) -> Act:
        if prompt == "0":  # until all others were asked
            run = len(server.asked) // 12
            assert eventually(lambda: len(server.asked) == run * 12 + 11)
        return Act()

    lines = "".join(f"{number}\n" for number in range(12)).encode()
    with BatchServer(plan) as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "-L", "-j", "6")
        for form in ("--json", "--jsonl"):
            run = stream(*args, form, "-k", stdin=lines)
            check(run.records)
            indexes = [record["index"] for record in run.records if "index" in record]
            assert indexes == sorted(indexes)
            assert len(set(indexes)) == 12
        assert run.records[-1]["type"] == "summary"
        unordered = stream(*args, "--json", stdin=lines).records
        assert unordered[0]["index"] != 0


def test_repeat(ask: Ask) -> None:
    ends = ask.ends("-L", "--repeat", "3", stdin=b"say a\n\nsay b\n")
    assert [end["index"] for end in ends] == [0, 1, 2, 6, 7, 8]
    assert sorted(end["occurrence"] for end in ends) == [0, 0, 1, 1, 2, 2]
    assert ask("--repeat", "2", "say x", stdin=None).text == "x\nx\n"


# Files


def test_a_file_for_each(ask: Ask, tmp_path: Path) -> None:
    """Those of failed prompts do not appear."""
    out = tmp_path / "out"
    out.mkdir()
    run = ask("-L", "-O", "out/{index}.txt", stdin=b"say a\n404 b\n\ncut\nsay c\\n\n")
    assert (run.returncode, run.stdout) == (20, b"")
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        "0.txt": "a",
        "4.txt": "c\\n",
    }
    run = ask("-L", "--json", "-m", "vllm:n/o", "-O", "out/{model}/{index}", stdin=b"say d\n")
    assert len(run.records) == 2
    assert (out / "vllm%3Am" / "0").read_text() == "d"
    assert (out / "vllm%3An%2Fo" / "0").read_text() == "d"


def test_ids_stay_in_their_folder(ask: Ask, tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    out.mkdir(parents=True)
    names = {
        "plain-1.txt": "plain-1.txt",
        "../../x": "%2E.%2F..%2Fx",
        "/etc/passwd": "%2Fetc%2Fpasswd",
        "a\0b": "a%00b",
        "": "4",  # its index
        ".": "%2E",
        "..": "%2E.",
        "hé {index}%2F": "h%C3%A9%20%7Bindex%7D%252F",
        -5: "-5",
        0: "0",
    }
    lines = [json.dumps({"prompt": f"say {n}", "id": id}) for n, id in enumerate(names)]
    long = ["x" * 300, "x" * 301]
    lines += [json.dumps({"prompt": f"say {id[200:]}", "id": id}) for id in long]
    run = ask("--requests", "-O", "a/out/{id}", stdin="\n".join(lines).encode())
    assert (run.returncode, run.stderr) == (0, "")
    written = {path.name: path.read_text() for path in out.iterdir()}
    for number, name in enumerate(names.values()):
        assert written.pop(name) == str(number)
    assert sorted(written.values()) == sorted(id[200:] for id in long)
    assert all(re.fullmatch("x+-[0-9a-f]{32}", name) for name in written)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]


@pytest.mark.parametrize("template", ["{model}-{id}.txt", "{id}-{index}", "long" * 40 + "{id}"])
def test_no_id_is_too_long_for_a_name(ask: Ask, tmp_path: Path, template: str) -> None:
    ids = ["x" * 150, "x" * 199, "x" * 200, "é" * 100, "y" * 3000]
    lines = [json.dumps({"prompt": f"say {n}", "id": id}) for n, id in enumerate(ids)]
    lines.append(json.dumps({"prompt": "say 5", "id": "x" * 210, "model": "vllm:" + "m" * 300}))
    run = ask("--requests", "-O", f"out-{template}", stdin="\n".join(lines).encode())
    assert (run.returncode, run.stderr) == (0, "")
    written = [path.read_text() for path in tmp_path.glob("out-*")]
    assert sorted(written) == ["0", "1", "2", "3", "4", "5"]


def test_no_answer_is_lost_to_another_of_the_same_name(ask: Ask, tmp_path: Path) -> None:
    lines = [{"prompt": f"say {n}", "id": id} for n, id in enumerate(["a", 1, "a", "1", None, "4"])]
    stdin = "\n".join(map(json.dumps, lines)).encode()
    run = ask("--requests", "-O", "{id}.txt", stdin=stdin)
    assert {path.name: path.read_text() for path in tmp_path.glob("*.txt")} == {
        "a.txt": "0",
        "1.txt": "1",
        "4.txt": "4",
    }
    assert run.returncode == 20
    assert run.complaints[0] == (
        "stream: prompt 3 (a): a.txt is the file of an earlier one:"
        " -O with {index} tells them apart"
    )
    assert len(ask.server.asked) == 3  # before anything is paid
    assert ask("--requests", "-O", "{id}-{index}.txt", stdin=stdin).returncode == 0


# Going on


def journal(path: Path) -> list[dict[str, Any]]:
    """Its whole records; what a death has torn is left out."""
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


LINES = b"say a\nsay b\n404 c\nsay a\nsay d\n"


def resumed(ask: Ask, path: Path, *args: Any, stdin: bytes = LINES) -> Result:
    with path.open("ab") as file:
        return ask("-L", *args, "--resume", path, stdin=stdin, stdout=file)


@pytest.mark.parametrize("form", ["--json", "--jsonl"])
def test_what_is_complete_is_not_asked_again(ask: Ask, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out.jsonl"
    assert resumed(ask, out, form, stdin=b"say a\nsay b\n404 c\n").returncode == 20
    before = len(ask.server.asked)
    run = resumed(ask, out, form)
    assert run.returncode == 20
    asked = sorted(each.prompt for each in ask.server.asked[before:])
    assert asked == ["404 c", "say a", "say d"]  # the second `say a`
    ends = [record for record in journal(out) if record["type"] == "end"]
    done = sorted((end["prompt_hash"], end["occurrence"]) for end in ends if end["complete"])
    assert len(done) == len(set(done)) == 4
    if form == "--jsonl":
        assert journal(out)[-1]["skipped"] == 2
    assert "the same command goes on from here" in run.complaints[-1]
    run = resumed(ask, out, form, stdin=b"say a\nsay b\n")
    assert (run.returncode, run.stderr) == (0, "stream: nothing is left to ask: 2 done already\n")


def test_other_questions_are_asked(ask: Ask, tmp_path: Path) -> None:
    """Another model, another temperature, other arguments; not another way to write it down."""
    out = tmp_path / "out.jsonl"
    asked = 0
    for args, more in (
        ([], 1),
        ([], 0),
        (["-j", "1", "-k", "--max-retries", "1", "--rate", "100/s"], 0),
        (["--temperature", "0.5"], 1),
        (["-m", "vllm:n"], 1),  # m is done
        (["with this"], 1),
        (["--repeat", "3"], 2),
        (["-s", "brief"], 1),
    ):
        assert resumed(ask, out, "--json", *args, stdin=b"say a\n").returncode == 0
        asked += more
        assert len(ask.server.asked) == asked, args


def test_a_missing_journal(ask: Ask, tmp_path: Path) -> None:
    run = ask("-L", "--json", "--resume", "none.jsonl", stdin=LINES)
    assert run.returncode == 2
    assert (
        "none.jsonl cannot be read: no such file or directory: to begin with an empty one: touch"
        in (run.stderr)
    )
    assert ask.server.asked == []
    # But --events may begin it.
    args = ("-L", "--events", "ev.jsonl", "--resume", "ev.jsonl")
    assert ask(*args, stdin=b"say a\nsay b\n").text == "a\nb\n"
    run = ask(*args, stdin=b"say a\nsay b\nsay c\n")
    assert (run.text, len(ask.server.asked)) == ("c\n", 3)


def test_a_journal_that_the_shell_has_emptied(ask: Ask, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with out.open("wb") as file:
        run = ask("-L", "--json", "--resume", out, stdin=LINES, stdout=file)
    assert run.returncode == 2
    assert "use >> instead of >" in run.stderr
    assert ask.server.asked == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a plain text\n", "is plain text, no file of records"),
        (b'{"prompt": "a"}\n', "holds requests, no records"),
        (b'{"a": 1}\n', "is JSON Lines of something else"),
        (b"\x1f\x8b\x08\0\0\0", "is compressed by gzip"),
        (b"\x7fELF\0\1\2", "is binary, no file of records"),
        (b'{"type":"end","schema":"stream.records/9","prompt_hash":"x"}\n', "of another version"),
    ],
)
def test_a_file_of_another_kind(ask: Ask, tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    run = ask("-L", "--json", "--resume", "x", stdin=LINES)
    assert run.returncode == 2
    assert f"stream: x {said}" in run.stderr or f"stream: x holds records {said}" in run.stderr
    assert (run.records[0]["status"], ask.server.asked) == ("usage", [])


def test_several_journals_one_of_them_torn(ask: Ask, tmp_path: Path) -> None:
    one, two, out = (tmp_path / name for name in ("one", "two", "out"))
    one.write_bytes(ask("-L", "--jsonl", stdin=b"say a\n").stdout)
    two.write_bytes(ask("-L", "--json", stdin=b"say b\n").stdout + b'{"type":"end","reque')
    out.write_bytes(ask("-L", "--json", stdin=b"say d\n").stdout[:-40])  # it was not finished
    asked = len(ask.server.asked)
    run = resumed(
        ask, out, "--json", "--resume", one, "--resume", two, stdin=b"say a\nsay b\nsay d\n"
    )
    assert run.returncode == 0
    assert [each.prompt for each in ask.server.asked[asked:]] == ["say d"]
    torn, new, end = out.read_bytes().split(b"\n")
    assert json.loads(new)["text"] == "d"
    assert end == b""


def test_answers_that_wait_are_asked_again_but_for_events(popen: Popen, tmp_path: Path) -> None:
    """Killed while the head holds up all others: only --events knew of them."""
    stuck = True

    def plan(prompt: str, before: int) -> Act:
        return Act(end="stall") if stuck and prompt == "0" else Act()

    out, events = tmp_path / "out.jsonl", tmp_path / "events.jsonl"
    lines = b"".join(b"%d\n" % number for number in range(6))
    with BatchServer(plan) as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "-L", "-k", "--json", "-j", "2")

        def start(*more: Any) -> Any:
            with out.open("ab") as file:
                process = popen(*args, *more, stdin=subprocess.PIPE, stdout=file)
            assert process.stdin
            process.stdin.write(lines)
            process.stdin.close()
            return process

        def ends() -> int:
            return sum(record["type"] == "end" for record in journal(events))

        process = start("--events", events)
        assert eventually(lambda: events.exists() and ends() == 5)
        process.kill()
        process.wait()
        assert out.read_bytes() == b""
        stuck = False
        assert start("--resume", out, "--resume", events).wait(60) == 0
        assert [record["index"] for record in journal(out)] == [0]
        assert start("--resume", out).wait(60) == 0
        assert sorted(record["index"] for record in journal(out)) == [0, 1, 2, 3, 4, 5]
        assert server.count("0") == 2
        assert [server.count(str(number)) for number in range(1, 6)] == [2] * 5


def test_a_full_disk(ask: Ask, tmp_path: Path) -> None:
    """Exit 23, and what was not written is asked again."""
    lines = b"".join(b"say %d\n" % number for number in range(300))
    with open("/dev/full", "wb") as full:
        for args in ((), ("--json",), ("--jsonl",)):
            run = ask("-L", *args, stdin=lines, stdout=full)
            assert run.returncode == 23
            assert "stream: stdout cannot be written: no space left on device" in run.stderr
        events = tmp_path / "events.jsonl"
        run = ask("-L", "--events", events, stdin=lines, stdout=full)
    records = journal(events)
    check(records)
    started = {record["index"] for record in records if record["type"] == "start"}
    assert started == {record["index"] for record in records if record["type"] == "end"}
    assert records[-1]["exit_code"] == run.returncode == 23
    assert len(ask.server.asked) < 4 * 300


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_disk_that_fills_up(ask: Ask, child_env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.touch()
    lines = b"".join(b"say %d\n" % number for number in range(30))
    command = [*COMMAND, *ask.args, "-L", "--json", "--resume", str(out)]
    codes = []
    for kilobytes in (5, 11, 100):
        with out.open("ab") as file:
            limited = [sys.executable, "-IS", "-c", LIMITED, str(kilobytes << 10), *command]
            run = subprocess.run(
                limited, input=lines, stdout=file, stderr=subprocess.PIPE, env=child_env
            )
        codes.append(run.returncode)
        if run.returncode:
            assert b"file too large: the same command goes on from here" in run.stderr
    assert codes == [23, 23, 0]
    done = [record["index"] for record in journal(out) if record["complete"]]
    assert sorted(done) == list(range(30))


def test_a_file_that_cannot_be_written(ask: Ask, child_env: dict[str, str], tmp_path: Path) -> None:
    """Half an answer never gets its name, and its record says so."""
    (tmp_path / "out").mkdir()
    lines = b"say %s\nsay b\n" % (b"x" * 20_000)
    command = [*COMMAND, *ask.args, "-L", "-j", "1", "-O", "out/{index}"]
    run = subprocess.run(
        [sys.executable, "-IS", "-c", LIMITED, str(10 << 10), *command],
        input=lines,
        capture_output=True,
        env=child_env,
        cwd=tmp_path,
    )
    assert (run.returncode, run.stdout) == (23, b"")
    assert run.stderr == b"stream: out/0 cannot be written: file too large\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"1"}
    (tmp_path / "out" / "1").unlink(missing_ok=True)
    for more in (["-L", "-O", "out/{index}"], ["-O", "out/x"]):  # nor what --accept lets pass
        command = [*COMMAND, *ask.args, "--accept", "truncated", *more]
        run = subprocess.run(
            [sys.executable, "-IS", "-c", LIMITED, "4", *command],
            input=b"cut\n",
            capture_output=True,
            env=child_env,
            cwd=tmp_path,
        )
        assert run.returncode == 23
        assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "out" / "1").mkdir()
    told = ask("-L", "-j", "1", "--json", "-O", "out/{index}", stdin=b"say a\nsay b\nsay c\n")
    assert told.returncode == 23
    statuses = [record["status"] for record in told.records]
    assert statuses[:2] == ["complete", "write"]
    assert (tmp_path / "out" / "0").read_text() == "a"


# Becomes the command, with a mistake in what counts the prompts that are over.
WITH_A_BUG = """
import runpy, streamcli.batch.summary
add, seen = streamcli.batch.summary.Summary.add, []
def wrong(*args):
    seen.append(args)
    if len(seen) == 3:
        raise ZeroDivisionError("oh")
    add(*args)
streamcli.batch.summary.Summary.add = wrong
runpy.run_module("streamcli", run_name="__main__")
"""


def test_a_bug_leaves_no_prompt_without_its_end(ask: Ask, child_env: dict[str, str]) -> None:
    ask.server.plan = lambda prompt, before: Act(end="stall" if prompt == "stall" else "whole")
    command = [sys.executable, "-c", WITH_A_BUG, *ask.args, "-L", "--jsonl", "-j", "2", "--debug"]
    lines = b"stall\n" + b"".join(b"%d\n" % number for number in range(30))
    run = subprocess.run(command, input=lines, capture_output=True, env=child_env)
    records = [json.loads(line) for line in run.stdout.splitlines()]
    check(records)
    started = {record["index"] for record in records if record["type"] == "start"}
    ends = {record["index"]: record["status"] for record in records if record["type"] == "end"}
    assert started == set(ends)
    assert ends[0] == "bug"
    assert (run.returncode, records[-1]["type"]) == (1, "summary")
    said = run.stderr.decode()
    assert "Traceback" in said
    assert "stream: this is a bug in stream: ZeroDivisionError: oh: run it again" in said


NO_THREADS = """
import runpy, threading
def none(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = none
runpy.run_module("streamcli", run_name="__main__")
"""


def test_a_system_that_gives_no_threads(ask: Ask, child_env: dict[str, str]) -> None:
    command = [sys.executable, "-c", NO_THREADS, *ask.args, "-L", "--progress", "always"]
    run = subprocess.run(command, input=b"a\nb\n", capture_output=True, env=child_env)
    said = run.stderr.decode().splitlines()[-1]
    assert said == "stream: no thread to ask with: can't start new thread: see ulimit -u"
    assert (run.returncode, run.stdout) == (2, b"")


NO_FILES = """
import errno, os, runpy, socket
def none(*args, **more):
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
socket.socket.__init__ = none
runpy.run_module("streamcli", run_name="__main__")
"""


def test_too_few_open_files_are_not_the_servers_fault(ask: Ask, child_env: dict[str, str]) -> None:
    command = [sys.executable, "-c", NO_FILES, *ask.args, "-L", "--max-retries", "0"]
    run = subprocess.run(command, input=b"a\n", capture_output=True, env=child_env)
    (said, _) = run.stderr.decode().splitlines()
    assert said.endswith("(too many open files): fewer --jobs, or a higher limit (ulimit -n)")
    assert (run.returncode, run.stdout) == (20, b"\n")


# What is said


def test_many_failures_are_told_in_few_lines(ask: Ask) -> None:
    lines = b"".join(b"404 %d\n" % number for number in range(30)) + b"cut\n"
    run = ask("-L", stdin=lines)
    *told, last = run.complaints
    assert len([line for line in told if "HTTP 404" in line]) == 11
    (more,) = [line for line in told if "more of this kind" in line]
    assert "(more of this kind are only counted: -v shows them): check --base-url" in more
    assert any("prompt 31: the server closed the connection" in line for line in told)
    assert last == "stream: 31 of 31 prompts failed (30 rejected, 1 truncated)"
    assert len(ask("-L", "-v", stdin=lines).complaints) > 31
    assert ask("-L", "-q", stdin=lines).complaints[-1] == last
    run = ask("-L", "--accept", "length", stdin=b"length\n" * 30 + b"404\n")
    assert len(run.complaints) == 13
    assert run.complaints[-1] == "stream: 1 of 31 prompts failed (1 rejected)"


def test_a_provider_that_refuses_is_left_alone(ask: Ask) -> None:
    secret = "sk-secret-123"
    lines = b"".join(b"401 %d\n" % number for number in range(50))
    run = ask("-L", "-j", "4", "--json", stdin=lines, env={"VLLM_API_KEY": secret})
    assert run.returncode == 20
    assert len(ask.server.asked) <= 4
    assert {asked.key for asked in ask.server.asked} == {f"Bearer {secret}"}
    assert secret not in run.stderr + run.text
    assert "stream: vllm: HTTP 401: refused with 401: nothing more was asked of it" in run.stderr
    assert run.complaints[-1].endswith("--resume FILE, with these records, asks only the rest")


def test_a_moderated_prompt_fails_alone(ask: Ask) -> None:
    """A 403 about the key would end the batch; this one is about what the prompt says."""
    acts = {"bad": Act(403, code="content_filter"), "odd": Act(400, code="invalid_prompt")}
    ask.server.plan = lambda prompt, before: acts.get(prompt.partition(" ")[0], Act())
    prompts = ["bad 0", *(f"good {number}" for number in range(1, 9)), "odd 9", "good 10"]
    run = ask("-L", "-j", "2", "--json", stdin="\n".join(prompts).encode())
    assert run.returncode == 20
    ends = {end["index"]: end for end in run.records if end["type"] == "end"}
    assert len(ends) == len(ask.server.asked) == len(prompts)
    assert {index for index, end in ends.items() if end["status"] == "filtered"} == {0, 9}
    assert all(end["complete"] for index, end in ends.items() if index not in (0, 9))


def test_a_limit_that_names_a_billing_page_is_waited_for(ask: Ask) -> None:
    limit = Act(429, headers="retry-after: 0\r\n", code="rate_limit_exceeded")
    ask.server.plan = lambda prompt, before: Act() if before else limit
    run = ask("-L", "--json", stdin=b"one\ntwo\n")
    assert run.returncode == 0
    assert [end["status"] for end in run.records if end["type"] == "end"] == ["complete"] * 2


def test_an_interrupt_is_told_with_what_was_done(ask: Ask, popen: Popen, tmp_path: Path) -> None:
    """timeout(1) signals twice, to the process and to its group: that is one interrupt."""
    out = tmp_path / "out.jsonl"
    with out.open("ab") as file:
        process = popen(*ask.args, "-L", "-j", "2", "--jsonl", stdin=subprocess.PIPE, stdout=file)
    assert process.stdin
    process.stdin.write(b"say a\n404 b\nstall c\nstall d\nsay e\n")
    process.stdin.flush()
    assert eventually(lambda: len(ask.server.asked) == 4)
    assert eventually(lambda: len(journal(out)) > 5)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    last = err.decode().splitlines()[-1]
    assert last.startswith("stream: stopped by SIGTERM: 1 done, 1 failed, 2 broken off: --resume")
    records = journal(out)
    check(records)
    statuses = sorted(record["status"] for record in records if record["type"] == "end")
    assert statuses == ["complete", "interrupted", "interrupted", "rejected"]
    assert records[-1]["exit_code"] == 143

    args = ("-L", "--jsonl", "--resume", out)
    process = popen(*ask.args, *args, stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(b"say a\nstall c\n")
    process.stdin.flush()
    assert eventually(lambda: len(ask.server.asked) == 5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    last = err.decode().splitlines()[-1]
    again = "the same command goes on from here"
    assert last == f"stream: stopped by SIGINT: 1 done before, 1 broken off: {again}"


def test_a_reader_that_goes_away(ask: Ask, popen: Popen, tmp_path: Path) -> None:
    """As head(1) does: no word about it, and the records know what was answered."""
    gone = threading.Event()

    def plan(prompt: str, before: int) -> Act:
        assert prompt == "say 0" or gone.wait(90)
        return by_word(prompt, before)

    ask.server.plan = plan
    events = tmp_path / "events.jsonl"
    process = popen(*ask.args, "-L", "--events", events, stdin=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"".join(b"say %d\n" % number for number in range(2000)))
    assert process.stdout.readline() == b"0\n"
    process.stdout.close()
    process.stdin.close()
    gone.set()
    assert process.wait(60) == -signal.SIGPIPE
    assert process.stderr
    assert process.stderr.read() == b""
    records = journal(events)
    check(records)
    ends = [record for record in records if record["type"] == "end"]
    assert {(end["status"], end["exit_code"]) for end in ends} <= {
        ("complete", 0),
        ("complete", 141),  # the one whose text could not be written
        ("interrupted", 141),
    }
    assert (records[-1]["type"], records[-1]["exit_code"]) == ("summary", 141)
    assert len(ask.server.asked) < 1000


# Progress


def watch(
    ask: Ask,
    env: dict[str, str],
    lines: bytes,
    *args: Any,
    until: tuple[bytes, ...] = (),
    then: Callable[[subprocess.Popen[bytes]], object] = bool,
    stdout: int = subprocess.DEVNULL,
) -> tuple[bytes, int]:
    """(what a terminal on stderr got, the exit status); `then` is for when all `until` was seen."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 100))
    command = [
        sys.executable,
        "-IS",
        "-c",
        WITH_SIGNALS,
        "",
        *COMMAND,
        *ask.args,
        "-L",
        *map(str, args),
    ]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=slave if stdout == subprocess.STDOUT else stdout,
        stderr=slave,
        env={**env, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(slave)
    assert process.stdin
    process.stdin.write(lines)
    process.stdin.close()
    seen = b""
    deadline = time.monotonic() + 60
    try:
        while select.select([master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                data = os.read(master, 65536)
            except OSError:  # nobody has the other end any more
                break
            if not data:
                break
            seen += data
            if until and all(words in seen for words in until):
                until = ()
                then(process)
        return seen, process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.fixture
def drawn() -> threading.Event:
    """Set by a test when it has seen what it waits for."""
    return threading.Event()


@pytest.fixture
def slow(stream: Stream, drawn: threading.Event) -> Iterator[Ask]:
    """Answers that wait until something is drawn."""

    def plan(prompt: str, before: int) -> Act:
        if prompt == "404":
            return Act(status=404)
        drawn.wait(60)
        return Act()

    with BatchServer(plan) as server:
        yield Ask(stream, server)
        drawn.set()


@pytest.fixture
def unhurried(stream: Stream) -> Iterator[Ask]:
    """Answers that leave time for drawings."""
    with BatchServer(lambda prompt, before: Act(wait=0.4)) as server:
        yield Ask(stream, server)


def shown(seen: bytes) -> list[str]:
    """The lines that a terminal shows, without the empty ones below."""
    screen = pyte.Screen(100, 24)
    pyte.ByteStream(screen).feed(seen)
    return "\n".join(line.rstrip() for line in screen.display).rstrip("\n").split("\n")


def test_progress_on_a_terminal(
    slow: Ask, drawn: threading.Event, child_env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "lines").write_bytes(b"404\na\nb\nc\n")
    args = ("-j", "2", "-f", tmp_path / "lines")
    until = b"2 in flight", b"1 rejected"
    seen, code = watch(slow, child_env, b"", *args, until=until, then=lambda _: drawn.set())
    assert code == 20
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert "of 4" in plain
    assert "2 in flight" in plain
    assert "1 rejected" in plain
    assert "last error: prompt 1: HTTP 404" in plain
    first, *_, last = shown(seen)
    assert first.startswith("stream: prompt 1: HTTP 404")
    assert last == "stream: 1 of 4 prompts failed (1 rejected)"
    assert not any("in flight" in line for line in shown(seen))


def test_progress_has_no_colours_where_none_are_wanted(
    slow: Ask, drawn: threading.Event, child_env: dict[str, str]
) -> None:
    env = {**child_env, "NO_COLOR": "1"}
    until = (b"1 in flight",)
    seen, _ = watch(slow, env, b"404\na\n", until=until, then=lambda _: drawn.set())
    assert b"in flight" in seen
    assert not re.search(rb"\x1b\[\d+(;\d+)*m", seen)


@pytest.mark.parametrize("option", [("-q",), ("--progress", "never")])
def test_no_progress(unhurried: Ask, child_env: dict[str, str], option: tuple[str, ...]) -> None:
    assert watch(unhurried, child_env, b"a\n", *option)[0] == b""


def test_progress_is_gone_after_an_interrupt(slow: Ask, child_env: dict[str, str]) -> None:
    def interrupt(process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGINT)

    until = (b"3 in flight",)
    seen, code = watch(slow, child_env, b"a\nb\nc\n", until=until, then=interrupt)
    assert code == -signal.SIGINT
    assert re.fullmatch(r"stream: stopped by SIGINT: \d broken off", "\n".join(shown(seen)))


def test_a_wait_is_shown(stream: Stream, child_env: dict[str, str]) -> None:
    """Refusals of many at once hold the provider; it would take its time to trust it again."""

    def plan(prompt: str, before: int) -> Act:
        return Act(status=429, headers="retry-after: 0.5\r\n")

    def interrupt(process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGINT)

    with BatchServer(plan) as server:
        args = (Ask(stream, server), child_env, b"a\n" * 30, "-j", "30")
        seen, code = watch(*args, until=(b"vllm: waiting 1 s",), then=interrupt)
    assert b"vllm: waiting 1 s" in seen
    assert code == -signal.SIGINT


def test_a_wait_that_the_server_asked_for_in_advance_is_shown(
    stream: Stream, child_env: dict[str, str]
) -> None:
    seen_it = threading.Event()
    spent = "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1s\r\n"

    def plan(prompt: str, before: int) -> Act:
        return Act(headers="" if seen_it.is_set() else spent)

    with BatchServer(plan) as server:
        args = (Ask(stream, server), child_env, b"a\n" * 60, "-j", "1")
        until = (b"vllm: waiting 1 s",)
        _, code = watch(*args, until=until, then=lambda _: seen_it.set())
    assert code == 0
    assert seen_it.is_set()
    assert len(server.asked) == 60


def test_no_progress_in_the_way_of_text(unhurried: Ask, child_env: dict[str, str]) -> None:
    seen, code = watch(unhurried, child_env, b"a\nb\n", stdout=subprocess.STDOUT)
    assert code == 0
    # The sign of life stands behind the cursor, and is erased by what comes next.
    shown = re.sub(rb"\x1b7.*?\x1b8|\x1b\[K", b"", seen).decode()
    assert shown == f"{answer_to('a')}\r\n{answer_to('b')}\r\n"


def test_progress_without_a_terminal(unhurried: Ask) -> None:
    assert unhurried("-L", stdin=b"a\n").stderr == ""
    run = unhurried("-L", "--progress", "always", stdin=b"a\nb\n")
    assert run.complaints == [f"stream: 2 done   {run.complaints[0].split('   ', 1)[1]}"]


@pytest.mark.parametrize(
    ("indent", "array", "command"),
    [(2, True, "jq -c '.[]'"), (None, True, "jq -c '.[]'"), (2, False, "jq -c .")],
)
def test_a_document_in_place_of_requests(
    ask: Ask, indent: int | None, array: bool, command: str
) -> None:
    request = {"prompt": "say a", "stop": ["x"]}
    document = json.dumps([request, request] if array else request, indent=indent)
    run = ask("--requests", "--json", stdin=f"\n{document}\n".encode())
    assert run.returncode == 2
    assert len(run.complaints) == 1
    assert run.stderr.endswith(f"{command} FILE | stream --requests\n")
    assert not ask.server.asked


def test_a_bad_first_line_of_requests_fails_alone(ask: Ask) -> None:
    run = ask("--requests", stdin=b'{"prompt": "say\n{"prompt": "say b"}\n[\n')
    assert run.text == "\nb\n\n"
    assert run.returncode == 20


def test_verbose_names_a_prompt_by_its_beginning(ask: Ask) -> None:
    prompt = b"404 " + b"long " * 20
    run = ask("-L", "-v", stdin=prompt + b"\n")
    assert "stream: prompt 1 (404 long long long long long long lon...): HTTP 404" in run.stderr
    assert "long" not in ask("-L", stdin=prompt + b"\n").stderr
