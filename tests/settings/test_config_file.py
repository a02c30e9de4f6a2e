"""The configuration file and STREAM_* variables: what wins, and how a mistake is told."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from config_errors import refused
from conftest import COMMAND, Configure, Stream
from faultserver import FaultServer

from streamcli.events import Usage
from streamcli.providers.prices import cost
from streamcli.providers.row import Row, ollama_base
from streamcli.settings.config_file import line_of


def body(server: FaultServer) -> dict[str, Any]:
    return dict(server.requests[-1].json)


def test_option_environment_provider_default_builtin(
    server: FaultServer, stream: Stream, configure: Configure
) -> None:
    configure(
        f"""
        [defaults]
        model = "mine:a"
        temperature = 0.1
        top_p = 0.1
        max-tokens = 1
        seed = 1
        [provider.mine]
        base_url = "{server.url("ok")}"
        defaults = {{ top-p = 0.2, max_tokens = 2, seed = 2 }}
        """
    )
    env = {"STREAM_MAX_TOKENS": "3", "STREAM_SEED": "3"}
    assert stream("--seed", "4", "hi", env=env).text == "Hello world"
    sent = body(server)
    assert (sent["model"], sent["temperature"]) == ("a", 0.1)
    assert (sent["top_p"], sent["max_tokens"], sent["seed"]) == (0.2, 3, 4)
    assert (
        stream("--no-config", "-m", "vllm:b", "--base-url", server.url("ok"), "x").returncode == 0
    )
    assert set(body(server)) == {"model", "messages", "stream", "stream_options"}


def test_a_general_preference_is_left_out_where_there_are_no_words_for_it(
    stream: Stream, configure: Configure
) -> None:
    """One temperature for all providers must not make some of them unusable."""
    configure(
        """
        [defaults]
        temperature = 0.125
        seed = 777777777
        think = "low"
        [provider.app]
        protocol = "ui-message"
        base_url = "http://127.0.0.1:9/api"
        [provider.filled]
        protocol = "text"
        base_url = "http://127.0.0.1:9/api"
        body = { prompt = "{prompt}", heat = "{temperature}" }
        [provider.own]
        protocol = "ui-message"
        base_url = "http://127.0.0.1:9/api"
        defaults = { seed = 5 }
        """
    )
    preferences = ("0.125", "777777777", "think", "reasoning_level")
    asked = {
        "app": (),
        "tyler": (),
        "honcho": ("reasoning_level",),
        "anthropic": ("think",),  # Claude takes no temperature while it thinks
        "filled": ("0.125",),
    }
    for provider, said in asked.items():
        more = ("-m", "anthropic:claude-3-7-sonnet-latest") if provider == "anthropic" else ()
        more = ("-o", "peer=me") if provider == "honcho" else more
        env = {"STREAM_MAX_TOKENS": "432104321"}
        run = stream("--dry-run", "-p", provider, *more, "-n", "hi", env=env)
        assert run.returncode == 0, run.stderr
        for preference in preferences:
            assert (preference in run.text) == (preference in said), (provider, run.text)
        assert ("432104321" in run.text) == (provider == "anthropic")
    # What was meant for the provider is still refused.
    for args in (("-p", "app", "--seed", "7"), ("-p", "filled", "--think=low"), ("-p", "own")):
        run = stream("--dry-run", *args, "-n", "hi")
        assert (run.returncode, run.text) == (2, "")
        assert "cannot carry" in run.stderr


def test_aliases_and_who_wins(server: FaultServer, stream: Stream, configure: Configure) -> None:
    configure(
        f"""
        [defaults]
        provider = "mine"
        [alias]
        quick = "mine:small"
        "a:b" = "mine:colon"
        [provider.mine]
        base_url = "{server.url("ok")}"
        defaults = {{ model = "usual" }}
        [provider.vllm]
        base_url = "{server.url("ok~other")}"
        """
    )
    for model, sent in (("quick", "small"), ("a:b", "colon"), ("other", "other")):
        assert stream("-m", model, "hi").returncode == 0
        assert body(server)["model"] == sent
    assert stream("hi").returncode == 0
    assert body(server)["model"] == "usual"
    assert stream("-m", "vllm:quick", "hi").returncode == 0
    assert (body(server)["model"], server.requests[-1].name) == ("quick", "ok~other")
    assert stream("-p", "mine", "-m", "vllm:x", "hi").returncode == 0
    assert body(server)["model"] == "vllm:x", "with -p the whole of -m is the model"
    run = stream("-p", "openai", "hi", env={"OPENAI_API_KEY": "k"})
    assert run.returncode == 2
    assert "no model for openai" in run.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["-m", "openai"], "'openai' is a provider, not a model: -m openai:MODEL"),
        (["-m", "tyler"], "'tyler' is a provider, not a model: -p tyler"),
        (["-m", "gpt"], "no provider for the model 'gpt': -m PROVIDER:gpt"),
        (
            ["-p", "a2a"],
            "'a2a' is a protocol, not a provider: [provider.NAME] in the configuration",
        ),
        (["-p", "sse-text"], 'with protocol = "sse-text" and base_url'),
        (["-m", "tyler:gpt"], "the agent has its own: -p tyler"),
        (["-m", "agenticraft:gpt"], "agenticraft takes none: -p agenticraft"),
    ],
)
def test_names_in_the_wrong_place(stream: Stream, args: list[str], says: str) -> None:
    run = stream(*args, "hi")
    assert run.returncode == 2
    assert says in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        ("ui-message", b'data: {"type":"text-delta","id":"t","delta":"Hi"}\n\ndata: [DONE]\n\n'),
        ("ai-data", b'0:"Hi"\nd:{"finishReason":"stop"}\n'),
        (
            "ag-ui",
            b'data: {"type":"TEXT_MESSAGE_CHUNK","delta":"Hi"}\n\n'
            b'data: {"type":"RUN_FINISHED"}\n\n',
        ),
    ],
)
def test_applications_and_agents_need_no_model(
    server: FaultServer, stream: Stream, configure: Configure, protocol: str, answer: bytes
) -> None:
    url = server.script(protocol, lambda conn: conn.reply(200, answer, "text/plain"))
    configure(f'[provider.app]\nprotocol = "{protocol}"\nbase_url = "{url}"')
    run = stream("-p", "app", "hi")
    assert (run.returncode, run.text, run.stderr) == (0, "Hi", "")
    assert url.endswith(server.requests[-1].path), "the address is asked as it is"
    assert stream("-m", "app:", "hi").text == "Hi"
    run = stream("--check=app")
    assert (run.returncode, run.stderr) == (0, "")
    asked = len(server.requests)
    run = stream("--list-models", "-p", "app")
    assert run.returncode == 2
    assert "does not list models" in run.stderr
    assert stream("-p", "app", "--max-tokens", "5", "hi").returncode == 2
    assert len(server.requests) == asked


def test_variables_set_options(server: FaultServer, stream: Stream) -> None:
    env = {
        "STREAM_MODEL": "vllm:m",
        "STREAM_BASE_URL": server.url("ok"),
        "STREAM_STOP": "two words",
        "STREAM_FORMAT": "json",
        "STREAM_USAGE": "1",
        "STREAM_OUTPUT": "never",
    }
    run = stream("hi", env=env)
    assert run.returncode == 0
    assert run.records[0]["text"] == "Hello world"
    assert body(server)["stop"] == ["two words"]
    assert "tokens" in run.stderr
    run = stream("hi", env={**env, "STREAM_TOP_P": "9"})
    assert run.returncode == 2
    assert "STREAM_TOP_P" in run.stderr
    run = stream("hi", env={**env, "STREAM_USAGE": "always"})
    said = "stream: STREAM_USAGE is neither 1, which sets --usage, nor 0 (stream --help)\n"
    assert (run.returncode, run.stderr) == (2, said)


def test_key_from_its_variable_or_command(
    server: FaultServer, stream: Stream, configure: Configure, tmp_path: Path
) -> None:
    address = f'base_url = "{server.url("ok")}"'
    configure(f'[provider.mine]\n{address}\nkey_env = "MY_KEY"\nheaders = {{ X-Team = "blue" }}')
    run = stream("-m", "mine:m", "hi")
    assert run.returncode == 67
    assert "MY_KEY" in run.stderr
    assert stream("-m", "mine:m", "hi", env={"MY_KEY": "sk-mine"}).returncode == 0
    assert server.requests[-1].headers["authorization"] == "Bearer sk-mine"
    assert server.requests[-1].headers["x-team"] == "blue"

    configure(f'[provider.mine]\n{address}\nkey_env = "MY_KEY"\nkey_header = "X-Key"')
    assert stream("-m", "mine:m", "hi", env={"MY_KEY": "sk-mine"}).returncode == 0
    assert server.requests[-1].headers["x-key"] == "sk-mine"
    assert "authorization" not in server.requests[-1].headers
    shown = stream("--dry-run=curl", "-m", "mine:m", "hi", env={"MY_KEY": "sk-mine"}).text
    assert '-H "X-Key: $MY_KEY"' in shown
    assert stream("-m", "mine:m", "-H", "X-KEY: typed", "hi").returncode == 0
    assert server.requests[-1].headers["x-key"] == "typed"

    script = tmp_path / "key.sh"
    script.write_text('#!/bin/sh\n[ "$1" = "a b" ] && echo sk-cmd && echo more\n')
    script.chmod(0o700)
    configure(f'[provider.mine]\n{address}\nkey_cmd = ["{script}", "a b"]')
    assert stream("-m", "mine:m", "hi").returncode == 0
    assert server.requests[-1].headers["authorization"] == "Bearer sk-cmd"
    for command, says in (
        (f'["{script}", "no"]', "failed with 1"),
        ('["/nowhere/key"]', "cannot run key_cmd"),
        ('["true"]', "printed no key"),
        ('["sh", "-c", "echo locked >&2; exit 3"]', "locked"),
    ):
        configure(f"[provider.mine]\n{address}\nkey_cmd = {command}")
        run = stream("-m", "mine:m", "--jsonl", "hi")
        assert run.returncode == 67
        assert says in run.stderr
        assert run.records[-1]["status"] == "auth"


def test_prices_give_costs(server: FaultServer, stream: Stream, configure: Configure) -> None:
    configure(
        f"""
        [provider.mine]
        base_url = "{server.url("ok")}"
        [provider.mine.prices]
        m = {{ input = 1.5, output = 3 }}
        """
    )
    end = stream("-m", "mine:m", "--json", "hi").records[0]
    assert end["cost"] == pytest.approx((5 * 1.5 + 2 * 3) / 1e6)
    assert stream("-m", "mine:other", "--json", "hi").records[0]["cost"] is None
    assert "cost" in stream("-m", "mine:m", "-u", "hi").stderr


def test_cost_of_cached_and_of_unknown_tokens() -> None:
    row = Row("p", "openai-chat", "http://h")
    row.prices = {"m": {"input": 10.0, "output": 20.0, "cache_read": 1.0}}
    assert cost(row, "m", Usage(100, 10, cache_read_tokens=60)) == pytest.approx(660e-6)
    assert cost(row, "m", Usage(100, None)) is None
    other = Row("p", "anthropic", "http://h")
    other.prices = row.prices
    assert cost(other, "m", Usage(40, 10, cache_read_tokens=60)) == pytest.approx(660e-6)
    row.prices = {"m": {"input": 10.0, "output": 20.0}}
    assert cost(row, "m", Usage(100, 10, cache_read_tokens=60)) == pytest.approx(1200e-6)
    other.prices = row.prices
    assert cost(other, "m", Usage(40, 10, cache_read_tokens=60)) == pytest.approx(1200e-6)
    row.prices = {"m": {"input": 10.0, "output": 20.0, "cache_read": 1.0, "cache_write": 12.5}}
    cached = {"cache_read_tokens": 60, "cache_write_tokens": 20}
    assert cost(row, "m", Usage(100, 10, **cached)) == pytest.approx(710e-6)
    other.prices = row.prices
    assert cost(other, "m", Usage(20, 10, **cached)) == pytest.approx(710e-6)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[defaults]\n\ntemprature = 1\n", 3, "temperature"),
        ('[defaults]\ntemperature = "x"\n', 2, "number"),
        ("[defaults]\ntop_p = 3\n", 2, "3 is not at most 1"),
        ("[defaults]\ntemperature = true\n", 2, "has to be a text or a number"),
        ("[defaults]\nmax_tokens = 1.5\n", 2, "1.5 is not a whole number"),
        ("[defaults]\nsystem = ['a']\n", 2, "has to be a text or a number"),
        ("[defaults]\nmodel = {a = 1}\n", 2, "has to be a text, a number or a list of them"),
        ("[defaults]\nstop = ['a', true]\n", 2, "has to be a text, a number or a list of them"),
        ("[defaults]\ntimeout = 1979-05-27\n", 2, "has to be a text or a number"),
        ('[defaults]\nquiet = "yes"\n', 2, "true or false"),
        ('[defaults]\nformat = "jsonl"\n', 2, "markdown or text"),
        ('[provider.x]\nbase_url = "http://h"\ndefaults = { format = "text" }\n', 3, "format"),
        ('[defaults]\nreasoning = "loud"\n', 2, "hide"),
        ('[default]\nmodel = "x"\n', 1, "defaults"),
        ('[defaults]\nmodel = ""\n', 2, "'defaults.model' is empty: leave it out"),
        (
            '[provider.x]\nbase_url = "http://h"\ndefaults = { fallback = ["a", ""] }\n',
            3,
            "is empty",
        ),
        ('[provider.x]\nbase_url = "http://h"\nkey_env = ""\n', 3, "the name of a variable"),
        ("[alias]\na = 1\n", 2, "PROVIDER"),
        ("alias = 1\n", 1, "table"),
        ("[provider.x]\n", 1, "base_url"),
        ('[provider.x]\nbase_url = "http://h"\n\nprotocol = "anthropc"\n', 4, "protocol"),
        ('[provider.x]\nbase_url = "http://h"\nkeyenv = "K"\n', 3, "key_env"),
        ('[provider.x]\nbase_url = "http://h"\nkey_cmd = "pass show"\n', 3, "list"),
        ('[provider.x]\nbase_url = "http://h"\nkey_header = "X Key"\n', 3, "X-API-Key"),
        ('[provider.x]\nbase_url = "http://h"\nthink_tags = "think"\n', 3, "list"),
        ('[provider.x]\nbase_url = "http://h"\nthink_tags = ["a", ["b"]]\n', 3, "list"),
        ('[provider.x]\nbase_url = "http://h"\nthink_tags = ["a", ["b", ""]]\n', 3, "list"),
        ("[provider.x]\nbase_url = 1\n", 2, "string"),
        ('[provider.x]\nbase_url = "http://h"\n[provider.x.headers]\na = 1\n', 4, "string"),
        ('[provider.x]\nbase_url = "http://h"\ndefaults = { topp = 1 }\n', 3, "top_p"),
        ('[provider.x]\nbase_url = "http://h"\n[provider.x.prices]\nm = 1\n', 4, "input"),
        (
            '[provider.x]\nbase_url = "http://h"\n[provider.x.prices.m]\ninput = 1\nout = 2\n',
            5,
            "output",
        ),
        ("[defaults\n", 1, "line 1"),
        ("a = 1\nb = [\n", None, "end of document"),
    ],
)
def test_a_mistake_names_file_key_and_line(
    stream: Stream, configure: Configure, text: str, line: int | None, says: str
) -> None:
    path = configure(text)
    assert says in refused(stream("-m", "x:m", "hi"), path, line)
    if text.startswith("[provider"):  # it stops only who asks that provider
        assert stream("--dry-run", "-m", "vllm:m", "hi").returncode == 0
        listed = stream("--list-providers")
        assert listed.returncode == 0
        assert "no: a mistake in its table" in listed.text
        assert says in listed.stderr
    assert stream("--help").returncode == 0
    assert stream("--version").returncode == 0
    assert stream("--no-config", "hi").stderr.startswith("stream: no model chosen")


def test_a_file_that_others_can_write_is_refused(
    server: FaultServer, stream: Stream, configure: Configure
) -> None:
    path = configure(f'[provider.mine]\nbase_url = "{server.url("ok")}"\n')
    for mode in (0o620, 0o602, 0o666):
        path.chmod(mode)
        assert f"chmod 600 {path}" in refused(stream("-m", "mine:m", "hi"), path, None)
    for mode in (0o400, 0o444, 0o644):  # it holds no secret: Nix and containers share it
        path.chmod(mode)
        run = stream("-m", "mine:m", "hi")
        assert (run.returncode, run.stderr) == (0, "")


def test_the_place_of_the_configuration(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    """Never below the working directory, which may be anybody's project."""
    trap = tmp_path / ".config" / "stream" / "config.toml"
    trap.parent.mkdir(parents=True)
    trap.write_text('[defaults]\nsystem = "from the project"\n')
    trap.chmod(0o600)
    base = {name: value for name, value in child_env.items() if name not in ("HOME", "LANG")}
    del base["XDG_CONFIG_HOME"]
    for more, read in (
        ({}, False),
        ({"HOME": ""}, False),
        ({"HOME": "."}, False),
        ({"XDG_CONFIG_HOME": ".config"}, False),
        ({"XDG_CONFIG_HOME": ".config", "HOME": str(tmp_path)}, True),
        ({"XDG_CONFIG_HOME": "", "HOME": str(tmp_path)}, True),
        ({"XDG_CONFIG_HOME": str(tmp_path / ".config")}, True),
    ):
        run = subprocess.run(
            [*COMMAND, "-m", "vllm:m", "--base-url", server.url("ok"), "-n", "hi"],
            env={**base, **more},
            cwd=tmp_path,
            capture_output=True,
        )
        assert (run.returncode, run.stderr) == (0, b"")
        assert ("from the project" in str(server.requests[-1].json)) is read, more


