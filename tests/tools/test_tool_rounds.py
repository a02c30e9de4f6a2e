"""Tools through the process: real programs, and servers that check the second request."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Popen, Stream, eventually
from faultserver import Conn, FaultServer
from forking import Forks
from ptys import Pty
from records import parse_records
from tool_answers import PROTOCOLS, anthropic, call, chunk, sse, use, words

PARAMETERS = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
CTYPES = {
    "ollama": "application/x-ndjson",
    "bedrock": "application/vnd.amazon.eventstream",
}
TWO = sse(
    chunk(content="Let me see."),
    chunk(tool_calls=[call("look", {"q": "Oslo"}, "c1"), call("look", {"q": "Rome"}, "c2", 1)]),
    chunk("tool_calls", {"prompt_tokens": 10, "completion_tokens": 3}),
    done=True,
)
RAIN = sse(
    chunk(content=" It rains."),
    chunk("stop", {"prompt_tokens": 20, "completion_tokens": 2}),
    done=True,
)
ONE = PROTOCOLS["openai-chat"][0]


def program(path: Path, script: str) -> Path:
    """Write an executable in Python, with `arguments` from its stdin unless it reads none."""
    path.write_text(f"#!{sys.executable} -IS\nimport json, os, sys, time\n{script}\n")
    path.chmod(0o755)
    return path


def tools_file(folder: Path, *tools: dict[str, Any]) -> Path:
    path = folder / "tools.json"
    full = [{"name": "look", "parameters": PARAMETERS, **tool} for tool in tools]
    path.write_text(json.dumps(full))
    return path


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., Path]:
    """Write a tools file with the tool `look`, whose program is this script."""

    def write(script: str, **keys: Any) -> Path:
        program(tmp_path / "look", script)
        return tools_file(tmp_path, {"command": ["./look"], **keys})

    return write


@pytest.fixture
def answers(server: FaultServer) -> Callable[..., list[str]]:
    """Script the answers of a server, the last one for all that follow; return the options."""

    def script(
        *bodies: bytes, protocol: str = "openai-chat", name: str = "tools", ctype: str = ""
    ) -> list[str]:
        def play(conn: Conn) -> None:
            body = bodies[min(conn.attempt, len(bodies)) - 1]
            conn.reply(200, body, ctype=ctype or CTYPES.get(protocol, "text/event-stream"))

        return ["-m", "vllm:m", "--base-url", server.script(name, play)]

    return script


ECHO = "a = json.load(sys.stdin); print(a['q'] + ': rain')"


def results(server: FaultServer, name: str = "tools") -> list[str]:
    """Return the results that the second request sent."""
    messages = server.seen(name)[1].json["messages"]
    return [each["content"] for each in messages if each["role"] == "tool"]


def test_text_of_all_rounds_is_stdout(
    stream: Stream, answers: Any, look: Any, server: FaultServer
) -> None:
    ran = stream(*answers(TWO, RAIN), "--tools", look(ECHO), "Weather?")
    assert (ran.returncode, ran.text) == (0, "Let me see. It rains."), ran.stderr
    assert results(server) == ["Oslo: rain", "Rome: rain"]
    assert len(ran.complaints) == 2
    assert ran.complaints[0].startswith('stream: look {"q": "Oslo"} -> Oslo: rain (')
    assert ran.complaints[0].endswith(" s)")


def test_records(stream: Stream, answers: Any, look: Any) -> None:
    ran = stream(*answers(TWO, RAIN), "--tools", look(ECHO), "--jsonl", "-q", "Weather?")
    assert (ran.returncode, ran.stderr) == (0, "")
    kinds = [each["type"] for each in ran.records if each["type"] != "usage"]
    assert kinds == [
        *("start", "delta", "tool_call", "tool_call", "tool_result", "tool_result"),
        *("start", "delta", "end"),
    ]
    assert [each["round"] for each in ran.records if each["type"] == "start"] == [1, 2]
    first, second = (each for each in ran.records if each["type"] == "tool_result")
    assert (first["call_id"], first["output"], first["round"]) == ("c1", "Oslo: rain", 1)
    assert (second["is_error"], second["duration_ms"] > 0) == (False, True)
    end = ran.records[-1]
    assert (end["rounds"], end["attempts"], end["status"]) == (2, 2, "complete")
    assert (end["usage"]["input_tokens"], end["usage"]["output_tokens"]) == (30, 5)


def test_the_hash_of_a_prompt_covers_its_tools(stream: Stream, answers: Any, look: Any) -> None:
    plain = stream(*answers(RAIN), "--json", "Weather?").records[-1]
    with_tools = [*answers(RAIN), "--json", "Weather?", "--tools"]
    one, same = (stream(*with_tools, look(ECHO, timeout=n)).records[-1] for n in (5, 6))
    other = stream(*with_tools, look(ECHO, description="Look it up")).records[-1]
    hashes = [each["prompt_hash"] for each in (plain, one, same, other)]
    assert hashes[1] == hashes[2]
    assert len(set(hashes)) == 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_second_request_of_every_protocol(
    protocol: str,
    stream: Stream,
    server: FaultServer,
    answers: Any,
    look: Any,
    configure: Callable[[str], Path],
) -> None:
    first, second, where = PROTOCOLS[protocol]
    url = answers(first, second, protocol=protocol)[3]
    configure(f'[provider.p]\nprotocol = "{protocol}"\nbase_url = "{url}"\n')
    ran = stream("-m", "p:m", "--tools", look(ECHO), "Weather?")
    assert (ran.returncode, ran.text) == (0, "It rains."), ran.stderr
    asked, again = (request.json[where] for request in server.seen("tools"))
    assert again[: len(asked)] == asked
    sent = json.dumps(again[len(asked) :])
    assert sent.index('"look"') < sent.index("Oslo: rain"), "the call, and then its result"


def test_calls_of_a_round_run_together(
    stream: Stream, answers: Any, look: Any, server: FaultServer, tmp_path: Path
) -> None:
    script = (
        "q = json.load(sys.stdin)['q']\n"
        f"mine, other = (os.path.join({str(tmp_path)!r}, n) for n in "
        "((q, 'Rome') if q == 'Oslo' else (q, 'Oslo')))\n"
        "open(mine, 'w').close()\n"
        "while not os.path.exists(other): time.sleep(0.01)\nprint(q)"
    )
    ran = stream(*answers(TWO, RAIN), "--tools", look(script), "Weather?")
    assert (ran.returncode, results(server)) == (0, ["Oslo", "Rome"]), ran.stderr


def test_a_program_describes_itself(
    stream: Stream, answers: Any, server: FaultServer, tmp_path: Path
) -> None:
    said = {"name": "look", "description": "Look it up", "input_schema": PARAMETERS}
    where = program(
        tmp_path / "weather",
        f"if sys.argv[1:] == ['--schema']:\n    print({json.dumps(json.dumps(said))})\n"
        f"else:\n    {ECHO}",
    )
    ran = stream(*answers(ONE, RAIN), "--tools", where, "Weather?")
    assert (ran.returncode, results(server)) == (0, ["Oslo: rain"]), ran.stderr
    (tool,) = server.seen("tools")[0].json["tools"]
    assert tool["function"]["description"] == "Look it up"


def test_a_tool_without_a_command_is_the_callers(
    stream: Stream, answers: Any, tmp_path: Path
) -> None:
    tools = tools_file(tmp_path, {"description": "Look it up"})
    ran = stream(*answers(ONE), "--tools", tools, "--jsonl", "Weather?")
    assert ran.returncode == 0
    (made,) = (each for each in ran.records if each["type"] == "tool_call")
    assert json.loads(made["arguments"]) == {"q": "Oslo"}
    assert ran.records[-1]["finish_reason"] == "tool_calls"
    assert stream(*answers(ONE), "--tools", tools, "Weather?").returncode == 13


def test_the_rounds_run_out(stream: Stream, answers: Any, look: Any, server: FaultServer) -> None:
    ran = stream(*answers(ONE), "--tools", look(ECHO), "--max-rounds", "3", "--json", "Weather?")
    assert ran.returncode == 13
    assert (ran.records[-1]["status"], ran.records[-1]["rounds"]) == ("tool", 3)
    assert len(server.seen("tools")) == 3
    assert "--max-rounds" in ran.complaints[-1]


def test_a_choice_of_tools_is_for_the_first_request(
    stream: Stream, answers: Any, look: Any, server: FaultServer
) -> None:
    tools = look(ECHO)
    stream(*answers(ONE, RAIN), "--tools", tools, "--tool-choice", "look", "Weather?")
    first, second = (request.json for request in server.seen("tools"))
    assert first["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert "tool_choice" not in second
    ran = stream(*answers(ONE), "--tools", tools, "--tool-choice", "fly", "Weather?")
    assert ran.returncode == 2
    ran = stream(*answers(ONE), "--tool-choice", "none", "Weather?")
    assert (ran.returncode, "--tools" in ran.stderr) == (2, True)


def test_a_bad_call_goes_back_and_nothing_runs(
    stream: Stream, answers: Any, look: Any, server: FaultServer, tmp_path: Path
) -> None:
    bad = sse(chunk(tool_calls=[call("look", {"q": 7})]), chunk("tool_calls"), done=True)
    script = f"open({str(tmp_path / 'ran')!r}, 'w')"
    ran = stream(*answers(bad, RAIN), "--tools", look(script), "Weather?")
    assert ran.returncode == 0
    assert "7 is not of type" in results(server)[0]
    assert "-> error: " in ran.stderr
    assert not (tmp_path / "ran").exists()


def test_a_fallback_runs_tools_too(
    stream: Stream, answers: Any, look: Any, server: FaultServer, configure: Any
) -> None:
    good, bad = answers(ONE, RAIN)[3], server.url("status_400")
    row = '[provider.{}]\nprotocol = "openai-chat"\nbase_url = "{}"\n'
    configure(row.format("good", good) + row.format("bad", bad))
    args = ["-m", "bad:m", "--fallback", "good:m", "--tools", look(ECHO), "--jsonl", "Weather?"]
    ran = stream(*args)
    assert ran.returncode == 0, ran.stderr
    starts = [(each["provider"], each["round"]) for each in ran.records if each["type"] == "start"]
    assert starts == [("bad", 1), ("good", 1), ("good", 2)]
    assert "asking good:m" in ran.stderr


def test_a_later_round_falls_back(
    stream: Stream, look: Any, server: FaultServer, configure: Any
) -> None:
    def once(conn: Conn) -> None:
        if conn.attempt == 1:
            conn.reply(200, ONE, ctype="text/event-stream")
        else:
            conn.reply(400, {"error": {"message": "no"}})

    row = '[provider.{}]\nprotocol = "openai-chat"\nbase_url = "{}"\n'
    rest = server.script("rest", lambda conn: conn.reply(200, RAIN, ctype="text/event-stream"))
    configure(row.format("a", server.script("once", once)) + row.format("b", rest))
    ran = stream("-m", "a:m", "--fallback", "b:m", "--tools", look(ECHO), "Weather?")
    assert (ran.returncode, ran.text) == (0, " It rains."), ran.stderr
    (asked,) = server.seen("rest")
    assert [each["role"] for each in asked.json["messages"]] == ["user", "assistant", "tool"]


def test_a_race_goes_on_with_its_winner(
    stream: Stream, look: Any, server: FaultServer, configure: Any
) -> None:
    def play(conn: Conn) -> None:
        conn.reply(200, TWO if conn.attempt == 1 else RAIN, ctype="text/event-stream")

    row = '[provider.{}]\nprotocol = "openai-chat"\nbase_url = "{}"\n'
    stuck = server.url("stall_headers")
    configure(row.format("a", stuck) + row.format("b", server.script("fast", play)))
    ran = stream("--race", "-m", "a:m", "-m", "b:m", "--tools", look(ECHO), "--jsonl", "Hm?")
    assert ran.returncode == 0, ran.stderr
    starts = [(each["provider"], each["round"]) for each in ran.records if each["type"] == "start"]
    assert starts == [("b", 1), ("b", 2)]


def test_a_protocol_without_tools_is_refused(stream: Stream, look: Any, configure: Any) -> None:
    configure('[provider.p]\nprotocol = "text"\nbase_url = "http://127.0.0.1:1"\n')
    ran = stream("-m", "p:m", "--tools", look(ECHO), "Weather?")
    assert (ran.returncode, "cannot carry tools" in ran.stderr) == (2, True)


def test_recordings_and_replays_take_no_tools(stream: Stream, look: Any, answers: Any) -> None:
    tools = look(ECHO)
    ran = stream(*answers(ONE), "--tools", tools, "--record", "r", "Weather?")
    assert (ran.returncode, "--record" in ran.stderr) == (2, True)
    ran = stream("--decode", "--tools", tools, stdin=ONE)
    assert (ran.returncode, "--tools" in ran.stderr) == (2, True)


# ---- a batch ------------------------------------------------------------------------------------


def test_a_batch_runs_tools(stream: Stream, look: Any, server: FaultServer) -> None:
    def play(conn: Conn) -> None:
        messages = conn.request.json["messages"]
        if messages[-1]["role"] == "tool":
            body = sse(chunk(content=messages[-1]["content"]), chunk("stop"), done=True)
        else:
            made = call("look", {"q": messages[-1]["content"]})
            body = sse(chunk(tool_calls=[made]), chunk("tool_calls"), done=True)
        conn.reply(200, body, ctype="text/event-stream")

    args = ["-m", "vllm:m", "--base-url", server.script("all", play), "--tools", look(ECHO)]
    lines = b"".join(b"city %d\n" % number for number in range(12))
    ran = stream(*args, "-L", "-j", "3", stdin=lines)
    assert ran.returncode == 0, ran.stderr
    assert ran.text.splitlines() == [f"city {number}: rain" for number in range(12)]
    assert len(ran.complaints) == 12
    ran = stream(*args, "-L", "--json", "-q", stdin=lines)
    ends = [each for each in ran.records if each["type"] == "end"]
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {each["rounds"] for each in ends} == {2}


def test_a_batch_that_is_interrupted_kills_its_tools(
    popen: Popen, look: Any, answers: Any, tmp_path: Path
) -> None:
    process, group = _in_a_tool(popen, look, [*answers(ONE), "--repeat", "1"], tmp_path, "Weather?")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.wait() == -signal.SIGINT
    assert _gone(group)
    ends = [json.loads(line) for line in out.splitlines() if b'"end"' in line]
    assert [each["status"] for each in ends] == ["interrupted"]


# ---- signals ------------------------------------------------------------------------------------

STAY = (
    "child = os.fork()\n"
    "if child == 0:\n    time.sleep(600)\n"
    "open('pids.new', 'w').write(f'{os.getpid()} {child}')\n"
    "os.rename('pids.new', 'pids')\n"
    "time.sleep(600)"
)


def _in_a_tool(
    popen: Popen, look: Any, args: list[str], folder: Path, *words: str
) -> tuple[Any, list[int]]:
    """Start a run, and return once its tool and the tool's child run."""
    tools = look(STAY, cwd=str(folder), timeout=600)
    process = popen(*args, "--tools", tools, "--jsonl", *words)
    assert eventually((folder / "pids").exists)
    return process, [int(pid) for pid in (folder / "pids").read_text().split()]


