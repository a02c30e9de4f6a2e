"""The Python face where an event loop runs already: in a coroutine, and in a notebook."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from faultserver import Conn, FaultServer

import streamcli

CELLS = (
    "from streamcli import astream, stream, stream_batch\n"
    "options = {'model': 'vllm:m', 'base_url': URL}",
    "with stream('hi', **options) as answer:\n"
    "    for delta in answer:\n"
    "        print(delta, end='|')",
    "async for delta in astream('hi', **options):\n    print(delta, end='|')",
    "print([answer.text for answer in stream_batch(['a', 'b'], jobs=2, **options)])",
    "import asyncio\n"
    "both = await asyncio.gather(*(astream('hi', **options).read() for _ in range(2)))\n"
    "print([answer.outcome.status for answer in both])",
    "import threading\n"
    "print([each.name for each in threading.enumerate() if 'stream' in each.name])",
)
SHOWN = [
    "",
    "Hello| world|",
    "Hello| world|",
    "['Hello world', 'Hello world']\n",
    "['complete', 'complete']\n",
    "[]\n",
]


def test_all_of_it_works_within_a_running_loop(server: FaultServer) -> None:
    options: dict[str, Any] = {"model": "vllm:m", "base_url": server.url("ok")}

    async def main() -> None:
        assert streamcli.stream("hi", **options).text == "Hello world"
        assert [each.text for each in streamcli.stream_batch(["a", "b"], **options)] == [
            "Hello world"
        ] * 2
        assert [delta async for delta in streamcli.astream("hi", **options)] == ["Hello", " world"]

    asyncio.run(main())


def test_a_loop_goes_on_while_an_answer_is_waited_for(server: FaultServer) -> None:
    """The server answers only once another task of the loop ran."""
    ran = threading.Event()

    def play(conn: Conn) -> None:
        assert ran.wait(60)
        conn.open_with("one")
        conn.finish()
        conn.done()
        conn.end()

    url = server.script("waits", play)

    async def other() -> None:
        while not server.seen("waits"):
            await asyncio.sleep(0)
        ran.set()

    async def main() -> str:
        reading = asyncio.create_task(streamcli.astream("hi", model="vllm:m", base_url=url).read())
        await other()
        return (await reading).text

    assert asyncio.run(main()) == "one"


RUNS_A_NOTEBOOK = """
import json, sys
import nbclient, nbformat
cells = [nbformat.v4.new_code_cell(cell) for cell in json.loads(sys.argv[1])]
notebook = nbformat.v4.new_notebook(cells=cells)
nbclient.NotebookClient(notebook, timeout=120, startup_timeout=120).execute()
outputs = [[each.get("text", "") for each in cell.outputs] for cell in notebook.cells]
print(json.dumps(["".join(texts) for texts in outputs]))
"""


def test_a_notebook(server: FaultServer, child_env: dict[str, str], tmp_path: Path) -> None:
    if not find_spec("nbclient") or not find_spec("ipykernel"):
        pytest.skip("needs nbclient and ipykernel")
    cells = [cell.replace("URL", repr(server.url("ok"))) for cell in CELLS]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUNS_A_NOTEBOOK, json.dumps(cells)],
        env=child_env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == SHOWN
    assert len(server.seen("ok")) == 6
