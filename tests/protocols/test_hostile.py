"""Servers that say what no record can hold: every recording once more, with monsters in it.

Counts beyond any integer, halves of characters, words where numbers belong: whatever it is, the
decoder gives an end, and the end becomes a record that keeps the schema.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Stream
from faultserver import Conn, FaultServer
from recordings import RECORDINGS
from records import check, parse_records
from splits import decode, whole

from streamcli.batch.summary import Summary
from streamcli.events import Event, Failed, Finished, Started, Usage
from streamcli.outcome import Outcome, judge
from streamcli.output.json_object import JsonSink
from streamcli.output.jsonl import RecordSink
from streamcli.output.records import Facts
from streamcli.output.records import line as as_line
from streamcli.protocols._contract import get
from streamcli.wire.retry_after import retry_after

NUMBER = re.compile(rb"([:,\[]\s*)-?\d+(?:\.\d+)?(?=\s*[,}\]])")
TEXT = re.compile(rb'((?<!type)":\s*)"[^"\\]*"(?=\s*[,}])')
NUMBERS = ["9" * 30, "9" * 400, "1.5", "NaN", '"²"', '"' + "9" * 5000 + '"', "[1]", "null"]
TEXTS = [r'"\ud800x"', "5", "9" * 30, '{"a":[' + "9" * 30 + "]}", "null"]

# The smallest of each protocol have everything that is read.
SMALL = [
    path
    for folder in sorted(RECORDINGS.glob("*"))
    for path in sorted(
        folder.glob("*.meta.json"), key=lambda path: json.loads(path.read_text()).get("bytes", 0)
    )[: None if folder.name == "errors" else 8]
]


class Lines:
    def __init__(self) -> None:
        self.data = b""

    def lines(self, data: bytes) -> None:
        self.data += data


def told(events: list[Event]) -> list[dict[str, Any]]:
    """What the records tell of them, with --jsonl, with --json, and of a batch of this one."""
    outcome, lines = Outcome(), Lines()
    sinks = [
        RecordSink(lines, Facts(lambda: 1.0, {"index": 0})),
        JsonSink(lines, Facts(lambda: 1.0, {"index": 0})),
    ]
    outcome.meter.deltas(1.0, 1, True)
    outcome.meter.deltas(2.0, 1, True)
    outcome.t_ms = 3.0
    for event in events:
        if isinstance(event, Finished | Failed):
            outcome.end = event
        elif isinstance(event, Usage):
            outcome.usage = event
        elif isinstance(event, Started):
            outcome.model, outcome.response_id = event.model, event.response_id
        else:
            for sink in sinks:
                sink.emit(1.0, [event])
    assert outcome.end is not None
    verdict = judge(outcome)
    for sink in sinks:
        sink.close(outcome, verdict)
    summary = Summary()
    for _ in range(2):
        summary.add(outcome, verdict)
    as_line(summary.record(1.0, 0))
    return parse_records(lines.data)


@pytest.mark.skipif(not SMALL, reason="../shared/recordings is not there")
@pytest.mark.parametrize(
    ("place", "monster"),
    [*((NUMBER, monster) for monster in NUMBERS), *((TEXT, monster) for monster in TEXTS)],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_whatever_a_server_says_has_an_end_and_a_record(
    place: re.Pattern[bytes], monster: str
) -> None:
    def spoiled(data: bytes) -> bytes:
        return place.sub(lambda found: found[1] + monster.encode(), data)

    for path in SMALL:
        meta = json.loads(path.read_text())
        if path.parent.name == "errors":
            body = path.with_name(path.name.replace(".meta.json", ".body")).read_bytes()
            protocol, kind = get(meta["protocol"]), {"content-type": meta["content_type"]}
            events: list[Event] = [protocol.refusal(meta["status"], kind, spoiled(body))]
        else:
            name = path.parent.name.replace("jsonarray", "array")
            data = (path.parent / meta["file"]).read_bytes()
            events = decode(get(name).Decoder(), whole(spoiled(data)))
        check(told(events))


@pytest.mark.parametrize(
    "date",
    [
        f"Wed, 21 Oct {'9' * 20} 07:28:00 GMT",
        f"Wed, {'9' * 20} Oct 2026 07:28:00 GMT",
        f"Wed, 21 Oct 2026 {'9' * 20}:28:00 GMT",
        f"Wed, 21 Oct 2026 07:28:00 +{'9' * 20}",
    ],
)
def test_dates_that_no_clock_shows(date: str) -> None:
    now = "Wed, 21 Oct 2026 07:28:00 GMT"
    assert retry_after({"retry-after": date, "date": now}) is None
    assert retry_after({"retry-after": now, "date": date}) is None


def test_a_monster_in_a_batch_costs_nothing_but_itself(
    server: FaultServer, stream: Stream, tmp_path: Path
) -> None:
    def play(conn: Conn) -> None:
        conn.head()
        conn.event(
            b'{"id": "\\ud800", "model": "\\ud800", "choices": [{"index": 0, "delta":'
            b' {"content": "hi"}, "finish_reason": "odd \\ud800"}],'
            b' "usage": {"prompt_tokens": %b, "completion_tokens": %b, "total_tokens": -7}}'
            % (b"9" * 30, b"9" * 400)
        )
        conn.done()
        conn.end()

    args = ("-m", "vllm:m", "--base-url", server.script("monster", play), "-L")
    for form in ("--json", "--jsonl"):
        run = stream(*args, form, stdin=b"a\nb\nc\n")
        check(run.records)
        ends = [record for record in run.records if record["type"] == "end"]
        assert [end["status"] for end in ends] == ["complete"] * 3
        assert all(set(end["usage"].values()) == {None} for end in ends)
        assert {end["model"] for end in ends} == {"\ufffd"}
        assert run.returncode == 0
