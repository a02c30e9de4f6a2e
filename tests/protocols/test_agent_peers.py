"""Against applications and agents made with the protocols' own packages (see tests/peers).

Vercel's AI SDK 4 to 7 (ai-data, ui-message), and AG-UI's package before and since 1.0.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import realservers
from conftest import Popen, Stream
from realservers import RealServer
from records import parse_records

pytestmark = pytest.mark.real

SDKS = ("ai4", "ai5", "ai6", "ai7")
SAID = "Hello, wörld 😀\n"
Ask = Callable[..., tuple[str, ...]]


@pytest.fixture(scope="module")
def aisdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with realservers.aisdk(tmp_path_factory.mktemp("aisdk")) as server:
        yield server


@pytest.fixture(scope="module", params=["0.1.10", "1.0.0"])
def agent(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealServer]:
    with realservers.agui(tmp_path_factory.mktemp("agui"), request.param) as server:
        yield server


@pytest.fixture(scope="module")
def agent_1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with realservers.agui(tmp_path_factory.mktemp("agui1"), "1.0.0") as server:
        yield server


@pytest.fixture
def of() -> Ask:
    """Options for one scenario of a server, a provider of the user's own."""

    def options(server: RealServer, scenario: str) -> tuple[str, ...]:
        sdk = scenario.partition("/")[0]
        protocol = {"ai4": "ai-data"}.get(sdk, "ui-message" if sdk in SDKS else "ag-ui")
        config = Path(os.environ["XDG_CONFIG_HOME"]) / "stream" / "config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        address = f"{server.url}/{scenario}"
        config.write_text(f'[provider.mine]\nprotocol = "{protocol}"\nbase_url = "{address}"\n')
        config.chmod(0o600)
        return ("-p", "mine")

    return options


def ended(stream: Stream, *args: str) -> dict[str, Any]:
    (end,) = stream(*args, "--json", "hi").records
    assert isinstance(end, dict)
    return end


# Vercel's AI SDK


@pytest.mark.parametrize("sdk", SDKS)
def test_a_chat(stream: Stream, aisdk: RealServer, of: Ask, sdk: str) -> None:
    run = stream(*of(aisdk, f"{sdk}/text"), "--jsonl", "hi")
    assert (run.returncode, run.stderr) == (0, "")
    deltas = [r for r in run.records if r["type"] == "delta"]
    for channel, said in (("text", SAID), ("reasoning", "Hmm.")):
        assert "".join(r["text"] for r in deltas if r["channel"] == channel) == said
    assert [r["text"] for r in deltas] == ["Hm", "m.", "Hel", "lo, ", "wörld 😀\n"]
    (source,) = [r for r in run.records if r["type"] == "citation"]
    assert (source["url"], source["title"]) == ("https://e.com/a", "A")
    end = run.records[-1]
    assert (end["finish_reason"], end["evidence"]) == ("stop", ["finish_reason", "marker"])
    counts = end["usage"]
    assert (counts["input_tokens"], counts["output_tokens"]) == (3, 7)
    if sdk != "ai4":
        assert end["model"] == "mock-1"
        assert (counts["total_tokens"], counts["reasoning_tokens"]) == (10, 2)
        assert counts["cache_read_tokens"] == 1


@pytest.mark.parametrize("sdk", SDKS)
def test_it_is_recognised(stream: Stream, aisdk: RealServer, sdk: str) -> None:
    content = {"content": "hi", "parts": [{"type": "text", "text": "hi"}]}
    body = json.dumps({"messages": [{"id": "m", "role": "user", **content}]}).encode()
    with urllib.request.urlopen(f"{aisdk.url}/{sdk}/text", body, timeout=60) as response:
        wire = response.read()
    (end,) = stream("--decode", "--json", stdin=wire).records
    assert (end["text"], end["status"]) == (SAID, "complete")
    assert end["protocol"] == ("ai-data" if sdk == "ai4" else "ui-message")
    other = "ui-message" if sdk == "ai4" else "ai-data"
    run = stream(f"--decode={other}", stdin=wire)
    assert run.returncode == 8
    assert f"the protocol is {end['protocol']}" in run.stderr


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize(
    ("scenario", "status", "reason"),
    [
        ("length", "length", "length"),
        ("filtered", "filtered", "content_filter"),
        ("unknown", "truncated", None),  # the SDK writes "other", which no table calls an end
        ("error", "provider", None),
    ],
)
def test_other_ends(
    stream: Stream,
    aisdk: RealServer,
    of: Ask,
    sdk: str,
    scenario: str,
    status: str,
    reason: str | None,
) -> None:
    end = ended(stream, *of(aisdk, f"{sdk}/{scenario}"))
    assert (end["status"], end["finish_reason"]) == (status, reason)
    assert end["text"]
    if scenario == "error":
        assert (end["text"], end["error"]["message"]) == ("so far", "An error occurred.")


