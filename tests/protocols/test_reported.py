"""Streams that people reported, of Anthropic, Bedrock, Gemini, Cohere and Ollama.

What can happen to any of them is in test_answers_of_providers; here is what one of them alone does.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import awsframes
import pytest
import wires
from splits import bytewise, decode, whole

from streamcli.errors import EXIT_OF_STATUS
from streamcli.events import Event, Failed, Finished, Opaque, Reasoning, Text, ToolCall, Usage
from streamcli.outcome import Outcome, judge
from streamcli.protocols._contract import get


def told(events: list[Event]) -> list[Event]:
    return [each for each in events if not isinstance(each, Opaque)]


def exit_of(events: list[Event]) -> int:
    """The exit code of these events in a run that shows tool calls."""
    outcome = Outcome()
    end = events[-1]
    assert isinstance(end, Finished | Failed)
    outcome.end = end
    outcome.calls = sum(isinstance(each, ToolCall) for each in events)
    outcome.chars = sum(len(each.text) for each in events if isinstance(each, Text))
    return judge(outcome).exit_code


# Anthropic


@pytest.mark.parametrize("name", ["ping", "vertex_event", "content_block_delta"])
@pytest.mark.parametrize("data", ["data:", "data: ", "data:   ", "data: \ndata: "])
def test_anthropic_an_event_without_data_is_a_keepalive(name: str, data: str) -> None:
    wire = wires.Anthropic()
    empty = f"event: {name}\n{data}\n\n".encode()
    parts = (empty, wire.text("Hi"), empty, wire.reason("end_turn"), empty, wire.end())
    assert told(wire.events(*parts)) == [
        Text("Hi"),
        Finished("stop", "end_turn", ("finish_reason", "marker")),
    ]


@pytest.mark.parametrize("blank", [True, False])
def test_anthropic_an_error_in_plain_text(blank: bool) -> None:
    wire = wires.Anthropic()
    error = b"event: error\ndata: upstream request timeout\n" + b"\n" * blank
    text, failed = told(wire.events(wire.text("Hi"), error))
    assert text == Text("Hi")
    assert isinstance(failed, Failed)
    assert (failed.status, failed.message) == ("provider", "upstream request timeout")


@pytest.mark.parametrize(
    "value",
    [
        {"type": "error", "error": {"type": "api_error", "message": "it broke"}},
        {"type": "error", "error": "it broke"},
        {"type": "error", "message": "it broke"},
        {"error": {"message": "it broke"}},
        {"error": "it broke"},
        {"message": "it broke"},
        "it broke",
        [{"error": {"message": "it broke"}}],
    ],
)
def test_anthropic_an_error_in_any_form(value: Any) -> None:
    """Never complete because a marker follows."""
    wire = wires.Anthropic()
    error = f"event: error\ndata: {json.dumps(value)}\n\n".encode()
    parts = (wire.text("Hi"), error, wire.reason("end_turn"), wire.end())
    text, failed = told(wire.events(*parts))
    assert text == Text("Hi")
    assert isinstance(failed, Failed)
    assert failed.status == "provider"
    assert "it broke" in failed.message


def test_anthropic_output_that_a_filter_blocked() -> None:
    wire = wires.Anthropic()
    message = "Output blocked by content filtering policy"
    error = {"type": "invalid_request_error", "message": message}
    failed = wire.events(wire.text("Hi"), wire.event("error", error=error))[-1]
    assert isinstance(failed, Failed)
    assert failed.status == "filtered"
    body = json.dumps({"type": "error", "error": error}).encode()
    assert get("anthropic").refusal(400, {}, body).status == "filtered"


def test_anthropic_input_of_a_call_that_never_began() -> None:
    wire = wires.Anthropic()
    lost = {"type": "input_json_delta", "partial_json": '{"a":1}'}
    events = wire.events(
        wire.event("content_block_delta", index=0, delta=lost),
        wire.event("content_block_stop", index=0),
        wire.reason("tool_use"),
        wire.end(),
    )
    assert exit_of(events) == 8


def test_anthropic_usage_that_is_null_first() -> None:
    wire = wires.Anthropic()
    events = wire.events(wire.text("Hi"), wire.reason("end_turn", input=44, output=7), wire.end())
    assert Usage(44, 7) in events


def test_anthropic_usage_of_an_error_event() -> None:
    wire = wires.Anthropic()
    error = {"type": "overloaded_error", "message": "Overloaded"}
    events = wire.events(
        wire.text("Hi"), wire.event("error", error=error, usage={"input_tokens": 4})
    )
    assert Usage(4) in events
    assert exit_of(events) == 15


def test_anthropic_text_in_the_block_of_a_call() -> None:
    wire = wires.Anthropic()
    call = {"type": "tool_use", "id": "t", "name": "w", "input": {}}
    deltas = (
        {"type": "input_json_delta", "partial_json": "{}"},
        {"type": "text_delta", "text": "\n"},
    )
    events = wire.events(wire.block(call, *deltas), wire.reason("tool_use"), wire.end())
    assert told(events)[:2] == [Text("\n"), ToolCall("t", "w", "{}")]


def test_anthropic_blocks_that_no_stop_closes() -> None:
    """A call is whole when another block begins, or when its reason comes."""
    wire = wires.Anthropic()
    decoder = get("anthropic").Decoder()

    def begun(index: int) -> bytes:
        call = {"type": "tool_use", "id": f"c{index}", "name": "w", "input": {}}
        piece = {"type": "input_json_delta", "partial_json": '{"a":1}'}
        return wire.event("content_block_start", index=index, content_block=call) + wire.event(
            "content_block_delta", index=index, delta=piece
        )

    assert ToolCall("c0", "w", '{"a":1}') not in decoder.feed(wire.body(begun(0)))
    assert ToolCall("c0", "w", '{"a":1}') in decoder.feed(begun(1))
    assert ToolCall("c1", "w", '{"a":1}') in decoder.feed(wire.reason("tool_use"))


def test_anthropic_blocks_that_grow_side_by_side() -> None:
    wire = wires.Anthropic()

    def part(index: int, *pieces: str) -> bytes:
        deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
        return b"".join(
            wire.event("content_block_delta", index=index, delta=each) for each in deltas
        )

    def start(index: int) -> bytes:
        call = {"type": "tool_use", "id": f"c{index}", "name": "w", "input": {}}
        return wire.event("content_block_start", index=index, content_block=call)

    parts = (start(0), part(0, '{"a"'), start(1), part(1, '{"b"'), part(0, ":1}"), part(1, ":2}"))
    first, second, _ = told(wire.events(*parts, wire.reason("tool_use"), wire.end()))
    assert first == ToolCall("c0", "w", '{"a":1}')
    assert second == ToolCall("c1", "w", '{"b":2}')


def test_anthropic_a_search_before_the_reason_is_not_waited_for_briefly() -> None:
    wire = wires.Anthropic()
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    decoder = get("anthropic").Decoder()
    decoder.feed(wire.body(wire.text("I search."), wire.block(search), wire.reason("end_turn")))
    assert not decoder.ending
    decoder.feed(wire.text("It is so.") + wire.reason("end_turn"))
    assert decoder.ending


def test_anthropic_an_empty_object_before_the_input() -> None:
    """Gateways send the block's own `input` as a first piece."""
    wire = wires.Anthropic()
    call = wire.call("c", "look", '{}{"q":1}')
    assert told(wire.events(call, wire.reason("tool_use"), wire.end()))[0] == ToolCall(
        "c", "look", '{"q":1}'
    )


