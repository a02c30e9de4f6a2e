"""Completions, tried in the real shells: what Tab offers, and what it makes of a line."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from shells import BASH, ZSH, Shell

FILES = ROOT / "completions"
CONFIG = """
[defaults]
model = "fast" # not = an alias
[alias] # names of my own
fast = "openai:gpt-5-mini"
"quick" = 'groq:llama'
# fake = "commented out"
[template.summary]
prompt = "Sum up."
[template."haiku"]
model = "fast"
[provider.ours]
base_url = "http://127.0.0.1:9/v1"
[provider.ours.prices]
fabulous = { input = 1 }
"""

Offers = Callable[[str], set[str]]


def _home(folder: Path) -> dict[str, str]:
    config = folder / "config" / "stream" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    home = folder / "home"
    sessions = home / ".local" / "state" / "stream" / "sessions"
    sessions.mkdir(parents=True)
    for name in ("trip.jsonl", "two words.jsonl", ".last", "notes.txt"):
        (sessions / name).touch()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(folder / "config"),
    }


def _files(folder: Path) -> None:
    for name in ("patch.diff", "a name.txt", "inside/file", "ollama", "--reasons", "weights.gguf"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()


def _needs(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")


@pytest.fixture(scope="module", params=["bash", "zsh"])
def shell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shell]:
    name = request.param
    _needs(name)
    folder = tmp_path_factory.mktemp(name)
    if name == "bash":
        command = ["bash", "--norc", "--noprofile", "-i"]
        setup = BASH.format(file=FILES / "stream.bash")
    else:
        command = ["zsh", "-f", "-i"]
        setup = ZSH.format(folder=FILES)
    with Shell(command, setup, folder, _home(folder)) as running:
        _files(running.folder)
        yield running


@pytest.fixture(scope="module")
def fish(tmp_path_factory: pytest.TempPathFactory) -> Offers:
    _needs("fish")
    folder = tmp_path_factory.mktemp("fish")
    env = _home(folder)
    work = folder / "work"
    work.mkdir()
    _files(work)

    def offers(line: str) -> set[str]:
        script = f"source {FILES / 'stream.fish'}; complete -C $argv[1]"
        command = ["fish", "--no-config", "-c", script, line]
        done = subprocess.run(command, cwd=work, env=env, capture_output=True, timeout=60)
        assert not done.stderr
        return {offer.partition("\t")[0] for offer in done.stdout.decode().splitlines()}

    return offers


OFFERS: list[tuple[str, set[str]]] = [
    ("--rea", {"--reasoning"}),
    ("--reasoning ", {"hide", "stderr", "stdout", "only", "raw"}),
    ("--reasoning=h", {"hide"}),
    ("--format json", {"json", "jsonl"}),
    ("--dry-run=", {"http", "curl"}),
    (
        "--help=",
        {"manual", "records", "config", "providers", "guides", "batch", "report", "python", "exit"},
    ),
    ("--help=rec", {"records"}),
    ("--dry-run c", set()),  # an optional value stands behind = only: this is a prompt
    ("-m ol", {"ollama"}),
    ("-m fa", {"fast"}),
    ("--model=qui", {"quick"}),
    ("-m our", {"ours"}),
    ("-m ollama:lla", set()),
    ("-m local:wei", {"weights.gguf"}),
    ("-p op", {"openai", "openai-responses", "openrouter"}),
    ("-p our", {"ours"}),
    ("-p fa", set()),  # an alias is a model
    ("--check=olla", {"ollama"}),
    ("-O pat", {"patch.diff"}),
    ("-t su", {"summary"}),
    ("--template=hai", {"haiku"}),
    ("-t pat", {"patch.diff"}),
    ("--session t", {"trip", "two words"}),
    ("--session=tr", {"trip"}),
    ("--session pat", set()),
    ("--file=ins", {"inside"}),
    ("-s @pat", {"patch.diff"}),
    ("--header=@pat", {"patch.diff"}),
    ("-s pat", set()),
    ("--accept len", {"length"}),
    ("--accept length,fil", {"filtered"}),
    ("--stop pat", set()),
    ("--temperature ", set()),
    ("pat", set()),
    ("two words pat", set()),
    ("some words --max-wa", {"--max-wait"}),
    ("-- --rea", set()),
    ("-- -", set()),
]


def _plain(offers: set[str]) -> set[str]:
    """Without what the shells write around a candidate: what stands before it, and its end."""
    plain = {offer.rpartition("=")[2].rpartition(",")[2].lstrip("@") for offer in offers}
    plain = {offer.removeprefix("local:").replace("\\ ", " ") for offer in plain}
    return {offer.rstrip(":/ ") for offer in plain}


@pytest.mark.parametrize(("typed", "expected"), OFFERS, ids=[typed for typed, _ in OFFERS])
def test_bash_and_zsh_offer(shell: Shell, typed: str, expected: set[str]) -> None:
    assert _plain(shell.offers(f"stream {typed}")) == expected


@pytest.mark.parametrize(("typed", "expected"), OFFERS, ids=[typed for typed, _ in OFFERS])
def test_fish_offers(fish: Offers, typed: str, expected: set[str]) -> None:
    assert _plain(fish(f"stream {typed}")) == expected


@pytest.mark.parametrize(
    ("keys", "arguments"),
    [
        ("--reaso\t hi\t", ["--reasoning", "hide"]),
        ("--reasoning=h\tword", ["--reasoning=hide", "word"]),
        ("-m ol\tllama3.2", ["-m", "ollama:llama3.2"]),
        ("-m fa\tword", ["-m", "fast", "word"]),
        ("-m local:wei\tword", ["-m", "local:weights.gguf", "word"]),
        ("-O pat\tword", ["-O", "patch.diff", "word"]),
        ("-O 'a n\t word", ["-O", "a name.txt", "word"]),
        ("-f inside/\tword", ["-f", "inside/file", "word"]),
        ("-O ins\tnew", ["-O", "inside/new"]),
        ("-O a\tword", ["-O", "a name.txt", "word"]),
        ("--output=a\tword", ["--output=a name.txt", "word"]),
        ("--session tri\tword", ["--session", "trip", "word"]),
        ("--session tw\tword", ["--session", "two words", "word"]),
        ("--session=./pat\tword", ["--session=./patch.diff", "word"]),
        ("-s @pat\tword", ["-s", "@patch.diff", "word"]),
        ("-s @a\tword", ["-s", "@a name.txt", "word"]),
        ("-s @ins\tfil\tword", ["-s", "@inside/file", "word"]),
        ("--system=@pat\tword", ["--system=@patch.diff", "word"]),
        ("--dry-run=c\tword", ["--dry-run=curl", "word"]),
        ("--accept=length,fil\t", ["--accept=length,filtered"]),
        ("--accept=length,len\t", ["--accept=length,len"]),
        ("pat\t", ["pat"]),
    ],
)
def test_tab_completes_a_line(shell: Shell, keys: str, arguments: list[str]) -> None:
    assert shell.completes(f"stream {keys}") == arguments


def test_completions_work_without_a_configuration(tmp_path: Path) -> None:
    """No message, and no candidate that is empty."""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    scripts = {
        "bash": f"set -u; source {FILES / 'stream.bash'}; COMP_LINE='stream -m ' COMP_POINT=10 "
        "COMP_WORDS=(stream -m '') COMP_CWORD=2; _stream; printf '%s\\n' \"${COMPREPLY[@]}\"",
        "fish": f"source {FILES / 'stream.fish'}; complete -C 'stream -m '",
    }
    for name, script in scripts.items():
        if shutil.which(name):
            done = subprocess.run([name, "-c", script], env=env, capture_output=True, timeout=60)
            offers = [line.partition(b"\t")[0] for line in done.stdout.splitlines()]
            assert not done.stderr
            assert b"ollama:" in offers
            assert b"" not in offers


def test_every_shell_completes_streamcli_too() -> None:
    bash = f"source {FILES / 'stream.bash'}; complete -p streamcli"
    assert subprocess.run(["bash", "-c", bash], capture_output=True).stdout
    assert (FILES / "_stream").read_text().startswith("#compdef stream streamcli\n")
    for name in ("stream.bash", "stream.fish"):  # looked for by the command's name
        other = FILES / name.replace("stream", "streamcli")
        assert other.read_text() == (FILES / name).read_text()
    assert "complete -c streamcli -w stream" in (FILES / "stream.fish").read_text()
