"""The kinds of trouble behind the public reports, in other fields and positions of Chat.

A stream is a list of chunks: a dict is a delta of choice 0, a tuple (delta, fields of its choice),
bytes are sent as they are. `exit` is that of a run with records, `text` 13 where text alone is
shown and the caller would have to answer a tool call.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from splits import bytewise, decode, merged, sampled, whole
from verdicts import found_in

from streamcli.answer.assistant_message import assistant_message
from streamcli.events import Failed, Opaque, Reasoning, Refusal, Text, ToolCall
from streamcli.messages import ChatRequest, Message
from streamcli.protocols import openai_chat, openai_completions
from streamcli.request import Target

DONE = b"data: [DONE]\n\n"
STOP = ({}, {"finish_reason": "stop"})
CALLS = ({}, {"finish_reason": "tool_calls"})
TIMED_OUT = Failed("idle_timeout", "no more bytes", evidence=("eof",))


def sse(*chunks: Any) -> bytes:
    out = b""
    for chunk in chunks:
        if isinstance(chunk, bytes):
            out += chunk
            continue
        delta, fields = chunk if isinstance(chunk, tuple) else (chunk, {})
        choice = {"index": 0, "delta": delta, "finish_reason": None, **fields}
        value = {"id": "c1", "model": "m", "choices": [choice]}
        out += b"data: %s\n\n" % json.dumps(value).encode()
    return out


def value(**fields: Any) -> bytes:
    return b"data: %s\n\n" % json.dumps(fields).encode()


def call(index: int | None = 0, **fields: Any) -> dict[str, Any]:
    """Return a delta with one element of tool_calls; `name` and `arguments` are its function's."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    place = {} if index is None else {"index": index}
    return {"tool_calls": [{**place, **fields, "function": function}]}


def text(word: str) -> dict[str, Any]:
    return {"content": word}


def check(body: bytes, **expect: Any) -> None:
    events = decode(openai_chat.Decoder(), whole(body))
    found = found_in(events)
    assert expect.pop("message", "") in found["message"]
    for field, count in expect.pop("usage", {}).items():
        assert getattr(found["usage"], field) == count
    assert {key: found[key] for key in expect} == expect
    for pieces in (bytewise(body), *sampled(body, 4)):
        assert merged(decode(openai_chat.Decoder(), pieces)) == merged(events)


# A finish reason is provisional


@pytest.mark.parametrize(
    ("chunks", "expect"),
    [
        ([text("a"), STOP, text("b")], {"exit": 18, "text": "ab"}),
        ([text("a"), STOP, text("b"), DONE], {"exit": 0, "text": "ab", "finish": None}),
        ([text("a"), STOP, {"reasoning": "hm"}], {"exit": 18}),
        ([text("a"), STOP, text(""), {"reasoning": ""}], {"exit": 0, "finish": "stop"}),
        ([text("a"), STOP, {"role": "assistant"}, {"tool_calls": []}], {"exit": 0}),
        ([text("a"), STOP, call(name="f", arguments="{}")], {"exit": 18, "calls": []}),
        ([text("a"), STOP, text("b"), ({}, {"finish_reason": "length"})], {"exit": 10}),
        ([text("a"), ({}, {"finish_reason": "length"}), text("b"), STOP], {"exit": 0}),
        ([(text("a"), {"finish_reason": "stop"})] * 3, {"exit": 0, "text": "aaa"}),
        ([(text("a"), {"finish_reason": ""})] * 3, {"exit": 18}),
        ([(text("a"), {"finish_reason": "NULL"}), STOP], {"exit": 0}),
        ([text("a"), STOP, ({}, {"finish_reason": "null"})], {"exit": 0, "finish": "stop"}),
        ([text("a"), ({}, {"finish_reason": "pause_turn"}), DONE], {"exit": 18}),
        ([text("a"), ({}, {"finish_reason": "pause_turn"}), text("b"), STOP], {"exit": 0}),
    ],
)
def test_text_behind_a_reason_reopens_the_answer(chunks: list[Any], expect: Any) -> None:
    check(sse(*chunks), **expect)


@pytest.mark.parametrize(
    ("chunks", "ending"),
    [
        ([text("a")], False),
        ([text("a"), STOP], True),
        ([STOP], False),
        ([{"reasoning": "hm"}, STOP], False),
        ([text("a"), STOP, text("b")], False),
        ([text("a"), CALLS], False),
        ([call(name="f", arguments="{}"), CALLS], False),
        ([call(name="f", arguments="{}"), STOP], True),
        ([text("a"), ({}, {"finish_reason": "null"})], False),
        ([text("a"), value(error={"message": "no"})], True),
    ],
)
def test_when_only_a_marker_may_follow(chunks: list[Any], ending: bool) -> None:
    decoder = openai_chat.Decoder()
    decoder.feed(sse(*chunks))
    assert decoder.ending is ending


