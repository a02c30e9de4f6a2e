"""Variants of what people reported, in every protocol that can have them: one table a kind.

Each case is the bytes of a whole answer, and what a careful reader takes from it. `text_exit` is
the exit status where text alone is shown; the others are of a run with records.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import awsframes as aws
import pytest
import wires
from splits import bytewise, decode, merged, sampled, whole
from verdicts import found_in

from streamcli.events import Event, Failed, Progress, Usage
from streamcli.protocols._contract import Decoder, decoder_for, get
from streamcli.request import Target

ROW = {"text_path": "t", "finish_path": "why", "done_path": "over"}
DONE = b"data: [DONE]\n\n"
BOOM = {"error": {"message": "it broke", "code": 500}}


def decoder_of(name: str) -> Decoder:
    target = Target("p", name, "", template=ROW if name == "json-events" else None)
    return decoder_for(get(name), target, 1 << 24)


def read(name: str, body: bytes) -> dict[str, Any]:
    """Return what an answer says; the same at any cut."""
    events = decode(decoder_of(name), whole(body))
    for pieces in (bytewise(body), *sampled(body, 2)):
        assert told(decode(decoder_of(name), pieces)) == told(events)
    return found_in(events)


def told(events: list[Event]) -> list[Event]:
    return merged([each for each in events if not isinstance(each, Progress)])


def check(name: str, body: bytes, **expect: Any) -> None:
    found = read(name, body)
    assert expect.pop("message", "") in found["message"]
    assert {key: found[key] for key in expect} == expect


def short(value: Any) -> str:
    """Return the id of a parameter; bytes have none that one could read."""
    return str(value) if isinstance(value, str | int) else "body"


def line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def pretty(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def sse(*values: Any, event: str = "") -> bytes:
    name = f"event: {event}\n" if event else ""
    return "".join(f"{name}data: {json.dumps(value)}\n\n" for value in values).encode()


def code(letter: str, value: Any) -> bytes:
    return f"{letter}:{json.dumps(value)}\n".encode()


def agui(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields})


def rpc(result: Any) -> bytes:
    return sse({"jsonrpc": "2.0", "id": 1, "result": result})


def chunk(value: Any) -> bytes:
    """A frame of InvokeModel."""
    return aws.event("chunk", {"bytes": b64encode(json.dumps(value).encode()).decode()})


def start(block: dict[str, Any], index: int = 0) -> bytes:
    return wires.Anthropic().event("content_block_start", index=index, content_block=block)


def grow(delta: Any, index: int = 0) -> bytes:
    return wires.Anthropic().event("content_block_delta", index=index, delta=delta)


def stop(index: int = 0) -> bytes:
    return wires.Anthropic().event("content_block_stop", index=index)


def anthropic(*parts: bytes, reason: Any = "end_turn") -> bytes:
    wire = wires.Anthropic()
    return wire.body(*parts, wire.reason(reason), wire.end())


def block(value: Any = None, delta: Any = None, index: int = 0) -> bytes:
    """A block of Bedrock's."""
    place = {"contentBlockIndex": index}
    begun = aws.event("contentBlockStart", {**place, "start": value}) if value else b""
    grown = aws.event("contentBlockDelta", {**place, "delta": delta}) if delta else b""
    return begun + grown + aws.event("contentBlockStop", place)


def cohere(*parts: bytes, reason: Any = "COMPLETE") -> bytes:
    wire = wires.Cohere()
    return wire.body(*parts, wire.reason(reason))


def tool_start(**call: Any) -> bytes:
    return wires.Cohere().event("tool-call-start", {"tool_calls": call}, index=0)


def gemini(*values: Any, reason: str = "STOP") -> bytes:
    """Chunks of Gemini's; a value is one part, bytes are sent as they are."""
    wire = wires.Gemini()
    parts = (value if isinstance(value, bytes) else wire.chunk(value) for value in values)
    return wire.body(*parts, wire.reason(reason, input=3, output=2))


def ollama(*parts: bytes, **top: Any) -> bytes:
    wire = wires.Ollama()
    last = {"done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2, **top}
    return wire.body(*parts, wire.line(True, last))


def called(*calls: Any) -> bytes:
    return wires.Ollama().line(tool_calls=list(calls))


def lines_of(body: bytes) -> list[bytes]:
    """Return the lines of a body that hold JSON."""
    return [line for line in body.split(b"\n") if line.startswith((b"data: ", b"{"))]


def ui_end(reason: str) -> dict[str, str]:
    return {"type": "finish", "finishReason": reason}


def realtime(reason: str) -> bytes:
    """An answer of OpenAI's Realtime API, which tells in another field why it is not whole."""
    details = {"type": "incomplete", "reason": reason}
    response = {"id": "r", "status": "incomplete", "status_details": details, "output": []}
    said = {"type": "response.text.delta", "delta": "Hi"}
    return sse(said, {"type": "response.done", "response": response})


CANDIDATE = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}
END = {"response": {"candidates": [{"finishReason": "STOP"}]}}
A, C, G, L = wires.Anthropic, wires.Cohere, wires.Gemini, wires.Ollama
HI_ANTHROPIC, HI_COHERE = A().text("Hi"), C().text("Hi")
HI_GEMINI, HI_OLLAMA = G().text("Hi"), L().text("Hi")
USED = Usage(3, 2)

