"""Imports between folders go downward only, and each heavy library has one door."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "streamcli"

# Low to high: a room imports from itself and from those before it. Rooms on one line are equals,
# which do not know each other.
LAYERS = (
    ("errors", "limits", "secrets"),
    ("events", "file_errors"),
    ("message_parts", "timings"),
    ("messages",),
    ("message_json",),
    ("request",),
    ("wire",),
    ("protocols",),
    ("outcome",),
    ("transport",),
    ("answer",),
    ("terminal",),
    ("settings",),
    ("input",),
    ("output",),
    ("tools", "conversation", "report"),
    ("providers",),
    ("batch",),
    ("api",),
    ("cli",),
    ("__main__", "docgen"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# The whole of what `answer` may know of the network: how a response looks, never how it is made.
ONLY = {("answer", "transport"): {"seam"}}
# The clock, the sleep, the random source and the way to send a request are arguments in here.
PURE = (
    "message_parts",
    "errors",
    "limits",
    "events",
    "messages",
    "message_json",
    "timings",
    "request",
    "wire",
    "protocols",
    "outcome",
)
WORLD = {"time", "os", "socket", "select", "random", "subprocess", "threading", "signal"}
DOORS = {
    "httpx": {"transport/httpx_address"},
    "httpcore": {"transport/" + name for name in ("client", "connection", "pools", "socks")},
    "socksio": {"transport/socks"},
    "rich": {"terminal"},
    "markdown_it": {"terminal"},
    "pygments": {"terminal"},
    "asyncio": {"api"},
}

MODULES = {
    "markdown_it_py": "markdown_it",
    "pyyaml": "yaml",
}  # of packages whose module has another name


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def rooms() -> list[Any]:
    """A parameter for each room: its modules."""
    found: dict[str, list[Path]] = {}
    for path in modules():
        found.setdefault(room_of(path), []).append(path)
    return [pytest.param(paths, id=room) for room, paths in found.items()]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def room_of(path: Path) -> str:
    return name_of(path).partition("/")[0]


@cache
def imports(path: Path) -> list[tuple[str, bool]]:
    """Return (module, ours) of every import in the file, those inside functions too.

    Ours are written from the package on, with slashes: "wire/sse".
    """
    found = []
    here = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, False) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append((node.module or "", False))
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) + 1 - node.level], *(node.module or "").split(".")]
            folder = "/".join(part for part in base if part)
            if (PACKAGE / folder).is_dir():
                found += [(f"{folder}/{alias.name}".lstrip("/"), True) for alias in node.names]
            else:
                found.append((folder, True))
    return found


@pytest.mark.parametrize("paths", rooms())
def test_imports_go_downward(paths: list[Path]) -> None:
    for path in paths:
        check_imports(path)


def check_imports(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        assert not [
            name
            for name, ours in imports(path)
            if ours and not name.startswith(("api/", "messages"))
        ]
        return
    assert room in LEVEL, f"{room} has no layer yet: say where it belongs"
    for name, ours in imports(path):
        other = name.partition("/")[0]
        if not ours or other in ("__version__", room):
            continue
        assert LEVEL[other] < LEVEL[room], f"{name_of(path)} imports {name}, which is not below it"
        allowed = ONLY.get((room, other))
        assert allowed is None or name.split("/")[1] in allowed, f"{room} imports {name}"


def test_a_heavy_library_has_one_door() -> None:
    for path in modules():
        for name, ours in imports(path):
            doors = DOORS.get(name.partition(".")[0])
            if not ours and doors is not None:
                assert {name_of(path), room_of(path)} & doors, f"{name_of(path)} imports {name}"


# https://docs.python.org/3/library/os.html#os._exit is documented.
PUBLIC_IN_SPITE_OF_ITS_NAME = {"os._exit"}


@pytest.mark.parametrize("paths", rooms())
def test_no_private_name_of_a_library_is_used(paths: list[Path]) -> None:
    """A private attribute is one's own, or of another object of a class in the same file."""
    for path in paths:
        check_privacy(path)


def check_privacy(path: Path) -> None:
    tree = tree_of(path)
    private = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.endswith("__")
    ]
    own = {node.attr for node in private if ast.unparse(node.value) in ("self", "cls")}
    for node in private:
        text = ast.unparse(node)
        mine = ast.unparse(node.value) in ("self", "cls", "super()")
        same_class = isinstance(node.value, ast.Name) and node.attr in own
        assert mine or same_class or text in PUBLIC_IN_SPITE_OF_ITS_NAME, f"{path}: {text}"
    for name, ours in imports(path):
        parts = name.split(".")
        assert ours or not any(part.startswith("_") for part in parts if part != "__future__"), name


def test_protocols_do_not_import_each_other() -> None:
    for path in (PACKAGE / "protocols").glob("[!_]*.py"):
        for name, ours in imports(path):
            inside = ours and name.startswith("protocols/")
            assert not inside or name.split("/")[1] in ("shared", "_contract"), (path, name)


def test_core_reads_no_clock_and_does_no_io() -> None:
    for path in modules():
        if room_of(path) in PURE:
            used = {name.partition(".")[0] for name, ours in imports(path) if not ours}
            assert not used & WORLD - ({"signal"} if room_of(path) == "outcome" else set()), path


def test_folders_have_empty_inits() -> None:
    for path in PACKAGE.glob("*/**/__init__.py"):
        assert path.read_text() == "", path


def test_every_third_party_import_is_declared() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += extra
    names = {re.split(r"[>\[;]", dep)[0].replace("-", "_") for dep in wanted}
    declared = {MODULES.get(name, name) for name in names}
    used = {
        name.partition(".")[0] for path in modules() for name, ours in imports(path) if not ours
    }
    assert {name for name in used if name not in sys.stdlib_module_names} == declared
