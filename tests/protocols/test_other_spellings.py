"""Streams as gateways, agents' frameworks and servers that break write them, in all protocols.

Each row is a body, and what a careful reader makes of it: the exit status with records on, the
text and the arguments of the calls. Other tests have what a provider itself sends.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import awsframes
import pytest
from splits import bytewise, decode, merged, sampled, whole
from verdicts import found_in

from streamcli.events import Failed, Finished
from streamcli.protocols._contract import get


def sse(*values: Any) -> str:
    """The values as events; a text stands as it is."""
    return "".join(
        each if isinstance(each, str) else f"data: {json.dumps(each)}\n\n" for each in values
    )


def lines(*values: Any) -> str:
    return "".join(each if isinstance(each, str) else json.dumps(each) + "\n" for each in values)


def named(*values: dict[str, Any]) -> str:
    """Anthropic's events, each with its name."""
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in values)


MESSAGE = {"id": "msg_1", "role": "assistant", "model": "m", "content": [], "usage": {}}
BEGUN = named(
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Half"}},
)
CALL = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}


def begin(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def called(*events: dict[str, Any]) -> str:
    """Anthropic's events of a message that ends with a call."""
    over = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}}
    return named(
        {"type": "message_start", "message": MESSAGE}, *events, over, {"type": "message_stop"}
    )


def piece(text: str, index: int) -> dict[str, Any]:
    return delta(index, "input_json_delta", partial_json=text)


ENDED = named(
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
    {"type": "message_stop"},
)


def gemini(text: str, reason: str | None = None) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}]}, "index": 0}
    return {"candidates": [candidate | ({"finishReason": reason} if reason else {})]}


def growing(call: dict[str, Any]) -> dict[str, Any]:
    """One chunk of a call whose arguments come in pieces."""
    call = {"willContinue": True, **call} if call else {}
    return {"candidates": [{"content": {"parts": [{"functionCall": call}]}, "index": 0}]}


S4 = (None, None, None, "STOP")  # the finish reasons of four chunks


def indexed(index: int, chunk: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": [{**chunk["candidates"][0], "index": index}]}


ODD_PIECE = {"jsonPath": 7, "stringValue": "Oslo"}
USE = {"toolUseId": "t", "name": "f"}
TOOL = {"id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}
TOOL_PLAN = {"tool_plan": "hm", "tool_calls": TOOL}
INPUT = {"function": {"arguments": '{"a":1}'}}
ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
RATE = {"error": {"code": 429, "message": "Too fast", "status": "RESOURCE_EXHAUSTED"}}


def ollama(text: str) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": text}, "done": False}


DONE = ollama("") | {"done": True, "done_reason": "stop"}


def invoked(*values: Any) -> bytes:
    """Frames of InvokeModel."""
    frames = ({"bytes": b64encode(json.dumps(each).encode()).decode()} for each in values)
    return b"".join(awsframes.event("chunk", frame) for frame in frames)


CLAUDE = (
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Sorry"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
)
CONVERSE = (
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"delta": {"text": "Hi"}}},
)


def cohere(kind: str, **fields: Any) -> dict[str, Any]:
    return {"is_finished": kind == "stream-end", "event_type": kind, **fields}


SAYS = ({"type": "RUN_STARTED"}, {"type": "TEXT_MESSAGE_CONTENT", "delta": "Hi"})
ARTIFACT = {"artifact_id": "a", "parts": [{"text": "Hi"}]}
UPDATE = {"artifact_update": {"task_id": "t", "context_id": "c", "artifact": ARTIFACT}}
NEW_TASK = {"status_update": {"task_id": "t", "status": {"state": "TASK_STATE_COMPLETED"}}}

