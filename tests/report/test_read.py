"""Records are counted once, whatever state the files are in."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcli.report import read
from streamcli.report.groups import MOST, OTHERS, Groups
from streamcli.report.read import IN_FLIGHT, Reader
from streamcli.report.seen_ids import SeenIds


def id_of(number: int) -> str:
    return f"01KC{number:022d}"


def line(kind: str, number: int, **fields: Any) -> bytes:
    record = {"type": kind, "request_id": id_of(number), **fields}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def start(number: int, **fields: Any) -> bytes:
    usual = {"t_ms": 0.0, "schema": "stream.records/1", "provider": "vllm", "model": "asked"}
    return line("start", number, **{**usual, **fields})


def delta(number: int, t_ms: float) -> bytes:
    return line("delta", number, t_ms=t_ms, seq=0, channel="text", text='{"type":"end"')


def end(number: int, chunks: int = 0, **fields: Any) -> bytes:
    usual = {"schema": "stream.records/1", "provider": "vllm", "model": "answered"}
    timings = {"ttft_ms": 10.0, "duration_ms": 100.0, "chunks": chunks, "icl_ms": None}
    verdict = {"status": "complete", "exit_code": 0, "timings": timings}
    return line("end", number, **{**usual, **verdict, **fields})


class Taken:
    """What a reader gave, and the reader."""

    def __init__(self, *blocks: bytes) -> None:
        self.records: list[Mapping[str, Any]] = []
        self.asked: list[read.Asked | None] = []
        self.gaps: list[dict[float, int] | None] = []
        self.reader = Reader(self._take)
        for block in blocks:
            self.reader.read(io.BytesIO(block))
        self.reader.close()

    def _take(
        self, record: Mapping[str, Any], asked: read.Asked | None, gaps: Mapping[float, int] | None
    ) -> None:
        self.records.append(record)
        self.asked.append(asked)
        self.gaps.append(None if gaps is None else dict(gaps))

    @property
    def skipped(self) -> tuple[int, int, int, int]:
        reader = self.reader
        return reader.torn, reader.foreign, reader.duplicates, reader.unfinished


ONE = start(1) + delta(1, 10.0) + delta(1, 12.5) + delta(1, 15.0) + end(1, 3)


def test_the_gaps_of_an_answer_are_those_between_its_deltas() -> None:
    taken = Taken(ONE)
    assert taken.gaps == [{2.5: 2}]
    assert taken.asked == [("vllm", "asked")]
    assert taken.skipped == (0, 0, 0, 0)


def test_answers_may_be_mixed() -> None:
    mixed = start(1) + start(2) + delta(1, 1.0) + delta(2, 5.0) + delta(1, 2.0) + delta(2, 9.0)
    assert Taken(mixed + end(2, 2) + end(1, 2)).gaps == [{4.0: 1}, {1.0: 1}]


def test_the_time_between_two_rounds_is_not_a_gap() -> None:
    rounds = start(1) + delta(1, 1.0) + delta(1, 2.0) + start(1) + delta(1, 900.0)
    assert Taken(rounds + delta(1, 901.0) + end(1, 4)).gaps == [{1.0: 2}]


def test_gaps_are_unknown_if_a_delta_is_missing() -> None:
    assert Taken(start(1) + delta(1, 1.0) + delta(1, 2.0) + end(1, 3)).gaps == [None]


def test_a_long_answer_has_the_same_gaps() -> None:
    times = [0.0]
    random = Random(1)
    for _ in range(20_000):
        times.append(round(times[-1] + random.random() * 1000, 1))
    answer = start(1) + b"".join(delta(1, time) for time in times) + end(1, len(times))
    (gaps,) = Taken(answer).gaps
    assert gaps is not None
    assert sum(gaps.values()) == 20_000
    assert len(gaps) < 10_000
    assert sum(gap * many for gap, many in gaps.items()) == pytest.approx(times[-1], rel=0.01)


def test_a_request_counts_once() -> None:
    ends = b"".join(row for row in ONE.splitlines(keepends=True) if b'"end","req' in row)
    for files in ((ONE, ONE), (ends, ONE), (ONE, ends), (ONE + ONE,)):
        taken = Taken(*files)
        assert (len(taken.records), taken.reader.duplicates) == (1, 1)
        assert taken.reader.unfinished == 0


def test_what_never_ended_is_counted() -> None:
    assert Taken(
        start(1) + delta(1, 1.0) + start(2) + ONE.replace(b"01KC00", b"01KD00")
    ).skipped == (
        *(0, 0, 0),
        2,
    )


def test_answers_that_never_end_do_not_fill_the_memory() -> None:
    taken = Taken(b"".join(map(start, range(IN_FLIGHT + 50))) + end(IN_FLIGHT + 49))
    assert taken.reader.unfinished == IN_FLIGHT + 49
    assert taken.asked == [("vllm", "asked")]


@pytest.mark.parametrize("cut", range(1, len(ONE.splitlines()[-1]), 7))
def test_a_torn_line_costs_itself_only(cut: int) -> None:
    torn = ONE[: len(ONE) - cut - 1]
    after = ONE.replace(b"01KC", b"01KD")
    taken = Taken(torn + after)
    assert len(taken.records) == 1
    assert taken.asked == [("vllm", "asked")]
    assert taken.reader.unfinished == 1
    assert taken.reader.torn == 1
    assert taken.reader.foreign == 0


def test_a_torn_delta_costs_itself_only() -> None:
    torn = start(1) + delta(1, 1234.5)[:63]
    taken = Taken(torn, torn + start(2) + delta(2, 1.0) + end(2, 1))
    assert [record["request_id"] for record in taken.records] == [id_of(2)]


@pytest.mark.parametrize(
    "other",
    [
        b"a line of text\n",
        b'{"a": 1}\n',
        b"[1, 2]\n",
        b"17\n",
        b"null\n",
        b'"{\\"type\\":\\"end\\"}"\n',
        b"\xff\xfe\x00\n",
        b"{" * 5000 + b"\n",
        b'{"type": "end"}\n',
        b'{"type": 5}\n',
        b'{"type":"end","request_id":5,"schema":"other/1"}\n',
        b'{"timings": {"ttft_ms": NaN}}\n',
    ],
)
def test_lines_that_are_not_records_are_counted(other: bytes) -> None:
    taken = Taken(other + ONE + other)
    assert (len(taken.records), taken.reader.foreign) == (1, 2)


def test_other_records_are_neither_counted_nor_foreign() -> None:
    others = (
        line("retry", 1, attempt=1)
        + line("tool_call", 1, name="x")
        + line("summary", 2, schema="stream.records/1")
        + b"\n  \r\n"
    )
    taken = Taken(others + ONE)
    assert (len(taken.records), taken.reader.foreign, taken.reader.torn) == (1, 0, 0)


def test_a_byte_order_mark_is_dropped() -> None:
    taken = Taken(b"\xef\xbb\xbf" + end(1))
    assert (len(taken.records), taken.skipped) == (1, (0, 0, 0, 0))


def test_another_version_is_told_apart() -> None:
    taken = Taken(end(1, schema="stream.records/2") + end(2))
    assert (len(taken.records), taken.reader.other_versions) == (1, 1)


def test_records_of_jq_and_of_sse_are_read() -> None:
    spaced = b"\n".join(json.dumps(json.loads(row)).encode() for row in ONE.splitlines())
    assert Taken(spaced).gaps == [{2.5: 2}]
    sse = b"".join(b"event: x\nid: 3\ndata: %s\n\n" % row for row in ONE.splitlines())
    assert Taken(sse).gaps == [{2.5: 2}]
    assert Taken(sse).skipped == (0, 0, 0, 0)
    projected = b'{"type":"end","status":"timeout","timings":{"duration_ms":5}}\n'
    assert len(Taken(projected * 2).records) == 2, "without an id each is another one"


@given(st.integers(1, 40), st.data())
def test_any_reads_give_the_same(size: int, data: st.DataObject) -> None:
    whole = Taken(ONE + b"junk\n" + ONE.replace(b"01KC", b"01KD") + b'{"type":"sta')

    class Slow(io.BytesIO):
        def read(self, most: int | None = -1, /) -> bytes:
            return super().read(data.draw(st.integers(1, size * 10)))

    taken = Taken()
    taken.reader.read(Slow(ONE + b"junk\n" + ONE.replace(b"01KC", b"01KD") + b'{"type":"sta'))
    assert taken.records == whole.records
    assert taken.gaps == whole.gaps
    assert taken.skipped == whole.skipped == (1, 1, 0, 0)


def test_a_line_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "BLOCK", 64)
    monkeypatch.setattr(read, "LONGEST", 1000)
    taken = Taken(ONE + b"x" * 5000 + b"\n" + ONE.replace(b"01KC", b"01KD") + b"y" * 3000)
    assert len(taken.records) == 2
    assert taken.reader.foreign == 2


def test_ids_are_remembered_in_bounded_memory() -> None:
    seen = SeenIds(generation=1000)
    ids = [str(number).encode() for number in range(3500)]
    assert all(map(seen.add, ids))
    assert not any(map(seen.add, ids[-1400:]))
    assert seen.has(ids[-1])
    assert not seen.has(ids[0]), "forgotten"
    many = SeenIds()
    assert all(many.add(str(number).encode()) for number in range(20_000))
    assert not any(many.add(str(number).encode()) for number in range(20_000))


def grouped(*records: Mapping[str, Any], by: str | None = None) -> dict[str, float | None]:
    groups = Groups(by)
    for record in records:
        groups.add(record, None, None)
    return {name: figures.value("n") for name, figures in groups}


def test_groups_are_by_model_or_by_a_field() -> None:
    records = [
        {"provider": "a", "model": "m", "error": {"kind": "lost"}, "index": 3},
        {"provider": "a", "model": "m", "error": None, "id": 1.5},
        {"provider": "a", "model": None, "target": "fast"},
        {"model": ["not", "text"], "error": "lost", "id": {"x": True}},
    ]
    assert grouped(*records) == {"a:m": 2, "-": 1, "fast": 1}
    assert grouped(*records, by="error.kind") == {"-": 3, "lost": 1}
    assert grouped(*records, by="id") == {"-": 2, "1.5": 1, '{"x":true}': 1}
    assert grouped(*records, by="index") == {"-": 3, "3": 1}


def test_a_request_is_in_the_group_of_the_model_that_was_asked() -> None:
    groups = Groups()
    Reader(groups.add).feed(start(1) + end(1) + start(2) + end(2, model="asked", exit_code=7))
    assert [name for name, _ in groups] == ["vllm:asked"]


def test_groups_are_a_bounded_number() -> None:
    counts = grouped(*({"id": number} for number in range(MOST + 50)), by="id")
    assert len(counts) == MOST + 1
    assert [*counts.items()][-1] == (OTHERS, 50)


def test_many_records_glued_in_one_line_take_linear_time() -> None:
    """Not one call a record inside another one: Python's stack would end."""
    taken = Taken(end(1)[:-3] + b"".join(end(number)[:-1] for number in range(2, 5000)) + b"\n")
    assert (len(taken.records), taken.reader.torn) == (4998, 1)
