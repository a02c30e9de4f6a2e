"""Siblings of the reported streams of OpenAI Responses: text, calls and errors in other clothes.

Each row is a stream and what it comes to. A value without a `type` here has it in its first word.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from splits import bytewise, decode, merged, whole
from verdicts import found_in

from streamcli.protocols.openai_responses import Decoder

USAGE = {"usage": {"input_tokens": 1, "output_tokens": 2}}


def response(status: str = "in_progress", **fields: Any) -> dict[str, Any]:
    return {"id": "r", "object": "response", "status": status, "model": "m", "output": [], **fields}


def event(kind: str, **fields: Any) -> bytes:
    return b"data: %s\n\n" % json.dumps({"type": f"response.{kind}", **fields}).encode()


def ended(kind: str = "completed", **fields: Any) -> bytes:
    return event(kind, response=response(kind, **fields))


def delta(text: Any, kind: str = "output_text.delta", **fields: Any) -> bytes:
    place = {"item_id": "i", "output_index": 0, "content_index": 0, **fields}
    return event(kind, delta=text, **place)


def item(kind: str, stage: str = "done", place: int | None = 0, **fields: Any) -> bytes:
    index = {} if place is None else {"output_index": place}
    return event(f"output_item.{stage}", item={"type": kind, "id": "f", **fields}, **index)


CREATED = event("created", response=response())
HALF = CREATED + delta("Half")


def check(body: bytes, **expect: Any) -> None:
    events = decode(Decoder(), whole(body))
    assert merged(decode(Decoder(), bytewise(body))) == merged(events)
    got = found_in(events)
    assert expect.pop("message", "") in got["message"]
    for field, count in expect.pop("usage", {}).items():
        assert getattr(got["usage"], field) == count
    assert {key: got[key] for key in expect} == expect


# Text that is not a string: (value, as text; None: an error)
ODD: list[tuple[Any, str | None]] = [
    (5, "5"),
    (0, "0"),
    (False, "false"),
    ({"text": "x"}, "x"),
    ({"value": "x"}, "x"),
    (["a", {"text": "b"}], "ab"),
    ({"a": 1}, None),
    ([{"a": 1}], None),
    (None, ""),
]


@pytest.mark.parametrize(("value", "text"), ODD)
def test_text_that_is_not_a_string(value: Any, text: str | None) -> None:
    part = {"type": "output_text", "text": value}
    message = {"type": "message", "id": "i", "content": [part]}
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    for body in (
        CREATED + delta(value) + ended(),
        CREATED + event("output_text.done", text=value, **place) + ended(),
        CREATED + event("content_part.done", part=part, **place) + ended(),
        CREATED + item("message", content=[part]) + ended(),
        CREATED + ended(output=[message]),
        json.dumps(response("completed", output=[message])).encode(),
    ):
        check(body, exit=8 if text is None else 0, text=text or "")
    thought = delta(value, "reasoning_text.delta")
    check(CREATED + thought + ended(), exit=8 if text is None else 0, reasoning=text or "")


# Content of a message in other forms
CONTENT: list[tuple[Any, str]] = [
    ("Hi", "Hi"),
    (["H", "i"], "Hi"),
    ({"type": "output_text", "text": "Hi"}, "Hi"),
    (5, "5"),
    ([{"text": "Hi"}], "Hi"),
    ([{"type": "input_text", "text": "Hi"}], "Hi"),
    ([{"type": "fancy", "text": "Hi"}], "Hi"),
    ([{"type": "image"}, {"type": "text", "text": "Hi"}], "Hi"),
]


@pytest.mark.parametrize(("content", "text"), CONTENT)
def test_content_in_other_forms(content: Any, text: str) -> None:
    message = {"type": "message", "id": "i", "content": content}
    check(CREATED + item("message", content=content) + ended(), exit=0, text=text)
    for output in ([message], message, [{"role": "assistant", "content": content}]):
        check(json.dumps(response("completed", output=output)).encode(), exit=0, text=text)


def test_a_whole_response_in_other_forms() -> None:
    said = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    bare = {"id": "r", "status": "completed", "output": [said]}
    empty = {"type": "reasoning", "summary": []}
    for value in (
        response("completed", output="Hi"),
        response("completed", output=[empty], output_text="Hi"),
        response("completed", output=[said], output_text="Hi"),
        bare,
    ):
        check(json.dumps(value).encode(), exit=0, text="Hi")


THOUGHTS: list[bytes] = [
    delta("hm", "reasoning_content.delta"),
    delta("hm", "thinking.delta"),
    item("reasoning", content="hm"),
    item("reasoning", summary="hm"),
    item("reasoning", text="hm"),
    item("reasoning", summary=["h", {"text": "m"}]),
]


@pytest.mark.parametrize("thought", THOUGHTS)
def test_reasoning_in_other_forms(thought: bytes) -> None:
    body = CREATED + thought + delta("42", item_id="j", output_index=1) + ended()
    check(body, exit=0, text="42", reasoning="hm")


# Text is given once, and none of it is missing: (events behind the first, the text)
ONE = delta("One") + event("output_text.done", text="One", output_index=0, content_index=0)


def said(*texts: str) -> list[Any]:
    return [{"type": "message", "content": [{"type": "output_text", "text": t}]} for t in texts]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (ONE + ended(output=said("One")), "One"),
        (ONE + ended(output=said("One", "Two")), "OneTwo"),
        (delta("One ") + ended(output=said("One", "Two")), "One Two"),
        (delta("One ") + ended(output=said("One")), "One "),
        (ended(output=said("One", "One")), "OneOne"),
    ],
)
def test_only_the_finished_response_has_it(body: bytes, text: str) -> None:
    check(CREATED + body, exit=0, text=text)


# Calls
ARGS = '{"a":1}'


def grown(text: Any, kind: str = "function_call_arguments.delta", **place: Any) -> bytes:
    return event(kind, **{"delta" if kind.endswith("delta") else "arguments": text}, **place)


CALLS: list[tuple[bytes, list[str], int]] = [
    (item("function_call", name="", call_id="c", arguments="{}"), [], 8),
    (item("function_call", name=None, call_id="c", arguments="{}"), [], 8),
    (item("function_call", function={"name": "w", "arguments": ARGS}), [ARGS], 0),
    (item("message", content=[], tool_calls=[{"function": {"name": "w", "arguments": ARGS}}]),
     [ARGS], 0),
    (grown(ARGS, item_id="f", output_index=0), [], 8),
    (grown(ARGS, "function_call_arguments.done", item_id="f", output_index=0, name="w"), [ARGS], 0),
    (
        item("function_call", "added", name="w", call_id="c", arguments="")
        + grown('{"a"', item_id="f")
        + grown(":1}", item_id="f")
        + item("function_call", place=None, name="w", call_id="c", arguments=""),
        [ARGS],
        0,
    ),
    (
        item("function_call", "added", name="w", call_id="c", arguments="") + grown(ARGS),
        [ARGS],
        0,
    ),
    (
        item("function_call", "added", name="w", call_id="c", arguments="")
        + grown({"a": 1}, "function_call_arguments.done", item_id="f", output_index=0),
        [ARGS],
        0,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "calls", "exit"), CALLS)
def test_calls(body: bytes, calls: list[str], exit: int) -> None:
    check(CREATED + body + ended(), exit=exit, text_exit=exit or 13, calls=calls)


# Errors behind half an answer: (event, exit, message)
BOOM = {"error": {"code": "server_error", "message": "boom"}}
ERRORS: list[tuple[bytes, int, str]] = [
    (b'data: {"type":"error","message":"boom"}\n\n', 15, "boom"),
    (b'data: {"RetCode":1,"Message":"boom"}\n\n', 15, "boom"),
    (event("error", **BOOM), 15, "boom"),
    (event("failed", **BOOM), 15, "boom"),
    (event("failed", message="boom"), 15, "boom"),
    (ended("failed", message="boom"), 15, "boom"),
    (ended("failed", status_details=BOOM), 15, "boom"),
    (ended("failed", last_error=BOOM["error"]), 15, "boom"),
    (ended("failed", incomplete_details={"reason": "content_filter"}), 11, "failed"),
    (ended("failed", error={"code": "rate_limit_exceeded", "message": "see billing"}), 16, "see"),
    (ended("completed", **BOOM), 15, "boom"),
    (ended("cancelled"), 15, "cancelled"),
]


@pytest.mark.parametrize(("error", "exit", "message"), ERRORS)
def test_an_error_in_other_clothes(error: bytes, exit: int, message: str) -> None:
    for end in (b"", ended(), ended() + b"data: [DONE]\n\n"):
        check(HALF + error + end, exit=exit, text="Half", message=message)


@pytest.mark.parametrize("last", [ended("failed", **USAGE), event("completed", **USAGE)])
def test_usage_behind_an_error(last: bytes) -> None:
    error = b'data: {"type":"error","message":"boom"}\n\n'
    usage = {"input_tokens": 1, "output_tokens": 2}
    check(HALF + error + last, exit=15, text="Half", message="boom", usage=usage)


# How it ended: (kind of the end, its response's fields, exit)
ENDS: list[tuple[str, dict[str, Any], int]] = [
    ("incomplete", {"incomplete_details": {"reason": "max_prompt_tokens"}}, 10),
    ("incomplete", {"incomplete_details": "max_output_tokens"}, 10),
    ("incomplete", {"incomplete_details": {"reason": "Content-Filter"}}, 11),
    ("incomplete", {"incomplete_details": {"reason": "upstream_timeout"}}, 15),
    ("incomplete", {"incomplete_details": None}, 18),
    ("completed", {"incomplete_details": {"reason": "max_output_tokens"}}, 10),
    ("completed", {"incomplete_details": {"reason": "content_filter"}}, 11),
    ("completed", {"incomplete_details": {"reason": None}}, 0),
    ("done", {"status": "failed", "error": {"message": "boom"}}, 15),
]


@pytest.mark.parametrize(("kind", "fields", "exit"), ENDS)
def test_how_it_ended(kind: str, fields: dict[str, Any], exit: int) -> None:
    check(HALF + event(kind, response={**response(kind), **fields}), exit=exit, text="Half")


@pytest.mark.parametrize("names", [("prompt", "completion"), ("input", "output")])
@pytest.mark.parametrize("inside", [True, False])
def test_counts_under_other_names(names: tuple[str, str], inside: bool) -> None:
    counts = {"usage": {f"{names[0]}_tokens": 1, f"{names[1]}_tokens": 2}}
    body = ended(**counts) if inside else event("completed", response=response(), **counts)
    check(HALF + body, exit=0, usage={"input_tokens": 1, "output_tokens": 2})


ENDS = {
    "text": ("response.output_text.delta", "response.output_text.done", "output_text"),
    "reasoning": (
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "reasoning_text",
    ),
}


@pytest.mark.parametrize("field", ENDS)
@pytest.mark.parametrize("at", ["done", "item", "response"])
@pytest.mark.parametrize(
    ("deltas", "whole_text", "given"),
    [
        (["Hel"], "Hello", "Hello"),  # xAI leaves out the last deltas
        (["H", "el"], "Hello, you", "Hello, you"),
        (["Hello"], "Hello", "Hello"),
        (["Hel"], "Howdy you", "Hel"),  # another text, of which nobody knows what is new
        (["Hello", " you"], "Hello", "Hello you"),
    ],
)
def test_the_end_of_a_text_that_the_deltas_lack(
    field: str, at: str, deltas: list[str], whole_text: str, given: str
) -> None:
    kind, done, part = ENDS[field]
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    item = {
        "id": "i",
        "type": "message" if field == "text" else "reasoning",
        "content": [{"type": part, "text": whole_text}],
    }
    values: list[dict[str, Any]] = [{"type": kind, **place, "delta": each} for each in deltas]
    if at == "done":
        values.append({"type": done, **place, "text": whole_text})
    if at in ("done", "item"):
        values.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    response = {"id": "r", "status": "completed", "output": [item]}
    values.append({"type": "response.completed", "response": response})
    data = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in values)
    for pieces in (whole(data), bytewise(data)):
        found = found_in(decode(Decoder(), pieces))
        assert (found[field], found["exit"]) == (given, 0)
