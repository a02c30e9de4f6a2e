"""Responses: every recording of every server, their errors, requests, and attaching again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from recordings import check_error_body, check_recording, error_bodies, name_of, recordings, summary
from splits import bytewise, decode, merged, sampled, some_two, whole
from verdicts import found_in

from streamcli.answer.assistant_message import assistant_message
from streamcli.errors import StreamError
from streamcli.events import (
    Citation,
    Event,
    Failed,
    Finished,
    Opaque,
    Progress,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCall,
    Usage,
)
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols.openai_responses import Decoder, request, resume
from streamcli.request import Target

NAME = "openai-responses"
TERMINAL = re.compile(
    rb'data: ?\{.*"type": ?"response\.(completed|incomplete|failed)".*\n(event:.*\n)?\n'
)

# These hold several responses, one behind the other, and the script behind the expected values
# reads them as one; a stream is one response, so each is decoded by itself.
SEVERAL = (
    "azure--ai--azure-reasoning-encrypted-content-1-chunks--0-c2ac1c",
    "openai--ai--openai-reasoning-encrypted-content-1-chunks--0-fb7fa6",
    "openai--ai--openai-shell-tool-1-chunks--0-8dc987",
)
# The script knows calls of functions only; this is one of a custom tool that the caller brought.
CUSTOM = {
    "openai--ai--openai-custom-tool-1-chunks--0-57c088": [
        {
            "id": "call_custom_sql_001",
            "name": "write_sql",
            "arguments": "SELECT * FROM users WHERE age > 25",
        }
    ]
}


def usage(raw: dict[str, Any]) -> Usage:
    read, written = raw.get("input_tokens_details"), raw.get("output_tokens_details")
    return Usage(
        input_tokens=raw["input_tokens"],
        output_tokens=raw["output_tokens"],
        reasoning_tokens=(written or {}).get("reasoning_tokens"),
        cache_read_tokens=(read or {}).get("cached_tokens"),
        cache_write_tokens=(read or {}).get("cache_write_tokens"),
        total_tokens=raw["total_tokens"],
    )


def body_of(path: Path) -> bytes:
    return (path.parent / json.loads(path.read_text())["file"]).read_bytes()


@lru_cache(maxsize=2)
def values_of(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream, read by another road than the decoder's."""
    lines = data.decode().split("\n")
    return [json.loads(x[5:]) for x in lines if x.startswith("data:") and "[DONE]" not in x]


def only_one(path: Path) -> bool:
    return name_of(path) not in SEVERAL


ALL = [each for each in recordings(NAME) if each.marks or only_one(each.values[0])]


@pytest.mark.parametrize("path", ALL)
def test_recording(path: Path, tmp_path: Path) -> None:
    meta = json.loads(path.read_text())
    expected = meta["expected"]
    if name_of(path) in CUSTOM:
        assert expected["tool_calls"] == []
        expected["tool_calls"] = CUSTOM[name_of(path)]
        meta["file"] = str(path.parent / meta["file"])
        path = tmp_path / path.name
        path.write_text(json.dumps(meta))
    events = check_recording(NAME, path, usage)
    end = events[-1]
    if expected["error"]:
        assert isinstance(end, Failed)
        assert expected["error"]["message"] in end.message
        assert end.evidence == ("marker",)
        return
    assert isinstance(end, Finished)
    assert end.evidence == ("finish_reason", "marker")
    if expected["finish_reason"] == "completed":
        assert end.reason == ("tool_calls" if expected["tool_calls"] else "stop")
    else:
        assert (end.raw, end.reason) == ("max_output_tokens", "length")
    values = values_of(body_of(path))
    started = [event for event in events if isinstance(event, Started)]
    assert started[-1].response_id == values[0]["response"]["id"]
    assert started[-1].model == values[-1]["response"]["model"]
    added = [v for v in values if v["type"] == "response.output_text.annotation.added"]
    cited = [event for event in events if isinstance(event, Citation)]
    assert [e.url for e in cited] == [
        v["annotation"].get("url", v["annotation"].get("file_id")) for v in added
    ]


@pytest.mark.parametrize(
    "path", [each for each in recordings(NAME) if each.marks or not only_one(each.values[0])]
)
def test_several_responses_in_one_recording(path: Path) -> None:
    expected = json.loads(path.read_text())["expected"]
    data = body_of(path)
    ends = [match.end() for match in TERMINAL.finditer(data)]
    assert ends[-1] == len(data)
    assert len(ends) > 1
    found = []
    for begin, end in zip([0, *ends], ends, strict=False):
        part = data[begin:end]
        events = decode(Decoder(), whole(part))
        assert decode(Decoder(), bytewise(part)) == events
        for pieces in sampled(part, 4):
            assert decode(Decoder(), pieces) == events
        found.append(summary(events))
        assert isinstance(events[-1], Finished)
    for channel in ("text", "reasoning"):
        assert "".join(one[channel] for one in found) == expected[channel]
    assert sum((one["tool_calls"] for one in found), []) == expected["tool_calls"]
    assert found[-1]["usage"] == usage(expected["usage"])
    assert summary(decode(Decoder(), whole(data))) == found[0], "the first marker is the end"