def test_links_to_a_configuration(stream: Stream, configure: Configure, tmp_path: Path) -> None:
    """As ConfigMaps, Nix and dotfiles have them: the file behind them counts."""
    path = configure("")
    real = tmp_path / "real.toml"
    real.write_text('[defaults]\nsystem = "linked"\n')
    path.unlink()
    (path.parent / "..data").symlink_to(tmp_path)
    path.symlink_to("..data/real.toml")
    for mode in (0o400, 0o444, 0o644):
        real.chmod(mode)
        run = stream("-m", "vllm:m", "--dry-run", "hi")
        assert (run.returncode, run.stderr, "linked" in run.text) == (0, "", True)
    real.chmod(0o666)
    assert stream("-m", "vllm:m", "--dry-run", "hi").returncode == 2


def test_a_configuration_that_is_not_a_file(
    stream: Stream, configure: Configure, tmp_path: Path
) -> None:
    path = configure("")
    path.unlink()
    os.mkfifo(path, 0o600)
    assert f"{path} is a pipe" in refused(stream("-m", "vllm:m", "--dry-run", "hi"), path, None)
    path.unlink()
    path.mkdir()
    assert "is a directory" in refused(stream("-m", "vllm:m", "--dry-run", "hi"), path, None)
    assert stream("--no-config", "-m", "vllm:m", "--dry-run", "hi").returncode == 0


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ('headers = { X-Password = "hunter22" }', 3),
        ('headers = { X-Odd = "hunter22" }\nkey_header = "X-Odd"', 3),
        ('body = { prompt = "{prompt}", api_key = "hunter22" }\nprotocol = "text"', 3),
        ('query = { prompt = "{prompt}", sig = "hunter22" }\nprotocol = "text"', 3),
        ('defaults = { header = ["X-Signature: hunter22"] }', 3),
        ('defaults = { option = ["auth.token=hunter22"] }', 3),
        ('[provider.other]\nbase_url = "http://me:hunter22@127.0.0.1:9/v1"', 4),
        ('[provider.other]\nbase_url = "http://127.0.0.1:9/v1?key=hunter22"', 4),
    ],
)
def test_a_secret_in_a_file_that_others_can_read(
    stream: Stream, configure: Configure, facts: str, line: int
) -> None:
    path = configure(f'[provider.mine]\nbase_url = "http://127.0.0.1:9"\n{facts}\n')
    path.chmod(0o640)
    said = refused(stream("--dry-run", "-m", "vllm:m", "hi"), path, line)
    assert f"chmod 600 {path}" in said
    assert "hunter22" not in said
    path.chmod(0o600)
    assert stream("--dry-run", "-m", "vllm:m", "hi").returncode == 0