# Bedrock


def chunk(value: Any) -> bytes:
    """A frame of InvokeModel, which holds an event of the model's own format."""
    data = json.dumps(value).encode()
    return awsframes.event("chunk", {"bytes": b64encode(data).decode()})


def told_of_frames(*frames: bytes) -> list[Event]:
    data = b"".join(frames)
    found = decode(get("bedrock").Decoder(), whole(data))
    assert decode(get("bedrock").Decoder(), bytewise(data)) == found
    return [each for each in told(found) if isinstance(each, Text | Usage | Finished | Failed)]


INVOKED = [
    {"type": "message_start", "message": {"id": "m", "model": "claude", "content": []}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"input_tokens": 3, "output_tokens": 2},
    },
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}},
]


def test_bedrock_invoked_claude() -> None:
    assert told_of_frames(*map(chunk, INVOKED)) == [
        Text("Hi"),
        Usage(3, 2),
        Finished("stop", "end_turn", ("finish_reason", "marker")),
    ]
    text, cut = told_of_frames(*map(chunk, INVOKED[:4]))
    assert (text, exit_of([cut])) == (Text("Hi"), 18)


def test_bedrock_invoked_nova_and_chat_completions() -> None:
    nova = [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hi"}}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2}}},
    ]
    assert told_of_frames(*map(chunk, nova)) == [
        Text("Hi"),
        Usage(3, 2),
        Finished("stop", "end_turn", ("finish_reason", "eof")),
    ]
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    text, end = told_of_frames(chunk({"object": "chat.completion.chunk", "choices": [choice]}))
    assert (text, exit_of([end])) == (Text("Hi"), 0)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"outputText": "Hi", "index": 0}, "Amazon Titan"),
        ({"generation": "Hi", "prompt_token_count": 3}, "Llama"),
        ({"outputs": [{"text": "Hi"}]}, "Mistral"),
        ({"novel": "Hi"}, "novel"),
        ("Hi", "no fields"),
    ],
)
def test_bedrock_frames_of_a_format_that_is_not_read(value: Any, name: str) -> None:
    (failed,) = told_of_frames(chunk(value), chunk(value))
    assert isinstance(failed, Failed)
    assert failed.status == "malformed"
    assert name in failed.message
    assert "Converse" in failed.hint