# Text in another place, or an event in another wrapping

SNAPSHOT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [{"text": "Hi"}]}]
OLD_TASK = {"id": "t", "status": {"state": "completed"}}
OLD_PART = {"artifact": {"index": 0, "parts": [{"type": "text", "text": "Hi"}]}}
TEXTS = [
    (
        "anthropic",
        sse({"type": "message", "role": "a", "content": "Hi", "stop_reason": "end_turn"}),
    ),
    ("anthropic", anthropic(HI_ANTHROPIC).replace(b'"type": "content_block_delta", ', b"")),
    ("anthropic", sse([json.loads(line[6:]) for line in lines_of(anthropic(HI_ANTHROPIC))])),
    ("cohere", cohere(C().event("content-delta", {"content": "Hi"}))),
    ("cohere", cohere(C().event("content-delta", {"content": ["Hi"]}))),
    ("cohere", cohere(HI_COHERE).replace(b'"type": "content-delta", ', b"")),
    ("cohere", sse({"finish_reason": "COMPLETE", "message": {"content": "Hi"}})),
    (
        "cohere",
        sse(
            {
                "event_type": "stream-end",
                "is_finished": True,
                "finish_reason": "COMPLETE",
                "response": {"text": "Hi"},
            }
        ),
    ),
    ("gemini", sse({"response": json.loads(gemini({"text": "Hi"}).split(b"\r\n")[0][6:])}, END)),
    ("gemini-array", b"[%s]" % json.dumps({"response": CANDIDATE}).encode()),
    ("ollama", b"[%s]" % b",".join(lines_of(ollama(HI_OLLAMA)))),
    (
        "bedrock",
        json.dumps({"output": {"message": {"content": "Hi"}}, "stopReason": "end_turn"}).encode(),
    ),
    (
        "ag-ui",
        agui("RUN_STARTED") + agui("MESSAGES_SNAPSHOT", messages=SNAPSHOT) + agui("RUN_FINISHED"),
    ),
    ("ag-ui", sse([{"type": "TEXT_MESSAGE_CONTENT", "delta": "Hi"}, {"type": "RUN_FINISHED"}])),
    ("ui-message", sse([{"type": "text-delta", "delta": "Hi"}, {"type": "finish"}])),
    ("a2a", rpc({**OLD_TASK, "artifacts": [OLD_PART["artifact"]]})),
    ("a2a", rpc({"id": "t", **OLD_PART}) + rpc({**OLD_TASK, "final": True})),
    ("a2a", rpc({"role": "agent", "parts": ["H", "i"]})),
]


@pytest.mark.parametrize(("name", "body"), TEXTS, ids=short)
def test_text_in_another_place_is_given(name: str, body: bytes) -> None:
    check(name, body, exit=0, text="Hi")


@pytest.mark.parametrize(
    ("before", "reason", "exit"),
    [
        (b"", "end_turn", 0),
        (b"", "max_tokens", 10),
        (b"", None, 18),
        (A().reason("end_turn"), "end_turn", 0),
        (A().reason("end_turn"), None, 0),
        (A().reason("max_tokens"), "max_tokens", 10),
    ],
)
def test_a_whole_message_behind_its_events_repeats_nothing(
    before: bytes, reason: str | None, exit: int
) -> None:
    """MiniMax sums an answer up so, in Anthropic's format."""
    message = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
    told = sse({**message, "stop_reason": reason, "usage": {"input_tokens": 3}})
    check("anthropic", A().body(HI_ANTHROPIC) + before + told, exit=exit, text="Hi")


def test_a_response_without_its_object() -> None:
    """The last event tells it in itself."""
    details = {"incomplete_details": {"reason": "max_output_tokens"}}
    said = sse({"type": "response.output_text.delta", "delta": "Hi"})
    check("openai-responses", said + sse({"type": "response.incomplete", **details}), exit=10)
    output = [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]
    whole_answer = sse({"type": "response.completed", "output": output})
    check("openai-responses", whole_answer, exit=0, text="Hi")
    check("openai-responses", said + whole_answer, exit=0, text="Hi")


def test_a_response_that_does_not_tell_its_status_is_shown() -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    whole_answer = {"id": "r", "object": "response", "output": [message]}
    check("openai-responses", json.dumps(whole_answer).encode(), exit=18, text="Hi")


@pytest.mark.parametrize(
    ("name", "body", "exit"),
    [
        ("anthropic", anthropic(HI_ANTHROPIC, reason={"type": "max_tokens"}), 10),
        ("anthropic", anthropic(HI_ANTHROPIC, reason=["refusal"]), 11),
        ("anthropic", HI_ANTHROPIC + A().event("message_stop", stop_reason="max_tokens"), 10),
        ("cohere", cohere(HI_COHERE, reason={"type": "MAX_TOKENS"}), 10),
        ("ollama", ollama(HI_OLLAMA, done_reason={"type": "length"}), 10),
        ("ui-message", sse({"type": "text-delta", "delta": "Hi"}, ui_end("unknown")), 18),
        ("ai-data", code("0", "Hi") + code("d", {"finishReason": "unknown"}), 18),
        ("openai-responses", realtime("max_output_tokens"), 10),
        ("openai-responses", realtime("content_filter"), 11),
    ],
)
def test_a_reason_in_another_form(name: str, body: bytes, exit: int) -> None:
    check(name, body, exit=exit, text="Hi")