def test_what_is_not_a_secret_in_a_file_that_others_can_read(
    stream: Stream, configure: Configure
) -> None:
    path = configure(
        """
        [defaults]
        max_tokens = 5
        stop = ["key: x"]
        header = ["X-Team: blue"]
        [provider.mine]
        protocol = "text"
        base_url = "http://127.0.0.1:9/v1?key="
        key_env = "MY_KEY"
        key_cmd = ["pass", "show", "openai"]
        key_header = "X-Key"
        headers = { X-Team = "blue" }
        body = { prompt = "{prompt}", max_tokens = "{max_tokens}", token = "{model}" }
        """
    )
    path.chmod(0o644)
    run = stream("--dry-run", "-m", "vllm:m", "hi")
    assert (run.returncode, run.stderr) == (0, "")


def test_a_key_in_a_file_that_a_variable_names(
    server: FaultServer, stream: Stream, tmp_path: Path
) -> None:
    """As containers mount secrets: OPENAI_API_KEY_FILE=/run/secrets/openai."""
    secret = tmp_path / "my secret"
    secret.write_text("sk-filed\n")
    secret.chmod(0o600)
    env = {"OPENAI_API_KEY_FILE": str(secret), "OPENAI_BASE_URL": server.url("ok")}
    run = stream("-m", "openai:m", "hi", env=env)
    assert (run.returncode, run.stderr) == (0, "")
    assert server.requests[-1].headers["authorization"] == "Bearer sk-filed"
    secret.chmod(0o444)
    run = stream("-m", "openai:m", "hi", env=env)
    assert (run.returncode, run.complaints) == (
        0,
        [f"stream: others can read {secret}: chmod 600 '{secret}'"],
    )
    run = stream("-m", "openai:m", "hi", env={**env, "OPENAI_API_KEY": "sk-first"})
    assert server.requests[-1].headers["authorization"] == "Bearer sk-first"
    shown = stream("--dry-run=curl", "-m", "openai:m", "hi", env=env).text
    assert f"$(cat '{secret}')" in shown
    assert "sk-filed" not in shown
    listed = stream("--list-providers", "--json", env=env).records
    openai = next(row for row in listed if row["provider"] == "openai")
    assert (openai["configured"], openai["source"]) == (True, "OPENAI_API_KEY_FILE")
    run = stream("-m", "openai:m", "hi", env={**env, "OPENAI_API_KEY_FILE": "/nowhere"})
    assert run.returncode == 2
    assert "/nowhere" in run.stderr


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ('"sk-1234"', "a key in quotes"),
        ("'sk-1234'", "a key in quotes"),
        ("Bearer sk-1234", "'Bearer' and a key"),
        ("OPENAI_API_KEY=sk-1234", "'OPENAI_API_KEY=' and a key"),
        ("export OPENAI_API_KEY = sk-1234", "'OPENAI_API_KEY=' and a key"),
        ("OPENAI_API_KEY=sk-1234\nOTHER=1", "'OPENAI_API_KEY=' and a key"),
        ("Bearer: sk-1234", "'Bearer' and a key"),
        ("Authorization: Bearer sk-1234", "'Authorization:' and a key"),
        ("x-api-key: sk-1234", "'x-api-key:' and a key"),
        ("<sk-1234>", "a key in quotes"),
        ("OPENAI_API_KEY", "the name of a variable, not its value"),
        ("${KEY1234}", "the name of a variable, not its value"),
        ('{"key":"sk-1234"}', "JSON, not a key"),
        ("sk-1234 # mine", "more than a key: there is a blank in it"),
        ("sk-1234\nsk-5", "a line break or a character beyond ASCII"),
        ("\u201csk-1234\u201d", "a line break or a character beyond ASCII"),
    ],
)
def test_what_people_paste_around_a_key(
    server: FaultServer, stream: Stream, tmp_path: Path, key: str, says: str
) -> None:
    env = {"OPENAI_BASE_URL": server.url("ok")}
    run = stream("-m", "openai:m", "hi", env={**env, "OPENAI_API_KEY": key})
    assert run.returncode == 2
    assert run.stderr.startswith(f"stream: OPENAI_API_KEY holds {says}: ")
    (tmp_path / "key").write_text(key)
    (tmp_path / "key").chmod(0o600)
    run = stream("-m", "openai:m", "--key-file", "key", "hi", env=env)
    assert (run.returncode, says in run.stderr) == (2, True)
    assert "1234" not in run.stderr
    assert not server.requests


