"""The file of a session: what is read back from it, cut, hostile or shared, and who may write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamcli.conversation import session_file
from streamcli.conversation.conversation import Conversation
from streamcli.conversation.history import carried
from streamcli.conversation.session_paths import path_of
from streamcli.errors import StreamError
from streamcli.messages import Message

WHO = ("p", "m")
HEADER = b'{"type":"session","version":1,"id":"a","ts":""}\n'


def opened(path: Path, notes: list[str] | None = None) -> Conversation:
    return Conversation(str(path), "trip", ([] if notes is None else notes).append)


def say(path: Path, name: str, *between: Message, status: str = "") -> None:
    answer = [*between, Message("assistant", f"to {name}")]
    opened(path).add([Message("user", name)], answer, system=None, answerer=WHO, status=status)


def texts(path: Path) -> list[str]:
    return [entry.message.text for entry in opened(path).entries]


def look(name: str) -> tuple[Message, Message]:
    call = Message("assistant", "", tool_calls=((name, "look", "{}"),))
    return call, Message("tool", "rain", call_id=name, name="look")


def written(path: Path, *lines: Any) -> Path:
    path.write_bytes(HEADER + b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    return path


def line(id: Any, parent: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"id": id, "parent": parent, "v": 1, "role": role, "content": str(id), **more}


def test_turns_come_back(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    say(path, "one", *look("c1"))
    say(path, "two")
    assert texts(path) == ["one", "", "rain", "to one", "two", "to two"]
    assert path.stat().st_mode & 0o777 == 0o600
    header, *lines = [json.loads(each) for each in path.read_bytes().splitlines()]
    assert (header["type"], header["version"]) == ("session", 1)
    parents = [None, *(each["id"] for each in lines[:-1])]
    assert [each["parent"] for each in lines] == parents


def test_a_file_that_was_cut_anywhere_goes_on(quick: Path) -> None:
    """Whatever a crash leaves of the last write: what was before is there, and no half a turn."""
    whole = quick / "whole"
    say(whole, "one", *look("c1"))
    before = whole.stat().st_size
    say(whole, "two", *look("c2"))
    data = whole.read_bytes()
    cut = quick / "cut"
    one, two = ["one", "", "rain", "to one"], ["two", "", "rain", "to two"]
    ends = [at for at, byte in enumerate(data) if byte == ord("\n")]
    near = {end + more for end in ends for more in (-1, 0, 1, 2)}
    for size in sorted(near | {*range(0, len(data) + 1, 11)}):
        cut.write_bytes(data[:size])
        first = one if size >= before - 1 else []
        kept = first + (two if size >= len(data) - 1 else [])
        assert texts(cut) == kept, size
        say(cut, "three")
        assert texts(cut) == [*kept, "three", "to three"], size


def test_what_was_cut_is_said(tmp_path: Path) -> None:
    path, notes = tmp_path / "s", []
    say(path, "one", *look("c1"))
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    assert opened(path, notes).entries == []
    assert "was cut off" in notes[0]
    assert "has no answer" in notes[1]


def test_a_partial_answer_says_so(tmp_path: Path) -> None:
    path, notes = tmp_path / "s", []
    say(path, "one", status="interrupted")
    last = json.loads(path.read_bytes().splitlines()[-1])
    assert (last["partial"], last["status"]) == (True, "interrupted")
    opened(path, notes)
    assert notes == ["the last answer in the session trip is not whole (interrupted)"]


def test_two_that_go_on_at_once_are_branches(tmp_path: Path) -> None:
    path, notes = tmp_path / "s", []
    say(path, "one")
    first, second = opened(path), opened(path, notes)
    first.add(
        [Message("user", "a")], [Message("assistant", "A")], system=None, answerer=WHO, status=""
    )
    second.add(
        [Message("user", "b")], [Message("assistant", "B")], system=None, answerer=WHO, status=""
    )
    assert "another run wrote" in notes[0]
    assert texts(path) == ["one", "to one", "b", "B"]
    assert b'"a"' in path.read_bytes()


def test_going_back_rewrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s"
    say(path, "one")
    say(path, "two")
    before = path.read_bytes()
    conversation = opened(path)
    assert [each.text for each in conversation.undo()] == ["two"]
    assert path.read_bytes().startswith(before)
    assert texts(path) == ["one", "to one"]
    assert [each.text for each in opened(path).undo()] == ["one"]
    assert texts(path) == []
    assert opened(path).undo() == []
    say(path, "three")
    assert texts(path) == ["three", "to three"]


def test_lines_of_other_kinds_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "s"
    say(path, "one")
    with path.open("ab") as file:
        file.write(b'{"type":"note","text":"from the future"}\n\n  \n')
    assert texts(path) == ["one", "to one"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([line("a", "b"), line("b", "a", "assistant")], "follows|names the message 'a'|'b'"),
        ([line("a", "a", "assistant")], "names the message 'a', which is not before it"),
        ([line("a", None), line("a", "a", "assistant")], "the id 'a' is there twice"),
        ([line("a", "nobody", "assistant")], "line 2 names the message 'nobody'"),
        ([{"type": "head", "at": "nobody"}], "its head names the message 'nobody'"),
        ([line(7, None, "assistant")], "'id' of a line is not an id"),
        ([line("a", {"b": 1}, "assistant")], "'parent' of a line is not an id"),
        ([line("a" * 10_000, None, "assistant")], "'id' of a line is not an id"),
        ([line("a\x1b[2J", None, "assistant")], "'id' of a line is not an id"),
        ([line("a", None), line("b", "a", "robot")], "line 3: 'role' of a message is 'robot'"),
        ([line("a", None, "assistant", v=99)], "line 2: a message has version 99"),
        ([line("a", None, "assistant", content={"a": 1})], "line 2: 'content' of a message"),
        ([line("a", None, "assistant", tool_calls=[["x"]])], "line 2: a tool call of a message"),
    ],
)
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, lines: list[Any], words: str) -> None:
    path = written(tmp_path / "s", *lines)
    with pytest.raises(StreamError, match=words) as raised:
        opened(path)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"Dear diary\n", "is not a session"),
        (b'{"type":"end"}\n', "is not a session"),
        (b'{"type":"session","version":2}\n', "has version 2, not 1"),
        (b'{"type":"session","version":9}', "has version 9, not 1"),
        (b'{"type":"session"}\n', "has version no number"),
        (b'{"type":"session","diary":"' + b"x" * 500, "is not a session"),
        (b"[" * 100_000 + b"\n", "is not a session"),
        (b"\0" * 1000, "is not a session"),
    ],
)
def test_a_file_of_another_kind_is_refused_and_left_alone(
    tmp_path: Path, data: bytes, words: str
) -> None:
    path = tmp_path / "s"
    path.write_bytes(data)
    with pytest.raises(StreamError, match=words) as raised:
        opened(path)
    assert raised.value.exit_code == 2
    with pytest.raises(StreamError, match=words):
        session_file.append(str(path), "trip", [{}])
    assert path.read_bytes() == data


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for where, words in ((tmp_path, "is a directory"), (tmp_path / "fifo", "not a regular file")):
        with pytest.raises(StreamError, match=words) as raised:
            opened(where)
        assert raised.value.exit_code == 2


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "no" / "s")
    with pytest.raises(StreamError, match="cannot write the session") as raised:
        Conversation(path, path, print)
    assert (raised.value.exit_code, raised.value.hint) == (23, f"mkdir -p {tmp_path / 'no'}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_cannot_be_written_is_told_first(tmp_path: Path) -> None:
    path = tmp_path / "s"
    say(path, "one")
    path.chmod(0o400)
    with pytest.raises(StreamError, match="cannot write the session") as raised:
        opened(path)
    assert raised.value.exit_code == 23


def test_a_long_line_is_read_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "s"
    say(path, "one")
    say(path, "x" * 5_000_000)
    say(path, "three")
    assert [len(text) for text in texts(path)] == [3, 6, 5_000_000, 5_000_003, 5, 8]


def test_hostile_nesting_and_bytes_in_the_middle_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "s"
    say(path, "one")
    with path.open("ab") as file:
        file.write(b"[" * 100_000 + b"\n\xff\xfe\0\n" + b'{"id":' * 5000 + b"\n[1,2]\n7\n")
    assert texts(path) == ["one", "to one"]
    say(path, "two")
    assert texts(path)[2:] == ["two", "to two"]


# ---- attachments --------------------------------------------------------------------------------


def test_an_attachment_is_kept_by_path_and_hash(tmp_path: Path) -> None:
    from streamcli.messages import Attachment

    photo, path = tmp_path / "photo.png", tmp_path / "s"
    photo.write_bytes(b"\x89PNG\r\n\x1a\n1")
    there = Attachment("photo.png", "image/png", photo.read_bytes(), path=str(photo))
    asked = Message("user", "what is it?", attachments=(there,))
    opened(path).add([asked], [Message("assistant", "A dot")], system=None, answerer=WHO, status="")
    assert there.base64().encode() not in path.read_bytes()
    assert opened(path).entries[0].message.attachments[0].data == photo.read_bytes()
    for change in (lambda: photo.write_bytes(b"other"), photo.unlink):
        change()
        notes: list[str] = []
        asked = opened(path, notes).entries[0].message
        assert (asked.text, asked.attachments) == (
            "what is it?\n[photo.png is no longer there]",
            (),
        )
        assert "goes on without it" in notes[0]


def test_an_attachment_never_is_a_pipe_or_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for where in (tmp_path / "fifo", Path("/dev/zero")):
        each = {"name": "n", "mime": "text/plain", "path": str(where), "sha256": "0"}
        lines = line("a", None, attachments=[each]), line("b", "a", "assistant")
        path, notes = written(tmp_path / "s", *lines), []
        assert opened(path, notes).entries[0].message.attachments == ()
        assert "goes on without it" in notes[0]


# ---- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trip", "trip.jsonl", "Reise nach Oslo", "é", "a.b", "x-1"])
def test_a_name_is_a_file_in_the_state_folder(name: str) -> None:
    folder = "/state/stream/sessions"
    assert (
        path_of(name, {"XDG_STATE_HOME": "/state"})
        == f"{folder}/{name.removesuffix('.jsonl')}.jsonl"
    )
    assert path_of(name, {"HOME": "/h", "XDG_STATE_HOME": "no"}).startswith(
        "/h/.local/state/stream"
    )


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".x", "-x", "a\nb", "a\0b", "a\x1b", "a\u202eb", "a\\b", " a", "a ", "é" * 101]
    + [".jsonl", "a\u200b", "./a\nb"],
)
def test_a_name_that_plays_tricks_is_refused(name: str) -> None:
    with pytest.raises(StreamError, match="cannot be the name of a session") as raised:
        path_of(name, {"HOME": "/h"})
    assert raised.value.exit_code == 2
    assert all(each.isprintable() for each in raised.value.message)


def test_a_path_has_a_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert path_of("./s", {}) == str(tmp_path / "s")
    assert path_of("../s", {}) == str(tmp_path.parent / "s")


# ---- several processes --------------------------------------------------------------------------


@pytest.fixture
def quick() -> Iterator[Path]:
    """A folder in memory, if there is one: a sync costs nothing there."""
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        yield Path(folder)


def writers(*args: object) -> Any:
    script = Path(__file__).with_name("writers.py")
    command = [sys.executable, str(script), *map(str, args)]
    done = subprocess.run(command, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_eight_processes_lose_no_message(quick: Path) -> None:
    path = quick / "s"
    assert writers("append", path, 8, 50) == [0] * 8
    header, *lines = [json.loads(each) for each in path.read_bytes().splitlines()]
    said = [each["content"] for each in lines if each["role"] == "user"]
    assert sorted(said) == sorted(f"{one}.{turn}" for one in range(8) for turn in range(50))
    assert len(lines) == 4 * 400
    before: set[str | None] = {None}
    for each in lines:
        assert each["parent"] in before
        before.add(each["id"])
    for at in range(0, len(lines), 4):  # no turn stands inside another one
        turn = lines[at : at + 4]
        assert [each["role"] for each in turn] == ["user", "assistant", "tool", "assistant"]
    assert carried(opened(path).entries, *WHO, with_tools=True)


def test_a_kill_at_any_moment_leaves_a_session_that_goes_on(quick: Path) -> None:
    assert writers("kill", quick / "s", 50)["problems"] == []


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    kind, message, before, after = writers("full", tmp_path / "s")
    assert (kind, before) == ("write", after)
    assert message.startswith("cannot write the session s: ")
    say(tmp_path / "s", "three")
    assert texts(tmp_path / "s")[-2:] == ["three", "to three"]