@pytest.mark.parametrize("path", recordings(NAME))
def test_a_cut_recording_is_never_complete(path: Path) -> None:
    data = body_of(path)
    match = TERMINAL.search(data)
    assert match
    end = data.rindex(b"}", 0, match.end())
    first = data.index(b"\n\n", data.index(b"response.created"))
    for cut in (first, (first + match.start()) // 2, match.start(), (match.start() + end) // 2):
        for broken in (None, Failed("lost", "the connection was lost", transient=True)):
            decoder = Decoder()
            *_, last = decoder.feed(data[:cut]) + decoder.close(broken)
            assert isinstance(last, Failed)
            assert last.status == "truncated"
            assert last.evidence == (("transport_error",) if broken else ("eof",))


@pytest.mark.parametrize("path", error_bodies(NAME))
def test_error_body(path: Path) -> None:
    check_error_body(path)


# Requests

TARGET = Target("p", NAME, "http://127.0.0.1:1/v1", key="k", headers=(("X-A", "b"),))
WEATHER = Tool("weather", "Of a city", {"type": "object", "properties": {"city": {}}})
PNG = Attachment("a.png", "image/png", b"PNG")
SCHEMA = {"type": "object", "properties": {"a": {}}}
CLOSED = {**SCHEMA, "required": ["a"], "additionalProperties": False}  # as strict ones must be


def ask(
    *messages: Message,
    quirks: dict[str, Any] | None = None,
    background: bool = False,
    **options: Any,
) -> Any:
    chat = ChatRequest("m", list(messages) or [Message("user", "hi")], **options)
    url = "http://127.0.0.1:1/v1"
    sent = request(chat, Target("p", NAME, url, quirks=quirks, background=background))
    return json.loads(sent.body)


def test_a_plain_request() -> None:
    sent = request(ChatRequest("m", [Message("user", "hi")], system="Be brief."), TARGET)
    assert (sent.method, sent.url) == ("POST", "http://127.0.0.1:1/v1/responses")
    assert sent.headers == [
        ("Content-Type", "application/json"),
        ("Authorization", "Bearer k"),
        ("X-A", "b"),
    ]
    assert json.loads(sent.body) == {
        "model": "m",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "hi"}],
        "stream": True,
    }


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}),
        ({"max_tokens": 7}, {"max_output_tokens": 7}),
        ({"stream": False}, {"stream": False}),
        ({"think": "low"}, {"reasoning": {"effort": "low", "summary": "auto"}}),
        ({"think": "max"}, {"reasoning": {"effort": "xhigh", "summary": "auto"}}),
        ({"think": "none"}, {"reasoning": {"effort": "none"}}),
        ({"think": "high", "hide_reasoning": True}, {"reasoning": {"effort": "high"}}),
        (
            {"schema": SCHEMA},
            {"text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}},
        ),
        (
            {"tools": (WEATHER,), "tool_choice": "required"},
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "weather",
                        "description": "Of a city",
                        "parameters": {"type": "object", "properties": {"city": {}}},
                        "strict": False,
                    }
                ],
                "tool_choice": "required",
                "include": ["reasoning.encrypted_content"],
            },
        ),
        ({"tool_choice": "weather"}, {"tool_choice": {"type": "function", "name": "weather"}}),
        (
            {"think": "low", "options": {"reasoning": {"summary": None}, "store": False}},
            {"reasoning": {"effort": "low", "summary": None}, "store": False},
        ),
        ({"quirks": {"efforts": {"max": "high"}}, "think": "max", "hide_reasoning": True}, {}),
        (
            {"quirks": {"stream_options": {"include_obfuscation": False}}},
            {"stream_options": {"include_obfuscation": False}},
        ),
        ({"quirks": {"stream_options": {"include_usage": True}}}, {}),  # that is Chat's
        ({"quirks": {"stream_options": {"a": 1}}, "background": True, "stream": False}, {}),
        ({"background": True}, {"background": True, "store": True}),
        (
            {"quirks": {"strict_schema": True}, "schema": CLOSED},
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "answer",
                        "schema": CLOSED,
                        "strict": True,
                    }
                }
            },
        ),
    ],
)
def test_each_option_has_its_field(options: dict[str, Any], fields: dict[str, Any]) -> None:
    plain = {"model": "m", "input": [{"role": "user", "content": "hi"}], "stream": True}
    if options.get("quirks") == {"efforts": {"max": "high"}}:
        fields = {"reasoning": {"effort": "high"}}
    if options.get("stream") is False:
        fields = {**fields, "stream": False}
    assert ask(**options) == {**plain, **fields}


def test_without_a_model_and_with_a_key_in_its_own_header() -> None:
    quirks = {"key_header": "api-key"}
    target = Target("azure", NAME, "http://h/openai/v1?api-version=1", key="k", quirks=quirks)
    sent = request(ChatRequest("", [Message("user", "hi")]), target)
    assert sent.url == "http://h/openai/v1/responses?api-version=1"
    assert ("api-key", "k") in sent.headers
    assert "model" not in json.loads(sent.body)


def answered(text: str) -> dict[str, Any]:
    """Return an answer as an item: llama.cpp takes it in no other form."""
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text}],
    }


def test_history_becomes_items() -> None:
    call = ("call_1", "weather", '{"city":"Oslo"}')
    sent = ask(
        Message("user", "And Oslo?"),
        Message("assistant", "Let me see.", tool_calls=(call,)),
        Message("tool", "cold", call_id="call_1", name="weather"),
        Message("assistant", "", tool_calls=(("call_2", "f", ""),)),
        Message("assistant", "Cold."),
        Message("user", ""),
    )
    function = {"type": "function_call"}
    assert sent["input"] == [
        {"role": "user", "content": "And Oslo?"},
        answered("Let me see."),
        {**function, "call_id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "cold"},
        {**function, "call_id": "call_2", "name": "f", "arguments": ""},
        answered("Cold."),
        {"role": "user", "content": ""},
    ]


@pytest.mark.parametrize(
    ("attachment", "part"),
    [
        (PNG, {"type": "input_image", "image_url": "data:image/png;base64,UE5H", "detail": "auto"}),
        (
            Attachment("a.jpg", "image/jpeg", url="https://x/a.jpg"),
            {"type": "input_image", "image_url": "https://x/a.jpg", "detail": "auto"},
        ),
        (
            Attachment("a", "", url="https://x/a"),
            {"type": "input_image", "image_url": "https://x/a", "detail": "auto"},
        ),
        (
            Attachment("a.pdf", "application/pdf", b"PDF"),
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,UERG",
            },
        ),
        (
            Attachment("a.pdf", "application/pdf", url="https://x/a.pdf"),
            {"type": "input_file", "file_url": "https://x/a.pdf"},
        ),
        (
            Attachment("a.csv", "text/csv", url="https://x/a.csv"),
            {"type": "input_file", "file_url": "https://x/a.csv"},
        ),
        (
            Attachment("a.txt", "text/plain", b"h\xc3\xa9"),
            {"type": "input_text", "text": "a.txt:\nhé"},
        ),
    ],
)
def test_attachments(attachment: Attachment, part: dict[str, Any]) -> None:
    sent = ask(Message("user", "What?", attachments=(attachment,)))
    assert sent["input"] == [
        {"role": "user", "content": [part, {"type": "input_text", "text": "What?"}]}
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"stop": ("a",)},
        {"seed": 0},
        {"frequency_penalty": 0.0},
        {"presence_penalty": 1.0},
        {"prefill": ""},
        {"attachment": Attachment("a.wav", "audio/wav", b"RIFF")},
        {"attachment": Attachment("a.mp3", "audio/mpeg", url="https://x/a.mp3")},
        {"attachment": Attachment("a.mp4", "video/mp4", b"ftyp")},
    ],
)
def test_what_it_has_no_words_for_is_told(options: dict[str, Any]) -> None:
    attachments = (options.pop("attachment"),) if "attachment" in options else ()
    with pytest.raises(StreamError, match=f"^{NAME} cannot carry ") as caught:
        ask(Message("user", "hi", attachments=attachments), **options)
    assert caught.value.kind == "usage"