# Notices and errors of a gateway, in the middle of every format

WHOLE = [
    ("openai-chat", sse({"choices": [{"delta": {"content": "Hi"}}]}), DONE),
    ("openai-completions", sse({"choices": [{"text": "Hi"}]}), DONE),
    ("anthropic", HI_ANTHROPIC, A().reason("end_turn")),
    ("gemini", HI_GEMINI, G().reason("STOP")),
    ("cohere", HI_COHERE, C().reason("COMPLETE")),
    (
        "openai-responses",
        sse({"type": "response.output_text.delta", "delta": "Hi"}),
        sse({"type": "response.completed", "response": {}}),
    ),
    ("ui-message", sse({"type": "text-delta", "delta": "Hi"}), sse(ui_end("stop"))),
    ("ag-ui", agui("TEXT_MESSAGE_CONTENT", delta="Hi"), agui("RUN_FINISHED")),
    ("honcho", sse({"delta": {"content": "Hi"}, "done": False}), sse({"done": True})),
    ("a2a", rpc(OLD_PART), rpc({**OLD_TASK, "final": True})),
]
NOTICES = [
    sse({"type": "status", "message": "Searching the web"}),
    sse({"status": "processing", "message": "The model is loading"}),
    sse({"level": "warning", "message": "slow today"}),
    sse({"message": "model loaded"}, event="info"),
    sse({"message": "50 %"}, event="progress"),
    sse({"message": "calling a tool"}, event="tool_status"),
    sse({"code": 0, "message": "success"}),
    b"event: status\ndata: Searching\n\n",
    b"event: open\ndata: connected\n\n",
]
TOLD = [
    sse({"message": "it broke"}),
    sse({"message": "it broke"}, event="fail"),
    sse({"message": "it broke", "code": 500}, event="info"),
    sse({"error": True, "message": "it broke"}),
    sse({"error": {"type": "x", "details": "it broke"}}),
    sse({"type": "error", "content": "it broke"}),
    sse({"status": {"code": 500, "message": "it broke"}}),
    b"event: status\ndata: Error: it broke\n\n",
    sse({"message": "Error: it broke"}, event="progress"),
    sse({"type": "status", "message": "Error: it broke"}),
    b"event: cancelled\ndata: it broke\n\n",
]


@pytest.mark.parametrize(("name", "text", "end"), WHOLE, ids=short)
def test_a_notice_is_not_an_error(name: str, text: bytes, end: bytes) -> None:
    for notice in NOTICES:
        check(name, text + notice + end, exit=0, text="Hi")
        check(name, notice + text + end, exit=0, text="Hi")


@pytest.mark.parametrize(("name", "text", "end"), WHOLE, ids=short)
def test_an_error_in_the_clothes_of_a_notice(name: str, text: bytes, end: bytes) -> None:
    for error in TOLD:
        if name == "a2a" and b"true" in error:
            continue  # its own error is an object
        check(name, text + error + end, exit=15, text="Hi", message="it broke")
        assert read(name, error + end)["exit"] == 15


# A call without a name, or one of which only the input came

NAMELESS = [
    ("anthropic", anthropic(start({"type": "tool_use", "id": "t", "input": {}}), stop())),
    ("anthropic", anthropic(HI_ANTHROPIC, start({"type": "tool_use", "name": ""}), stop())),
    ("anthropic", anthropic(grow({"type": "input_json_delta", "partial_json": "{}"}), stop())),
    (
        "anthropic",
        anthropic(HI_ANTHROPIC, grow({"type": "input_json_delta", "partial_json": "{}"}, 9)),
    ),
    ("anthropic", anthropic(start({"type": "tool_use", "id": "t"}), reason="tool_use")),
    ("bedrock", block({"toolUse": {"toolUseId": "t"}}) + aws.stop("end_turn")),
    ("bedrock", block(None, {"toolUse": {"input": "{}"}}) + aws.stop("end_turn")),
    ("bedrock", block({"toolUse": {}}, {"toolUse": {"input": "{}"}}) + aws.stop("end_turn")),
    ("bedrock", aws.delta("Hi") + block({"toolUse": {"name": ""}}, index=1) + aws.stop("tool_use")),
    ("cohere", cohere(tool_start(id="t", function={"arguments": "{}"}))),
    ("cohere", cohere(HI_COHERE, tool_start(id="t", function={}), reason="TOOL_CALL")),
    (
        "cohere",
        cohere(C().event("tool-call-delta", {"tool_calls": {"function": {"arguments": "{}"}}})),
    ),
    (
        "cohere",
        sse(
            {
                "event_type": "tool-calls-generation",
                "is_finished": False,
                "tool_calls": [{"parameters": {}}],
            },
            {"event_type": "stream-end", "is_finished": True, "finish_reason": "COMPLETE"},
        ),
    ),
    ("gemini", gemini({"functionCall": {"args": {"a": 1}}})),
    ("gemini", gemini(HI_GEMINI, {"functionCall": {"name": "", "args": {}}})),
    ("gemini", gemini({"functionCall": "look"})),
    ("ollama", ollama(called({"function": {"arguments": {}}}))),
    ("ollama", ollama(HI_OLLAMA, called({"function": {"name": "", "arguments": {}}}))),
    ("ollama", ollama(called("look"))),
    ("ollama", ollama(called({"function": "look"}))),
    (
        "ag-ui",
        agui("RUN_STARTED")
        + agui("TOOL_CALL_START", toolCallId="c")
        + agui("TOOL_CALL_ARGS", toolCallId="c", delta="{}")
        + agui("TOOL_CALL_END", toolCallId="c")
        + agui("RUN_FINISHED"),
    ),
    (
        "ui-message",
        sse(
            {"type": "tool-input-available", "toolCallId": "c", "input": {}},
            {"type": "finish", "finishReason": "tool-calls"},
        ),
    ),
    ("ai-data", code("9", {"toolCallId": "c", "args": {}}) + code("d", {"finishReason": "stop"})),
]


