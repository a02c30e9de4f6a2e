"""--rows and --into: a table in, the same table out with the answers."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from batchserver import Act, BatchServer
from conftest import Popen, Stream, eventually
from forking import Fork
from records import whole_answers


def plan(prompt: str, before: int) -> Act:
    """The prompt in upper case; `500 ...` and `cut ...` fail."""
    if prompt.startswith("500"):
        return Act(status=500)
    if prompt.startswith("cut"):
        return Act(end="cut")
    return Act(text=prompt.upper())


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.chdir(tmp_path)
    with BatchServer(plan) as found:
        yield found


@pytest.fixture
def args(loop: BatchServer) -> tuple[str, ...]:
    return ("-m", "vllm:m", "--base-url", loop.base, "--max-retries", "0")


def cells(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def test_a_column_is_added(loop: BatchServer, args: tuple[str, ...], stream: Stream) -> None:
    data = b'\xef\xbb\xbfid,text\r\n1,"a, b"\r\n2,=1+1\r\n3,"x\r\ny"\r\n'
    run = stream(*args, "--rows", "--into", "up", "{text} ({id})", stdin=data)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (
        b'\xef\xbb\xbfid,text,up\r\n1,"a, b","A, B (1)"\r\n2,=1+1,=1+1 (2)\r\n'
        b'3,"x\r\ny","X\r\nY (3)"\r\n'
    )
    lines = b'{"id": 1.0, "text": "a"}\n\n{"id": 2, "text": "b", "more": [1]}\n'
    run = stream(*args, "--rows", "--into", "up", "{text}", stdin=lines)
    assert run.text == '{"id":1.0,"text":"a","up":"A"}\n{"id":2,"text":"b","more":[1],"up":"B"}\n'
    run = stream(*args, "--rows=tsv", "--into", "up", "{a,b}", "{c}", stdin=b"a,b\tc\n1\t2\n")
    assert run.text == "a,b\tc\tup\n1\t2\t{A,B} 2\n"


def test_the_system_prompt_and_the_prefill_are_filled_in(
    loop: BatchServer, args: tuple[str, ...], stream: Stream
) -> None:
    Path("system").write_text("You are {who}.\n")
    data = b"who,q\nAnn,x\nBob,y\n"
    more = ("--rows", "-j1", "-s", "@system", "--prefill", "I, {who},", "{q}")
    run = stream(*args, *more, "--json", stdin=data)
    assert run.returncode == 0
    assert len({each["prompt_hash"] for each in run.records}) == 2
    for asked, who, q in zip(loop.asked, ("Ann", "Bob"), "xy", strict=True):
        said = [(each["role"], each["content"]) for each in asked.body["messages"]]
        assert said == [
            ("system", f"You are {who}."),
            ("user", q),
            ("assistant", f"I, {who},"),
        ]


def test_rows_without_into_are_a_batch(args: tuple[str, ...], stream: Stream) -> None:
    data = b"id,text\nr1,a\nr2,b\n"
    run = stream(*args, "--rows", "{text}", stdin=data)
    assert run.text == "A\nB\n"
    run = stream(*args, "--rows", "-k", "--json", "{text}", stdin=data)
    assert [(each["index"], each["id"], each["text"]) for each in run.records] == [
        (0, "r1", "A"),
        (1, "r2", "B"),
    ]
    Path("in.csv").write_bytes(data)
    Path("more.csv").write_bytes(b"id,text\nr3,c\n")
    run = stream(*args, "--rows", "-n", "-f", "in.csv", "-f", "more.csv", "{text}")
    assert run.text == "A\nB\nC\n"


def test_a_failed_row_has_an_empty_field(
    args: tuple[str, ...], loop: BatchServer, stream: Stream
) -> None:
    data = b"text\nok\n500 x\ncut x\n\xff\n\n  \na,b\nend\n"
    run = stream(*args, "--rows", "-j1", "--into", "up", "{text}", stdin=data)
    assert run.returncode == 20
    assert run.stdout == (b"text,up\nok,OK\n500 x,\ncut x,\n\xff,\n  ,\na,,b\nend,END\n")
    lines = b'{"t":"ok"}\n{"t":"500"}\nnope\n{"u":1}\n{"t":"x","up":1}\n{"t":null}\n{"t":"end"}\n'
    run = stream(*args, "--rows", "--into", "up", "{t}", stdin=lines)
    assert run.returncode == 20
    assert [json.loads(line) for line in run.text.splitlines()] == [
        {"t": "ok", "up": "OK"},
        {"t": "500", "up": None},
        {"up": None},
        {"u": 1, "up": None},
        {"t": "x", "up": 1},
        {"t": None, "up": None},
        {"t": "end", "up": "END"},
    ]
    assert "row 4: it has no field 't'" in run.stderr


def test_a_bad_id_is_no_trouble_for_the_records(args: tuple[str, ...], stream: Stream) -> None:
    run = stream(*args, "--rows", "--jsonl", "{a}", stdin=b"id,a\n\xff,1\n2,b\n")
    assert run.returncode == 20
    ends = {each["id"]: each["status"] for each in run.records if each["type"] == "end"}
    assert ends == {"\ufffd": "usage", "2": "complete"}
    run = stream(*args, "--rows", "--into", b"\xff", "{a}", stdin=b"a\n1\n")
    assert run.returncode == 2
    assert "an argument is not UTF-8" in run.stderr


def test_a_value_with_a_schema(stream: Stream, tmp_path: Path) -> None:
    def judge(prompt: str, before: int) -> Act:
        good = "good" in prompt
        value = {"mood": "good" if good else "bad", "score": 1 if good else "no", "why": "a, b"}
        return Act(text=json.dumps(value))

    data = b"id,review\n1,good\n2,bad\n"
    short = "mood enum(good|bad), score int, why"
    with BatchServer(judge) as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "--rows", "--schema", short)
        run = stream(*args, "--into", "*", "Judge {review}", stdin=data)
        assert run.returncode == 20
        assert cells(run.stdout) == [
            ["id", "review", "mood", "score", "why"],
            ["1", "good", "good", "1", "a, b"],
            ["2", "bad", "", "", ""],
        ]
        more = ("--accept", "mismatch")
        run = stream(*args, *more, "--into", "value", "Judge {review}", stdin=data)
        assert run.returncode == 0
        assert json.loads(cells(run.stdout)[2][2])["score"] == "no"
        lines = b'{"review":"good"}\n'
        run = stream(*args, "--into", "value", "Judge {review}", stdin=lines)
        assert json.loads(run.text)["value"] == {"mood": "good", "score": 1, "why": "a, b"}


def test_the_text_is_shaped_first(stream: Stream) -> None:
    fenced = "Here:\n\n```sh\nls\npwd\n```\n"
    with BatchServer(lambda prompt, before: Act(text=fenced)) as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "--rows", "--into", "code", "-x")
        run = stream(*args, "{a}", stdin=b"a\n1\n")
        assert run.text == 'a,code\n1,"ls\npwd"\n'


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--rows", "{nope}"], "the prompt names the field 'nope', and the rows have a, b"),
        (["--rows", "-s", "{nope}", "{a}"], "--system names the field 'nope'"),
        (["--rows", "hi"], "the words name no field of the rows"),
        (["--rows"], "the words name no field of the rows"),
        (["--rows", "--into", "b", "{a}"], "a field 'b' already: --force replaces it"),
        (["--rows", "--into", "*", "{a}"], "needs a schema with fields"),
        (["--rows", "--into", "x", "--json", "{a}"], "--into and --json both write to stdout"),
        (["--rows", "--into", "x", "-O", "o/{index}", "{a}"], "--into writes the rows to stdout"),
        (["--rows", "--into", "x", "--resume", "J", "{a}"], "--resume leaves some out"),
        (["--rows", "--into", "x", "--repeat", "2", "{a}"], "one answer for each row"),
        (["--rows", "--into", "x", "-m", "vllm:n", "{a}"], "one answer for each row"),
        (["--rows", "-I", "{a}", "{a}"], "--rows and --replace exclude each other"),
        (["--rows", "-", "{a}"], "'-' has no place among them"),
        (["--rows", "-L", "{a}"], "--rows and --lines exclude each other"),
        (["-L", "--into", "x"], "--into needs --rows"),
        (["--into", "x", "hi"], "--into needs --rows"),
        (["--rows", "--force", "{a}"], "--force needs --into"),
        (["--force", "hi"], "--force needs --into"),
        (["--rows=jsonl", "{a}"], "line 1 is not a JSON object"),
    ],
)
def test_what_cannot_be(
    loop: BatchServer, args: tuple[str, ...], stream: Stream, more: list[str], says: str
) -> None:
    run = stream(*args, *more, stdin=b"a,b\n1,2\n")
    assert run.returncode == 2
    assert says in run.stderr
    assert run.text == "" or "--json" in more
    assert not loop.asked


def test_nothing_in(args: tuple[str, ...], stream: Stream) -> None:
    for data, out in ((b"", ""), (b"a,b\n", "a,b,up\n")):
        run = stream(*args, "--rows=csv", "--into", "up", "{a}", stdin=data)
        assert (run.returncode, run.text) == (0, out)


def test_rows_are_read_as_they_come(args: tuple[str, ...], popen: Popen) -> None:
    process = popen(*args, "--rows", "--into", "up", "{a}", stdin=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"a,b\n")
    assert process.stdout.readline() == b"a,b,up\n"
    for word in (b"one", b"two"):
        process.stdin.write(word + b",2\n")
        assert process.stdout.readline() == word + b",2," + word.upper() + b"\n"
    process.stdin.close()
    assert process.wait(60) == 0


def test_a_batch_that_stops_leaves_the_rows_in_their_places(
    args: tuple[str, ...], stream: Stream
) -> None:
    data = b"a\n" + b"500 x\n" * 3 + b"ok\n" * 50
    run = stream(*args, "--rows", "-j1", "--halt", "soon,fail=1", "--into", "up", "{a}", stdin=data)
    assert run.returncode == 20
    rows = cells(run.stdout)
    assert rows[:2] == [["a", "up"], ["500 x", ""]]
    assert all(len(row) == 2 for row in rows)


def test_a_killed_table_is_whole_in_the_end(
    loop: BatchServer, args: tuple[str, ...], popen: Popen, stream: Stream
) -> None:
    with open("in.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        for number in range(300):
            writer.writerow([number, f'row {number},\n"quoted"'])
    idiom = ("--rows", "--into", "up", "--events", "J", "--reuse", "J", "-j8", "{text}")

    def asked_or_over(wanted: int, process: Fork) -> bool:
        return len(loop.asked) >= wanted or process.poll() is not None

    for kill in range(3):
        with open("in.csv", "rb") as rows, open("out.csv", "wb") as out:
            process = popen(*args, *idiom, stdin=rows, stdout=out)
        assert eventually(partial(asked_or_over, 50 * (kill + 1), process))
        process.kill()
        process.wait(60)
    assert eventually(lambda: not loop.running)
    asked, left = len(loop.asked), 300 - len(whole_answers(Path("J").read_bytes()))
    with open("in.csv", "rb") as rows:
        run = stream(*args, *idiom, stdin=rows)
    assert run.returncode == 0
    found = cells(run.stdout)
    assert found[0] == ["id", "text", "up"]
    assert found[1:] == [[str(n), f'row {n},\n"quoted"', f'ROW {n},\n"QUOTED"'] for n in range(300)]
    assert left < 300
    # Requests of the one that was killed may still be read later.
    assert left <= len(loop.asked) - asked <= left + 8
    before = len(loop.asked)
    with open("in.csv", "rb") as rows:
        assert stream(*args, *idiom, stdin=rows).stdout == run.stdout
    assert len(loop.asked) == before


def test_a_closed_reader_ends_it(args: tuple[str, ...], popen: Popen) -> None:
    Path("in.csv").write_bytes(b"a\n" + b"word\n" * 3000)
    with open("in.csv", "rb") as rows:
        process = popen(*args, "--rows", "--into", "up", "{a}", stdin=rows)
    assert process.stdout
    assert process.stdout.readline() == b"a,up\n"
    process.stdout.close()
    assert process.wait(60) == -13
