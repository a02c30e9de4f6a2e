"""Every protocol file keeps the contract of streamcli.protocols, found by itself.

The invariant of the junk tests: any bytes give events that end in exactly one Finished or
Failed, and nothing is ever raised.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from awsframes import RECORDED_TOOLS, answer, exception
from splits import bytewise, decode, merged, sampled, whole

from streamcli.errors import STATUS_OF_KIND
from streamcli.events import Event, Failed, Finished, Text
from streamcli.messages import ChatRequest, Message
from streamcli.protocols import _contract as protocols
from streamcli.protocols._detect import AutoDecoder
from streamcli.request import HttpRequest, Target

NAMES = sorted(
    path.stem.replace("_", "-")
    for path in Path(protocols.__file__).parent.glob("*.py")
    if not path.stem.startswith("_")
)
WITHOUT_FORM = {"text"}  # whatever bytes there are, they are an answer
RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "recordings"
# 100 000 seeded mutations of each protocol take half a minute: STREAM_TEST_MUTATIONS=100000.
MUTATIONS = int(os.environ.get("STREAM_TEST_MUTATIONS", "3000"))

SEEDS = [
    b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"reasoning":"hm","tool_calls":[{"index":0,"id":"c",'
    b'"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":null}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n',
    b'{"choices":[{"message":{"content":"Hi","annotations":[{"url_citation":{"url":"u"}}]},'
    b'"finish_reason":"length"}],"usage":{"prompt_tokens":1}}',
    b'{"error":{"message":"no","type":"t","code":429}}',
    b'data: {"type":"start","messageId":"m"}\n\n'
    b'data: {"type":"text-delta","id":"t","delta":"Hi"}\n\n'
    b'data: {"type":"tool-input-available","toolCallId":"c","toolName":"f","input":{"a":[1]}}\n\n'
    b'data: {"type":"finish","finishReason":"stop","messageMetadata":{"usage":{"inputTokens":1}}}'
    b"\n\ndata: [DONE]\n\n",
    b'f:{"messageId":"m"}\n0:"Hi"\ng:"hm"\n9:{"toolCallId":"c","toolName":"f","args":{"a":[1]}}\n'
    b'e:{"finishReason":"stop","usage":{"promptTokens":1},"isContinued":false}\n'
    b'd:{"finishReason":"tool-calls","usage":{"promptTokens":1}}\n',
    b'data: {"type":"RUN_STARTED","threadId":"t","runId":"r"}\n\n'
    b'data: {"type":"TEXT_MESSAGE_CHUNK","messageId":"m","role":"assistant","delta":"Hi"}\n\n'
    b'data: {"type":"TOOL_CALL_CHUNK","toolCallId":"c","toolCallName":"f","delta":"{}"}\n\n'
    b'data: {"type":"MESSAGES_SNAPSHOT","messages":[{"role":"tool","toolCallId":"c"}]}\n\n'
    b'data: {"type":"RUN_FINISHED","outcome":{"type":"success"},"usage":[{"inputTokens":1}]}\n\n',
    b'event: error\ndata: {"message":"x"}\n\n{"error":[]}\n\nerror: {}\n\n',
    answer("Hi"),
    RECORDED_TOOLS + exception("throttlingException", "slow down"),
]


def bodies() -> list[bytes]:
    found = sorted(p for p in RECORDINGS.glob("*/*") if p.suffix in (".sse", ".ndjson", ".json"))
    plain = [p for p in found if not p.name.endswith(".meta.json") and p.stat().st_size < 6000]
    return SEEDS + [p.read_bytes() for p in plain[:: max(1, len(plain) // 40)]]


def own_bodies(name: str) -> list[bytes]:
    """Those of `bodies` that are this protocol's; all of them where none is told to be."""
    found = []
    for body in bodies():
        decoder = AutoDecoder()
        decode(decoder, whole(body))
        if decoder.name == name:
            found.append(body)
    return found or bodies()


def check_ends(events: list[Event]) -> None:
    ends = [event for event in events if isinstance(event, Finished | Failed)]
    assert len(ends) == 1
    assert events[-1] is ends[0]
    if isinstance(ends[0], Failed):
        assert ends[0].kind in STATUS_OF_KIND
    for event in events:
        if isinstance(event, Text):
            assert event.text
            event.text.encode()  # a lone surrogate would fail here, or later in a pipe


@pytest.mark.parametrize("name", NAMES)
def test_module_has_what_the_contract_says(name: str) -> None:
    module = protocols.get(name)
    assert name == module.NAME  # type: ignore[attr-defined]
    target = Target("p", name, "http://127.0.0.1:1/v1", key="secret")
    model = "" if name == "a2a" else "m"  # an agent has its own
    request = module.request(ChatRequest(model, [Message("user", "hi")]), target)
    assert isinstance(request, HttpRequest)
    assert request.url.startswith("http://127.0.0.1:1/")
    assert b"secret" not in request.body
    assert "secret" not in request.url
    failed = module.refusal(500, {}, b"")
    assert failed.kind == "server_error"
    decoder = module.Decoder()
    assert (decoder.ended, decoder.ending) == (False, False)
    assert decoder.feed(b"") == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_at_all_is_not_complete(name: str) -> None:
    bodies = (b"", b"\n\n", b": ping\n\n", b"hello", b"<!doctype html>", b"{}", b"[]", b"null")
    for body in bodies[:1] if name in WITHOUT_FORM else bodies:
        (*_, end) = decode(protocols.get(name).Decoder(), whole(body))
        assert isinstance(end, Failed), body


