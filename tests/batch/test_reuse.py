"""--reuse: answers that records hold are not asked again, for one prompt or many."""

from __future__ import annotations

import json
import os
import subprocess
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from batchserver import Act, BatchServer, by_word
from conftest import ROOT, Popen, Stream, eventually
from forking import Fork
from records import check, whole_answers

from streamcli.batch.journals.reuse import Reuse
from streamcli.events import Reasoning, Text
from streamcli.output.records import line

HASHES = [f"{number:032x}" for number in range(1, 40)]


def plan(prompt: str, before: int) -> Act:
    """As by_word; another answer each time where that is asked for."""
    return Act(text=f"{before} of {prompt}") if "count" in prompt else by_word(prompt, before)


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.chdir(tmp_path)
    with BatchServer(plan) as found:
        yield found


@pytest.fixture
def args(loop: BatchServer) -> tuple[str, ...]:
    return ("-m", "vllm:m", "--base-url", loop.base)


JOURNALS = [
    ("--events", "J", "--reuse", "J"),
    ("--json", "--reuse", "J"),
    ("--jsonl", "--reuse", "J"),
]


@pytest.mark.parametrize("journal", JOURNALS, ids=lambda each: each[0])
def test_one_prompt_is_asked_once(
    loop: BatchServer, args: tuple[str, ...], stream: Stream, journal: tuple[str, ...]
) -> None:
    Path("J").touch()

    def run(*more: str) -> Any:
        with open("J", "ab") as out:
            to_journal = journal[0] != "--events"
            return stream(*args, *journal, *more, **({"stdout": out} if to_journal else {}))

    first = run("think of a thing")
    assert first.returncode == 0
    connections = loop.connections
    for _ in range(3):
        assert run("think of a thing").returncode == 0
    assert (len(loop.asked), loop.connections) == (1, connections)
    records = [json.loads(each) for each in Path("J").read_text().splitlines()]
    check(records)
    ends = [each for each in records if each["type"] == "end"]
    assert [each.get("reused_from") for each in ends] == [None, *[ends[0]["request_id"]] * 3]
    assert {each["attempts"] for each in ends[1:]} == {0}
    assert {each["usage"]["total_tokens"] for each in ends[1:]} == {None}
    shown = stream(*args, "--reuse", "J", "--reasoning", "stdout", "think of a thing")
    assert shown.text == "of a thing\n\nanswer to <think of a thing> done"
    assert len(loop.asked) == 1


def test_no_socket_is_opened(args: tuple[str, ...], loop: BatchServer, stream: Stream) -> None:
    assert stream(*args, "--events", "J", "hi").returncode == 0
    gone = ("-m", "vllm:m", "--base-url", "http://127.0.0.1:9/v1", "--max-retries", "0")
    run = stream(*gone, "--reuse", "J", "hi")  # the address is no part of the question
    assert (run.returncode, run.text) == (0, "answer to <hi> done")
    assert stream(*gone, "--reuse", "J", "ho").returncode == 7
    assert stream(*gone, "--reuse", "J", "-L", stdin=b"hi\nhi\n").returncode == 0


def test_what_was_cut_is_asked_again(
    args: tuple[str, ...], loop: BatchServer, stream: Stream
) -> None:
    for prompt, code in (("cut x", 18), ("length x", 10), ("500 x", 15), ("error x", 15)):
        for _ in range(2):
            before = len(loop.asked)
            more = ("--events", "J", "--reuse", "J", "--max-retries", "0")
            assert stream(*args, *more, prompt).returncode == code
            assert len(loop.asked) == before + 1
    assert stream(*args, "--events", "J", "--enough", "answer", "hi").returncode == 0
    before = len(loop.asked)
    assert stream(*args, "--reuse", "J", "hi").text == "answer to <hi> done"
    assert len(loop.asked) == before + 1


def test_another_question_is_another_answer(
    args: tuple[str, ...], loop: BatchServer, stream: Stream
) -> None:
    stream(*args, "--events", "J", "hi")
    for more in (["--temperature", "1"], ["-s", "x"], ["-m", "vllm:n"], ["ho"], ["--schema", "a"]):
        before = len(loop.asked)
        stream("-m", "vllm:m", "--base-url", loop.base, "--reuse", "J", *more, "hi")
        assert len(loop.asked) > before, more


