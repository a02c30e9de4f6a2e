"""--extract, --items, --buffer and --pace as a user meets them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Popen, Result, Stream
from faultserver import Conn, FaultServer

BLOCK = "Sure:\n\n```sh\nls\n```\nThat lists them."
ARRAY = 'Here:\n```json\n[\n  {"a": 1},\n  "b"\n]\n```\n'
Ask = Callable[..., Result]


def play(*deltas: str, reason: str | None = "stop") -> Callable[[Conn], None]:
    def answer(conn: Conn) -> None:
        conn.open_with(*deltas)
        if reason:
            conn.finish(reason)
            conn.done()
        conn.end()

    return answer


@pytest.fixture
def ask(server: FaultServer, stream: Stream) -> Ask:
    def run(
        text: str, *args: str, reason: str | None = "stop", stdin: bytes | None = None
    ) -> Result:
        deltas = [text[at : at + 3] for at in range(0, len(text), 3)]
        url = server.script("shaped", play(*deltas, reason=reason))
        return stream("-m", "vllm:m", "--base-url", url, *args, stdin=stdin)

    return run


@pytest.mark.parametrize("option", ["-x", "-qx", "-x=sh", "--extract", "--extract=SH"])
def test_a_code_block(ask: Ask, server: FaultServer, option: str) -> None:
    run = ask(BLOCK, option, "list files")
    assert (run.returncode, run.text, run.stderr) == (0, "ls\n", "")
    assert server.requests[-1].json["messages"][-1]["content"] == "list files"


def test_a_code_block_in_a_file(ask: Ask, tmp_path: Path) -> None:
    run = ask(BLOCK, "-x", "-O", "list.sh", "--json", "hi")
    assert run.returncode == 0
    assert (tmp_path / "list.sh").read_text() == "ls\n"
    assert run.records[0]["text"] == BLOCK


def test_no_code_block(ask: Ask, tmp_path: Path) -> None:
    run = ask(BLOCK, "-x=python", "--events", "events", "hi")
    assert (run.returncode, run.text) == (12, "")
    assert "no such code block" in run.stderr
    assert b'"status":"mismatch"' in (tmp_path / "events").read_bytes()
    assert b'"kind":"mismatch"' in (tmp_path / "events").read_bytes()
    assert "That lists them." in ask(BLOCK, "-x=python", "-v", "hi").stderr
    assert ask(BLOCK, "-x=python", "--accept", "mismatch", "hi").returncode == 0


def test_verbose_shows_an_answer_without_an_array(ask: Callable[..., Result]) -> None:
    shown = "stream: the answer: No list"
    assert ask("No list", "--items", "hi").stderr.endswith(": -v shows it\n")
    assert shown in ask("No list", "--items", "-v", "hi").stderr
    assert shown not in ask("[1", "--items", "-v", "hi").stderr


@pytest.mark.parametrize(("reason", "code"), [("stop", 18), ("length", 10), (None, 18)])
def test_half_a_code_block(ask: Ask, reason: str | None, code: int) -> None:
    run = ask("```sh\nls\nrm", "-x", "hi", reason=reason)
    assert (run.returncode, run.text) == (code, "ls\nrm")


def test_items(ask: Ask) -> None:
    run = ask(ARRAY, "--items", "hi")
    assert (run.returncode, run.text) == (0, '{"a": 1}\n"b"\n')
    assert run.stderr == "stream: the text around the JSON was skipped\n"
    assert ask(ARRAY, "-q", "--items", "hi").stderr == ""
    assert ask('{"o": {"p": [1]}}', "--items=o.p", "hi").text == "1\n"
    assert ask("```py\n[1, 2]\n```\n[3, 4]", "-x", "--items", "hi").text == "1\n2\n"


@pytest.mark.parametrize(
    ("text", "reason", "code"),
    [
        ('[{"a": 1}, {"b"', "stop", 18),
        ('[{"a": 1}, {"b"', "length", 10),
        ('[{"a": 1}, nope]', "stop", 12),
    ],
)
def test_items_that_go_wrong(ask: Ask, text: str, reason: str, code: int) -> None:
    run = ask(text, "--items", "hi", reason=reason)
    assert (run.returncode, run.text) == (code, '{"a": 1}\n')
    assert len(run.complaints) == 1


def test_no_items(ask: Ask) -> None:
    assert ask("None.", "--items", "hi").returncode == 12
    assert ask('{"a": 1}', "--items=a", "hi").returncode == 12


def test_shapes_in_a_batch(ask: Ask) -> None:
    run = ask("[1, 2]", "-L", "-j1", "--items", stdin=b"a\nb\n")
    assert (run.returncode, run.text, run.stderr) == (0, "1\n2\n" * 2, "")
    run = ask(BLOCK, "-L", "-j1", "-x=c", stdin=b"a\nb\n")
    assert (run.returncode, run.text) == (20, "\n\n")
    assert run.stderr.count("no such code block") == 2


@pytest.mark.parametrize("option", ["-x", "--items"])
@pytest.mark.parametrize("batch", [(), ("-L",)])
def test_records_have_no_shape(ask: Ask, option: str, batch: tuple[str, ...]) -> None:
    run = ask(BLOCK, option, "--jsonl", *batch, "hi", stdin=b"a\n" if batch else None)
    assert run.returncode == 2
    assert "is for a text" in run.stderr


def read(process: object, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(process.stdout.fileno(), size - len(data))  # type: ignore[attr-defined]
        assert more
        data += more
    return data


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--buffer", "sentence"), ["One. ", "Two, Dr. Who", "! ", "Three"]),
        (("--buffer", "line"), ["a\n", "b", "c\n", "d"]),
        (("--buffer", "2"), ["a", "b", "c", "d", "e"]),
        (("-x",), ["```\n", "co", "de\n", "```\n"]),
        (("--items",), ['[{"a"', ":1}", ",2,", "3]"]),
    ],
    ids=lambda value: " ".join(value[:2]),
)
def test_a_part_is_written_when_it_is_whole(
    server: FaultServer, popen: Popen, options: tuple[str, ...], parts: list[str]
) -> None:
    """The server sends a delta only when everything that was whole before has been read."""
    wanted = {
        "--buffer": {
            "sentence": ["", "One. ", "", "Two, Dr. Who! Three"],
            "line": ["a\n", "", "bc\n", "d"],
            "2": ["", "ab", "", "cd", "e"],
        },
        "-x": {"": ["", "co", "de\n", ""]},
        "--items": {"": ["", "", '{"a":1}\n2\n', "3\n"]},
    }[options[0]][options[1] if len(options) > 1 else ""]
    go = threading.Semaphore(0)

    def steps(conn: Conn) -> None:
        conn.open_with()
        for part in parts:
            conn.delta(part)
            assert go.acquire(timeout=60)
        conn.finish()
        conn.done()
        conn.end()

    url = server.script("steps", steps)
    process = popen("-m", "vllm:m", "--base-url", url, *options, "hi")
    for expected in wanted[:-1]:
        assert read(process, len(expected.encode())).decode() == expected
        go.release()
    go.release()
    rest, _ = process.communicate(timeout=60)
    assert rest.decode() == wanted[-1]
    assert process.returncode == 0


def test_records_are_not_held(ask: Ask, tmp_path: Path) -> None:
    run = ask("abcdef", "--buffer", "paragraph", "--events", "events", "hi")
    assert run.text == "abcdef"
    assert (tmp_path / "events").read_bytes().count(b'"type":"delta"') == 2


def test_a_pace(ask: Ask) -> None:
    """Not faster than that: a busy machine is only slower."""
    run = ask("0123456789", "--pace", "40", "hi")
    assert (run.returncode, run.text) == (0, "0123456789")
    assert run.seconds >= 9 / 40
    assert ask("0123", "-L", "--pace", "5", stdin=b"a\n").returncode == 2


@pytest.mark.parametrize("value", ["0", "word", "-1", "1.5", ""])
def test_a_buffer_that_is_none(ask: Ask, value: str) -> None:
    run = ask("x", "--buffer", value, "hi")
    assert run.returncode == 2
    assert "--buffer" in run.stderr