@pytest.mark.parametrize("text", ["sk-1\n", "sk-1\r\n", " sk-1 ", "\n\nsk-1\n\n", "\ufeffsk-1\n"])
def test_blanks_around_a_key_do_not_count(
    server: FaultServer, stream: Stream, tmp_path: Path, text: str
) -> None:
    (tmp_path / "key").write_text(text, newline="")
    (tmp_path / "key").chmod(0o600)
    env = {"OPENAI_BASE_URL": server.url("ok")}
    for options, more in (
        (("--key-file", "key"), {}),
        ((), {"OPENAI_API_KEY_FILE": "key"}),
        ((), {"OPENAI_API_KEY": text.removeprefix("\ufeff")}),
    ):
        run = stream("-m", "openai:m", *options, "hi", env={**env, **more})
        assert (run.returncode, run.stderr) == (0, "")
        assert server.requests[-1].headers["authorization"] == "Bearer sk-1"


def test_a_key_may_end_in_equals_signs(server: FaultServer, stream: Stream) -> None:
    env = {"OPENAI_BASE_URL": server.url("ok"), "OPENAI_API_KEY": "MYKEY=="}
    assert stream("-m", "openai:m", "hi", env=env).returncode == 0
    assert server.requests[-1].headers["authorization"] == "Bearer MYKEY=="


