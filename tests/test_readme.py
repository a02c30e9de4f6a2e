"""Every block of the README runs as it stands there, against a server of ours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faultserver import Conn, FaultServer, ok
from guides import anyone_says
from guides.honcho import TASTES
from honchoserver import Honcho

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# These two are what .ci/run and a new user do; the rest runs here.
SET_UP = ("pip install",)

FILES = {
    "body.json": '{"model": "m", "stream": true, "messages": []}',
    "schema.json": '{"type": "object"}',
    "photo.png": "GIF89a",
    "app.log": "12:00 ERROR disk full\n12:01 ok\n12:02 error: disk still full\n",
    "notes.txt": "Pipes connect programs.\n",
    "names.txt": "Ann\nBob\n",
    "prompts.txt": "One\nTwo\nThree\nFour\n",
    "tastes.txt": "".join(f"{taste}\n" for taste in TASTES),
}


def blocks(*languages: str) -> list[str]:
    found = [text for language, text in BLOCKS if language in languages]
    return [text for text in found if not text.startswith(SET_UP)]


@pytest.fixture
def shell_env(server: FaultServer, child_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Environment in which the README's commands mean our server; files that they name."""

    def play(conn: Conn) -> None:
        if conn.request.method == "GET":
            conn.reply(200, {"data": [{"id": "small"}]})
        elif conn.request.path.endswith("/chat/completions"):
            ok(conn)
        else:
            anyone_says("Hello", " world")(conn, tmp_path)

    url = server.script("readme", play)
    shim = tmp_path / "bin" / "stream"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streamcli "$@"\n')
    shim.chmod(0o755)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    env = {**child_env, "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}", "README_URL": url}
    env["STREAM_MODEL"] = "vllm:qwen"
    for provider in ("OPENAI", "VLLM", "MACHINEFI", "HAI"):
        env |= {f"{provider}_BASE_URL": url, f"{provider}_API_KEY": "sk-readme"}
    for variable in ("OLLAMA_HOST", "TYLER_BASE_URL", "AGENTICRAFT_BASE_URL"):
        env[variable] = url
    server.script("v3", Honcho().play)
    env["HONCHO_URL"] = server.origin
    return env


@pytest.mark.parametrize("block", blocks("sh"), ids=lambda text: text.splitlines()[0][:50])
def test_block(block: str, shell_env: dict[str, str], tmp_path: Path) -> None:
    for tool in ("jq", "git", "xargs", "curl"):
        if re.search(rf"\b{tool}\b", block) and not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    script = block.replace("http://127.0.0.1:8000/v1", shell_env["README_URL"])
    # A `tail -F` goes on until somebody stops it: here, once the story is told.
    script = script.replace("tail -n +1 -F", "wait; cat")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=shell_env,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done
    for name in re.findall(r"> (\w+\.(?:md|txt))", script):
        expected = "" if name == "thoughts.txt" else "Hello world"
        assert expected in (tmp_path / name).read_text()


def test_make_rule(shell_env: dict[str, str], tmp_path: Path) -> None:
    if not shutil.which("make"):
        pytest.skip("needs make")
    (rule,) = blocks("make")
    (tmp_path / "Makefile").write_text(rule)
    subprocess.run(["make", "report.md"], env=shell_env, cwd=tmp_path, check=True)
    assert (tmp_path / "report.md").read_text() == "Hello world"
    (tmp_path / "report.md").unlink()
    broken = {**shell_env, "VLLM_BASE_URL": shell_env["README_URL"].replace("readme", "cut_rst")}
    done = subprocess.run(["make", "report.md"], env=broken, cwd=tmp_path, capture_output=True)
    assert done.returncode == 2
    assert b"Error 18" in done.stderr
    assert not (tmp_path / "report.md").exists()


@pytest.fixture
def configured(shell_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment, with the README's blocks as the configuration."""
    path = tmp_path / "config" / "stream" / "config.toml"
    path.parent.mkdir(parents=True)
    url = shell_env["README_URL"]
    path.write_text("\n".join(blocks("toml")).replace("http://127.0.0.1:8000", url))
    path.chmod(0o600)
    env = {**shell_env, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    del env["STREAM_MODEL"]
    return env


@pytest.mark.parametrize(
    ("args", "url", "body"),
    [
        ("hi", "https://api.groq.com/openai/v1/chat/completions", '"content":"hi"'),
        ("-m work:q hi", "https://llm.example.com/v1/chat/completions", '"content":"hi"'),
        ("-p mine --temperature 0 hi", "HERE/chat", '{"question":"hi","temperature":0.0}'),
        ("-p mychat hi", "HERE/api/chat", '"parts":[{"type":"text","text":"hi"}]'),
        ("-p events hi", "HERE/research", '{"topic":"hi"}'),
    ],
)
def test_configuration(configured: dict[str, str], args: str, url: str, body: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streamcli", "--dry-run", *args.split()],
        env=configured,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    request = done.stdout.decode()
    assert request.startswith(f"POST {url.replace('HERE', configured['README_URL'])}\n")
    assert body in request


def test_json_events_of_ones_own(configured: dict[str, str], server: FaultServer) -> None:
    def play(conn: Conn) -> None:
        conn.head()
        for event in ({"delta": {"text": "Hi"}}, {"delta": {"text": " you"}}, {"type": "end"}):
            conn.event(event)
        conn.end()

    server.script("readme", play)
    done = subprocess.run(
        [sys.executable, "-m", "streamcli", "-p", "mine", "hi"],
        env=configured,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"Hi you"


def test_every_exit_code_and_record_is_told() -> None:
    from streamcli.errors import EXIT_OF_STATUS

    for status, code in EXIT_OF_STATUS.items():
        assert re.search(rf"^\|[ 0-9]*\b{code}\b[ 0-9]*\| `{status}` \|", README, re.MULTILINE)
    for kind in ("start", "delta", "tool_call", "citation", "retry", "end"):
        assert re.search(rf"^\| `{kind}` \|", README, re.MULTILINE)