# Streams that servers send or may send


def sse(*values: dict[str, Any], numbered: bool = True, named: bool = True) -> bytes:
    blocks = []
    for number, value in enumerate(values):
        more = {"sequence_number": number} if numbered else {}
        name = f"event: {value.get('type')}\n" if named else ""
        blocks.append(f"{name}data: {json.dumps({**value, **more})}\n\n")
    return "".join(blocks).encode()


def kind(suffix: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{suffix}", **fields}


def message(text: str, **more: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, **more}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}


def response(status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "model": "m", "status": status, **more}


CREATED = kind("created", response=response("in_progress", output=[]))
DELTA = kind("output_text.delta", output_index=0, content_index=0, item_id="msg_1", delta="Hi")
COMPLETED = kind("completed", response=response(output=[message("Hi")]))
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": ""}
AT = {"output_index": 0, "item_id": "fc_1"}


def told(*values: dict[str, Any], **how: bool) -> list[Event]:
    """What a stream tells, at many cuts."""
    data = sse(*values, **how)
    events = decode(Decoder(), whole(data))
    for pieces in [bytewise(data), *some_two(data)]:
        assert decode(Decoder(), pieces) == events
    return [event for event in events if type(event) is not Progress]


def said(events: list[Event]) -> list[Event]:
    return merged([e for e in events if not isinstance(e, Started | Usage | Finished | Failed)])


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("numbered", [True, False])
def test_names_and_numbers_may_be_missing(named: bool, numbered: bool) -> None:
    events = told(CREATED, DELTA, DELTA, COMPLETED, named=named, numbered=numbered)
    assert events == [
        Started("m", "resp_1"),
        Text("Hi"),
        Text("Hi"),
        Finished("stop", "completed", ("finish_reason", "marker")),
    ]


PART = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
HI = {"type": "output_text", "text": "Hi"}
THOUGHT = {"type": "reasoning_text", "text": "Hi"}
SUMMARY = {"type": "summary_text", "text": "Hi"}


@pytest.mark.parametrize(
    ("value", "channel"),
    [
        (kind("output_text.done", **PART, text="Hi"), Text),
        (kind("content_part.done", **PART, part=HI), Text),
        (kind("output_item.done", output_index=0, item=message("Hi")), Text),
        (kind("refusal.done", **PART, refusal="Hi"), Refusal),
        (kind("content_part.done", **PART, part={"type": "refusal", "refusal": "Hi"}), Refusal),
        (kind("reasoning_text.done", **PART, text="Hi"), Reasoning),
        (kind("content_part.done", **PART, part=THOUGHT), Reasoning),
        (kind("reasoning_summary_text.done", summary_index=0, text="Hi"), Reasoning),
        (kind("reasoning_summary_part.done", output_index=0, part=SUMMARY), Reasoning),
        (kind("output_item.done", item={"type": "reasoning", "summary": [SUMMARY]}), Reasoning),
        (kind("output_item.done", item={"type": "reasoning", "content": [THOUGHT]}), Reasoning),
        (kind("audio.transcript.done", **PART, transcript="Hi"), Text),
        (kind("in_progress"), Text),  # and only the finished response has it
    ],
)
def test_what_had_no_deltas_is_given_once(value: dict[str, Any], channel: type[Event]) -> None:
    given = [message("Hi")] if channel is Text and "transcript" not in value else []
    last = kind("completed", response=response(output=given))
    assert said(told(CREATED, value, value, last)) == [channel("Hi")]  # type: ignore[call-arg]


def test_what_had_deltas_is_never_repeated() -> None:
    """Not even where the whole text differs; ids may change on their way (Copilot, OpenRouter)."""
    longer = {"type": "output_text", "text": "Hi there"}
    events = told(
        CREATED,
        DELTA,
        {**DELTA, "item_id": "other"},
        kind("output_text.done", **PART, text="Hi there"),
        kind("content_part.done", **PART, part=longer),
        kind("output_item.done", output_index=0, item=message("Hi there")),
        kind("completed", response=response(output=[message("Hi there"), message("Hi there")])),
    )
    assert said(events) == [Text("HiHi")]


def test_parts_and_items_are_told_apart() -> None:
    second = {**PART, "content_index": 1}
    events = told(
        DELTA,
        kind("output_text.done", **second, text=" you"),
        kind("output_text.done", **{**PART, "output_index": 1}, text=" there"),
        kind("reasoning_text.done", **PART, text="hm"),
        kind("reasoning_summary_text.done", output_index=0, summary_index=0, text="so"),
        COMPLETED,
    )
    assert said(events) == [Text("Hi you there"), Reasoning("hmso")]


HELLO = message("Hello")


def streamed(*places: dict[str, Any]) -> list[dict[str, Any]]:
    """A text in two deltas, told whole three times more, each at a place of its own."""
    first, second, done, part, item = places
    return [
        kind("output_text.delta", **first, delta="Hel"),
        kind("output_text.delta", **second, delta="lo"),
        kind("output_text.done", **done, text="Hello"),
        kind("content_part.done", **part, part={"type": "output_text", "text": "Hello"}),
        kind("output_item.done", **item, item={**HELLO, "id": item.get("item_id")}),
    ]


@pytest.mark.parametrize(
    "places",
    [
        [{}] * 5,  # nothing says which item it is
        [{}, {}, {"item_id": "A"}, {"item_id": "A"}, {"item_id": "A"}],
        [{"item_id": id} for id in "BBAAA"],
        [{"item_id": id} for id in "ABCDE"],
        [{"output_index": 0, "item_id": id} for id in "ABCDE"],  # Copilot
        # vLLM, Bedrock's mantle, GPT-OSS servers: the index of a part counts on
        [{"output_index": 1, "content_index": index} for index in (1, 1, 1, 1, 0)],
        [{"output_index": 1, "content_index": index} for index in (0, 1, 2, 3, 4)],
        [{"output_index": 1, "content_index": index} for index in (0, 1, 0, 0, 0)],
        [{"output_index": index, "item_id": "A"} for index in (0, 1, 2, 3, 4)],
        [{"output_index": index} for index in (0, 1, 1, 1, 1)],
        [{"item_id": "A", "content_index": index} for index in (7, 7, 0, 0, 0)],
        [{}, {}, *[{"output_index": 0, "content_index": 0}] * 3],
    ],
)
def test_a_text_is_given_once_whatever_its_parts_are_called(places: list[dict[str, Any]]) -> None:
    last = kind("completed", response=response(output=[HELLO]))
    assert said(told(CREATED, *streamed(*places), last)) == [Text("Hello")]
    # The same of a second message, and of the thoughts of the model.
    twice = kind("completed", response=response(output=[HELLO, HELLO]))
    again = [{**place, "output_index": 9, "item_id": "Z"} for place in places]
    events = told(CREATED, *streamed(*places), *streamed(*again), twice)
    assert said(events) == [Text("HelloHello")]


