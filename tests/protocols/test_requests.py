"""What Chat Completions requests look like: every feature of a Chat, and what it cannot say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Stream

from streamcli.errors import StreamError
from streamcli.input.attachments import load, sniff
from streamcli.input.files import Files
from streamcli.input.stdin import Stdin
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols._contract import get
from streamcli.providers.table import BY_NAME
from streamcli.request import Target, join_url

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 9
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt "


def body(chat: ChatRequest, provider: str = "vllm") -> dict[str, Any]:
    row = BY_NAME[provider]
    target = Target(provider, row.protocol, "http://h/v1", key="k", quirks=row.quirks)
    return dict(json.loads(get("openai-chat").request(chat, target).body))


def chat(**more: Any) -> ChatRequest:
    return ChatRequest("m", [Message("user", "hi")], **more)


def test_a_whole_conversation_with_tools() -> None:
    messages = [
        Message("user", "hi"),
        Message("assistant", "", tool_calls=(("c1", "look", '{"q":1}'),)),
        Message("tool", "found", call_id="c1", name="look"),
    ]
    tool = Tool("look", "Looks.", {"type": "object"})
    sent = body(ChatRequest("m", messages, system="Be brief.", tools=(tool,), tool_choice="look"))
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"q":1}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
    ]
    function = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
    assert sent["tools"] == [{"type": "function", "function": function}]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert body(chat(tool_choice="required"))["tool_choice"] == "required"


def test_attachments_in_their_own_forms() -> None:
    attached = (
        Attachment("a.png", "image/png", PNG),
        Attachment("b.jpg", "image/jpeg", url="https://h/b.jpg"),
        Attachment("c.wav", "audio/wav", WAV),
        Attachment("d.pdf", "application/pdf", b"%PDF-1"),
        Attachment("e.txt", "text/plain", "é".encode()),
    )
    sent = body(ChatRequest("m", [Message("user", "what?", attachments=attached)]))
    parts = sent["messages"][0]["content"]
    assert [part["type"] for part in parts] == [
        "image_url",
        "image_url",
        "input_audio",
        "file",
        "text",
        "text",
    ]
    assert parts[0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert parts[1]["image_url"]["url"] == "https://h/b.jpg"
    assert parts[2]["input_audio"]["format"] == "wav"
    assert parts[3]["file"]["filename"] == "d.pdf"
    assert parts[4]["text"] == "e.txt:\né"
    assert parts[5]["text"] == "what?"


@pytest.mark.parametrize(
    "attachment",
    [
        Attachment("a.ogg", "audio/ogg", b"OggS"),
        Attachment("a.mp4", "video/mp4", b"x"),
        Attachment("a.pdf", "application/pdf", url="https://h/a.pdf"),
        Attachment("a.wav", "audio/wav", url="https://h/a.wav"),
    ],
)
def test_what_cannot_be_carried_is_an_error_before_anything_is_sent(
    attachment: Attachment,
) -> None:
    with pytest.raises(StreamError, match="cannot carry") as caught:
        body(ChatRequest("m", [Message("user", "x", attachments=(attachment,))]))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("provider", "effort", "fields"),
    [
        ("openai", "low", {"reasoning_effort": "low"}),
        ("openai", "max", {"reasoning_effort": "xhigh"}),
        ("groq", "max", {"reasoning_effort": "high"}),
        ("groq", "low", {"reasoning_effort": "low"}),
        ("openrouter", "high", {"reasoning": {"effort": "high"}}),
        ("deepseek", "none", {"thinking": {"type": "disabled"}}),
        ("deepseek", "low", {"thinking": {"type": "enabled"}}),
        ("mistral", "none", {}),
        ("mistral", "high", {"prompt_mode": "reasoning"}),
        ("vllm", "none", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("helpingai", "none", {"hideThink": True}),
    ],
)
def test_thinking_is_each_providers_own_knob(
    provider: str, effort: str, fields: dict[str, Any]
) -> None:
    plain, thinking = body(chat(), provider), body(chat(think=effort), provider)
    assert {key: value for key, value in thinking.items() if plain.get(key) != value} == fields


def test_schema_prefill_and_options() -> None:
    schema = {"type": "object"}
    sent = body(chat(schema=schema))["response_format"]
    assert sent == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    sent = body(chat(prefill="Once"), "mistral")
    assert sent["messages"][-1] == {"role": "assistant", "content": "Once", "prefix": True}
    with pytest.raises(StreamError, match="prefill"):
        body(chat(prefill="Once"), "openai")
    sent = body(chat(temperature=1.0, options={"temperature": 0, "stream_options": {"x": 1}}))
    assert sent["temperature"] == 0
    assert sent["stream_options"] == {"include_usage": True, "x": 1}


@pytest.mark.parametrize(
    ("effort", "word"),
    [("none", "none"), ("low", "default"), ("high", "default"), ("max", "default")],
)
def test_qwen3_at_groq_thinks_or_does_not(effort: str, word: str) -> None:
    asked = ChatRequest("qwen/qwen3-32b", [Message("user", "hi")], think=effort)
    assert body(asked, "groq")["reasoning_effort"] == word


def test_deepseek_is_told_of_a_schema_in_words() -> None:
    """It answers 400 to json_schema: "This response_format type is unavailable now"."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    sent = body(chat(schema=schema, system="Be brief."), "deepseek")
    assert sent["response_format"] == {"type": "json_object"}
    system, user = sent["messages"]
    assert system["content"].startswith("Be brief.\n\n")
    assert json.dumps(schema, separators=(",", ":")) in system["content"]
    assert user == {"role": "user", "content": "hi"}
    assert [m["role"] for m in body(chat(schema=schema), "deepseek")["messages"]] == [
        "system",
        "user",
    ]
    listed = body(chat(schema={"type": "array"}), "deepseek")
    assert listed["response_format"] == {"type": "json_object"}  # the list stands in an object
    assert '"items":{"type":"array"}' in listed["messages"][0]["content"]


