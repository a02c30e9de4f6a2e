"""A2A, both versions: what its streams mean, how they end, what requests look like."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from queue import Queue
from random import Random
from typing import Any
from uuid import UUID

import pytest
from conftest import Popen, Stream
from contracts import check_ends, mutated
from faultserver import Conn, FaultServer
from splits import bytewise, decode, merged, sampled, some_two, whole

from streamcli.answer.assistant_message import assistant_message
from streamcli.conversation.turn_messages import TurnMessages
from streamcli.errors import StreamError
from streamcli.events import (
    Citation,
    Event,
    Failed,
    Finished,
    Opaque,
    Reasoning,
    Started,
    Text,
    ToolCall,
    ToolResult,
)
from streamcli.messages import Attachment, ChatRequest, Message, Tool
from streamcli.protocols._contract import Cancels, get
from streamcli.protocols._detect import AutoDecoder, protocol_of
from streamcli.providers.list_models import models_url
from streamcli.providers.providers import Providers
from streamcli.request import HttpRequest, Target
from streamcli.settings.config_file import load

NAME = "a2a"
PROVED = ("finish_reason", "marker")
PNG = Attachment("cat.png", "image/png", b"\x89PNG")
LINK = Attachment("", "", url="https://h/a")
HI = Message("user", "hi")
IDS = {"taskId": "t1", "contextId": "c1"}


# Results of 0.3, and the same things of 1.0


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"kind": "text", "text": words, **more}


def artifact(*parts: Any, append: bool | None = False, id: str = "a", **more: Any) -> Any:
    flags = {} if append is None else {"append": append}
    inner = {"artifactId": id, "parts": list(parts)}
    return {"kind": "artifact-update", **IDS, **flags, "artifact": inner, **more}


def said(words: str) -> dict[str, Any]:
    return {"kind": "message", "messageId": "m9", "role": "agent", "parts": [text(words)]}


def status(state: str, words: str = "", final: bool = False) -> Any:
    message = {"message": said(words)} if words else {}
    inner = {"state": state, "timestamp": "2026-01-01T00:00:00Z", **message}
    return {"kind": "status-update", **IDS, "final": final, "status": inner}


def task(state: str, *artifacts: Any, words: str = "") -> Any:
    inner = [each["artifact"] for each in artifacts]
    update = status(state, words)["status"]
    asked = {**said("the prompt"), "role": "user"}
    more = {"history": [asked, said("told before")], "artifacts": inner}
    return {"kind": "task", "id": "t1", "contextId": "c1", "status": update, **more}


def new(result: dict[str, Any]) -> dict[str, Any]:
    """A result of 0.3 as 1.0 writes it: a wrapper, other enums, nothing that is false."""
    names = {"artifact-update": "artifactUpdate", "status-update": "statusUpdate"}
    states = {"state": lambda word: "TASK_STATE_" + word.upper().replace("-", "_")}

    def inner(value: Any) -> Any:
        if isinstance(value, list):
            return [inner(item) for item in value]
        if not isinstance(value, dict):
            return value
        plain = {k: states.get(k, inner)(v) for k, v in value.items() if v not in (False, [])}
        return {k: v for k, v in plain.items() if k not in ("kind", "final")}

    return {names.get(result["kind"], result["kind"]): inner(result)}


# What Tyler's server sends for an answer in three chunks
TYLER = (
    status("working"),
    artifact(text("Hel"), lastChunk=False),
    artifact(text("lo\n"), append=True, lastChunk=False),
    artifact(text(" 😀"), append=True, lastChunk=False),
    artifact(append=True, lastChunk=True),
    status("completed", final=True),
)


def rpc(result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": result}


def wire(*values: Any) -> bytes:
    """As the Python server writes: CRLF, and a ping now and then."""
    lines = (f"data: {json.dumps(value, ensure_ascii=False)}\r\n\r\n" for value in values)
    return (": ping - 2026-01-01\r\n\r\n".join(lines)).encode()


def read(data: bytes) -> list[Event]:
    """Its events but for the ids of the conversation, the same however the bytes are cut."""
    found = decode(get(NAME).Decoder(), whole(data))
    for pieces in some_two(data) if len(data) < 4000 else sampled(data, 20):
        assert decode(get(NAME).Decoder(), pieces) == found
    return [event for event in found if not isinstance(event, Opaque)]


def events(*results: Any) -> list[Event]:
    """What both versions make of these results; only the states' names differ."""
    found = read(wire(*map(rpc, results)))
    newer = read(wire(*(rpc(new(result)) for result in results)))
    assert newer[:-1] == found[:-1]
    end, other = found[-1], newer[-1]
    if isinstance(end, Finished) and isinstance(other, Finished):
        assert (end.reason, bool(end.raw)) == (other.reason, bool(other.raw))
    else:
        assert end == other
    return found


