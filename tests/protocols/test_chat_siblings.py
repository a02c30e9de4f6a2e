"""Siblings of the reported streams of Chat Completions and Completions: fields, places, spellings.

Each row is a stream and what it comes to; test_chat_kinds.py has the kinds themselves.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from splits import bytewise, decode, merged, whole
from verdicts import found_in

from streamcli.events import Failed, ToolCall, ToolResult
from streamcli.protocols._contract import get

DONE = b"data: [DONE]\n\n"
STOP = ({}, {"finish_reason": "stop"})
CALLS = ({}, {"finish_reason": "tool_calls"})
CALL = {"index": 0, "id": "c", "function": {"name": "w", "arguments": '{"a":1}'}}


def sse(*chunks: Any) -> bytes:
    """Return the bytes: a dict is a delta, a pair (delta, fields of its choice), a list a value."""
    out = b""
    for chunk in chunks:
        if isinstance(chunk, bytes):
            out += chunk
            continue
        if isinstance(chunk, list):
            (value,) = chunk
        else:
            delta, fields = chunk if isinstance(chunk, tuple) else (chunk, {})
            choice = {"index": 0, "delta": delta, "finish_reason": None, **fields}
            value = {"id": "c1", "model": "m", "choices": [choice]}
        out += b"data: %s\n\n" % json.dumps(value).encode()
    return out


def found(name: str, body: bytes) -> dict[str, Any]:
    events = decode(get(name).Decoder(), whole(body))
    assert merged(decode(get(name).Decoder(), bytewise(body))) == merged(events)
    return found_in(events)


def check(body: bytes, name: str = "openai-chat", **expect: Any) -> None:
    got = found(name, body)
    assert expect.pop("message", "") in got["message"]
    for field, count in expect.pop("usage", {}).items():
        assert getattr(got["usage"], field) == count
    assert {key: got[key] for key in expect} == expect


TEXT = {"content": "42"}
# Reasoning under other names, as a string, a list, an object; and what is not reasoning.
THOUGHTS: list[tuple[Any, str]] = [
    *(({name: "hm"}, "hm") for name in ("reasoning_summary", "thoughts", "thinking_content")),
    *(({name: "hm"}, "hm") for name in ("reasoningContent", "cot_summary", "thought")),
    ({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}, "hm"),
    ({"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]}, ""),
    (
        {"reasoning_content": "hm", "thinking_blocks": [{"type": "thinking", "thinking": "hm"}]},
        "hm",
    ),
    ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, ""),
    ({"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]}, "hm"),
    ({"reasoning": {"content": "hm"}}, "hm"),
    ({"reasoning": [{"text": "h"}, "m"]}, "hm"),
    ({"thought": True}, ""),  # a flag
    (({}, {"reasoning_content": "hm"}), "hm"),
    (({"role": "assistant"}, {"reasoning": "hm"}), "hm"),
]


@pytest.mark.parametrize(("delta", "thought"), THOUGHTS)
def test_reasoning_has_many_names(delta: Any, thought: str) -> None:
    check(sse(delta, TEXT, STOP, DONE), exit=0, text="42", reasoning=thought)
    if isinstance(delta, dict):
        choice = {"message": {**delta, **TEXT}, "finish_reason": "stop"}
        check(json.dumps({"choices": [choice]}).encode(), exit=0, text="42", reasoning=thought)


# Content that is not a string: (content, text, exit)
CONTENT: list[tuple[Any, str, int]] = [
    ({"type": "text", "value": "x"}, "x", 0),
    ([{"type": "text", "text": {"value": "x", "annotations": []}}], "x", 0),
    ({"type": "text"}, "", 8),
    ([{"type": "json", "json": 5}], "5", 0),
    ({"parts": ["x"]}, "", 8),
    (["a", 1, True], "a1true", 0),
    ([{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "x"}], "x", 0),
]


@pytest.mark.parametrize(("content", "text", "exit"), CONTENT)
def test_content_that_is_not_a_string(content: Any, text: str, exit: int) -> None:
    check(sse({"content": content}, STOP, DONE), exit=exit, text=text)
    choice = {"message": {"content": content}, "finish_reason": "stop"}
    check(json.dumps({"choices": [choice]}).encode(), exit=exit, text=text)


# A choice without a delta of its own kind is read all the same, in both protocols.
CHOICES: list[Any] = [
    {"delta": {"content": "Hi"}},
    {"delta": {"text": "Hi"}},
    {"delta": "Hi"},
    {"delta": ["H", "i"]},
    {"text": "Hi"},
    {"text": {"text": "Hi"}},
    {"text": ["Hi"]},
    {"content": "Hi"},
    {"message": {"content": "Hi"}},
    {"message": "Hi"},
    {"delta": {}, "message": {"content": "Hi"}},
    {"delta": None, "text": "Hi"},
    "Hi",
]


@pytest.mark.parametrize("name", ["openai-chat", "openai-completions"])
@pytest.mark.parametrize("choice", CHOICES)
def test_text_in_other_places_of_a_choice(name: str, choice: Any) -> None:
    body = sse([{"id": "c", "choices": [choice]}], STOP, DONE)
    check(body, name, exit=0, text="Hi", finish="stop")


# Completions has all that Chat has: (choices' fields behind the text "a", exit, text, usage)
COMPLETIONS: list[tuple[list[Any], dict[str, Any]]] = [
    ([{"text": 5, "finish_reason": "stop"}], {"exit": 0, "text": "a5"}),
    ([{"text": False, "finish_reason": "stop"}], {"exit": 0, "text": "afalse"}),
    ([{"text": {"a": 1}}], {"exit": 8, "text": "a"}),
    ([{"text": "", "native_finish_reason": "network_error"}], {"exit": 15}),
    ([{"text": "", "finish_reason": "stop", "native_finish_reason": "MAX_TOKENS"}], {"exit": 10}),
    ([{"text": "", "finishReason": "eos"}], {"exit": 0, "finish": "stop"}),
    ([{"text": "", "finish_reason": "stop"}, {"text": "b"}], {"exit": 18, "text": "ab"}),
    ([{"text": "", "finish_reason": "null"}], {"exit": 18}),
    ([{"text": "", "reasoning": "hm"}, {"finish_reason": "stop"}], {"exit": 0, "reasoning": "hm"}),
    ([{"text": "", "error": {"message": "boom", "code": 429}}], {"exit": 16, "message": "boom"}),
    ([{"text": "", "finish_reason": "error", "error_message": "boom"}], {"message": "boom"}),
    (
        [{"text": "", "finish_reason": "stop", "usage": {"prompt_tokens": 7}}],
        {"exit": 0, "usage": {"input_tokens": 7}},
    ),
]


@pytest.mark.parametrize(("choices", "expect"), COMPLETIONS)
def test_completions_are_read_as_chat_is(choices: list[Any], expect: dict[str, Any]) -> None:
    values = [
        [{"id": "c", "choices": [{"index": 0, **each}]}] for each in ({"text": "a"}, *choices)
    ]
    check(sse(*values), "openai-completions", **expect)


def test_completions_whose_index_counts_chunks() -> None:
    choices = [{"index": n, "text": word} for n, word in enumerate("abc")]
    choices[2]["finish_reason"] = "stop"
    values = [[{"id": f"c{n}", "choices": [choice]}] for n, choice in enumerate(choices)]
    check(sse(*values, DONE), "openai-completions", exit=0, text="abc")


# Tool calls: (elements of tool_calls, one a chunk; their arguments; the exit with records)
TOOLS: list[tuple[list[Any], list[str], int]] = [
    ([{"index": 0, "id": "c", "function": {"arguments": "{}"}}], [], 8),
    ([{"index": 0, "id": "c", "function": {"name": "", "arguments": "{}"}}], [], 8),
    ([{"index": 0, "id": "c", "function": {"name": None, "arguments": "{}"}}], [], 8),
    ([{"index": 0, "id": "c", "type": "function"}], [], 8),
    (["w"], [], 8),
    ([[1]], [], 8),
    (
        [
            {"index": 0, "id": "c", "function": {"arguments": ""}},
            {"index": 0, "function": {"name": "w", "arguments": "{}"}},
        ],
        ["{}"],
        0,
    ),
    ([{"id": "c", "name": "w", "parameters": {"a": 1}}], ['{"a":1}'], 0),
    ([{"id": "c", "function": {"name": "w", "args": {"a": 1}}}], ['{"a":1}'], 0),
    (  # the name in pieces, and each of them repeating what came before
        [
            {"index": 0, "id": "c", "function": {"name": "get_", "arguments": ""}},
            {"index": 0, "function": {"name": "weather"}},
            {"index": 0, "function": {"arguments": '{"a":1}'}},
        ],
        ['{"a":1}'],
        0,
    ),
    (
        [
            {"index": 0, "id": "c", "function": {"name": "get_"}},
            {"index": 0, "id": "c", "function": {"name": "get_weather"}},
            {"index": 0, "id": "c", "function": {"name": "get_weather", "arguments": "{}"}},
        ],
        ["{}"],
        0,
    ),
    (  # two calls, the first without arguments
        [
            {"index": 0, "id": "c", "function": {"name": "now"}},
            {"index": 0, "function": {"name": "weather", "arguments": '{"a":1}'}},
        ],
        ["{}", '{"a":1}'],
        0,
    ),
    *(  # names and ids that a server writes out where it has none
        (
            [
                {"index": 0, "id": "c", "function": {"name": "w", "arguments": '{"a"'}},
                {"index": 0, "id": none, "function": {"name": none, "arguments": ":1}"}},
            ],
            ['{"a":1}'],
            0,
        )
        for none in ("null", "None", "undefined")
    ),
    (  # each piece repeats what came before
        [
            {"index": 0, "id": "c", "function": {"name": "w", "arguments": '{"a"'}},
            {"index": 0, "function": {"arguments": '{"a":1}'}},
        ],
        ['{"a":1}'],
        0,
    ),
    (  # the index changes behind the name
        [
            {"index": 0, "id": "c", "function": {"name": "w", "arguments": ""}},
            {"index": 1, "function": {"arguments": '{"a":1}'}},
        ],
        ['{"a":1}'],
        0,
    ),
]


@pytest.mark.parametrize(("elements", "calls", "exit"), TOOLS)
@pytest.mark.parametrize("end", [CALLS, STOP])
def test_tool_calls(elements: list[Any], calls: list[str], exit: int, end: Any) -> None:
    chunks = [{"tool_calls": [element]} for element in elements]
    check(sse(*chunks, end, DONE), exit=exit, calls=calls, text_exit=exit or 13)


# A call in another place than tool_calls of the delta.
PLACES: list[Any] = [
    {"toolCalls": [CALL]},
    {"functionCall": CALL["function"]},
    {"content": [{"type": "tool_use", "id": "c", "name": "w", "input": {"a": 1}}]},
    ({}, {"tool_calls": [CALL]}),
    ({}, {"message": {"tool_calls": [CALL]}}),
    ({"role": "assistant"}, {"tool_calls": [CALL]}),
]


@pytest.mark.parametrize("chunk", PLACES)
def test_a_call_in_another_place(chunk: Any) -> None:
    check(sse(chunk, STOP, DONE), exit=0, text_exit=13, calls=['{"a":1}'], finish="tool_calls")


def test_a_result_of_a_tool_that_the_server_ran() -> None:
    result = {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "rain"}]}
    body = sse({"tool_calls": [CALL]}, CALLS, result, {"content": "It rains."}, STOP, DONE)
    events = decode(get("openai-chat").Decoder(), whole(body))
    given = [each for each in events if isinstance(each, ToolCall | ToolResult)]
    assert given[0] == ToolCall("c", "w", '{"a":1}')
    assert given[1] == ToolResult("c", "", "rain", by="server")
    check(body, exit=0, text_exit=0, text="It rains.")


# Errors: what follows half an answer, the exit, a piece of the message
ERRORS: list[tuple[Any, int, str]] = [
    ([{"RetCode": 172, "Message": "no balance"}], 15, "no balance"),
    ([{"ret_code": 8, "ret_msg": "boom"}], 15, "boom"),
    ([{"errno": 1, "errmsg": "boom"}], 15, "boom"),
    ([{"header": {"code": 10013, "message": "boom", "sid": "x"}}], 15, "boom"),
    ([{"Response": {"Error": {"Code": "LimitExceeded", "Message": "boom"}}}], 15, "boom"),
    ([{"ResponseMetadata": {"Error": {"Code": "X", "Message": "boom"}}}], 15, "boom"),
    ([{"code": 10007, "message": "boom", "sid": "x"}], 15, "boom"),
    ([{"status": "fail", "reason": "boom"}], 15, "boom"),
    (({}, {"message": {"error": {"message": "boom"}}}), 15, "boom"),
    (({}, {"finish_reason": "error", "error_message": "boom"}), 15, "boom"),
    ([{"choices": [{"delta": {"error": {"message": "boom", "code": 429}}}]}], 16, "boom"),
]


@pytest.mark.parametrize(("error", "exit", "message"), ERRORS)
def test_an_error_in_another_place(error: Any, exit: int, message: str) -> None:
    half = {"content": "Half"}
    for end in ((), (STOP, DONE)):
        check(sse(half, error, *end), exit=exit, text="Half", message=message)
    check(sse(error, STOP, DONE), exit=exit, text="", message=message)


FINE: list[Any] = [
    {"code": 0, "msg": "success"},
    {"RetCode": 0, "Message": ""},
    {"errno": "0", "errmsg": "ok"},
    {"message": "ping"},
    {"message": "Processing..."},
    {"status": 200, "message": "OK"},
    {"header": {"code": 0, "message": "Success"}},
]


@pytest.mark.parametrize("value", FINE)
def test_a_word_of_success_is_not_an_error(value: Any) -> None:
    check(sse({"content": "Hi"}, [value], {"content": "!"}, STOP, DONE), exit=0, text="Hi!")


@pytest.mark.parametrize("sign", [b"[HEARTBEAT]", b"<ping>", b"[ ping ]", b"keep_alive", b"Alive"])
def test_a_sign_of_life_in_brackets(sign: bytes) -> None:
    for data in (b"data: %b\n\n" % sign, b"event: hb\ndata: x\n\n"):
        check(sse({"content": "Hi"}, data, {"content": "!"}, STOP, DONE), exit=0, text="Hi!")


@pytest.mark.parametrize("end", [b"[EOF]", b"<eos>", b"[FINISHED]", b"END", b"[complete]"])
def test_a_marker_in_brackets(end: bytes) -> None:
    check(sse({"content": "Hi"}, STOP, b"data: %b\n\n" % end), exit=0, text="Hi", finish="stop")
    check(sse({"content": "Hi"}, b"data: %b\n\n" % end), exit=0, text="Hi", finish=None)


# Azure's filter says that it blocked, whatever the reason is.
BLOCKED = {"hate": {"filtered": True, "severity": "high"}}
SAFE = {"hate": {"filtered": False, "severity": "safe"}, "jailbreak": {"detected": True}}


@pytest.mark.parametrize("end", [(STOP, DONE), (DONE,)])
def test_what_a_filter_blocked_is_not_complete(end: Any) -> None:
    half = {"content": "Half"}
    check(sse(half, ({}, {"content_filter_results": BLOCKED}), *end), exit=11, text="Half")
    prompt = {"choices": [], "prompt_filter_results": [{"content_filter_results": BLOCKED}]}
    check(sse([prompt], half, *end), exit=11)
    check(sse((half, {"content_filter_results": SAFE}), *end), exit=0, text="Half")


@pytest.mark.parametrize("place", [{"delta": {"content": "!"}}, {"delta": {}}, {}])
@pytest.mark.parametrize("end", [(STOP, DONE), (STOP,), (DONE,)])
def test_a_flag_for_what_a_filter_found(place: Any, end: Any) -> None:
    """MiniMax's stands beside the choices of every chunk."""
    half = [{"id": "c", "choices": [{"index": 0, "delta": {"content": "Half"}}]}]
    for flag, exit in ((False, 0), (True, 11)):
        flagged = [{"choices": [{"index": 0, **place}], "output_sensitive": flag}]
        check(sse(half, flagged, *end), exit=exit)
        check(sse(half, half, flagged, *end), exit=exit)


