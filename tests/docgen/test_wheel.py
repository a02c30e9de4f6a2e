"""A built wheel puts the manual and the completions where man and the shells look for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from conftest import ROOT
from pages import NAMES

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
# What pip says when it cannot fetch the build backend, for whatever reason.
OFFLINE = ("install build dependencies", "installing build dependencies", "No module named pip")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing in it but the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [*PIP, "wheel", "--no-deps", "-w", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, cwd=folder)
    if done.returncode and any(words in done.stdout + done.stderr for words in OFFLINE):
        pytest.skip("the build backend cannot be installed here")
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    prefix = folder / "env"
    venv.create(prefix)
    pip = [PIP[0], *PIP[1:3], "--python", str(prefix / "bin" / "python"), *PIP[3:]]
    install = [*pip, "install", "--no-deps", "--no-index", "--no-compile", str(wheel)]
    subprocess.run(install, check=True)
    return prefix


@pytest.mark.parametrize("name", ["stream", "streamcli"])
def test_what_is_where(installed: Path, name: str) -> None:
    for path, source in (
        (f"bin/{name}", None),
        (f"share/man/man1/{name}.1", "man/stream.1"),
        (f"share/bash-completion/completions/{name}", "completions/stream.bash"),
        (f"share/fish/vendor_completions.d/{name}.fish", "completions/stream.fish"),
        ("share/zsh/site-functions/_stream", "completions/_stream"),
    ):
        assert (installed / path).is_file(), path
        if source:
            assert (installed / path).read_bytes() == (ROOT / source).read_bytes()


def test_the_wheel_has_the_pages_of_the_manual_and_not_what_makes_them(installed: Path) -> None:
    for path in (ROOT / "man").iterdir():
        there = installed / "share" / "man" / f"man{path.suffix[1:]}" / path.name
        assert there.read_bytes() == path.read_bytes()
    docgen = next(installed.glob("lib/python*/site-packages/streamcli/docgen"))
    shipped = {str(path.relative_to(docgen)) for path in docgen.rglob("*.*")}
    assert shipped == {f"pages/{name}.md" for name in NAMES}


@pytest.mark.parametrize("name", ["stream", "streamcli"])
def test_man_finds_it_beside_the_command(installed: Path, name: str) -> None:
    """By PATH alone, as in any virtual environment."""
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    env = {"PATH": f"{installed / 'bin'}:{os.environ['PATH']}", "HOME": str(installed)}
    done = subprocess.run(["man", "-w", name], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == str(installed / "share" / "man" / "man1" / f"{name}.1")


@pytest.mark.parametrize("name", ["stream", "streamcli"])
def test_bash_completion_loads_it(installed: Path, name: str) -> None:
    library = Path("/usr/share/bash-completion/bash_completion")
    if not library.exists():
        pytest.skip("bash-completion is not installed")
    script = f"source {library}; _completion_loader {name}; complete -p {name}"
    env = {"PATH": os.environ["PATH"], "XDG_DATA_DIRS": str(installed / "share")}
    done = subprocess.run(
        ["bash", "--norc", "-ic", script], env=env, capture_output=True, stdin=subprocess.DEVNULL
    )
    assert done.stdout.decode().split() == ["complete", "-o", "nospace", "-F", "_stream", name]


@pytest.mark.parametrize("name", ["stream", "streamcli"])
def test_fish_loads_it(installed: Path, tmp_path: Path, name: str) -> None:
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    env = {
        "PATH": f"{installed / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_DATA_DIRS": str(installed / "share"),
    }
    script = f"complete -C '{name} --rea'"
    done = subprocess.run(["fish", "-c", script], env=env, capture_output=True)
    assert done.stdout.decode().startswith("--reasoning")


@pytest.mark.parametrize("name", ["stream", "streamcli"])
def test_zsh_loads_it(installed: Path, tmp_path: Path, name: str) -> None:
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    folder = installed / "share" / "zsh" / "site-functions"
    script = (
        f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[{name}]"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(["zsh", "-f", "-c", script], env=env, capture_output=True)
    assert done.stdout.decode() == "_stream\n"
