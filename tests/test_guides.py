"""Every example of the guides in tests/guides runs here.

`python tests/test_guides.py` prints the README's tables.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from faultserver import FaultServer
from guides import KEY, Case, Example, Ran, agenticraft, helpingai, machinefi

from streamcli.providers import ROWS

GUIDES = {
    "helpingai": helpingai.GUIDE,
    "machinefi": machinefi.GUIDE,
    "agenticraft": agenticraft.GUIDE,
}

# Files that commands read.
FILES = {
    "body.json": '{"model": "m", "messages": [], "stream": true}',
    "prompts.txt": "one\ntwo\nthree\n",
    "process_batch": '#!/bin/sh\nprintf "%s|" "$@"; echo\n',
    "tools.json": '[{"type": "function", "function": {"name": "calculator", "parameters": {}}}]',
}


def readme_tables() -> str:
    """Markdown: of each guide their calls and our commands."""
    return "\n\n".join(
        f"### {guide.title}\n\n| their call | our command |\n|---|---|\n"
        + "\n".join(
            f"| {what} | {ours} |"
            for what, ours in (
                *((one.what, _code(one.ours)) for one in guide.examples),
                *((note.what, note.why) for note in guide.notes if note.what),
            )
        )
        for guide in GUIDES.values()
    )


def _code(ours: str) -> str:
    if "\n" in ours:
        return "the script above"
    return f"`{ours}`".replace("|", r"\|")  # in a table even code has to say it so


# ---- the tests ----------------------------------------------------------------------------------


def cases() -> list[Any]:
    """Each example against each behaviour of its server."""
    return [
        pytest.param(one, case, id=f"{name}-{place}-{one.places[0][0]}-{number}")
        for name, guide in GUIDES.items()
        for place, one in enumerate(guide.examples, 1)
        for number, case in enumerate(one.cases, 1)
    ]


@pytest.fixture
def guide_env(server: FaultServer, child_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment in which every provider is our server, and `stream` this checkout."""
    shim = tmp_path / "bin" / "stream"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streamcli "$@"\n')
    shim.chmod(0o755)
    env = {**child_env, "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}"}
    for row in ROWS:
        env |= {row.base_vars[0]: server.url("guide")} if row.base_vars else {}
        env |= {row.key_vars[0]: KEY} if row.key_vars else {}
    return env


@pytest.mark.parametrize(("example", "case"), cases())
def test_example(
    example: Example,
    case: Case,
    server: FaultServer,
    guide_env: Mapping[str, str],
    tmp_path: Path,
) -> None:
    command = example.ours.replace(*case.hurry)
    for tool in ("bash", "jq", "curl"):
        if re.search(rf"\b{tool}\b", f"bash {command}") and not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    folder = tmp_path / "here"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o700)
    server.script("guide", lambda conn: case.play(conn, folder))
    done = subprocess.run(
        ["bash", "-c", command],
        env=guide_env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
    )
    said = done.stderr.decode()
    case.check(Ran(done.returncode, done.stdout.decode(), said, server.seen("guide"), folder))


@pytest.mark.parametrize("name", GUIDES)
def test_every_part_of_the_guide_has_its_command(name: str) -> None:
    guide = GUIDES[name]
    found = {heading for one in guide.examples for heading, _ in one.places}
    found |= {note.heading for note in guide.notes}
    assert found == set(guide.outline)


@pytest.mark.parametrize("name", GUIDES)
def test_what_is_quoted_stands_there(name: str, shared: Path) -> None:
    path = shared / "guides" / f"{name}.txt"
    if not path.exists():
        pytest.skip(f"../shared/guides/{name}.txt is not there")
    guide = GUIDES[name]
    parts = parts_of(path.read_text(), guide.outline)
    for example in guide.examples:
        for heading, quote in example.places:
            assert " ".join(quote.split()) in " ".join(parts[heading].split())


def parts_of(text: str, headings: tuple[str, ...]) -> dict[str, str]:
    """The text below each heading; a heading that is not there, in this order, fails."""
    lines = [line.strip().removesuffix("¶") for line in text.splitlines()]
    starts = []
    at = -1
    for heading in headings:
        at = lines.index(heading, at + 1)
        starts.append(at)
    ends = [*starts[1:], len(lines)]
    return {
        heading: "\n".join(lines[start + 1 : end])
        for heading, start, end in zip(headings, starts, ends, strict=True)
    }


if __name__ == "__main__":
    print(readme_tables())
