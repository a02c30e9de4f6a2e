"""Ollama's own API: every recording, its errors, what requests look like, how answers end."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from recordings import check_error_body, check_recording, error_bodies, recordings
from splits import decode, some_two, whole

from streamcli.errors import StreamError
from streamcli.events import (
    Event,
    Failed,
    Finished,
    Opaque,
    Reasoning,
    Started,
    Text,
    ToolCall,
    Usage,
)
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols._contract import get
from streamcli.request import Target

NAME = "ollama"
MARKED = ("finish_reason", "marker")
IMAGE = Attachment("cat.png", "image/png", b"\x89PNG")
TOOL = Tool("look", "Looks it up", {"type": "object", "properties": {"q": {"type": "string"}}})
HI = Message("user", "hi")


def usage(raw: dict[str, Any]) -> Usage:
    return Usage(input_tokens=raw.get("prompt_eval_count"), output_tokens=raw.get("eval_count"))


@pytest.mark.parametrize("path", recordings(NAME))
def test_recording(path: Path) -> None:
    *_, end = check_recording(NAME, path, usage)
    expected = json.loads(path.read_text())["expected"]
    if expected["error"]:
        assert isinstance(end, Failed)
        assert expected["error"] in end.message
        assert end.status == "provider"
    else:
        assert isinstance(end, Finished)
        assert (end.reason, end.evidence) == (expected["finish_reason"], MARKED)


@pytest.mark.parametrize("path", recordings(NAME))
def test_a_cut_recording_is_truncated(path: Path) -> None:
    """Wherever it is cut before its last line is whole."""
    meta = json.loads(path.read_text())
    if not meta["expected"]["terminated"]:
        pytest.skip("it ends with an error")
    data = (path.parent / meta["file"]).read_bytes().rstrip(b"\n")
    last = data.rfind(b"\n") + 1
    for cut in (data.find(b"\n") + 1, last // 2, last, last + 1, (last + len(data)) // 2):
        *_, end = decode(get(NAME).Decoder(), whole(data[:cut]))
        assert isinstance(end, Failed), cut
        assert end.status == "truncated", cut
    *_, end = decode(get(NAME).Decoder(), whole(data[:-1]))
    assert isinstance(end, Failed)
    assert end.status == "truncated"


@pytest.mark.parametrize("path", error_bodies(NAME))
def test_error_body(path: Path) -> None:
    failed = check_error_body(path)
    assert failed.hint == "ollama pull nonexistent-model:latest"


# What a request says


def asked(
    chat: ChatRequest, base: str = "http://h:11434", **quirks: Any
) -> tuple[str, dict[str, Any]]:
    request = get(NAME).request(chat, Target("ollama", NAME, base, quirks=quirks))
    assert request.method == "POST"
    return request.url, json.loads(request.body)


def body_of(*messages: Message, **options: Any) -> dict[str, Any]:
    return asked(ChatRequest("m", list(messages or [HI]), **options))[1]


def test_the_plain_request() -> None:
    plain = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    assert asked(ChatRequest("m", [HI])) == ("http://h:11434/api/chat", plain)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h:1", "http://h:1/api/chat"),
        ("http://h:1/", "http://h:1/api/chat"),
        ("http://h:1/v1", "http://h:1/api/chat"),
        ("http://h:1/v1/", "http://h:1/api/chat"),
        ("http://h:1/api", "http://h:1/api/chat"),
        ("http://h:1/api/", "http://h:1/api/chat"),
        ("http://h:1/api/chat", "http://h:1/api/chat"),
        ("http://h:1/api/generate", "http://h:1/api/chat"),
        ("https://h/ollama", "https://h/ollama/api/chat"),
        ("https://h/ollama/v1?k=v", "https://h/ollama/api/chat?k=v"),
        ("https://ollama.com", "https://ollama.com/api/chat"),
    ],
)
def test_addresses(base: str, url: str) -> None:
    assert asked(ChatRequest("m", [HI]), base)[0] == url


def test_a_key_is_a_bearer_and_given_headers_follow() -> None:
    target = Target("ollama", NAME, "http://h", key="sk", headers=(("X-A", "1"),))
    headers = get(NAME).request(ChatRequest("m", [HI]), target).headers
    assert headers[-2:] == [("Authorization", "Bearer sk"), ("X-A", "1")]
    target = Target("ollama", NAME, "http://h")
    assert "Authorization" not in dict(get(NAME).request(ChatRequest("m", [HI]), target).headers)


def test_sampling_goes_into_options() -> None:
    body = body_of(
        system="be brief",
        temperature=0.0,
        top_p=0.5,
        max_tokens=7,
        stop=("END",),
        seed=0,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        stream=False,
    )
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "stream": False,
        "options": {
            "temperature": 0.0,
            "top_p": 0.5,
            "num_predict": 7,
            "stop": ["END"],
            "seed": 0,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
        },
    }


def test_a_users_fields_go_where_ollama_reads_them() -> None:
    """Ollama ignores a parameter at the top in silence: -o num_ctx=8192 must not get lost."""
    more = {
        "keep_alive": "5m",
        "logprobs": True,
        "num_ctx": 8192,
        "top_k": 40,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
        "mirostat": 1,
        "temperature": 1.0,
        "options": {"num_gpu": 0},
    }
    body = body_of(temperature=0.2, max_tokens=3, options=more)
    assert (body["keep_alive"], body["logprobs"]) == ("5m", True)
    assert "num_ctx" not in body
    assert body["options"] == {
        "temperature": 1.0,
        "num_predict": 3,
        "num_ctx": 8192,
        "top_k": 40,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
        "mirostat": 1,
        "num_gpu": 0,
    }


@pytest.mark.parametrize(
    ("effort", "value"),
    [("none", False), ("low", "low"), ("medium", True), ("high", "high"), ("max", "max")],
)
def test_thinking(effort: str, value: bool | str) -> None:
    """Most models know on or off: the middle is "on", which every thinking model takes."""
    assert body_of(think=effort)["think"] is value or body_of(think=effort)["think"] == value
    _, body = asked(ChatRequest("m", [HI], think=effort), efforts={"medium": "medium"})
    assert body["think"] == ("medium" if effort == "medium" else value)


def test_schema_tools_and_prefill() -> None:
    schema = {"type": "object"}
    body = body_of(schema=schema, tools=(TOOL,), tool_choice="auto", prefill="Once")
    assert body["format"] == schema
    assert body["messages"][-1] == {"role": "assistant", "content": "Once"}
    function = {"name": "look", "description": "Looks it up", "parameters": TOOL.parameters}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert "tools" not in body_of(tools=(TOOL,), tool_choice="none")


def test_calls_and_their_results() -> None:
    call = Message("assistant", "", tool_calls=(("c1", "look", '{"q":"x"}'), ("c2", "now", "")))
    result = Message("tool", "found", call_id="c1", name="look")
    assert body_of(HI, call, result)["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "function": {"name": "look", "arguments": {"q": "x"}}},
                {"id": "c2", "function": {"name": "now", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "found", "tool_name": "look", "tool_call_id": "c1"},
    ]


def test_images_are_plain_base64_and_text_files_are_text() -> None:
    files = (Attachment("a.txt", "text/plain", b"one"), IMAGE, Attachment("b.md", "text/x", b"two"))
    (message,) = body_of(Message("user", "hi", attachments=files))["messages"]
    assert message["content"] == "a.txt:\none\n\nb.md:\ntwo\n\nhi"
    assert message["images"] == [b64encode(IMAGE.data).decode()]


@pytest.mark.parametrize(
    ("chat", "what"),
    [
        ({"tools": (TOOL,), "tool_choice": "required"}, "tool choice"),
        ({"tools": (TOOL,), "tool_choice": "look"}, "tool choice"),
        ({"raw": True, "system": "s"}, "a raw prompt cannot carry a system prompt"),
        ({"raw": True, "tools": (TOOL,)}, "a raw prompt cannot carry tools"),
        ({"raw": True, "think": "high"}, "a raw prompt cannot carry thinking"),
        ({"suffix": "}", "prefill": "a"}, "/api/generate cannot carry a beginning"),
    ],
)
def test_what_it_cannot_say_is_told_before(chat: dict[str, Any], what: str) -> None:
    options = {name: chat.pop(name) for name in ("raw", "suffix") if name in chat}
    with pytest.raises(StreamError, match=what) as raised:
        body_of(options=options, **chat)
    assert raised.value.kind == "usage"


@pytest.mark.parametrize(
    "attachment",
    [
        Attachment("a.pdf", "application/pdf", b"%PDF"),
        Attachment("a.wav", "audio/wav", b"RIFF"),
        Attachment("a.bin", "", b"\0"),
        Attachment("a.png", "image/png", url="https://h/a.png"),
    ],
)
def test_attachments_it_cannot_carry(attachment: Attachment) -> None:
    with pytest.raises(StreamError, match="ollama cannot carry"):
        body_of(Message("user", "hi", attachments=(attachment,)))


def test_raw_prompts_go_to_generate() -> None:
    message = Message("user", "Once", attachments=(IMAGE,))
    expected = {
        "model": "m",
        "prompt": "Once upon",
        "images": [IMAGE.base64()],
        "raw": True,
        "stream": True,
        "options": {"num_predict": 3},
    }
    raw = ChatRequest("m", [message], prefill=" upon", max_tokens=3, options={"raw": True})
    assert asked(raw) == ("http://h:11434/api/generate", expected)
    plain = ChatRequest("m", [message], prefill=" upon", max_tokens=3)
    assert asked(plain, raw=True) == ("http://h:11434/api/generate", expected)
    url, body = asked(ChatRequest("m", [HI], options={"raw": False}), raw=True)
    assert (url, body["raw"]) == ("http://h:11434/api/chat", False)
    with pytest.raises(StreamError, match="a conversation"):
        asked(ChatRequest("m", [HI, Message("assistant", "yo"), HI], options={"raw": True}))


def test_what_only_generate_knows_goes_there() -> None:
    url, body = asked(ChatRequest("m", [HI], system="s", think="none", options={"suffix": "}"}))
    assert url == "http://h:11434/api/generate"
    assert body == {
        "model": "m",
        "prompt": "hi",
        "system": "s",
        "suffix": "}",
        "think": False,
        "stream": True,
    }


# What an answer says


def events(*lines: object, end: str = "\n") -> list[Event]:
    """Events of these lines, the same however the bytes are cut."""
    data = "".join((x if isinstance(x, str) else json.dumps(x)) + end for x in lines).encode()
    found = decode(get(NAME).Decoder(), whole(data))
    for pieces in some_two(data):
        assert decode(get(NAME).Decoder(), pieces) == found
    return [event for event in found if not isinstance(event, Opaque)]


def chat_line(content: str = "", **more: Any) -> dict[str, Any]:
    top = {name: more.pop(name) for name in ("done", "done_reason", "eval_count") if name in more}
    message = {"role": "assistant", "content": content, **more}
    return {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, **top}


STOP = chat_line(done=True, done_reason="stop")


def test_an_answer() -> None:
    assert events(
        chat_line(thinking="Hmm", done=False),
        chat_line("Hi", done=False),
        chat_line("!", done=True, done_reason="stop", eval_count=4),
    ) == [
        Started("m", ""),
        Reasoning("Hmm"),
        Text("Hi"),
        Text("!"),
        Usage(output_tokens=4),
        Finished("stop", "stop", MARKED),
    ]


def test_generate_and_whole_answers() -> None:
    line = {"model": "m", "response": "Hi", "thinking": "Hmm", "done": False}
    whole_answer = {**line, "done": True, "done_reason": "length", "prompt_eval_count": 3}
    head = [Started("m", ""), Reasoning("Hmm"), Text("Hi")]
    tail = [Usage(input_tokens=3), Finished("length", "length", MARKED)]
    assert events(whole_answer, end="") == head + tail
    assert events(line, {**whole_answer, "response": "", "thinking": ""}) == head + tail


def test_tool_calls_come_whole() -> None:
    first = {"function": {"name": "look", "arguments": {"q": "é", "n": 1}}}
    second = {"id": "c9", "function": {"index": 1, "name": "now", "arguments": {}}}
    third = {"id": "", "function": {"name": "text", "arguments": '{"a": 1}'}}
    assert events(
        chat_line(tool_calls=[first, second], done=False),
        chat_line(tool_calls=[third], done=False),
        STOP,
    ) == [
        Started("m", ""),
        ToolCall("call_0", "look", '{"q":"é","n":1}'),
        ToolCall("c9", "now", "{}"),
        ToolCall("call_2", "text", '{"a": 1}'),
        Finished("tool_calls", "stop", MARKED),
    ]


def test_arguments_with_half_a_character() -> None:
    line = json.dumps(chat_line(tool_calls=[{"function": {"name": "f", "arguments": "@"}}]))
    found = events(line.replace('"@"', '{"a":"\\ud83d"}'), STOP)
    assert ToolCall("call_0", "f", '{"a":"\ufffd"}') in found


@pytest.mark.parametrize(
    ("word", "reason"),
    [("stop", "stop"), ("length", "length"), ("load", "stop"), ("unload", "stop")],
)
def test_reasons(word: str, reason: str) -> None:
    *_, end = events(chat_line(done=True, done_reason=word))
    assert end == Finished(reason, word, MARKED)


def test_done_without_a_reason_is_a_marker() -> None:
    """Servers of 2024, and those whose runner closed its connection."""
    *_, end = events(chat_line("Hi", done=True))
    assert end == Finished(None, None, ("marker",))


def test_a_reason_without_done_is_enough() -> None:
    *_, end = events(chat_line("Hi", done_reason="stop"))
    assert end == Finished("stop", "stop", ("finish_reason", "eof"))


def test_an_error_wins() -> None:
    *kept, end = events(chat_line("Hi"), {"error": "runner gone"}, STOP)
    assert kept == [Started("m", ""), Text("Hi")]
    assert isinstance(end, Failed)
    assert (end.status, end.message) == ("provider", "runner gone")
    (end,) = events({"error": "model is overloaded"})
    assert isinstance(end, Failed)
    assert end.transient


def test_the_last_line_needs_no_newline_but_all_of_itself() -> None:
    *_, end = events(chat_line("Hi"), json.dumps(STOP), end="\n")
    assert isinstance(end, Finished)
    data = json.dumps(chat_line("Hi")) + "\n" + json.dumps(STOP)
    *_, end = events(data, end="")
    assert isinstance(end, Finished)
    *_, end = events(data[:-1], end="")
    assert isinstance(end, Failed)
    assert end.kind == "truncated"


def test_text_that_looks_like_framing() -> None:
    text = '\u2028data: [DONE]\r\n\n{"done":true}\u0085'
    line = json.dumps(chat_line(text), ensure_ascii=False)
    assert events("", line + "\r", "  ", json.dumps(STOP))[1] == Text(text)


def test_an_emoji_cut_in_two() -> None:
    first, second = chat_line("a\ud83d"), chat_line("\ude00b")
    assert [e for e in events(first, second, STOP) if isinstance(e, Text)] == [
        Text("a"),
        Text("\U0001f600b"),
    ]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"object":"list","data":[]}', "not_a_stream"),
        ("Ollama is running", "not_a_stream"),
        ("<html>login</html>", "not_a_stream"),
        ("", "not_a_stream"),
    ],
)
def test_what_is_no_answer(line: str, kind: str) -> None:
    (end,) = events(line)
    assert isinstance(end, Failed)
    assert end.kind == kind


def test_a_line_in_the_middle_that_is_no_json() -> None:
    *_, end = events(chat_line("Hi"), "upstream died", STOP)
    assert isinstance(end, Failed)
    assert (end.kind, end.message) == ("stream_error", "upstream died")
    *_, end = events(chat_line("Hi"), '{"model":', STOP)
    assert isinstance(end, Failed)
    assert end.kind == "bad_json"


@pytest.mark.parametrize(
    ("status", "body", "kind", "hint"),
    [
        (
            404,
            '{"error":"model \\"x:1\\" not found, try pulling it first"}',
            "rejected",
            "pull x:1",
        ),
        (404, "404 page not found", "rejected", "check --base-url (http://HOST:11434)"),
        (
            400,
            '{"error":"think value \\"high\\" is not supported for this model"}',
            "rejected",
            "=",
        ),
        (
            400,
            '{"error":"json: cannot unmarshal string into Go struct field ChatRequest.think of '
            'type bool"}',
            "rejected",
            "--think=medium",
        ),
        (401, '{"error":"unauthorized","signin_url":"https://ollama.com/connect"}', "auth", "key"),
        (503, '{"error":"server busy, please try again"}', "server_error", ""),
    ],
)
def test_refusals(status: int, body: str, kind: str, hint: str) -> None:
    failed = get(NAME).refusal(status, {}, body.encode())
    assert failed.kind == kind
    assert hint in failed.hint
