"""Batches under the engines that people already run: GNU parallel, xargs, make, Slurm, ssh."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from batchserver import Act, BatchServer, answer_to
from conftest import Stream, eventually, needs
from hosts import Hosts
from pages import block, blocks
from records import parse_records

from streamcli.output.descriptor import ends_torn

# What shells, xargs and parallel take for something else.
AWKWARD = [
    *(
        "it's",
        'say "no"',
        "$(id) `id` $HOME",
        "--help",
        "-",
        "{}",
        ":::",
        "a\tb",
        "back\\slash \\n",
    ),
    *("  indented", "naïve 日本語 🙂", "*", "# no comment", "%s %d", "!!", "a;b|c&d>e", "~", "''"),
]
PROMPTS = [*(f"prompt {number}" for number in range(4)), *AWKWARD]


def long_text(prompt: str) -> str:
    """An answer of up to 60 kB: more than a pipe takes as one, and than one write of stdio."""
    word = "wörds\u2028and\x1b" * 40
    return f"<{prompt}> " + f"{word} more " * (sum(prompt.encode()) % 110)


class Shell:
    """A folder in which scripts run as somebody's shell would run them."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = {**env, "PARALLEL_HOME": str(folder / ".parallel"), "STREAM_MODEL": "vllm:m"}
        self._started: list[subprocess.Popen[bytes]] = []
        folder.mkdir()

    def asks(self, server: BatchServer) -> None:
        self.env["VLLM_BASE_URL"] = server.base

    def write(self, prompts: list[str]) -> None:
        """prompts.txt, a line each, and requests.jsonl, whose ids are r0, r1, ..."""
        (self.folder / "prompts.txt").write_text("".join(f"{prompt}\n" for prompt in prompts))
        lines = [json.dumps({"id": f"r{i}", "prompt": prompt}) for i, prompt in enumerate(prompts)]
        (self.folder / "requests.jsonl").write_text("\n".join(lines) + "\n")

    def start(self, script: str, **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(self, script: str, *, code: int | None = 0, **env: str) -> str:
        """stdout; the exit status has to be `code`, if that is given."""
        process = self.start(script, **env)
        out, err = process.communicate(timeout=60)
        if code is not None:
            assert process.returncode == code, err.decode()
        return out.decode()

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """All of its process group, at once."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)

    def records(self, *names: str) -> list[dict[str, Any]]:
        return [each for name in names for each in parse_records((self.folder / name).read_bytes())]

    def close(self) -> None:
        for process in self._started:
            self.kill(process)


@pytest.fixture
def shell(shell_env: dict[str, str], tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path / "work", shell_env)
    yield shell
    shell.close()


@pytest.fixture
def exec_shell(exec_env: dict[str, str], shell: Shell) -> Shell:
    """A shell whose commands may be killed: each is a process of its own group."""
    return shell


@pytest.fixture
def answering() -> Iterator[BatchServer]:
    with BatchServer() as server:
        yield server


@pytest.fixture
def telling() -> Iterator[BatchServer]:
    """Long answers."""
    with BatchServer(lambda prompt, before: Act(text=long_text(prompt))) as server:
        yield server


def ends(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in records if record["type"] == "end"]


def told(records: list[dict[str, Any]]) -> Counter[str]:
    """The texts, of `end` records that have them or put together from deltas."""
    pieces: dict[str, list[str]] = {}
    for record in records:
        if record["type"] == "delta":
            pieces.setdefault(record["request_id"], []).append(record["text"])
    texts = []
    for end in ends(records):
        text = end["text"] if "text" in end else "".join(pieces[end["request_id"]])
        assert len(text) == end["chars"]
        assert end["status"] == "complete"
        texts.append(text)
    return Counter(texts)


# ---- GNU parallel -------------------------------------------------------------------------------


@pytest.mark.parametrize("records", ["--json", "--jsonl"])
@pytest.mark.parametrize(
    "script",
    [
        "parallel --pipe -N8 -j3 stream --requests FORMAT < requests.jsonl > all.jsonl",
        "parallel --pipe -N8 -j3 --line-buffer stream --requests FORMAT < requests.jsonl"
        " > all.jsonl",
        "parallel --pipe -N8 -j3 'stream --requests FORMAT >> all.jsonl' < requests.jsonl",
    ],
    ids=["grouped", "line-buffer", "appended"],
)
def test_blocks_of_requests(shell: Shell, telling: BatchServer, script: str, records: str) -> None:
    needs("parallel")
    shell.write(PROMPTS)
    shell.asks(telling)
    shell.run(script.replace("FORMAT", records))
    found = shell.records("all.jsonl")
    assert told(found) == Counter(map(long_text, PROMPTS))
    assert Counter(end["id"] for end in ends(found)) == Counter(
        f"r{i}" for i in range(len(PROMPTS))
    )
    assert len({end["request_id"] for end in ends(found)}) == len(PROMPTS)
    summaries = [record for record in found if record["type"] == "summary"]
    assert len(summaries) == (3 if records == "--jsonl" else 0)
    assert sum(record["prompts"] for record in summaries) in (0, len(PROMPTS))


def test_a_process_a_prompt_and_one_events_file(shell: Shell, telling: BatchServer) -> None:
    needs("parallel")
    shell.write(AWKWARD)
    shell.asks(telling)
    out = shell.run("parallel -k -j6 stream -n --events all.jsonl -- :::: prompts.txt")
    assert out == "".join(map(long_text, AWKWARD))
    assert told(shell.records("all.jsonl")) == Counter(map(long_text, AWKWARD))


def test_arguments_with_blanks(shell: Shell, answering: BatchServer) -> None:
    """parallel gives its command to a shell: -q quotes what was quoted once."""
    needs("parallel")
    shell.write(["One", "Two"])
    shell.asks(answering)
    shell.run("parallel -q --pipe -N1 stream -L 'Say it  in \"French\"; then:' < prompts.txt")
    asked = {each.prompt for each in answering.asked}
    assert asked == {f'{prompt}\n\nSay it  in "French"; then:' for prompt in ("One", "Two")}


def test_failures_reach_the_engine(shell: Shell) -> None:
    """xargs: 123. parallel: how many of its jobs failed. Neither gives up early."""
    needs("parallel")
    shell.write(["good", "bad", "fine", "worse"])
    refused = {"bad", "worse"}
    with BatchServer(lambda prompt, before: Act(400 if prompt in refused else 200)) as server:
        shell.asks(server)
        shell.run("tr '\\n' '\\0' < prompts.txt | xargs -0 -n1 stream -q -- > 1", code=123)
        shell.run("parallel -j2 stream -qn -- :::: prompts.txt > 2", code=2)
        shell.run("parallel --pipe -N2 stream -qL < prompts.txt > 3", code=2)
    assert Counter(each.prompt for each in server.asked) == Counter(
        {"good": 3, "bad": 3, "fine": 3, "worse": 3}
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs locks on pipes")
@pytest.mark.parametrize(
    "script",
    [
        "xargs -d '\\n' -P 8 -n 1 stream --json -- < prompts.txt",
        "(for n in 1 2 3; do stream -L --json -j 8 < prompts.txt & done; wait)",
    ],
    ids=["xargs", "two batches"],
)
def test_a_pipe_that_many_write_to(shell: Shell, telling: BatchServer, script: str) -> None:
    """Their lines are longer than what a pipe keeps together, and all wait for a slow reader."""
    shell.write(AWKWARD[5:])
    shell.asks(telling)
    shell.run(f"{script} | (sleep 1; cat) > all.jsonl")
    times = 3 if "for n" in script else 1
    assert told(shell.records("all.jsonl")) == Counter(map(long_text, AWKWARD[5:] * times))


# ---- the same everywhere ------------------------------------------------------------------------

ENGINES = {
    "jobs": "stream -L --json -j 5 < prompts.txt > out.jsonl",
    "requests": "stream --requests --json -j 5 < requests.jsonl > out.jsonl",
    "nulls": "tr '\\n' '\\0' < prompts.txt | stream -0 --json > out.jsonl",
    "xargs": "tr '\\n' '\\0' < prompts.txt | xargs -0 -P 5 -n 1 stream --json -- >> out.jsonl",
    "parallel": "parallel -j5 stream -n --json -- :::: prompts.txt > out.jsonl",
    "parallel --pipe": "parallel -j3 --pipe -N9 stream -L --json < prompts.txt > out.jsonl",
    "parallel -0": "tr '\\n' '\\0' < prompts.txt |"
    " parallel -j3 --pipe --recend '\\0' -N9 stream -0 --json > out.jsonl",
}


def test_every_engine_gives_the_same(shell: Shell, answering: BatchServer) -> None:
    needs("parallel")
    shell.write(AWKWARD)
    shell.asks(answering)
    wanted = Counter(map(answer_to, AWKWARD))
    known: set[tuple[str, str]] = set()
    for name, script in ENGINES.items():
        answering.asked.clear()
        shell.run(f"rm -f out.jsonl; {script}")
        found = shell.records("out.jsonl")
        assert told(found) == wanted, name
        assert Counter(each.prompt for each in answering.asked) == Counter(AWKWARD), name
        # And each knows what the others have done: the prompts have one identity.
        hashes = {(end["prompt_hash"], end["text"]) for end in found}
        assert hashes == (known := known or hashes), name


def test_names_of_files(shell: Shell, answering: BatchServer) -> None:
    """What find -print0 gives goes through xargs -0 whole, whatever is in it."""
    names = ["a b.txt", "it's.txt", "new\nline.txt", "-n.txt", "{}.txt", "$(id).txt", "日本.txt"]
    (shell.folder / "notes").mkdir()
    for name in names:
        (shell.folder / "notes" / name).write_text(f"<{name}>\n")
    shell.asks(answering)
    shell.run(
        "find notes -name '*.txt' -print0 | xargs -0 -P 4 -I_ stream -n -f _ -O _.out 'Sum it up.'"
    )
    for name in names:
        text = (shell.folder / "notes" / f"{name}.out").read_text()
        assert text == answer_to(f"<{name}>\n\nSum it up.")
    shell.run("cd notes && find . -name '*.txt' -print0 | xargs -0 -n 2 stream --json -- > ../all")
    asked = " ".join(each.prompt for each in answering.asked[len(names) :])
    assert sorted(re.findall(r"\./(.*?\.txt)", asked, re.DOTALL)) == sorted(names)


# ---- journals put together ----------------------------------------------------------------------


def test_journals_of_several_hosts(shell: Shell, answering: BatchServer) -> None:
    shell.write(PROMPTS)
    shell.asks(answering)
    shell.run(
        """
        head -n 8 requests.jsonl | stream --requests --json > a.jsonl
        tail -n +9 requests.jsonl | head -n 8 | stream --requests --jsonl > b.jsonl
        cat a.jsonl b.jsonl > both.jsonl
        """
    )
    for resume in ("both.jsonl", "a.jsonl --resume b.jsonl", "<(cat b.jsonl a.jsonl)"):
        answering.asked.clear()
        shell.run(f"stream --requests --json --resume {resume} < requests.jsonl > rest.jsonl")
        assert sorted(each.prompt for each in answering.asked) == sorted(PROMPTS[16:])
        assert {end["id"] for end in ends(shell.records("a.jsonl", "b.jsonl", "rest.jsonl"))} == {
            f"r{i}" for i in range(len(PROMPTS))
        }


def test_journals_that_were_torn(shell: Shell, answering: BatchServer) -> None:
    """A host that died left half a line, and the next one's was put behind it."""
    shell.write(PROMPTS[:9])
    shell.asks(answering)
    shell.run(
        """
        head -n 3 requests.jsonl | stream --requests --json -k > a.jsonl
        tail -n +4 requests.jsonl | head -n 3 | stream --requests --json -k > b.jsonl
        head -c -40 a.jsonl > torn.jsonl
        cat torn.jsonl b.jsonl > both.jsonl
        """
    )
    answering.asked.clear()
    shell.run("stream --requests --json --resume both.jsonl < requests.jsonl >> both.jsonl")
    assert sorted(each.prompt for each in answering.asked) == sorted([PROMPTS[2], *PROMPTS[6:9]])


def test_equal_prompts_are_told_apart_by_their_ids(shell: Shell, answering: BatchServer) -> None:
    """No process can count the equal prompts of the others; an id needs no counting."""
    shell.write(["again"] * 4)
    shell.asks(answering)
    shell.run("sed -n '2p;4p' requests.jsonl | stream --requests --json > all.jsonl")
    shell.run("sed -n 1p requests.jsonl | stream --requests --json >> all.jsonl")
    for _ in range(2):
        shell.run("stream --requests --json --resume all.jsonl < requests.jsonl >> all.jsonl")
    assert sorted(end["id"] for end in shell.records("all.jsonl")) == ["r0", "r1", "r2", "r3"]
    assert len(answering.asked) == 4


def test_a_line_that_is_no_request_keeps_its_id(shell: Shell, answering: BatchServer) -> None:
    """Its index says nothing where several processes share a job."""
    shell.asks(answering)
    lines = ['{"id": "a", "prompt": 5}', '{"custom_id": 7, "body": []}', '{"id": [1]}', "[]", "{"]
    (shell.folder / "requests.jsonl").write_text("\n".join(lines) + "\n")
    shell.run("stream --requests --json -k < requests.jsonl > out.jsonl", code=20)
    assert [end.get("id") for end in shell.records("out.jsonl")] == ["a", 7, None, None, None]


def test_lines_without_ids_count(stream: Stream, answering: BatchServer, tmp_path: Path) -> None:
    args = ("-m", "vllm:m", "--base-url", answering.base, "-L", "--json")
    first = stream(*args, stdin=b"again\nagain\n").stdout
    (tmp_path / "done").write_bytes(first)
    rest = stream(*args, "--resume", "done", stdin=b"again\nagain\nagain\n").records
    assert [(end["index"], end["occurrence"]) for end in rest] == [(2, 2)]


def test_a_line_that_somebody_is_writing_is_not_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks at a file while others append sees lines grow: here at each look but the last.

    Another process writes while this one sleeps, so what stands for sleeping is the writer.
    """
    fd = os.open(tmp_path / "all.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    pieces = [b'": "x', b"x" * 200_000, b'"', b"}\n"]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if pieces:
            os.write(fd, pieces.pop(0))

    monkeypatch.setattr(time, "sleep", sleep)
    os.write(fd, b'{"text')
    assert not ends_torn(fd)
    assert (len(slept), pieces) == (4, [])
    os.write(fd, b"{")
    assert ends_torn(fd)
    os.close(fd)


# ---- other machines -----------------------------------------------------------------------------


def start_host(hosts: Hosts, name: str, server: BatchServer, shell: Shell) -> None:
    names = ("PATH", "PYTHONPATH", "STREAM_MODEL")
    hosts.add(name, {key: shell.env[key] for key in names} | {"VLLM_BASE_URL": server.base})


# The manual's command, in blocks that are small enough for two hosts to share 18 requests; and two
# ways to go on after one has died: on this machine, or on those that are left.
ON_HOSTS = block("stream-batch.7", "Scale out", "-S node1,node2").replace("-N500", "-N6")
HERE = "stream --requests --json --resume answers.jsonl < requests.jsonl >> answers.jsonl"
ON_THE_OTHER = ON_HOSTS.replace("node1,", "")


@pytest.mark.real
@pytest.mark.parametrize("again", [HERE, ON_THE_OTHER], ids=["here", "on the other"])
def test_a_host_dies(exec_shell: Shell, hosts: Hosts, answering: BatchServer, again: str) -> None:
    needs("parallel", "rsync")
    count, quick = 18, 4
    exec_shell.write([f"prompt {number}" for number in range(count)])
    over = threading.Event()
    taken = threading.Semaphore(quick)

    def plan(prompt: str, before: int) -> Act:
        """The doomed host gets a few answers, then its provider keeps it waiting."""
        if not taken.acquire(blocking=False):
            over.wait(120)
        return Act()

    with BatchServer(plan) as doomed:
        exec_shell.asks(answering)
        exec_shell.env |= hosts.env
        start_host(hosts, "node1", doomed, exec_shell)
        start_host(hosts, "node2", answering, exec_shell)
        run = exec_shell.start(ON_HOSTS)
        answers = exec_shell.folder / "answers.jsonl"

        def of_doomed() -> int:
            got = {each.prompt for each in doomed.asked if each.at}
            return sum(f"<{prompt}>" in answers.read_text() for prompt in got)

        assert eventually(lambda: answers.exists() and of_doomed() >= quick)
        assert eventually(lambda: doomed.running > 0)
        hosts.kill("node1")
        over.set()
        run.communicate(timeout=60)
        assert run.returncode not in (0, None)
        before = exec_shell.records("answers.jsonl")
        assert quick <= len(before) < count
        asked = len(doomed.asked) + len(answering.asked)
        in_flight = len(doomed.asked) - quick
        answering.asked.clear()
        exec_shell.run(again)
    everything = exec_shell.records("answers.jsonl")
    assert told(everything) == Counter(answer_to(f"prompt {number}") for number in range(count))
    assert Counter(end["id"] for end in everything) == Counter(f"r{i}" for i in range(count))
    done = {end["text"] for end in before}
    assert not done & {answer_to(each.prompt) for each in answering.asked}
    assert asked + len(answering.asked) <= count + in_flight


@pytest.mark.real
def test_hosts_that_live(shell: Shell, hosts: Hosts, answering: BatchServer) -> None:
    needs("parallel", "rsync")
    shell.write([f"prompt {number}" for number in range(12)])
    shell.asks(answering)
    shell.env |= hosts.env
    for name in ("node1", "node2"):
        start_host(hosts, name, answering, shell)
    for _ in range(2):
        shell.run(ON_HOSTS)
        assert [
            path for name in ("node1", "node2") for path in hosts.home(name).glob("*.jsonl")
        ] == []
    assert Counter(end["id"] for end in shell.records("answers.jsonl")) == Counter(
        f"r{number}" for number in range(12)
    )
    assert len(answering.asked) == 12


# ---- the manual's other recipes -----------------------------------------------------------------

RECIPES = ("xargs", "requests.jsonl > answers.jsonl", "-S node1", "#SBATCH", "reports/%.md")


def test_every_recipe_is_run_by_a_test() -> None:
    texts = [each.text for each in blocks("stream-batch.7", "Scale out")]
    assert [sum(word in text for word in RECIPES) for text in texts] == [1] * len(RECIPES)


def test_xargs(shell: Shell, answering: BatchServer) -> None:
    needs("find", "xargs")
    shell.write(AWKWARD)
    (shell.folder / "src").mkdir()
    for name in ("a.py", "it's b.py"):
        (shell.folder / "src" / name).write_text(f"# {name}\n")
    shell.asks(answering)
    shell.run(block("stream-batch.7", "Scale out", "xargs"))
    assert told(shell.records("all.jsonl")) == Counter(map(answer_to, AWKWARD))
    for name in ("a.py", "it's b.py"):
        text = (shell.folder / "src" / f"{name}.md").read_text()
        assert text == answer_to(f"# {name}\n\nDocument this.")


def test_parallel(shell: Shell, answering: BatchServer) -> None:
    needs("parallel")
    shell.write([f"prompt {number}" for number in range(1100)])
    shell.asks(answering)
    shell.run(block("stream-batch.7", "Scale out", "requests.jsonl > answers.jsonl"))
    found = shell.records("answers.jsonl")
    assert Counter(end["id"] for end in found) == Counter(f"r{number}" for number in range(1100))
    assert max(end["index"] for end in found) == 499


def test_a_slurm_array(exec_shell: Shell) -> None:
    """Two tasks are killed and requeued; the requests are shared out, and each is asked once."""
    needs("split")
    if "GNU" not in exec_shell.run("split --version || true"):
        pytest.skip("needs GNU split")
    count, tasks = 45, 5
    exec_shell.write([f"prompt {number}" for number in range(count)])
    (exec_shell.folder / "job.sh").write_text(block("stream-batch.7", "Scale out", "#SBATCH"))
    stuck = threading.Event()

    def plan(prompt: str, before: int) -> Act:
        if prompt in ("prompt 21", "prompt 22") and not before:  # the tasks 2 and 3 get stuck
            stuck.wait(120)
        return Act()

    def start(task: int) -> subprocess.Popen[bytes]:
        return exec_shell.start(
            "exec bash job.sh",
            SLURM_ARRAY_TASK_ID=str(task),
            SLURM_ARRAY_TASK_COUNT=str(tasks),
            STREAM_JOBS="2",
        )

    names = [f"answers.{task}.jsonl" for task in range(1, tasks + 1)]
    with BatchServer(plan) as server:
        exec_shell.asks(server)
        running = [start(task) for task in range(1, tasks + 1)]
        for task in (1, 4, 5):
            running[task - 1].communicate(timeout=60)
            assert running[task - 1].returncode == 0
        others = count - 2  # are answered while two are stuck
        files = [exec_shell.folder / name for name in names]
        assert eventually(
            lambda: sum(each.read_bytes().count(b"\n") for each in files if each.exists()) == others
        )
        exec_shell.kill(running[1])
        exec_shell.kill(running[2])
        stuck.set()
        for task in (2, 3):
            again = start(task)
            again.communicate(timeout=60)
            assert again.returncode == 0
    found = exec_shell.records(*names)
    assert Counter(end["id"] for end in found) == Counter(f"r{number}" for number in range(count))
    assert [len(exec_shell.records(name)) for name in names] == [count // tasks] * tasks
    assert len(server.asked) == count + 2


def test_make(exec_shell: Shell) -> None:
    """Killed in the middle it leaves whole files only; the next run does what is left."""
    needs("make")
    (exec_shell.folder / "Makefile").write_text(
        block("stream-batch.7", "Scale out", "reports/%.md")
    )
    (exec_shell.folder / "notes").mkdir()
    names = [f"n{number}" for number in range(8)]
    for name in names:
        (exec_shell.folder / "notes" / f"{name}.txt").write_text(f"{name}\n")
    slow, bad = {"n3", "n5"}, "n6"

    def plan(prompt: str, before: int) -> Act:
        name = prompt.split()[0]
        if name == bad and not before:
            return Act(end="reset")  # in the middle of its answer
        if name in slow and not before:
            return Act(gap=0.1, text="word " * 900)
        return Act()

    def reports() -> set[str]:
        found = exec_shell.folder / "reports"
        return {path.name for path in found.glob("*")} if found.exists() else set()

    with BatchServer(plan) as server:
        exec_shell.asks(server)
        run = exec_shell.start("make -k -j8")
        whole = {f"{name}.md" for name in names if name not in slow and name != bad}
        assert eventually(lambda: whole <= reports() and len(server.asked) == len(names))
        assert eventually(lambda: any(name.startswith(".") for name in reports()))  # in the middle
        exec_shell.kill(run)
        assert {name for name in reports() if not name.startswith(".")} == whole
        exec_shell.run("make -j8")
        again = sorted(each.prompt.split()[0] for each in server.asked[len(names) :])
    assert again == sorted({*slow, bad})
    for name in names:
        text = (exec_shell.folder / "reports" / f"{name}.md").read_text()
        assert text == answer_to(f"{name}\n\nTurn these notes into a report.")
