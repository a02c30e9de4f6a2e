"""Chat Completions: every recording of every server, their errors, and what requests look like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recordings import check_error_body, check_recording, error_bodies, name_of, recordings
from splits import bytewise, decode, merged, whole

from streamcli.events import Failed, Finished, Progress, Text, ToolCall, Usage
from streamcli.protocols._contract import get

NAME = "openai-chat"

# The script behind the expected values reads two of the three reasoning fields: Snowflake's
# reasoning comes in `reasoning_details` alone.
IN_DETAILS = {
    "snowflake--pydantic-ai--test-snowflake-thinking-streaming--0-684fea": "15 * 27 = 405"
}
# Names of the counts of cached tokens beside OpenAI's.
CACHED = ("cached_tokens", "num_cached_tokens", "cache_read_input_tokens")
WRITTEN = "cache_creation_input_tokens"


def usage(raw: dict[str, Any]) -> Usage:
    details = {**(raw.get("prompt_tokens_details") or {})}
    thoughts = {**(raw.get("completion_tokens_details") or {})}
    beside = (raw.get(name) for name in ("prompt_cache_hit_tokens", *CACHED))
    cached = [each for each in (details.get("cached_tokens"), *beside) if each is not None]
    return Usage(
        input_tokens=raw.get("prompt_tokens"),
        output_tokens=raw.get("completion_tokens"),
        reasoning_tokens=thoughts.get("reasoning_tokens", raw.get("reasoning_tokens")),
        cache_read_tokens=cached[0] if cached else None,
        cache_write_tokens=details.get("cache_write_tokens", raw.get(WRITTEN)),
        total_tokens=raw.get("total_tokens"),
    )


@pytest.mark.parametrize("path", recordings(NAME))
def test_recording(path: Path) -> None:
    *_, end = check_recording(NAME, path, usage, IN_DETAILS)
    expected = json.loads(path.read_text())["expected"]
    if isinstance(end, Failed):
        if expected["error"]:
            assert expected["error"]["message"] in end.message
        return
    assert isinstance(end, Finished)
    proofs = {"finish_reason": expected["finish_reason"], "marker": expected["done_marker"]}
    assert {proof for proof in proofs if proofs[proof]} == set(end.evidence) - {"eof"}
    assert name_of(path)


@pytest.mark.parametrize("path", recordings(NAME))
def test_a_cut_recording_is_never_complete(path: Path) -> None:
    """Cut before the finish reason and the marker, an answer is never taken for whole."""
    meta = json.loads(path.read_text())
    data = (path.parent / meta["file"]).read_bytes()
    marks = [data.find(mark) for mark in (b'"finish_reason":"', b'"finish_reason": "', b"[DONE]")]
    first = min((mark for mark in marks if mark >= 0), default=len(data))
    for part in (3, 2):
        *_, end = decode(get(NAME).Decoder(), whole(data[: first * (part - 1) // part]))
        assert isinstance(end, Failed), end


@pytest.mark.parametrize("path", error_bodies(NAME))
def test_error_body(path: Path) -> None:
    check_error_body(path)


def test_half_a_character_in_a_call() -> None:
    """A string that UTF-8 cannot hold could be written nowhere."""
    arguments = '{\\"a\\":\\"\\ud83d\\"}'
    call = (
        f'{{"index":0,"id":"\\ud83d","function":{{"name":"f\\ud83d","arguments":"{arguments}"}}}}'
    )
    choice = f'{{"delta":{{"tool_calls":[{call}]}},"finish_reason":"tool_calls"}}'
    data = f'data: {{"choices":[{choice}]}}\n\ndata: [DONE]\n\n'.encode()
    *_, found, _ = decode(get(NAME).Decoder(), whole(data))
    assert found == ToolCall("\ufffd", "f\ufffd", '{"a":"\ufffd"}')


def test_a_server_that_runs_the_tools_itself_goes_on() -> None:
    """As Tyler's agents do: the next turn's text is the same answer, whose end is yet to come."""

    def chunk(reason: str | None = None, **delta: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()

    def turn(place: str) -> bytes:
        call = {"index": 0, "function": {"name": "find", "arguments": f'{{"where":"{place}"}}'}}
        return chunk(role="assistant", content="") + chunk(tool_calls=[call]) + chunk("tool_calls")

    data = turn("here") + chunk(content="Not here.") + turn("there") + chunk(content="Found")
    told = [
        ToolCall("call_0", "find", '{"where":"here"}'),
        Text("Not here."),
        ToolCall("call_1", "find", '{"where":"there"}'),
        Text("Found"),
    ]
    for split in (whole, bytewise):
        found = decode(get(NAME).Decoder(), split(data + chunk(content=" it.") + chunk("stop")))
        *events, end = (event for event in found if not isinstance(event, Progress))
        assert merged(events) == [*told[:-1], Text("Found it.")]
        assert end == Finished("stop", "stop", ("finish_reason", "eof"))
    *found, end = decode(get(NAME).Decoder(), whole(data))
    assert [event for event in found if not isinstance(event, Progress)] == told
    assert isinstance(end, Failed)
    assert end.status == "truncated"


@pytest.mark.parametrize("name", [NAME, "openai-completions"])
def test_an_answer_is_whole_when_all_its_choices_are(name: str) -> None:
    """-o n=2: stdout has the first choice, and the second one's end says nothing of it."""

    def chunk(index: int, text: str, reason: str | None = None) -> bytes:
        place = {"delta": {"content": text}} if name == NAME else {"text": text}
        choice = {"index": index, **place, "finish_reason": reason}
        return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()

    data = chunk(0, "Hel") + chunk(1, "Yes") + chunk(1, "", "stop")
    for split in (whole, bytewise):
        *_, end = decode(get(name).Decoder(), split(data))
        assert isinstance(end, Failed)
        assert end.status == "truncated"
        *_, end = decode(get(name).Decoder(), split(data + chunk(0, "lo", "length")))
        assert end == Finished("length", "length", ("finish_reason", "eof"))
