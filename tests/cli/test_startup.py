"""What a start may import: the ratchet that keeps it quick."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest
from conftest import ROOT, Configure
from faultserver import FaultServer

HEAVY = {"rich", "pygments", "markdown_it", "asyncio"}
# Our own modules in a plain run: each costs a start about 0.1 ms.
MODULES = 86
NETWORK = {"httpx", "httpcore", "h11", "ssl", "socket", "http", "urllib", "certifi", "email"}


def imported(*args: str) -> set[str]:
    """Return the top-level names of all modules that a run of the real process imports."""
    command = [sys.executable, "-X", "importtime", "-m", "streamcli", *args]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    lines = done.stderr.decode().splitlines()
    times = [line for line in lines if line.startswith("import time:")]
    names = {line.rpartition("|")[2].strip().partition(".")[0] for line in times}
    assert "streamcli" in names
    return names


def ours(*args: str) -> set[str]:
    """Return our own modules that a run imports, without `streamcli.` in front."""
    # Unlike -X importtime, -v shows what importlib.import_module imports.
    command = [sys.executable, "-v", "-m", "streamcli", *args]
    shown = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).stderr.decode()
    return set(re.findall(r"^import 'streamcli\.([\w.]+)'", shown, re.MULTILINE))


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["-V"], ["--bogus"]])
def test_help_imports_click_and_little_else(args: list[str]) -> None:
    names = imported(*args)
    assert ("click" in names) == (args != ["--version"])
    assert not names & (HEAVY | NETWORK | {"dataclasses", "orjson", "json"})


def test_a_live_run_imports_neither_rich_nor_asyncio(server: FaultServer) -> None:
    args = ["-m", "vllm:m", "--base-url", server.url("ok"), "hi"]
    for more in ([], ["--jsonl"], ["--json"]):
        names = imported(*args, *more)
        assert "httpcore" in names
        assert not names & (HEAVY | {"httpx"})


def test_a_batch_imports_little_more(server: FaultServer) -> None:
    args = ["-m", "vllm:m", "--base-url", server.url("ok"), "--repeat", "2", "--json", "hi"]
    names = imported(*args)
    assert "httpcore" in names
    assert not names & (HEAVY | {"httpx", "jsonschema_rs", "sqlite3"})


def test_only_the_protocol_in_use_is_imported(server: FaultServer, configure: Configure) -> None:
    row = '[provider.{}]\nprotocol = "{}"\nbase_url = "http://127.0.0.1:1"\n'
    configure(row.format("a", "anthropic") + row.format("b", "gemini"))
    args = ["-m", "vllm:m", "--base-url", server.url("ok"), "hi"]
    used = {name.split(".")[1] for name in ours(*args) if name.startswith("protocols.")}
    assert {name for name in used if name[0] != "_"} == {"openai_chat", "shared"}


def test_a_plain_run_leaves_out_what_it_does_not_use(server: FaultServer) -> None:
    names = ours("-m", "vllm:m", "--base-url", server.url("ok"), "hi")
    assert names & {"answer.turn", "cli.single", "transport.client"}
    rooms = {name.partition(".")[0] for name in names}
    assert not rooms & {"batch", "docgen", "conversation", "tools"}
    assert {name for name in names if name.startswith("api.")} == {"api.network_source"}
    assert not names & {
        *("answer.answer_stream", "answer.fallback", "answer.continuation", "answer.race"),
        *("answer.retry", "answer.tool_loop", "answer.schema_check", "input.attachments"),
        *("input.batch_items", "input.request_line", "output.events_file", "output.file"),
        *("output.jsonl", "output.order", "output.records", "providers.from_config"),
        *("providers.prices", "settings.config_file", "transport.record", "transport.replay"),
        *("transport.socks", "wire.error_codes"),
    }
    assert len(names) <= MODULES


def test_listing_providers_runs_no_protocol() -> None:
    names = ours("--list-providers")
    assert "cli.inspect" in names
    assert not {name for name in names if name.startswith(("protocols.", "wire."))} - {
        *("protocols._contract", "protocols._facts", "protocols.shared"),
        "protocols.shared.listing",
    }


def test_a_usage_error_does_not_load_the_network() -> None:
    assert not imported("-m", "nobody:x", "hi") & {"httpx", "httpcore", "ssl"}


def test_httpx_is_imported_without_its_command_line() -> None:
    code = (
        "import streamcli.transport.httpx_address, sys\n"
        "assert 'httpx' in sys.modules\n"
        "assert 'click' not in sys.modules and 'rich' not in sys.modules\n"
        "assert 'httpx._main' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_folder_of_the_package_says_how_it_is_run(tmp_path: Path) -> None:
    """A zipapp of that folder alone is the same."""
    zipapp.create_archive(ROOT / "streamcli", tmp_path / "a.pyz")
    for place in (ROOT / "streamcli", tmp_path / "a.pyz"):
        run = subprocess.run([sys.executable, place, "hi"], capture_output=True, timeout=60)
        said = b"stream: cannot run from within its package: try python -m streamcli\n"
        assert (run.returncode, run.stdout, run.stderr) == (2, b"", said)


def test_a_zipapp(child_env: dict[str, str], tmp_path: Path) -> None:
    """Files of the package are no files there; an OSError is not taken for a broken stdout."""
    source, app = tmp_path / "source", tmp_path / "stream.pyz"
    shutil.copytree(ROOT / "streamcli", source / "streamcli")
    zipapp.create_archive(source, app, main="streamcli.__main__:main")
    answer = b'{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    run = subprocess.run(
        [sys.executable, "-I", app, "--decode=openai-chat"],
        input=answer,
        env=child_env,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, b"Hi", b"")