def _alive(pid: int) -> bool:
    """Return whether it runs: one that was killed may wait for its parent to look."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def _gone(pids: list[int]) -> bool:
    return eventually(lambda: not any(_alive(pid) for pid in pids))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_kills_the_tools_and_writes_the_end(
    number: signal.Signals, popen: Popen, look: Any, answers: Any, tmp_path: Path
) -> None:
    process, group = _in_a_tool(popen, look, answers(ONE), tmp_path, "Weather?")
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.wait() == -number
    assert _gone(group)
    last = json.loads(out.splitlines()[-1])
    assert (last["type"], last["status"]) == ("end", "interrupted")


def test_no_tool_outlives_a_kill(popen: Popen, look: Any, answers: Any, tmp_path: Path) -> None:
    process, group = _in_a_tool(popen, look, answers(ONE), tmp_path, "Weather?")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert _gone(group)


# Leaves its group and its session, as daemons do.
DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 3)
    open('pids.new', 'w').write(str(os.getpid()))
    os.rename('pids.new', 'pids')
    time.sleep(600)
while not os.path.exists('pids'):
    time.sleep(0.01)
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", [0, signal.SIGINT, signal.SIGKILL])
def test_a_tool_that_became_a_daemon_does_not_outlive_us(
    number: int, popen: Popen, look: Any, answers: Any, tmp_path: Path
) -> None:
    script = DAEMON + ("time.sleep(600)" if number else "print('done')")
    process = popen(*answers(ONE, RAIN), "--tools", look(script), "--jsonl", "-n", "Weather?")
    assert eventually((tmp_path / "pids").exists)
    if number:
        process.send_signal(number)
    process.communicate(timeout=60)
    assert process.wait() == -number
    assert _gone([int((tmp_path / "pids").read_text())])


# ---- a terminal ---------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [[], ["-q"]])
def test_rounds_on_a_terminal(
    more: list[str],
    child_env: dict[str, str],
    tmp_path: Path,
    look: Any,
    answers: Any,
    forks: Forks,
) -> None:
    args = [*answers(ONE_WITH_TEXT, RAIN), "--tools", look(ECHO), *more, "Weather?"]
    shell = Pty([*map(str, args)], child_env, tmp_path, places="12", forks=forks)
    try:
        code, lines = shell.end()
    finally:
        shell.close()
    assert code == 0
    assert lines[0] == "Let me see."
    assert lines[-1] == " It rains."
    assert len(lines) == (2 if more else 3)
    assert more or lines[1].startswith("stream: look {")


ONE_WITH_TEXT = sse(
    chunk(content="Let me see."),
    chunk(tool_calls=[call("look", {"q": "Oslo"})]),
    chunk("tool_calls"),
    done=True,
)


@pytest.mark.parametrize(
    ("typed", "sent"),
    [("y\n", "Oslo: rain"), ("\n", "the user did not allow"), ("\x04", "the user did not allow")],
    ids=["yes", "nothing", "^D"],
)
def test_a_call_is_confirmed_on_the_terminal(
    typed: str,
    sent: str,
    child_env: dict[str, str],
    tmp_path: Path,
    look: Any,
    answers: Any,
    server: FaultServer,
    forks: Forks,
) -> None:
    args = [*answers(ONE, RAIN), "--tools", look(ECHO), "--confirm", "Weather?"]
    shell = Pty([*map(str, args)], child_env, tmp_path, places="12", forks=forks, terminal=1)
    try:
        shell.until(lambda lines: any('run look {"q":"Oslo"}? [y/N]' in line for line in lines))
        os.write(shell.master, typed.encode())
        _, lines = shell.end()
    finally:
        shell.close()
    assert sent in results(server)[0]
    asked, traced, answer = lines
    assert asked == f'stream: run look {{"q":"Oslo"}}? [y/N] {typed[:-1]}'.rstrip()
    assert traced.startswith('stream: look {"q":"Oslo"} -> ')
    assert answer == " It rains."


@pytest.mark.parametrize("more", [[], ["--repeat", "2", "-j", "2"]], ids=["one", "a batch"])
def test_an_interrupt_answers_the_question(
    more: list[str],
    child_env: dict[str, str],
    tmp_path: Path,
    look: Any,
    answers: Any,
    server: FaultServer,
    forks: Forks,
) -> None:
    """^C while it asks whether a call may run: nothing runs, and there is an `end` record."""
    tools = look("open('ran', 'w')", cwd=str(tmp_path))
    args = [*answers(ONE), "--tools", tools, "--confirm", "--jsonl", *more, "Weather?"]
    shell = Pty([*map(str, args)], child_env, tmp_path, places="02", forks=forks, terminal=0)
    try:
        shell.until(lambda lines: any("[y/N]" in line for line in lines))
        os.write(shell.master, b"\x03")
        code, _ = shell.end()
    finally:
        shell.close()
    assert code == -signal.SIGINT
    ends = [
        each for each in parse_records((tmp_path / "out").read_bytes()) if each["type"] == "end"
    ]
    assert {each["status"] for each in ends} == {"interrupted"}
    assert len(ends) == (2 if more else 1)
    assert not (tmp_path / "ran").exists()
    assert all(len(request.json["messages"]) == 1 for request in server.seen("tools"))


def test_without_a_terminal_nothing_is_confirmed(
    popen: Popen, look: Any, answers: Any, server: FaultServer
) -> None:
    process = popen(*answers(ONE, RAIN), "--tools", look(ECHO), "--confirm", "Weather?")
    _, err = process.communicate(timeout=60)
    assert (process.wait(), b"terminal" in err) == (2, True)
    assert not server.seen("tools")
    process = popen(*answers(ONE, RAIN), "--tools", look(ECHO, confirm=True), "Weather?")
    process.communicate(timeout=60)
    assert process.wait() == 0
    assert "did not allow" in results(server)[0]


# ---- calls without ids of their own -------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["ollama", "gemini", "openai-chat"])
def test_invented_ids_are_of_one_call_each(
    protocol: str, stream: Stream, answers: Any, look: Any, server: FaultServer, configure: Any
) -> None:
    first, second, where = PROTOCOLS[protocol]
    if protocol == "openai-chat":
        first = first.replace(b'"id": "c1"', b'"id": ""')
    url = answers(first, first, second, protocol=protocol)[3]
    configure(f'[provider.p]\nprotocol = "{protocol}"\nbase_url = "{url}"\n')
    ran = stream("-m", "p:m", "--tools", look(ECHO), "--jsonl", "Weather?")
    assert ran.returncode == 0, ran.stderr
    calls = [each["call_id"] for each in ran.records if each["type"] == "tool_call"]
    told = [each["call_id"] for each in ran.records if each["type"] == "tool_result"]
    assert calls == told
    assert len(set(calls)) == 2
    if protocol != "gemini":  # which takes no ids that are not its own
        sent = json.dumps(server.seen("tools")[2].json[where])
        assert all(sent.count(f'"{id}"') == 2 for id in calls)


# ---- a provider's own tools ---------------------------------------------------------------------


def test_a_turn_that_anthropic_pauses_goes_on_without_tools_of_ours(
    stream: Stream, answers: Any, server: FaultServer, configure: Any
) -> None:
    search = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    block = search, {"type": "input_json_delta", "partial_json": '{"query":"x"}'}
    paused = anthropic(words("I search. "), block, reason="pause_turn")
    calls = anthropic(words("It rains."), use("c1", "mine", "{}"), reason="tool_use")
    base = answers(paused, calls, protocol="anthropic")[3]
    own = '[{"type": "web_search_20260209", "name": "web_search"}, {"name": "mine"}]'
    args = ["-m", "anthropic:m", "--base-url", base, "-o", f"tools={own}", "--jsonl"]
    env = {"ANTHROPIC_API_KEY": "k"}
    run = stream(*args, "Weather?", env=env)
    end = run.records[-1]
    assert (run.returncode, end["rounds"], end["finish_reason"]) == (0, 2, "tool_calls")
    assert [each["name"] for each in run.records if each["type"] == "tool_call"] == ["mine"]
    first, second = (request.json for request in server.seen("tools"))
    text = {"type": "text", "text": "I search. "}
    said = {"role": "assistant", "content": [text, search]}
    assert second == {**first, "messages": [*first["messages"], said]}
    base = answers(paused, protocol="anthropic", name="more")[3]
    forever = stream("-m", "anthropic:m", "--base-url", base, *args[4:], "Weather?", env=env)
    assert (forever.returncode, forever.records[-1]["status"]) == (18, "truncated")
    assert len(server.seen("more")) == 8


# ---- thoughts before a call, where Chat Completions' servers want them back ---------------------


def _thoughtful(*deltas: dict[str, Any]) -> bytes:
    # Mistral's calls have nine characters as their id, and neither an index nor a type.
    made = {"id": "D681PevKs", "function": {"name": "look", "arguments": '{"q": "Oslo"}'}}
    return sse(*(chunk(**each) for each in deltas), chunk("tool_calls", tool_calls=[made]))


MISTRALS = [
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "m."}]}]},
]
DEEPSEEKS = [{"reasoning_content": "Hm"}, {"reasoning_content": "m."}]
SAID = {"content": "I look."}
THOUGHTS = {"type": "thinking", "thinking": [{"type": "text", "text": "Hmm."}]}


@pytest.mark.parametrize(
    ("provider", "deltas", "sent"),
    [
        ("mistral", MISTRALS, {"content": [THOUGHTS]}),
        (
            "mistral",
            [*MISTRALS, SAID],
            {"content": [THOUGHTS, {"type": "text", "text": "I look."}]},
        ),
        ("mistral", [SAID], {"content": "I look."}),
        ("deepseek", DEEPSEEKS, {"content": "", "reasoning_content": "Hmm."}),
        ("deepseek", [*DEEPSEEKS, SAID], {"content": "I look.", "reasoning_content": "Hmm."}),
        ("deepseek", [SAID], {"content": "I look.", "reasoning_content": ""}),
        ("vllm", DEEPSEEKS, {"content": "", "reasoning_content": "Hmm."}),  # as it came
        ("vllm", [SAID], {"content": "I look."}),
    ],
)
def test_thoughts_go_back_with_their_call(
    stream: Stream,
    answers: Any,
    look: Any,
    server: FaultServer,
    provider: str,
    deltas: list[dict[str, Any]],
    sent: dict[str, Any],
) -> None:
    args = [*answers(_thoughtful(*deltas), RAIN), "-m", f"{provider}:m"][2:]
    env = {"MISTRAL_API_KEY": "k", "DEEPSEEK_API_KEY": "k"}
    ran = stream(*args, "--tools", look(ECHO), "--think", "Weather?", env=env)
    assert ran.returncode == 0, ran.stderr
    first, second = (request.json["messages"] for request in server.seen("tools"))
    call = {"id": "D681PevKs", "type": "function"}
    call |= {"function": {"name": "look", "arguments": '{"q": "Oslo"}'}}
    assert second == [
        *first,
        {"role": "assistant", **sent, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "D681PevKs", "content": "Oslo: rain"},
    ]
