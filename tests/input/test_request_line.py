"""Lines of --requests: what each form says, and what a line may not."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcli.errors import StreamError
from streamcli.input.request_line import Request, parse
from streamcli.settings.options import TABLE

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 9
PNG_URL = "data:image/png;base64," + b64encode(PNG).decode()
USER = {"role": "user", "content": "hi"}


def line(**fields: Any) -> Request:
    return parse(json.dumps(fields).encode())


def body(**fields: Any) -> Request:
    return line(custom_id="r1", body={"messages": [USER], **fields})


def refusal(text: bytes | str | dict[str, Any]) -> str:
    """What is said about a line: message and hint."""
    if isinstance(text, dict):
        text = json.dumps(text)
    with pytest.raises(StreamError) as caught:
        parse(text if isinstance(text, bytes) else text.encode())
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return f"{caught.value.message}: {caught.value.hint}"


def said(request: Request) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in request.messages]


def test_where_the_json_breaks_off() -> None:
    assert re.match(r"it is not JSON: .+, column 1\d: ", refusal('{"prompt":"é",}'))


def test_a_prompt() -> None:
    request = line(prompt="Hé\n")
    assert (request.prompt, request.id, request.model) == ("Hé\n", None, None)
    assert (request.messages, request.system, request.changes) == ([], None, {})


def test_every_field() -> None:
    schema = {"type": "object"}
    request = line(
        id=7,
        prompt="x",
        system="@notes.txt",  # a text, here: no file is opened
        model="groq:m",
        temperature=1,
        top_p=0.5,
        max_tokens=9,
        stop="END",
        seed=-3,
        frequency_penalty=-2,
        presence_penalty=1.5,
        schema=schema,
        think="high",
    )
    assert (request.id, request.system, request.model) == (7, "@notes.txt", "groq:m")
    assert request.changes == {
        "temperature": 1.0,
        "top_p": 0.5,
        "max_tokens": 9,
        "stop": ("END",),
        "seed": -3,
        "frequency_penalty": -2.0,
        "presence_penalty": 1.5,
        "schema": schema,
        "think": "high",
    }
    # 1 and 1.0 are one request: they shall have one hash.
    assert [type(request.changes[name]) for name in ("temperature", "max_tokens")] == [float, int]


def test_the_short_form_of_a_schema() -> None:
    made = line(prompt="x", schema="[name, age int]").changes["schema"]
    assert made["items"]["properties"] == {"name": {"type": "string"}, "age": {"type": "integer"}}
    form = {"type": "json_schema", "json_schema": {"schema": "age int"}}
    with pytest.raises(StreamError, match="never a file"):
        line(body={"messages": [USER], "response_format": form})


def test_null_is_a_field_left_out() -> None:
    assert line(prompt="x", id=None, temperature=None, stop=None, messages=None).changes == {}
    request = line(custom_id="a", method=None, url=None, body={"messages": [USER], "tools": None})
    assert request.id == "a"


@pytest.mark.parametrize(("given", "ours"), [(True, "medium"), (False, "none"), ("max", "max")])
def test_think(given: bool | str, ours: str) -> None:
    assert line(prompt="x", think=given).changes == {"think": ours}


def test_stop_is_one_or_several() -> None:
    assert line(prompt="x", stop=["a", "b"]).changes == {"stop": ("a", "b")}
    assert line(prompt="x", stop=[]).changes == {"stop": ()}


def test_messages() -> None:
    request = line(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi!", "refusal": None, "annotations": []},
            {"role": "user", "content": [{"type": "text", "text": x} for x in ("How", "are you?")]},
        ]
    )
    assert request.prompt is None
    assert request.system == "Be brief.\n\nBe kind."
    assert said(request) == [("user", "Hello"), ("assistant", "Hi!"), ("user", "How\nare you?")]


def test_the_system_prompt_beside_messages() -> None:
    assert line(messages=[USER], system="Be brief.").system == "Be brief."
    assert line(messages=[{"role": "system", "content": ""}, USER]).system == ""


def image(url: str) -> Request:
    part = {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}
    return line(messages=[{"role": "user", "content": [part]}])


@pytest.mark.parametrize(
    ("url", "mime"),
    [
        ("https://h/a.png?x=1", "image/png"),
        ("http://h/picture", ""),
    ],
)
def test_an_image_of_the_web_is_left_to_the_provider(url: str, mime: str) -> None:
    (attachment,) = image(url).messages[0].attachments
    assert (attachment.url, attachment.mime, attachment.data) == (url, mime, b"")


@pytest.mark.parametrize(
    ("label", "data", "mime"),
    [
        ("image/png", PNG, "image/png"),
        ("image/jpeg", PNG, "image/png"),
        ("", PNG, "image/png"),
        ("image/heic", b"\0\0\0\x18ftypheic", "image/heic"),
        ("image/svg+xml;charset=utf-8", b"<svg/>", "image/svg+xml"),
    ],
)
def test_an_image_in_the_line(label: str, data: bytes, mime: str) -> None:
    url = f"data:{label};base64,{b64encode(data).decode()}"
    (attachment,) = image(url).messages[0].attachments
    assert (attachment.data, attachment.mime, attachment.url) == (data, mime, "")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/passwd", "an https: or data: URL, never a file"),
        ("/etc/passwd", "never a file"),
        ("HTTPS://h/a.png", "never a file"),
        ("data:image/png;base64,@@@", "a data: URL is not base64"),
        ("data:image/png;base64,aGk", "a data: URL is not base64"),
        ("data:image/png,abc", "a data: URL is not base64"),
        ("data:image/png;base64", "a data: URL is empty"),
        ("data:image/png;base64,", "a data: URL is empty"),
        ("data:application/pdf;base64,JVBERi0=", 'an image, and is "application/pdf"'),
    ],
)
def test_no_image(url: str, why: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    assert why in refusal({"messages": [{"role": "user", "content": [part]}]})


def test_a_line_of_a_batch_file() -> None:
    schema = {"type": "object"}
    request = line(
        custom_id="request-1",
        method="POST",
        url="/v1/chat/completions",
        body={
            "model": "gpt-5-mini",
            "messages": [{"role": "system", "content": "Be brief."}, USER],
            "max_completion_tokens": 5,
            "temperature": 0,
            "stop": ["a"],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "strict": True, "schema": schema},
            },
            "reasoning_effort": "minimal",
            "n": 1,
            "user": "u",
            "stream": False,
            "stream_options": {},
            "store": True,
            "metadata": {"a": "b"},
        },
    )
    assert (request.id, request.model, request.system) == ("request-1", "gpt-5-mini", "Be brief.")
    assert said(request) == [("user", "hi")]
    assert request.changes == {
        "max_tokens": 5,
        "temperature": 0.0,
        "stop": ("a",),
        "schema": schema,
        "think": "low",
    }
    assert request.options == {"user": "u", "store": True, "metadata": {"a": "b"}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "text"}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("service_tier", "flex"),
        ("logit_bias", {"50256": -100}),
        ("parallel_tool_calls", False),
        ("verbosity", "low"),
        ("modalities", ["text"]),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "auto"),
        ("provider", {"order": ["x"]}),
        ("a_field_to_come", [1, {"a": None}]),
    ],
)
def test_other_fields_of_a_body_go_through(name: str, value: Any) -> None:
    request = line(body={"messages": [USER], name: value})
    assert request.options == {name: value}
    assert request.changes == {}


def test_a_body_may_hold_calls_of_tools_and_their_results() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    request = line(
        body={
            "messages": [
                USER,
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "1", "content": "42"},
            ]
        }
    )
    _, asked, result = request.messages
    assert asked.tool_calls == (("1", "f", "{}"),)
    assert (result.role, result.call_id, result.text) == ("tool", "1", "42")


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"role": "tool", "content": "x"}, "messages[1].tool_call_id"),
        ({"role": "assistant", "tool_calls": 1}, "messages[1].tool_calls"),
        ({"role": "assistant", "tool_calls": [1]}, "messages[1].tool_calls[0].function"),
        ({"role": "assistant", "tool_calls": [{"function": {}}]}, "tool_calls[0].id"),
    ],
)
def test_what_is_wrong_with_calls_of_tools(message: Any, why: str) -> None:
    assert why in refusal({"body": {"messages": [USER, message]}})


def test_what_other_batch_files_leave_out_or_say_otherwise() -> None:
    assert line(custom_id="1", body={"messages": [USER], "max_tokens": 5}).id == "1"  # Mistral
    azure = line(custom_id="1", method="POST", url="/chat/completions", body={"messages": [USER]})
    assert said(azure) == [("user", "hi")]


@pytest.mark.parametrize(
    ("effort", "ours"),
    [
        ("none", "none"),
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("xhigh", "max"),
    ],
)
def test_efforts_of_chat_completions(effort: str, ours: str) -> None:
    assert body(reasoning_effort=effort).changes == {"think": ours}


def test_a_text_format_asks_for_nothing() -> None:
    assert body(response_format={"type": "text"}).changes == {}


def test_both_names_of_one_limit() -> None:
    assert body(max_tokens=5, max_completion_tokens=5).changes == {"max_tokens": 5}
    twice = {"messages": [USER], "max_completion_tokens": 5, "max_tokens": 6}
    assert "contradict" in refusal({"body": twice})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"prompt":"caf\xe9"}', "it is not UTF-8: byte 0xe9 at offset 14"),
        (b'{"prompt":"x",}', "it is not JSON: "),
        ("Translate this", "it is not JSON"),
        (b"", "it is not JSON"),
        (r'{"prompt":"\ud800"}', "it is not JSON"),
        (r'{"prompt":"\udc00x"}', "it is not JSON"),
        (r'{"\ud800":1}', "it is not JSON"),
        ('{"prompt":"x","temperature":NaN}', "it is not JSON"),
        ('{"prompt":"x","temperature":1e999}', "it is not JSON"),
        ('{"prompt":"x"} {"prompt":"y"}', "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ('"hello"', 'it is "hello", not an object: a line is {"prompt": "..."}'),
        ("[]", "it is a list, not an object"),
        ("null", "it is null, not an object"),
    ],
)
def test_no_request_at_all(text: bytes | str, why: str) -> None:
    assert why in refusal(text)


@pytest.mark.parametrize(
    "name",
    ["url", "base_url", "base-url", "BASE_URL", "headers", "header", "file", "attach", "tools"]
    + ["tool_choice", "output", "events", "record", "key_file", "api_key", "unix_socket", "option"]
    + ["provider", "timeout", "prefill", "format", "extra_headers", "mcp", "template"],
)
def test_what_only_the_command_line_chooses(name: str) -> None:
    words = f"a request line cannot choose '{name}': addresses, keys, files, tools and"
    assert words in refusal({"prompt": "x", name: "y"})
    if name not in ("url", "format"):
        if name not in ("tools", "tool_choice", "provider", "timeout", "prefill"):
            assert words in refusal({"body": {"messages": [USER], name: "y"}})
        assert words in refusal({"messages": [{**USER, name: "y"}]})


def test_no_option_but_the_fields_of_a_line_is_taken() -> None:
    """An option that comes later is refused too, unless it is made a field."""
    ours = {"system", "model", "temperature", "top_p", "max_tokens", "stop", "seed", "schema"}
    ours |= {"frequency_penalty", "presence_penalty", "think"}
    for option in TABLE:
        if option.name not in ours:
            assert "cannot choose" in refusal({"prompt": "x", option.name or "": "y"})


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"promt": "x"}, "'promt' is not a field of a request line: did you mean 'prompt'?"),
        ({"prompt": "x", "max-tokens": 1}, "did you mean 'max_tokens'?"),
        ({"prompt": "x", "max_completion_tokens": 1}, "did you mean 'max_tokens'?"),
        ({"prompt": "x", "colour": 1}, "'colour' is not a field of a request line: there are id,"),
        ({"prompt": "x", "": 1}, "'' is not a field"),
        ({"prompt": 1}, "'prompt' has to be a text, and is 1"),
        ({"prompt": ["x"]}, "'prompt' has to be a text, and is a list"),
        ({"messages": []}, "'messages' has to be a list with messages in it, and is empty"),
        ({"prompt": {"a": 1}}, "and is an object"),
        ({"prompt": "x", "id": 1.5}, "'id' has to be a text or a whole number of 64 bits"),
        ({"prompt": "x", "id": True}, "and is true"),
        ({"prompt": "x", "id": 2**70}, "'id' has to be a text or a whole number of 64 bits"),
        ({"prompt": "x", "model": 1}, "'model' has to be a text"),
        ({"prompt": "x", "model": ""}, "'model' has to be a name"),
        ({"prompt": "x", "model": "local:/tmp/x.gguf"}, "a request line cannot choose a file"),
        ({"prompt": "x", "system": []}, "'system' has to be a text"),
        ({"prompt": "x", "temperature": "hot"}, 'a number from 0 up, and is "hot"'),
        ({"prompt": "x", "temperature": -0.1}, "a number from 0 up, and is -0.1"),
        ({"prompt": "x", "temperature": True}, "a number from 0 up, and is true"),
        ({"prompt": "x", "top_p": 1.1}, "'top_p' has to be a number from 0 to 1, and is 1.1"),
        ({"prompt": "x", "max_tokens": 0}, "a whole number from 1 up, and is 0"),
        ({"prompt": "x", "max_tokens": 9.0}, "a whole number from 1 up, and is 9.0"),
        ({"prompt": "x", "seed": 2**63}, "'seed' has to be a whole number of 64 bits"),
        ({"prompt": "x", "presence_penalty": 2.5}, "a number from -2 to 2"),
        ({"prompt": "x", "stop": [1]}, "'stop' has to be a text or a list of texts"),
        ({"prompt": "x", "stop": {}}, "'stop' has to be a text or a list of texts"),
        ({"prompt": "x", "schema": "s.json"}, "never a file"),
        ({"prompt": "x", "schema": "/etc/passwd"}, "'schema': the short form"),
        ({"prompt": "x", "schema": "age number"}, "unknown type number"),
        ({"prompt": "x", "schema": 7}, "a JSON Schema or its short form, never a file, and is 7"),
        ({"prompt": "x", "think": "xhigh"}, "true, false, none, low, medium, high or max"),
        ({"prompt": "x", "think": 1}, "'think' has to be true"),
        ({}, "it has no prompt"),
        ({"id": 1, "prompt": None}, "it has no prompt"),
        ({"prompt": " \n"}, "the prompt is empty"),
        ({"prompt": "x", "messages": [USER]}, "it has both 'prompt' and 'messages'"),
    ],
)
def test_what_is_wrong_with_a_field(fields: dict[str, Any], why: str) -> None:
    assert why in refusal(fields)


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([], "'messages' has to be a list with messages in it"),
        ("hi", "'messages' has to be a list with messages in it, and is \"hi\""),
        (["hi"], "'messages[0]' has to be an object"),
        ([{"content": "x"}], "'messages[0].role' has to be system, developer, user or assistant"),
        ([{"role": ["user"], "content": "x"}], "'messages[0].role' has to be"),
        ([{"role": "user"}], "'messages[0].content' has to be a text or a list of parts, and is m"),
        ([{"role": "user", "content": " "}], "the prompt is empty"),
        ([{"role": "user", "content": []}], "the prompt is empty"),
        ([USER, {"role": "assistant", "content": "x"}], "the last of the messages is not the user"),
        ([{"role": "system", "content": "x"}], "the last of the messages is not the user's"),
        ([USER, {"role": "system", "content": "x"}, USER], "messages[1]: a system message has"),
        ([USER, {"role": "tool", "content": "x"}], "messages[1]: a request line cannot choose too"),
        (
            [{"role": "assistant", "tool_calls": [{"id": "1"}]}],
            "messages[0]: a request line cannot choose tools",
        ),
        ([{**USER, "name": "Bo"}], "'name' is not a field of messages[0]: there are role, content"),
        ([{"role": "user", "content": ["x"]}], "'messages[0].content[0]' has to be a text part or"),
        (
            [{"role": "user", "content": [{"type": "input_audio"}]}],
            'a text part or an image_url part, and is "input_audio"',
        ),
        ([{"role": "user", "content": [{"type": "text"}]}], "'messages[0].content[0].text' has to"),
        (
            [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": PNG_URL}}]}],
            'has to be a text part, and is "image_url"',
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": PNG_URL}]}],
            "image_url' has to be an object like",
        ),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}}
                    ],
                }
            ],
            "image_url' has to be an object like",
        ),
    ],
)
def test_what_is_wrong_with_messages(messages: Any, why: str) -> None:
    assert why in refusal({"messages": messages})


def test_two_system_prompts() -> None:
    system = {"role": "system", "content": "a"}
    assert "contradict" in refusal({"messages": [system, USER], "system": "b"})


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"custom_id": "a"}, "'body' has to be an object, and is missing"),
        ({"custom_id": "a", "body": "x"}, "'body' has to be an object"),
        ({"custom_id": "a", "params": {}}, "'params' is not a field of a batch file's line"),
        ({"custom_id": "a", "prompt": "x"}, "'prompt' is not a field of a batch file's line"),
        ({"body": {}, "method": "GET"}, "'method' has to be POST, and is \"GET\""),
        ({"body": {}, "url": "/v1/responses"}, "'url' has to be /v1/chat/completions"),
        ({"body": {}, "url": "/v1/embeddings"}, "'url' has to be /v1/chat/completions"),
        ({"body": {}, "url": "https://h/v1/chat/completions"}, "'url' has to be /v1/chat/c"),
        ({"body": {}, "url": ["/v1/chat/completions"]}, "'url' has to be /v1/chat/completions"),
        ({"body": {}}, "it has no prompt"),
        ({"custom_id": [], "body": {"messages": [USER]}}, "'id' has to be a text"),
    ],
)
def test_what_is_wrong_with_a_batch_line(fields: dict[str, Any], why: str) -> None:
    assert why in refusal(fields)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("n", 2, "'n' has to be 1: an answer a line, and is 2"),
        ("reasoning_effort", "huge", "'think' has to be"),
        ("reasoning_effort", 1, "'think' has to be"),
        ("max_completion_tokens", 0, "'max_tokens' has to be a whole number from 1 up"),
    ],
)
def test_what_is_wrong_with_a_body(name: str, value: Any, why: str) -> None:
    assert why in refusal({"body": {"messages": [USER], name: value}})


@pytest.mark.parametrize("levels", [63, 1000])
@pytest.mark.parametrize("place", ['"schema":', '"stop":', '"prompt":', '"id":', '"messages":'])
def test_nesting_is_refused_and_does_not_crash(place: str, levels: int) -> None:
    """1000 levels are JSON to the parser, and more than others write, or recurse into."""
    text = f'{{"prompt":"x",{place}' + '{"a":' * levels + "[0]" + "}" * levels + "}"
    if levels == 63 and place == '"schema":':
        assert "schema" in parse(text.encode()).changes
    else:
        assert refusal(text)


def test_nesting_in_a_body() -> None:
    deep = '{"a":' * 900 + "0" + "}" * 900
    for name in ("metadata", "response_format", "messages", "tools"):
        text = f'{{"body":{{"messages":[{json.dumps(USER)}],"{name}":{deep}}}}}'
        assert refusal(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["prompt", "messages", "body", "custom_id", "role", "content", "type", "text"]
                + ["image_url", "url", "schema", "stop", "user", "id", "response_format", "think"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_it_is_it_is_a_request_or_a_usage_error(value: Any) -> None:
    with suppress(StreamError):
        request = parse(json.dumps(value).encode())
        assert (request.prompt is None) == bool(request.messages)