def test_organization_and_project_of_openai(server: FaultServer, stream: Stream) -> None:
    env = {
        "OPENAI_BASE_URL": server.url("ok"),
        "OPENAI_API_KEY": "k",
        "OPENAI_ORG_ID": "org-1",
        "OPENAI_PROJECT_ID": "proj_1",
    }
    assert stream("-m", "openai:m", "hi", env=env).returncode == 0
    sent = server.requests[-1].headers
    assert (sent["openai-organization"], sent["openai-project"]) == ("org-1", "proj_1")
    assert stream("-m", "openai:m", "-H", "OpenAI-Project: typed", "hi", env=env).returncode == 0
    assert server.requests[-1].headers["openai-project"] == "typed"
    shown = stream("--dry-run", "-m", "openai-responses:m", "hi", env=env).text
    assert "OpenAI-Organization: org-1" in shown
    other = {**env, "VLLM_BASE_URL": server.url("ok")}
    assert stream("-m", "vllm:m", "hi", env=other).returncode == 0
    assert "openai-organization" not in server.requests[-1].headers


def test_looks_never_change_what_a_pipe_carries(
    server: FaultServer, stream: Stream, configure: Configure
) -> None:
    configure(
        f"""
        [defaults]
        model = "mine:m"
        reasoning = "stdout"
        sanitize = "always"
        color = "always"
        [provider.mine]
        base_url = "{server.url("unicode")}"
        [provider.think]
        base_url = "{server.url("think")}"
        """
    )
    plain = stream("--no-config", "-m", "vllm:m", "--base-url", server.url("unicode"), "hi")
    assert stream("hi").stdout == plain.stdout
    assert stream("-m", "think:m", "hi").text == "Hello world"


