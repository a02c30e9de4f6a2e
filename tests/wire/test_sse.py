"""SSE by the WHATWG rules and JSON lines, at every split."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from splits import bytewise, every_two, whole

from streamcli.wire.lenient_json import SurrogateJoiner, json_values
from streamcli.wire.payloads import Payloads
from streamcli.wire.sse import SSE, Message

SHARED = Path(__file__).resolve().parents[3] / "shared"
CASES = json.loads((SHARED / "sse_cases.json").read_text()) if SHARED.is_dir() else []


def read(pieces: list[bytes]) -> tuple[list[dict[str, str]], SSE]:
    sse = SSE()
    events = []
    for piece in pieces:
        for data in sse.feed(piece):
            named = type(data) is Message
            events.append(
                {
                    "event": data.event if named else "message",
                    "data": data.decode("utf-8", "replace"),
                    "id": data.id if named else "",
                }
            )
    return events, sse


@pytest.mark.skipif(not CASES, reason="../shared/sse_cases.json is not there")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_cases_of_others_agree_with_whatwg(case: dict) -> None:
    data = base64.b64decode(case["input_base64"])
    cuts = [whole(data), bytewise(data)]
    cuts += list(every_two(data)) if len(data) < 400 else []
    for pieces in cuts:
        events, sse = read(pieces)
        expected = [{k: v for k, v in e.items() if k != "retry"} for e in case["expected"]]
        assert events == expected
        assert sse.last_event_id == case["last_event_id"]
        assert sse.comments == case["comments"]
        retries = case["retry_values"]
        assert sse.retry == (retries[-1] if retries else None)


@pytest.mark.skipif(not CASES, reason="../shared/sse_cases.json is not there")
def test_retry_is_known_at_its_event() -> None:
    seen = 0
    for case in CASES:
        wanted = [event.get("retry") for event in case["expected"]]
        sse = SSE()
        got = []
        for piece in bytewise(base64.b64decode(case["input_base64"])):
            got += [sse.retry] * len(sse.feed(piece))
        for want, have in zip(wanted, got, strict=True):
            if want is not None:
                assert have == want
                seen += 1
    assert seen > 3


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_line_ending_at_every_split(newline: bytes) -> None:
    text = b"\xef\xbb\xbf: hi\ndata: 1\n\nevent: e\ndata:2\ndata: 3\n\n\ndata\n\nid: 7\ndata: 4\n\n"
    data = text.replace(b"\n", newline)
    expected, _ = read(whole(data))
    assert [e["data"] for e in expected] == ["1", "2\n3", "", "4"]
    for pieces in (*every_two(data), bytewise(data)):
        assert read(pieces)[0] == expected


def test_a_cr_at_the_end_of_a_read_ends_its_line_now() -> None:
    sse = SSE()
    assert sse.feed(b"data: 1\r\r") == [b"1"]
    assert sse.feed(b"\ndata: 2\r\n\r") == [b"2"]


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c"])
def test_nothing_else_ends_a_line(odd: str) -> None:
    assert SSE().feed(f"data: a{odd}b\n\n".encode()) == [f"a{odd}b".encode()]


def test_close_gives_the_event_without_its_blank_line() -> None:
    sse = SSE()
    assert sse.feed(b"data: 1\n\ndata: [DO") == [b"1"]
    assert sse.feed(b"NE]") == []
    assert sse.close() == [b"[DONE]"]
    assert sse.close() == []


def test_one_event_beyond_the_limit_overflows() -> None:
    for piece in (b"x", b"data: y\n"):
        sse = SSE(limit=1000)
        sse.feed(b"data: " + b"z" * 900 + b"\n\n")
        assert not sse.overflow
        for _ in range(1001):
            sse.feed(piece)
        assert sse.overflow
    sse = SSE(limit=1000)
    sse.feed(b"data: " + b"z" * 1001 + b"\n\n")
    assert sse.overflow


def test_strays_are_kept_for_the_protocol_to_judge() -> None:
    sse = SSE()
    assert sse.feed(b'{"error":"x"}\n\nerror: {"code":1}\n\nother: y\n\n') == []
    assert sse.strays == [b'{"error":"x"}', b'{"code":1}']


def feed_all(pieces: list[bytes]) -> list[bytes]:
    payloads = Payloads()
    out = []
    for piece in pieces:
        out += payloads.feed(piece)
    return out + payloads.close()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'data: {"a":1}\n\n', [b'{"a":1}']),
        (b'\r\n\n  {"a":1}\n{"a":2}', [b'{"a":1}', b'{"a":2}']),
        (b'{"a":1}\n\n{"a":2}\r\n', [b'{"a":1}', b'{"a":2}']),
        (b'{"a":1}\ndata: [DONE]\n', [b'{"a":1}', b"[DONE]"]),
        (b'{\n "a": 1\n}\n', [b'{\n "a": 1\n}\n']),
        (b'{\n "a": 1\n}\n\ndata: [DONE]\n\n', [b'{\n "a": 1\n}\n\n', b"[DONE]"]),
        (b'[{"error":{"code":1}}]', [b'[{"error":{"code":1}}]']),
        (b"\xef\xbb\xbf{}\n", [b"{}"]),
        (b"<html>\n", []),
        (b"", []),
        (b" \n\n ", []),
    ],
)
def test_payloads_of_every_framing(body: bytes, expected: list[bytes]) -> None:
    for pieces in (whole(body), bytewise(body), *every_two(body)):
        assert feed_all(pieces) == expected


def test_json_beyond_orjson() -> None:
    assert json_values(b'{"a":"\\ud83d"}') == [{"a": "\ud83d"}]
    assert json_values(b'{"a":1}{"a":2} ') == [{"a": 1}, {"a": 2}]
    assert json_values(b'{"a":"\xff"}') == [{"a": "\ufffd"}]
    assert json_values(b'{"n":123456789012345678901234567890}')[0]["n"] > 1 << 64
    for bad in (b"", b"nope", b'{"a":', b'{"a":1}x', b"[" * 100_000):
        with pytest.raises(ValueError, match=r"\w"):
            json_values(bad)


def test_halves_join_or_become_replacement_characters() -> None:
    surrogates = SurrogateJoiner()
    assert surrogates.join("t", "a\ud83d") == "a"
    assert surrogates.join("r", "\ud83d\ude00") == "\U0001f600"
    assert surrogates.join("t", "\ude00b") == "\U0001f600b"
    assert surrogates.join("t", "\ude00x") == "\ufffdx"
    assert surrogates.join("t", "\ud83d") == ""
    assert surrogates.rest() == [("t", "\ufffd")]
    assert surrogates.rest() == []
