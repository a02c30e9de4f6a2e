"""--on-drop continue: the spliced answer repeats and misses no character."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from conftest import Stream
from faultserver import Conn, FaultServer
from turns import DONE, FOREVER, ROLE, STOP, USAGE, Read, Run, text

from streamcli.answer.continuation import Continuation
from streamcli.errors import StreamError
from streamcli.events import Finished, Reasoning, Retry, Text, ToolCall, Usage
from streamcli.limits import Limits
from streamcli.messages import ChatRequest, Message
from streamcli.protocols._contract import get
from streamcli.request import HttpRequest, Target

ANSWER = "Once upon a time,  in a land\n\nfar away, lived a 🐉 who liked tea. "
PREFILL = ("vllm", "llamacpp", "mistral", "deepseek")


def chat(prefill: str | None = None) -> ChatRequest:
    return ChatRequest("m", [Message("user", "hi")], prefill=prefill, seed=7)


def test_the_text_so_far_is_the_beginning() -> None:
    continuation = Continuation()
    assert continuation.with_prefill(chat()) is None
    continuation.join([Reasoning("hm"), Text("Once"), Text("other", 1), Text(" upon \n")])
    again = continuation.with_prefill(chat("So: "))
    assert again is not None
    assert (again.prefill, again.seed) == ("So: Once upon", 7)
    assert continuation.join([Text(" "), Reasoning("r"), Text("\n  a")]) == [
        Reasoning("r"),
        Text("  a"),
    ]
    assert continuation.join([Text(" \n")]) == [Text(" \n")]


@pytest.mark.parametrize("again", [" \nb", "b", " b", "\nb", " ", ""])
def test_white_space_that_comes_again_is_dropped_once(again: str) -> None:
    continuation = Continuation()
    continuation.join([Text("a \n")])
    continuation.with_prefill(chat())
    events = continuation.join([Text(char) for char in again])
    text = "".join(e.text for e in events if isinstance(e, Text))
    dropped = next(n for n in (2, 1, 0) if " \n"[:n] == again[:n])
    assert text == again[dropped:]


def breaks(cuts: tuple[int, ...], how: str, lstrips: bool = False):  # noqa: ANN201
    """A server that goes on from the beginning it is given, and breaks off after each cut."""

    def play(conn: Conn) -> None:
        last = conn.request.json["messages"][-1]
        begun = last["content"] if last["role"] == "assistant" else ""
        rest = ANSWER[len(begun) :]
        if lstrips:
            rest = rest.lstrip() if begun else rest
        if conn.attempt <= len(cuts):
            rest = rest[: cuts[conn.attempt - 1]]
        if how == "stall":
            conn.open_at_once(*rest)
        else:
            conn.open_with(*rest)
        if conn.attempt > len(cuts):
            conn.finish()
            conn.usage()
            conn.done()
            conn.end()
        elif how == "rst":
            conn.reset()
        elif how == "fin":
            conn.fin()
        elif how == "end":
            conn.end()
        else:
            conn.wait_peer_closed(60)

    return play


def resumed(request: HttpRequest) -> str:
    """The rest of ANSWER, behind the beginning that a request gives."""
    last = json.loads(request.body)["messages"][-1]
    return ANSWER[len(last["content"]) :] if last["role"] == "assistant" else ANSWER


def broken_off(cut: int, end: Read) -> Callable[[HttpRequest], list[Read]]:
    """An attempt that gives `cut` characters of the rest, and breaks off."""
    return lambda request: [(0, ROLE), *((0, text(c)) for c in resumed(request)[:cut]), end]


def rest(request: HttpRequest) -> list[Read]:
    return [*((0.0, text(c)) for c in resumed(request)), (0, STOP + USAGE + DONE)]


# How an answer breaks off, and the kind of the failure.
BREAKS: dict[str, tuple[Read, str]] = {
    "lost": ((0, StreamError("lost", "the connection was lost", transient=True)), "truncated"),
    "end": ((0, b""), "truncated"),
    "stall": ((FOREVER, b""), "idle_timeout"),
}
CUTS = [(at,) for at in range(1, len(ANSWER))] + [(6, 5), (17, 3, 1), (18, 12), (1,) * 8]


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_answer_is_spliced_at_every_cut(how: str) -> None:
    end, kind = BREAKS[how]
    for cuts in CUTS:
        target = Target("vllm", "openai-chat", "http://h/v1", quirks={"prefill": ({}, {})})
        attempts = [broken_off(cut, end) for cut in cuts]
        run = Run(*attempts, rest, target=target, limits=Limits(max_retries=9), continues=True)
        run.finished("finish_reason", "marker")
        assert run.text == ANSWER, cuts
        retries = [event.error.kind for event in run.events if isinstance(event, Retry)]
        assert retries == [kind] * len(cuts)
        assert (run.outcome.attempts, run.outcome.chars) == (len(cuts) + 1, len(ANSWER))
        assert run.outcome.usage == Usage(), "the usage of the last part alone is too little"
        assert run.outcome.timings()["tokens_per_second"] is None


def test_an_answer_with_a_tool_call_is_not_continued() -> None:
    """The model would make the call once more."""
    target = Target("vllm", "openai-chat", "http://h/v1", quirks={"prefill": ({}, {})})
    continuation = Continuation()
    continuation.join([Text("Let me see.")])
    assert continuation.request(get("openai-chat"), chat(), target, None) is not None
    continuation.join([ToolCall("c", "look", "{}")])
    assert continuation.request(get("openai-chat"), chat(), target, None) is None


@pytest.mark.parametrize("how", ["rst", "stall"])
def test_a_broken_answer_is_spliced(server: FaultServer, stream: Stream, how: str) -> None:
    url = server.script("breaks", breaks((18,), how))
    args = ("-m", "vllm:m", "--base-url", url, "--on-drop", "continue", "--idle-timeout", "1")
    run = stream(*args, "--events", "e.jsonl", "hi")
    assert (run.returncode, run.text) == (0, ANSWER)
    assert "trying again" in run.stderr


def test_a_server_that_drops_the_white_space_loses_none(
    server: FaultServer, stream: Stream
) -> None:
    url = server.script("strips", breaks((19,), "rst", lstrips=True))
    run = stream("-m", "vllm:m", "--base-url", url, "--on-drop", "continue", "hi")
    assert run.text == ANSWER


@pytest.mark.parametrize("provider", PREFILL)
def test_each_provider_gets_its_own_form(
    server: FaultServer, stream: Stream, provider: str
) -> None:
    url = server.script("form", breaks((6,), "rst"))
    env = {"MISTRAL_API_KEY": "k", "DEEPSEEK_API_KEY": "k"}
    args = ("-m", f"{provider}:m", "--base-url", url, "--on-drop", "continue", "hi")
    assert stream(*args, env=env).text == ANSWER
    sent = server.requests[-1].json
    last = sent["messages"][-1]
    assert (last["role"], last["content"]) == ("assistant", ANSWER[:6])
    assert last.get("prefix", False) is (provider in ("mistral", "deepseek"))
    assert sent.get("continue_final_message", False) is (provider == "vllm")


def test_where_there_is_no_way_it_fails_as_usual(server: FaultServer, stream: Stream) -> None:
    url = server.script("none", breaks((6,), "rst"))
    env = {"OPENAI_API_KEY": "k"}
    run = stream("-m", "openai:m", "--base-url", url, "--on-drop", "continue", "hi", env=env)
    assert (run.returncode, run.text) == (18, ANSWER[:6])
    assert len(server.requests) == 1
    server.clear()
    run = stream("-m", "vllm:m", "--base-url", server.script("n", breaks((6,), "rst")), "hi")
    assert run.returncode == 18, "not without being asked to"
    assert len(server.requests) == 1


def test_retries_are_not_endless(server: FaultServer, stream: Stream) -> None:
    url = server.script("endless", breaks((1,) * 9, "rst"))
    args = ("-m", "vllm:m", "--base-url", url, "--on-drop", "continue", "--max-retries", "2")
    run = stream(*args, "hi")
    assert (run.returncode, run.text) == (18, ANSWER[:3])
    assert len(server.requests) == 3


def test_a_refused_continuation_leaves_the_answer_truncated(
    server: FaultServer, stream: Stream
) -> None:
    def play(conn: Conn) -> None:
        if conn.attempt == 1:
            breaks((6,), "rst")(conn)
        else:
            conn.reply(400, {"error": {"message": "no prefill here"}})

    url = server.script("refuses", play)
    run = stream("-m", "vllm:m", "--base-url", url, "--on-drop", "continue", "--json", "hi")
    (end,) = run.records
    assert (end["status"], end["text"]) == ("truncated", ANSWER[:6])
    assert "no prefill here" in end["error"]["message"]


def test_a_model_that_writes_it_once_more_is_not_repeated(
    server: FaultServer, stream: Stream
) -> None:
    def play(conn: Conn) -> None:
        conn.head()
        conn.role()
        for char in ANSWER if conn.attempt == 2 else ANSWER[:30]:
            conn.delta(char)
        if conn.attempt == 1:
            conn.reset()
            return
        conn.finish()
        conn.done()
        conn.end()

    url = server.script("again", play)
    run = stream("-m", "vllm:m", "--base-url", url, "--on-drop", "continue", "hi")
    assert (run.returncode, run.text) == (0, ANSWER)


def test_a_beginning_like_the_old_one_is_not_lost() -> None:
    continuation = Continuation()
    said = "0123456789abcdef and more"
    continuation.join([Text(said)])
    continuation.with_prefill(chat())
    events = continuation.join([Text("0123456789"), Text("abcdef and"), Text(" less")])
    assert "".join(e.text for e in events if isinstance(e, Text)) == "0123456789abcdef and less"
    continuation.with_prefill(chat())
    end = Finished("stop", "stop", ("finish_reason",))
    assert continuation.join([Text("0123"), end]) == [Text("0123"), end]


def sequence(texts: list[str]) -> list[bytes]:
    """A whole background response, an event a line, numbered from 0."""
    about = {"id": "resp_1", "model": "m", "status": "in_progress", "output": []}
    events: list[dict[str, object]] = [{"type": "response.created", "response": about}]
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events += [{"type": "response.output_text.delta", "delta": t, **place} for t in texts]
    done = {**about, "status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2}}
    events.append({"type": "response.completed", "response": done})
    numbered = [{**event, "sequence_number": n} for n, event in enumerate(events)]
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in numbered]


def test_a_background_response_is_attached_to_again(server: FaultServer, stream: Stream) -> None:
    events = sequence(list(ANSWER))

    def play(conn: Conn) -> None:
        conn.head()
        if conn.request.method == "POST":
            assert conn.request.json["background"] is True
            start, stop = 0, 9
        else:
            path, _, query = conn.request.path.partition("?")
            assert path.endswith("/v1/responses/resp_1")
            fields = dict(field.split("=") for field in query.split("&"))
            assert fields["stream"] == "true"
            start = int(fields["starting_after"]) + 1
            stop = 20 if conn.attempt == 2 else len(events)
            start -= 2 if conn.attempt == 3 else 0  # a server that repeats some of it
        for event in events[start:stop]:
            conn.chunk(event)
        if stop < len(events):
            conn.reset()
        else:
            conn.end()

    env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.script("resp", play)}
    args = ("-m", "openai-responses:m", "--on-drop", "continue", "--jsonl", "hi")
    run = stream(*args, env=env)
    assert run.returncode == 0, run.stderr
    assert "".join(r["text"] for r in run.records if r["type"] == "delta") == ANSWER
    assert [request.method for request in server.requests] == ["POST", "GET", "GET"]
    end = run.records[-1]
    assert (end["attempts"], end["status"], end["response_id"]) == (3, "complete", "resp_1")


def test_anthropic_and_ollama_go_on_from_a_beginning(server: FaultServer, stream: Stream) -> None:
    def begun(conn: Conn) -> str:
        last = conn.request.json["messages"][-1]
        said = last["content"] if last["role"] == "assistant" else ""
        return said if isinstance(said, str) else "".join(part["text"] for part in said)

    def anthropic(conn: Conn) -> None:
        conn.head()
        rest = ANSWER[len(begun(conn)) :]
        about = {"id": "msg_1", "model": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}
        conn.event({"type": "message_start", "message": about})
        conn.event({"type": "content_block_start", "index": 0, "content_block": {"type": "text"}})
        for char in rest if conn.attempt == 2 else rest[:24]:
            delta = {"type": "text_delta", "text": char}
            conn.event({"type": "content_block_delta", "index": 0, "delta": delta})
        if conn.attempt == 1:
            conn.reset()
            return
        conn.event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}})
        conn.event({"type": "message_stop"})
        conn.end()

    def ollama(conn: Conn) -> None:
        conn.head(ctype="application/x-ndjson")
        rest = ANSWER[len(begun(conn)) :]
        for char in rest if conn.attempt == 2 else rest[:24]:
            conn.chunk(json.dumps({"message": {"content": char}, "done": False}).encode() + b"\n")
        if conn.attempt == 1:
            conn.reset()
            return
        conn.chunk(b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n')
        conn.end()

    for provider, play in (("anthropic", anthropic), ("ollama", ollama)):
        url = server.script(provider, play).removesuffix("/v1")
        args = ("-m", f"{provider}:m", "--base-url", url, "--on-drop", "continue", "hi")
        run = stream(*args, env={"ANTHROPIC_API_KEY": "k"})
        assert (run.returncode, run.text) == (0, ANSWER), (provider, run.stderr)
