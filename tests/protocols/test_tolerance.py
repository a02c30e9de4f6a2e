"""What nobody has heard of yet changes nothing: fields, events, names and reasons to come.

Every recording of every protocol is given once more with unknown things in it, and has to say the
same. Both are found by themselves: a folder of recordings with a protocol of its name is enough.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recordings import RECORDINGS, name_of, summary
from splits import decode, sampled, whole

from streamcli.events import Failed, Finished
from streamcli.outcome import Outcome, judge
from streamcli.protocols._contract import get
from streamcli.wire.lenient_json import is_json as parses

# Folders whose protocol has another name.
PROTOCOLS = {"gemini-jsonarray": "gemini-array"}

WORD = "x_unheard_of"
FIELDS = {"x_new": {"a": [1, None], "text": "x"}, "x_flag": True, "x_word": "stop"}
# The model's own words: an object in here is what it wrote, and must stay as it is.
OWN_WORDS = ("args", "arguments", "input", "parameters", "partialArgs")
REASONS = ("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason")

# What a server may put between two events. Fields of SSE that nobody defined are to be ignored, and
# so are ids and times to wait; comments keep a connection open.
VALUES: list[dict[str, Any]] = [
    {"type": WORD, "x": {"text": "x"}},
    {"type": f"{WORD}.delta", "index": 7, "x": [1]},
    {"x_new": 1},
    {"type": f"response.{WORD}.delta", "item_id": "i", "output_index": 0, "delta": "x"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": f"{WORD}_delta", "x": "x"}},
]
EVENTS = [b"data: %b\n\n" % json.dumps(value).encode() for value in VALUES]
EVENTS += [b"event: %b\n%b" % (WORD.encode(), event) for event in EVENTS]
EVENTS += [b": ping\n\n", b":\n\n", b"\n", b"retry: 10\n\n", b"id: x-7\nx-field: 1\n\n"]


def bodies() -> list[Any]:
    """A parameter (protocol, file) for each recording; one that skips by name if there is none."""
    found = []
    for path in sorted(RECORDINGS.glob("*/*.meta.json")):
        folder = path.parent.name
        if folder != "errors":
            protocol = PROTOCOLS.get(folder, folder)
            file = path.with_name(json.loads(path.read_text())["file"])
            found.append(pytest.param(protocol, file, id=f"{folder}-{name_of(path)}"))
    if not found:
        mark = pytest.mark.skip(reason="../shared/recordings is not there")
        found.append(pytest.param("", Path(), marks=mark, id="none"))
    return found


@pytest.mark.parametrize(("protocol", "file"), bodies())
def test_a_recording_with_unknown_things(protocol: str, file: Path) -> None:
    try:
        get(protocol)
    except ModuleNotFoundError:
        pytest.skip(f"no protocol {protocol} yet")
    data = file.read_bytes()
    is_json = b"data:" not in data and file.suffix == ".sse"  # an error instead of a stream
    kind = ".json" if is_json else file.suffix
    expected = told(protocol, data)
    assert told(protocol, changed(data, kind, with_fields)) == expected, "unknown fields"
    assert told(protocol, between(data, kind)) == expected, "unknown events"
    other = changed(data, kind, with_a_reason)
    whole_calls = all(parses(call["arguments"].encode()) for call in expected["tool_calls"])
    if other != data and whole_calls and expected["reason"] in ("stop", "length", "tool_calls"):
        expected |= {"reason": "other", "raw": WORD, "status": "complete"}
        assert told(protocol, other) == expected, "an unknown reason"


def told(protocol: str, data: bytes) -> dict[str, Any]:
    """What a body says and how it ended, at any cut; without words about the body itself."""
    found = summary(decode(get(protocol).Decoder(), whole(data)))
    if len(data) < 2000:
        for pieces in sampled(data, 1):
            assert summary(decode(get(protocol).Decoder(), pieces)) == found
    end = found.pop("end")
    finished = end if isinstance(end, Finished) else None
    outcome = Outcome()
    outcome.end, outcome.calls = end, len(found["tool_calls"])
    found["status"] = judge(outcome).status
    found["reason"], found["raw"] = (finished.reason, finished.raw) if finished else (None, None)
    found["kind"] = end.kind if isinstance(end, Failed) else None
    return found


# ---- unknown things -----------------------------------------------------------------------------


def changed(data: bytes, suffix: str, change: Callable[[Any], Any]) -> bytes:
    """`data` with each JSON value in it changed; what is no JSON, or cut, stays."""
    if suffix == ".json":
        try:
            return json.dumps(change(json.loads(data))).encode()
        except ValueError:
            return data
    return re.sub(
        rb"(?m)^(data: ?)?(\{.*\})(?=\r?$)", lambda line: changed_line(line, change), data
    )


def changed_line(line: re.Match[bytes], change: Callable[[Any], Any]) -> bytes:
    try:
        value = json.loads(line[2])
    except ValueError:
        return line[0]
    again = change(value)
    return (line[1] or b"") + json.dumps(again).encode() if again != value else line[0]


def with_fields(value: Any) -> Any:
    if isinstance(value, list):
        return [with_fields(item) for item in value]
    if isinstance(value, dict):
        inner = {k: v if k in OWN_WORDS else with_fields(v) for k, v in value.items()}
        return {"x_first": None, **inner, **FIELDS}
    return value


def with_a_reason(value: Any) -> Any:
    """Each reason, a word or a number, is one that nobody has heard of."""
    if isinstance(value, list):
        return [with_a_reason(item) for item in value]
    if isinstance(value, dict):
        inner = {k: v if k in OWN_WORDS else with_a_reason(v) for k, v in value.items()}
        return {
            k: WORD if k in REASONS and v and not isinstance(v, dict) else v
            for k, v in inner.items()
        }
    return value


def between(data: bytes, suffix: str) -> bytes:
    """One unknown thing before each event, in turn; the line ends are those of `data`."""
    if suffix == ".sse":
        pieces = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", data)
        crlf = b"\r\n\r\n" in data
        things = [thing.replace(b"\n", b"\r\n") if crlf else thing for thing in EVENTS]
    elif suffix == ".ndjson":
        pieces = data.splitlines(keepends=True)
        things = [json.dumps(value).encode() + b"\n" for value in VALUES] + [b"\n"]
    else:
        try:
            values = json.loads(data)
        except ValueError:
            return data
        if not isinstance(values, list):
            return data
        return json.dumps([each for value in values for each in (VALUES[2], value)]).encode()
    both = [things[number % len(things)] + piece for number, piece in enumerate(pieces)]
    return b"".join(both)