@pytest.mark.parametrize(
    ("chunks", "evidence"),
    [
        ([text("a"), STOP], ("finish_reason", "hold")),
        ([call(name="f", arguments="{}"), CALLS], ("finish_reason", "hold")),
        ([text("a")], None),
        ([STOP], None),
        ([{"reasoning": "hm"}, STOP], None),
        ([text("a"), STOP, text("b")], None),
    ],
)
def test_what_was_held_open_is_complete_if_it_was_an_answer(
    chunks: list[Any], evidence: tuple[str, ...] | None
) -> None:
    decoder = openai_chat.Decoder()
    decoder.feed(sse(*chunks))
    end = decoder.close(TIMED_OUT)[-1]
    if evidence is None:
        assert end is TIMED_OUT
    else:
        assert end.evidence == evidence  # type: ignore[attr-defined]


def test_an_error_is_told_where_the_server_holds_the_connection() -> None:
    decoder = openai_chat.Decoder()
    assert not decoder.ended
    decoder.feed(sse(text("a"), value(error={"message": "broke", "code": 502})))
    assert not decoder.ended
    end = decoder.close(TIMED_OUT)[-1]
    assert isinstance(end, Failed)
    assert "broke" in end.message


def test_an_error_before_the_answer_ends_it_at_once() -> None:
    decoder = openai_chat.Decoder()
    end = decoder.feed(sse({"role": "assistant"}, value(error={"message": "broke"})))[-1]
    assert isinstance(end, Failed)
    assert decoder.ended


# The words of an ending


@pytest.mark.parametrize(
    ("fields", "exit"),
    [
        ({"finish_reason": "SENSITIVE"}, 11),
        ({"finish_reason": "content-filter"}, 11),
        ({"finish_reason": "Network_Error"}, 15),
        ({"finish_reason": "FINISH_REASON_SAFETY"}, 11),
        ({"finish_reason": None, "finishReason": "MAX_TOKENS"}, 10),
        ({"finish_reason": "", "native_finish_reason": "SPII"}, 11),
        ({"finish_reason": "stop", "native_finish_reason": "MAX_TOKENS"}, 10),
        ({"finish_reason": "stop", "native_finish_reason": "end_turn"}, 0),
        ({"finish_reason": "length", "native_finish_reason": "incomplete"}, 10),
        ({"finish_reason": "stop", "native_finish_reason": "malformed_function_call"}, 15),
        ({"finish_reason": "error", "native_finish_reason": "stop"}, 15),
        ({"finish_reason": "OTHER"}, 18),
        ({"finish_reason": {"type": "length"}}, 10),
        ({"finish_reason": ["content_filter"]}, 11),
        ({"finish_reason": None, "finish_details": {"type": "max_tokens"}}, 10),
        ({"finish_details": {"type": "stop", "stop": "<|im_end|>"}}, 0),
    ],
)
def test_a_known_bad_word_is_a_bad_verdict(fields: dict[str, Any], exit: int) -> None:
    check(sse(text("a"), ({}, fields), DONE), exit=exit, text="a")
    whole_answer = {"choices": [{"message": text("a"), **fields}]}
    check(json.dumps(whole_answer).encode(), exit=exit, text="a")


@pytest.mark.parametrize("field", ["finish_reason", "finishReason"])
def test_a_reason_beside_no_choices(field: str) -> None:
    check(sse(text("a"), value(id="c1", **{field: "length"}), DONE), exit=10)
    check(sse(text("a"), value(id="c1", choices=[], **{field: "stop"})), exit=0, finish="stop")
    check(sse(text("a"), value(id="c1", choices=None, **{field: "stop"})), exit=0, finish="stop")


# What stands in a text's place


@pytest.mark.parametrize("channel", ["content", "reasoning_content", "reasoning", "refusal"])
@pytest.mark.parametrize(
    ("odd", "shown"), [(42, "42"), (0.5, "0.5"), (True, "true"), (2**60, str(2**60))]
)
def test_a_number_is_its_json_text(channel: str, odd: Any, shown: str) -> None:
    for body in (
        sse({channel: odd}, STOP, DONE),
        json.dumps({"choices": [{"message": {channel: odd}, "finish_reason": "stop"}]}).encode(),
    ):
        events = decode(openai_chat.Decoder(), whole(body))
        assert [e.text for e in events if isinstance(e, Text | Reasoning | Refusal)] == [shown]


@pytest.mark.parametrize("odd", [0, False])
def test_text_that_is_false_is_text(odd: Any) -> None:
    check(sse({"content": odd}, STOP, DONE), exit=0, text=json.dumps(odd))