def test_the_answer_goes_where_another_would(
    args: tuple[str, ...], loop: BatchServer, stream: Stream
) -> None:
    text = "say Here:\n\n```sh\nls\n```\n"
    assert stream(*args, "--events", "J", text).returncode == 0
    more = (*args, "--reuse", "J")
    assert stream(*more, "-x", text).text == "ls\n"
    assert stream(*more, "-O", "out", text).returncode == 0
    assert "ls" in Path("out").read_text()
    assert stream(*more, "--enough", "Here", text).text == "Here"
    kinds = [each["type"] for each in stream(*more, "--jsonl", text).records]
    assert (kinds[0], kinds[-1]) == ("delta", "end")
    assert stream(*more, "-x", "-L", stdin=text.replace("\n", " ").encode()).returncode == 20
    assert len(loop.asked) == 2


def test_equal_prompts(args: tuple[str, ...], loop: BatchServer, stream: Stream) -> None:
    assert stream(*args, "-L", "-j1", "--events", "J", stdin=b"count\ncount\n").returncode == 0
    both = stream(*args, "-L", "-j1", "--reuse", "J", stdin=b"count\ncount\ncount\n")
    assert both.text == "0 of count\n1 of count\n0 of count\n"
    assert stream(*args, "--reuse", "J", "count").text == "0 of count"
    asked = len(loop.asked)
    more = stream(*args, "--repeat", "4", "-j1", "--reuse", "J", "count")
    assert more.text == "0 of count\n1 of count\n2 of count\n3 of count\n"
    assert len(loop.asked) == asked + 2  # each needs an answer of its own


