"""What --resume reads: journals in every state, files that are none, and the counts it keeps."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from conftest import Stream
from faultserver import FaultServer
from hypothesis import given
from hypothesis import strategies as st

from streamcli.batch.journals import journal
from streamcli.batch.journals.completed import Completed, key_of
from streamcli.batch.journals.occurrences import Occurrences
from streamcli.batch.journals.resume import read
from streamcli.errors import StreamError
from streamcli.events import Finished
from streamcli.outcome import Outcome, Verdict
from streamcli.output.records import Facts, end_record, line
from streamcli.transport.record import SCHEMA as CASSETTE

A, B, C = (digit * 32 for digit in "abc")


def record(hash: object = A, occurrence: object = 0, status: str = "complete") -> dict[str, Any]:
    """An end record as --json writes it; its text is as nasty as text can be."""
    outcome = Outcome()
    outcome.end = Finished("stop", "stop", ("finish_reason", "marker"))
    facts = Facts(lambda: 1.7e9, {"index": 0})
    text = f'\n{{"type":"end","complete":true,"prompt_hash":"{B}"}}\r é "end"\u2028'
    return {
        **end_record(facts, outcome, Verdict(status)),
        "request_id": "01HF7YAT00RGFQ8GTS0RVR36Y7",
        "prompt_hash": hash,
        "occurrence": occurrence,
        "text": text,
        "tool_calls": [{"call_id": "1", "name": "f", "arguments": '{"type":"end"}'}],
    }


def end(*args: Any, **kwargs: Any) -> bytes:
    return line(record(*args, **kwargs))


DELTA = line({"type": "delta", "request_id": "01J", "t_ms": 1.0, "seq": 0, "text": '"prompt_hash"'})
CITATION = line({"type": "citation", "request_id": "01J", "start": 0, "end": 1})
SUMMARY = line({"type": "summary", "prompts": 3})


class Reading:
    """Reads `data` as FILE; `done` names those of a to c that are done."""

    def __init__(self, folder: Path, *data: bytes) -> None:
        paths = []
        for number, each in enumerate(data):
            path = folder / f"journal{number}"
            path.write_bytes(each)
            paths.append(str(path))
        self.notes: list[str] = []
        self.ledger = read(paths, note=self.notes.append)
        self.done = "".join(hash[0] for hash in (A, B, C) if self.ledger.has(hash, 0))


@pytest.fixture
def reading(tmp_path: Path) -> Any:
    return lambda *data: Reading(tmp_path, *data)


def refused(path: object, *, says: str = "", **options: Any) -> str:
    """The usage error that FILE gets, which names it."""
    with pytest.raises(StreamError) as caught:
        read([str(path)], note=print, **options)
    assert caught.value.kind == "usage"
    assert str(path) in str(caught.value)
    said = f"{caught.value}: {caught.value.hint}"
    assert says in said
    return said


# ---- Completed ----------------------------------------------------------------------------------

# Few digits: many share a bucket, and end as others begin.
hashes = st.text("01", min_size=32, max_size=32) | st.sampled_from([A, B, "0" * 32, "f" * 32])
prompts = st.tuples(hashes, st.integers(0, 3) | st.integers(0, 2**63))


@given(st.lists(prompts, max_size=60), st.lists(prompts, max_size=10))
def test_done_is_a_set(added: list[tuple[str, int]], asked: list[tuple[str, int]]) -> None:
    done, model = Completed(), set[tuple[str, int]]()
    for prompt in added:
        assert done.add(*prompt) is (prompt not in model)
        model.add(prompt)
        assert len(done) == len(model)
    for prompt in added + asked:
        assert done.has(*prompt) is (prompt in model)


def test_a_finished_prompt_takes_at_most_32_bytes() -> None:
    count = 50_000
    tracemalloc.start()
    try:
        done = Completed()
        for number in range(count):
            done.add(A, number)
        assert tracemalloc.get_traced_memory()[1] <= 32 * count
    finally:
        tracemalloc.stop()
    assert len(done) == count


# ---- Occurrences --------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 30), max_size=100), st.integers(0, 20))
def test_occurrences_count(numbers: list[int], spill: int) -> None:
    model = Counter[int]()
    with closing(Occurrences(spill)) as occurrences:
        for number in numbers:
            assert occurrences.next(f"{number:032x}") == model[number]
            model[number] += 1
            assert len(occurrences._counts) <= spill


def test_without_sqlite_memory_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    occurrences = Occurrences(spill=1)
    assert [occurrences.next(hash) for hash in (A, B, C, C, B, A)] == [0, 0, 0, 1, 1, 1]


def test_a_full_disk_is_told() -> None:
    code = (
        "import resource\n"
        "from streamcli.errors import StreamError\n"
        "from streamcli.batch.journals.occurrences import Occurrences\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "occurrences = Occurrences(spill=0)\n"
        "try:\n"
        "    for number in range(1_000_000):\n"
        "        occurrences.next(f'{number * 0x9E3779B97F4A7C15F39CC0605CEDC835:032x}'[-32:])\n"
        "except StreamError as error:\n"
        "    print(error.kind, error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("write TMPDIR"), done


# ---- journals -----------------------------------------------------------------------------------


def dumped(**options: Any) -> bytes:
    return json.dumps(record(), ensure_ascii=False, **options).encode() + b"\n"


@pytest.mark.parametrize(
    ("data", "done"),
    [
        (b"", ""),
        (b"\n\n", ""),
        (end(), "a"),
        (end() + end(B) + end(C), "abc"),
        (end() + end(), "a"),
        (end() + end(status="length") + end(B, status="truncated"), "a"),
        (DELTA + CITATION, ""),
        (DELTA + end() + CITATION + DELTA + end(B) + SUMMARY, "ab"),
        (SUMMARY, ""),
        (end().replace(b"\n", b"\r\n") + b"\r\n\n" + end(B), "ab"),
        (b"\xef\xbb\xbf" + end(), "a"),
        (dumped(), "a"),
        (dumped(sort_keys=True), "a"),
        (dumped(sort_keys=True, separators=(",", ":")), "a"),
        (b"  " + dumped(separators=(" , ", " : ")), "a"),
        (b"data: " + end() + b"\ndata: " + end(B) + b"\n", "ab"),
        (end()[:-1], "a"),  # whole, but for its newline
        (end() + end(B)[:-2], "a"),
        (end() + end(B)[:40], "a"),
        (end() + end(B)[:400] + b"\n" + end(C), "ac"),
        (end() + end(B)[:-2] + end(C), "ac"),
        (end()[:400] + end(B)[:400] + end(C), "c"),
        (DELTA[:-3] + end() + end(B), "ab"),
        (end()[:-1] + end(B), "ab"),
        (b"\0" * 300 + end(), "a"),  # what a crash of the machine can leave
        (end(B)[:400], ""),
        (end(B)[:12] + b"\n", ""),
        (b'{"t', ""),
    ],
)
def test_a_journal(reading: Any, data: bytes, done: str) -> None:
    read = reading(data)
    assert read.done == done
    assert len(read.ledger) == len(done)
    assert not read.notes


def test_several_journals(reading: Any) -> None:
    assert reading(end() + end(B)[:50], b"", end(C) + end()).done == "ac"


def test_occurrences_are_told_apart(reading: Any) -> None:
    done = reading(end(A, 0) + end(A, 2) + end(B, 1)).ledger
    assert [done.has(A, n) for n in range(4)] == [True, False, True, False]
    assert [done.has(B, n) for n in range(3)] == [False, True, False]


def test_an_id_is_a_part_of_what_a_prompt_is_key_of(reading: Any) -> None:
    """Processes that share a job count their own prompts only; ids need no counting."""
    ledger = reading(b"".join(line({**record(), "id": id}) for id in (7, "7", "x"))).ledger
    for known in (7, "7", "x"):
        assert ledger.has(key_of(A, known), 0)
        assert not ledger.has(key_of(A, known), 1)
    for unknown in (None, 8, "y", ""):
        assert not ledger.has(key_of(A, unknown), 0)
    assert reading(end()).ledger.has(key_of(A, None), 0)


@pytest.mark.parametrize(
    "change",
    [
        *({"prompt_hash": hash} for hash in (None, 5, "", "a" * 31, "a" * 33, "A" * 32, "0x" * 16)),
        *({"prompt_hash": hash} for hash in ("_" * 32, "é" * 32, "a" * 32 + "\n", [A], {"a": A})),
        *({"occurrence": number} for number in (None, True, False, -1, 1.0, "0", [], 2**64)),
        *({"complete": word} for word in (False, None, 1, "true", [True])),
        *({"type": kind} for kind in ("start", "END", None, 5, ["end"], {"end": 1})),
        *({"id": id} for id in (1.5, [B], {"id": B}, json.loads("[" * 300 + "]" * 300))),
        {"schema": None},
        {"schema": 1},
        {"schema": "other/1"},
    ],
    ids=lambda change: repr(change)[:60],
)
def test_what_is_of_the_wrong_kind_is_not_done(reading: Any, change: dict[str, Any]) -> None:
    bad = json.dumps({**record(B), **change}).encode() + b"\n"
    read = reading(end() + bad + end(C))
    assert (read.done, len(read.ledger)) == ("ac", 2)


NESTED = b'{"type":"end","prompt_hash":' + b"[" * 100_000 + b"\n"
HUGE = b'{"type":"end","prompt_hash":"' + A.encode() + b'","occurrence":' + b"9" * 5000 + b"}\n"


@pytest.mark.parametrize("junk", [NESTED, HUGE, NESTED.replace(b"[", b'{"type":')], ids=len)
def test_monsters(reading: Any, junk: bytes) -> None:
    read = reading(end(B) + junk + end(C))
    assert (read.done, len(read.ledger)) == ("bc", 2)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b'"prompt_hash"', b'{"type":'])))
def test_no_bytes_are_too_much(tmp_path_factory: pytest.TempPathFactory, junk: list[bytes]) -> None:
    folder = tmp_path_factory.getbasetemp()
    assert Reading(folder, end() + b"".join(junk) + b"\n" + end(C)).done == "ac"


PIECES = (
    [(end(hash), hash[0]) for hash in (A, B, C)]
    + [(end(A, status="length"), ""), (DELTA, ""), (b"\n", ""), (b"\r\n", "")]
    + [(json.dumps(record(B), sort_keys=True).encode() + b"\n", "b")]
    + [(end(C)[:size], "") for size in (0, 1, 9, 60, 400, len(end(C)) - 2)]
)


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.sampled_from([1, 2, 7, 64, 900, 4096]))
def test_torn_lines_cost_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[bytes, str]], block: int
) -> None:
    """Wherever a read ends. (A sorted record glued to a torn one is lost.)"""
    data, done = end(status="length"), set()
    for piece, hash in pieces:
        if not (piece.startswith(b'{"attempts"') and not data.endswith(b"\n")):
            done.update(hash)
        data += piece
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "BLOCK", block)
        assert Reading(tmp_path_factory.getbasetemp(), data).done == "".join(sorted(done))


def test_a_line_too_long_for_memory(reading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "BLOCK", 1000)
    monkeypatch.setattr(journal, "LONGEST", 5000)
    long = line({**record(B), "text": "x" * 100_000})
    assert reading(end() + long + end(C)).done == "ac"
    assert reading(long + end(C)).done == "c"
    assert reading(long[:-2] + end(C)).done == "c"


def test_lines_of_something_else_are_counted(reading: Any) -> None:
    noise = b"stream: waiting for stdin\n" + DELTA + b"Traceback\n\n{}\n" + end(B)[:30] + b"\n"
    tail = end(B)[-30:]  # what `tail -c` begins with
    read = reading(end() + noise + end(C), tail + end(), end(), b"stream: no key: set X\n")
    assert read.done == "ac"
    for note, name, count in zip(read.notes, "013", ("3 lines", "1 line", "1 line"), strict=True):
        assert f"journal{name} " in note
        assert f" {count} " in note


def test_what_the_command_writes(server: FaultServer, stream: Stream, tmp_path: Path) -> None:
    args = ("-m", "vllm:m", "--base-url", server.url("ok"))
    runs = [stream(*args, form, word) for form, word in (("--json", "hi"), ("--jsonl", "ho"))]
    runs.append(stream(*args[:3], server.url("truncated_clean"), "--jsonl", "cut"))
    (tmp_path / "journal").write_bytes(b"".join(run.stdout for run in runs))
    done = read([str(tmp_path / "journal")], note=pytest.fail)
    hashes = [run.records[-1]["prompt_hash"] for run in runs]
    assert [done.has(hash, 0) for hash in hashes] == [True, True, False]


# ---- where stdout goes --------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [b"", end(B)[:50], end(B)[:-1]])
def test_a_torn_tail_is_ended_where_stdout_goes(tmp_path: Path, torn: bytes) -> None:
    path, other, link = tmp_path / "out.jsonl", tmp_path / "other", tmp_path / "link"
    path.write_bytes(end() + torn)
    link.symlink_to(path)
    with open(other, "ab") as out:
        read([str(path)], stdout=out.fileno(), note=pytest.fail)
    assert (path.read_bytes(), other.read_bytes()) == (end() + torn, b"")
    with open(path, "ab") as out:
        done = read([str(link), str(path)], stdout=out.fileno(), note=pytest.fail)
    assert done.has(A, 0)
    assert path.read_bytes() == end() + torn + (b"\n" if torn else b"")  # once is enough


def test_a_new_file_stays_empty(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with open(path, "ab") as out:
        assert len(read([str(path)], stdout=out.fileno(), note=pytest.fail)) == 0
    assert path.read_bytes() == b""


def test_stdout_must_append(tmp_path: Path) -> None:
    path = tmp_path / "my out.jsonl"
    path.write_bytes(end())
    with open(path, "r+b") as out:
        said = refused(path, stdout=out.fileno(), says="use >> instead of >")
    assert "empties" not in said
    assert f">> '{path}'" in said
    with open(path, "wb") as out:
        assert "empties" in refused(path, stdout=out.fileno(), says="use >> instead of >")


def test_stdout_that_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(end() + b"{")
    assert len(read([str(path)], stdout=9999, note=pytest.fail)) == 1
    assert path.read_bytes() == end() + b"{"


# ---- files that are none ------------------------------------------------------------------------


def test_a_file_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "no.jsonl"
    refused(path, says="touch")
    refused(path, events=str(tmp_path / "events.jsonl"))
    monkeypatch.chdir(tmp_path)
    for events in (str(path), "no.jsonl", f"../{tmp_path.name}/no.jsonl"):
        assert len(read([str(path)], events=events, note=pytest.fail)) == 0


def test_what_cannot_be_read(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    refused(tmp_path, says="is a directory")
    refused(loop, says="cannot be read")
    refused(loop / "x", says="cannot be read")
    refused("/dev/zero", says="is a device")
    assert len(read([os.devnull], note=pytest.fail)) == 0


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    data = end() + DELTA * 2000 + end(B)[:9]
    writer = threading.Thread(target=fifo.write_bytes, args=(data,), daemon=True)
    writer.start()
    assert len(read([str(fifo)], note=pytest.fail)) == 1
    writer.join()
    ours, theirs = os.pipe()  # as <(...) gives it
    os.write(theirs, end(C))
    os.close(theirs)
    assert read([f"/dev/fd/{ours}"], note=pytest.fail).has(C, 0)
    os.close(ours)


def test_the_pipe_that_stdout_goes_into(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(fifo, os.O_WRONLY)
    refused(fifo, stdout=writer, says="stdout")
    os.close(writer)
    os.close(reader)


REQUEST = {"type": "request", "schema": CASSETTE, "ts": "", "url": "", "body": "{}"}


def lines(*values: object) -> bytes:
    return b"".join(orjson.dumps(value) + b"\n" for value in values)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lines(REQUEST, {"type": "end", "t_ms": 1, "error": None}), "a recording"),
        (lines({"prompt": "hi"}, {"prompt": "ho"}), "requests"),
        (lines({"messages": [], "id": 1}), "requests"),
        (lines({"custom_id": "1", "method": "POST", "body": {}}), "requests"),
        (lines({"name": "x"}, {"name": "y"}), "JSON Lines of something else"),
        (lines({"type": "end"}, {"type": "start"}), "JSON Lines of something else"),
        (lines([record(), record()]), "jq -c '.[]'"),
        (lines([1, 2]), "a JSON array"),
        (b"[\n" + end()[:-1] + b",\n" + end(B) + b"]\n", "jq -c '.[]'"),
        (json.dumps(record(), indent=2).encode(), "jq -c . "),
        (json.dumps({"a": [1]}, indent=2).encode(), "a JSON document"),
        (b"<!DOCTYPE html>\n<html></html>", "HTML"),
        (b"\n<HTML>", "HTML"),
        (gzip.compress(end()), "gzip -dc "),
        (lzma.compress(end()), "xz -dc "),
        (bz2.compress(end()), "bzip2 -dc "),
        (b"\x28\xb5\x2f\xfd\x24\x00", "zstd -dc "),
        (b"\x7fELF\x02\x01\x01\0\0", "binary"),
        (b"caf\xe9 cr\xe8me\n", "binary"),
        (b"Paris is the capital of France.\n", "plain text"),
        (b"42\n", "plain text"),
        (end().replace(b"records/1", b"records/2"), "stream.records/2"),
        (lines({"kind": "begin", "schema": "stream.records/2"}), "stream.records/2"),
        (end() + end(B).replace(b"records/1", b"records/22"), "stream.records/22"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_of_another_kind(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "it's.jsonl"
    path.write_bytes(data)
    with open(path, "ab") as out:
        said = refused(path, says=says, stdout=out.fileno())
    if "<(" in said:
        assert "it'\"'\"'s" in said  # to be pasted into a shell
    assert path.read_bytes() == data


def test_it_is_refused_by_its_first_lines(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.write_bytes(b"Paris is the capital of France.\n")
    os.truncate(path, 1 << 40)  # nobody reads that to its end
    refused(path, says="plain text")
