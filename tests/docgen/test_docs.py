"""The documents say what the command does: made anew they are the same, and every example runs.

The scrapers here read the generated files by their own rules, not docgen's: a mistake of docgen
cannot hide itself.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Result, Stream, at_once, eventually, needs
from faultserver import SCENARIOS, FaultServer
from hosts import Hosts
from pages import NAMES, PAGES, Example, examples, page

from streamcli.cli.parse import EXAMPLES as HELP_EXAMPLES
from streamcli.docgen import __main__ as docgen
from streamcli.errors import EXIT_OF_STATUS
from streamcli.settings.options import SECTIONS, TABLE

MAN = ROOT / "man"
SECTIONS_OF_STREAM_1 = """
    NAME SYNOPSIS DESCRIPTION OPTIONS EXIT_STATUS TIMEOUTS_AND_RETRIES TEMPLATES TOOLS MCP_SERVERS
    SESSIONS MARKDOWN TERMINAL RECORDINGS ENVIRONMENT FILES EXAMPLES SECURITY SEE_ALSO
"""
EXAMPLES = examples()
DOCUMENTS = [*(f"man/{name}" for name in NAMES), *(f"pages/{name}.md" for name in NAMES)]


def document(path: str) -> str:
    """Return the text of a man page, or of its source, as a reader sees it."""
    text = (PAGES.parent if path.startswith("pages/") else ROOT).joinpath(path).read_text()
    return plain(re.sub(r"<!--.*?-->", "", text))


# ---- made anew ----------------------------------------------------------------------------------


def test_the_generated_files_are_up_to_date() -> None:
    for path, text in docgen.documents(ROOT).items():
        assert (ROOT / path).read_text() == text, f"{path}: python -m streamcli.docgen"


def test_check_tells_what_differs_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    pages = shutil.copytree(PAGES, tmp_path / docgen.PAGES)
    assert docgen.main([], tmp_path) == 0
    assert docgen.main(["--check"], tmp_path) == 0
    source = pages / "stream-config.5.md"
    stale = re.sub("<!--key_cmd-->.*<!--/-->", "<!--key_cmd-->1<!--/-->", source.read_text())
    source.write_text(stale)
    (tmp_path / "man" / "stream.1").write_text("old")
    capsys.readouterr()
    assert docgen.main(["--check"], tmp_path) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == [
        "streamcli/docgen/pages/stream-config.5.md",
        "man/stream.1",
        "man/streamcli.1",
    ]
    assert (tmp_path / "man" / "stream.1").read_text() == "old"
    assert source.read_text() == stale


def test_docgen_runs_as_a_module(child_env: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamcli.docgen"]
    done = subprocess.run([*command, "--check"], env=child_env, cwd=tmp_path, capture_output=True)
    assert done.stderr.decode() == ""
    assert done.returncode == 0
    assert subprocess.run([*command, "--bogus"], env=child_env, capture_output=True).returncode == 2


def test_the_changelog_tells_each_thing_once() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    told = [line for line in lines if line.startswith(("- ", "#"))]
    assert [line for line in told if told.count(line) > 1] == []
    groups = [line for line in told if line.startswith("### ")]
    assert all(": " in group for group in groups), "a line belongs to one of the groups"


# ---- every option, by another road --------------------------------------------------------------


def plain(roff: str) -> str:
    return re.sub(r"\\f[BIR]|\\&", "", roff).replace("\\-", "-").replace("\\(aq", "'")


def of_help(text: str) -> set[str]:
    rows = re.findall(r"^  ((?:-\w, )?--[a-z][a-z0-9-]*)", text, re.MULTILINE)
    return {flag for row in rows for flag in row.split(", ")}


def of_man(text: str) -> set[str]:
    options = plain(text).partition("\n.SH OPTIONS")[2].partition("\n.SH ")[0]
    tags = re.findall(r"\n\.TP[^\n]*\n([^\n]+)", options)
    return {flag for tag in tags for flag in re.findall(r"(?:^|, )(--?[A-Za-z0][a-z0-9-]*)", tag)}


def of_bash(text: str) -> set[str]:
    offered = text.partition("elif [[ $cur == -* ]]")[2].partition("fi\n")[0]
    return set(re.findall(r" (--?[A-Za-z0][a-z0-9-]*)(?=[ \n])", offered))


def of_zsh(text: str) -> set[str]:
    specs = re.findall(r"^    (.*?)'?\[", text.partition("_arguments")[2], re.MULTILINE)
    return {f for spec in specs for f in re.findall(r"(?:^|[{,)'*])(--?[A-Za-z0][a-z0-9-]*)", spec)}


def of_fish(text: str) -> set[str]:
    lines = re.findall(r"^complete -c stream (?:-s (\w) )?-l ([a-z0-9-]+)", text, re.MULTILINE)
    return {f"-{short}" for short, _ in lines if short} | {f"--{long}" for _, long in lines}


def of_page(text: str) -> set[str]:
    options = text.partition("\n## Options\n")[2].partition("\n## ")[0]
    terms = re.findall(r"^- (`-.*)\\$", options, re.MULTILINE)
    return {flag for term in terms for flag in re.findall(r"`(--?[A-Za-z0][a-z0-9-]*)`", term)}


@pytest.mark.parametrize(
    ("path", "scrape"),
    [
        ("man/stream.1", of_man),
        ("completions/stream.bash", of_bash),
        ("completions/_stream", of_zsh),
        ("completions/stream.fish", of_fish),
        ("streamcli/docgen/pages/stream.1.md", of_page),
    ],
)
def test_every_option_is_in(path: str, scrape: Callable[[str], set[str]], stream: Stream) -> None:
    known = of_help(stream("--help").text)
    assert len(known) > 40
    assert scrape((ROOT / path).read_text()) == known


def test_every_choice_is_in_every_document(stream: Stream) -> None:
    lists = re.findall(r"^  .*--[a-z-]+[ =\[]+([a-z]+(?:\|[a-z]+)+)", stream("--help").text, re.M)
    assert len(lists) > 4
    for path in ("man/stream.1", "completions/stream.bash", "completions/_stream"):
        words = set(re.findall(r"[a-z]+", plain((ROOT / path).read_text())))
        assert {choice for choices in lists for choice in choices.split("|")} <= words, path


@pytest.mark.parametrize("path", [*DOCUMENTS, "README.md"])
def test_no_option_is_named_that_does_not_exist(path: str, stream: Stream) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", document(path)))
    others = "key staged unbuffered group no-deps array requeue dist pipe line-buffer basefile env"
    none_of_ours = {f"--{name}" for name in [*others.split(), "cleanup", "port"]}
    assert named - none_of_ours <= of_help(stream("--help").text)


# ---- the table ----------------------------------------------------------------------------------


def test_the_table_is_fit_to_be_printed() -> None:
    flags = [flag for option in TABLE for flag in (option.short, option.long) if flag]
    assert len(flags) == len(set(flags))
    for option in TABLE:
        assert option.section in SECTIONS, option.long
        assert option.help, option.long
        assert option.help.endswith("."), option.long
        assert len(option.help) <= 52, option.long
        assert not option.details or option.details.endswith("."), option.long
        if not option.is_flag:
            assert option.metavar or getattr(option.type, "choices", ()), option.long
            default = re.search(r"default: (\d+)(?![\dM])", option.help)
            assert not default or float(default[1]) == option.default, option.long


def test_help_fits_a_terminal(stream: Stream) -> None:
    assert max(map(len, stream("--help").text.splitlines())) <= 79


# ---- the manual ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_mandoc_has_nothing_to_say(name: str) -> None:
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", MAN / name], capture_output=True)
    assert done.stdout.decode() == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_man_has_nothing_to_say(name: str) -> None:
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    done = subprocess.run(["man", "--warnings", "-l", MAN / name], env=env, capture_output=True)
    if b"option" in done.stderr:
        pytest.skip("this man knows no --warnings")
    assert done.stderr.decode() == ""
    assert b"DESCRIPTION" in done.stdout


def test_each_page_names_the_others_that_it_speaks_of() -> None:
    """A link goes to a page that is there, and its text is how man calls that page."""
    for name in NAMES:
        links = re.findall(r"\[([^]]+)\]\(([^)#]+\.md)\)", page(name))
        for text, address in links:
            assert (PAGES / address).is_file(), f"{name}: {address}"
            if "(" in text:
                title, section = re.fullmatch(r"([\w-]+)\((\d)\)", text).groups()  # type: ignore[union-attr]
                assert address == f"{title}.{section}.md"
        assert len(links) > 1, name


def section(page: str, name: str) -> str:
    text = plain((MAN / page).read_text())
    return text.partition(f"\n.SH {name}\n")[2].partition("\n.SH ")[0]


def test_the_manual_has_its_sections_in_order() -> None:
    found = re.findall(r"^\.SH (.+)$", (MAN / "stream.1").read_text(), re.MULTILINE)
    assert found == [name.replace("_", " ") for name in SECTIONS_OF_STREAM_1.split()]
    for name in NAMES:
        found = re.findall(r"^\.SH (.+)$", (MAN / name).read_text(), re.MULTILINE)
        assert (found[0], found[-1]) == ("NAME", "SEE ALSO")


def test_what_is_set_as_it_is_fits_a_terminal() -> None:
    found = re.findall(r"\n\.nf\n(.*?)\n\.fi", (MAN / "stream.1").read_text(), re.DOTALL)
    assert len(found) > len(EXAMPLES)
    assert [line for block in found for line in plain(block).splitlines() if len(line) > 68] == []


@pytest.mark.parametrize("path", ["man/stream.1", "pages/stream.1.md"])
def test_every_verdict_has_its_number(path: str) -> None:
    text = re.sub(r"[`|*]+", " ", document(path))
    for status, code in EXIT_OF_STATUS.items():
        numbers = r"128\+ ?n" if status == "interrupted" else str(code)
        assert re.search(rf"^ *{numbers} +{status}\b", text, re.MULTILINE), status


def paths(record: dict[str, Any], inside: str = "") -> Iterator[str]:
    for name, value in record.items():
        yield inside + name
        if isinstance(value, dict):
            yield from paths(value, f"{inside}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from paths(value[0], f"{inside}{name}[].")


def defined_fields() -> dict[str, set[str]]:
    """The fields that the manual defines for each type of record, and for all of them."""
    parts = f"\n{section('stream-records.5', 'FIELDS')}".split("\n.SS ")
    return {
        part.partition("\n")[0]: set(re.findall(r"\n\.TP[^\n]*\n([^\n]+)", part)) for part in parts
    }


@pytest.mark.parametrize("scenario", ["ok", "flaky_1", "tool_calls", "error_midstream"])
def test_every_field_of_a_record_is_defined(
    server: FaultServer, stream: Stream, scenario: str
) -> None:
    defined = defined_fields()
    args = ("-m", "vllm:m", "--base-url", server.url(scenario), "Hi")
    for run in at_once(lambda: stream(*args, "--jsonl"), lambda: stream(*args, "--json")):
        for record in run.records:
            known = defined["Every record"] | defined[record["type"]]
            assert set(paths(record)) <= known


def test_every_field_of_a_summary_is_defined(server: FaultServer, stream: Stream) -> None:
    args = ("-m", "vllm:m", "--base-url", server.url("ok"), "-L", "--jsonl")
    summary = stream(*args, stdin=b"One\nTwo\n").records[-1]
    assert summary["type"] == "summary"
    del summary["statuses"]["complete"]  # named by its verdict
    known = defined_fields()
    assert set(paths(summary)) <= known["Every record"] | known["summary"]


def test_every_variable_of_the_manual_sets_its_option(stream: Stream) -> None:
    """A value that no option takes is complained of, by the option's name or the variable's."""
    named = set(re.findall(r"STREAM_[A-Z_]+[A-Z]", section("stream.1", "ENVIRONMENT")))
    assert len(named) > 25
    tried = sorted(named & {option.envvar for option in TABLE if option.type.name != "text"})

    def ask(variable: str) -> Result:
        return stream("--dry-run", "-m", "vllm:m", "Hi", env={variable: "no such value"})

    for variable, run in zip(tried, at_once(*[partial(ask, each) for each in tried]), strict=True):
        assert run.returncode == 2, variable


# ---- the examples -------------------------------------------------------------------------------

LOG = "INFO started\nERROR the disk is full\nERROR the disk is still full\n"
FIXTURES = {
    "reviewer.txt": "You review patches.\n",
    "patch.diff": "-old\n+new\n",
    "app.log": LOG,
    "prompts.txt": "one\nit's two\n--three\n",
    "names.txt": "Ada\nGrace\n",
    "requests.jsonl": '{"id": "a", "prompt": "Hello"}\n{"id": "b", "prompt": "Bye"}\n',
    "notes.txt": "Buy milk.\n",
    "photo.png": "GIF89a",
    "schema.json": '{"type": "object"}',
}

# Stands for Slurm: runs the tasks of the array one after the other, with the variables they know.
SBATCH = """#!/bin/sh
set -e
last=$(sed -n 's/^#SBATCH --array=1-\\([0-9]*\\).*/\\1/p' "$1")
for task in $(seq "$last"); do
    SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_COUNT=$last bash "$1"