def test_thoughts_are_given_once_whatever_kind_of_part_they_come_back_as() -> None:
    item = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "Hmm."}]}
    events = told(
        kind("reasoning_text.delta", item_id="x", delta="Hmm"),
        kind("reasoning_text.delta", item_id="x", delta="."),
        kind("reasoning_part.done", part={"type": "reasoning_text", "text": "Hmm."}),
        kind("output_item.done", item=item),
        kind("completed", response=response(output=[item, message("Hi")])),
    )
    assert said(events) == [Reasoning("Hmm."), Text("Hi")]


def test_older_names_of_thoughts_are_read() -> None:
    events = told(
        kind("reasoning.delta", delta={"text": "a"}),
        kind("reasoning_summary.delta", output_index=0, delta="b"),
        COMPLETED,
    )
    assert said(events) == [Reasoning("ab"), Text("Hi")]


@pytest.mark.parametrize(
    "last",
    [
        response(output=[{"type": "message", "content": "Hi"}]),
        response(output=[{"type": "message", "content": [{"type": "text", "text": "Hi"}]}]),
        response(output_text="Hi"),
        response(output=[], output_text="Hi"),
    ],
)
def test_other_forms_of_a_whole_answer(last: dict[str, Any]) -> None:
    assert said(told(CREATED, kind("completed", response=last))) == [Text("Hi")]
    events = decode(Decoder(), whole(json.dumps(last).encode()))
    assert events == [Started("m", "resp_1"), Text("Hi"), events[-1]]
    assert isinstance(events[-1], Finished)


def test_response_done_ends_an_answer_by_its_status() -> None:
    events = told(CREATED, DELTA, kind("done", response=response(output=[])))
    assert events[-1] == Finished("stop", "completed", ("finish_reason", "marker"))
    reason = {"reason": "max_output_tokens"}
    cut = response("incomplete", incomplete_details=reason)
    assert told(DELTA, kind("done", response=cut))[-1] == Finished(
        "length", "max_output_tokens", ("finish_reason", "marker")
    )


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_response_that_is_not_there_yet_is_not_an_answer(status: str) -> None:
    *_, end = decode(Decoder(), whole(json.dumps(response(status, output=[])).encode()))
    assert isinstance(end, Failed)
    assert (end.status, status in end.message) == ("truncated", True)


@pytest.mark.parametrize(
    ("error", "end_kind", "message"),
    [
        ({"code": "data_inspection_failed", "message": "no"}, "filtered", "no"),  # DashScope
        ({"code": "invalid_prompt", "message": "no"}, "filtered", "no"),
        ({"code": "rate_limit_exceeded", "message": "slow"}, "rate_limit", "slow"),
        ({"code": "context_length_exceeded", "message": "long"}, "context_window", "long"),
        ({"code": "server_error", "message": "oops"}, "stream_error", "oops"),
        ({"error": {"message": "inner", "code": "insufficient_quota"}}, "quota", "inner"),
        ("it broke", "stream_error", "it broke"),
        (["it broke"], "stream_error", "it broke"),
    ],
)
def test_an_error_is_judged_by_its_code_wherever_it_stands(
    error: Any, end_kind: str, message: str
) -> None:
    used = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    last = response("failed", error=error, usage=used)
    events = told(CREATED, DELTA, kind("failed", response=last))
    assert events[-2] == Usage(input_tokens=1, output_tokens=2, total_tokens=3)
    whole_answer = decode(Decoder(), whole(json.dumps(last).encode()))
    assert whole_answer[-2] == events[-2]
    for end in (events[-1], whole_answer[-1], told(DELTA, {"type": "error", "error": error})[-1]):
        assert isinstance(end, Failed)
        assert (end.kind, end.message) == (end_kind, message)
    assert events[-1].raw == "failed"  # type: ignore[attr-defined]


@pytest.mark.parametrize("arguments", ['{"a', "not json", "{}{1}", "{'a': 1}"])
def test_arguments_that_are_not_json_are_told(arguments: str) -> None:
    events = told(
        DELTA,
        kind("output_item.done", output_index=1, item={**CALL, "arguments": arguments}),
        kind("completed", response=response()),
    )
    assert said(events) == [Text("Hi")]
    assert isinstance(end := events[-1], Failed)
    assert (end.kind, end.status, end.raw) == ("bad_json", "malformed", "completed")
    assert "called f" in end.message


@pytest.mark.parametrize("arguments", ["", None, "{}", " ", "null", {}])
def test_a_call_without_arguments_has_an_empty_object(arguments: Any) -> None:
    done = kind("output_item.done", output_index=0, item={**CALL, "arguments": arguments})
    events = told(CREATED, done, done, kind("completed", response=response()))
    assert said(events) == [ToolCall("call_1", "f", "{}")], "and what is told twice is one"


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("MAX_TOKENS", Finished("length", "MAX_TOKENS", ("finish_reason", "marker"))),
        ("safety", Finished("content_filter", "safety", ("finish_reason", "marker"))),
        ("prohibited-content", None),
        ("pause_turn", None),
        ("network_error", None),
    ],
)
def test_reasons_of_other_providers_are_known(reason: str, end: Finished | None) -> None:
    last = response("incomplete", incomplete_details={"reason": reason})
    *_, found = told(DELTA, kind("incomplete", response=last))
    if end is not None:
        assert found == end
    elif reason.startswith("prohibited"):
        assert isinstance(found, Finished)
        assert found.reason == "content_filter"
    else:
        assert isinstance(found, Failed)
        assert reason in found.message


# Opaque state: what the model thought, as only its provider can read it

SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}


