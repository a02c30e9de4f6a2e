"""Sessions through the process: what a second request sends, what is kept, who may go on."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from batchserver import Act, BatchServer, by_word
from conftest import Popen, Stream, eventually
from faultserver import Conn, FaultServer
from tool_answers import PROTOCOLS

CTYPES = {"ollama": "application/x-ndjson", "bedrock": "application/vnd.amazon.eventstream"}
PARAMETERS = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
WHOLE = "answer to <{}> done"


@pytest.fixture
def ask(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command against a server whose prompts begin with what shall become of them."""
    with BatchServer(by_word) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base)
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        env = {"OPENAI_BASE_URL": server.base, "OPENAI_API_KEY": "k", "STREAM_MODEL": "openai:m"}

        def run(*args: Any, stdin: bytes | None = None, **more: str) -> Any:
            return stream(*args, stdin=stdin, env={**env, **more})

        run.server = server  # type: ignore[attr-defined]
        run.env = env  # type: ignore[attr-defined]
        yield run


def session_file(name: str = "trip") -> Path:
    return Path(os.environ["XDG_STATE_HOME"], "stream", "sessions", f"{name}.jsonl")


def lines(name: str = "trip") -> list[dict[str, Any]]:
    return [json.loads(each) for each in session_file(name).read_bytes().splitlines()]


def sent(ask: Any, number: int = -1) -> list[tuple[str, str]]:
    messages = ask.server.asked[number].body["messages"]
    return [(each["role"], each["content"]) for each in messages]


def test_a_conversation_goes_on(ask: Any) -> None:
    assert ask("--session", "trip", "one").text == WHOLE.format("one")
    ran = ask("--continue", "two")
    assert (ran.returncode, ran.text, ran.stderr) == (0, WHOLE.format("two"), "")
    ask("--session", "other", "x")
    ask("--session", "trip", "three")
    assert sent(ask) == [
        ("user", "one"),
        ("assistant", WHOLE.format("one")),
        ("user", "two"),
        ("assistant", WHOLE.format("two")),
        ("user", "three"),
    ]
    assert session_file().stat().st_mode & 0o777 == 0o600
    assert session_file().parent.stat().st_mode & 0o777 == 0o700


def test_the_hash_covers_what_was_said_before(ask: Any) -> None:
    one, two, three = (
        ask(*more, "--json", "x").records[-1] for more in ([], ["--session", "a"], ["-c"])
    )
    assert one["prompt_hash"] == two["prompt_hash"] != three["prompt_hash"]


def test_a_path_is_a_session_too(ask: Any, tmp_path: Path) -> None:
    ask("--session", "./s.jsonl", "one")
    assert (tmp_path / "s.jsonl").stat().st_mode & 0o777 == 0o600
    ask("-c", "two")
    assert len(sent(ask)) == 3


def test_nothing_to_continue(ask: Any) -> None:
    ran = ask("-c", "one")
    assert (ran.returncode, len(ran.complaints)) == (2, 1)
    assert "--session NAME" in ran.stderr


def test_a_system_prompt_holds_until_another_is_typed(ask: Any, configure: Any) -> None:
    configure('[defaults]\nsystem = "of the configuration"\n')
    ask("--session", "trip", "-s", "be brief", "one")
    ask("-c", "two")
    assert sent(ask)[0] == ("system", "be brief")
    ask("-c", "-s", "be long", "three")
    ask("-c", "four")
    assert [each for each in sent(ask) if each[0] == "system"] == [("system", "be long")]
    ask("-c", "-s", "", "five")
    assert sent(ask)[0] == ("user", "one")
    ask("-c", "six")
    assert sent(ask)[0] == ("user", "one")


def test_the_last_model_answers_if_none_is_chosen(ask: Any) -> None:
    ask("--session", "trip", "-m", "openai:big", "one")
    ran = ask("-c", "two", STREAM_MODEL="")
    assert ran.returncode == 0, ran.stderr
    assert ask.server.asked[-1].body["model"] == "big"
    ask("-c", "-m", "openai:small", "three")
    assert ask.server.asked[-1].body["model"] == "small"


@pytest.mark.parametrize(
    ("prompt", "code", "status"),
    [("cut x", 18, "truncated"), ("length x", 10, "length"), ("error x", 15, "provider")],
)
def test_a_broken_answer_is_kept_as_far_as_it_came(
    ask: Any, prompt: str, code: int, status: str
) -> None:
    ran = ask("--session", "trip", "--max-retries", "0", prompt)
    assert ran.returncode == code
    last = lines()[-1]
    assert (last["content"], last["partial"], last["status"]) == (ran.text, True, status)
    again = ask("-c", "two")
    assert again.complaints == [
        f"stream: the last answer in the session trip is not whole ({status})"
    ]
    assert sent(ask)[1] == ("assistant", ran.text)


