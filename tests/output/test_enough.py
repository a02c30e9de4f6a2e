"""--enough: the request is cancelled once the text has what was wanted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from conftest import Stream
from faultserver import Conn, FaultServer
from hypothesis import given
from hypothesis import strategies as st
from records import check

from streamcli.output.enough import Watch
from streamcli.settings.settings import Settings

MODEL = ("-m", "vllm:m", "--base-url")


class Endless:
    """Sends deltas as long as the client is there; `gone` is set when it went away."""

    def __init__(self, server: FaultServer, *deltas: str) -> None:
        self._deltas = deltas
        self.gone = threading.Event()
        self.url = server.script("endless", self._play)

    def _play(self, conn: Conn) -> None:
        conn.open_with(*self._deltas)
        if conn.wait_peer_closed(60):
            self.gone.set()


@pytest.mark.parametrize(
    ("enough", "deltas", "text"),
    [
        ("2lines", ("one\nt", "wo\nthree\n"), "one\ntwo\n"),
        ("1 line", ("one", "\ntwo"), "one\n"),
        ("END", ("some EN", "D and more"), "some END"),
        ("[0-9]+", ("the answer is ", "42.", "x"), "the answer is 42"),
        ("[0-9]+", ("the answer is ", "4", "2", ".", "x"), "the answer is 42"),
        ("foo$", ("foo", "bar foo", "\nmore"), "foobar foo"),
        (r"\bthe\b", ("the", "re is ", "the", " end"), "there is the"),
        ("^END.*$", ("no END\nEND", " of it", "\nmore"), "no END\nEND of it"),
        ("^b", ("a" * 1500, "b", "\nb."), "a" * 1500 + "b\nb"),
    ],
)
def test_the_request_is_cancelled(
    server: FaultServer, stream: Stream, enough: str, deltas: tuple[str, ...], text: str
) -> None:
    endless = Endless(server, *deltas)
    run = stream(*MODEL, endless.url, "--enough", enough, "hi")
    assert (run.returncode, run.text, run.stderr) == (0, text, "")
    assert endless.gone.wait(60)


@pytest.mark.parametrize("enough", ["Hello$", r"world\Z", "[a-z]+$", "nope"])
def test_an_answer_that_ends_by_itself_is_complete(
    server: FaultServer, stream: Stream, enough: str
) -> None:
    """`$` at the end of a delta may be the end of a line, and only the answer's end decides."""
    run = stream(*MODEL, server.script("whole", _whole), "--enough", enough, "--json", "hi")
    (end,) = run.records
    assert (run.returncode, end["status"], end["text"]) == (0, "complete", "Hello world")


def _whole(conn: Conn) -> None:
    conn.open_with("Hello", " world")
    conn.finish()
    conn.done()
    conn.end()


def test_items(server: FaultServer, stream: Stream) -> None:
    endless = Endless(server, '[{"a"', ":1},", ' {"b":2}, {"c"', ":3}, 4")
    run = stream(*MODEL, endless.url, "--items", "--enough", "2items", "hi")
    assert (run.returncode, run.text, run.stderr) == (0, '{"a":1}\n{"b":2}\n', "")
    assert endless.gone.wait(60)


def test_the_record(server: FaultServer, stream: Stream) -> None:
    endless = Endless(server, "one\ntwo\n")
    run = stream(*MODEL, endless.url, "--jsonl", "--enough", "1lines", "hi")
    check(run.records)
    end = run.records[-1]
    assert (end["status"], end["complete"], end["exit_code"]) == ("enough", True, 0)
    assert (end["error"], end["finish_reason"], end["evidence"], end["chars"]) == (
        None,
        None,
        [],
        4,
    )
    assert "".join(record.get("text", "") for record in run.records) == "one\n"


def test_a_batch_and_its_second_run(server: FaultServer, stream: Stream, tmp_path: Path) -> None:
    endless = Endless(server, "one\ntwo\n")
    args = (*MODEL, endless.url, "-L", "--enough", "1line")
    run = stream(*args, stdin=b"a\nb\n")
    assert (run.returncode, run.text, run.stderr) == (0, "one\n" * 2, "")
    journal = tmp_path / "journal"
    journal.write_bytes(stream(*args, "--json", stdin=b"a\nb\n").stdout)
    server.clear()
    again = stream(*args, "--json", "--resume", journal, stdin=b"a\nb\n")
    assert (again.returncode, server.requests) == (0, [])


@pytest.mark.parametrize("value", ["", "0lines", "0 items", "(", "[a"])
def test_what_is_never_enough(server: FaultServer, stream: Stream, value: str) -> None:
    run = stream(*MODEL, server.url("ok"), "--enough", value, "hi")
    assert run.returncode == 2
    assert "--enough" in run.stderr
    assert not server.requests


@given(
    st.text(st.sampled_from("ab\n1,[] "), max_size=40),
    st.sampled_from(["2lines", "b1", "2items", "b$", "^[a1]+", r"\bb"]),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_the_cuts_change_nothing(text: str, enough: str, cuts: list[int]) -> None:
    def wanted(places: list[int]) -> int | None:
        watch = Watch(Settings(enough=enough))
        for begin, end in zip(places, places[1:], strict=False):
            size = watch(text[begin:end])
            if size is not None:
                return begin + size
        return None

    places = sorted({0, len(text), *(place for place in cuts if place < len(text))})
    assert wanted(places) == wanted(list(range(len(text) + 1)))