@pytest.mark.parametrize(
    "message",
    [
        "This response_format type is unavailable now",
        "'response_format' of type 'json_schema' is not supported with this model",
        "Invalid parameter: json_schema is not supported",
    ],
)
def test_a_server_that_refuses_a_schema_is_told_of_it_in_words(message: str) -> None:
    failed = get("openai-chat").refusal(
        400, {}, json.dumps({"error": {"message": message}}).encode()
    )
    assert failed.without in ("response_format", "json_schema")
    target = Target("mine", "openai-chat", "http://h/v1")
    asked = chat(schema={"type": "object"})
    assert b'"json_schema"' in get("openai-chat").request(asked, target).body
    target.leave_out(failed.without)
    again = json.loads(get("openai-chat").request(asked, target).body)
    assert again["response_format"] == {"type": "json_object"}
    assert "JSON Schema" in again["messages"][0]["content"]


def test_deepseek_takes_a_beginning_at_its_beta_address_only() -> None:
    row = BY_NAME["deepseek"]
    for base, url in (
        (row.base_url, "https://api.deepseek.com/beta/chat/completions"),
        ("http://h/v1", "http://h/v1/chat/completions"),
    ):
        target = Target("deepseek", row.protocol, base, quirks=row.quirks)
        assert get(row.protocol).request(chat(prefill="x"), target).url == url
        assert "/beta" not in get(row.protocol).request(chat(), target).url


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h", "http://h/p"),
        ("http://h/v1/", "http://h/v1/p"),
        ("http://h/v1/p", "http://h/v1/p"),
        ("http://h/v1?a=b", "http://h/v1/p?a=b"),
    ],
)
def test_join_url(base: str, url: str) -> None:
    assert join_url(base, "/p") == url


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (WAV, "audio/wav"),
        (b"JUNK\0\0\0\0WAVE", ""),
        (b"ID3\x04", "audio/mpeg"),
        (b"fLaC", "audio/flac"),
        (b"\0\0\0 ftypM4A ", "audio/mp4"),
        (b"\0\0\0 ftypisom", "video/mp4"),
        (b"%PDF-1.7", "application/pdf"),
        ("grüße\n".encode(), "text/plain"),
        (b"\x7fELF\x02\0\xff", ""),
        (b"a\0b", ""),
    ],
)
def test_files_are_told_apart_by_their_content(data: bytes, mime: str) -> None:
    assert sniff(data) == mime


def test_load(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(PNG)
    attachment = load(str(tmp_path / "a.dat"), Files(Stdin(print, time.monotonic)))
    assert (attachment.name, attachment.mime, attachment.kind) == ("a.dat", "image/png", "image")
    url = load("https://h/x/photo.jpg?size=1#top", Files(Stdin(print, time.monotonic)))
    assert (url.name, url.mime, url.url) == (
        "photo.jpg",
        "image/jpeg",
        "https://h/x/photo.jpg?size=1#top",
    )
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "junk").write_bytes(b"\0\1\2")
    for name in ("empty", "junk", "nowhere", "."):
        with pytest.raises(StreamError) as caught:
            load(str(tmp_path / name), Files(Stdin(print, time.monotonic)))
        assert caught.value.exit_code == 2