def test_where_nothing_came_nothing_is_kept(ask: Any) -> None:
    assert ask("--session", "trip", "--max-retries", "0", "500 x").returncode == 15
    assert not session_file().exists()
    ask("--session", "trip", "one")
    before = session_file().read_bytes()
    assert ask("-c", "401 x").returncode == 67
    assert session_file().read_bytes() == before


def test_enough_is_kept_as_it_was_seen(ask: Any) -> None:
    ran = ask("--session", "trip", "--enough", "to", "one")
    assert ran.returncode == 0
    assert lines()[-1]["content"] == ran.text
    assert "partial" not in lines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_answer_is_partial(ask: Any, popen: Popen, number: signal.Signals) -> None:
    process = popen("--session", "trip", "stall x", env=ask.env)
    assert process.stdout is not None
    seen = process.stdout.read(1)
    assert eventually(lambda: ask.server.asked)
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert process.wait() == -number
    last = lines()[-1]
    assert (last["partial"], last["status"]) == (True, "interrupted")
    assert last["content"].encode() == seen + rest
    assert ask("-c", "two").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_line_is_partial(
    ask: Any, popen: Popen, number: signal.Signals, tmp_path: Path
) -> None:
    """Its connection is cut by us: it is not the server that broke off."""
    (tmp_path / "lines").write_text("one\nstall x\ntwo\n")
    with (tmp_path / "lines").open("rb") as stdin:
        process = popen("-L", "--session", "trip", "--jsonl", stdin=stdin, env=ask.env)
    assert process.stdout is not None
    out = b""
    while not re.search(rb'"type":"end".*"type":"delta"', out, re.DOTALL):
        out += process.stdout.readline()
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert process.wait() == -number
    stored = [each for each in lines() if "role" in each]
    assert [each["role"] for each in stored] == ["user", "assistant"] * 2
    assert (stored[-1]["partial"], stored[-1]["status"]) == (True, "interrupted")
    ends = [json.loads(line) for line in (out + rest).splitlines() if b'"type":"end"' in line]
    assert [end["status"] for end in ends[:2]] == ["complete", "interrupted"]
    assert ask("-c", "two").returncode == 0


def test_lines_are_turns_in_order(ask: Any) -> None:
    ran = ask("-L", "--session", "trip", "-j", "8", stdin=b"one\ntwo\n\nthree\n")
    assert ran.returncode == 0
    assert ran.text.splitlines() == [WHOLE.format(each) for each in ("one", "two", "three")]
    assert "one after the other" in ran.stderr
    assert [text for role, text in sent(ask) if role == "user"] == ["one", "two", "three"]
    records = ask("-L", "-c", "--json", stdin=b"four\nfive\n").records
    hashes = {each["prompt_hash"] for each in records if each["type"] == "end"}
    assert len(hashes) == 2
    assert len(sent(ask)) == 9


def test_a_line_that_fails_is_left_out_and_the_next_waits_for_it(ask: Any) -> None:
    tries: list[str] = []

    def plan(prompt: str, before: int) -> Act:
        tries.append(prompt)
        limited = prompt == "two" and not before
        refused = prompt == "three"
        headers = "retry-after-ms: 20\r\n" if limited else ""
        return Act(status=429 if limited else 400 if refused else 200, headers=headers)

    ask.server.plan = plan
    ran = ask("-L", "--session", "trip", stdin=b"one\ntwo\nthree\nfour\n")
    assert ran.returncode == 20
    assert tries == ["one", "two", "two", "three", "four"]
    assert [text for role, text in sent(ask) if role == "user"] == ["one", "two", "four"]


@pytest.mark.parametrize(
    "args",
    [
        ["--session", "a", "-c", "x"],
        ["-c", "--repeat", "2", "x"],
        ["--session", "a", "-m", "openai:a", "-m", "openai:b", "x"],
        ["--session", "a", "--requests"],
        ["--session", "a", "--decode"],
        ["--session", "a", "--reuse", "r", "--json", "x"],
        ["--session", "a", "-L", "--resume", "r", "--json"],
        ["--session", "..", "x"],
        ["--session", "-x", "x"],
        ["--session", "a\x1b[2Jb", "x"],
        ["--session", "./", "x"],
        ["--session", "/dev/null", "x"],
    ],
)
def test_what_does_not_go_together_is_one_line(ask: Any, args: list[str]) -> None:
    ran = ask(*args, stdin=b"y")
    assert (ran.returncode, len(ran.complaints)) == (2, 1), ran.stderr
    assert not ask.server.asked
    assert "\x1b" not in ran.stderr
    ran = ask(*args, "--jsonl", stdin=b"y")
    if "--json" not in args:
        assert [each["status"] for each in ran.records] == ["usage"]