# Sources and counts in other places
PLACED: list[Any] = [
    [{"search_results": [{"url": "u", "title": "t"}], "choices": []}],
    [{"citations": ["u"], "choices": []}],
    [{"web_search": [{"link": "u", "title": "t"}], "choices": []}],
    [{"search_info": {"search_results": [{"url": "u"}]}, "choices": []}],
    {"citations": ["u"]},
    {"context": {"citations": [{"url": "u", "content": "c"}]}},
    {"annotations": [{"type": "url_citation", "url": "u", "start_index": 0, "end_index": 1}]},
    ({}, {"citations": ["u"]}),
    ({}, {"message": {"citations": [{"url": "u"}]}}),
]


@pytest.mark.parametrize("chunk", PLACED)
def test_sources_in_other_places(chunk: Any) -> None:
    check(sse(TEXT, chunk, chunk, STOP, DONE), exit=0, citations=["u"] * (1 + _has_place(chunk)))


def _has_place(chunk: Any) -> bool:
    """Return whether a source says where the text relies on it: then it is not a repetition."""
    return "start_index" in json.dumps(chunk)


COUNTED = {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}


@pytest.mark.parametrize("chunk", [COUNTED, ({}, COUNTED), ({}, {"message": COUNTED})])
def test_counts_in_other_places(chunk: Any) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2}
    check(sse(TEXT, chunk, STOP, DONE), exit=0, usage=usage)