@pytest.mark.parametrize("sdk", SDKS)
def test_tools_of_the_application(stream: Stream, aisdk: RealServer, of: Ask, sdk: str) -> None:
    records = stream(*of(aisdk, f"{sdk}/server-tool"), "--jsonl", "hi").records
    call, result = (record for record in records if record["type"].startswith("tool_"))
    assert (call["type"], call["name"], call["by"]) == ("tool_call", "weather", "server")
    assert (result["type"], result["name"], result["by"]) == ("tool_result", "weather", "server")
    assert (result["output"], result["is_error"]) == ("rain", False)
    assert result["call_id"] == call["call_id"]
    end = records[-1]
    deltas = (record["text"] for record in records if record["type"] == "delta")
    assert "".join(deltas) == "Let me look. Rain."
    assert (end["status"], end["finish_reason"]) == ("complete", "stop")
    assert end["usage"]["output_tokens"] == 14, "of both steps"
    end = ended(stream, *of(aisdk, f"{sdk}/last-step"))
    assert [call["by"] for call in end["tool_calls"]] == ["server"]
    assert end["finish_reason"] == "stop"
    assert end["provider_finish_reason"] == "tool-calls"
    end = ended(stream, *of(aisdk, f"{sdk}/broken-tool"))
    if sdk == "ai4":
        assert end["status"] == "provider"
    else:
        assert (end["text"], end["status"]) == ("It broke.", "complete")


@pytest.mark.parametrize("sdk", SDKS)
def test_a_tool_that_is_left_to_us(stream: Stream, aisdk: RealServer, of: Ask, sdk: str) -> None:
    args = of(aisdk, f"{sdk}/client-tool")
    end = ended(stream, *args)
    (call,) = end["tool_calls"]
    assert (call["call_id"], call["name"]) == ("call-1", "locate")
    assert json.loads(call["arguments"]) == {"city": "Oslo"}
    assert (end["status"], end["finish_reason"]) == ("complete", "tool_calls")
    assert stream(*args, "hi").returncode == 13


@pytest.mark.parametrize("sdk", SDKS)
def test_a_connection_that_is_cut(stream: Stream, aisdk: RealServer, of: Ask, sdk: str) -> None:
    run = stream(*of(aisdk, f"{sdk}/cut"), "hi")
    assert run.returncode == 18
    assert run.text.startswith("0 1 2 3 ")


@pytest.mark.parametrize("sdk", SDKS[1:])
def test_an_application_that_stops(stream: Stream, aisdk: RealServer, of: Ask, sdk: str) -> None:
    end = ended(stream, *of(aisdk, f"{sdk}/abort"))
    assert (end["status"], end["exit_code"]) == ("truncated", 18)
    assert end["text"].startswith("0 1 ")
    assert "before its end" in end["error"]["message"]


@pytest.mark.parametrize("sdk", SDKS)
def test_a_stream_written_by_hand(stream: Stream, aisdk: RealServer, of: Ask, sdk: str) -> None:
    end = ended(stream, *of(aisdk, f"{sdk}/by-hand"))
    assert end["text"] == "by hand"
    if sdk == "ai4":  # it ends with an error there
        assert end["status"] == "provider"
    else:
        assert (end["status"], end["evidence"]) == ("complete", ["marker"])


@pytest.mark.parametrize("sdk", SDKS)
def test_what_the_application_makes_of_a_request(
    stream: Stream, aisdk: RealServer, of: Ask, tmp_path: Path, sdk: str
) -> None:
    """It validates the messages, and its model is given them."""
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(24))
    args = (*of(aisdk, f"{sdk}/echo"), "-s", "be brief", "-a", "a.txt", "-a", "c.png")
    run = stream(*args, "-o", "id=mine", "hi")
    assert run.returncode == 0, run.stderr
    system, user = json.loads(run.text)
    assert (system["role"], system["content"]) == ("system", "be brief")
    assert user["role"] == "user"
    texts = [part["text"] for part in user["content"] if part["type"] == "text"]
    assert texts == ["a.txt:\none\n\nhi"]
    assert len(user["content"]) == 2
    asked = aisdk.get("/asked")
    assert asked["body"]["id"] == "mine"