def test_bedrock_frames_without_an_event() -> None:
    for value in ({}, {"bytes": 7}, {"bytes": "?"}, {"bytes": b64encode(b"nonsense").decode()}):
        (failed,) = told_of_frames(awsframes.event("chunk", value))
        assert exit_of([failed]) == 8


def test_bedrock_an_exception_behind_the_frames_of_a_model() -> None:
    frames = [*map(chunk, INVOKED[:3]), awsframes.exception("throttlingException", "slow down")]
    text, failed = told_of_frames(*frames)
    assert (text, exit_of([failed])) == (Text("Hi"), 16)


def test_bedrock_output_that_a_filter_blocked() -> None:
    message = "The model returned the following errors: Output blocked by content filtering policy"
    (failed,) = told_of_frames(awsframes.exception("validationException", message))
    assert exit_of([failed]) == 11


def test_bedrock_metadata_twice() -> None:
    metrics = awsframes.event("metadata", {"metrics": {"latencyMs": 1}})
    frames = (awsframes.answer("Hi"), metrics)
    assert Usage(13, 2, total_tokens=15) in told_of_frames(*frames)


@pytest.mark.parametrize("make", [wires.Anthropic, wires.Bedrock])
def test_input_of_a_call_that_comes_as_an_object(
    make: type[wires.Anthropic] | type[wires.Bedrock],
) -> None:
    wire = make()
    call = wire.call("c", "look", {"q": 1})  # type: ignore[arg-type]
    first = told(wire.events(call, wire.reason("tool_use"), wire.end()))[0]
    assert first == ToolCall("c", "look", '{"q":1}')


# Gemini


@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
@pytest.mark.parametrize("wrap", [dict, lambda error: [error]])
@pytest.mark.parametrize(("code", "status"), [(503, "UNAVAILABLE"), (429, "RESOURCE_EXHAUSTED")])
def test_gemini_an_error_over_several_lines_of_the_stream(
    end: str, wrap: Any, code: int, status: str
) -> None:
    wire = wires.Gemini()
    error = wrap({"error": {"code": code, "message": "it broke", "status": status}})
    lines = (json.dumps(error, indent=2) + end).encode()
    for written in (lines, lines.replace(b"\n", b"\r\n")):
        text, failed = told(wire.events(wire.text("Half of"), written))
        assert text == Text("Half of")
        assert isinstance(failed, Failed)
        assert failed.message == "it broke"
        assert EXIT_OF_STATUS[failed.status] == (15 if code == 503 else 16)


def test_gemini_an_error_in_a_list_of_one_event() -> None:
    wire = wires.Gemini()
    error = {"error": {"code": 503, "message": "it broke", "status": "UNAVAILABLE"}}
    assert exit_of(wire.events(wire.text("Half of"), wire.element([error]))) == 15