def test_encrypted_thoughts_are_kept_once() -> None:
    last = kind("completed", response=response(output=[SEALED, {**CALL, "arguments": "{}"}]))
    events = told(
        CREATED,
        kind("output_item.added", output_index=0, item={**SEALED, "encrypted_content": "gA"}),
        kind("output_item.done", output_index=0, item=SEALED),
        kind("output_item.done", output_index=1, item={**CALL, "arguments": "{}"}),
        last,
    )
    assert said(events) == [Opaque(NAME, SEALED), ToolCall("call_1", "f", "{}")]
    assert said(told(CREATED, last)) == said(events), "also where only the last event has them"
    bare = {**SEALED, "encrypted_content": None}
    assert said(told(kind("output_item.done", output_index=0, item=bare), COMPLETED)) == [
        Text("Hi")
    ]


def test_encrypted_thoughts_go_back_as_they_came() -> None:
    events = told(
        CREATED,
        kind("output_item.done", output_index=0, item=SEALED),
        kind("output_text.delta", output_index=1, delta="Let me see."),
        kind("output_item.done", output_index=2, item={**SEALED, "id": "rs_2"}),
        kind("output_item.done", output_index=3, item={**CALL, "arguments": "{}"}),
        kind("completed", response=response()),
    )
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
    assert ask(Message("user", "hi"), assistant_message(events))["input"][1:] == [
        SEALED,
        answered("Let me see."),
        {**SEALED, "id": "rs_2"},
        call,
    ]


def test_llamacpp_numbers_nothing_and_names_its_model_last() -> None:
    where = {"item_id": "msg_1"}
    events = told(
        kind("created", response={"id": "resp_1", "status": "in_progress"}),
        kind("output_item.added", item={**message(""), "content": []}),
        kind("content_part.added", **where, part={"type": "output_text", "text": ""}),
        kind("output_text.delta", **where, delta="Hi"),
        kind("output_text.done", **where, text="Hi"),
        kind("content_part.done", **where, part=HI),
        kind("output_item.done", item=message("Hi")),
        COMPLETED,
        numbered=False,
    )
    assert events[:3] == [Started("", "resp_1"), Text("Hi"), Started("m", "resp_1")]
    assert said(events) == [Text("Hi")]


@pytest.mark.parametrize(
    "values",
    [
        [
            kind("output_item.added", output_index=0, item=CALL),
            kind("function_call_arguments.delta", **AT, delta='{"a"'),
            kind("function_call_arguments.delta", **AT, delta=":1}"),
            kind("function_call_arguments.done", **AT, arguments='{"a":1}'),
            kind("output_item.done", output_index=0, item={**CALL, "arguments": '{"a":1}'}),
        ],
        [  # LM Studio: no deltas
            kind("output_item.added", output_index=0, item=CALL),
            kind("function_call_arguments.done", **AT, arguments='{"a":1}'),
            kind("output_item.done", output_index=0, item=CALL),
        ],
        [  # no end of the item
            kind("output_item.added", output_index=0, item=CALL),
            kind("function_call_arguments.delta", **AT, delta='{"a"'),
            kind("function_call_arguments.delta", **AT, delta=":1}"),
        ],
        [kind("output_item.done", output_index=0, item={**CALL, "arguments": '{"a":1}'})],
        [kind("output_item.done", output_index=0, item={**CALL, "arguments": {"a": 1}})],
        [],
    ],
)
def test_a_function_call_in_all_its_forms(values: list[dict[str, Any]]) -> None:
    whole_call = {**CALL, "arguments": '{"a":1}'}
    last = kind("completed", response=response(output=[whole_call]))
    events = told(CREATED, *values, last)
    assert said(events) == [ToolCall("call_1", "f", '{"a":1}')]
    assert events[-1] == Finished("tool_calls", "completed", ("finish_reason", "marker"))


def test_two_calls_at_a_time() -> None:
    other = {**CALL, "id": "fc_2", "call_id": "call_2", "name": "g"}
    events = told(
        kind("output_item.added", output_index=0, item=CALL),
        kind("output_item.added", output_index=1, item=other),
        kind("function_call_arguments.delta", output_index=1, item_id="fc_2", delta="2"),
        kind("function_call_arguments.delta", output_index=0, item_id="fc_1", delta="1"),
        kind("completed", response=response()),
    )
    assert said(events) == [ToolCall("call_1", "f", "1"), ToolCall("call_2", "g", "2")]


def test_a_call_without_an_id_still_has_one() -> None:
    bare = {"type": "function_call", "name": "f", "arguments": "{}"}
    done = [kind("output_item.done", output_index=n, item=bare) for n in (0, 1)]
    calls = [ToolCall("call_1", "f", "{}"), ToolCall("call_2", "f", "{}")]
    assert said(told(*done, COMPLETED))[:2] == calls


def test_a_call_that_was_cut_is_none() -> None:
    cut = {**CALL, "arguments": '{"a', "status": "incomplete"}
    reason = {"reason": "max_output_tokens"}
    last = response("incomplete", incomplete_details=reason, output=[cut])
    events = told(
        kind("output_item.added", output_index=0, item=CALL),
        kind("function_call_arguments.delta", **AT, delta='{"a'),
        kind("incomplete", response=last),
    )
    assert said(events) == []
    assert events[-1] == Finished("length", "max_output_tokens", ("finish_reason", "marker"))


@pytest.mark.parametrize(
    "type", ["web_search_call", "mcp_call", "code_interpreter_call", "mcp_approval_request"]
)
def test_tools_of_the_server_are_no_calls(type: str) -> None:
    item = {"type": type, "id": "x", "name": "f", "arguments": "{}"}
    events = decode(
        Decoder(),
        whole(
            sse(
                kind("output_item.added", output_index=0, item=item),
                kind(f"{type}.in_progress", output_index=0),
                kind(f"{type}_arguments.delta", output_index=0, delta="{}"),
                kind("output_item.done", output_index=0, item=item),
                kind("completed", response=response(output=[item])),
            )
        ),
    )
    assert [e for e in events if isinstance(e, ToolCall)] == []
    assert [e for e in events if isinstance(e, Progress)] == [Progress()] * 4
    assert events[-1] == Finished("stop", "completed", ("finish_reason", "marker"))


