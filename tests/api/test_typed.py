"""The types of the Python face, as pyright sees them (mypy checks the same file in each run)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).with_name("typed_example.py")


def test_pyright_finds_nothing() -> None:
    pyright = shutil.which("pyright", path=str(Path(sys.executable).parent)) or shutil.which(
        "pyright"
    )
    if pyright is None or subprocess.run([pyright, "--version"], capture_output=True).returncode:
        pytest.skip("needs pyright")
    command = [pyright, "--pythonpath", sys.executable, EXAMPLE]
    run = subprocess.run(command, cwd=EXAMPLE.parents[2], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert "0 errors" in run.stdout
