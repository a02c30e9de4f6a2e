"""The wait behind a finish reason, in each protocol whose servers may hold the connection open.

A clock of our own: 10 s behind an ending, the ordinary 60 s behind tool calls, before any text, and
where the answer went on.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
import wires
from turns import FOREVER, Read, Run

from streamcli.events import Failed
from streamcli.request import Target

BODY = {"model": "{model}", "prompt": "{prompt}"}
ROW = {"text_path": "t", "finish_path": "why", "done_path": "over", "body": BODY}


class Wire(NamedTuple):
    text: bytes
    stop: bytes
    calls: bytes = b""  # tool calls, and the reason that says so
    error: bytes = b""
    reads: list[bytes] = []  # what begins the body


def sse(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def code(letter: str, value: Any) -> bytes:
    return f"{letter}:{json.dumps(value)}\n".encode()


def of(wire: wires.Wire, error: bytes) -> Wire:
    call = wire.call("c", "look", "{}") + wire.reason("tool_calls")
    return Wire(wire.text("Hi"), wire.reason(wire.stop), call, error, [wire.body()])


ERROR = {"error": {"message": "it broke"}}
WIRES = {
    "anthropic": of(wires.Anthropic(), sse(ERROR)),
    "bedrock": of(wires.Bedrock(), b""),
    "gemini": of(wires.Gemini(), sse(ERROR)),
    "gemini-array": of(wires.GeminiArray(), json.dumps(ERROR).encode() + b"\n,\n"),
    "ollama": of(wires.Ollama(), json.dumps(ERROR).encode() + b"\n"),
    "ui-message": Wire(
        sse({"type": "text-delta", "delta": "Hi"}),
        sse({"type": "finish", "finishReason": "stop"}),
        error=sse({"type": "error", "errorText": "it broke"}),
    ),
    "ai-data": Wire(
        code("0", "Hi"), code("e", {"finishReason": "stop"}), error=code("3", "it broke")
    ),
    "json-events": Wire(sse({"t": "Hi"}), sse({"why": "stop"}), sse({"why": "tool_calls"})),
    "ag-ui": Wire(
        sse({"type": "TEXT_MESSAGE_CONTENT", "delta": "Hi"}), sse({"type": "RUN_FINISHED"})
    ),
}


def run(name: str, *parts: bytes) -> Run:
    """Play the parts, a second apart, and then silence."""
    wire = WIRES[name]
    reads: list[Read] = [(1, part) for part in (*wire.reads, *parts)]
    target = Target("p", name, "http://h", template=ROW if name == "json-events" else None)
    played = Run([*reads, (FOREVER, b"")], target=target)
    played.seconds -= len(reads)
    return played


@pytest.mark.parametrize("name", WIRES)
def test_an_ending_behind_text_is_waited_for_10_s(name: str) -> None:
    wire = WIRES[name]
    held = run(name, wire.text, wire.stop)
    assert held.end is not None
    assert held.end.evidence[-1] == "hold"
    assert "eof" not in held.end.evidence
    assert not isinstance(held.end, Failed)
    assert (held.text, held.seconds) == ("Hi", 10)


@pytest.mark.parametrize("name", WIRES)
def test_an_answer_that_goes_on_has_the_ordinary_clock(name: str) -> None:
    wire = WIRES[name]
    cut = run(name, wire.text, wire.stop, wire.text)
    cut.failed("idle_timeout")
    assert (cut.text, cut.seconds) == ("HiHi", 60)


@pytest.mark.parametrize("name", [name for name in WIRES if name != "ag-ui"])
def test_an_ending_before_any_text_is_no_answer(name: str) -> None:
    cut = run(name, WIRES[name].stop)
    cut.failed("idle_timeout")
    if name != "ai-data":
        assert cut.seconds == 60


@pytest.mark.parametrize("name", [name for name, wire in WIRES.items() if wire.calls])
def test_behind_tool_calls_the_ordinary_clock_runs(name: str) -> None:
    """The server may run them itself."""
    wire = WIRES[name]
    assert run(name, wire.text, wire.calls).seconds == 60
    went_on = run(name, wire.calls, wire.text, wire.stop)
    assert (went_on.text, went_on.seconds) == ("Hi", 10)


@pytest.mark.parametrize("name", [name for name, wire in WIRES.items() if wire.error])
def test_an_error_is_told_where_the_server_holds_on(name: str) -> None:
    wire = WIRES[name]
    failed = run(name, wire.text, wire.error)
    assert isinstance(failed.end, Failed)
    assert failed.end.message == "it broke"
    assert (failed.text, failed.seconds <= 10) == ("Hi", True)