@pytest.mark.parametrize(("name", "body"), NAMELESS, ids=short)
def test_a_call_without_a_name_is_no_answer(name: str, body: bytes) -> None:
    check(name, body, exit=8, calls=[], message="name")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gemini", gemini(HI_GEMINI, {"functionCall": None})),
        ("gemini", gemini(HI_GEMINI, {"functionCall": {}})),
        ("ollama", ollama(HI_OLLAMA, called({}))),
        ("ollama", ollama(HI_OLLAMA, L().line(tool_calls=None))),
    ],
    ids=short,
)
def test_an_empty_call_is_nothing(name: str, body: bytes) -> None:
    check(name, body, exit=0, text="Hi", calls=[])


# Calls in other forms

USE = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
PIECE = {"type": "input_json_delta", "partial_json": '{"a":1}'}
AWS_USE = {"toolUseId": "t", "name": "look"}


@pytest.mark.parametrize(
    ("name", "body", "arguments"),
    [
        ("anthropic", anthropic(start(USE) * 2, grow(PIECE), stop()), ['{"a":1}']),
        (
            "anthropic",
            anthropic(
                start(USE) + grow(PIECE) + start({**USE, "id": "u", "name": "see"}) + grow(PIECE)
            ),
            ['{"a":1}'] * 2,
        ),
        ("anthropic", anthropic(start({**USE, "input": {"a": 1}}), grow(PIECE)), ['{"a":1}']),
        ("anthropic", anthropic(start({**USE, "input": None}), reason=None), ["{}"]),
        (
            "bedrock",
            block(None, {"toolUse": {**AWS_USE, "input": '{"a":1}'}}) + aws.stop("end_turn"),
            ['{"a":1}'],
        ),
        (
            "bedrock",
            aws.event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": AWS_USE}})
            + block({"toolUse": AWS_USE}, {"toolUse": {"input": '{"a":1}'}})
            + aws.stop("tool_use"),
            ['{"a":1}'],
        ),
        (
            "cohere",
            cohere(
                tool_start(id="t", function={"name": "look", "arguments": ""}) * 2,
                tool_start(function={"arguments": '{"a":1}'}),
            ),
            ['{"a":1}'],
        ),
        ("cohere", cohere(C().call("c", "look", '{"a":1}{"a":1}')), ['{"a":1}']),
        ("gemini", gemini({"function_call": {"name": "look", "args": {"b_c": 1}}}), ['{"b_c":1}']),
        ("gemini", gemini({"functionCall": {"name": "look", "args": '{"a":1}'}}), ['{"a":1}']),
        ("gemini", gemini({"functionCall": {"name": "look", "args": None}}), ["{}"]),
        ("ollama", ollama(called({"name": "look", "arguments": {"a": 1}})), ['{"a":1}']),
        ("ollama", ollama(L().line(tool_calls={"function": {"name": "look"}})), ["{}"]),
        (
            "ollama",
            ollama(*(called({"function": {"index": 0, "name": name}}) for name in "ab")),
            ["{}", "{}"],
        ),
    ],
    ids=short,
)
def test_calls_in_other_forms(name: str, body: bytes, arguments: list[str]) -> None:
    """Nobody but the caller can answer them: never exit 0 where text alone is shown."""
    check(name, body, exit=0, text_exit=13, calls=arguments, finish="tool_calls")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gemini", gemini({"functionCall": {"name": "look", "args": '{"a":'}})),
        ("ollama", ollama(called({"function": {"name": "look", "arguments": '{"a":'}}))),
        ("ai-data", code("9", {"toolCallId": "c", "toolName": "l", "args": "{"}) + code("d", {})),
    ],
    ids=short,
)
def test_arguments_that_are_not_json(name: str, body: bytes) -> None:
    check(name, body, exit=8)


# Reasons in other places and spellings