@pytest.mark.parametrize("channel", ["content", "reasoning_content", "refusal"])
@pytest.mark.parametrize("odd", [{"a": 1}, [{"a": 1}], [[1, 2]]])
def test_an_object_that_no_rule_explains_is_an_error(channel: str, odd: Any) -> None:
    check(sse(text("a"), {channel: odd}, STOP, DONE), exit=8, text="a")
    body = {"choices": [{"message": {channel: odd}, "finish_reason": "stop"}]}
    check(json.dumps(body).encode(), exit=8)


@pytest.mark.parametrize("nothing", [None, "", [], {}])
def test_nothing_is_nothing(nothing: Any) -> None:
    delta = {"content": nothing, "reasoning": nothing, "refusal": nothing, "tool_calls": nothing}
    check(sse(delta, text("a"), STOP, DONE), exit=0, text="a", reasoning="", calls=[])


@pytest.mark.parametrize(
    ("delta", "said", "thought"),
    [
        (text("") | {"content": [{"type": "text", "text": "a"}]}, "a", ""),
        ({"content": [{"type": "output_text", "text": "a"}, "b"]}, "ab", ""),
        ({"content": {"type": "text", "text": "a"}}, "a", ""),
        ({"content": [{"type": "thinking", "thinking": [{"text": "t"}]}]}, "", "t"),
        ({"content": [{"type": "thinking", "thinking": "t"}, {"text": "a"}]}, "a", "t"),
        ({"content": [{"type": "reasoning", "text": "t"}]}, "", "t"),
        ({"content": [{"type": "reference", "reference_ids": [1]}]}, "", ""),
        ({"reasoning": {"content": "t"}}, "", "t"),
        ({"reasoning": [{"text": "t"}, {"text": "u"}]}, "", "tu"),
        ({"reasoning": {"summary": [{"type": "summary_text", "text": "t"}]}}, "", "t"),
        ({"reasoning_text": "t"}, "", "t"),
        ({"thinking": "t"}, "", "t"),
        ({"reasoning_content": "t", "reasoning": "t", "reasoning_text": "t"}, "", "t"),
        ({"reasoning_content": "", "reasoning": "t"}, "", "t"),
        ({"reasoning_details": [{"type": "reasoning.summary", "summary": "t"}]}, "", "t"),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "xx"}]}, "", ""),
    ],
)
def test_text_and_reasoning_in_other_forms(delta: Any, said: str, thought: str) -> None:
    check(sse(delta, STOP, DONE), exit=0, text=said, reasoning=thought)


HI = {"role": "assistant", "content": "a"}


@pytest.mark.parametrize("before", [{"role": "assistant"}, {"reasoning": "hm"}, text("")])
@pytest.mark.parametrize("delta", [{"delta": {}}, {"delta": text("")}, {"delta": None}, {}])
def test_a_last_chunk_with_the_whole_message(before: Any, delta: Any) -> None:
    """Its text is given once: here, or where the deltas had it."""
    thought = before.get("reasoning", "")
    last = {"index": 0, **delta, "finish_reason": "stop"}
    whole_answer = value(choices=[{**last, "message": {**HI, **before, "content": "a"}}])
    check(sse(before, whole_answer, DONE), exit=0, text="a", reasoning=thought)
    check(sse(before, text("a"), whole_answer, DONE), exit=0, text="a", reasoning=thought)
    calls = [{"function": {"name": "w", "arguments": ONE}}]
    ends = {**last, "finish_reason": "tool_calls"}
    called = value(choices=[{**ends, "message": {"role": "assistant", "tool_calls": calls}}])
    check(sse(before, called, DONE), exit=0, finish="tool_calls", calls=[ONE])
    for given in (call(**W), call(name="w")):
        found = found_in(decode(openai_chat.Decoder(), whole(sse(before, given, called, DONE))))
        assert len(found["calls"]) == 1


# Keepalives and ends


@pytest.mark.parametrize(
    "odd",
    [
        *(b"data:\n\n", b"data: \n\n", b"data:   \n\n", b"data:\ndata:\n\n", b"event: ping\n\n"),
        *(b"event: PING\ndata: \n\n", b"event: heartbeat\ndata: {}\n\n", b"data: ping\n\n"),
        *(b"event: keepalive\ndata: now\n\n", b"data: [PING]\n\n", b"id: 7\ndata:\n\n"),
        *(b"event: status\ndata: Searching\n\n", b"event: close\ndata: closed\n\n"),
        *(b'data: {"status":"loading","message":"Loading model"}\n\n', b"data: 17\n\n"),
        b'data: {"type":"status","message":"Searching the web"}\n\n',
        *(b": ping\n\n", b"data: null\n\n", b"data: {}\n\n", b"retry: 5\n\n"),
    ],
)
def test_an_event_without_data_is_a_keepalive(odd: bytes) -> None:
    check(sse(odd, text("a"), odd, text("b"), odd, STOP, odd, DONE, odd), exit=0, text="ab")


