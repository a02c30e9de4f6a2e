"""Servers that write a finish reason, pause, and go on: as people reported them in public.

The pauses are on a clock of our own, longer than the hold after a reason and shorter than the idle
timeout. Each row is also read without its last reason, and with a silence that never ends.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from turns import DONE, Read, Run

from streamcli.events import Reasoning
from streamcli.request import Target

PAUSE = 40.0  # seconds


def chat(reason: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: %s\n\n" % json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()


def gemini(reason: str | None = None, *parts: Any) -> bytes:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": list(parts)}}
    if reason:
        candidate["finishReason"] = reason
    value = {"candidates": [candidate], "modelVersion": "g", "responseId": "r"}
    return b"data: %s\r\n\r\n" % json.dumps(value).encode()


CODE = {"executableCode": {"language": "PYTHON", "code": "print(2)"}}
RAN = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}
CALL = [{"index": 0, "id": "c", "function": {"name": "look", "arguments": "{}"}}]

# name: protocol, events before the pause, events behind it, reasoning, text
PAUSES: dict[str, tuple[str, list[bytes], list[bytes], str, str]] = {
    "Open WebUI begins with stop": (
        "openai-chat",
        [chat("stop")],
        [chat(reasoning_content="thinking"), chat(content="42"), chat("stop"), DONE],
        "thinking",
        "42",
    ),
    "Open WebUI stops behind its reasoning": (
        "openai-chat",
        [chat("stop", reasoning_content="let me"), chat("stop", reasoning_content=" think")],
        [chat(content="42"), chat("stop"), DONE],
        "let me think",
        "42",
    ),
    "koboldcpp writes null with every chunk": (
        "openai-chat",
        [chat("null", content="One"), chat("null", content=" two")],
        [chat("null", content=" three"), chat("stop"), DONE],
        "",
        "One two three",
    ),
    "an agent runs its tool behind tool_calls": (
        "openai-chat",
        [chat(content="Let me see. "), chat(tool_calls=CALL), chat("tool_calls")],
        [chat(content="It rains."), chat("stop"), DONE],
        "",
        "Let me see. It rains.",
    ),
    "Gemini begins with STOP": (
        "gemini",
        [gemini("STOP")],
        [gemini(None, {"text": "Hello"}), gemini(None, {"text": " world"}), gemini("STOP")],
        "",
        "Hello world",
    ),
    "Gemini stops around its code": (
        "gemini",
        [gemini(None, CODE), gemini("STOP", RAN)],
        [gemini("STOP", {"text": "The answer is 2."})],
        "",
        "The answer is 2.",
    ),
}


def run_of(protocol: str, *reads: Read) -> Run:
    return Run(list(reads), target=Target("p", protocol, "http://h/v1"))


@pytest.mark.parametrize("name", PAUSES)
def test_what_comes_behind_the_pause_is_part_of_the_answer(name: str) -> None:
    protocol, before, behind, thought, text = PAUSES[name]
    run = run_of(protocol, *((0.0, each) for each in before), (PAUSE, b"".join(behind)))
    assert run.text == text
    assert "".join(each.text for each in run.events if isinstance(each, Reasoning)) == thought
    proof = "marker" if behind[-1] is DONE else "eof"
    assert run.finished("finish_reason", proof).reason == "stop"
    assert run.seconds == PAUSE


@pytest.mark.parametrize("name", [name for name in PAUSES if len(PAUSES[name][2]) > 1])
def test_without_its_last_reason_it_is_truncated(name: str) -> None:
    protocol, before, behind, _, _ = PAUSES[name]
    cut = [each for each in behind if each is not DONE][:-1]
    run = run_of(protocol, *((0.0, each) for each in before), (PAUSE, b"".join(cut)))
    run.failed("truncated")


@pytest.mark.parametrize("name", [name for name in PAUSES if "tool" not in name])
def test_silence_for_ever_is_a_timeout(name: str) -> None:
    """Nothing, reasoning or half of the text: no reason stands that ends it."""
    protocol, before, _, _, _ = PAUSES[name]
    run = run_of(protocol, *((0.0, each) for each in before), (1e9, b""))
    run.failed("idle_timeout")
    assert run.seconds == 60
