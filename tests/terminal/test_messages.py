"""Messages on stderr: the name that they carry, and what they write of numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streamcli.outcome import Outcome, decimal
from streamcli.terminal.messages import usage_line

CALL = "import sys\nfrom streamcli.__main__ import main\nmain()\n"


@pytest.mark.parametrize(
    ("name", "called"), [("streamcli", "streamcli"), ("stream", "stream"), ("x.py", "stream")]
)
def test_messages_carry_the_name_of_the_command(
    child_env: dict[str, str], tmp_path: Path, name: str, called: str
) -> None:
    script = tmp_path / name
    script.write_text(CALL)
    run = [sys.executable, str(script)]
    for args in (["--no-such"], ["-n"], ["-m", "vllm:m"]):
        ended = subprocess.run(
            [*run, *args], stdin=subprocess.DEVNULL, env=child_env, capture_output=True, timeout=60
        )
        assert ended.returncode == 2
        stderr = ended.stderr.decode()
        assert stderr.startswith(f"{called}: ")
        if "--no-such" in args:
            assert f"({called} --help)" in stderr
        if "-n" in args:
            assert f'{called} "PROMPT"' in stderr
    shown = {
        option: subprocess.run([*run, option], env=child_env, capture_output=True, timeout=60)
        for option in ("--help", "--version")
    }
    assert shown["--version"].stdout.decode().split()[0] == called
    usage = shown["--help"].stdout.decode()
    assert usage.startswith(f"Usage: {called} [OPTIONS]")
    assert f"{called} -m ollama:" in usage
    assert f"({called} --help=exit)" in usage


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.0"),
        (1e-05, "0.00001"),
        (1.25e-07, "0.000000125"),
        (0.0105, "0.0105"),
        (12.5, "12.5"),
        (1e16, "10000000000000000"),
        (5e-324, "0." + "0" * 323 + "5"),
    ],
)
def test_a_number_without_an_exponent(number: float, text: str) -> None:
    assert decimal(number) == text
    assert float(decimal(number)) == number


def test_a_cost_is_a_plain_decimal() -> None:
    outcome = Outcome()
    outcome.cost = 1.05e-05
    assert usage_line(outcome) == "tokens: cost 0.0000105"