# Name: protocol, body, exit status, text, arguments of calls.
ROWS: dict[str, tuple[str, str | bytes, int, str, list[str]]] = {
    # Prose among the events
    "a page of a proxy": (
        *("anthropic", BEGUN + "<html><title>502 Bad Gateway</title></html>\n\n"),
        *(15, "Half", []),
    ),
    "the words of a proxy": (
        *("anthropic", BEGUN + "upstream connect error or disconnect/reset before headers\n\n"),
        *(15, "Half", []),
    ),
    "a status as a line": (
        "gemini",
        sse(gemini("Half"), "Internal Server Error\n"),
        15,
        "Half",
        [],
    ),
    "a traceback": (
        *("anthropic", BEGUN + "Traceback (most recent call last):\n  File x\nValueError: no\n"),
        *(15, "Half", []),
    ),
    "a traceback as data": (
        *(
            "honcho",
            sse({"delta": {"content": "Half"}, "done": False}) + "data: ValueError: no\n\n",
        ),
        *(15, "Half", []),
    ),
    "an exception's name as data": (
        *("cohere", 'data: {"type":"message-start"}\n\ndata: openai.APIError: no\n\n'),
        *(15, "", []),
    ),
    "prose that is not about an error": (
        *("anthropic", BEGUN + "this is a note\nx-rate-limit: 5\n\n" + ENDED),
        *(0, "Half", []),
    ),
    "an error's words in a value": (
        *("gemini", sse(gemini("Internal Server Error", "STOP"))),
        *(0, "Internal Server Error", []),
    ),
    # Anthropic's blocks, mixed up
    "a call whose input has the index of the text": (
        "anthropic",
        called(begin(0, type="text", text=""), begin(1, **CALL), piece('{"a":1}', 0), stop(1)),
        *(0, "", ['{"a":1}']),
    ),
    "a call whose input comes behind its stop": (
        *("anthropic", called(begin(0, **CALL), stop(0), piece('{"a":1}', 0))),
        *(8, "", ["{}"]),
    ),
    "a call whose input comes with another start": (
        "anthropic",
        called(begin(0, **CALL), piece('{"a"', 0), begin(0, **CALL), piece(":1}", 0), stop(0)),
        *(0, "", ['{"a":1}']),
    ),
    "a call in which the model thinks": (
        "anthropic",
        called(
            *(begin(0, **CALL), piece('{"a"', 0), delta(0, "thinking_delta", thinking="hm")),
            *(piece(":1}", 0), stop(0)),
        ),
        *(0, "", ['{"a":1}']),
    ),
    "input of the server's own call behind its stop": (
        "anthropic",
        BEGUN
        + named(begin(1, **CALL | {"type": "server_tool_use"}), stop(1), piece("{}", 1))
        + ENDED,
        *(0, "Half", []),
    ),
    # An index that is not the call's
    "Bedrock's call without its index": (
        "bedrock",
        awsframes.event("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": USE}})
        + awsframes.event("contentBlockDelta", {"delta": {"toolUse": {"input": '{"a":1}'}}})
        + awsframes.stop("tool_use"),
        *(0, "", ['{"a":1}']),
    ),
    "Cohere's call without its index": (
        "cohere",
        sse(
            {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": TOOL}}},
            {"type": "tool-call-delta", "delta": {"message": {"tool_calls": INPUT}}},
            {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
        ),
        *(0, "", ['{"a":1}']),
    ),
    "Gemini's pieces of arguments without their place": (
        "gemini",
        sse(
            *map(growing, ({"name": "f", "willContinue": True}, {"partialArgs": [ODD_PIECE]}, {})),
            gemini("", "STOP"),
        ),
        *(8, "", ["{}"]),
    ),
    # JSON lines behind a comment
    "lines behind a ping": (
        *("ollama", ": ping\n" + lines(ollama("Hi"), ollama(""), DONE)),
        *(0, "Hi", []),
    ),
    "lines behind a ping that are cut": (
        *("ollama", ": ping\n" + lines(ollama("Hi"), ollama(""))),
        *(18, "Hi", []),
    ),
    # Behind an array
    "an error behind the array": (
        *("gemini-array", json.dumps([gemini("Half")]) + "\n" + json.dumps(ERROR)),
        *(15, "Half", []),
    ),
    "a list with an error behind the array": (
        *("gemini-array", json.dumps([gemini("Half")]) + json.dumps([RATE])),
        *(16, "Half", []),
    ),
    "prose behind the array": (
        *("gemini-array", json.dumps([gemini("Half")]) + "\nupstream connect error\n"),
        *(15, "Half", []),
    ),
    "blanks behind the array": (
        *("gemini-array", json.dumps([gemini("Hi", "STOP")]) + "\r\n \n"),
        *(0, "Hi", []),
    ),
    "an array where events were asked for, cut": (
        *("gemini", "[" + json.dumps(gemini("Half"), indent=1) + "\n,\n" + '{"candidates": ['),
        *(18, "Half", []),
    ),
    "an array where events were asked for, an error behind it": (
        *("gemini", json.dumps([gemini("Half")], indent=1) + "\n" + json.dumps(ERROR, indent=1)),
        *(15, "Half", []),
    ),
    "an array where events were asked for": (
        *("gemini", "\n" + json.dumps([gemini("H"), gemini("i", "MAX_TOKENS")], indent=1)),
        *(10, "Hi", []),
    ),
    "the whole text so far each time": (
        *(
            "gemini",
            sse(*map(gemini, ("One", "One, two", "One, two, 3", "One, two, 3"), S4)),
        ),
        *(0, "One, two, 3", []),
    ),
    "the whole text so far each time, in an array": (
        *("gemini-array", json.dumps([gemini("One"), gemini("One, two"), gemini("One, two, 3")])),
        *(18, "One, two, 3", []),
    ),
    "a piece that begins as the first one does": (
        *("gemini", sse(*map(gemini, ("a", "and", " on", ""), S4))),
        *(0, "aand on", []),
    ),
    # The index of a candidate
    "an only candidate counted from 1": (
        "gemini",
        sse(*(indexed(1, gemini("H")), indexed(1, gemini("i", "STOP")))),
        *(0, "Hi", []),
    ),
    "an end without the index of its text": (
        *("gemini", sse(indexed(1, gemini("Hi")), {"candidates": [{"finishReason": "STOP"}]})),
        *(0, "Hi", []),
    ),
    "an end with another index than its text": (
        "gemini",
        sse(gemini("Hi"), {"candidates": [{"index": 1, "finishReason": "STOP"}]}),
        *(0, "Hi", []),
    ),
    "two candidates, of which one has no end": (
        *("gemini", sse(gemini("Hi"), indexed(1, gemini("Ho", "STOP")))),
        *(18, "Hi", []),
    ),
    # Bedrock
    "a guardrail in InvokeModel": (
        "bedrock",
        invoked(*CLAUDE, {"type": "message_stop", "amazon-bedrock-guardrailAction": "INTERVENED"}),
        *(11, "Sorry", []),
    ),
    "a guardrail that let it pass": (
        "bedrock",
        invoked(*CLAUDE, {"type": "message_stop", "amazon-bedrock-guardrailAction": "NONE"}),
        *(0, "Sorry", []),
    ),
    "Converse as JSON lines": (
        *("bedrock", lines(*CONVERSE, {"messageStop": {"stopReason": "max_tokens"}})),
        *(10, "Hi", []),
    ),
    "Converse as JSON lines, cut": ("bedrock", lines(*CONVERSE), 18, "Hi", []),
    "Converse as JSON lines, an exception": (
        *("bedrock", lines(*CONVERSE, {"throttlingException": {"message": "slow down"}})),
        *(16, "Hi", []),
    ),
    "InvokeModel, an exception inside of a frame": (
        *("bedrock", invoked(*CLAUDE[:3], {"internalServerException": {"message": "no"}})),
        *(15, "Sorry", []),
    ),
    "InvokeModel, an exception as the first": (
        *("bedrock", invoked({"throttlingException": {"message": "slow down"}})),
        *(16, "", []),
    ),
    "Converse, text in another field": (
        "bedrock",
        awsframes.event("contentBlockDelta", {"delta": {"content": "H"}})
        + awsframes.event("contentBlockDelta", {"delta": "i"})
        + awsframes.stop(),
        *(0, "Hi", []),
    ),
    # Reasons in other places
    "Cohere's reason inside the response": (
        "cohere",
        lines(
            cohere("text-generation", text="Hi"),
            cohere("stream-end", finish_reason=None, response={"finish_reason": "MAX_TOKENS"}),
        ),
        *(10, "Hi", []),
    ),
    "Honcho's gateway has a reason": (
        "honcho",
        sse(
            {"delta": {"content": "Hi"}, "done": False},
            {"delta": {}, "finish_reason": "content_filter", "done": True},
        ),
        *(11, "Hi", []),
    ),
    "Honcho's gateway failed": (
        "honcho",
        sse({"delta": {"content": "Hi"}, "finish_reason": "error", "done": True}),
        *(15, "Hi", []),
    ),
    "Ollama's end is a word": (
        *("ollama", lines(ollama("Hi"), {"model": "m", "done": "true", "done_reason": "length"})),
        *(10, "Hi", []),
    ),
    "Ollama's end is no end": ("ollama", lines(ollama("Hi") | {"done": "false"}), 18, "Hi", []),
    "Honcho's end is a number": (
        *("honcho", sse({"delta": {"content": "Hi"}, "done": 0}, {"done": 1})),
        *(0, "Hi", []),
    ),
    # Agents
    "AG-UI in snake case": (
        "ag-ui",
        sse(
            {"type": "RUN_STARTED", "thread_id": "t", "run_id": "r"},
            {"type": "TOOL_CALL_START", "tool_call_id": "c", "tool_call_name": "f"},
            {"type": "TOOL_CALL_START", "tool_call_id": "d", "tool_call_name": "g"},
            {"type": "TOOL_CALL_ARGS", "tool_call_id": "c", "delta": '{"a":1}'},
            {"type": "TOOL_CALL_ARGS", "tool_call_id": "d", "delta": '{"b":2}'},
            {"type": "TOOL_CALL_END", "tool_call_id": "c"},
            {"type": "TOOL_CALL_END", "tool_call_id": "d"},
            {"type": "RUN_FINISHED", "thread_id": "t", "run_id": "r"},
        ),
        *(0, "", ['{"a":1}', '{"b":2}']),
    ),
    "AG-UI in snake case, the answer in a snapshot": (
        "ag-ui",
        sse(
            {"type": "RUN_STARTED"},
            {"type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "f"},
            {"type": "TOOL_CALL_END", "toolCallId": "c"},
            {
                "type": "MESSAGES_SNAPSHOT",
                "messages": [
                    {"role": "user", "content": "?"},
                    {"role": "tool", "tool_call_id": "c", "content": "x"},
                    {"role": "assistant", "content": "Hi"},
                ],
            },
            {"type": "RUN_FINISHED"},
        ),
        *(0, "Hi", ["{}"]),
    ),
    "AG-UI with the names of its documents": (
        "ag-ui",
        sse(
            {"type": "RunStarted"},
            {"type": "TextMessageStart", "messageId": "m", "role": "assistant"},
            {"type": "TextMessageContent", "messageId": "m", "delta": "Hi"},
            {"type": "RunFinished"},
        ),
        *(0, "Hi", []),
    ),
    "AG-UI with the names of its documents, an error": (
        "ag-ui",
        sse({"type": "TextMessageContent", "delta": "Hi"}, {"type": "RunError", "message": "no"}),
        *(15, "Hi", []),
    ),
    "A2A in snake case": (
        "a2a",
        sse(*({"jsonrpc": "2.0", "id": 1, "result": each} for each in (UPDATE, NEW_TASK))),
        *(0, "Hi", []),
    ),
    "A2A over HTTP alone": (
        "a2a",
        sse(UPDATE, NEW_TASK),
        *(0, "Hi", []),
    ),
    "A2A over HTTP alone, cut": ("a2a", sse(UPDATE), 18, "Hi", []),
    "A2A over HTTP alone, a task that failed": (
        "a2a",
        sse(UPDATE, {"statusUpdate": {"taskId": "t", "status": {"state": "TASK_STATE_FAILED"}}}),
        *(15, "Hi", []),
    ),
    "A2A, the last update before the artifact": (
        "a2a",
        sse(*({"jsonrpc": "2.0", "id": 1, "result": each} for each in (NEW_TASK, UPDATE))),
        *(0, "Hi", []),
    ),
    "A2A, the last update of an empty answer": (
        *("a2a", sse({"jsonrpc": "2.0", "id": 1, "result": NEW_TASK})),
        *(0, "", []),
    ),
    "AG-UI with the reason of the model": (
        *("ag-ui", sse(*SAYS, {"type": "RUN_FINISHED", "finishReason": "length"})),
        *(10, "Hi", []),
    ),
    "AG-UI with the reason of the model, a filter": (
        *("ag-ui", sse(*SAYS, {"type": "RUN_FINISHED", "finishReason": "content_filter"})),
        *(11, "Hi", []),
    ),
    "AG-UI with the reason of the model, no call": (
        *("ag-ui", sse(*SAYS, {"type": "RUN_FINISHED", "finishReason": "tool_calls"})),
        *(8, "Hi", []),
    ),
    "AG-UI with an error object": (
        "ag-ui",
        sse(*SAYS, {"type": "RUN_ERROR", "error": {"message": "no", "code": "rate_limit"}}),
        *(16, "Hi", []),
    ),
    "AG-UI with an error without words": ("ag-ui", sse(*SAYS, {"type": "RUN_ERROR"}), 15, "Hi", []),
    "AG-UI whose kinds are names of events": (
        "ag-ui",
        'event: TEXT_MESSAGE_CONTENT\ndata: {"delta":"Hi"}\n\nevent: RUN_FINISHED\ndata: {}\n\n',
        *(0, "Hi", []),
    ),
    "AG-UI whose kinds are names of events, an error": (
        "ag-ui",
        'event: TEXT_MESSAGE_CONTENT\ndata: {"delta":"Hi"}\n\nevent: RUN_ERROR\ndata: {}\n\n',
        *(15, "Hi", []),
    ),
    "A2A in snake case, cut": ("a2a", sse({"jsonrpc": "2.0", "result": UPDATE}), 18, "Hi", []),
}


# Text in another field than the protocol's: what holds it, by protocol.
TEXTS: dict[str, tuple[Any, ...]] = {
    "anthropic": (
        *({"type": "text", "text": "Hi"}, {"type": "output_text_delta", "text": "Hi"}),
        *({"type": "text_delta", "content": "Hi"}, {"type": "text_delta", "delta": "Hi"}),
        *({"type": "content_delta", "content": "Hi"}, {"content": "Hi"}, {"text": "Hi"}, "Hi"),
    ),
    "cohere": (
        *({"text": "Hi"}, {"content": "Hi"}, "Hi", {"message": "Hi"}, {"message": {"text": "Hi"}}),
        *({"content": {"text": "Hi"}}, {"message": {"content": {"value": "Hi"}}}),
    ),
    "ollama": (
        *({"message": "Hi"}, {"content": "Hi"}, {"text": "Hi"}, {"delta": {"content": "Hi"}}),
        {"message": [{"content": "Hi"}]},
    ),
    "honcho": ({"delta": "Hi"}, {"content": "Hi"}, {"delta": {"text": "Hi"}}, {"text": "Hi"}),
    "ag-ui": ({"text": "Hi"}, {"content": "Hi"}, {"delta": None, "content": "Hi"}),
    "a2a": ({"content": "Hi"}, {"value": "Hi"}, {"root": {"text": "Hi"}}, "Hi"),
    "gemini": ({"content": "Hi"}, {"type": "text", "value": "Hi"}, {"output": "Hi"}, "Hi"),
}


def spelled(protocol: str, held: Any) -> str:
    """A whole answer of that protocol in which `held` stands where the text does."""
    if protocol == "anthropic":
        grown = {"type": "content_block_delta", "index": 0, "delta": held}
        return BEGUN.replace("Half", "") + named(grown) + ENDED
    if protocol == "cohere":
        end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}
        return sse({"type": "content-delta", "index": 0, "delta": held}, end)
    if protocol == "ollama":
        return lines({"model": "m", "done": False, **held}, DONE)
    if protocol == "honcho":
        return sse({"done": False, **held}, {"done": True})
    if protocol == "ag-ui":
        grown = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", **held}
        return sse({"type": "RUN_STARTED"}, grown, {"type": "RUN_FINISHED"})
    if protocol == "a2a":
        update = {"artifactUpdate": {"artifact": {"artifactId": "a", "parts": [held]}}}
        return sse(*({"jsonrpc": "2.0", "result": each} for each in (update, NEW_TASK)))
    candidate = {"content": {"parts": [held]}, "finishReason": "STOP"}
    return sse({"candidates": [candidate], "modelVersion": "m"})


@pytest.mark.parametrize(
    ("protocol", "held"), [(name, held) for name, each in TEXTS.items() for held in each]
)
def test_text_in_another_field_is_not_lost(protocol: str, held: Any) -> None:
    data = spelled(protocol, held).encode()
    found = found_in(decode(get(protocol).Decoder(), whole(data)))
    assert (found["exit"], found["text"]) == (0, "Hi")


def blocks(*events: dict[str, Any]) -> str:
    start = {"type": "message_start", "message": MESSAGE}
    over = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}
    return named(start, *events, over, {"type": "message_stop"})