def told(found: list[Event], channel: type[Event] = Text) -> str:
    return "".join(event.text for event in found if type(event) is channel)  # type: ignore[attr-defined]


# What an answer says


def test_tylers_answer() -> None:
    assert events(*TYLER) == [
        Started("", "t1"),
        Text("Hel"),
        Text("lo\n"),
        Text(" 😀"),
        Finished("stop", "completed", PROVED),
    ]


def test_the_state_is_told_in_the_agents_own_word() -> None:
    *_, end = read(wire(*(rpc(new(result)) for result in TYLER)))
    assert end == Finished("stop", "TASK_STATE_COMPLETED", PROVED)


def test_it_ends_at_the_marker_even_if_the_server_holds_on() -> None:
    for results in (TYLER, [new(result) for result in TYLER]):
        decoder = get(NAME).Decoder()
        found = decoder.feed(wire(*map(rpc, results)))
        assert isinstance(found[-1], Finished)
        assert decoder.ended


def test_a_whole_answer() -> None:
    """What message/send gives: one JSON object."""
    sent = task("completed", artifact(text("Hel"), text("lo")), artifact(text("!"), id="b"))
    for result in (sent, new(sent)):
        found = read(json.dumps(rpc(result)).encode())
        assert found[:-1] == [Started("", "t1"), Text("Hello"), Text("!")]
        assert isinstance(found[-1], Finished)
        assert (found[-1].reason, found[-1].evidence) == ("stop", PROVED)


def test_a_message_is_all_there_is() -> None:
    assert events(said("Just this")) == [
        Started("", "m9"),
        Text("Just this"),
        Finished(None, None, ("marker",)),
    ]
    assert events({**said("x"), "taskId": "t1"})[0] == Started("", "t1")
    assert events(status("working"), said("x"))[1:] == [
        Text("x"),
        Finished(None, None, ("marker",)),
    ]


def test_what_is_said_on_the_way_is_reasoning() -> None:
    found = events(
        task("submitted"),
        status("working", "Looking it up"),
        status("working", "Reading"),
        *TYLER[1:-1],
        status("completed", "Done.", final=True),
    )
    assert told(found, Reasoning) == "Looking it upReadingDone."
    assert told(found) == "Hello\n 😀"


def test_a_last_message_is_the_answer_if_there_is_no_other() -> None:
    found = events(status("working", "Wait"), status("completed", "Forty-two", final=True))
    assert (told(found), told(found, Reasoning)) == ("Forty-two", "Wait")
    found = events(task("completed", words="Forty-two"))
    assert told(found) == "Forty-two"


def test_a_question_ends_the_turn() -> None:
    found = events(*TYLER[:-1], status("input-required", " Which one?", final=True))
    assert told(found) == "Hello\n 😀 Which one?"
    assert found[-1] == Finished("stop", "input-required", PROVED)


def test_0_3_may_end_without_a_last_word() -> None:
    """The state is there, `final` is not: the stream may go on, and its end is the end."""
    decoder = get(NAME).Decoder()
    found = decoder.feed(wire(rpc(TYLER[1]), rpc(status("input-required", "?"))))
    assert (decoder.ending, decoder.ended, told(found)) == (True, False, "Hel?")
    assert decoder.close() == [Finished("stop", "input-required", ("finish_reason", "eof"))]
    late = read(wire(*map(rpc, (status("completed"), TYLER[1], status("completed", final=True)))))
    assert told(late) == "Hel"
    *_, cut = read(wire(*map(rpc, (status("input-required", "?"), status("working")))))
    assert isinstance(cut, Failed)
    assert cut.kind == "truncated"
    lost = get(NAME).Decoder()
    lost.feed(wire(rpc(status("completed"))))
    (end,) = lost.close(Failed("lost", "gone"))
    assert end == Finished("stop", "completed", ("finish_reason", "transport_error"))


def test_0_3_may_end_in_any_state() -> None:
    found = read(wire(rpc(status("working", "All I know", final=True))))
    assert found[1:] == [Text("All I know"), Finished("other", "working", ("marker",))]


def test_a_task_that_is_not_over_is_no_answer() -> None:
    for state in ("submitted", "working", "unknown"):
        found = events(task(state, artifact(text("so far"))))
        assert (told(found), found[-1].status) == ("so far", "truncated")  # type: ignore[attr-defined]


# Artifacts


def artifacts(*given: Any) -> str:
    return told(events(*given, status("completed", final=True)))


