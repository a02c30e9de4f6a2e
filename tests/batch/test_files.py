"""--files: each line of stdin names a file, and its text is a prompt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from batchserver import Act, BatchServer
from conftest import Stream
from hypothesis import given
from hypothesis import strategies as st

from streamcli.output.file_names import filled


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.chdir(tmp_path)
    with BatchServer(lambda prompt, before: Act(text=prompt.upper())) as server:
        yield server


def write(**texts: bytes) -> None:
    for name, data in texts.items():
        Path(name).write_bytes(data)


def test_a_file_is_a_prompt(served: BatchServer, stream: Stream) -> None:
    os.makedirs("in/sub")
    Path("in/a.txt").write_bytes(b"\xef\xbb\xbfone\n")
    Path("in/sub/b c.txt").write_bytes(b"two\r\n\n")
    args = ("-m", "vllm:m", "--base-url", served.base)
    names = b"in/a.txt\r\n\nin/sub/b c.txt\n"
    run = stream(*args, "--files", "go", stdin=names)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.text == "ONE\n\nGO\nTWO\r\n\n\nGO\n"
    run = stream(*args, "--files", "-0", "--json", stdin=b"in/a.txt\0in/sub/b c.txt\0")
    assert {each["source"]: each["text"] for each in run.records} == {
        "in/a.txt": "ONE",
        "in/sub/b c.txt": "TWO\r\n",
    }
    Path("list").write_bytes(names)
    run = stream(*args, "--files", "-n", "-f", "list", "--jsonl")
    assert {each.get("source") for each in run.records if each["type"] != "summary"} == {
        "in/a.txt",
        "in/sub/b c.txt",
    }


def test_a_file_that_cannot_be_read_fails_alone(served: BatchServer, stream: Stream) -> None:
    write(good=b"ok", bad=b"\xff", empty=b"\n")
    os.mkfifo("pipe")
    names = b"none\nbad\nempty\n.\npipe\n/dev/zero\na\0b\n\xff\ngood\n" + b"x" * 5000 + b"\n"
    args = ("-m", "vllm:m", "--base-url", served.base)
    run = stream(*args, "--files", "--json", stdin=names)
    assert run.returncode == 20
    ends = {each["source"]: each for each in run.records}
    assert ends.pop("good")["text"] == "OK"
    assert len(ends) == 9
    assert {each["status"] for each in ends.values()} == {"usage"}
    assert "\\xff" in ends
    said = {name: each["error"]["message"] for name, each in ends.items()}
    assert "no such file" in said["none"]
    assert "not UTF-8" in said["bad"]
    assert "empty" in said["empty"]
    for name in (".", "pipe", "/dev/zero"):
        assert "not a regular file" in said[name]
    assert len(served.asked) == 1


def test_answers_go_to_files_named_after_their_own(served: BatchServer, stream: Stream) -> None:
    os.makedirs("in/sub")
    outside = Path("..").resolve() / "outside.txt"
    names = ["in/a.txt", "in/sub/.b.txt", "in/../in/sub/c d.tar.gz", str(Path("in/e").resolve())]
    for name in (*names, str(outside)):
        Path(name).write_text("x")
    listed = "\n".join([*names, "../outside.txt"]).encode()
    args = ("-m", "vllm:m", "--base-url", served.base, "--files")
    run = stream(*args, "-O", "out/{path}.md", stdin=listed)
    assert (run.returncode, run.stderr) == (0, "")
    made = sorted(str(each) for each in Path("out").rglob("*.md"))
    absolute = str(Path("in/e").resolve())[1:]
    assert made == sorted(
        [
            "out/in/a.txt.md",
            "out/in/sub/%2Eb.txt.md",
            "out/in/%2E./in/sub/c d.tar.gz.md",
            f"out/{absolute}.md",
            "out/%2E./outside.txt.md",
        ]
    )
    assert sorted(os.listdir(Path("..").resolve())) == sorted(
        {"outside.txt", Path.cwd().name} | set(os.listdir(Path("..").resolve()))
    )
    run = stream(*args, "-O", "{stem}={index}-{name}", stdin=b"in/sub/.b.txt\nin/a.txt\n")
    assert run.returncode == 0
    assert Path("%2Eb=0-%2Eb.txt").read_text() == Path("a=1-a.txt").read_text() == "X"
    assert not Path(".b.txt").exists()


def test_two_files_never_share_an_answer(served: BatchServer, stream: Stream) -> None:
    os.makedirs("x")
    os.makedirs("y")
    write(**{"x/a": b"1", "y/a": b"2"})
    args = ("-m", "vllm:m", "--base-url", served.base, "--files")
    run = stream(*args, "-O", "out-{name}", stdin=b"x/a\ny/a\n")
    assert run.returncode == 20
    assert "is the file of an earlier one" in run.stderr
    assert Path("out-a").read_text() == "1"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--files", "--requests"], "--files and --requests exclude each other"),
        (["--files", "-O", "out.txt"], "one file for many prompts: -O 'out/{path}'"),
        (["-L", "-O", "{name}"], "one file for many prompts: -O 'out/{index}.txt'"),
        (["--files", "-O", "no/{name}"], "there is no folder no"),
    ],
)
def test_what_cannot_be(served: BatchServer, stream: Stream, args: list[str], says: str) -> None:
    run = stream("-m", "vllm:m", "--base-url", served.base, *args, stdin=b"a\n")
    assert run.returncode == 2
    assert says in run.stderr
    assert not served.asked


@given(st.text(alphabet="a./\\ \n\x00\x1b~%é", min_size=1, max_size=30))
def test_no_name_leads_out_of_the_folder(source: str) -> None:
    for template in ("out/{path}", "out/{name}/x", "out/{stem}.md", "out/{path}/{index}"):
        path = filled(template, {"index": 0, "source": source})
        assert os.path.normpath(path).startswith("out/") or os.path.normpath(path) == "out"
        assert not any(part.startswith(".") for part in path.split("/"))
        assert "\0" not in path


def test_a_long_name_keeps_its_beginning() -> None:
    for source in ("é" * 120 + "a", "é" * 120 + "b"):
        path = filled("out/{name}.md", {"index": 0, "source": source})
        assert len(os.fsencode(path.removeprefix("out/"))) <= 255
    one, other = (filled("out/{name}.md", {"index": 0, "source": "é" * 200 + end}) for end in "ab")
    assert one != other