@pytest.mark.parametrize(
    ("name", "body"),
    [
        *(
            ("anthropic", A().body(HI_ANTHROPIC, A().event("message_delta", **delta), A().end()))
            for delta in (
                {"delta": {"stopReason": "max_tokens"}},
                {"delta": {"finish_reason": "length"}},
                {"delta": {"stop_reason": "", "native_finish_reason": "MAX_TOKENS"}},
                {"delta": {}, "stop_reason": "Max-Tokens"},
                {"stop_reason": "max_tokens"},
            )
        ),
        ("bedrock", aws.delta("Hi") + aws.event("messageStop", {"stop_reason": "max_tokens"})),
        (
            "cohere",
            C().body(HI_COHERE, C().event("message-end", delta={"finishReason": "MAX_TOKENS"})),
        ),
        ("cohere", C().body(HI_COHERE, C().event("message-end", finish_reason="MAX_TOKENS"))),
        *(
            ("gemini", G().body(HI_GEMINI, G().element({"candidates": [candidate]})))
            for candidate in (
                {"finish_reason": "MAX_TOKENS"},
                {"finishReason": "", "finish_reason": "max_tokens"},
                {"finishReason": 2},
                {"finishReason": "2"},
            )
        ),
        ("ollama", ollama(HI_OLLAMA, done_reason=None, doneReason="length")),
        ("ollama", ollama(HI_OLLAMA, done_reason="", finish_reason="max_tokens")),
        *(
            ("ui-message", sse({"type": "text-delta", "delta": "Hi"}, {"type": "finish", **fields}))
            for fields in (
                {"finish_reason": "length"},
                {"finishReason": {"unified": "length", "raw": "max_tokens"}},
            )
        ),
        (
            "ag-ui",
            agui("TEXT_MESSAGE_CONTENT", delta="Hi") + agui("RUN_FINISHED", outcome="length"),
        ),
    ],
    ids=short,
)
def test_a_limit_in_other_words(name: str, body: bytes) -> None:
    check(name, body, exit=10, text="Hi", finish="length")


@pytest.mark.parametrize(
    ("outcome", "exit"),
    [
        ("success", 0),
        ("interrupt", 13),
        ("cancelled", 18),
        ("Canceled", 18),
        ("error", 15),
        ("timeout", 15),
        ("max_turns", 13),
        ("content_filter", 11),
        ("novel", 0),
    ],
)
@pytest.mark.parametrize("form", [lambda word: word, lambda word: {"type": word}])
def test_agui_how_a_run_ended(outcome: str, exit: int, form: Any) -> None:
    said = agui("TEXT_MESSAGE_CONTENT", delta="Hi")
    check("ag-ui", said + agui("RUN_FINISHED", outcome=form(outcome)), exit=exit, text="Hi")


@pytest.mark.parametrize(
    ("state", "exit"),
    [
        ("completed", 0),
        ("input-required", 0),
        ("failed", 15),
        ("canceled", 15),
        ("cancelled", 15),
        ("rejected", 22),
        ("auth-required", 67),
        ("working", 0),  # `final` is the agent's word, and the state is told
        ("unknown", 0),
        ("expired", 15),
        ("timed-out", 15),
    ],
)
@pytest.mark.parametrize("spelled", [str.lower, str.upper])
def test_a2a_the_last_state_of_a_task(state: str, exit: int, spelled: Any) -> None:
    text = {"artifactId": "a", "parts": [{"kind": "text", "text": "Hi"}]}
    said = rpc({"kind": "artifact-update", "taskId": "t", "artifact": text})
    over = {"kind": "status-update", "taskId": "t", "final": True}
    status = {"state": spelled(state)}
    check("a2a", said + rpc({**over, "status": status}), exit=exit, text="Hi")


def test_a2a_a_last_update_without_a_status() -> None:
    text = {"artifactId": "a", "parts": {"kind": "text", "text": "Hi"}}
    said = rpc({"kind": "artifact-update", "taskId": "t", "artifact": text})
    over = rpc({"kind": "status-update", "taskId": "t", "final": True})
    check("a2a", said + over, exit=0, text="Hi")
    check("a2a", said, exit=18, text="Hi")