def test_an_artifact_sent_anew_gives_what_is_new_of_it() -> None:
    one, two = artifact(text("One")), artifact(text("One, two"))
    assert artifacts(one, two, artifact(text("One, two, three"))) == "One, two, three"
    assert artifacts(one, artifact(text(", two"), append=True), two) == "One, two"
    assert artifacts(one, one, one) == "One"
    assert artifacts(one, task("working", one), two) == "One, two"
    assert artifacts(*TYLER[1:-1], task("working", artifact(text("Hello\n 😀 you")))) == (
        "Hello\n 😀 you"
    )
    assert artifacts(one, artifact(text("Other"), id="b"), two) == "OneOther, two"


def test_what_replaces_other_words_is_given_whole() -> None:
    """It cannot be taken back, and nothing is put between."""
    assert artifacts(artifact(text("Draft")), artifact(text("Final"))) == "DraftFinal"
    assert artifacts(artifact(text("Draft")), artifact(text("Dr"))) == "DraftDr"
    changed = (artifact(text("Draft")), artifact(text("Final")), artifact(text("Final word")))
    assert artifacts(*changed) == "DraftFinal word"


def test_chunks_that_do_not_say_append() -> None:
    """What `append` is by itself is false; such agents mean it otherwise, and are understood."""
    chunks = [artifact(text(word), append=None) for word in ("Once ", "upon ", "a time")]
    assert artifacts(*chunks) == "Once upon a time"


def test_nothing_stands_between_artifacts_and_parts() -> None:
    given = (artifact(text("a"), text("b")), artifact(text("c"), id="b"), artifact(id="c"))
    assert artifacts(*given) == "abc"


def test_half_characters_are_joined_and_count_as_whole_ones() -> None:
    first, second = artifact(text("a\ud83d")), artifact(text("\ude00b"), append=True)
    data = wire(*map(rpc, (status("working"),)))
    for value in (first, second, artifact(text("a😀b!")), status("completed", final=True)):
        data += f"data: {json.dumps(rpc(value))}\n\n".encode()
    found = read(data)
    assert [event for event in found if isinstance(event, Text)] == [
        Text("a"),
        Text("😀b"),
        Text("!"),
    ]


def test_data_is_json_and_a_file_is_cited() -> None:
    data = {"kind": "data", "data": {"n": [1, None], "é": "x"}}
    file = {"name": "report.pdf", "mimeType": "application/pdf", "uri": "https://h/r.pdf"}
    bytes_ = {"kind": "file", "file": {"bytes": "QUJD", "name": "a.bin"}}
    found = read(wire(rpc(artifact(data, {"kind": "file", "file": file}, bytes_, text("!")))))
    cited = Citation("https://h/r.pdf", "report.pdf")
    assert found[1:-1] == [cited, Text('{"n":[1,null],"é":"x"}!')]
    link = {"url": "https://h/r.pdf", "filename": "report.pdf", "mediaType": "application/pdf"}
    parts = [{"data": {"n": 1}}, link, {"raw": "QUJD"}, {"data": None}, {"data": "words"}]
    update = {"artifactUpdate": {"taskId": "t", "artifact": {"artifactId": "a", "parts": parts}}}
    found = read(wire(rpc(update)))
    assert found[1:-1] == [cited, Text('{"n":1}words')]


def test_what_is_marked_as_thought_is_reasoning() -> None:
    thought = text("Hmm. ", metadata={"adk_thought": True})
    found = events(artifact(thought, text("Yes")), artifact(thought, text("Yes!")), TYLER[-1])
    assert (told(found), told(found, Reasoning)) == ("Yes!", "Hmm. ")
    plain = text("Yes", metadata={"adk_thought": False, "x": 1})
    assert artifacts(artifact(plain)) == "Yes"


def test_a_long_answer_is_not_kept() -> None:
    import tracemalloc

    decoder = get(NAME).Decoder()
    chunk = wire(*[rpc(artifact(text("x" * 1000), append=True))] * 20)
    decoder.feed(chunk)
    tracemalloc.start()
    for _ in range(100):
        decoder.feed(chunk)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100_000  # of two million


# How it goes wrong


@pytest.mark.parametrize(
    ("state", "kind", "message"),
    [
        ("failed", "stream_error", "the agent's task failed"),
        ("canceled", "stream_error", "the agent's task was canceled"),
        ("rejected", "rejected", "the agent rejected the task"),
        ("auth-required", "auth", "the agent wants credentials"),
    ],
)
def test_a_task_that_fails(state: str, kind: str, message: str) -> None:
    *kept, end = events(*TYLER[:2], status(state, "because\nof  it", final=True), TYLER[-1])
    assert kept == [Started("", "t1"), Text("Hel")]
    assert isinstance(end, Failed)
    assert (end.kind, end.message) == (kind, f"{message}: because of it")
    for failed in (status(state), task(state)):
        end = events(failed)[-1]
        assert isinstance(end, Failed)
        assert (end.kind, end.message) == (kind, message)


