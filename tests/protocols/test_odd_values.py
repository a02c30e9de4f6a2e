"""Wrong, huge and unwritable values in each field of what servers send: answers and errors.

Nothing may raise, and what comes out can be written: strings hold no lone surrogates, numbers fit
into a record. The fields are those of the recordings and of the contract's own bodies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson
import pytest
from awsframes import event, stop
from contracts import NAMES, check_ends, own_bodies
from splits import decode, whole

from streamcli.events import Event
from streamcli.protocols._contract import decoder_for, get
from streamcli.request import Target

ODD = [None, True, -1, 2**53, 10**30, 1e300, "", "²", "9" * 5000, "\ud800", "x\udc00y"]
ODD += [[], {}, [[None]], ["\ud83d"], {"message": "\ud800"}, {"code": "9" * 5000}]
LINE = re.compile(rb"(?m)^(data: ?|[0-9a-k]:)?([\[{].*?)\r?$")

# Of protocols that have no recording.
A2A = [
    {"kind": "task", "id": "t", "status": {"state": "working"}, "artifacts": [{"parts": [{}]}]},
    {"kind": "artifact-update", "artifact": {"artifactId": "a", "parts": [{"text": "Hi"}]}},
    {"kind": "status-update", "final": True, "status": {"state": "completed"}},
    {"statusUpdate": {"status": {"state": "TASK_STATE_FAILED", "message": {"parts": []}}}},
    {"message": {"parts": [{"data": {"a": 1}}, {"url": "u", "metadata": {"thought": True}}]}},
]
ERROR = {"jsonrpc": "2.0", "error": {"code": -32602, "message": "m", "data": [{"msg": "x"}]}}
PLACES = {"text_path": "a.0.text", "finish_path": "why", "done_path": "end", "error_path": "bad"}
EVENTS = [{"a": [{"text": "Hi"}]}, {"why": "stop"}, {"bad": {"message": "m"}}, {"end": True}]
ASKS: list[dict[str, Any]] = [
    {"type": "RUN_STARTED", "runId": "r"},
    {"type": "CUSTOM", "name": "on_interrupt", "value": {"question": "Go on?"}},
    {"type": "RUN_FINISHED", "interrupt": {"id": "i"}, "usage": [{"inputTokens": 1}]},
    {"type": "RUN_FINISHED", "outcome": {"interrupts": [{"id": "i", "message": "m"}]}},
    {"type": "TOOL_CALL_CHUNK", "toolCallId": "c", "toolCallName": "f", "delta": "{}"},
    {"type": "MESSAGES_SNAPSHOT", "messages": [{"role": "assistant", "content": "Hi"}]},
    {"type": "RUN_ERROR", "message": "m", "code": "c"},
]
BODIES = {
    "ag-ui": ASKS,
    "a2a": [*({"jsonrpc": "2.0", "id": 1, "result": result} for result in A2A), ERROR],
    "json-events": EVENTS,
    "sse-text": [{"error": "x"}],
    "text": [],
}

END = {"ag-ui": b'\n{"type":"RUN_FINISHED"}\n'}  # of a body that is one line

# Each event of Bedrock's, without the frame around it.
BEDROCK: list[tuple[str, dict[str, Any]]] = [
    ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{}"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "h"}}}),
    ("contentBlockDelta", {"delta": {"citation": {"title": "t", "location": {"web": {}}}}}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": {"inputTokens": 1, "cacheReadInputTokens": 2}}),
]


def odd(value: Any) -> Iterator[Any]:
    """`value` again and again, with one field of it changed each time."""
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in list(keys):
        was = value[key]
        for value[key] in ODD:
            yield value
        value[key] = was
        for _ in odd(was):
            yield value


def odd_bodies(name: str) -> Iterator[bytes]:
    """Of each body the first lines that have other fields than those before them.

    A field gets every second of the odd values there, and the field behind it the others.
    """
    seen = set()
    own = BODIES.get(name)
    bodies = own_bodies(name) if own is None else [json.dumps(each).encode() for each in own]
    for body in bodies:
        for line in LINE.finditer(body):
            form = re.sub(rb'"[^"]*"(?!:)|\d', b"", line[2])
            try:
                value = orjson.loads(line[2])
            except ValueError:
                continue
            if form not in seen and len(body) < 3000:
                seen.add(form)
                start, end = line.span(2)
                for changed in islice(odd(value), len(seen) % 2, None, 2):
                    yield (
                        body[:start]
                        + json.dumps(changed).encode()
                        + body[end:]
                        + END.get(name, b"")
                    )
    for kind, value in BEDROCK if name == "bedrock" else ():
        for changed in odd(value):
            yield event(kind, json.dumps(changed).encode()) + stop()


@pytest.mark.parametrize("name", NAMES)
def test_an_odd_value_in_any_field(name: str) -> None:
    for body in odd_bodies(name):
        target = Target("mine", name, "http://127.0.0.1", template=PLACES)
        events = decode(decoder_for(get(name), target, 1 << 24), whole(body))
        check_ends(events)
        for each in events:
            check_writable(each, body)


def check_writable(each: Event, body: bytes) -> None:
    try:
        orjson.dumps([getattr(each, field) for field in each._fields()])
    except TypeError as error:
        raise AssertionError(f"{type(each).__name__} after {body[-300:]!r}") from error


@pytest.mark.parametrize("name", NAMES)
def test_an_odd_value_in_a_refusal(name: str) -> None:
    error = {"error": {"message": "no", "type": "t", "code": "400", "errors": [{"msg": "x"}]}}
    more: list[Any] = [{"detail": [{"loc": ["body", "x"], "msg": "m"}]}, {"__type": "a#b"}, ["x"]]
    for value in (error, *more):
        for changed in odd(value):
            failed = get(name).refusal(400, {}, json.dumps(changed).encode())
            check_writable(failed, json.dumps(changed).encode())


@pytest.mark.parametrize("name", NAMES)
def test_an_endless_number_beside_the_events(name: str) -> None:
    check_ends(decode(get(name).Decoder(), whole(b"retry: " + b"9" * 5000 + b"\n\n")))
