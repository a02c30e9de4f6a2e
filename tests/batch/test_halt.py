"""--halt: batches that stop by themselves at failures, at a cost, or at a number of tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batchserver import Act, BatchServer
from conftest import Result, Stream
from records import check

from streamcli.batch.halt import Halt

# An answer to "p" has 4 tokens and its prompt 3: 3 * 1 + 4 * 10 millionths of a unit.
CONFIG = """
[provider.priced]
base_url = "{base}"
prices = {{ m = {{ input = 1, output = 10 }} }}

[provider.free]
base_url = "{base}"
"""
COST = (3 * 1 + 4 * 10) / 1e6


@pytest.mark.parametrize(
    ("halt", "done", "failed", "due"),
    [
        (("never", "", 0.0), 100, 100, False),
        (("soon", "fail", 3.0), 100, 2, False),
        (("now", "fail", 3.0), 3, 3, True),
        (("soon", "share", 0.1), 9, 9, False),
        (("soon", "share", 0.1), 10, 1, True),
        (("soon", "share", 0.1), 11, 1, False),
        (("soon", "share", 0.1), 10, 0, False),
        (("soon", "cost", 1.0), 10, 10, False),
    ],
)
def test_when_it_is_due(halt: tuple[str, str, float], done: int, failed: int, due: bool) -> None:
    assert Halt(*halt).due(done, failed) is due


@pytest.fixture
def priced() -> Iterator[BatchServer]:
    with BatchServer(lambda prompt, before: Act(text="a b c d")) as server:
        path = Path(os.environ["XDG_CONFIG_HOME"]) / "stream" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(CONFIG.format(base=server.base))
        yield server


def halted(stream: Stream, halt: str, count: int, *args: Any, model: str = "priced:m") -> Result:
    prompts = b"p\n" * count
    run = stream("-m", model, "-L", "-j", "1", "--jsonl", "--halt", halt, *args, stdin=prompts)
    check(run.records)
    return run


@pytest.mark.parametrize(
    ("halt", "asked", "words"),
    [
        (f"cost={2.5 * COST:.9f}", 3, "the answers cost 0.000129"),
        (f"soon,cost={COST:.9f}", 1, "the answers cost 0.000043"),
        ("tokens=8", 2, "14 tokens were used"),
        ("now,tokens=7", 1, "7 tokens were used"),
    ],
)
def test_nothing_new_starts_beyond_it(
    stream: Stream, priced: BatchServer, halt: str, asked: int, words: str
) -> None:
    run = halted(stream, halt, 200)
    assert run.returncode == 20
    assert len(priced.asked) == asked
    summary = run.records[-1]
    assert (summary["prompts"], summary["failed"], summary["exit_code"]) == (asked, 0, 20)
    assert f"stream: stopped by --halt: {words}: {asked} done" in run.complaints[0]
    assert "--resume" in run.complaints[0]


@pytest.mark.parametrize("halt", ["cost=1", "tokens=1k", "tokens=2M"])
def test_a_bound_that_is_not_reached(stream: Stream, priced: BatchServer, halt: str) -> None:
    run = halted(stream, halt, 5)
    assert (run.returncode, run.stderr, len(priced.asked)) == (0, "", 5)


def test_a_price_that_is_not_known(stream: Stream, priced: BatchServer) -> None:
    """Nothing is asked: of a fallback too, and of a model that a line names."""
    for args in (
        ("-m", "free:m"),
        ("-m", "priced:other"),
        ("-m", "priced:m", "--fallback", "free:m"),
    ):
        run = stream(*args, "-L", "--halt", "cost=5", stdin=b"p\n")
        assert run.returncode == 2
        assert "--halt cost= needs a price, and none is known for" in run.complaints[0]
        assert "[provider." in run.complaints[0]
    lines = [{"prompt": "p", "model": "priced:other"}, {"prompt": "p", "model": "priced:m"}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    run = stream("--requests", "--json", "--halt", "cost=5", stdin=text.encode())
    assert {record["index"]: record["status"] for record in run.records} == {
        0: "usage",
        1: "complete",
    }
    assert len(priced.asked) == 1


def test_a_server_that_does_not_say_its_usage(stream: Stream) -> None:
    """Characters are counted then, four for a token, and a note says so."""
    with BatchServer(lambda prompt, before: Act(text="abcd" * 10, usage=False)) as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "-L", "-j", "1")
        run = stream(*args, "--halt", "tokens=20", stdin=b"p\n" * 50)
    assert run.returncode == 20
    assert run.text == f"{'abcd' * 10}\n" * 2
    assert "a server sent no usage: --halt counted characters instead" in run.stderr


@pytest.mark.parametrize(
    "halt",
    ["cost=0", "cost=-1", "cost=nan", "cost=inf", "cost=", "tokens=0", "tokens=1.5", "fail=1"]
    + ["soon,", "0%", "101%", "now,cost", "soon,never", "later,fail=1", "soon,fail=0"],
)
def test_what_is_no_bound(stream: Stream, halt: str) -> None:
    run = stream("-m", "vllm:m", "-L", "--halt", halt, stdin=b"")
    assert run.returncode == 2
    assert "'--halt'" in run.complaints[0]