# Errors in other places


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic", anthropic(HI_ANTHROPIC, A().event("message_delta", delta={}, **BOOM))),
        ("anthropic", anthropic(HI_ANTHROPIC, grow({"type": "error", **BOOM}, 7))),
        ("anthropic", anthropic(HI_ANTHROPIC, start({"type": "error", **BOOM}, 7))),
        ("anthropic", A().body(HI_ANTHROPIC, A().event("message_stop", **BOOM))),
        ("anthropic", anthropic(HI_ANTHROPIC, A().event("message_start", message=BOOM))),
        (
            "anthropic",
            line({"type": "message", "role": "assistant", "content": [{"type": "text"}], **BOOM}),
        ),
        ("anthropic", anthropic(HI_ANTHROPIC, b"data: upstream request timeout: it broke\n\n")),
        (
            "bedrock",
            aws.delta("Hi") + aws.event("internalServerException", {"message": "it broke"}),
        ),
        (
            "bedrock",
            aws.delta("Hi") + aws.event("messageStop", {"stopReason": "end_turn", **BOOM}),
        ),
        (
            "bedrock",
            chunk({"messageStart": {}})
            + chunk({"contentBlockDelta": {"delta": {"text": "Hi"}}})
            + chunk({"modelStreamErrorException": {"originalMessage": "it broke"}}),
        ),
        ("bedrock", chunk(BOOM)),
        ("cohere", cohere(HI_COHERE, C().event("message-end", delta={}, **BOOM))),
        ("cohere", cohere(HI_COHERE, C().event("content-delta", {"content": {}}, **BOOM))),
        ("gemini", gemini(HI_GEMINI, G().element({"candidates": [{"index": 0, **BOOM}]}))),
        ("gemini", gemini(G().element({"candidates": [{"content": {"parts": []}}], **BOOM}))),
        ("gemini", gemini(HI_GEMINI, pretty(BOOM).replace(b"\n  }\n}", b" } }") + b"\n")),
        ("gemini", gemini(HI_GEMINI) + pretty(BOOM)[:-4]),
        ("ollama", ollama(HI_OLLAMA, b"Internal Server Error: it broke\n")),
        ("ollama", L().body(HI_OLLAMA, b"llama runner process has terminated: it broke")),
        ("ollama", ollama(HI_OLLAMA, b"<html><title>502: it broke</title></html>\n")),
        ("ollama", ollama(HI_OLLAMA, pretty(BOOM))),
        ("ollama", ollama(HI_OLLAMA, pretty([BOOM]).replace(b"\n", b"\r\n"))),
        ("ollama", L().body(HI_OLLAMA, pretty(BOOM).rstrip())),
        ("ollama", ollama(HI_OLLAMA, b"event: error\ndata: it broke\n\n")),
        ("ollama", ollama(HI_OLLAMA, b'{"model":"m","mess\n' + line(BOOM))),
        ("ollama", ollama(L().line(content="Hi", top=BOOM))),
        ("ollama", ollama(HI_OLLAMA, L().line(**BOOM))),
        ("bedrock", aws.delta("Hi") + block(None, BOOM) + aws.stop()),
        ("cohere", cohere(HI_COHERE, C().event("content-delta", BOOM))),
        ("ui-message", sse({"type": "text-delta", "delta": "Hi", **BOOM}) + DONE),
        ("ui-message", sse({"type": "finish", "errorText": "it broke"}) + DONE),
        ("ui-message", sse({"type": "finish-step", **BOOM}, {"type": "finish"}) + DONE),
        ("ai-data", code("0", "Hi") + code("d", {"finishReason": "stop", **BOOM})),
        ("ai-data", code("0", "Hi") + b"3:it broke\n" + code("d", {})),
        ("json-events", line({"t": "Hi"}) + pretty(BOOM) + line({"over": True})),
        ("json-events", line({"t": "Hi"}) + b"502 Bad Gateway: it broke\n" + line({"over": True})),
        ("json-events", sse({"t": "Hi"}, {"type": "error", "message": "it broke"}, {"over": True})),
        ("ai-data", code("0", "Hi") + pretty(BOOM) + code("d", {"finishReason": "stop"})),
        ("ai-data", code("0", "Hi") + b"Internal Server Error: it broke\n" + code("d", {})),
        (
            "ag-ui",
            agui("TEXT_MESSAGE_CONTENT", delta="Hi") + agui("RUN_FINISHED", **BOOM),
        ),
        (
            "ag-ui",
            agui("TEXT_MESSAGE_CONTENT", delta="Hi")
            + agui("RUN_FINISHED")
            + agui("RUN_ERROR", message="it broke"),
        ),
        ("honcho", sse({"delta": {"content": "Hi", **BOOM}}, {"done": True})),
        ("sse-text", b"data: Hi\n\nevent: Error\ndata: it broke\n\ndata: [DONE]\n\n"),
        ("sse-text", b"data: Hi\n\nevent: exception\ndata: it broke\n\n"),
    ],
    ids=short,
)
def test_an_error_in_another_place(name: str, body: bytes) -> None:
    check(name, body, exit=15, message="it broke")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic", anthropic(HI_ANTHROPIC, A().event("error", **BOOM))[:-1]),
        ("bedrock", aws.delta("Hi") + aws.metadata(inputTokens=3, outputTokens=2)),
        ("cohere", C().body(HI_COHERE, sse(BOOM), C().reason("COMPLETE", input=3, output=2))),
        ("gemini", gemini(HI_GEMINI, G().element(BOOM))),
        ("ollama", ollama(HI_OLLAMA, line(BOOM))),
        (
            "ui-message",
            sse(
                {"type": "text-delta", "delta": "Hi"},
                {"type": "error", "errorText": "it broke"},
                {"type": "finish", "messageMetadata": {"inputTokens": 3, "outputTokens": 2}},
            ),
        ),
        (
            "ai-data",
            code("0", "Hi")
            + code("3", "it broke")
            + code("d", {"usage": {"promptTokens": 3, "completionTokens": 2}}),
        ),
    ],
    ids=short,
)
def test_the_usage_behind_an_error_is_read(name: str, body: bytes) -> None:
    if name == "anthropic":
        wire = wires.Anthropic()
        parts = (HI_ANTHROPIC, wire.event("error", **BOOM))
        body = wire.body(*parts, wire.reason("end_turn", input=3, output=2), wire.end())
    elif name == "bedrock":
        body += aws.exception("internalServerException", "it broke")
    check(name, body, exit=15, text="Hi", usage=USED, message="it broke")


