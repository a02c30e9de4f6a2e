"""Requests by a template: what the placeholders become, and what the configuration may say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from config_errors import refused
from conftest import Configure, Stream
from faultserver import Conn, FaultServer
from pages import page

from streamcli.errors import StreamError
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols._contract import Templated, get, names
from streamcli.protocols.shared import template
from streamcli.request import HttpRequest, Target

TEMPLATED = [name for name in names() if isinstance(get(name), Templated)]
HI = Message("user", 'say "hi" & {system}\n')
ALL = {name: f"{{{name}}}" for name in template.NAMES}


def ask(
    chat: ChatRequest, base: str = "http://h:1", name: str = "sse-text", **quirks: Any
) -> HttpRequest:
    return get(name).request(chat, Target("mine", name, base, template=quirks))


def body(chat: ChatRequest, **quirks: Any) -> Any:
    return json.loads(ask(chat, **quirks).body)


def chat(model: str = "", **more: Any) -> ChatRequest:
    return ChatRequest(model, [HI], **more)


@pytest.mark.parametrize("name", TEMPLATED)
def test_without_a_template(name: str) -> None:
    request = ask(chat(), "http://h:1/chat/?k=v", name)
    assert (request.method, request.url) == ("POST", "http://h:1/chat/?k=v")
    assert json.loads(request.body) == {"prompt": HI.text, "stream": True}
    assert ("Content-Type", "application/json") in request.headers
    more = {"system": "s", "temperature": 0.0, "top_p": 0.5, "max_tokens": 3, "seed": 0}
    request = ask(chat("m", stop=("a",), stream=False, **more), name=name)
    sent = {"model": "m", "prompt": HI.text, "stream": False, "stop": ["a"], **more}
    assert json.loads(request.body) == sent


def test_placeholders_keep_their_types_and_go_without_a_value() -> None:
    assert body(chat(), body=ALL) == {
        "prompt": HI.text,
        "messages": [{"role": "user", "content": HI.text}],
        "stream": True,
    }
    given = {"system": "s", "temperature": 0.5, "top_p": 1.0, "max_tokens": 3, "seed": 7}
    given |= {"frequency_penalty": 0.1, "presence_penalty": 0.2, "think": "low", "prefill": "p"}
    sent = body(chat("m", stop=("a", "b"), schema={"type": "object"}, **given), body=ALL)
    assert sent == {
        **given,
        "model": "m",
        "stop": ["a", "b"],
        "schema": {"type": "object"},
        "prompt": HI.text,
        "messages": [{"role": "user", "content": HI.text}],
        "stream": True,
    }


def test_placeholders_inside_text_and_deep_down() -> None:
    made = {
        "input": {"text": "{system}: {prompt}", "n": 3, "flag": True, "by": "me"},
        "list": ["{model}", "{system}", {"t": "{temperature}"}, "at {temperature}/{stop}"],
        "options": {"seed": "{seed}"},
    }
    sent = body(chat("m", system="s", temperature=0.5, stop=("a",)), body=made)
    assert sent == {
        "input": {"text": f"s: {HI.text}", "n": 3, "flag": True, "by": "me"},
        "list": ["m", "s", {"t": 0.5}, 'at 0.5/["a"]'],
        "options": {},
    }
    sent = body(chat(), body=made)
    assert sent["input"]["text"] == f": {HI.text}"
    assert sent["list"] == [{}, "at /"]


@pytest.mark.parametrize("dots", [".", ".."])
def test_a_prompt_is_never_another_path(
    server: FaultServer, stream: Stream, configure: Configure, dots: str
) -> None:
    url = server.script("echo", echo)
    configure(MINE.format(protocol="text", url=url) + 'path = "/ask/{prompt}/now"\n')
    assert stream("-p", "mine", dots).returncode == 0
    assert server.requests[-1].path.endswith(f"/echo/v1/ask/{dots.replace('.', '%2E')}/now")


def test_a_prompt_is_never_a_template() -> None:
    text = "{system} {model} {{prompt}}"
    sent = body(
        ChatRequest("", [Message("user", text)], system="s"), body={"q": "{system}{prompt}"}
    )
    assert sent == {"q": "s" + text}


def test_messages() -> None:
    talk = [HI, Message("assistant", "hi"), Message("user", "bye")]
    plain = [{"role": message.role, "content": message.text} for message in talk]
    made = {"messages": "{messages}"}
    assert body(ChatRequest("", talk), body=made)["messages"] == plain
    first = {"role": "system", "content": "s"}
    assert body(ChatRequest("", talk, system="s"), body=made)["messages"] == [first, *plain]
    sent = body(ChatRequest("", talk, system="s"), body={**made, "system": "{system}"})
    assert sent == {"messages": plain, "system": "s"}


@pytest.mark.parametrize(
    ("base", "quirks", "url"),
    [
        ("http://h", {"path": "/stream"}, "http://h/stream"),
        ("http://h/", {"path": "/stream"}, "http://h/stream"),
        ("http://h/stream", {"path": "/stream"}, "http://h/stream"),
        ("http://h/api?k=v", {"path": "/stream"}, "http://h/api/stream?k=v"),
        ("http://h/api?k=v", {"path": "/s?p={prompt}"}, "http://h/api/s?k=v&p=a%20%26%2F%C3%A9"),
        ("http://h/api", {"path": "?p={prompt}"}, "http://h/api?p=a%20%26%2F%C3%A9"),
        ("http://h", {"path": "/{model}/gen"}, "http://h/org%2Fm/gen"),
        ("http://h", {"path": "/s?a=b%20c&d={seed}&e={stream}&f"}, "http://h/s?a=b%20c&e=true&f="),
        ("http://h", {"path": "/s?q=in: {prompt}"}, "http://h/s?q=in: a%20%26%2F%C3%A9"),
        (
            "http://h",
            {"path": "/s?n=1", "query": {"n": 2, "x y": "{prompt}", "z": True, "s": "{seed}"}},
            "http://h/s?n=2&x%20y=a%20%26%2F%C3%A9&z=true",
        ),
    ],
)
def test_addresses(base: str, quirks: dict[str, Any], url: str) -> None:
    places = {"body": {"m": "{model}", "p": "{prompt}"}}
    request = ask(ChatRequest("org/m", [Message("user", "a &/é")]), base, **places, **quirks)
    assert request.url == url


def test_what_stands_in_the_address_needs_no_body() -> None:
    request = ask(chat(), path="/s?p={prompt}")
    assert (request.method, request.body) == ("POST", b"")
    assert [name for name, _ in request.headers] == ["Accept"]
    request = ask(chat(), method="GET", query={"p": "{prompt}"})
    assert (request.method, request.body) == ("GET", b"")


def test_options_go_into_the_body_or_else_into_the_query() -> None:
    options = {"a": {"b": 1}, "prompt": "mine"}
    made = {"prompt": "{prompt}", "a": {"c": 2}}
    assert body(chat(options=options), body=made) == {"prompt": "mine", "a": {"b": 1, "c": 2}}
    url = ask(chat(options=options), path="/s?prompt={prompt}&n=1").url
    assert url == "http://h:1/s?prompt=mine&n=1&a=%7B%22b%22%3A1%7D"


def test_keys_and_headers() -> None:
    target = Target("mine", "text", "http://h", key="sk", headers=(("X-A", "1"),))
    headers = get("text").request(chat(), target).headers
    assert headers[-2:] == [("Authorization", "Bearer sk"), ("X-A", "1")]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"system": "s"}, "a system prompt (--system)"),
        ({"temperature": 0.0}, "a temperature"),
        ({"top_p": 1.0}, "--top-p"),
        ({"max_tokens": 1}, "--max-tokens"),
        ({"stop": ("a",)}, "stop sequences"),
        ({"seed": 0}, "a seed"),
        ({"frequency_penalty": 0.0}, "a frequency penalty"),
        ({"presence_penalty": 0.0}, "a presence penalty"),
        ({"think": "low"}, "how hard to think"),
        ({"schema": {}}, "a schema"),
        ({"prefill": "p"}, "a beginning of the answer"),
        ({"tools": (Tool("t", "", {}),)}, "tools"),
        ({"tool_choice": "auto"}, "a choice of tools"),
        ({"model": "m"}, "the name of a model"),
    ],
)
@pytest.mark.parametrize("name", TEMPLATED)
def test_what_has_no_place_is_told_before(name: str, given: dict[str, Any], what: str) -> None:
    with pytest.raises(StreamError) as raised:
        ask(chat(**given), name=name, body={"q": "{prompt}"})
    assert raised.value.kind == "usage"
    assert raised.value.message.startswith(f"{name} cannot carry ")
    assert what in raised.value.message
    field = next(iter(given))
    if not field.startswith(("tool", "model")):
        assert raised.value.hint == f"mine's template has no {{{field}}}"


def test_conversations_tools_and_attachments_without_a_place() -> None:
    file = Message("user", "hi", attachments=(Attachment("a.txt", "text/plain", b"a"),))
    result = Message("tool", "found", call_id="c")
    for messages, made, what in (
        ([HI, HI], {"q": "{prompt}"}, "a conversation"),
        ([file], {"q": "{prompt}"}, "a.txt"),
        ([HI, result], {"q": "{messages}"}, "tools"),
        ([HI, Message("assistant", "", tool_calls=(("a", "b", ""),))], {"q": "{messages}"}, "tool"),
    ):
        with pytest.raises(StreamError, match=what):
            ask(ChatRequest("", messages), body=made)


# ---- the configuration --------------------------------------------------------------------------

MINE = """\
[provider.mine]
protocol = "{protocol}"
base_url = "{url}"
"""


def echo(conn: Conn) -> None:
    """What was asked, as JSON events."""
    conn.head(ctype="application/x-ndjson")
    for token in (conn.request.method, " ", conn.request.path, " ", conn.request.body.decode()):
        conn.chunk(json.dumps({"out": [{"token": token}]}).encode() + b"\n")
    conn.chunk(b'{"out": [], "finished": true}\n')
    conn.end()


def test_an_endpoint_of_ones_own(
    server: FaultServer,
    stream: Stream,
    configure: Configure,
) -> None:
    url = server.script("echo", echo)
    configure(
        MINE.format(protocol="json-events", url=url)
        + """
        path = "/v2/generate?user={model}"
        text_path = "out.0.token"
        done_path = "finished"
        key_env = "MINE_KEY"
        [provider.mine.body]
        inputs = "{prompt}"
        parameters = { temperature = "{temperature}", max_new_tokens = "{max_tokens}" }
        [provider.get]
        protocol = "text"
        base_url = """
        + f'"{url}"'
        + """
        method = "GET"
        query = { q = "{prompt}" }
        """
    )
    env = {"MINE_KEY": "sk-mine"}
    run = stream("-m", "mine:me", "--max-tokens", "5", "-o", "parameters.top_k=4", "hi", env=env)
    assert (run.returncode, run.stderr) == (0, "")
    method, path, sent = run.text.split(" ", 2)
    assert (method, path) == ("POST", "/echo/v1/v2/generate?user=me")
    assert json.loads(sent) == {"inputs": "hi", "parameters": {"max_new_tokens": 5, "top_k": 4}}
    assert server.requests[-1].headers["authorization"] == "Bearer sk-mine"

    run = stream("-p", "mine", "hi", env=env)
    assert run.returncode == 2
    assert "no model for mine" in run.stderr
    run = stream("-p", "get", "hi there")
    assert '"GET"' in run.text
    assert server.requests[-1].path == "/echo/v1?q=hi%20there"
    assert server.requests[-1].body == b""

    run = stream("-p", "get", "--dry-run=curl", "hi there")
    assert run.text == f"curl -sSN \\\n  '{url}?q=hi%20there' \\\n  -H 'Accept: text/plain, */*'\n"
    (row,) = [r for r in stream("--list-providers", "--json").records if r["provider"] == "get"]
    assert not any(row[what] for what in ("tools", "attachments", "reasoning", "schema", "prefill"))


def test_an_application_behind_a_path(
    server: FaultServer, stream: Stream, configure: Configure
) -> None:
    def play(conn: Conn) -> None:
        conn.head()
        conn.event({"type": "text-delta", "id": "t", "delta": conn.request.path})
        conn.event({"type": "finish", "finishReason": "stop"})
        conn.end()

    text = MINE.format(protocol="ui-message", url=server.script("app", play))
    configure(text + 'path = "/api/chat"\n')
    run = stream("-p", "mine", "hi")
    assert (run.returncode, run.text) == (0, "/app/v1/api/chat")
    rows = stream("--list-providers", "--json").records
    (row,) = [row for row in rows if row["provider"] == "mine"]
    assert [row[what] for what in ("tools", "attachments", "schema")] == [False, True, False]


def test_recordings_and_raw_bytes_are_read_by_the_paths_of_the_row(
    server: FaultServer,
    stream: Stream,
    configure: Configure,
) -> None:
    text = MINE.format(protocol="json-events", url=server.script("echo", echo))
    configure(text + 'text_path = "out.0.token"\ndone_path = "finished"\n')
    live = stream("-p", "mine", "--record", "c.jsonl", "hi")
    again = stream("--replay", "c.jsonl", "--speed", "instant")
    assert (again.returncode, again.text) == (0, live.text)
    assert stream("--replay", "c.jsonl", "--no-config").returncode == 2
    raw = b'data: {"out": [{"token": "Hi"}]}\n\ndata: {"finished": 1}\n\n'
    run = stream("--decode=json-events", "-p", "mine", stdin=raw)
    assert (run.returncode, run.text) == (0, "Hi")
    for args in ((), ("-p", "openai"), ("-p", "nobody")):
        run = stream("--decode=json-events", *args, stdin=raw)
        assert run.returncode == 2
        assert "-p NAME" in run.stderr


def test_secrets_of_the_query_are_hidden(
    server: FaultServer,
    stream: Stream,
    configure: Configure,
) -> None:
    def play(conn: Conn) -> None:
        conn.reply(403, {"error": f"no chat: {conn.request.path}"})

    text = MINE.format(protocol="text", url=server.script("no", play))
    path = configure(text + 'path = "/s?key=secret1&q={prompt}"\nquery = { mode = "chat" }\n')
    with open(path, "a") as file:
        file.write('body = { Api-Token = "secret2", of = ["{prompt}"], max_tokens = 5 }\n')
    run = stream("-p", "mine", "--debug", "hi")
    assert run.returncode == 67
    assert "secret1&" in server.requests[-1].path
    assert b"secret2" in server.requests[-1].body
    assert "no chat: " in run.stderr, "only what is called a key is one"
    assert "secret" not in run.stderr.replace("[hidden]", "")


def test_a_key_that_a_server_repeats_is_in_no_record(
    server: FaultServer, stream: Stream, configure: Configure
) -> None:
    def play(conn: Conn) -> None:
        key = conn.request.headers["authorization"].removeprefix("Bearer ")
        conn.head()
        conn.event({"type": "start", "messageId": key, "messageMetadata": {"model": key}})
        conn.event({"type": "source-url", "url": f"http://h/?k={key}", "title": key})
        conn.event({"type": "text-delta", "id": "t", "delta": "Hi"})
        conn.event({"type": "finish", "finishReason": key})
        conn.end()

    text = MINE.format(protocol="ui-message", url=server.script("mirror", play))
    configure(text + 'key_env = "MINE_KEY"\n')
    run = stream("-p", "mine", "--jsonl", "hi", env={"MINE_KEY": "sk-mine-5f3a9c1e"})
    assert run.returncode == 0
    assert "sk-mine" not in run.text + run.stderr
    (end,) = (record for record in run.records if record["type"] == "end")
    told = (end["model"], end["response_id"], end["provider_finish_reason"])
    assert told == ("[hidden]",) * 3
    # A server of one's own may have a key like its model's name, which was asked for by that name.
    configure(f'[provider.mine]\nbase_url = "{server.url("ok")}"\nkey_env = "MINE_KEY"\n')
    run = stream("-m", "mine:tiny-1", "--json", "hi", env={"MINE_KEY": "tiny"})
    assert run.records[0]["model"] == "tiny-1"


@pytest.mark.parametrize("how", ["--dry-run", "--dry-run=curl"])
def test_a_dry_run_shows_no_secret_of_the_configuration(
    stream: Stream, configure: Configure, how: str
) -> None:
    text = MINE.format(protocol="text", url="http://me:secret1@h/?token=secret2&version=2026")
    text += (
        'query = { api_key = "secret3", mode = "chat" }\nheaders = { X-Key = "it\'s secret4" }\n'
    )
    configure(text + 'body = { Api-Token = "secret5", of = ["{prompt}"] }\n')
    run = stream("-p", "mine", how, "hi")
    assert run.returncode == 0
    assert "secret" not in run.text
    assert run.text.count("[hidden]") == 5
    for plain in ("version=2026", "mode=chat", "hi"):
        assert plain in run.text


def test_changes_to_the_built_in_row(
    server: FaultServer,
    stream: Stream,
    configure: Configure,
) -> None:
    def play(conn: Conn) -> None:
        conn.head()
        conn.chunk(b"data: Hi\n\n")
        conn.end()

    configure(f'[provider.agenticraft]\nbase_url = "{server.script("agent", play)}"\n')
    assert stream("-p", "agenticraft", "hi").text == "Hi"
    url = server.url("agent")
    configure(f'[provider.agenticraft]\nbase_url = "{url}"\npath = "/chat/{{prompt}}"\n')
    assert stream("-p", "agenticraft", "hi").text == "Hi"
    assert server.requests[-1].path == "/agent/v1/chat/hi"


def test_the_example_of_the_manual(stream: Stream, configure: Configure) -> None:
    text = page("stream-providers.7")
    (example,) = re.findall(r"^\[provider\.agent\].*?(?=^```)", text, re.MULTILINE | re.DOTALL)
    configure(example)
    run = stream("-p", "agent", "--temperature", "0", "--dry-run", "Hello")
    head, _, sent = run.text.partition("\n\n")
    assert head.splitlines()[0] == "POST http://127.0.0.1:8000/v1/run"
    assert json.loads(sent) == {"question": "Hello", "options": {"temperature": 0.0, "lang": "en"}}
    raw = b'data: {"choices": [{"delta": {"text": "Hi"}}]}\n\ndata: {"type": "end"}\n\n'
    run = stream("--decode=json-events", "-p", "agent", "--json", stdin=raw)
    assert [(end["text"], end["evidence"]) for end in run.records] == [("Hi", ["marker"])]


@pytest.mark.parametrize(
    ("protocol", "text", "line", "says"),
    [
        (
            "openai-chat",
            'path = "/x"',
            4,
            "'provider.mine.path' goes with protocol a2a, ag-ui, ai-data, json-events,",
        ),
        ("text", 'text_path = "a"', 4, "goes with protocol json-events; this one is text"),
        ("anthropic", "body = { a = 1 }", 4, "goes with protocol json-events, sse-text, text;"),
        ("ui-message", "body = { a = 1 }", 4, "text; this one is ui-message"),
        ("ui-message", 'path = "api/chat"', 4, "is a path"),
        ("a2a", 'path = "/{prompt}"', 4, "has a placeholder, which this protocol does not fill"),
        ("text", 'path = "x"', 4, 'is a path: "/stream"'),
        ("text", "path = 1", 4, "is a path"),
        ("text", 'path = "/a#b"', 4, "is a path"),
        ("text", 'method = "PUT"', 4, "is POST or GET"),
        ("text", 'query = "a=b"', 4, "is a table"),
        ("text", "query = { a = [1] }", 4, "plain values"),
        ("text", 'body = "{prompt}"', 4, "is a table"),
        ("text", 'body = { q = "{promt}" }', 4, "unknown placeholder, {promt}: there are {prompt}"),
        ("text", '[provider.mine.body]\na = "{prompt}"\nb = ["{x}"]', 6, "mine.body.b' has an"),
        ("text", 'path = "/{nobody}?q={prompt}"', 4, "{nobody}"),
        ("text", 'body = { q = "{{prompt}}" }', 4, "has {{prompt}}: a placeholder has one brace"),
        ("text", 'path = "/s?q={{prompt}}"', 4, "one brace"),
        ("text", 'body = { q = "hi" }', 4, "has no place for {prompt} or {messages}"),
        ("text", 'method = "GET"', 1, "'provider.mine.path' has no place for {prompt}"),
        ("text", 'method = "GET"\nbody = { q = "{prompt}" }', 5, "goes with POST only"),
        ("json-events", 'path = "/x"', 1, "'provider.mine.text_path' is missing"),
        ("json-events", 'text_path = "a..b"', 4, "is a path in an event"),
        ("json-events", 'text_path = "$.a"', 4, "is a path in an event"),
        ("json-events", 'text_path = "a[0].b"', 4, "is a path in an event"),
        ("json-events", 'text_path = ["a"]', 4, "is a path in an event"),
        ("json-events", 'text_path = "a"\ndone_path = "=end"', 5, "is a path in an event"),
        ("text", 'pth = "/x"', 4, "did you mean 'path'?"),
    ],
)
def test_a_mistake_in_a_template_names_file_key_and_line(
    stream: Stream,
    configure: Configure,
    protocol: str,
    text: str,
    line: int,
    says: str,
) -> None:
    path: Path = configure(MINE.format(protocol=protocol, url="http://h") + text + "\n")
    assert says in refused(stream("-p", "mine", "hi"), path, line)