@pytest.mark.parametrize(
    ("tools", "calls"),
    [
        ([{"type": "custom", "name": "f"}], 1),
        ([{"type": "namespace", "tools": []}], 1),
        (None, 1),
        ([{"type": "x_search"}], 0),
        ([], 0),
    ],
)
def test_a_custom_tool_is_the_callers_if_it_brought_one(tools: Any, calls: int) -> None:
    """xAI shows the tools it runs itself as calls of custom ones."""
    item = {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "SELECT 1"}
    events = told(
        kind("created", response=response("in_progress", tools=tools)),
        kind("output_item.added", output_index=0, item={**item, "input": ""}),
        kind("custom_tool_call_input.delta", output_index=0, delta="SELECT 1"),
        kind("output_item.done", output_index=0, item=item),
        kind("completed", response=response(output=[item], tools=tools)),
    )
    assert said(events) == [ToolCall("c", "f", "SELECT 1")] * calls


NOTE = {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 2}


@pytest.mark.parametrize(
    "values",
    [
        [kind("output_text.annotation.added", **PART, annotation_index=0, annotation=NOTE)],
        [kind("content_part.done", **PART, part={**HI, "annotations": [NOTE]})],
        [kind("output_item.done", output_index=0, item=message("Hi", annotations=[NOTE]))],
        [],
    ],
)
def test_citations_once(values: list[dict[str, Any]]) -> None:
    item = message("Hi", annotations=[NOTE])
    done = kind("output_item.done", output_index=0, item=item)
    last = kind("completed", response=response(output=[item]))
    events = told(DELTA, *values, *([done] if values else []), last)
    assert said(events) == [Text("Hi"), Citation("u", "t", 1, 2)]


def test_citations_of_the_whole_response() -> None:
    """As xAI lists its sources: those that the text cites too."""
    item = message("Hi", annotations=[NOTE])
    last = kind("completed", response=response(output=[item], citations=["u", "v", 5, {}, "v"]))
    assert said(told(DELTA, last)) == [Text("Hi"), Citation("u", "t", 1, 2), Citation("v")]


def test_citations_of_files() -> None:
    notes = [
        {"type": "file_citation", "file_id": "file-1", "filename": "a.txt", "index": 5},
        {"type": "file_path", "file_id": "file-2"},
        {"type": "url_citation", "url": 5},
        None,
    ]
    events = told(kind("content_part.done", **PART, part={**HI, "annotations": notes}), COMPLETED)
    assert said(events) == [
        Text("Hi"),
        Citation("file-1", "a.txt", 5, None),
        Citation("file-2", "", None, None),
    ]


@pytest.mark.parametrize(
    ("type", "status", "reason", "told_as"),
    [
        ("incomplete", "incomplete", "max_output_tokens", "length"),
        ("incomplete", "incomplete", "max_tokens", "length"),
        ("incomplete", "incomplete", "max_messages", "length"),
        ("incomplete", "incomplete", "content_filter", "content_filter"),
        ("incomplete", None, "max_output_tokens", "length"),
        ("completed", "incomplete", "max_output_tokens", "length"),  # vLLM 0.29
        ("completed", None, None, "stop"),
        ("completed", "in_progress", None, "stop"),
        ("completed", "something new", None, "other"),
    ],
)
def test_finish_reasons(type: str, status: Any, reason: Any, told_as: str) -> None:
    details = {"reason": reason} if reason else None
    last = response(status, incomplete_details=details, output=[])
    end = told(DELTA, kind(type, response=last))[-1]
    raw = reason or (status if told_as == "other" else "completed")
    assert end == Finished(told_as, raw, ("finish_reason", "marker"))


def test_a_refusal_is_one() -> None:
    events = told(CREATED, kind("refusal.delta", **PART, delta="No."), COMPLETED)
    assert said(events) == [Refusal("No."), Text("Hi")]
    assert events[-1] == Finished("refusal", "completed", ("finish_reason", "marker"))


@pytest.mark.parametrize(
    ("type", "last", "message"),
    [
        ("failed", response("failed", error={"code": "server_error", "message": "oops"}), "oops"),
        ("failed", response("failed"), "the server said that the response failed"),
        ("completed", response("failed", error={"code": "x", "message": "oops"}), "oops"),
        ("failed", None, "the server said that the response failed"),
        ("completed", response("cancelled"), "the response was cancelled"),
        ("cancelled", response("cancelled"), "the response was cancelled"),
    ],
)
def test_ends_that_are_failures(type: str, last: Any, message: str) -> None:
    events = told(DELTA, kind(type, response=last))
    assert said(events) == [Text("Hi")]
    end = events[-1]
    assert isinstance(end, Failed)
    assert (end.status, end.message, end.evidence) == ("provider", message, ("marker",))


INCOMPLETE = message("Hi") | {"status": "incomplete"}


@pytest.mark.parametrize(
    ("type", "last", "reason"),
    [
        ("incomplete", response("incomplete"), "incomplete"),
        (
            "incomplete",
            response("incomplete", incomplete_details={"reason": "steered"}),
            "incomplete (steered)",
        ),
        ("completed", response(output=[INCOMPLETE]), "incomplete"),
        ("completed", response(stop_reason="interrupted"), "interrupted"),
    ],
)
def test_ends_that_are_not_whole(type: str, last: Any, reason: str) -> None:
    end = told(DELTA, kind(type, response=last))[-1]
    assert isinstance(end, Failed)
    assert (end.status, end.evidence) == ("truncated", ("marker",))
    assert end.message.endswith(f"before it was whole (finish reason {reason})")


@pytest.mark.parametrize(
    ("field", "word", "exit"),
    [
        ("stop_reason", "max_tokens", 10),
        ("finish_reason", "length", 10),
        ("finish_reason", "content_filter", 11),
        ("stop_reason", "end_turn", 0),
        ("finish_reason", "tool_calls", 0),
    ],
)
def test_a_completed_response_with_another_apis_reason(field: str, word: str, exit: int) -> None:
    events = told(DELTA, kind("completed", response=response(**{field: word})))
    assert found_in(events)["exit"] == exit


@pytest.mark.parametrize("whole", [True, False])
def test_the_last_message_tells_whether_the_answer_is_whole(whole: bool) -> None:
    done = kind("output_item.done", output_index=0, item=INCOMPLETE)
    after = kind("output_item.done", output_index=1, item=message("Ho") | {"status": "completed"})
    events = told(DELTA, done, *([after] if whole else []), COMPLETED)
    assert found_in(events)["exit"] == (0 if whole else 18)


FLAT = {"type": "error", "code": "server_error", "message": "oops", "param": None}
NESTED = {"type": "error", "error": {"type": "server_error", "code": "x", "message": "oops"}}


