"""Records that are counted field by field have the figures of those counted one by one."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from streamcli.events import USAGE_FIELDS
from streamcli.report import as_json
from streamcli.report.columns import columns, record_of, row_of
from streamcli.report.figures import Figures
from streamcli.report.groups import Groups
from streamcli.report.read import Reader

ODD: list[Any] = [None, True, -1, -0.5, 1e13, 1 << 63, "5", [], {}, "", 0, 0.0, 1e-320]
PLACES = [
    *("ts", "status", "exit_code", "attempts", "rounds", "cost", "usage", "timings", "provider"),
    *("model", "target", "reused_from", "usage.output_tokens", "timings.ttft_ms"),
    *("timings.duration_ms", "timings.tokens_per_second", "timings.queue_ms", "timings.chunks"),
    *("timings.icl_ms", "timings.icl_ms.mean", "timings.icl_ms.p50", "timings.icl_ms.max"),
]


def end(random: Random, number: int) -> dict[str, Any]:
    """Return a record as the command writes it."""
    ttft, chunks = round(random.lognormvariate(5, 1), 1), random.choice((0, 1, 2, 3, 40, 1000))
    failed = random.random() < 0.1
    gaps = sorted(round(random.expovariate(0.1), 3) for _ in range(4))
    timings = {
        "headers_ms": ttft / 2,
        "ttft_ms": ttft if chunks else None,
        "ttfo_ms": ttft if chunks > 1 else None,
        "duration_ms": round(ttft + chunks * 10, 1),
        "tokens_per_second": random.choice((None, 0.5, 33.3, 80)),
        "chunks": chunks,
        "icl_ms": {"mean": gaps[1], **dict(zip(("p50", "p90", "p99", "max"), gaps, strict=True))}
        if chunks > 1
        else None,
    }
    if random.random() < 0.5:
        timings["queue_ms"] = round(random.expovariate(0.1), 1)
    return {
        "type": "end",
        "request_id": f"r{number}",
        "ts": f"2026-09-{20 + number // 800:02}T14:{number // 60 % 60:02}:{number % 60:02}.000Z",
        "provider": "vllm",
        "model": random.choice(("small", "large")),
        "status": random.choice(("timeout", "provider")) if failed else "complete",
        "exit_code": 15 if failed else 0,
        "usage": {name: random.choice((None, 7, number)) for name in USAGE_FIELDS},
        "timings": timings,
        "attempts": random.choice((0, 1, 1, 1, 4)),
        "rounds": random.choice((1, 1, 1, 3)),
        "cost": random.choice((None, 0.25, 0.001)),
    }


def spoil(record: dict[str, Any], random: Random) -> None:
    *path, last = random.choice(PLACES).split(".")
    for name in path:
        record = record[name]
        if not isinstance(record, dict):
            return
    if random.random() < 0.2:
        record.pop(last, None)
    else:
        record[last] = random.choice(ODD)


def one_by_one(records: list[dict[str, Any]], adjusted: bool) -> dict[str, Figures]:
    found: dict[str, Figures] = {}
    names = Groups()
    for record in records:
        name = names._model(record, None)
        found.setdefault(name, Figures(adjusted=adjusted)).add(record)
    return found


def flat(value: Any, path: str = "") -> Mapping[str, Any]:
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = dict(enumerate(value)).items()
    else:
        return {path: value}
    return {k: v for key, each in items for k, v in flat(each, f"{path}.{key}").items()}


@pytest.mark.parametrize("odd", [0, 0.002, 0.05])
@pytest.mark.parametrize("adjusted", [False, True])
def test_both_ways_have_the_same_figures(odd: float, adjusted: bool) -> None:
    for seed in range(2):
        random = Random(seed)
        records = [end(random, number) for number in range(1500)]
        for record in records:
            if random.random() < odd:
                spoil(record, random)
        groups = Groups(adjusted=adjusted)
        reader = Reader(groups.add)
        reader.read(io.BytesIO(b"".join(json.dumps(each).encode() + b"\n" for each in records)))
        expected = one_by_one(records, adjusted)
        found = dict(groups)
        assert found.keys() == expected.keys()
        for name, figures in found.items():
            fast, slow = flat(as_json.of_group(figures)), flat(as_json.of_group(expected[name]))
            assert fast.keys() == slow.keys()
            for path, value in fast.items():
                same = value == slow[path] or value == pytest.approx(slow[path], rel=1e-9)
                assert same, (path, value, slow[path])


def test_columns_are_for_records_as_the_command_writes_them() -> None:
    rows = [row_of(end(Random(1), number)) for number in range(20)]
    assert columns([row for row in rows if row]) is not None
    for place in PLACES:
        for value in (True, "x", [1], -1, 1e13):
            record = end(Random(5), 1)
            *path, last = place.split(".")
            inner = record
            for name in path:
                inner = inner[name]
            inner[last] = value
            if place in ("provider", "model", "target", "exit_code"):
                continue  # of these Groups.add knows
            row = row_of(record)
            assert row is None or columns([row]) is None, (place, value)


def test_no_row_is_long() -> None:
    """Many of them wait: they would fill the memory."""
    for place in PLACES:
        record = end(Random(5), 1)
        *path, last = place.split(".")
        inner = record
        for name in path:
            inner = inner[name]
        inner[last] = "x" * 10_000
        row = row_of(record)
        assert row is None or len(repr(row)) < 1000, place


def test_a_row_is_the_record() -> None:
    record = end(Random(2), 1)
    row = row_of(record)
    assert row is not None
    kept = record_of(row)
    assert {**record, **kept} == {**record, "timings": {"queue_ms": None, **record["timings"]}}