def test_it_is_not_late(popen: Popen, aisdk: RealServer, of: Ask) -> None:
    for sdk in SDKS:
        process = popen(*of(aisdk, f"{sdk}/slow"), "--jsonl", "hi")
        records = parse_records(process.communicate(timeout=60)[0])
        times = [r["t_ms"] for r in records if r["type"] == "delta"]
        assert len(times) == 20
        assert len(set(times)) > 1, "it came bit by bit"


# AG-UI


def test_a_run(stream: Stream, agent: RealServer, of: Ask) -> None:
    run = stream(*of(agent, "text"), "--jsonl", "hi")
    assert (run.returncode, run.stderr) == (0, "")
    deltas = [(r["channel"], r["text"]) for r in run.records if r["type"] == "delta"]
    assert deltas == [
        ("reasoning", "Hm"),
        ("reasoning", "m."),
        ("text", "Hel"),
        ("text", "lo, "),
        ("text", "wörld 😀\n"),
    ]
    end = run.records[-1]
    assert (end["status"], end["finish_reason"]) == ("complete", "stop")
    assert "marker" in end["evidence"]
    again = ended(stream, *of(agent, "two_runs"))
    assert (again["text"], again["response_id"]) == (SAID, end["response_id"])


@pytest.mark.parametrize(
    ("scenario", "text", "calls", "status"),
    [
        ("chunks", "Hello", 1, "complete"),
        ("server_tool", "Let me look. Rain.", 1, "complete"),
        ("client_tool", "One moment. ", 1, "complete"),
        ("error", "so far", 0, "provider"),
        ("late_error", "so far", 0, "provider"),
        ("snapshot", "All at once.", 0, "complete"),
        ("cut", "0 1 2 3 4 ", 0, "truncated"),
    ],
)
def test_runs_of_every_kind(
    stream: Stream, agent: RealServer, of: Ask, scenario: str, text: str, calls: int, status: str
) -> None:
    end = ended(stream, *of(agent, scenario))
    assert (end["text"], end["status"]) == (text, status)
    assert len(end["tool_calls"]) == calls
    for call in end["tool_calls"]:
        name = "weather" if scenario == "server_tool" else "locate"
        assert (call["call_id"], call["name"], call["by"]) == ("c1", name, "server")
        assert json.loads(call["arguments"]) == {"city": "Oslo"}


@pytest.mark.parametrize("scenario", ["interrupt", "cancelled", "subagents", "handed_over", "text"])
def test_runs_since_1_0(stream: Stream, agent_1: RealServer, of: Ask, scenario: str) -> None:
    end = ended(stream, *of(agent_1, scenario))
    told = (end["text"], end["reasoning"], end["status"])
    if scenario == "interrupt":
        assert told == ("About to delete it. ", "", "tool")
        assert "Really delete? (interruptId i1)" in end["error"]["message"]
        resume = '[{"interruptId":"i1","status":"resolved","payload":"yes"}]'
        again = ended(stream, *of(agent_1, scenario), "-o", f"resume={resume}")
        assert (again["text"], again["status"]) == ("You said yes.", "complete")
        assert again["response_id"] != end["response_id"]
    elif scenario == "cancelled":
        assert told == ("half an ans", "", "truncated")
    elif scenario == "subagents":
        assert told == ("The answer.", "I found it. ", "complete")
    elif scenario == "handed_over":
        assert told == ("The answer.", "First thoughts. The answer.", "complete")
    else:
        counts = {name: count for name, count in end["usage"].items() if count is not None}
        assert counts == {
            "input_tokens": 4,
            "output_tokens": 8,
            "total_tokens": 12,
            "reasoning_tokens": 2,
        }


def test_what_an_agent_makes_of_a_request(
    stream: Stream, agent: RealServer, of: Ask, tmp_path: Path
) -> None:
    """Its package validates the input; before 1.0 it refused any field it did not know."""
    (tmp_path / "a.txt").write_text("one")
    more = ("-o", "depth=3", "-o", "state.n=1", "-s", "be brief", "-a", "a.txt")
    run = stream(*of(agent, "echo"), *more, "hi")
    assert run.returncode == 0, run.stderr
    asked = json.loads(run.text)
    assert [m["content"] for m in asked["messages"]] == ["be brief", "a.txt:\none\n\nhi"]
    assert (asked["state"], asked["forwardedProps"]) == ({"n": 1}, {"depth": 3})


def test_an_agent_that_is_not_there(stream: Stream, agent: RealServer, of: Ask) -> None:
    run = stream(*of(agent, "nobody"), "hi")
    assert run.returncode == 22
    assert "whole address of the agent" in run.stderr
    run = stream(*of(agent, "text"), "-o", "messages=7", "hi")
    assert run.returncode == 22
    assert "HTTP 422" in run.stderr