@pytest.mark.parametrize("name", NAMES)
def test_after_the_end_bytes_are_ignored(name: str) -> None:
    for body in bodies():
        decoder = protocols.get(name).Decoder()
        check_ends(decoder.feed(body) + decoder.close())
        assert decoder.ended
        assert decoder.feed(body) == []
        assert decoder.close() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_transport_ends_it_too(name: str) -> None:
    broken = Failed("lost", "the connection was lost", transient=True)
    for body in bodies():
        for cut in (0, len(body) // 3, len(body)):
            decoder = protocols.get(name).Decoder()
            check_ends(decoder.feed(body[:cut]) + decoder.close(broken))


@pytest.mark.parametrize("name", NAMES)
def test_junk_never_raises_and_chunking_changes_nothing(name: str) -> None:
    random = Random(20261120)
    factory = protocols.get(name).Decoder
    seeds = bodies(), own_bodies(name)
    for number in range(MUTATIONS):
        data = mutated(random.choice(seeds[number % 2]), random)
        events = decode(factory(), whole(data))
        check_ends(events)
        if number % 20 < 2:
            assert merged(decode(factory(), bytewise(data))) == merged(events)
            for pieces in sampled(data, 1, seed=number):
                assert merged(decode(factory(), pieces)) == merged(events)


def mutated(data: bytes, random: Random) -> bytes:
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 5, 20))):
        kind = random.randrange(7)
        at = random.randrange(len(out) + 1)
        if kind == 0 and out:
            out[at % len(out)] = random.randrange(256)
        elif kind == 1:
            del out[at : at + random.choice((1, 3, 50))]
        elif kind == 2:
            out[at:at] = random.choice(INSERTS)
        elif kind == 3:
            out += out[at : at + 200]
        elif kind == 4:
            out[at:at] = bytes(random.randrange(256) for _ in range(4))
        elif kind == 5:
            value = random.choice(VALUES)
            colon = out.find(b":", at)
            if colon >= 0:
                out[colon + 1 : colon + 1 + random.randrange(12)] = value
        else:
            out = out[:at]
    return bytes(out)


INSERTS = [b"\n", b"\n\n", b"\r", b"\r\n", b"data: ", b"\xef\xbb\xbf", b"\0", b"[DONE]", b"{", b"}"]
INSERTS += [b"data: [DONE]\n\n", b"<think>", b"\\ud83d", b'"error":true,', b"[" * 2000]
VALUES = [b"null", b"[]", b"{}", b"-1", b"1e999", b"NaN", b'"\\ud800"', b"true", b'"x"', b"[[]]"]


def test_an_unknown_protocol_is_an_import_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        protocols.get("no-such-protocol")


def test_every_kind_has_an_exit_code() -> None:
    from streamcli.errors import ACCEPTABLE, EXIT_OF_STATUS

    used: set[Any] = set(STATUS_OF_KIND.values())
    assert used <= EXIT_OF_STATUS.keys()
    assert set(ACCEPTABLE) <= EXIT_OF_STATUS.keys()
    taken = set(EXIT_OF_STATUS.values())
    assert not taken & {123, 124, 125, 126, 127, 255}, "xargs gives these a meaning"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [900, 1000, 1020, 100_000])
def test_deep_nesting_never_raises(name: str, depth: int) -> None:
    module = protocols.get(name)
    for inside in ('"usage":', '"choices":', '"error":', '"message":', '"candidates":', '"x":'):
        body = ("{" + inside + "[" * depth + "]" * depth + "}").encode()
        for data in (b"data: " + body + b"\n\n", body, b"[" + body + b"]", b"[" * depth):
            check_ends(decode(module.Decoder(), whole(data)))
            module.refusal(500, {}, data)


@pytest.mark.parametrize("name", NAMES)
def test_every_recording_that_is_there_survives_every_cut(name: str) -> None:
    """Found by the protocol's name: what they should say is in the protocol's own tests."""
    folder = RECORDINGS / name.replace("gemini-array", "gemini-jsonarray")
    if not folder.is_dir():
        pytest.skip(f"../shared/recordings/{name} is not there")
    factory = protocols.get(name).Decoder
    for path in sorted(folder.glob("*.meta.json")):
        data = (folder / json.loads(path.read_text())["file"]).read_bytes()
        events = decode(factory(), whole(data))
        check_ends(events)
        for pieces in sampled(data, 1, seed=len(data)):
            assert merged(decode(factory(), pieces)) == merged(events), path.name
