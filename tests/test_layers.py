"""Imports go downward only, and the heavy ones have one door each."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "streamcli"

# Lower first; a module imports from its own layer or from those below it.
LAYERS = (
    {"__init__", "errors", "events", "chat"},  # values
    {"wire", "refusals", "parts", "protocols", "retry", "think", "meter", "verdict"}
    | {"outcome", "pacing", "summary"},  # pure
    {"splice", "sniff"},
    {"turn", "relay", "race", "tasks", "taskqueue", "batch"},  # flow: edges are its arguments
    # edges: each touches one outside thing
    {"terminal", "transport", "nettrouble", "prompt", "sinks", "voice", "attach", "matching"}
    | {"recording", "replaying", "local", "weights", "engine", "ledger", "journal", "render"},
    {"providers", "options", "config", "keys", "settings", "requestlines", "items"},
    # shell: putting it together
    {"outputs", "outlets", "delivery", "peers", "sources", "models", "ask", "inspecting"}
    | {"lanes", "prompts", "workers", "commentary", "batching"},
    {"cli", "__main__"},
    {"docgen", "docs"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
EDGES = {"transport", "prompt", "sinks"}
THREADED = {"race", "batch", "tasks", "taskqueue"}
DOORS = {"httpx": {"transport"}, "httpcore": {"transport"}, "rich": {"render"}, "asyncio": set()}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def place(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> list[tuple[str, bool]]:
    """(top-level name, ours) of every import in the file, those inside functions too."""
    found = []
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name.partition(".")[0], False) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append(((node.module or "").partition(".")[0], False))
        elif isinstance(node, ast.ImportFrom):
            inside = node.level < depth  # within a package of ours: protocols, sinks
            names = [node.module] if node.module else [alias.name for alias in node.names]
            for name in names:
                top = place(path) if inside else str(name).partition(".")[0]
                found.append((top if top in LEVEL else "__init__", True))
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    here = place(path)
    assert here in LEVEL, f"{here} has no layer yet: say where it belongs"
    for name, ours in imports(path):
        if not ours:
            assert here in DOORS.get(name, {here}), f"{name} has its own door, not {here}"
        else:
            assert LEVEL[name] <= LEVEL[here], f"{here} imports {name}, which is above it"


def test_edges_do_not_know_each_other() -> None:
    for path in modules():
        here = place(path)
        if here in EDGES:
            others = {name for name, ours in imports(path) if ours} & (EDGES - {here})
            assert not others, f"{here} imports {others}"


def test_protocols_do_not_import_each_other() -> None:
    for path in (PACKAGE / "protocols").glob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level == 1 and path.stem != "__init__":
                pytest.fail(f"{path.stem} imports {node.module} from its own package")


def test_core_reads_no_clock_and_does_no_io() -> None:
    below = set().union(*LAYERS[:4])
    world = {"time", "os", "socket", "select", "random", "subprocess", "threading", "signal"}
    for path in modules():
        here = place(path)
        if here in below - {"__init__", "verdict"}:  # verdict takes signal's names only
            allowed = {"threading"} if here in THREADED else set()
            used = {name for name, ours in imports(path) if not ours}
            assert not used & (world - allowed), here


def test_every_third_party_import_is_declared() -> None:
    import sys
    import tomllib

    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["local"]
    declared = {re.split(r"[>\[;]", dep)[0] for dep in wanted}
    used = {name for path in modules() for name, ours in imports(path) if not ours}
    third = {name for name in used if name not in sys.stdlib_module_names}
    assert third == declared