PYDANTIC = [{"type": "int", "loc": ["params", "x"], "msg": "Input should be a valid integer"}]
GOOGLE = [
    {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "INVALID_PARAMS",
        "metadata": {},
    },
    {"@type": "x", "fieldViolations": [{"field": "message.role", "message": "Field is required."}]},
]


@pytest.mark.parametrize(
    ("code", "data", "kind", "message", "hint"),
    [
        (-32700, None, "rejected", "said", ""),
        (-32600, "2 errors\n  for it", "rejected", "said: 2 errors for it", ""),
        (-32601, None, "rejected", "said", "-H A2A-Version:1.0"),
        (-32602, PYDANTIC, "rejected", "said: Input should be a valid integer", ""),
        (-32602, GOOGLE, "rejected", "said: message.role: Field is required.", ""),
        (-32602, [{"metadata": {"parseError": "no"}}], "rejected", "said: no", ""),
        (-32603, {}, "stream_error", "said", ""),
        (-32001, None, "rejected", "said", ""),
        (-32004, None, "rejected", "said", "--no-stream"),
        (-32005, None, "rejected", "said", ""),
        (-32006, None, "stream_error", "said", ""),
        (-32007, None, "rejected", "said", ""),
        (-32009, None, "rejected", "said", "-H A2A-Version:1.0"),
        (-32050, None, "stream_error", "said", ""),
        ([], None, "stream_error", "said", ""),
    ],
)
def test_json_rpc_errors(code: Any, data: Any, kind: str, message: str, hint: str) -> None:
    error = {"code": code, "message": "said"} | ({} if data is None else {"data": data})
    value = {"jsonrpc": "2.0", "id": 1, "error": error}
    for body in (
        json.dumps(value).encode(),
        wire(value),
        b"event: error\r\n" + wire(value),
        wire(rpc(TYLER[1]), value, rpc(TYLER[-1])),
    ):
        end = read(body)[-1]
        assert isinstance(end, Failed)
        assert (end.kind, end.message) == (kind, message)
        assert hint in end.hint


def test_an_agent_that_is_too_busy_may_be_asked_again() -> None:
    error = {"code": -32603, "message": "the model is overloaded"}
    (end,) = read(json.dumps({"jsonrpc": "2.0", "error": error}).encode())
    assert isinstance(end, Failed)
    assert end.transient


def test_a_cut_answer_is_truncated() -> None:
    for form in (lambda result: result, new):
        data = wire(*(rpc(form(result)) for result in TYLER))
        starts = [at for at in range(len(data)) if data.startswith(b"data:", at)]
        for cut in (*starts[1:], starts[-1] + 40):
            *_, end = decode(get(NAME).Decoder(), whole(data[:cut]))
            assert isinstance(end, Failed), cut
            assert end.status == "truncated"
        decoder = get(NAME).Decoder()
        decoder.feed(data[: starts[-1]])
        (end,) = decoder.close(Failed("lost", "the connection was lost"))
        assert isinstance(end, Failed)
        assert (end.status, end.evidence) == ("truncated", ("transport_error",))


@pytest.mark.parametrize(
    "body",
    [
        '{"jsonrpc":"2.0","id":1,"result":{}}',
        '{"jsonrpc":"2.0","id":1,"result":null}',
        '{"jsonrpc":"2.0","id":1,"result":{"kind":["task"],"task":[]}}',
        '{"message":{"parts":[{"text":"not JSON-RPC"}]}}',
        "<html>login</html>",
    ],
)
def test_what_is_no_answer(body: str) -> None:
    (end,) = read(body.encode())
    assert isinstance(end, Failed)
    assert end.kind == "not_a_stream"


def test_what_it_does_not_know_is_tolerated() -> None:
    odd = [{"kind": "new-thing", "parts": 1}, {"kind": "artifact-update", "artifact": 7}]
    odd += [{"kind": "status-update", "status": "x"}, {"kind": "task", "artifacts": [1, {}]}]
    odd += [artifact(1, {"text": None}, {"file": 3}, {"url": 4}, {"data": None})]
    odd += [{"kind": "status-update", "status": {"state": ["x"], "message": "y"}}]
    found = read(wire(*map(rpc, (*odd, *TYLER)), "x", 1, None))
    assert told(found) == "Hello\n 😀"
    assert isinstance(found[-1], Finished)


