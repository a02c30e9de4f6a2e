"""Every record keeps its schema: no key unknown, none missing; whole lines; safe to `tail -f`."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from conftest import Configure, Result, Stream, at_once
from faultserver import Conn, FaultServer
from records import SCHEMA, check, ref

from streamcli.output import records

SCENARIOS = [
    "ok",
    "length",
    "filtered",
    "refusal",
    "error_midstream",
    "error_first",
    "no_done",
    "done_only",
    "truncated_clean",
    "cut_rst",
    "html",
    "empty",
    "json_error_200",
    "whole_json",
    "bad_json_middle",
    "redirect",
    "status_401",
    "status_404",
    "status_429",
    "status_503",
    "crlf",
    "think",
    "reasoning",
    "tool_calls",
    "surrogates",
    "flaky_1",
    "unicode",
    "gzip",
]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert {branch["$ref"] for branch in SCHEMA["oneOf"]} == set(map(ref, SCHEMA["$defs"]))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_records_keep_the_schema(server: FaultServer, stream: Stream, scenario: str) -> None:
    def ask(output: str) -> Result:
        url = server.url(f"{scenario}~{output}")
        args = ("-m", "vllm:m", "--base-url", url, "--max-retries", "1", "--max-wait", "1", "hi")
        return stream(*args, f"--{output}")

    run, in_one = at_once(lambda: ask("jsonl"), lambda: ask("json"))
    lines = run.records
    check(lines)
    assert [r["type"] for r in lines].count("end") == 1
    assert lines[-1]["type"] == "end"
    assert lines[-1]["exit_code"] == run.returncode
    assert len({r["request_id"] for r in lines}) == 1
    times = [r["t_ms"] for r in lines]
    assert times == sorted(times)
    assert [r["seq"] for r in lines if r["type"] == "delta"] == list(
        range(sum(r["type"] == "delta" for r in lines))
    )
    attempts = [r["attempt"] for r in lines if r["type"] == "start"]
    assert attempts == list(range(1, lines[-1]["attempts"] + 1))

    (end,) = in_one.records
    check([end])
    assert end["text"] == "".join(r["text"] for r in lines if r.get("channel") == "text")
    assert end["chars"] == len(end["text"])
    assert end["status"] == lines[-1]["status"]
    assert end["prompt_hash"] == lines[-1]["prompt_hash"]


@pytest.mark.parametrize(
    "args",
    [
        ["hi"],
        ["-m", "nobody:m", "hi"],
        ["-m", "openai:m", "hi"],
        ["-m", "vllm:m", ""],
        ["-m", "vllm:m", "-f", "/nowhere"],
        ["-m", "vllm:m", "-o", "x", "hi"],
    ],
)
def test_failures_before_the_request_have_their_record(stream: Stream, args: list[str]) -> None:
    run = stream("--jsonl", *args)
    check(run.records)
    (end,) = run.records
    assert end["exit_code"] == run.returncode != 0
    assert end["attempts"] == 0
    assert end["error"]["message"] in run.stderr.replace("\n", " ") or "\n" in run.stderr


def test_controls_are_escaped_and_long_deltas_split(server: FaultServer, stream: Stream) -> None:
    controls = "".join(map(chr, range(0xA0))) + "\u00a0\u00bf\u00c2\u0080"
    text = controls + "\U0001f600é" * 5000

    def answer(conn: Any) -> None:
        conn.head()
        conn.delta(text)
        conn.finish()
        conn.done()
        conn.end()

    run = stream("-m", "vllm:m", "--base-url", server.script("controls", answer), "--jsonl", "hi")
    for byte in run.stdout:
        assert byte == 10 or byte >= 0x20
        assert byte != 0x7F
    for line in run.stdout.decode().splitlines():
        assert not any(0x80 <= ord(char) < 0xA0 for char in line)
    assert all(len(line) < 4096 for line in run.stdout.split(b"\n"))
    assert "".join(r["text"] for r in run.records if r["type"] == "delta") == text


def test_counts_are_records_the_moment_they_come(server: FaultServer, stream: Stream) -> None:
    """For those who watch tokens in real time; what is only repeated is not told again."""

    def counted(**counts: int) -> dict[str, Any]:
        return {"choices": [], "usage": counts}

    def play(conn: Conn) -> None:
        conn.open_with("Hello")
        for counts in ((5, 1), (5, 1), (5, 2)):
            conn.event(counted(prompt_tokens=counts[0], completion_tokens=counts[1]))
        conn.finish("stop")
        conn.done()
        conn.end()

    url = server.script("counted", play)
    run = stream("-m", "vllm:m", "--base-url", url, "-n", "--jsonl", "hi")
    check(run.records)
    told = [record for record in run.records if record["type"] == "usage"]
    assert [(each["input_tokens"], each["output_tokens"]) for each in told] == [(5, 1), (5, 2)]
    assert told[0]["cache_read_tokens"] is None
    end = run.records[-1]
    assert end["usage"] == {name: told[-1][name] for name in end["usage"]}


def test_request_ids_are_unique_and_sort_by_time() -> None:
    ids = [records.request_id(1_700_000_000 + n) for n in range(100)]
    assert ids == sorted(set(ids))
    assert {len(id) for id in ids} == {26}


def test_timestamps_are_rfc_3339() -> None:
    assert records.timestamp(0.0) == "1970-01-01T00:00:00.000Z"
    assert records.timestamp(1795147331.4831) == "2026-11-20T04:02:11.483Z"


def test_the_prompt_hash_is_of_what_decides_the_answer(server: FaultServer, stream: Stream) -> None:
    base = ["-m", "vllm:m", "--base-url", server.url("ok"), "--json"]

    def digest(*args: str) -> str:
        return str(stream(*base, *args).records[0]["prompt_hash"])

    same = digest("hi")
    assert same == digest("hi", "--max-retries", "1", "--no-stream", "-u")
    others = [digest("ho"), digest("hi", "--seed", "1"), digest("hi", "-s", "x")]
    others += [digest("hi", "-o", "a=1")]
    assert len({same, *others}) == len(others) + 1


def test_a_cost_is_a_plain_decimal(
    server: FaultServer, stream: Stream, configure: Configure
) -> None:
    configure(
        f"""
        [provider.mine]
        protocol = "openai-chat"
        base_url = "{server.url("ok")}"
        [provider.mine.prices]
        m = {{ input = 0.5, output = 1 }}
        """
    )
    run = stream("-m", "mine:m", "--json", "hi")
    (end,) = run.records
    assert 0 < end["cost"] < 1e-4
    assert b'"cost":0.0000' in run.stdout
    batch = stream("-m", "mine:m", "-L", "--jsonl", stdin=b"hi\n")
    assert b'"cost":0.0000' in batch.stdout.splitlines()[-1]
    assert b"e-" not in b"".join(batch.stdout.split(b'"cost":')[1:]).split(b",")[0]


def test_the_prompt_is_in_the_record_where_it_is_wanted(
    server: FaultServer, stream: Stream
) -> None:
    base = ["-m", "vllm:m", "--base-url", server.url("ok"), "--with-prompt"]
    result = stream(
        *base, "--jsonl", "-s", "brief", "Sum", "it up:", stdin="the \x85 notes\n".encode()
    )
    assert result.returncode == 0
    assert result.records[-1]["prompt"] == server.seen("ok")[0].json["messages"][-1]["content"]
    assert result.records[-1]["prompt"] == "the \x85 notes\n\nSum it up:"
    assert not [each for each in result.records[:-1] if "prompt" in each]
    check(result.records)
    requests = [
        {"prompt": "a"},
        {"messages": [{"role": role, "content": role} for role in ("user", "assistant", "user")]},
        {"prompt": 7},
    ]
    lines = "".join(json.dumps(each) + "\n" for each in requests)
    batch = stream(*base, "--json", "--requests", "-j", "1", stdin=lines.encode())
    prompts = {each["index"]: each.get("prompt") for each in batch.records}
    assert prompts == {0: "a", 1: "user", 2: None}
    check(batch.records)


def test_the_prompt_needs_a_record(server: FaultServer, stream: Stream) -> None:
    base = ["-m", "vllm:m", "--base-url", server.url("ok")]
    result = stream(*base, "--with-prompt", "hi")
    assert (result.returncode, len(server.seen("ok"))) == (2, 0)
    assert "--with-prompt needs records: --json, --jsonl or --events FILE" in result.stderr
    assert stream("--decode", "--json", "--with-prompt", stdin=b"").returncode == 2
    as_default = stream(*base, "hi", env={"STREAM_WITH_PROMPT": "1"})
    assert (as_default.returncode, as_default.stderr) == (0, "")
