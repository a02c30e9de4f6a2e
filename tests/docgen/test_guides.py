"""Every example of the guides in tests/guides runs here, and stands in stream-guides(7).

`python tests/docgen/test_guides.py` writes them into its page.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import realservers
from conftest import WITH_SIGNALS, Configure
from faultserver import FaultServer
from guides import (
    KEY,
    Case,
    Example,
    Guide,
    Play,
    Ran,
    agenticraft,
    helpingai,
    honcho,
    machinefi,
    tyler,
)
from pages import PAGES, block, blocks, page
from ptys import Pty

from streamcli.providers.table import ROWS

GUIDES = {
    "helpingai": helpingai.GUIDE,
    "machinefi": machinefi.GUIDE,
    "agenticraft": agenticraft.GUIDE,
    "tyler": tyler.GUIDE,
    "honcho": honcho.GUIDE,
}

HERE = "http://127.0.0.1:8000/v1"  # where a command has no name for the server

OWN_ENDPOINTS = block("stream-providers.7", "An endpoint of your own", "[provider.mychat]")

# Tools, as programs. They read the arguments of a call as JSON on stdin.
CALCULATOR = f"""#!{sys.executable}
import json, re, sys
if sys.argv[1:] == ["--schema"]:
    schema = {{"type": "object", "properties": {{"expression": {{"type": "string"}}}}}}
    said = {{"name": "calculator", "description": "Calculates", "input_schema": schema}}
    print(json.dumps(said))
else:
    expression = json.load(sys.stdin)["expression"]
    if not re.fullmatch(r"[0-9 .()*/+-]{{1,99}}", expression) or "**" in expression:
        sys.exit("not arithmetic: " + expression)
    print(round(eval(expression), 9))
"""
WEB_SEARCH = f"""#!{sys.executable}
import json, sys
if sys.argv[1:] == ["--schema"]:
    schema = {{"type": "object", "properties": {{"query": {{"type": "string"}}}}}}
    said = {{"name": "web-search", "description": "Searches", "input_schema": schema}}
    print(json.dumps(said))
else:
    print("Qubits are many. " * 9 if "qubits" in json.load(sys.stdin)["query"] else "nothing")
"""

# Files that commands read.
FILES = {
    "body.json": '{"model": "m", "messages": [], "stream": true}',
    "prompts.txt": "one\ntwo\nthree\n",
    "topics.txt": "quantum computing\nclimate change\n",
    "tastes.txt": "".join(f"{taste}\n" for taste in honcho.TASTES),
    "process_batch": '#!/bin/sh\nprintf "%s|" "$@"; echo\n',
    "calculator": CALCULATOR,
    "web-search": WEB_SEARCH,
    "tools.json": '[{"type": "function", "function": {"name": "calculator", "parameters": {}}}]',
}


BEGIN = "<!-- guides: written by python tests/docgen/test_guides.py -->\n"
END = "<!-- end of guides -->\n"


def part_of(guide: Guide) -> str:
    """Return the guide's part of the page: each call of theirs above the command of ours."""
    parts = [f"## {guide.title}"]
    parts += [f"{one.what}\n\n```sh\n{one.ours.rstrip()}\n```" for one in guide.examples]
    parts += [f"- {note.what}\\\n  {note.why}" for note in guide.notes if note.what]
    return "\n\n".join([*parts, *filter(None, [guide.more])])


def with_guides(text: str) -> str:
    """Return the page's text with all guides between its two comments."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    guides = "\n\n".join(map(part_of, GUIDES.values()))
    return f"{before}{begin}\n{guides}\n\n{end}{after}"


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
def guide_env(
    server: FaultServer, shell_env: dict[str, str], configure: Configure
) -> dict[str, str]:
    """The environment in which every provider is our server, and `stream` this checkout."""
    env = dict(shell_env)
    for row in ROWS:
        env |= {row.base_vars[0]: server.url("guide")} if row.base_vars else {}
        env |= {row.key_vars[0]: KEY} if row.key_vars else {}
    env["HONCHO_URL"] = server.origin  # it has a path of its own, /v3
    configure(OWN_ENDPOINTS.replace(HERE.removesuffix("/v1"), server.url("guide")))
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
    where = tmp_path / "here"
    case.check(run(command, case.play, server, guide_env, where, terminal=case.terminal))


def run(
    command: str,
    play: Play,
    server: FaultServer,
    env: Mapping[str, str],
    folder: Path,
    *,
    terminal: bool = False,
) -> Ran:
    """The command in a new folder, against a server that plays this."""
    for tool in ("bash", "jq", "curl"):
        if re.search(rf"\b{tool}\b", f"bash {command}") and not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o700)
    for name in ("guide", "v3"):
        server.script(name, lambda conn: play(conn, folder))
    bash = shutil.which("bash") or "bash"
    if terminal:
        command = command.replace(HERE, server.url("guide"))
        watched = Pty([bash, "-c", command], dict(env), folder, columns=100)
        try:
            code, lines = watched.end()
        finally:
            watched.close()
        text = "".join(f"{line}\n" for line in lines)
        return Ran(code, text, watched.raw.decode(), list(server.requests), folder)
    done = subprocess.run(
        [sys.executable, "-IS", "-c", WITH_SIGNALS, "", bash, "-c"]
        + [command.replace(HERE, server.url("guide"))],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    said = done.stderr.decode()
    return Ran(done.returncode, done.stdout.decode(), said, list(server.requests), folder)


@pytest.mark.parametrize("event", tyler.EVENTS, ids=lambda event: event.names)
def test_an_execution_event_is_a_record(
    event: tyler.Event, server: FaultServer, guide_env: Mapping[str, str], tmp_path: Path
) -> None:
    command = f"stream -m openai:gpt-4 {event.option} Hello | jq -c '{event.ours}'"
    ran = run(command, event.play, server, guide_env, tmp_path / "here")
    assert re.fullmatch(event.said, ran.text.removesuffix("\n")), ran.text


@pytest.mark.real
def test_every_execution_event_is_told() -> None:
    (python,) = realservers.needed("Tyler", "venv-a2a03")
    source = next(python.glob("lib/python*/site-packages/tyler/models/execution.py"), None)
    if source is None:
        pytest.skip("Tyler is not set up: no slide-tyler in STREAM_TEST_SERVERS")
    kinds = re.findall(r'^    ([A-Z_]+) = "', source.read_text(), re.MULTILINE)
    assert sorted(kinds) == sorted(", ".join(event.names for event in tyler.EVENTS).split(", "))


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
    guide, text = GUIDES[name], path.read_text()
    if marked := re.findall(r"^(.+)¶\n(?!.*¶)", text, re.MULTILINE):
        assert tuple(marked) == guide.outline
    parts = parts_of(text, guide.outline)
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


def test_the_page_has_what_the_guides_do() -> None:
    assert with_guides(page("stream-guides.7")) == page("stream-guides.7")
    titles = [guide.title for guide in GUIDES.values()]
    ours = [each.text for each in blocks("stream-guides.7", *titles)]
    examples = [one for guide in GUIDES.values() for one in guide.examples]
    assert ours == [f"{one.ours.rstrip()}\n" for one in examples]


if __name__ == "__main__":
    path = PAGES / "stream-guides.7.md"
    path.write_text(with_guides(path.read_text()))