@pytest.mark.parametrize(
    "body",
    [
        sse(CREATED, DELTA, FLAT),
        sse(CREATED, DELTA, NESTED, kind("failed", response=response("failed"))),
        sse(CREATED, DELTA, NESTED, COMPLETED) + b"data: [DONE]\n\n",
        sse(CREATED, DELTA) + b'event: error\ndata: {"message":"oops"}\n\n',
        sse(CREATED, DELTA) + b'data: {"error":"oops","code":"x"}\n\n',
        sse(CREATED, DELTA) + b'{"error":{"message":"oops"}}\n\n',
    ],
)
def test_errors_inside(body: bytes) -> None:
    for pieces in (whole(body), bytewise(body), *sampled(body, 5)):
        events = decode(Decoder(), pieces)
        assert said([e for e in events if type(e) is not Progress]) == [Text("Hi")]
        end = events[-1]
        assert isinstance(end, Failed)
        assert (end.status, end.message) == ("provider", "oops")


def test_done_alone_is_no_end() -> None:
    """A gateway that lost its own upstream still says `[DONE]`."""
    for before in ((), (CREATED,), (CREATED, DELTA)):
        end = decode(Decoder(), whole(sse(*before) + b"data: [DONE]\n\n"))[-1]
        assert isinstance(end, Failed)
        assert end.status == "truncated"
    end = decode(Decoder(), whole(sse(CREATED, DELTA, COMPLETED) + b"data: [DONE]\n\n"))[-1]
    assert end == Finished("stop", "completed", ("finish_reason", "marker"))


def test_the_marker_ends_it_at_once() -> None:
    decoder = Decoder()
    decoder.feed(sse(CREATED, DELTA))
    assert not decoder.ended
    assert isinstance(decoder.feed(sse(COMPLETED))[-1], Finished)
    assert decoder.ended
    assert decoder.feed(sse(DELTA)) == decoder.close() == []


@pytest.mark.parametrize("form", ["{}", "{}\n", "data: {}\n\n", "{}\n\ndata: [DONE]\n\n"])
def test_a_whole_response(form: str) -> None:
    tokens = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    thought = {"type": "reasoning", "summary": [SUMMARY], "content": []}
    call = {**CALL, "arguments": "{}"}
    value = response(output=[thought, message("Hé", annotations=[NOTE]), call], usage=tokens)
    body = form.replace("{}", json.dumps(value)).encode()
    for pieces in (whole(body), bytewise(body)):
        events = decode(Decoder(), pieces)
        assert events == [
            Started("m", "resp_1"),
            Usage(1, 2, None, None, None, 3),
            Reasoning("Hi"),
            Text("Hé"),
            Citation("u", "t", 1, 2),
            ToolCall("call_1", "f", "{}"),
            Finished("tool_calls", "completed", ("finish_reason", "eof")),
        ]


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (response("failed", error={"message": "oops"}), "provider"),
        ({"error": {"message": "Unexpected endpoint"}}, "provider"),
        (response("queued"), "truncated"),
        (response("in_progress", output=[]), "truncated"),
        ({"object": "response"}, "truncated"),
        ({"id": "x", "choices": []}, "malformed"),
    ],
)
def test_whole_bodies_that_are_no_answer(value: dict[str, Any], status: str) -> None:
    end = decode(Decoder(), whole(json.dumps(value).encode()))[-1]
    assert isinstance(end, Failed)
    assert end.status == status


def test_odd_places_do_not_raise() -> None:
    for odd in ([], {}, 1.5, True, None, "", [[]]):
        part = {"type": odd, "text": odd, "annotations": odd}
        values = [
            {**DELTA, "output_index": odd, "item_id": odd, "content_index": odd},
            {**DELTA, "delta": odd},
            kind("output_text.done", output_index=odd, text=odd),
            kind("content_part.done", part=part),
            kind("output_item.added", item={"type": odd, "id": odd}),
            kind("output_item.added", item={"type": "function_call", "id": odd}),
            kind("function_call_arguments.delta", delta=odd, output_index=odd),
            kind("output_item.done", item={"type": "function_call", "arguments": odd, "name": odd}),
            kind("output_item.done", item={"content": [part, odd], "summary": odd}),
            kind("output_text.annotation.added", annotation=odd),
            {"type": odd},
            kind("created", response={"id": odd, "model": odd, "tools": odd}),
        ]
        for last in (
            kind("completed", response=odd),
            kind("completed", response=response(odd)),  # type: ignore[arg-type]
            kind("incomplete", response={"incomplete_details": {"reason": odd}, "output": [odd]}),
            kind("completed", response={"output": [{"type": odd, "content": odd}], "usage": odd}),
        ):
            events = decode(Decoder(), whole(sse(*values, last)))
            assert isinstance(events[-1], Finished | Failed)


# Runs of named events


def blocks(random: Random) -> Iterator[str]:
    """Mostly a run of deltas, with all that may break one."""
    yield f"event: {CREATED['type']}\ndata: {json.dumps(CREATED)}\n\n"
    for number in range(random.randrange(40, 120)):
        text = random.choice(("a", " b", "é", "\\n\\n", "\\ud83d\\ude00", "\\ud83d", "", "data: "))
        kind = random.choice(("output_text",) * 20 + ("reasoning_text", "refusal"))
        data = f'{{"type":"response.{kind}.delta","sequence_number":{number},"delta":"{text}"}}'
        name = f"event: response.{kind}.delta\n"
        oddity = random.choice(("",) * 30 + ("id", "note", "gap", "two", "none", "tight", "other"))
        if oddity == "id":
            yield f"id: {number}\n"
        elif oddity == "note":
            yield ": note\n"
        elif oddity == "gap":
            yield "\n\n"
        elif oddity == "two":
            data = data.replace(',"delta"', ',\ndata: "delta"')
        elif oddity == "none":
            name = ""
        elif oddity == "tight":
            name, data = name.replace(": ", ":"), data.replace(",", " ,")
        elif oddity == "other":
            name = "event: x\n"
        yield f"{name}data: {data}\n\n"
    if random.random() < 0.7:
        yield f"event: {COMPLETED['type']}\ndata: {json.dumps(COMPLETED)}\n\n"
    if random.random() < 0.3:
        yield 'event: error\ndata: {"message":"x"}\n\n'