def test_junk_of_its_own_never_raises() -> None:
    random = Random(20261120)
    given = (
        *TYLER,
        task("working", TYLER[1], words="x"),
        artifact({"data": {"a": [1]}}, {"url": "u"}),
    )
    bodies = [wire(*map(rpc, given)), wire(*(rpc(new(result)) for result in given))]
    bodies += [
        json.dumps(rpc(given[-2])).encode(),
        wire({"error": {"code": -32602, "data": GOOGLE}}),
    ]
    for number in range(1200):
        data = mutated(random.choice(bodies), random)
        found = decode(get(NAME).Decoder(), whole(data))
        check_ends(found)
        if number % 20 == 0:
            assert merged(decode(get(NAME).Decoder(), bytewise(data))) == merged(found)


@pytest.mark.parametrize("depth", [100, 300, 1000])
def test_data_is_written_or_is_too_deep(depth: int) -> None:
    """What orjson reads it may not write, and json may not either: that depends on its version."""
    deep = b"[" * depth + b"]" * depth
    body = wire(rpc(artifact({"kind": "data", "data": "@"})), rpc(TYLER[-1]))
    found = decode(get(NAME).Decoder(), whole(body.replace(b'"@"', deep)))
    if isinstance(found[-1], Failed):
        assert (found[-1].kind, depth) == ("bad_json", 1000)
    else:
        assert told(found) == deep.decode()


@pytest.mark.parametrize("status_code", [404, 405])
def test_a_wrong_address(status_code: int) -> None:
    failed = get(NAME).refusal(status_code, {}, b'{"detail":"Not Found"}')
    assert (failed.kind, "agent-card.json" in failed.hint) == ("rejected", True)
    assert get(NAME).refusal(401, {}, b"").kind == "auth"


# What a request says


def asked(
    chat: ChatRequest, base: str = "http://h:8000", **more: Any
) -> tuple[str, dict[str, str], Any]:
    headers = more.pop("headers", ())
    key, template = more.pop("key", None), {"path": more.pop("path", "")}
    target = Target("tyler", NAME, base, key=key, headers=headers, template=template, quirks=more)
    request = get(NAME).request(chat, target)
    assert request.method == "POST"
    return request.url, dict(request.headers), json.loads(request.body)


def test_the_plain_request() -> None:
    url, headers, body = asked(ChatRequest("", [HI]))
    assert url == "http://h:8000"
    assert headers == {"Content-Type": "application/json", "Accept": "text/event-stream"}
    id = body["params"]["message"].pop("messageId")
    assert UUID(id).version == 8
    assert body == {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "message/stream",
        "params": {
            "message": {
                "kind": "message",
                "role": "user",
                "parts": [{"kind": "text", "text": "hi"}],
            }
        },
    }


@pytest.mark.parametrize(
    "more", [{"a2a_version": "1.0"}, {"headers": (("a2a-version", "1.0"),), "a2a_version": "0.3"}]
)
def test_the_plain_request_of_1_0(more: dict[str, Any]) -> None:
    """By the row, or by the header that the user gives: that is stronger, and sent once."""
    _, headers, body = asked(ChatRequest("", [HI]), **more)
    assert {name.lower(): value for name, value in headers.items()}["a2a-version"] == "1.0"
    assert len(headers) == 3
    assert body["method"] == "SendStreamingMessage"
    assert body["params"]["message"].pop("messageId")
    assert body["params"] == {"message": {"role": "ROLE_USER", "parts": [{"text": "hi"}]}}
    _, headers, body = asked(ChatRequest("", [HI], stream=False), **more)
    assert (headers["Accept"], body["method"]) == ("application/json", "SendMessage")


def test_a_given_header_may_ask_for_the_old_version() -> None:
    old = (("A2A-Version", "0.3"),)
    _, headers, body = asked(ChatRequest("", [HI], stream=False), headers=old, a2a_version="1.0")
    assert (headers["A2A-Version"], body["method"]) == ("0.3", "message/send")


def test_where_it_is_asked_and_by_whom() -> None:
    target = {"path": "/rpc", "key": "sk", "headers": (("X-A", "1"),)}
    url, headers, _ = asked(ChatRequest("", [HI]), "http://h/agents/one/", **target)
    assert url == "http://h/agents/one/rpc"
    assert (headers["Authorization"], headers["X-A"]) == ("Bearer sk", "1")
    assert asked(ChatRequest("", [HI]), "http://h/agents/one/?t=1")[0] == "http://h/agents/one/?t=1"


def test_the_messages_id_follows_from_what_is_asked() -> None:
    def id(words: str, **more: Any) -> str:
        return str(
            asked(ChatRequest("", [Message("user", words)], **more))[2]["params"]["message"][
                "messageId"
            ]
        )

    assert id("hi") == id("hi")
    ids = {id("hi"), id("ho"), id("hi", options={"contextId": "c"}), id("", options={})}
    assert len(ids) == 4
    assert id("hi", options={"messageId": "mine"}) == "mine"