@pytest.mark.parametrize(
    "end",
    [
        *(b"data: [done]\n\n", b"data: DONE\n\n", b"data: Done\n\n", b"data:[DONE]", b"[DONE]\n\n"),
        *(b"event: done\ndata:\n\n", b"event: end\ndata: {}\n\n", b"data: [DONE]\r\n\r\n"),
        *(b"event: done\ndata: [DONE]\n\n", b'data: "[DONE]"\n\n', b"event: end\ndata: bye\n\n"),
        b'event: done\ndata: "[DONE]"\n\n',
    ],
)
def test_an_end_in_other_spellings(end: bytes) -> None:
    check(sse(text("a"), end), exit=0, text="a", finish=None)


@pytest.mark.parametrize(
    "chunks",
    [[], [{"role": "assistant"}], [text("")], [{"reasoning": "hm"}], [value(usage={"a": 1})]],
)
def test_a_marker_alone_is_not_an_answer(chunks: list[Any]) -> None:
    check(sse(*chunks, DONE), exit=8)
    check(sse(*chunks, STOP, DONE), exit=0)


# Tool calls


W = {"name": "w", "arguments": '{"c":1}'}


ONE, TWO = '{"c":1}', '{"c":2}'
V = {"name": "v", "arguments": TWO}


@pytest.mark.parametrize(
    ("chunks", "calls"),
    [
        ([call(**W)], [ONE]),
        ([call(id="a", **W), call(1, id="b", **V)], [ONE, TWO]),
        ([call(id="a", **W), call(id="b", **W)], [ONE, ONE]),
        ([call(id="a", **W), call(id="a", **W)], [ONE]),
        ([call(**W), call(arguments=ONE)], [ONE]),
        ([call(None, **W), call(None, name="w", arguments=TWO)], [ONE, TWO]),
        ([call(id="a", **W), call(name="v", arguments="")], [ONE, "{}"]),
        ([call(name="w"), *(call(name="w", arguments=piece) for piece in ('{"c"', ":1}"))], [ONE]),
        ([call(id="a", name="w"), call(id="b", arguments=ONE)], [ONE]),
        ([call(id="a", name="w", arguments="{"), call(id="b", name="w", arguments="}")], ["{}"]),
        ([call(None, id="a", name="w", arguments="{"), call(None, id="b", arguments="}")], ["{}"]),
        ([call(id="a", name="w"), call(1, id="a", arguments="{}")], ["{}"]),
        (
            [call(name="w"), call(1, name="v"), call(arguments=ONE), call(1, arguments=TWO)],
            [ONE, TWO],
        ),
        ([call(name="w", arguments={"c": 1})], [ONE]),
        ([call(name="w", arguments=" ")], ["{}"]),
        ([call(name="w", arguments="null")], ["{}"]),
        ([{"function_call": {"name": "w"}}, {"function_call": {"arguments": ONE}}], [ONE]),
        ([{"tool_calls": [{"index": 0, "id": "a", "name": "w", "arguments": "{}"}]}], ["{}"]),
        ([{"tool_calls": [{"id": "a", "custom": {"name": "w", "input": "ls -l"}}]}], ["ls -l"]),
    ],
)
def test_calls_are_put_together(chunks: list[Any], calls: list[str]) -> None:
    check(sse(*chunks, CALLS, DONE), exit=0, text_exit=13, finish="tool_calls", calls=calls)
    check(sse(*chunks, STOP, DONE), exit=0, text_exit=13, finish="tool_calls", calls=calls)
    check(sse(*chunks, DONE), exit=0, text_exit=13, finish="tool_calls", calls=calls)
    check(sse(*chunks, text(" \n"), STOP, DONE), exit=0, text_exit=13, calls=calls)


@pytest.mark.parametrize("arguments", ["{", '{"a":1}{"a":2}', "what?", '{"a":1}}'])
@pytest.mark.parametrize("end", [CALLS, STOP])
def test_arguments_that_are_not_json(arguments: str, end: Any) -> None:
    check(sse(call(name="w", arguments=arguments), end, DONE), exit=8, message="w")
    pieces = [call(name="w", arguments=arguments[:1]), call(arguments=arguments[1:])]
    check(sse(*pieces, end, DONE), exit=8)


def test_a_call_that_the_token_limit_cut_is_a_cut_answer() -> None:
    check(sse(call(name="w", arguments="{"), ({}, {"finish_reason": "length"}), DONE), exit=10)