def test_a_batch_costs_what_is_missing(
    args: tuple[str, ...], loop: BatchServer, stream: Stream
) -> None:
    lines = "".join(f"say {number}\n" for number in range(40)).encode()
    idiom = ("-L", "--events", "J", "--reuse", "J", "-j8")
    assert stream(*args, *idiom, stdin=lines[: len(lines) // 2]).returncode == 0
    half = len(loop.asked)
    run = stream(*args, *idiom, stdin=lines)
    assert run.text == "".join(f"{number}\n" for number in range(40))
    asked = len(loop.asked)
    assert 40 <= asked <= half + 21
    size = os.path.getsize("J")
    run = stream(*args, *idiom, "--rate", "1/h", stdin=lines)  # no request, so no wait
    assert run.text == "".join(f"{number}\n" for number in range(40))
    assert len(loop.asked) == asked
    assert os.path.getsize("J") - size < 40 * 1200  # the ends alone
    summary = json.loads(Path("J").read_text().splitlines()[-1])
    assert (summary["reused"], summary["prompts"]) == (40, 40)


def test_a_killed_batch_goes_on(
    args: tuple[str, ...], loop: BatchServer, popen: Popen, stream: Stream
) -> None:
    Path("in").write_text("".join(f"say {number}\n" for number in range(200)))
    idiom = ("-L", "--events", "J", "--reuse", "J", "-j4")

    def asked_or_over(wanted: int, process: Fork) -> bool:
        return len(loop.asked) >= wanted or process.poll() is not None

    for kill in range(3):
        with open("in", "rb") as lines:
            process = popen(*args, *idiom, stdin=lines, stdout=subprocess.DEVNULL)
        assert eventually(partial(asked_or_over, 30 * (kill + 1), process))
        process.kill()
        process.wait(60)
    assert eventually(lambda: not loop.running)
    asked, left = len(loop.asked), 200 - len(whole_answers(Path("J").read_bytes()))
    assert left < 200
    with open("in", "rb") as lines:
        run = stream(*args, *idiom, stdin=lines)
    assert run.text == "".join(f"{number}\n" for number in range(200))
    # Requests of the one that was killed may still be read later.
    assert left <= len(loop.asked) - asked <= left + 4


def test_what_is_not_a_file_of_records(args: tuple[str, ...], stream: Stream) -> None:
    Path("text").write_text("no records\n")
    for path, says in (("text", "--json"), (".", "--reuse takes a file"), ("gone", "touch gone")):
        for more in ((), ("-L",)):
            run = stream(*args, "--reuse", path, *more, "hi", stdin=b"x\n" if more else None)
            assert run.returncode == 2
            assert says in run.stderr
    Path("J").touch()
    with open("J", "r+b") as out:
        run = stream(*args, "--json", "--reuse", "J", "hi", stdout=out)
    assert run.returncode == 2
    assert "--reuse J >> J" in run.stderr


# The journals themselves


def end(hash: str, text: str | None, chars: int, **more: Any) -> dict[str, Any]:
    record = {
        "type": "end",
        "request_id": f"R{hash[-6:]}",
        "prompt_hash": hash,
        "occurrence": 0,
        "status": "complete",
        "complete": True,
        "finish_reason": "stop",
        "chars": chars,
        **more,
    }
    return record if text is None else {**record, "text": text}


def delta(hash: str, text: str, **more: Any) -> dict[str, Any]:
    request_id = f"R{hash[-6:]}"
    return {"type": "delta", "request_id": request_id, "channel": "text", "text": text, **more}


def found(path: Path, hash: str) -> str | None:
    """Return the text of an answer, the same whether others are wanted too or not."""
    texts = []
    for only in ("", hash):
        reuse = Reuse([str(path)], stdout=-1, only=only)
        answer = reuse.find(hash)
        reuse.close()
        events = [] if answer is None else answer.events
        text = "".join(each.text for each in events if isinstance(each, Text))
        texts.append(None if answer is None else text)
    assert texts[0] == texts[1]
    return texts[0]


def test_journals_in_any_state(tmp_path: Path) -> None:
    path = tmp_path / "J"
    a, b, c, d, e, f = HASHES[:6]
    lines = [
        line(delta(a, "one ")),
        line(delta(b, "zw")),
        line({**delta(a, "thought"), "channel": "reasoning"}),
        line(delta(a, "other", choice=1)),
        line(delta(a, 'two "request_id":"R000002"')),
        line(end(a, None, 4 + 26)),
        line(delta(b, "ei")),
        line(end(b, None, 4)),
        line(end(c, "drei", 4)),
        line(delta(d, "lost ")),
        line(end(d, None, 9)),  # a line of it is gone
        line(end(e, "torn", 4))[:-20],
        line(end(f, "sechs", 5)),
        line(end(c, "", 0, status="truncated", complete=False)),
        json.dumps(end(e, "fünf", 4), indent=None).encode() + b"\n",
        line(end(b, None, 4, reused_from="R000002", request_id="RX")),
        b"stream: a note\n",
        line(end(a, "never", 5))[:40],
    ]
    path.write_bytes(b"".join(lines))
    texts = [found(path, hash) for hash in (a, b, c, d, e, f, HASHES[9])]
    assert texts == [
        'one two "request_id":"R000002"',
        "zwei",
        "drei",
        None,
        "fünf",
        "sechs",
        None,
    ]
    reuse = Reuse([str(path)], stdout=-1)
    answer = reuse.find(a)
    assert answer is not None
    assert [each.text for each in answer.events if isinstance(each, Reasoning)] == ["thought"]
    reuse.close()


def test_a_file_that_changes_under_us_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "J"
    path.write_bytes(line(end(HASHES[0], "text", 4)))
    reuse = Reuse([str(path)], stdout=-1)
    path.write_bytes(b"x" * 1000)
    assert reuse.find(HASHES[0]) is None
    path.write_bytes(b"")
    assert reuse.find(HASHES[0]) is None
    reuse.close()


def test_a_pipe_is_read_too(tmp_path: Path, child_env: dict[str, str]) -> None:
    journal = tmp_path / "J"
    journal.write_bytes(line(end(HASHES[0], "text", 4)))
    code = (
        "import sys; from streamcli.batch.journals.reuse import Reuse;"
        "print(Reuse(sys.argv[1:2]).find(sys.argv[2]).events[0].text)"
    )
    script = f'exec python3 -c "$1" <(cat "{journal}") {HASHES[0]} > "{tmp_path}/out"'
    import sys

    script = script.replace("python3", sys.executable)
    run = subprocess.run(["bash", "-c", script, "-", code], env=child_env, cwd=ROOT, timeout=60)
    assert run.returncode == 0
    assert (tmp_path / "out").read_text() == "text\n"


def test_memory_is_flat(tmp_path: Path) -> None:
    path = tmp_path / "J"
    with open(path, "wb") as file:
        for number in range(20_000):
            hash = "%032x" % (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 & (1 << 128) - 1)
            file.write(line(end(hash, "x" * 200, 200, request_id=f"R{number}")))
    tracemalloc.start()
    reuse = Reuse([str(path)], stdout=-1)
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 20_000 * 64 + 1_000_000
    assert peak < 20_000 * 64 + 4_000_000
    assert reuse.find(hash) is not None
    reuse.close()