@pytest.mark.parametrize(
    ("block", "text", "reasoning", "calls"),
    [
        ({"type": "output_text", "text": "Hi"}, "Hi", "", []),
        ({"text": "Hi"}, "Hi", "", []),
        ({"type": "text", "content": "Hi"}, "Hi", "", []),
        ({"type": "reasoning", "text": "hm"}, "", "hm", []),
        ({"type": "thinking", "reasoning": "hm"}, "", "", []),
        ({"type": "tool_call", "id": "1", "name": "f", "input": {"a": 1}}, "", "", ['{"a":1}']),
        ({"type": "function_call", "name": "f", "arguments": '{"a":1}'}, "", "", ['{"a":1}']),
        ({"type": "a_new_one", "x": 1}, "", "", []),
    ],
)
def test_anthropic_blocks_of_another_type(
    block: dict[str, Any], text: str, reasoning: str, calls: list[str]
) -> None:
    data = blocks(begin(0, **block), stop(0)).encode()
    found = found_in(decode(get("anthropic").Decoder(), whole(data)))
    assert found["exit"] == 0
    assert (found["text"], found["reasoning"], found["calls"]) == (text, reasoning, calls)


@pytest.mark.parametrize("kind", ["message_delta", "message_stop"])
@pytest.mark.parametrize("place", ["delta", "message", ""])
@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"stop_reason": "max_tokens"}, 10),
        ({"stop_reason": "refusal"}, 11),
        ({"error": {"type": "api_error", "message": "no"}}, 15),
    ],
)
def test_anthropic_what_ends_a_message_in_another_place(
    kind: str, place: str, said: dict[str, Any], code: int
) -> None:
    last = {"type": kind, **({place: said} if place else said)}
    ends = [last] if kind == "message_stop" else [last, {"type": "message_stop"}]
    events = decode(get("anthropic").Decoder(), whole((BEGUN + named(*ends)).encode()))
    assert found_in(events)["exit"] == code


