"""Several models on a terminal: their answers side by side, and what a person sees there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from batchserver import Act, BatchServer
from conftest import COMMAND, Configure
from forking import Forks
from ptys import Pty

CONFIG = """
[provider.a]
protocol = "openai-chat"
base_url = "{a}"
prices = {{ x = {{ input = 1000, output = 1000 }} }}

[provider.b]
protocol = "openai-chat"
base_url = "{b}"
"""
MODELS = ("-m", "a:x", "-m", "b:y")
LONG = "\n".join(f"This is line {number}, {'and so on ' * (number % 4)}" for number in range(60))


class Two:
    """Two providers, whose answers are what a test says, and which wait for it where it wants."""

    def __init__(self, start: Callable[..., Pty]) -> None:
        self.start = start
        self.a = Act(text="The answer of a")
        self.b = Act(text="Another one of b, which is longer")
        self.go_on = threading.Event()

    def wait(self) -> None:
        assert self.go_on.wait(60)


@pytest.fixture
def two(
    child_env: dict[str, str], configure: Configure, tmp_path: Path, forks: Forks
) -> Iterator[Two]:
    def start(*args: str, env: dict[str, str] | None = None, wrap: str = "", **more: object) -> Pty:
        command = [str(forked), *MODELS, "--max-retries", "0", *args]
        if wrap:  # a fork has no job control
            command = ["setsid", "-c", "-w", "bash", "-c", wrap, "sh", *COMMAND, *command[1:]]
        run = Pty(command, {**child_env, **(env or {})}, tmp_path, **more)  # type: ignore[arg-type]
        stack.callback(run.close)
        return run

    forked = tmp_path / "stream"
    forks.command(forked)
    found = Two(start)
    with (
        ExitStack() as stack,
        BatchServer(lambda prompt, before: found.a) as a,
        BatchServer(lambda prompt, before: found.b) as b,
    ):
        stack.callback(found.go_on.set)
        configure(CONFIG.format(a=a.base, b=b.base))
        yield found


def columns(lines: list[str]) -> list[tuple[str, str]]:
    """The rows of a table of two columns, whose middle line is straight."""
    first = next(number for number, line in enumerate(lines) if "─┼─" in line)
    middle = lines[first].index("┼")
    rows = []
    for line in lines[first - 1 :]:
        if len(line) > middle and line[middle] in "│┼":
            rows.append((line[: middle - 1].rstrip(), line[middle + 2 :].rstrip()))
    return rows


NUMBERS = r"complete   TTFT \d+ ms(   [\d. ]+ tok/s)?   \d+ tokens   \d+\.\d s"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
def test_the_final_screen(two: Two, width: int, height: int) -> None:
    code, lines = two.start("hi", columns=width, rows=height).end()
    assert code == 0
    assert all(len(line) < width for line in lines)
    names, rule, text, again, *numbers = columns(lines)
    assert names == ("a:x", "b:y")
    assert text == ("The answer of a", "Another one of b, which is longer")
    assert set("".join(rule + again)) == {"─"}
    left, right = ("   ".join(row[at] for row in numbers if row[at]) for at in (0, 1))
    assert re.fullmatch(rf"{NUMBERS}   cost 0\.\d+", left)
    assert re.fullmatch(NUMBERS, right)
    assert len(lines) == 4 + len(numbers)


def test_both_stream_beside_each_other(two: Two) -> None:
    two.a = Act(text="one two", between=two.wait)
    two.b = Act(text="three four", between=two.wait)
    run = two.start("hi")
    run.until(lambda lines: lines[-1:] and re.fullmatch(r"waiting \d s +│ waiting \d s", lines[-1]))
    two.go_on.set()
    code, lines = run.end()
    assert code == 0
    assert columns(lines)[2] == ("one two", "three four")


def test_one_is_over_while_the_other_goes_on(two: Two) -> None:
    two.b = Act(text="three four", between=two.wait)
    run = two.start("hi")
    rows = columns(run.until(lambda lines: any("complete" in line for line in lines)))
    assert rows[2] == ("The answer of a", "")
    assert rows[4][0].startswith("complete   TTFT ")
    assert re.fullmatch(r"waiting \d+ s", rows[4][1])
    two.go_on.set()
    code, lines = run.end()
    assert (code, columns(lines)[2]) == (0, ("The answer of a", "three four"))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 6), (80, 3)])
def test_answers_that_are_taller_than_the_screen(two: Two, width: int, height: int) -> None:
    """Their ends are drawn while they come; at the end all of it is there, once."""
    two.a = Act(text=LONG)
    two.b = Act(text=LONG.replace("line", "row"), gap=0.001)
    run = two.start("hi", columns=width, rows=height)
    code, _ = run.end()
    assert code == 0
    lines = run.all_lines
    assert len([line for line in lines if "─┼─" in line]) == 2
    rows = columns(lines)
    for at, word in ((0, "line"), (1, "row")):
        text = " ".join(row[at] for row in rows[2:]).split("complete")[0]
        wanted = LONG.replace("line", word).split()
        assert " ".join(text.split()).replace("─", "").split() == wanted
    assert lines[0].startswith("a:x ")  # nothing stands above the table


def test_a_failure_leaves_the_other_alone(two: Two) -> None:
    two.b = Act(status=500)
    code, lines = two.start("hi").end()
    assert code == 20
    assert lines[0] == "stream: prompt 1 to b:y: HTTP 500: refused with 500"
    assert lines[-1] == "stream: 1 of 2 prompts failed (1 provider)"
    rows = columns(lines)
    assert rows[2] == ("The answer of a", "")
    assert rows[4][1].startswith("provider   ")


def test_an_answer_that_breaks_off_is_kept(two: Two) -> None:
    two.b = Act(end="cut")
    code, lines = two.start("hi").end()
    assert code == 20
    rows = columns(lines)
    assert rows[2] == ("The answer of a", "answer to")
    assert rows[4][1].startswith("truncated   TTFT ")


def test_an_interrupt_keeps_what_came(two: Two) -> None:
    two.b = Act(text="three four", end="stall")
    run = two.start("hi")
    run.until(lambda lines: any("three" in line and "The answer" in line for line in lines))
    run.until(lambda lines: any("complete" in line for line in lines))
    run.process.send_signal(signal.SIGINT)
    code, lines = run.end()
    assert code == -signal.SIGINT
    rows = columns(lines)
    assert rows[2] == ("The answer of a", "three")
    assert rows[4][1].startswith("interrupted   TTFT ")
    assert lines[-1].startswith("stream: stopped by SIGINT: 1 done, 1 broken off")
    assert len([line for line in lines if "─┼─" in line]) == 2


def test_control_characters_are_visible_and_wide_ones_aligned(two: Two) -> None:
    two.a = Act(
        text="a\x1b[2J\x1b[1;1Hb\x07\u202e\n你好世界 wide\n"
        "👨\u200d👩\u200d👧 family\ne\u0301 accent"
    )
    run = two.start("--sanitize", "never", "hi")
    code, lines = run.end()
    assert code == 0
    # Behind a wide character, the terminal of these tests has an empty cell.
    assert re.match(r"a\^\[\[2J\^\[\[1;1Hb\^G<U\+202E> +│ Another one", lines[2])
    assert "\x1b[2J" not in run.raw.decode()
    middle = {line.index("│") for line in lines[2:6] if "│" in line and line.isascii()}
    assert len(middle) <= 1
    assert all("│" in line for line in lines[2:6])


def test_the_reasoning_is_dimmed_in_its_column(two: Two) -> None:
    two.a = Act(reasoning="Let me think", text="Done")
    run = two.start("hi")
    code, lines = run.end()
    assert (code, [row[0] for row in columns(lines)[2:5]]) == (0, ["Let me think", "", "Done"])
    assert b"\x1b[2mLet me think\x1b[22m" in run.raw
    code, lines = two.start("--reasoning", "hide", "hi").end()
    assert (code, columns(lines)[2][0]) == (0, "Done")


def test_without_colors(two: Two) -> None:
    two.a = Act(reasoning="Let me think", text="Done")
    two.b = Act(status=500)
    run = two.start("hi", env={"NO_COLOR": "1"})
    code, lines = run.end()
    assert (code, columns(lines)[2][0]) == (20, "Let me think")
    assert not re.search(rb"\x1b\[[\d;]*m", run.raw)


HEADINGS = [
    "==> a:x <==",
    "The answer of a",
    "",
    "==> b:y <==",
    "Another one of b, which is longer",
]


@pytest.mark.parametrize(
    ("options", "more"),
    [
        (("--progress", "never"), {}),
        (("--md",), {}),
        ((), {"term": "dumb"}),
        ((), {"columns": 40, "rows": 12}),
        ((), {"columns": 65}),
    ],
)
def test_one_after_the_other(two: Two, options: tuple[str, ...], more: dict[str, object]) -> None:
    """As Markdown, and on a terminal that is too narrow, cannot be drawn on, or is left alone."""
    code, lines = two.start(*options, "hi", **more).end()
    assert (code, lines) == (0, HEADINGS)


def test_just_wide_enough(two: Two) -> None:
    code, lines = two.start("hi", columns=66).end()
    assert (code, columns(lines)[0]) == (0, ("a:x", "b:y"))


def test_several_prompts_have_headings_too(two: Two) -> None:
    code, lines = two.start("--repeat", "2", "hi", columns=100).end()
    assert code == 0
    assert [line for line in lines if line.startswith("==>")] == ["==> a:x <==", "==> b:y <=="] * 2


def test_a_terminal_that_becomes_narrow(two: Two) -> None:
    two.b = Act(text="three four", between=two.wait)
    run = two.start("hi")
    run.until(lambda lines: any("complete" in line for line in lines))
    run.resize(40)
    run.until(lambda lines: any(re.match(r"b:y   waiting \d+ s", line) for line in lines))
    two.go_on.set()
    code, lines = run.end()
    assert code == 0
    at = lines.index("==> a:x <==")
    assert lines[at + 1] == "The answer of a"
    assert lines[at + 2].startswith("complete   TTFT ")
    at = lines.index("==> b:y <==")
    assert lines[at + 1] == "three four"


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("setsid")), reason="needs bash")
def test_stopped_and_gone_on_with(two: Two) -> None:
    """^Z takes the columns away; they are drawn below what the shell wrote meanwhile."""
    two.b = Act(text="three four", between=two.wait)
    script = 'set -m; "$@"; echo "status $?"; read -r line; fg > /dev/null'
    run = two.start("-n", "hi", wrap=script, places="012")
    run.until(lambda lines: any("complete" in line for line in lines))
    os.write(run.master, b"\x1a")
    stopped = run.until(lambda lines: "status 148" in lines)
    assert not any("│" in line for line in stopped)
    os.write(run.master, b"\n")
    run.until(lambda lines: any("complete" in line for line in lines))
    two.go_on.set()
    code, lines = run.end()
    assert code == 0
    assert lines[: len(stopped)] == stopped
    assert columns(lines)[2] == ("The answer of a", "three four")


def test_what_was_asked_before(two: Two, tmp_path: Path) -> None:
    """--resume leaves the column of an answer that is there already empty."""
    two.b = Act(status=500)
    assert two.start("--events", "e.jsonl", "hi").end()[0] == 20
    two.b = Act(text="At last")
    code, lines = two.start("--events", "e.jsonl", "--resume", "e.jsonl", "hi").end()
    assert code == 0
    rows = columns(lines)
    assert rows[2] == ("", "At last")
    assert rows[4][0] == "not asked"