def test_a_call_without_its_end_is_truncated() -> None:
    check(sse(call(name="w", arguments="{}")), exit=18, calls=[])


@pytest.mark.parametrize("function", [{"name": "", "arguments": ""}, {"name": None}, {}, None])
def test_an_empty_call_beside_text_is_nothing(function: Any) -> None:
    empty = {"tool_calls": [{"index": 0, "id": "", "type": "function", "function": function}]}
    for chunks in ([empty, text("a")], [text("a"), empty], [text("a") | empty]):
        check(sse(*chunks, STOP, DONE), exit=0, text_exit=0, text="a", calls=[])
        check(sse(*chunks, CALLS, DONE), exit=8)
    last = {"tool_calls": [{"index": 1, "id": "", "function": function}]}
    check(sse(call(id="a", **W), last, CALLS, DONE), exit=0, text_exit=13, calls=[ONE])


def test_a_reason_of_tools_without_a_call() -> None:
    for reason in ("tool_calls", "tool_use", "function_call"):
        check(sse(text("a"), ({}, {"finish_reason": reason}), DONE), exit=8, text="a")


def test_calls_are_given_with_their_reason_and_before_another_one() -> None:
    decoder = openai_chat.Decoder()
    first = ToolCall("a", "w", "{}")
    assert first not in decoder.feed(sse(call(id="a", name="w", arguments="{}")))
    assert first in decoder.feed(sse(call(1, id="b", name="v", arguments="{}")))
    assert ToolCall("b", "v", "{}") in decoder.feed(sse(CALLS))
    assert not any(isinstance(each, ToolCall) for each in decoder.feed(sse(CALLS, DONE)))


def test_a_call_is_out_the_moment_its_object_closes() -> None:
    """No reason is waited for: it may come seconds later. An empty object may still be filled."""
    decoder = openai_chat.Decoder()
    pieces = ['{"a":', '{"b":"}', '{"', "}", " }"]
    first = call(id="a", name="w", arguments="")
    fed = [decoder.feed(sse(each)) for each in (first, *(call(arguments=p) for p in pieces))]
    assert [any(isinstance(each, ToolCall) for each in found) for found in fed] == [False] * 5 + [
        True
    ]
    assert ToolCall("a", "w", "".join(pieces)) in fed[-1]
    check(sse(call(id="a", **W), text("It rains."), STOP, DONE), exit=0, text_exit=0)
    check(sse(call(id="a", **W), text(" \n"), STOP, DONE), exit=0, text_exit=13)
    check(sse(call(id="a", **W), text("It rains."), CALLS, DONE), exit=0, text_exit=13)
    late = [call(id="a", name="w", arguments="{}"), call(arguments='{"c":1}'), CALLS, DONE]
    check(sse(*late), exit=0, calls=['{"c":1}'])
    late = [call(id="a", **W), call(arguments='{"c":2}'), CALLS, DONE]
    check(sse(*late), exit=8, message="went on after its end")


def test_braces_in_strings_are_read_in_linear_time() -> None:
    """Arguments that seem to close with each piece are not parsed with each of them."""
    decoder = openai_chat.Decoder()
    decoder.feed(sse(call(id="a", name="w", arguments='{"a":"}')))
    for _ in range(20_000):
        assert not any(isinstance(e, ToolCall) for e in decoder.feed(sse(call(arguments="{}"))))
    decoder.feed(sse(call(arguments='{"}')))
    assert any(isinstance(each, ToolCall) for each in decoder.feed(sse(CALLS)))


def test_calls_that_the_server_answers_itself() -> None:
    """As Tyler's agents do: round after round in one stream, and without a marker."""
    rounds = [call(id="a", **W), CALLS, call(id="b", **W), CALLS]
    check(sse(*rounds, text("Found."), STOP), exit=0, text_exit=0, finish="stop", text="Found.")
    check(sse(*rounds), exit=0, text_exit=13, finish="tool_calls")
    check(sse(*rounds, {"reasoning": "hm"}), exit=18)


def test_what_gemini_wants_back_with_a_call() -> None:
    """Its OpenAI endpoint refuses the next round without the signature of the call."""
    extra = {"google": {"thought_signature": "xyz"}}
    answered = {"index": 0, "id": "a", "function": W, "extra_content": extra}
    body = sse({"tool_calls": [answered]}, STOP, DONE)
    events = decode(openai_chat.Decoder(), whole(body))
    told, kept = (each for each in events if isinstance(each, ToolCall | Opaque))
    assert told == ToolCall("a", "w", '{"c":1}')
    assert kept == Opaque("openai-chat", {"extra_content": extra}, call_id="a")
    message = assistant_message([told, kept])
    target = Target("gemini", "openai-chat", "http://127.0.0.1")
    sent = openai_chat.request(ChatRequest("m", [message]), target)
    assert json.loads(sent.body)["messages"][0]["tool_calls"][0]["extra_content"] == extra