@pytest.mark.parametrize("make", [wires.Gemini, wires.GeminiArray])
def test_gemini_a_stop_around_code_that_runs(make: type[wires.Gemini]) -> None:
    wire = make()
    code = wire.chunk({"executableCode": {"language": "PYTHON", "code": "print(2)"}})
    result = wire.chunk({"codeExecutionResult": {"output": "2"}}, finishReason="STOP")
    text = wire.chunk({"text": "It is 2."}, finishReason="STOP")
    decoder = get(wire.name).Decoder()
    decoder.feed(wire.body(wire.text("I try."), code, result))
    assert not decoder.ending
    events = wire.events(code, result, text)
    assert [each for each in events if isinstance(each, Text)] == [Text("It is 2.")]
    assert exit_of(events) == 0


@pytest.mark.parametrize("make", [wires.Gemini, wires.GeminiArray])
@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "PROHIBITED_CONTENT", "JAILBREAK"])
def test_gemini_a_prompt_that_is_blocked(make: type[wires.Gemini], reason: str) -> None:
    wire = make()
    feedback = {"promptFeedback": {"blockReason": reason}, "modelVersion": "g"}
    used = {"usageMetadata": {"promptTokenCount": 4}}
    events = wire.events(wire.element({**feedback, **used}))
    assert Usage(4) in events
    assert exit_of(events) == 11


def test_gemini_each_candidate_has_its_own_reason() -> None:
    wire = wires.Gemini()
    two = {"candidates": [{"index": n, "content": {"parts": [{"text": "a"}]}} for n in (0, 1)]}
    first = wire.element({"candidates": [{"index": 0, "finishReason": "STOP"}]})
    second = wire.element({"candidates": [{"index": 1, "finishReason": "MAX_TOKENS"}]})
    assert exit_of(wire.events(wire.element(two), first)) == 18
    assert exit_of(wire.events(wire.element(two), first, second)) == 10


def test_gemini_a_run_of_text_behind_a_reason_reopens_the_answer() -> None:
    """Runs of like chunks are read together, but not past a reason."""
    wire = wires.Gemini()
    decoder = get("gemini").Decoder()
    for part in ("a", "b", "c"):
        decoder.feed(wire.text(part))
    decoder.feed(wire.chunk({"text": "d"}, finishReason="MAX_TOKENS"))
    decoder.feed(wire.text("e") + wire.text("f"))
    assert not decoder.ending
    assert exit_of(decoder.close()) == 18


@pytest.mark.parametrize("make", [wires.Gemini, wires.GeminiArray])
def test_gemini_an_answer_that_is_only_thought(make: type[wires.Gemini]) -> None:
    wire = make()
    thought = wire.chunk({"text": "hm", "thought": True}, finishReason="STOP")
    assert exit_of(wire.events(thought)) == 0


# Cohere


def test_cohere_counts_what_it_thought() -> None:
    wire = wires.Cohere()
    events = wire.events(wire.text("Hi"), wire.reason("COMPLETE", input=5, output=3, reasoning=2))
    assert Usage(5, 3, 2) in events


# Ollama


def test_ollama_a_reason_without_the_last_line() -> None:
    wire = wires.Ollama()
    events = wire.events(wire.text("Hi"), wire.reason("stop"))
    assert told(events) == [Text("Hi"), Finished("stop", "stop", ("finish_reason", "eof"))]


@pytest.mark.parametrize("word", ["load", "unload"])
def test_ollama_a_model_that_was_only_loaded(word: str) -> None:
    wire = wires.Ollama()
    (end,) = wire.events(wire.reason(word), wire.end())
    assert end == Finished("stop", word, ("finish_reason", "marker"))


@pytest.mark.parametrize(
    "line",
    [b'{"error":"it broke"}\n', b'{"error":{"message":"it broke"}}\n', b'{"error":"it broke"}'],
)
def test_ollama_an_error_after_text(line: bytes) -> None:
    wire = wires.Ollama()
    text, failed = told(wire.events(wire.text("Half"), line))
    assert text == Text("Half")
    assert isinstance(failed, Failed)
    assert (failed.status, failed.message) == ("provider", "it broke")


def test_ollama_generate_with_thinking_and_numbers() -> None:
    lines = (
        {"model": "m", "response": "", "thinking": "hm", "done": False},
        {"model": "m", "response": 4, "done": False},
        {"model": "m", "response": "", "done": True, "done_reason": "stop", "eval_count": 3},
    )
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    events = told(decode(get("ollama").Decoder(), whole(data)))
    assert events[1:] == [
        Reasoning("hm"),
        Text("4"),
        Usage(None, 3),
        Finished("stop", "stop", ("finish_reason", "marker")),
    ]