@pytest.mark.parametrize("name", ["anthropic", "gemini", "ollama", "cohere"])
def test_an_error_before_the_answer_is_not_waited_behind(name: str) -> None:
    errors = {"anthropic": sse(BOOM), "ollama": line(BOOM)}
    decoder = decoder_of(name)
    decoder.feed(errors.get(name, sse(BOOM)))
    assert decoder.ended


@pytest.mark.parametrize(
    ("name", "bytes_of", "exit"),
    [
        ("throttlingException", "slow down", 16),
        ("ThrottlingException", "slow down", 16),
        ("serviceQuotaExceededException", "no", 16),
        ("accessDeniedException", "no", 67),
        ("validationException", "no", 22),
        ("validationException", "input is too long for requested model", 10),
        ("resourceNotFoundException", "no", 22),
        ("modelStreamErrorException", "no", 15),
        ("unheardOfException", "no", 15),
    ],
)
def test_bedrock_exceptions_in_either_frame(name: str, bytes_of: str, exit: int) -> None:
    for frame in (aws.exception(name, bytes_of), aws.event(name, {"message": bytes_of})):
        check("bedrock", aws.delta("Hi") + frame + aws.stop(), exit=exit, text="Hi")
    nameless = json.dumps({"__type": f"com.aws#{name}", "message": bytes_of}).encode()
    check("bedrock", aws.frame({":message-type": "exception"}, nameless), exit=exit)


def test_bedrock_frames_that_are_damaged_or_cut() -> None:
    good = aws.delta("Hi") + aws.delta("more") + aws.stop()
    for at in (len(aws.delta("Hi")) + 30, len(aws.delta("Hi")) + 2):
        damaged = bytearray(good)
        damaged[at] ^= 1
        check("bedrock", bytes(damaged), exit=8, text="Hi")
    for at in range(len(aws.delta("Hi")) + 1, len(good) - 1, 17):
        found = found_in(decode(decoder_of("bedrock"), whole(good[:at])))
        assert (found["exit"], found["text"][:2]) == (18, "Hi")


def test_bedrock_calls_that_the_server_runs_are_not_the_callers() -> None:
    use = {**AWS_USE, "type": "server_tool_use"}
    served = block({"toolUse": use}, {"toolUse": {"input": '{"a":1}'}})
    result = block({"toolResult": AWS_USE}, {"toolResult": [{"text": "2"}]}, 1)
    said = aws.delta("Hi", 2)
    check("bedrock", served + result + said + aws.stop("end_turn"), exit=0, text_exit=0, calls=[])


def test_bedrock_counts_of_aws_for_a_format_without() -> None:
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    counts = {"inputTokenCount": 3, "outputTokenCount": 2}
    last = {"choices": [], "amazon-bedrock-invocationMetrics": counts}
    check("bedrock", chunk({"choices": [choice]}) + chunk(last), exit=0, text="Hi", usage=USED)


# Markers without an answer, and answers without text


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic", A().body(A().end())),
        ("anthropic", anthropic(reason=None)),
        ("cohere", C().event("message-end")),
        ("cohere", C().event("message-end", delta={"finish_reason": None})),
        ("ollama", L().line(True)),
        ("ollama", L().line(True, {"prompt_eval_count": 3, "eval_count": 0})),
        ("gemini-array", b"[]"),
        ("ui-message", b"data: [DONE]\n\n"),
        ("ui-message", sse({"type": "start"}, {"type": "finish"}) + b"data: [DONE]\n\n"),
        ("ai-data", code("d", {})),
        ("json-events", sse({"over": True})),
        ("sse-text", b"data: [DONE]\n\n"),
    ],
    ids=short,
)
def test_a_marker_alone_is_no_answer(name: str, body: bytes) -> None:
    check(name, body, exit=8, text="")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic", anthropic()),
        ("bedrock", aws.stop()),
        ("cohere", cohere()),
        ("gemini", gemini()),
        ("ollama", ollama()),
        ("ollama", ollama(done_reason="load")),
        ("ui-message", sse({"type": "finish", "finishReason": "stop"})),
        ("ai-data", code("d", {"finishReason": "stop"})),
        ("json-events", sse({"why": "stop"}, {"over": True})),
        ("honcho", sse({"done": True})),
        ("honcho", b'{"content": null}'),
        ("ag-ui", agui("RUN_STARTED") + agui("RUN_FINISHED")),
        ("a2a", rpc({"kind": "task", "id": "t", "status": {"state": "completed"}})),
    ],
    ids=short,
)
def test_an_answer_that_is_complete_and_empty_is_told(name: str, body: bytes) -> None:
    check(name, body, exit=0, text="", message="empty")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gemini", gemini(HI_GEMINI, reason="TOOL_CALL")),
        ("ollama", ollama(HI_OLLAMA, done_reason="tool_calls")),
        ("json-events", sse({"t": "Hi"}, {"why": "tool_calls"}, {"over": True})),
        ("ui-message", sse({"type": "finish", "finishReason": "tool-calls"})),
        ("ai-data", code("d", {"finishReason": "tool-calls"})),
    ],
    ids=short,
)
def test_a_reason_of_calls_without_a_call(name: str, body: bytes) -> None:
    check(name, body, exit=8, calls=[])


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\n\n", b": ping\n\n", b"data:\n\n", b"data: null\n\n"),
        sse({"delta": {"content": ""}, "done": False}),
        sse({"delta": {"content": None}, "done": False}) + b"data: {",
        sse({"done": False}),
    ],
    ids=short,
)
def test_honcho_nothing_came_and_is_asked_for_again(body: bytes) -> None:
    """Its server begins the answer before the model behind it, which may fail."""
    end = decode(decoder_of("honcho"), whole(body))[-1]
    assert isinstance(end, Failed)
    assert end.status in ("malformed", "truncated")
    assert (end.transient, "the model behind Honcho failed" in end.hint) == (True, True)