# An error inside of an event that says something else: where, by protocol.
INSIDE = {
    "anthropic": (
        {"type": "content_block_delta", "index": 0, "error": ERROR["error"]},
        delta(0, "text_delta", text="", error=ERROR["error"]),
        begin(1, **CALL, error=ERROR["error"]),
        {"type": "message_delta", "delta": {"error": ERROR["error"]}},
    ),
    "cohere": (
        {"type": "content-delta", "index": 0, "delta": {"message": ERROR}},
        {"type": "tool-call-end", "index": 0, **ERROR},
        {"type": "content-delta", "index": 0, "delta": ERROR},
        {"type": "message-end", "delta": ERROR},
    ),
    "gemini": (
        {"candidates": [{"content": ERROR}]},
        {"candidates": [{"content": {"parts": [ERROR]}}]},
        {"candidates": [ERROR]},
    ),
}


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize(
    ("protocol", "event"), [(name, event) for name, each in INSIDE.items() for event in each]
)
def test_an_error_inside_another_event(protocol: str, event: Any, begun: bool) -> None:
    """It is the last that is given, whatever the event says besides."""
    before = {
        "anthropic": BEGUN,
        "cohere": sse({"type": "tool-call-start", "index": 0, "delta": {"message": TOOL_PLAN}}),
        "gemini": sse(gemini("Half")),
    }[protocol]
    data = ((before if begun else "") + sse(event)).encode()
    events = decode(get(protocol).Decoder(), whole(data))
    assert found_in(events)["exit"] == 15
    assert sum(isinstance(each, Finished | Failed) for each in events) == 1


