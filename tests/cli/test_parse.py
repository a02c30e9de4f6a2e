"""The command line: what is taken, in which encoding, and the message when it is wrong."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import COMMAND, Stream
from faultserver import FaultServer

from streamcli.cli.parse import written_out

# A locale whose encoding is ASCII, without what Python does against it by itself.
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def test_the_version(stream: Stream) -> None:
    assert stream("-V").text == stream("--version").text != ""


@pytest.mark.parametrize(
    "option", ["--api-key=sk-secret", "--api-key", "--key", "--token=x", "--apikey", "--api-token"]
)
def test_a_key_is_never_an_argument(stream: Stream, option: str) -> None:
    run = stream(option, "hi")
    assert run.returncode == 2
    (line,) = run.complaints
    assert "OPENAI_API_KEY" in line
    assert "--key-file" in line
    assert "key_cmd" in line
    assert "secret" not in line


@pytest.mark.parametrize(
    "prompt",
    [
        "-5 degrees?",
        "-what is this",
        "- a list item",
        "-rf is what?",
        "-n is what?",
        "-p hi",
        "-x is -y",
        "-kind regards",
        "-qv hi",
        "--help me",
        "--json please",
        "-- hi",
        "-1",
        "---",
    ],
)
def test_the_command_that_would_work_is_named(
    stream: Stream, server: FaultServer, prompt: str
) -> None:
    """No option takes a part of it: `-rf is what?` would be -r and -f, and exit 0."""
    run = stream("-m", "vllm:m", "--base-url", server.url("ok"), prompt)
    assert run.returncode == 2
    (line,) = run.complaints
    assert f"put '--' before a prompt that begins with '-': -- {shlex.quote(prompt)}" in line
    assert not server.requests


def test_a_value_may_begin_with_a_dash(stream: Stream, server: FaultServer) -> None:
    for args in (("-s", "- be brief"), ("-s- be brief",), ("--system=- be brief",)):
        run = stream("-m", "vllm:m", "--base-url", server.url("ok"), *args, "hi")
        assert (run.returncode, run.stderr) == (0, "")
        assert server.requests[-1].json["messages"][0]["content"] == "- be brief"


@pytest.mark.parametrize("args", [("-Hello there",), ("-sum 1 2",)])
def test_no_prompt_because_an_option_took_it(stream: Stream, args: tuple[str, ...]) -> None:
    run = stream("-m", "vllm:m", *args)
    assert run.returncode == 2
    assert "no prompt: put '--' before" in run.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("-temperature", "1"), "did you mean --temperature?"),
        (("-model=m",), "did you mean --model?"),
        (("-jsonl",), "did you mean --jsonl?"),
        (("-m",), "-m needs a value: -m, --model [PROVIDER:]MODEL"),
        (("--timeout",), "--timeout needs a value: --timeout TIME"),
        (("-uvw",), "there is no option -w, as in -uvw"),
        (("-j", "x"), "'x' is not a whole number"),
        (("--seed", "1.5"), "'1.5' is not a whole number"),
        (("--top-p", "high"), "'high' is not a number"),
        (("--top-p", "3"), "3 is not at most 1"),
        (("--max-tokens", "0"), "0 is not at least 1"),
        (("--pace", "0"), "0 is not more than 0"),
        (("--temperature", "1e400"), "inf is not a finite number"),
        (("-p", "Sum up this:"), "-p names a provider, and the prompt needs no option"),
        (("-p", "hi"), "-p names a provider, and the prompt needs no option"),
        (("--check=hi",), "no provider is called 'hi': stream --list-providers"),
        (("--no-stdin=x", "hi"), "--no-stdin does not take a value: -n, --no-stdin"),
        (("--json=", "hi"), "--json does not take a value: --json"),
        (("-m", "vllm:m", "-f", " ", "hi"), "' ' cannot be read"),
        (("--rows", "--into", "", "{a}"), "--into names no field: --into FIELD"),
        (("-m", "vllm:m", "-o", "", "hi"), "-o '': that is not an option: write it KEY=VALUE"),
    ],
)
def test_a_message_names_what_would_work(stream: Stream, args: tuple[str, ...], says: str) -> None:
    run = stream(*args)
    assert run.returncode == 2
    (line,) = run.complaints
    assert says in line


def test_a_prompt_that_begins_with_a_dash(stream: Stream, server: FaultServer) -> None:
    run = stream("-m", "vllm:m", "--base-url", server.url("ok"), "-5 degrees?")
    assert run.returncode == 2
    assert "-- '-5 degrees?'" in run.stderr
    run = stream("-m", "vllm:m", "--base-url", server.url("ok"), "--", "-5 degrees?")
    assert run.returncode == 0
    assert server.requests[-1].json["messages"][-1]["content"] == "-5 degrees?"


@pytest.mark.parametrize(
    ("words", "options", "behind"),
    [
        (["-m", "vllm:m", "hi"], ["--model", "vllm:m", "hi"], []),
        (["-mvllm:m"], ["--model=vllm:m"], []),
        (["-m=x"], ["--model==x"], []),
        (["-qm", "x"], ["--quiet", "--model", "x"], []),
        (["-qx", "hi"], ["--quiet", "--extract=*", "hi"], []),
        (["-qx=py"], ["--quiet", "--extract=py"], []),
        (["--think", "hi"], ["--think=medium", "hi"], []),
        # A value is a value, whatever it looks like.
        (["-s", "--think", "-n"], ["--system", "--think", "--no-stdin"], []),
        (["-s", "--", "--model", "-q"], ["--system", "--", "--model", "-q"], []),
        (["--model=-q", "-"], ["--model=-q", "-"], []),
        (["a", "--", "-m", "-"], ["a"], ["--", "-m", "-"]),
        # What is no option stays as it was typed, for the message.
        (["-m"], ["-m"], []),
        (["-qm"], ["-qm"], []),
        (["-5 degrees?", "", "-"], ["-5 degrees?", "", "-"], []),
        (["-xpy", "--nothing"], ["-xpy", "--nothing"], []),
    ],
)
def test_options_are_written_out(words: list[str], options: list[str], behind: list[str]) -> None:
    assert written_out(words) == (options, behind)


def test_arguments_are_utf8_whatever_the_locale_is(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "naïve.txt").write_text("œuf")
    args = ["-m", "vllm:m", "--base-url", server.url("ok"), "-f", "naïve.txt", "café"]
    done = subprocess.run(
        [*COMMAND, *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=tmp_path,
        env={**child_env, **ASCII, "STREAM_SYSTEM": "Señor"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    messages = server.requests[-1].json["messages"]
    assert [each["content"] for each in messages] == ["Señor", "œuf\n\ncafé"]


def test_bytes_that_are_not_utf8_are_an_error_in_every_locale(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    args = [b"-m", b"vllm:m", b"--base-url", server.url("ok").encode(), b"caf\xe9"]
    for locale in ({}, ASCII):
        done = subprocess.run(
            [*(word.encode() for word in COMMAND), *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=tmp_path,
            env={**child_env, **locale},
        )
        assert done.returncode == 2
        assert b"not UTF-8: byte 0xe9 at offset 3" in done.stderr


def test_a_prompt_behind_p_is_not_a_provider(stream: Stream) -> None:
    run = stream("-p", "hi")
    assert run.returncode == 2
    run = stream("-p", "hi", "-n", "there")
    assert run.returncode == 2
    (line,) = run.complaints
    assert "-p names a provider" in line


@pytest.mark.parametrize("args", [("--tool-choice", "auto"), ("--confirm",), ("--max-rounds", "2")])
def test_an_option_of_tools_needs_tools(
    stream: Stream, server: FaultServer, tmp_path: Path, args: tuple[str, ...]
) -> None:
    run = stream("-m", "vllm:m", "--dry-run", "-n", *args, "hi")
    assert run.returncode == 2
    assert run.complaints == [f"stream: {args[0]} needs tools: --tools FILE"]
    (tmp_path / "tools.json").write_text('[{"name": "f", "description": "d", "command": ["true"]}]')
    more = ("--base-url", server.url("ok"), "--check", "--tools", "tools.json")
    if args != ("--confirm",):  # which wants a terminal
        probe = stream("-m", "vllm:m", *more, *args)
        assert (probe.returncode, probe.stderr) == (0, "")  # the probe itself has no tools
    env = {f"STREAM_{args[0][2:].replace('-', '_').upper()}": args[-1] if args[1:] else "1"}
    assert stream("-m", "vllm:m", "--dry-run", "-n", "hi", env=env).returncode == 0
