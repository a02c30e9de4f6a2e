"""--list-providers, --list-models, --check and --dry-run, by the real process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Stream
from faultserver import Conn, FaultServer

from streamcli.providers.list_models import models_url
from streamcli.settings.options import PROTOCOLS

KEY = "sk-test-1234567890"


def models(listed: Any) -> Any:
    """A server with that answer to GET /models, and `ok` for everything else."""
    from faultserver import ok

    def play(conn: Conn) -> None:
        if conn.request.method == "GET":
            assert conn.request.path.endswith("/v1/models")
            conn.reply(200, listed)
        else:
            ok(conn)

    return play


def test_list_providers(stream: Stream) -> None:
    run = stream("--list-providers", env={"GROQ_API_KEY": KEY})
    assert (run.returncode, run.stderr) == (0, "")
    lines = {line.split()[0]: line for line in run.text.partition("\n\n")[0].splitlines()}
    assert max(map(len, run.text.splitlines())) <= 88
    assert "GROQ_API_KEY" in lines["groq"]
    assert "no: OPENAI_API_KEY" in lines["openai"]
    assert "http://127.0.0.1:11434" in lines["ollama"]
    assert KEY not in run.text
    rows = stream("--list-providers", "--json", env={"GROQ_API_KEY": KEY}).records
    by_name = {row["provider"]: row for row in rows}
    assert set(by_name) == set(lines) - {"PROVIDER"}
    assert by_name["groq"]["configured"] is True
    assert by_name["groq"]["source"] == "GROQ_API_KEY"
    assert by_name["openai"]["configured"] is False
    for row in rows:
        features = ("streaming", "tools", "attachments", "reasoning", "schema", "prefill")
        assert all(isinstance(row[name], bool) for name in features)
        assert row["protocol"] in PROTOCOLS


@pytest.mark.parametrize(
    "listed",
    [
        {"object": "list", "data": [{"id": "a"}, {"id": "b/c:d"}]},
        [{"id": "a"}, {"id": "b/c:d"}],
        ["a", "b/c:d"],
        {"models": [{"name": "a"}, {"id": "b/c:d"}]},
    ],
)
def test_list_models(server: FaultServer, stream: Stream, listed: Any) -> None:
    url = server.script("models", models(listed))
    run = stream("--list-models", "-p", "openai", "--base-url", url, env={"OPENAI_API_KEY": KEY})
    assert (run.returncode, run.text, run.stderr) == (0, "a\nb/c:d\n", "")
    assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    run = stream("--list-models", "--json", "-m", "vllm:x", "--base-url", url)
    assert run.records == [{"id": "a"}, {"id": "b/c:d"}]
    run = stream("--list-models", "--base-url", url + "/chat/completions")
    assert run.text == "a\nb/c:d\n"


def test_list_models_that_fails(server: FaultServer, stream: Stream) -> None:
    run = stream("--list-models")
    assert run.returncode == 2
    assert "no provider chosen" in run.stderr
    args = ("--list-models", "-p", "vllm", "--base-url")
    run = stream(*args, server.url("status_401"))
    assert run.returncode == 67
    assert "no key was sent: set VLLM_API_KEY, or --key-file" in run.stderr
    assert stream(*args, server.url("status_500")).returncode == 15
    run = stream(*args, server.url("html"))
    assert run.returncode == 8
    assert "is a web page (HTML), not JSON: check --base-url" in run.stderr
    assert stream(*args, "http://127.0.0.1:1/v1").returncode == 7
    assert stream("--list-models", "-p", "openai").returncode == 67
    assert stream(*args, server.script("none", models({"data": []}))).text == ""


def test_check(server: FaultServer, stream: Stream) -> None:
    args = ("--check", "-m", "vllm:m", "--base-url", server.url("length"))
    run = stream(*args)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.text.startswith("vllm: ")
    assert "first token after" in run.text
    assert server.requests[-1].json["max_tokens"] == 1
    (end,) = stream(*args, "--json").records
    assert (end["type"], end["status"], end["exit_code"]) == ("end", "length", 0)
    for scenario, code in (("status_401", 67), ("status_404", 22), ("html", 8)):
        run = stream("--check", "-m", "vllm:m", "--base-url", server.url(scenario))
        assert run.returncode == code
        assert run.stdout == b""
        assert len(run.complaints) == 1


def test_check_without_a_model_lists_them(server: FaultServer, stream: Stream) -> None:
    env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.script("m", models(["a", "b"]))}
    run = stream("--check=openai", env=env)
    assert (run.returncode, run.stderr) == (0, "")
    assert "2 models" in run.text
    assert stream("--check=openai").returncode == 67
    assert stream("--check=nobody").returncode == 2


def test_check_never_eats_the_prompt_and_modes_exclude_each_other(stream: Stream) -> None:
    run = stream("--check", "--list-models")
    assert run.returncode == 2
    assert "--check" in run.stderr
    run = stream("--dry-run", "http", "-m", "vllm:m")
    assert json.loads(run.text.partition("\n\n")[2])["messages"][0]["content"] == "http"


def test_dry_run_sends_nothing_and_shows_no_key(
    server: FaultServer, stream: Stream, tmp_path: Path
) -> None:
    key_file = tmp_path / "my key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    url = server.url("ok")
    for how in ("--dry-run", "--dry-run=curl"):
        run = stream(how, "-m", "openai:m", "--base-url", url, "hi", env={"OPENAI_API_KEY": KEY})
        assert run.returncode == 0
        assert "Bearer $OPENAI_API_KEY" in run.text
        assert KEY not in run.text + run.stderr
        run = stream(how, "-m", "vllm:m", "--base-url", url, "--key-file", key_file, "hi")
        assert "$(cat " in run.text
        assert KEY not in run.text + run.stderr
        assert stream(how, "-m", "openai:m", "hi").returncode == 0, "no key is needed"
        assert stream(how, "-m", "local", "hi").returncode == 0, "no engine either"
    assert not server.requests


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_curl_command_works_when_pasted(
    server: FaultServer, stream: Stream, child_env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    prompt = 'it\'s "quoted" $HOME `x` \\ é\nnew line'
    key_file = ("--key-file", str(tmp_path / "key"))
    for extra in ((), key_file, ("-H", "X-A: it's $b"), ("-o", "a.b=$(x)")):
        url = server.url("ok")
        args = ("-m", "openai:m", "--base-url", url, *extra, prompt)
        env = {"OPENAI_API_KEY": KEY}
        server.clear()
        command = stream("--dry-run=curl", *args, env=env).text
        done = subprocess.run(["sh", "-c", command], env={**child_env, **env}, capture_output=True)
        assert done.stdout.endswith(b"data: [DONE]\n\n"), done
        assert stream(*args, env=env).returncode == 0
        pasted, ours = server.requests
        assert pasted.json == ours.json
        for name in ("authorization", "content-type", "x-a"):
            assert pasted.headers.get(name) == ours.headers.get(name)


def test_lists_into_a_closed_pipe(stream: Stream, child_env: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as stdout:
        run = stream("--list-providers", stdout=stdout)
    assert run.returncode == -13


@pytest.mark.parametrize(
    ("protocol", "base", "url"),
    [
        ("openai-chat", "http://h/v1/", "http://h/v1/models"),
        ("openai-chat", "http://h/v1/chat/completions", "http://h/v1/models"),
        (
            "openai-responses",
            "http://h/v1/responses?api-version=1",
            "http://h/v1/models?api-version=1",
        ),
        ("anthropic", "https://api.anthropic.com", "https://api.anthropic.com/v1/models"),
        ("anthropic", "http://h/v1/messages", "http://h/v1/models"),
        ("gemini", "https://g", "https://g/v1beta/models"),
        ("gemini", "https://g/v1/models", "https://g/v1/models"),
        ("ollama", "http://h:1", "http://h:1/v1/models"),
        ("ollama", "http://h:1/api/chat", "http://h:1/v1/models"),
        ("ollama", "http://h:1/v1", "http://h:1/v1/models"),
    ],
)
def test_where_the_models_are(protocol: str, base: str, url: str) -> None:
    assert models_url(protocol, base) == url