# Values in other forms


@pytest.mark.parametrize(
    "candidate",
    [
        {"content": {"parts": {"text": "Hi"}}},
        {"content": {"parts": ["Hi"]}},
        {"content": [{"text": "Hi"}]},
        {"content": "Hi"},
        {"content": {"text": "Hi"}},
    ],
)
def test_gemini_content_without_its_lists(candidate: Any) -> None:
    candidate = {**candidate, "finishReason": "STOP"}
    for candidates in (candidate, [candidate]):
        body = {"candidates": candidates, "usage_metadata": {"prompt_token_count": 3}}
        check("gemini", sse(body), exit=0, text="Hi", usage=Usage(3))
        check("gemini", json.dumps(body).encode(), exit=0, text="Hi")


@pytest.mark.parametrize("reason", ["SAFETY", 1, "1", "OTHER", "x_new"])
def test_gemini_a_blocked_prompt_in_other_spellings(reason: Any) -> None:
    check("gemini", sse({"prompt_feedback": {"block_reason": reason}}), exit=11, text="")
    check("gemini", sse({"promptFeedback": {"blockReason": reason}}), exit=11, text="")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (
            "anthropic",
            A().body(
                HI_ANTHROPIC,
                A().event(
                    "message_delta",
                    delta={"stop_reason": "end_turn"},
                    usage={"input_tokens": "3", "output_tokens": 2.0},
                ),
            ),
        ),
        (
            "anthropic",
            A().body(
                HI_ANTHROPIC,
                A().reason("end_turn"),
                A().event("message_stop", usage={"prompt_tokens": 3, "completion_tokens": 2}),
            ),
        ),
        ("ollama", ollama(HI_OLLAMA, prompt_eval_count="3", eval_count=2.0)),
    ],
    ids=short,
)
def test_counts_in_other_forms(name: str, body: bytes) -> None:
    check(name, body, exit=0, text="Hi", usage=USED)


@pytest.mark.parametrize("field", ["thinking", "reasoning", "reasoning_content"])
def test_ollama_thinking_by_another_name(field: str) -> None:
    body = ollama(L().line(**{field: "hm"}), HI_OLLAMA)
    check("ollama", body, exit=0, text="Hi", reasoning="hm")


def test_anthropic_deltas_without_their_type() -> None:
    body = anthropic(
        start({"type": "thinking"}), grow({"thinking": "hm"}), stop(), grow({"text": "Hi"}, 1)
    )
    check("anthropic", body, exit=0, text="Hi", reasoning="hm")


@pytest.mark.parametrize("name", ["ping", "heartbeat", "keep-alive"])
def test_sse_text_a_ping_with_data_is_not_text(name: str) -> None:
    ping = f"event: {name}\ndata: 12:00:01\n\n".encode()
    check("sse-text", b"data: Hi\n\n" + ping + b"data:  you\n\n", exit=0, text="Hi you")


@pytest.mark.parametrize(
    "end",
    [b"data: [DONE]\n\n", b"data: [done]\n\n", b"event: done\ndata: {}\n\n", b"data:  [DONE] \n\n"],
)
def test_sse_text_an_end_in_other_spellings(end: bytes) -> None:
    check("sse-text", b"data: Hi\n\n" + end, exit=0, text="Hi")
    found = read("sse-text", b"data: Hi\n\n" + end + b"data: more\n\n")
    assert found["text"].endswith("more")


# Cuts


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic", A().body(HI_ANTHROPIC, grow({"type": "text_delta", "text": "x"}))),
        ("cohere", C().body(HI_COHERE)),
        ("gemini", G().body(HI_GEMINI)),
        ("ollama", L().body(HI_OLLAMA, L().text("x"))),
        ("honcho", sse({"delta": {"content": "Hi"}, "done": False})),
        ("ui-message", sse({"type": "text-delta", "delta": "Hi"}, {"type": "finish-step"})),
        ("ai-data", code("0", "Hi") + code("2", [1])),
        ("ag-ui", agui("TEXT_MESSAGE_CONTENT", delta="Hi") + agui("TEXT_MESSAGE_END")),
        ("json-events", line({"t": "Hi"}) + line({"t": "x"})),
    ],
    ids=short,
)
def test_a_cut_at_any_byte_is_never_complete(name: str, body: bytes) -> None:
    """Before any reason or marker: text so far, and 18; or 8 where nothing was an answer yet."""
    for at in range(0, len(body), 3):
        found = found_in(decode(decoder_of(name), whole(body[:at])))
        assert found["exit"] in (8, 18), body[:at]
        assert "Hix".startswith(found["text"])
        if found["text"]:
            assert found["exit"] == 18
