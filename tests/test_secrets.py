"""What is secret is shown nowhere: each kind of secret through each output that could show it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Configure, Result, Stream
from faultserver import Conn, FaultServer

from streamcli.secrets import (
    bare_url,
    is_secret,
    proxy_secrets,
    redact,
    url_secrets,
    without_secrets,
)

SECRET = "hunter22"
URL = "http://127.0.0.1"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("Authorization", True),
        ("Proxy-Authorization", True),
        ("X-Password", True),
        ("X-Signature", True),
        ("Cookie", True),
        ("Set-Cookie", True),
        ("x-api-key", True),
        ("X-Auth", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("AWS_SESSION_TOKEN", True),
        ("PGPASSWORD", True),
        ("credentials", True),
        ("sig", True),
        ("X-Sig", True),
        ("max_tokens", False),
        ("X-Team", False),
        ("design", False),
        ("spinning", False),
        ("Content-Type", False),
        ("x-ratelimit-remaining-tokens", False),
    ],
)
def test_names(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


def test_addresses() -> None:
    url = "https://me:p%40ss@h/v1?sig=abcd&alt=sse"
    assert {"p%40ss", "p@ss", "abcd", "sse"} <= set(url_secrets(url))
    assert bare_url(url) == "https://h/v1?sig=[hidden]&alt=sse"
    assert url_secrets("https://h/v1") == []
    assert proxy_secrets({"https_proxy": "me:swordfish@h:1", "HTTP_PROXY": "http://h:1"})[0] == (
        "swordfish"
    )
    assert redact("a swordfish, abc", ("swordfish", "abc", "")) == "a [hidden], abc"


def test_the_environment_of_other_programs() -> None:
    kept = {"PATH": "/bin", "HOME": "/", "SSH_AUTH_SOCK": "/s", "MAX_TOKENS": "5", "NO": "http://h"}
    secret = {
        "OPENAI_API_KEY": "k",
        "OPENAI_API_KEY_FILE": "/run/secrets/k",
        "AWS_BEARER_TOKEN_BEDROCK": "k",
        "DATABASE_URL": "postgres://me:swordfish@h/db",
        "https_proxy": "http://me:swordfish@h:1",
    }
    assert without_secrets({**kept, **secret}) == kept


# Each kind of secret: from (an address, a folder, the configuration) to arguments and variables.
Given = tuple[list[str], dict[str, str]]


def by_header(line: str) -> Callable[[str, Path, Configure], Given]:
    return lambda url, folder, configure: (["-m", "vllm:m", "--base-url", url, "-H", line], {})


def by_header_file(url: str, folder: Path, configure: Configure) -> Given:
    (folder / "headers").write_text(f"X-Team: {SECRET}\n")
    return ["-m", "vllm:m", "--base-url", url, "-H", "@headers"], {}


def by_key_file(url: str, folder: Path, configure: Configure) -> Given:
    (folder / "key").write_text(SECRET)
    (folder / "key").chmod(0o600)
    return ["-m", "vllm:m", "--base-url", url, "--key-file", "key"], {}


def by_variable(url: str, folder: Path, configure: Configure) -> Given:
    return ["-m", "vllm:m", "--base-url", url], {"VLLM_API_KEY": SECRET}


def by_key_header(url: str, folder: Path, configure: Configure) -> Given:
    configure(f'[provider.x]\nbase_url = "{url}"\nkey_env = "K"\nkey_header = "X-Odd"\n')
    return ["-m", "x:m"], {"K": SECRET}


def by_typed_key_header(url: str, folder: Path, configure: Configure) -> Given:
    configure(f'[provider.x]\nbase_url = "{url}"\nkey_env = "K"\nkey_header = "X-Odd"\n')
    return ["-m", "x:m", "-H", f"X-Odd: {SECRET}"], {}


def by_configured_header(url: str, folder: Path, configure: Configure) -> Given:
    configure(f'[provider.x]\nbase_url = "{url}"\nheaders = {{ X-Team = "{SECRET}" }}\n')
    return ["-m", "x:m"], {}


def by_password(url: str, folder: Path, configure: Configure) -> Given:
    return ["-m", "vllm:m", "--base-url", url.replace("//", f"//me:{SECRET}@")], {}


def by_query(url: str, folder: Path, configure: Configure) -> Given:
    return ["-m", "vllm:m", "--base-url", f"{url}?sig={SECRET}"], {}


KINDS = {
    "X-Password": by_header(f"X-Password: {SECRET}"),
    "X-Signature": by_header(f"X-Signature: v1={SECRET}"),
    "Cookie": by_header(f"Cookie: session={SECRET}"),
    "Authorization": by_header(f"Authorization: Token {SECRET}"),
    "header file": by_header_file,
    "key file": by_key_file,
    "variable": by_variable,
    "key_header": by_key_header,
    "key_header typed": by_typed_key_header,
    "configured header": by_configured_header,
    "password": by_password,
    "query": by_query,
}


def shown(run: Result) -> str:
    """Return all that a run wrote to stdout and stderr."""
    return run.text + run.stderr


def echo(conn: Conn) -> None:
    """Refuse, and repeat all that came, as servers do in their messages and headers."""
    asked = json.dumps(conn.request.headers) + conn.request.path
    conn.reply(400, {"error": {"message": asked}}, x_echo=asked, set_cookie=f"a={SECRET}")


def answer(conn: Conn) -> None:
    """Answer, and repeat what came beside the text."""
    asked = json.dumps(conn.request.headers) + conn.request.path
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    chunk = {"id": asked, "model": asked, "object": "chat.completion.chunk", "choices": [choice]}
    conn.reply(200, f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode(), "text/event-stream")


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_is_shown_nowhere(
    server: FaultServer, stream: Stream, configure: Configure, tmp_path: Path, kind: str
) -> None:
    import base64

    basic = base64.b64encode(f"me:{SECRET}".encode()).decode()
    for play, status in ((echo, 22), (answer, 0)):
        url = server.script(play.__name__, play)
        args, env = KINDS[kind](url, tmp_path, configure)
        cassette, events = tmp_path / "cassette", tmp_path / "events"
        for more in (
            ["--debug"],
            ["--json", "-v"],
            ["--jsonl"],
            ["--record", "cassette", "--events", "events"],
        ):
            run = stream(*args, *more, "--max-retries", "0", "hi", env=env)
            assert run.returncode == status, run.stderr
            sent = server.requests[-1]
            assert SECRET in str(sent.headers) + sent.path or basic in str(sent.headers)
            assert SECRET not in shown(run)
            assert basic not in shown(run)
        for written in (cassette.read_text(), events.read_text()):
            assert written
            assert SECRET not in written
            assert basic not in written
    for how in ("--dry-run", "--dry-run=curl"):
        run = stream(how, *args, "hi", env=env)
        assert run.returncode == 0
        assert SECRET not in shown(run)
        assert basic not in shown(run)


def test_a_header_that_is_not_secret_is_shown(server: FaultServer, stream: Stream) -> None:
    args = ("-m", "vllm:m", "--base-url", server.url("ok"), "-H", "X-Team: blue", "hi")
    assert "> X-Team: blue" in stream("--debug", *args).stderr
    assert "X-Team: blue" in stream("--dry-run=curl", *args).text


def test_the_password_of_a_proxy(server: FaultServer, stream: Stream, tmp_path: Path) -> None:
    """Of one that cannot be reached, and of one that refuses and repeats what it was sent."""
    with_password = server.script("echo", echo).replace("//", f"//me:{SECRET}@").partition("/v1")[0]
    for proxy in (f"{URL.replace('//', f'//me:{SECRET}@')}:9", with_password):
        env = {"http_proxy": proxy, "no_proxy": ""}
        for more in (["--debug"], ["--json"], ["--record", "cassette"]):
            run = stream(
                *("-m", "vllm:m", "--base-url", "http://nowhere.invalid/v1", "--max-retries", "0"),
                *more,
                "hi",
                env=env,
            )
            assert run.returncode != 0
            assert SECRET not in shown(run)
        with suppress(FileNotFoundError):
            assert SECRET not in (tmp_path / "cassette").read_text()


# Nothing is remembered for the length of the process


@pytest.fixture
def twice(server: FaultServer, tmp_path: Path) -> Callable[..., list[dict[str, str]]]:
    """Run a script that runs the command twice in one process, with files changed in between."""

    def run(*args: str, files: dict[str, tuple[str, str]]) -> list[dict[str, str]]:
        script = f"""