@pytest.mark.parametrize("chunk", [COUNTED, ({}, COUNTED), [{"choices": [], **COUNTED}]])
def test_counts_of_nothing_do_not_take_back_the_others(chunk: Any) -> None:
    nothing: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    nothing["prompt_tokens_details"] = {"cached_tokens": 0}
    after = [{"choices": [], "usage": nothing}]
    check(sse(TEXT, chunk, after, STOP, DONE), exit=0, usage={"input_tokens": 3})
    check(sse(after, TEXT, chunk, STOP, DONE), exit=0, usage={"input_tokens": 3})
    check(sse(after, TEXT, STOP, DONE), exit=0, usage={"input_tokens": 0})


def test_a_reason_that_is_an_object_with_a_message() -> None:
    reason = {"type": "abort", "message": "The request queue is full.", "status_code": 503}
    check(sse(TEXT, ({}, {"finish_reason": reason}), DONE), exit=15, message="queue is full")


# Reasons that are not in the table mean what a piece of them does.
PIECES = [
    ("blocked_by_policy", 11),
    ("azure-content_filter-v2", 11),
    ("UpstreamError", 15),
    ("worker_crashed", 15),
    ("request_cancelled", 15),
    ("QUOTA_EXHAUSTED", 15),
    ("maximum_length", 10),
    ("hit_token_limit", 10),
    ("gibberish", 0),
    ("no_error", 0),
]


