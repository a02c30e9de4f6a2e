"""Against Tyler's real streaming modes, which run their tools inside the stream (.ci/setup_a2a.sh).

Their agent thinks and calls a tool in two rounds, then answers (peers/tyler_streams.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import realservers
from conftest import Configure, Popen, Stream
from realservers import RealServer

pytestmark = pytest.mark.real

ANSWER = "It is done."
WAYS = ("openai", "vercel", "events")

EVENTS = """
[provider.agent]
protocol = "json-events"
base_url = "{url}/events"
body = {{ prompt = "{{prompt}}" }}
text_path = "data.content_chunk"
reasoning_path = "data.thinking_chunk"
error_path = "data.error_type"
tool_path = "type=tool_selected"
tool_name_path = "data.tool_name"
tool_arguments_path = "data.arguments"
tool_id_path = "data.tool_call_id"
tool_result_path = "data.result"
done_path = "type=execution_complete"
"""
VERCEL = """
[provider.agent]
protocol = "ui-message"
base_url = "{url}/vercel"
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tyler")


@pytest.fixture(scope="session")
def tyler(folder: Path) -> Iterator[RealServer]:
    with realservers.tyler_streams(folder) as server:
        yield server


def target(way: str, tyler: RealServer, configure: Configure) -> tuple[str, ...]:
    if way == "openai":
        return ("-m", "gpt-4", "--base-url", f"{tyler.url}/openai")
    configure((EVENTS if way == "events" else VERCEL).format(url=tyler.url))
    return ("-p", "agent")


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_call_is_there_while_the_tool_still_runs(
    tyler: RealServer, folder: Path, popen: Popen, configure: Configure, way: str
) -> None:
    """Each tool waits until the test has seen its call: one that came late would hang here."""
    process = popen(*target(way, tyler, configure), "-n", "--jsonl", "gated")
    assert process.stdout
    records: list[dict[str, Any]] = []
    for line in process.stdout:
        records.append(json.loads(line))
        if records[-1]["type"] == "tool_call":
            number = json.loads(records[-1]["arguments"])["round"]
            (folder / f"round-{number}").touch()
    for gate in folder.glob("round-*"):
        gate.unlink()
    assert process.wait(60) == 0
    calls = [record for record in records if record["type"] == "tool_call"]
    assert [call["call_id"] for call in calls] == ["call_1", "call_2"]
    text = [record["text"] for record in records if record.get("channel") == "text"]
    thought = [record["text"] for record in records if record.get("channel") == "reasoning"]
    assert "".join(text) == ANSWER
    assert "".join(thought) == "Round 1. Round 2. "
    if way != "openai":  # its chunks do not say who runs a tool
        assert [call["by"] for call in calls] == ["server", "server"]
        results = [record for record in records if record["type"] == "tool_result"]
        assert [result["call_id"] for result in results] == ["call_1", "call_2"]
        assert all("found" in result["output"] for result in results)


@pytest.mark.parametrize("way", WAYS)
def test_two_rounds_of_three_seconds_lose_nothing(
    tyler: RealServer, stream: Stream, configure: Configure, way: str
) -> None:
    run = stream(*target(way, tyler, configure), "-n", "hi")
    assert (run.returncode, run.text, run.stderr) == (0, ANSWER, "")