done
"""

# What an example leaves behind, by the first words of what it does: files and their text, or "-"
# for stdout; a text in /.../ is a pattern. And which scenario the server plays, if it is not `ok`.
ANSWER = "Hello world"
COMPLETE = '/^({{"type":"end"[^\n]*"complete":true[^\n]*\n){{{}}}$/'
LEAVES: dict[str, tuple[str, dict[str, str]]] = {
    "A commit message": ("ok", {"-": ANSWER}),
    "A review": ("ok", {"review.md": ANSWER}),
    "What went wrong": ("ok", {"-": ANSWER}),
    "The records": ("ok", {"-": "Hello\n world\n"}),
    "One record": ("ok", {"-": '/"text": "Hello world",\\s+"timings": {/'}),
    "The text into one file": (
        "ok",
        {"story.txt": ANSWER, "-": r'/\[[\d.]+,"Hello"\]\n\[[\d.]+," world"\]/'},
    ),
    "Many prompts": ("ok", {"out.jsonl": COMPLETE.format(3)}),
    "An answer for each": ("ok", {"rhymes.txt": f"{ANSWER}\n{ANSWER}\n"}),
    "Requests": ("ok", {"-": r"/^[123]\tHello world\n[123]\tHello world\n[123]\tHello world\n$/"}),
    "The same question": (
        "ok",
        {"-": f"/^==> .*mini <==\n{ANSWER}\n\n==> .* <==\n{ANSWER}\n({ANSWER}){{2}}$/"},
    ),
    "How long a server": ("ok", {"-": r'/^\[100,0,\{"mean":[^}]*\}\]\n$/'}),
    "A process for each": ("ok", {"all.jsonl": COMPLETE.format(3)}),
    "A process for 500": ("ok", {"answers.jsonl": COMPLETE.format(2)}),
    "On other machines": ("ok", {"answers.jsonl": COMPLETE.format(2)}),
    "An array of Slurm": ("ok", {f"answers.{i}.jsonl": COMPLETE.format(1) for i in (1, 2)}),
    "A loop": ("ok", {"puns.txt": f"{ANSWER}\n{ANSWER}\n"}),
    "A summary of a log": ("ok", {"causes.md": ANSWER, "runs.jsonl": '/"type":"end"/'}),
    "A picture": ("ok", {"shown.json": ANSWER}),
    "A model that thinks": ("reasoning", {"thoughts.txt": "/./", "answer.txt": "/./"}),
    "A rule for make": ("ok", {"report.md": ANSWER}),
    "A prompt that is used again": ("ok", {"-": ANSWER}),
    "In a script": ("length", {"-": f"{ANSWER}\n"}),
    "The same": ("length", {"summary.txt": ANSWER}),
    "The request": ("ok", {"request.sh": r"/^curl [^\0]*\$OPENAI_API_KEY/"}),
    "What curl(1) got": ("ok", {"-": '/^."complete",{"input_tokens":5/'}),
    "Keep an answer": ("ok", {"story.txt": ANSWER, "story.json": '/"text":"Hello world"/'}),
    "A short name": ("ok", {"-": ANSWER * 2}),
    "Is the server up": ("models", {"-": "/tiny-1/"}),
}


def models(conn: Any) -> None:
    """A server with a list of models."""
    if conn.request.method == "GET":
        conn.reply(200, {"object": "list", "data": [{"id": "tiny-1", "object": "model"}]})
    else:
        SCENARIOS["ok"](conn)


@pytest.fixture
def bench(tmp_path: Path, shell_env: dict[str, str], server: FaultServer) -> Bench:
    """A directory with the files that examples speak of, and `stream` first in PATH."""
    work, config = tmp_path / "work", tmp_path / "config"
    for folder in (work, config / "stream"):
        folder.mkdir(parents=True)
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text(SBATCH)
    sbatch.chmod(0o755)
    for name, text in FIXTURES.items():
        (work / name).write_text(text)
    env = {
        **shell_env,
        "XDG_CONFIG_HOME": str(config),
        "STREAM_MODEL": "openai:gpt-5-mini",
        "OPENAI_API_KEY": "sk-of-no-value",
        "GROQ_API_KEY": "sk-of-no-value",
        "PARALLEL_HOME": str(tmp_path / ".parallel"),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    server.script("models", models)
    return Bench(work, config, env, server)


class Bench:
    def __init__(self, work: Path, config: Path, env: dict[str, str], server: FaultServer) -> None:
        self.work, self.config, self.env, self.server = work, config, env, server

    def write(self, files: dict[str, str], url: str) -> None:
        """The files an example shows; the server it speaks of is ours."""
        for name, text in files.items():
            folder = self.config / "stream" if name == "config.toml" else self.work
            (folder / name).write_text(text.replace("http://127.0.0.1:8000/v1", url))
            (folder / name).chmod(0o600)

    def run(self, command: str, scenario: str, done: Callable[[bytes], bool]) -> tuple[int, str]:
        """(exit status, stdout) of the command in a shell; stopped where it would never end."""
        url = self.server.url(scenario)
        env = {**self.env, "OPENAI_BASE_URL": url, "GROQ_BASE_URL": url, "OLLAMA_HOST": url}
        with (self.work / ".out").open("w+b") as out:
            process = subprocess.Popen(
                ["sh", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                cwd=self.work,
                env=env,
                start_new_session=True,
            )
            path = self.work / ".out"
            try:
                if "tail -n +1 -F" in command:
                    assert eventually(lambda: done(path.read_bytes())), path.read_bytes()
                    os.killpg(process.pid, signal.SIGTERM)
                    process.wait(60)
                    return 0, path.read_text()
                return process.wait(60), path.read_text()
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(60)


def test_it_is_known_what_each_example_leaves() -> None:
    assert [e.what for e in EXAMPLES if not any(e.what.startswith(key) for key in LEAVES)] == []
    assert len(EXAMPLES) == len(LEAVES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.what[:24])
def test_example(example: Example, bench: Bench, request: pytest.FixtureRequest) -> None:
    needs(*re.findall(r"\b(curl|git|jq|make|parallel|split|xargs)\b", example.shown))
    key = max((key for key in LEAVES if example.what.startswith(key)), key=len)
    scenario, left = LEAVES[key]
    bench.write(example.files, bench.server.url(scenario))
    if "-S node1,node2" in example.command:
        needs("rsync")
        hosts: Hosts = request.getfixturevalue("hosts")
        names = ("PATH", "PYTHONPATH", "STREAM_MODEL", "OPENAI_API_KEY")
        env = {name: bench.env[name] for name in names}
        for name in ("node1", "node2"):
            hosts.add(name, env | {"OPENAI_BASE_URL": bench.server.url(scenario)})
        bench.env |= hosts.env
    if "git" in example.command:
        for line in ("git init -q", "git add patch.diff"):
            subprocess.run(line.split(), cwd=bench.work, env=bench.env, check=True)

    def as_promised(name: str, text: str) -> bool:
        wanted = left[name]
        return bool(re.search(wanted[1:-1], text)) if wanted.startswith("/") else text == wanted

    status, stdout = bench.run(
        example.command, scenario, lambda out: as_promised("-", out.decode())
    )
    assert status == 0
    for name in left:
        text = stdout if name == "-" else (bench.work / name).read_text()
        assert as_promised(name, text), f"{name}: {text!r}"
    if scenario != "models":
        asked = [json.loads(request.body)["messages"] for request in bench.server.seen(scenario)]
        assert all(str(messages[-1]["content"]).strip() for messages in asked)


@pytest.mark.parametrize("command", [line.strip() for line in HELP_EXAMPLES.splitlines()])
def test_an_example_of_the_help(command: str, bench: Bench) -> None:
    needs(*re.findall(r"\b(git|jq)\b", command))
    subprocess.run(
        "git init -q && git add .", shell=True, cwd=bench.work, env=bench.env, check=True
    )
    status, stdout = bench.run(command, "ok", bool)
    assert status == 0
    assert stdout
