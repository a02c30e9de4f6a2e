"""The files that options name: stdin and stdout by all their names, odd names, and what to do."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest
from conftest import COMMAND, Stream
from faultserver import FaultServer

from streamcli.errors import bug

MODEL = ("-m", "vllm:m", "--base-url")
HELLO = b"Hello world"
STDOUT = ("-", "/dev/stdout", "/dev/fd/1")


@pytest.mark.parametrize("place", STDOUT)
def test_the_text_on_stdout(server: FaultServer, stream: Stream, place: str) -> None:
    run = stream(*MODEL, server.url("ok"), "-O", place, "hi")
    assert (run.returncode, run.stdout, run.stderr) == (0, HELLO, "")
    run = stream(*MODEL, server.url("ok"), "-L", "-O", place, stdin=b"a\nb\n")
    assert (run.returncode, run.stdout) == (0, (HELLO + b"\n") * 2)


@pytest.mark.parametrize("option", ["--events", "--record"])
@pytest.mark.parametrize("place", [*STDOUT, "1"])
def test_records_and_recordings_on_stdout(
    server: FaultServer, stream: Stream, tmp_path: Path, option: str, place: str
) -> None:
    if (option, place) == ("--record", "1"):
        pytest.skip("--record takes no descriptors: that is a file")
    for other, says in (((), "the text"), (("--json",), "--format json")):
        run = stream(*MODEL, server.url("ok"), option, place, *other, "hi")
        assert run.returncode == 2
        assert f"{option} {place} and {says} both write to stdout" in run.stderr
    assert not server.requests
    run = stream(*MODEL, server.url("ok"), option, place, "-O", "answer", "hi")
    assert (run.returncode, run.stderr) == (0, "")
    assert (tmp_path / "answer").read_bytes() == HELLO
    assert run.records[0]["type"] == ("start" if option == "--events" else "request")
    assert not (tmp_path / "-").exists()


def test_a_recording_and_records_cannot_share_stdout(server: FaultServer, stream: Stream) -> None:
    run = stream(*MODEL, server.url("ok"), "--record", "-", "--events", "1", "-O", "answer", "hi")
    assert run.returncode == 2
    assert "--events and --record both write to stdout" in run.stderr


@pytest.mark.parametrize("option", ["--events", "--record"])
def test_one_file_cannot_hold_the_text_and_records(
    server: FaultServer, stream: Stream, tmp_path: Path, option: str
) -> None:
    (tmp_path / "link").symlink_to("answer")
    for name in ("answer", "./answer", "link"):
        run = stream(*MODEL, server.url("ok"), option, name, "-O", "answer", "hi")
        assert run.returncode == 2
        assert f"-O and {option} name the same file: {option} ANOTHER" in run.stderr
    assert not server.requests
    assert not (tmp_path / "answer").exists()
    run = stream(*MODEL, server.url("ok"), option, "/dev/null", "-O", "/dev/null", "hi")
    assert run.returncode == 0


@pytest.mark.parametrize("option", ["--events", "--record", "--output"])
def test_nothing_else_is_written_into_a_session(
    server: FaultServer, stream: Stream, tmp_path: Path, option: str
) -> None:
    """-O would replace the conversation by its last answer."""
    args = (*MODEL, server.url("ok"), "--session", "./talk")
    for _ in range(2):  # whether the session is there or not
        run = stream(*args, option, "talk", "hi")
        assert (run.returncode, run.text) == (2, "")
        assert f"{option} and --session name the same file: {option} ANOTHER" in run.stderr
        if not (tmp_path / "talk").exists():
            assert stream(*args, "hi").returncode == 0
            kept = (tmp_path / "talk").read_bytes()
    assert (tmp_path / "talk").read_bytes() == kept


@pytest.mark.parametrize("place", ["-", "/dev/stdin"])
def test_a_journal_on_stdin(
    server: FaultServer, stream: Stream, tmp_path: Path, place: str
) -> None:
    (tmp_path / "prompts").write_text("hi\n")
    args = (*MODEL, server.url("ok"), "-L", "--json", "-f", "prompts")
    journal = stream(*args).stdout
    server.clear()
    run = stream(*args, "--resume", place, stdin=journal)
    assert (run.returncode, run.stdout, server.requests) == (0, b"", [])
    run = stream(*args[:-2], "--resume", place, stdin=journal)
    assert run.returncode == 2
    assert f"'--resume {place}' and '--lines' both read stdin" in run.stderr


@pytest.mark.parametrize(
    ("option", "metavar"),
    [
        ("-f", "--file FILE"),
        ("-O", "--output FILE"),
        ("-a", "--attach PATH|URL"),
        ("-m", "--model [PROVIDER:]MODEL"),
        ("-p", "--provider NAME"),
        ("--events", "--events FILE|FD"),
        ("--replay", "--replay FILE"),
        ("--schema", "--schema SHORT|JSON|FILE"),
    ],
)
def test_a_name_that_is_empty(
    server: FaultServer, stream: Stream, option: str, metavar: str
) -> None:
    """So a variable is written that is not set."""
    run = stream(*MODEL, server.url("ok"), option, "", "hi")
    assert run.returncode == 2
    assert f"is empty: {metavar}, or leave it out" in run.stderr
    assert not server.requests


def test_a_variable_that_is_empty_is_not_set(server: FaultServer, stream: Stream) -> None:
    env = {"STREAM_MODEL": "", "STREAM_SYSTEM": "", "STREAM_UNIX_SOCKET": "", "STREAM_TIMEOUT": ""}
    run = stream(*MODEL, server.url("ok"), "hi", env=env)
    assert (run.returncode, run.stdout, run.stderr) == (0, HELLO, "")


@pytest.mark.skipif(os.uname().sysname == "Darwin", reason="its file names are UTF-8")
def test_the_name_of_a_file_may_be_any_bytes(
    server: FaultServer, stream: Stream, tmp_path: Path
) -> None:
    odd = os.fsdecode(b"caf\xe9.txt")
    (tmp_path / odd).write_text("from the file")
    base = (*MODEL, server.url("ok"))
    for args in (("-f", odd), ("-s", f"@{odd}", "hi"), ("-a", odd, "hi")):
        assert stream(*base, *args).returncode == 0, args
    assert "caf\ufffd.txt" in str(server.requests[-1].json)
    assert stream(*base, "-O", os.fsdecode(b"\xe9"), "--events", odd, "hi").returncode == 0
    assert (tmp_path / os.fsdecode(b"\xe9")).read_bytes() == HELLO
    run = stream(*base, "-f", os.fsdecode(b"n\xf6pe"))
    assert run.complaints == [
        "stream: n\\xf6pe cannot be read: no such file or directory: check its name"
    ]
    run = stream(*base, odd)
    assert run.returncode == 2
    (line,) = run.complaints
    assert "-f" in line


@pytest.mark.parametrize(
    ("option", "where"),
    [
        (("-s", "a\udcff"), "--system"),
        (("--stop", "a\udcff"), "--stop"),
        (("--prefill", "a\udcff"), "--prefill"),
        (("-o", "a=a\udcff"), "--option"),
        (("--schema", '{"a":"\udcff"}'), "--schema"),
    ],
)
def test_an_option_that_is_not_utf8_is_named(
    server: FaultServer, stream: Stream, option: tuple[str, str], where: str
) -> None:
    run = stream(*MODEL, server.url("ok"), *option, "hi")
    assert run.returncode == 2
    assert f"{where} is not UTF-8" in run.stderr
    assert not server.requests


@pytest.mark.parametrize(
    "option", ["--help", "--help=exit", "--version", "--list-providers", "--dry-run", "--check"]
)
def test_a_stdout_that_is_closed_or_full(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path, option: str
) -> None:
    """Python has no sys.stdout where descriptor 1 is closed."""
    for place, says in ((">&-", b"stdout is closed"), (">/dev/full", b"no space left")):
        if "full" in place and not os.path.exists("/dev/full"):
            continue
        command = ["sh", "-c", f'exec "$@" {place}', "sh", *COMMAND, *MODEL, server.url("ok")]
        run = subprocess.run(
            [*command, option, "-n", "hi"], env=child_env, cwd=tmp_path, capture_output=True
        )
        assert run.returncode == 23, (place, run.stderr)
        assert says in run.stderr
        assert b"bug" not in run.stderr


def test_help_is_utf8_whatever_python_is_told(child_env: dict[str, str]) -> None:
    env = {**child_env, "PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C"}
    run = subprocess.run([*COMMAND, "--help=guides"], env=env, capture_output=True)
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.decode()


def test_what_to_do_about_a_file(server: FaultServer, stream: Stream, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    base = (*MODEL, server.url("ok"))
    cases = (
        (("-f", "dir"), 2, "dir cannot be read: is a directory: name a file in it"),
        (("-O", "dir"), 23, "dir cannot be written: is a directory: name a file in it"),
        (("-O", "no/such/x"), 23, "no such file or directory: mkdir -p no/such"),
        (("--events", "no such/x"), 23, "mkdir -p 'no such'"),
        (("--record", "no/x"), 23, "mkdir -p no"),
        (("--replay", "nope"), 2, "check its name"),
    )
    for args, code, says in cases:
        run = stream(*base, *args, *([] if args[0] == "--replay" else ["hi"]))
        assert run.returncode == code, args
        (line,) = run.complaints
        assert line.endswith(says)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_file_that_is_not_ours(server: FaultServer, stream: Stream, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)
    (tmp_path / "protected").write_text("x")
    (tmp_path / "protected").chmod(0o444)
    base = (*MODEL, server.url("ok"))
    for args, code in ((("-f", "secret"), 2), (("-O", "locked/x"), 23), (("-O", "protected"), 23)):
        run = stream(*base, *args, "hi")
        assert run.returncode == code
        (line,) = run.complaints
        assert "permission denied: `ls -l`" in line
    assert (tmp_path / "protected").read_text() == "x"
    assert not list(tmp_path.glob(".protected*"))


def limited(
    files: int, env: dict[str, str], cwd: Path, *args: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run the command with a hard limit of open files."""
    command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *COMMAND, *args]
    return subprocess.run(command, env=env, cwd=cwd, input=stdin, capture_output=True, timeout=60)