def test_options_go_where_agents_read_them() -> None:
    options = {
        "contextId": "c",
        "taskId": "t",
        "referenceTaskIds": ["r"],
        "extensions": ["https://e"],
        "metadata": {"x": 1},
        "configuration": {"historyLength": 0},
        "message": {"metadata": {"y": 2}},
    }
    for version in ("0.3", "1.0"):
        params = asked(ChatRequest("", [HI], options=options), a2a_version=version)[2]["params"]
        message = params.pop("message")
        assert params == {"metadata": {"x": 1}, "configuration": {"historyLength": 0}}
        assert (message["contextId"], message["taskId"]) == ("c", "t")
        assert (message["referenceTaskIds"], message["extensions"]) == (["r"], ["https://e"])
        assert message["metadata"] == {"y": 2}
        assert len(message["parts"]) == 1


def test_text_files_are_text_parts() -> None:
    """Agents read the text of a message; what they make of a file is their own affair."""
    notes = Attachment("notes.txt", "text/plain", b"tea\n")
    linked = Attachment("", "text/plain", url="https://h/notes.txt")
    chat = ChatRequest("", [Message("user", "hi", attachments=(notes, PNG, linked))])
    parts = asked(chat)[2]["params"]["message"]["parts"]
    assert [part["kind"] for part in parts] == ["text", "text", "file", "file"]
    assert [part["text"] for part in parts[:2]] == [notes.named_text(), "hi"]
    parts = asked(chat, a2a_version="1.0")[2]["params"]["message"]["parts"]
    assert [part["text"] for part in parts[:2]] == [notes.named_text(), "hi"]


def test_attachments_are_file_parts() -> None:
    chat = ChatRequest("", [Message("user", "hi", attachments=(PNG, LINK))])
    parts = asked(chat)[2]["params"]["message"]["parts"]
    png = {"bytes": PNG.base64(), "name": "cat.png", "mimeType": "image/png"}
    assert parts[1:] == [
        {"kind": "file", "file": png},
        {"kind": "file", "file": {"uri": "https://h/a"}},
    ]
    parts = asked(chat, a2a_version="1.0")[2]["params"]["message"]["parts"]
    assert parts[1:] == [
        {"raw": PNG.base64(), "filename": "cat.png", "mediaType": "image/png"},
        {"url": "https://h/a"},
    ]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"system": "s"}, "a system prompt (--system)"),
        ({"temperature": 0.0}, "a temperature (--temperature)"),
        ({"top_p": 0.5}, "--top-p"),
        ({"max_tokens": 5}, "a token limit (--max-tokens)"),
        ({"stop": ("x",)}, "--stop"),
        ({"seed": 0}, "--seed"),
        ({"frequency_penalty": 0.1}, "--frequency-penalty"),
        ({"presence_penalty": 0.1}, "--presence-penalty"),
        ({"think": "high"}, "--think"),
        ({"schema": {}}, "--schema"),
        ({"prefill": "Once"}, "--prefill"),
        ({"tools": (Tool("f", "", {}),)}, "tools"),
    ],
)
def test_what_it_cannot_say_is_told_before(given: dict[str, Any], what: str) -> None:
    with pytest.raises(StreamError) as raised:
        asked(ChatRequest("", [HI], **given))
    assert raised.value.kind == "usage"
    assert raised.value.message.startswith("a2a cannot carry")
    assert what in raised.value.message


def test_the_agent_has_its_model() -> None:
    with pytest.raises(StreamError, match=r"the name of a model \(gpt-5\)") as raised:
        asked(ChatRequest("gpt-5", [HI]))
    assert raised.value.hint == "-p tyler"


def test_the_agent_keeps_the_conversation() -> None:
    with pytest.raises(StreamError, match="a conversation that it does not know") as raised:
        asked(ChatRequest("", [HI, Message("assistant", "yo"), HI]))
    assert "contextId" in raised.value.hint
    own = ChatRequest("", [HI, Message("assistant", "yo"), HI], options={"contextId": "mine"})
    assert asked(own)[2]["params"]["message"]["contextId"] == "mine"


