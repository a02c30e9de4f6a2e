"""What every protocol's answers have to keep, whatever the bytes: bodies to try, and the checks."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random

from awsframes import RECORDED_TOOLS, answer, exception
from splits import decode, whole

from streamcli.errors import STATUS_OF_KIND
from streamcli.events import Event, Failed, Finished, Text
from streamcli.protocols import _contract as protocols
from streamcli.protocols._detect import AutoDecoder

NAMES = sorted(
    path.stem.replace("_", "-")
    for path in Path(protocols.__file__).parent.glob("*.py")
    if not path.stem.startswith("_")
)


RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"


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


@cache
def bodies() -> list[bytes]:
    found = sorted(p for p in RECORDINGS.glob("*/*") if p.suffix in (".sse", ".ndjson", ".json"))
    plain = [p for p in found if not p.name.endswith(".meta.json") and p.stat().st_size < 6000]
    return SEEDS + [p.read_bytes() for p in plain[:: max(1, len(plain) // 40)]]


@cache
def _detected() -> list[tuple[str, bytes]]:
    found = []
    for body in bodies():
        decoder = AutoDecoder()
        decode(decoder, whole(body))
        found.append((decoder.name, body))
    return found


def own_bodies(name: str) -> list[bytes]:
    """Those of `bodies` that are this protocol's; all of them where none is told to be."""
    return [body for found, body in _detected() if found == name] or bodies()


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