def test_no_configuration_is_fine(server: FaultServer, stream: Stream) -> None:
    for home in ("/nowhere", "/dev/null", ""):
        env = {"XDG_CONFIG_HOME": home, "HOME": home}
        run = stream("-m", "vllm:m", "--base-url", server.url("ok"), "hi", env=env)
        assert run.returncode == 0, run.stderr


def test_line_of_finds_keys_in_every_form() -> None:
    text = 'a = 1\n[t]\n"q k" = 1\nx.y = 2\nin = { k = 1 }\n[t.u]\nx = 3\n'
    assert line_of(text, (), "a") == 1
    assert line_of(text, ("t",), "q k") == 3
    assert line_of(text, ("t", "x"), "y") == 4
    assert line_of(text, ("t", "in"), "k") == 5
    assert line_of(text, ("t", "u"), "x") == 7
    assert line_of(text, ("t",), "u") == 6
    assert line_of(text, ("t",), "nowhere") == 2


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        (":8080", "http://127.0.0.1:8080"),
        ("box", "http://box:11434"),
        ("http://box:1234/", "http://box:1234"),
        ("https://box", "https://box:443"),
        ("https://box/ollama", "https://box:443/ollama"),
        ("http://box:1/v1", "http://box:1/v1"),
        ("[::]:5", "http://127.0.0.1:5"),
        ("[::1]:5", "http://[::1]:5"),
    ],
)
def test_ollama_host_in_all_its_forms(host: str, base: str) -> None:
    assert ollama_base(host) == base


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [
        ("VLLM_BASE_URL", "http://127.0.0.1:9", "http://127.0.0.1:9/v1/chat/completions"),
        ("VLLM_BASE_URL", "http://127.0.0.1:9/", "http://127.0.0.1:9/v1/chat/completions"),
        ("VLLM_BASE_URL", "http://h/api/v3", "http://h/api/v3/chat/completions"),
        ("VLLM_BASE_URL", "http://h/v1/chat/completions", "http://h/v1/chat/completions"),
        ("VLLM_BASE_URL", "http://h/v1/?v=1", "http://h/v1/chat/completions?v=1"),
    ],
)
def test_base_urls_are_joined_as_they_are_pasted(
    stream: Stream, variable: str, value: str, url: str
) -> None:
    run = stream("-m", "vllm:m", "--dry-run", "hi", env={variable: value})
    assert run.text.splitlines()[0] == f"POST {url}"