def test_the_command_attaches(stream: Stream, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    run = stream("-m", "vllm:m", "--dry-run", "-a", "a.png", "--attach=https://h/b.jpg", "what?")
    parts = json.loads(run.text.partition("\n\n")[2])["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["image_url", "image_url", "text"]
    run = stream("-m", "vllm:m", "--dry-run", "-a", "nowhere.png", "what?")
    assert run.returncode == 2
    assert "nowhere.png" in run.stderr
    for extra, field in ((["--think"], "medium"), (["--think=high"], "high")):
        run = stream("-m", "openai:m", "--dry-run", *extra, "low")
        sent = json.loads(run.text.partition("\n\n")[2])
        assert sent["reasoning_effort"] == field
        assert sent["messages"][0]["content"] == "low", "it never eats the prompt"


# Fields that a server or a model refuses


def bodies(name: str, chat: ChatRequest, *refused: str, **quirks: Any) -> dict[str, Any]:
    """The body of a request, after the server rejected these fields."""
    target = Target("p", name, "http://h/v1", quirks=quirks)  # type: ignore[arg-type]
    for field in refused:
        target.leave_out(field)
    return json.loads(get(name).request(chat, target).body)


def wished(model: str, **fields: Any) -> ChatRequest:
    """A request whose fields are general preferences, from the configuration."""
    return ChatRequest(model, [Message("user", "hi")], wishes=frozenset(fields), **fields)


PREFERENCES: dict[str, Any] = {"temperature": 0.2, "top_p": 0.9}


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses"])
@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("o3", False),
        ("o4-mini", False),
        ("gpt-5", False),
        ("gpt-5-mini-2025-08-07", False),
        ("openai/gpt-5-codex", False),
        ("gpt-5-chat-latest", True),
        ("gpt-5.2", True),  # it may be told not to reason
        ("gpt-4o", True),
        ("gpt-oss-20b", True),
        ("foo3", True),
    ],
)
def test_a_preference_is_not_sent_to_a_model_that_refuses_it(
    name: str, model: str, takes: bool
) -> None:
    sent = bodies(name, wished(model, **PREFERENCES))
    assert ({"temperature", "top_p"} <= sent.keys()) is takes
    assert bool(sent.keys() & {"temperature", "top_p"}) is takes
    typed = bodies(name, ChatRequest(model, [Message("user", "hi")], **PREFERENCES))
    assert typed.keys() >= PREFERENCES.keys(), "what was typed is sent"


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses"])
def test_a_preference_that_the_server_rejected_is_left_out(name: str) -> None:
    assert "temperature" not in bodies(name, wished("m", temperature=0.2), "temperature")
    typed = ChatRequest("m", [Message("user", "hi")], temperature=0.2)
    assert bodies(name, typed, "temperature")["temperature"] == 0.2


def test_a_token_limit_has_another_name_where_one_was_rejected() -> None:
    typed = ChatRequest("m", [Message("user", "hi")], max_tokens=7)
    assert bodies("openai-chat", typed, "max_tokens")["max_completion_tokens"] == 7
    quirks = {"max_tokens": "max_completion_tokens"}
    assert bodies("openai-chat", typed, "max_completion_tokens", **quirks)["max_tokens"] == 7
    both = ("max_tokens", "max_completion_tokens")
    assert "max_completion_tokens" in bodies("openai-chat", typed, *both)
    assert not bodies("openai-chat", wished("m", max_tokens=7), *both).keys() & set(both)


def test_a_switch_of_templates_gives_way_to_an_effort() -> None:
    think = {"*": {}, "none": {"chat_template_kwargs": {"enable_thinking": False}}}
    chat = ChatRequest("m", [Message("user", "hi")], think="none")
    assert "chat_template_kwargs" in bodies("openai-chat", chat, think=think)
    sent = bodies("openai-chat", chat, "chat_template_kwargs", think=think)
    assert (sent["reasoning_effort"], "chat_template_kwargs" in sent) == ("none", False)


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "openai-completions"])
def test_stream_options_are_left_out_once_rejected(name: str) -> None:
    options = {"stream_options": {"include_obfuscation": False}}
    chat = ChatRequest("m", [Message("user", "hi")])
    assert "stream_options" in bodies(name, chat, **options)
    assert "stream_options" not in bodies(name, chat, "stream_options", **options)


def test_responses_asks_for_encrypted_thoughts_where_tools_make_rounds() -> None:
    tool = Tool("f", "", {"type": "object"})
    chat = ChatRequest("m", [Message("user", "hi")], tools=(tool,))
    assert bodies("openai-responses", chat)["include"] == ["reasoning.encrypted_content"]
    assert "include" not in bodies("openai-responses", chat, "include")
    assert "include" not in bodies("openai-responses", chat.but(tools=()))
    own = chat.but(options={"include": ["x"]})
    assert bodies("openai-responses", own)["include"] == ["x"]