# The event that ends an answer, by protocol.
LAST: dict[str, tuple[str, dict[str, Any]]] = {
    "anthropic": (BEGUN, {"type": "message_stop"}),
    "cohere": ("", {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}),
    "gemini": ("", gemini("Hi", "STOP") | {"modelVersion": "m"}),
    "honcho": ("", {"delta": {"content": "Hi"}, "done": True}),
    "ollama": ("", DONE),
}


@pytest.mark.parametrize("protocol", LAST)
@pytest.mark.parametrize(
    ("beside", "code"),
    [
        ({"base_resp": {"status_code": 1000, "status_msg": "no"}}, 15),
        ({"base_resp": {"status_code": 1026, "status_msg": "new_sensitive"}}, 11),
        ({"base_resp": {"status_code": 0, "status_msg": ""}}, 0),
        ({"code": 500, "msg": "no"}, 15),
        ({"code": 0, "msg": "ok"}, 0),
        ({"success": False, "msg": "no"}, 15),
        ({"success": True}, 0),
        ({"errors": [{"message": "no"}]}, 15),
        ({"cost": 0.1, "provider": "x"}, 0),
    ],
)
def test_an_error_of_a_gateway_beside_the_end(
    protocol: str, beside: dict[str, Any], code: int
) -> None:
    before, last = LAST[protocol]
    data = (before + sse({**last, **beside})).encode()
    assert found_in(decode(get(protocol).Decoder(), whole(data)))["exit"] == code


@pytest.mark.parametrize("name", ROWS)
def test_a_stream_in_another_spelling(name: str) -> None:
    protocol, body, code, text, calls = ROWS[name]
    data = body if isinstance(body, bytes) else body.encode()
    events = decode(get(protocol).Decoder(), whole(data))
    found = found_in(events)
    assert (found["exit"], found["text"], found["calls"]) == (code, text, calls)
    for pieces in (bytewise(data), *sampled(data, 4)):
        assert merged(decode(get(protocol).Decoder(), pieces)) == merged(events)