import os, sys
from streamcli.cli.parse import parse
from streamcli.cli.single import Single
from streamcli.terminal.signals import Signals
for number in (0, 1):
    for name, contents in {files!r}.items():
        with open(name, "w") as file:
            file.write(contents[number])
        os.chmod(name, 0o700)
    signals = Signals()
    signals.install()
    assert Single(parse(sys.argv[1:]), signals, set()).run() == 0
    signals.reset()
"""
        url = server.url("ok")
        base = ("-m", "vllm:m", "--base-url", url, *args, "-n", "hi")
        done = subprocess.run(
            [sys.executable, "-c", script, *base], capture_output=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return [{**r.headers, "body": r.body.decode()} for r in server.requests]

    return run


def test_a_key_file_is_read_again_by_the_next_run(
    twice: Callable[..., list[dict[str, str]]],
) -> None:
    files = {"key": ("sk-one", "sk-two"), "system": ("be brief", "be long")}
    one, two = twice("--key-file", "key", "-s", "@system", "--attach", "system", files=files)
    assert (one["authorization"], two["authorization"]) == ("Bearer sk-one", "Bearer sk-two")
    assert one["body"].count("be brief") == 2
    assert two["body"].count("be long") == 2


def test_a_key_command_runs_again_for_the_next_run(
    twice: Callable[..., list[dict[str, str]]], configure: Configure, tmp_path: Path
) -> None:
    configure('[provider.vllm]\nkey_cmd = ["./key.sh"]\n')
    files = {"key.sh": ("#!/bin/sh\necho sk-one\n", "#!/bin/sh\necho sk-two\n")}
    one, two = twice(files=files)
    assert (one["authorization"], two["authorization"]) == ("Bearer sk-one", "Bearer sk-two")