# Indexes that count chunks


def counted(ids: bool, *words: str, **role: str) -> bytes:
    out = b""
    for number, word in enumerate(words):
        choice = {"index": number, "delta": {**role, "content": word}, "finish_reason": None}
        if word == words[-1]:
            choice["finish_reason"] = "stop"
        out += value(id=f"c{number}" if ids else "c", choices=[choice])
    return out


def asked_for(choices: int | None) -> openai_chat.Decoder:
    target = Target("mine", "openai-chat", "http://127.0.0.1")
    options = {} if choices is None else {"n": choices}
    chat = ChatRequest("m", (Message("user", "Hi"),), options=options)
    return openai_chat.decoder(target, 1 << 20, chat)


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("choices", [None, 1])
def test_an_index_that_counts_chunks_is_one_answer(ids: bool, choices: int | None) -> None:
    found = found_in(decode(asked_for(choices), whole(counted(ids, "a", "b", "c"))))
    assert (found["text"], found["exit"]) == ("abc", 0)


def test_choices_that_were_asked_for_stay_apart() -> None:
    found = found_in(decode(asked_for(3), whole(counted(True, "a", "b", "c"))))
    assert found["text"] == "a"
    assert found["exit"] == 18  # the first choice has no end


def test_choices_of_a_recording_stay_apart() -> None:
    """Nobody knows how many were asked for: the chunks of one answer have one id, and each choice
    begins with its role."""
    body = counted(False, "a", "b", "c", role="assistant")
    assert found_in(decode(openai_chat.Decoder(), whole(body)))["text"] == "a"
    late = sse(text("a"), text("a"), (text("b"), {"index": 1}))
    assert found_in(decode(openai_chat.Decoder(), whole(late)))["text"] == "aa"
    ended = sse((text("a"), {"finish_reason": "stop"}), (text("b"), {"index": 1}))
    assert found_in(decode(openai_chat.Decoder(), whole(ended)))["text"] == "a"


@pytest.mark.parametrize("split", [whole, bytewise])
def test_an_index_that_counts_is_one_answer_in_a_recording(split: Any) -> None:
    body = counted(False, "a", "b", "c")
    found = found_in(decode(openai_chat.Decoder(), split(body)))
    assert (found["text"], found["exit"]) == ("abc", 0)


# Errors in other clothes


ERROR = {"message": "broke", "code": 502}


@pytest.mark.parametrize(
    "error",
    [
        value(error=ERROR),
        value(error="broke"),
        value(error={"error": {"message": "broke"}}),
        value(id="c1", choices=[], error=ERROR),
        value(choices=[{"index": 0, "delta": {}, "error": ERROR}]),
        value(choices=[{"index": 0, "delta": {"error": ERROR}}]),
        value(choices=[{"index": 0, "delta": {}, "error": "broke", "finish_reason": "stop"}]),
        value(choices=[{"index": 0, "delta": {}, "finish_reason": "error"}], error=ERROR),
        value(error_code=50001, text="broke"),
        value(code=500, message="broke"),
        value(code="internal", msg="broke"),
        value(detail="broke"),
        value(detail=[{"loc": ["body", "x"], "msg": "broke"}]),
        value(success=False, message="broke"),
        value(base_resp={"status_code": 1000, "status_msg": "broke"}, choices=None),
        value(object="error", message="broke", code=50000),
        value(type="error", error={"type": "x", "message": "broke"}),
        value(x_groq={"error": "broke"}, choices=[]),
        value(choices=[{"index": 0, "delta": {}}], code=10907, message="broke"),
        value(choices=[{"index": 0, "delta": {}}], code="Internal", msg="broke"),
        value(choices=[{"index": 0, "delta": {}}], status="failed", message="broke"),
        value(choices=[{"index": 0, "delta": {}}], status=500, message="broke"),
        value(choices=[{"index": 0, "delta": {}}], errors=[{"message": "broke"}]),
        value(choices=[{"index": 0, "delta": {"content": [{"type": "error", "error": ERROR}]}}]),
        value(type="error", content="broke"),
        value(type="error", data={"message": "broke"}),
        value(event="error", text="broke"),
        value(title="broke", status=503),
        value(status={"code": 500, "message": "broke"}),
        value(errorInfo={"message": "broke"}),
        value(traceback="broke"),
        b'event: abort\ndata: {"message":"broke"}\n\n',
        b"event: timeout\ndata: broke\n\n",
        b"event: status\ndata: Error: broke\n\n",
        b"event: error\ndata: broke\n\n",
        b'event: error\ndata: {"message":"broke"}\n\n',
        b'event: error\ndata: "broke"\n\n',
        b'{\n  "error": {\n    "message": "broke"\n  }\n}\n',
        b'[{\n  "error": {\n    "message": "broke"\n  }\n}\n]\n',
        b'{\r\n  "error": {\r\n    "message": "broke"\r\n  }\r\n}\r\n\r\n',
        b'{"error": {"message": "broke"}}\n\n',
        b'error: {"message": "broke"}\n\n',
        b'data: {"id":"c1","cho\ndata: {"error":{"message":"broke"}}\n\n',
    ],
)
def test_an_error_in_other_clothes(error: bytes) -> None:
    for chunks in ([text("a"), error, DONE], [text("a"), error, STOP, DONE], [text("a"), error]):
        body = sse(*chunks)
        found = found_in(decode(openai_chat.Decoder(), whole(body)))
        assert found["exit"] == 15
        assert found["text"] == "a"
        assert "broke" in found["message"]
        assert not set("{}'") & set(found["message"])
        for pieces in (bytewise(body), *sampled(body, 3)):
            assert found_in(decode(openai_chat.Decoder(), pieces)) == found