@pytest.mark.parametrize("name", ["openai-chat", "openai-completions"])
@pytest.mark.parametrize(("word", "exit"), PIECES)
def test_a_word_like_a_bad_one_is_bad(name: str, word: str, exit: int) -> None:
    check(sse({"content": "Hi"}, ({}, {"finish_reason": word}), DONE), name, exit=exit, text="Hi")


@pytest.mark.parametrize(
    ("fields", "exit"),
    [
        ({"stop_reason": "max_tokens"}, 10),
        ({"stop_reason": "end_turn"}, 0),
        ({"stop_reason": "refusal"}, 11),
        ({"stop_reason": "</s>"}, 18),  # vLLM's: the text at which it stopped
        ({"stop_reason": 128009}, 18),
        ({"finish_reason": "stop", "stop_reason": "length"}, 0),
    ],
)
def test_a_reason_under_another_name(fields: dict[str, Any], exit: int) -> None:
    check(sse({"content": "Hi"}, ({}, fields)), exit=exit, text="Hi")


def test_events_without_any_line_break_between() -> None:
    body = sse({"content": "}data: {H"}, {"content": "i"}, STOP, DONE)
    glued = body.replace(b"}\n\ndata: ", b"}data: ")
    assert glued.count(b"\n\n") == 1
    check(glued, exit=0, text="}data: {Hi", finish="stop")
    check(glued.replace(b"}data: {", b"}what: {"), exit=8)
    check(sse({"content": "H"}) + b'data: {"error":"boom"}data: [DONE]\n\n', exit=15, text="H")


def test_events_without_blank_lines_between() -> None:
    body = sse({"content": "H"}, {"content": "i"}, STOP, DONE)
    check(body.replace(b"\n\n", b"\n"), exit=0, text="Hi", finish="stop")
    cut = sse({"content": "H"}, {"content": "i"}).replace(b"\n\n", b"\n")
    check(cut, exit=18, text="Hi")


def test_an_error_before_anything_may_be_tried_again() -> None:
    body = sse([{"choices": [{"delta": {}, "error": {"message": "boom", "code": 503}}]}])
    *_, end = decode(get("openai-completions").Decoder(), whole(body))
    assert isinstance(end, Failed)
    assert end.transient