def test_few_open_files(server: FaultServer, child_env: dict[str, str], tmp_path: Path) -> None:
    base = (*MODEL, server.url("ok"))
    run = limited(20, child_env, tmp_path, *base, "-n", "hi")
    assert (run.returncode, run.stdout, run.stderr) == (0, HELLO, b"")
    for options in ((), ("-j", "1"), ("-j", "4")):
        run = limited(20, child_env, tmp_path, *base, "-L", *options, stdin=b"a\n" * 9)
        assert (run.returncode, run.stdout, run.stderr) == (0, (HELLO + b"\n") * 9, b"")
    run = limited(20, child_env, tmp_path, *base, "-L", "-j", "64", stdin=b"a\n" * 9)
    assert run.returncode == 2
    assert b"20 is the limit: -j 4, or raise the limit (ulimit" in run.stderr


def test_an_exhausted_system_is_not_a_bug() -> None:
    for error in (
        OSError(errno.EMFILE, "Too many open files"),
        ImportError("fcntl.so: cannot open shared object file: Too many open files"),
        MemoryError(),
    ):
        trouble = bug(error)
        assert trouble.exit_code == 2
        assert "ulimit" in trouble.hint
    assert bug(ValueError("open files")).exit_code == 1


DELETED = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'


def test_what_needs_no_working_directory(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    command = ["sh", "-c", DELETED, "sh", *COMMAND, *MODEL, server.url("ok"), "-n", "hi"]
    run = subprocess.run(command, env=child_env, cwd=tmp_path, capture_output=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, HELLO, b"")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("-O", "x", "hi"), "name a path from / on"),
        (("--events", "x", "hi"), "name a path from / on"),
        (("--record", "x", "hi"), "name a path from / on"),
        (("-f", "x"), "cd to one that exists"),
        (("-s", "@x", "hi"), "cd to one that exists"),
        (("--resume", "x", "--json", "hi"), "cd to one that exists"),
        (("--replay", "x"), "cd to one that exists"),
        (("--session", "./x", "hi"), "cd to one that exists"),
        (("--mcp", "./x", "hi"), "cd to one that exists"),
        (("-O", "x", "--events", "y", "hi"), "cd to one that exists"),
        (("-O", "/x", "--events", "y", "hi"), "cd to one that exists"),
        (("--reuse", "/x", "--events", "y", "hi"), "cd to one that exists"),
    ],
)
def test_a_working_directory_that_was_deleted(
    server: FaultServer,
    child_env: dict[str, str],
    tmp_path: Path,
    args: tuple[str, ...],
    says: str,
) -> None:
    command = ["sh", "-c", DELETED, "sh", *COMMAND, *MODEL, server.url("ok"), "-n"]
    run = subprocess.run([*command, *args], env=child_env, cwd=tmp_path, capture_output=True)
    line = run.stderr.decode().splitlines()[-1]
    assert "the working directory was deleted" in line
    assert says in line


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (f"x/{'x' * 300}y", "y cannot be %s: file name too long: check its name"),
        ("loop", "loop cannot be %s: too many levels of symbolic links: `ls -l` shows"),
        ("-n/x", "-n/x cannot be %s: no such file or directory: "),
    ],
)
def test_the_reason_follows_any_name(
    server: FaultServer, stream: Stream, tmp_path: Path, name: str, says: str
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    args = (*MODEL, server.url("ok"), "-n", "hi")
    for option, done in (("-f", "read"), ("--tools", "read"), ("--events", "written")):
        (line,) = stream(*args, option, name).complaints
        assert says % done in line
    if name.startswith("-"):
        assert line.endswith("mkdir -p ./-n")