@pytest.mark.parametrize("seed", range(30))
def test_a_run_of_events_is_what_its_events_are(seed: int) -> None:
    random = Random(seed)
    end = random.choice(("\n", "\n", "\n", "\r\n", "\r"))
    data = "".join(blocks(random)).replace("\n", end).encode()
    events = decode(Decoder(), bytewise(data))
    assert decode(Decoder(), whole(data)) == events
    for pieces in sampled(data, 3, seed=seed):
        assert decode(Decoder(), pieces) == events


def test_an_event_in_a_run_may_be_too_large() -> None:
    data = sse(*[CREATED, DELTA, DELTA, {**DELTA, "delta": "x" * 900}, DELTA])
    for pieces in (whole(data), bytewise(data), [data[:300], data[300:]]):
        end = decode(Decoder(limit=800), pieces)[-1]
        assert isinstance(end, Failed)
        assert end.kind == "too_large"


# Attaching again


def test_the_request_that_attaches_again() -> None:
    quirks = {"stream_options": {"include_obfuscation": False}}
    target = Target("p", NAME, "http://h/v1/", key="k", quirks=quirks, unix_socket="/s")
    sent = resume(ChatRequest("m", []), target, "resp/1", 7)
    assert (sent.method, sent.body, sent.unix_socket) == ("GET", b"", "/s")
    assert sent.url == (
        "http://h/v1/responses/resp%2F1?stream=true&starting_after=7&include_obfuscation=false"
    )
    assert sent.headers == [("Authorization", "Bearer k")]
    azure = Target("p", NAME, "http://h/openai/v1?api-version=1")
    assert resume(ChatRequest("m", []), azure, "r", 0).url == (
        "http://h/openai/v1/responses/r?api-version=1&stream=true&starting_after=0"
    )


@lru_cache(maxsize=2)
def numbered(data: bytes) -> list[tuple[int, bytes]]:
    """The events of a stream as a server sends them again, with their numbers."""
    return [
        (value["sequence_number"], b"data: " + json.dumps(value).encode() + b"\n\n")
        for value in values_of(data)
    ]


def attached_again(data: bytes, cut: int, replay: bool) -> tuple[list[Event], list[Event]]:
    """What came before the cut, and what the stream that goes on adds to it.

    It is the whole one again (`replay`), or what a server sends for `starting_after`.
    """
    first = Decoder()
    before = first.feed(data[:cut]) + first.close(Failed("lost", "lost"))
    number = first.sequence_number
    if first.ended and isinstance(before[-1], Finished):
        assert number == max(v["sequence_number"] for v in values_of(data))
    again = Decoder()
    if number is not None:
        assert first.response_id
        again.skip_until = number
        assert again.sequence_number == number
        if not replay:
            later = [event for at, event in numbered(data) if at > number]
            data = b"".join(later)
    return before[:-1], again.feed(data) + again.close()


NUMBERED = [
    each
    for each in recordings(NAME)
    if not each.marks
    and only_one(each.values[0])
    and all("sequence_number" in v for v in values_of(body_of(each.values[0])))
]


@lru_cache(maxsize=2)
def events_of(data: bytes) -> list[Event]:
    return decode(Decoder(), whole(data))


def check_attached(data: bytes, cut: int, replay: bool) -> None:
    events = events_of(data)
    before, after = attached_again(data, cut, replay)
    ended = [e for e in after if isinstance(e, Finished | Failed)]
    assert len(ended) == 1
    joined = summary([e for e in before + after if not isinstance(e, Finished | Failed)] + ended)
    wanted = summary(events)
    for channel in ("text", "reasoning", "refusal", "tool_calls"):
        assert joined[channel] == wanted[channel]
    cited = [e for e in before + after if isinstance(e, Citation)]
    assert cited == [e for e in events if isinstance(e, Citation)]
    if ended[0].evidence != ("eof",):  # else nothing was left to come
        assert joined["usage"] == wanted["usage"]
        assert joined["end"] == wanted["end"]


NOT_HERE = pytest.mark.skip(reason="../shared/recordings/openai-responses is not there")


@pytest.mark.parametrize("path", NUMBERED or [pytest.param(Path(), marks=NOT_HERE, id="none")])
def test_attaching_again_repeats_and_misses_nothing(path: Path) -> None:
    """Of a long stream 5 of its events, each cut behind it or within it, both ways to go on."""
    data = body_of(path)
    cuts = [(match.end(), within) for match in re.finditer(rb"\n\n", data) for within in (0, 20)]
    if len(cuts) > 5:
        cuts = Random(len(data)).sample(cuts, 5)
    for cut, within in cuts:
        for replay in (True, False):
            check_attached(data, cut - within, replay)


@pytest.mark.parametrize("path", [p for p in NUMBERED if "background-mode" in p.id])
def test_attaching_again_at_every_kind_of_byte(path: Path) -> None:
    """Within a line one byte is like the next: each 29th, and those around its end."""
    data = body_of(path)
    for number, (before, _) in enumerate(some_two(data)):
        check_attached(data, len(before), replay=number % 2 == 0)


def test_a_second_drop_goes_on_from_the_first() -> None:
    decoder = Decoder()
    decoder.skip_until = 5
    decoder.close(Failed("lost", "lost"))
    assert decoder.sequence_number == 5


def test_a_refusal_before_the_drop_is_still_one() -> None:
    refused = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
    decoder = Decoder()
    decoder.skip_until = 3
    last = kind("completed", response=response(output=[refused, CALL]), sequence_number=4)
    events = decode(decoder, whole(sse(last, numbered=False)))
    assert events == [
        Started("m", "resp_1"),
        Finished("refusal", "completed", ("finish_reason", "marker")),
    ]


@pytest.mark.parametrize("typed", [True, False])
def test_the_type_may_be_the_name_of_the_event_alone(typed: bool) -> None:
    call = {"type": "function_call", "id": "f", "call_id": "c", "name": "look", "arguments": "{}"}
    done = {"object": "response", "status": "completed", "output": []}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": {"id": "r", "model": "m"}}),
        ("response.output_text.delta", {"item_id": "m", "delta": "Hi"}),
        ("response.output_item.done", {"output_index": 1, "item": call}),
        ("response.completed", {"response": done}),
    ]
    data = b"".join(
        b"event: %s\ndata: %s\n\n"
        % (name.encode(), json.dumps({**value, **({"type": name} if typed else {})}).encode())
        for name, value in events
    )
    out = [event for event in Decoder().feed(data) if not isinstance(event, Progress)]
    assert [type(event) for event in out] == [Started, Text, ToolCall, Finished]