@pytest.mark.parametrize("data", ["", "data:\n", "data: null\n", 'data: ""\n', "data: {}\n"])
def test_an_error_without_words(data: str) -> None:
    error = f"event: error\n{data}\n".encode()
    for chunks in ([error], [text("a"), error, DONE], [text("a"), STOP, error, DONE]):
        check(sse(*chunks), exit=15, message="error")


def test_a_filtered_prompt_without_an_answer() -> None:
    """Azure's, where the stream has begun before its filter was asked."""
    hate = {"hate": {"filtered": True, "severity": "high"}}
    found = value(choices=[], prompt_filter_results=[{"content_filter_results": hate}])
    check(sse(found, DONE), exit=11)


def test_an_error_before_any_text() -> None:
    for error in (value(error=ERROR), b"event: error\ndata: broke\n\n", value(detail="broke")):
        check(sse(error, DONE), exit=15, message="broke")


def test_usage_and_the_reason_are_kept_when_an_answer_fails() -> None:
    counts = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    for chunks in (
        [text("a"), value(usage=counts, choices=[]), value(error=ERROR)],
        [text("a"), value(error=ERROR), value(usage=counts, choices=[]), DONE],
        [text("a"), ({}, {"finish_reason": "error"}), value(usage=counts, choices=[])],
        [text("a"), ({}, {"finish_reason": "error", "usage": counts})],
        [text("a"), value(error=ERROR), value(choices=[{"usage": counts}])],
    ):
        check(sse(*chunks), exit=15, text="a", usage={"input_tokens": 3, "output_tokens": 4})
    body = sse(text("a"), ({}, {"finish_reason": "length"}), value(error=ERROR))
    *_, end = decode(openai_chat.Decoder(), whole(body))
    assert isinstance(end, Failed)
    assert end.raw == "length"


@pytest.mark.parametrize(
    "facts",
    [
        {"code": 0, "message": "Success", "sid": "x"},
        {"code": 200, "msg": "ok"},
        {"code": "00000", "message": "请求成功"},
        {"code": 1, "message": "answering"},
        {"status": "in_progress"},
        {"status": "completed", "message": "answered"},
        {"status": 200, "errors": [], "error": None},
        {"message": "a notice", "code": None},
    ],
)
def test_facts_beside_the_choices_are_not_an_error(facts: dict[str, Any]) -> None:
    said = value(choices=[{"index": 0, "delta": text("a")}], **facts)
    end = value(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], **facts)
    check(said + said + end + DONE, exit=0, text="aa")


def test_an_answer_that_a_flag_calls_sensitive_is_filtered() -> None:
    """MiniMax's, with which its code may be 0."""
    fine = {"status_code": 0, "status_msg": ""}
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}], "base_resp": fine}
    check(sse(text("a"), value(**end, output_sensitive=True), DONE), exit=11)
    check(sse(text("a"), value(**end, output_sensitive=False), DONE), exit=0)


# Lines that the rules of SSE would drop, and JSON that is not quite JSON


CHUNKS = (
    '{"choices":[{"index":0,"delta":{"content":"a"}}]}',
    '{"choices":[{"index":0,"delta":{"content":"b"}}]}',
    '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    "[DONE]",
)


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        *((" data: ", "\n\n"), ("Data: ", "\n\n"), ("data : ", "\n\n"), ("\tdata:", "\n\n")),
        *(("\ufeffdata: ", "\n\n"), ("data: \ufeff", "\n\n"), ("DATA: ", "\r\n\r\n")),
    ],
)
def test_fields_that_blanks_or_capitals_hide(before: str, behind: str) -> None:
    body = "".join(f"{before}{chunk}{behind}" for chunk in CHUNKS)
    check(body.encode(), exit=0, text="ab", finish="stop")
    mixed = f"data: {CHUNKS[0]}\n\n{before}{CHUNKS[1]}{behind}data: {CHUNKS[2]}\n\n"
    check(mixed.encode(), exit=0, text="ab", finish="stop")