def test_a_session_that_cannot_be_written(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, more in (("./typo/s", {}), ("s", {"XDG_STATE_HOME": str(tmp_path / "file")})):
        ran = ask("--session", place, "--json", "x", **more)
        assert (ran.returncode, ran.records[-1]["status"]) == (23, "write")
        assert len(ran.complaints) == 1
    assert not ask.server.asked
    assert not (tmp_path / "typo").exists()


def test_a_session_at_a_path_needs_no_home(ask: Any, tmp_path: Path) -> None:
    nowhere = {"HOME": "", "XDG_STATE_HOME": ""}
    assert ask("--session", "./s", "one", **nowhere).returncode == 0
    assert ask("--session", "./s", "two", **nowhere).returncode == 0
    assert (tmp_path / "s").read_text().count('"role":"assistant"') == 2
    ran = ask("--session", "s", "one", **nowhere)
    said = "stream: no folder for sessions: set HOME or XDG_STATE_HOME\n"
    assert (ran.returncode, ran.stderr) == (2, said)


def test_a_damaged_session_is_not_asked(ask: Any) -> None:
    session_file().parent.mkdir(parents=True)
    session_file().write_text('{"type":"session","version":9}\n')
    ran = ask("--session", "trip", "--json", "x")
    assert (ran.returncode, ran.records[-1]["status"]) == (2, "usage")
    assert "version 9" in ran.stderr
    assert not ask.server.asked


def test_history_remembers_single_answers(ask: Any, configure: Any) -> None:
    ask("one")
    assert not session_file().parent.exists()
    configure("[defaults]\nhistory = true\n")
    ask("one")
    ask("two")
    ask("-L", stdin=b"a\nb\n")
    assert len(list(session_file().parent.glob("*.jsonl"))) == 2
    ask("-c", "three")
    assert [text for role, text in sent(ask) if role == "user"] == ["two", "three"]


def test_a_history_that_cannot_be_kept_is_a_note(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = ask("--history", "one", XDG_STATE_HOME=str(tmp_path / "file"))
    assert (ran.returncode, ran.text) == (0, WHOLE.format("one"))
    assert "not remembered" in ran.stderr


def test_a_dry_run_shows_what_was_said(ask: Any) -> None:
    ask("--session", "trip", "one")
    shown = ask("-c", "--dry-run", "two").text
    body = json.loads(shown.partition("\n\n")[2])
    assert [each["role"] for each in body["messages"]] == ["user", "assistant", "user"]
    assert len(lines()) == 3


def test_sessions_are_listed(ask: Any) -> None:
    none = ask("--list-sessions")
    assert none.text == ""
    assert none.stderr == "stream: no sessions are stored: --session NAME begins one\n"
    ask("--session", "trip", "Plan a\nweek")
    ask("--session", "other", "x" * 100)
    os.utime(session_file(), (1, 1))
    (session_file().parent / "broken.jsonl").write_bytes(b"\xff\n\x1b[2J\n")
    os.utime(session_file("broken"), (0, 0))
    first, second, third = ask("--list-sessions").text.splitlines()
    assert first.startswith("other ")
    assert second.startswith("trip ")
    assert second.endswith("  Plan a week")
    assert third.startswith("broken ")
    found = ask("--list-sessions", "--json").records
    assert [each["session"] for each in found] == ["other", "trip", "broken"]
    assert found[1]["prompt"] == "Plan a\nweek"
    assert found[1]["path"] == str(session_file())
    assert found[1]["ts"] == "1970-01-01T00:00:01.000Z"


# ---- tools and providers ------------------------------------------------------------------------


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    look = tmp_path / "look"
    script = "import json, sys; print(json.load(sys.stdin)['q'] + ': rain')"
    look.write_text(f"#!{sys.executable} -IS\n{script}\n")
    look.chmod(0o755)
    path = tmp_path / "tools.json"
    path.write_text(json.dumps([{"name": "look", "parameters": PARAMETERS, "command": ["./look"]}]))
    return path


@pytest.fixture
def providers(server: FaultServer, configure: Callable[[str], Path]) -> Callable[..., None]:
    """Configures a provider for each protocol, which gives these answers in turn."""

    def play_all(*protocols: str) -> None:
        text = ""
        for protocol in protocols:
            first, second, _ = PROTOCOLS[protocol]
            ctype = CTYPES.get(protocol, "text/event-stream")

            def play(conn: Conn, bodies: Any = (first, second), ctype: str = ctype) -> None:
                conn.reply(200, bodies[min(conn.attempt, 2) - 1], ctype=ctype)

            url = server.script(protocol, play)
            text += f'[provider.p-{protocol}]\nprotocol = "{protocol}"\nbase_url = "{url}"\n'
        configure(text)

    return play_all


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_turn_with_tools_goes_on_in_every_protocol(
    protocol: str, stream: Stream, server: FaultServer, providers: Any, tools: Path
) -> None:
    providers(protocol)
    model = ["-m", f"p-{protocol}:m"]
    ran = stream(*model, "--session", "trip", "--tools", tools, "Weather?")
    assert (ran.returncode, ran.text) == (0, "It rains."), ran.stderr
    assert [each.get("role") for each in lines()[1:]] == ["user", "assistant", "tool", "assistant"]
    ran = stream(*model, "-c", "--tools", tools, "Really?")
    assert (ran.returncode, ran.text, ran.stderr) == (0, "It rains.", "")
    ran = stream(*model, "-c", "Sure?")
    assert ran.returncode == 0, ran.stderr
    where = PROTOCOLS[protocol][2]
    _, second, third, plain = (request.json[where] for request in server.seen(protocol))
    assert third[: len(second)] == second, "calls and results go back as they did"
    added = json.dumps(third[len(second) :])
    assert added.index("It rains.") < added.index("Really?")
    text = json.dumps(plain)
    assert "Oslo: rain" in text
    assert not {'"tool_calls"', '"tool_use"', '"toolUse"', '"functionCall"'} & set(text.split(": "))
    assert '"functionResponse"' not in text
    assert '"function_call"' not in text


def test_another_provider_goes_on_with_it(
    stream: Stream, server: FaultServer, providers: Any, tools: Path
) -> None:
    providers("gemini", "anthropic", "openai-chat", "openai-responses", "ollama")
    stream("-m", "p-gemini:m", "--session", "trip", "--tools", tools, "Weather?")
    for number, protocol in enumerate(
        ("anthropic", "openai-chat", "openai-responses", "ollama"), 1
    ):
        ran = stream("-m", f"p-{protocol}:m", "-c", "--tools", tools, f"Again {number}?")
        assert (ran.returncode, ran.text) == (0, "It rains."), ran.stderr
        asked = server.seen(protocol)[0].json[PROTOCOLS[protocol][2]]
        text = json.dumps(asked)
        assert text.count("Oslo: rain") == number
        assert text.index("Weather?") < text.index("Oslo: rain") < text.index(f"Again {number}?")
    blocks = server.seen("anthropic")[0].json["messages"]
    (use,) = (
        block
        for each in blocks
        if isinstance(each["content"], list)
        for block in each["content"]
        if block["type"] == "tool_use"
    )
    assert use["id"] == "c00000000"


def test_what_a_provider_wants_back_comes_back(
    stream: Stream, server: FaultServer, configure: Any
) -> None:
    from tool_answers import anthropic, words

    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    block = (
        thought | {"thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Hm."},
    )
    body = anthropic(block, words("Hi."), reason="end_turn").replace(
        b'event: content_block_stop\ndata: {"type": "content_block_stop", "index": 0}',
        b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, "delta": '
        b'{"type": "signature_delta", "signature": "c2ln"}}\n\n'
        b'event: content_block_stop\ndata: {"type": "content_block_stop", "index": 0}',
    )
    url = server.script("think", lambda conn: conn.reply(200, body, ctype="text/event-stream"))
    row = '[provider.{}]\nprotocol = "anthropic"\nbase_url = "{}"\n'
    configure(row.format("a", url) + row.format("b", url))
    stream("-m", "a:m", "--session", "trip", "Hello")
    for model, back in (("a:m", True), ("b:m", False), ("a:other", False)):
        stream("-m", model, "--session", "trip", "More")
        content = server.seen("think")[-1].json["messages"][1]["content"]
        assert (thought in content if isinstance(content, list) else False) is back, model


def test_an_attachment_goes_with_the_conversation(
    stream: Stream, server: FaultServer, tmp_path: Path
) -> None:
    body = PROTOCOLS["openai-chat"][1]
    url = server.script("see", lambda conn: conn.reply(200, body, ctype="text/event-stream"))
    model = ["-m", "vllm:m", "--base-url", url]
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n1")
    stream(*model, "--session", "trip", "-a", "photo.png", "what?")
    kept = lines()[1]["attachments"]
    assert kept[0]["path"] == str(tmp_path / "photo.png")
    assert "data" not in kept[0]
    ran = stream(*model, "-c", "really?")
    assert ran.returncode == 0, ran.stderr
    first, second = (request.json["messages"] for request in server.seen("see"))
    assert second[0] == first[0]
    stream(*model, "--session", "piped", "-a", "-", "what?", stdin=b"\x89PNG\r\n\x1a\n2")
    assert "data" in lines("piped")[1]["attachments"][0]
