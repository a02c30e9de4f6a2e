"""Very many calls, steps and resets in one answer, in time that grows as the answer does.

No time is measured: what is quadratic takes many seconds each.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from splits import decode, whole

from streamcli.events import Event, Failed, Finished, ToolCall, Usage
from streamcli.protocols._contract import get

MANY = 8_000
IDS = [f"c{number}" for number in range(MANY)]


def told(protocol: str, *values: dict[str, Any]) -> tuple[list[str], Event]:
    """The ids of the calls that are left to who asked, and the end."""
    data = b"".join(b"data: %b\n\n" % json.dumps(value).encode() for value in values)
    events = decode(get(protocol).Decoder(), whole(data))
    return [event.id for event in events if isinstance(event, ToolCall)], events[-1]


def ui_calls(ids: list[str]) -> list[dict[str, Any]]:
    return [{"type": "tool-input-start", "toolCallId": id, "toolName": "f"} for id in ids]


def test_calls_that_are_kept_and_taken_back() -> None:
    step, reset = {"type": "start-step"}, {"type": "reset-step"}
    values = [step, *ui_calls(IDS), *[step] * MANY, *ui_calls(["x"]), *[reset] * MANY]
    ids, end = told("ui-message", *values, {"type": "finish", "finishReason": "tool-calls"})
    assert ids == IDS
    assert isinstance(end, Finished)


@pytest.mark.parametrize("pending", [IDS[1:], [*IDS[1:], ["no id"], None]])
def test_calls_that_a_run_leaves(pending: list[Any]) -> None:
    calls = [{"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": "f"} for id in IDS]
    outcome = {"type": "interrupt", "pendingToolCallIds": pending}
    ids, end = told("ag-ui", *calls, {"type": "RUN_FINISHED", "outcome": outcome})
    assert ids == IDS[1:]
    assert isinstance(end, Failed)


@pytest.mark.parametrize("numbered", [True, False])
def test_calls_of_chat_completions(numbered: bool) -> None:
    calls = [
        {**({"index": number} if numbered else {}), "id": id, "function": {"name": "f"}}
        for number, id in enumerate(IDS)
    ]
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in calls]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    assert told("openai-chat", *chunks, *chunks, end)[0] == IDS


def test_steps_that_count_their_tokens() -> None:
    step = b'e:{"finishReason":"stop","usage":{"promptTokens":1,"completionTokens":2}}\n'
    events = decode(get("ai-data").Decoder(), whole(step * MANY))
    assert events[-2] == Usage(MANY, 2 * MANY)