@pytest.mark.parametrize("form", [lambda result: result, new], ids=["0.3", "1.0"])
def test_the_next_turn_names_what_the_agent_knows(form: Any) -> None:
    def answer(*results: Any) -> Message:
        return assistant_message(decode(get(NAME).Decoder(), [wire(*map(rpc, map(form, results)))]))

    def sent(*turns: Message) -> Any:
        return asked(ChatRequest("", [*turns, HI]))[2]["params"]["message"]

    whole_one = answer(artifact(text("yo")), status("completed", final=True))
    open_one = answer(artifact(text("Which?")), status("input-required", "Which?", final=True))
    wholly = sent(HI, whole_one)
    assert (wholly["contextId"], "taskId" in wholly) == ("c1", False)
    assert wholly["parts"] == [text("hi")]
    waiting = sent(HI, open_one)
    assert (waiting["contextId"], waiting["taskId"]) == ("c1", "t1")
    assert "taskId" not in sent(HI, open_one, HI, whole_one)  # the task is over
    cut = Message("assistant", "y")  # it broke off before it named its context
    assert sent(HI, open_one, HI, cut).keys() == wholly.keys()
    ids = {sent(*[HI, whole_one] * count)["messageId"] for count in range(3)}
    assert len(ids) == 3  # the same words, said again


def test_an_answer_that_broke_off_keeps_its_context() -> None:
    events = decode(get(NAME).Decoder(), [wire(rpc(artifact(text("y"))))])
    turn = TurnMessages()
    turn.add(events)
    (message,) = turn.messages(whole=False)
    assert [each.opaque.value for each in message.opaque] == [{"contextId": "c1"}]


# Around it


@pytest.mark.parametrize(
    "value",
    [rpc(TYLER[0]), rpc(new(TYLER[0])), rpc(said("x")), {"jsonrpc": "2.0", "error": {"code": 1}}],
)
def test_it_is_recognised(value: Any) -> None:
    assert protocol_of(value) == NAME
    decoder = AutoDecoder()
    decoder.feed(wire(value))
    assert decoder.name == NAME
    assert protocol_of({"jsonrpc": "2.0", "method": "x"}) == ""


def test_a_card_stands_at_the_agents_address() -> None:
    card = "/.well-known/agent-card.json"
    for base in ("http://h:1", "http://h:1/", f"http://h:1{card}"):
        assert models_url(NAME, base) == f"http://h:1{card}"
    assert models_url(NAME, "http://h/agents/one") == f"http://h/agents/one{card}"


# Tools of the agent's own, as Google's Agent Development Kit marks them


def marked(kind: str, **data: Any) -> dict[str, Any]:
    return {"kind": "data", "data": data, "metadata": {"adk_type": kind}}


CALLED = marked("function_call", id="f1", name="look", args={"q": 1})
GAVE = marked("function_response", id="f1", name="look", response={"result": "found"})
LOOK = ToolCall("f1", "look", '{"q":1}', by="server")
FOUND = ToolResult("f1", "look", '{"result":"found"}', by="server")


def working(*parts: Any) -> Any:
    update: Any = status("working", "x")
    update["status"]["message"]["parts"] = list(parts)
    return update


def test_tools_that_the_agent_runs_are_told_once() -> None:
    end = status("completed", final=True)
    so = artifact(text("So."))
    expected = [Started("", "t1"), LOOK, FOUND, Text("So."), Finished("stop", "completed", PROVED)]
    assert read(wire(*map(rpc, (working(CALLED), working(GAVE), so, end)))) == expected
    assert read(wire(*map(rpc, (artifact(CALLED, GAVE, text("So.")), end)))) == expected
    again = artifact(CALLED, GAVE, text("So."), append=False)
    assert read(wire(*map(rpc, (artifact(CALLED), again, again, end)))) == expected
    alone = read(wire(rpc({**said(""), "parts": [CALLED, GAVE, text("So.")]})))
    assert alone[1:4] == [LOOK, FOUND, Text("So.")]


def test_a_tool_that_failed() -> None:
    gave = marked("function_response", id="f1", name="look", response={"error": "broke"})
    found = read(wire(rpc(working(CALLED)), rpc(working(gave))))
    assert ToolResult("f1", "look", '{"error":"broke"}', True, by="server") in found


def test_data_that_is_not_a_tool_call_is_text() -> None:
    assert artifacts(artifact({"kind": "data", "data": {"a": 1}})) == '{"a":1}'
    plain = {"kind": "data", "data": {"name": "look"}, "metadata": {"adk_type": "novel"}}
    assert artifacts(artifact(plain)) == '{"name":"look"}'


# Leaving before the end


def test_what_cancels_a_task() -> None:
    decoder = get(NAME).Decoder()

    def cancel(**quirks: Any) -> HttpRequest | None:
        protocol = get(NAME)
        assert isinstance(protocol, Cancels)
        return protocol.cancel(Target("p", NAME, "http://h", quirks=quirks), decoder)

    assert cancel() is None, "no id is known yet"
    decoder.feed(wire(rpc(task("working")), rpc(artifact(text("Hel")))))
    for quirks, method in (({}, "tasks/cancel"), ({"a2a_version": "1.0"}, "CancelTask")):
        request = cancel(**quirks)
        assert request is not None
        body = json.loads(request.body)
        assert (body["method"], body["params"]) == (method, {"id": "t1"})
        assert (("A2A-Version", "1.0") in request.headers) == bool(quirks)
    decoder.feed(wire(rpc(status("completed"))))
    assert cancel() is None, "it is over"