def test_a_field_that_is_repeated() -> None:
    first, second, *_ = CHUNKS
    body = f"data: data: {first}\n\ndata:DATA:data:{second}\n\n".encode() + sse(STOP)
    check(body, exit=0, text="ab")
    events = decode(openai_chat.Decoder(), whole(b"data: " + b"data:" * 20_000 + b"\n\n" + body))
    assert found_in(events)["text"] == "ab"


def test_lines_whose_field_is_missing() -> None:
    """Some of an answer's events, or all behind the first, come as JSON lines."""
    first, second, end, done = CHUNKS
    check(f"data: {first}\n\n{second}\n\n{end}\n\n{done}\n".encode(), exit=0, text="ab")
    check(f"data: {first}\n\n{second}\ndata: {end}\n\n".encode(), exit=0, text="ab")
    check(f"data: {first}\n\n{second}\n".encode(), exit=18, text="ab")


@pytest.mark.parametrize("line", ["\\n\\n", "\\r\\n\\r\\n", "\\n"])
def test_events_with_escapes_for_line_breaks(line: str) -> None:
    body = line.join(f"data: {chunk}" for chunk in CHUNKS) + line
    for data in (body, body + "\n", body + "\n\n"):
        check(data.encode(), exit=0, text="ab", finish="stop")
    check(body[: body.index("[DONE]") - 20].encode(), exit=18, text="ab")


def test_control_characters_that_are_not_escaped() -> None:
    odd = '{"choices":[{"index":0,"delta":{"content":"a\tb\x01"}}]}'
    check(sse(f"data: {odd}\n\n".encode(), STOP, DONE), exit=0, text="a\tb\x01")


# Counts and sources in other places


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_tokens": 9, "num_cached_tokens": 4}, {"cache_read_tokens": 4}),
        ({"prompt_tokens": 9, "cached_tokens": 4}, {"cache_read_tokens": 4}),
        ({"prompt_cache_hit_tokens": 4}, {"cache_read_tokens": 4}),
        ({"cache_read_input_tokens": 4}, {"cache_read_tokens": 4}),
        ({"cache_creation_input_tokens": 4}, {"cache_write_tokens": 4}),
        ({"prompt_tokens_details": {"cached_tokens": 4}}, {"cache_read_tokens": 4}),
        ({"prompt_tokens_details": None, "num_cached_tokens": 0}, {"cache_read_tokens": 0}),
        ({"input_tokens": 9, "output_tokens": 2}, {"input_tokens": 9, "output_tokens": 2}),
        ({"reasoning_tokens": 4}, {"reasoning_tokens": 4}),
        ({"promptTokens": 9, "completionTokens": 2}, {"input_tokens": 9, "output_tokens": 2}),
        ({"promptTokenCount": 9, "totalTokenCount": 11}, {"input_tokens": 9, "total_tokens": 11}),
    ],
)
def test_counts_under_other_names(counts: dict[str, Any], usage: dict[str, int]) -> None:
    check(sse(text("a"), STOP, value(usage=counts, choices=[]), DONE), exit=0, usage=usage)
    check(sse(text("a"), ({}, {"finish_reason": "stop", "usage": counts})), exit=0, usage=usage)


def test_sources_are_cited_once_with_their_titles() -> None:
    results = [{"title": "A", "url": "https://a"}, {"title": "B", "url": "https://b"}]
    chunk = value(
        choices=[{"index": 0, "delta": text("a")}],
        citations=["https://a", "https://b"],
        search_results=results,
    )
    events = decode(openai_chat.Decoder(), whole(sse(chunk, chunk, STOP)))
    cited = [(e.url, e.title) for e in events if type(e).__name__ == "Citation"]
    assert cited == [("https://a", "A"), ("https://b", "B")]


def test_a_chat_that_calls_itself_a_text_completion() -> None:
    """Hugging Face's TGI does."""
    from streamcli.protocols._contract import Glimpse

    chunk = {"object": "text_completion", "choices": [{"delta": text("a"), "finish_reason": None}]}
    assert openai_chat.recognises(Glimpse(value=chunk))
    assert not openai_completions.recognises(Glimpse(value=chunk))
    check(value(**chunk) + sse(STOP, DONE), exit=0, text="a")
