"""What must hold in every protocol of agents and applications: one table of faults, all wires.

Each wire writes a text delta, a finish reason (where it has one) and its end in its own form.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from splits import bytewise, decode, whole

from streamcli.events import Event, Failed, Finished, Text
from streamcli.protocols._contract import Decoder, decoder_for, get
from streamcli.request import Target

WAITED = ("idle_timeout", "total_timeout")
ROWS = {"text_path": "t", "finish_path": "why", "done_path": "over"}


def sse(*values: Any) -> bytes:
    return "".join(f"data: {json.dumps(value)}\n\n" for value in values).encode()


def code(letter: str, value: Any) -> bytes:
    return f"{letter}:{json.dumps(value)}\n".encode()


def agui(kind: str, **more: Any) -> bytes:
    return sse({"type": kind, **more})


def task(kind: str, **more: Any) -> bytes:
    result = {"kind": kind, "taskId": "t", "contextId": "c", **more}
    return sse({"jsonrpc": "2.0", "id": 1, "result": result})


class Wire(NamedTuple):
    text: Callable[[Any], bytes]
    end: bytes  # the answer is over, by the provider's word
    reason: Callable[[str], bytes] | None = None  # a finish reason, and nothing after it
    frame: Callable[..., bytes] = sse


WIRES = {
    "ui-message": Wire(
        lambda text: sse({"type": "text-delta", "id": "t", "delta": text}),
        sse({"type": "finish", "finishReason": "stop"}) + b"data: [DONE]\n\n",
        lambda raw: sse({"type": "finish", "finishReason": raw}),
    ),
    "ai-data": Wire(
        lambda text: code("0", text),
        code("d", {"finishReason": "stop"}),
        lambda raw: code("d", {"finishReason": raw}),
        lambda value: json.dumps(value).encode() + b"\n",
    ),
    "ag-ui": Wire(
        lambda text: agui("TEXT_MESSAGE_CONTENT", messageId="m", delta=text),
        agui("RUN_FINISHED", threadId="t", runId="r"),
    ),
    "honcho": Wire(
        lambda text: sse({"delta": {"content": text}, "done": False}), sse({"done": True})
    ),
    "a2a": Wire(
        lambda text: task(
            "artifact-update", append=True, artifact={"artifactId": "a", "parts": [{"text": text}]}
        ),
        task("status-update", final=True, status={"state": "completed"}),
    ),
    "json-events": Wire(
        lambda text: sse({"t": text}), sse({"over": True}), lambda raw: sse({"why": raw})
    ),
}
REASONED = [name for name, wire in WIRES.items() if wire.reason is not None]


def decoder(name: str) -> Decoder:
    target = Target("p", name, "", template=ROWS if name == "json-events" else None)
    return decoder_for(get(name), target, 1 << 20)


def read(name: str, data: bytes) -> list[Event]:
    """Return the events, the same whole and byte by byte."""
    found = decode(decoder(name), whole(data))
    assert decode(decoder(name), bytewise(data))[-1] == found[-1]
    return found


def text_of(found: list[Event]) -> str:
    return "".join(event.text for event in found if isinstance(event, Text))


@pytest.mark.parametrize("name", WIRES)
def test_the_plain_answer(name: str) -> None:
    wire = WIRES[name]
    found = read(name, wire.text("Hi") + wire.text(" you") + wire.end)
    assert text_of(found) == "Hi you"
    assert isinstance(found[-1], Finished)


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize(("value", "shown"), [(7, "7"), (2.5, "2.5"), (True, "true")])
def test_a_number_where_text_belongs_is_its_json_text(name: str, value: Any, shown: str) -> None:
    wire = WIRES[name]
    assert text_of(read(name, wire.text("a ") + wire.text(value) + wire.end)) == f"a {shown}"


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("value", [{"a": 1}, ["a"]])
def test_an_object_where_text_belongs_is_an_error(name: str, value: Any) -> None:
    wire = WIRES[name]
    found = read(name, wire.text("a") + wire.text(value) + wire.end)
    assert text_of(found) == "a"
    assert isinstance(found[-1], Failed)
    assert found[-1].status == "malformed"


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("kind", WAITED)
def test_what_we_stopped_waiting_for_is_a_timeout(name: str, kind: str) -> None:
    found = decoder(name)
    found.feed(WIRES[name].text("half"))
    waited = Failed(kind, "nothing came")
    assert found.close(waited)[-1] is waited


@pytest.mark.parametrize("name", ["ui-message", "json-events", "ag-ui"])
def test_a_held_connection_behind_the_end_is_a_hold(name: str) -> None:
    wire = WIRES[name]
    end = wire.reason("stop") if wire.reason else wire.end
    reader = decoder(name)
    reader.feed(wire.text("Hi") + end)
    assert reader.ending
    last = reader.close(Failed("idle_timeout", "nothing came"))[-1]
    assert isinstance(last, Finished)
    assert "hold" in last.evidence


@pytest.mark.parametrize("name", ["ui-message", "json-events"])
def test_an_end_before_any_text_is_not_waited_for_less(name: str) -> None:
    wire = WIRES[name]
    assert wire.reason is not None
    reader = decoder(name)
    reader.feed(wire.reason("stop"))
    assert not reader.ending
    waited = Failed("idle_timeout", "nothing came")
    assert reader.close(waited)[-1] is waited


@pytest.mark.parametrize("name", ["ui-message", "json-events", "ag-ui"])
def test_text_behind_the_end_reopens_the_answer(name: str) -> None:
    wire = WIRES[name]
    end = wire.reason("length") if wire.reason else wire.end
    reader = decoder(name)
    reader.feed(wire.text("a") + end + wire.text("b"))
    assert not reader.ending
    assert isinstance(reader.close()[-1], Failed)
    found = read(name, wire.text("a") + end + wire.text("b") + wire.end)
    assert text_of(found) == "ab"
    assert isinstance(found[-1], Finished)
    assert found[-1].reason in ("stop", None)


@pytest.mark.parametrize("name", REASONED)
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("network_error", "provider"),
        ("cancelled", "provider"),
        ("error", "provider"),
        ("other", "truncated"),
        ("pause-turn", "truncated"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("eos_token", "stop"),
        ("max-tokens", "length"),
        ("sensitive", "content_filter"),
        ("contentFilter", "content_filter"),
        ("novel", "other"),
    ],
)
def test_one_table_of_endings(name: str, raw: str, status: str) -> None:
    wire = WIRES[name]
    assert wire.reason is not None
    end = read(name, wire.text("Hi") + wire.reason(raw))[-1]
    if isinstance(end, Failed):
        assert end.status == status
    else:
        assert isinstance(end, Finished)
        assert end.reason == status


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "no luck", "code": 500}},
        {"error": "no luck"},
        {"error_code": 17, "error_msg": "no luck"},
        {"success": False, "message": "no luck"},
        {"base_resp": {"status_code": 2013, "status_msg": "no luck"}},
    ],
)
def test_an_error_in_other_clothes_wins_over_the_end_behind_it(name: str, error: Any) -> None:
    wire = WIRES[name]
    found = read(name, wire.text("so far") + wire.frame(error) + wire.end)
    assert text_of(found) == "so far"
    assert isinstance(found[-1], Failed), found
    assert "no luck" in found[-1].message
    assert "{" not in found[-1].message


@pytest.mark.parametrize("name", [name for name in WIRES if name != "ai-data"])
@pytest.mark.parametrize(
    "empty", [b"event: ping\n\n", b"data:\n\n", b"data:  \n\n", b"event: ping\ndata: {}\n\n"]
)
def test_an_event_without_data_is_a_sign_of_life(name: str, empty: bytes) -> None:
    wire = WIRES[name]
    found = read(name, empty + wire.text("Hi") + empty + wire.end)
    assert text_of(found) == "Hi"
    assert isinstance(found[-1], Finished)
