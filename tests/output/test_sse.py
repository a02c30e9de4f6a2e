"""--format sse: what a reader of server-sent events gets of the records."""

from __future__ import annotations

from typing import Any

import orjson
from conftest import Stream
from faultserver import Conn, FaultServer
from records import check

MODEL = ("-m", "vllm:m", "--base-url")


def events(data: bytes) -> list[tuple[str, str, dict[str, Any]]]:
    """Read an event stream by the rules of the standard: (event, id, data)."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields["event"], fields.get("id", ""), orjson.loads(fields["data"])))
    return found


def test_records_as_events(server: FaultServer, stream: Stream) -> None:
    run = stream(*MODEL, server.url("ok"), "--format", "sse", "hi")
    assert (run.returncode, run.stderr) == (0, "")
    got = events(run.stdout)
    check([record for _, _, record in got])
    shown = [(event, id) for event, id, _ in got if event != "usage"]
    assert shown == [("start", ""), ("delta", "0"), ("delta", "1"), ("end", "")]
    assert all(record["type"] == event for event, _, record in got)
    assert "".join(record["text"] for event, _, record in got if event == "delta") == "Hello world"


def test_events_of_a_batch(server: FaultServer, stream: Stream) -> None:
    url = server.url("ok")
    run = stream(*MODEL, url, "--format", "sse", "-L", "-k", stdin=b"one\ntwo\n")
    got = events(run.stdout)
    assert [event for event, _, _ in got][-1] == "summary"
    assert [record["index"] for event, _, record in got if event == "end"] == [0, 1]


def test_line_breaks_and_controls_stay_in_their_event(server: FaultServer, stream: Stream) -> None:
    text = "a\r\nb\n\ndata: x\u2028\x85\x00"

    def answer(conn: Conn) -> None:
        conn.open_with(text)
        conn.finish()
        conn.done()
        conn.end()

    run = stream(*MODEL, server.script("odd", answer), "--format", "sse", "hi")
    assert "".join(r["text"] for event, _, r in events(run.stdout) if event == "delta") == text


def test_a_failure_is_an_event(server: FaultServer, stream: Stream) -> None:
    run = stream(*MODEL, server.url("status_400"), "--format", "sse", "hi")
    assert run.returncode == 22
    assert [event for event, _, _ in events(run.stdout)] == ["start", "end"]
