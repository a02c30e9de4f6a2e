"""One call of a tool: what programs may do to us, and what arguments may do to programs."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import eventually

from streamcli.answer.schema_check import Schema
from streamcli.errors import StreamError
from streamcli.events import ToolCall
from streamcli.tools.command import CommandResult, Unfit, filled, run_call
from streamcli.tools.definition import CommandTool
from streamcli.tools.environment import program_environment
from streamcli.tools.process import ClippedBytes, Processes
from streamcli.tools.watchdog import Watchdog

ANY: dict[str, Any] = {"type": "object", "properties": {}}


@pytest.fixture(scope="module")
def watchdog() -> Iterator[Watchdog]:
    watchdog = Watchdog()
    yield watchdog
    watchdog.close()


@pytest.fixture
def processes(watchdog: Watchdog) -> Processes:
    return Processes(watchdog, time.monotonic)


def tool(*command: str, **keys: Any) -> CommandTool:
    keys.setdefault("timeout", 60.0)
    return CommandTool("look", "", ANY, Schema(ANY), command=command, **keys)


def python(script: str, **keys: Any) -> CommandTool:
    return tool(sys.executable, "-IS", "-c", f"import os, sys, time\n{script}", **keys)


def ran(tool: CommandTool, processes: Processes, **arguments: Any) -> CommandResult:
    call = ToolCall("c1", "look", json.dumps(arguments))
    result = run_call(tool, call, processes, dict(os.environ))
    assert result is not None
    return result


# ---- outputs ------------------------------------------------------------------------------------


def test_stdout_is_the_result(processes: Processes) -> None:
    result = ran(python("print(sys.stdin.read())"), processes, q="Oslo")
    assert (result.output, result.is_error, result.remark) == ('{"q": "Oslo"}', False, "")
    assert result.duration_ms is not None
    assert result.duration_ms > 0
    assert ran(python("sys.stdout.write('a\\n\\n')"), processes).output == "a\n"


def test_an_exit_status_is_an_error_with_the_end_of_stderr(processes: Processes) -> None:
    script = "print('no city', file=sys.stderr); print('out'); sys.exit(3)"
    result = ran(python(script), processes)
    assert result.is_error
    assert result.output == "look failed with exit status 3:\nno city"
    noisy = "sys.stderr.write('x' * 100000 + 'the end'); sys.exit(1)"
    result = ran(python(noisy), processes)
    assert result.output.endswith("the end")
    assert len(result.output) < 3000
    assert ran(python("print('why'); sys.exit(1)"), processes).output.endswith(":\nwhy")


def test_a_death_by_a_signal_is_named(processes: Processes) -> None:
    result = ran(python("os.kill(os.getpid(), 11)"), processes)
    assert (result.is_error, result.output) == (True, "look was killed by SIGSEGV")


def test_a_long_output_loses_its_middle(processes: Processes) -> None:
    script = "sys.stdout.write('é' * 500 + 'm' * 10**8 + 'é' * 500)"
    result = ran(python(script, max_output=1024 + 1), processes)
    assert not result.is_error
    left_out = 1000 + 10**8 + 1000 - 1025
    assert result.remark == f"{left_out} bytes left out"
    first, middle, last = result.output.split("\n")
    assert middle == f"[... {left_out} bytes left out ...]"
    assert (set(first), set(last)) == ({"é"}, {"é"}), "cut between characters"


def test_invalid_utf8_is_replaced_and_said(processes: Processes) -> None:
    result = ran(python("sys.stdout.buffer.write(b'a\\xffb')"), processes)
    assert (result.output, result.remark) == ("a\ufffdb", "invalid UTF-8 replaced")


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100])
def test_a_clip_is_the_same_at_every_split(size: int) -> None:
    data = bytes(range(97, 97 + 20)) * 5
    for step in (1, 3, 7, 100):
        clip = ClippedBytes(3, 4)
        for at in range(0, size, step):
            clip.add(data[at : min(at + step, size)])
        first, last = clip.pieces()
        assert clip.left_out == max(0, size - 7)
        whole = data[:size]
        assert (first, last) == ((whole, b"") if size <= 7 else (whole[:3], whole[-4:]))


# ---- programs that misbehave --------------------------------------------------------------------


def test_stdin_that_nobody_reads(processes: Processes) -> None:
    result = ran(python("os.close(0); print('done')"), processes, q="x" * (1 << 20))
    assert (result.output, result.is_error) == ("done", False)
    result = ran(python("print(len(sys.stdin.read()))"), processes, q="x" * (1 << 20))
    assert result.output == str((1 << 20) + len('{"q": ""}'))


def test_a_program_without_an_end_is_killed_with_its_children(
    processes: Processes, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    script = (
        f"child = os.fork()\nif child: open({str(pids)!r}, 'w').write(str(child))\n"
        "print('x', flush=True)\ntime.sleep(600)"
    )
    result = ran(python(script, timeout=1.0), processes)
    assert result.is_error
    assert result.output.startswith("look did not end within 1 s, and was killed")
    assert eventually(lambda: not alive(int(pids.read_text())))


def test_a_child_that_stays_ends_with_its_program(processes: Processes, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = (
        f"child = os.fork()\nif child:\n    open({str(pids)!r}, 'w').write(str(child))\n"
        "    print('done')\nelse:\n    time.sleep(600)"
    )
    result = ran(python(script), processes)
    assert (result.output, result.is_error) == ("done", False)
    assert eventually(lambda: not alive(int(pids.read_text())))


def test_a_program_that_closes_its_outputs_is_waited_for(processes: Processes) -> None:
    result = ran(python("os.close(1); os.close(2); time.sleep(0.2); os._exit(4)"), processes)
    assert result.output == "look failed with exit status 4"


def test_a_stop_kills_what_runs(processes: Processes, tmp_path: Path) -> None:
    started = tmp_path / "started"
    slow = python(f"open({str(started)!r}, 'w').close(); time.sleep(600)")
    results: list[object] = []
    call = ToolCall("c1", "look", "{}")
    thread = threading.Thread(
        target=lambda: results.append(run_call(slow, call, processes, dict(os.environ)))
    )
    thread.start()
    assert eventually(started.exists)
    processes.stop()
    thread.join(60)
    assert results == [None]
    assert run_call(slow, call, processes, dict(os.environ)) is None, "no other one starts"


def test_a_program_has_no_terminal_and_its_own_group(processes: Processes) -> None:
    script = (
        "print(os.getsid(0) == os.getpid() == os.getpgid(0))\n"
        "try:\n    os.open('/dev/tty', os.O_RDWR)\nexcept OSError:\n    print('none')"
    )
    assert ran(python(script), processes).output == "True\nnone"


def test_a_program_that_went_away_is_the_end(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="look cannot be started: .*no such file") as raised:
        ran(tool(str(tmp_path / "gone")), processes)
    assert raised.value.exit_code == 13
    plain = tmp_path / "plain"
    plain.write_text("")
    with pytest.raises(StreamError, match="permission denied"):
        ran(tool(str(plain)), processes)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


# ---- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "arguments", "argv"),
    [
        (["{city}"], {"city": "Oslo; rm -rf /"}, ["Oslo; rm -rf /"]),
        (["--city={city}"], {"city": "../$(id)"}, ["--city=../$(id)"]),
        (["--city={city}"], {"city": "-x"}, ["--city=-x"]),
        (["--", "{city}"], {"city": "-x"}, ["--", "-x"]),
        (["{n}", "{ok}", "{list}"], {"n": -5, "ok": True, "list": [1]}, ["-5", "true", "[1]"]),
        (["a", "{city}", "b"], {}, ["a", "b"]),
        (["--city={city}", "b"], {"city": None}, ["b"]),
        (["{{city}} {a} {b}"], {"a": "{b}", "b": "B"}, ["{city} {b} B"]),
        (["{ print }", "{a: .b}", "{}"], {}, ["{ print }", "{a: .b}", "{}"]),
        (["{city}"], {"city": ""}, [""]),
    ],
)
def test_a_command_is_filled(words: list[str], arguments: Any, argv: list[str]) -> None:
    assert filled(("run", *words), arguments) == ["run", *argv]


@pytest.mark.parametrize("city", ["-rf", "--config=/etc/passwd", "a\0b"])
def test_some_arguments_are_refused(city: str, processes: Processes) -> None:
    with pytest.raises(Unfit):
        filled(("run", "{city}"), {"city": city})
    result = ran(tool(sys.executable, "{city}"), processes, city=city)
    assert result.is_error


def test_an_argument_that_no_command_line_holds(processes: Processes) -> None:
    result = ran(tool("/bin/echo", "{q}"), processes, q="x" * (8 << 20))
    assert (result.is_error, "too long" in result.output) == (True, True)


# ---- the environment ----------------------------------------------------------------------------


def test_no_secret_passes_unless_it_is_named() -> None:
    environ = {"PATH": "/bin", "LC_ALL": "C", "EDITOR": "vi", "OPENAI_API_KEY": "k", "T_TOKEN": "t"}
    plain = program_environment(environ)
    assert plain == {"PATH": "/bin", "LC_ALL": "C", "EDITOR": "vi"}
    named = program_environment(environ, ("T_TOKEN",))
    assert named == {"PATH": "/bin", "LC_ALL": "C", "T_TOKEN": "t"}