class Working:
    """An agent that says a word and works on until it is told to stop."""

    def __init__(self, server: FaultServer, *results: Any) -> None:
        self.cancelled: Queue[str] = Queue()
        self.url = server.script("working", self._play)
        self._results = results

    def _play(self, conn: Conn) -> None:
        if conn.request.json["method"] == "tasks/cancel":
            self.cancelled.put(conn.request.json["params"]["id"])
            conn.reply(200, rpc(task("canceled")))
            return
        conn.head()
        if self._results:
            conn.chunk(wire(*map(rpc, self._results)))
        conn.wait_peer_closed(90)


BUSY = (task("working"), artifact(text("Hello")))


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_task(
    server: FaultServer, popen: Popen, signum: signal.Signals, batch: bool
) -> None:
    agent = Working(server, *BUSY)
    args = ["-L", "--jsonl"] if batch else ["-n", "--jsonl", "hi"]
    process = popen("-p", "tyler", "--base-url", agent.url, *args, stdin=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    if batch:
        process.stdin.write(b"hi\n")
        process.stdin.flush()
    while b"Hello" not in process.stdout.readline():
        pass
    process.send_signal(signum)
    assert agent.cancelled.get(timeout=60) == "t1"
    rest = process.communicate(timeout=60)[0]
    assert b'"status":"interrupted"' in rest


def test_a_timeout_and_a_closed_stdout_cancel_the_task(
    server: FaultServer, stream: Stream, popen: Popen
) -> None:
    agent = Working(server, *BUSY)
    args = ("-p", "tyler", "--base-url", agent.url, "-n", "hi")
    for more in (("--idle-timeout", "0.2"), ("--timeout", "0.5")):
        run = stream(*args, *more)
        assert (run.returncode, run.text) == (28, "Hello")
        assert agent.cancelled.get(timeout=60) == "t1"
    process = popen(*args)
    assert process.stdout
    process.stdout.close()
    assert agent.cancelled.get(timeout=60) == "t1"
    process.wait(60)


def test_an_answer_that_ended_cancels_nothing(server: FaultServer, stream: Stream) -> None:
    agent = Working(server, *BUSY, status("completed", final=True))
    assert stream("-p", "tyler", "--base-url", agent.url, "-n", "hi").returncode == 0
    agent = Working(server, status("failed", "broke", final=True))
    assert stream("-p", "tyler", "--base-url", agent.url, "-n", "hi").returncode == 15
    silent = Working(server)
    run = stream("-p", "tyler", "--base-url", silent.url, "-n", "--first-timeout", "0.2", "hi")
    assert run.returncode == 28
    assert agent.cancelled.empty()
    assert silent.cancelled.empty()


def test_an_agent_of_the_users_own_needs_no_model(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[provider.mine]\nprotocol = "a2a"\nbase_url = "http://127.0.0.1:9"\n')
    config.chmod(0o600)
    assert Providers(load(str(config))).row("mine").needs_model is False


def agent(conn: Conn) -> None:
    if conn.request.method == "GET":
        skills = [{"id": "talk", "name": "Talk"}, {"id": "listen", "name": "Listen"}]
        conn.reply(200, {"name": "Parrot", "skills": skills})
    else:
        conn.head()
        conn.chunk(wire(*map(rpc, TYLER)))
        conn.end()


def test_the_command(server: FaultServer, stream: Stream) -> None:
    """No model and no key, an answer to its last byte; a check that asks the agent nothing."""
    env = {"TYLER_BASE_URL": server.script("agent", agent)}
    run = stream("-p", "tyler", "hi", env=env)
    assert (run.returncode, run.text, run.stderr) == (0, "Hello\n 😀", "")
    run = stream("-p", "tyler", "-s", "be brief", "hi", env=env)
    assert (run.returncode, "--system" in run.stderr) == (2, True)
    for args in (["--check=tyler"], ["--check", "-m", "tyler:any"]):
        run = stream(*args, env=env)
        assert (run.returncode, run.stderr) == (0, "")
        assert run.text.startswith("tyler: its card is there, 2 skills (")
    (told,) = stream("--check=tyler", "--json", env=env).records
    assert (told["provider"], told["skills"]) == ("tyler", 2)
    asked = [request for request in server.requests if request.method == "POST"]
    assert len(asked) == 1
    run = stream("--list-models", "-p", "tyler", env=env)
    assert run.returncode == 2
    assert "does not list models" in run.stderr
    assert "agent-card.json" in run.stderr