def test_quirks_of_the_rows(stream: Stream) -> None:
    def sent(*args: str, **env: str) -> tuple[str, dict[str, Any]]:
        run = stream("--dry-run", "--max-tokens", "5", "--seed", "1", *args, "hi", env=env)
        assert run.returncode == 0, run.stderr
        head, _, text = run.text.partition("\n\n")
        return head, json.loads(text)

    _, openai = sent("-m", "openai:m")
    assert openai["max_completion_tokens"] == 5
    assert openai["stream_options"]["include_obfuscation"] is False
    _, mistral = sent("-m", "mistral:m")
    assert (mistral["random_seed"], mistral["max_tokens"]) == (1, 5)
    assert "stream_options" not in mistral
    head, _ = sent("-m", "azure:dep", AZURE_OPENAI_ENDPOINT="https://r.openai.azure.com/")
    assert "POST https://r.openai.azure.com/openai/v1/chat/completions" in head
    assert "api-key: $AZURE_OPENAI_API_KEY" in head
    classic = "https://r.openai.azure.com/openai/deployments/d?api-version=2024-10-21"
    head, _ = sent("-m", "azure:d", "--base-url", classic)
    assert "/openai/deployments/d/chat/completions?api-version=2024-10-21" in head
    _, helping = sent("-m", "helpingai:m", "--reasoning", "hide")
    assert helping["hideThink"] is True
    _, helping = sent("-m", "helpingai:m")
    assert "hideThink" not in helping


def test_several_think_blocks_where_the_row_says_so(server: FaultServer, stream: Stream) -> None:
    def play(conn: Any) -> None:
        conn.open_with("<think>a</think>One. <thi", "nk>b</think>Two.")
        conn.finish()
        conn.done()
        conn.end()

    env = {"HAI_API_KEY": "k", "HAI_BASE_URL": server.script("several", play)}
    assert stream("-m", "helpingai:m", "hi", env=env).text == "One. Two."
    assert stream("-m", "helpingai:m", "--reasoning", "only", "hi", env=env).text == "ab"


def test_think_tags_of_the_configuration(
    server: FaultServer, stream: Stream, configure: Configure
) -> None:
    def play(conn: Any) -> None:
        conn.open_with("a[THI", "NK]b[/TH", "INK]\nc<thought>d</thought>e<think>f</think>")
        conn.finish()
        conn.done()
        conn.end()

    tags = '["thought", ["[THINK]", "[/THINK]"]]'
    configure(f'[provider.x]\nbase_url = "{server.script("tags", play)}"\nthink_tags = {tags}\n')
    (end,) = stream("-m", "x:m", "--json", "hi").records
    assert (end["text"], end["reasoning"]) == ("ace<think>f</think>", "bd")
